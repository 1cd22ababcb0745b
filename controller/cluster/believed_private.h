/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The words that were said (believed_words.c), and what of them is believed (believed.c,
 * believed_claims.c).
 */
#include <uthash.h>

#include "believed.h"

enum word_kind { WORD_NODE, WORD_SHARE, WORD_CLAIM };

/* One key's last word. */
struct word {
	enum word_kind kind;
	char *key, *node;  /* node: of a claim the one that its text names */
	char *tenant_name; /* of a share; else NULL */
	uint64_t created, modified, number;
	bool said; /* a text of it could be read once */
	bool read; /* a text was; it may be a bad one, or one that isn't taken */
	uint64_t read_hash[2], read_number; /* of the last text that was */
	bool older;			    /* Consul has an older text than what is believed */
	bool kept;			    /* it was believed before this picketd began */
	bool live;
	time_t since;
	const char *held;
	char *bad; /* why its newest text isn't taken; NULL: it is */
	struct pk_share share;
	struct pk_node_word *self;   /* of a node's own word */
	struct pk_claim_word *claim; /* of a claim, and */
	struct pk_prefix block;	     /* its block */
	UT_hash_handle hh;
};

struct pk_believed {
	char *own;
	struct word *words;	      /* by key */
	struct ahead *ahead;	      /* by key: what was read ahead (believed_words.c) */
	struct pk_label_sets *labels; /* label sets of the shares' endpoints */
	struct node *nodes;	      /* all nodes, as the last settling found them */
	struct node **list;	      /* the same by their names */
	size_t n;
	uint64_t ways[2]; /* hash of all blocks and their nodes' addresses */
	struct pk_block_claims claims;
	bool claims_old; /* a claim changed since the claims were judged */
	size_t refused;
};

void words_free(struct pk_believed *b);
#define ENDS_WHY 160
/*
 * Returns whether a node's word names an address at which it can't be: an endpoint's, or one of
 * this node's. `why` says which.
 */
bool ends_are_wrong(const struct pk_believed *b, const struct word *w,
		    const struct pk_believed_world *world, char why[ENDS_WHY]);
