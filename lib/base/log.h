/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Used by mains only: one logfmt line to stderr, "<N>" in front where journald reads it. */
#include <stddef.h>

enum pk_level { PK_LOG_ERROR = 3, PK_LOG_WARN = 4, PK_LOG_INFO = 6, PK_LOG_DEBUG = 7 };

void pk_log_init(const char *program, enum pk_level max);
/*
 * The function that takes each line, with its newline, from any thread; NULL: standard error, at
 * once.
 */
typedef void pk_log_fn(const char *line, size_t len);
void pk_log_set(pk_log_fn *fn);
/*
 * Writes one line. fmt is logfmt text: op=sync ep=4 err="%s". A text that is put in by %s may be a
 * tenant's: it is escaped where fmt has it in quotes, and quoted where fmt doesn't and it needs
 * quotes, so that it never becomes another key or line.
 */
void pk_log(enum pk_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) pk_log(PK_LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  pk_log(PK_LOG_WARN, __VA_ARGS__)
#define log_info(...)  pk_log(PK_LOG_INFO, __VA_ARGS__)
#define log_debug(...) pk_log(PK_LOG_DEBUG, __VA_ARGS__)

/* Writes the same into a string, without level and program. */
struct pk_str;
void pk_log_format(struct pk_str *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
