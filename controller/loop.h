/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* One thread, one loop: descriptors, timers, signals. libevent behind it; the clock can be
 * replaced. */
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
/* Milliseconds that only go forward. A test sets now; NULL is CLOCK_MONOTONIC. */
uint64_t pk_loop_now(const struct pk_loop *loop);
void pk_loop_set_clock(struct pk_loop *loop, uint64_t (*now)(void *arg), void *arg);

/* One shot; set again replaces what was set. */
struct pk_timer *pk_timer_new(struct pk_loop *loop, pk_loop_fn *fn, void *arg);
void pk_timer_set(struct pk_timer *timer, uint64_t ms);
/* Keeps an earlier time that is already set. */
void pk_timer_hurry(struct pk_timer *timer, uint64_t ms);
void pk_timer_clear(struct pk_timer *timer);
bool pk_timer_pending(const struct pk_timer *timer);
void pk_timer_free(struct pk_timer *timer);

/* Calls fn while fd is readable. The descriptor stays its owner's. */
struct pk_watch *pk_watch_fd(struct pk_loop *loop, int fd, pk_loop_fn *fn, void *arg);
struct pk_watch *pk_watch_signal(struct pk_loop *loop, int number, pk_loop_fn *fn, void *arg);
void pk_watch_free(struct pk_watch *watch);

/* base, doubled with each failure up to most, and up to a quarter more by chance: no herd. */
uint64_t pk_backoff_ms(unsigned int failures, uint64_t base, uint64_t most);
