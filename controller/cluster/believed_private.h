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
	char *key, *node;  /* node: of a claim as it says */
	char *tenant_name; /* of a share */
	uint64_t created, modified, number;
	bool said;  /* something that could be read */
	bool older; /* Consul has an older text than what is believed */
	bool kept;  /* it was believed before this picketd began */
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
	struct pk_label_sets *labels; /* of their endpoints */
	struct node *nodes;	      /* of the last settling */
	struct node **list;	      /* the same by their names */
	size_t n;
	uint64_t ways[2]; /* hash of where which blocks lie */
	struct pk_block_claims claims;
	bool claims_old; /* a claim's word is another since they were judged */
	size_t refused;
};

void words_free(struct pk_believed *b);
#define ENDS_WHY 160
/*
 * Returns whether a node's word names an address where it can't be reached: an endpoint's, or one
 * that this node says to have. why says which.
 */
bool ends_are_wrong(const struct pk_believed *b, const struct word *w,
		    const struct pk_believed_world *world, char why[ENDS_WHY]);
