/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Says whose the blocks of the cluster's range are, by the claims in Consul (design.md, "Claimed
 * blocks"). Of two claims that overlap the one that was made first counts. A block that was given
 * back rests for PK_CLAIM_REST_S before anybody gets it. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "addr.h"
#include "settings.h"
#include "share.h"

/* Twice as long as a node that hears nothing goes on handing out addresses of its blocks. */
#define PK_CLAIM_REST_S (2 * PK_BLOCKS_KEEP_S)
#define PK_CLAIMS_MAX	16384

struct pk_block_claim {
	const char *key;  /* "blocks/…" */
	const char *node; /* the node whose it is */
	struct pk_prefix block;
	const struct pk_claim_word *word; /* NULL: no claim, only a node's word names it */
	/* the store's indexes; modified 0: the key isn't there, as far as is known */
	uint64_t created, modified;
	bool kept;	    /* the key is gone from Consul, and its claim still counts */
	const char *before; /* NULL: it counts; else the node whose earlier claim overlaps it */
};

struct pk_block_claims {
	struct pk_block_claim *list; /* by block */
	size_t n;
};

/* Sorts the claims and fills in `before`. */
void pk_block_claims_judge(struct pk_block_claims *claims);
/* Returns the claim that counts and overlaps the block; NULL: there is none. */
const struct pk_block_claim *pk_block_claim_of(const struct pk_block_claims *claims,
					       const struct pk_prefix *block);
bool pk_prefix_overlap(const struct pk_prefix *a, const struct pk_prefix *b);
bool pk_block_in_range(const struct pk_prefix *block, const struct pk_prefix *range, size_t n);
/* Returns the block of that length that has the address. */
struct pk_prefix pk_block_at(const union pk_addr *addr, unsigned int len);

struct pk_block_want {
	const struct pk_prefix *range;
	size_t n_range;
	bool v6;
	unsigned int len;
	uint64_t start; /* the index of the block to look at first, another one for each node */
	const struct pk_prefix *taken; /* blocks that anybody claims or says to have */
	size_t n_taken;
};
/* Finds a block that nobody has. Returns false where there is none. */
bool pk_block_free(const struct pk_block_want *want, struct pk_prefix *out);
/*
 * Returns a block that was given back and has rested, or that this node itself gave back; NULL:
 * there is none.
 */
const struct pk_block_claim *pk_block_rested(const struct pk_block_claims *claims,
					     const struct pk_block_want *want, const char *node,
					     time_t now);
