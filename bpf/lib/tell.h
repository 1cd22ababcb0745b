/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Tells the sender of a packet that a router can't forward: time exceeded, or too long for the way,
 * with its MTU, so that traceroute and path MTU discovery work (RFC 792, 1191, 4443). The packet is
 * denied and counted all the same, and these answers share the bucket of all answers.
 *
 * A packet with a partial checksum stays one, and whoever finishes the checksum writes two bytes of
 * the answer. Only a guest that sends such checksums and takes none gets to see that.
 */
#include "lib/answer.h"

#define TELL_LONG   68 /* bytes of an IPv4 packet that are quoted, where it has so many; else: */
#define TELL_SHORT  28
#define TELL6_LONG  128
#define TELL6_SHORT 48

/* The ends of an error: its sender, its receiver, and whether that is outside of the node. */
struct tell_ends {
	union pk_addr from, to;
	bool outside;
};

static __always_inline void tell_ipv4(struct pk_scratch *s, const struct tell_ends *e, __u32 quote)
{
	struct iphdr *ip = answer_at(s, PK_L3);
	struct pk_icmp *icmp = answer_at(s, PK_L3 + sizeof(*ip));
	bool ttl = s->pkt.denied == PK_REASON_TTL;

	__builtin_memset(ip, 0, sizeof(*ip) + sizeof(*icmp));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + quote);
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = e->from.w[3];
	ip->daddr = e->to.w[3];
	ip->check = ~rewrite_fold(answer_sum(s, PK_L3, sizeof(*ip), 0));
	icmp->type = ttl ? ICMP_TIME_EXCEEDED : ICMP_DEST_UNREACH;
	icmp->code = ttl ? 0 : ICMP_FRAG_NEEDED;
	icmp->sequence = bpf_htons(s->pkt.tell_mtu); /* RFC 1191: the next hop's MTU, else 0 */
	icmp->checksum =
		~rewrite_fold(answer_sum(s, PK_L3 + sizeof(*ip), sizeof(*icmp) + quote, 0));
}

static __always_inline void tell_ipv6(struct pk_scratch *s, const struct tell_ends *e, __u32 quote)
{
	struct icmp6hdr *icmp = answer_at(s, PK_L3 + sizeof(struct ipv6hdr));
	struct ipv6hdr *ip = answer_at(s, PK_L3);
	bool ttl = s->pkt.denied == PK_REASON_TTL;

	answer_ipv6(s, sizeof(*icmp) + quote, IPPROTO_ICMPV6, &e->to);
	if (e->outside)
		__builtin_memcpy(&ip->saddr, &e->from, 16);
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->icmp6_type = ttl ? ICMPV6_TIME_EXCEED : ICMPV6_PKT_TOOBIG;
	icmp->icmp6_mtu = bpf_htonl(s->pkt.tell_mtu);
	answer_icmp6_checksum(s, sizeof(*icmp) + quote);
}

/* Replaces the packet by the error with a quote of so many bytes; lengths are constants. */
static __always_inline int tell_send(struct __sk_buff *skb, struct pk_scratch *s,
				     const struct tell_ends *e, bool v4, __u32 quote)
{
	struct ethhdr *eth = answer_at(s, 0);
	__u32 headers = (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + 8;

	if (bpf_skb_load_bytes(skb, PK_L3, answer_at(s, PK_L3 + headers), quote) < 0)
		return PK_REASON_TRUNCATED;
	answer_eth(s, v4 ? ETH_P_IP : ETH_P_IPV6);
	if (e->outside)
		__builtin_memcpy(eth->h_source, s->pkt.dmac, ETH_ALEN);
	if (v4)
		tell_ipv4(s, e, quote);
	else
		tell_ipv6(s, e, quote);
	return answer_send(skb, s, PK_L3 + headers + quote);
}

static __always_inline int tell_quote(struct __sk_buff *skb, struct pk_scratch *s,
				      const struct tell_ends *e)
{
	if (s->pkt.flags & PK_PKT_IPV4) {
		if (s->pkt.l3_len >= TELL_LONG)
			return tell_send(skb, s, e, true, TELL_LONG);
		return tell_send(skb, s, e, true, TELL_SHORT);
	}
	if (s->pkt.l3_len >= TELL6_LONG)
		return tell_send(skb, s, e, false, TELL6_LONG);
	return tell_send(skb, s, e, false, TELL6_SHORT);
}

/*
 * Fills in the ends of an error to one outside: its sender is the node's address there, else the
 * one that was asked.
 */
static __always_inline void tell_outside(const struct __sk_buff *skb, const struct pk_pkt *pkt,
					 struct tell_ends *e)
{
	const struct pk_node *n = node_get();
	bool v4 = pkt->flags & PK_PKT_IPV4;

	e->from = pkt->dst;
	e->to = pkt->src;
	for (int i = 0; n && i < PK_UPLINKS; i++) {
		const struct pk_uplink *up = &n->uplink[i];

		if (up->ifindex == skb->ifindex && !pk_addr_zero(v4 ? &up->ipv4 : &up->ipv6))
			e->from = v4 ? up->ipv4 : up->ipv6;
	}
}

/*
 * Takes what an error to one outside costs: none, one or two tokens of the node's own bucket, by
 * chance. Who counts the errors that he gets himself would else learn which forged packets cost
 * one, and so the ports of masqueraded flows (CVE-2020-25705). Half of the tokens are for those who
 * are told of an MTU.
 */
static __always_inline bool tell_may_outside(const struct pk_pkt *pkt)
{
	__u32 keep = pkt->denied == PK_REASON_TTL ? PK_ANSWERS_PER_S : 1;
	struct pk_bucket *b = bucket_of(0);

	return b && pk_bucket_take(&b->tokens[PK_BUCKET_ANSWERS], PK_ANSWERS_PER_S,
				   2 * PK_ANSWERS_PER_S, bpf_get_prandom_u32() % 3, keep);
}

/* Fills in the ends of the error; returns false where its sender has had enough of them. */
static __always_inline bool tell_ends(const struct __sk_buff *skb, const struct pk_pkt *pkt,
				      struct tell_ends *e)
{
	__u32 slot = pkt->slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	if (!ep)
		return false;
	e->outside = pkt->dir == PK_INGRESS;
	if (e->outside) {
		tell_outside(skb, pkt, e);
		return tell_may_outside(pkt);
	}
	e->from = ep->gateway4;
	e->to = pkt->flags & PK_PKT_IPV4 ? ep->ipv4 : ep->ipv6;
	return bucket_answer(slot);
}

/* Sends the error back to where the packet came from. */
static __always_inline void tell_back(const struct __sk_buff *skb, struct pk_pkt *pkt,
				      const struct tell_ends *e)
{
	pkt->action = e->outside ? PK_ACT_BACK : PK_ACT_TELL;
	if (e->outside)
		pkt->target = skb->ifindex;
}

/* Returns the reason of the denial; the packet has become the error, or is dropped. */
static __always_inline int pk_tell(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct tell_ends e = {};

	if (tell_ends(skb, &s->pkt, &e) && tell_quote(skb, s, &e) == PK_REASON_OK)
		tell_back(skb, &s->pkt, &e);
	else
		s->pkt.action = PK_ACT_DROP;
	return s->pkt.denied;
}
