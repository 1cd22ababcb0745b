/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * This node's end of the overlay, and how a packet goes in. VXLAN proves nothing of who sent a
 * packet, so the overlay's port is the nodes' alone, whatever policy says: no endpoint sends to it,
 * no published port is it, and what comes to it by an uplink comes from a node, by the way to that
 * node. What the guard doesn't take out of its tunnel itself (wrap.h) carries a proof past the
 * stack, which does: this load's secret, as the packet's priority, which the kernel keeps on this
 * way and no sender can write.
 */
#include <linux/in.h>
#include "lib/maps.h"
#include "lib/pkt.h"

#define OVERLAY_TTL   64
#define OVERLAY_TAKES 50 /* bytes in front of an endpoint's packet, outer Ethernet aside */

static const __u8 pk_overlay_mac[] = PK_OVERLAY_MAC;
static const __u8 pk_gateway_mac[ETH_ALEN] = PK_GATEWAY_MAC;

/* Returns whether the device is the overlay's. */
static __always_inline bool overlay_is(const struct pk_node *n, __u32 ifindex)
{
	return n && ifindex && n->overlay.ifindex == ifindex;
}

/*
 * Returns whether the packet came through the overlay: by its device, or out of its tunnel already
 * at the uplink.
 */
static __always_inline bool overlay_came(const struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_UNWRAPPED || overlay_is(node_get(), skb->ifindex);
}

static __always_inline bool overlay_is_port(const struct pk_node *n, __u8 proto, __be16 port)
{
	return unlikely(proto == IPPROTO_UDP && n->overlay.port && port == n->overlay.port);
}

static __always_inline __u32 overlay_proof(const struct pk_node *n)
{
	return n->epoch[1] >> 32 | 1;
}

/* Returns what pools say of the block that holds the address; NULL: it is of none. */
static __always_inline const struct pk_pool *overlay_pool(const union pk_addr *addr)
{
	struct pk_pool_key key = { .prefixlen = 128 };

	key.addr = *addr;
	return bpf_map_lookup_elem(&pools, &key);
}

/* Sets the tunnel's key. The device writes the outer header by it. */
static __always_inline int overlay_key(struct __sk_buff *skb, const struct pk_node *n,
				       const union pk_addr *node_)
{
	struct bpf_tunnel_key key = { .tunnel_id = n->overlay.vni, .tunnel_ttl = OVERLAY_TTL };
	__u64 flags = BPF_F_TUNINFO_IPV6;

	if (pk_addr_is_v4(&n->overlay.local)) {
		key.remote_ipv4 = bpf_ntohl(node_->w[3]);
		key.local_ipv4 = bpf_ntohl(n->overlay.local.w[3]);
		flags = BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT;
	} else {
		__builtin_memcpy(key.remote_ipv6, node_, 16);
		__builtin_memcpy(key.local_ipv6, &n->overlay.local, 16);
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags);
}
