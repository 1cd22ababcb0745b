/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Judges a connection from its initiator to its responder, also where the packet is a reply: the
 * egress of a local initiator and the ingress of a local responder, in one pass.
 */
#include "lib/flow.h"
#include "lib/peer.h"
#include "lib/policy.h"
#include "lib/scratch.h"

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

	pkt->count_slot = of->slot;
	pkt->count_dir = dir;
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
	pkt->count_slot = pkt->slot;
	pkt->count_dir = pkt->dir;
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
