/* SPDX-License-Identifier: Apache-2.0 */
#include "reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docsource.h"
#include "json.h"
#include "own.h"

#define TIMEOUT_MS 3000
#define NODES_MAX  4096
#define TEXT_MAX   (64u << 20)

struct pk_reports {
	struct pk_store *store;
	struct pk_store_call *call;
	pk_reports_fn *fn;
	void *arg;
};

static void on_answer(void *arg, const struct pk_store_answer *answer)
{
	static const struct pk_kvs none;
	struct pk_reports *r = arg;

	r->fn(r->arg, answer->why ? &none : answer->kvs);
	free(r);
}

struct pk_reports *pk_reports_ask(struct pk_store *store, unsigned int turn, pk_reports_fn *fn,
				  void *arg)
{
	struct pk_store_question q = { .budget = { NODES_MAX, TEXT_MAX },
				       .cap = TEXT_MAX * 2,
				       .timeout_ms = TIMEOUT_MS,
				       .turn = turn };
	struct pk_reports *r = pk_alloc(sizeof(*r));
	own_str prefix = { 0 };

	pk_str_addf(&prefix, "%sstatus/nodes/", store->prefix);
	*r = (struct pk_reports){ .store = store, .fn = fn, .arg = arg };
	q.prefix = prefix.text;
	r->call = pk_store_ask(store, &q, on_answer, r, NULL);
	if (r->call)
		return r;
	free(r);
	return NULL;
}

void pk_reports_cancel(struct pk_reports *r)
{
	if (!r)
		return;
	pk_store_cancel(r->store, r->call);
	free(r);
}

static const struct pk_json *operators(const struct pk_json *root, const char *member)
{
	const struct pk_json *list = pk_json_get(root, member);

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v; v = pk_json_next(v)) {
		const char *source = pk_json_string(pk_json_get(v, "source"));

		if (source && pk_source_is_operators(source))
			return v;
	}
	return NULL;
}

static void put_text(char *to, size_t room, const struct pk_json *set, const char *member)
{
	snprintf(to, room, "%s", pk_json_string(pk_json_get(set, member)) ?: "");
}

/* Reads a report. Returns NULL where it says nothing of the operator's documents. */
static struct pk_node_policy *read_policy(const struct pk_kv *kv, bool *complete)
{
	const char *last = strrchr(kv->key, '/');
	const struct pk_json *set = NULL;
	struct pk_node_policy *policy;
	own_json *doc = NULL;
	int64_t index = 0;

	if (last && pk_json_parse("report", kv->value, kv->len, PK_JSON_NEWER, &doc, NULL) == 0)
		set = operators(pk_json_root(doc), "sets");
	if (!set || pk_json_int(pk_json_get(set, "index"), 0, INT64_MAX, &index) < 0)
		return NULL;
	*complete = !pk_json_get(set, "why") && !operators(pk_json_root(doc), "documents");
	policy = pk_alloc(sizeof(*policy));
	policy->index = (uint64_t)index;
	put_text(policy->digest, sizeof(policy->digest), set, "digest");
	put_text(policy->since, sizeof(policy->since), set, "since");
	policy->node = pk_strdup(last + 1);
	return policy;
}

/*
 * Returns whether p is a newer report than `newest`. An index past what this node has heard doesn't
 * count: a node may lie.
 */
static bool is_newer(const struct pk_node_policy *p, const struct pk_node_policy *newest,
		     const char *own, uint64_t heard)
{
	if (heard && p->index > heard)
		return false;
	if (!newest || p->index > newest->index)
		return true;
	return p->index == newest->index && strcmp(p->node, own) == 0;
}

struct pk_node_policy *pk_node_policies(const struct pk_kvs *kvs, const char *own, uint64_t heard)
{
	struct pk_node_policy *all = NULL, *newest = NULL;

	for (size_t i = 0; i < kvs->n; i++) {
		bool complete = false;
		struct pk_node_policy *p = read_policy(&kvs->list[i], &complete);

		if (!p)
			continue;
		HASH_ADD_KEYPTR(hh, all, p->node, strlen(p->node), p);
		if (complete && is_newer(p, newest, own, heard))
			newest = p;
	}
	for (struct pk_node_policy *p = all; p && newest; p = p->hh.next)
		p->current = *p->digest && strcmp(p->digest, newest->digest) == 0;
	return all;
}

void pk_node_policies_free(struct pk_node_policy **policies)
{
	struct pk_node_policy *p, *next;

	HASH_ITER (hh, *policies, p, next) {
		HASH_DEL(*policies, p);
		free(p->node);
		free(p);
	}
}

const struct pk_node_policy *pk_node_policy(struct pk_node_policy *policies, const char *node)
{
	struct pk_node_policy *p;

	HASH_FIND_STR(policies, node, p);
	return p;
}
