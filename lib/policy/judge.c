/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentence by sentence; quotes are docs/policy.md's. Slow on purpose: nothing is remembered between
 * two questions.
 */
#include "judge.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "selector.h"

struct view { /* one document, one entry, one question */
	const struct pk_judge_by *judge;
	const struct pk_question *q;
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *entry;
};

/* "has ports": what a port rule without an ICMP name speaks of. */
static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool proto_covers(uint8_t rule, uint8_t proto)
{
	return rule == PK_PROTO_ANY ? has_ports(proto) : rule == proto;
}

static const struct pk_label_set *peer_labels(const struct pk_question *q)
{
	return q->peer.party == PK_PARTY_ENDPOINT ? q->peer.endpoint->labels : NULL;
}

/*
 * "Nothing is known" of an address of the pools: every question about it is answered by PK_MAYBE.
 */
static bool is_endpoint(const struct pk_question *q)
{
	return q->peer.party == PK_PARTY_ENDPOINT || q->peer.party == PK_PARTY_UNKNOWN;
}

static enum pk_tri in_namespace(const struct pk_label_set *labels, const char *tenant_name)
{
	if (!labels || !labels->tenant_name)
		return PK_MAYBE;
	return strcmp(labels->tenant_name, tenant_name) == 0 ? PK_YES : PK_NO;
}

static enum pk_tri is_init(const struct pk_label_set *labels)
{
	if (!labels)
		return PK_MAYBE;
	if (labels->init)
		return PK_YES;
	return labels->tenant_name ? PK_NO : PK_MAYBE;
}

static enum pk_tri selector_of_peer(const struct pk_selector *sel,
				    const struct pk_label_set *labels)
{
	if (labels)
		return pk_selector_match(sel, labels);
	return sel->n_req ? PK_MAYBE : PK_YES;
}

/*
 * "no tenant policy selects" an endpoint in quarantine; "a tenant policy selects endpoints of this
 * namespace only".
 */
static enum pk_tri selects(const struct pk_document *doc, const struct pk_rule *rule,
			   const struct pk_label_set *subject)
{
	enum pk_tri tri;

	if (rule->subject.is_entity) {
		if (doc->tenant_name || rule->subject.entity != PK_ENTITY_INIT)
			return PK_NO;
		return is_init(subject);
	}
	if (doc->tenant_name && subject->init)
		return PK_NO;
	tri = pk_selector_match(&rule->subject, subject);
	if (doc->tenant_name)
		tri = pk_tri_and(tri, in_namespace(subject, doc->tenant_name));
	return tri;
}

static bool in_reach(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_reach; i++)
		if (pk_prefix_has(&s->reach[i], addr))
			return true;
	return false;
}

/*
 * "A tenant policy's egress allow leaves them out, and may not name host or remote-node, unless
 * tenantReach lists …".
 */
static bool out_of_reach(const struct view *v)
{
	const struct pk_settings *s = v->judge->settings;

	if (!v->doc->tenant_name || v->entry->deny || v->q->dir != PK_EGRESS)
		return false;
	switch (v->q->peer.party) {
	case PK_PARTY_HOST:
		return !s->reach_host;
	case PK_PARTY_REMOTE_NODE:
		return !s->reach_remote_node;
	case PK_PARTY_WORLD:
		return pk_is_protected(&v->q->peer.address) && !in_reach(s, &v->q->peer.address);
	default:
		return false;
	}
}

static enum pk_tri own_namespace(const struct view *v)
{
	if (!is_endpoint(v->q))
		return PK_NO;
	return in_namespace(peer_labels(v->q), v->doc->tenant_name);
}

static enum pk_tri yes_if(bool condition)
{
	return condition ? PK_YES : PK_NO;
}

static enum pk_tri match_entity(const struct view *v, enum pk_entity entity)
{
	const struct pk_peer *p = &v->q->peer;
	bool world = p->party == PK_PARTY_WORLD;
	/*
	 * "There `all` in an allow is its own namespace and the world, `cluster` its own namespace;
	 * in a deny … everything".
	 */
	bool narrow = v->doc->tenant_name && !v->entry->deny;

	switch (entity) {
	case PK_ENTITY_NONE:
		return PK_NO;
	case PK_ENTITY_ALL:
		return narrow && !world ? own_namespace(v) : PK_YES;
	case PK_ENTITY_CLUSTER:
		return narrow ? own_namespace(v) : yes_if(!world);
	case PK_ENTITY_WORLD:
		return yes_if(world);
	case PK_ENTITY_WORLD4:
		return yes_if(world && pk_addr_is4(&p->address));
	case PK_ENTITY_WORLD6:
		return yes_if(world && !pk_addr_is4(&p->address));
	case PK_ENTITY_HOST:
		return yes_if(p->party == PK_PARTY_HOST);
	case PK_ENTITY_REMOTE_NODE:
		return yes_if(p->party == PK_PARTY_REMOTE_NODE);
	case PK_ENTITY_INIT:
		return is_endpoint(v->q) ? is_init(peer_labels(v->q)) : PK_NO;
	}
	return PK_NO;
}

