/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a firewall's chains do with a new packet of an endpoint's device, of which nothing else is
 * known: not its addresses, its protocol, its port. A rule that asks for such a thing may match,
 * and decides nothing; the others do, as far as jumps lead.
 */
#include "firewall.h"

enum fw_match { FW_NEVER, FW_MAYBE, FW_SURE };
enum fw_verdict { FW_NEXT, FW_ACCEPT, FW_DROP, FW_RETURN, FW_JUMP, FW_GOTO };
enum fw_hook { FW_INPUT, FW_FORWARD, FW_HOOKS };
/* The packet: of a device pk*, of one that no rule names, or to the port that is asked for. */
enum fw_who { FW_OURS, FW_STRANGER, FW_PORT, FW_WHO };

#define FW_NOWHERE ((size_t)-1)
#define FW_NAME	   256 /* nftables' longest, with its NUL */

struct fw_rule {
	enum fw_match match[FW_HOOKS][FW_WHO];
	enum fw_verdict verdict;
	size_t to; /* of a jump: the chain's number; FW_NOWHERE: there is none */
};

struct fw_chain {
	char tool[20], family[8], table[FW_NAME], name[FW_NAME];
	bool base;
	enum fw_hook hook; /* of a base chain */
	bool drops;	   /* its policy */
	struct fw_rule *rule;
	size_t n, room;
};

struct fw_chains {
	struct fw_chain *chain;
	size_t n, room;
	uint16_t port; /* of UDP, in host order; 0 = none is asked for */
};

/* Returns a rule that asks nothing and decides nothing. */
struct fw_rule fw_rule_any(void);
/* Puts one more condition on the rule: how far it holds for packets of `who` at the hook. */
void fw_rule_only(struct fw_rule *rule, enum fw_hook hook, enum fw_who who, enum fw_match match);
void fw_rule_maybe(struct fw_rule *rule);
/*
 * Puts a condition on a device's name: that of the device which a packet came by (`in`) or leaves
 * by begins with these n bytes, or with `negated` doesn't. A NUL among them ends the name.
 */
void fw_rule_device(struct fw_rule *rule, bool in, const char *name, size_t n, bool negated);
/*
 * Puts a condition on the protocol or the destination port. asked: it is met by the port that is
 * asked for.
 */
void fw_rule_port(struct fw_rule *rule, bool asked);

size_t fw_chain_add(struct fw_chains *all, const struct fw_chain *chain);
/* Returns the chain's number, or FW_NOWHERE. */
size_t fw_chain_find(const struct fw_chains *all, const char *family, const char *table,
		     const char *name);
void fw_chain_rule(struct fw_chain *chain, const struct fw_rule *rule);
/*
 * Adds to `firewall` the base chains that drop our packets, or would drop a packet of a device that
 * no rule names.
 */
void fw_walk(const struct fw_chains *all, struct pk_firewall *firewall);
void fw_chains_free(struct fw_chains *all);
