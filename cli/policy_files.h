/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the commands that read policy files. */
#include <stddef.h>

#include "cli.h"
#include "err.h"

/* Sets the fix for a file that can't be read, unless there is one already; returns r. */
int cli_file_fix(struct pk_err *err, int r);
/* Reads a file, or standard input for "-". The text is the caller's. */
int cli_read_file(const char *path, char **text, size_t *len, struct pk_err *err);
/*
 * Writes a new file DIR/NAME.json and prints its path; -EEXIST where there is one already. The name
 * may be any text: it is made a safe one.
 */
int cli_write_new(const struct cli *cli, const char *dir, const char *name, const char *text,
		  struct pk_err *err);
