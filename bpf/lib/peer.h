/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Finds who is at an address, seen from an endpoint. Only a flow's first packet asks. */
#include "lib/maps.h"
#include "lib/parse.h"
#include "lib/flow.h"
#include "lib/overlay.h"
#include "lib/publish.h"
#include "lib/scratch.h"
#include "lib/spoof.h"

/* A question to the FIB. */
struct peer_ask {
	union pk_addr src, dst;
	__u32 ifindex; /* the device that the packet came in by */
};

/*
 * Returns whether no policy can open the address: unspecified, loopback, other spellings of IPv4,
 * link-local.
 */
static __always_inline bool peer_never_addr(const struct pk_pkt *pkt, const union pk_addr *a)
{
	if (pkt->flags & PK_PKT_IPV4)
		return a->b[12] == 0 || a->b[12] == 127;
	/* ::/8 is unspecified, loopback, v4-mapped, v4-compatible. */
	return a->b[0] == 0 || spoof_link_local(a);
}

static __always_inline bool peer_never(const struct pk_pkt *pkt)
{
	return peer_never_addr(pkt, &pkt->dst);
}

/*
 * Returns whether nobody can have the address, so that no answer could reach it. Groups are 224/4,
 * all above, and ff00::/8.
 */
static __always_inline bool peer_is_martian(const struct pk_pkt *pkt)
{
	const union pk_addr *a = &pkt->src;

	return peer_never_addr(pkt, a) ||
	       (pkt->flags & PK_PKT_IPV4 ? a->b[12] >= 224 : a->b[0] == 0xff);
}

static __always_inline void peer_fib_ask(struct bpf_fib_lookup *fib, const struct peer_ask *ask)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = ask->ifindex;
	fib->tot_len = 1; /* asks for the route's MTU */
	if (pk_addr_is_v4(&ask->dst)) {
		fib->family = AF_INET;
		fib->ipv4_src = ask->src.w[3];
		fib->ipv4_dst = ask->dst.w[3];
	} else {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, &ask->src, 16);
		__builtin_memcpy(fib->ipv6_dst, &ask->dst, 16);
	}
}

/* Returns the neighbour that the FIB named. */
static __always_inline void peer_fib_next(const struct bpf_fib_lookup *fib, union pk_addr *next)
{
	if (fib->family == AF_INET)
		parse_mapped(next, fib->ipv4_dst);
	else
		__builtin_memcpy(next, fib->ipv6_dst, 16);
}

/* Copies what the FIB said into s->way and s->source. */
static __always_inline void peer_fib_keep(const struct bpf_fib_lookup *fib, struct pk_scratch *s,
					  bool v4, bool source)
{
	s->way.target = fib->ifindex;
	s->way.mtu = fib->mtu_result;
	peer_fib_next(fib, &s->way.next_hop);
	if (!source || (v4 && !fib->ipv4_src)) /* which would be ::ffff:0.0.0.0 */
		s->source = (union pk_addr){};
	else if (v4)
		parse_mapped(&s->source, fib->ipv4_src);
	else
		__builtin_memcpy(&s->source, fib->ipv6_src, 16);
}

static __always_inline bool peer_is_way(int route)
{
	return route == BPF_FIB_LKUP_RET_SUCCESS || route == BPF_FIB_LKUP_RET_NO_NEIGH;
}

/*
 * The device says how long a packet may be; a router on the way to that node may have told this one
 * that less fits. The kernel keeps that for its routes, where the FIB knows it.
 */
static __always_inline void peer_tunnel_fits(struct __sk_buff *skb, struct pk_scratch *s,
					     const struct pk_node *n)
{
	struct peer_ask ask = { .src = n->overlay.local,
				.dst = s->way.next_hop,
				.ifindex = n->overlay.ifindex };
	__u32 takes = OVERLAY_TAKES, left;

	if (!pk_addr_is_v4(&ask.dst))
		takes += sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	peer_fib_ask(&s->fib, &ask);
	bpf_fib_lookup(skb, &s->fib, sizeof(s->fib), 0);
	/* Where the FIB knows no way it is as asked: what is left is beyond all then. */
	left = s->fib.mtu_result - takes;
	if (left < s->way.mtu)
		s->way.mtu = left;
}

