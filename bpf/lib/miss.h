/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Judges a packet without a flow, or one whose flow must be judged again. The verdict is always
 * about initiator to responder, also where the packet is a reply: the egress of a local initiator
 * and the ingress of a local responder, in one pass.
 */
#include "lib/deliver.h"
#include "lib/event.h"
#include "lib/peer.h"
#include "lib/nat.h"
#include "lib/place.h"
#include "lib/policy.h"

/* Returns the port that policy knows: the responder's own, also behind a published one. */
static __always_inline __be16 miss_port(const struct pk_scratch *s)
{
	const struct pk_pkt *pkt = &s->pkt;

	if (s->translation & PK_FLOW_DESTINATION)
		return s->translated_port;
	if (pkt->flags & PK_PKT_PORTS)
		return s->key.dport;
	if (pkt->flags & PK_PKT_ECHO_REPLY) /* judged is the request that it answers */
		return bpf_htons(pkt->proto == IPPROTO_ICMP ? PK_PORT_ICMP(ICMP_ECHO, 0)
							    : PK_PORT_ICMP(ICMPV6_ECHO_REQUEST, 0));
	return pkt->judged_port;
}

/*
 * Judges one direction: the local end `of`, with `about` as its peer. The verdict is kept in
 * pkt->verdict.
 */
static __always_inline int miss_judge_end(struct pk_scratch *s, enum pk_dir dir)
{
	const struct pk_end *of = &s->end[dir], *about = &s->end[!dir];
	struct pk_query *q = &s->query;
	struct pk_pkt *pkt = &s->pkt;

	pkt->at_slot = of->slot;
	pkt->at_dir = dir;
	if (!of->word)
		return PK_REASON_ENDPOINT_CLOSED;
	q->rule_set = PK_WORD_RULE_SET(of->word);
	q->slot = of->slot;
	q->own_tenant = of->tenant;
	q->identity = about->identity;
	q->tenant = about->tenant;
	q->dir = dir;
	q->party = about->party;
	q->proto = pkt->proto;
	q->pad = 0;
	q->port = miss_port(s);
	q->addr = about->addr;
	pk_policy_judge(q);
	pkt->verdict = q->answer;
	if (!q->found)
		return PK_REASON_NO_RULE_SET;
	if (PK_WORD_FLAGS(of->word) & PK_WORD_AUDIT &&
	    q->answer.audit.verdict != q->answer.live.verdict)
		pkt->event = PK_EVENT_AUDIT;
	if (q->answer.live.verdict != PK_ALLOW)
		return PK_REASON_POLICY_DENIED;
	if (PK_WORD_FLAGS(of->word) & PK_WORD_LOG_NEW && !pkt->event)
		pkt->event = PK_EVENT_ALLOWED;
	return PK_REASON_OK;
}

static __always_inline int miss_judge(struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	int reason = PK_REASON_OK;

	if (s->end[0].slot)
		reason = miss_judge_end(s, PK_EGRESS);
	if (!reason && s->end[1].slot)
		reason = miss_judge_end(s, PK_INGRESS);
	if (reason)
		return reason;
	pkt->at_slot = pkt->slot;
	pkt->at_dir = pkt->dir;
	return PK_REASON_OK;
}

/*
 * Reads a local peer's word first, and who it is only then. An endpoint's identity changes before
 * its word does, so an identity that was read earlier (by_address) could be judged under a word
 * that no longer stands for it.
 */
static __always_inline void miss_peer(struct pk_pkt *pkt, struct pk_end *other)
{
	__u32 slot = pkt->peer_slot;
	const struct pk_endpoint *ep;

	other->slot = slot;
	other->word = slot ? flow_word(slot) : 0;
	ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;
	if (ep) {
		ep = pk_after(ep, other->word);
		pkt->peer_identity = READ_ONCE(ep->identity);
		pkt->peer_tenant = READ_ONCE(ep->tenant);
	}
	other->identity = pkt->peer_identity;
	other->tenant = pkt->peer_tenant;
}

