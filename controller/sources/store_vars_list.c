/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the list of Picket's variables, and which nodes are ready. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "store_vars_private.h"

#define WAIT_S	   20 /* a restored snapshot ends no wait: it shows by the next answer */
#define BODY_MAX   (64u << 20)
#define FORGET_MS  600000 /* what went is known for so long: no question is older */
#define NODES_MS   10000
#define NODES_MAX  (16u << 20)
#define STRAYS_MAX 4 /* of them, by name */
#define KEYS_MAX   65536

void vars_var_free(struct vars_store *v, struct var *var)
{
	HASH_DEL(v->vars, var);
	free(var->key);
	free(var->value);
	free(var->holder);
	free(var);
}

static void stray(struct vars_store *v, const struct pk_var_name *name)
{
	if (v->n_found++ < STRAYS_MAX)
		pk_str_addf(&v->found, "%s%.200s of namespace %.64s", v->n_found > 1 ? ", " : "",
			    name->path, name->namespace);
}

/*
 * Returns whether a tenant's variable is one more than any tenant may have, or none of this node's
 * business. One namespace that is full costs a node no memory.
 */
static bool is_too_much(struct vars_store *v, const char *key, const char *namespace)
{
	const char *below = key + strlen(v->store.prefix), *last = strrchr(key, '/');
	struct vars_budget *b;

	if (strncmp(below, "status/tenants/", 15) == 0)
		return !last || strcmp(last + 1, v->node) != 0;
	if (strncmp(below, "policies/tenants/", 17) != 0)
		return HASH_COUNT(v->vars) >= KEYS_MAX;
	HASH_FIND_STR(v->budgets, namespace, b);
	if (!b) {
		b = pk_alloc(sizeof(*b));
		b->name = pk_strdup(namespace);
		HASH_ADD_KEYPTR(hh, v->budgets, b->name, strlen(b->name), b);
	}
	return b->n++ > PK_TENANT_KEYS_MAX;
}

static struct var *var_of(struct vars_store *v, const char *key)
{
	struct var *var;

	HASH_FIND_STR(v->vars, key, var);
	if (var)
		return var;
	var = pk_alloc(sizeof(*var));
	var->key = pk_strdup(key);
	HASH_ADD_KEYPTR(hh, v->vars, var->key, strlen(var->key), var);
	return var;
}

static void on_name(void *arg, const struct pk_var_name *name)
{
	struct vars_store *v = arg;
	own_str key = { 0 }, namespace = { 0 };
	struct var *var;

	if (pk_vars_key(name->path, &key) < 0 || !key.text ||
	    strncmp(key.text, v->store.prefix, strlen(v->store.prefix)) != 0) {
		stray(v, name);
		return;
	}
	/* Whoever may write in another namespace is nobody here. */
	pk_vars_namespace(v->store.prefix, key.text, v->home, &namespace);
	if (strcmp(namespace.text, name->namespace) != 0) {
		stray(v, name);
		return;
	}
	if (is_too_much(v, key.text, name->namespace))
		return;
	var = var_of(v, key.text);
	v->went_back |= !var->gone && name->modified < var->modified;
	/* The index is told once the list is whole. */
	if (var->gone || var->modified != name->modified)
		var->touched = UINT64_MAX;
	var->seen = true;
	var->gone = false;
	var->created = name->created;
	var->modified = name->modified;
	if (var->next < var->modified)
		var->next = var->modified;
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct vars_store *v = arg;

	v->result = pk_vars_reader_feed(v->reader, bytes, n, &v->error);
	return v->result == 0;
}

static void forget_budgets(struct vars_store *v)
{
	struct vars_budget *b, *next;

	HASH_ITER (hh, v->budgets, b, next) {
		HASH_DEL(v->budgets, b);
		free(b->name);
		free(b);
	}
}

