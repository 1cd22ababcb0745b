/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "own.h"

#define DEPTH_MAX 100

struct reader {
	yaml_parser_t parser;
	struct pk_yaml *out;
	struct pk_json_fault *fault;
	int depth;
};

void pk_yaml_done(struct pk_yaml *yaml)
{
	pk_str_done(&yaml->json);
	free(yaml->tokens);
	*yaml = (struct pk_yaml){ 0 };
}

static int refuse(struct reader *r, const yaml_mark_t *at, const char *fix, const char *what)
{
	struct pk_json_fault *f = r->fault;

	*f = (struct pk_json_fault){ .where = { .line = (int)at->line + 1,
						.col = (int)at->column + 1,
						.width = 1,
						.path = "." } };
	snprintf(f->what, sizeof(f->what), "%s", what);
	snprintf(f->fix, sizeof(f->fix), "%s", fix ? fix : "");
	return -EINVAL;
}

static int next(struct reader *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->parser, event))
		return 0;
	return refuse(r, &r->parser.problem_mark, NULL,
		      r->parser.problem ? r->parser.problem : "no YAML");
}

static void add_token(struct pk_yaml *y, const yaml_event_t *event)
{
	if (y->n_tokens == y->room) {
		y->room = y->room ? y->room * 2 : 256;
		y->tokens = reallocarray(y->tokens, y->room, sizeof(*y->tokens));
		if (!y->tokens)
			abort();
	}
	y->tokens[y->n_tokens++] = (struct pk_yaml_token){
		.json_col = (int)y->json.len + 1,
		.line = (int)event->start_mark.line + 1,
		.col = (int)event->start_mark.column + 1,
		.width = event->end_mark.line == event->start_mark.line
				 ? (int)(event->end_mark.column - event->start_mark.column)
				 : 1,
	};
}

/* Takes one character of UTF-8, which libyaml has checked. */
static unsigned int take_char(const unsigned char **p)
{
	unsigned int c = *(*p)++;
	int more = (c >= 0xc0) + (c >= 0xe0) + (c >= 0xf0);

	if (more)
		c &= 0x3fu >> more;
	while (more-- > 0)
		c = c << 6 | (*(*p)++ & 0x3f);
	return c;
}

/* Adds a string in ASCII alone, so that a column of the JSON text is a byte of it. */
static void add_string(struct pk_str *out, const unsigned char *text, size_t len)
{
	const unsigned char *end = text + len;

	pk_str_add(out, "\"");
	while (text < end) {
		unsigned int c = take_char(&text);

		if (c == '"' || c == '\\')
			pk_str_addf(out, "\\%c", c);
		else if (c >= 0x20 && c < 0x7f)
			pk_str_addf(out, "%c", c);
		else if (c < 0x10000)
			pk_str_addf(out, "\\u%04x", c);
		else
			pk_str_addf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
				    0xdc00 + ((c - 0x10000) & 0x3ff));
	}
	pk_str_add(out, "\"");
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcasecmp(*words, text) == 0)
			return true;
	return false;
}

static size_t digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* Returns whether it is a number as JSON writes it. */
static bool is_number(const char *text)
{
	const char *p = text + (*text == '-');
	size_t n = digits(p);

	if (!n || (n > 1 && *p == '0'))
		return false;
	p += n;
	if (*p == '.') {
		n = digits(p + 1);
		if (!n)
			return false;
		p += 1 + n;
	}
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '-' || p[1] == '+');
		n = digits(p);
		if (!n)
			return false;
		p += n;
	}
	return !*p;
}

/*
 * Returns whether some reader of YAML takes it for a number: other bases, underscores, sixties, a
 * sign or a point alone. Several points make an address or a version, an empty part between colons
 * an address.
 */
static bool may_be_number(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');

	if (strcasecmp(p, ".inf") == 0 || strcasecmp(p, ".nan") == 0)
		return true;
	if (*p == '0' && p[1] && strchr("xXoObB", p[1]))
		return strspn(p + 2, "0123456789abcdefABCDEF_") == strlen(p + 2);
	return strpbrk(p, "0123456789") && strspn(p, "0123456789_.:") == strlen(p) &&
	       strchr(p, '.') == strrchr(p, '.') && !strstr(p, "::");
}

static const char *const nothing[] = { "", "~", "null", NULL };
static const char *const truths[] = { "true", "false", NULL };
static const char *const unclear[] = { "y", "yes", "on", "n", "no", "off", NULL };

/* Returns whether the plain word is text to every reader. */
static bool is_text(const char *text)
{
	return !is_one_of(text, nothing) && !is_one_of(text, truths) && !is_one_of(text, unclear) &&
	       !is_number(text) && !may_be_number(text) && strcmp(text, "<<") != 0;
}

static int add_plain(struct reader *r, const yaml_event_t *event, const char *text, bool key)
{
	struct pk_str *out = &r->out->json;

	if (is_text(text))
		add_string(out, (const unsigned char *)text, strlen(text));
	else if (!key && is_one_of(text, nothing))
		pk_str_add(out, "null");
	else if (!key && is_one_of(text, truths))
		pk_str_add(out, strcasecmp(text, "true") == 0 ? "true" : "false");
	else if (!key && is_number(text))
		pk_str_add(out, text);
	else
		return refuse(r, &event->start_mark, "put it in quotes, if it is text",
			      "a word that readers of YAML take for different things");
	return 0;
}

