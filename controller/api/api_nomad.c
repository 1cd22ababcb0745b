/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/nomad: what Nomad has noted of this node's networks and CNI plugins. Only picketd has the
 * certificates and the token to ask; `picket check` shows it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api.h"
#include "json.h"
#include "own.h"
#include "parts.h"
#include "service.h"

#define TIMEOUT_MS 3000

struct question {
	LIST_ENTRY(question) link;
	struct pk_exchange *x;
	struct pk_http_call *call;
};

static LIST_HEAD(questions, question) all;

static void question_free(struct question *q)
{
	LIST_REMOVE(q, link);
	pk_http_cancel(q->call);
	free(q);
}

static void on_gone(void *arg)
{
	question_free(arg);
}

static bool is_told(const char *attribute)
{
	static const char plugins[] = "plugins.cni.version.";

	return strcmp(attribute, "nomad.version") == 0 ||
	       strncmp(attribute, plugins, strlen(plugins)) == 0;
}

/* Writes the record in Nomad's own shape, without what the socket's readers may not see. */
static void write_record(const struct pk_json *record, struct pk_jw *w)
{
	const struct pk_json *attributes = pk_json_get(record, "Attributes");
	const struct pk_json *resources = pk_json_get(record, "NodeResources");
	const struct pk_json *networks = resources ? pk_json_get(resources, "Networks") : NULL;

	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, "NodeResources", '{');
	pk_jw_open(w, "Networks", '[');
	for (const struct pk_json *n = networks ? pk_json_first(networks) : NULL; n;
	     n = pk_json_next(n)) {
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "Mode", pk_json_string(pk_json_get(n, "Mode")));
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	pk_jw_open(w, "Attributes", '{');
	for (const struct pk_json *a = attributes ? pk_json_first(attributes) : NULL; a;
	     a = pk_json_next(a))
		if (is_told(pk_json_key(a)))
			pk_jw_string(w, pk_json_key(a), pk_json_string(a));
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

static void on_record(void *arg, const struct pk_http_reply *reply)
{
	struct question *q = arg;
	struct pk_exchange *x = q->x;
	struct pk_err err = { 0 };
	own_json *record = NULL;
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	char why[300];

	q->call = NULL;
	question_free(q);
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		pk_exchange_error(x, 503, why, "picket status says more");
		return;
	}
	if (pk_json_parse("Nomad's node", reply->body, reply->len, PK_JSON_RELAXED, &record, &err) <
	    0) {
		pk_exchange_error(x, 503, err.text, err.fix);
		return;
	}
	write_record(pk_json_root(record), &w);
	pk_exchange_reply(x, 200, &json);
}

void pk_api_nomad(const struct pk_parts *p, struct pk_exchange *x)
{
	struct question *q;

	if (!p->nomad) {
		pk_exchange_error(x, 404, "none on this node (\"nomad\": null)", NULL);
		return;
	}
	q = pk_alloc(sizeof(*q));
	*q = (struct question){ .x = x };
	LIST_INSERT_HEAD(&all, q, link);
	q->call = pk_nomad_ask_node(p->nomad, TIMEOUT_MS, on_record, q);
	if (q->call) {
		pk_exchange_on_close(x, on_gone, q);
		return;
	}
	question_free(q);
	pk_exchange_error(x, 503, "Nomad has not said which node this is",
			  "picket status says more");
}

void pk_api_nomad_stop(void)
{
	while (!LIST_EMPTY(&all)) {
		struct question *q = LIST_FIRST(&all);
		struct pk_exchange *x = q->x;

		question_free(q);
		pk_exchange_error(x, 503, "picketd is ending", NULL);
	}
}
