/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Judges what comes in by an uplink. Ours is an answer to a masqueraded flow, a packet for a
 * published port, and one for an endpoint's address. Everything else goes on to the host as it
 * came, most of it after a look at its port's bit, the rest after one lookup in a hash (two for a
 * port of the masquerade range that is nobody's). A flow is masqueraded behind whatever address of
 * the node's the kernel chose, so its answer is known by its tuple, not by the address.
 */
#include "lib/guard.h"
#include "lib/wrap.h"

/* The few fields that tell whether a packet can be ours. */
struct uplink_glance {
	union pk_addr dst;
	__be16 dport; /* 0: the protocol has no ports */
	__u8 proto;
	bool fragment; /* the record of its first one, if any, says whose it is */
};

static __always_inline bool uplink_glance_ports(const struct pk_cursor *c, __u32 off,
						struct uplink_glance *g)
{
	const __be16 *ports;

	if (g->fragment || (g->proto != IPPROTO_TCP && g->proto != IPPROTO_UDP))
		return true;
	ports = pk_take(c, off, 4);
	if (ports)
		g->dport = ports[1];
	return ports;
}

/* The header of an IPv6 fragment, which stands where a protocol's own would. */
static __always_inline bool uplink_glance_fragment(const struct pk_cursor *c, __u32 off,
						   struct uplink_glance *g)
{
	const __u8 *h = pk_take(c, off, 8);

	if (!h)
		return false;
	g->proto = h[0];
	g->fragment = ((const __be16 *)h)[1] & bpf_htons(PK_IP6_OFFSET | PK_IP6_MORE);
	return uplink_glance_ports(c, off + 8, g);
}

/*
 * Reads those fields; returns false where nothing of ours looks so. A packet with options is left
 * to the parser.
 */
static __always_inline bool uplink_glance(const struct pk_cursor *c, struct uplink_glance *g)
{
	const struct ethhdr *eth = pk_take(c, 0, sizeof(*eth));
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;

	if (!eth)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		ip = pk_take(c, ETH_HLEN, sizeof(*ip));
		if (!ip || ip->ihl != 5)
			return false;
		g->fragment = ip->frag_off & bpf_htons(PK_IP_FRAGMENT);
		parse_mapped(&g->dst, ip->daddr);
		g->proto = ip->protocol;
		return uplink_glance_ports(c, ETH_HLEN + sizeof(*ip), g);
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6))
		return false;
	ip6 = pk_take(c, ETH_HLEN, sizeof(*ip6));
	if (!ip6)
		return false;
	__builtin_memcpy(&g->dst, &ip6->daddr, 16);
	g->proto = ip6->nexthdr;
	if (g->proto == IPPROTO_FRAGMENT)
		return uplink_glance_fragment(c, ETH_HLEN + sizeof(*ip6), g);
	return uplink_glance_ports(c, ETH_HLEN + sizeof(*ip6), g);
}

static __always_inline bool uplink_in_blocks(const struct pk_node *n, const union pk_addr *a)
{
	for (int i = 0; i < PK_BLOCKS; i++) {
		const struct pk_block *b = &n->block[i];

		if (b->mask.d[0] && !((a->d[0] ^ b->addr.d[0]) & b->mask.d[0]) &&
		    !((a->d[1] ^ b->addr.d[1]) & b->mask.d[1]))
			return true;
	}
	return n->flags & PK_NODE_MORE_BLOCKS && bpf_map_lookup_elem(&by_address, a);
}

static __always_inline bool uplink_in_range(const struct pk_node *n, __be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= n->masquerade_low && p <= n->masquerade_high;
}

static __always_inline bool uplink_is_icmp(const struct uplink_glance *g)
{
	return g->proto == IPPROTO_ICMP || g->proto == IPPROTO_ICMPV6;
}

/*
 * Returns whether somebody publishes the port; uplink_slot finds out for which protocol and
 * address.
 */
