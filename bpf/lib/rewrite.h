/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Writes an address and a port in a packet's headers, checksums included. Headers and sums are
 * written directly; a sum that a driver made of the whole packet (CHECKSUM_COMPLETE) follows by one
 * helper. A partial checksum holds the pseudo-header's sum alone, which knows no ports.
 */
#include "lib/parse.h"
#include "lib/scratch.h"

/* A sum has 38 bits at most (16 gains of 32 bits, a checksum), so three steps leave no carry. */
static __always_inline __u16 rewrite_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Returns what a sum of one's complement gains where `was` becomes `is`. */
static __always_inline __u64 rewrite_gain32(__be32 was, __be32 is)
{
	return (__u64)(__u32)~was + is;
}

static __always_inline __u64 rewrite_gain16(__be16 was, __be16 is)
{
	return (__u64)(__u16)~was + is;
}

/* Adds to a checksum field, which is the complement of a sum. */
static __always_inline __sum16 rewrite_check(__sum16 check, __u64 gain)
{
	return ~rewrite_fold((__u16)~check + gain);
}

#define REWRITE_IDS 1024 /* a power of two */
#define REWRITE_ATOMIC                                                                             \
	0x4000 /* only DF is set: the datagram is never cut, and its id means nothing */
static __u32 rewrite_ids[REWRITE_IDS];

/*
 * Takes `count` identifications for datagrams to the packet's destination. They are counted on, so
 * that none comes again before 65,535 others, from a start that nobody outside can foretell.
 */
static __always_inline __be16 rewrite_take_ids(const struct pk_pkt *pkt, __u32 count)
{
	const struct pk_node *n = node_get();
	__u64 hash = (__u64)pkt->proto << 32 | pkt->dst.w[3];

	hash = (hash ^ (n ? n->epoch[1] : 0)) * 0xff51afd7ed558ccd;
	hash = (hash ^ hash >> 32) * 0xc4ceb9fe1a85ec53;
	hash ^= hash >> 32;
	return bpf_htons(hash +
			 __sync_fetch_and_add(&rewrite_ids[hash >> 32 & (REWRITE_IDS - 1)], count));
}

/*
 * Gives a datagram that may be in pieces somewhere an id of its own: several endpoints send from
 * its new address, and whoever puts pieces together tells them by nothing else (RFC 6864).
 */
static __always_inline void rewrite_id(const struct __sk_buff *skb, struct pk_pkt *pkt,
				       struct iphdr *ip)
{
	if (ip->frag_off == bpf_htons(REWRITE_ATOMIC))
		return;
	if (!(pkt->flags & PK_PKT_LATER))
		pkt->wire_id =
			rewrite_take_ids(pkt, skb->gso_size ? pkt->payload / skb->gso_size + 1 : 1);
	ip->check = rewrite_check(ip->check, rewrite_gain16(ip->id, pkt->wire_id));
	ip->id = pkt->wire_id;
}

/*
 * These aren't inlined: merging several of them, the compiler computes addresses inside the
 * context.
 */
static __noinline int rewrite_address(struct __sk_buff *skb, struct pk_pkt *pkt, bool source,
				      const union pk_addr *to, __u64 *gain)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	union pk_addr *has = source ? &pkt->src : &pkt->dst;
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (pkt->flags & PK_PKT_IPV4) {
		ip = pk_take(&c, ETH_HLEN, sizeof(*ip));
		if (!ip)
			return PK_REASON_TRUNCATED;
		*gain += rewrite_gain32(has->w[3], to->w[3]);
		ip->check = rewrite_check(ip->check, rewrite_gain32(has->w[3], to->w[3]));
		if (source) {
			ip->saddr = to->w[3];
			rewrite_id(skb, pkt, ip);
		} else {
			ip->daddr = to->w[3];
		}
	} else {
		ip6 = pk_take(&c, ETH_HLEN, sizeof(*ip6));
		if (!ip6)
			return PK_REASON_TRUNCATED;
		for (int i = 0; i < 4; i++)
			*gain += rewrite_gain32(has->w[i], to->w[i]);
		__builtin_memcpy(source ? &ip6->saddr : &ip6->daddr, to, 16);
	}
	*has = *to;
	return PK_REASON_OK;
}

/*
 * Returns the offset of the protocol's checksum in its header; 0 where none covers the addresses.
 */
static __always_inline __u32 rewrite_check_at(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return offsetof(struct udphdr, check);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return offsetof(struct pk_icmp, checksum);
	default:
		return 0;
	}
}

static __always_inline __be16 *rewrite_at(struct __sk_buff *skb, __u32 off)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };

	return off > PK_PARSE_LINEAR ? NULL : pk_take(&c, off, 2);
}

