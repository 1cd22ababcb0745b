/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

#define WIDTH 100
#define NEVER 100000 /* wider than any line: has a comment, or is always opened up */

/* The text has passed the scan: these are all the tokens there are. */
enum token_kind { OPEN, CLOSE, COMMA, COLON, SCALAR, LINE_COMMENT, BLOCK_COMMENT, END };

struct token {
	enum token_kind kind;
	const char *text;
	size_t len;
	int breaks; /* line breaks in front of it */
};

struct fmt {
	struct token *tokens;
	size_t n, room, at;
	struct pk_str *out;
};

static void fmt_done(struct fmt *f)
{
	free(f->tokens);
}

static bool is_comment(const struct token *t)
{
	return t->kind == LINE_COMMENT || t->kind == BLOCK_COMMENT;
}

static void add_token(struct fmt *f, enum token_kind kind, const char *text, size_t len, int breaks)
{
	if (f->n == f->room) {
		f->room = f->room ? f->room * 2 : 256;
		f->tokens = reallocarray(f->tokens, f->room, sizeof(*f->tokens));
		if (!f->tokens)
			abort();
	}
	f->tokens[f->n++] = (struct token){ kind, text, len, breaks };
}

static size_t comment_len(const char *p, const char *end)
{
	size_t n;

	if (p[1] == '*')
		return (size_t)((const char *)memmem(p + 2, (size_t)(end - p) - 2, "*/", 2) - p) +
		       2;
	for (n = 0; p + n < end && p[n] != '\n'; n++)
		;
	while (n > 2 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
		n--;
	return n;
}

static size_t scalar_len(const char *p)
{
	size_t n = 1;

	if (*p != '"')
		return strcspn(p, " \t\r\n,]}/:");
	while (p[n] != '"')
		n += p[n] == '\\' ? 2 : 1;
	return n + 1;
}

static enum token_kind kind_of(char c)
{
	switch (c) {
	case '{':
	case '[':
		return OPEN;
	case '}':
	case ']':
		return CLOSE;
	case ',':
		return COMMA;
	case ':':
		return COLON;
	default:
		return SCALAR;
	}
}

static void read_tokens(struct fmt *f, const char *p, const char *end)
{
	int breaks = 0;

	while (p < end) {
		enum token_kind kind = kind_of(*p);
		size_t len = 1;

		if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
			breaks += *p++ == '\n';
			continue;
		}
		if (*p == '/') {
			kind = p[1] == '*' ? BLOCK_COMMENT : LINE_COMMENT;
			len = comment_len(p, end);
		} else if (kind == SCALAR) {
			len = scalar_len(p);
		}
		add_token(f, kind, p, len, breaks);
		breaks = 0;
		p += len;
	}
	add_token(f, END, end, 0, breaks);
}