static __always_inline bool uplink_is_published(const struct uplink_glance *g)
{
	__u16 port = bpf_ntohs(g->dport);
	__u32 at = PK_PORT_WORD(port);
	const __u64 *ports = bpf_map_lookup_elem(&published_ports, &at);

	return ports && *ports & PK_PORT_BIT(port);
}

/* A packet at an uplink is one of these. */
enum uplink_kind {
	UPLINK_HOSTS,	  /* none of ours */
	UPLINK_ENDPOINTS, /* for an address of this node's blocks */
	UPLINK_ANSWER,	  /* in the masquerade range: ours where there is a flow */
	UPLINK_PUBLISHED, /* a port that somebody publishes */
	UPLINK_FRAGMENT,  /* a fragment behind the first, of any of these */
	UPLINK_TUNNEL,	  /* of the overlay: believed if a node sent it */
};

static __always_inline enum uplink_kind uplink_kind(const struct pk_node *n,
						    const struct uplink_glance *g)
{
	if (uplink_in_blocks(n, &g->dst))
		return UPLINK_ENDPOINTS;
	if (g->fragment)
		return UPLINK_FRAGMENT;
	if (overlay_is_port(n, g->proto, g->dport))
		return pk_addr_same(&g->dst, &n->overlay.local) ? UPLINK_TUNNEL : UPLINK_HOSTS;
	if (uplink_is_icmp(g) || (g->dport && uplink_in_range(n, g->dport)))
		return UPLINK_ANSWER;
	return uplink_is_published(g) ? UPLINK_PUBLISHED : UPLINK_HOSTS;
}

/* Makes the endpoint that the packet is for the hook's. */
static __always_inline const struct pk_endpoint *uplink_endpoint(struct pk_pkt *pkt, __u32 slot)
{
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	if (!ep)
		return NULL;
	pkt->party = PK_PARTY_WORLD;
	return peer_hook(pkt, ep, slot);
}

/*
 * Returns the slot of the flow that the packet answers; 0 = none. A SYN and an echo request answer
 * nothing.
 */
static __always_inline __u32 uplink_flow_slot(struct pk_pkt *pkt)
{
	struct pk_flow_key key;
	struct pk_flow *flow;

	if (pkt->flags & PK_PKT_ECHO_REQUEST || flow_is_opening(pkt))
		return 0;
	flow_key(&key, pkt, false);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || flow->kind != PK_FLOW_ALIAS)
		return 0;
	flow = flow_of_alias(flow, &key);
	return flow ? READ_ONCE(flow->slot[0]) : 0;
}

/*
 * Returns whether the destination is the node's own. The FIB is asked from the endpoint's device,
 * where forwarding is on: from another device its helper says nothing.
 */
static __noinline bool uplink_is_nodes(struct __sk_buff *skb, const struct pk_pkt *pkt, __u32 slot)
{
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);
	struct peer_ask ask = { .src = pkt->src, .dst = pkt->dst };
	const struct pk_node *n = node_get();
	struct pk_scratch *s = scratch_get();

	if (!ep || !n || !s)
		return false;
	if (publish_is_uplinks(n, &pkt->dst))
		return true;
	ask.ifindex = ep->host_ifindex;
	peer_fib_ask(&s->fib, &ask);
	return bpf_fib_lookup(skb, &s->fib, sizeof(s->fib), 0) == BPF_FIB_LKUP_RET_NOT_FWDED;
}

static __always_inline __u32 uplink_slot(struct __sk_buff *skb, struct pk_pkt *pkt,
					 enum uplink_kind kind)
{
	const struct pk_published *to;
	const struct pk_local *local;
	__u32 slot = 0;

	if (kind == UPLINK_ENDPOINTS) {
		local = bpf_map_lookup_elem(&by_address, &pkt->dst);
		return local ? local->slot : 0;
	}
	if (kind == UPLINK_ANSWER)
		slot = uplink_flow_slot(pkt);
	if (slot || !(pkt->flags & PK_PKT_PORTS))
		return slot;
	to = publish_find(pkt);
	return to && uplink_is_nodes(skb, pkt, to->slot) ? to->slot : 0;
}

