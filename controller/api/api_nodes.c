/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/nodes: the cluster as this node believes it, and the part of that which is in the status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "addr_json.h"
#include "api.h"
#include "api_reasons.h"
#include "own.h"
#include "parts.h"

static const char *state_of(const struct pk_believed_node *n)
{
	if (n->held)
		return "held";
	return n->live ? "live" : "stale";
}

static const char *why_of(const struct pk_believed_node *n)
{
	if (n->held)
		return n->held;
	return n->refused ? n->why : NULL;
}

/* Writes which of the operator's documents the node said that it enforces; NULL: nothing. */
static void write_policy(struct pk_jw *w, const struct pk_node_policy *said)
{
	if (said) {
		pk_jw_string(w, "policy", said->current ? "current" : "lags");
		pk_jw_uint(w, "policyIndex", said->index);
	} else {
		pk_jw_null(w, "policy");
		pk_jw_null(w, "policyIndex");
	}
	pk_jw_string(w, "policyDigest", said && *said->digest ? said->digest : NULL);
	pk_jw_string(w, "policySince", said && *said->since ? said->since : NULL);
}

static const struct pk_probe_tally *tally_of(const struct pk_parts *p, const char *node)
{
	return p->cluster ? pk_probe_of(pk_cluster_probe(p->cluster), node) : NULL;
}

static void write_ms(struct pk_jw *w, const char *key, uint32_t us)
{
	if (us)
		pk_jw_double(w, key, us / 1000.0);
	else
		pk_jw_null(w, key);
}

static void write_reach(struct pk_jw *w, const struct pk_probe_tally *t)
{
	static const struct pk_probe_tally none;
	const struct timespec since = { .tv_sec = t ? t->since : 0 };
	const char *reach = t && t->since ? "up" : NULL;

	pk_jw_string(w, "reach", t && t->silent ? "silent" : reach);
	pk_api_time(w, "reachSince", &since);
	t = t ? t : &none;
	write_ms(w, "roundTripMs", pk_probe_tally_median(t));
	write_ms(w, "lastRoundTripMs", pk_probe_tally_last(t));
	pk_jw_uint(w, "probes", t->n);
	pk_jw_uint(w, "probesLost", pk_probe_tally_lost(t));
}

static void write_node(struct pk_jw *w, struct pk_node_policy *heard,
		       const struct pk_believed_node *n, const struct pk_probe_tally *tally)
{
	const struct timespec since = { .tv_sec = n->since };

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", n->name);
	pk_jw_string(w, "state", state_of(n));
	pk_api_time(w, "since", &since);
	pk_jw_uint(w, "endpoints", n->endpoints);
	pk_prefixes_write(w, "blocks", n->blocks, n->n_blocks);
	pk_addrs_write(w, "addresses", n->word ? n->word->addresses : NULL,
		       n->word ? n->word->n_addresses : 0);
	write_reach(w, tally);
	write_policy(w, pk_node_policy(heard, n->name));
	pk_jw_uint(w, "refused", n->refused);
	pk_jw_string(w, "why", why_of(n));
	pk_jw_close(w, '}');
}

static size_t count_open(const struct pk_model *model)
{
	size_t n = 0;

	for (const struct pk_local_endpoint *ep = pk_model_next(model, NULL); ep;
	     ep = pk_model_next(model, ep))
		n += ep->open;
	return n;
}

static void write_own(const struct pk_parts *p, struct pk_node_policy *heard, struct pk_jw *w)
{
	const char *name = p->cluster ? pk_cluster_node(p->cluster) : p->node;
	const struct pk_settings *s = pk_model_get_settings(p->model);

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", p->node);
	pk_jw_string(w, "state", "this");
	pk_api_time(w, "since", &p->started);
	pk_jw_uint(w, "endpoints", count_open(p->model));
	pk_prefixes_write(w, "blocks", s->pools, s->n_pools);
	pk_addrs_write(w, "addresses", NULL, 0);
	write_reach(w, NULL);
	write_policy(w, pk_node_policy(heard, name));
	pk_jw_uint(w, "refused", 0);
	pk_jw_null(w, "why");
	pk_jw_close(w, '}');
}

/* Returns the index under which Consul told this node of the operator's documents; 0: it didn't. */
static uint64_t heard_of_operators(const struct pk_parts *p)
{
	const char *name;
	const struct pk_source *s = p->consul ? pk_consul_set_at(p->consul, 0, &name) : NULL;

	return s && s->state == PK_SOURCE_OK ? s->index : 0;
}

