/* SPDX-License-Identifier: Apache-2.0 */
/* Members by name and type, with errors that say where. */
#include <string.h>

#include "json_private.h"
#include "own.h"

static bool is_in(const char *word, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(word, *names) == 0)
			return true;
	return false;
}

static int expect_object(const struct pk_json_doc *doc, const struct pk_json *v, struct pk_err *err)
{
	if (pk_json_type(v) == PK_JSON_OBJECT)
		return 0;
	return pk_json_fail(err, doc, v, false, "found %s, expected an object",
			    pk_json_type_name(pk_json_type(v)));
}

int pk_json_only(const struct pk_json_doc *doc, const struct pk_json *object,
		 const char *const *names, struct pk_err *err)
{
	int r = expect_object(doc, object, err);

	if (r < 0 || pk_json_newer(doc))
		return r;
	for (const struct pk_json *m = pk_json_first(object); m; m = pk_json_next(m)) {
		own_str known = { 0 };
		const char *near;

		if (is_in(pk_json_key(m), names))
			continue;
		r = pk_json_fail(err, doc, m, true, "unknown key");
		near = pk_nearest(pk_json_key(m), names);
		if (near)
			return pk_fix(err, r, "did you mean \"%s\"?", near);
		for (size_t i = 0; names[i]; i++)
			pk_str_addf(&known, "%s%s", i ? ", " : "", names[i]);
		return pk_fix(err, r, "use one of: %s", known.text ? known.text : "(none)");
	}
	return 0;
}

/* Returns the member, or NULL where it is absent: in other programs' output null says the same. */
static const struct pk_json *given(const struct pk_json_doc *doc, const struct pk_json *object,
				   const char *key)
{
	const struct pk_json *v = pk_json_get(object, key);

	if (v && pk_json_relaxed(doc) && pk_json_type(v) == PK_JSON_NULL)
		return NULL;
	return v;
}

static int expect(const struct pk_json_doc *doc, const struct pk_json *v, enum pk_json_type type,
		  struct pk_err *err)
{
	if (pk_json_type(v) == type)
		return 0;
	return pk_json_fail(err, doc, v, false, "found %s, expected %s",
			    pk_json_type_name(pk_json_type(v)), pk_json_type_name(type));
}

int pk_json_get_string(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		       const char **out, struct pk_err *err)
{
	const struct pk_json *v = given(doc, object, key);
	int r = v ? expect(doc, v, PK_JSON_STRING, err) : 0;

	if (v && r == 0)
		*out = pk_json_string(v);
	return r;
}

int pk_json_get_bool(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		     bool *out, struct pk_err *err)
{
	const struct pk_json *v = given(doc, object, key);
	int r = v ? expect(doc, v, PK_JSON_BOOL, err) : 0;

	if (v && r == 0)
		*out = pk_json_true(v);
	return r;
}

int pk_json_get_int(const struct pk_json_doc *doc, const struct pk_json *object, const char *key,
		    struct pk_json_range range, int64_t *out, struct pk_err *err)
{
	const struct pk_json *v = given(doc, object, key);
	int r = v ? expect(doc, v, PK_JSON_NUMBER, err) : 0;

	if (!v || r < 0)
		return r;
	if (pk_json_int(v, range.lo, range.hi, out) == 0)
		return 0;
	return pk_json_fail(err, doc, v, false,
			    "found %.17g, expected a whole number of %lld..%lld", pk_json_number(v),
			    (long long)range.lo, (long long)range.hi);
}
