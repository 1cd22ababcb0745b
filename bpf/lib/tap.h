/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A host tap has the guard at both directions of one device, so what the guard delivers there meets
 * pk_to_endpoint behind it, which must not judge it again: it would be the node's own by then. The
 * packet carries a proof in its control block: this load's epoch, which only root can read, and
 * which no packet of the node's stack has there by chance. A packet that carries it ends in a tap.
 *
 * What waits in a tap is the kernel's memory, and nobody pays for it. Each queue that a VMM attaches
 * holds as many frames as the tap's queue length says, and the kernel lets it attach 256. Where they
 * could hold more together than one endpoint may, nothing is put into any.
 */
#include <linux/pkt_cls.h>
#include "lib/sanity.h"

struct net_device {
	unsigned int real_num_tx_queues, tx_queue_len;
} __attribute__((preserve_access_index));

struct tap_rings {
	__u32 queues, frames; /* attached; that each holds */
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

/* To the tap at ifindex, in this namespace. */
static __always_inline int pk_tap_hand(struct __sk_buff *skb, __u32 ifindex)
{
	const struct pk_node *n = node_get();

	if (!n)
		return TC_ACT_SHOT;
	skb->cb[0] = n->epoch[0];
	skb->cb[1] = n->epoch[0] >> 32;
	return bpf_redirect(ifindex, 0);
}

/* Has the guard delivered it here? */
static __always_inline bool pk_tap_handed(struct __sk_buff *skb)
{
	const struct pk_node *n = node_get();

	return n && n->epoch[0] && skb->cb[0] == (__u32)n->epoch[0] &&
	       skb->cb[1] == (__u32)(n->epoch[0] >> 32);
}

/* At the egress of a tap that may have several queues. */
static __always_inline int pk_tap_bound(struct __sk_buff *skb)
{
	struct tap_rings r = {};

	if (tap_read(skb, &r) < 0 || (__u64)r.queues * r.frames > PK_TAP_FRAMES)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}
