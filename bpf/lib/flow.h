/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Tracked connections: lookup, life, time-outs, places. Who began is part of the key: a packet is
 * looked up as the initiator's, then as the responder's. Echo needs no alias: the type says which
 * of the two it may be, and so does a TCP SYN.
 */
#include "lib/maps.h"
#include "lib/parse.h"

static __always_inline __u32 flow_now(void)
{
	return bpf_jiffies64();
}

static __always_inline bool flow_is_syn(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP &&
	       (pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK | PK_TH_RST | PK_TH_FIN)) == PK_TH_SYN;
}

/* SYN without ACK, whatever else it says: never a reply. */
static __always_inline bool flow_is_opening(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK)) == PK_TH_SYN;
}

/* May it be a connection's first packet? */
static __always_inline bool flow_may_begin(const struct pk_pkt *pkt)
{
	return !(pkt->flags & PK_PKT_ECHO_REPLY) && (pkt->proto != IPPROTO_TCP || flow_is_syn(pkt));
}

static __always_inline void flow_key(struct pk_flow_key *key, const struct pk_pkt *pkt, bool reply)
{
	key->src = reply ? pkt->dst : pkt->src;
	key->dst = reply ? pkt->src : pkt->dst;
	key->sport = reply ? pkt->dport : pkt->sport;
	key->dport = reply ? pkt->sport : pkt->dport;
	key->proto = pkt->proto;
	key->pad = 0;
	key->zone = 0;
}

/*
 * key and pkt->role are those of the flow found; of none: key is the one to make. An ICMP message
 * that is no echo has no id: its key would be that of the echo with id 0.
 */
static __always_inline struct pk_flow *flow_find(struct pk_flow_key *key, struct pk_pkt *pkt)
{
	struct pk_flow *flow = NULL;

	pkt->role = 0;
	flow_key(key, pkt, false);
	if (unlikely(pkt->flags & (PK_PKT_ICMP_OTHER | PK_PKT_ICMP_ERROR)))
		return NULL;
	if (!(pkt->flags & PK_PKT_ECHO_REPLY))
		flow = bpf_map_lookup_elem(&flows, key);
	/* A SYN or an echo request begins something: it never rides a reply's way. */
	if (flow || pkt->flags & PK_PKT_ECHO_REQUEST || flow_is_opening(pkt))
		return flow;
	flow_key(key, pkt, true);
	flow = bpf_map_lookup_elem(&flows, key);
	if (flow)
		pkt->role = 1;
	else
		flow_key(key, pkt, false);
	return flow;
}

static __always_inline __u32 flow_seconds(__u8 proto, __u8 state)
{
	if (proto == IPPROTO_TCP) {
		switch (state) {
		case PK_FLOW_OPEN:
			return PK_FLOW_LONGEST;
		case PK_FLOW_CLOSED:
			return 10;
		default:
			return 60;
		}
	}
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return 30;
	return state == PK_FLOW_NEW ? 30 : 180;
}

static __always_inline void flow_state_tcp(struct pk_flow *flow, const struct pk_pkt *pkt)
{
	__u8 fins = PK_FLOW_FIN(0) | PK_FLOW_FIN(1);

	if (pkt->tcp_flags & PK_TH_RST) {
		flow->state = PK_FLOW_CLOSED;
	} else if (pkt->tcp_flags & PK_TH_FIN) {
		flow->flags |= PK_FLOW_FIN(pkt->role & 1);
		if (flow->state != PK_FLOW_CLOSED)
			flow->state =
				(flow->flags & fins) == fins ? PK_FLOW_CLOSED : PK_FLOW_CLOSING;
	}
}

/*
 * Counters and time-out of a packet that passes. Two CPUs that carry one direction of a flow may
 * lose a count to each other, never a state: those only go up.
 */
static __always_inline void flow_touch(struct pk_flow *flow, const struct pk_pkt *pkt, __u32 len,
				       __u32 now)
{
	__u32 role = pkt->role & 1, expires;

	flow->packets[role]++;
	flow->bytes[role] += len;
	if (unlikely(role && flow->state == PK_FLOW_NEW))
		flow->state = PK_FLOW_OPEN;
	if (pkt->proto == IPPROTO_TCP && unlikely(pkt->tcp_flags & (PK_TH_FIN | PK_TH_RST))) {
		flow_state_tcp(flow, pkt);
		flow->expires = now + flow_seconds(pkt->proto, flow->state) * pk_hz;
		return;
	}
	/* A line that others read isn't written for less than a second; closing never rests. */
	if (pkt->proto == IPPROTO_TCP && flow->state >= PK_FLOW_CLOSING)
		return;
	expires = now + flow_seconds(pkt->proto, flow->state) * pk_hz;
	if (expires - flow->expires >= pk_hz)
		flow->expires = expires;
}

/* The word of an endpoint, read once; 0 = closed or no such slot. */
static __always_inline __u64 flow_word(__u32 slot)
{
	const __u64 *word = bpf_map_lookup_elem(&words, &slot);

	return word ? READ_ONCE(*word) : 0;
}

/* Is the endpoint of this side the one that the flow was made with? A side that isn't local is. */
static __always_inline bool flow_side_same(const struct pk_flow_side *side)
{
	__u32 slot = side->slot;
	const struct pk_endpoint *ep;

	if (!slot)
		return true;
	ep = bpf_map_lookup_elem(&endpoints, &slot);
	return ep && ep->opened == side->opened;
}

/* The side of the flow that the hook's endpoint has; role is the packet's sender's. */
static __always_inline __u32 flow_own(const struct pk_pkt *pkt)
{
	return (pkt->role ^ pkt->dir) & 1;
}

/*
 * Is it as it was judged? Equal words are the same opening of the same endpoints, since revisions
 * aren't used again. Judged once a second where the other side isn't a local endpoint.
 */
static __always_inline bool flow_current(const struct pk_flow *flow, const struct pk_pkt *pkt,
					 __u32 now)
{
	const struct pk_flow_side *own = &flow->side[flow_own(pkt)];
	const struct pk_flow_side *other = &flow->side[!flow_own(pkt)];

	__u64 word = READ_ONCE(other->word);

	if (own->slot != pkt->slot || READ_ONCE(own->word) != pkt->word)
		return false;
	if (!other->slot)
		return now - flow->judged < pk_hz;
	return word && word == flow_word(other->slot);
}
