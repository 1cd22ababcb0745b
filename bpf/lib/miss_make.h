/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Makes the flow of a connection that policy allows, and puts it into the table. */
#include "lib/bucket.h"
#include "lib/miss_judge.h"
#include "lib/nat.h"
#include "lib/place.h"
#include "lib/stall.h"
#include "lib/touch.h"

/*
 * Copies the FIB's way into a flow that leaves the node. For an ICMP error the way of masqueraded
 * flows alone is asked for.
 */
static __always_inline void miss_route(const struct pk_scratch *s, struct pk_flow *flow)
{
	if (!miss_is_routed(&s->pkt) || !s->way.target)
		return;
	flow->target = s->way.target;
	flow->mtu = s->way.mtu;
	flow->next_hop = s->way.next_hop;
}

/*
 * Notes in the flow that its peer is on another node, and how far packets of that peer are believed
 * from now on.
 */
static __always_inline void miss_remote(const struct pk_scratch *s, struct pk_flow *flow)
{
	__u8 how = PK_FLOW_NOT_REMOTE;

	if (peer_is_remote(&s->pkt))
		how = s->came ? PK_FLOW_CAME : PK_FLOW_UNASKED;
	if (s->came)
		__builtin_memcpy(flow->neighbour, s->neighbour, ETH_ALEN);
	WRITE_ONCE(flow->remote, how);
}

static __always_inline void miss_side(struct pk_flow *flow, int side, const struct pk_end *end)
{
	__u32 slot = end->slot;
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	flow->slot[side] = slot;
	flow->opened[side] = ep ? ep->opened : 0;
}

/* Takes a token for a new flow that the endpoint begins (PK_EGRESS), or somebody outside. */
static __always_inline bool miss_rate(const struct pk_endpoint *ep, __u32 slot, enum pk_dir begun)
{
	__u32 rate = READ_ONCE(ep->new_flows_per_s[begun & 1]);
	struct pk_bucket *b = bucket_of(slot);
	const struct pk_node *n;

	n = node_get();
	if (!rate && n)
		rate = n->new_flows_per_s;
	if (!rate)
		return true;
	return b &&
	       bucket_take(&b->tokens[PK_BUCKET_NEW_FLOWS + (begun & 1)], rate, 2 * (__u64)rate, 1);
}

/* Fills in everything of a new flow but its words: without them nobody takes it for judged. */
static __always_inline void miss_fill(struct pk_scratch *s, __u32 len, __u32 place, __u32 now)
{
	struct pk_flow *flow = &s->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->tag = flow_tag(&s->key);
	miss_side(flow, 0, &s->end[0]);
	miss_side(flow, 1, &s->end[1]);
	flow->packets[0] = 1;
	flow->bytes[0] = len;
	flow->judged = flow->begun = now;
	flow->expires = now + flow_seconds(&s->key, PK_FLOW_NEW) * pk_hz;
	flow->rule = s->pkt.verdict.live.rule;
	flow->rank = s->pkt.verdict.live.rank;
	flow->place = place;
	flow->flags = miss_way(&s->pkt) | s->translation;
	if (s->translation) {
		flow->address = s->translated;
		flow->port = s->translated_port;
	}
	miss_route(s, flow);
	miss_remote(s, flow);
}

/*
 * Writes the words. Each exchange is a full barrier: a CPU that sees the words sees everything that
 * was judged with them.
 */
static __always_inline void miss_words(const struct pk_scratch *s, struct pk_flow *flow)
{
	__sync_lock_test_and_set(&flow->word[0], s->end[0].word);
	__sync_lock_test_and_set(&flow->word[1], s->end[1].word);
	PK_STALL(WORDS_KEPT);
}

/*
 * Like pk_miss_claim a function that is verified on its own, so that what follows isn't verified
 * once for each way through it. Linux 6.1 takes no key by a pointer that such a function is given.
 */
