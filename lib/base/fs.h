/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files: read with a cap, write whole or not at all, lock. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "err.h"

/*
 * Reads at most cap bytes into a NUL-terminated text (the caller frees it); -EFBIG beyond the cap.
 * The fd variant reads to the end.
 */
int pk_fs_read(const char *path, size_t cap, char **text, size_t *len, struct pk_err *err);
/* Reads a file that must be one: what else lies there (a FIFO) is refused, never waited for. */
int pk_fs_read_own(const char *path, size_t cap, char **text, size_t *len, struct pk_err *err);
int pk_fs_read_fd(int fd, size_t cap, char **text, size_t *len, struct pk_err *err);

/*
 * Sets the fix of what a disk refuses (full, read-only, broken, a directory in a file's place),
 * unless one is set; returns r. The functions below do so themselves.
 */
int pk_fs_fix(struct pk_err *err, int r);

/* Returns whether two looks are at one file, unchanged as far as its size and times tell. */
bool pk_fs_is_same(const struct stat *a, const struct stat *b);

/*
 * Writes a file whole or not at all: temporary file, write, fsync, rename, fsync of the directory.
 * The temporary is dot-named and removed on failure.
 */
int pk_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct pk_err *err);
/* Writes a file as pk_fs_write does, but without any fsync, for files that a restart rebuilds. */
int pk_fs_write_quick(const char *path, const void *data, size_t len, mode_t mode,
		      struct pk_err *err);

/* Makes the directories of path that are missing, each with mode. */
int pk_fs_mkdirs(const char *path, mode_t mode, struct pk_err *err);

/*
 * Takes flock(LOCK_EX) on path (made if needed); waits until deadline_ns of CLOCK_MONOTONIC;
 * -ETIMEDOUT. Close fd to release it.
 */
int pk_fs_lock(const char *path, uint64_t deadline_ns, int *fd, struct pk_err *err);

uint64_t pk_now_ns(void);	/* CLOCK_MONOTONIC */
uint64_t pk_boot_seconds(void); /* CLOCK_BOOTTIME, which goes on while the machine sleeps */
