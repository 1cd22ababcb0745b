/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One thread, one loop: descriptors, timers, signals. libevent is behind it; the clock can be
 * replaced.
 */
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct pk_loop;
struct pk_timer;
struct pk_watch;

typedef void pk_loop_fn(void *arg);

struct pk_loop *pk_loop_new(void); /* NULL: no epoll */
void pk_loop_free(struct pk_loop *loop);
void pk_loop_run(struct pk_loop *loop);
void pk_loop_stop(struct pk_loop *loop);
struct event_base *pk_loop_base(struct pk_loop *loop); /* for http.c and httpd.c */
/* Returns milliseconds that only go forward. A test sets now; NULL is CLOCK_MONOTONIC. */
uint64_t pk_loop_now(const struct pk_loop *loop);
void pk_loop_set_clock(struct pk_loop *loop, uint64_t (*now)(void *arg), void *arg);

/*
 * A turn is what the loop does between two looks at its descriptors, while nobody is answered.
 * Timers and watches are counted by themselves. A file with callbacks of libevent's own (http.c,
 * httpd.c) puts each of them between begin and end.
 */
struct pk_loop_turns {
	uint64_t longest_ns;
	uint64_t longest_cpu_ns; /* the most time that one of them worked, without waiting */
	uint64_t over;		 /* how many took longer than PK_TURN_NS */
};
#define PK_TURN_NS 50000000ull
const struct pk_loop_turns *pk_loop_turns(const struct pk_loop *loop);
void pk_loop_begin(struct pk_loop *loop);
void pk_loop_end(struct pk_loop *loop);

/* Sets a timer that fires once; setting it again replaces the time. */
struct pk_timer *pk_timer_new(struct pk_loop *loop, pk_loop_fn *fn, void *arg);
void pk_timer_set(struct pk_timer *timer, uint64_t ms);
/* Sets the timer unless an earlier time is already set. */
void pk_timer_hurry(struct pk_timer *timer, uint64_t ms);
void pk_timer_clear(struct pk_timer *timer);
void pk_timer_free(struct pk_timer *timer);

/* Calls fn while fd is readable. The descriptor stays its owner's. */
struct pk_watch *pk_watch_fd(struct pk_loop *loop, int fd, pk_loop_fn *fn, void *arg);
struct pk_watch *pk_watch_signal(struct pk_loop *loop, int number, pk_loop_fn *fn, void *arg);
void pk_watch_free(struct pk_watch *watch);

/*
 * Returns how long to wait after so many failures before this one: a second, doubled each time up
 * to sixteen, then by chance between half of it and half as much again. All nodes of a cluster see
 * a server fail in the same moment, and must not come back in one.
 */
uint64_t pk_backoff_ms(unsigned int failures);
