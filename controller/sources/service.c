/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "own.h"

#define PAUSE_MS 20   /* the least time between two queries */
#define EACH_MS	 1000 /* how much of the allowance an answer uses up */
#define BURST	 3    /* answers that the allowance holds */

struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err)
{
	PK_OWN(pk_service_parts_done) struct pk_service_parts parts = { 0 };
	struct pk_http_request request = { .method = call->method,
					   .body = call->body,
					   .token_header = call->header,
					   .timeout_ms = call->timeout_ms,
					   .cap = call->cap,
					   .sink = call->sink };
	struct pk_http_call *started;

	if (pk_service_request(call->service, call->path, call->turn, &parts, &request, err) < 0)
		return NULL;
	started = pk_http_start(http, &request, fn, arg);
	if (!started)
		pk_fail(err, 0, "no usable address: \"%.200s\"", request.url);
	return started;
}

unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms)
{
	uint64_t from = pace->full_ms > now_ms ? pace->full_ms : now_ms;

	pace->full_ms = from + EACH_MS;
	if (pace->full_ms <= now_ms + BURST * EACH_MS)
		return PAUSE_MS;
	return (unsigned int)(pace->full_ms - now_ms - BURST * EACH_MS);
}

bool pk_history_takes(struct pk_history *h, uint64_t index)
{
	if (!h->sure && index < h->seen) {
		*h = (struct pk_history){ .seen = h->seen, .sure = true };
		return false;
	}
	*h = (struct pk_history){ .index = index, .seen = index };
	return true;
}

void pk_history_query(const struct pk_history *h, unsigned int wait_s, struct pk_str *path)
{
	if (!h->sure)
		pk_str_add(path, "?stale=true");
	if (h->index)
		pk_str_addf(path, "%sindex=%lu&wait=%us", h->sure ? "?" : "&", h->index, wait_s);
}
