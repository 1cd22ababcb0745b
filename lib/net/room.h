/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tells what a node is about to run out of: space for its state, addresses of a pool. */
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "paths.h"

/*
 * Returns whether the file system of the state directory has too little left for records and
 * leases; why gets the reason and its fix.
 */
bool pk_room_disk_is_short(const struct pk_paths *paths, struct pk_err *why);
/*
 * Returns whether all addresses of an IPv4 block are held, or all but a few; why gets the reason
 * and its fix.
 */
bool pk_room_pool_is_short(const struct pk_prefix *block, const union pk_addr *gateway,
			   uint64_t held, struct pk_err *why);
