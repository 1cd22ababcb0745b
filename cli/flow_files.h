/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the flows files, those that were rotated too, oldest line first. */
#include "cli.h"

/*
 * Is given each line; a value other than 0 ends the reading. text is the line without its end, and
 * may be changed.
 */
typedef int flow_line_fn(void *arg, char *text, size_t len);

/* Finds the running picketd's path, else the configuration's; "" where there is none. */
int flow_files_path(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err);
/* Reads the files; those that are rotated meanwhile are read once. -ENOENT: there is none. */
int flow_files_read(const char *path, flow_line_fn *fn, void *arg, struct pk_err *err);
