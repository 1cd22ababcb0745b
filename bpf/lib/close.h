/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Ends flows, and tells of those whose endpoints' words ask for it: what each side sent, once, by
 * the CPU that deletes the flow. No packet of an established flow comes here.
 */
#include "lib/event.h"
#include "lib/flow.h"

/* Says which flow is to end, by its key in scratch. */
enum close_what {
	CLOSE_KEY,  /* s->key's */
	CLOSE_OLD,  /* s->old's */
	CLOSE_MADE, /* s->key's, whose first packet couldn't be delivered: nobody hears of it */
};

static __always_inline enum pk_flow_end close_how(const struct pk_flow *flow, __u32 now)
{
	__u8 fins = PK_FLOW_FIN(0) | PK_FLOW_FIN(1);

	if (!flow_alive(flow, 0) || !flow_alive(flow, 1))
		return PK_FLOW_END_ENDPOINT;
	if (flow->reason)
		return PK_FLOW_END_REVOKED;
	if (flow->state == PK_FLOW_CLOSED && (flow->flags & fins) == fins)
		return PK_FLOW_END_FIN;
	if (flow->state == PK_FLOW_CLOSED || flow->state == PK_FLOW_RESET)
		return PK_FLOW_END_RESET;
	return pk_flow_expired(flow, now, pk_hz) ? PK_FLOW_END_TIMEOUT : PK_FLOW_END_REPLACED;
}

/* Returns the side's slot; 0 where it is another endpoint's by now, who has no part in the flow. */
static __always_inline __u32 close_slot(const struct pk_flow *flow, int side)
{
	return flow_side_same(flow, side) ? flow->slot[side] : 0;
}

/* Fills in who has that side of the flow, by the address that policy knows it by. */
static __always_inline void close_who(const struct pk_flow *flow, int side,
				      const union pk_addr *addr, __u32 *identity, __u32 *tenant)
{
	__u32 slot = flow->slot[side];
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;
	const struct pk_remote *r = slot ? NULL : bpf_map_lookup_elem(&remote, addr);

	if (ep && ep->opened == flow->opened[side]) {
		*identity = ep->identity;
		*tenant = ep->tenant;
	} else if (r) {
		*identity = r->identity;
		*tenant = r->tenant;
	}
}

/* Returns what the side without a slot is to the other one, where the table doesn't say so. */
static __always_inline enum pk_party close_party(const struct pk_flow *flow)
{
	if (flow->slot[0] && flow->slot[1])
		return flow->slot[0] == flow->slot[1] ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
	if (flow->flags & PK_FLOW_STACK)
		return PK_PARTY_HOST;
	return flow->remote == PK_FLOW_NOT_REMOTE ? PK_PARTY_WORLD : PK_PARTY_ENDPOINT;
}

/* Fills in the addresses as the responder has them: answer is what it sends. */
static __always_inline void close_tuple(struct pk_event *e, const struct pk_flow_key *answer)
{
	bool v4 = pk_addr_is_v4(&answer->src);

	e->src = answer->dst;
	e->dst = answer->src;
	e->sport = answer->dport;
	e->dport = answer->sport;
	e->proto = answer->proto;
	e->ethertype = v4 ? ETH_P_IP : ETH_P_IPV6;
	if (e->proto == IPPROTO_ICMP)
		e->dport = bpf_htons(PK_PORT_ICMP(ICMP_ECHO, 0));
	else if (e->proto == IPPROTO_ICMPV6)
		e->dport = bpf_htons(PK_PORT_ICMP(ICMPV6_ECHO_REQUEST, 0));
}

static __always_inline void close_counts(struct pk_event_closed *c, const struct pk_flow_key *key,
					 const struct pk_flow *flow, __u32 now)
{
	__u32 last = flow->expires - flow_seconds(key, flow->state) * pk_hz;

	c->packets[0] = flow->packets[0];
	c->packets[1] = flow->packets[1];
	c->bytes[0] = flow->bytes[0];
	c->bytes[1] = flow->bytes[1];
	/* Time-outs may have changed meanwhile: the flow's whole life is the bound. */
	c->seconds =
		last - flow->begun <= now - flow->begun ? last - flow->begun : now - flow->begun;
	c->seconds /= pk_hz;
	c->how = close_how(flow, now);
}

