/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a JSON text: characters and escapes; line and column as people count them. */
#include <stdio.h>
#include <string.h>

#include "json_private.h"

int pk_json_hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return v;
}

static void put_utf8(struct pk_str *out, unsigned int v)
{
	char b[4];
	size_t n = 0;

	if (v < 0x80) {
		b[n++] = (char)v;
	} else if (v < 0x800) {
		b[n++] = (char)(0xc0 | v >> 6);
		b[n++] = (char)(0x80 | (v & 0x3f));
	} else if (v < 0x10000) {
		b[n++] = (char)(0xe0 | v >> 12);
		b[n++] = (char)(0x80 | (v >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (v & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | v >> 18);
		b[n++] = (char)(0x80 | (v >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (v >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (v & 0x3f));
	}
	pk_str_addn(out, b, n);
}

void pk_json_unescape(const char *p, const char *end, struct pk_str *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	while (p < end) {
		const char *hit;
		unsigned int v;

		if (*p != '\\') {
			pk_str_addn(out, p++, 1);
			continue;
		}
		if (p[1] != 'u') {
			hit = strchr(from, p[1]);
			pk_str_addn(out, hit ? &to[hit - from] : &p[1], 1);
			p += 2;
			continue;
		}
		v = (unsigned int)pk_json_hex4(p + 2);
		p += 6;
		if (v >= 0xd800 && v <= 0xdbff) {
			v = 0x10000 + ((v - 0xd800) << 10) +
			    ((unsigned int)pk_json_hex4(p + 2) - 0xdc00);
			p += 6;
		}
		put_utf8(out, v);
	}
}

/* The length of the escape at p, 0 where JSON has no such one. *patched: it stands for what no text
 * may hold. */
static size_t escape_size(const char *p, const char *end, bool *patched)
{
	int v, low;

	*patched = false;
	if (end - p >= 2 && p[1] != 'u')
		return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
	v = end - p >= 6 ? pk_json_hex4(p + 2) : -1;
	if (v < 0)
		return 0;
	if (v != 0 && (v < 0xd800 || v > 0xdfff))
		return 6;
	low = v && v <= 0xdbff && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? pk_json_hex4(p + 8)
									       : -1;
	*patched = low < 0xdc00 || low > 0xdfff;
	return *patched ? 6 : 12;
}

/* Characters that stand for themselves, ASCII only. */
static size_t plain_run(const char *p, const char *end)
{
	const char *at = p;

	while (at < end && *at >= 0x20 && *at < 0x7f && *at != '\\' && *at != '"')
		at++;
	return (size_t)(at - p);
}

bool pk_json_plain(const char *p, size_t len, struct pk_str *out)
{
	const char *end = p + len;

	pk_str_reset(out);
	while (p < end) {
		bool patched = false;
		size_t n = plain_run(p, end);

		pk_str_addn(out, p, n);
		p += n;
		if (p == end)
			break;
		n = *p == '\\' ? escape_size(p, end, &patched) : 0;
		if (*p != '\\' && *p != '"' && (unsigned char)*p >= 0x20)
			n = pk_utf8_len(p);
		if (n == 0 || n > (size_t)(end - p))
			return false;
		if (patched)
			pk_str_add(out, "\xef\xbf\xbd");
		else
			pk_json_unescape(p, p + n, out);
		p += n;
	}
	return !out->failed;
}

int pk_json_line_at(const struct pk_json_text *t, size_t offset)
{
	size_t lo = 0, hi = t->n_lines;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->lines[mid] <= offset)
			lo = mid;
		else
			hi = mid;
	}
	return (int)lo + 1;
}

static bool is_start(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/*
 * Characters of the token at p (of a bad text too): a string to its quote, a word or number to its
 * end, a bracket alone.
 */
static int token_width(const char *p)
{
	const char *start = p;
	int width = 0;

	if (*p == '{' || *p == '[')
		return 1;
	if (*p == '"') {
		for (p++; *p && *p != '\n' && *p != '"'; p++)
			if (*p == '\\' && p[1])
				p++;
		p += *p == '"';
	} else {
		p += strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
	}
	for (; start < p; start++)
		width += is_start(*start);
	return width ? width : 1;
}

static bool is_word_start(const char *p)
{
	return strchr(" \t,:[{", p[-1]) && !strchr(" \t", *p);
}

/*
 * The line around the offset into where->source: all of it, or a window with the token in sight
 * that begins with a word.
 */
static void cut_source(const struct pk_json_text *t, size_t offset, struct pk_json_where *where)
{
	const char *line = t->original + t->lines[where->line - 1], *at = t->original + offset;
	size_t room = sizeof(where->source) - 1, n;
	bool cut;

	where->source_col = where->col;
	cut = (size_t)(at - line) > room * 2 / 3;
	while ((size_t)(at - line) > room * 2 / 3 || (cut && line < at && !is_word_start(line))) {
		do
			line++;
		while (line < at && !is_start(*line));
		where->source_col--;
	}
	n = strcspn(line, "\r\n");
	if (n > room) {
		n = room;
		while (n && !is_start(line[n]))
			n--;
	}
	for (size_t i = 0; i < n; i++)
		where->source[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? ' ' : line[i];
	where->source[n] = '\0';
}

void pk_json_locate(const struct pk_json_text *t, size_t offset, struct pk_json_where *where)
{
	where->line = pk_json_line_at(t, offset);
	where->col = 1;
	for (size_t i = t->lines[where->line - 1]; i < offset; i++)
		where->col += is_start(t->original[i]);
	where->width = token_width(t->bytes + offset);
	cut_source(t, offset, where);
}

static bool is_plain(const char *p, size_t n)
{
	if (n == 0 || (*p >= '0' && *p <= '9'))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(p[i] == '_' || p[i] == '-' || (p[i] >= '0' && p[i] <= '9') ||
		      (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z')))
			return false;
	return true;
}

void pk_json_path_key(const struct pk_json_text *t, size_t offset, struct pk_str *path)
{
	const char *start = t->bytes + offset + 1, *end = start;
	char key[256];
	size_t n;

	while (*end != '"')
		end += *end == '\\' ? 2 : 1;
	n = (size_t)(end - start);
	if (n >= sizeof(key)) {
		n = sizeof(key) - 1;
		while (n && ((unsigned char)start[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(key, start, n);
	key[n] = '\0';
	if (is_plain(key, n)) {
		pk_str_addf(path, ".%s", key);
		return;
	}
	pk_str_add(path, "[\"");
	pk_str_add_escaped(path, key);
	pk_str_add(path, "\"]");
}

void pk_json_path_fit(struct pk_str *path, char *out, size_t room)
{
	const char *text = path->text ? path->text : "", *dot = text[0] == '.' ? "" : ".", *tail;
	size_t n = strlen(text), head = room / 4;

	if (n + 1 < room) {
		snprintf(out, room, "%s%s", dot, text);
		return;
	}
	tail = text + n - (room - head - 6);
	while (((unsigned char)*tail & 0xc0) == 0x80)
		tail++;
	while (head && ((unsigned char)text[head] & 0xc0) == 0x80)
		head--;
	snprintf(out, room, "%s%.*s...%s", dot, (int)head, text, tail);
}
