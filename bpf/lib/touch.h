/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What a packet that passes changes in its flow: counters, state, time-out. */
#include "lib/flow.h"
#include "lib/window.h"

/*
 * The last quarter of an endpoint's places is never for what is begun from outside: whoever the
 * endpoint answers, it can begin flows of its own.
 */
#define PK_PLACES_OUTSIDE(budget) ((budget) - (budget) / 4)

/*
 * Tells its owner of the place of a connection that has just closed, for when no other is near. One
 * of the last quarter ends no rest of searches from outside.
 */
static __always_inline void flow_hint(const struct pk_flow *flow)
{
	__u32 owner = flow->slot[0] ? flow->slot[0] : flow->slot[1];
	const struct pk_node *n = node_get();
	struct pk_bucket *b = bpf_map_lookup_elem(&buckets, &owner);
	__u32 place;

	if (!n || !b)
		return;
	place = flow->place - owner * n->flow_budget;
	b->tokens[PK_BUCKET_CLOSED] = place;
	b->tokens[PK_BUCKET_FULL + PK_EGRESS] = 0;
	if (place < PK_PLACES_OUTSIDE(b->tokens[PK_BUCKET_TOP]))
		b->tokens[PK_BUCKET_FULL + PK_INGRESS] = 0;
}

/*
 * Returns whether a RST may be contradicted: one from outside, and one of an endpoint that has
 * acknowledged nothing behind its SYN yet, not by the RST, either. That may answer a stranger's
 * packet, since a stack in SYN_SENT and in SYN_RECEIVED refuses a wrong ACK by it and goes on
 * waiting for its peer (RFC 9293 3.10.7.3 and 3.10.7.4).
 */
static __always_inline bool flow_reset_waits(const struct pk_flow *flow, const struct pk_pkt *pkt)
{
	return flow_is_foreign(flow, pkt) ||
	       (flow->flags & PK_FLOW_WORLD && !(flow->scale & PK_FLOW_GOES_ON));
}

/* Returns the state of an open connection that has seen these FINs. */
static __always_inline __u8 flow_state_fins(const struct pk_flow *flow)
{
	__u8 both = PK_FLOW_FIN(0) | PK_FLOW_FIN(1), fins = flow->flags & both;

	if (fins == both)
		return PK_FLOW_CLOSED;
	return fins ? PK_FLOW_CLOSING : PK_FLOW_OPEN;
}

/*
 * The packet is a FIN, if it is no RST. One from outside behind a RST is noted alone: who sends
 * both in turn holds no place by it.
 */
static __always_inline void flow_state_tcp(struct pk_flow *flow, const struct pk_pkt *pkt)
{
	bool foreign = flow_is_foreign(flow, pkt);

	if (pkt->tcp_flags & PK_TH_RST) {
		/* Another CPU's write of scale may have gone over it. */
		if (flow->state == PK_FLOW_OPEN)
			flow->scale |= PK_FLOW_OPENED;
		if (flow->state != PK_FLOW_CLOSED)
			flow->state = flow_reset_waits(flow, pkt) ? PK_FLOW_RESET : PK_FLOW_CLOSED;
	} else {
		if (flow_is_unopened(flow) && foreign)
			return; /* who doesn't hear the answer has nothing to close */
		flow->flags |= PK_FLOW_FIN(pkt->role & 1);
		if (flow->state != PK_FLOW_CLOSED && !(flow->state == PK_FLOW_RESET && foreign))
			flow->state = flow_state_fins(flow);
	}
}

/* An exchange whose initiator still sends two seconds after it began is a stream. */
static __always_inline bool flow_is_stream(const struct pk_flow *flow, const struct pk_pkt *pkt,
					   __u32 now)
{
	return flow->state == PK_FLOW_OPEN && !pkt->role && pkt->proto != IPPROTO_TCP &&
	       !(pkt->flags & PK_PKT_ECHO_REQUEST) && now - flow->begun > 2 * pk_hz;
}

/*
 * Returns whether a packet of a connection that somebody outside began shows that he hears its
 * answers, which nobody does who writes a source address that isn't his: else each such SYN would
 * hold a place for as long as an open connection may rest. He acknowledges the very number of the
 * endpoint's SYN. Or the endpoint sends what no stack sends before that: data, or a FIN, which by
 * TCP Fast Open it does to whom it knows (RFC 7413). Its ACK alone, or its RST, may answer a
 * forged packet.
 */
