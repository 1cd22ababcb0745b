/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Tracked connections: lookup, life, time-outs, places. The key says who began: a packet is looked
 * up as the initiator's, then as the responder's. An echo message needs no second lookup, since its
 * type says which of the two it may be; nor does a TCP SYN.
 */
#include "lib/maps.h"
#include "lib/parse.h"
#include "lib/scratch.h"

static __always_inline __u32 flow_now(void)
{
	return bpf_jiffies64();
}

static __always_inline bool flow_is_syn(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP &&
	       (pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK | PK_TH_RST | PK_TH_FIN)) == PK_TH_SYN;
}

/* A SYN without ACK is never a reply, whatever else its flags say. */
static __always_inline bool flow_is_opening(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & (PK_TH_SYN | PK_TH_ACK)) == PK_TH_SYN;
}

/* Returns whether the packet may be a connection's first one. */
static __always_inline bool flow_may_begin(const struct pk_pkt *pkt)
{
	return !(pkt->flags & (PK_PKT_ECHO_REPLY | PK_PKT_LATER)) &&
	       (pkt->proto != IPPROTO_TCP || flow_is_syn(pkt));
}

/* Returns why a packet that can begin no flow is denied where it has none. */
static __always_inline int flow_missing(const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_LATER ? PK_REASON_FRAGMENT : PK_REASON_NO_FLOW;
}

static __always_inline void flow_key(struct pk_flow_key *key, const struct pk_pkt *pkt, bool reply)
{
	key->src = reply ? pkt->dst : pkt->src;
	key->dst = reply ? pkt->src : pkt->dst;
	key->sport = reply ? pkt->dport : pkt->sport;
	key->dport = reply ? pkt->sport : pkt->dport;
	key->proto = pkt->proto;
	key->pad = 0;
	key->zone = 0;
}

/* Makes the key of the connection of the same two ends that the other one began. */
static __always_inline void flow_key_mirror(struct pk_flow_key *to, const struct pk_flow_key *key)
{
	to->src = key->dst;
	to->dst = key->src;
	to->sport = key->dport;
	to->dport = key->sport;
	to->proto = key->proto;
	to->pad = 0;
	to->zone = key->zone;
}

/*
 * A tag tells one key from another in the element that held it. It is no secret: it only closes the
 * moment in which a deleted flow's memory is already another flow's.
 */
static __always_inline __u64 flow_tag(const struct pk_flow_key *key)
{
	__u64 tag = key->src.d[0] + 0x9e3779b97f4a7c15;

	tag = (tag ^ key->src.d[1]) * 0xff51afd7ed558ccd;
	tag = (tag ^ tag >> 32 ^ key->dst.d[0]) * 0xc4ceb9fe1a85ec53;
	tag = (tag ^ tag >> 32 ^ key->dst.d[1]) * 0xff51afd7ed558ccd;
	return tag ^ tag >> 32 ^ *(const __u64 *)&key->sport;
}

/*
 * Returns whether the element still is that of key. `last` is the last value that was read of it.
 */
static __always_inline bool flow_is_of(const struct pk_flow *flow, const struct pk_flow_key *key,
				       __u64 last)
{
	return READ_ONCE(pk_after(flow, last)->tag) == flow_tag(key);
}

/*
 * Returns the primary that the alias under key names, and sets key to its key; NULL where either is
 * gone.
 */
static __always_inline struct pk_flow *flow_of_alias(const struct pk_flow *alias,
						     struct pk_flow_key *key)
{
	struct pk_flow_key primary = alias->primary;
	struct pk_flow *flow;

	if (!flow_is_of(alias, key, primary.sport))
		return NULL;
	*key = primary;
	flow = bpf_map_lookup_elem(&flows, key);
	return flow && flow->kind == PK_FLOW_PRIMARY ? flow : NULL;
}

/* Returns the flow whose initiator sent pkt or, by an alias, whose responder did. */
static __always_inline struct pk_flow *flow_find_as_sent(struct pk_flow_key *key,
							 struct pk_pkt *pkt)
{
	struct pk_flow *flow;

	flow_key(key, pkt, false);
	flow = bpf_map_lookup_elem(&flows, key);
	if (likely(!flow || flow->kind == PK_FLOW_PRIMARY))
		return flow;
	/* A SYN begins a connection, and so is never a reply. */
	flow = flow_is_opening(pkt) ? NULL : flow_of_alias(flow, key);
	if (flow)
		pkt->role = 1;
	else
		flow_key(key, pkt, false);
	return flow;
}

/*
 * Finds the packet's flow. key and pkt->role are set to the flow's, or, where there is none, to
 * those of the flow to make. An ICMP message that is no echo has no id: its key would be that of
 * the echo with id 0.
 */
