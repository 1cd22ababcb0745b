/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Translates a new flow: makes its alias and, for masquerade, finds the port that the world sees.
 * An alias is a tuple as it is on the wire, so flows to different destinations may share a port;
 * taking one is one insertion, which only one CPU can win.
 */
#include "lib/place.h"
#include "lib/publish.h"

#define NAT_PORT_TRIES 256

/* Puts the alias into the table, for the flow that is to be made under s->key. */
static __always_inline int nat_put(struct pk_scratch *s, __u32 now)
{
	struct pk_flow *alias = &s->flow;

	__builtin_memset(alias, 0, sizeof(*alias));
	alias->kind = PK_FLOW_ALIAS;
	alias->tag = flow_tag(&s->alias);
	alias->primary = s->key;
	alias->begun = now;
	return flow_put(&s->alias, alias);
}

/*
 * Ends the flow that the alias under key stands for, and the alias, where that flow is over. A
 * young alias without a flow is no orphan: another CPU is about to make its flow, and answers must
 * not become somebody else's. key isn't s->old.
 */
static __always_inline bool nat_was_over(struct pk_scratch *s, const struct pk_flow_key *key,
					 __u32 now)
{
	const struct pk_flow *alias = bpf_map_lookup_elem(&flows, key), *flow;

	if (!alias)
		return true;
	if (alias->kind != PK_FLOW_ALIAS)
		return false;
	s->old = alias->primary;
	flow = bpf_map_lookup_elem(&flows, &s->old);
	if (flow && flow->kind == PK_FLOW_PRIMARY) {
		if (!place_is_over(&s->old, flow, now))
			return false;
		pk_flow_close(CLOSE_OLD);
	} else if (now - READ_ONCE(alias->begun) < pk_hz) {
		return false;
	}
	bpf_map_delete_elem(&flows, key);
	return true;
}

static __always_inline int nat_take(struct pk_scratch *s, __u32 now)
{
	int r = nat_put(s, now);

	return r == -PK_EEXIST && nat_was_over(s, &s->alias, now) ? nat_put(s, now) : r;
}

/* Returns whether the tuple of s->alias is another flow's to answer, seen from its other end. */
static __always_inline bool nat_is_answered(struct pk_scratch *s, __u32 now)
{
	const struct pk_flow *flow;

	flow_key_mirror(&s->old, &s->alias);
	flow = bpf_map_lookup_elem(&flows, &s->old);
	return flow && flow->kind == PK_FLOW_PRIMARY && !place_is_over(&s->old, flow, now);
}

/*
 * Returns whether a socket of the node takes what comes under the tuple of s->alias. The question
 * is written into scratch: the stack is deep here.
 */
