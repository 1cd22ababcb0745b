/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Disk and pools, for GET /v1/status. */
#include "err.h"
#include "parts.h"

typedef void pk_room_fn(void *arg, const char *what, const struct pk_err *why);
/* Writes each block of the conflists of this root: its addresses, and how many are held. */
struct pk_room_pool {
	const char *network;
	const struct pk_prefix *block;
	const union pk_addr *gateway;
	uint64_t size, held;
};
typedef void pk_room_pool_fn(void *arg, const struct pk_room_pool *pool);
void pk_api_pools(const struct pk_parts *parts, pk_room_pool_fn *each, void *arg);
/* Calls say() for each thing that is about to run out. */
void pk_api_room(const struct pk_parts *parts, pk_room_fn *say, void *arg);
