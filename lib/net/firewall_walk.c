/* SPDX-License-Identifier: Apache-2.0 */
#include "firewall_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FW_DEEP 16 /* jumps into each other: nftables allows as many */

struct fw_rule fw_rule_any(void)
{
	struct fw_rule rule = { .verdict = FW_NEXT, .to = FW_NOWHERE };

	for (int hook = 0; hook < FW_HOOKS; hook++)
		for (int who = 0; who < FW_WHO; who++)
			rule.match[hook][who] = FW_SURE;
	return rule;
}

void fw_rule_only(struct fw_rule *rule, enum fw_hook hook, enum fw_who who, enum fw_match match)
{
	if (match < rule->match[hook][who])
		rule->match[hook][who] = match;
}

void fw_rule_maybe(struct fw_rule *rule)
{
	for (int hook = 0; hook < FW_HOOKS; hook++)
		for (int who = 0; who < FW_WHO; who++)
			fw_rule_only(rule, (enum fw_hook)hook, (enum fw_who)who, FW_MAYBE);
}

/* Every device of ours is pk and a number; a rule may name one of them. */
static enum fw_match names_ours(const char *name, size_t n)
{
	if (strncmp(name, "pk", n < 2 ? n : 2) != 0)
		return FW_NEVER;
	return n <= 2 ? FW_SURE : FW_MAYBE;
}

/* Takes the rule for one of the port's packet, of which more is known than of the others. */
void fw_rule_port(struct fw_rule *rule, bool asked)
{
	enum fw_match match = asked ? rule->match[FW_INPUT][FW_PORT] : FW_NEVER;

	fw_rule_maybe(rule);
	rule->match[FW_INPUT][FW_PORT] = match;
}

static enum fw_match inverted(enum fw_match match, bool negated)
{
	if (!negated || match == FW_MAYBE)
		return match;
	return match == FW_SURE ? FW_NEVER : FW_SURE;
}

void fw_rule_device(struct fw_rule *rule, bool in, const char *name, size_t n, bool negated)
{
	enum fw_hook ours = in ? FW_INPUT : FW_FORWARD, other = in ? FW_FORWARD : FW_INPUT;

	fw_rule_only(rule, ours, FW_OURS, inverted(names_ours(name, n), negated));
	fw_rule_only(rule, ours, FW_STRANGER, inverted(FW_NEVER, negated));
	fw_rule_only(rule, ours, FW_PORT, FW_MAYBE);
	for (int who = 0; who < FW_WHO; who++) /* by any device comes what is forwarded */
		fw_rule_only(rule, other, (enum fw_who)who,
			     in ? FW_MAYBE : inverted(FW_NEVER, negated));
}

size_t fw_chain_add(struct fw_chains *all, const struct fw_chain *chain)
{
	if (all->n == all->room) {
		all->room = all->room ? 2 * all->room : 16;
		all->chain = reallocarray(all->chain, all->room, sizeof(*all->chain));
		if (!all->chain)
			abort();
	}
	all->chain[all->n] = *chain;
	return all->n++;
}

size_t fw_chain_find(const struct fw_chains *all, const char *family, const char *table,
		     const char *name)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct fw_chain *c = &all->chain[i];

		if (!strcmp(c->name, name) && !strcmp(c->table, table) &&
		    !strcmp(c->family, family))
			return i;
	}
	return FW_NOWHERE;
}

void fw_chain_rule(struct fw_chain *chain, const struct fw_rule *rule)
{
	if (chain->n == chain->room) {
		chain->room = chain->room ? 2 * chain->room : 8;
		chain->rule = reallocarray(chain->rule, chain->room, sizeof(*chain->rule));
		if (!chain->rule)
			abort();
	}
	chain->rule[chain->n++] = *rule;
}

struct packet {
	const struct fw_chains *all;
	enum fw_hook hook;
	enum fw_who who;
};

static enum fw_verdict walk(const struct packet *p, const struct fw_chain *c, int deep)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct fw_rule *rule = &c->rule[i];
		enum fw_match match = rule->match[p->hook][p->who];
		enum fw_verdict verdict = rule->verdict;

		/* A packet that may have returned here isn't sure to see the rest of the chain. */
		if (match == FW_NEVER || (match == FW_MAYBE && verdict != FW_RETURN))
			continue;
		if (verdict == FW_RETURN)
			return FW_NEXT;
		if (verdict == FW_JUMP || verdict == FW_GOTO) {
			verdict = FW_NEXT;
			if (rule->to != FW_NOWHERE && deep < FW_DEEP)
				verdict = walk(p, &p->all->chain[rule->to], deep + 1);
			if (rule->verdict == FW_GOTO)
				return verdict;
		}
		if (verdict != FW_NEXT)
			return verdict;
	}
	return FW_NEXT;
}

static bool drops(const struct fw_chains *all, const struct fw_chain *c, enum fw_who who)
{
	const struct packet p = { .all = all, .hook = c->hook, .who = who };
	enum fw_verdict verdict = walk(&p, c, 0);

	return verdict == FW_NEXT ? c->drops : verdict == FW_DROP;
}

void fw_walk(const struct fw_chains *all, struct pk_firewall *firewall)
{
	for (size_t i = 0; i < all->n && firewall->n < PK_FIREWALL_CHAINS; i++) {
		const struct fw_chain *c = &all->chain[i];
		struct pk_firewall_chain *out = &firewall->chain[firewall->n];
		bool ours;

		if (!c->base)
			continue;
		ours = drops(all, c, FW_OURS);
		if (!ours && !drops(all, c, FW_STRANGER))
			continue;
		*out = (struct pk_firewall_chain){ .input = c->hook == FW_INPUT, .opened = !ours };
		out->port_opened = !all->port || !drops(all, c, FW_PORT);
		snprintf(out->tool, sizeof(out->tool), "%s", c->tool);
		snprintf(out->family, sizeof(out->family), "%s", c->family);
		snprintf(out->table, sizeof(out->table), "%s", c->table);
		snprintf(out->chain, sizeof(out->chain), "%s", c->name);
		firewall->n++;
	}
}

void fw_chains_free(struct fw_chains *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->chain[i].rule);
	free(all->chain);
	*all = (struct fw_chains){ 0 };
}
