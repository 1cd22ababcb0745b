/* SPDX-License-Identifier: Apache-2.0 */
#include "store_vars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docsource.h"
#include "fs.h"
#include "own.h"
#include "store_vars_private.h"

#define SLICE_NS 10000000 /* most time of one turn of serving; between two others are served */

struct pk_http_call *vars_start(struct vars_store *v, struct pk_service_call *call, pk_http_fn *fn,
				void *arg, struct pk_err *err)
{
	call->service = &v->config->nomad;
	call->header = "X-Nomad-Token";
	return pk_service_start(v->http, call, fn, arg, err);
}

void vars_serve_soon(struct vars_store *v)
{
	v->again = true;
	pk_timer_hurry(v->serve_timer, 0);
}

struct vars_call *vars_call_new(struct vars_store *v, enum vars_kind kind, pk_store_fn *fn,
				void *arg)
{
	struct vars_call *c = pk_alloc(sizeof(*c));

	c->v = v;
	c->kind = kind;
	c->fn = fn;
	c->arg = arg;
	c->number = 1;
	c->pass = v->pass; /* it counts as looked at in this pass */
	LIST_INSERT_HEAD(&v->calls, c, link);
	return c;
}

void vars_call_free(struct vars_call *c)
{
	LIST_REMOVE(c, link);
	if (c->told_by)
		LIST_REMOVE(c, asks_told);
	c->v->served++;
	pk_http_cancel(c->http);
	free(c->prefix);
	free(c->key);
	free(c->told_by);
	free(c->holder);
	free(c);
}

void vars_finish(struct vars_call *c, const struct pk_store_answer *answer)
{
	own_mem char *holder = PK_MOVE(c->holder, NULL); /* freed after the answer, which has it */
	pk_store_fn *fn = c->fn;
	void *arg = c->arg;

	vars_call_free(c);
	fn(arg, answer);
}

static void vars_cancel(struct pk_store_call *call)
{
	vars_call_free((struct vars_call *)call);
}

static bool waits_for(const struct vars_call *c, const char *key)
{
	return c->kind == VARS_ASK ? !key || vars_is_below(c, key) : c->kind == VARS_INDEX && !key;
}

void vars_fail(struct vars_store *v, const char *key, const struct pk_store_answer *answer)
{
	struct vars_call *c, *next;
	LIST_HEAD(, vars_call) failing = { NULL };

	/* The callbacks may make new calls, which don't fail with these. */
	for (c = LIST_FIRST(&v->calls); c; c = next) {
		next = LIST_NEXT(c, link);
		if (!waits_for(c, key))
			continue;
		LIST_REMOVE(c, link);
		LIST_INSERT_HEAD(&failing, c, link);
	}
	while ((c = LIST_FIRST(&failing)))
		vars_finish(c, answer);
}

static void add_key(struct pk_kvs *kvs, const struct vars_call *c, const struct var *var)
{
	bool named = c->what != PK_STORE_KEYS;
	struct pk_kv kv = { .key = pk_strdup(var->key),
			    .value = pk_strdup(named || !var->value ? "" : var->value),
			    .held = vars_lives(c->v, var->holder),
			    .holder = var->holder ? pk_kv_holder(var->holder) : 0,
			    .created = var->created,
			    .modified = var->read > var->modified ? var->read : var->modified };

	kv.len = strlen(kv.value);
	if (!named && !var->value)
		kv.unreadable = "its variable has no item \"" PK_VARS_DOCUMENT "\"";
	if ((kvs->n & (kvs->n - 1)) == 0)
		kvs->list = realloc(kvs->list, (kvs->n ? 2 * kvs->n : 1) * sizeof(kv));
	if (!kvs->list)
		abort();
	kvs->list[kvs->n++] = kv;
}

/* Cuts names after the next slash, keeps each once, and adds the keys at no document's place. */
static void fold(struct pk_kvs *kvs, const struct vars_call *c)
{
	struct pk_kvs folded = { .list = pk_alloc((kvs->n + 1) * sizeof(*kvs->list)) };
	bool all = strcmp(c->prefix + strlen(c->v->store.prefix), "policies/") == 0;

	for (size_t i = 0; i < kvs->n; i++) {
		char *slash = strchr(kvs->list[i].key + strlen(c->prefix), '/');

		if (slash)
			slash[1] = '\0';
		if (folded.n && strcmp(folded.list[folded.n - 1].key, kvs->list[i].key) == 0)
			continue;
		folded.list[folded.n++] = PK_MOVE(kvs->list[i], (struct pk_kv){ 0 });
	}
	if (all && c->v->n_strays)
		folded.list[folded.n++] = (struct pk_kv){ .key = pk_strdup(c->v->strays.text),
							  .value = pk_strdup("") };
	pk_kvs_done(kvs);
	*kvs = folded;
}

/* Returns whether the question is for what a node told tenants. */
static bool is_for_told(const struct vars_call *c)
{
	return c->told_by && strcmp(c->prefix + strlen(c->v->store.prefix), "status/tenants/") == 0;
}

