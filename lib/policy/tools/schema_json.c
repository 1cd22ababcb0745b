/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c's table as a JSON Schema (2020-12). */
#include "schema_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "string_forms.h"
#include "json.h"
#include "own.h"
#include "schema.h"

static void value(struct pk_jw *w, const char *key, const struct pk_schema *s, const char *help);

/* A piece that is written by hand in the table. */
static void raw(struct pk_jw *w, const char *key, const char *text)
{
	own_json *doc = NULL;
	struct pk_err err = { 0 };

	/* The table is part of the program: a slip in it is a bug. */
	if (pk_json_parse("schema.c", text, strlen(text), 0, &doc, &err) < 0) {
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

static void range_of(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_string(w, "type", "integer");
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
	pk_jw_string(w, "type", "array");
	if (s->not_empty)
		pk_jw_int(w, "minItems", 1);
	value(w, "items", s->item, NULL);
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

/* One value of the table; an object with a name is only referred to. */
static void value(struct pk_jw *w, const char *key, const struct pk_schema *s, const char *help)
{
	char ref[64];

	pk_jw_open(w, key, '{');
	if (help)
		pk_jw_string(w, "description", help);
	switch (s->form) {
	case PK_FORM_STRING:
		pk_jw_string(w, "type", "string");
		format_of(w, s->format);
		break;
	case PK_FORM_BOOL:
		pk_jw_string(w, "type", "boolean");
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
		snprintf(ref, sizeof(ref), "#/$defs/%s", s->id);
		pk_jw_string(w, "$ref", ref);
		break;
	case PK_FORM_LABELS:
		labels(w, s);
		break;
	case PK_FORM_REFUSED:
		pk_jw_open(w, "not", '{');
		pk_jw_close(w, '}');
		break;
	}
	pk_jw_close(w, '}');
}

/* At most one of the keys: none of them, or not two. */
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
		raw(w, NULL, extra.text);
	}
	pk_jw_close(w, ']');
}

static void object(struct pk_jw *w, const struct pk_schema *s)
{
	pk_jw_open(w, s->id, '{');
	pk_jw_string(w, "type", "object");
	pk_jw_bool(w, "additionalProperties", false);
	pk_jw_open(w, "properties", '{');
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		value(w, k->name, k->form, k->help);
	pk_jw_close(w, '}');
	pk_jw_open(w, "required", '[');
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		if (k->required)
			pk_jw_string(w, NULL, k->name);
	pk_jw_close(w, ']');
	conditions(w, s);
	pk_jw_close(w, '}');
}

#define OBJECTS_MAX 32
/* Without a document around it a rule is of the tenant tier. */
#define BARE_RULE "{\"allOf\":[{\"$ref\":\"#/$defs/rule\"}," PK_SCHEMA_NO_PASS "]}"

/* Every object below s, each once. */
static void collect(const struct pk_schema *s, const struct pk_schema **found, size_t *n)
{
	if (s->form == PK_FORM_LIST) {
		collect(s->item, found, n);
		return;
	}
	if (s->form != PK_FORM_OBJECT)
		return;
	for (size_t i = 0; i < *n; i++)
		if (found[i] == s)
			return;
	if (*n == OBJECTS_MAX)
		abort();
	found[(*n)++] = s;
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		collect(k->form, found, n);
}

void pk_schema_json(struct pk_str *out)
{
	const struct pk_schema *objects[OBJECTS_MAX];
	struct pk_jw w = { .out = out, .indent = 2 };
	size_t n = 0;

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	pk_jw_string(&w, "title", "Picket policy document");
	pk_jw_string(&w, "description",
		     "A document, an array of rules, or one rule (docs/policy.md). Comments are "
		     "allowed in the file.");
	raw(&w, "if", "{\"type\":\"array\"}");
	raw(&w, "then", "{\"type\":\"array\",\"items\":" BARE_RULE "}");
	raw(&w, "else",
	    "{\"if\":{\"anyOf\":[{\"required\":[\"rules\"]},"
	    "{\"not\":{\"required\":[\"endpointSelector\"]}}]},"
	    "\"then\":{\"$ref\":\"#/$defs/document\"},\"else\":" BARE_RULE "}");
	collect(&pk_schema_document, objects, &n);
	pk_jw_open(&w, "$defs", '{');
	for (size_t i = 0; i < n; i++)
		object(&w, objects[i]);
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}
