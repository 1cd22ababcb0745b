/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are to be as they were asked for: what a full or read-only disk refuses is tried again
 * until it is written, or something newer is asked for.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "fs.h"
#include "own.h"
#include "writer_private.h"

#define AGAIN_MS 5000

/* What one file is to be, until it is so. */
struct wanted {
	uint64_t number; /* of the work that brings it last */
	size_t len;
	char *text; /* NULL: it is to go */
	bool failed;
	UT_hash_handle hh; /* by path */
	char path[];
};

struct pk_writer_files {
	struct pk_writer *writer;
	struct pk_timer *timer;
	pthread_mutex_t lock; /* of what follows, which the thread knows too */
	struct wanted *wanted;
	size_t size, max_size; /* of their texts; what doesn't fit is tried once */
	uint64_t number;
	struct pk_err err; /* the last failure's */
};

struct work {
	struct pk_writer_files *files; /* NULL: nobody waits */
	uint64_t number;
	size_t len;
	char *text;
	char path[];
};

static int write_file(struct work *f, struct pk_err *err)
{
	char *slash = strrchr(f->path, '/');
	int r;

	if (!f->text && (unlink(f->path) == 0 || errno == ENOENT))
		return 0;
	if (!f->text)
		return pk_fs_fix(err, pk_fail(err, errno, "remove %s", f->path));
	*slash = '\0';
	r = pk_fs_mkdirs(f->path, 0700, err);
	*slash = '/';
	return r < 0 ? r : pk_fs_write_quick(f->path, f->text, f->len, 0600, err);
}

static void forget(struct pk_writer_files *files, struct wanted *want)
{
	HASH_DEL(files->wanted, want);
	files->size -= want->len;
	free(want);
}

static int run(void *arg, struct pk_err *err)
{
	struct work *f = arg;
	struct pk_writer_files *files = f->files;
	struct wanted *want;
	int r = write_file(f, err);

	pthread_mutex_lock(&files->lock);
	HASH_FIND_STR(files->wanted, f->path, want);
	if (want && want->number == f->number && r == 0)
		forget(files, want);
	else if (want && want->number == f->number)
		want->failed = true;
	if (r < 0)
		files->err = *err;
	pthread_mutex_unlock(&files->lock);
	return r;
}

static struct work *work_new(struct pk_writer_files *files, const char *path, const char *text,
			     size_t len)
{
	size_t path_room = strlen(path) + 1;
	struct work *f = pk_alloc(sizeof(*f) + path_room + len);

	f->files = files;
	f->len = len;
	memcpy(f->path, path, path_room);
	if (text)
		f->text = memcpy(f->path + path_room, text, len);
	return f;
}

/* Gives it to the thread. What doesn't fit now is tried later. */
static void submit(struct pk_writer_files *files, struct wanted *want)
{
	struct work *f = work_new(files, want->path, want->text, want->len);
	const struct pk_work work = { .run = run,
				      .arg = f,
				      .size = strlen(want->path) + want->len };

	f->number = want->number = ++files->number;
	want->failed = !pk_writer_add(files->writer, &work);
	if (want->failed)
		free(f);
}

static void again(void *arg)
{
	struct pk_writer_files *files = arg;
	struct wanted *want, *next;

	pthread_mutex_lock(&files->lock);
	HASH_ITER (hh, files->wanted, want, next) {
		if (want->failed)
			submit(files, want);
	}
	if (files->wanted)
		pk_timer_set(files->timer, AGAIN_MS);
	pthread_mutex_unlock(&files->lock);
}

static struct wanted *wanted_new(const char *path, const char *text, size_t len)
{
	size_t path_room = strlen(path) + 1;
	struct wanted *want = pk_alloc(sizeof(*want) + path_room + len);

	want->len = len;
	memcpy(want->path, path, path_room);
	if (text)
		want->text = memcpy(want->path + path_room, text, len);
	return want;
}

static void want_file(struct pk_writer_files *files, const char *path, const char *text, size_t len)
{
	struct wanted *want;

	pthread_mutex_lock(&files->lock);
	HASH_FIND_STR(files->wanted, path, want);
	if (want)
		forget(files, want);
	want = wanted_new(path, text, len);
	files->size += len;
	HASH_ADD_STR(files->wanted, path, want);
	submit(files, want);
	if (files->size > files->max_size)
		forget(files, want);
	else
		pk_timer_hurry(files->timer, AGAIN_MS);
	pthread_mutex_unlock(&files->lock);
}

static void add_file(struct pk_writer *w, const char *path, const char *text, size_t len)
{
	own_mem struct work *f = NULL;
	struct pk_err err;

	if (w) {
		want_file(writer_files(w), path, text, len);
		return;
	}
	f = work_new(NULL, path, text, len);
	write_file(f, &err);
}

void pk_writer_file(struct pk_writer *w, const char *path, const char *text, size_t len)
{
	add_file(w, path, text, len);
}

void pk_writer_unlink(struct pk_writer *w, const char *path)
{
	add_file(w, path, NULL, 0);
}

size_t pk_writer_unwritten(struct pk_writer *w, struct pk_err *err)
{
	struct pk_writer_files *files = writer_files(w);
	size_t n = 0;

	pthread_mutex_lock(&files->lock);
	for (const struct wanted *want = files->wanted; want; want = want->hh.next)
		n += want->failed;
	if (n)
		*err = files->err;
	pthread_mutex_unlock(&files->lock);
	return n;
}

struct pk_writer_files *writer_files_new(struct pk_writer *writer, struct pk_loop *loop,
					 size_t max_size)
{
	struct pk_writer_files *files = pk_alloc(sizeof(*files));

	files->writer = writer;
	files->max_size = max_size;
	files->timer = pk_timer_new(loop, again, files);
	pthread_mutex_init(&files->lock, NULL);
	return files;
}

void writer_files_stop(struct pk_writer_files *files)
{
	if (files)
		pk_timer_free(PK_MOVE(files->timer, NULL));
}

void writer_files_free(struct pk_writer_files *files)
{
	if (!files)
		return;
	while (files->wanted)
		forget(files, files->wanted);
	pthread_mutex_destroy(&files->lock);
	free(files);
}
