/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Listens on a unix socket at a path. A stale socket is replaced, another picketd's is not. */
#include <sys/types.h>

#include "err.h"

/*
 * type is SOCK_STREAM or SOCK_SEQPACKET, mode is the file's. Returns the descriptor, not blocking,
 * or -errno.
 */
int pk_unix_listen(const char *path, int type, mode_t mode, struct pk_err *err);