static __always_inline struct pk_flow *flow_find(struct pk_flow_key *key, struct pk_pkt *pkt)
{
	struct pk_flow *flow = NULL;

	pkt->role = 0;
	if (unlikely(pkt->flags & (PK_PKT_ICMP_OTHER | PK_PKT_ICMP_ERROR)))
		flow_key(key, pkt, false);
	else
		flow = flow_find_as_sent(key, pkt);
	/* An echo reply begins nothing, so only an alias may be found under its own tuple. */
	if (unlikely(pkt->flags & PK_PKT_ECHO_REPLY && !pkt->role))
		flow = NULL;
	if (flow || pkt->flags & (PK_PKT_ICMP_OTHER | PK_PKT_ICMP_ERROR | PK_PKT_ECHO_REQUEST) ||
	    flow_is_opening(pkt))
		return flow;
	flow_key(key, pkt, true);
	flow = bpf_map_lookup_elem(&flows, key);
	if (flow && flow->kind == PK_FLOW_PRIMARY) {
		pkt->role = 1;
		return flow;
	}
	flow_key(key, pkt, false);
	return NULL;
}

/* Makes the key of a translated flow's alias: the tuple of what its responder sends. */
static __always_inline void flow_alias_key(struct pk_flow_key *alias, const struct pk_flow *flow,
					   const struct pk_flow_key *key)
{
	bool source = flow->flags & PK_FLOW_SOURCE;

	alias->src = source ? key->dst : flow->address;
	alias->sport = source ? key->dport : flow->port;
	alias->dst = source ? flow->address : key->src;
	alias->dport = source ? flow->port : key->sport;
	if (flow->flags & PK_FLOW_HAIRPIN)
		alias->dst = key->dst;
	alias->proto = key->proto;
	alias->pad = 0;
	alias->zone = key->zone;
	if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6)
		alias->sport = alias->dport; /* an echo has one id */
}

static __always_inline bool flow_key_same(const struct pk_flow_key *a, const struct pk_flow_key *b)
{
	return pk_addr_same(&a->src, &b->src) && pk_addr_same(&a->dst, &b->dst) &&
	       *(const __u64 *)&a->sport == *(const __u64 *)&b->sport;
}

/*
 * Returns 0, -PK_EEXIST, or why the table takes no more. Before Linux 6.4 a map's operation returns
 * an int, and the call's 64 bits are no negative number: only the lower half is the error.
 */
static __always_inline int flow_put(const struct pk_flow_key *key, const struct pk_flow *flow)
{
	return (int)bpf_map_update_elem(&flows, key, flow, BPF_NOEXIST);
}

/* Makes the tuple of what the flow's responder sends. */
static __always_inline void flow_answer_key(struct pk_flow_key *answer, const struct pk_flow *flow,
					    const struct pk_flow_key *key)
{
	if (unlikely(flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION)))
		flow_alias_key(answer, flow, key);
	else
		flow_key_mirror(answer, key);
}

/* Fills in how the packets of that role go on. */
static __always_inline void flow_way(struct pk_way *way, const struct pk_flow *flow,
				     const struct pk_flow_key *key, __u8 role)
{
	bool source = flow->flags & PK_FLOW_SOURCE, of_initiator = !(role & 1);

	way->target = flow->target;
	way->mtu = flow->mtu;
	way->next_hop = flow->next_hop;
	way->rewrite = PK_REWRITE_NONE;
	if (!(flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION)))
		return;
	way->rewrite = source == of_initiator ? PK_REWRITE_SOURCE : PK_REWRITE_DESTINATION;
	if (of_initiator) {
		way->address = flow->address;
		way->port = flow->port;
		way->hairpin = key->dst;
	} else {
		way->address = source ? key->src : key->dst;
		way->port = source ? key->sport : key->dport;
		way->hairpin = key->src;
	}
	if (flow->flags & PK_FLOW_HAIRPIN)
		way->rewrite |= PK_REWRITE_HAIRPIN;
}

static __always_inline enum pk_timeout flow_timeout_tcp(__u8 state)
{
	switch (state) {
	case PK_FLOW_OPEN:
		return PK_TIMEOUT_TCP_OPEN;
	case PK_FLOW_CLOSING:
		return PK_TIMEOUT_TCP_CLOSING;
	case PK_FLOW_CLOSED:
		return PK_TIMEOUT_TCP_CLOSED;
	case PK_FLOW_RESET:
		return PK_TIMEOUT_TCP_RESET;
	default:
		return PK_TIMEOUT_TCP_OPENING;
	}
}

static __always_inline bool flow_is_dns(const struct pk_flow_key *key)
{
	return key->proto == IPPROTO_UDP && key->dport == bpf_htons(53);
}

static __always_inline enum pk_timeout flow_timeout(const struct pk_flow_key *key, __u8 state)
{
	bool stream = state == PK_FLOW_STREAM;

	if (key->proto == IPPROTO_TCP)
		return flow_timeout_tcp(state);
	if (key->proto == IPPROTO_UDP) {
		/* Notes that a DNS question is answered. */
		if (state == PK_FLOW_OPEN && flow_is_dns(key))
			return PK_TIMEOUT_DNS;
		return stream ? PK_TIMEOUT_UDP_STREAM : PK_TIMEOUT_UDP;
	}
	if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6)
		return PK_TIMEOUT_ICMP;
	return stream ? PK_TIMEOUT_OTHER_STREAM : PK_TIMEOUT_OTHER;
}

