/* SPDX-License-Identifier: Apache-2.0 */
#include "reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docsource.h"
#include "json.h"
#include "kv_query.h"
#include "own.h"

#define TIMEOUT_MS 3000
#define NODES_MAX  4096
#define TEXT_MAX   (64u << 20)

struct pk_reports {
	struct pk_http_call *call;
	struct pk_kv_query query;
	pk_reports_fn *fn;
	void *arg;
};

static void reports_free(struct pk_reports *r)
{
	pk_kv_query_done(&r->query);
	free(r);
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_reports *r = arg;

	return pk_kv_query_feed(&r->query, bytes, n);
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	struct pk_reports *r = arg;
	struct pk_kvs kvs;
	char why[300];

	pk_kv_query_end(&r->query, reply, &kvs, why, sizeof(why));
	r->fn(r->arg, &kvs);
	pk_kvs_done(&kvs);
	reports_free(r);
}

struct pk_reports *pk_reports_ask(const struct pk_reports_args *args, pk_reports_fn *fn, void *arg)
{
	static const struct pk_kv_budget budget = { NODES_MAX, TEXT_MAX };
	struct pk_service_call call = { .service = args->consul,
					.header = "X-Consul-Token",
					.timeout_ms = TIMEOUT_MS,
					.cap = TEXT_MAX * 2,
					.sink = on_bytes };
	struct pk_reports *r = pk_alloc(sizeof(*r));
	own_str prefix = { 0 }, path = { 0 };

	pk_str_addf(&prefix, "%sstatus/nodes/", args->prefix);
	pk_kv_query_begin(&r->query, prefix.text, &budget, &path);
	pk_str_add(&path, "&stale=true");
	r->fn = fn;
	r->arg = arg;
	call.path = path.text;
	r->call = pk_service_start(args->http, &call, on_answer, r, NULL);
	if (r->call)
		return r;
	reports_free(r);
	return NULL;
}

void pk_reports_cancel(struct pk_reports *r)
{
	if (!r)
		return;
	pk_http_cancel(r->call);
	reports_free(r);
}

static const struct pk_json *operators(const struct pk_json *root, const char *member)
{
	const struct pk_json *list = pk_json_get(root, member);

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v; v = pk_json_next(v)) {
		const char *source = pk_json_string(pk_json_get(v, "source"));

		if (source && strcmp(source, PK_SOURCE_OPERATOR) == 0)
			return v;
	}
	return NULL;
}

static struct pk_json_doc *parsed(const struct pk_kv *kv)
{
	struct pk_json_doc *doc = NULL;

	if (pk_json_parse("report", kv->value, kv->len, PK_JSON_NEWER, &doc, NULL) < 0)
		return NULL;
	return doc;
}

void pk_reports_newest(const struct pk_kvs *kvs, char digest[PK_DIGEST_TEXT])
{
	double newest = -1;

	*digest = '\0';
	for (size_t i = 0; i < kvs->n; i++) {
		own_json *doc = parsed(&kvs->list[i]);
		const struct pk_json *root = doc ? pk_json_root(doc) : NULL;
		const struct pk_json *set = root ? operators(root, "sets") : NULL;
		double index = set ? pk_json_number(pk_json_get(set, "index")) : -1;

		if (index <= newest || pk_json_get(set, "why") || operators(root, "documents"))
			continue;
		newest = index;
		snprintf(digest, PK_DIGEST_TEXT, "%s",
			 pk_json_string(pk_json_get(set, "digest")) ?: "");
	}
}

void pk_reports_of(const struct pk_kvs *kvs, const char *node, const char *newest,
		   struct pk_node_policy *out)
{
	const struct pk_json *set = NULL;
	int64_t index = 0;

	*out = (struct pk_node_policy){ 0 };
	for (size_t i = 0; i < kvs->n && !out->doc; i++) {
		const char *last = strrchr(kvs->list[i].key, '/');

		if (last && strcmp(last + 1, node) == 0)
			out->doc = parsed(&kvs->list[i]);
	}
	if (out->doc)
		set = operators(pk_json_root(out->doc), "sets");
	if (!set || pk_json_int(pk_json_get(set, "index"), 0, INT64_MAX, &index) < 0)
		return;
	out->known = true;
	out->index = (uint64_t)index;
	out->digest = pk_json_string(pk_json_get(set, "digest"));
	out->since = pk_json_string(pk_json_get(set, "since"));
	out->current = out->digest && strcmp(out->digest, newest) == 0;
}