/* Fills in both ends by the connection's roles; their addresses are the key's. */
static __always_inline void miss_ends(struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	struct pk_end *own = &s->end[flow_own(pkt)], *other = &s->end[flow_other(pkt)];

	s->end[0].addr = s->key.src;
	s->end[1].addr = s->key.dst;
	own->slot = pkt->slot;
	own->word = pkt->word;
	own->identity = pkt->identity;
	own->tenant = pkt->tenant;
	own->party = pkt->party == PK_PARTY_SELF ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
	miss_peer(pkt, other);
	other->party = pkt->party;
}

static __always_inline bool miss_is_routed(const struct pk_pkt *pkt)
{
	return peer_is_remote(pkt) || (!pkt->peer_slot && pkt->party == PK_PARTY_WORLD);
}

/* Returns whether this release has a way for what policy allows. */
static __always_inline int miss_built(const struct pk_pkt *pkt)
{
	if (pkt->peer_slot || pkt->party == PK_PARTY_HOST || miss_is_routed(pkt))
		return PK_REASON_OK;
	return PK_REASON_NOT_BUILT;
}

static __always_inline __u8 miss_way(const struct pk_pkt *pkt)
{
	if (pkt->peer_slot)
		return 0;
	return pkt->party == PK_PARTY_HOST ? PK_FLOW_STACK : PK_FLOW_WORLD;
}

/* Copies the FIB's way into a flow that leaves the node. For an ICMP error the FIB wasn't asked. */
static __always_inline void miss_route(const struct pk_scratch *s, struct pk_flow *flow)
{
	if (!miss_is_routed(&s->pkt) || !s->way.target)
		return;
	flow->target = s->way.target;
	flow->mtu = s->way.mtu;
	flow->next_hop = s->way.next_hop;
}

/*
 * Notes in the flow that its peer is on another node, and how far packets of that peer are believed
 * from now on.
 */
static __always_inline void miss_remote(const struct pk_scratch *s, struct pk_flow *flow)
{
	__u16 how = PK_FLOW_NOT_REMOTE;

	if (peer_is_remote(&s->pkt))
		how = s->came ? PK_FLOW_CAME : PK_FLOW_UNASKED;
	if (s->came)
		__builtin_memcpy(flow->neighbour, s->neighbour, ETH_ALEN);
	WRITE_ONCE(flow->remote, how);
}

static __always_inline void miss_side(struct pk_flow *flow, int side, const struct pk_end *end)
{
	__u32 slot = end->slot;
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	flow->slot[side] = slot;
	flow->opened[side] = ep ? ep->opened : 0;
}

static __always_inline bool miss_rate(const struct pk_endpoint *ep, __u32 slot)
{
	struct pk_bucket *b = bucket_of(slot);
	const struct pk_node *n;
	__u32 rate = READ_ONCE(ep->new_flows_per_s);

	n = node_get();
	if (!rate && n)
		rate = n->new_flows_per_s;
	if (!rate)
		return true;
	return b && bucket_take(&b->tokens[PK_BUCKET_NEW_FLOWS], rate, 2 * (__u64)rate, 1);
}

/* Fills in everything of a new flow but its words: without them nobody takes it for judged. */
static __always_inline void miss_fill(struct pk_scratch *s, __u32 len, __u32 place, __u32 now)
{
	struct pk_flow *flow = &s->flow;

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->tag = flow_tag(&s->key);
	miss_side(flow, 0, &s->end[0]);
	miss_side(flow, 1, &s->end[1]);
	flow->packets[0] = 1;
	flow->bytes[0] = len;
	flow->judged = flow->begun = now;
	flow->expires = now + flow_seconds(&s->key, PK_FLOW_NEW) * pk_hz;
	flow->rule = s->pkt.verdict.live.rule;
	flow->place = place;
	flow->flags = miss_way(&s->pkt) | s->translation;
	if (s->translation) {
		flow->address = s->translated;
		flow->port = s->translated_port;
	}
	miss_route(s, flow);
	miss_remote(s, flow);
}

/*
 * Writes the words. Each exchange is a full barrier: a CPU that sees the words sees everything that
 * was judged with them.
 */
