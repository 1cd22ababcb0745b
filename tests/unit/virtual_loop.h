/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The loop of controller/loop.h in a time of its own, which goes as fast as what is to happen is
 * worked off. Whoever includes it links no other. It has timers alone.
 */
#include <stdlib.h>

#include "loop.h"
#include "own.h"

struct pk_timer {
	struct pk_loop *loop;
	pk_loop_fn *fn;
	void *arg;
	uint64_t due, turn; /* of one moment, the one that was set first goes first */
	size_t at;	    /* its place in the heap, from 1 on; 0: it isn't set */
};

struct pk_loop {
	uint64_t now, turns;
	struct pk_timer **heap; /* from 1 on */
	size_t n, room;
};

struct pk_loop *pk_loop_new(void)
{
	return pk_alloc(sizeof(struct pk_loop));
}

void pk_loop_free(struct pk_loop *loop)
{
	free(loop->heap);
	free(loop);
}

uint64_t pk_loop_now(const struct pk_loop *loop)
{
	return loop->now;
}

static bool is_before(const struct pk_timer *a, const struct pk_timer *b)
{
	return a->due != b->due ? a->due < b->due : a->turn < b->turn;
}

static void place(struct pk_loop *loop, struct pk_timer *t, size_t at)
{
	loop->heap[at] = t;
	t->at = at;
}

/* Finds the timer's place from `at` on: up, then down. */
static void sift(struct pk_loop *loop, struct pk_timer *t, size_t at)
{
	for (; at > 1 && is_before(t, loop->heap[at / 2]); at /= 2)
		place(loop, loop->heap[at / 2], at);
	for (size_t child = 2 * at; child <= loop->n; child = 2 * at) {
		if (child < loop->n && is_before(loop->heap[child + 1], loop->heap[child]))
			child++;
		if (!is_before(loop->heap[child], t))
			break;
		place(loop, loop->heap[child], at);
		at = child;
	}
	place(loop, t, at);
}

struct pk_timer *pk_timer_new(struct pk_loop *loop, pk_loop_fn *fn, void *arg)
{
	struct pk_timer *t = pk_alloc(sizeof(*t));

	*t = (struct pk_timer){ .loop = loop, .fn = fn, .arg = arg };
	return t;
}

void pk_timer_clear(struct pk_timer *t)
{
	struct pk_loop *loop = t->loop;
	size_t at = PK_MOVE(t->at, 0);

	if (!at)
		return;
	t = loop->heap[loop->n--];
	if (at <= loop->n)
		sift(loop, t, at);
}

void pk_timer_set(struct pk_timer *t, uint64_t ms)
{
	struct pk_loop *loop = t->loop;

	pk_timer_clear(t);
	t->due = loop->now + ms;
	t->turn = loop->turns++;
	if (++loop->n >= loop->room) {
		loop->room = loop->room ? 2 * loop->room : 1024;
		loop->heap = realloc(loop->heap, loop->room * sizeof(struct pk_timer *));
		if (!loop->heap)
			abort();
	}
	sift(loop, t, loop->n);
}

void pk_timer_hurry(struct pk_timer *t, uint64_t ms)
{
	if (!t->at || t->due > t->loop->now + ms)
		pk_timer_set(t, ms);
}

void pk_timer_free(struct pk_timer *t)
{
	if (t)
		pk_timer_clear(t);
	free(t);
}

/* The rest is there for what is linked with it, and called by nobody. */
struct event_base *pk_loop_base(struct pk_loop *loop)
{
	(void)loop;
	abort();
}

void pk_loop_begin(struct pk_loop *loop)
{
	(void)loop;
}

void pk_loop_end(struct pk_loop *loop)
{
	(void)loop;
}

struct pk_watch *pk_watch_fd(struct pk_loop *loop, int fd, pk_loop_fn *fn, void *arg)
{
	(void)loop, (void)fd, (void)fn, (void)arg;
	abort();
}

void pk_watch_free(struct pk_watch *watch)
{
	if (watch)
		abort();
}

/* Lets so much time go by. */
static void pass(struct pk_loop *loop, uint64_t ms)
{
	const uint64_t until = loop->now + ms;

	while (loop->n && loop->heap[1]->due <= until) {
		struct pk_timer *t = loop->heap[1];

		loop->now = t->due;
		pk_timer_clear(t);
		t->fn(t->arg);
	}
	loop->now = until;
}
