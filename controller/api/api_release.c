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
	int r = pk_json_get_string(doc, pk_json_root(doc), "what", what, err);

	if (r == 0 && (!*what || !**what))
		r = pk_fix(err, pk_fail(err, 0, "\"what\" is needed"),
			   "a source (file, consul) or a document (file/db)");
	return r;
}

void pk_api_release(const struct pk_parts *p, struct pk_exchange *x)
{
	static const char *const keys[] = { "what", NULL };
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	const char *what = NULL;
	struct pk_err err = { 0 };
	own_json *doc = NULL;
	bool any;

	if (pk_api_read_body(x, keys, &doc, &err) < 0 || read_what(doc, &what, &err) < 0) {
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
