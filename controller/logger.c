/* SPDX-License-Identifier: Apache-2.0 */
#include "logger.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "own.h"
#include "writer.h"

#define WAITING_MAX (1u << 20) /* bytes of lines that wait */

static struct pk_writer *writer;
static atomic_uint_fast64_t lost, untold;

struct line {
	size_t len;
	char text[];
};

/* Whoever gave us standard error may have made it one that doesn't wait. */
static bool is_to_wait(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (errno == EINTR)
		return true;
	return errno == EAGAIN && (poll(&fd, 1, -1) >= 0 || errno == EINTR);
}

static int write_line(void *arg, struct pk_err *err)
{
	const struct line *line = arg;
	size_t at = 0;

	(void)err;
	while (at < line->len) {
		ssize_t n = write(STDERR_FILENO, line->text + at, line->len - at);

		if (n < 0 && !is_to_wait()) {
			atomic_fetch_add(&lost, 1);
			return 0;
		}
		at += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

static void add(const char *text, size_t len)
{
	struct line *line = pk_alloc(sizeof(*line) + len);
	const struct pk_work work = { .run = write_line, .arg = line, .size = len };

	line->len = len;
	memcpy(line->text, text, len);
	if (pk_writer_add(writer, &work))
		return;
	free(line);
	atomic_fetch_add(&lost, 1);
	atomic_fetch_add(&untold, 1);
}

/* What was lost is told before the first line that is taken again. */
static void take(const char *text, size_t len)
{
	uint64_t n = pk_writer_busy_ms(writer) < PK_WRITER_LATE_MS ? atomic_exchange(&untold, 0) : 0;

	if (n)
		log_warn("op=log lost=%lu err=\"nobody read standard error\"", (unsigned long)n);
	add(text, len);
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
