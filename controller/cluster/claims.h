/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The holders of the blocks of the cluster's range, by the claims in Consul (design.md, "Claimed
 * blocks"). Of two that overlap the one that was made first counts. A node that is gone gives its
 * blocks back: nobody gets one of those before it has rested. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "addr.h"
#include "settings.h"
#include "share.h"

/* A node believes what it knew of its claims for half as long. */
#define PK_CLAIM_REST_S (2 * PK_BLOCKS_KEEP_S)
#define PK_CLAIMS_MAX	16384

struct pk_block_claim {
	const char *key;  /* "blocks/…" */
	const char *node; /* the node whose it is */
	struct pk_prefix block;
	const struct pk_claim_word *word; /* NULL: a node says that it has the block */
	uint64_t created,
		modified; /* the store's indexes; modified 0: it isn't there, as far as is known */
	bool kept;	  /* Consul doesn't say so any more */
	const char *before; /* whose earlier claim overlaps it: it doesn't count; NULL: it does */
};

struct pk_block_claims {
	struct pk_block_claim *list; /* by block */
	size_t n;
};

/* Sorts the claims and fills in `before`. */
void pk_block_claims_judge(struct pk_block_claims *claims);
/* Returns the claim that counts and has addresses of that block; NULL: nobody's. */
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
	uint64_t start;		       /* of blocks, where to look first: another for each node */
	const struct pk_prefix *taken; /* blocks that anybody claims or says to have */
	size_t n_taken;
};
/* Finds a block that nobody has. False: there is none. */
bool pk_block_free(const struct pk_block_want *want, struct pk_prefix *out);
/*
 * Returns one that was given back and has rested, or that this very node gave back; NULL: there is
 * none.
 */
const struct pk_block_claim *pk_block_rested(const struct pk_block_claims *claims,
					     const struct pk_block_want *want, const char *node,
					     time_t now);
