/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * ARP says that every address of the pool's block but the endpoint's own is at the gateway's MAC,
 * so that an answer tells nothing about who lives there.
 */
#include "lib/answer.h"

static __always_inline bool arp_in_block(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	__u32 bits = ep->ipv4_prefix & 63, mask;

	if (bits > 32 || pk_addr_zero(&ep->ipv4) || pk_addr_same(&pkt->dst, &ep->ipv4))
		return false;
	mask = bits ? ~0u << (32 - bits) : 0;
	return !((bpf_ntohl(pkt->dst.w[3]) ^ bpf_ntohl(ep->ipv4.w[3])) & mask);
}

static __always_inline int arp_check(const struct pk_pkt *pkt, const struct pk_arp *arp,
				     const struct pk_endpoint *ep)
{
	if (arp->op != bpf_htons(ARPOP_REQUEST))
		return PK_REASON_SPOOFED_ARP;
	if (__builtin_memcmp(arp->smac, ep->mac, ETH_ALEN))
		return PK_REASON_SPOOFED_ARP;
	/* A question from 0.0.0.0 is a probe, before an address is taken. */
	if (pkt->src.w[3] && !pk_addr_same(&pkt->src, &ep->ipv4))
		return PK_REASON_SPOOFED_ARP;
	return PK_REASON_OK;
}

static __always_inline int pk_arp_answer(struct __sk_buff *skb, struct pk_scratch *s,
					 const struct pk_endpoint *ep)
{
	struct pk_arp arp, *reply = answer_at(s, ETH_HLEN);
	int reason;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)) < 0)
		return PK_REASON_TRUNCATED;
	reason = arp_check(&s->pkt, &arp, ep);
	if (reason)
		return reason;
	if (!arp_in_block(&s->pkt, ep))
		return PK_REASON_MULTICAST;
	if (!bucket_answer(s->pkt.slot))
		return PK_REASON_RATE_LIMIT;
	answer_eth(s, ETH_P_ARP);
	*reply = arp;
	reply->op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(reply->smac, pk_gateway_mac, ETH_ALEN);
	__builtin_memcpy(reply->sip, arp.tip, 4);
	__builtin_memcpy(reply->tmac, arp.smac, ETH_ALEN);
	__builtin_memcpy(reply->tip, arp.sip, 4);
	return answer_send(skb, s, ETH_HLEN + sizeof(arp));
}
