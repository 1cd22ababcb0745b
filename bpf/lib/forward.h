/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The two forwarders of an allocation's netns. They need no map: eth0 has an even ifindex 2k, tap0
 * has 2k + 1. They decide nothing; the guard does.
 */
#include <linux/pkt_cls.h>
#include "lib/base.h"

static __always_inline int pk_forward(struct __sk_buff *skb, bool to_eth)
{
	__u32 own = skb->ifindex;

	/* A device whose ifindex has the wrong parity isn't one that this filter was made for. */
	if ((own & 1) != to_eth || own < 2)
		return TC_ACT_SHOT;
	return to_eth ? bpf_redirect_peer(own - 1, 0) : bpf_redirect(own + 1, 0);
}
