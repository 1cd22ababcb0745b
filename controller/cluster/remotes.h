/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps other nodes' endpoints as this node believes them, and those nodes' blocks: a part of the
 * model. The engine has each as an endpoint that isn't local. Pure.
 */
#include "addr.h"
#include "compile.h"
#include "world.h"

#define PK_REMOTE_KEY 600 /* room for "NODE/CONTAINER@INTERFACE" */

struct pk_remote_endpoint {
	char *key; /* "NODE/CONTAINER@INTERFACE" */
	char *node;
	uint64_t owner; /* hash of that key: the stamp of its entries */
	uint64_t generation;
	const struct pk_world_endpoint *ep; /* owned by the engine */
};

struct pk_remotes;

struct pk_remotes *pk_remotes_new(struct pk_engine *engine);
void pk_remotes_free(struct pk_remotes *remotes);

/* Replace all endpoints: begin, put each, end. pk_remotes_end returns whether anything changed. */
void pk_remotes_begin(struct pk_remotes *remotes);
void pk_remotes_put(struct pk_remotes *remotes, const char *node,
		    const struct pk_world_endpoint *ep, uint64_t generation);
bool pk_remotes_end(struct pk_remotes *remotes);

size_t pk_remotes_count(const struct pk_remotes *remotes);
/* Walks the endpoints: NULL starts, and is returned after the last. */
const struct pk_remote_endpoint *pk_remotes_next(const struct pk_remotes *remotes,
						 const struct pk_remote_endpoint *e);
const struct pk_remote_endpoint *pk_remotes_by_address(const struct pk_remotes *remotes,
						       const union pk_addr *addr);

/* Replaces the blocks by a copy. Returns */
bool pk_remotes_set_blocks(struct pk_remotes *remotes, const struct pk_far_block *blocks, size_t n);
const struct pk_far_block *pk_remotes_blocks(const struct pk_remotes *remotes, size_t *n);
