/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The budget of live flows: an endpoint owns node.flow_budget places in `places`. Nothing is
 * evicted; a place is taken where it is free or its flow is closed, expired or another opening's.
 *
 * A place's last 8 bytes {ports, protocol, zone} are its lock: exchanged for the new flow's with
 * zone PK_PLACE_BUSY, and written clean once the flow is in the table. A busy place is nobody
 * else's; a clean one whose flow is missing is free.
 */
#include "lib/flow.h"
#include "lib/scratch.h"

#define PK_PLACE_TRIES 4

static __always_inline __u64 place_tail(const struct pk_flow_key *key, bool busy)
{
	struct pk_flow_key tail = { .sport = key->sport, .dport = key->dport, .proto = key->proto };

	tail.zone = busy ? PK_PLACE_BUSY : 0;
	return *(__u64 *)&tail.sport;
}

static __always_inline __u64 *place_word(struct pk_flow_key *place)
{
	return (__u64 *)&place->sport;
}
_Static_assert(offsetof(struct pk_flow_key, sport) == 32, "places: the lock is one aligned word");

/* A closed endpoint is opened again under another revision: its flows are over, either side's. */
static __always_inline bool place_alive(const struct pk_flow_side *side)
{
	return !side->slot || (flow_word(side->slot) && flow_side_same(side));
}

/* Does the flow of this place, whose key is in s->old, still hold it? */
static __always_inline bool place_held(struct pk_scratch *s, __u32 index, __u32 now)
{
	const struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->old);

	if (!flow || flow->place != index)
		return false;
	if (pk_flow_expired(flow, now, pk_hz) || flow->state == PK_FLOW_CLOSED)
		return false;
	return place_alive(&flow->side[0]) && place_alive(&flow->side[1]);
}

/* Deletes a flow that came to its end, if it is still this place's. */
static __always_inline void place_clear(struct pk_scratch *s, __u32 index)
{
	const struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->old);

	if (flow && flow->place == index)
		bpf_map_delete_elem(&flows, &s->old);
}

static __always_inline bool place_try(struct pk_scratch *s, __u32 index, __u32 now)
{
	struct pk_flow_key *place = bpf_map_lookup_elem(&places, &index);
	__u64 seen;

	if (!place)
		return false;
	seen = READ_ONCE(*place_word(place));
	if (seen) {
		s->old = *place;
		if (s->old.zone || place_held(s, index, now))
			return false;
	}
	/*
	 * Between the look and this exchange another CPU may have put a flow of the same ports
	 * here; then that flow lives on without a place until it expires unseen: one too many.
	 */
	if (__sync_val_compare_and_swap(place_word(place), seen, place_tail(&s->key, true)) != seen)
		return false;
	if (seen)
		place_clear(s, index);
	place->src = s->key.src;
	place->dst = s->key.dst;
	return true;
}

/* A place of owner's for s->key: its index + 1, or 0: the budget is spent. */
static __always_inline __u32 place_take(struct pk_scratch *s, __u32 owner, __u32 now)
{
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &owner);
	struct pk_bucket *b = bpf_map_lookup_elem(&buckets, &owner);
	const struct pk_node *n;
	__u32 zero = 0, budget, cursor;

	n = bpf_map_lookup_elem(&node, &zero);
	if (!n || !ep || !b || !owner)
		return 0;
	budget = n->flow_budget;
	if (ep->flow_budget && ep->flow_budget < budget)
		budget = ep->flow_budget;
	if (!budget)
		return 0;
	cursor = __sync_fetch_and_add(&b->tokens[PK_BUCKET_PLACE], PK_PLACE_TRIES);
	for (__u32 i = 0; i < PK_PLACE_TRIES; i++) {
		__u32 index = owner * n->flow_budget + (cursor + i) % budget;

		if (place_try(s, index, now))
			return index + 1;
	}
	return 0;
}

/* The flow is in the table (keep), or won't be. */
static __always_inline void place_settle(struct pk_scratch *s, __u32 index, bool keep)
{
	struct pk_flow_key *place = bpf_map_lookup_elem(&places, &index);

	if (place) /* an atomic exchange orders it after the addresses */
		__sync_lock_test_and_set(place_word(place), keep ? place_tail(&s->key, false) : 0);
}

/* Ends the flow of s->key; its place is free by the flow's absence. */
static __always_inline void place_end(struct pk_scratch *s)
{
	bpf_map_delete_elem(&flows, &s->key);
}
