/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counts, by endpoint, the events that picketd had no room for: more than it names in a second, and
 * lines that the endpoint's share of the flows file doesn't take. A slot that another endpoint has
 * by now counts anew. Pure.
 */
#include <stdint.h>

struct pk_event_lost {
	uint64_t unnamed; /* over a share of what is named in a second */
	uint64_t unfiled; /* in answers alone, not in the flows file */
};

struct pk_event_losses;

struct pk_event_losses *pk_event_losses_new(void);
void pk_event_losses_free(struct pk_event_losses *losses);
/* Returns the counts of the endpoint that has the slot now, by its key; NULL: nobody's. */
struct pk_event_lost *pk_event_losses_of(struct pk_event_losses *losses, uint32_t slot,
					 const char *key);
