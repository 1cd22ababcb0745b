/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who may have how many of the events that picketd names and writes in a second. A tenant takes no
 * more than it leaves to all others, and an endpoint no more than it leaves to its tenant: so the
 * first word of whoever was quiet finds room, however many others shout. Pure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "picket/limits.h"

#define PK_EVENTS_PER_S	  5000 /* named and written in a second; more are counted as lost */
#define PK_EVENTS_TENANTS 1024 /* those whose numbers are the same modulo this share */

struct pk_event_count {
	uint64_t second;
	uint32_t n;
};
struct pk_event_share {
	struct pk_event_count all, tenant[PK_EVENTS_TENANTS], slot[PK_CAPACITY_MAX + 1];
};

/* One event of that endpoint and tenant in that second: counted and true, or too much. */
bool pk_event_share_take(struct pk_event_share *share, uint32_t tenant, uint32_t slot,
			 uint64_t second);
