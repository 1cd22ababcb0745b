/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The decisions of the three hooks, in the order of docs/datapath.md. */
#include "lib/arp.h"
#include "lib/dhcp.h"
#include "lib/dhcp6.h"
#include "lib/fragment.h"
#include "lib/icmp_error.h"
#include "lib/miss.h"
#include "lib/nd.h"
#include "lib/ping.h"
#include "lib/sanity.h"
#include "lib/slot.h"
#include "lib/spoof.h"
#include "lib/tap.h"
#include "lib/tell.h"

/*
 * A function that is verified on its own, so that the code behind it isn't verified once for each
 * way through the parser.
 */
__noinline int pk_guard_bytes(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct pk_cursor c;
	int reason;

	if (!pkt)
		return PK_REASON_MALFORMED;
	reason = sanity_linear(skb);
	if (reason)
		return reason;
	c.data = (void *)(long)skb->data;
	c.end = (void *)(long)skb->data_end;
	return pk_parse(&c, skb->len, pkt);
}

/* Parses a packet between an endpoint and the node, where no tag may stand beside it. */
static __always_inline int guard_untagged(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	return skb->vlan_present ? PK_REASON_VLAN : pk_guard_bytes(skb, pkt);
}

/* Is this a question that the guard answers itself (ARP, ND, DHCP, ping)? */
static __always_inline bool guard_answers(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	return pkt->flags & PK_PKT_ARP || spoof_is_nd(pkt) || spoof_is_dhcp4(pkt) ||
	       spoof_is_dhcp6(pkt) || ping_is_gateway(pkt, ep);
}

/* Counts a denied flow's packet where the flow was denied. */
static __always_inline int guard_denied(const struct pk_flow *flow, struct pk_pkt *pkt, int reason)
{
	bool there = flow->flags & PK_FLOW_AT_RESPONDER;

	pkt->verdict.live.rule = flow->rule;
	pkt->verdict.live.rank = flow->rank;
	pkt->count_slot = flow->slot[there];
	pkt->count_dir = there ? PK_INGRESS : PK_EGRESS;
	return reason;
}

/* Fills in the flow's way, which is copied before the tag is compared. */
static __always_inline void guard_way(struct pk_pkt *pkt, const struct pk_flow *flow,
				      const struct pk_flow_key *key, __u8 flags)
{
	struct pk_scratch *s = scratch_get();

	if (!s)
		return;
	pkt->flags |= PK_PKT_WAY;
	if (flags & PK_FLOW_WORLD)
		pkt->party = PK_PARTY_WORLD;
	flow_way(&s->way, flow, key, pkt->role);
}

/*
 * Returns whether a packet that came through the overlay is of the node of the packet that was
 * judged last.
 */
static __always_inline bool guard_came_out(const struct pk_flow *flow, __u8 how)
{
	const struct pk_scratch *s = scratch_get();

	return s && how == PK_FLOW_CAME && overlay_is(node_get(), READ_ONCE(flow->target)) &&
	       pk_addr_same(&flow->next_hop, &s->tunnel);
}

/*
 * Returns whether a packet of another node comes by the device and from the neighbour of the packet
 * that was judged last. If not, the slow path finds out.
 */
static __always_inline bool guard_came(struct __sk_buff *skb, const struct pk_pkt *pkt,
				       const struct pk_flow *flow)
{
	__u8 how = READ_ONCE(flow->remote);
	__u8 mac[ETH_ALEN];

	if (unlikely(overlay_came(skb, pkt)))
		return guard_came_out(flow, how);
	if (likely(pkt->dir == PK_EGRESS || how == PK_FLOW_NOT_REMOTE))
		return true;
	return how == PK_FLOW_CAME && READ_ONCE(flow->target) == skb->ifindex &&
	       !bpf_skb_load_bytes(skb, ETH_ALEN, mac, ETH_ALEN) &&
	       !__builtin_memcmp(mac, flow->neighbour, ETH_ALEN);
}

