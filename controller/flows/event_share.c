/* SPDX-License-Identifier: Apache-2.0 */
#include "event_share.h"

#include "own.h"

static struct pk_event_count *now(struct pk_event_count *count, uint64_t second)
{
	if (count->second != second)
		*count = (struct pk_event_count){ .second = second };
	return count;
}

bool pk_event_share_take(struct pk_event_share *share, uint32_t tenant, uint32_t slot,
			 uint64_t second)
{
	struct pk_event_count *all = now(&share->all, second);
	struct pk_event_count *its = now(&share->tenant[tenant % PK_EVENTS_TENANTS], second);
	struct pk_event_count *own = now(&share->slot[slot % PK_ARRAY_LEN(share->slot)], second);
	uint32_t left = PK_EVENTS_PER_S - all->n;

	if (!left || its->n + own->n > left)
		return false;
	all->n++;
	its->n++;
	own->n++;
	return true;
}
