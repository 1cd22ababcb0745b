/* SPDX-License-Identifier: Apache-2.0 */
/* A table as a JSON Schema (2020-12). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "schema.h"

#define OBJECTS_MAX 32

static void value(struct pk_jw *w, const struct pk_schema *s);
static void members(struct pk_jw *w, const struct pk_schema *s);

void pk_schema_print_raw(struct pk_jw *w, const char *key, const char *text)
{
	own_json *doc = NULL;
	struct pk_err err = { 0 };

	/* The table is part of the program: a slip in it is a bug. */
	if (pk_json_parse("schema", text, strlen(text), 0, &doc, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	if (key) {
		pk_jw_value(w, key, pk_json_root(doc));
		return;
	}
	for (const struct pk_json *v = pk_json_first(pk_json_root(doc)); v; v = pk_json_next(v))
		pk_jw_value(w, NULL, v);
}

static void type_of(struct pk_jw *w, const struct pk_schema *s, const char *type)
{
	if (!s->null_ok) {
		pk_jw_string(w, "type", type);
		return;
	}
	pk_jw_open(w, "type", '[');
	pk_jw_string(w, NULL, type);
	pk_jw_string(w, NULL, "null");
	pk_jw_close(w, ']');
}

static void format_of(struct pk_jw *w, const struct pk_format *f)
{
	if (f && f->words) {
		pk_jw_open(w, "enum", '[');
		for (const char *const *word = f->words; *word; word++)
			pk_jw_string(w, NULL, *word);
		pk_jw_close(w, ']');
	} else if (f) {
		pk_jw_string(w, "pattern", f->pattern);
	}
}

static void string_of(struct pk_jw *w, const struct pk_schema *s)
{
	type_of(w, s, "string");
	format_of(w, s->format);
	if (s->not_empty)
		pk_jw_int(w, "minLength", 1);
	if (s->room)
		pk_jw_uint(w, "maxLength", s->room - 1);
}

static void range_of(struct pk_jw *w, const struct pk_schema *s)
{
	type_of(w, s, "integer");
	pk_jw_int(w, "minimum", s->lo);
	pk_jw_int(w, "maximum", s->hi);
}

static void word(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_open(w, "anyOf", '[');
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "type", "string");
	format_of(w, s->format);
	pk_jw_close(w, '}');
	pk_jw_open(w, NULL, '{');
	range_of(w, s);
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
}

static void list(struct pk_jw *w, const struct pk_schema *s)
{
	type_of(w, s, "array");
	if (s->not_empty)
		pk_jw_int(w, "minItems", 1);
	if (s->most)
		pk_jw_uint(w, "maxItems", s->most);
	pk_jw_open(w, "items", '{');
	value(w, s->item);
	pk_jw_close(w, '}');
}

static void labels(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_string(w, "type", "object");
	pk_jw_open(w, "propertyNames", '{');
	format_of(w, s->format);
	pk_jw_close(w, '}');
	pk_jw_open(w, "additionalProperties", '{');
	pk_jw_string(w, "type", "string");
	pk_jw_close(w, '}');
}

