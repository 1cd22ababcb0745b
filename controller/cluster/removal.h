/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Takes out of the store what a node that is gone for good left there: what it told, its word and
 * its shares are deleted, its blocks given back, to rest (claims.h). Keys are written one by one;
 * where it was stopped it can be started again.
 */
#include "claims.h"
#include "store.h"

struct pk_removal;

struct pk_removal_args {
	struct pk_store *store; /* outlives it */
	const char *node;	/* as the last part of a key */
	unsigned int addresses; /* of the store: what one leaves unanswered the next is asked */
	/* The claims of all nodes; those of this node are copied. */
	const struct pk_block_claims *claims;
};
struct pk_removed {
	size_t keys, blocks; /* keys that are gone; blocks that were given back */
	const char *left;    /* what may be left, and how to mend that; NULL: nothing */
	const char *why;     /* why it failed; NULL: all else is done */
};
/* Is called at the end; never from within pk_removal_start, nor after a cancel. */
typedef void pk_removal_fn(void *arg, const struct pk_removed *removed);

/* Returns NULL where the store can't be asked; err says why. */
struct pk_removal *pk_removal_start(const struct pk_removal_args *args, pk_removal_fn *fn,
				    void *arg, struct pk_err *err);
void pk_removal_cancel(struct pk_removal *removal);
