/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentence by sentence; quotes are docs/policy.md's. Slow on purpose: nothing is remembered between
 * two questions.
 */
#include "judge_private.h"

#include <netinet/in.h>
#include <string.h>

static bool is_listed(const struct view *v, const struct pk_document *doc,
		      const struct pk_rule *rule, const struct pk_entry *entry, enum pk_list list)
{
	const struct pk_label_set *subject = v->q->subject->labels;
	enum pk_tri tri = pk_judge_selects(doc, rule, subject);

	if (pk_entry_list(doc, rule, entry) != list)
		return false;
	if (entry->deny)
		return tri != PK_NO;
	return tri == PK_YES && (!subject->init || rule->subject.is_entity);
}

/* Counts the prefixes that a list names for the subject, those of audited documents among them. */
static size_t count_listed(const struct view *v, enum pk_list list)
{
	size_t n = 0;

	for (size_t i = 0; i < v->judge->n_docs; i++) {
		const struct pk_document *doc = v->judge->docs[i];

		for (size_t j = 0; j < doc->n_rules; j++) {
			const struct pk_rule *rule = &doc->rules[j];
			const struct pk_entry *e = rule->entries[v->q->dir];

			for (size_t k = 0; k < rule->n_entries[v->q->dir]; k++)
				if (is_listed(v, doc, rule, &e[k], list))
					n += pk_entry_prefixes(&e[k]);
		}
	}
	return n;
}

/* "of two rules of one rank that decide alike the rule set's own is shown": then list by list. */
static enum pk_list list_of(const struct view *v)
{
	enum pk_list list = pk_entry_list(v->doc, v->rule, v->entry);

	if (list != PK_LIST_OWN && count_listed(v, list) < PK_CIDR_BESIDE_MIN)
		return PK_LIST_OWN;
	return list;
}

/* "the first by document name and place, those of the operator's lists last" */
struct first {
	const struct pk_document *doc;
	const struct pk_entry *entry;
	enum pk_list list;
};

static void keep_first(struct first *first, const struct view *v, enum pk_list list)
{
	int c = -1;

	if (first->entry)
		c = (int)list - (int)first->list;
	if (first->entry && c == 0) {
		c = strcmp(v->doc->name, first->doc->name);
		if (c == 0)
			c = strcmp(v->doc->source, first->doc->source);
	}
	/* The walk within a document is in order of location. */
	if (c < 0)
		*first = (struct first){ v->doc, v->entry, list };
}

struct tier {
	struct first deny, allow, pass, fallback;
};

static void ask_rule(struct view *v, struct tier *t)
{
	const struct pk_rule *rule = v->rule;
	enum pk_dir dir = v->q->dir;
	enum pk_list list;

	for (size_t i = 0; i < rule->n_entries[dir]; i++) {
		v->entry = &rule->entries[dir][i];
		if (!judge_entry_decides(v))
			continue;
		list = list_of(v);
		if (v->entry->deny)
			keep_first(&t->deny, v, list);
		else
			keep_first(v->entry->pass ? &t->pass : &t->allow, v, list);
	}
	if (rule->default_deny[dir] && rule->n_entries[dir] &&
	    pk_judge_selects(v->doc, rule, v->q->subject->labels) != PK_NO) {
		v->entry = &rule->entries[dir][0];
		keep_first(&t->fallback, v, PK_LIST_OWN);
	}
}

static bool opens(const struct pk_own_port *ports, size_t n, const struct pk_question *q)
{
	for (size_t i = 0; i < n; i++)
		if (judge_has_ports(q->proto) && judge_proto_covers(ports[i].proto, q->proto) &&
		    ports[i].port == q->port)
			return true;
	return false;
}

/* "`host` may open what the alloc registered a check for, as an allow of the operator tier". */
static bool is_checked(const struct pk_judge_by *judge, const struct pk_question *q)
{
	return judge->settings->health_checks && q->dir == PK_INGRESS &&
	       q->peer.party == PK_PARTY_HOST && !q->subject->labels->init &&
	       opens(q->subject->checks, q->subject->n_checks, q);
}

static struct pk_judgement found(enum pk_verdict verdict, enum pk_tier tier, enum pk_kind kind,
				 uint32_t rule)
{
	return (struct pk_judgement){ .verdict = verdict,
				      .rank = PK_RANK(tier, kind),
				      .rule = rule };
}

/* Asks one tier; returns whether it decides. */
static bool ask_tier(const struct pk_judge_by *judge, const struct pk_question *q,
		     enum pk_tier tier, bool audit, struct pk_judgement *out)
{
	struct tier t = { 0 };

	for (size_t i = 0; i < judge->n_docs; i++) {
		const struct pk_document *doc = judge->docs[i];

		if (doc->tier != tier || (doc->audit && !audit))
			continue;
		for (size_t j = 0; j < doc->n_rules; j++) {
			struct view v = { judge, q, doc, &doc->rules[j], NULL };

			ask_rule(&v, &t);
		}
	}
	if (t.deny.entry)
		*out = found(PK_DENY, tier, PK_KIND_DENY, t.deny.entry->number);
	else if (t.allow.entry)
		*out = found(PK_ALLOW, tier, PK_KIND_ALLOW, t.allow.entry->number);
	else if (tier == PK_TIER_OPERATOR && is_checked(judge, q))
		*out = found(PK_ALLOW, tier, PK_KIND_ALLOW, PK_RULE_CHECKED);
	else if (!t.pass.entry && t.fallback.entry)
		*out = found(PK_DENY, tier, PK_KIND_DEFAULT, t.fallback.entry->number);
	else
		return false;
	return true;
}

