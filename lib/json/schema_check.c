/* SPDX-License-Identifier: Apache-2.0 */
/* A value's form against its table. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "schema.h"
#include "str.h"

#define KEYS_MAX  63 /* keys of one object at most */
#define FOUND_MAX 60 /* characters of a string that an error repeats */

bool pk_format_ok(const struct pk_format *format, const char *text)
{
	if (!format || (!format->words && !format->fits))
		return true;
	if (format->fits)
		return format->fits(text);
	for (const char *const *word = format->words; *word; word++)
		if (strcmp(*word, text) == 0)
			return true;
	return false;
}

__attribute__((format(printf, 5, 6))) static void say(struct pk_schema_sink *to,
						      const struct pk_json *v, bool key,
						      const char *fix, const char *fmt, ...)
{
	own_mem char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	to->say(to, v, key, fix, what);
}

/* Writes "found a number" or "found "x"". */
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

static void unexpected(struct pk_schema_sink *to, const struct pk_json *v, const char *fix,
		       const char *expected)
{
	own_str found = { 0 };

	describe(v, &found);
	say(to, v, false, fix, "%s, expected %s", found.text, expected);
}

static void check_string(struct pk_schema_sink *to, const struct pk_schema *s,
			 const struct pk_json *v)
{
	const struct pk_format *f = s->format;
	const char *text = pk_json_string(v), *fix, *near;
	char hint[128];

	if (!text) {
		unexpected(to, v, NULL, f ? f->expected : "a string");
		return;
	}
	if (s->not_empty && !*text) {
		say(to, v, false, "remove the key, or give it a value", "an empty string");
		return;
	}
	if (s->room && strlen(text) >= s->room) {
		say(to, v, false, NULL, "longer than %zu bytes", s->room - 1);
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
	if (f->hidden)
		say(to, v, false, fix, "expected %s", f->expected);
	else
		unexpected(to, v, fix, f->expected);
}

/* Writes what to write in the place of v, which is no number of the form's range. */
static void range_fix(const struct pk_schema *s, const struct pk_json *v, char fix[120])
{
	const char *text = pk_json_string(v);
	uint64_t number;

	if (text && s->hi > 0 && pk_parse_u64(text, (uint64_t)s->hi, &number) == 0 &&
	    (int64_t)number >= s->lo)
		snprintf(fix, 120, "write %.20s, without quotes", text);
	else if (s->usual && strcmp(s->usual, "null") != 0)
		snprintf(fix, 120, "write one from %lld to %lld, or leave the key out: it is %.20s",
			 (long long)s->lo, (long long)s->hi, s->usual);
	else
		snprintf(fix, 120, "write one from %lld to %lld", (long long)s->lo,
			 (long long)s->hi);
}

static void check_int(struct pk_schema_sink *to, const struct pk_schema *s, const struct pk_json *v)
{
	char expected[80], fix[120];
	int64_t n;

	if (pk_json_int(v, s->lo, s->hi, &n) == 0)
		return;
	snprintf(expected, sizeof(expected), "a whole number of %lld..%lld", (long long)s->lo,
		 (long long)s->hi);
	range_fix(s, v, fix);
	unexpected(to, v, fix, expected);
}

/* Returns the fix for a text in the place of true or false. */
static const char *bool_fix(const char *text)
{
	if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		return "write it without quotes";
	return "write true or false";
}

static void check_word(struct pk_schema_sink *to, const struct pk_schema *s,
		       const struct pk_json *v)
{
	char fix[120];
	int64_t n;

	if (pk_json_type(v) != PK_JSON_NUMBER) {
		check_string(to, s, v);
	} else if (pk_json_int(v, s->lo, s->hi, &n) < 0) {
		range_fix(s, v, fix);
		unexpected(to, v, fix, s->format->expected);
	}
}

static void check_list(struct pk_schema_sink *to, const struct pk_schema *s,
		       const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_ARRAY) {
		unexpected(to, v, "put it in [ ]", "an array");
		return;
	}
	if (s->not_empty && !pk_json_first(v))
		say(to, v, false, "remove the key, or fill the list", "an empty list");
	if (s->most && pk_json_count(v) > s->most) {
		say(to, v, false, NULL, "%zu elements, expected %zu at most", pk_json_count(v),
		    s->most);
		return;
	}
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		pk_schema_check(to, s->item, e);
}