static __always_inline bool flow_is_heard(struct __sk_buff *skb, const struct pk_flow *flow,
					  const struct pk_pkt *pkt)
{
	if (pkt->role)
		return !(pkt->tcp_flags & PK_TH_SYN) &&
		       (pkt->payload || pkt->tcp_flags & PK_TH_FIN);
	return flow->awaited &&
	       pk_window_number(skb, pkt->l4_off + offsetof(struct tcphdr, ack_seq)) ==
		       flow->awaited;
}

/*
 * Returns whether the packet makes a new flow an answered one: any of the responder's does. A TCP
 * connection has begun once its initiator acknowledges that answer. An endpoint's stack, or the
 * node's, acknowledges what is right alone. A RST ends or proves nothing.
 */
static __always_inline bool flow_is_answered(struct __sk_buff *skb, const struct pk_flow *flow,
					     const struct pk_pkt *pkt)
{
	if (pkt->proto != IPPROTO_TCP)
		return pkt->role;
	if ((pkt->tcp_flags & (PK_TH_ACK | PK_TH_RST)) != PK_TH_ACK)
		return false;
	if (!flow->slot[0] && !(flow->flags & PK_FLOW_STACK))
		return flow_is_heard(skb, flow, pkt);
	return !pkt->role && flow->packets[1];
}

/*
 * Takes a RST back when the endpoint sends on: its stack alone knows whether the sequence number of
 * one from outside is the connection's (RFC 5961), and goes on where it isn't. Other packets of the
 * outside end take none back, but one may show that the connection is open.
 */
static __always_inline void flow_contradict(struct __sk_buff *skb, struct pk_flow *flow,
					    const struct pk_pkt *pkt)
{
	if (flow->state != PK_FLOW_RESET)
		return;
	if (!(flow->scale & PK_FLOW_OPENED) && flow_is_answered(skb, flow, pkt))
		flow->scale |= PK_FLOW_OPENED;
	if (!flow_is_foreign(flow, pkt))
		flow->state = flow->scale & PK_FLOW_OPENED ? flow_state_fins(flow) : PK_FLOW_NEW;
}

/*
 * Updates counters and time-out for a packet that passes. Two CPUs that carry one direction of a
 * flow may lose a count to each other, never a state: states go up, but for a reset that is taken
 * back.
 */
static __always_inline void flow_touch(struct __sk_buff *skb, struct pk_flow *flow,
				       const struct pk_flow_key *key, const struct pk_pkt *pkt,
				       __u32 now)
{
	__u32 role = pkt->role & 1, expires;
	__u8 was = flow->state;

	flow->packets[role]++;
	flow->bytes[role] += skb->len;
	if (unlikely(flow->state == PK_FLOW_NEW)) {
		if (flow_is_answered(skb, flow, pkt)) {
			flow->state = PK_FLOW_OPEN;
			flow->scale |= PK_FLOW_OPENED;
		}
	} else if (unlikely(flow_is_stream(flow, pkt, now))) {
		flow->state = PK_FLOW_STREAM;
	}
	if (pkt->proto == IPPROTO_TCP && unlikely(pkt->tcp_flags & (PK_TH_FIN | PK_TH_RST)) &&
	    !(pkt->flags & PK_PKT_STRAY)) {
		flow_state_tcp(flow, pkt);
		if (flow->state == was && was > PK_FLOW_CLOSING)
			return; /* another FIN or RST prolongs nothing */
		if (flow->state == PK_FLOW_CLOSED)
			flow_hint(flow);
		flow->expires = now + flow_seconds(key, flow->state) * pk_hz;
		return;
	}
	if (unlikely(flow->state > PK_FLOW_CLOSING)) {
		flow_contradict(skb, flow, pkt);
		/*
		 * After both FINs or a RST the time-out runs on, whatever packets are still on
		 * their way.
		 */
		if (flow->state == PK_FLOW_CLOSED || flow->state == PK_FLOW_RESET)
			return;
	}
	/* The time-out is written at most once a second, since other CPUs read its cache line. */
	expires = now + flow_seconds(key, flow->state) * pk_hz;
	if (expires - flow->expires >= pk_hz)
		flow->expires = expires;
}
