/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The HTTP client: libcurl's multi interface on the loop. Every request has a time limit and a cap
 * on its body; redirects and proxies are not followed. libcurl appears in http.c and
 * lib/http/http_curl.c alone.
 */
#include "http_request.h"
#include "loop.h"
#include "source.h"

struct pk_http;
struct pk_http_call;

/*
 * Is called once, never from within pk_http_start, never after a cancel. reply is valid during the
 * call only.
 */
typedef void pk_http_fn(void *arg, const struct pk_http_reply *reply);

/* Returns whose fault it is where a reply is no good. */
static inline enum pk_source_fault pk_http_fault(const struct pk_http_reply *reply)
{
	return reply->status || reply->over || reply->cut ? PK_FAULT_ANSWER : PK_FAULT_SILENT;
}

struct pk_http *pk_http_new(struct pk_loop *loop);
void pk_http_free(struct pk_http *http); /* cancels what is under way */
/* Returns NULL where the request can't be made (bad URL); fn isn't called then. */
struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg);
void pk_http_cancel(struct pk_http_call *call);
/*
 * Ends all requests to that server (an address of struct pk_service) that are under way, as failed
 * for that reason: their functions are called.
 */
void pk_http_give_up(struct pk_http *http, const char *server, const char *why);
