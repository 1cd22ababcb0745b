/* SPDX-License-Identifier: Apache-2.0 */
#include "flowlog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"
#include "log.h"
#include "own.h"

#define RETRY_S	 1 /* between two tries of a file that can't be written */
#define RETRY_MS (RETRY_S * 1000)
#define ROOM_MAX 4096 /* bytes of a line, PK_FLOW_LINE_MAX */

enum step { STEP_OPEN, STEP_WRITE };

/* path and all members after it belong to the writer's thread once there was a line. */
struct pk_flowlog {
	struct pk_writer *writer;
	struct pk_timer *again; /* set while lines wait, or can't be written; NULL: no loop */
	const char *of;
	atomic_uint_fast64_t lost;
	atomic_int error;   /* errno of the last line; 0: it was written */
	atomic_int stuck;   /* errno of the last rotation; 0: it was done */
	atomic_uint to;	    /* which kept file that rotation couldn't make */
	atomic_bool trying; /* the file is tried again, without a line */
	char *path;
	uint64_t max_size, size;
	unsigned int keep;
	int fd;
	time_t retry;	  /* when opening is tried again */
	enum step failed; /* what the error is of: no earlier step ends it */
};

static int close_file(void *arg, struct pk_err *err)
{
	struct pk_flowlog *log = arg;

	(void)err;
	if (log->fd >= 0)
		close(log->fd);
	free(log->path);
	return 0;
}

/* The writer's thread frees the log after the lines that still wait. */
void pk_flowlog_free(struct pk_flowlog *log)
{
	const struct pk_work work = { .run = close_file, .arg = log, .always = true };

	if (!log)
		return;
	pk_timer_free(log->again);
	if (log->writer) {
		pk_writer_add(log->writer, &work);
		return;
	}
	close_file(log, NULL);
	free(log);
}

static void complain(struct pk_flowlog *log, enum step failed)
{
	static const char *const names[] = { "open", "write" };
	const int error = errno;
	struct timespec now;

	if (error != atomic_load(&log->error))
		log_warn("op=%s file=%s err=\"%s: %s\" its lines are lost", log->of, log->path,
			 names[failed], strerror(error));
	log->failed = failed;
	atomic_store(&log->error, error);
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	log->retry = now.tv_sec + RETRY_S;
}

static void works(struct pk_flowlog *log)
{
	if (atomic_exchange(&log->error, 0))
		log_info("op=%s file=%s lost=%lu can be written again", log->of, log->path,
			 (unsigned long)atomic_load(&log->lost));
}

/*
 * Makes the directories above the file. The state directory may be among them, which is root's
 * alone.
 */
static void make_directory(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = '\0';
	pk_fs_mkdirs(dir, 0700, NULL); /* an error shows when the file is opened */
}

/*
 * Opens the file with mode 0640: it says which tenants talk to whom. Where a FIFO lies there nobody
 * waits for its reader.
 */