static bool is_resolver(const struct pk_settings *s, const struct pk_question *q)
{
	if ((q->proto != IPPROTO_UDP && q->proto != IPPROTO_TCP) || q->port != 53)
		return false;
	if (q->peer.party == PK_PARTY_HOST)
		return s->resolver_host;
	for (size_t i = 0; i < s->n_resolvers && q->peer.party == PK_PARTY_WORLD; i++)
		if (pk_addr_equal(&s->resolvers[i], &q->peer.address))
			return true;
	return false;
}

static bool same_namespace(const struct pk_question *q)
{
	const struct pk_label_set *peer = judge_peer_labels(q);

	return peer && peer->tenant_name && q->subject->labels->tenant_name &&
	       strcmp(peer->tenant_name, q->subject->labels->tenant_name) == 0;
}

/* "The built-in baseline (config `baseline`)"; 0 = nothing allows it. */
static uint32_t baseline_allow(const struct pk_settings *s, const struct pk_question *q)
{
	bool world = q->peer.party == PK_PARTY_WORLD;

	if (q->subject->labels->init || s->baseline == PK_BASELINE_DENY)
		return 0;
	if (s->baseline == PK_BASELINE_OPEN)
		return PK_RULE_OPEN;
	if (same_namespace(q))
		return PK_RULE_SAME_TENANT;
	if (q->dir == PK_EGRESS && world && !pk_is_protected(&q->peer.address))
		return PK_RULE_WORLD;
	if (q->dir == PK_EGRESS && is_resolver(s, q))
		return PK_RULE_RESOLVER;
	if (q->dir == PK_INGRESS && !judge_is_endpoint(q) &&
	    opens(q->subject->published, q->subject->n_published, q))
		return PK_RULE_PUBLISHED;
	return 0;
}

static struct pk_judgement ask_baseline(const struct pk_settings *s, const struct pk_question *q)
{
	uint32_t rule = baseline_allow(s, q);

	if (rule)
		return found(PK_ALLOW, PK_TIER_BUILTIN, PK_KIND_ALLOW, rule);
	rule = PK_RULE_DEFAULT;
	if (s->baseline == PK_BASELINE_TENANT && q->dir == PK_EGRESS && !q->subject->labels->init &&
	    q->peer.party == PK_PARTY_WORLD)
		rule = PK_RULE_PROTECTED;
	return found(PK_DENY, PK_TIER_BUILTIN, PK_KIND_DEFAULT, rule);
}

static struct pk_judgement judge_once(const struct pk_judge_by *judge, const struct pk_question *q,
				      bool audit)
{
	static const enum pk_tier tiers[] = { PK_TIER_OPERATOR, PK_TIER_TENANT, PK_TIER_BASELINE };
	struct pk_judgement out;

	/* "An endpoint always reaches itself." */
	if (q->peer.party == PK_PARTY_ENDPOINT &&
	    strcmp(q->peer.endpoint->key, q->subject->key) == 0)
		return found(PK_ALLOW, PK_TIER_OPERATOR, PK_KIND_ALLOW, PK_RULE_SELF);
	for (size_t i = 0; i < PK_ARRAY_LEN(tiers); i++)
		if (ask_tier(judge, q, tiers[i], audit, &out))
			return out;
	return ask_baseline(judge->settings, q);
}

void pk_judge(const struct pk_judge_by *judge, const struct pk_question *q,
	      struct pk_verdict_value *out)
{
	out->live = judge_once(judge, q, false);
	out->audit = judge_once(judge, q, true);
}

static void push_match(struct pk_judge_match *out, size_t *n, size_t room, const struct view *v,
		       enum pk_kind kind)
{
	if (*n < room)
		out[*n] = (struct pk_judge_match){ v->doc, v->rule, v->entry, kind };
	*n += *n < room;
}

static void match_rule(struct view *v, struct pk_judge_match *out, size_t *n, size_t room)
{
	const struct pk_rule *rule = v->rule;
	enum pk_dir dir = v->q->dir;

	for (size_t i = 0; i < rule->n_entries[dir]; i++) {
		v->entry = &rule->entries[dir][i];
		if (judge_entry_decides(v))
			push_match(out, n, room, v, pk_entry_kind(v->entry));
	}
	if (!rule->default_deny[dir] || !rule->n_entries[dir] ||
	    pk_judge_selects(v->doc, rule, v->q->subject->labels) == PK_NO)
		return;
	v->entry = &rule->entries[dir][0];
	push_match(out, n, room, v, PK_KIND_DEFAULT);
}

size_t pk_judge_matches(const struct pk_judge_by *judge, const struct pk_question *q,
			struct pk_judge_match *out, size_t room)
{
	size_t n = 0;

	for (int tier = PK_TIER_OPERATOR; tier >= PK_TIER_BASELINE; tier--)
		for (size_t i = 0; i < judge->n_docs; i++) {
			const struct pk_document *doc = judge->docs[i];

			for (size_t j = 0; j < doc->n_rules && (int)doc->tier == tier; j++) {
				struct view v = { judge, q, doc, &doc->rules[j], NULL };

				match_rule(&v, out, &n, room);
			}
		}
	return n;
}