/*
 * "every peer selector means its own namespace, unless it names others by matchLabels or In (in a
 * deny by any expression on it)".
 */
static enum pk_tri match_peer_selector(const struct view *v, const struct pk_selector *sel)
{
	enum pk_tri tri;
	bool names;

	if (sel->is_entity)
		return match_entity(v, sel->entity);
	if (!is_endpoint(v->q))
		return PK_NO;
	tri = selector_of_peer(sel, peer_labels(v->q));
	names = v->entry->deny ? pk_selector_reads_namespace(sel)
			       : pk_selector_names_namespace(sel);
	if (v->doc->tenant_name && !names)
		tri = pk_tri_and(tri, own_namespace(v));
	return tri;
}

/* "A CIDR matches world only; `except` carves holes in its own `cidr` only". */
static enum pk_tri match_cidr(const struct view *v, const struct pk_cidr_rule *rule)
{
	const union pk_addr *addr = &v->q->peer.address;

	if (v->q->peer.party != PK_PARTY_WORLD || !pk_prefix_has(&rule->cidr, addr))
		return PK_NO;
	for (size_t i = 0; i < rule->n_except; i++)
		if (pk_prefix_has(&rule->except[i], addr))
			return PK_NO;
	return PK_YES;
}

/* "the endpoints that register it, namespace the document's unless given". */
static enum pk_tri match_service(const struct view *v, const struct pk_service_ref *ref)
{
	const char *ns = ref->tenant_name ? ref->tenant_name : v->doc->tenant_name;
	char *values[] = { ref->name };
	const struct pk_requirement req = {
		.key = (char *)"consul:service", .op = PK_OP_IN, .values = values, .n_values = 1
	};
	const struct pk_label_set *labels = peer_labels(v->q);
	enum pk_tri tri;

	if (!is_endpoint(v->q))
		return PK_NO;
	tri = labels ? pk_requirement_match(&req, labels) : PK_MAYBE;
	return ns ? pk_tri_and(tri, in_namespace(labels, ns)) : tri;
}

/*
 * "an address in an answer … for that endpoint"; "answers for toFQDNs never open [protected
 * addresses]".
 */
static enum pk_tri match_fqdn(const struct view *v, const struct pk_fqdn *fqdn)
{
	const struct pk_world_endpoint *subject = v->q->subject;
	const union pk_addr *addr = &v->q->peer.address;

	if (v->q->peer.party != PK_PARTY_WORLD || pk_is_protected(addr))
		return PK_NO;
	for (size_t i = 0; i < subject->n_names; i++) {
		const struct pk_name *name = &subject->names[i];

		if (!pk_fqdn_match(fqdn, name->name))
			continue;
		for (size_t j = 0; j < name->n_addresses; j++)
			if (pk_addr_equal(&name->addresses[j], addr))
				return PK_YES;
	}
	return PK_NO;
}

static enum pk_tri match_peer(const struct view *v)
{
	const struct pk_entry *e = v->entry;
	enum pk_tri tri = PK_NO;

	if (out_of_reach(v))
		return PK_NO;
	switch (e->kind) {
	case PK_PEERS_ABSENT: /* "Ports and no peer key: entity `all`" */
		return match_entity(v, PK_ENTITY_ALL);
	case PK_PEERS_ENDPOINTS:
		for (size_t i = 0; i < e->n_selectors; i++)
			tri = pk_tri_or(tri, match_peer_selector(v, &e->selectors[i]));
		return tri;
	case PK_PEERS_CIDR:
		for (size_t i = 0; i < e->n_cidrs; i++)
			tri = pk_tri_or(tri, match_cidr(v, &e->cidrs[i]));
		return tri;
	case PK_PEERS_ENTITIES:
		for (size_t i = 0; i < e->n_entities; i++)
			tri = pk_tri_or(tri, match_entity(v, e->entities[i]));
		return tri;
	case PK_PEERS_SERVICES:
		for (size_t i = 0; i < e->n_services; i++)
			tri = pk_tri_or(tri, match_service(v, &e->services[i]));
		return tri;
	case PK_PEERS_FQDNS:
		for (size_t i = 0; i < e->n_fqdns; i++)
			tri = pk_tri_or(tri, match_fqdn(v, &e->fqdns[i]));
		return tri;
	}
	return PK_NO;
}

/*
 * "A port label is that of the endpoint connected to: the endpoint's own on ingress, each peer's on
 * egress."
 */
static enum pk_tri match_port_label(const struct view *v, const char *label)
{
	const struct pk_question *q = v->q;
	const struct pk_world_endpoint *to = q->subject;
	bool known = false;
	char key[300];

