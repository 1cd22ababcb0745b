/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_budget.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"

struct account {
	uint64_t used;	  /* bytes, less what time gave back */
	uint64_t then_ms; /* the time (ms) at which `used` was that */
	struct pk_flow_missed missed;
};

struct pk_flow_budget {
	struct account *slots;
	size_t n;
};

struct pk_flow_budget *pk_flow_budget_new(void)
{
	return pk_alloc(sizeof(struct pk_flow_budget));
}

void pk_flow_budget_free(struct pk_flow_budget *b)
{
	if (b)
		free(b->slots);
	free(b);
}

static struct account *account_of(struct pk_flow_budget *b, uint32_t slot)
{
	if (slot >= b->n) {
		size_t n = slot + 64;

		b->slots = realloc(b->slots, n * sizeof(*b->slots));
		if (!b->slots)
			abort();
		memset(b->slots + b->n, 0, (n - b->n) * sizeof(*b->slots));
		b->n = n;
	}
	return &b->slots[slot];
}

bool pk_flow_budget_take(struct pk_flow_budget *b, uint32_t slot, size_t bytes, uint64_t now_ms,
			 struct pk_flow_missed *missed)
{
	struct account *a = account_of(b, slot);
	uint64_t back = (now_ms - a->then_ms) * PK_FLOW_BYTES_PER_MS;

	*missed = (struct pk_flow_missed){ 0 };
	a->used = a->used > back ? a->used - back : 0;
	a->then_ms = now_ms;
	if (a->used + bytes > PK_FLOW_BURST) {
		if (a->missed.lines++ == 0)
			a->missed.since_ms = now_ms;
		return false;
	}
	a->used += bytes;
	*missed = PK_MOVE(a->missed, (struct pk_flow_missed){ 0 });
	return true;
}