/*
 * Delivers what has proved to be ours. A tag that says a priority ends here, and no earlier: the
 * host may want it on a packet that is the host's after all.
 */
static __always_inline int uplink_hand(struct __sk_buff *skb, struct pk_pkt *pkt,
				       const struct pk_way *way)
{
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return PK_REASON_VLAN;
	return deliver_endpoint(skb, pkt, pkt->slot, way);
}

static __always_inline int uplink_deliver(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	const struct pk_scratch *s = pkt->flags & PK_PKT_WAY ? scratch_get() : NULL;

	return uplink_hand(skb, pkt, s ? &s->way : NULL);
}

/* The slow path of guard_up. */
static __always_inline int guard_miss_up(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	__u32 slot = pkt->slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);
	const struct pk_published *to;
	int reason;

	guard_begin(s);
	if (!ep)
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (!deliver_is_for(pkt, ep)) {
		to = publish_find(pkt);
		if (to && to->slot == slot)
			publish_translate(s, to);
	}
	reason = peer_resolve_source(skb, s, ep);
	if (!reason)
		reason = pk_miss_decide(skb, PK_TAIL_MISS_UP);
	if (reason || pkt->tail)
		return reason;
	guard_mark_way(s);
	return guard_end(s, uplink_deliver(skb, pkt));
}

/*
 * Returns whether an error came as the packets that it is about go: through the overlay, from the
 * node that they lead to, or not through it. There is no router in it that speaks of others.
 */
static __always_inline bool uplink_error_came(const struct __sk_buff *skb,
					      const struct pk_scratch *s)
{
	bool overlay = overlay_came(skb, &s->pkt);

	if (overlay != overlay_is(node_get(), s->way.target))
		return false;
	return !overlay || pk_addr_same(&s->way.next_hop, &s->tunnel);
}

/* Judges an ICMP error that comes in by an uplink, or through the overlay. */
static __always_inline int guard_error_up(struct __sk_buff *skb, struct pk_scratch *s)
{
	int reason = pk_guard_error(skb);

	if (!reason && !uplink_error_came(skb, s))
		reason = PK_REASON_SPOOFED_REMOTE;
	return reason ? reason : uplink_hand(skb, &s->pkt, NULL);
}

/* Reads the source of a packet that the glance was on. */
static __always_inline bool uplink_source(struct __sk_buff *skb, union pk_addr *src)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	const struct ipv6hdr *ip6 = pk_take(&c, ETH_HLEN, sizeof(*ip6));
	const struct iphdr *ip = pk_take(&c, ETH_HLEN, sizeof(*ip));

	if (!ip)
		return false;
	if (ip->version == 4)
		parse_mapped(src, ip->saddr);
	else if (ip6)
		__builtin_memcpy(src, &ip6->saddr, 16);
	return ip->version == 4 || ip6;
}

/*
 * Returns whether a packet of the overlay came from a node, by the device and from the neighbour
 * that lead there. The FIB is asked from the overlay's own device, where forwarding is on.
 */
static __noinline int uplink_from_node(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	const struct pk_node *n = node_get();
	struct peer_ask ask = {};

	if (!s || !n || !uplink_source(skb, &ask.dst) || !bpf_map_lookup_elem(&tunnels, &ask.dst))
		return PK_REASON_OVERLAY_FOREIGN;
	ask.src = n->overlay.local;
	ask.ifindex = n->overlay.ifindex;
	return peer_came_by_its_way(skb, s, &ask) ? PK_REASON_OK : PK_REASON_OVERLAY_FOREIGN;
}

/* What stands in a reason's place for a packet that is the host's after all. */
#define UPLINK_NOT_OURS (-1)
#define UPLINK_VLAN_ID	0x0fff /* The bits of a tag that are a VLAN's id. */

/*
 * Takes a packet of a node's out of its tunnel, or lets the stack do it, with the proof that it is
 * one.
 */
