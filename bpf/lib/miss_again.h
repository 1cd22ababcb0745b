/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Judges a flow again whose words have changed, and keeps the new judgement in it. */
#include "lib/miss_make.h"

/*
 * Returns whether the words that were judged under are still in force, and the flow still is the
 * one of its key.
 */
static __always_inline bool miss_fresh(const struct pk_scratch *s, const struct pk_flow *flow)
{
	for (int i = 0; i < 2; i++)
		if (s->end[i].slot && s->end[i].word != flow_word(s->end[i].slot))
			return false;
	return bpf_map_lookup_elem(&flows, &s->key) == flow;
}

/*
 * Returns whether the denial is the responder's. It belongs to a local end, whichever end sent the
 * packet.
 */
static __always_inline bool miss_at_responder(const struct pk_scratch *s)
{
	return !s->end[0].slot || (s->end[1].slot && s->pkt.count_dir == PK_INGRESS);
}

/*
 * Keeps the reason. The moment of a denial is there before it and goes after it: who looks for a
 * place reads both without a lock (place_is_over).
 */
static __always_inline void miss_reason(struct pk_flow *flow, int reason, __u32 now)
{
	bool was = flow->reason;

	if (reason && !was)
		WRITE_ONCE(flow->revoked, now);
	WRITE_ONCE(flow->reason, reason);
	if (!reason && was)
		WRITE_ONCE(flow->awaited, 0);
}

/*
 * Keeps the judgement in the flow: one CPU does so at a time, wholly, and never an older judgement
 * over a newer one. The words come last, so a CPU that finds the words current finds what was
 * judged under them. A judgement that isn't kept was right for its packet, and the next packet is
 * judged again.
 */
static __always_inline void miss_keep(const struct pk_scratch *s, struct pk_flow *flow, int reason,
				      __u32 now)
{
	__u8 flags;

	if (__sync_val_compare_and_swap(&flow->judging, 0, 1))
		return;
	if (miss_fresh(s, flow)) {
		PK_STALL(FRESH);
		flags = flow->flags & ~(PK_FLOW_STACK | PK_FLOW_WORLD | PK_FLOW_AT_RESPONDER);
		flags |= miss_way(&s->pkt);
		if (reason && miss_at_responder(s))
			flags |= PK_FLOW_AT_RESPONDER;
		flow->flags = flags;
		flow->rule = s->pkt.verdict.live.rule;
		flow->rank = s->pkt.verdict.live.rank;
		flow->judged = now;
		miss_route(s, flow);
		miss_remote(s, flow);
		miss_reason(flow, reason, now);
		PK_STALL(REASON_KEPT);
		miss_words(s, flow);
	}
	__sync_lock_test_and_set(&flow->judging, 0);
}

/* A live flow that its new words deny stays in the table, marked, so that a revert revives it. */
static __always_inline int miss_again(struct __sk_buff *skb, struct pk_scratch *s,
				      struct pk_flow *flow, __u32 now)
{
	bool was_ok = !flow->reason;
	int reason = miss_judge(s);

	if (!reason)
		reason = miss_built(&s->pkt);
	PK_STALL(JUDGED);
	miss_keep(s, flow, reason, now);
	if (reason) {
		if (was_ok)
			s->pkt.event = PK_EVENT_REVOKED;
		return reason;
	}
	if (s->pkt.event == PK_EVENT_ALLOWED) /* not a new one */
		s->pkt.event = 0;
	flow_way(&s->way, flow, &s->key, s->pkt.role);
	if (flow->flags & PK_FLOW_WORLD)
		window_note(skb, &s->pkt, flow);
	flow_touch(skb, flow, &s->key, &s->pkt, now);
	return PK_REASON_OK;
}

/* Returns whether the flow still belongs to the same openings of its endpoints as the packet. */
static __always_inline bool miss_same(const struct pk_flow *flow, const struct pk_scratch *s)
{
	const struct pk_pkt *pkt = &s->pkt;

	return flow->slot[flow_own(pkt)] == pkt->slot &&
	       flow->slot[flow_other(pkt)] == pkt->peer_slot && flow_side_same(flow, 0) &&
	       flow_side_same(flow, 1);
}

/*
 * Takes from a translated flow what the packet's addresses don't say: the translation, and the
 * local endpoint at the other side.
 */
static __always_inline void miss_known(struct pk_scratch *s, const struct pk_flow *flow)
{
	struct pk_pkt *pkt = &s->pkt;
	__u32 slot = flow->slot[flow_other(pkt)];

	s->translation = flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION | PK_FLOW_HAIRPIN);
	if (!s->translation)
		return;
	s->translated = flow->address;
	s->translated_port = flow->port;
	if (!slot)
		return;
	pkt->peer_slot = slot;
	pkt->party = slot == pkt->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
}

/*
 * Returns whether a translated flow can't go on at the node's address that its other end knows.
 * Where a client has no route nothing leaves, and nothing is known of the address.
 */
static __always_inline bool miss_is_lost(struct __sk_buff *skb, struct pk_scratch *s,
					 const struct pk_flow *flow)
{
	if (flow->flags & PK_FLOW_DESTINATION)
		return s->pkt.party != PK_PARTY_HOST && !peer_is_asked(skb, s);
	return nat_is_lost(flow, s);
}

/*
 * Judges the flow under s->key that an ICMP error is about as its own packets would be; meanwhile
 * s->pkt is one of those. Of a flow that is lost nobody is told: its next packet ends it.
 */
static __always_inline int miss_quoted(struct __sk_buff *skb, struct pk_scratch *s,
				       struct pk_flow *flow, __u32 now)
{
	struct pk_pkt *pkt = &s->pkt;
	__u16 flags = pkt->flags;
	__u8 proto = pkt->proto;
	int reason = PK_REASON_ICMP_UNRELATED;

	pkt->proto = s->key.proto;
	pkt->flags = flags & ~PK_PKT_ICMP_ERROR;
	pkt->flags |= pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6 ? PK_PKT_ECHO_REPLY
										 : PK_PKT_PORTS;
	miss_known(s, flow);
	miss_ends(s);
	if (flow->flags & PK_FLOW_SOURCE)
		peer_masqueraded(skb, s);
	if (miss_same(flow, s) && !miss_is_lost(skb, s, flow)) {
		reason = miss_judge(s);
		if (!reason)
			reason = miss_built(pkt);
		miss_keep(s, flow, reason, now);
	}
	pkt->event = 0;
	pkt->proto = proto;
	pkt->flags = flags;
	return reason;
}
