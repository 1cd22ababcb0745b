/* SPDX-License-Identifier: Apache-2.0 */
#include "token_watch.h"

#include <stdlib.h>

#include "own.h"
#include "service.h"

#define WAIT_S	   60
#define NEVER_MS   60000 /* between two questions about a token that was never known */
#define TIMEOUT_MS 10000
#define ANSWER_MAX (1u << 20) /* a token's policies and roles are in it */

struct pk_token_watch {
	struct pk_token_watch_args args;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_pace pace;
	uint64_t index; /* to ask behind; 0: the next question doesn't wait */
	unsigned int errors, failures;
	bool was_known; /* or it isn't one of this kind: a workload's own, or ACLs are off */
	bool is_lost;
};

static void known(struct pk_token_watch *w, uint64_t index)
{
	w->index = index;
	w->failures = 0;
	w->was_known = true;
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	if (PK_MOVE(w->is_lost, false))
		w->args.told(w->args.arg);
}

/* A wait's answer is about the token that it was asked with: the file may have another by now. */
static void refused(struct pk_token_watch *w)
{
	if (PK_MOVE(w->index, 0)) {
		pk_timer_set(w->timer, 0);
		return;
	}
	pk_timer_set(w->timer, w->was_known ? pk_backoff_ms(w->failures++) : NEVER_MS);
	if (!w->was_known)
		return;
	w->is_lost = true;
	w->args.told(w->args.arg);
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	struct pk_token_watch *w = arg;

	w->call = NULL;
	if (reply->status == 200 && reply->index) {
		known(w, reply->index);
	} else if (reply->status == 401 || reply->status == 403 || reply->status == 404) {
		refused(w);
	} else {
		w->index = 0;
		w->errors++;
		pk_timer_set(w->timer, w->was_known ? pk_backoff_ms(w->failures++) : NEVER_MS);
	}
}

static void ask(void *arg)
{
	struct pk_token_watch *w = arg;
	own_str path = { 0 };
	struct pk_service_call call = { .service = w->args.service,
					.header = w->args.header,
					.turn = w->errors,
					.timeout_ms = TIMEOUT_MS,
					.cap = ANSWER_MAX };

	pk_str_add(&path, "/v1/acl/token/self?stale=true");
	if (w->index) {
		pk_str_addf(&path, "&index=%lu&wait=%ds", w->index, WAIT_S);
		call.timeout_ms += WAIT_S * 1000 * 17 / 16;
	}
	call.path = path.text;
	w->call = pk_service_start(w->args.http, &call, on_answer, w, NULL);
	if (!w->call)
		pk_timer_set(w->timer, pk_backoff_ms(w->failures++));
}

struct pk_token_watch *pk_token_watch_new(const struct pk_token_watch_args *args)
{
	struct pk_token_watch *w;

	if (!*args->service->token && !*args->service->token_file)
		return NULL;
	w = pk_alloc(sizeof(*w));
	w->args = *args;
	w->timer = pk_timer_new(args->loop, ask, w);
	pk_timer_set(w->timer, 0);
	return w;
}

void pk_token_watch_free(struct pk_token_watch *w)
{
	if (!w)
		return;
	pk_http_cancel(w->call);
	pk_timer_free(w->timer);
	free(w);
}

const char *pk_token_watch_why(const struct pk_token_watch *w)
{
	return w && w->is_lost ? "status 403: picketd's token isn't known any more; fix: write "
				 "another one into the file that tokenFile names"
			       : NULL;
}
