/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs.h"
#include "log.h"
#include "own.h"
#include "writer_private.h"

#define STACK	(512u << 10)
#define WORK_OF 128 /* bytes that each work costs beside its own */

struct item {
	struct item *next;
	struct pk_work work;
	struct pk_err err;
	int r;
};

struct list {
	struct item *first, **end;
};

struct pk_writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, idle;
	struct list queue, ended;
	size_t size, max_size;
	uint64_t since_ns; /* since when the work runs; 0: none does */
	bool stop;
	int event;
	struct pk_watch *watch;
	struct pk_writer_files *files;
};

static void append(struct list *list, struct item *item)
{
	item->next = NULL;
	*list->end = item;
	list->end = &item->next;
}

static struct item *take(struct list *list)
{
	struct item *item = list->first;

	if (!item)
		return NULL;
	list->first = item->next;
	if (!list->first)
		list->end = &list->first;
	return item;
}

/* Returns the next work, once there is one; NULL when the thread is to stop. */
static struct item *next(struct pk_writer *w)
{
	struct item *item;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !w->queue.first)
		pthread_cond_wait(&w->more, &w->lock);
	item = w->stop ? NULL : take(&w->queue);
	if (item)
		w->since_ns = pk_now_ns();
	pthread_mutex_unlock(&w->lock);
	return item;
}

static void end(struct pk_writer *w, struct item *item)
{
	const uint64_t one = 1;
	bool heard = item->work.done;

	pthread_mutex_lock(&w->lock);
	w->since_ns = 0;
	w->size -= item->work.size + WORK_OF;
	if (heard)
		append(&w->ended, item);
	if (heard && write(w->event, &one, sizeof(one)) < 0)
		log_error("op=writer err=\"%s\" ignoring", strerror(errno));
	if (heard || !w->queue.first)
		pthread_cond_signal(&w->idle);
	pthread_mutex_unlock(&w->lock);
	if (heard)
		return;
	free(item->work.arg);
	free(item);
}

static void *work(void *arg)
{
	struct pk_writer *w = arg;
	struct item *item;

	while ((item = next(w))) {
		item->r = item->work.run(item->work.arg, &item->err);
		end(w, item);
	}
	return NULL;
}

/* Tells of ended work; returns whether there was any. */
static bool tell(struct pk_writer *w)
{
	struct item *item;
	bool any = false;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		item = take(&w->ended);
		pthread_mutex_unlock(&w->lock);
		if (!item)
			return any;
		any = true;
		item->work.done(item->work.arg, item->r, &item->err);
		free(item);
	}
}

static void on_event(void *arg)
{
	struct pk_writer *w = arg;
	uint64_t n;

	if (read(w->event, &n, sizeof(n)) == sizeof(n))
		tell(w);
}

/* Starts the thread, with all signals blocked: those are the loop's. */
static void start(struct pk_writer *w)
{
	pthread_attr_t attr;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&w->thread, &attr, work, w) != 0)
		abort();
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct pk_writer *pk_writer_new(struct pk_loop *loop, size_t max_size)
{
	struct pk_writer *w = pk_alloc(sizeof(*w));
	pthread_condattr_t clock;

	w->max_size = max_size;
	w->queue.end = &w->queue.first;
	w->ended.end = &w->ended.first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&w->more, NULL);
	pthread_cond_init(&w->idle, &clock);
	pthread_condattr_destroy(&clock);
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		abort();
	if (loop)
		w->watch = pk_watch_fd(loop, w->event, on_event, w);
	if (loop)
		w->files = writer_files_new(w, loop, max_size);
	start(w);
	return w;
}

struct pk_writer_files *writer_files(struct pk_writer *w)
{
	return w->files;
}

bool pk_writer_add(struct pk_writer *w, const struct pk_work *work)
{
	struct item *item = pk_alloc(sizeof(*item));
	bool fits;

	item->work = *work;
	pthread_mutex_lock(&w->lock);
	fits = work->always || w->size + work->size + WORK_OF <= w->max_size;
	if (fits) {
		w->size += work->size + WORK_OF;
		append(&w->queue, item);
		pthread_cond_signal(&w->more);
	}
	pthread_mutex_unlock(&w->lock);
	if (!fits)
		free(item);
	return fits;
}

uint64_t pk_writer_busy_ms(struct pk_writer *w)
{
	uint64_t since;

	pthread_mutex_lock(&w->lock);
	since = w->since_ns;
	pthread_mutex_unlock(&w->lock);
	return since ? (pk_now_ns() - since) / 1000000 : 0;
}

size_t pk_writer_waiting(struct pk_writer *w)
{
	size_t size;

	pthread_mutex_lock(&w->lock);
	size = w->size;
	pthread_mutex_unlock(&w->lock);
	return size;
}

/* Waits until all work is done; returns false where the time is over. */
static bool wait_idle(struct pk_writer *w, uint64_t until_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000),
					.tv_nsec = (long)(until_ns % 1000000000) };
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while (r == 0 && (w->queue.first || w->since_ns) && !w->ended.first)
		r = pthread_cond_timedwait(&w->idle, &w->lock, &until);
	pthread_mutex_unlock(&w->lock);
	return r == 0;
}

bool pk_writer_flush(struct pk_writer *w, uint64_t until_ns)
{
	while (wait_idle(w, until_ns))
		if (!tell(w))
			return true;
	return false;
}

static void drop(struct list *list)
{
	struct item *item;

	while ((item = take(list))) {
		free(item->work.done ? NULL : item->work.arg);
		free(item);
	}
}

void pk_writer_free(struct pk_writer *w)
{
	bool stuck;

	if (!w)
		return;
	pk_watch_free(PK_MOVE(w->watch, NULL));
	writer_files_stop(w->files);
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	stuck = w->since_ns;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	if (stuck) {
		pthread_detach(w->thread);
		return;
	}
	pthread_join(w->thread, NULL);
	drop(&w->queue);
	drop(&w->ended);
	writer_files_free(w->files);
	close(w->event);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->idle);
	free(w);
}
