/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The blocks that this node claims in Consul ("blocks": { "claim": true }), one a key, by
 * compare-and-set: another one before they are full. A claim is the node's, not its session's: it
 * outlives picketd, an outage and a reboot. Addresses are handed out only of what is confirmed: at
 * most PK_BLOCKS_KEEP_S ago, unless picketd has lived since.
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
	const struct pk_config *config; /* outlives it; its settings have how long to believe */
	const struct pk_model *model;
	const char *node;   /* as the last part of a key */
	const char *prefix; /* ends with "/" */
	pk_loop_fn *look;   /* it is time to settle */
	void *arg;
};

struct pk_blocks *pk_blocks_new(const struct pk_blocks_args *args);
void pk_blocks_free(struct pk_blocks *blocks);

/* The state of things as far as it is known. */
struct pk_blocks_heard {
	bool nodes, claims; /* Consul has said all of them since picketd's start */
	bool published;	    /* this node's word was written under its own session since then */
	bool contested;	    /* somebody else holds the node's word */
};
/* Is called after pk_believed_claims. True: pk_blocks_fill says something else than before. */
bool pk_blocks_settle(struct pk_blocks *blocks, struct pk_believed *believed,
		      const struct pk_blocks_heard *heard);
/* Fills in pools, blocks and until when they count. */
void pk_blocks_fill(const struct pk_blocks *blocks, struct pk_settings *settings);
/*
 * Returns whether this node may say of itself what it is: it has heard, and nobody else bears its
 * name.
 */
bool pk_blocks_may_publish(const struct pk_blocks *blocks);
/* Returns why addresses aren't handed out, or soon can't be; "". */
const struct pk_err *pk_blocks_error(const struct pk_blocks *blocks);
/*
 * Counts endpoints here with an address in another node's block by its claim; of the first one's
 * block says whose. 0: none.
 */
size_t pk_blocks_strays(const struct pk_blocks *blocks, const struct pk_believed *believed,
			struct pk_err *err);
/* Checks that a range has the blocks of endpoints that are there; else -EINVAL, and what to do. */
int pk_blocks_check_range(const struct pk_blocks *blocks, const struct pk_config *config,
			  struct pk_err *err);
