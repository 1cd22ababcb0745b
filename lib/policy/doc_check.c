/* SPDX-License-Identifier: Apache-2.0 */
/* A document's form against the table of schema.c. */
#include <stdio.h>
#include <string.h>

#include "doc_read.h"
#include "string_forms.h"

#define KEYS_MAX  31 /* of one object */
#define FOUND_MAX 60 /* characters of a string that an error repeats */

/* "found a number", "found "x"". */
static void describe(const struct pk_json *v, struct pk_str *out)
{
	const char *text = pk_json_string(v);
	char cut[FOUND_MAX + 1];

	if (!text) {
		pk_str_addf(out, "found %s", pk_json_type_name(pk_json_type(v)));
		if (pk_json_type(v) == PK_JSON_NUMBER)
			pk_str_addf(out, " (%.15g)", pk_json_number(v));
		return;
	}
	snprintf(cut, sizeof(cut), "%s", text);
	pk_str_addf(out, "found \"%s%s\"", cut, strlen(text) > FOUND_MAX ? "..." : "");
}

static void unexpected(struct pk_reader *r, const struct pk_json *v, const char *fix,
		       const char *expected)
{
	own_str found = { 0 };

	describe(v, &found);
	pk_read_error(r, v, false, fix, "%s, expected %s", found.text, expected);
}

static void check_string(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	const struct pk_format *f = s->format;
	const char *text = pk_json_string(v), *fix, *near;
	char hint[128];

	if (!text) {
		unexpected(r, v, NULL, f ? f->expected : "a string");
		return;
	}
	if (pk_format_ok(f, text))
		return;
	fix = f->hint ? f->hint(text) : NULL;
	near = fix || !f->words ? NULL : pk_nearest(text, f->words);
	if (near) {
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
		fix = hint;
	}
	unexpected(r, v, fix, f->expected);
}

static void check_int(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	char expected[80];
	int64_t n;

	if (pk_json_int(v, s->lo, s->hi, &n) == 0)
		return;
	snprintf(expected, sizeof(expected), "a whole number of %lld..%lld", (long long)s->lo,
		 (long long)s->hi);
	unexpected(r, v, NULL, expected);
}

static void check_word(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	int64_t n;

	if (pk_json_type(v) != PK_JSON_NUMBER)
		check_string(r, s, v);
	else if (pk_json_int(v, s->lo, s->hi, &n) < 0)
		unexpected(r, v, NULL, s->format->expected);
}

static void check_list(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_ARRAY) {
		unexpected(r, v, "put it in [ ]", "an array");
		return;
	}
	if (s->not_empty && !pk_json_first(v))
		pk_read_error(r, v, false, "remove the key, or fill the list", "an empty list");
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		pk_read_check(r, s->item, e);
}