static __always_inline int guard_tunnel(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	const struct pk_node *n = node_get();
	int reason = uplink_from_node(skb);

	if (!reason && wrap_off(skb)) {
		pkt->flags |= PK_PKT_UNWRAPPED;
		return PK_REASON_OK;
	}
	if (!reason && n)
		skb->priority = overlay_proof(n);
	return reason ? reason : UPLINK_NOT_OURS;
}

/* Finds whose the packet is, and what its flow says. */
static __always_inline int uplink_flow(struct __sk_buff *skb, struct pk_pkt *pkt,
				       enum uplink_kind kind)
{
	const struct pk_endpoint *ep = uplink_endpoint(pkt, uplink_slot(skb, pkt, kind));
	int reason;

	if (!ep)
		return kind == UPLINK_ENDPOINTS ? PK_REASON_UNKNOWN_ENDPOINT : UPLINK_NOT_OURS;
	if (!pkt->word)
		return PK_REASON_ENDPOINT_CLOSED;
	sanity_partial(skb, pkt);
	reason = guard_flow(skb, pkt, PK_TAIL_MISS_UP);
	return reason || pkt->tail ? reason : uplink_deliver(skb, pkt);
}

/* A tag without a VLAN's id says a priority alone: the packet is the device's, as without it. */
static __always_inline bool uplink_is_vlans(const struct __sk_buff *skb)
{
	return skb->vlan_present && skb->vlan_tci & UPLINK_VLAN_ID;
}

/* Tells at a glance what the packet may be: most are the host's, and pay for no more than this. */
static __always_inline enum uplink_kind guard_up_kind(struct __sk_buff *skb)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	const struct pk_node *n = node_get();
	struct uplink_glance g = {};

	if (!n || uplink_is_vlans(skb) || !uplink_glance(&c, &g))
		return UPLINK_HOSTS;
	return uplink_kind(n, &g);
}

/* What is malformed, or for a group, is the host's, unless it came out of the overlay. */
static __always_inline int guard_up_odd(const struct __sk_buff *skb, const struct pk_pkt *pkt,
					enum uplink_kind kind, int reason)
{
	if (kind == UPLINK_ENDPOINTS && reason)
		return reason;
	return overlay_came(skb, pkt) ? PK_REASON_MULTICAST : UPLINK_NOT_OURS;
}

static __always_inline int guard_up(struct __sk_buff *skb, struct pk_pkt *pkt,
				    enum uplink_kind kind)
{
	int reason;

	reason = pk_guard_bytes(skb, pkt);
	if (reason || pkt->flags & PK_PKT_GROUP)
		return guard_up_odd(skb, pkt, kind, reason);
	if (pkt->flags & (PK_PKT_ICMP_ERROR | PK_PKT_FRAGMENT)) {
		pkt->tail = pkt->flags & PK_PKT_FRAGMENT ? PK_TAIL_FRAGMENT_UP : PK_TAIL_ERROR_UP;
		return PK_REASON_OK;
	}
	return uplink_flow(skb, pkt, kind);
}

/* Finds whose a later fragment is by the record of the datagram's first one. */
static __always_inline int guard_fragment_up(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct uplink_glance g = { .dst = s->pkt.dst };
	const struct pk_node *n = node_get();
	enum uplink_kind kind;
	int reason;

	s->pkt.tail = PK_TAIL_NONE;
	/* Without the settings nobody knows which ports are the node's own. */
	if (!n)
		return PK_REASON_UNKNOWN_ENDPOINT;
	sanity_partial(skb, &s->pkt);
	reason = fragment_begin(skb, s, 0);
	g.fragment = reason;
	g.proto = s->pkt.proto;
	g.dport = s->pkt.flags & PK_PKT_PORTS ? s->pkt.dport : 0;
	kind = overlay_came(skb, &s->pkt) ? UPLINK_ENDPOINTS : uplink_kind(n, &g);
	if (kind == UPLINK_HOSTS || kind == UPLINK_FRAGMENT || kind == UPLINK_TUNNEL)
		return UPLINK_NOT_OURS;
	return reason ? reason : uplink_flow(skb, &s->pkt, kind);
}