static int characters(const char *text, size_t len)
{
	int n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static bool is_text(const struct token *t, const char *text)
{
	return t->len == strlen(text) && memcmp(t->text, text, t->len) == 0;
}

/* Returns the width of the value at token i on one line; *next is behind it. */
static int flat_width(const struct fmt *f, size_t i, size_t *next)
{
	int depth = 0;
	int width = 0;

	do {
		const struct token *t = &f->tokens[i];
		bool empty = t->kind == OPEN && f->tokens[i + 1].kind == CLOSE;

		if (is_comment(t) || is_text(t, "\"endpointSelector\""))
			width = NEVER;
		if (width < NEVER)
			width += characters(t->text, t->len) +
				 (t->kind == COMMA || t->kind == COLON);
		/* "{ a }", "[a]", "{}" */
		if (width < NEVER && *t->text == '{' && !empty)
			width += 2;
		depth += t->kind == OPEN;
		depth -= t->kind == CLOSE;
		i++;
	} while (depth > 0);
	*next = i;
	return width;
}

static void put(struct fmt *f, const struct token *t)
{
	pk_str_addn(f->out, t->text, t->len);
}

static void put_flat(struct fmt *f, size_t end)
{
	for (; f->at < end; f->at++) {
		const struct token *t = &f->tokens[f->at], *next = t + 1;

		put(f, t);
		if (t->kind == COMMA || t->kind == COLON)
			pk_str_add(f->out, " ");
		if (t->kind == OPEN && *t->text == '{' && next->kind != CLOSE)
			pk_str_add(f->out, " ");
		if (next->kind == CLOSE && *next->text == '}' && t->kind != OPEN && f->at + 1 < end)
			pk_str_add(f->out, " ");
	}
}

static void new_line(struct fmt *f, int indent, bool blank)
{
	pk_str_add(f->out, blank ? "\n\n" : "\n");
	for (int i = 0; i < indent; i++)
		pk_str_add(f->out, " ");
}

/* Returns the column of the next character, from 0. */
static int column(const struct fmt *f)
{
	const char *line = f->out->len ? memrchr(f->out->text, '\n', f->out->len) : NULL;
	size_t from = line ? (size_t)(line + 1 - f->out->text) : 0;

	return f->out->len ? characters(f->out->text + from, f->out->len - from) : 0;
}

/* Returns whether the next token needs a new line, since a line comment was written last. */
static bool must_break(const struct fmt *f, size_t before)
{
	return before > 0 && f->tokens[before - 1].kind == LINE_COMMENT;
}

static void put_value(struct fmt *f, int indent);

/* Writes comments: those that stand alone, then those on the line of what was written last. */
static void put_comments(struct fmt *f, int indent, bool first)
{
	for (; is_comment(&f->tokens[f->at]); f->at++) {
		const struct token *t = &f->tokens[f->at];

		if (t->breaks == 0 && !must_break(f, f->at) && f->at > 0)
			pk_str_add(f->out, " ");
		else if (f->out->len)
			new_line(f, indent, t->breaks > 1 && !first);
		put(f, t);
		first = false;
	}
}

/* Moves comments between a key and its value, or a value and its comma, to the front. */
static void hoist_comments(struct fmt *f, size_t end, int indent)
{
	for (size_t i = f->at; i < end; i++)
		if (is_comment(&f->tokens[i])) {
			put(f, &f->tokens[i]);
			new_line(f, indent, false);
		}
}

static void put_key(struct fmt *f, int indent)
{
	size_t key = f->at, end = key + 1;

	while (is_comment(&f->tokens[end]) || f->tokens[end].kind == COLON)
		end++;
	hoist_comments(f, end, indent);
	put(f, &f->tokens[key]);
	pk_str_add(f->out, ": ");
	f->at = end;
}

/* Writes the comma behind a value, and behind it the comments that stood in front of it. */
static void put_comma(struct fmt *f)
{
	size_t comma = f->at;

	while (is_comment(&f->tokens[comma]))
		comma++;
	if (f->tokens[comma].kind != COMMA)
		return;
	pk_str_add(f->out, ",");
	for (; f->at < comma; f->at++) {
		pk_str_add(f->out, " ");
		put(f, &f->tokens[f->at]);
		/* The next token stands on its own line, whatever it was. */
		f->tokens[f->at + 1].breaks += f->tokens[f->at].kind == LINE_COMMENT;
	}
	if (comma > 0 && f->tokens[comma - 1].kind == LINE_COMMENT)
		f->tokens[comma + 1].breaks += f->tokens[comma + 1].breaks == 0;
	f->at++;
}

static void put_open(struct fmt *f, int indent)
{
	bool object = *f->tokens[f->at].text == '{', first = true;

	put(f, &f->tokens[f->at++]);
	for (;;) {
		const struct token *t;

		put_comments(f, indent + 2, first);
		t = &f->tokens[f->at];
		if (t->kind == CLOSE)
			break;
		new_line(f, indent + 2, t->breaks > 1 && !first);
		if (object)
			put_key(f, indent + 2);
		put_value(f, indent + 2);
		put_comma(f);
		first = false;
	}
	new_line(f, indent, false);
	put(f, &f->tokens[f->at++]);
}

static void put_value(struct fmt *f, int indent)
{
	bool root = indent == 0;
	size_t end;
	int width = flat_width(f, f->at, &end);
	bool container = f->tokens[f->at].kind == OPEN;
	bool empty = end == f->at + 2;

	/* A comma may follow. */
	if (!container || empty || (!root && column(f) + width + 1 <= WIDTH))
		put_flat(f, end);
	else
		put_open(f, indent);
}

int pk_layout(const char *name, const char *text, size_t len, struct pk_str *out,
	      struct pk_json_fault *fault)
{
	PK_OWN(fmt_done) struct fmt f = { .out = out };
	own_json *doc = NULL;
	own_mem char *copy = NULL;

	if (pk_json_parse_fault(name, text, len, PK_JSON_COMMENTS, &doc, fault) < 0)
		return -EINVAL;
	copy = pk_strndup(text, len); /* no byte of a JSON text is NUL */
	read_tokens(&f, copy, copy + len);
	put_comments(&f, 0, true);
	if (out->len)
		new_line(&f, 0, f.tokens[f.at].breaks > 1);
	put_value(&f, 0);
	put_comments(&f, 0, false);
	pk_str_add(out, "\n");
	return 0;
}