static __always_inline bool nat_has_socket(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct bpf_sock_tuple *tuple = (void *)s->asked;
	const struct pk_flow_key *alias = &s->alias;
	__u32 size = sizeof(tuple->ipv4);
	struct bpf_sock *sk;

	if (pk_addr_is_v4(&alias->dst)) {
		tuple->ipv4.saddr = alias->src.w[3];
		tuple->ipv4.daddr = alias->dst.w[3];
		tuple->ipv4.sport = alias->sport;
		tuple->ipv4.dport = alias->dport;
	} else {
		__builtin_memcpy(tuple->ipv6.saddr, &alias->src, 16);
		__builtin_memcpy(tuple->ipv6.daddr, &alias->dst, 16);
		tuple->ipv6.sport = alias->sport;
		tuple->ipv6.dport = alias->dport;
		size = sizeof(tuple->ipv6);
	}
	if (alias->proto == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}
_Static_assert(sizeof(struct bpf_sock_tuple) <= PK_SCRATCH_ASKED, "scratch: a socket's tuple");

/* Returns whether the port of s->alias is somebody else's: a published one, or a socket's. */
static __always_inline bool nat_is_used(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct pk_published_key key = { .proto = s->alias.proto, .port = s->alias.dport };

	if (key.proto == IPPROTO_ICMP || key.proto == IPPROTO_ICMPV6)
		return false;
	return bpf_map_lookup_elem(&published, &key) || nat_has_socket(skb, s);
}

struct nat_search {
	struct __sk_buff *skb;
	struct pk_scratch *s;
	__u32 low, range, start;
	__u32 now;
	int reason;
};

/* Tries one port; returns 1 at the end of the search. */
static int nat_step(__u32 i, struct nat_search *search)
{
	struct pk_scratch *s = search->s;
	__u16 port = search->low + (search->start + i) % search->range;
	int r;

	s->alias.dport = bpf_htons(port);
	if (s->key.proto == IPPROTO_ICMP || s->key.proto == IPPROTO_ICMPV6)
		s->alias.sport = s->alias.dport;
	if (nat_is_used(search->skb, s))
		return 0;
	r = nat_take(s, search->now);
	if (r == -PK_EEXIST)
		return 0;
	search->reason = r ? PK_REASON_MAP_FULL : PK_REASON_OK;
	return 1;
}

/* Finds a port of s->translated to the world. The search begins at one that nobody can guess. */
static __always_inline int nat_masquerade(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	struct nat_search search = { .skb = skb,
				     .s = s,
				     .start = bpf_get_prandom_u32() >> 1,
				     .now = now,
				     .reason = PK_REASON_MASQUERADE_FULL };
	const struct pk_node *n = node_get();

	if (!n || !n->masquerade_low || n->masquerade_high < n->masquerade_low)
		return PK_REASON_MASQUERADE_FULL;
	search.low = n->masquerade_low;
	search.range = n->masquerade_high - n->masquerade_low + 1;
	bpf_loop(NAT_PORT_TRIES, nat_step, &search, 0);
	s->translated_port = s->alias.dport;
	return search.reason;
}

/* Makes the alias of the flow that is to be made under s->key. */
static __always_inline int nat_begin(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	struct pk_flow *flow = &s->flow;
	int r;

	flow->flags = s->translation;
	flow->address = s->translated;
	flow->port = s->translated_port;
	flow_alias_key(&s->alias, flow, &s->key);
	if (s->translation & PK_FLOW_SOURCE)
		return nat_masquerade(skb, s, now);
	if (nat_is_answered(s, now))
		return PK_REASON_TUPLE_TAKEN;
	r = nat_take(s, now);
	if (!r)
		return PK_REASON_OK;
	return r == -PK_EEXIST ? PK_REASON_TUPLE_TAKEN : PK_REASON_MAP_FULL;
}

/* Takes the alias back where its flow couldn't be made. */
static __always_inline void nat_undo(struct pk_scratch *s)
{
	if (s->translation)
		bpf_map_delete_elem(&flows, &s->alias);
}

/* Chooses the source that the world sees: the kernel's choice, else the uplink's own address. */
static __always_inline union pk_addr nat_source(const struct pk_scratch *s,
						const struct pk_uplink *up)
{
	if (!pk_addr_zero(&s->source))
		return s->source;
	return s->pkt.flags & PK_PKT_IPV4 ? up->ipv4 : up->ipv6;
}

static __always_inline bool nat_is_source(const struct pk_scratch *s, const struct pk_uplink *up,
					  const union pk_addr *addr)
{
	union pk_addr source = nat_source(s, up);

	return pk_addr_same(&source, addr);
}

static __always_inline const struct pk_uplink *nat_uplink(const struct pk_node *n, __u32 ifindex)
{
	for (int i = 0; i < PK_UPLINKS; i++)
		if (n->uplink[i].ifindex == ifindex)
			return &n->uplink[i];
	return NULL;
}

static __always_inline bool nat_is_wanted(const struct pk_pkt *pkt)
{
	__u32 flag = pkt->flags & PK_PKT_IPV4 ? PK_WORD_MASQUERADE : PK_WORD_MASQUERADE6;

	return PK_WORD_FLAGS(pkt->word) & flag;
}

/*
 * Returns whether an endpoint's new flow to the world is masqueraded. It is only behind an uplink,
 * where its answers are recognized; to another device it goes with its own address.
 */
static __always_inline int nat_choose(struct pk_scratch *s)
{
	const struct pk_pkt *pkt = &s->pkt;
	const struct pk_node *n = node_get();
	const struct pk_uplink *up;

	if (!nat_is_wanted(pkt) || !n || !s->way.target)
		return PK_REASON_OK;
	up = nat_uplink(n, s->way.target);
	if (!up)
		return PK_REASON_OK;
	if (!(pkt->flags & PK_PKT_ECHO_REQUEST) && pkt->proto != IPPROTO_TCP &&
	    pkt->proto != IPPROTO_UDP)
		return PK_REASON_NO_MASQUERADE;
	s->translated = nat_source(s, up);
	if (pk_addr_zero(&s->translated))
		return PK_REASON_NO_ROUTE;
	s->translation = PK_FLOW_SOURCE;
	return PK_REASON_OK;
}

/*
 * Returns whether a flow can't go on behind the address that it is masqueraded behind: the node has
 * it no more, or the route leads to another device now, where a new flow would get another one.
 * That device's network may drop the old one, and the answers would come by the old way.
 */
static __always_inline bool nat_is_lost(const struct pk_flow *flow, const struct pk_scratch *s)
{
	const struct pk_node *n = node_get();
	const struct pk_uplink *up;

	if (!(flow->flags & PK_FLOW_SOURCE) || pk_addr_same(&flow->address, &s->source))
		return false;
	if (s->way.target == flow->target)
		return !(n && publish_is_uplinks(n, &flow->address));
	up = n ? nat_uplink(n, s->way.target) : NULL;
	return !up || !nat_is_source(s, up, &flow->address);
}