/* Returns how long a flow lives without a packet. */
static __always_inline __u32 flow_seconds(const struct pk_flow_key *key, __u8 state)
{
	const struct pk_node *n = node_get();
	__u32 at = flow_timeout(key, state);

	/* Clang knows the bound and leaves the mask out; the verifier wants it. */
	asm volatile("" : "+r"(at));
	return n ? n->timeout[at & (PK_TIMEOUT_ROOM - 1)] : 0;
}

/* Returns whether the packet is from outside, under an address that anybody there can write. */
static __always_inline bool flow_is_foreign(const struct pk_flow *flow, const struct pk_pkt *pkt)
{
	return !flow->slot[pkt->role & 1] && !(flow->flags & PK_FLOW_STACK);
}

/*
 * Returns whether the responder's answer was never acknowledged, or, but for TCP, never came.
 */
static __always_inline bool flow_is_unopened(const struct pk_flow *flow)
{
	return flow->state == PK_FLOW_NEW ||
	       (flow->state == PK_FLOW_RESET && !(flow->scale & PK_FLOW_OPENED));
}

/* Returns whether no packet of the responder's was seen. */
static __always_inline bool flow_is_unheard(const struct pk_flow *flow)
{
	return flow->state == PK_FLOW_NEW && !flow->packets[1];
}

/* A SYN on a flow that is closing or closed begins another connection. */
static __always_inline bool flow_begins_anew(const struct pk_flow *flow, const struct pk_pkt *pkt)
{
	return unlikely(flow_is_syn(pkt)) &&
	       (flow->state == PK_FLOW_CLOSING || flow->state == PK_FLOW_CLOSED ||
		flow->state == PK_FLOW_RESET);
}

/* Returns the word of an endpoint, read once; 0 = closed or no such slot. */
static __always_inline __u64 flow_word(__u32 slot)
{
	const __u64 *word = bpf_map_lookup_elem(&words, &slot);

	return word ? READ_ONCE(*word) : 0;
}

/*
 * Returns whether this side's endpoint is the one that the flow was made with; true for a side that
 * isn't local.
 */
static __always_inline bool flow_side_same(const struct pk_flow *flow, int side)
{
	__u32 slot = READ_ONCE(flow->slot[side]);
	const struct pk_endpoint *ep;

	if (!slot)
		return true;
	ep = bpf_map_lookup_elem(&endpoints, &slot);
	return ep && ep->opened == flow->opened[side];
}

/*
 * Returns whether the side's endpoint is open, and as it was when the flow was made: one that was
 * closed opens under another revision, and then its flows are over.
 */
static __always_inline bool flow_alive(const struct pk_flow *flow, int side)
{
	__u32 slot = READ_ONCE(flow->slot[side]);

	return !slot || (flow_word(slot) && flow_side_same(flow, side));
}

/*
 * Returns the side of the flow that the hook's endpoint has. role is that of the packet's sender.
 */
static __always_inline __u32 flow_own(const struct pk_pkt *pkt)
{
	return (pkt->role ^ pkt->dir) & 1;
}

static __always_inline __u32 flow_other(const struct pk_pkt *pkt)
{
	return (pkt->role ^ pkt->dir ^ 1) & 1;
}

/*
 * Returns whether the packet comes from outside with an address that the flow knows as the node's
 * own. Nobody outside has that address while it is the node's: the slow path asks the FIB who the
 * sender is.
 */
static __always_inline bool flow_is_forged(const struct pk_flow *flow, const struct pk_pkt *pkt)
{
	return pkt->party == PK_PARTY_WORLD && READ_ONCE(flow->flags) & PK_FLOW_STACK;
}

/*
 * Returns whether the flow's judgement still holds. Equal words are the same opening of the same
 * endpoints, since revisions aren't used again. Where the other side isn't a local endpoint, a flow
 * is judged anew once a second. *last is the last value that was read; whoever needs what was
 * judged must read it after that.
 */
static __always_inline bool flow_current(const struct pk_flow *flow, const struct pk_pkt *pkt,
					 __u32 now, __u64 *last)
{
	__u32 own = flow_own(pkt), other = flow_other(pkt), slot = READ_ONCE(flow->slot[other]);
	__u64 word = READ_ONCE(flow->word[own]), peer = READ_ONCE(flow->word[other]);

	*last = word + peer;
	if (READ_ONCE(flow->slot[own]) != pkt->slot || word != pkt->word)
		return false;
	if (!slot)
		return word && now - READ_ONCE(flow->judged) < pk_hz && !flow_is_forged(flow, pkt);
	return peer && peer == flow_word(slot);
}

/* Another endpoint's flow is not for the node's stack to carry on, to end or to have judged. */
static __always_inline bool flow_is_others(const struct pk_flow *flow, const struct pk_pkt *pkt)
{
	return pkt->dir == PK_INGRESS && READ_ONCE(flow->slot[flow_other(pkt)]);
}