/* A rewriting's change, as sums of one's complement. */
struct rewrite_gains {
	__u64 addresses;
	__u64 ports; /* of the ports, or an echo's id */
	__u64 whole; /* of the whole packet from its IP header on, checksums included */
};

/* Mends the L4 checksum. In IPv4 the header's own checksum has cancelled the addresses. */
static __always_inline int rewrite_l4(struct __sk_buff *skb, const struct pk_pkt *pkt,
				      struct rewrite_gains *g)
{
	__be16 *check = rewrite_at(skb, pkt->l4_off + rewrite_check_at(pkt->proto));
	bool v4 = pkt->flags & PK_PKT_IPV4;

	if (!check)
		return PK_REASON_TRUNCATED;
	if (pkt->proto == IPPROTO_ICMP) { /* its checksum covers no pseudo-header */
		*check = rewrite_check(*check, g->ports);
		return PK_REASON_OK;
	}
	if (pkt->flags & PK_PKT_PARTIAL) {
		*check = rewrite_fold(*check + g->addresses);
		return PK_REASON_OK;
	}
	if (pkt->proto == IPPROTO_UDP && !*check) { /* a datagram without a checksum */
		g->whole = v4 ? g->ports : g->addresses + g->ports;
		return PK_REASON_OK;
	}
	*check = rewrite_check(*check, g->addresses + g->ports);
	if (pkt->proto == IPPROTO_UDP && !*check)
		*check = 0xffff;
	g->whole = v4 ? (__u16)~rewrite_fold(g->addresses) : 0;
	return PK_REASON_OK;
}

static __always_inline __u32 rewrite_port_at(const struct pk_pkt *pkt, bool source)
{
	if (pkt->flags & (PK_PKT_ECHO_REQUEST | PK_PKT_ECHO_REPLY))
		return offsetof(struct pk_icmp, id);
	return source ? 0 : 2;
}

static __always_inline int rewrite_port(struct __sk_buff *skb, struct pk_pkt *pkt, bool source,
					__be16 to, __u64 *gain)
{
	__be16 *at = rewrite_at(skb, pkt->l4_off + rewrite_port_at(pkt, source));

	if (!at)
		return PK_REASON_TRUNCATED;
	*gain += rewrite_gain16(*at, to);
	*at = to;
	/* An echo's id is both its ports; an event tells the one that its sender wrote. */
	if (source)
		pkt->sport = to;
	else
		pkt->dport = to;
	return PK_REASON_OK;
}

/* Writes the port and mends the L4 checksum; a fragment behind the first has neither. */
static __always_inline int rewrite_above(struct __sk_buff *skb, struct pk_pkt *pkt,
					 const struct pk_way *way, struct rewrite_gains *g)
{
	int reason;

	if (pkt->flags & PK_PKT_LATER) {
		g->whole = pkt->flags & PK_PKT_IPV4 ? 0 : g->addresses;
		return PK_REASON_OK;
	}
	reason = rewrite_port(skb, pkt, way->rewrite & PK_REWRITE_SOURCE, way->port, &g->ports);
	return reason ? reason : rewrite_l4(skb, pkt, g);
}

/*
 * Rewrites one address, or both. The destination comes first: identifications are counted on by
 * the one that the packet goes to.
 */
static __always_inline int rewrite_addresses(struct __sk_buff *skb, struct pk_pkt *pkt,
					     const struct pk_way *way, __u64 *gain)
{
	bool source = way->rewrite & PK_REWRITE_SOURCE, both = way->rewrite & PK_REWRITE_HAIRPIN;
	int reason = rewrite_address(skb, pkt, source && !both,
				     source && both ? &way->hairpin : &way->address, gain);

	if (reason || !both)
		return reason;
	return rewrite_address(skb, pkt, true, source ? &way->address : &way->hairpin, gain);
}

/*
 * Rewrites the packet as its way says. Only TCP, UDP and echoes are translated. This is a function
 * that is verified on its own, so that what follows isn't verified once for each way through it.
 */
__noinline int pk_rewrite(struct __sk_buff *skb, struct pk_pkt *pkt, const struct pk_way *way)
{
	struct rewrite_gains g = {};
	int reason;

	if (!pkt || !way)
		return PK_REASON_TRUNCATED;
	reason = rewrite_addresses(skb, pkt, way, &g.addresses);
	if (!reason)
		reason = rewrite_above(skb, pkt, way, &g);
	/* Only an uplink's driver sums up whole packets. */
	if (!reason && pkt->dir == PK_INGRESS && g.whole)
		bpf_csum_update(skb, rewrite_fold(g.whole));
	return reason;
}
