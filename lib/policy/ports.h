/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One class of peers in one direction: what every protocol and port of it gets, as longest-match
 * entries without conflicts (state.md, "Verdict").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picket/maps.h"

#define PK_SPAN_ALL (-1) /* every protocol */

/* Ports lo..hi of a protocol; ICMP: type << 8 | code; protocols without ports: 0..65535. */
struct pk_span {
	int16_t proto;
	uint16_t lo, hi;
};

/* An entry that matches the class. */
struct pk_claim {
	uint8_t tier, kind; /* enum pk_tier; ALLOW, DENY, PASS */
	bool audit;	    /* counts in the audit judgement only */
	uint32_t rule;
	const struct pk_span *spans;
	size_t n_spans;
};

/* Default deny by tier: the rule that asked for it first. */
struct pk_defaults {
	bool live[4], audit[4]; /* audit: with the audit documents too */
	uint32_t live_rule[4], audit_rule[4];
	bool none;	  /* a name class: what nothing claims has no verdict at all */
	uint32_t builtin; /* PK_RULE_* where nothing decides */
};

struct pk_port_entry {
	struct pk_verdict_value value;
	uint32_t prefixlen; /* PK_VERDICT_BITS_DIR .. PK_VERDICT_BITS_PORT */
	uint8_t proto;
	uint8_t pad;
	uint16_t port; /* host order */
};

struct pk_port_table {
	struct pk_port_entry *entries;
	size_t n, room;
};

/*
 * claims: sorted, the one that wins first (higher rank, then document name and place).
 * Appends to *out, which the caller frees.
 */
void pk_ports_compile(const struct pk_claim *claims, size_t n, const struct pk_defaults *defaults,
		      struct pk_port_table *out);
