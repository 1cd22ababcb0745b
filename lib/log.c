/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "own.h"
#include "str.h"

static const char *name = "picket";
static enum pk_level most = PK_LOG_INFO;

void pk_log_init(const char *program, enum pk_level max)
{
	name = program;
	most = max;
}

static const char *level_name(enum pk_level level)
{
	switch (level) {
	case PK_LOG_ERROR:
		return "error";
	case PK_LOG_WARN:
		return "warn";
	case PK_LOG_INFO:
		return "info";
	case PK_LOG_DEBUG:
		return "debug";
	}
	return "info";
}

static void add_time(struct pk_str *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	pk_str_addf(line, "time=%s.%03ldZ ", text, now.tv_nsec / 1000000);
}

void pk_log(enum pk_level level, const char *fmt, ...)
{
	own_str line = { 0 };
	char text[2048];
	va_list ap;

	if (level > most)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (getenv("JOURNAL_STREAM"))
		pk_str_addf(&line, "<%d>", (int)level); /* the journal has the time */
	else
		add_time(&line);
	pk_str_addf(&line, "level=%s program=%s ", level_name(level), name);
	pk_str_add_escaped(&line, text);
	pk_str_add(&line, "\n");
	if (!line.failed)
		fwrite(line.text, 1, line.len, stderr);
}
