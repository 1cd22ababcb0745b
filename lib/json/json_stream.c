/* SPDX-License-Identifier: Apache-2.0 */
#include "json_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_private.h"
#include "own.h"
#include "str.h"

#define NUMBER_MAX 24 /* characters of a whole number; int64_t needs 20 */
#define SKIPPED	   (-1)

enum state {
	AT_VALUE,
	AT_FIRST_VALUE, /* the first value is to come, or the array's end */
	AT_KEY,
	AT_FIRST_KEY, /* the first key is to come, or the object's end */
	AT_COLON,
	AFTER_VALUE,
	IN_KEY,
	IN_TEXT,
	IN_WORD,
	IN_SKIPPED,	 /* between the brackets of a skipped container */
	IN_SKIPPED_TEXT, /* of a skipped value, or inside such a container */
	IN_SKIPPED_WORD,
	AT_END,
	FAILED,
};

/* A named container that is open. */
struct frame {
	int node;
	bool object;
	uint64_t seen; /* named members so far, by their index in the table */
};

struct pk_stream {
	struct pk_stream_table table;
	pk_stream_fn *fn;
	void *arg;
	enum state state;
	struct frame frame[PK_STREAM_DEPTH];
	unsigned int depth;
	int node;	      /* the table's index of the value that comes */
	bool escaped;	      /* the last character of a text was a backslash */
	size_t curly, square; /* open brackets of what is skipped */
	size_t before;	      /* bytes of the pieces before this one */
	const char *piece;
	struct pk_str raw, clean, key; /* clean and key: without escapes */
	size_t raw_len;
	bool has_key; /* the value that comes is a member, and key is its key */
	int result;   /* what fn returned, or -EINVAL */
	struct pk_err err;
};

struct pk_stream *pk_stream_new(const struct pk_stream_table *table, pk_stream_fn *fn, void *arg)
{
	struct pk_stream *s = pk_alloc(sizeof(*s));

	*s = (struct pk_stream){ .table = *table, .fn = fn, .arg = arg };
	return s;
}

void pk_stream_free(struct pk_stream *s)
{
	if (!s)
		return;
	pk_str_done(&s->raw);
	pk_str_done(&s->clean);
	pk_str_done(&s->key);
	free(s);
}

/* Ends the reading, since what stands at `at` isn't JSON. Returns NULL. */
static const char *refuse(struct pk_stream *s, const char *at, const char *what)
{
	s->state = FAILED;
	s->result = pk_fail(&s->err, 0, "%s: byte %zu: %s", s->table.name,
			    s->before + (size_t)(at - s->piece) + 1, what);
	return NULL;
}

static const struct pk_stream_node *node_of(const struct pk_stream *s)
{
	return &s->table.nodes[s->node];
}

static bool is_each(const struct pk_stream_node *node)
{
	return node->key && strcmp(node->key, PK_STREAM_EACH) == 0;
}

/* Tells fn of the event; false: fn wants no more. */
static bool tell(struct pk_stream *s, struct pk_stream_event *event)
{
	if (s->node == SKIPPED)
		return true;
	event->node = (unsigned int)s->node;
	if (is_each(node_of(s)) && s->has_key)
		event->key = s->key.text;
	s->result = s->fn(s->arg, event);
	if (s->result)
		s->state = FAILED;
	return s->result == 0;
}

static bool tell_bad(struct pk_stream *s, const char *why)
{
	return tell(s, &(struct pk_stream_event){ .what = PK_STREAM_BAD, .why = why });
}

/* Returns the table's index of the child with this key (NULL: too long to be one), or SKIPPED. */
static int child(const struct pk_stream *s, int parent, const char *key)
{
	int each = SKIPPED;

	for (size_t i = (size_t)parent + 1; i < s->table.n; i++) {
		const struct pk_stream_node *node = &s->table.nodes[i];

		if (node->parent != (unsigned int)parent)
			continue;
		if (is_each(node))
			each = (int)i;
		else if (key && strcmp(node->key, key) == 0)
			return (int)i;
	}
	return each;
}

static void begin_text(struct pk_stream *s, enum state state)
{
	s->state = state;
	pk_str_reset(&s->raw);
	s->raw_len = 0;
	s->escaped = false;
}

/* Keeps what fits; raw_len counts all. */
static void collect(struct pk_stream *s, const char *from, const char *to)
{
	size_t n = (size_t)(to - from);

	s->raw_len += n;
	if (s->raw_len <= s->table.text_max)
		pk_str_addn(&s->raw, from, n);
}

/* Returns what stands behind the text's closing quote, or the piece's end. */
static const char *to_quote(struct pk_stream *s, const char *at, const char *end)
{
	for (; at < end; at++) {
		if (s->escaped)
			s->escaped = false;
		else if (*at == '\\')
			s->escaped = true;
		else if (*at == '"')
			break;
	}
	return at;
}

