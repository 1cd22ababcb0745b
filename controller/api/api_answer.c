/* SPDX-License-Identifier: Apache-2.0 */
#include "api_answer.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "fs.h"
#include "own.h"
#include "parts.h"

#define PART_NS UINT64_C(5000000) /* of a turn for all answers, however many wait */

struct work {
	struct pk_answer answer;
	struct pk_answer_how how;
	TAILQ_ENTRY(work) link;
};

static TAILQ_HEAD(works, work) all = TAILQ_HEAD_INITIALIZER(all);
static struct pk_timer *timer; /* while somebody waits */

static void work_free(struct work *w)
{
	w->how.end(w->how.arg);
	pk_str_done(&w->answer.json);
	free(w);
}

static void on_gone(void *arg)
{
	struct work *w = arg;

	TAILQ_REMOVE(&all, w, link);
	work_free(w);
}

/* Makes a part of the answer. Returns true once it is sent, and freed. */
static bool go_on(struct work *w)
{
	if (!w->how.part(w->how.arg, &w->answer, pk_now_ns() + PART_NS))
		return false;
	pk_exchange_on_close(w->answer.x, NULL, NULL);
	pk_exchange_reply(w->answer.x, w->answer.status, &w->answer.json);
	work_free(w);
	return true;
}

/*
 * Makes parts of all waiting answers in turn, so that a reader who asks for little doesn't wait for
 * one who asks for all.
 */
static void on_turn(void *arg)
{
	struct work *w = TAILQ_FIRST(&all);

	(void)arg;
	if (w) {
		TAILQ_REMOVE(&all, w, link);
		if (!go_on(w))
			TAILQ_INSERT_TAIL(&all, w, link);
	}
	if (!TAILQ_EMPTY(&all))
		pk_timer_set(timer, 0);
	else
		pk_timer_free(PK_MOVE(timer, NULL));
}

void pk_answer_anew(struct pk_answer *answer)
{
	pk_str_reset(&answer->json);
	answer->w = (struct pk_jw){ .out = &answer->json };
}

void pk_answer_in_parts(const struct pk_parts *parts, struct pk_exchange *x,
			const struct pk_answer_how *how)
{
	struct work *w = pk_alloc(sizeof(*w));

	*w = (struct work){ .answer = { .parts = parts, .x = x, .status = 200 }, .how = *how };
	pk_answer_anew(&w->answer);
	if (!timer && go_on(w))
		return;
	TAILQ_INSERT_TAIL(&all, w, link);
	pk_exchange_on_close(x, on_gone, w);
	if (timer)
		return;
	timer = pk_timer_new(parts->loop, on_turn, NULL);
	pk_timer_set(timer, 0);
}

void pk_answers_stop(void)
{
	while (!TAILQ_EMPTY(&all)) {
		struct work *w = TAILQ_FIRST(&all);
		struct pk_exchange *x = w->answer.x;

		TAILQ_REMOVE(&all, w, link);
		work_free(w);
		pk_exchange_on_close(x, NULL, NULL);
		pk_exchange_error(x, 503, "picketd is ending", NULL);
	}
	pk_timer_free(PK_MOVE(timer, NULL));
}
