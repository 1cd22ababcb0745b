/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A thread for what may block: a write to a disk that hangs, or to a log that nobody reads. Work is
 * done in the order in which it comes, and the loop is told of its end. Work that doesn't fit any
 * more is refused: its owner keeps it, or counts it as lost.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"

struct pk_writer;

struct pk_work {
	int (*run)(void *arg,
		   struct pk_err *err); /* by the thread, which has arg alone meanwhile */
	/*
	 * Called on the loop, and frees arg. NULL: nobody waits, and the thread frees it by free().
	 */
	void (*done)(void *arg, int r, const struct pk_err *err);
	void *arg;
	size_t size; /* bytes that wait with it */
	bool always; /* never refused: its owner sees to it that there are few */
};

/* loop is NULL where no work has a done. max_size is the bytes that may wait. */
struct pk_writer *pk_writer_new(struct pk_loop *loop, size_t max_size);
/*
 * Returns false where the work is refused, and arg is still the caller's. Any thread may call it.
 */
bool pk_writer_add(struct pk_writer *writer, const struct pk_work *work);
/* Returns for how long the thread has been at its present work; 0: it has none. */
#define PK_WRITER_LATE_MS 2000 /* what takes longer does not answer, and that is said */
uint64_t pk_writer_busy_ms(struct pk_writer *writer);
/* Returns the bytes that wait, with what each work costs beside its own; 0: all is done. */
size_t pk_writer_waiting(struct pk_writer *writer);
/* Waits for all work, and for what that makes more, until then (CLOCK_MONOTONIC). */
bool pk_writer_flush(struct pk_writer *writer, uint64_t until_ns);
/*
 * Ends. Work that still runs is left to itself: nobody hears of its end, and its arg is never
 * freed.
 */
void pk_writer_free(struct pk_writer *writer);

/*
 * Write a file's whole text, in a directory that is made where it isn't there, and remove a file.
 * What the disk refuses is tried again every few seconds, until it is done or something newer is
 * asked for of the same path.
 */
void pk_writer_file(struct pk_writer *writer, const char *path, const char *text, size_t len);
void pk_writer_unlink(struct pk_writer *writer, const char *path);
/* Returns how many files the disk has refused so far, and the last reason where there are any. */
size_t pk_writer_unwritten(struct pk_writer *writer, struct pk_err *err);
