/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "own.h"
#include "str.h"

static const char *name = "picket";
static enum pk_level most = PK_LOG_INFO;
static pk_log_fn *take;

void pk_log_init(const char *program, enum pk_level max)
{
	name = program;
	most = max;
}

void pk_log_set(pk_log_fn *fn)
{
	take = fn;
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

/*
 * Returns whether standard error is the journal's own stream, which $JOURNAL_STREAM names by device
 * and inode. Where they differ the variable is inherited from a parent that wrote to the journal.
 */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[48];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
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

#define VALUE_MAX 1000 /* bytes of one value; the rest of a longer one is left out */

/* A text within quotes is written so that it can't end them: quotes and backslashes are escaped. */
static void add_quoted(struct pk_str *line, const char *text, size_t n)
{
	own_str part = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"' || text[i] == '\\')
			pk_str_add(&part, "\\");
		pk_str_addn(&part, text + i, 1);
	}
	pk_str_add_escaped(line, part.text ?: "");
}

static bool is_bare(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == '"' || text[i] == '=' ||
		    text[i] == '\\')
			return false;
	return n > 0;
}

/* A value of somebody else's can't become a key and value of our own. */
static void add_value(struct pk_str *line, const char *text, size_t max, bool in_quotes)
{
	size_t n;

	text = text ?: "";
	n = strnlen(text, max < VALUE_MAX ? max : VALUE_MAX);
	if (in_quotes || is_bare(text, n)) {
		add_quoted(line, text, n);
	} else {
		pk_str_add(line, "\"");
		add_quoted(line, text, n);
		pk_str_add(line, "\"");
	}
}

/* One conversion of printf: where it stands, its length modifier and what it converts to. */
struct conversion {
	char spec[24]; /* "%-8.3lu" */
	char length;   /* 'l', 'L' for ll, 'z', 0 */
	char to;
	int precision; /* -1: none */
};

/* Reads the conversion at p, which stands at a '%'; returns what stands behind it. */
static const char *parse(const char *p, struct conversion *c, va_list *ap)
{
	const char *start = p++;

	*c = (struct conversion){ .precision = -1 };
	p += strspn(p, "-+ #0123456789");
	if (*p == '.' && p[1] == '*') {
		c->precision = va_arg(*ap, int);
		p += 2;
	} else if (*p == '.') {
		c->precision = (int)strtol(p + 1, (char **)&p, 10);
	}
	while (*p && strchr("hlzjt", *p)) {
		c->length = c->length == 'l' && *p == 'l' ? 'L' : *p;
		p++;
	}
	c->to = *p ? *p++ : 0;
	snprintf(c->spec, sizeof(c->spec), "%.*s", (int)(p - start), start);
	return p;
}

static void add_number(struct pk_str *line, const struct conversion *c, va_list *ap)
{
	if (strchr("fgeFGE", c->to))
		/* NOLINTNEXTLINE(bugprone-branch-clone): the types differ. */
		pk_str_addf(line, c->spec, va_arg(*ap, double));
	else if (c->length == 'L')
		pk_str_addf(line, c->spec, va_arg(*ap, long long));
	else if (c->length && strchr("lzjt", c->length))
		pk_str_addf(line, c->spec, va_arg(*ap, long));
	else
		pk_str_addf(line, c->spec, va_arg(*ap, int));
}

/* Does what printf does, but quotes and escapes a text as logfmt has it. */
static void add_formatted(struct pk_str *line, const char *fmt, va_list *ap)
{
	bool in_quotes = false;

	while (*fmt) {
		struct conversion c;

		if (*fmt != '%' || fmt[1] == '%') {
			in_quotes ^= *fmt == '"';
			pk_str_addn(line, fmt, 1);
			fmt += *fmt == '%' ? 2 : 1;
			continue;
		}
		fmt = parse(fmt, &c, ap);
		if (c.to == 's')
			add_value(line, va_arg(*ap, const char *),
				  c.precision < 0 ? SIZE_MAX : (size_t)c.precision, in_quotes);
		else
			add_number(line, &c, ap);
	}
}

void pk_log_format(struct pk_str *line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_formatted(line, fmt, &ap);
	va_end(ap);
}

void pk_log(enum pk_level level, const char *fmt, ...)
{
	own_str line = { 0 };
	va_list ap;

	if (level > most)
		return;
	if (is_journal())
		pk_str_addf(&line, "<%d>", (int)level); /* the journal has the time */
	else
		add_time(&line);
	pk_str_addf(&line, "level=%s program=%s ", level_name(level), name);
	va_start(ap, fmt);
	add_formatted(&line, fmt, &ap);
	va_end(ap);
	pk_str_add(&line, "\n");
	if (line.failed)
		return;
	if (take)
		take(line.text, line.len);
	else
		fwrite(line.text, 1, line.len, stderr);
}
