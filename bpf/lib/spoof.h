/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Compares every source field with the endpoint's slot. Nothing is taken from the device that the
 * frame came by.
 */
#include "lib/base.h"
#include "lib/pkt.h"
#include "lib/parse.h"

static __always_inline bool spoof_link_local(const union pk_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* fe80::1, the gateway of every guest. */
static __always_inline bool spoof_is_gateway6(const union pk_addr *a)
{
	return a->w[0] == bpf_htonl(0xfe800000) && !a->w[1] && !a->w[2] && a->w[3] == bpf_htonl(1);
}

static __always_inline bool spoof_mac_same(const __u8 *a, const __u8 *b)
{
	return *(const __u16 *)a == *(const __u16 *)b &&
	       *(const __u16 *)(a + 2) == *(const __u16 *)(b + 2) &&
	       *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

/* Returns whether it is neighbour discovery, RS or MLD, which have rules of their own (nd.h). */
static __always_inline bool spoof_is_nd(const struct pk_pkt *pkt)
{
	__u8 t = pkt->icmp_type;

	if (pkt->proto != IPPROTO_ICMPV6 || !(pkt->flags & PK_PKT_IPV6))
		return false;
	return (t >= PK_ND_RS && t <= PK_ND_REDIRECT) || PK_IS_MLD(t);
}

static __always_inline bool spoof_is_dhcp4(const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_IPV4 && pkt->proto == IPPROTO_UDP &&
	       (pkt->dport == bpf_htons(DHCP_SERVER_PORT) ||
		(pkt->sport == bpf_htons(DHCP_SERVER_PORT) &&
		 pkt->dport == bpf_htons(DHCP_CLIENT_PORT)));
}

static __always_inline bool spoof_is_dhcp6(const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_IPV6 && pkt->proto == IPPROTO_UDP &&
	       (pkt->dport == bpf_htons(DHCP6_SERVER_PORT) ||
		(pkt->sport == bpf_htons(DHCP6_SERVER_PORT) &&
		 pkt->dport == bpf_htons(DHCP6_CLIENT_PORT)));
}

static __always_inline int spoof_ipv4(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	/* A v4-mapped address never equals one that is all zero. */
	if (pk_addr_same(&pkt->src, &ep->ipv4))
		return PK_REASON_OK;
	if (!pkt->src.w[3] && pkt->sport == bpf_htons(DHCP_CLIENT_PORT) && spoof_is_dhcp4(pkt))
		return PK_REASON_OK;
	return PK_REASON_SPOOFED_IPV4;
}

/* A later fragment may be of a long ping of the gateway; what its first fragment says decides. */
static __always_inline bool spoof_is_rest_of_ping(const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_LATER && pkt->flags & PK_PKT_IPV6 &&
	       spoof_is_gateway6(&pkt->dst);
}

static __always_inline int spoof_ipv6(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	if (pk_addr_same(&pkt->src, &ep->ipv6) && !pk_addr_zero(&pkt->src))
		return PK_REASON_OK;
	if (spoof_is_nd(pkt) && (spoof_link_local(&pkt->src) || pk_addr_zero(&pkt->src)))
		return PK_REASON_OK;
	if (spoof_is_dhcp6(pkt) && spoof_link_local(&pkt->src))
		return PK_REASON_OK;
	/*
	 * A guest that pings its gateway does so from its link-local address, and from there it
	 * also says that nobody waits for the gateway's DHCPv6 any more.
	 */
	if (spoof_link_local(&pkt->src) && spoof_is_gateway6(&pkt->dst) &&
	    pkt->flags & (PK_PKT_ECHO_REQUEST | PK_PKT_LATER | PK_PKT_ICMP_ERROR))
		return PK_REASON_OK;
	return PK_REASON_SPOOFED_IPV6;
}

static __always_inline int pk_spoof(const struct pk_pkt *pkt, const struct pk_endpoint *ep)
{
	if (!spoof_mac_same(pkt->smac, ep->mac))
		return PK_REASON_SPOOFED_MAC;
	if (pkt->flags & PK_PKT_IPV4)
		return spoof_ipv4(pkt, ep);
	if (pkt->flags & PK_PKT_IPV6)
		return spoof_ipv6(pkt, ep);
	return PK_REASON_OK; /* arp.h judges it */
}
