/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A host tap has the guard at both directions of one device. A packet that the guard delivers there
 * meets pk_to_endpoint, which must not judge it again: it would look like the node's own. So the
 * packet carries a proof in its control block: this load's epoch, which only root can read, and
 * which no packet of the node's stack has there by chance.
 *
 * Frames that wait in a tap are the kernel's memory, which is charged to nobody. Each queue that a
 * VMM attaches holds as many frames as the tap's queue length says, and the kernel lets a VMM
 * attach 256 queues. Where those could hold more together than one endpoint may, nothing is put
 * into any.
 */
#include <linux/pkt_cls.h>
#include "lib/sanity.h"

struct net_device {
	unsigned int real_num_tx_queues, tx_queue_len;
} __attribute__((preserve_access_index));

struct tap_rings {
	__u32 queues, frames; /* queues attached; frames that each holds */
};

static __always_inline int tap_read_probe(struct __sk_buff *skb, struct tap_rings *out)
{
	const struct sk_buff *k = (void *)skb;
	const struct net_device *dev;

	if (bpf_core_read(&dev, sizeof(dev), &k->dev) < 0 ||
	    bpf_core_read(&out->queues, sizeof(out->queues), &dev->real_num_tx_queues) < 0)
		return -1;
	return bpf_core_read(&out->frames, sizeof(out->frames), &dev->tx_queue_len);
}

static __always_inline int tap_read(struct __sk_buff *skb, struct tap_rings *out)
{
	const struct sk_buff *k;

	if (!pk_kfunc)
		return tap_read_probe(skb, out);
	k = bpf_cast_to_kern_ctx(skb);
	out->queues = k->dev->real_num_tx_queues;
	out->frames = k->dev->tx_queue_len;
	return 0;
}

/* Hands the packet to the tap at ifindex, in this namespace. */
static __always_inline int pk_tap_hand(struct __sk_buff *skb, __u32 ifindex)
{
	const struct pk_node *n = node_get();

	if (!n)
		return TC_ACT_SHOT;
	skb->cb[0] = n->epoch[0];
	skb->cb[1] = n->epoch[0] >> 32;
	return bpf_redirect(ifindex, 0);
}

/* Returns whether the guard has delivered the packet here. */
static __always_inline bool pk_tap_handed(struct __sk_buff *skb)
{
	const struct pk_node *n = node_get();

	return n && n->epoch[0] && skb->cb[0] == (__u32)n->epoch[0] &&
	       skb->cb[1] == (__u32)(n->epoch[0] >> 32);
}

/* Drops what would go to a tap with more queues than it may have; attached at the tap's egress. */
static __always_inline int pk_tap_bound(struct __sk_buff *skb)
{
	struct tap_rings r = {};

	if (tap_read(skb, &r) < 0 || (__u64)r.queues * r.frames > PK_TAP_FRAMES)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}
