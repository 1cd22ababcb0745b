/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Neighbour and router discovery (RFC 4861) with the gateway fe80::1. A guest's claims are checked
 * and swallowed, its questions are answered here; neither reaches anybody else.
 */
#include "lib/answer.h"
#include "lib/peer.h"

#define PK_ND_OFF   (PK_L3 + sizeof(struct ipv6hdr)) /* offset of an answer's ICMPv6 message */
#define PK_ND_FIXED 64 /* bytes of an RA before what user space has encoded */

struct nd_message { /* the message of NS and NA */
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	union pk_addr target;
};

struct nd_link { /* source or target link-layer address */
	__u8 type, units;
	__u8 mac[ETH_ALEN];
};

struct nd_router {
	__u8 type, code;
	__be16 checksum;
	__u8 hop_limit, flags;
	__be16 lifetime;
	__be32 reachable, retrans;
};

struct nd_mtu {
	__u8 type, units;
	__be16 pad;
	__be32 mtu;
};

struct nd_prefix {
	__u8 type, units, bits, flags;
	__be32 valid, preferred, pad;
	union pk_addr prefix;
};

/*
 * Requires the link-layer options from off to the message's end to name the endpoint's own MAC.
 * More than four options, or one that can't be read, are refused.
 */
static __always_inline bool nd_options_own(struct __sk_buff *skb, const struct pk_pkt *pkt,
					   const struct pk_endpoint *ep, __u32 off)
{
	__u32 end = ETH_HLEN + pkt->l3_len;
	struct nd_link option;

	for (int i = 0; i < 4; i++) {
		if (off >= end)
			return off == end;
		if (bpf_skb_load_bytes(skb, off, &option, sizeof(option)) < 0 || !option.units)
			return false;
		if (option.type == 1 || option.type == 2) {
			if (option.units != 1 || __builtin_memcmp(option.mac, ep->mac, ETH_ALEN))
				return false;
		}
		off += option.units * 8;
	}
	return off == end;
}

static __always_inline int nd_advertise(struct __sk_buff *skb, struct pk_scratch *s,
					const union pk_addr *target)
{
	struct nd_message *na = answer_at(s, PK_ND_OFF);
	struct nd_link *link = answer_at(s, PK_ND_OFF + sizeof(*na));
	struct ipv6hdr *ip = answer_at(s, PK_L3);

	if (!bucket_answer(s->pkt.slot))
		return PK_REASON_RATE_LIMIT;
	answer_eth(s, ETH_P_IPV6);
	answer_ipv6(s, sizeof(*na) + sizeof(*link), IPPROTO_ICMPV6, &s->pkt.src);
	__builtin_memcpy(&ip->saddr, target, 16);
	__builtin_memset(na, 0, sizeof(*na));
	na->type = PK_ND_NA;
	na->flags = bpf_htonl(0xe0000000); /* router, solicited, override */
	na->target = *target;
	link->type = 2;
	link->units = 1;
	__builtin_memcpy(link->mac, pk_gateway_mac, ETH_ALEN);
	answer_icmp6_checksum(s, sizeof(*na) + sizeof(*link));
	return answer_send(skb, s, PK_ND_OFF + sizeof(*na) + sizeof(*link));
}

/*
 * Answers NS for fe80::1 and the pool's addresses but the endpoint's own. Duplicate detection gets
 * no answer.
 */
static __always_inline int nd_solicited(struct __sk_buff *skb, struct pk_scratch *s,
					const struct pk_endpoint *ep, const struct nd_message *ns)
{
	if (!nd_options_own(skb, &s->pkt, ep, s->pkt.l4_off + sizeof(*ns)))
		return PK_REASON_SPOOFED_ND;
	if (pk_addr_zero(&s->pkt.src) || pk_addr_same(&ns->target, &ep->ipv6))
		return PK_REASON_MULTICAST;
	if (!spoof_is_gateway6(&ns->target) && !peer_in_pools(&ns->target))
		return PK_REASON_MULTICAST;
	return nd_advertise(skb, s, &ns->target);
}

