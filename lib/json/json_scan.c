/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 8259 and nothing else, in linear time (keys of one object: n log n). What passes here is
 * read the same way by every parser, cJSON among them.
 */
#include "json_private.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

#define RELAXED_DEPTH 128
#define NUMBER_MAX    60		 /* characters: cJSON's buffer holds 63 */
#define SAFE_INTEGER  9007199254740991.0 /* 2^53 - 1 */

/* A container that is being read. */
struct frame {
	bool object;
	uint32_t key; /* object: the key's quote, or PK_JSON_NO_KEY before the first */
	size_t index; /* array */
};

struct key {
	uint64_t hash[2];
	uint32_t offset;
};

struct scan {
	struct pk_json_text *t;
	char *at;
	struct frame frame[RELAXED_DEPTH];
	unsigned int depth;
	struct key *keys; /* the keys of all open objects, innermost last */
	size_t n_keys, room_keys;
	bool patched; /* the last string held something that relaxed mode replaced */
	struct pk_json_fault *fault;
};

static void scan_done(struct scan *s)
{
	free(s->keys);
}

static size_t offset_of(const struct scan *s, const char *at)
{
	return (size_t)(at - s->t->bytes);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

__attribute__((format(printf, 3, 4))) static int refuse(struct scan *s, const char *at,
							const char *fmt, ...)
{
	struct pk_json_fault *fault = s->fault;
	own_str full = { 0 };
	va_list ap;

	for (unsigned int i = 0; i < s->depth; i++) {
		const struct frame *f = &s->frame[i];

		if (!f->object)
			pk_str_addf(&full, "[%zu]", f->index);
		else if (f->key != PK_JSON_NO_KEY)
			pk_json_path_key(s->t, f->key, &full);
	}
	pk_json_locate(s->t, offset_of(s, at), &fault->where);
	pk_json_path_fit(&full, fault->where.path, sizeof(fault->where.path));
	va_start(ap, fmt);
	vsnprintf(fault->what, sizeof(fault->what), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Writes "found 'x'", safe for a terminal. */
static const char *found(const struct scan *s, const char *at, char text[24])
{
	unsigned char c = (unsigned char)*at;

	if (offset_of(s, at) >= s->t->len)
		return "the end";
	if (c < 0x20 || c >= 0x7f)
		snprintf(text, 24, "byte 0x%02x", c);
	else
		snprintf(text, 24, "'%c'", c);
	return text;
}

/* A comment may hold any text that a string may. */
static int check_comment(struct scan *s, const char *p, const char *end)
{
	while (p < end) {
		unsigned char c = (unsigned char)*p;
		size_t n = pk_utf8_len(p);

		if (n == 0)
			return refuse(s, p, "byte 0x%02x is not UTF-8", c);
		if (c < 0x20 && c != '\t' && c != '\r' && c != '\n')
			return refuse(s, p, "control character 0x%02x in a comment", c);
		p += n;
	}
	return 0;
}

static int blank_comment(struct scan *s)
{
	char *p = s->at, *stop = s->t->bytes + s->t->len, *end;
	int r;

	if (!(s->t->flags & PK_JSON_COMMENTS))
		return refuse(s, p, "comments are not allowed here");
	if (p[1] == '/') {
		end = memchr(p, '\n', (size_t)(stop - p));
		end = end ? end : stop;
	} else if (p[1] == '*') {
		end = memmem(p + 2, (size_t)(stop - p) - 2, "*/", 2);
		if (!end)
			return refuse(s, p, "this comment has no end");
		end += 2;
	} else {
		return refuse(s, p, "found '/', expected a comment");
	}
	r = check_comment(s, p, end);
	if (r < 0)
		return r;
	for (; p < end; p++)
		if (*p != '\n' && *p != '\r')
			*p = ' ';
	s->at = p;
	return 0;
}

/* Passes over blanks and comments. */
static int skip(struct scan *s)
{
	int r;

	for (;;) {
		while (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')
			s->at++;
		if (*s->at != '/')
			return 0;
		r = blank_comment(s);
		if (r < 0)
			return r;
	}
}

/*
 * Another program's text must not fail as a whole for what one tenant wrote into it: U+FFFD
 * instead.
 */
static int patch(struct scan *s, char *p, const char *what)
{
	if (!(s->t->flags & PK_JSON_RELAXED))
		return refuse(s, p, "%s in a string", what);
	memcpy(p, "\\ufffd", 6);
	s->patched = true;
	s->at = p + 6;
	return 0;
}

/* The scan stands at a backslash. */
static int scan_escape(struct scan *s)
{
	char *p = s->at;
	int v, low;

	if (p[1] != 'u') {
		if (!p[1] || !strchr("\"\\/bfnrt", p[1]))
			return refuse(s, p, "an escape that JSON doesn't have");
		s->at = p + 2;
		return 0;
	}
	v = pk_json_hex4(p + 2);
	if (v < 0)
		return refuse(s, p, "\\u needs four hexadecimal digits");
	if (v == 0)
		return patch(s, p, "NUL");
	if (v < 0xd800 || v > 0xdfff) {
		s->at = p + 6;
		return 0;
	}
	low = p[6] == '\\' && p[7] == 'u' ? pk_json_hex4(p + 8) : -1;
	if (v > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return patch(s, p, "half of a surrogate pair");
	s->at = p + 12;
	return 0;
}

/* The scan stands at the opening quote, and afterwards behind the closing one. */
static int scan_string(struct scan *s)
{
	char *open = s->at++;
	size_t n;
	int r;

	s->patched = false;
	for (;;) {
		unsigned char c = (unsigned char)*s->at;

		if (c == '"') {
			s->at++;
			return 0;
		}
		if (c == '\\') {
			r = scan_escape(s);
			if (r < 0)
				return r;
		} else if (c >= 0x80) {
			n = pk_utf8_len(s->at);
			if (n == 0)
				return refuse(s, s->at, "byte 0x%02x is not UTF-8", c);
			s->at += n;
		} else if (c >= 0x20) {
			s->at++;
		} else if (offset_of(s, s->at) >= s->t->len || c == '\n') {
			return refuse(s, open, "this string has no end on its line");
		} else {
			return refuse(s, s->at, "control character 0x%02x in a string", c);
		}
	}
}

static int scan_number(struct scan *s)
{
	char *p = s->at, *start = p;

	p += *p == '-';
	if (!is_digit(*p))
		return refuse(s, start, "a number needs a digit behind '-'");
	if (*p == '0' && is_digit(p[1]))
		return refuse(s, start, "number with a leading zero");
	while (is_digit(*p))
		p++;
	if (*p == '.') {
		if (!is_digit(*++p))
			return refuse(s, start, "a number needs a digit behind '.'");
		while (is_digit(*p))
			p++;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '+' || *p == '-';
		if (!is_digit(*p))
			return refuse(s, start, "a number needs a digit in its exponent");
		while (is_digit(*p))
			p++;
	}
	if (p - start > NUMBER_MAX)
		return refuse(s, start, "a number of more than %d characters", NUMBER_MAX);
	if (!(s->t->flags & PK_JSON_RELAXED) && fabs(strtod(start, NULL)) > SAFE_INTEGER)
		return refuse(s, start, "number beyond 2^53-1");
	s->at = p;
	return 0;
}

static int scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };
	char text[24];

	for (size_t i = 0; i < PK_ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);

		if (strncmp(s->at, words[i], n) == 0) {
			s->at += n;
			return 0;
		}
	}
	return refuse(s, s->at, "found %s, expected a value", found(s, s->at, text));
}

static void add_spot(struct scan *s, uint32_t key)
{
	struct pk_json_text *t = s->t;

	if (t->n_spots == t->room_spots) {
		t->room_spots = t->room_spots ? t->room_spots * 2 : 64;
		t->spots = reallocarray(t->spots, t->room_spots, sizeof(*t->spots));
		if (!t->spots)
			abort();
	}
	t->spots[t->n_spots++] = (struct pk_json_spot){ (uint32_t)offset_of(s, s->at), key };
}

/* Remembers the key between the quotes at start and end-1. A patched key is like no other. */
static void add_key(struct scan *s, const char *start, const char *end)
{
	own_str plain = { 0 };
	struct key *k;

	if (s->patched)
		return;
	if (s->n_keys == s->room_keys) {
		s->room_keys = s->room_keys ? s->room_keys * 2 : 64;
		s->keys = reallocarray(s->keys, s->room_keys, sizeof(*s->keys));
		if (!s->keys)
			abort();
	}
	k = &s->keys[s->n_keys++];
	k->offset = (uint32_t)offset_of(s, start);
	if (!memchr(start, '\\', (size_t)(end - start))) {
		pk_hash128(start + 1, (size_t)(end - start) - 2, k->hash);
		return;
	}
	pk_json_unescape(start + 1, end - 1, &plain);
	pk_hash128(plain.text ? plain.text : "", plain.len, k->hash);
}

static int compare_keys(const void *pa, const void *pb)
{
	const struct key *a = pa, *b = pb;
	int c = memcmp(a->hash, b->hash, sizeof(a->hash));

	return c ? c : (a->offset > b->offset) - (a->offset < b->offset);
}

/* The keys from first on are those of the object that closes now. */
static int close_keys(struct scan *s, size_t first)
{
	struct frame *f = &s->frame[s->depth - 1];
	size_t n = s->n_keys - first;
	uint32_t twice = UINT32_MAX;

	if (n > 1)
		qsort(s->keys + first, n, sizeof(*s->keys), compare_keys);
	for (size_t i = first + 1; i < s->n_keys; i++)
		if (memcmp(s->keys[i].hash, s->keys[i - 1].hash, sizeof(s->keys[i].hash)) == 0 &&
		    s->keys[i].offset < twice)
			twice = s->keys[i].offset;
	s->n_keys = first;
	if (twice == UINT32_MAX)
		return 0;
	f->key = twice;
	return refuse(s, s->t->bytes + twice, "this key appears twice");
}

static int scan_value(struct scan *s, uint32_t key);

static int scan_member(struct scan *s)
{
	struct frame *f = &s->frame[s->depth - 1];
	char *start = s->at, text[24];
	int r;

	if (*start != '"')
		return refuse(s, start, "found %s, expected a key in double quotes",
			      found(s, start, text));
	r = scan_string(s);
	if (r < 0)
		return r;
	f->key = (uint32_t)offset_of(s, start);
	add_key(s, start, s->at);
	r = skip(s);
	if (r < 0)
		return r;
	if (*s->at != ':')
		return refuse(s, s->at, "found %s, expected ':'", found(s, s->at, text));
	s->at++;
	r = skip(s);
	if (r < 0)
		return r;
	return scan_value(s, f->key);
}

/* The scan stands behind '{' or '['. */
static int scan_items(struct scan *s, char end)
{
	struct frame *f = &s->frame[s->depth - 1];
	char text[24];
	int r;

	for (;;) {
		r = skip(s);
		if (r == 0)
			r = f->object ? scan_member(s) : scan_value(s, PK_JSON_NO_KEY);
		if (r == 0)
			r = skip(s);
		if (r < 0)
			return r;
		if (*s->at == end) {
			s->at++;
			return 0;
		}
		if (*s->at != ',')
			return refuse(s, s->at, "found %s, expected ',' or '%c'",
				      found(s, s->at, text), end);
		s->at++;
		r = skip(s);
		if (r < 0)
			return r;
		if (*s->at == end)
			return refuse(s, s->at, "a comma before '%c'", end);
		f->index++;
	}
}

static int scan_container(struct scan *s)
{
	unsigned int max = s->t->flags & PK_JSON_RELAXED ? RELAXED_DEPTH : PK_JSON_DEPTH;
	bool object = *s->at == '{';
	char end = object ? '}' : ']';
	size_t first = s->n_keys;
	int r;

	if (s->depth == max)
		return refuse(s, s->at, "nested deeper than %u", max);
	s->frame[s->depth++] = (struct frame){ .object = object, .key = PK_JSON_NO_KEY };
	s->at++;
	r = skip(s);
	if (r < 0)
		return r;
	if (*s->at == end)
		s->at++;
	else
		r = scan_items(s, end);
	if (r == 0 && object)
		r = close_keys(s, first);
	if (r < 0)
		return r;
	s->depth--;
	return 0;
}

static int scan_value(struct scan *s, uint32_t key)
{
	add_spot(s, key);
	if (*s->at == '{' || *s->at == '[')
		return scan_container(s);
	if (*s->at == '"')
		return scan_string(s);
	if (*s->at == '-' || is_digit(*s->at))
		return scan_number(s);
	return scan_word(s);
}

static int check_start(struct scan *s)
{
	const struct pk_json_text *t = s->t;

	if (t->len < 3 || memcmp(t->bytes, "\xef\xbb\xbf", 3) != 0)
		return 0;
	snprintf(s->fault->fix, sizeof(s->fault->fix),
		 "save the file as UTF-8 without a byte order mark");
	return refuse(s, s->at, "a byte order mark");
}

int pk_json_scan(struct pk_json_text *t, struct pk_json_fault *fault)
{
	PK_OWN(scan_done) struct scan s = { .t = t, .at = t->bytes, .fault = fault };
	char text[24];
	int r = check_start(&s);

	if (r == 0)
		r = skip(&s);
	if (r < 0)
		return r;
	if (offset_of(&s, s.at) >= t->len)
		return refuse(&s, s.at, "the text is empty");
	r = scan_value(&s, PK_JSON_NO_KEY);
	if (r == 0)
		r = skip(&s);
	if (r < 0)
		return r;
	if (offset_of(&s, s.at) < t->len)
		return refuse(&s, s.at, "found %s, expected the end: text after the document",
			      found(&s, s.at, text));
	return 0;
}