/* Takes note of what the list lacks, and under which index all changes are seen. */
static void settle(struct vars_store *v, uint64_t index)
{
	const uint64_t now = pk_loop_now(v->loop);
	struct var *var, *next;

	v->went_back |= index < v->index;
	HASH_ITER (hh, v->vars, var, next) {
		if (!var->seen && !var->gone) {
			var->gone = true;
			var->gone_ms = now;
			var->touched = index;
			var->read = var->next = 0;
		}
		if (var->touched == UINT64_MAX)
			var->touched = index;
		if (v->went_back) {
			var->read = 0;
			var->next = var->gone ? 0 : var->modified;
		}
		var->seen = false;
		if (var->gone && now - var->gone_ms > FORGET_MS)
			vars_var_free(v, var);
	}
	if (v->went_back) {
		v->restored++;
		log_warn("op=nomad index=%lu before=%lu err=\"its variables are older than what it "
			 "said before\"",
			 index, v->index);
	}
	v->went_back = false;
	pk_str_done(&v->strays);
	v->strays = PK_MOVE(v->found, (struct pk_str){ 0 });
	v->n_strays = v->n_found;
	v->index = index;
	v->answered = v->number;
}

static void failed(struct vars_store *v, enum pk_source_fault fault, const char *why)
{
	const struct pk_store_answer answer = { .why = why, .fault = fault };
	struct var *var;

	/* A list that broke off is no word of what it lacks. */
	for (var = v->vars; var; var = var->hh.next) {
		var->seen = false;
		if (var->touched == UINT64_MAX)
			var->touched = v->index + 1;
	}
	v->answered = 0;
	v->fresh = true;
	pk_timer_set(v->list_timer, pk_backoff_ms(v->failures++));
	vars_fail(v, NULL, &answer);
}

static void on_list(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	char why[320];

	v->list = NULL;
	if (v->result < 0 ||
	    (reply->status == 200 && pk_vars_reader_end(v->reader, &v->error) < 0)) {
		snprintf(why, sizeof(why), "%.200s" PK_SERVICE_OTHER, v->error.text);
		failed(v, PK_FAULT_ANSWER, why);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		if (reply->status == 403)
			snprintf(why + strlen(why), sizeof(why) - strlen(why),
				 "; fix: give picketd's token the rights that examples/acl lists");
		failed(v, pk_http_fault(reply), why);
	} else if (!reply->index) {
		failed(v, PK_FAULT_ANSWER, "200 without an index: not Nomad" PK_SERVICE_OTHER);
	} else {
		v->failures = 0;
		settle(v, reply->index);
		pk_timer_set(v->list_timer,
			     v->fresh ? 0 : pk_pace_ms(&v->pace, pk_loop_now(v->loop)));
		vars_serve_soon(v);
	}
}

static void ask_list(void *arg)
{
	struct vars_store *v = arg;
	struct pk_service_call call = { .cap = BODY_MAX,
					.sink = on_bytes,
					.turn = v->failures,
					.timeout_ms = VARS_TIMEOUT_MS };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	if (v->list)
		return;
	v->waits = v->answered && !v->fresh;
	v->fresh = false;
	v->result = 0;
	v->n_found = 0;
	pk_str_reset(&v->found);
	forget_budgets(v);
	v->number++;
	pk_vars_reader_free(v->reader);
	v->reader = pk_vars_reader_new(on_name, v);
	pk_str_add(&path, "/v1/vars?namespace=*&prefix=");
	pk_vars_path(v->store.prefix, &path, NULL);
	if (v->waits) {
		pk_str_addf(&path, "&index=%lu&wait=%ds", v->index, WAIT_S);
		call.timeout_ms += WAIT_S * 1000 * 17 / 16;
	}
	call.path = path.text;
	v->list = vars_start(v, &call, on_list, v, &err);
	if (!v->list)
		failed(v, PK_FAULT_UNASKED, err.text);
}

