/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/policies/release: the operator says that what is held is meant to be gone. */
#include <stdlib.h>
#include <sys/queue.h>

#include "api.h"
#include "json.h"
#include "own.h"
#include "parts.h"

struct question {
	LIST_ENTRY(question) link;
	struct pk_exchange *x; /* NULL: whoever asked is gone */
	char *what;
};

static LIST_HEAD(questions, question) all;

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

static void question_free(struct question *q)
{
	LIST_REMOVE(q, link);
	free(q->what);
	free(q);
}

/* What was asked for is done, though nobody hears of it. */
static void on_gone(void *arg)
{
	struct question *q = arg;

	q->x = NULL;
}

static void release(const struct pk_parts *p, struct question *q)
{
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	struct pk_exchange *x;
	bool any;

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "released", '[');
	any = p->release(p->arg, q->what, write_released, &w);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	x = q->x;
	question_free(q);
	if (!x)
		return;
	if (any)
		pk_exchange_reply(x, 200, &json);
	else
		pk_exchange_error(x, 404, "nothing of that is held", "picket policy list");
}

void pk_api_release_looked(const struct pk_parts *p)
{
	while (!LIST_EMPTY(&all))
		release(p, LIST_FIRST(&all));
}

/* The directory is looked at first, in several turns where much of it is new. */
void pk_api_release(const struct pk_parts *p, struct pk_exchange *x)
{
	static const char *const keys[] = { "what", NULL };
	struct question *q;
	const char *what = NULL;
	struct pk_err err = { 0 };
	own_json *doc = NULL;

	if (pk_api_read_body(x, keys, &doc, &err) < 0 || read_what(doc, &what, &err) < 0) {
		pk_exchange_error(x, 400, err.text, err.fix);
		return;
	}
	q = pk_alloc(sizeof(*q));
	*q = (struct question){ .x = x, .what = pk_strdup(what) };
	LIST_INSERT_HEAD(&all, q, link);
	pk_exchange_on_close(x, on_gone, q);
	pk_files_begin(p->files);
}

void pk_api_release_stop(void)
{
	while (!LIST_EMPTY(&all)) {
		struct question *q = LIST_FIRST(&all);
		struct pk_exchange *x = q->x;

		question_free(q);
		if (x)
			pk_exchange_error(
				x, 503, "picketd is ending, or reads another directory from now on",
				"do it again");
	}
}