/*
 * A way through the overlay leads to the node that the block is believed to be of. The FIB knows
 * the device alone. Where there is an overlay, no other way leads to another node's block: the
 * network in between is nobody's, and the route may be gone with the device.
 */
static __always_inline int peer_tunnel(struct __sk_buff *skb, struct pk_scratch *s,
				       const union pk_addr *dst, int route)
{
	const struct pk_node *n = node_get();
	const struct pk_pool *pool;
	bool tunnel;

	if (!peer_is_way(route) || likely(!n || !n->overlay.port))
		return route;
	tunnel = overlay_is(n, s->way.target);
	pool = overlay_pool(dst);
	if (!tunnel && (!pool || pool->whose != PK_POOL_OTHERS))
		return route;
	if (!tunnel || !pool || pk_addr_zero(&pool->node)) {
		s->way.target = 0;
		return BPF_FIB_LKUP_RET_UNREACHABLE;
	}
	s->way.next_hop = pool->node;
	peer_tunnel_fits(skb, s, n);
	return route;
}

/*
 * Returns BPF_FIB_LKUP_RET_* of the way from a packet's source to its destination, as seen from a
 * device. The FIB is also asked for the source that the kernel would choose; kernels before 6.7
 * (but for Debian's 6.1.192, which has it) answer that flag with -EINVAL.
 */
static __always_inline int peer_route(struct __sk_buff *skb, struct pk_scratch *s,
				      const struct peer_ask *ask)
{
	bool v4 = pk_addr_is_v4(&ask->dst), source = true;
	struct bpf_fib_lookup *fib = &s->fib;
	int r;

	peer_fib_ask(fib, ask);
	r = bpf_fib_lookup(skb, fib, sizeof(*fib), BPF_FIB_LOOKUP_SRC | BPF_FIB_LOOKUP_SKIP_NEIGH);
	if (unlikely(r < 0)) {
		source = false;
		peer_fib_ask(fib, ask);
		r = bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
	}
	peer_fib_keep(fib, s, v4, source);
	return peer_tunnel(skb, s, &ask->dst, r);
}

static __always_inline bool peer_in_pools(const union pk_addr *addr)
{
	return overlay_pool(addr);
}

static __always_inline bool peer_local(struct pk_pkt *pkt)
{
	const struct pk_local *local = bpf_map_lookup_elem(&by_address, &pkt->dst);

	if (!local)
		return false;
	pkt->peer_slot = local->slot; /* miss_peer reads its identity */
	pkt->party = local->slot == pkt->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
	return true;
}

static __always_inline bool peer_remote(struct pk_pkt *pkt, const union pk_addr *addr)
{
	const struct pk_remote *r = bpf_map_lookup_elem(&remote, addr);

	if (!r)
		return false;
	pkt->peer_identity = r->identity;
	pkt->peer_tenant = r->tenant;
	pkt->party = r->flags & PK_REMOTE_NODE ? PK_PARTY_REMOTE_NODE : PK_PARTY_ENDPOINT;
	return true;
}

/* Makes the endpoint of a slot the hook's: reads its word, and then who it is under that word. */
static __always_inline const struct pk_endpoint *peer_hook(struct pk_pkt *pkt,
							   const struct pk_endpoint *ep, __u32 slot)
{
	pkt->slot = pkt->count_slot = slot;
	pkt->word = flow_word(slot);
	ep = pk_after(ep, pkt->word);
	pkt->identity = READ_ONCE(ep->identity);
	pkt->tenant = READ_ONCE(ep->tenant);
	return ep;
}

/*
 * Asks for the way of the masqueraded flow under s->key, as a packet of its endpoint's does. Where
 * there is none, s->way.target is that endpoint's own device.
 */
static __noinline void peer_masqueraded(struct __sk_buff *skb, struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);
	struct peer_ask ask = { .src = s->key.src, .dst = s->key.dst };

	if (!ep)
		return;
	ask.ifindex = ep->host_ifindex;
	peer_route(skb, s, &ask);
}

