/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* A ping of the gateway is answered by sending the request itself back, whatever its length. */
#include "lib/answer.h"
#include "lib/nd.h"

static __always_inline bool ping_is_gateway(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	if (!(pkt->flags & PK_PKT_ECHO_REQUEST))
		return false;
	if (pkt->flags & PK_PKT_IPV4)
		return pk_addr_same(&pkt->dst, &ep->gateway4);
	return spoof_is_gateway6(&pkt->dst);
}

/* Swapping the addresses leaves every checksum as it is; a new type or TTL does not. */
static __always_inline int ping_headers(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ipv6hdr *ip6;
	struct iphdr *ip;
	__u32 sum;

	if (pkt->flags & PK_PKT_IPV4) {
		ip = pk_take(&c, PK_L3, sizeof(*ip));
		if (!ip)
			return PK_REASON_TRUNCATED;
		ip->saddr = pkt->dst.w[3];
		ip->daddr = pkt->src.w[3];
		sum = (__u16)~ip->check + (__u16)~bpf_htons(pkt->ttl << 8) + bpf_htons(64 << 8);
		ip->check = ~rewrite_fold(sum);
		ip->ttl = 64;
		return PK_REASON_OK;
	}
	ip6 = pk_take(&c, PK_L3, sizeof(*ip6));
	if (!ip6)
		return PK_REASON_TRUNCATED;
	__builtin_memcpy(&ip6->saddr, &pkt->dst, 16);
	__builtin_memcpy(&ip6->daddr, &pkt->src, 16);
	ip6->hop_limit = 64;
	return PK_REASON_OK;
}

static __always_inline int ping_message(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	__u8 type = pkt->flags & PK_PKT_IPV4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY;
	__u32 off = pkt->l4_off, sum;
	struct pk_icmp *icmp;

	if (off > PK_PARSE_LINEAR)
		return PK_REASON_MALFORMED;
	icmp = pk_take(&c, off, sizeof(*icmp));
	if (!icmp)
		return PK_REASON_TRUNCATED;
	sum = (__u16)~icmp->checksum + (__u16)~bpf_htons(icmp->type << 8) + bpf_htons(type << 8);
	icmp->checksum = ~rewrite_fold(sum);
	icmp->type = type;
	return PK_REASON_OK;
}

static __always_inline int pk_ping_answer(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason;

	if (!bucket_answer(s->pkt.slot))
		return PK_REASON_RATE_LIMIT;
	reason = ping_headers(skb, &s->pkt);
	if (!reason && !(s->pkt.flags & PK_PKT_LATER))
		reason = ping_message(skb, &s->pkt);
	if (!reason)
		reason = deliver_macs(skb, s->pkt.smac);
	return reason ? reason : answer_back(s);
}
