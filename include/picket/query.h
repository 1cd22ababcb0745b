/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A question to bpf/judge.bpf.c through BPF_PROG_TEST_RUN: 14 bytes of Ethernet header (ethertype
 * neither IPv4 nor IPv6), then one struct pk_query; `answer` and `class` are written in place. The
 * program returns 0, or 2 where the packet is shorter than that.
 */
#include <linux/types.h>
#include "picket/maps.h"

/* What a peer is to a rule set. */
enum pk_party {
	PK_PARTY_NONE = 0,
	PK_PARTY_ENDPOINT = 1,	  /* identity and tenant are known; tenant 0 is init */
	PK_PARTY_UNKNOWN = 2,	  /* an address of the pools whose owner isn't known */
	PK_PARTY_HOST = 3,	  /* this node's own root namespace */
	PK_PARTY_REMOTE_NODE = 4, /* another node's own address */
	PK_PARTY_WORLD = 5,	  /* anybody else, told by address */
	PK_PARTY_SELF = 6,	  /* the endpoint itself */
};

struct pk_query {
	__u32 rule_set;
	__u32 slot;	  /* the subject's, for open_ports; 0 = none */
	__u32 own_tenant; /* the subject's */
	__u32 identity;	  /* the peer's, ENDPOINT */
	__u32 tenant;	  /* the peer's, ENDPOINT */
	__u8 dir;	  /* enum pk_dir, seen from the subject */
	__u8 party;	  /* enum pk_party */
	__u8 proto;
	__u8 pad;
	__be16 port; /* the responder's; ICMP: type << 8 | code */
	__u16 pad2;
	__u32 class;	    /* out: enum pk_class, or the rule set's own */
	union pk_addr addr; /* the peer's, WORLD */
	struct pk_verdict_value answer;
	__u32 found;   /* out: 1 = the rule set is there; 0: denied without a rule (no-rule-set) */
	__u32 jiffies; /* out, by judge.bpf.c: the clock that flows expire by */
};
PK_ABI(struct pk_query, 72);
#define PK_QUERY_OFFSET 14