/* Returns whether the flow's port is published on that very address of the node. */
static __always_inline bool peer_is_published(const struct pk_flow_key *flow)
{
	struct pk_published_key key = { .addr = flow->dst,
					.proto = flow->proto,
					.port = flow->dport };

	return bpf_map_lookup_elem(&published, &key);
}

/*
 * Returns whether the main table has a way to the address, as if it weren't local, or to one of the
 * three next to it, which the network around it gives, or a route to one of these alone. IPv4's
 * main table holds the local one's routes, too, as long as nobody has made a rule: a node that has
 * all four has no way to any of them.
 */
static __always_inline bool peer_is_covered(struct __sk_buff *skb, struct pk_scratch *s,
					    struct peer_ask *ask)
{
	__u8 last = ask->dst.b[15];

	for (__u8 i = 0; i < 4; i++) {
		ask->dst.b[15] = last ^ i;
		peer_fib_ask(&s->fib, ask);
		if (peer_is_way(
			    bpf_fib_lookup(skb, &s->fib, sizeof(s->fib), BPF_FIB_LOOKUP_DIRECT)))
			return true;
	}
	return false;
}

/*
 * Returns whether the node still has the address that the flow's initiator asked for at a published
 * port. The FIB is asked from the endpoint's device, where forwarding is on. It has one answer for
 * what is local and for what has no route; only under a route that covers the address it means the
 * first. An address for itself, of 32 bits, that neither a network nor a default route covers can't
 * be told from one that is lost: where the port is published on that very address the flow goes on,
 * as a new one could begin.
 */
static __noinline bool peer_is_asked(struct __sk_buff *skb, struct pk_scratch *s)
{
	__u32 slot = s->pkt.slot;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &slot);
	struct peer_ask ask = { .src = s->key.src, .dst = s->key.dst };
	const struct pk_node *n = node_get();

	if (!ep || !n)
		return false;
	if (publish_is_uplinks(n, &ask.dst))
		return true;
	ask.ifindex = ep->host_ifindex;
	peer_fib_ask(&s->fib, &ask);
	if (bpf_fib_lookup(skb, &s->fib, sizeof(s->fib), 0) != BPF_FIB_LKUP_RET_NOT_FWDED)
		return false;
	return publish_is_nodes(&ask.dst) || peer_is_covered(skb, s, &ask) ||
	       peer_is_published(&s->key);
}

/* Classifies an address that is neither this node's nor an endpoint's of it. */
static __always_inline void peer_outside(struct pk_pkt *pkt, const union pk_addr *addr)
{
	if (peer_remote(pkt, addr))
		return;
	pkt->party = peer_in_pools(addr) ? PK_PARTY_UNKNOWN : PK_PARTY_WORLD;
}

/*
 * Says from where the FIB is asked for the way of an endpoint's packet: from its source, but for
 * what it answers at a published port, from the node's address that the client asked. Rules then
 * say the same of a flow whichever end's packet has it judged (peer_resolve_source).
 */
static __always_inline void peer_from(struct pk_scratch *s, union pk_addr *from)
{
	const struct pk_flow *flow = s->pkt.flags & PK_PKT_NEW ? NULL : flow_find(&s->key, &s->pkt);

	*from = flow && flow->flags & PK_FLOW_DESTINATION ? s->key.dst : s->pkt.src;
}

/*
 * Finds who pkt->dst is. What the FIB calls local is the host, whatever the tables say: ADD gives
 * each endpoint a route of its own. The FIB gives the same answer where it has no route at all.
 * Then too the packet is judged as the host's, and the stack, which has no route either, drops what
 * that would let pass. Addresses of the pools stay unknown endpoints.
 */