static int open_file(struct pk_flowlog *log)
{
	struct timespec now;
	struct stat st;

	if (log->fd >= 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < log->retry)
		return -1;
	make_directory(log->path);
	log->fd = open(log->path,
		       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (log->fd < 0 || fstat(log->fd, &st) < 0) {
		complain(log, STEP_OPEN);
		return -1;
	}
	log->size = (uint64_t)st.st_size;
	if (log->failed == STEP_OPEN)
		works(log);
	return 0;
}

static void complain_of_rotation(struct pk_flowlog *log, unsigned int to)
{
	const int error = errno;

	if (error != atomic_load(&log->stuck))
		log_warn(
			"op=%s file=%s err=\"rotate to .%u: %s\" past twice its size its lines are "
			"lost",
			log->of, log->path, to, strerror(error));
	atomic_store(&log->to, to);
	atomic_store(&log->stuck, error);
}

/*
 * Moves each file to the next one's place, the last one first. Returns false where one can't be
 * moved: none is moved into its place then, so nothing that is kept is lost, and the file stays
 * open.
 */
static bool rotate(struct pk_flowlog *log)
{
	char from[PATH_MAX], to[PATH_MAX];

	for (unsigned int i = log->keep; i > 0; i--) {
		if (i == 1)
			snprintf(from, sizeof(from), "%s", log->path);
		else
			snprintf(from, sizeof(from), "%s.%u", log->path, i - 1);
		snprintf(to, sizeof(to), "%s.%u", log->path, i);
		if (rename(from, to) < 0 && errno != ENOENT) {
			complain_of_rotation(log, i);
			return false;
		}
	}
	close(log->fd);
	log->fd = -1;
	if (atomic_exchange(&log->stuck, 0))
		log_info("op=%s file=%s lost=%lu is rotated again", log->of, log->path,
			 (unsigned long)atomic_load(&log->lost));
	return true;
}

/*
 * Opens the file that takes the next line. A full one that can't be rotated grows to twice its
 * size: no line is lost at once, and the disk isn't filled.
 */
static bool makes_room(struct pk_flowlog *log, size_t len)
{
	if (open_file(log) < 0)
		return false;
	if (log->size + len <= log->max_size)
		return true;
	if (rotate(log))
		return open_file(log) == 0;
	return log->size + len <= 2 * log->max_size;
}

static void write_line(struct pk_flowlog *log, const char *line, size_t len)
{
	ssize_t n;

	if (!makes_room(log, len)) {
		atomic_fetch_add(&log->lost, 1);
		return;
	}
	n = write(log->fd, line, len);
	if (n == (ssize_t)len) {
		log->size += len;
		log->failed = STEP_OPEN;
		works(log);
		return;
	}
	/* Half a line would spoil the next one: cut it off. */
	if (n > 0 && ftruncate(log->fd, (off_t)log->size) < 0)
		log_debug("op=%s truncate=%s", log->of, strerror(errno));
	atomic_fetch_add(&log->lost, 1);
	complain(log, STEP_WRITE);
}

struct line {
	struct pk_flowlog *log;
	size_t len;
	char text[];
};

static int run_line(void *arg, struct pk_err *err)
{
	const struct line *line = arg;

	(void)err;
	write_line(line->log, line->text, line->len);
	return 0;
}

void pk_flowlog_line(struct pk_flowlog *log, const char *text, size_t len)
{
	struct line *line = pk_alloc(sizeof(*line) + len + 1);
	const struct pk_work work = { .run = run_line, .arg = line, .size = len };

	line->log = log;
	line->len = len + 1;
	memcpy(line->text, text, len);
	line->text[len] = '\n';
	if (log->again)
		pk_timer_hurry(log->again, RETRY_MS);
	if (log->writer && pk_writer_add(log->writer, &work))
		return;
	if (log->writer)
		atomic_fetch_add(&log->lost, 1);
	else
		run_line(line, NULL);
	free(line);
}

uint64_t pk_flowlog_lost(const struct pk_flowlog *log)
{
	return atomic_load(&log->lost);
}

/* Returns whether a line has room where the last one had none. */
static bool has_room(const struct pk_flowlog *log)
{
	return log->failed == STEP_WRITE &&
	       fallocate(log->fd, FALLOC_FL_KEEP_SIZE, (off_t)log->size, ROOM_MAX) == 0;
}

static int try_again(void *arg, struct pk_err *err)
{
	struct pk_flowlog *log = *(struct pk_flowlog **)arg;

	(void)err;
	if (open_file(log) == 0 && has_room(log))
		works(log);
	if (log->fd >= 0 && atomic_load(&log->stuck) && rotate(log))
		open_file(log);
	atomic_store(&log->trying, false);
	return 0;
}

int pk_flowlog_error(struct pk_flowlog *log, unsigned int *to)
{
	const int lines = atomic_load(&log->error);
	const int error = lines ?: atomic_load(&log->stuck);
	struct pk_flowlog **arg;
	struct pk_work work = { .run = try_again, .always = true };

	*to = lines || !error ? 0 : atomic_load(&log->to);
	if (!error || !log->writer || atomic_exchange(&log->trying, true))
		return -error;
	arg = pk_alloc(sizeof(*arg));
	*arg = log;
	work.arg = arg;
	pk_writer_add(log->writer, &work);
	return -error;
}

/*
 * Tries a file again that can't be written: nobody may ask, and the next line is to be in it. What
 * waits is looked at first: the line that ends meanwhile has its error after that.
 */
static void try_in_a_while(void *arg)
{
	struct pk_flowlog *log = arg;
	const bool waits = pk_writer_waiting(log->writer) != 0;
	unsigned int to;

	if (pk_flowlog_error(log, &to) < 0 || waits)
		pk_timer_set(log->again, RETRY_MS);
}

struct pk_flowlog *pk_flowlog_new(const struct pk_flowlog_args *args)
{
	struct pk_flowlog *log = pk_alloc(sizeof(*log));

	*log = (struct pk_flowlog){ .writer = args->writer,
				    .of = args->of,
				    .max_size = args->max_size,
				    .keep = args->keep,
				    .fd = -1 };
	log->path = pk_strdup(args->path);
	if (args->loop)
		log->again = pk_timer_new(args->loop, try_in_a_while, log);
	return log;
}
