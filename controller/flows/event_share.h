/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shares out the events that picketd names and writes in a second. A tenant gets at most as much as
 * it leaves to all others, and an endpoint as much as it leaves to its tenant's others. So a quiet
 * endpoint's first event finds room however many the others send. Pure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "picket/limits.h"

#define PK_EVENTS_PER_S	  5000 /* named and written in a second; more are counted as lost */
#define PK_EVENTS_TENANTS 1024 /* tenants whose numbers are equal modulo this have one share */

struct pk_event_count {
	uint64_t second;
	uint32_t n;
};
struct pk_event_share {
	struct pk_event_count all, tenant[PK_EVENTS_TENANTS], slot[PK_CAPACITY_MAX + 1];
};

/*
 * Counts an event of the endpoint and tenant in that second; returns false where it is past a
 * share.
 */
bool pk_event_share_take(struct pk_event_share *share, uint32_t tenant, uint32_t slot,
			 uint64_t second);