static void answer(const struct pk_parts *p, struct pk_exchange *x, const struct pk_kvs *kvs)
{
	const char *own = p->cluster ? pk_cluster_node(p->cluster) : p->node;
	PK_OWN(pk_node_policies_free)
	struct pk_node_policy *heard = pk_node_policies(kvs, own, heard_of_operators(p));
	struct pk_believed_node n;
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "nodes", '[');
	write_own(p, heard, &w);
	for (size_t i = 0; p->cluster && pk_believed_node(pk_cluster_believed(p->cluster), i, &n);
	     i++)
		write_node(&w, heard, &n, tally_of(p, n.name));
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

/* A client that asks waits until Consul has said which documents the nodes enforce. */
struct question {
	LIST_ENTRY(question) link;
	const struct pk_parts *parts;
	struct pk_exchange *x;
	struct pk_reports *reports;
};

static LIST_HEAD(questions, question) all;

static void question_free(struct question *q)
{
	LIST_REMOVE(q, link);
	free(q);
}

static void on_gone(void *arg)
{
	struct question *q = arg;

	pk_reports_cancel(q->reports);
	question_free(q);
}

static void on_reports(void *arg, const struct pk_kvs *kvs)
{
	struct question *q = arg;
	const struct pk_parts *p = q->parts;
	struct pk_exchange *x = q->x;

	question_free(q);
	pk_exchange_on_close(x, NULL, NULL);
	answer(p, x, kvs);
}

void pk_api_nodes(const struct pk_parts *p, struct pk_exchange *x)
{
	static const struct pk_kvs none;
	struct question *q = pk_alloc(sizeof(*q));

	*q = (struct question){ .parts = p, .x = x };
	LIST_INSERT_HEAD(&all, q, link);
	q->reports = p->cluster ? pk_cluster_reports(p->cluster, on_reports, q) : NULL;
	if (q->reports) {
		pk_exchange_on_close(x, on_gone, q);
		return;
	}
	question_free(q);
	answer(p, x, &none);
}

void pk_api_nodes_stop(void)
{
	static const struct pk_kvs none;

	while (!LIST_EMPTY(&all)) {
		struct question *q = LIST_FIRST(&all);

		pk_reports_cancel(q->reports);
		on_reports(q, &none);
	}
}

void pk_api_cluster(const struct pk_parts *p, struct pk_jw *w)
{
	size_t nodes = 0, stale = 0, silent = 0, endpoints = 0;
	uint32_t slowest = 0;
	struct pk_believed_node n;

	if (!p->cluster) {
		pk_jw_null(w, "others");
		return;
	}
	for (; pk_believed_node(pk_cluster_believed(p->cluster), nodes, &n); nodes++) {
		const struct pk_probe_tally *t = tally_of(p, n.name);
		const uint32_t us = t ? pk_probe_tally_median(t) : 0;

		stale += !n.live;
		endpoints += n.endpoints;
		silent += t && t->silent;
		slowest = us > slowest ? us : slowest;
	}
	pk_jw_open(w, "others", '{');
	pk_jw_uint(w, "nodes", nodes);
	pk_jw_uint(w, "stale", stale);
	pk_jw_uint(w, "silent", silent);
	write_ms(w, "slowestMs", slowest);
	pk_jw_uint(w, "endpoints", endpoints);
	pk_jw_uint(w, "refused", pk_believed_refused(pk_cluster_believed(p->cluster)));
	pk_jw_uint(w, "tenants", pk_cluster_tenants(p->cluster));
	pk_jw_close(w, '}');
}

static void node_reason(struct pk_reasons *r, const struct pk_believed_node *n)
{
	own_str text = { 0 };

	if (n->held) {
		pk_str_addf(&text, "what node %.64s said stays, stale, though %.150s", n->name,
			    n->held);
		pk_api_reason(r, false, "cluster", text.text,
			      "bring its keys back; where it is meant so: picket policy release "
			      "consul");
		return;
	}
	pk_str_addf(&text, "%zu of node %.64s's words %s not believed: %.200s", n->refused, n->name,
		    n->refused == 1 ? "is" : "are", n->why);
	pk_api_reason(r, false, "cluster", text.text,
		      "each node's pools are its own, within \"blocks\": { \"range\" } of every "
		      "node's picketd.json, and its name is Nomad's; one that is gone: picket node "
		      "remove NAME");
}