static __always_inline void miss_words(const struct pk_scratch *s, struct pk_flow *flow)
{
	__sync_lock_test_and_set(&flow->word[0], s->end[0].word);
	__sync_lock_test_and_set(&flow->word[1], s->end[1].word);
	PK_STALL(WORDS_KEPT);
}

/*
 * Like pk_miss_claim a function that is verified on its own, so that what follows isn't verified
 * once for each way through it. Linux 6.1 takes no key by a pointer that such a function is given.
 */
__noinline int pk_miss_was_over(__u32 now)
{
	struct pk_scratch *s = scratch_get();

	return s && nat_was_over(s, &s->alias, now);
}

/*
 * Both ends may have opened at once (DNS and IKE between fixed ports). Of the two flows the one
 * whose initiator has the lower address stays. Where the other end's tuple is an alias of a live
 * flow, that one was there first; s->alias is free, since this flow has none. A flow that is
 * over is neither of the two.
 */
static __always_inline int miss_one_of_two(struct pk_scratch *s, __u32 now)
{
	struct pk_flow_key *mirror = &s->alias;
	const struct pk_flow *other;

	flow_key_mirror(mirror, &s->key);
	other = bpf_map_lookup_elem(&flows, mirror);
	if (likely(!other))
		return PK_REASON_OK;
	if (other->kind == PK_FLOW_ALIAS) {
		if (pk_miss_was_over(now))
			return PK_REASON_OK;
		bpf_map_delete_elem(&flows, &s->key);
		return PK_REASON_TUPLE_TAKEN;
	}
	if (other->state != PK_FLOW_NEW || other->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION) ||
	    pk_flow_expired(other, now, pk_hz) || flow_key_same(mirror, &s->key))
		return PK_REASON_OK;
	bpf_map_delete_elem(&flows, pk_addr_below(&s->key.src, &s->key.dst) ? mirror : &s->key);
	return PK_REASON_OK;
}

/* Claims s->key's tuple for s->flow, also where it is an alias of a flow that is over. */
__noinline int pk_miss_claim(__u32 now)
{
	struct pk_scratch *s = scratch_get();
	int r;

	if (!s)
		return -PK_EEXIST;
	r = flow_put(&s->key, &s->flow);
	return r == -PK_EEXIST && nat_was_over(s, &s->key, now) ? flow_put(&s->key, &s->flow) : r;
}

/* Puts the flow into the table and, once it and its alias are there, writes its words. */
static __always_inline int miss_put(struct pk_scratch *s, __u32 now)
{
	int r = pk_miss_claim(now);
	struct pk_flow *flow;

	if (r)
		nat_undo(s);
	if (r && r != -PK_EEXIST)
		return PK_REASON_MAP_FULL;
	flow = bpf_map_lookup_elem(&flows, &s->key);
	if (!flow || flow->kind != PK_FLOW_PRIMARY)
		return PK_REASON_TUPLE_TAKEN;
	/* The flow may be another CPU's, made for the same connection with the same verdict. */
	flow_way(&s->way, flow, &s->key, 0);
	if (r)
		return PK_REASON_OK;
	s->made = true;
	PK_STALL(FLOW_INSERTED);
	miss_words(s, flow);
	return s->translation || s->pkt.flags & PK_PKT_ECHO_REQUEST ? PK_REASON_OK
								    : miss_one_of_two(s, now);
}

/* Makes the flow. Its owner pays: the initiator where that is local, else the responder. */
static __always_inline int miss_insert(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	__u32 owner = s->end[0].slot ? s->end[0].slot : s->end[1].slot, place;
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &owner);
	int reason = PK_REASON_OK;

	if (!ep || !miss_rate(ep, owner))
		return PK_REASON_FLOW_RATE;
	place = place_take(s, owner, now);
	if (!place)
		return PK_REASON_FLOW_BUDGET;
	PK_STALL(PLACE_TAKEN);
	if (s->translation)
		reason = nat_begin(skb, s, now);
	PK_STALL(ALIAS_TRIED);
	if (!reason) {
		miss_fill(s, skb->len, place - 1, now);
		reason = miss_put(s, now);
	}
	place_settle(&s->key, place - 1, !reason);
	return reason;
}

/*
 * Returns whether the words that were judged under are still in force, and the flow still is the
 * one of its key.
 */
