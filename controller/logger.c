/* SPDX-License-Identifier: Apache-2.0 */
#include "logger.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "own.h"
#include "writer.h"

#define WAITING_MAX (1u << 20) /* bytes of lines that wait */

static struct pk_writer *writer;
static atomic_uint_fast64_t lost, untold;
static _Thread_local bool at_once; /* the thread's own lines */

struct line {
	size_t len;
	char text[];
};

/* Returns whether standard error must be waited for: whoever made it may have set O_NONBLOCK. */
static bool is_to_wait(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (errno == EINTR)
		return true;
	return errno == EAGAIN && (poll(&fd, 1, -1) >= 0 || errno == EINTR);
}

static void write_all(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(STDERR_FILENO, text + at, len - at);

		if (n < 0 && !is_to_wait()) {
			atomic_fetch_add(&lost, 1);
			return;
		}
		at += n < 0 ? 0 : (size_t)n;
	}
}

/* Writes a line. Lost lines are told before the first line that somebody reads again. */
static int write_line(void *arg, struct pk_err *err)
{
	const struct line *line = arg;
	uint64_t n = atomic_exchange(&untold, 0);

	(void)err;
	if (n) {
		at_once = true;
		log_warn("op=log lost=%lu err=\"nobody read standard error\"", (unsigned long)n);
		at_once = false;
	}
	write_all(line->text, line->len);
	return 0;
}

static void take(const char *text, size_t len)
{
	struct line *line;
	struct pk_work work = { .run = write_line, .size = len };

	if (at_once) {
		write_all(text, len);
		return;
	}
	line = pk_alloc(sizeof(*line) + len);
	line->len = len;
	memcpy(line->text, text, len);
	work.arg = line;
	if (pk_writer_add(writer, &work))
		return;
	free(line);
	atomic_fetch_add(&lost, 1);
	atomic_fetch_add(&untold, 1);
}

void pk_logger_start(void)
{
	writer = pk_writer_new(NULL, WAITING_MAX);
	pk_log_set(take);
}

void pk_logger_stop(uint64_t until_ns)
{
	bool all = pk_writer_flush(writer, until_ns);

	if (all) {
		pk_log_set(NULL);
		pk_writer_free(PK_MOVE(writer, NULL));
	}
}

uint64_t pk_logger_lost(void)
{
	return atomic_load(&lost);
}

uint64_t pk_logger_stuck_ms(void)
{
	uint64_t ms = writer ? pk_writer_busy_ms(writer) : 0;

	return ms < PK_WRITER_LATE_MS ? 0 : ms;
}

size_t pk_logger_waiting(void)
{
	return writer ? pk_writer_waiting(writer) : 0;
}
