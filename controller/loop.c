/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"
#include "own.h"

struct pk_loop {
	struct event_base *base;
	uint64_t (*now)(void *arg);
	void *now_arg;
	struct timeval turn; /* libevent's own time of the turn that runs */
	uint64_t since_ns, since_cpu_ns;
	bool counted; /* the turn that runs is one of `over` */
	struct pk_loop_turns turns;
};

struct pk_timer {
	struct pk_loop *loop;
	struct event *event;
	pk_loop_fn *fn;
	void *arg;
};

struct pk_watch {
	struct pk_loop *loop;
	struct event *event;
	pk_loop_fn *fn;
	void *arg;
};

static void on_log(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warn("op=loop err=\"%s\"", text);
}

struct pk_loop *pk_loop_new(void)
{
	struct pk_loop *loop = pk_alloc(sizeof(*loop));
	struct event_config *config = event_config_new();

	event_set_log_callback(on_log);
	/* Time is taken to the microsecond, since it tells one turn from the next. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->base)
		return loop;
	free(loop);
	return NULL;
}

void pk_loop_free(struct pk_loop *loop)
{
	if (!loop)
		return;
	event_base_free(loop->base);
	free(loop);
}

void pk_loop_run(struct pk_loop *loop)
{
	event_base_dispatch(loop->base);
}

void pk_loop_stop(struct pk_loop *loop)
{
	event_base_loopbreak(loop->base);
}

struct event_base *pk_loop_base(struct pk_loop *loop)
{
	return loop->base;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void pk_loop_begin(struct pk_loop *loop)
{
	struct timeval turn;

	event_base_gettimeofday_cached(loop->base, &turn);
	if (timercmp(&turn, &loop->turn, ==))
		return;
	loop->turn = turn;
	loop->counted = false;
	loop->since_ns = clock_ns(CLOCK_MONOTONIC);
	loop->since_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void pk_loop_end(struct pk_loop *loop)
{
	uint64_t took = clock_ns(CLOCK_MONOTONIC) - loop->since_ns;
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - loop->since_cpu_ns;

	if (took > loop->turns.longest_ns)
		loop->turns.longest_ns = took;
	if (cpu > loop->turns.longest_cpu_ns)
		loop->turns.longest_cpu_ns = cpu;
	if (took > PK_TURN_NS && !loop->counted) {
		loop->counted = true;
		loop->turns.over++;
	}
}

const struct pk_loop_turns *pk_loop_turns(const struct pk_loop *loop)
{
	return &loop->turns;
}

uint64_t pk_loop_now(const struct pk_loop *loop)
{
	if (loop->now)
		return loop->now(loop->now_arg);
	return clock_ns(CLOCK_MONOTONIC) / 1000000u;
}

void pk_loop_set_clock(struct pk_loop *loop, uint64_t (*now)(void *arg), void *arg)
{
	loop->now = now;
	loop->now_arg = arg;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pk_timer *t = arg;
	struct pk_loop *loop = t->loop;

	(void)fd;
	(void)what;
	/* The function may free the timer. */
	pk_loop_begin(loop);
	t->fn(t->arg);
	pk_loop_end(loop);
}

struct pk_timer *pk_timer_new(struct pk_loop *loop, pk_loop_fn *fn, void *arg)
{
	struct pk_timer *t = pk_alloc(sizeof(*t));

	*t = (struct pk_timer){ .loop = loop, .fn = fn, .arg = arg };
	t->event = evtimer_new(loop->base, on_timer, t);
	if (!t->event)
		abort();
	return t;
}

void pk_timer_set(struct pk_timer *t, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	evtimer_add(t->event, &tv);
}

void pk_timer_hurry(struct pk_timer *t, uint64_t ms)
{
	struct timeval due, now;

	if (evtimer_pending(t->event, &due)) {
		int64_t left;

		/* libevent gives the due time on the wall clock of this base. */
		event_base_gettimeofday_cached(event_get_base(t->event), &now);
		left = (due.tv_sec - now.tv_sec) * 1000 + (due.tv_usec - now.tv_usec) / 1000;
		if (left <= (int64_t)ms)
			return;
	}
	pk_timer_set(t, ms);
}

void pk_timer_clear(struct pk_timer *t)
{
	evtimer_del(t->event);
}

void pk_timer_free(struct pk_timer *t)
{
	if (!t)
		return;
	event_free(t->event);
	free(t);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct pk_watch *w = arg;
	struct pk_loop *loop = w->loop;

	(void)fd;
	(void)what;
	pk_loop_begin(loop);
	w->fn(w->arg);
	pk_loop_end(loop);
}

static struct pk_watch *watch(struct pk_loop *loop, int fd, short what, pk_loop_fn *fn, void *arg)
{
	struct pk_watch *w = pk_alloc(sizeof(*w));

	*w = (struct pk_watch){ .loop = loop, .fn = fn, .arg = arg };
	w->event = event_new(loop->base, fd, (short)(what | EV_PERSIST), on_watch, w);
	if (!w->event || event_add(w->event, NULL) < 0)
		abort();
	return w;
}

struct pk_watch *pk_watch_fd(struct pk_loop *loop, int fd, pk_loop_fn *fn, void *arg)
{
	return watch(loop, fd, EV_READ, fn, arg);
}

struct pk_watch *pk_watch_signal(struct pk_loop *loop, int number, pk_loop_fn *fn, void *arg)
{
	return watch(loop, number, EV_SIGNAL, fn, arg);
}

void pk_watch_free(struct pk_watch *w)
{
	if (!w)
		return;
	event_free(w->event);
	free(w);
}