static __always_inline bool miss_fresh(const struct pk_scratch *s, const struct pk_flow *flow)
{
	for (int i = 0; i < 2; i++)
		if (s->end[i].slot && s->end[i].word != flow_word(s->end[i].slot))
			return false;
	return bpf_map_lookup_elem(&flows, &s->key) == flow;
}

/*
 * Returns whether the denial is the responder's. It belongs to a local end, whichever end sent the
 * packet.
 */
static __always_inline bool miss_at_responder(const struct pk_scratch *s)
{
	return !s->end[0].slot || (s->end[1].slot && s->pkt.at_dir == PK_INGRESS);
}

/*
 * Keeps the judgement in the flow: one CPU does so at a time, wholly, and never an older judgement
 * over a newer one. The words come last, so a CPU that finds the words current finds what was
 * judged under them. A judgement that isn't kept was right for its packet, and the next packet is
 * judged again.
 */
static __always_inline void miss_keep(const struct pk_scratch *s, struct pk_flow *flow, int reason,
				      __u32 now)
{
	__u8 flags;

	if (__sync_val_compare_and_swap(&flow->judging, 0, 1))
		return;
	if (miss_fresh(s, flow)) {
		PK_STALL(FRESH);
		flags = flow->flags & ~(PK_FLOW_STACK | PK_FLOW_WORLD | PK_FLOW_AT_RESPONDER);
		flags |= miss_way(&s->pkt);
		if (reason && miss_at_responder(s))
			flags |= PK_FLOW_AT_RESPONDER;
		flow->flags = flags;
		flow->rule = s->pkt.verdict.live.rule;
		flow->judged = now;
		if (!flow->reason)
			flow->revoked = now; /* read only while it is denied */
		miss_route(s, flow);
		miss_remote(s, flow);
		WRITE_ONCE(flow->reason, reason);
		PK_STALL(REASON_KEPT);
		miss_words(s, flow);
	}
	__sync_lock_test_and_set(&flow->judging, 0);
}

/* A live flow that its new words deny stays in the table, marked, so that a revert revives it. */
static __always_inline int miss_again(struct pk_scratch *s, struct pk_flow *flow, __u32 len,
				      __u32 now)
{
	bool was_ok = !flow->reason;
	int reason = miss_judge(s);

	if (!reason)
		reason = miss_built(&s->pkt);
	PK_STALL(JUDGED);
	miss_keep(s, flow, reason, now);
	if (reason) {
		if (was_ok)
			s->pkt.event = PK_EVENT_REVOKED;
		return reason;
	}
	if (s->pkt.event == PK_EVENT_ALLOWED) /* not a new one */
		s->pkt.event = 0;
	flow_way(&s->way, flow, &s->key, s->pkt.role);
	flow_touch(flow, &s->key, &s->pkt, len, now);
	return PK_REASON_OK;
}

/* Returns whether the flow still belongs to the same openings of its endpoints as the packet. */
static __always_inline bool miss_same(const struct pk_flow *flow, const struct pk_scratch *s)
{
	const struct pk_pkt *pkt = &s->pkt;

	return flow->slot[flow_own(pkt)] == pkt->slot &&
	       flow->slot[flow_other(pkt)] == pkt->peer_slot && flow_side_same(flow, 0) &&
	       flow_side_same(flow, 1);
}

/*
 * Takes from a translated flow what the packet's addresses don't say: the translation, and the
 * local endpoint at the other side.
 */
static __always_inline void miss_known(struct pk_scratch *s, const struct pk_flow *flow)
{
	struct pk_pkt *pkt = &s->pkt;
	__u32 slot = flow->slot[flow_other(pkt)];

	s->translation = flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION | PK_FLOW_HAIRPIN);
	if (!s->translation)
		return;
	s->translated = flow->address;
	s->translated_port = flow->port;
	if (!slot)
		return;
	pkt->peer_slot = slot;
	pkt->party = slot == pkt->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
}

/*
 * Judges the flow under s->key that an ICMP error is about as its own packets would be; meanwhile
 * s->pkt is one of those.
 */