	if (q->dir == PK_EGRESS) {
		if (q->peer.party == PK_PARTY_UNKNOWN)
			return PK_MAYBE;
		if (q->peer.party != PK_PARTY_ENDPOINT)
			return PK_NO;
		to = q->peer.endpoint;
	}
	/* Nothing is known of an endpoint in quarantine, whatever it says. */
	for (size_t i = 0; i < to->n_ports && !to->labels->init; i++) {
		const struct pk_port_label *p = &to->ports[i];

		if (strcmp(p->name, label) != 0)
			continue;
		if (proto_covers(p->proto, q->proto) && p->port == q->port)
			return PK_YES;
		known = true;
	}
	snprintf(key, sizeof(key), "port:%s", label);
	return !known && pk_label_set_is_unknown(to->labels, key) ? PK_MAYBE : PK_NO;
}

static enum pk_tri match_port(const struct view *v, const struct pk_port_rule *rule)
{
	const struct pk_question *q = v->q;

	if (rule->icmp) {
		if (q->proto != (rule->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
			return PK_NO;
		return yes_if(q->port >> 8 == rule->type &&
			      (rule->code < 0 || (q->port & 0xff) == rule->code));
	}
	if (!proto_covers(rule->proto, q->proto))
		return PK_NO;
	if (!has_ports(q->proto))
		return PK_YES;
	if (rule->label)
		return match_port_label(v, rule->label);
	return yes_if(q->port >= rule->port && q->port <= rule->end);
}

/* "Peers and no ports: every protocol, ICMP too." */
static enum pk_tri match_ports(const struct view *v)
{
	enum pk_tri tri = PK_NO;

	if (!v->entry->has_ports)
		return PK_YES;
	for (size_t i = 0; i < v->entry->n_ports; i++)
		tri = pk_tri_or(tri, match_port(v, &v->entry->ports[i]));
	return tri;
}

/* "a deny or a default deny that might select does, an allow or pass that might does not". */
static bool entry_decides(const struct view *v)
{
	const struct pk_label_set *subject = v->q->subject->labels;
	enum pk_tri tri;

	if (v->entry->empty)
		return false;
	tri = pk_tri_and(selects(v->doc, v->rule, subject),
			 pk_tri_and(match_peer(v), match_ports(v)));
	if (v->entry->deny)
		return tri != PK_NO;
	/* "only an operator's document that names init opens anything" */
	if (subject->init && !v->rule->subject.is_entity)
		return false;
	return tri == PK_YES;
}

/* "the first by document name and place, those of the operator's long lists last" */
struct first {
	const struct pk_document *doc;
	const struct pk_entry *entry;
	bool last;
};

static void keep_first(struct first *first, const struct view *v, bool last)
{
	int c = -1;

	if (first->entry)
		c = last - first->last;
	if (first->entry && c == 0) {
		c = strcmp(v->doc->name, first->doc->name);
		if (c == 0)
			c = strcmp(v->doc->source, first->doc->source);
	}
	/* The walk within a document is in order of place. */
	if (c < 0)
		*first = (struct first){ v->doc, v->entry, last };
}

struct tier {
	struct first deny, allow, pass, fallback;
};

static void ask_rule(struct view *v, struct tier *t)
{
	const struct pk_rule *rule = v->rule;
	enum pk_dir dir = v->q->dir;
	bool last;

	for (size_t i = 0; i < rule->n_entries[dir]; i++) {
		v->entry = &rule->entries[dir][i];
		if (!entry_decides(v))
			continue;
		last = pk_entry_is_beside(v->doc, v->entry);
		if (v->entry->deny)
			keep_first(&t->deny, v, last);
		else
			keep_first(v->entry->pass ? &t->pass : &t->allow, v, last);
	}
	if (rule->default_deny[dir] && rule->n_entries[dir] &&
	    selects(v->doc, rule, v->q->subject->labels) != PK_NO) {
		v->entry = &rule->entries[dir][0];
		keep_first(&t->fallback, v, false);
	}
}

static bool opens(const struct pk_own_port *ports, size_t n, const struct pk_question *q)
{
	for (size_t i = 0; i < n; i++)
		if (has_ports(q->proto) && proto_covers(ports[i].proto, q->proto) &&
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
	const struct pk_label_set *peer = peer_labels(q);

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
	if (q->dir == PK_INGRESS && !is_endpoint(q) &&
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
		if (entry_decides(v))
			push_match(out, n, room, v, pk_entry_kind(v->entry));
	}
	if (!rule->default_deny[dir] || !rule->n_entries[dir] ||
	    selects(v->doc, rule, v->q->subject->labels) == PK_NO)
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

enum pk_tri pk_judge_selects(const struct pk_document *doc, const struct pk_rule *rule,
			     const struct pk_label_set *subject)
{
	return selects(doc, rule, subject);
}
