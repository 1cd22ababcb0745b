/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps the nodes that speak of one tenant, and what Nomad's answers say of each such pair of node
 * and tenant. A pair that came after a question was asked isn't judged by its answer. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#include "hosting.h"

struct pk_pairs;

struct pk_pairs *pk_pairs_new(void);
void pk_pairs_free(struct pk_pairs *pairs);

/*
 * Returns Nomad's word on the pair, and with *is_new whether no question was asked for it yet. A
 * settling calls pk_pairs_of for all pairs between begin and end; end drops the others.
 */
void pk_pairs_begin(struct pk_pairs *pairs);
enum pk_hosting pk_pairs_of(struct pk_pairs *pairs, const char *node, bool *is_new);
void pk_pairs_end(struct pk_pairs *pairs);
/* Returns whether a pair came after the last question. */
bool pk_pairs_any_new(const struct pk_pairs *pairs);

/*
 * Say, in this order, that a question is asked, and once for each node of its answer that the node
 * is in it.
 */
void pk_pairs_asked(struct pk_pairs *pairs);
void pk_pairs_here(struct pk_pairs *pairs, const char *node);
/* Returns whether the answer lacks a pair that Nomad hasn't said no of. */
bool pk_pairs_lack(const struct pk_pairs *pairs);

struct pk_pairs_taken {
	bool changed, any_no;
	size_t had;	  /* pairs of which Nomad said yes */
	size_t lacks;	  /* those of them that the answer lacks */
	const char *held; /* a static text on why those stay believed; NULL: they don't */
};
/* Takes the nodes of the last answer as Nomad's word. */
void pk_pairs_take(struct pk_pairs *pairs, struct pk_pairs_taken *taken);
/*
 * Says that Nomad is silent: what it said stays; pairs that wait for an answer don't any more.
 * Returns whether any did.
 */
bool pk_pairs_silent(struct pk_pairs *pairs);
