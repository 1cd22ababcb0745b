/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Judges what comes out of the overlay. Everything that arrives there is for an endpoint of this
 * node, or is denied: nothing of it goes on to the stack.
 */
#include "lib/uplink.h"

/*
 * Returns whether the packet came into the overlay from a node; s->tunnel is then that node's end.
 * Nothing inside has been looked at yet.
 */
static __always_inline int fabric_open(struct __sk_buff *skb, struct pk_scratch *s)
{
	const struct pk_node *n = node_get();
	struct bpf_tunnel_key key = {};
	bool v4;

	if (!overlay_is(n, skb->ifindex) || skb->priority != overlay_proof(n))
		return PK_REASON_OVERLAY_FOREIGN;
	skb->priority = 0;
	v4 = pk_addr_is_v4(&n->overlay.local);
	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), v4 ? 0 : BPF_F_TUNINFO_IPV6))
		return PK_REASON_OVERLAY_FOREIGN;
	if (key.tunnel_id != n->overlay.vni)
		return PK_REASON_OVERLAY_VNI;
	if (v4)
		parse_mapped(&s->tunnel, bpf_htonl(key.remote_ipv4));
	else
		__builtin_memcpy(&s->tunnel, key.remote_ipv6, 16);
	return PK_REASON_OK;
}

static __always_inline int guard_fabric(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct pk_scratch *s = scratch_get();
	int reason = s ? fabric_open(skb, s) : PK_REASON_TAIL_CALL_MISSING;

	if (reason)
		return reason;
	if (skb->vlan_present)
		return PK_REASON_VLAN;
	return guard_up(skb, pkt, UPLINK_ENDPOINTS);
}

/*
 * An ICMP error says by its source who speaks, and that is another node's endpoint. This is a
 * function that is verified on its own, as pk_guard_bytes is.
 */
__noinline int pk_fabric_source(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	const struct pk_local *local = s ? bpf_map_lookup_elem(&by_address, &s->pkt.dst) : NULL;
	__u32 slot = local ? local->slot : 0;
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	return s && ep ? peer_resolve_source(skb, s, ep) : PK_REASON_UNKNOWN_ENDPOINT;
}