/*
 * One that lives, as Consul has it, and doesn't answer is a fault between the two. A stale one is
 * merely down, which is no fault of this node's.
 */
static void silent_reason(const struct pk_parts *p, struct pk_reasons *r,
			  const struct pk_believed_node *n)
{
	const struct pk_probe_tally *t = tally_of(p, n->name);
	struct timespec since = { 0 };
	own_str text = { 0 };
	char time[32];

	if (!t || !t->silent || !n->live)
		return;
	since.tv_sec = t->since;
	pk_time_text(&since, time);
	pk_str_addf(&text, "node %.64s lives and doesn't answer this one since %s", n->name, time);
	pk_api_reason(
		r, false, "cluster", text.text,
		"see the way between the two: its addresses are in picket node list -o wide, and "
		"its firewall must refuse UDP to port 33434 in its own name (reject, of whatever "
		"kind), not drop it");
}

/* Says which claims can't be read: their blocks may be anybody's, so nobody takes them. */
static void claims_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	const char *key, *why;
	size_t n = pk_believed_unread_claims(pk_cluster_believed(p->cluster), &key, &why);
	own_str text = { 0 };

	if (!n)
		return;
	pk_str_addf(&text, "%zu claim%s can't be read: no node takes %s; the first, key %s: %.200s",
		    n, n == 1 ? "" : "s", n == 1 ? "its block" : "their blocks", key, why);
	pk_api_reason(r, false, "cluster", text.text,
		      "install the release that wrote it on this node, too; where no node has that "
		      "block, delete the key");
}

/* Writes what the blocks of this node's own lack, and which of them are another's. */
static void blocks_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	const struct pk_blocks *blocks = pk_cluster_blocks(p->cluster);
	const struct pk_err *err = blocks ? pk_blocks_error(blocks) : NULL;
	struct pk_err stray = { 0 };

	if (err && *err->text)
		pk_api_reason(r, false, "cluster", err->text, err->fix);
	if (blocks)
		claims_reason(p, r);
	if (blocks && pk_blocks_strays(blocks, pk_cluster_believed(p->cluster), &stray))
		pk_api_reason(r, false, "cluster", stray.text, stray.fix);
}

static void full_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	char text[200];

	snprintf(text, sizeof(text), PK_CLUSTER_FULL, PK_CLUSTER_TENANTS);
	if (pk_cluster_is_full(p->cluster))
		pk_api_reason(r, false, "cluster", text,
			      "spread the tenants over more nodes, or have policies name fewer of "
			      "them");
}

/* Says that a word on which nodes live isn't taken; its keys may be heard all the same. */
static void life_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	const struct pk_source *s = pk_cluster_who_lives(p->cluster);
	own_str text = { 0 };

	if (!s || !s->failures)
		return;
	pk_str_addf(&text,
		    "Nomad's word on which nodes are ready isn't taken (%s): each counts as it did",
		    s->last_error);
	pk_api_reason(
		r, false, "cluster", text.text,
		"see that \"nomad\" in picketd.json names this node's own cluster, that Nomad "
		"lists this node, and that picketd's token may read nodes");
}

void pk_api_cluster_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	bool wanted = strcmp(p->config->fabric, PK_FABRIC_NONE) != 0;
	struct pk_believed_node n;
	const struct pk_err *err;

	if (wanted && !p->cluster)
		pk_api_reason(r, false, "cluster",
			      "\"fabric\" says that there are other nodes, and no Consul is "
			      "configured: none is known",
			      "say \"consul\", or \"fabric\": \"none\"");
	if (!p->cluster)
		return;
	if (!p->config->range[0].len)
		pk_api_reason(r, false, "cluster",
			      "\"fabric\" says that there are other nodes, and not where their "
			      "blocks may lie: none is believed",
			      "\"blocks\": { \"range\": [\"10.64.0.0/12\"] }");
	blocks_reasons(p, r);
	full_reason(p, r);
	life_reason(p, r);
	err = pk_cluster_fabric_error(p->cluster);
	if (*err->text)
		pk_api_reason(r, false, "cluster", err->text, err->fix);
	for (size_t i = 0; pk_believed_node(pk_cluster_believed(p->cluster), i, &n); i++) {
		if (n.held || n.refused)
			node_reason(r, &n);
		silent_reason(p, r, &n);
	}
}