static void answer_keys(struct vars_call *c)
{
	PK_OWN(pk_kvs_done) struct pk_kvs kvs = { 0 };
	const struct vars_store *v = c->v;
	own_str why = { 0 };
	struct pk_store_answer answer = { .kvs = &kvs, .index = v->index, .filtered = c->hidden };

	if (is_for_told(c))
		answer.unnamed = vars_names_unnamed(v, c->told_by);
	if (c->what == PK_STORE_KEYS && vars_is_over(c, &why)) {
		answer.over = true;
		answer.why = why.text;
		answer.fault = PK_FAULT_ANSWER;
	}
	for (const struct var *var = v->vars; var && !answer.over; var = var->hh.next)
		if (!var->gone && vars_is_below(c, var->key))
			add_key(&kvs, c, var);
	pk_kvs_sort(&kvs);
	if (c->what == PK_STORE_FOLDER)
		fold(&kvs, c);
	if (c->wait) {
		answer.older = c->wait->told && c->wait->restored != v->restored;
		c->wait->restored = v->restored;
		c->wait->told = v->stirs;
	}
	vars_finish(c, &answer);
}

/*
 * Returns whether all values of a question are read, or are too many; else has the next one read.
 */
static bool has_values(struct vars_call *c)
{
	struct var *var = vars_unread(c);
	own_str why = { 0 };

	if (vars_is_over(c, &why))
		return true;
	if (var)
		vars_read(c->v, var);
	return !var && c->v->knows_nodes;
}

/* Answers a question if it can be answered by now. */
static void serve_ask(struct vars_call *c)
{
	bool gone;

	if (!vars_is_due(c, &gone))
		return;
	if (gone && !c->tried)
		vars_try(c);
	else if (c->what != PK_STORE_KEYS || has_values(c))
		answer_keys(c);
}

static void serve_index(struct vars_call *c)
{
	const struct pk_store_answer answer = { .index = c->v->index };

	if (c->v->answered && c->v->answered >= c->number)
		vars_finish(c, &answer);
}

static void serve(struct vars_call *c)
{
	const struct pk_store_answer said = { .done = c->done, .holder = c->holder };

	if (c->kind == VARS_ASK)
		serve_ask(c);
	else if (c->kind == VARS_INDEX)
		serve_index(c);
	else if (c->kind == VARS_SAY)
		vars_finish(c, &said);
}

/*
 * Serves all calls, each once in a pass, in turns. An answer may end calls and make new ones, which
 * are for the next pass. Returns whether the pass is done.
 */
static bool serve_calls(struct vars_store *v)
{
	const uint64_t until = pk_now_ns() + SLICE_NS;
	struct vars_call *c = LIST_FIRST(&v->calls);

	while (c) {
		struct vars_call *next = LIST_NEXT(c, link);
		uint64_t count = v->served;

		if (c->pass != v->pass && pk_now_ns() > until)
			return false;
		if (c->pass != v->pass) {
			c->pass = v->pass;
			serve(c);
		}
		c = v->served != count ? LIST_FIRST(&v->calls) : next;
	}
	return true;
}

static void serve_all(void *arg)
{
	struct vars_store *v = arg;
	const uint64_t now = pk_loop_now(v->loop);
	struct vars_call *c;
	uint64_t first = 0;

	if (!v->serving) {
		v->pass++;
		v->again = false;
	}
	v->serving = !serve_calls(v);
	LIST_FOREACH (c, &v->calls, link)
		if (c->index && c->deadline_ms > now && (!first || c->deadline_ms < first))
			first = c->deadline_ms;
	if (v->serving || v->again)
		pk_timer_hurry(v->serve_timer, 0);
	else if (first)
		pk_timer_hurry(v->serve_timer, first - now);
}

/* Makes the call wait for a list that is asked for from now on. */
static void await_list(struct vars_call *c)
{
	c->number = c->v->number + 1;
	vars_list_fresh(c->v);
}

static struct pk_store_call *vars_ask(struct pk_store *store, const struct pk_store_question *q,
				      pk_store_fn *fn, void *arg, struct pk_err *err)
{
	struct vars_store *v = store_of(store);
	struct vars_call *c = vars_call_new(v, VARS_ASK, fn, arg);

	(void)err;
	c->prefix = pk_strdup(q->prefix);
	c->told_by = pk_strdup(q->told_by);
	if (c->told_by)
		LIST_INSERT_HEAD(&v->ask_told, c, asks_told);
	c->what = q->what == PK_STORE_NEWS ? PK_STORE_NAMES : q->what;
	c->wait = q->wait;
	c->budget = q->budget;
	c->index = q->wait ? q->wait->index : 0;
	if (c->index)
		c->deadline_ms = pk_loop_now(v->loop) + q->wait->seconds * 1000ull;
	if (q->leaders)
		await_list(c);
	vars_serve_soon(v);
	return (struct pk_store_call *)c;
}

static struct pk_store_call *vars_index(struct pk_store *store, const char *prefix,
					unsigned int turn, pk_store_fn *fn, void *arg,
					struct pk_err *err)
{
	struct vars_call *c = vars_call_new(store_of(store), VARS_INDEX, fn, arg);

	(void)prefix, (void)turn, (void)err;
	await_list(c);
	return (struct pk_store_call *)c;
}

