/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs.h"
#include "out.h"
#include "own.h"

#define REPORTS "status/nodes/"
#define NODES	"nodes/"
#define VERSION 1

/* One node's word on its documents. */
struct report {
	const struct pk_kv *kv;
	struct pk_json_doc *doc;   /* NULL: it can't be read */
	const struct pk_json *set; /* its set of the source that is looked at; NULL: it has none */
};

/* One look's findings. */
struct looking {
	const struct cli_consul_docs *docs;
	char digest[PK_DIGEST_TEXT]; /* the digest of what stands in Consul, and its index */
	uint64_t index;
	struct pk_kvs reports, nodes;
	struct report *list; /* one for each of reports */
	const char *first;   /* when the first node had it in force; NULL: none has */
	size_t current, lagging, stale;
};

static void looking_done(struct looking *l)
{
	for (size_t i = 0; l->list && i < l->reports.n; i++)
		pk_json_free(l->list[i].doc);
	free(l->list);
	pk_kvs_done(&l->reports);
	pk_kvs_done(&l->nodes);
}

void cli_rollout_done(struct cli_rollout *rollout)
{
	pk_json_free(rollout->json);
}

static const char *node_of(const struct pk_kv *kv)
{
	return strrchr(kv->key, '/') + 1;
}

/* Computes the digest that a node has that enforces exactly this (controller/sources/report.c). */
static void digest_of(const struct cli_consul_docs *docs, char to[PK_DIGEST_TEXT])
{
	uint64_t set[2] = { 0 }, text[2];

	for (size_t i = 0; i < docs->n; i++) {
		const struct pk_kv *kv = docs->list[i].kv;
		own_str path = { 0 };

		pk_str_addf(&path, "%s:%s", docs->consul.origin, kv->key);
		pk_hash128(kv->value, kv->len, text);
		pk_set_digest(set, path.text, text);
	}
	pk_hash_hex(set, to, PK_DIGEST_TEXT);
}

static const struct pk_json *set_of(const struct pk_json *root, const char *source)
{
	const struct pk_json *sets = pk_json_get(root, "sets");

	for (const struct pk_json *v = sets ? pk_json_first(sets) : NULL; v; v = pk_json_next(v))
		if (strcmp(cli_text(v, "source"), source) == 0)
			return v;
	return NULL;
}

static void read_report(const struct looking *l, const struct pk_kv *kv, struct report *r)
{
	int64_t version = 0;

	r->kv = kv;
	if (pk_json_parse("report", kv->value, kv->len, PK_JSON_NEWER, &r->doc, NULL) < 0)
		return;
	if (pk_json_int(pk_json_get(pk_json_root(r->doc), "version"), VERSION, VERSION, &version) ==
	    0) {
		r->set = set_of(pk_json_root(r->doc), l->docs->source);
		return;
	}
	pk_json_free(PK_MOVE(r->doc, NULL));
}

static bool is_current(const struct looking *l, const struct report *r)
{
	return r->set && strcmp(cli_text(r->set, "digest"), l->digest) == 0;
}

/* Reads the keys of the cluster's nodes, which say who lives and reports nothing. */
static int look(struct cli_consul_docs *docs, struct looking *l, struct pk_err *err)
{
	l->docs = docs;
	l->index = docs->consul.index;
	digest_of(docs, l->digest);
	if (cli_consul_read(&docs->consul, REPORTS, &l->reports, err) < 0 ||
	    cli_consul_read(&docs->consul, NODES, &l->nodes, err) < 0)
		return -1;
	l->list = pk_alloc((l->reports.n + 1) * sizeof(*l->list));
	for (size_t i = 0; i < l->reports.n; i++) {
		struct report *r = &l->list[i];

		read_report(l, &l->reports.list[i], r);
		if (!is_current(l, r))
			continue;
		if (!l->first || strcmp(cli_text(r->set, "since"), l->first) < 0)
			l->first = cli_text(r->set, "since");
	}
	return 0;
}

/* Names the first document of the source that isn't in force as it stands there. */
static size_t documents_why(const struct looking *l, const struct report *r, struct pk_str *why)
{
	const struct pk_json *list = pk_json_get(pk_json_root(r->doc), "documents");
	size_t n = 0;

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v; v = pk_json_next(v)) {
		if (strcmp(cli_text(v, "source"), l->docs->source) != 0 || n++)
			continue;
		pk_str_addf(why, "%s %s%s: %s", cli_text(v, "name"),
			    strcmp(cli_text(v, "state"), "waits") == 0 ? "" : "is ",
			    cli_text(v, "state"), cli_text(v, "why"));
	}
	if (n > 1)
		pk_str_addf(why, "; and %zu more", n - 1);
	return n;
}

