/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Verdicts, ranks and reserved numbers, shared by compiler, evaluator and data path (policy.md). */
#include <linux/types.h>

enum pk_verdict {
	PK_DENY = 0,
	PK_ALLOW = 1,
};

/* The higher tier is asked first. */
enum pk_tier {
	PK_TIER_BUILTIN = 0, /* the baseline of the configuration */
	PK_TIER_BASELINE = 1,
	PK_TIER_TENANT = 2,
	PK_TIER_OPERATOR = 3,
};

enum pk_kind {
	PK_KIND_NONE = 0,
	PK_KIND_DEFAULT = 1, /* default deny of a tier (of BUILTIN: nothing allowed it) */
	PK_KIND_PASS = 2,
	PK_KIND_ALLOW = 3,
	PK_KIND_DENY = 4,
};

/* Where a verdict comes from; the higher one wins. 0 = no verdict. */
#define PK_RANK(tier, kind) ((__u8)((tier) * 8 + (kind)))
#define PK_RANK_TIER(rank)  ((rank) >> 3)
#define PK_RANK_KIND(rank)  ((rank) & 7)
#define PK_RANK_PUBLISHED   PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW)
#define PK_RANK_CHECKED	    PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW)

/*
 * Classes: peers that a rule set treats alike in one direction. 1 to 63 are reserved;
 * a rule set numbers its own from PK_CLASS_FIRST.
 */
enum pk_class {
	PK_CLASS_NONE = 0,
	PK_CLASS_HOST = 1,
	PK_CLASS_WORLD4 = 2,
	PK_CLASS_WORLD6 = 3,
	PK_CLASS_REMOTE_NODE = 4,
	PK_CLASS_INIT = 5,
	PK_CLASS_UNKNOWN = 6, /* of the pools, but nobody knows whose */
	PK_CLASS_SAME_TENANT = 7,
	PK_CLASS_OTHER_TENANT = 8,
	PK_CLASS_ANY = 9, /* for every peer, beside its own class, where PK_RULE_SET_ANY says so */
	PK_CLASS_FIRST = 64,
	/* The classes of the lists that are asked beside the own one are numbered from here on. */
	PK_CLASS_ALL = 1 << 29,
	PK_CLASS_SOME = 1 << 30,
};

/* Rule numbers below this are the built-in baseline's; the others name a document's entry. */
#define PK_BUILTIN_RULES(X)                                                                        \
	X(0, NONE, "no rule")                                                                      \
	X(1, SELF, "baseline: an endpoint reaches itself")                                         \
	X(2, SAME_TENANT, "baseline: same namespace")                                              \
	X(3, WORLD, "baseline: egress to the world")                                               \
	X(4, PROTECTED, "baseline: protected addresses")                                           \
	X(5, RESOLVER, "baseline: configured resolvers")                                           \
	X(6, PUBLISHED, "baseline: published port")                                                \
	X(7, CHECKED, "baseline: registered health check")                                         \
	X(8, OPEN, "baseline: open")                                                               \
	X(9, DEFAULT, "baseline: nothing allows it")
#define PK_RULE_ENUM_(nr, sym, text) PK_RULE_##sym = nr,
enum pk_builtin_rule { PK_BUILTIN_RULES(PK_RULE_ENUM_) PK_RULE_BUILTIN_COUNT };
#define PK_RULE_FIRST 64

/* ICMP's stand-in for a port: type in the high byte, code in the low one; host byte order. */
#define PK_PORT_ICMP(type, code) ((__u16)((type) << 8 | (code)))
