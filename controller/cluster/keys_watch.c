/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_watch.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "service.h"

#define NEWS_MAX 65536 /* most bytes of an answer to a question whose only news is the index */

struct pk_keys_watch {
	struct pk_keys_watch_args args;
	char *prefix;
	struct pk_timer *timer;
	struct pk_store_call *call;
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

static void on_keys(void *arg, const struct pk_store_answer *reply)
{
	struct pk_keys_watch *w = arg;
	struct pk_keys_answer answer = { .kvs = reply->kvs };

	ended(w);
	if (reply->why) {
		failed(w, reply->fault, reply->why);
		return;
	}
	if (is_from_before(w, reply->index))
		return;
	answer.first = !w->answered;
	answer.behind = PK_MOVE(w->suspected, false) || reply->older || reply->index < w->seen;
	answer.filtered = reply->filtered;
	w->answered = true;
	/* An index that went back is another history's: ask without one. */
	w->index = reply->index < w->seen ? 0 : reply->index;
	w->seen = w->source.index = reply->index;
	w->empty = !reply->kvs->n;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	w->args.fn(w->args.arg, &answer);
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
	pk_timer_set(w->timer, 0);
	return w;
}

void pk_keys_watch_free(struct pk_keys_watch *w)
{
	if (!w)
		return;
	pk_store_cancel(w->args.store, w->call);
	pk_timer_free(w->timer);
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
