/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the flows files, rotated ones too, oldest line first. */
#include "cli.h"

/*
 * Is called with each line, without its end; text may be changed. A value other than 0 ends the
 * reading.
 */
typedef int flow_line_fn(void *arg, char *text, size_t len);

/*
 * Finds the flows file's path: the running picketd's, else the configuration's; "" where there is
 * none.
 */
int flow_files_path(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err);
/* Reads the files; one that is rotated meanwhile is read once. -ENOENT: there is none. */
int flow_files_read(const char *path, flow_line_fn *fn, void *arg, struct pk_err *err);
