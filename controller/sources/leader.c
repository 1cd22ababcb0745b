/* SPDX-License-Identifier: Apache-2.0 */
#include "leader.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "service.h"

#define EACH_MS	   5000
#define TIMEOUT_MS 10000 /* servers hold the question for seconds, waiting for a leader */
#define ANSWER_MAX 4096

struct pk_leader {
	struct pk_leader_args args;
	struct pk_timer *timer;
	struct pk_http_call *call;
	unsigned int errors;
	bool is_lost;
};

bool pk_leader_is_lost(const struct pk_http_reply *reply)
{
	char why[300];

	if (reply->status == 200)
		return strncmp(reply->body, "\"\"", 2) == 0;
	return pk_service_failed(reply, false, why, sizeof(why)) &&
	       strcmp(why, PK_SERVICE_NO_LEADER) == 0;
}

static void again(struct pk_leader *l)
{
	pk_timer_set(l->timer, EACH_MS + pk_backoff_ms(0));
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	struct pk_leader *l = arg;

	l->call = NULL;
	l->errors += reply->status != 200;
	again(l);
	if (pk_leader_is_lost(reply)) {
		l->is_lost = true;
		l->args.told(l->args.arg);
	} else if (l->is_lost && reply->status == 200) {
		l->is_lost = false;
		l->args.told(l->args.arg);
	}
}

static void ask(void *arg)
{
	struct pk_leader *l = arg;
	struct pk_service_call call = { .service = l->args.service,
					.header = l->args.header,
					.path = "/v1/status/leader",
					.turn = l->errors,
					.timeout_ms = TIMEOUT_MS,
					.cap = ANSWER_MAX };

	l->call = pk_service_start(l->args.http, &call, on_answer, l, NULL);
	if (!l->call)
		again(l);
}

const char *pk_leader_why(const struct pk_leader *l)
{
	return l && l->is_lost ? PK_SERVICE_NO_LEADER : NULL;
}

struct pk_leader *pk_leader_new(const struct pk_leader_args *args)
{
	struct pk_leader *l = pk_alloc(sizeof(*l));

	l->args = *args;
	l->timer = pk_timer_new(args->loop, ask, l);
	again(l);
	return l;
}

void pk_leader_free(struct pk_leader *l)
{
	if (!l)
		return;
	pk_http_cancel(l->call);
	pk_timer_free(l->timer);
	free(l);
}
