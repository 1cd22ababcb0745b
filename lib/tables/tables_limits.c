/* SPDX-License-Identifier: Apache-2.0 */
/* Writes an endpoint's limits into its entry. */
#include <errno.h>
#include <string.h>

#include "tables_private.h"
#include "own.h"
#include "tables.h"

/* A budget of all the places that there are is none of its own. */
void pk_endpoint_limits_put(const struct pk_bpf *bpf, const struct pk_limits_held *held,
			    struct pk_endpoint *ep)
{
	const uint32_t *of = held->limits.of;
	uint32_t flows = of[PK_LIMIT_FLOWS];

	for (int dir = 0; dir < 2; dir++) {
		ep->bytes_per_s[dir] = of[PK_LIMIT_BYTES + dir];
		ep->packets_per_s[dir] = of[PK_LIMIT_PACKETS + dir];
		ep->burst[dir] = held->burst[dir];
		ep->new_flows_per_s[dir] = of[PK_LIMIT_NEW_FLOWS + dir];
	}
	ep->flow_budget = flows < bpf->node.flow_budget ? flows : 0;
}

static void store(uint32_t *to, uint32_t value)
{
	if (__atomic_load_n(to, __ATOMIC_RELAXED) != value)
		__atomic_store_n(to, value, __ATOMIC_SEQ_CST);
}

static void store_all(struct pk_endpoint *ep, const struct pk_endpoint *want)
{
	for (int dir = 0; dir < 2; dir++) {
		store(&ep->bytes_per_s[dir], want->bytes_per_s[dir]);
		store(&ep->packets_per_s[dir], want->packets_per_s[dir]);
		store(&ep->burst[dir], want->burst[dir]);
		store(&ep->new_flows_per_s[dir], want->new_flows_per_s[dir]);
	}
	store(&ep->flow_budget, want->flow_budget);
}

static bool same(const struct pk_endpoint *a, const struct pk_endpoint *b)
{
	return memcmp(a->bytes_per_s, b->bytes_per_s, sizeof(a->bytes_per_s)) == 0 &&
	       memcmp(a->packets_per_s, b->packets_per_s, sizeof(a->packets_per_s)) == 0 &&
	       memcmp(a->burst, b->burst, sizeof(a->burst)) == 0 &&
	       memcmp(a->new_flows_per_s, b->new_flows_per_s, sizeof(a->new_flows_per_s)) == 0 &&
	       a->flow_budget == b->flow_budget;
}

int pk_endpoint_limit(struct pk_bpf *bpf, uint32_t slot, const struct pk_limits_held *held,
		      uint64_t deadline_ns, struct pk_err *err)
{
	struct pk_endpoint *ep = &bpf->endpoints[slot], want = *ep;
	uint32_t opened = ep->opened;
	own_fd int lock = -1;
	int r;

	pk_endpoint_limits_put(bpf, held, &want);
	if (same(ep, &want))
		return 0;
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	/*
	 * Nobody opens the slot anew under the lock. A slot that is closed or another's by now is
	 * left alone.
	 */
	if (!pk_word(bpf, slot) || ep->opened != opened)
		return 0;
	store_all(ep, &want);
	return 1;
}
