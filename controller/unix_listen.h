/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A unix socket at a path: a stale one is replaced, another picketd's is not. */
#include <sys/types.h>

#include "err.h"

/* type: SOCK_STREAM, SOCK_SEQPACKET. mode: of the file. The descriptor, not blocking, or -errno. */
int pk_unix_listen(const char *path, int type, mode_t mode, struct pk_err *err);
