/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Judges a packet without a flow, or one whose flow must be judged again. */
#include "lib/miss_again.h"

/*
 * ICMP redirects and router advertisements are refused: an endpoint has one router, which sends
 * neither.
 */
static __always_inline bool miss_is_routers(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_ICMP &&
	       (pkt->icmp_type == ICMP_REDIRECT || pkt->icmp_type == ICMP_ROUTERADVERT);
}

/*
 * Judges a packet that may begin a connection. An ICMP message that is neither echo nor error
 * belongs to no connection, and each is judged by its type and code.
 */
static __always_inline int miss_first(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	int reason;

	s->pkt.role = 0;
	flow_key(&s->key, &s->pkt, false);
	miss_ends(s);
	if (!flow_may_begin(&s->pkt))
		return flow_missing(&s->pkt);
	if (s->pkt.flags & PK_PKT_ICMP_OTHER && miss_is_routers(&s->pkt))
		return PK_REASON_SPOOFED_ND;
	reason = miss_judge(s);
	if (!reason)
		reason = miss_built(&s->pkt);
	if (!reason && s->pkt.dir == PK_EGRESS && miss_is_routed(&s->pkt) &&
	    s->pkt.party != PK_PARTY_ENDPOINT)
		reason = nat_choose(s);
	if (reason || s->pkt.flags & PK_PKT_ICMP_OTHER)
		return reason;
	return miss_insert(skb, s, now);
}

/*
 * Returns whether both ends' SYNs have crossed (RFC 9293 3.5), so that this one answers the first.
 * A SYN can be an answer only where no packet of the responder's was seen.
 */
static __always_inline struct pk_flow *miss_crossed(struct pk_scratch *s, __u32 now)
{
	struct pk_flow *flow;

	if (!flow_is_syn(&s->pkt))
		return NULL;
	flow_key_mirror(&s->old, &s->key);
	flow = bpf_map_lookup_elem(&flows, &s->old);
	if (likely(!flow) || flow->kind != PK_FLOW_PRIMARY || !flow_is_unheard(flow) ||
	    pk_flow_expired(flow, now, pk_hz))
		return NULL;
	s->key = s->old;
	s->pkt.role = 1;
	return flow;
}

/*
 * Finds the packet's flow, where the fast path hasn't just found that there is none. One that
 * another CPU makes meanwhile is met at the insertion.
 */
static __always_inline struct pk_flow *miss_find(struct pk_scratch *s)
{
	if (!(s->pkt.flags & PK_PKT_NEW))
		return flow_find(&s->key, &s->pkt);
	s->pkt.flags &= ~PK_PKT_NEW;
	s->pkt.role = 0;
	flow_key(&s->key, &s->pkt, false);
	return NULL;
}

/*
 * Judges s->pkt, whose peer is resolved and whose translation is chosen, and makes or renews the
 * flow. A flow that is over is deleted, and the packet is then looked at once more as if it had
 * never been (again: the tail call that does so). This is a function that is verified on its own,
 * so that what follows isn't verified once for each way through it.
 */
__noinline int pk_miss_decide(struct __sk_buff *skb, __u32 again)
{
	struct pk_scratch *s = scratch_get();
	__u32 now = flow_now();
	struct pk_flow *flow;

	if (!s)
		return PK_REASON_TAIL_CALL_MISSING;
	flow = miss_find(s);
	if (!flow)
		flow = miss_crossed(s, now);
	if (!flow)
		return miss_first(skb, s, now);
	if (flow_is_others(flow, &s->pkt))
		return PK_REASON_NO_FLOW;
	miss_known(s, flow);
	miss_ends(s);
	if (!pk_flow_expired(flow, now, pk_hz) && miss_same(flow, s) &&
	    !flow_begins_anew(flow, &s->pkt) && !miss_is_lost(skb, s, flow))
		return miss_again(skb, s, flow, now);
	pk_flow_close(CLOSE_KEY); /* its place is free as soon as the flow is absent */
	s->pkt.tail = again;
	return PK_REASON_OK;
}
