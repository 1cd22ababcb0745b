/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Finds the endpoint that a device is of. */
#include "lib/maps.h"
#include "lib/peer.h"

/*
 * Hints from ifindex to slot. A hint is checked against the endpoint of that slot, so an old one,
 * or that of another device with the same index here, costs a lookup in the table and nothing else.
 */
#define SLOT_HINTS 4096 /* a power of two */
static __u16 slot_hints[SLOT_HINTS];
_Static_assert(PK_CAPACITY_MAX <= 0xffff, "a hint has 16 bits");

static __always_inline const struct pk_endpoint *slot_at(__u32 ifindex, __u32 *slot)
{
	__u16 *hint = &slot_hints[ifindex & (SLOT_HINTS - 1)];
	const struct pk_endpoint *ep;
	const __u32 *found;

	*slot = READ_ONCE(*hint);
	ep = bpf_map_lookup_elem(&endpoints, slot);
	if (likely(ep && READ_ONCE(ep->host_ifindex) == ifindex))
		return ep;
	found = bpf_map_lookup_elem(&slots, &ifindex);
	*slot = found ? *found : 0;
	if (!*slot)
		return NULL;
	WRITE_ONCE(*hint, *slot);
	return bpf_map_lookup_elem(&endpoints, slot);
}

/*
 * Finds the hook's endpoint: slot, word, numbers. Returns NULL where the device is no endpoint's.
 */
static __always_inline const struct pk_endpoint *slot_endpoint(struct __sk_buff *skb,
							       struct pk_pkt *pkt)
{
	__u32 slot;
	const struct pk_endpoint *ep = slot_at(skb->ifindex, &slot);

	return ep ? peer_hook(pkt, ep, slot) : NULL;
}
