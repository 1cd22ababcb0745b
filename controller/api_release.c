/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/policies/release: the operator says that what is held is meant to be gone. */
#include <string.h>

#include "api.h"
#include "json.h"
#include "own.h"
#include "parts.h"

static void write_released(void *arg, const struct pk_doc_entry *e)
{
	struct pk_jw *w = arg;

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", e->source);
	pk_jw_string(w, "name", e->doc ? e->doc->name : NULL);
	pk_jw_string(w, "path", e->path);
	pk_jw_close(w, '}');
}

static int read_what(const struct pk_json_doc *doc, const char **what, struct pk_err *err)
{
	static const char *const keys[] = { "what", NULL };
	const struct pk_json *root = pk_json_root(doc);
	int r;

	if (pk_json_type(root) != PK_JSON_OBJECT)
		return pk_fail(err, 0, "the body is no object");
	r = pk_json_only(doc, root, keys, err);
	if (r == 0)
		r = pk_json_get_string(doc, root, "what", what, err);
	if (r == 0 && (!*what || !**what))
		r = pk_fix(err, pk_fail(err, 0, "\"what\" is needed"),
			   "a source (file, consul) or a document (file/db)");
	return r;
}

void pk_api_release(const struct pk_parts *p, struct pk_exchange *x)
{
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	const char *what = NULL, *body;
	struct pk_err err = { 0 };
	own_json *doc = NULL;
	bool any;
	size_t len;

	body = pk_exchange_body(x, &len);
	if (pk_json_parse("body", body, len, 0, &doc, &err) < 0 ||
	    read_what(doc, &what, &err) < 0) {
		pk_exchange_error(x, 400, err.text, err.fix);
		return;
	}
	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "released", '[');
	any = p->release(p->arg, what, write_released, &w);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	if (any)
		pk_exchange_reply(x, 200, &json);
	else
		pk_exchange_error(x, 404, "nothing of that is held", "picket policy list");
}