/* An integer of at most NUMBER_MAX characters, nothing behind it. */
static bool read_number(const char *text, int64_t *out)
{
	const char *digits = text + (*text == '-');
	size_t n = strspn(digits, "0123456789");

	if (n == 0 || digits[n] || (n > 1 && *digits == '0'))
		return false;
	errno = 0;
	*out = strtoll(text, NULL, 10);
	return errno == 0;
}

static void value_done(struct pk_stream *s)
{
	s->state = s->depth ? AFTER_VALUE : AT_END;
}

static void push(struct pk_stream *s, bool object)
{
	struct pk_stream_event event = { .what = PK_STREAM_BEGIN };

	s->state = object ? AT_FIRST_KEY : AT_FIRST_VALUE;
	s->frame[s->depth++] = (struct frame){ .node = s->node, .object = object };
	tell(s, &event);
}

static void pop(struct pk_stream *s)
{
	struct pk_stream_event event = { .what = PK_STREAM_END };

	s->node = s->frame[--s->depth].node;
	value_done(s);
	s->has_key = false; /* the next key has overwritten it */
	tell(s, &event);
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '+' || c == '.';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The value at `at` isn't wanted; its first character tells how it ends. */
static const char *begin_skipped(struct pk_stream *s, const char *at)
{
	s->curly = *at == '{';
	s->square = *at == '[';
	if (*at == '"')
		begin_text(s, IN_SKIPPED_TEXT);
	else if (s->curly || s->square)
		s->state = IN_SKIPPED;
	else if (is_word(*at))
		s->state = IN_SKIPPED_WORD;
	else
		return refuse(s, at, "a value was expected");
	return s->state == IN_SKIPPED_WORD ? at : at + 1;
}

static bool is_wanted(const struct pk_stream *s, char first)
{
	switch (node_of(s)->kind) {
	case PK_STREAM_OBJECT:
		return first == '{';
	case PK_STREAM_ARRAY:
		return first == '[';
	case PK_STREAM_TEXT:
		return first == '"';
	case PK_STREAM_INT:
		return is_word(first);
	}
	return false;
}

static const char *at_value(struct pk_stream *s, const char *at)
{
	if (s->node == SKIPPED)
		return begin_skipped(s, at);
	if (*at == 'n' || (is_wanted(s, *at) && node_of(s)->kind == PK_STREAM_INT)) {
		begin_text(s, IN_WORD);
		return at;
	}
	if (!is_wanted(s, *at)) {
		if (!s->depth)
			return refuse(s, at, "an answer of another kind");
		return tell_bad(s, "a value of another type") ? begin_skipped(s, at) : NULL;
	}
	if (*at == '"')
		begin_text(s, IN_TEXT);
	else if (s->depth == PK_STREAM_DEPTH)
		return refuse(s, at, "named values nested too deep");
	else
		push(s, *at == '{');
	return s->state == FAILED ? NULL : at + 1;
}

static const char *at_first(struct pk_stream *s, const char *at)
{
	if (*at == ']') {
		pop(s);
		return s->state == FAILED ? NULL : at + 1;
	}
	s->node = child(s, s->frame[s->depth - 1].node, NULL);
	s->has_key = false;
	return at_value(s, at);
}

static const char *at_key(struct pk_stream *s, const char *at)
{
	if (*at == '}' && s->state == AT_FIRST_KEY) {
		pop(s);
		return s->state == FAILED ? NULL : at + 1;
	}
	if (*at != '"')
		return refuse(s, at, "a key in double quotes was expected");
	begin_text(s, IN_KEY);
	return at + 1;
}

static const char *after_value(struct pk_stream *s, const char *at)
{
	const struct frame *f = &s->frame[s->depth - 1];

	if (*at == ',') {
		s->state = f->object ? AT_KEY : AT_VALUE;
		s->node = f->object ? SKIPPED : child(s, f->node, NULL);
		return at + 1;
	}
	if (*at != (f->object ? '}' : ']'))
		return refuse(s, at, "a comma or the end was expected");
	pop(s);
	return s->state == FAILED ? NULL : at + 1;
}

/* The key is whole: it says which value is to come, and may be given once alone. */
static bool take_key(struct pk_stream *s)
{
	struct frame *f = &s->frame[s->depth - 1];
	bool fits = s->raw_len <= s->table.text_max;
	bool good = fits && pk_json_plain(s->raw.text, s->raw.len, &s->key);

	s->state = AT_COLON;
	s->has_key = good;
	s->node = child(s, f->node, good ? s->key.text : NULL);
	if (fits && !good)
		return tell_bad(s, "a key that is no text");
	if (s->node == SKIPPED || is_each(node_of(s)))
		return true;
	if (f->seen & 1ull << s->node)
		return tell_bad(s, "its key stands there twice");
	f->seen |= 1ull << s->node;
	return true;
}

static bool take_text(struct pk_stream *s)
{
	struct pk_stream_event event = { .what = PK_STREAM_VALUE, .len = s->raw_len };

	value_done(s);
	if (s->raw_len > s->table.text_max)
		return tell(s, &event);
	if (!pk_json_plain(s->raw.text, s->raw.len, &s->clean))
		return tell_bad(s, "a text that is none");
	event.text = s->clean.text;
	event.len = s->clean.len;
	return tell(s, &event);
}

static const char *in_text(struct pk_stream *s, const char *at, const char *end)
{
	const char *quote = to_quote(s, at, end);

	collect(s, at, quote);
	if (quote == end)
		return end;
	if (s->state == IN_KEY ? !take_key(s) : !take_text(s))
		return NULL;
	return quote + 1;
}

static bool take_word(struct pk_stream *s)
{
	struct pk_stream_event event = { .what = PK_STREAM_VALUE };
	const char *word = s->raw.text;

	value_done(s);
	/* The text of a word that is too long is what its first pieces had. */
	if (s->raw_len <= NUMBER_MAX && strcmp(word, "null") == 0)
		return true;
	if (node_of(s)->kind != PK_STREAM_INT || s->raw_len > NUMBER_MAX ||
	    !read_number(word, &event.number))
		return tell_bad(s, "a value of another type");
	return tell(s, &event);
}

static const char *in_word(struct pk_stream *s, const char *at, const char *end)
{
	const char *from = at;

	while (at < end && is_word(*at))
		at++;
	if (s->raw_len + (size_t)(at - from) <= NUMBER_MAX)
		collect(s, from, at);
	else
		s->raw_len = NUMBER_MAX + 1;
	if (at == end)
		return end;
	if (!s->depth)
		return refuse(s, at, "an answer of another kind");
	return take_word(s) ? at : NULL;
}

static const char *in_skipped(struct pk_stream *s, const char *at, const char *end)
{
	for (; at < end; at++) {
		char c = *at;

		if (c == '"') {
			begin_text(s, IN_SKIPPED_TEXT);
			return at + 1;
		}
		s->curly += c == '{';
		s->square += c == '[';
		if ((c == '}' && !s->curly) || (c == ']' && !s->square))
			return refuse(s, at, "a bracket that nothing opened");
		s->curly -= c == '}';
		s->square -= c == ']';
		if (!s->curly && !s->square) {
			value_done(s);
			return at + 1;
		}
	}
	return end;
}

static const char *in_skipped_text(struct pk_stream *s, const char *at, const char *end)
{
	at = to_quote(s, at, end);
	if (at == end)
		return end;
	if (s->curly || s->square)
		s->state = IN_SKIPPED;
	else
		value_done(s);
	return at + 1;
}

static const char *in_skipped_word(struct pk_stream *s, const char *at, const char *end)
{
	while (at < end && is_word(*at))
		at++;
	if (at < end)
		value_done(s);
	return at;
}

/* One step: returns where the next one begins, NULL after a failure. */
static const char *step(struct pk_stream *s, const char *at, const char *end)
{
	switch (s->state) {
	case IN_KEY:
	case IN_TEXT:
		return in_text(s, at, end);
	case IN_WORD:
		return in_word(s, at, end);
	case IN_SKIPPED:
		return in_skipped(s, at, end);
	case IN_SKIPPED_TEXT:
		return in_skipped_text(s, at, end);
	case IN_SKIPPED_WORD:
		return in_skipped_word(s, at, end);
	default:
		break;
	}
	if (is_blank(*at))
		return at + 1;
	switch (s->state) {
	case AT_VALUE:
		return at_value(s, at);
	case AT_FIRST_VALUE:
		return at_first(s, at);
	case AT_KEY:
	case AT_FIRST_KEY:
		return at_key(s, at);
	case AT_COLON:
		s->state = AT_VALUE;
		return *at == ':' ? at + 1 : refuse(s, at, "':' was expected");
	case AFTER_VALUE:
		return after_value(s, at);
	default:
		return refuse(s, at, "text after the end");
	}
}

int pk_stream_feed(struct pk_stream *s, const char *bytes, size_t n, struct pk_err *err)
{
	const char *at = bytes, *end = bytes + n;

	s->piece = bytes;
	while (s->state != FAILED && at && at < end)
		at = step(s, at, end);
	s->before += n;
	if (s->state != FAILED)
		return 0;
	if (err && *s->err.text)
		*err = s->err;
	return s->result;
}

int pk_stream_end(struct pk_stream *s, struct pk_err *err)
{
	if (s->state == AT_END)
		return 0;
	if (s->state != FAILED) {
		s->state = FAILED;
		s->result = pk_fail(&s->err, 0, "%s: the text ends after %zu bytes", s->table.name,
				    s->before);
	}
	if (err && *s->err.text)
		*err = s->err;
	return s->result;
}
