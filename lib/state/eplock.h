/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One verb at a time for a container id. All ids share the file /run/picket/lock/endpoints: each
 * locks one byte of it, at a hash of its id, so that nothing is left of a lock that is released.
 * Two ids of one hash wait for each other.
 */
#include <stdint.h>

#include "err.h"
#include "paths.h"

/*
 * Waits until deadline_ns (CLOCK_MONOTONIC): -ETIMEDOUT, PK_CODE_DEADLINE. Makes the directory.
 * Close fd to release; the end of the process releases too.
 */
int pk_endpoint_lock(const struct pk_paths *paths, const char *container_id, uint64_t deadline_ns,
		     int *fd, struct pk_err *err);
