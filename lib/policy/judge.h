/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The reference evaluator: docs/policy.md, "Meaning", sentence by sentence; no tables, no caches,
 * no code of the compiler. The oracle of compiler and data path.
 */
#include "ast.h"
#include "settings.h"
#include "world.h"
#include "picket/maps.h"

enum pk_peer_is {
	PK_PEER_IS_ENDPOINT,
	PK_PEER_IS_UNKNOWN, /* an address of the pools whose owner isn't known */
	PK_PEER_IS_HOST,
	PK_PEER_IS_REMOTE_NODE,
	PK_PEER_IS_WORLD,
};
struct pk_judge_peer {
	enum pk_peer_is is;
	const struct pk_world_endpoint *endpoint; /* ENDPOINT */
	union pk_addr address;			  /* UNKNOWN, WORLD */
};

struct pk_judge_query {
	const struct pk_world_endpoint *subject;
	enum pk_dir dir;
	struct pk_judge_peer peer;
	uint8_t proto;
	uint16_t port; /* the responder's, host order; ICMP: PK_PORT_ICMP(type, code) */
};

struct pk_judge_by {
	const struct pk_settings *settings;
	struct pk_document *const *docs; /* any order */
	size_t n_docs;
};

/* One direction of one endpoint; live and audit judgement with rank and deciding rule. */
void pk_judge(const struct pk_judge_by *judge, const struct pk_judge_query *q,
	      struct pk_verdict_value *out);

/* Does the rule select this endpoint? */
enum pk_tri pk_judge_selects(const struct pk_document *doc, const struct pk_rule *rule,
			     const struct pk_label_set *subject);

/*
 * Every entry that matches the question, whether it decides or not, and each rule that asks for
 * default deny: tier by tier.
 */
struct pk_judge_match {
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *entry; /* DEFAULT: the rule's first one of that direction */
	enum pk_kind kind;
};
size_t pk_judge_matches(const struct pk_judge_by *judge, const struct pk_judge_query *q,
			struct pk_judge_match *out, size_t room);