static __always_inline int nd_neighbour(struct __sk_buff *skb, struct pk_scratch *s,
					const struct pk_endpoint *ep)
{
	struct nd_message m;

	if (bpf_skb_load_bytes(skb, s->pkt.l4_off, &m, sizeof(m)) < 0)
		return PK_REASON_TRUNCATED;
	if (m.type == PK_ND_NS)
		return nd_solicited(skb, s, ep, &m);
	/*
	 * Swallows an advertisement of the endpoint's own address, or of a link-local one, at its
	 * own MAC.
	 */
	if ((!pk_addr_same(&m.target, &ep->ipv6) && !spoof_link_local(&m.target)) ||
	    spoof_is_gateway6(&m.target) ||
	    !nd_options_own(skb, &s->pkt, ep, s->pkt.l4_off + sizeof(m)))
		return PK_REASON_SPOOFED_ND;
	return PK_REASON_MULTICAST;
}

static __always_inline void nd_router_fixed(struct pk_scratch *s, const struct pk_endpoint *ep)
{
	struct nd_router *ra = answer_at(s, PK_ND_OFF);
	struct nd_link *link = answer_at(s, PK_ND_OFF + 16);
	struct nd_mtu *mtu = answer_at(s, PK_ND_OFF + 24);
	struct nd_prefix *prefix = answer_at(s, PK_ND_OFF + 32);

	__builtin_memset(ra, 0, PK_ND_FIXED);
	ra->type = PK_ND_RA;
	ra->hop_limit = 64;
	ra->flags = 0x80; /* M: addresses by DHCPv6 */
	ra->lifetime = bpf_htons(PK_RA_LIFETIME);
	link->type = 1;
	link->units = 1;
	__builtin_memcpy(link->mac, pk_gateway_mac, ETH_ALEN);
	mtu->type = 5;
	mtu->units = 1;
	mtu->mtu = bpf_htonl(ep->mtu);
	prefix->type = 3; /* neither on-link nor autonomous */
	prefix->units = 4;
	prefix->bits = 128;
	prefix->valid = prefix->preferred = bpf_htonl(PK_RA_LIFETIME);
	prefix->prefix = ep->ipv6;
}

/* Writes resolvers and search list behind the fixed part; returns their bytes. */
static __always_inline __u32 nd_router_told(struct pk_scratch *s)
{
	struct pk_answers *told = answer_told(s);
	__u32 len;

	if (!told)
		return 0;
	bpf_spin_lock(&told->lock);
	len = told->ra_len;
	__builtin_memcpy(answer_words(s, PK_ND_OFF + PK_ND_FIXED), told->ra, sizeof(told->ra));
	bpf_spin_unlock(&told->lock);
	return len > sizeof(told->ra) ? 0 : len & ~7u;
}

static __always_inline int nd_router_answer(struct __sk_buff *skb, struct pk_scratch *s,
					    const struct pk_endpoint *ep)
{
	const union pk_addr all_nodes = { .b = { 0xff, 0x02, [15] = 1 } };
	__u32 len;

	answer_eth(s, ETH_P_IPV6);
	nd_router_fixed(s, ep);
	len = PK_ND_FIXED + nd_router_told(s);
	answer_ipv6(s, len, IPPROTO_ICMPV6, pk_addr_zero(&s->pkt.src) ? &all_nodes : &s->pkt.src);
	answer_icmp6_checksum(s, len);
	return answer_send(skb, s, PK_ND_OFF + len);
}

/* Swallows MLD: the guard forwards no group. */
static __always_inline int pk_nd_answer(struct __sk_buff *skb, struct pk_scratch *s,
					const struct pk_endpoint *ep)
{
	const struct pk_pkt *pkt = &s->pkt;

	if (PK_IS_MLD(pkt->icmp_type))
		return PK_REASON_MULTICAST;
	if (pkt->ttl != 255 || pkt->icmp_code)
		return PK_REASON_SPOOFED_ND;
	/* A guest asks for IPv6 also where its endpoint has none. */
	if (pk_addr_zero(&ep->ipv6) && (pkt->icmp_type == PK_ND_RS || pkt->icmp_type == PK_ND_NS))
		return PK_REASON_MULTICAST;
	switch (pkt->icmp_type) {
	case PK_ND_RS:
		if (!nd_options_own(skb, pkt, ep, pkt->l4_off + 8))
			return PK_REASON_SPOOFED_ND;
		if (!bucket_answer(pkt->slot))
			return PK_REASON_RATE_LIMIT;
		return nd_router_answer(skb, s, ep);
	case PK_ND_NS:
	case PK_ND_NA:
		return nd_neighbour(skb, s, ep);
	default: /* RA, redirect */
		return PK_REASON_SPOOFED_ND;
	}
}
