/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_watch.h"

#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "log.h"
#include "own.h"
#include "service.h"

#define NEWS_MAX 65536	  /* most bytes of an answer to a question whose only news is the index */
#define SLICE_NS 10000000 /* most time of one turn of looking at keys; others are served between */

struct pk_keys_watch {
	struct pk_keys_watch_args args;
	char *prefix;
	struct pk_timer *timer, *ahead;
	struct pk_store_call *call;
	struct pk_kvs kvs; /* keys of the answer that is looked at, in turns, before it is told */
	size_t at;
	struct pk_keys_answer answer;
	struct pk_source source;
	struct pk_pace pace;
	struct pk_kv_wait wait;
	uint64_t index; /* the next question waits for a change past it */
	uint64_t seen;	/* the last answer's index */
	bool answered;
	/* the store seems restored from a backup: the next answer is told as `behind` */
	bool suspected;
	bool hasty;
	bool stirred; /* the short question was answered: ask for the whole list */
	bool empty;   /* the last answer had no key */
};

static void failed(struct pk_keys_watch *w, enum pk_source_fault fault, const char *why)
{
	if (w->source.failures == 0)
		log_warn("op=cluster keys=\"%s\" err=\"%s\" keeping what is known", w->prefix, why);
	pk_source_bad(&w->source, fault, why);
	w->index = 0;
	pk_timer_set(w->timer, pk_backoff_ms(w->source.failures - 1));
}

/* Says that the question under way isn't answered now. */
static void note_outage(struct pk_keys_watch *w)
{
	if (w->call && pk_source_note_outage(&w->source))
		log_warn("op=cluster keys=\"%s\" err=\"%s\" keeping what is known", w->prefix,
			 w->source.outage);
}

/* Forgets the call, which is answered. */
static void ended(struct pk_keys_watch *w)
{
	w->call = NULL;
	w->source.outage = NULL;
}

/*
 * Returns whether the answer looks like one from a restored backup, which ends a waiting question
 * early; then asks again, without an index.
 */
static bool is_from_before(struct pk_keys_watch *w, uint64_t index)
{
	uint64_t now = pk_loop_now(w->args.loop);

	if (!w->args.store->ops->waits_end_early || !pk_kv_wait_suspects(&w->wait, index, now))
		return false;
	w->suspected = true;
	w->index = 0;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, now));
	return true;
}

/* Tells the answer whose keys all were looked at, and asks the next question in time. */
static void tell(struct pk_keys_watch *w)
{
	PK_OWN(pk_kvs_done) struct pk_kvs kvs = PK_MOVE(w->kvs, (struct pk_kvs){ 0 });
	struct pk_keys_answer answer = w->answer;

	answer.kvs = &kvs;
	w->answered = true;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	w->args.fn(w->args.arg, &answer);
}

/* Looks at keys, as many as one turn has; the last turn tells of all. */
static void look_ahead(void *arg)
{
	const uint64_t until = pk_now_ns() + SLICE_NS;
	struct pk_keys_watch *w = arg;

	while (w->args.ahead && w->at < w->kvs.n) {
		w->args.ahead(w->args.arg, &w->kvs.list[w->at++]);
		if (pk_now_ns() >= until) {
			pk_timer_set(w->ahead, 0);
			return;
		}
	}
	tell(w);
}

static void on_keys(void *arg, const struct pk_store_answer *reply)
{
	struct pk_keys_watch *w = arg;

	ended(w);
	if (reply->why) {
		failed(w, reply->fault, reply->why);
		return;
	}
	if (is_from_before(w, reply->index))
		return;
	w->answer = (struct pk_keys_answer){ .first = !w->answered, .filtered = reply->filtered };
	w->answer.behind = PK_MOVE(w->suspected, false) || reply->older || reply->index < w->seen;
	/* An index that went back is another history's: ask without one. */
	w->index = reply->index < w->seen ? 0 : reply->index;
	w->seen = w->source.index = reply->index;
	w->empty = !reply->kvs->n;
	w->kvs = PK_MOVE(*reply->kvs, (struct pk_kvs){ 0 });
	w->at = 0;
	look_ahead(w);
}

static void on_news(void *arg, const struct pk_store_answer *reply)
{
	struct pk_keys_watch *w = arg;
	uint64_t now = pk_loop_now(w->args.loop);

	ended(w);
	if (reply->why) {
		failed(w, reply->fault, reply->why);
		return;
	}
	/*
	 * For a prefix without keys Consul gives the index of the whole store, which changes all
	 * the time: an empty answer is no news.
	 */
	if (w->empty && !reply->kvs->n && reply->index > w->index)
		w->index = w->seen = w->source.index = reply->index;
	else
		w->stirred =
			reply->index != w->index || w->hasty || !pk_kv_wait_ran_out(&w->wait, now);
	w->suspected |= reply->older || (w->args.store->ops->waits_end_early &&
					 pk_kv_wait_suspects(&w->wait, reply->index, now));
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, now));
}

static void ask(void *arg)
{
	struct pk_keys_watch *w = arg;
	bool news = w->args.many && w->index && !PK_MOVE(w->stirred, false);
	const struct pk_store_question q = { .prefix = w->prefix,
					     .what = news ? PK_STORE_NEWS : PK_STORE_KEYS,
					     .wait = &w->wait,
					     .budget = w->args.budget,
					     .cap = news ? NEWS_MAX : w->args.cap,
					     .timeout_ms = PK_KV_WAIT_MS,
					     .turn = w->source.turn };
	struct pk_err err = { 0 };

	pk_kv_wait_begin(&w->wait, w->args.many && !news ? 0 : w->index, w->hasty,
			 pk_loop_now(w->args.loop));
	w->call = pk_store_ask(w->args.store, &q, news ? on_news : on_keys, w, &err);
	if (!w->call)
		failed(w, PK_FAULT_UNASKED, err.text);
	else
		note_outage(w);
}

struct pk_keys_watch *pk_keys_watch_new(const struct pk_keys_watch_args *args)
{
	struct pk_keys_watch *w = pk_alloc(sizeof(*w));

	w->args = *args;
	w->prefix = pk_strdup(args->prefix);
	pk_source_start(&w->source);
	w->timer = pk_timer_new(args->loop, ask, w);
	w->ahead = pk_timer_new(args->loop, look_ahead, w);
	pk_timer_set(w->timer, 0);
	return w;
}

void pk_keys_watch_free(struct pk_keys_watch *w)
{
	if (!w)
		return;
	pk_store_cancel(w->args.store, w->call);
	pk_timer_free(w->timer);
	pk_timer_free(w->ahead);
	pk_kvs_done(&w->kvs);
	free(w->prefix);
	free(w);
}

void pk_keys_watch_hasty(struct pk_keys_watch *w, bool hasty)
{
	w->hasty = hasty;
}

void pk_keys_watch_unserved(struct pk_keys_watch *w, const char *why)
{
	w->source.outage = why;
	note_outage(w);
}

void pk_keys_watch_served(struct pk_keys_watch *w, bool anew)
{
	if (!pk_source_served(&w->source) || !w->call || !anew)
		return;
	pk_store_cancel(w->args.store, PK_MOVE(w->call, NULL));
	pk_timer_set(w->timer, 0);
}

const struct pk_source *pk_keys_watch_source(const struct pk_keys_watch *w)
{
	return &w->source;
}
