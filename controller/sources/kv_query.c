/* SPDX-License-Identifier: Apache-2.0 */
#include "kv_query.h"

#include <errno.h>
#include <stdio.h>

#include "loop.h"
#include "service_call.h"

void pk_kv_query_begin(struct pk_kv_query *q, const char *prefix, const struct pk_kv_budget *budget,
		       struct pk_str *path)
{
	pk_kv_query_done(q);
	q->reader = pk_kv_reader_new(prefix, budget);
	pk_str_add(path, "/v1/kv/");
	pk_url_add(path, prefix, "/");
	pk_str_add(path, "?recurse=true");
}

static unsigned int seconds_of(struct pk_kv_wait *w, bool hasty)
{
	if (!hasty) {
		w->hasty = 0;
		return PK_KV_WAIT_S;
	}
	return 1 + (unsigned int)(pk_backoff_ms(w->hasty++) / 1000);
}

void pk_kv_wait_begin(struct pk_kv_wait *w, struct pk_str *path, uint64_t index, bool hasty,
		      uint64_t now_ms)
{
	w->index = index;
	w->asked_ms = now_ms;
	w->seconds = seconds_of(w, hasty);
	if (index)
		pk_str_addf(path, "&index=%lu&wait=%us", index, w->seconds);
}

bool pk_kv_wait_ran_out(const struct pk_kv_wait *w, uint64_t now_ms)
{
	return w->index && now_ms - w->asked_ms >= w->seconds * 1000ull;
}

bool pk_kv_wait_suspects(struct pk_kv_wait *w, uint64_t index, uint64_t now_ms)
{
	bool before = w->woken;

	if (!w->index)
		return false;
	w->woken = index == w->index && !pk_kv_wait_ran_out(w, now_ms);
	return w->woken && !before;
}

bool pk_kv_query_feed(struct pk_kv_query *q, const char *bytes, size_t n)
{
	q->result = pk_kv_reader_feed(q->reader, bytes, n, &q->error);
	return q->result == 0;
}

static int read_keys(struct pk_kv_query *q, const struct pk_http_reply *reply, struct pk_kvs *kvs,
		     char *why, size_t room)
{
	if (q->result < 0 ||
	    (reply->status == 200 && pk_kv_reader_end(q->reader, kvs, &q->error) < 0)) {
		snprintf(why, room, "%.200s%s", q->error.text,
			 q->result == -E2BIG ? "" : PK_SERVICE_OTHER);
		return -1;
	}
	if (pk_service_failed(reply, true, why, room))
		return -1;
	if (reply->index)
		return 0;
	snprintf(why, room, "%d without an index: not Consul's KV" PK_SERVICE_OTHER, reply->status);
	return -1;
}

int pk_kv_query_end(struct pk_kv_query *q, const struct pk_http_reply *reply, struct pk_kvs *kvs,
		    char *why, size_t room)
{
	int r;

	*kvs = (struct pk_kvs){ 0 };
	r = read_keys(q, reply, kvs, why, room);
	if (r < 0)
		pk_kvs_done(kvs);
	return r;
}

enum pk_source_fault pk_kv_query_fault(const struct pk_kv_query *q,
				       const struct pk_http_reply *reply)
{
	return q->result < 0 ? PK_FAULT_ANSWER : pk_http_fault(reply);
}

void pk_kv_query_done(struct pk_kv_query *q)
{
	pk_kv_reader_free(q->reader);
	*q = (struct pk_kv_query){ 0 };
}
