/* SPDX-License-Identifier: Apache-2.0 */
/* A struct and the JSON text of it, by their table. */
#include <errno.h>
#include <string.h>

#include "own.h"
#include "schema.h"

struct first_refusal {
	struct pk_schema_sink sink;
	struct pk_err *err;
	bool said;
};

static void keep_first(struct pk_schema_sink *to, const struct pk_json *v, bool key,
		       const char *fix, const char *what)
{
	struct first_refusal *first = (struct first_refusal *)to;
	int r;

	if (first->said)
		return;
	first->said = true;
	r = pk_json_fail(first->err, to->doc, v, key, "%s", what);
	if (fix)
		pk_fix(first->err, r, "%s", fix);
}

int pk_schema_take(const struct pk_schema *s, const struct pk_json_doc *doc,
		   const struct pk_json *v, void *at, struct pk_err *err)
{
	int r = 0;

	if (s->kept)
		return s->kept->read(s, doc, v, at, err);
	if (s->form == PK_FORM_EITHER)
		return pk_schema_take(pk_schema_alternative(s, v), doc, v, at, err);
	if (s->form != PK_FORM_OBJECT || !s->keys || pk_json_type(v) != PK_JSON_OBJECT)
		return 0;
	for (const struct pk_json *m = pk_json_first(v); m && r == 0; m = pk_json_next(m)) {
		const struct pk_schema_key *k = pk_schema_find(s, pk_json_key(m));

		if (k)
			r = pk_schema_take(k->form, doc, m, (char *)at + k->at, err);
	}
	return r;
}

int pk_schema_read(const struct pk_schema *s, const struct pk_json_doc *doc,
		   const struct pk_json *v, void *into, struct pk_err *err)
{
	struct first_refusal first = { { doc, keep_first }, err, false };

	pk_schema_check(&first.sink, s, v);
	return first.said ? -EINVAL : pk_schema_take(s, doc, v, into, err);
}

int pk_schema_read_member(const struct pk_schema *s, const struct pk_json_doc *doc,
			  const struct pk_json *m, void *into, struct pk_err *err)
{
	const struct pk_schema_key *k = pk_schema_find(s, pk_json_key(m));
	struct first_refusal first = { { doc, keep_first }, err, false };

	pk_schema_check_member(&first.sink, s, m);
	if (first.said)
		return -EINVAL;
	return k ? pk_schema_take(k->form, doc, m, (char *)into + k->at, err) : 0;
}

void pk_schema_write_member(const struct pk_schema_key *k, struct pk_jw *w, const char *key,
			    const void *from)
{
	const void *at = (const char *)from + k->at;
	const struct pk_schema *s = k->form;

	while (s->form == PK_FORM_EITHER && !s->kept)
		s = s->other;
	if (s->kept && s->kept->write) {
		s->kept->write(s, w, key, at);
	} else if (s->form == PK_FORM_OBJECT) {
		pk_jw_open(w, key, '{');
		for (const struct pk_schema_key *m = s->keys; m->name; m++)
			pk_schema_write_member(m, w, m->name, at);
		pk_jw_close(w, '}');
	}
}
