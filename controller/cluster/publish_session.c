/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session that holds this node's keys: asked for, renewed, and asked for again once it ended.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "publish_private.h"

#define RENEW_MS 20000

/* Takes a new session; every key is written again under it. */
static void set_session(struct pk_publish *p, const char *id)
{
	snprintf(p->session, sizeof(p->session), "%s", id);
	for (struct key *k = p->keys; k; k = k->hh.next) {
		free(PK_MOVE(k->shown, NULL));
		k->written = k->recalled = false;
	}
	publish_remember(p);
	pk_timer_hurry(p->write, 0);
}

static void failed(struct pk_publish *p, const struct pk_store_answer *answer)
{
	const uint64_t wait = pk_tries_elsewhere(&p->sessions);

	pk_source_bad(&p->source, answer->fault, answer->why);
	pk_timer_set(p->renew, p->args.alone && answer->refused ? REFUSED_MS : wait);
}

static void on_session(void *arg, const struct pk_store_answer *answer)
{
	struct pk_publish *p = arg;

	p->session_call = NULL;
	pk_timer_set(p->renew, RENEW_MS);
	if (answer->why) {
		if (p->source.failures == 0)
			log_warn("op=cluster err=\"no session: %s\"", answer->why);
		failed(p, answer);
		return;
	}
	pk_tries_good(&p->sessions);
	if (answer->done)
		set_session(p, answer->holder);
}

static void ask(struct pk_publish *p, pk_store_fn *fn)
{
	struct pk_err err = { 0 };

	p->session_call =
		pk_store_hold(p->args.store, p->session, p->node, p->sessions.turn, fn, p, &err);
	if (!p->session_call)
		pk_timer_set(p->renew, pk_tries_elsewhere(&p->sessions));
}

static void on_renewed(void *arg, const struct pk_store_answer *answer)
{
	struct pk_publish *p = arg;

	p->session_call = NULL;
	pk_timer_set(p->renew, RENEW_MS);
	if (answer->why) {
		failed(p, answer);
	} else if (!answer->done) {
		*p->session = '\0';
		ask(p, on_session);
	} else {
		pk_tries_good(&p->sessions);
		publish_good(p);
		pk_timer_hurry(p->write, 0);
	}
}

void publish_renew(void *arg)
{
	struct pk_publish *p = arg;

	if (!p->session_call)
		ask(p, *p->session ? on_renewed : on_session);
}
