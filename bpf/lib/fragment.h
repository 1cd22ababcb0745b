/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Datagrams in pieces. The first fragment is a packet with an L4 header, and is judged as one. Once
 * it has passed, what it said is kept, and the later ones go as packets of its flow. Nothing is put
 * together and nothing waits: a later one that comes before the first is denied.
 *
 * Each endpoint has an area of its own, and so have the uplinks, so that nobody's fragments push
 * out another's.
 */
#include "lib/flow.h"

#define FRAGMENT_SECONDS                                                                           \
	15 /* seconds that a first fragment is remembered: half of what a receiver waits */

/* The flags of a first fragment that hold for the later ones. */
#define FRAGMENT_FLAGS (PK_PKT_PORTS | PK_PKT_ECHO_REQUEST | PK_PKT_ECHO_REPLY)

/* Reads the datagram's id, and where in it the fragment begins. */
static __always_inline int fragment_read(struct __sk_buff *skb, struct pk_scratch *s, __u32 *offset)
{
	const struct pk_pkt *pkt = &s->pkt;
	__be16 h[4] = {};

	if (pkt->flags & PK_PKT_IPV4) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, id), h, 4) < 0)
			return -1;
		s->fragment.id = h[0];
		*offset = (bpf_ntohs(h[1]) & PK_IP_OFFSET) * 8;
		return 0;
	}
	if (bpf_skb_load_bytes(skb, pkt->l4_off - 8, h, 8) < 0)
		return -1;
	s->fragment.id = (__u32)h[3] << 16 | h[2];
	*offset = bpf_ntohs(h[1]) & PK_IP6_OFFSET;
	return 0;
}

/*
 * Returns the record of a datagram in the area of owner (0: the uplinks'); nobody can foretell
 * which one it is.
 */
static __always_inline struct pk_fragment_place *fragment_at(const struct pk_fragment *f,
							     __u32 owner)
{
	const struct pk_node *n = node_get();
	__u64 hash;
	__u32 at;

	if (!n)
		return NULL;
	hash = (n->epoch[1] ^ f->id) * 0xff51afd7ed558ccd;
	hash = (hash ^ hash >> 32 ^ f->src.d[0] ^ f->dst.d[1]) * 0xc4ceb9fe1a85ec53;
	hash = (hash ^ hash >> 32 ^ f->src.d[1] ^ f->dst.d[0]) * 0xff51afd7ed558ccd;
	hash = hash >> 32;
	at = owner ? PK_FRAGMENTS_UPLINK + owner * PK_FRAGMENTS + hash % PK_FRAGMENTS
		   : hash % PK_FRAGMENTS_UPLINK;
	return bpf_map_lookup_elem(&fragments, &at);
}

/* IPv6 tells datagrams apart by addresses and id, IPv4 by the protocol as well. */
static __always_inline bool fragment_same(const struct pk_fragment *a, const struct pk_fragment *b)
{
	return a->id == b->id && pk_addr_same(&a->src, &b->src) && pk_addr_same(&a->dst, &b->dst) &&
	       (!a->ipv4 || a->proto == b->proto);
}

/*
 * Fills in the packet's L4 as its datagram's first fragment said it, for fragments from that one's
 * end on and for a limited time.
 */
static __always_inline int fragment_recall(struct pk_scratch *s, __u32 owner, __u32 offset)
{
	struct pk_fragment_place *at = fragment_at(&s->fragment, owner);
	struct pk_fragment first;
	struct pk_pkt *pkt = &s->pkt;

	if (!at)
		return PK_REASON_FRAGMENT;
	bpf_spin_lock(&at->lock);
	first = at->first;
	bpf_spin_unlock(&at->lock);
	if (!first.proto || !fragment_same(&first, &s->fragment) || offset < first.end ||
	    flow_now() - first.seen > FRAGMENT_SECONDS * pk_hz)
		return PK_REASON_FRAGMENT;
	pkt->sport = first.sport;
	pkt->dport = first.dport;
	pkt->judged_port = first.judged_port;
	pkt->proto = first.proto;
	pkt->flags |= first.flags & FRAGMENT_FLAGS;
	pkt->wire_id = first.wire_id;
	return PK_REASON_OK;
}

/*
 * Forgets the record of an earlier datagram with the same id: no fragment of the new one goes by
 * it.
 */
static __always_inline void fragment_forget(const struct pk_fragment *f, __u32 owner)
{
	struct pk_fragment_place *at = fragment_at(f, owner);

	if (!at)
		return;
	bpf_spin_lock(&at->lock);
	if (fragment_same(&at->first, f))
		at->first.proto = 0;
	bpf_spin_unlock(&at->lock);
}

/*
 * Notes what is to be kept of a first fragment, before its translation, or takes what was kept for
 * a later one. A fragment with a partial checksum or segments is refused, and so is one of a
 * message that has no flow.
 */
static __always_inline int fragment_begin(struct __sk_buff *skb, struct pk_scratch *s, __u32 owner)
{
	struct pk_fragment *f = &s->fragment;
	const struct pk_pkt *pkt = &s->pkt;
	__u32 offset;

	if (pkt->flags & (PK_PKT_PARTIAL | PK_PKT_ICMP_ERROR | PK_PKT_ICMP_OTHER) ||
	    skb->gso_size || fragment_read(skb, s, &offset) < 0)
		return PK_REASON_FRAGMENT;
	f->src = pkt->src;
	f->dst = pkt->dst;
	f->proto = pkt->proto;
	f->ipv4 = !!(pkt->flags & PK_PKT_IPV4);
	s->fragment_owner = owner;
	if (pkt->flags & PK_PKT_LATER)
		return fragment_recall(s, owner, offset);
	fragment_forget(f, owner);
	f->sport = pkt->sport;
	f->dport = pkt->dport;
	f->judged_port = pkt->judged_port;
	f->flags = pkt->flags;
	f->end = pkt->l3_len - (pkt->l4_off - ETH_HLEN);
	return PK_REASON_OK;
}

/* Keeps the record of a first fragment that has passed, so that the later ones may. */
static __always_inline void fragment_keep(struct pk_scratch *s)
{
	struct pk_fragment_place *at = fragment_at(&s->fragment, s->fragment_owner);

	if (!at)
		return;
	s->fragment.seen = flow_now();
	s->fragment.wire_id = s->pkt.wire_id;
	bpf_spin_lock(&at->lock);
	at->first = s->fragment;
	bpf_spin_unlock(&at->lock);
}
