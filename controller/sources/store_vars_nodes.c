/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps which nodes are ready: Nomad's word on who still holds a key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "store_vars_private.h"

#define NODES_MS 10000 /* least time between two answers, which name all nodes */
/* longest wait: no node's state may change for long, and a restored snapshot shows only then */
#define NODES_S	  60
#define NODES_MAX (16u << 20)

void vars_nodes_fresh(struct vars_store *v)
{
	pk_http_cancel(PK_MOVE(v->nodes_call, NULL));
	v->nodes_history.index = 0;
	v->nodes_history.sure = true;
	pk_timer_hurry(v->nodes_timer, 0);
}

static bool is_ready(const struct vars_node *nodes, const char *id)
{
	struct vars_node *n;

	HASH_FIND_STR(nodes, id, n);
	return n && n->ready;
}

bool vars_lives(const struct vars_store *v, const char *holder)
{
	if (!holder)
		return false;
	return (v->id && strcmp(v->id, holder) == 0) || is_ready(v->nodes, holder);
}

static void drop(struct vars_node **nodes)
{
	struct vars_node *n, *next;

	HASH_ITER (hh, *nodes, n, next) {
		HASH_DEL(*nodes, n);
		free(n->id);
		free(n);
	}
}

static void on_node(void *arg, const char *id, bool ready)
{
	struct vars_store *v = arg;
	struct vars_node *n;

	HASH_FIND_STR(v->heard, id, n);
	if (!n) {
		n = pk_alloc(sizeof(*n));
		n->id = pk_strdup(id);
		HASH_ADD_KEYPTR(hh, v->heard, n->id, strlen(n->id), n);
	}
	n->ready = ready;
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct vars_store *v = arg;

	return pk_vars_nodes_feed(v->nodes_reader, bytes, n, &v->nodes_error) == 0;
}

/*
 * Returns whether the list can't be true: it lacks this very node, and may lack others that live.
 */
static bool is_no_truth(struct vars_store *v, const struct pk_http_reply *reply)
{
	struct pk_err *err = &v->nodes_error;
	struct vars_node *own = NULL;

	if (*err->text || (reply->status == 200 && pk_vars_nodes_end(v->nodes_reader, err) < 0))
		return true;
	if (reply->status != 200)
		return false;
	if (v->id)
		HASH_FIND_STR(v->heard, v->id, own);
	if (!reply->index)
		pk_fail(err, 0, PK_SERVICE_NO_INDEX);
	else if (v->id && !own)
		pk_fail(err, 0, "Nomad's list of nodes lacks this one, %.40s" PK_SERVICE_OTHER,
			v->id);
	return *err->text;
}

/* Takes a failure: nodes that were heard of count as alive until Nomad says otherwise. */
static void failed(struct vars_store *v, enum pk_source_fault fault, const char *why)
{
	const struct pk_store_answer answer = { .why = why, .fault = fault };

	drop(&v->heard);
	if (v->nodes_source.failures == 0)
		log_warn("op=nodes err=\"%s\" keeping what is known of which nodes are ready", why);
	pk_source_bad(&v->nodes_source, fault, why);
	v->nodes_history.index = 0;
	pk_timer_set(v->nodes_timer, pk_backoff_ms(v->nodes_source.failures - 1));
	if (!v->knows_nodes)
		vars_fail(v, NULL, &answer);
}

/* Wakes the calls that wait for keys of a node that came to live, or ceased to. */
static void stir(struct vars_store *v)
{
	v->stirs++;
	for (struct var *var = v->vars; var; var = var->hh.next)
		if (var->holder &&
		    is_ready(v->nodes, var->holder) != is_ready(v->heard, var->holder))
			var->stirred = v->stirs;
	v->changes++;
}

static void take(struct vars_store *v)
{
	pk_source_good(&v->nodes_source);
	v->knows_nodes = true;
	stir(v);
	drop(&v->nodes);
	v->nodes = PK_MOVE(v->heard, NULL);
	pk_timer_set(v->nodes_timer, NODES_MS + pk_backoff_ms(0));
	vars_serve_soon(v);
}

static void on_nodes(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	char why[300];

	v->nodes_call = NULL;
	if (is_no_truth(v, reply)) {
		/* A server that lags may lack it: ask the leader. */
		v->nodes_history.sure = true;
		failed(v, PK_FAULT_ANSWER, v->nodes_error.text);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		failed(v, pk_http_fault(reply), why);
	} else if (pk_history_takes(&v->nodes_history, reply->index)) {
		take(v);
	} else {
		drop(&v->heard);
		pk_timer_set(v->nodes_timer, pk_backoff_ms(0));
	}
}

/*
 * Waits for a change of any node, and asks for all. Nomad can't be asked for those alone that
 * aren't ready, and one that is in no list isn't ready either.
 */
static void ask_nodes(void *arg)
{
	struct vars_store *v = arg;
	struct pk_err err = { 0 };
	own_str path = { 0 };
	struct pk_service_call call = { .cap = NODES_MAX,
					.sink = on_bytes,
					.turn = v->nodes_source.turn,
					.timeout_ms = VARS_TIMEOUT_MS };

	drop(&v->heard);
	v->nodes_error = (struct pk_err){ 0 };
	pk_vars_nodes_free(v->nodes_reader);
	v->nodes_reader = pk_vars_nodes_new(on_node, v);
	pk_str_add(&path, "/v1/nodes");
	pk_history_query(&v->nodes_history, NODES_S, &path);
	if (v->nodes_history.index)
		call.timeout_ms += NODES_S * 1000 * 17 / 16;
	call.path = path.text;
	v->nodes_call = vars_start(v, &call, on_nodes, v, &err);
	if (!v->nodes_call)
		failed(v, PK_FAULT_UNASKED, err.text);
}

const struct pk_source *vars_knows_who_lives(const struct pk_store *store)
{
	return &((const struct vars_store *)store)->nodes_source;
}

void vars_nodes_begin(struct vars_store *v)
{
	v->nodes_timer = pk_timer_new(v->loop, ask_nodes, v);
	/* the first answer is the leader's: nothing is known yet by which one that lags shows */
	v->nodes_history.sure = true;
	pk_source_start(&v->nodes_source);
	pk_timer_set(v->nodes_timer, 0);
}

void vars_nodes_end(struct vars_store *v)
{
	pk_http_cancel(v->nodes_call);
	pk_timer_free(v->nodes_timer);
	pk_vars_nodes_free(v->nodes_reader);
	drop(&v->heard);
	drop(&v->nodes);
}
