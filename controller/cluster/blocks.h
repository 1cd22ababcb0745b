/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Claims this node's blocks in Consul ("blocks": { "claim": true }), a key for each, by
 * compare-and-set, and claims another one before they are full. A claim is the node's, not its
 * session's: it outlives picketd, an outage and a reboot. Addresses are handed out only of blocks
 * that Consul confirmed at most PK_BLOCKS_KEEP_S ago.
 */
#include "believed.h"
#include "conf.h"
#include "store.h"
#include "loop.h"
#include "model.h"

struct pk_blocks;

struct pk_blocks_args {
	struct pk_loop *loop;
	struct pk_store *store;		/* outlives it */
	const struct pk_config *config; /* outlives it */
	const struct pk_model *model;
	const char *node;   /* as the last part of a key */
	const char *prefix; /* ends with "/" */
	pk_loop_fn *look;   /* called when it is time to call pk_blocks_settle */
	void *arg;
};

struct pk_blocks *pk_blocks_new(const struct pk_blocks_args *args);
void pk_blocks_free(struct pk_blocks *blocks);

/* What is known of the cluster so far. */
struct pk_blocks_heard {
	bool nodes, claims; /* the whole lists were heard */
	bool published;	    /* this node's word was written under its own session since then */
	bool contested;	    /* another session holds this node's key */
};
/*
 * Brings the claims on. Call it after pk_believed_claims. Returns whether pk_blocks_fill says
 * something else than before.
 */
bool pk_blocks_settle(struct pk_blocks *blocks, struct pk_believed *believed,
		      const struct pk_blocks_heard *heard);
/* Fills in the settings' pools, blocks and the time (seconds since 1970) until which they count. */
void pk_blocks_fill(const struct pk_blocks *blocks, struct pk_settings *settings);
/*
 * Returns whether this node may publish itself: it has heard the others, and nobody else bears its
 * name.
 */
bool pk_blocks_may_publish(const struct pk_blocks *blocks);
/* Returns why addresses aren't handed out, or soon can't be; "". */
const struct pk_err *pk_blocks_error(const struct pk_blocks *blocks);
/*
 * Counts endpoints here that have an address in a block that another node claims; err says of the
 * first of these blocks whose it is. 0: there are none.
 */
size_t pk_blocks_strays(const struct pk_blocks *blocks, const struct pk_believed *believed,
			struct pk_err *err);
/* Checks that a range has the blocks of endpoints that are there; else -EINVAL, and what to do. */
int pk_blocks_check_range(const struct pk_blocks *blocks, const struct pk_config *config,
			  struct pk_err *err);
