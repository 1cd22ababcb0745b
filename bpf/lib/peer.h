/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Who is at an address, seen from an endpoint. Only a flow's first packet asks. */
#include "lib/maps.h"
#include "lib/parse.h"
#include "lib/flow.h"
#include "lib/spoof.h"

#ifndef AF_INET
#define AF_INET 2
#endif
#ifndef AF_INET6
#define AF_INET6 10
#endif

/* Addresses that no policy opens: unspecified, loopback, other spellings of IPv4, link-local. */
static __always_inline bool peer_never(const struct pk_pkt *pkt)
{
	const union pk_addr *a = &pkt->dst;

	if (pkt->flags & PK_PKT_IPV4)
		return a->b[12] == 0 || a->b[12] == 127;
	/* ::/8 is unspecified, loopback, v4-mapped, v4-compatible. */
	return a->b[0] == 0 || spoof_link_local(a);
}

/* BPF_FIB_LKUP_RET_*; the route's device in *ifindex. */
static __always_inline int peer_route(struct __sk_buff *skb, const struct pk_pkt *pkt,
				      __u32 *ifindex)
{
	struct bpf_fib_lookup fib = { .ifindex = skb->ifindex };
	int r;

	if (pkt->flags & PK_PKT_IPV4) {
		fib.family = AF_INET;
		fib.ipv4_src = pkt->src.w[3];
		fib.ipv4_dst = pkt->dst.w[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &pkt->src, 16);
		__builtin_memcpy(fib.ipv6_dst, &pkt->dst, 16);
	}
	r = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	*ifindex = fib.ifindex;
	return r;
}

static __always_inline bool peer_in_pools(const union pk_addr *addr)
{
	struct pk_pool_key key = { .prefixlen = 128 };

	key.addr = *addr;
	return bpf_map_lookup_elem(&pools, &key);
}

static __always_inline bool peer_local(struct pk_pkt *pkt)
{
	const struct pk_local *local = bpf_map_lookup_elem(&by_address, &pkt->dst);

	if (!local)
		return false;
	pkt->peer_slot = local->slot; /* its identity: miss_peer */
	pkt->party = local->slot == pkt->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
	return true;
}

static __always_inline bool peer_remote(struct pk_pkt *pkt)
{
	const struct pk_remote *r = bpf_map_lookup_elem(&remote, &pkt->dst);

	if (!r)
		return false;
	pkt->peer_identity = r->identity;
	pkt->peer_tenant = r->tenant;
	pkt->party = r->flags & PK_REMOTE_NODE ? PK_PARTY_REMOTE_NODE : PK_PARTY_ENDPOINT;
	return true;
}

/*
 * Of pkt->dst. What the FIB calls local is the host, whatever the tables say: ADD gives each
 * endpoint a route of its own. It gives the same answer where it has no route at all: then too the
 * packet is judged as the host's, and the stack, which has no route either, drops what that would
 * let pass; addresses of the pools stay unknown endpoints.
 */
static __always_inline int peer_resolve(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	__u32 ifindex = 0;
	int route = peer_route(skb, pkt, &ifindex);

	pkt->peer_slot = 0;
	if (route == BPF_FIB_LKUP_RET_FWD_DISABLED)
		return PK_REASON_FORWARDING_OFF;
	if (route == BPF_FIB_LKUP_RET_NOT_FWDED) {
		pkt->party = peer_in_pools(&pkt->dst) ? PK_PARTY_UNKNOWN : PK_PARTY_HOST;
		return PK_REASON_OK;
	}
	if (peer_local(pkt))
		return PK_REASON_OK;
	pkt->target = ifindex;
	if (peer_remote(pkt))
		return PK_REASON_OK;
	if (peer_in_pools(&pkt->dst)) {
		pkt->party = PK_PARTY_UNKNOWN;
		return PK_REASON_OK;
	}
	pkt->party = PK_PARTY_WORLD;
	if (route == BPF_FIB_LKUP_RET_SUCCESS || route == BPF_FIB_LKUP_RET_NO_NEIGH ||
	    route == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return PK_REASON_OK;
	return PK_REASON_NO_ROUTE;
}
