/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counts, for each endpoint, the events for which picketd had no room: those past its share of what
 * is named in a second, and lines past its share of the flows file. The counts of a slot begin anew
 * with another endpoint. Pure.
 */
#include <stdint.h>

struct pk_event_lost {
	uint64_t unnamed; /* events past a share of what is named in a second: no line has them */
	uint64_t unfiled; /* lines that answers have, and the flows file hasn't */
};

struct pk_event_losses;

struct pk_event_losses *pk_event_losses_new(void);
void pk_event_losses_free(struct pk_event_losses *losses);
/*
 * Returns the counts of the endpoint with that key in that slot, made anew for another one; key
 * NULL: nobody's.
 */
struct pk_event_lost *pk_event_losses_of(struct pk_event_losses *losses, uint32_t slot,
					 const char *key);