static __noinline int peer_resolve(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	struct peer_ask ask = { .dst = pkt->dst, .ifindex = skb->ifindex };
	int route;

	peer_from(s, &ask.src);
	route = peer_route(skb, s, &ask);
	pkt->peer_slot = 0;
	if (route == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return PK_REASON_FORWARDING_OFF;
	if (route == BPF_FIB_LKUP_RET_NOT_FWDED) {
		if (publish_resolve(s))
			return PK_REASON_OK;
		pkt->party = peer_in_pools(&pkt->dst) ? PK_PARTY_UNKNOWN : PK_PARTY_HOST;
		return PK_REASON_OK;
	}
	if (peer_local(pkt))
		return PK_REASON_OK;
	peer_outside(pkt, &pkt->dst);
	return peer_is_way(route) || pkt->party == PK_PARTY_UNKNOWN ? PK_REASON_OK
								    : PK_REASON_NO_ROUTE;
}

/* Returns whether the peer is of another node: an endpoint there, or the node itself. */
static __always_inline bool peer_is_remote(const struct pk_pkt *pkt)
{
	return !pkt->peer_slot &&
	       (pkt->party == PK_PARTY_ENDPOINT || pkt->party == PK_PARTY_REMOTE_NODE);
}

/*
 * Returns whether the packet came in by the device, and from the neighbour, that lead to its
 * source. Anybody in the fabric can write an address, but not everybody is on the way to its owner.
 * A packet that the stack forwards has lost its sender's MAC, and is at another device.
 */
static __noinline bool peer_came_by_its_way(struct __sk_buff *skb, struct pk_scratch *s,
					    const struct peer_ask *ask)
{
	struct bpf_fib_lookup *fib = &s->fib;
	__u8 mac[ETH_ALEN];

	peer_fib_ask(fib, ask);
	if (bpf_fib_lookup(skb, fib, sizeof(*fib), 0) != BPF_FIB_LKUP_RET_SUCCESS ||
	    fib->ifindex != skb->ifindex || bpf_skb_load_bytes(skb, ETH_ALEN, mac, ETH_ALEN) < 0)
		return false;
	s->came = !__builtin_memcmp(mac, fib->dmac, ETH_ALEN);
	__builtin_memcpy(s->neighbour, mac, ETH_ALEN);
	return s->came;
}

/*
 * Returns whether the packet is believed to be of the one who has its source address. What came
 * through the overlay is of the very node in whose block that address is, or of nobody.
 */
static __always_inline bool peer_is_believed(struct __sk_buff *skb, struct pk_scratch *s,
					     const struct peer_ask *ask)
{
	if (unlikely(overlay_came(skb, &s->pkt))) {
		s->came = overlay_is(node_get(), s->way.target) &&
			  pk_addr_same(&s->way.next_hop, &s->tunnel);
		return s->came;
	}
	return !peer_is_remote(&s->pkt) || peer_came_by_its_way(skb, s, ask);
}

/*
 * Finds who pkt->src is, for a packet from outside to the endpoint pkt->slot. Its answers would
 * leave by the endpoint's device, so the way back is looked up from there: for the endpoint's own
 * address, also where it is masqueraded, or for the node's that it is published at. Addresses of
 * this node and of its endpoints never come from outside, and other nodes' come by the way to them.
 */
static __noinline int peer_resolve_source(struct __sk_buff *skb, struct pk_scratch *s,
					  const struct pk_endpoint *ep)
{
	struct pk_pkt *pkt = &s->pkt;
	struct peer_ask ask = { .src = pkt->dst, .dst = pkt->src, .ifindex = ep->host_ifindex };
	bool v4 = pkt->flags & PK_PKT_IPV4;
	int route;

	if (!(s->translation & PK_FLOW_DESTINATION))
		ask.src = v4 ? ep->ipv4 : ep->ipv6;
	route = peer_route(skb, s, &ask);
	pkt->peer_slot = 0;
	if (route == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return PK_REASON_FORWARDING_OFF;
	if (!peer_is_way(route) || peer_is_martian(pkt))
		return PK_REASON_NO_ROUTE; /* the node's own address among them */
	if (bpf_map_lookup_elem(&by_address, &pkt->src))
		return v4 ? PK_REASON_SPOOFED_IPV4 : PK_REASON_SPOOFED_IPV6;
	peer_outside(pkt, &pkt->src);
	return peer_is_believed(skb, s, &ask) ? PK_REASON_OK : PK_REASON_SPOOFED_REMOTE;
}