/* A flow that is as it was judged decides at once; anything else goes to the slow path. */
static __always_inline int guard_flow(struct __sk_buff *skb, struct pk_pkt *pkt, __u8 miss)
{
	struct pk_flow_key key;
	struct pk_flow *flow = flow_find(&key, pkt);
	__u32 now = flow_now();
	__u64 last;
	int reason;
	__u8 flags;

	/* A packet that can begin no flow, and has none, is denied. */
	if (!flow && !flow_may_begin(pkt))
		return flow_missing(pkt);
	if (!flow)
		pkt->flags |= PK_PKT_NEW;
	if (flow && unlikely(flow_is_others(flow, pkt)))
		return PK_REASON_NO_FLOW;
	pkt->tail = miss;
	PK_STALL(FLOW_FOUND);
	if (!flow || pk_flow_expired(flow, now, pk_hz) || flow_begins_anew(flow, pkt) ||
	    !flow_current(flow, pkt, now, &last))
		return PK_REASON_OK;
	PK_STALL(FLOW_CURRENT);
	flow = pk_after(flow, last);
	pkt->peer_slot = READ_ONCE(flow->slot[flow_other(pkt)]);
	flags = READ_ONCE(flow->flags);
	reason = READ_ONCE(flow->reason);
	if (unlikely(flags & PK_FLOW_ELSEWHERE)) {
		if (!guard_came(skb, pkt, flow))
			return PK_REASON_OK;
		guard_way(pkt, flow, &key, flags);
	}
	if (!flow_is_of(flow, &key, reason + flags))
		return PK_REASON_OK;
	pkt->tail = PK_TAIL_NONE;
	if (unlikely(reason))
		return guard_denied(flow, pkt, reason);
	if (unlikely(flags & PK_FLOW_WORLD))
		window_note(skb, pkt, flow);
	flow_touch(skb, flow, &key, pkt, now);
	return PK_REASON_OK;
}

/* A translated or routed packet goes the way that scratch knows. */
static __always_inline int guard_deliver_way(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct pk_scratch *s = scratch_get();

	if (!s)
		return PK_REASON_TAIL_CALL_MISSING;
	return pkt->peer_slot ? deliver_endpoint(skb, pkt, pkt->peer_slot, &s->way)
			      : deliver_world(skb, pkt, &s->way);
}

static __always_inline int guard_deliver(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	PK_STALL(DELIVERING);
	if (unlikely(pkt->flags & PK_PKT_WAY))
		return guard_deliver_way(skb, pkt);
	if (likely(pkt->peer_slot))
		return deliver_endpoint(skb, pkt, pkt->peer_slot, NULL);
	return deliver_stack(pkt);
}

/*
 * Returns whether the packet, an answer too, would leave for the overlay's port of whoever: under
 * this node's address it would be believed there. What is for another endpoint isn't for a node.
 */
static __always_inline bool guard_to_overlay(const struct pk_pkt *pkt)
{
	const struct pk_node *n = node_get();

	return n && overlay_is_port(n, pkt->proto, pkt->dport) && !peer_in_pools(&pkt->dst);
}

/* Refuses what only some packets can be, before any flow is looked up. */
static __always_inline int guard_refused(struct pk_pkt *pkt)
{
	if (unlikely(pkt->flags & PK_PKT_GROUP))
		return PK_REASON_MULTICAST;
	if (unlikely(pkt->flags & PK_PKT_ICMP_ERROR && spoof_is_gateway6(&pkt->dst)))
		return PK_REASON_ICMP_UNRELATED; /* the gateway has no flow */
	if (unlikely(peer_never(pkt)) && !spoof_is_rest_of_ping(pkt)) {
		pkt->verdict.live.rule = PK_RULE_PROTECTED;
		return PK_REASON_POLICY_DENIED;
	}
	return guard_to_overlay(pkt) ? PK_REASON_OVERLAY_PORT : PK_REASON_OK;
}

/*
 * A question that comes in fragments is answered only where it is a ping of the gateway (RFC 6980).
 */
static __always_inline int guard_answers_first(struct pk_pkt *pkt)
{
	pkt->tail = PK_TAIL_NONE;
	if (!(pkt->flags & PK_PKT_ECHO_REQUEST))
		return PK_REASON_FRAGMENT;
	pkt->tail = PK_TAIL_FRAGMENT;
	return PK_REASON_OK;
}

