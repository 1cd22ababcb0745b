/* SPDX-License-Identifier: Apache-2.0 */
#include "token_watch.h"

#include <stdlib.h>

#include "own.h"
#include "service.h"
#include "tries.h"

#define WAIT_S	   60
#define POLL_MS	   15000 /* between two questions to a service that doesn't wait */
#define HASTY_MS   1000	 /* an answer without news that comes sooner didn't wait */
#define NEVER_MS   60000 /* between two questions where the service never knew the token */
#define TIMEOUT_MS 10000
/* most bytes of an answer, which has the token's policies and roles */
#define ANSWER_MAX (1u << 20)

struct pk_token_watch {
	struct pk_token_watch_args args;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_pace pace;
	uint64_t index; /* the next question waits for a change past it; 0: it doesn't wait */
	uint64_t asked_ms;
	struct pk_tries tries;
	bool was_known; /* the service knew it once, or says nothing of such tokens */
	bool is_lost;
};

/*
 * Returns the pause until the next question. Consul waits with its answer; Nomad answers at once,
 * whatever index is named.
 */
static uint64_t pause_ms(struct pk_token_watch *w, uint64_t index)
{
	const uint64_t now = pk_loop_now(w->args.loop);

	if (w->index == index && now - w->asked_ms < HASTY_MS)
		return POLL_MS + pk_backoff_ms(0);
	return pk_pace_ms(&w->pace, now);
}

static void taken(struct pk_token_watch *w)
{
	if (PK_MOVE(w->is_lost, false))
		w->args.told(w->args.arg);
}

static void known(struct pk_token_watch *w, uint64_t index)
{
	pk_timer_set(w->timer, pause_ms(w, index));
	w->index = index;
	pk_tries_good(&w->tries);
	w->was_known = true;
	taken(w);
}

/* Notes that the service says nothing of this token: it is a workload's own, or ACLs are off. */
static void no_kind(struct pk_token_watch *w)
{
	w->index = 0;
	w->was_known = false;
	pk_timer_set(w->timer, NEVER_MS);
	taken(w);
}

/* Takes a refusal. After a wait the file may have another token by now: ask again first. */
static void refused(struct pk_token_watch *w)
{
	if (PK_MOVE(w->index, 0)) {
		pk_timer_set(w->timer, 0);
		return;
	}
	pk_timer_set(w->timer, w->was_known ? pk_tries_again(&w->tries) : NEVER_MS);
	if (!w->was_known)
		return;
	w->is_lost = true;
	w->args.told(w->args.arg);
}

/*
 * Returns whether the service says nothing of such tokens. Nomad answers 404 for a good workload's
 * token, 403 for a revoked one. With ACLs off Consul answers 401, Nomad without an index.
 */
static bool is_no_kind(const struct pk_token_watch *w, const struct pk_http_reply *reply)
{
	return reply->status == 200 || reply->status == 401 || (reply->status == 404 && !w->index);
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	struct pk_token_watch *w = arg;

	w->call = NULL;
	if (reply->status == 200 && reply->index) {
		known(w, reply->index);
	} else if (is_no_kind(w, reply)) {
		no_kind(w);
	} else if (reply->status == 403 || reply->status == 404) {
		refused(w);
	} else {
		w->index = 0;
		w->tries.turn++;
		pk_timer_set(w->timer, w->was_known ? pk_tries_again(&w->tries) : NEVER_MS);
	}
}

static void ask(void *arg)
{
	struct pk_token_watch *w = arg;
	own_str path = { 0 };
	struct pk_service_call call = { .service = w->args.service,
					.header = w->args.header,
					.turn = w->tries.turn,
					.timeout_ms = TIMEOUT_MS,
					.cap = ANSWER_MAX };

	pk_str_add(&path, "/v1/acl/token/self?stale=true");
	if (w->index) {
		pk_str_addf(&path, "&index=%lu&wait=%ds", w->index, WAIT_S);
		call.timeout_ms += WAIT_S * 1000 * 17 / 16;
	}
	call.path = path.text;
	w->asked_ms = pk_loop_now(w->args.loop);
	w->call = pk_service_start(w->args.http, &call, on_answer, w, NULL);
	if (!w->call)
		pk_timer_set(w->timer, pk_tries_again(&w->tries));
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

#define LOST "status 403: picketd's token isn't known any more; fix: "

const char *pk_token_watch_why(const struct pk_token_watch *w)
{
	if (!w || !w->is_lost)
		return NULL;
	if (*w->args.service->token_file)
		return LOST "write another one into the file that tokenFile names";
	return LOST "set another one in picketd's environment and restart it, or name a tokenFile";
}
