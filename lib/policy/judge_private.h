/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by judge.c, which asks tier by tier, and judge_match.c, which asks one entry. */
#include "judge.h"

struct view { /* one document, one entry, one question */
	const struct pk_judge_by *judge;
	const struct pk_question *q;
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *entry;
};

/* Returns whether the protocol has ports, of which a port rule without an ICMP name speaks. */
bool judge_has_ports(uint8_t proto);
bool judge_proto_covers(uint8_t rule, uint8_t proto);
/* Returns the peer's labels; NULL: it is no endpoint, or nothing is known of it. */
const struct pk_label_set *judge_peer_labels(const struct pk_question *q);
/*
 * "Nothing is known" of an address of the pools: every question about it is answered by PK_MAYBE.
 */
bool judge_is_endpoint(const struct pk_question *q);
/* "a deny or a default deny that might select does, an allow or pass that might does not". */
bool judge_entry_decides(const struct view *v);
