/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by blocks.c, which knows what is this node's, and blocks_claim.c, which claims more. */
#include "blocks.h"
#include "ipam.h"
#include "tries.h"

struct own {
	struct pk_prefix block;
	bool confirmed;	   /* Consul says that it is this node's */
	uint64_t modified; /* the key's index, for the next compare-and-set */
	uint64_t number;
	uint64_t size, held; /* addresses */
};

struct pk_blocks {
	struct pk_blocks_args args;
	char *node, *prefix, machine[PK_CLAIM_MACHINE];
	struct own *own;
	size_t n;
	bool believed;	/* what is claimed counts */
	bool contested; /* somebody else bears the node's name */
	bool may_publish;
	int64_t until;
	struct pk_settings told; /* what the plugin was told last: pools and blocks alone */
	struct pk_timer *timer;
	struct pk_store_call *call;
	struct pk_prefix written; /* the block that was claimed last */
	uint64_t not_before_ms;
	struct pk_tries tries;
	struct pk_err error, write_error;
};

size_t blocks_n_range(const struct pk_config *c);
bool blocks_in_range(const struct pk_config *c, const struct pk_prefix *block);
/* Returns whether each family of the range has a confirmed block. */
bool blocks_has_each_family(const struct pk_blocks *b);
/* Returns whether the claim is under this node's name. */
bool blocks_is_named(const struct pk_blocks *b, const struct pk_block_claim *c);
/* Writes the next claim, where one is due and none is under way. */
void blocks_claim_next(struct pk_blocks *b, struct pk_believed *believed,
		       const struct pk_block_claims *claims);