/* Judges a frame that leaves an endpoint. */
static __always_inline int guard_from(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	const struct pk_endpoint *ep = slot_endpoint(skb, pkt);
	int reason;

	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (!pkt->word)
		return PK_REASON_ENDPOINT_CLOSED;
	reason = guard_untagged(skb, pkt);
	if (unlikely(reason))
		return reason;
	reason = sanity_metadata(skb, pkt);
	if (!reason)
		reason = sanity_length(skb, pkt, ep->mtu);
	if (!reason)
		reason = pk_spoof(pkt, ep);
	if (reason)
		return reason;
	if (unlikely(guard_answers(pkt, ep))) {
		pkt->tail = PK_TAIL_ANSWER;
		return pkt->flags & PK_PKT_FIRST ? guard_answers_first(pkt) : PK_REASON_OK;
	}
	reason = guard_refused(pkt);
	if (reason)
		return reason;
	if (!bucket_traffic(pkt->slot, ep, PK_EGRESS, skb->len, sanity_packets(skb, pkt)))
		return PK_REASON_RATE_LIMIT;
	if (unlikely(pkt->flags & (PK_PKT_ICMP_ERROR | PK_PKT_FRAGMENT))) {
		pkt->tail = pkt->flags & PK_PKT_FRAGMENT ? PK_TAIL_FRAGMENT : PK_TAIL_ERROR;
		return PK_REASON_OK;
	}
	reason = guard_flow(skb, pkt, PK_TAIL_MISS);
	if (reason || pkt->tail)
		return reason;
	return guard_deliver(skb, pkt);
}

/* Resets what an earlier packet left in scratch: a slow path begins with no way known. */
static __always_inline void guard_begin(struct pk_scratch *s)
{
	s->pkt.tail = PK_TAIL_NONE;
	s->pkt.peer_slot = 0;
	s->pkt.peer_identity = s->pkt.peer_tenant = 0;
	s->pkt.denied = PK_REASON_OK;
	s->came = 0;
	s->way.target = s->way.mtu = 0;
	s->way.rewrite = PK_REWRITE_NONE;
	s->translation = 0;
	s->made = false;
}

/* Ends a flow whose very first packet couldn't be delivered. */
static __always_inline int guard_end(struct pk_scratch *s, int reason)
{
	if (unlikely(reason && s->made))
		pk_flow_close(CLOSE_MADE);
	return reason;
}

static __always_inline void guard_mark_way(struct pk_scratch *s)
{
	if (s->way.rewrite || miss_is_routed(&s->pkt))
		s->pkt.flags |= PK_PKT_WAY;
}

/* The slow path of guard_from. */
static __always_inline int guard_miss(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason;

	guard_begin(s);
	reason = peer_resolve(skb, s);
	if (!reason)
		reason = pk_miss_decide(skb, PK_TAIL_MISS);
	if (reason || s->pkt.tail)
		return reason;
	guard_mark_way(s);
	return guard_end(s, guard_deliver(skb, &s->pkt));
}

/*
 * Judges a packet of the node's stack to an endpoint. One without an ingress interface is the
 * host's; one that was forwarded is judged by its source. The stack's own multicasts and neighbour
 * questions are dropped: neighbours are permanent.
 */
static __always_inline int guard_to(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	const struct pk_endpoint *ep = slot_endpoint(skb, pkt);
	int reason;

	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (!pkt->word)
		return PK_REASON_ENDPOINT_CLOSED;
	if (ep->flags & PK_EP_HOST_TAP && pk_tap_bound(skb) == TC_ACT_SHOT)
		return PK_REASON_RATE_LIMIT;
	reason = guard_untagged(skb, pkt);
	if (reason)
		return reason;
	if (pkt->flags & (PK_PKT_GROUP | PK_PKT_ARP) || spoof_is_nd(pkt))
		return PK_REASON_MULTICAST;
	if (!deliver_is_for(pkt, ep))
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (!bucket_traffic(pkt->slot, ep, PK_INGRESS, skb->len, sanity_packets(skb, pkt)))
		return PK_REASON_RATE_LIMIT;
	pkt->party = skb->ingress_ifindex ? PK_PARTY_WORLD : PK_PARTY_HOST;
	if (pkt->flags & (PK_PKT_ICMP_ERROR | PK_PKT_FRAGMENT)) {
		pkt->tail = pkt->flags & PK_PKT_FRAGMENT ? PK_TAIL_FRAGMENT_TO : PK_TAIL_ERROR_TO;
		return PK_REASON_OK;
	}
	return guard_flow(skb, pkt, PK_TAIL_MISS_TO);
}

static __always_inline int guard_to_deliver(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	__u32 slot = pkt->slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	pkt->action = PK_ACT_PASS;
	return deliver_macs(skb, ep->mac);
}

/*
 * Whoever the node forwards for is outside; a packet of the node itself has no ingress interface.
 */
static __always_inline int guard_to_resolve(struct __sk_buff *skb, struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (skb->ingress_ifindex)
		return peer_resolve_source(skb, s, ep);
	s->pkt.party = PK_PARTY_HOST;
	return PK_REASON_OK;
}

