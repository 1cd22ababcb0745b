/* SPDX-License-Identifier: Apache-2.0 */
/* Whether one entry of one document matches a question: its subject, its peers, its ports. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "judge_private.h"
#include "selector.h"

/* Returns whether the protocol has ports, of which a port rule without an ICMP name speaks. */
bool judge_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

bool judge_proto_covers(uint8_t rule, uint8_t proto)
{
	return rule == PK_PROTO_ANY ? judge_has_ports(proto) : rule == proto;
}

const struct pk_label_set *judge_peer_labels(const struct pk_question *q)
{
	return q->peer.party == PK_PARTY_ENDPOINT ? q->peer.endpoint->labels : NULL;
}

/*
 * "Nothing is known" of an address of the pools: every question about it is answered by PK_MAYBE.
 */
bool judge_is_endpoint(const struct pk_question *q)
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
enum pk_tri pk_judge_selects(const struct pk_document *doc, const struct pk_rule *rule,
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
	/* Where a declared service may be, and for whom, is the operator's word. */
	if (v->entry->kind == PK_PEERS_SERVICES)
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
	if (!judge_is_endpoint(v->q))
		return PK_NO;
	return in_namespace(judge_peer_labels(v->q), v->doc->tenant_name);
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
		return judge_is_endpoint(v->q) ? is_init(judge_peer_labels(v->q)) : PK_NO;
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
	if (!judge_is_endpoint(v->q))
		return PK_NO;
	tri = selector_of_peer(sel, judge_peer_labels(v->q));
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

/*
 * "A toServices means the declared service of its name, and of its namespace where it is declared
 * with one".
 */
static bool is_declared_as(const struct view *v, const struct pk_service_ref *ref,
			   const struct pk_declared_service *d)
{
	const char *ns = ref->tenant_name ? ref->tenant_name : v->doc->tenant_name;

	if (strcmp(d->name, ref->name) != 0)
		return false;
	return !*d->tenant_name || !ns || strcmp(ns, d->tenant_name) == 0;
}

/* "A tenant's document opens it where `tenants` lists the namespace". */
static bool is_listed(const struct view *v, const struct pk_declared_service *d)
{
	for (size_t i = 0; i < d->n_tenants && v->doc->tenant_name; i++)
		if (strcmp(d->tenants[i], v->doc->tenant_name) == 0)
			return true;
	return !v->doc->tenant_name || d->all_tenants;
}

/* "an allow counts for the instances that count now, a deny for all that it is declared within". */
static enum pk_tri match_declared(const struct view *v, const struct pk_service_ref *ref)
{
	const struct pk_settings *s = v->judge->settings;
	const union pk_addr *addr = &v->q->peer.address;
	bool hit = false;

	for (size_t i = 0; i < s->n_services; i++) {
		const struct pk_declared_service *d = &s->services[i];

		if (!is_declared_as(v, ref, d))
			continue;
		for (size_t j = 0; j < d->n_within && v->entry->deny; j++)
			hit |= pk_prefix_has(&d->within[j], addr);
		for (size_t j = 0; j < d->n_instances && is_listed(v, d); j++)
			hit |= pk_addr_equal(&d->instances[j], addr);
	}
	return yes_if(hit);
}

/* "the endpoints of all nodes that register it, namespace the document's unless given". */
static enum pk_tri match_service(const struct view *v, const struct pk_service_ref *ref)
{
	const char *ns = ref->tenant_name ? ref->tenant_name : v->doc->tenant_name;
	char *values[] = { ref->name };
	const struct pk_requirement req = {
		.key = (char *)"consul:service", .op = PK_OP_IN, .values = values, .n_values = 1
	};
	const struct pk_label_set *labels = judge_peer_labels(v->q);
	enum pk_tri tri;

	if (v->q->peer.party == PK_PARTY_WORLD)
		return match_declared(v, ref);
	if (!judge_is_endpoint(v->q))
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
		if (judge_proto_covers(p->proto, q->proto) && p->port == q->port)
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
	if (!judge_proto_covers(rule->proto, q->proto))
		return PK_NO;
	if (!judge_has_ports(q->proto))
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
bool judge_entry_decides(const struct view *v)
{
	const struct pk_label_set *subject = v->q->subject->labels;
	enum pk_tri tri;

	if (v->entry->empty)
		return false;
	tri = pk_tri_and(pk_judge_selects(v->doc, v->rule, subject),
			 pk_tri_and(match_peer(v), match_ports(v)));
	if (v->entry->deny)
		return tri != PK_NO;
	/* "only an operator's document that names init opens anything" */
	if (subject->init && !v->rule->subject.is_entity)
		return false;
	return tri == PK_YES;
}
