/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Tells which RST and FIN from outside are believed. Anybody there can write the other end's
 * addresses, and may guess the ports; the sequence numbers he doesn't see. What the endpoint
 * expects next and how far its window reaches are in each of its own packets, and the flow keeps
 * the last word. A RST or a FIN that lies elsewhere is delivered, for the endpoint's stack is the
 * judge of it, but closes nothing here: else a stranger could end an idle connection's flow, and a
 * masqueraded port would become another endpoint's while the world still sends to it.
 */
#include "lib/flow.h"
#include "lib/parse.h"

#define WINDOW_OPTIONS 12 /* as many TCP options are looked at */
#define WINDOW_SHIFT   14 /* RFC 7323 2.3: more is taken for this */

static __always_inline const struct tcphdr *window_tcp(const struct __sk_buff *skb, __u32 off)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };

	return off > PK_PARSE_LINEAR ? NULL : pk_take(&c, off, sizeof(struct tcphdr));
}

/*
 * Returns by how much the sender of a SYN is ready to shift its windows from then on, or
 * PK_FLOW_UNSCALED where it has no such option. It is a function that is verified on its own, since
 * it has many ways through.
 */
__noinline int pk_window_scale(struct __sk_buff *skb, __u32 off)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	const struct tcphdr *tcp = window_tcp(skb, off);
	__u32 at = sizeof(*tcp), end;
	const __u8 *option;

	if (!tcp)
		return PK_FLOW_UNSCALED;
	end = tcp->doff * 4;
	for (int i = 0; i < WINDOW_OPTIONS && at + 3 <= end; i++) {
		at &= 63; /* as it is: an end is 60 at most, which the verifier doesn't see */
		option = pk_take(&c, off + at, 3); /* what is sought has three bytes */
		if (!option || !option[0])
			return PK_FLOW_UNSCALED;
		if (option[0] == 3 && option[1] == 3)
			return option[2] < WINDOW_SHIFT ? option[2] : WINDOW_SHIFT;
		if (option[0] != 1 && option[1] < 2)
			return PK_FLOW_UNSCALED;
		at += option[0] == 1 ? 1 : option[1];
	}
	return PK_FLOW_UNSCALED;
}

/*
 * Returns the number that stands at that offset of a packet, 0 where nothing does. It is a function
 * that is verified on its own, and called for few packets.
 */
__noinline __u32 pk_window_number(struct __sk_buff *skb, __u32 off)
{
	__be32 number;

	return bpf_skb_load_bytes(skb, off, &number, sizeof(number)) ? 0 : bpf_ntohl(number);
}

/*
 * Notes a SYN's word on the shift of windows. Windows are shifted only where both ends' SYNs have
 * the option (RFC 7323 2.2); an outside end's counts until the endpoint has acknowledged one. Of an
 * endpoint that was asked it notes what acknowledges it, too.
 */
static __always_inline void window_syn(struct __sk_buff *skb, const struct pk_pkt *pkt,
				       struct pk_flow *flow)
{
	__u8 scale = pk_window_scale(skb, pkt->l4_off);

	if (flow_is_foreign(flow, pkt)) {
		if (!flow->window)
			flow->scale =
				(flow->scale & ~PK_FLOW_UNSCALED) | (scale & PK_FLOW_UNSCALED);
		return;
	}
	flow->scale = (scale & PK_FLOW_SHIFT) | (flow->scale & PK_FLOW_OPENED) |
		      (pkt->tcp_flags & PK_TH_ACK ? flow->scale & PK_FLOW_UNSCALED : 0);
	if (pkt->role)
		flow->awaited =
			pk_window_number(skb, pkt->l4_off + offsetof(struct tcphdr, seq)) + 1 +
			pkt->payload; /* a server of TCP Fast Open may send some with its SYN */
}

/* Keeps what the endpoint says of its window. That of a SYN isn't shifted. */
static __always_inline void window_keep(const struct __sk_buff *skb, const struct pk_pkt *pkt,
					struct pk_flow *flow)
{
	const struct tcphdr *tcp = window_tcp(skb, pkt->l4_off);
	__u32 acked, edge;
	__u8 shift = 0;

	if (unlikely((pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK)) == PK_TH_SYN))
		WRITE_ONCE(flow->window, 0); /* another connection, of which nothing came yet */
	if (!tcp || !(pkt->tcp_flags & PK_TH_ACK))
		return;
	if (likely(!(pkt->tcp_flags & PK_TH_SYN))) {
		if (unlikely(!(flow->scale & PK_FLOW_GOES_ON)))
			flow->scale |= PK_FLOW_GOES_ON;
		if (!(flow->scale & PK_FLOW_UNSCALED))
			shift = flow->scale & PK_FLOW_SHIFT;
	}
	acked = bpf_ntohl(tcp->ack_seq);
	edge = acked + ((__u32)bpf_ntohs(tcp->window) << shift);
	WRITE_ONCE(flow->window, (__u64)edge << 32 | acked);
}

/*
 * Returns whether a RST or a FIN lies outside of the endpoint's window. Before the endpoint has
 * acknowledged anything, it believes by its own number, and its next packet contradicts a RST.
 */
static __always_inline bool window_is_past(const struct __sk_buff *skb, const struct pk_pkt *pkt,
					   const struct pk_flow *flow)
{
	const struct tcphdr *tcp = window_tcp(skb, pkt->l4_off);
	__u64 window = READ_ONCE(flow->window);
	__u32 acked = window, edge = window >> 32, at;

	if (!window || !tcp)
		return false;
	at = bpf_ntohl(tcp->seq);
	if (!(pkt->tcp_flags & PK_TH_RST))
		at += pkt->payload; /* a FIN stands behind its segment's bytes */
	return at - acked > edge - acked;
}

/*
 * Follows the endpoint's window in a TCP flow with somebody outside, and marks a RST or a FIN from
 * there that lies elsewhere.
 */
static __always_inline void window_note(struct __sk_buff *skb, struct pk_pkt *pkt,
					struct pk_flow *flow)
{
	if (pkt->proto != IPPROTO_TCP || pkt->flags & PK_PKT_LATER)
		return;
	if (unlikely(pkt->tcp_flags & PK_TH_SYN))
		window_syn(skb, pkt, flow);
	if (!flow_is_foreign(flow, pkt))
		window_keep(skb, pkt, flow);
	else if (unlikely(pkt->tcp_flags & (PK_TH_FIN | PK_TH_RST)) &&
		 window_is_past(skb, pkt, flow))
		pkt->flags |= PK_PKT_STRAY;
}