static void why_lags(const struct looking *l, const struct report *r, struct pk_str *why)
{
	if (!r->doc)
		pk_str_add(why, "what it says can't be read: it is of another release");
	else if (!r->set)
		pk_str_add(why, "it asks this store for no documents");
	else if (documents_why(l, r, why))
		return;
	else if (*cli_text(r->set, "why"))
		pk_str_add(why, cli_text(r->set, "why"));
	else if (pk_json_number(pk_json_get(r->set, "index")) < (double)l->index)
		pk_str_add(why, "it has not said that it heard of the change");
	else
		pk_str_add(why, "it has heard of the change, and does not enforce it yet");
}

/* Begins a row; its state is one of current, lags, stale. */
static void open_row(struct pk_jw *w, const char *node, const char *state, const char *why)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "node", node);
	pk_jw_string(w, "state", state);
	pk_jw_string(w, "why", *why ? why : NULL);
}

static void row(struct looking *l, const struct report *r, struct pk_jw *w)
{
	const char *state = "current";
	own_str why = { 0 };

	if (r->doc && !r->set && l->docs->tenant_name)
		return; /* none of the tenant's endpoints is there */
	if (!is_current(l, r)) {
		state = "lags";
		why_lags(l, r, &why);
	}
	if (!r->kv->held) {
		state = "stale";
		l->stale++;
	} else if (is_current(l, r)) {
		l->current++;
	} else {
		l->lagging++;
	}
	open_row(w, node_of(r->kv), state, why.text ?: "");
	if (r->set) {
		pk_jw_value(w, "index", pk_json_get(r->set, "index"));
		pk_jw_value(w, "digest", pk_json_get(r->set, "digest"));
		pk_jw_value(w, "since", pk_json_get(r->set, "since"));
	}
	if (r->set && pk_json_get(r->set, "heard"))
		pk_jw_value(w, "heard", pk_json_get(r->set, "heard"));
	pk_jw_string(w, "lagsSince", is_current(l, r) ? NULL : l->first);
	pk_jw_close(w, '}');
}

/*
 * Writes a row for each node that lives and reports nothing: it lags, as nobody knows what it
 * enforces.
 */
static void rows_of_silent(struct looking *l, struct pk_jw *w)
{
	for (size_t i = 0; i < l->nodes.n; i++) {
		const struct pk_kv *kv = &l->nodes.list[i];
		own_str report = { 0 };

		pk_str_addf(&report, "%s" REPORTS "%s", l->docs->consul.prefix, node_of(kv));
		if (!kv->held || pk_kvs_find(&l->reports, report.text))
			continue;
		l->lagging++;
		open_row(
			w, node_of(kv), "lags",
			"it says nothing of its documents: an older release, or \"status\": false");
		pk_jw_close(w, '}');
	}
}

static bool any_lives(const struct looking *l)
{
	for (size_t i = 0; i < l->reports.n; i++)
		if (l->reports.list[i].held)
			return true;
	return false;
}

int cli_rollout_read(struct cli *cli, struct cli_consul_docs *docs, struct cli_rollout *out)
{
	PK_OWN(looking_done) struct looking l = { 0 };
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_err err = { 0 };
	int r = cli_consul_docs_read(cli, docs);

	if (r != CLI_OK)
		return r;
	if (look(docs, &l, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "source", docs->source);
	pk_jw_uint(&w, "index", l.index);
	pk_jw_string(&w, "digest", l.digest);
	pk_jw_open(&w, "nodes", '[');
	for (size_t i = 0; i < l.reports.n; i++)
		row(&l, &l.list[i], &w);
	rows_of_silent(&l, &w);
	pk_jw_close(&w, ']');
	pk_jw_uint(&w, "current", l.current);
	pk_jw_uint(&w, "lagging", l.lagging);
	pk_jw_uint(&w, "stale", l.stale);
	pk_jw_close(&w, '}');
	if (pk_json_parse("rollout", text.text, text.len, PK_JSON_RELAXED, &out->json, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	out->current = l.current;
	out->lagging = l.lagging;
	out->stale = l.stale;
	out->silent = !l.lagging && !any_lives(&l);
	return CLI_OK;
}
