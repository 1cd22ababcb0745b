/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Answers are built from nothing in the request's packet, and go back through the endpoint's own
 * device as a packet of another endpoint would.
 */
#include "lib/deliver.h"
#include "lib/rewrite.h"

/* The frame begins two bytes in, so that its network header is aligned. */
#define PK_FRAME_PAD 2
#define PK_L3	     ETH_HLEN

static __always_inline void *answer_at(struct pk_scratch *s, __u32 off)
{
	return s->buf + PK_FRAME_PAD + off;
}

static __always_inline void answer_eth(struct pk_scratch *s, __u16 ethertype)
{
	struct ethhdr *eth = answer_at(s, 0);

	__builtin_memcpy(eth->h_dest, s->pkt.smac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, pk_gateway_mac, ETH_ALEN);
	eth->h_proto = bpf_htons(ethertype);
}

/* Sums len bytes (a multiple of four, below 1,024) at off; the sum isn't complemented. */
static __always_inline __u64 answer_sum(struct pk_scratch *s, __u32 off, __u32 len, __u64 seed)
{
	return seed + (__u32)bpf_csum_diff(NULL, 0, answer_at(s, off), len, 0);
}

#define PK_CSUM_MOST 512 /* bytes that bpf_csum_diff takes at once on 6.1 */

/* Sums more bytes than bpf_csum_diff takes at once. */
static __always_inline __u64 answer_sum_long(struct pk_scratch *s, __u32 off, __u32 len, __u64 seed)
{
	__u32 rest = len - PK_CSUM_MOST;

	if (len <= PK_CSUM_MOST)
		return answer_sum(s, off, len, seed);
	seed = answer_sum(s, off, PK_CSUM_MOST, seed);
	/*
	 * The mask changes nothing; it restores a bound that the compiler has proven and 6.1
	 * forgets.
	 */
	asm volatile("" : "+r"(rest));
	return answer_sum(s, off + PK_CSUM_MOST, rest & (PK_CSUM_MOST - 1), seed);
}

/*
 * Returns what user space has encoded for the endpoint. A copy is taken under the entry's lock, so
 * that all of it is of one time.
 */
static __always_inline struct pk_answers *answer_told(const struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;

	return bpf_map_lookup_elem(&answers, &slot);
}

/* Points at an aligned offset of the frame, so that a copy to it is made of words. */
#define answer_words(s, off) ((__u32 *)__builtin_assume_aligned(answer_at(s, off), 4))

static __always_inline void answer_ipv6(struct pk_scratch *s, __u16 payload, __u8 proto,
					const union pk_addr *to)
{
	struct ipv6hdr *ip = answer_at(s, PK_L3);

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(payload);
	ip->nexthdr = proto;
	ip->hop_limit = 255;
	ip->saddr.s6_addr32[0] = bpf_htonl(0xfe800000);
	ip->saddr.s6_addr32[3] = bpf_htonl(1);
	__builtin_memcpy(&ip->daddr, to, 16);
}

/*
 * Computes the checksum of an ICMPv6 message of len bytes, a multiple of four, whose own checksum
 * field is zero.
 */
static __always_inline void answer_icmp6_checksum(struct pk_scratch *s, __u32 len)
{
	struct icmp6hdr *icmp = answer_at(s, PK_L3 + sizeof(struct ipv6hdr));
	__u64 sum = bpf_htonl(len) + (__u64)bpf_htonl(IPPROTO_ICMPV6);

	sum = answer_sum(s, PK_L3 + 8, 32 + len, sum); /* both addresses and the message */
	icmp->icmp6_cksum = ~rewrite_fold(sum);
}

/* Sends the packet, whatever it has become, back to its sender. */
static __always_inline int answer_back(struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	deliver_target(&s->pkt, ep);
	return PK_REASON_OK;
}

/* Replaces the request by the frame of len bytes. */
static __always_inline int answer_send(struct __sk_buff *skb, struct pk_scratch *s, __u32 len)
{
	/*
	 * The mask keeps the number; the verifier of 6.1 must see the bounds in the number itself.
	 */
	asm volatile("" : "+r"(len));
	len = ((len - 1) & (PK_SCRATCH_BYTES - 1)) + 1;
	if (bpf_skb_change_tail(skb, len, 0) < 0 ||
	    bpf_skb_store_bytes(skb, 0, answer_at(s, 0), len, 0) < 0)
		return PK_REASON_MALFORMED;
	return answer_back(s);
}
