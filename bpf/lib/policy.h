/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Answers one question by a rule set: the peer's class, its most specific entry, and what stands
 * beside that (the operator's lists, rules for any peer, open ports); the highest rank wins.
 * Nothing else reads the policy tables.
 */
#include "lib/maps_policy.h"

static __always_inline __u32 policy_class_by_peer(const struct pk_query *q, __u32 peer)
{
	struct pk_peer_class_key key = { q->rule_set, peer, q->dir };
	const __u32 *class = bpf_map_lookup_elem(&peer_class, &key);

	return class ? *class : PK_CLASS_NONE;
}

/* Finds the class by identity, else by tenant, else the reserved one of the peer's kind. */
static __always_inline __u32 policy_class_endpoint(const struct pk_query *q)
{
	__u32 class = q->identity ? policy_class_by_peer(q, q->identity) : PK_CLASS_NONE;

	if (class)
		return class;
	if (!q->tenant)
		return PK_CLASS_INIT;
	class = policy_class_by_peer(q, q->tenant | PK_PEER_TENANT);
	if (class)
		return class;
	return q->tenant == q->own_tenant ? PK_CLASS_SAME_TENANT : PK_CLASS_OTHER_TENANT;
}

/* Returns the class of the address in a list of the rule set, or PK_CLASS_NONE. */
static __always_inline __u32 policy_class_listed(const struct pk_query *q,
						 const struct pk_rule_set *set, enum pk_list kind)
{
	struct pk_cidr_key key = { .prefixlen = 32 + 128 };
	const __u32 *class = NULL;

	key.list = set->list[kind + (q->dir & 1)];
	key.addr = q->addr;
	if (key.list)
		class = bpf_map_lookup_elem(&cidr, &key);
	return class ? *class : PK_CLASS_NONE;
}

static __always_inline __u32 policy_class_world(const struct pk_query *q,
						const struct pk_rule_set *set)
{
	__u32 class = policy_class_listed(q, set, PK_LIST_OWN);

	if (class)
		return class;
	return pk_addr_is_v4(&q->addr) ? PK_CLASS_WORLD4 : PK_CLASS_WORLD6;
}

static __always_inline __u32 policy_class(const struct pk_query *q, const struct pk_rule_set *set)
{
	switch (q->party) {
	case PK_PARTY_ENDPOINT:
		return policy_class_endpoint(q);
	case PK_PARTY_UNKNOWN:
		return PK_CLASS_UNKNOWN;
	case PK_PARTY_HOST:
		return PK_CLASS_HOST;
	case PK_PARTY_REMOTE_NODE:
		return PK_CLASS_REMOTE_NODE;
	case PK_PARTY_WORLD:
		return policy_class_world(q, set);
	default:
		return PK_CLASS_NONE;
	}
}

static __always_inline void policy_higher(struct pk_judgement *have, struct pk_judgement other)
{
	if (other.rank > have->rank)
		*have = other;
}

static __always_inline void policy_look(struct pk_query *q, __u32 class)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_PORT,
		.rule_set = q->rule_set,
		.class = class,
		.dir = q->dir,
		.proto = q->proto,
		.port = q->port,
	};
	const struct pk_verdict_value *found = bpf_map_lookup_elem(&verdicts, &key);

	if (!found)
		return;
	policy_higher(&q->answer.live, found->live);
	policy_higher(&q->answer.audit, found->audit);
}

static __always_inline void policy_open_port(struct pk_query *q, __u8 rank, __u32 rule)
{
	struct pk_judgement open = { .verdict = PK_ALLOW, .rank = rank, .rule = rule };

	policy_higher(&q->answer.live, open);
	policy_higher(&q->answer.audit, open);
}

/* Looks the address of the world up in a list of the operator's. */
static __always_inline void policy_beside(struct pk_query *q, const struct pk_rule_set *set,
					  enum pk_list list)
{
	__u32 class = PK_CLASS_NONE;

	if (q->party == PK_PARTY_WORLD)
		class = policy_class_listed(q, set, list);
	if (class)
		policy_look(q, class);
}

/*
 * Looks a port up among the endpoint's own published ports and health checks, for peers that aren't
 * endpoints.
 */
static __always_inline void policy_open_ports(struct pk_query *q)
{
	struct pk_open_port_key key = { .slot = q->slot, .proto = q->proto, .port = q->port };
	const __u32 *flags;

	if (q->dir != PK_INGRESS || !q->slot)
		return;
	if (q->party != PK_PARTY_HOST && q->party != PK_PARTY_WORLD &&
	    q->party != PK_PARTY_REMOTE_NODE)
		return;
	flags = bpf_map_lookup_elem(&open_ports, &key);
	if (!flags)
		return;
	if (*flags & PK_OPEN_PUBLISHED)
		policy_open_port(q, PK_RANK_PUBLISHED, PK_RULE_PUBLISHED);
	if (*flags & PK_OPEN_CHECKED && q->party == PK_PARTY_HOST)
		policy_open_port(q, PK_RANK_CHECKED, PK_RULE_CHECKED);
}

/*
 * Fills in q->answer, q->class, q->found. Without the rule set, or an entry, both judgements are a
 * denial. Returns 0. Not inlined, so that it is verified once, on its own.
 */
__noinline int pk_policy_judge(struct pk_query *q)
{
	const struct pk_judgement nothing = {
		.verdict = PK_DENY,
		.rank = 0, /* any entry ranks higher */
		.rule = PK_RULE_DEFAULT,
	};
	const struct pk_rule_set *set;
	__u32 place;

	if (!q)
		return 0;
	q->answer.live = q->answer.audit = nothing;
	q->class = PK_CLASS_NONE;
	q->found = 0;
	place = q->rule_set;
	set = bpf_map_lookup_elem(&rule_sets, &place);
	if (!set || !place || !set->entries)
		return 0;
	q->found = 1;
	if (q->party == PK_PARTY_SELF) {
		q->answer.live.verdict = q->answer.audit.verdict = PK_ALLOW;
		q->answer.live.rank = q->answer.audit.rank =
			PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW);
		q->answer.live.rule = q->answer.audit.rule = PK_RULE_SELF;
		return 0;
	}
	q->class = policy_class(q, set);
	if (q->class)
		policy_look(q, q->class);
	policy_beside(q, set, PK_LIST_ALL);
	policy_beside(q, set, PK_LIST_SOME);
	if (set->flags & PK_RULE_SET_ANY)
		policy_look(q, PK_CLASS_ANY);
	policy_open_ports(q);
	return 0;
}
