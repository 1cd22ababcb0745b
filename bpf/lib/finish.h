/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The end of every program counts, tells and acts. Nothing else does any of the three. */
#include <linux/pkt_cls.h>
#include "lib/event.h"
#include "lib/overlay.h"
#include "lib/scratch.h"
#include "lib/tap.h"
#include "lib/wrap.h"

static __always_inline void finish_count(__u32 slot, __u32 dir, __u32 reason, __u32 bytes)
{
	__u32 row = PK_COUNTER(slot, dir & 1, reason & (PK_REASON_SLOTS - 1));
	struct pk_counter *c = bpf_map_lookup_elem(&counters, &row);

	if (!c)
		return;
	c->packets++;
	c->bytes += bytes;
}

/*
 * Makes the stack take the frame, which is addressed to the gateway's MAC, the MAC of no interface.
 */
static __always_inline bool finish_for_host(struct __sk_buff *skb)
{
	return !skb->pkt_type || !bpf_skb_change_type(skb, 0);
}

/* Sends the packet by the neighbour that the flow's way names; the FIB isn't asked again. */
static __always_inline int finish_neigh(__u32 target)
{
	struct bpf_redir_neigh next = {};
	const struct pk_scratch *s = scratch_get();

	if (!s)
		return TC_ACT_SHOT;
	if (pk_addr_is_v4(&s->way.next_hop)) {
		next.nh_family = AF_INET;
		next.ipv4_nh = s->way.next_hop.w[3];
	} else {
		next.nh_family = AF_INET6;
		__builtin_memcpy(next.ipv6_nh, &s->way.next_hop, 16);
	}
	return bpf_redirect_neigh(target, &next, sizeof(next), 0);
}

/* Sends the packet through the overlay to the node that the flow's way names. */
static __always_inline int finish_tunnel(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	const struct pk_scratch *s = scratch_get();
	const struct pk_node *n = node_get();
	int to = pk_wrap_on(skb);

	if (to)
		return to > 0 ? finish_neigh(to) : TC_ACT_SHOT;
	if (!s || !n || overlay_key(skb, n, &s->way.next_hop))
		return TC_ACT_SHOT;
	return bpf_redirect(pkt->target, 0);
}

/*
 * Redirects to the peer's device. The packet type is reset first, for a process endpoint's stack:
 * redirect_peer of older kernels doesn't scrub the packet.
 */
static __always_inline int finish_peer(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	if (pkt->to_tap)
		return pk_tap_hand(skb, pkt->target);
	return finish_for_host(skb) ? bpf_redirect_peer(pkt->target, 0) : TC_ACT_SHOT;
}

static __always_inline int finish_act(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	switch (pkt->action) {
	case PK_ACT_PEER:
	case PK_ACT_TELL:
		return finish_peer(skb, pkt);
	case PK_ACT_BACK:
		return bpf_redirect(pkt->target, 0);
	case PK_ACT_STACK:
		return finish_for_host(skb) ? TC_ACT_OK : TC_ACT_SHOT;
	case PK_ACT_NEIGH:
		return finish_neigh(pkt->target);
	case PK_ACT_TUNNEL:
		return finish_tunnel(skb, pkt);
	case PK_ACT_PASS:
		return TC_ACT_OK;
	default:
		return TC_ACT_SHOT;
	}
}

static __always_inline int pk_finish(struct __sk_buff *skb, struct pk_pkt *pkt, int reason)
{
	__u32 len = skb->len;

	finish_count(pkt->count_slot, pkt->count_dir, reason, len);
	if (unlikely(reason || pkt->event))
		pk_event_send(skb, pkt, reason);
	if (unlikely(reason))
		return pkt->action == PK_ACT_TELL || pkt->action == PK_ACT_BACK
			       ? finish_act(skb, pkt)
			       : TC_ACT_SHOT;
	/* The receiver is counted before the redirect, which is silent where the target is gone. */
	if (pkt->action == PK_ACT_PEER && pkt->peer_slot)
		finish_count(pkt->peer_slot, PK_INGRESS, PK_REASON_OK, len);
	return finish_act(skb, pkt);
}
