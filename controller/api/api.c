/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"
#include "api_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"
#include "log.h"
#include "own.h"
#include "scrape.h"

#define FLOWS_LAST 20

void pk_api_time(struct pk_jw *w, const char *key, const struct timespec *ts)
{
	char text[32];

	if (ts->tv_sec == 0) {
		pk_jw_null(w, key);
		return;
	}
	pk_time_text(ts, text);
	pk_jw_string(w, key, text);
}

void pk_api_labels(struct pk_jw *w, const struct pk_world_endpoint *ep)
{
	pk_flow_labels(w, ep);
	pk_jw_open(w, "unknown", '[');
	for (size_t i = 0; ep && i < ep->labels->n_unknown; i++)
		pk_jw_string(w, NULL, ep->labels->unknown[i]);
	pk_jw_close(w, ']');
}

int pk_api_read_body(struct pk_exchange *x, const char *const keys[], struct pk_json_doc **doc,
		     struct pk_err *err)
{
	size_t len;
	const char *body = pk_exchange_body(x, &len);

	if (pk_json_parse("body", body, len, 0, doc, err) < 0)
		return -EINVAL;
	if (pk_json_type(pk_json_root(*doc)) != PK_JSON_OBJECT)
		return pk_fail(err, 0, "the body is no object");
	return pk_json_only(*doc, pk_json_root(*doc), keys, err);
}

void pk_api_flows(const struct pk_parts *p, struct pk_exchange *x)
{
	const char *last = pk_exchange_query(x, "last");
	const char *follow = pk_exchange_query(x, "follow");
	uint64_t n = FLOWS_LAST;

	if (last && pk_parse_u64(last, UINT32_MAX, &n) < 0) {
		pk_exchange_error(x, 400, "last is no number", "?last=20");
		return;
	}
	pk_events_serve(p->events, x, (unsigned int)n, follow && strcmp(follow, "0") != 0);
}

static void reload(const struct pk_parts *p, struct pk_exchange *x)
{
	struct pk_err err = { 0 };
	own_str json = { 0 };

	if (p->reload(p->arg, &err) < 0) {
		pk_exchange_error(x, 400, err.text, err.fix);
		return;
	}
	pk_str_add(&json, "{}");
	pk_exchange_reply(x, 200, &json);
}

static void config(const struct pk_parts *p, struct pk_exchange *x)
{
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "config", '{');
	pk_config_write(p->config, &w);
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

static void metrics(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_scrape_serve(p->scrape, x);
}

typedef void verb_fn(const struct pk_parts *p, struct pk_exchange *x);

static const struct verb {
	const char *method, *path;
	verb_fn *fn;
} verbs[] = {
	{ "GET", "/metrics", metrics },
	{ "GET", "/v1/health", pk_api_health },
	{ "GET", "/v1/status", pk_api_status },
	{ "GET", "/v1/endpoints", pk_api_endpoints },
	{ "POST", "/v1/endpoints", pk_api_confirm },
	{ "GET", "/v1/policies", pk_api_policies },
	{ "GET", "/v1/world", pk_api_world },
	{ "GET", "/v1/rules", pk_api_rules },
	{ "GET", "/v1/identities", pk_api_identities },
	{ "GET", "/v1/nodes", pk_api_nodes },
	{ "GET", "/v1/services", pk_api_services },
	{ "GET", "/v1/counters", pk_api_counters },
	{ "GET", "/v1/flows", pk_api_flows },
	{ "GET", "/v1/nomad", pk_api_nomad },
	{ "GET", "/v1/config", config },
	{ "POST", "/v1/policies/release", pk_api_release },
	{ "POST", "/v1/nodes/remove", pk_api_node_remove },
	{ "POST", "/v1/reload", reload },
};

static const struct {
	const char *prefix;
	void (*fn)(const struct pk_parts *p, struct pk_exchange *x, const char *id);
} things[] = {
	{ "/v1/endpoints/", pk_api_endpoint },
	{ "/v1/policies/", pk_api_policy },
};

/* Answers GET /v1/NOUN/ID. */
static bool serve_thing(const struct pk_parts *p, struct pk_exchange *x)
{
	const char *path = pk_exchange_path(x);

	for (size_t i = 0; i < PK_ARRAY_LEN(things); i++) {
		size_t n = strlen(things[i].prefix);

		if (strncmp(path, things[i].prefix, n) != 0 || !path[n])
			continue;
		if (strcmp(pk_exchange_method(x), "GET") != 0)
			pk_exchange_error(x, 405, "only GET works here", NULL);
		else
			things[i].fn(p, x, path + n);
		return true;
	}
	return false;
}

void pk_api_serve(void *arg, struct pk_exchange *x)
{
	const char *method = pk_exchange_method(x), *path = pk_exchange_path(x);
	bool known = false;

	for (size_t i = 0; i < PK_ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].path, path) != 0)
			continue;
		known = true;
		if (strcmp(verbs[i].method, method) != 0)
			continue;
		if (strcmp(method, "GET") != 0 && !pk_exchange_admin(x))
			pk_exchange_error(x, 403, "only root may change anything",
					  "run it as root");
		else
			verbs[i].fn(arg, x);
		return;
	}
	if (known)
		pk_exchange_error(x, 405, "that method does not work here", NULL);
	else if (!serve_thing(arg, x))
		pk_exchange_error(x, 404, "no such path", "docs/api.md lists them");
}

void pk_api_serve_network(void *arg, struct pk_exchange *x)
{
	static const char *const open[] = { "/metrics", "/v1/health" };

	for (size_t i = 0; i < PK_ARRAY_LEN(open); i++)
		if (strcmp(open[i], pk_exchange_path(x)) == 0) {
			pk_api_serve(arg, x);
			return;
		}
	pk_exchange_error(x, 404, "no such path here",
			  "only /metrics and /v1/health are; picketd's socket has the rest");
}

void pk_api_store_ends(void)
{
	pk_api_node_remove_stop();
	pk_api_nodes_stop();
}

void pk_api_stop(void)
{
	pk_answers_stop();
	pk_api_confirm_stop();
	pk_api_nomad_stop();
	pk_api_store_ends();
}