static __always_inline int miss_quoted(struct pk_scratch *s, struct pk_flow *flow, __u32 now)
{
	struct pk_pkt *pkt = &s->pkt;
	__u16 flags = pkt->flags;
	__u8 proto = pkt->proto;
	int reason = PK_REASON_ICMP_UNRELATED;

	pkt->proto = s->key.proto;
	pkt->flags = flags & ~PK_PKT_ICMP_ERROR;
	pkt->flags |= pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6 ? PK_PKT_ECHO_REPLY
										 : PK_PKT_PORTS;
	miss_known(s, flow);
	miss_ends(s);
	if (miss_same(flow, s)) {
		reason = miss_judge(s);
		if (!reason)
			reason = miss_built(pkt);
		miss_keep(s, flow, reason, now);
	}
	pkt->event = 0;
	pkt->proto = proto;
	pkt->flags = flags;
	return reason;
}

/*
 * ICMP redirects and router advertisements are refused: an endpoint has one router, which sends
 * neither.
 */
static __always_inline bool miss_is_routers(const struct pk_pkt *pkt)
{
	return pkt->proto == IPPROTO_ICMP &&
	       (pkt->icmp_type == ICMP_REDIRECT || pkt->icmp_type == ICMP_ROUTERADVERT);
}

/*
 * Judges a packet that may begin a connection. An ICMP message that is neither echo nor error
 * belongs to no connection, and each is judged by its type and code.
 */
static __always_inline int miss_first(struct __sk_buff *skb, struct pk_scratch *s, __u32 now)
{
	int reason;

	s->pkt.role = 0;
	flow_key(&s->key, &s->pkt, false);
	miss_ends(s);
	if (!flow_may_begin(&s->pkt))
		return flow_missing(&s->pkt);
	if (s->pkt.flags & PK_PKT_ICMP_OTHER && miss_is_routers(&s->pkt))
		return PK_REASON_SPOOFED_ND;
	reason = miss_judge(s);
	if (!reason)
		reason = miss_built(&s->pkt);
	if (!reason && s->pkt.dir == PK_EGRESS && miss_is_routed(&s->pkt) &&
	    s->pkt.party != PK_PARTY_ENDPOINT)
		reason = nat_choose(s);
	if (reason || s->pkt.flags & PK_PKT_ICMP_OTHER)
		return reason;
	return miss_insert(skb, s, now);
}

/*
 * Returns whether both ends' SYNs have crossed (RFC 9293 3.5), so that this one answers the first.
 * A SYN can be an answer only where no packet of the responder's was seen.
 */
static __always_inline struct pk_flow *miss_crossed(struct pk_scratch *s, __u32 now)
{
	struct pk_flow *flow;

	if (!flow_is_syn(&s->pkt))
		return NULL;
	flow_key_mirror(&s->old, &s->key);
	flow = bpf_map_lookup_elem(&flows, &s->old);
	if (likely(!flow) || flow->kind != PK_FLOW_PRIMARY || flow->state != PK_FLOW_NEW ||
	    pk_flow_expired(flow, now, pk_hz))
		return NULL;
	s->key = s->old;
	s->pkt.role = 1;
	return flow;
}

/*
 * Judges s->pkt, whose peer is resolved and whose translation is chosen, and makes or renews the
 * flow. A flow that is over is deleted, and the packet is then looked at once more as if it had
 * never been (again: the tail call that does so).
 */
static __always_inline int miss_decide(struct __sk_buff *skb, struct pk_scratch *s, __u8 again)
{
	struct pk_flow *flow = flow_find(&s->key, &s->pkt);
	__u32 now = flow_now();

	if (!flow)
		flow = miss_crossed(s, now);
	if (!flow)
		return miss_first(skb, s, now);
	if (flow_is_others(flow, &s->pkt))
		return PK_REASON_NO_FLOW;
	miss_known(s, flow);
	miss_ends(s);
	if (!pk_flow_expired(flow, now, pk_hz) && miss_same(flow, s) &&
	    !flow_begins_anew(flow, &s->pkt) && !nat_is_lost(flow, s))
		return miss_again(s, flow, skb->len, now);
	place_end(s);
	s->pkt.tail = again;
	return PK_REASON_OK;
}