void vars_list_fresh(struct vars_store *v)
{
	v->fresh = true;
	if (v->list && !v->waits)
		return;
	pk_http_cancel(PK_MOVE(v->list, NULL));
	for (struct var *var = v->vars; var; var = var->hh.next)
		var->seen = false;
	pk_timer_hurry(v->list_timer, 0);
}

bool vars_lives(const struct vars_store *v, const char *holder)
{
	struct vars_node *n;

	if (!holder)
		return false;
	if (v->id && strcmp(v->id, holder) == 0)
		return true;
	HASH_FIND_STR(v->nodes, holder, n);
	return n && n->ready;
}

/* Wakes who waits for the keys that a node holds. */
static void stir(struct vars_store *v, const char *id)
{
	for (struct var *var = v->vars; var; var = var->hh.next)
		if (var->holder && strcmp(var->holder, id) == 0)
			var->stirred_ms = pk_loop_now(v->loop);
}

static void on_node(void *arg, const char *id, bool ready)
{
	struct vars_store *v = arg;
	struct vars_node *n;

	HASH_FIND_STR(v->nodes, id, n);
	if (!n) {
		n = pk_alloc(sizeof(*n));
		n->id = pk_strdup(id);
		HASH_ADD_KEYPTR(hh, v->nodes, n->id, strlen(n->id), n);
	}
	n->seen = true;
	if (n->ready == ready)
		return;
	n->ready = ready;
	stir(v, id);
}

static void drop_nodes(struct vars_store *v, bool all)
{
	struct vars_node *n, *next;

	HASH_ITER (hh, v->nodes, n, next) {
		if (n->seen && !all) {
			n->seen = false;
			continue;
		}
		stir(v, n->id);
		HASH_DEL(v->nodes, n);
		free(n->id);
		free(n);
	}
}

static void on_nodes(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	struct pk_store_answer answer = { .fault = pk_http_fault(reply) };
	struct pk_err err = { 0 };
	char why[300];

	v->nodes_call = NULL;
	if (pk_service_failed(reply, false, why, sizeof(why)))
		answer.why = why;
	else if (pk_vars_nodes(reply->body, reply->len, on_node, v, &err) < 0)
		answer.why = err.text;
	if (answer.why) {
		pk_timer_set(v->nodes_timer, pk_backoff_ms(v->nodes_failures++));
		/* Whoever was heard of lives, as far as is known, until Nomad says otherwise. */
		if (!v->knows_nodes)
			vars_fail(v, NULL, &answer);
		return;
	}
	v->nodes_failures = 0;
	v->knows_nodes = true;
	drop_nodes(v, false);
	pk_timer_set(v->nodes_timer, NODES_MS + pk_backoff_ms(0));
	vars_serve_soon(v);
}

static void ask_nodes(void *arg)
{
	struct vars_store *v = arg;
	struct pk_service_call call = { .path = "/v1/nodes?stale=true",
					.cap = NODES_MAX,
					.turn = v->nodes_failures,
					.timeout_ms = VARS_TIMEOUT_MS };

	v->nodes_call = vars_start(v, &call, on_nodes, v, NULL);
	if (!v->nodes_call)
		pk_timer_set(v->nodes_timer, pk_backoff_ms(v->nodes_failures++));
}

void vars_list_begin(struct vars_store *v)
{
	v->list_timer = pk_timer_new(v->loop, ask_list, v);
	v->nodes_timer = pk_timer_new(v->loop, ask_nodes, v);
	v->fresh = true;
	pk_timer_set(v->list_timer, 0);
	pk_timer_set(v->nodes_timer, 0);
}

void vars_list_end(struct vars_store *v)
{
	pk_http_cancel(v->list);
	pk_http_cancel(v->nodes_call);
	pk_timer_free(v->list_timer);
	pk_timer_free(v->nodes_timer);
	pk_vars_reader_free(v->reader);
	while (v->vars)
		vars_var_free(v, v->vars);
	drop_nodes(v, true);
	forget_budgets(v);
	pk_str_done(&v->strays);
	pk_str_done(&v->found);
}
