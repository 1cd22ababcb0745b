/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The nodes that speak of one tenant, each a pair with it, and what Nomad's answers say of each. A
 * pair that comes after a question was asked isn't judged by its answer. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#include "hosting.h"

struct pk_pairs;

struct pk_pairs *pk_pairs_new(void);
void pk_pairs_free(struct pk_pairs *pairs);

/*
 * Returns Nomad's word on the pair. One settling asks for all pairs between begin and end; those
 * that it doesn't ask for are dropped. *is_new: no question was asked with it yet.
 */
void pk_pairs_begin(struct pk_pairs *pairs);
enum pk_hosting pk_pairs_of(struct pk_pairs *pairs, const char *node, bool *is_new);
void pk_pairs_end(struct pk_pairs *pairs);
/* Returns whether a pair came after the last question. */
bool pk_pairs_any_new(const struct pk_pairs *pairs);

/* Say, in this order, that a question is asked, and that its answer has this node. */
void pk_pairs_asked(struct pk_pairs *pairs);
void pk_pairs_here(struct pk_pairs *pairs, const char *node);
/* Returns whether the answer lacks a pair that Nomad hasn't said no of. */
bool pk_pairs_lack(const struct pk_pairs *pairs);

struct pk_pairs_taken {
	bool changed, any_no;
	size_t had, lacks; /* pairs of which Nomad said yes; those of them that the answer lacks */
	const char *held;  /* why they stay as they are, though it lacks them; NULL: they don't */
};
/* Takes an answer that counts. */
void pk_pairs_take(struct pk_pairs *pairs, struct pk_pairs_taken *taken);
/* Says that Nomad is silent: what it said stays, what is asked about is judged without it. */
bool pk_pairs_silent(struct pk_pairs *pairs);