const struct pk_schema_key *pk_schema_find(const struct pk_schema *s, const char *name)
{
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

/*
 * Returns the known key that was meant by an unknown one, or NULL. names: room for all keys and
 * NULL.
 */
static const char *meant_key(const struct pk_schema *s, const char *name, const char **names)
{
	const char *near = s->meant ? s->meant(s, name) : NULL;
	size_t n = 0;

	for (const struct pk_schema_key *k = s->keys; k->name && n < KEYS_MAX; k++)
		if (k->form->form != PK_FORM_REFUSED)
			names[n++] = k->name;
	names[n] = NULL;
	return near ? near : pk_nearest(name, names);
}

static void unknown_key(struct pk_schema_sink *to, const struct pk_schema *s,
			const struct pk_json *m)
{
	const char *names[KEYS_MAX + 1];
	const char *near;
	char fix[200];

	if (pk_json_newer(to->doc) || (s->foreign && strpbrk(pk_json_key(m), s->foreign)))
		return;
	near = meant_key(s, pk_json_key(m), names);
	if (!near && s->belongs && pk_schema_find(s->belongs->to, pk_json_key(m))) {
		say(to, m, true, s->belongs->fix, "unknown key: %s", s->belongs->what);
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
	say(to, m, true, fix, "unknown key");
}

/*
 * Refuses a value without a required key, unless another one stands for that: one error is enough.
 */
static void check_required(struct pk_schema_sink *to, const struct pk_schema *s,
			   const struct pk_json *v, const struct pk_schema_key *k)
{
	const char *names[KEYS_MAX + 1], *near;

	if (!k->required || pk_json_get(v, k->name))
		return;
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		const struct pk_schema_key *known = pk_schema_find(s, pk_json_key(m));

		if (known && known->form->form == PK_FORM_REFUSED)
			return;
		near = known ? NULL : meant_key(s, pk_json_key(m), names);
		if (near && strcmp(near, k->name) == 0)
			return;
	}
	say(to, v, false, NULL, "\"%s\" is missing%s%s", k->name, k->help ? ": " : "",
	    k->help ?: "");
}

static void check_either(struct pk_schema_sink *to, const struct pk_schema *s,
			 const struct pk_json *v, const char *const *either)
{
	const char *first = NULL;

	for (const struct pk_json *m = pk_json_first(v); either && m; m = pk_json_next(m))
		for (const char *const *name = either; *name; name++) {
			if (strcmp(*name, pk_json_key(m)) != 0)
				continue;
			if (first)
				say(to, m, true, s->too_many, "beside \"%s\": one of them only",
				    first);
			else
				first = *name;
		}
}

static void refuse(struct pk_schema_sink *to, const struct pk_schema_key *k,
		   const struct pk_json *m)
{
	const struct pk_schema *s = k->form;

	if (s->null_ok && pk_json_type(m) == PK_JSON_NULL)
		return;
	if (s->why)
		say(to, m, true, s->fix, "%s", s->why);
	else
		say(to, m, true, NULL, "not supported: %s", k->help);
}

void pk_schema_check_member(struct pk_schema_sink *to, const struct pk_schema *s,
			    const struct pk_json *m)
{
	const struct pk_schema_key *k = pk_schema_find(s, pk_json_key(m));

	if (!k)
		unknown_key(to, s, m);
	else if (k->form->form == PK_FORM_REFUSED)
		refuse(to, k, m);
	else
		pk_schema_check(to, k->form, m);
}

static void check_object(struct pk_schema_sink *to, const struct pk_schema *s,
			 const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_OBJECT) {
		unexpected(to, v, NULL, "an object");
		return;
	}
	if (!s->keys)
		return;
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		pk_schema_check_member(to, s, m);
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		check_required(to, s, v, k);
	check_either(to, s, v, s->either);
	check_either(to, s, v, s->either2);
}

