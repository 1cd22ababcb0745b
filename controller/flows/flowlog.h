/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes the flows file, a JSON line for each event. The file is opened at the first line, and
 * rotated by size to FILE.1 … FILE.<keep>. Where it can't be rotated it grows to twice that size.
 * Lines that can't be written are lost and counted: nothing waits for a disk that is full or hangs.
 */
#include <stddef.h>
#include <stdint.h>

#include "writer.h"

struct pk_flowlog;

struct pk_flowlog_args {
	const char *path;
	uint64_t max_size;
	unsigned int keep;
	const char *of;		  /* what its lines are, for the log: "flows" */
	struct pk_loop *loop;	  /* NULL where there is no writer */
	struct pk_writer *writer; /* NULL: each line is written at once */
};
struct pk_flowlog *pk_flowlog_new(const struct pk_flowlog_args *args);
void pk_flowlog_free(struct pk_flowlog *log);
void pk_flowlog_line(struct pk_flowlog *log, const char *line, size_t len);
uint64_t pk_flowlog_lost(const struct pk_flowlog *log);
/*
 * Returns why the last line wasn't written, as -errno, 0 where it was. Where it was, and the file
 * is too large and can't be rotated, it returns why that is, and *to is the N of the FILE.N that
 * can't be made; else *to is 0. Such a file is tried again then, and each second by the loop, as
 * the next line may be days away: that it can be opened, has room where it had none, and can be
 * rotated. What else was wrong with a line ends with the next one.
 */
int pk_flowlog_error(struct pk_flowlog *log, unsigned int *to);
