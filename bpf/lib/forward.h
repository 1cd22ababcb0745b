/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The two forwarders of an alloc's netns. They need no map: eth0 has an even ifindex 2k, tap0 has
 * 2k + 1. What the guard decides isn't theirs to know.
 */
#include "lib/sanity.h"

/* In the segmented path: would the kernel make more packets of it than an honest frame is? */
static __always_inline bool forward_small(struct __sk_buff *skb)
{
	__u32 gso = skb->gso_size;
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	__u32 at = ETH_HLEN +
		   (v4 ? offsetof(struct iphdr, protocol) : offsetof(struct ipv6hdr, nexthdr));
	__u8 proto;

	if (likely(!gso))
		return false;
	if (bpf_skb_load_bytes(skb, at, &proto, 1) < 0)
		return true;
	if (proto == IPPROTO_TCP)
		return gso < (v4 ? PK_GSO_MIN_TCP4 : PK_GSO_MIN_TCP6);
	return skb->len > gso * PK_GSO_MAX_UDP;
}

/* What the guard is to call a frame that must not reach the kernel's segmentation; 0: none. */
static __always_inline __u16 forward_refused(struct __sk_buff *skb, __u32 eth)
{
	__u32 mtu = 0;

	if (forward_small(skb))
		return PK_ETH_P_CUT_GSO;
	return bpf_check_mtu(skb, eth, &mtu, 0, BPF_MTU_CHK_SEGS) ? PK_ETH_P_CUT_LENGTH : 0;
}

/*
 * Such a frame goes on as its first bytes, one packet that the guard denies and counts by its mark.
 * A checksum place beyond them is refused by the helper: dropped here.
 */
static __always_inline bool forward_cut(struct __sk_buff *skb, __u16 refused)
{
	__be16 mark = bpf_htons(refused);
	__u32 len = skb->len < PK_MTU_MIN ? skb->len : PK_MTU_MIN;

	return !bpf_skb_change_tail(skb, len, 0) &&
	       !bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &mark, 2, 0);
}

static __always_inline int pk_forward(struct __sk_buff *skb, bool to_eth, bool peer)
{
	__u32 own = skb->ifindex;
	__u16 refused;

	/* An ifindex of the wrong parity isn't a device that this filter was made for. */
	if ((own & 1) != to_eth || own < 2)
		return 2; /* TC_ACT_SHOT */
	if (!to_eth)
		return bpf_redirect(own + 1, 0);
	if (peer)
		return bpf_redirect_peer(own - 1, 0);
	refused = forward_refused(skb, own - 1);
	if (unlikely(refused) && !forward_cut(skb, refused))
		return 2;
	return bpf_redirect(own - 1, 0);
}