static __always_inline void close_event(struct pk_event_closed *c, const struct pk_flow *flow,
					const struct pk_flow_key *answer)
{
	bool there = !flow->slot[0] || flow->flags & PK_FLOW_AT_RESPONDER;
	struct pk_event *e = &c->event;

	e->version = PK_EVENT_CLOSED_VERSION;
	e->type = PK_EVENT_CLOSED;
	e->reason = flow->reason;
	e->dir = there ? PK_INGRESS : PK_EGRESS;
	e->slot = close_slot(flow, there);
	e->peer_slot = close_slot(flow, !there);
	e->ns = bpf_ktime_get_boot_ns();
	close_tuple(e, answer);
	close_who(flow, 0, &answer->dst, &e->src_identity, &e->src_tenant);
	close_who(flow, 1, &answer->src, &e->dst_identity, &e->dst_tenant);
	e->party = close_party(flow);
	e->rule = flow->rule;
	e->rank = flow->rank;
	e->revision = PK_WORD_REVISION(flow->word[there]);
}

static __always_inline bool close_is_told(const struct pk_flow *flow)
{
	return unlikely(PK_WORD_FLAGS(flow->word[0] | flow->word[1]) & PK_WORD_LOG_CLOSED);
}

/* Writes what is to be told into scratch, before the flow's memory may be another's. */
static __always_inline void close_fill(struct pk_scratch *s, const struct pk_flow_key *key,
				       const struct pk_flow *flow)
{
	struct pk_event_closed *c = &s->closed;

	__builtin_memset(c, 0, sizeof(*c));
	close_event(c, flow, &s->answer);
	close_counts(c, key, flow, flow_now());
}

/* Tells it, on the account of the flow's owner. */
static __always_inline void close_tell(const struct pk_event_closed *closed, __u32 owner)
{
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &owner);
	struct pk_bucket *b = bucket_of(owner);
	struct pk_event_closed *c = NULL;

	if (!ep || !b)
		return;
	if (event_affordable(ep->tenant, b))
		c = bpf_ringbuf_reserve(&events, sizeof(*c), 0);
	if (!c) {
		event_is_lost(b);
		return;
	}
	*c = *closed;
	c->event.lost = event_untold(b);
	bpf_ringbuf_submit(c, 0);
}

/* Deletes the alias of a translated flow, whose responder sends answer. */
static __always_inline void close_alias(const struct pk_flow_key *key,
					const struct pk_flow_key *answer)
{
	const struct pk_flow *alias = bpf_map_lookup_elem(&flows, answer);

	if (alias && alias->kind == PK_FLOW_ALIAS && flow_key_same(&alias->primary, key))
		bpf_map_delete_elem(&flows, answer);
}

/*
 * Ends a flow, and its alias before it. This is a function that is verified on its own, since many
 * ways lead here.
 */
__noinline int pk_flow_close(__u32 what)
{
	struct pk_scratch *s = scratch_get();
	const struct pk_flow *flow;
	struct pk_flow_key *key;
	__u32 owner = 0;

	if (!s)
		return 0;
	key = what == CLOSE_OLD ? &s->old : &s->key;
	flow = bpf_map_lookup_elem(&flows, key);
	if (!flow || flow->kind != PK_FLOW_PRIMARY)
		return 0;
	flow_answer_key(&s->answer, flow, key);
	if (unlikely(flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION)))
		close_alias(key, &s->answer);
	if (what != CLOSE_MADE && close_is_told(flow) && event_wanted()) {
		owner = close_slot(flow, !flow->slot[0]);
		close_fill(s, key, flow);
	}
	/* The CPU that deletes it tells, where two end it at once. */
	if (!bpf_map_delete_elem(&flows, key) && owner)
		close_tell(&s->closed, owner);
	return 0;
}
