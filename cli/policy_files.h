/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the commands that read policy files. */
#include <stddef.h>

#include "cli.h"
#include "err.h"

/* Sets the fix for a file that was named and can't be read, unless one is set; returns r. */
int cli_file_fix(struct pk_err *err, int r);
/* Reads a file, or standard input for "-". The text is the caller's. */
int cli_read_file(const char *path, char **text, size_t *len, struct pk_err *err);
/*
 * Writes a new file DIR/NAME.json and prints its path; -EEXIST where there is one. name may be any
 * text.
 */
int cli_write_new(const struct cli *cli, const char *dir, const char *name, const char *text,
		  struct pk_err *err);