__noinline int pk_miss_was_over(__u32 now)
{
	struct pk_scratch *s = scratch_get();

	return s && nat_was_over(s, &s->alias, now);
}

/*
 * Both ends may have opened at once (DNS and IKE between fixed ports). Of the two flows the one
 * whose initiator has the lower address stays. Where the other end's tuple is an alias of a live
 * flow, that one was there first; s->alias is free, since this flow has none. A flow that is
 * over is neither of the two.
 */
static __always_inline int miss_one_of_two(struct pk_scratch *s, __u32 now)
{
	struct pk_flow_key *mirror = &s->alias;
	const struct pk_flow *other;

	flow_key_mirror(mirror, &s->key);
	other = bpf_map_lookup_elem(&flows, mirror);
	if (likely(!other))
		return PK_REASON_OK;
	if (other->kind == PK_FLOW_ALIAS) {
		if (pk_miss_was_over(now))
			return PK_REASON_OK;
		bpf_map_delete_elem(&flows, &s->key);
		return PK_REASON_TUPLE_TAKEN;
	}
	if (!flow_is_unheard(other) || other->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION) ||
	    pk_flow_expired(other, now, pk_hz) || flow_key_same(mirror, &s->key))
		return PK_REASON_OK;
	bpf_map_delete_elem(&flows, pk_addr_below(&s->key.src, &s->key.dst) ? mirror : &s->key);
	return PK_REASON_OK;
}

/* Claims s->key's tuple for s->flow, also where it is an alias of a flow that is over. */
__noinline int pk_miss_claim(__u32 now)
{
	struct pk_scratch *s = scratch_get();
	int r;

	if (!s)
		return -PK_EEXIST;
	r = flow_put(&s->key, &s->flow);
	return r == -PK_EEXIST && nat_was_over(s, &s->key, now) ? flow_put(&s->key, &s->flow) : r;
}

/* Puts the flow into the table and, once it and its alias are there, writes its words. */
static __always_inline int miss_put(struct pk_scratch *s, __u32 now)
{
	int r = pk_miss_claim(now);
	struct pk_flow *flow;

	if (r)
		nat_undo(s);
	if (r && r != -PK_EEXIST)
		return PK_REASON_MAP_FULL;
	flow = bpf_map_lookup_elem(&flows, &s->key);
	if (!flow || flow->kind != PK_FLOW_PRIMARY)
		return PK_REASON_TUPLE_TAKEN;
	/* The flow may be another CPU's, made for the same connection with the same verdict. */
	flow_way(&s->way, flow, &s->key, 0);
	if (r)
		return PK_REASON_OK;
	s->made = true;
	PK_STALL(FLOW_INSERTED);
	miss_words(s, flow);
	return s->translation || s->pkt.flags & PK_PKT_ECHO_REQUEST ? PK_REASON_OK
								    : miss_one_of_two(s, now);
}

/* Makes the flow. Its owner pays: the initiator where that is local, else the responder. */
static __always_inline int miss_insert(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	enum pk_dir begun = s->end[0].slot ? PK_EGRESS : PK_INGRESS;
	__u32 owner = s->end[begun].slot, place;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &owner);
	int reason = PK_REASON_OK;

	if (!ep || !miss_rate(ep, owner, begun))
		return PK_REASON_FLOW_RATE;
	place = place_take(s, owner, begun, now);
	if (!place)
		return PK_REASON_FLOW_BUDGET;
	PK_STALL(PLACE_TAKEN);
	if (s->translation)
		reason = nat_begin(skb, s, now);
	PK_STALL(ALIAS_TRIED);
	if (!reason) {
		miss_fill(s, skb->len, place - 1, now);
		if (s->flow.flags & PK_FLOW_WORLD)
			window_note(skb, &s->pkt, &s->flow);
		reason = miss_put(s, now);
	}
	place_settle(&s->key, place - 1, !reason);
	return reason;
}
