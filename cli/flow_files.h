/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The flows files, those that were rotated too: oldest line first. */
#include "cli.h"

/* Non-zero ends it. text is the line without its end; it may be changed. */
typedef int flow_line_fn(void *arg, char *text, size_t len);

/* Gives the running picketd's path, else the configuration's; "" where there is none. */
int flow_files_path(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err);
/* -ENOENT: there is no file. Files that are rotated meanwhile are read once. */
int flow_files_read(const char *path, flow_line_fn *fn, void *arg, struct pk_err *err);