static __always_inline int guard_miss_to(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason;

	guard_begin(s);
	reason = guard_to_resolve(skb, s);
	return reason ? reason : pk_miss_decide(skb, PK_TAIL_MISS_TO);
}

/*
 * Rewrites an ICMP error about a flow as the flow's packets are. Where it is routed, it has its own
 * way. This is a function that is verified on its own, as pk_miss_decide is.
 */
__noinline int pk_guard_error(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	struct icmp_error_quote q = {};
	int reason;

	if (!s)
		return PK_REASON_TAIL_CALL_MISSING;
	guard_begin(s);
	reason = pk_icmp_error(skb, s, &q);
	if (!reason)
		reason = pk_icmp_error_rewrite(skb, s, &q);
	s->way.rewrite = PK_REWRITE_NONE; /* done, the way that an error needs */
	s->pkt.denied = PK_REASON_OK;
	return reason;
}

/* Judges an endpoint's ICMP error. */
static __always_inline int guard_error(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason = pk_guard_error(skb);

	if (reason)
		return reason;
	if (s->pkt.peer_slot)
		return deliver_endpoint(skb, &s->pkt, s->pkt.peer_slot, NULL);
	return s->pkt.party == PK_PARTY_HOST ? deliver_stack(&s->pkt)
					     : deliver_world(skb, &s->pkt, &s->way);
}

/* Judges an ICMP error to an endpoint, of the node's own or one that it forwards. */
static __always_inline int guard_error_to(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason = pk_guard_error(skb);

	if (!reason && s->pkt.peer_slot)
		reason = PK_REASON_NO_FLOW;
	return reason ? reason : guard_to_deliver(skb, &s->pkt);
}

/* Judges a fragment from an endpoint. */
static __always_inline int guard_fragment(struct __sk_buff *skb, struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);
	int reason;

	s->pkt.tail = PK_TAIL_NONE;
	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	reason = fragment_begin(skb, s, slot);
	if (reason)
		return reason;
	if (ping_is_gateway(&s->pkt, ep)) {
		s->pkt.tail = PK_TAIL_ANSWER;
		return PK_REASON_OK;
	}
	reason = guard_flow(skb, &s->pkt, PK_TAIL_MISS);
	if (reason || s->pkt.tail)
		return reason;
	return guard_deliver(skb, &s->pkt);
}

/* Judges a fragment of the node's stack to an endpoint. */
static __always_inline int guard_fragment_to(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason;

	s->pkt.tail = PK_TAIL_NONE;
	reason = fragment_begin(skb, s, s->pkt.slot);
	if (!reason)
		reason = guard_flow(skb, &s->pkt, PK_TAIL_MISS_TO);
	if (reason || s->pkt.tail)
		return reason;
	return guard_to_deliver(skb, &s->pkt);
}

/*
 * Returns whether a denied packet's sender outside may be told: not about what may be an error (RFC
 * 1122 3.2.2), nor where the error would go to a group. A packet that was merged isn't told of: its
 * checksum is left to the device, which would write it into the error; its sender sends a single
 * segment again.
 */
static __always_inline bool guard_tells_outside(const struct __sk_buff *skb,
						const struct pk_pkt *pkt)
{
	return !(pkt->flags & PK_PKT_ICMP_OTHER) && !(pkt->smac[0] & 1) && !skb->gso_size &&
	       !overlay_came(skb, pkt);
}

/*
 * Returns whether the sender of a denied packet is told by an ICMP error. Senders of errors and
 * strangers aren't, nor is anybody for a fragment behind the first (RFC 1812 4.3.2.7).
 */
static __always_inline bool guard_tells(const struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	if (likely(!pkt->denied) || pkt->flags & (PK_PKT_ICMP_ERROR | PK_PKT_LATER))
		return false;
	return pkt->dir == PK_EGRESS || guard_tells_outside(skb, pkt);
}

static __always_inline int guard_answer(struct __sk_buff *skb, struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	s->pkt.tail = PK_TAIL_NONE;
	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (s->pkt.flags & PK_PKT_ARP)
		return pk_arp_answer(skb, s, ep);
	if (spoof_is_nd(&s->pkt))
		return pk_nd_answer(skb, s, ep);
	if (spoof_is_dhcp4(&s->pkt))
		return pk_dhcp_answer(skb, s, ep);
	if (spoof_is_dhcp6(&s->pkt))
		return pk_dhcp6_answer(skb, s, ep);
	return pk_ping_answer(skb, s);
}
