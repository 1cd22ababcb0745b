/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_watch.h"

#include <stdlib.h>
#include <string.h>

#include "kv_query.h"
#include "log.h"
#include "own.h"
#include "service.h"

#define NEWS_MAX 65536 /* bytes of the answer that says that there is something newer */

struct pk_keys_watch {
	struct pk_keys_watch_args args;
	char *prefix;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_kv_query query;
	struct pk_source source;
	struct pk_pace pace;
	struct pk_kv_wait wait;
	uint64_t index, seen; /* to ask behind; the highest that was told */
	bool answered;
	bool suspected; /* the store was restored: the next answer is told as an older history's */
	bool hasty;
	bool leaderless; /* the question waits on though the servers have no leader */
	bool stirred;	 /* a question whose answer is short says that there is something newer */
	bool empty;	 /* the last answer had no key */
};

static void failed(struct pk_keys_watch *w, enum pk_source_fault fault, const char *why)
{
	if (w->source.failures == 0)
		log_warn("op=cluster keys=\"%s\" err=\"%s\" keeping what is known", w->prefix, why);
	pk_source_bad(&w->source, fault, why);
	w->leaderless = false;
	w->index = 0;
	pk_timer_set(w->timer, pk_backoff_ms(w->source.failures - 1));
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_keys_watch *w = arg;

	return pk_kv_query_feed(&w->query, bytes, n);
}

/* Asks anew: a restore ends a wait with the keys from before it. */
static bool is_from_before(struct pk_keys_watch *w, const struct pk_http_reply *reply)
{
	uint64_t now = pk_loop_now(w->args.loop);

	if (!pk_kv_wait_suspects(&w->wait, reply->index, now))
		return false;
	w->suspected = true;
	w->index = 0;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, now));
	return true;
}

static void on_keys(void *arg, const struct pk_http_reply *reply)
{
	PK_OWN(pk_kvs_done) struct pk_kvs kvs = { 0 };
	struct pk_keys_watch *w = arg;
	struct pk_keys_answer answer = { .kvs = &kvs };
	char why[300];

	w->call = NULL;
	if (pk_kv_query_end(&w->query, reply, &kvs, why, sizeof(why)) < 0) {
		failed(w, pk_kv_query_fault(&w->query, reply), why);
		return;
	}
	if (is_from_before(w, reply))
		return;
	answer.first = !w->answered;
	answer.behind = PK_MOVE(w->suspected, false) || reply->index < w->seen;
	answer.filtered = reply->filtered;
	w->answered = true;
	/* Another history is asked without an index. */
	w->index = reply->index < w->seen ? 0 : reply->index;
	w->seen = w->source.index = reply->index;
	w->empty = !kvs.n;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	w->args.fn(w->args.arg, &answer);
}

static void on_news(void *arg, const struct pk_http_reply *reply)
{
	struct pk_keys_watch *w = arg;
	uint64_t now = pk_loop_now(w->args.loop);
	char why[300] = "no index: not Consul's KV";

	w->call = NULL;
	if (pk_service_failed(reply, true, why, sizeof(why)) || !reply->index) {
		failed(w, pk_http_fault(reply), why);
		return;
	}
	/* Consul gives a folder without keys the index of its whole store. */
	if (w->empty && reply->status == 404 && reply->index > w->index)
		w->index = w->seen = w->source.index = reply->index;
	else
		w->stirred =
			reply->index != w->index || w->hasty || !pk_kv_wait_ran_out(&w->wait, now);
	w->suspected |= pk_kv_wait_suspects(&w->wait, reply->index, now);
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, now));
}

/*
 * Asks for what is newer by the folder's name alone: at the end of a wait Consul answers with all
 * that is asked for, and of all nodes that is much.
 */
static void ask_news(struct pk_keys_watch *w)
{
	struct pk_service_call call = { .service = w->args.consul,
					.header = "X-Consul-Token",
					.turn = w->source.errors,
					.timeout_ms = PK_KV_WAIT_MS,
					.cap = NEWS_MAX };
	struct pk_err err = { 0 };
	own_str path = { 0 }, folder = { 0 };

	pk_str_addn(&folder, w->prefix, strlen(w->prefix) - 1);
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, folder.text, "/");
	pk_str_add(&path, "?keys=true&separator=/&stale=true");
	pk_kv_wait_begin(&w->wait, &path, w->index, w->hasty, pk_loop_now(w->args.loop));
	call.path = path.text;
	w->call = pk_service_start(w->args.http, &call, on_news, w, &err);
	if (!w->call)
		failed(w, PK_FAULT_UNASKED, err.text);
}

static void ask_keys(struct pk_keys_watch *w)
{
	struct pk_service_call call = { .service = w->args.consul,
					.header = "X-Consul-Token",
					.turn = w->source.errors,
					.timeout_ms = PK_KV_WAIT_MS,
					.cap = w->args.cap,
					.sink = on_bytes };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	pk_kv_query_begin(&w->query, w->prefix, &w->args.budget, &path);
	/* Any server may answer: one that lags says what was so milliseconds ago. */
	pk_str_add(&path, "&stale=true");
	pk_kv_wait_begin(&w->wait, &path, w->args.many ? 0 : w->index, w->hasty,
			 pk_loop_now(w->args.loop));
	call.path = path.text;
	w->call = pk_service_start(w->args.http, &call, on_keys, w, &err);
	if (!w->call)
		failed(w, PK_FAULT_UNASKED, err.text);
}

static void ask(void *arg)
{
	struct pk_keys_watch *w = arg;

	if (w->args.many && w->index && !PK_MOVE(w->stirred, false))
		ask_news(w);
	else
		ask_keys(w);
}

struct pk_keys_watch *pk_keys_watch_new(const struct pk_keys_watch_args *args)
{
	struct pk_keys_watch *w = pk_alloc(sizeof(*w));

	w->args = *args;
	w->prefix = pk_strdup(args->prefix);
	pk_source_start(&w->source);
	w->timer = pk_timer_new(args->loop, ask, w);
	pk_timer_set(w->timer, 0);
	return w;
}

void pk_keys_watch_free(struct pk_keys_watch *w)
{
	if (!w)
		return;
	pk_http_cancel(w->call);
	pk_timer_free(w->timer);
	pk_kv_query_done(&w->query);
	free(w->prefix);
	free(w);
}

void pk_keys_watch_hasty(struct pk_keys_watch *w, bool hasty)
{
	w->hasty = hasty;
}

void pk_keys_watch_leaderless(struct pk_keys_watch *w)
{
	if (!w->call || w->source.failures)
		return;
	log_warn("op=cluster keys=\"%s\" err=\"" PK_SERVICE_NO_LEADER "\" keeping what is known",
		 w->prefix);
	pk_source_bad(&w->source, PK_FAULT_ANSWER, PK_SERVICE_NO_LEADER);
	w->leaderless = true;
}

void pk_keys_watch_led(struct pk_keys_watch *w)
{
	if (PK_MOVE(w->leaderless, false) && w->call)
		pk_source_good(&w->source);
}

const struct pk_source *pk_keys_watch_source(const struct pk_keys_watch *w)
{
	return &w->source;
}