static void one_of_two(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_open(w, "anyOf", '[');
	pk_jw_open(w, NULL, '{');
	value(w, s->item);
	pk_jw_close(w, '}');
	pk_jw_open(w, NULL, '{');
	value(w, s->other);
	pk_jw_close(w, '}');
	if (s->null_ok) {
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "type", "null");
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static void refused(struct pk_jw *w, const struct pk_schema *s)
{
	if (s->null_ok) {
		pk_jw_string(w, "type", "null");
		return;
	}
	pk_jw_open(w, "not", '{');
	pk_jw_close(w, '}');
}

static void object_of(struct pk_jw *w, const struct pk_schema *s)
{
	char ref[64];

	if (!s->id) {
		members(w, s);
		return;
	}
	snprintf(ref, sizeof(ref), "#/$defs/%s", s->id);
	pk_jw_string(w, "$ref", ref);
}

/* The members of a schema: an object with a name is only referred to. */
static void value(struct pk_jw *w, const struct pk_schema *s)
{
	switch (s->form) {
	case PK_FORM_STRING:
		string_of(w, s);
		break;
	case PK_FORM_BOOL:
		type_of(w, s, "boolean");
		break;
	case PK_FORM_INT:
		range_of(w, s);
		break;
	case PK_FORM_WORD:
		word(w, s);
		break;
	case PK_FORM_LIST:
		list(w, s);
		break;
	case PK_FORM_OBJECT:
		object_of(w, s);
		break;
	case PK_FORM_LABELS:
		labels(w, s);
		break;
	case PK_FORM_EITHER:
		one_of_two(w, s);
		break;
	case PK_FORM_REFUSED:
		refused(w, s);
		break;
	case PK_FORM_ANY:
		break;
	}
	if (s->usual)
		pk_schema_print_raw(w, "default", s->usual);
}

void pk_schema_print_value(struct pk_jw *w, const char *key, const struct pk_schema_key *k)
{
	pk_jw_open(w, key, '{');
	if (k->help)
		pk_jw_string(w, "description", k->help);
	value(w, k->form);
	pk_jw_close(w, '}');
}

/* Writes the condition that no two of the keys stand together. */
static void either(struct pk_jw *w, const char *const *keys)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, "not", '{');
	pk_jw_open(w, "anyOf", '[');
	for (size_t i = 0; keys[i]; i++)
		for (size_t j = i + 1; keys[j]; j++) {
			pk_jw_open(w, NULL, '{');
			pk_jw_open(w, "required", '[');
			pk_jw_string(w, NULL, keys[i]);
			pk_jw_string(w, NULL, keys[j]);
			pk_jw_close(w, ']');
			pk_jw_close(w, '}');
		}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

static void conditions(struct pk_jw *w, const struct pk_schema *s)
{
	own_str extra = { 0 };

	if (!s->either && !s->either2 && !s->extra)
		return;
	pk_jw_open(w, "allOf", '[');
	if (s->either)
		either(w, s->either);
	if (s->either2)
		either(w, s->either2);
	if (s->extra) {
		pk_str_addf(&extra, "[%s]", s->extra);
		pk_schema_print_raw(w, NULL, extra.text);
	}
	pk_jw_close(w, ']');
}

static void required(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_open(w, "required", '[');
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		if (k->required)
			pk_jw_string(w, NULL, k->name);
	pk_jw_close(w, ']');
}

static void members(struct pk_jw *w, const struct pk_schema *s)
{
	char foreign[32];

	type_of(w, s, "object");
	if (!s->keys)
		return;
	pk_jw_bool(w, "additionalProperties", false);
	if (s->foreign) {
		snprintf(foreign, sizeof(foreign), "[%s]", s->foreign);
		pk_jw_open(w, "patternProperties", '{');
		pk_jw_open(w, foreign, '{');
		pk_jw_close(w, '}');
		pk_jw_close(w, '}');
	}
	pk_jw_open(w, "properties", '{');
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		pk_schema_print_value(w, k->name, k);
	pk_jw_close(w, '}');
	required(w, s);
	conditions(w, s);
}

/* Every object below s that has a name, each once. */
static void collect(const struct pk_schema *s, const struct pk_schema **found, size_t *n)
{
	if (s->item)
		collect(s->item, found, n);
	if (s->other)
		collect(s->other, found, n);
	if (s->form != PK_FORM_OBJECT)
		return;
	for (size_t i = 0; i < *n; i++)
		if (found[i] == s)
			return;
	if (*n == OBJECTS_MAX)
		abort();
	if (s->id)
		found[(*n)++] = s;
	for (const struct pk_schema_key *k = s->keys; k && k->name; k++)
		collect(k->form, found, n);
}

void pk_schema_print_defs(struct pk_jw *w, const struct pk_schema *s)
{
	const struct pk_schema *objects[OBJECTS_MAX];
	size_t n = 0;

	collect(s, objects, &n);
	if (!n)
		return;
	pk_jw_open(w, "$defs", '{');
	for (size_t i = 0; i < n; i++) {
		pk_jw_open(w, objects[i]->id, '{');
		members(w, objects[i]);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, '}');
}

void pk_schema_print(const struct pk_schema *s, const char *title, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	pk_jw_string(&w, "title", title);
	value(&w, s);
	pk_schema_print_defs(&w, s);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
