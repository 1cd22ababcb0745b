/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Published ports: an address and a port of the node that stand for an endpoint's. Policy sees the
 * endpoint; the flow remembers what its initiator sees.
 */
#include "lib/maps.h"
#include "lib/scratch.h"

static __always_inline bool publish_is_uplinks(const struct pk_node *n, const union pk_addr *addr)
{
	for (int i = 0; i < PK_UPLINKS; i++) {
		const struct pk_uplink *up = &n->uplink[i];

		if (up->ifindex && (pk_addr_same(addr, &up->ipv4) || pk_addr_same(addr, &up->ipv6)))
			return true;
	}
	return false;
}

/* Returns whether addr, which the FIB doesn't forward, surely is one of the node's own. */
static __always_inline bool publish_is_nodes(const union pk_addr *addr)
{
	const struct pk_node *n = node_get();

	if (!n)
		return false;
	if (n->flags & (pk_addr_is_v4(addr) ? PK_NODE_DEFAULT4 : PK_NODE_DEFAULT6))
		return true;
	return publish_is_uplinks(n, addr);
}

/* Returns the mapping on every address, or the marker that there are some on single ones. */
static __always_inline const struct pk_published *publish_any(const struct pk_pkt *pkt)
{
	struct pk_published_key key = { .proto = pkt->proto, .port = pkt->dport };

	return bpf_map_lookup_elem(&published, &key);
}

/* Returns whether the endpoint has an address of the packet's family, as a mapping to it needs. */
static __always_inline bool publish_reaches(const struct pk_pkt *pkt, __u32 slot)
{
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	return ep && !pk_addr_zero(pkt->flags & PK_PKT_IPV4 ? &ep->ipv4 : &ep->ipv6);
}

/* Returns the mapping that holds for pkt's destination, a local address of the node. */
static __always_inline const struct pk_published *publish_find(const struct pk_pkt *pkt)
{
	struct pk_published_key key = { .proto = pkt->proto, .port = pkt->dport };
	const struct pk_published *any = publish_any(pkt);

	if (!any)
		return NULL;
	if (any->slot) {
		if (!publish_is_nodes(&pkt->dst))
			return NULL;
	} else {
		key.addr = pkt->dst;
		any = bpf_map_lookup_elem(&published, &key);
	}
	return any && any->slot && publish_reaches(pkt, any->slot) ? any : NULL;
}

/*
 * Translates the flow to the endpoint of the mapping; returns false where that has no such address.
 */
static __always_inline bool publish_translate(struct pk_scratch *s, const struct pk_published *to)
{
	__u32 slot = to->slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);

	if (!ep)
		return false;
	s->translated = s->pkt.flags & PK_PKT_IPV4 ? ep->ipv4 : ep->ipv6;
	s->translated_port = to->port;
	s->translation = PK_FLOW_DESTINATION;
	return !pk_addr_zero(&s->translated);
}

/* Returns whether an endpoint's packet to the node's own address is for a published port. */
static __always_inline bool publish_resolve(struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	const struct pk_published *to;

	if (!(pkt->flags & PK_PKT_PORTS))
		return false;
	to = publish_find(pkt);
	if (!to || !publish_translate(s, to))
		return false;
	pkt->peer_slot = to->slot;
	pkt->party = PK_PARTY_ENDPOINT;
	if (to->slot != pkt->slot)
		return true;
	pkt->party = PK_PARTY_SELF;
	s->translation |= PK_FLOW_HAIRPIN;
	return true;
}