static void check_labels(struct pk_schema_sink *to, const struct pk_schema *s,
			 const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_OBJECT) {
		unexpected(to, v, NULL, "an object of labels");
		return;
	}
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		if (!pk_format_ok(s->format, pk_json_key(m)))
			say(to, m, true, s->format->hint(pk_json_key(m)), "expected %s",
			    s->format->expected);
		if (!pk_json_string(m))
			unexpected(to, m, NULL, "a string");
	}
}

/* Returns the JSON types that a form takes, a bit each. */
static unsigned int types_of(const struct pk_schema *s)
{
	switch (s->form) {
	case PK_FORM_STRING:
		return 1 << PK_JSON_STRING;
	case PK_FORM_BOOL:
		return 1 << PK_JSON_BOOL;
	case PK_FORM_INT:
		return 1 << PK_JSON_NUMBER;
	case PK_FORM_WORD:
		return 1 << PK_JSON_STRING | 1 << PK_JSON_NUMBER;
	case PK_FORM_LIST:
		return 1 << PK_JSON_ARRAY;
	case PK_FORM_OBJECT:
	case PK_FORM_LABELS:
		return 1 << PK_JSON_OBJECT;
	case PK_FORM_EITHER:
		return types_of(s->item) | types_of(s->other);
	case PK_FORM_REFUSED:
	case PK_FORM_ANY:
		break;
	}
	return ~0u;
}

static void expected_of(const struct pk_schema *s, char out[200])
{
	static const char *const names[] = {
		[PK_FORM_STRING] = "a string",
		[PK_FORM_BOOL] = "true or false",
		[PK_FORM_INT] = "a whole number",
		[PK_FORM_WORD] = "a string or a whole number",
		[PK_FORM_LIST] = "an array",
		[PK_FORM_OBJECT] = "an object",
		[PK_FORM_LABELS] = "an object of labels",
		[PK_FORM_REFUSED] = "nothing",
		[PK_FORM_ANY] = "anything",
	};

	if (s->form == PK_FORM_EITHER) {
		char first[200], second[200];

		expected_of(s->item, first);
		expected_of(s->other, second);
		snprintf(out, 200, "%.90s or %.90s", first, second);
	} else {
		snprintf(out, 200, "%s", s->format ? s->format->expected : names[s->form]);
	}
}

const struct pk_schema *pk_schema_alternative(const struct pk_schema *s, const struct pk_json *v)
{
	return types_of(s->item) & 1u << pk_json_type(v) ? s->item : s->other;
}

static void check_one_of(struct pk_schema_sink *to, const struct pk_schema *s,
			 const struct pk_json *v)
{
	char expected[200];

	if (types_of(s) & 1u << pk_json_type(v)) {
		pk_schema_check(to, pk_schema_alternative(s, v), v);
		return;
	}
	expected_of(s, expected);
	unexpected(to, v, NULL, expected);
}

void pk_schema_check(struct pk_schema_sink *to, const struct pk_schema *s, const struct pk_json *v)
{
	if (s->null_ok && pk_json_type(v) == PK_JSON_NULL)
		return;
	switch (s->form) {
	case PK_FORM_STRING:
		check_string(to, s, v);
		return;
	case PK_FORM_BOOL:
		if (pk_json_type(v) != PK_JSON_BOOL)
			unexpected(to, v, bool_fix(pk_json_string(v)), "true or false");
		return;
	case PK_FORM_INT:
		check_int(to, s, v);
		return;
	case PK_FORM_WORD:
		check_word(to, s, v);
		return;
	case PK_FORM_LIST:
		check_list(to, s, v);
		return;
	case PK_FORM_OBJECT:
		check_object(to, s, v);
		return;
	case PK_FORM_LABELS:
		check_labels(to, s, v);
		return;
	case PK_FORM_EITHER:
		check_one_of(to, s, v);
		return;
	case PK_FORM_REFUSED:
	case PK_FORM_ANY:
		return;
	}
}