/*
 * Nothing is to be done: each answer that lacks something has tried the token already, and an
 * unknown one fails there.
 */
static struct pk_store_call *vars_check(struct pk_store *store, unsigned int turn, pk_store_fn *fn,
					void *arg, struct pk_err *err)
{
	struct vars_call *c = vars_call_new(store_of(store), VARS_SAY, fn, arg);

	(void)turn, (void)err;
	vars_serve_soon(c->v);
	return (struct pk_store_call *)c;
}

static struct pk_store_call *vars_hold(struct pk_store *store, const char *holder, const char *node,
				       unsigned int turn, pk_store_fn *fn, void *arg,
				       struct pk_err *err)
{
	struct vars_store *v = store_of(store);
	struct vars_call *c;

	(void)node, (void)turn;
	if (!v->id || !v->answered) {
		pk_fail(err, 0, "Nomad has not said yet which node this is, and what there is");
		return NULL;
	}
	c = vars_call_new(v, VARS_SAY, fn, arg);
	c->holder = pk_strdup(v->id);
	c->done = !*holder || strcmp(holder, v->id) == 0;
	vars_serve_soon(v);
	return (struct pk_store_call *)c;
}

static void vars_renew(struct pk_store *store)
{
	vars_list_fresh(store_of(store));
	vars_nodes_fresh(store_of(store));
}

bool vars_is_all_tenants(const struct pk_store *store, const char *prefix)
{
	const char *below = prefix + strlen(store->prefix);

	return strcmp(below, "status/tenants/") == 0 || strcmp(below, "policies/tenants/") == 0;
}

static void vars_rule(const struct pk_store *store, const char *prefix, bool writes,
		      struct pk_str *out)
{
	const struct vars_store *v = (const struct vars_store *)store;
	own_str namespace = { 0 }, path = { 0 };

	pk_vars_namespace(store->prefix, prefix, v->home, &namespace);
	pk_vars_path(prefix, &path, NULL);
	pk_str_addf(out, "namespace \"%s\" { variables { path \"%s*\" { capabilities = [%s] } } }",
		    vars_is_all_tenants(store, prefix) ? "*" : namespace.text, path.text,
		    writes ? "\"list\", \"read\", \"write\", \"destroy\"" : "\"list\", \"read\"");
}

static void vars_free(struct pk_store *store)
{
	struct vars_store *v = store_of(store);

	while (LIST_FIRST(&v->calls))
		vars_call_free(LIST_FIRST(&v->calls));
	pk_http_cancel(v->read);
	vars_list_end(v);
	vars_nodes_end(v);
	pk_timer_free(v->serve_timer);
	free(v->reading);
	free(v->home);
	free(v->node);
	free(v->id);
	free(store->prefix);
	free(v);
}

/* Wakes the calls that wait for keys that this node holds, as it is known now. */
static void stir_own(struct vars_store *v)
{
	v->stirs++;
	for (struct var *var = v->vars; var; var = var->hh.next)
		if (var->holder && strcmp(var->holder, v->id) == 0)
			var->stirred = v->stirs;
	v->changes++;
}

void pk_store_vars_node(struct pk_store *store, const char *id)
{
	struct vars_store *v = store_of(store);
	struct vars_node *n;

	if (v->id && strcmp(v->id, id) == 0)
		return;
	free(v->id);
	v->id = pk_strdup(id);
	HASH_FIND_STR(v->nodes, id, n);
	if (v->knows_nodes && !n) {
		v->knows_nodes = false;
		vars_nodes_fresh(v);
	}
	stir_own(v);
	vars_serve_soon(v);
}

static const struct pk_store_ops ops = { .origin = PK_ORIGIN_NOMAD,
					 .name = "Nomad",
					 .text_max = PK_VARS_TEXT_MAX,
					 .more_room = VARS_MORE_ROOM,
					 .fits = vars_fits,
					 .ask = vars_ask,
					 .index = vars_index,
					 .check = vars_check,
					 .write = vars_write,
					 .hold = vars_hold,
					 .cancel = vars_cancel,
					 .renew = vars_renew,
					 .who_lives = vars_knows_who_lives,
					 .rule = vars_rule,
					 .free = vars_free };

struct pk_store *pk_store_vars_new(struct pk_loop *loop, struct pk_http *http,
				   const struct pk_config *config, const char *node)
{
	struct vars_store *v = pk_alloc(sizeof(*v));
	own_str prefix = { 0 };

	pk_str_addf(&prefix, PK_VARS_PREFIX "%s/", config->cluster);
	v->store.ops = &ops;
	v->store.prefix = pk_str_take(&prefix);
	if (!v->store.prefix)
		abort();
	v->loop = loop;
	v->stirs = 1; /* from 1, since 0 means that a wait was told nothing */
	v->changes = 1;
	v->http = http;
	v->config = config;
	v->home = pk_strdup(config->store_namespace);
	v->node = pk_consul_part(node);
	v->serve_timer = pk_timer_new(loop, serve_all, v);
	vars_list_begin(v);
	vars_nodes_begin(v);
	return &v->store;
}
