/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the list of Picket's variables, and which nodes are ready. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "store_vars_private.h"

#define WAIT_S	  20 /* a restored snapshot ends no wait: it shows by the next answer */
#define BODY_MAX  (64u << 20)
#define NODES_MS  10000 /* at least, between two answers: each names all nodes */
#define NODES_S	  60	/* a node's state may not change for long, and a restored one shows then */
#define NODES_MAX (16u << 20)

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct vars_store *v = arg;

	v->result = pk_vars_reader_feed(v->reader, bytes, n, &v->error);
	if (v->result == 0 && v->n_home > VARS_HOME_MAX)
		v->result = pk_fix(&v->error,
				   pk_fail(&v->error, 0,
					   "more than %d variables below %s in namespace %s",
					   VARS_HOME_MAX, v->store.prefix, v->home),
				   "delete those that nobody needs, or use Consul");
	return v->result == 0;
}

static void failed(struct vars_store *v, enum pk_source_fault fault, const char *why)
{
	const struct pk_store_answer answer = { .why = why, .fault = fault };

	vars_names_broke_off(v);
	v->answered = 0;
	v->fresh = true;
	pk_timer_set(v->list_timer, pk_backoff_ms(v->failures++));
	vars_fail(v, NULL, &answer);
}

static void on_list(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	uint64_t restored;
	char why[sizeof(v->error.text) + sizeof(v->error.fix) + 8];

	v->list = NULL;
	if (v->result < 0 && *v->error.fix) {
		snprintf(why, sizeof(why), "%s; fix: %s", v->error.text, v->error.fix);
		failed(v, PK_FAULT_ANSWER, why);
	} else if (v->result < 0 ||
		   (reply->status == 200 && pk_vars_reader_end(v->reader, &v->error) < 0)) {
		snprintf(why, sizeof(why), "%.200s" PK_SERVICE_OTHER, v->error.text);
		failed(v, PK_FAULT_ANSWER, why);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		if (reply->status == 403)
			snprintf(why + strlen(why), sizeof(why) - strlen(why),
				 "; fix: give picketd's token the rights that examples/acl lists");
		failed(v, pk_http_fault(reply), why);
	} else if (!reply->index) {
		failed(v, PK_FAULT_ANSWER, PK_SERVICE_NO_INDEX);
	} else {
		v->failures = 0;
		restored = v->restored;
		vars_names_end(v, reply->index, pk_loop_now(v->loop));
		if (v->restored != restored)
			vars_nodes_fresh(v);
		v->answered = v->number;
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
	v->error = (struct pk_err){ 0 };
	vars_names_begin(v);
	v->number++;
	pk_vars_reader_free(v->reader);
	v->reader = pk_vars_reader_new(vars_name, v);
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

void vars_nodes_fresh(struct vars_store *v)
{
	pk_http_cancel(PK_MOVE(v->nodes_call, NULL));
	v->nodes_history.index = 0;
	v->nodes_history.sure = true;
	pk_timer_hurry(v->nodes_timer, 0);
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

void vars_stir(struct vars_store *v, const char *id)
{
	v->stirs++;
	for (struct var *var = v->vars; var; var = var->hh.next)
		if (var->holder && strcmp(var->holder, id) == 0)
			var->stirred = v->stirs;
}

struct own_node {
	const char *id;
	bool is_there;
};

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
	vars_stir(v, id);
}

static void drop_nodes(struct vars_store *v, bool all)
{
	struct vars_node *n, *next;

	HASH_ITER (hh, v->nodes, n, next) {
		if (n->seen && !all) {
			n->seen = false;
			continue;
		}
		vars_stir(v, n->id);
		HASH_DEL(v->nodes, n);
		free(n->id);
		free(n);
	}
}

static void look_for_own(void *arg, const char *id, bool ready)
{
	struct own_node *own = arg;

	(void)ready;
	own->is_there |= strcmp(id, own->id) == 0;
}

/* A list of nodes that lacks this node itself may lack others that live, so it is no truth. */
static int check_nodes(const struct vars_store *v, const struct pk_http_reply *reply,
		       struct pk_err *err)
{
	struct own_node own = { .id = v->id ?: "", .is_there = !v->id };

	if (!reply->index)
		return pk_fail(err, 0, PK_SERVICE_NO_INDEX);
	if (pk_vars_nodes(reply->body, reply->len, look_for_own, &own, err) < 0)
		return -EINVAL;
	if (own.is_there)
		return 0;
	return pk_fail(err, 0, "Nomad's list of nodes lacks this one, %.40s" PK_SERVICE_OTHER,
		       v->id);
}

/* Whoever was heard of lives, as far as is known, until Nomad says otherwise. */
static void nodes_failed(struct vars_store *v, enum pk_source_fault fault, const char *why)
{
	const struct pk_store_answer answer = { .why = why, .fault = fault };

	if (v->nodes_failures == 0)
		log_warn("op=nodes err=\"%s\" keeping what is known of which nodes are ready", why);
	v->nodes_history.index = 0;
	pk_timer_set(v->nodes_timer, pk_backoff_ms(v->nodes_failures++));
	if (!v->knows_nodes)
		vars_fail(v, NULL, &answer);
}

static void take_nodes(struct vars_store *v, const struct pk_http_reply *reply)
{
	v->nodes_failures = 0;
	v->knows_nodes = true;
	pk_vars_nodes(reply->body, reply->len, on_node, v, NULL);
	drop_nodes(v, false);
	pk_timer_set(v->nodes_timer, NODES_MS + pk_backoff_ms(0));
	vars_serve_soon(v);
}

static void on_nodes(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	struct pk_err err = { 0 };
	char why[300];

	v->nodes_call = NULL;
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		nodes_failed(v, pk_http_fault(reply), why);
		return;
	}
	if (check_nodes(v, reply, &err) < 0) {
		/* A server that lags may say so, too. */
		v->nodes_history.sure = true;
		nodes_failed(v, PK_FAULT_ANSWER, err.text);
	} else if (pk_history_takes(&v->nodes_history, reply->index)) {
		take_nodes(v, reply);
	} else {
		pk_timer_set(v->nodes_timer, pk_backoff_ms(0));
	}
}

/*
 * Asks for all nodes once any of them changes. What isn't ready can't be asked for alone: one that
 * is in no list any more isn't ready either.
 */
static void ask_nodes(void *arg)
{
	struct vars_store *v = arg;
	own_str path = { 0 };
	struct pk_service_call call = { .cap = NODES_MAX,
					.turn = v->nodes_failures,
					.timeout_ms = VARS_TIMEOUT_MS };

	pk_str_add(&path, "/v1/nodes");
	pk_history_query(&v->nodes_history, NODES_S, &path);
	if (v->nodes_history.index)
		call.timeout_ms += NODES_S * 1000 * 17 / 16;
	call.path = path.text;
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
	drop_nodes(v, true);
	vars_names_free(v);
}
