/* SPDX-License-Identifier: Apache-2.0 */
#include "keys_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "service.h"

#define WAIT_S 60

struct pk_keys_watch {
	struct pk_keys_watch_args args;
	char *prefix;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_kv_reader *reader;
	struct pk_err read_error;
	int read_result;
	struct pk_source source;
	struct pk_pace pace;
	uint64_t index, seen; /* to ask behind; the highest that was told */
	bool answered;
};

static void failed(struct pk_keys_watch *w, enum pk_source_fault fault, const char *why)
{
	if (w->source.failures == 0)
		log_warn("op=cluster keys=\"%s\" err=\"%s\" keeping what is known", w->prefix, why);
	pk_source_bad(&w->source, fault, why);
	w->index = 0;
	pk_timer_set(w->timer, pk_backoff_ms(w->source.failures - 1));
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_keys_watch *w = arg;

	w->read_result = pk_kv_reader_feed(w->reader, bytes, n, &w->read_error);
	return w->read_result == 0;
}

/* Reads the keys of an answer; 404 is the answer for a prefix without keys. */
static int decode(struct pk_keys_watch *w, const struct pk_http_reply *reply, struct pk_kvs *kvs,
		  char *why, size_t room)
{
	if (w->read_result < 0 ||
	    (reply->status == 200 && pk_kv_reader_end(w->reader, kvs, &w->read_error) < 0)) {
		snprintf(why, room, "%.250s", w->read_error.text);
		return -1;
	}
	if (pk_service_failed(reply, true, why, room))
		return -1;
	if (reply->index)
		return 0;
	snprintf(why, room, "%d without an index: not Consul's KV", reply->status);
	return -1;
}

static void on_keys(void *arg, const struct pk_http_reply *reply)
{
	PK_OWN(pk_kvs_done) struct pk_kvs kvs = { 0 };
	struct pk_keys_watch *w = arg;
	struct pk_keys_answer answer = { .kvs = &kvs };
	char why[300];

	w->call = NULL;
	if (decode(w, reply, &kvs, why, sizeof(why)) < 0) {
		failed(w, w->read_result < 0 ? PK_FAULT_ANSWER : pk_http_fault(reply), why);
		return;
	}
	answer.first = !w->answered;
	answer.behind = reply->index < w->seen;
	answer.filtered = reply->filtered;
	w->answered = true;
	/* Another history is asked without an index. */
	w->index = answer.behind ? 0 : reply->index;
	w->seen = w->source.index = reply->index;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	w->args.fn(w->args.arg, &answer);
}

static void ask(void *arg)
{
	struct pk_keys_watch *w = arg;
	struct pk_service_call call = { .service = w->args.consul,
					.header = "X-Consul-Token",
					.turn = w->source.errors,
					.timeout_ms = (WAIT_S + WAIT_S / 16 + 10) * 1000,
					.cap = w->args.cap,
					.sink = on_bytes };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	pk_kv_reader_free(w->reader);
	w->reader = pk_kv_reader_new(w->prefix, &w->args.budget);
	w->read_result = 0;
	w->read_error = (struct pk_err){ 0 };
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, w->prefix, "/");
	pk_str_add(&path, "?recurse=true");
	if (w->index)
		pk_str_addf(&path, "&index=%lu&wait=%ds", w->index, WAIT_S);
	call.path = path.text;
	w->call = pk_service_start(w->args.http, &call, on_keys, w, &err);
	if (!w->call)
		failed(w, PK_FAULT_UNASKED, err.text);
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
	pk_kv_reader_free(w->reader);
	free(w->prefix);
	free(w);
}

const struct pk_source *pk_keys_watch_source(const struct pk_keys_watch *w)
{
	return &w->source;
}
