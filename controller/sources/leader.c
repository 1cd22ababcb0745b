/* SPDX-License-Identifier: Apache-2.0 */
#include "leader.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "service.h"

#define EACH_MS	   5000
#define TIMEOUT_MS 10000 /* servers hold the question for seconds, waiting for a leader */
#define ANSWER_MAX 4096
/* Unanswered questions in a row until an address is given up, and until it is once more. */
#define SILENT_FIRST 2
#define SILENT_AGAIN 4

/* A question, and whom it was asked. */
struct probe {
	struct pk_leader *leader;
	struct pk_http_call *call;
	unsigned int address;
};

/* What an address has left unanswered since it answered last. */
struct silence {
	unsigned int n; /* questions in a row, since it was given up */
	bool given_up;
};

struct pk_leader {
	struct pk_leader_args args;
	struct pk_timer *timer;
	struct probe word;  /* for who leads */
	struct probe other; /* for whether another address answers; its word doesn't count */
	struct silence silent[PK_SERVICE_ADDRESSES];
	unsigned int errors, turn;
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

/*
 * Counts what an address leaves unanswered, and gives up what waits there: a server that is frozen,
 * or whose machine died, says no more that its connection is over. One that is merely slow is asked
 * for all that there is no more often than by waits that run out.
 */
static void count_silence(struct pk_leader *l, unsigned int address,
			  const struct pk_http_reply *reply)
{
	const char *server = l->args.service->address[address];
	struct silence *s = &l->silent[address];

	if (!reply->late) {
		*s = (struct silence){ 0 };
		return;
	}
	if (++s->n < (s->given_up ? SILENT_AGAIN : SILENT_FIRST))
		return;
	if (!s->given_up)
		log_warn("op=service server=\"%s\" err=\"%s\" what waits there is asked for anew",
			 server, reply->error);
	*s = (struct silence){ .given_up = true };
	pk_http_give_up(l->args.http, server, "two questions in a row got no answer");
}

static void on_word(void *arg, const struct pk_http_reply *reply)
{
	struct probe *p = arg;
	struct pk_leader *l = p->leader;

	p->call = NULL;
	l->errors += reply->status != 200;
	again(l);
	count_silence(l, p->address, reply);
	if (pk_leader_is_lost(reply)) {
		l->is_lost = true;
		l->args.told(l->args.arg);
	} else if (l->is_lost && reply->status == 200) {
		l->is_lost = false;
		l->args.told(l->args.arg);
	}
}

static void on_other(void *arg, const struct pk_http_reply *reply)
{
	struct probe *p = arg;

	p->call = NULL;
	count_silence(p->leader, p->address, reply);
}

static void start(struct pk_leader *l, struct probe *p, unsigned int turn, pk_http_fn *fn)
{
	struct pk_service_call call = { .service = l->args.service,
					.header = l->args.header,
					.path = "/v1/status/leader",
					.turn = turn,
					.timeout_ms = TIMEOUT_MS,
					.cap = ANSWER_MAX };

	p->leader = l;
	p->address = pk_service_turn(l->args.service, turn);
	p->call = pk_service_start(l->args.http, &call, fn, p, NULL);
}

/* Returns which address to ask beside the one that is asked who leads; that one: there is none. */
static unsigned int other_turn(struct pk_leader *l)
{
	for (unsigned int i = 0; i < PK_SERVICE_ADDRESSES; i++)
		if (l->silent[i].n && i != l->word.address)
			return i;
	l->turn++;
	if (pk_service_turn(l->args.service, l->turn) == l->word.address)
		l->turn++;
	return l->turn;
}

static void ask(void *arg)
{
	struct pk_leader *l = arg;
	unsigned int other;

	start(l, &l->word, l->errors, on_word);
	if (!l->word.call)
		again(l);
	other = other_turn(l);
	if (!l->other.call && pk_service_turn(l->args.service, other) != l->word.address)
		start(l, &l->other, other, on_other);
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
	pk_http_cancel(l->word.call);
	pk_http_cancel(l->other.call);
	pk_timer_free(l->timer);
	free(l);
}
