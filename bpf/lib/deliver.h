/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The last steps of a packet that may go: hop limit, MACs, the receiver's limits, the target. */
#include "lib/bucket.h"
#include "lib/overlay.h"
#include "lib/parse.h"
#include "lib/peer.h"
#include "lib/rewrite.h"
#include "lib/sanity.h"

/*
 * Writes the MACs directly, through pointers taken anew: a helper called before may have moved the
 * packet.
 */
static __always_inline int deliver_macs(struct __sk_buff *skb, const __u8 *to)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ethhdr *eth = pk_take(&c, 0, sizeof(*eth));

	if (!eth)
		return PK_REASON_TRUNCATED;
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
	__builtin_memcpy(eth->h_source, pk_gateway_mac, ETH_ALEN);
	return PK_REASON_OK;
}

/* Returns whether the hop limit lets the packet be forwarded; if not, its sender may be told. */
static __always_inline int deliver_alive(struct pk_pkt *pkt)
{
	if (pkt->ttl > 1)
		return PK_REASON_OK;
	pkt->denied = PK_REASON_TTL;
	return PK_REASON_TTL;
}

/* Takes one off the hop limit. The checksum follows as RFC 1141 says, in one's complement. */
static __always_inline int deliver_hop(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ipv6hdr *ip6;
	struct iphdr *ip;
	__u32 sum;

	if (pkt->flags & PK_PKT_IPV4) {
		ip = pk_take(&c, ETH_HLEN, sizeof(*ip));
		if (!ip)
			return PK_REASON_TRUNCATED;
		sum = ip->check + bpf_htons(0x0100);
		ip->check = sum + (sum >= 0xffff);
		ip->ttl = pkt->ttl - 1;
		return PK_REASON_OK;
	}
	ip6 = pk_take(&c, ETH_HLEN, sizeof(*ip6));
	if (!ip6)
		return PK_REASON_TRUNCATED;
	ip6->hop_limit = pkt->ttl - 1;
	if (pkt->dir ==
	    PK_INGRESS) /* the driver's sum of the whole packet, if there is one, follows */
		bpf_csum_update(skb, (__u16)~bpf_htons(1));
	return PK_REASON_OK;
}

/*
 * Returns whether the packet's destination is the receiver's own address, whoever named that
 * receiver: a flow, or a table.
 */
static __always_inline bool deliver_is_for(const struct pk_pkt *pkt, const struct pk_endpoint *to)
{
	return pk_addr_same(&pkt->dst, pkt->flags & PK_PKT_IPV4 ? &to->ipv4 : &to->ipv6);
}

/* Returns whether the packet fits the MTU ahead; if not, its sender may be told. */
static __always_inline int deliver_fits(struct __sk_buff *skb, struct pk_pkt *pkt, __u32 mtu)
{
	if (sanity_fits(skb, pkt, mtu))
		return PK_REASON_OK;
	pkt->denied = PK_REASON_LENGTH;
	pkt->tell_mtu = mtu;
	return PK_REASON_LENGTH;
}

/* Writes the headers as the receiver gets them. way is NULL, or says what is to be rewritten. */
static __always_inline int deliver_headers(struct __sk_buff *skb, struct pk_pkt *pkt,
					   const struct pk_endpoint *to, const struct pk_way *way)
{
	int reason = PK_REASON_OK;

	if (way && way->rewrite)
		reason = pk_rewrite(skb, pkt, way);
	if (reason)
		return reason;
	if (!deliver_is_for(pkt, to))
		return PK_REASON_UNKNOWN_ENDPOINT;
	reason = deliver_hop(skb, pkt);
	return reason ? reason : deliver_macs(skb, to->mac);
}

/* Names the endpoint's device as the target: by redirect_peer, or a host tap. */
static __always_inline void deliver_target(struct pk_pkt *pkt, const struct pk_endpoint *to)
{
	pkt->target = to->host_ifindex;
	pkt->to_tap = to->flags & PK_EP_HOST_TAP;
	pkt->action = PK_ACT_PEER;
}

/*
 * Delivers to the local endpoint at slot, by redirect_peer. A packet that its limits refuse counts
 * at its ingress.
 */
static __always_inline int deliver_endpoint(struct __sk_buff *skb, struct pk_pkt *pkt, __u32 slot,
					    const struct pk_way *way)
{
	const struct pk_endpoint *to = bpf_map_lookup_elem(&endpoints, &slot);
	int reason;

	if (!to || !to->host_ifindex)
		return PK_REASON_ENDPOINT_CLOSED;
	reason = deliver_alive(pkt);
	if (reason)
		return reason;
	reason = deliver_fits(skb, pkt, to->mtu);
	if (!reason && !bucket_traffic(slot, to, PK_INGRESS, skb->len, sanity_packets(skb, pkt)))
		reason = PK_REASON_RATE_LIMIT;
	if (reason) {
		pkt->count_slot = slot;
		pkt->count_dir = PK_INGRESS;
		return reason;
	}
	reason = deliver_headers(skb, pkt, to, way);
	if (reason)
		return reason;
	deliver_target(pkt, to);
	return PK_REASON_OK;
}

/* Hands the packet to this node's own stack, where it ends: that is no hop. */
static __always_inline int deliver_stack(struct pk_pkt *pkt)
{
	pkt->action = PK_ACT_STACK;
	return PK_REASON_OK;
}

/*
 * Sends the packet out of the node, by the device and the neighbour that the FIB chose for the
 * flow, or through the overlay.
 */
static __always_inline int deliver_world(struct __sk_buff *skb, struct pk_pkt *pkt,
					 const struct pk_way *way)
{
	int reason = deliver_alive(pkt);

	if (!way->target)
		return PK_REASON_NO_ROUTE;
	if (!reason)
		reason = deliver_fits(skb, pkt, way->mtu);
	if (!reason && way->rewrite)
		reason = pk_rewrite(skb, pkt, way);
	if (!reason)
		reason = deliver_hop(skb, pkt);
	if (reason)
		return reason;
	pkt->target = way->target;
	pkt->action = PK_ACT_NEIGH;
	if (likely(!overlay_is(node_get(), way->target)))
		return PK_REASON_OK;
	pkt->action = PK_ACT_TUNNEL;
	return deliver_macs(skb, pk_overlay_mac);
}