static const struct pk_schema_key *find_key(const struct pk_schema *s, const char *name)
{
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

/* "toEntities" where "fromEntities" is known, and the other way round. */
static const char *other_way(const struct pk_schema *s, const char *name)
{
	const char *rest = NULL;

	if (strncmp(name, "to", 2) == 0)
		rest = name + 2;
	else if (strncmp(name, "from", 4) == 0)
		rest = name + 4;
	for (const struct pk_schema_key *k = s->keys; rest && k->name; k++) {
		size_t skip = strncmp(k->name, "from", 4) == 0 ? 4 : 2;

		if (k->form->form != PK_FORM_REFUSED && strcmp(k->name, name) != 0 &&
		    (strncmp(k->name, "from", 4) == 0 || strncmp(k->name, "to", 2) == 0) &&
		    strcmp(k->name + skip, rest) == 0)
			return k->name;
	}
	return NULL;
}

/* The known key that was meant by an unknown one, or NULL. names: room for all keys and NULL. */
static const char *meant_key(const struct pk_schema *s, const char *name, const char **names)
{
	const char *near = other_way(s, name);
	size_t n = 0;

	for (const struct pk_schema_key *k = s->keys; k->name && n < KEYS_MAX; k++)
		if (k->form->form != PK_FORM_REFUSED)
			names[n++] = k->name;
	names[n] = NULL;
	return near ? near : pk_nearest(name, names);
}

static void unknown_key(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *m)
{
	const char *names[KEYS_MAX + 1];
	const char *near = meant_key(s, pk_json_key(m), names);
	char fix[200];

	if (!near && s == &pk_schema_document && find_key(&pk_schema_rule, pk_json_key(m))) {
		pk_read_error(r, m, true, "put it into an element of \"rules\"",
			      "unknown key: it belongs to a rule");
		return;
	}
	if (near) {
		snprintf(fix, sizeof(fix), "did you mean \"%s\"?", near);
	} else {
		own_str known = { 0 };

		for (size_t i = 0; names[i]; i++)
			pk_str_addf(&known, "%s%s", i ? ", " : "", names[i]);
		snprintf(fix, sizeof(fix), "known here: %s", known.text);
	}
	pk_read_error(r, m, true, fix, "unknown key");
}

/* A required key that is missing, unless another one stands for it: one error is enough. */
static void check_required(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v,
			   const struct pk_schema_key *k)
{
	const char *names[KEYS_MAX + 1], *near;

	if (!k->required || pk_json_get(v, k->name))
		return;
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		const struct pk_schema_key *known = find_key(s, pk_json_key(m));

		if (known && known->form->form == PK_FORM_REFUSED)
			return;
		near = known ? NULL : meant_key(s, pk_json_key(m), names);
		if (near && strcmp(near, k->name) == 0)
			return;
	}
	pk_read_error(r, v, false, NULL, "\"%s\" is missing: %s", k->name, k->help);
}

static void check_either(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v,
			 const char *const *either)
{
	const char *first = NULL;

	for (const struct pk_json *m = pk_json_first(v); either && m; m = pk_json_next(m))
		for (const char *const *name = either; *name; name++) {
			if (strcmp(*name, pk_json_key(m)) != 0)
				continue;
			if (first)
				pk_read_error(r, m, true, s->too_many,
					      "beside \"%s\": one of them only", first);
			else
				first = *name;
		}
}

static void check_object(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_OBJECT) {
		unexpected(r, v, NULL, "an object");
		return;
	}
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		const struct pk_schema_key *k = find_key(s, pk_json_key(m));

		if (!k)
			unknown_key(r, s, m);
		else if (k->form->form == PK_FORM_REFUSED)
			pk_read_error(r, m, true, NULL, "not supported: %s", k->help);
		else
			pk_read_check(r, k->form, m);
	}
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		check_required(r, s, v, k);
	check_either(r, s, v, s->either);
	check_either(r, s, v, s->either2);
}

static void check_labels(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_OBJECT) {
		unexpected(r, v, NULL, "an object of labels");
		return;
	}
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		if (!pk_format_ok(s->format, pk_json_key(m)))
			pk_read_error(r, m, true, s->format->hint(pk_json_key(m)), "expected %s",
				      s->format->expected);
		if (!pk_json_string(m))
			unexpected(r, m, NULL, "a string");
	}
}

void pk_read_check(struct pk_reader *r, const struct pk_schema *s, const struct pk_json *v)
{
	switch (s->form) {
	case PK_FORM_STRING:
		check_string(r, s, v);
		return;
	case PK_FORM_BOOL:
		if (pk_json_type(v) != PK_JSON_BOOL)
			unexpected(r, v, NULL, "true or false");
		return;
	case PK_FORM_INT:
		check_int(r, s, v);
		return;
	case PK_FORM_WORD:
		check_word(r, s, v);
		return;
	case PK_FORM_LIST:
		check_list(r, s, v);
		return;
	case PK_FORM_OBJECT:
		check_object(r, s, v);
		return;
	case PK_FORM_LABELS:
		check_labels(r, s, v);
		return;
	case PK_FORM_REFUSED:
		return;
	}
}
