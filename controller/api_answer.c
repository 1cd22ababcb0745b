/* SPDX-License-Identifier: Apache-2.0 */
#include "api_answer.h"

#include <stdlib.h>

#include "fs.h"
#include "own.h"
#include "parts.h"

#define PART_NS UINT64_C(5000000) /* of a turn, however many wait for an answer */

struct work {
	struct pk_answer answer;
	struct pk_answer_how how;
	struct work *next, **at;
};

static struct work *first, **end = &first;
static struct pk_timer *timer; /* while somebody waits */

static void append(struct work *w)
{
	w->next = NULL;
	w->at = end;
	*end = w;
	end = &w->next;
}

static void take_out(struct work *w)
{
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	else
		end = w->at;
}

static void work_free(struct work *w)
{
	w->how.end(w->how.arg);
	pk_str_done(&w->answer.json);
	free(w);
}

static void on_gone(void *arg)
{
	take_out(arg);
	work_free(arg);
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
	struct work *w = first;

	(void)arg;
	if (w) {
		take_out(w);
		if (!go_on(w))
			append(w);
	}
	if (first)
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
	append(w);
	pk_exchange_on_close(x, on_gone, w);
	if (timer)
		return;
	timer = pk_timer_new(parts->loop, on_turn, NULL);
	pk_timer_set(timer, 0);
}

void pk_answers_stop(void)
{
	while (first) {
		struct work *w = first;
		struct pk_exchange *x = w->answer.x;

		take_out(w);
		work_free(w);
		pk_exchange_on_close(x, NULL, NULL);
		pk_exchange_error(x, 503, "picketd is ending", NULL);
	}
	pk_timer_free(PK_MOVE(timer, NULL));
}
