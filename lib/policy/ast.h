/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A policy document as its author wrote it, checked against docs/policy.md ("A rule"), nothing
 * resolved. Made by doc.c, read by judge.c (the reference evaluator) and compile.c. All memory
 * belongs to the document.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "picket/limits.h"
#include "picket/maps.h"
#include "picket/policy.h"

enum pk_op { PK_OP_IN, PK_OP_NOT_IN, PK_OP_EXISTS, PK_OP_NOT_EXISTS };

/*
 * One requirement; a matchLabels pair is IN with one value. All requirements of a selector must
 * hold.
 */
struct pk_requirement {
	char *key; /* canonical, "source:key": aliases and bare keys are resolved by the parser */
	enum pk_op op;
	char **values;
	size_t n_values;
	bool from_labels; /* written under matchLabels */
};

enum pk_entity {
	PK_ENTITY_NONE, /* matches nothing */
	PK_ENTITY_ALL,
	PK_ENTITY_WORLD,
	PK_ENTITY_WORLD4,
	PK_ENTITY_WORLD6,
	PK_ENTITY_CLUSTER,
	PK_ENTITY_HOST,
	PK_ENTITY_REMOTE_NODE,
	PK_ENTITY_INIT,
};

struct pk_selector {
	struct pk_requirement *req;
	size_t n_req;
	bool is_entity; /* exactly matchLabels: {reserved:X} */
	enum pk_entity entity;
};

struct pk_cidr_rule {
	struct pk_prefix cidr; /* masked */
	struct pk_prefix *except;
	size_t n_except;
};

struct pk_service_ref {
	char *name;
	/* NULL: the document's own namespace; in an operator document without one, any. */
	char *tenant_name;
};

struct pk_fqdn {
	char *name;    /* matchName, lower case, no trailing dot; NULL if pattern */
	char *pattern; /* matchPattern */
};

enum pk_peers_kind {
	PK_PEERS_ABSENT, /* no peer key: entity all */
	PK_PEERS_ENDPOINTS,
	PK_PEERS_CIDR, /* CIDR and CIDRSet alike */
	PK_PEERS_ENTITIES,
	PK_PEERS_SERVICES,
	PK_PEERS_FQDNS,
};

#define PK_PROTO_ANY 0xff /* TCP, UDP and SCTP (not ICMP) */

struct pk_port_rule {
	bool icmp;	    /* an `icmps` field */
	uint8_t proto;	    /* IP protocol number, or PK_PROTO_ANY */
	bool v6;	    /* icmp: family IPv6 */
	char *label;	    /* a Nomad port label, or NULL */
	uint16_t port, end; /* inclusive, host order; 0..65535 = every port */
	uint8_t type;	    /* icmp */
	int16_t code;	    /* icmp; -1 = any */
};

/* One allow or deny entry of a direction. */
struct pk_entry {
	bool empty; /* {}: matches nothing, turns default deny on */
	bool deny, pass;
	enum pk_peers_kind kind;
	struct pk_selector *selectors; /* PK_PEERS_ENDPOINTS; empty list matches nothing */
	size_t n_selectors;
	struct pk_cidr_rule *cidrs;
	size_t n_cidrs;
	enum pk_entity *entities;
	size_t n_entities;
	struct pk_service_ref *services;
	size_t n_services;
	struct pk_fqdn *fqdns;
	size_t n_fqdns;
	bool has_ports; /* toPorts or icmps given; else every protocol */
	struct pk_port_rule *ports;
	size_t n_ports;
	int line;	 /* of the entry in its file, 1-based */
	uint32_t number; /* rule number, set by pk_rules_number(); 0 = none yet */
};

static inline enum pk_kind pk_entry_kind(const struct pk_entry *entry)
{
	if (entry->deny)
		return PK_KIND_DENY;
	return entry->pass ? PK_KIND_PASS : PK_KIND_ALLOW;
}
/* "deny", "pass", "allow". */
static inline const char *pk_entry_word(const struct pk_entry *entry)
{
	if (entry->deny)
		return "deny";
	return entry->pass ? "pass" : "allow";
}

struct pk_rule {
	char *description;	    /* or NULL */
	char *log;		    /* log.value or NULL */
	struct pk_selector subject; /* endpointSelector */
	/* By enum pk_dir; in file order, those of the allow list before those of deny. */
	struct pk_entry *entries[2];
	size_t n_entries[2];
	/* Tier and enableDefaultDeny are applied; false without entries. */
	bool default_deny[2];
	int line;
};

struct pk_document {
	char *source;	   /* docsource.h, or "" (expectations) */
	char *name;	   /* unique in its source */
	char *path;	   /* file or key, for messages */
	char *tenant_name; /* tenant policy, or NULL: operator policy */
	enum pk_tier tier; /* BASELINE, TENANT or OPERATOR */
	bool audit;
	bool uses_fqdn;
	struct pk_rule *rules;
	size_t n_rules;
	size_t n_prefixes; /* that its entries name, both directions together */
};

/*
 * Returns the list for an entry's prefixes. A list beside the rule set's own is used where the
 * entries that belong to it and select the subject name PK_CIDR_BESIDE_MIN prefixes together; with
 * fewer, all of them stand in the own list. The prefixes of a pass always do, since it hands on to
 * entries of the own list.
 */
static inline enum pk_list pk_entry_list(const struct pk_document *doc, const struct pk_rule *rule,
					 const struct pk_entry *entry)
{
	if (entry->kind != PK_PEERS_CIDR || entry->pass || doc->tenant_name)
		return PK_LIST_OWN;
	return rule->subject.n_req || rule->subject.is_entity ? PK_LIST_SOME : PK_LIST_ALL;
}

static inline size_t pk_entry_prefixes(const struct pk_entry *entry)
{
	size_t n = entry->n_cidrs;

	for (size_t i = 0; i < entry->n_cidrs; i++)
		n += entry->cidrs[i].n_except;
	return n;
}

void pk_document_free(struct pk_document *doc);
