/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counts what an asker failed at. The failures in a row say when it asks again; all failed answers
 * ever say whom, so that after a success it goes on where that came from.
 */
#include "loop.h"

struct pk_tries {
	unsigned int failures; /* in a row */
	unsigned int turn;     /* failed answers ever: which of several addresses is asked */
};

/* Counts a failure that no other address mends; returns the milliseconds until the next try. */
static inline uint64_t pk_tries_again(struct pk_tries *t)
{
	return pk_backoff_ms(t->failures++);
}

/* Counts a failed answer; the next address has its turn, after so many milliseconds. */
static inline uint64_t pk_tries_elsewhere(struct pk_tries *t)
{
	t->turn++;
	return pk_tries_again(t);
}

static inline void pk_tries_good(struct pk_tries *t)
{
	t->failures = 0;
}