static int add_scalar(struct reader *r, const yaml_event_t *event, bool key)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	size_t len = event->data.scalar.length;

	if (tag && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, "!") != 0)
		return refuse(r, &event->start_mark, NULL, "a tag isn't read");
	if (strlen(text) != len)
		return refuse(r, &event->start_mark, NULL, "NUL in a string");
	add_token(r->out, event);
	if (!tag && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return add_plain(r, event, text, key);
	add_string(&r->out->json, (const unsigned char *)text, len);
	return 0;
}

static int add_value(struct reader *r, const yaml_event_t *event, bool key);

static int add_members(struct reader *r, yaml_event_type_t end)
{
	struct pk_str *out = &r->out->json;
	bool mapping = end == YAML_MAPPING_END_EVENT;

	for (size_t i = 0;; i++) {
		bool key = mapping && i % 2 == 0;
		yaml_event_t event;
		int ret = next(r, &event);
		bool done = ret == 0 && event.type == end;

		if (ret < 0)
			return ret;
		if (!done && i)
			pk_str_add(out, mapping && !key ? ":" : ",");
		if (!done)
			ret = add_value(r, &event, key);
		yaml_event_delete(&event);
		if (done || ret < 0)
			return ret;
	}
}

static int add_container(struct reader *r, const yaml_event_t *event, bool mapping)
{
	int ret;

	if (r->depth == DEPTH_MAX)
		return refuse(r, &event->start_mark, NULL, "nested too deep");
	add_token(r->out, event);
	r->depth++;
	pk_str_add(&r->out->json, mapping ? "{" : "[");
	ret = add_members(r, mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT);
	pk_str_add(&r->out->json, mapping ? "}" : "]");
	r->depth--;
	return ret;
}

static int add_value(struct reader *r, const yaml_event_t *event, bool key)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return add_scalar(r, event, key);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (key)
			return refuse(r, &event->start_mark, NULL, "a key is no text");
		return add_container(r, event, event->type == YAML_MAPPING_START_EVENT);
	case YAML_ALIAS_EVENT:
		return refuse(r, &event->start_mark, "write out what it stands for",
			      "an alias isn't read");
	default:
		return refuse(r, &event->start_mark, NULL, "no value");
	}
}

/* Returns whether a document holds something: a file may begin or end with "---". */
static bool is_value(const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		return event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
		       !is_one_of((const char *)event->data.scalar.value, nothing);
	return event->type == YAML_MAPPING_START_EVENT ||
	       event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_ALIAS_EVENT;
}

static int add_documents(struct reader *r, size_t *n)
{
	for (bool end = false; !end;) {
		yaml_event_t event;
		int ret = next(r, &event);

		if (ret < 0)
			return ret;
		end = event.type == YAML_STREAM_END_EVENT;
		if (is_value(&event)) {
			if ((*n)++)
				pk_str_add(&r->out->json, ",");
			ret = add_value(r, &event, false);
		}
		yaml_event_delete(&event);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int pk_yaml_read(const char *text, size_t len, struct pk_yaml *yaml, struct pk_json_fault *fault)
{
	struct reader r = { .out = yaml, .fault = fault };
	size_t n = 0;
	int ret;

	if (!yaml_parser_initialize(&r.parser))
		abort();
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	pk_str_add(&yaml->json, "[");
	ret = add_documents(&r, &n);
	yaml_parser_delete(&r.parser);
	if (ret < 0)
		return ret;
	/* One document alone stands for itself: the bracket becomes a blank, columns stay. */
	if (n == 1)
		yaml->json.text[0] = ' ';
	else
		pk_str_add(&yaml->json, "]");
	return 0;
}

static const struct pk_yaml_token *token_of(const struct pk_yaml *yaml, int json_col)
{
	size_t lo = 0, hi = yaml->n_tokens;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (yaml->tokens[mid].json_col <= json_col)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &yaml->tokens[lo - 1] : NULL;
}

/*
 * Returns the beginning of a line, NULL where the text has no such line: libyaml knows more ends of
 * a line.
 */
static const char *line_of(const char *text, int line)
{
	for (; line > 1 && *text; line--) {
		text += strcspn(text, "\r\n");
		text += *text == '\r' && text[1] == '\n';
		text += *text != '\0';
	}
	return line > 1 ? NULL : text;
}

static void set_source(struct pk_json_where *where, const char *text)
{
	const char *line = line_of(text, where->line);
	size_t n = line ? strcspn(line, "\r\n") : 0;

	where->source_col = where->col;
	where->source[0] = '\0';
	if (n >= sizeof(where->source))
		return; /* a line that long helps nobody */
	memcpy(where->source, line, n);
	where->source[n] = '\0';
	for (char *p = where->source; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

void pk_yaml_restore(const struct pk_yaml *yaml, const char *text, struct pk_doc_notes *notes)
{
	for (size_t i = 0; i < notes->n; i++) {
		struct pk_json_where *where = &notes->list[i].where;
		const struct pk_yaml_token *p = token_of(yaml, where->col);

		where->line = p ? p->line : 1;
		where->col = p ? p->col : 1;
		where->width = p ? p->width : 1;
		set_source(where, text);
	}
}

bool pk_yaml_is(const char *path, const char *text)
{
	const char *dot = strrchr(path, '.');

	if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
		return true;
	if (dot && strcmp(dot, ".json") == 0)
		return false;
	text += strspn(text, " \t\r\n");
	return *text && !strchr("{[/", *text);
}
