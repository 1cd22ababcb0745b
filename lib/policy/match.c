/* SPDX-License-Identifier: Apache-2.0 */
/* One flattened entry against one peer or one subject. */
#include "engine.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void vec_push(struct vec *v, void *p)
{
	if (v->n == v->room) {
		v->room = v->room ? v->room * 2 : 8;
		v->at = realloc(v->at, v->room * sizeof(*v->at));
		if (!v->at)
			abort();
	}
	v->at[v->n++] = p;
}

void vec_remove(struct vec *v, const void *p)
{
	for (size_t i = v->n; i-- > 0;)
		if (v->at[i] == p) {
			v->at[i] = v->at[--v->n];
			return;
		}
}

void vec_done(struct vec *v)
{
	free(v->at);
	*v = (struct vec){ 0 };
}

void spans_push(struct spans *s, struct pk_span span)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 4;
		s->at = realloc(s->at, s->room * sizeof(*s->at));
		if (!s->at)
			abort();
	}
	s->at[s->n++] = span;
}

static const uint8_t port_protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

static bool is_port_protocol(uint8_t proto)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(port_protocols); i++)
		if (port_protocols[i] == proto)
			return true;
	return false;
}

/* ANY is three spans. */
static void push_ports(struct spans *s, uint8_t proto, uint16_t lo, uint16_t hi)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(port_protocols) && proto == PK_PROTO_ANY; i++)
		spans_push(s, (struct pk_span){ port_protocols[i], lo, hi });
	if (proto != PK_PROTO_ANY)
		spans_push(s, (struct pk_span){ proto, lo, hi });
}

static void push_rule(struct spans *s, const struct pk_port_rule *rule)
{
	uint16_t code = (uint16_t)rule->code;

	if (rule->icmp)
		spans_push(s, (struct pk_span){
				      rule->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				      PK_PORT_ICMP(rule->type, rule->code < 0 ? 0 : code),
				      PK_PORT_ICMP(rule->type, rule->code < 0 ? 0xff : code) });
	else if (rule->proto == PK_PROTO_ANY || is_port_protocol(rule->proto))
		push_ports(s, rule->proto, rule->port, rule->end);
	else
		spans_push(s, (struct pk_span){ rule->proto, 0, UINT16_MAX });
}

static void init_spans(struct ent *ent)
{
	const struct pk_entry *e = ent->e;
	struct spans s = { 0 };

	if (!e->has_ports)
		spans_push(&s, (struct pk_span){ PK_SPAN_ALL, 0, UINT16_MAX });
	for (size_t i = 0; i < e->n_ports && e->has_ports; i++) {
		if (e->ports[i].label)
			ent->label_ports = true;
		else
			push_rule(&s, &e->ports[i]);
	}
	ent->spans = s.at;
	ent->n_spans = s.n;
}

/* Returns whether `all` and `cluster` mean the document's own namespace, as in a tenant's allow. */
static bool is_narrow(const struct ent *ent)
{
	return ent->doc->tenant_name && !ent->e->deny;
}

static uint8_t kind_of_entity(const struct ent *ent, enum pk_entity entity)
{
	switch (entity) {
	case PK_ENTITY_ALL:
	case PK_ENTITY_CLUSTER:
		return is_narrow(ent) ? EP_SOME : EP_ALL;
	case PK_ENTITY_INIT:
		return EP_SOME;
	default:
		return EP_NONE;
	}
}

static uint8_t kind_of_selector(const struct ent *ent, const struct pk_selector *sel)
{
	if (sel->is_entity)
		return kind_of_entity(ent, sel->entity);
	return ent->doc->tenant_name || sel->n_req ? EP_SOME : EP_ALL;
}

static uint8_t wider(uint8_t a, uint8_t b)
{
	if (a == EP_ALL || b == EP_ALL)
		return EP_ALL;
	return a == EP_SOME || b == EP_SOME ? EP_SOME : EP_NONE;
}

static uint8_t kind_of_peers(const struct ent *ent)
{
	const struct pk_entry *e = ent->e;
	uint8_t kind = EP_NONE;

	switch (e->kind) {
	case PK_PEERS_ABSENT:
		return kind_of_entity(ent, PK_ENTITY_ALL);
	case PK_PEERS_ENDPOINTS:
		for (size_t i = 0; i < e->n_selectors; i++)
			kind = wider(kind, kind_of_selector(ent, &e->selectors[i]));
		return kind;
	case PK_PEERS_ENTITIES:
		for (size_t i = 0; i < e->n_entities; i++)
			kind = wider(kind, kind_of_entity(ent, e->entities[i]));
		return kind;
	case PK_PEERS_SERVICES:
		return e->n_services ? EP_SOME : EP_NONE;
	case PK_PEERS_CIDR:
	case PK_PEERS_FQDNS:
		return EP_NONE;
	}
	return EP_NONE;
}

static bool reads_namespace(const struct pk_entry *e)
{
	for (size_t i = 0; i < e->n_selectors; i++)
		if (pk_selector_reads_namespace(&e->selectors[i]))
			return true;
	for (size_t i = 0; i < e->n_services; i++)
		if (e->services[i].tenant_name)
			return true;
	return false;
}

void ent_init(struct ent *ent)
{
	const struct pk_entry *e = ent->e;

	ent->tier = (uint8_t)ent->doc->tier;
	ent->kind = (uint8_t)pk_entry_kind(e);
	init_spans(ent);
	ent->ep = e->empty ? EP_NONE : kind_of_peers(ent);
	if (ent->ep == EP_ALL && ent->label_ports && ent->dir == PK_EGRESS)
		ent->ep = EP_SOME;
	ent->varies = reads_namespace(e);
}

/* Returns whether the peer is of this namespace. */
static enum pk_tri lives_in(const struct peer *peer, const char *tenant_name)
{
	if (peer->not_in && strcmp(peer->not_in, tenant_name) == 0)
		return PK_NO;
	if (!peer->labels->tenant_name)
		return PK_MAYBE;
	return strcmp(peer->labels->tenant_name, tenant_name) == 0 ? PK_YES : PK_NO;
}

static bool has_labels(const struct peer *peer)
{
	return peer->party == PK_PARTY_ENDPOINT || peer->party == PK_PARTY_UNKNOWN;
}

static enum pk_tri yes_if(bool condition)
{
	return condition ? PK_YES : PK_NO;
}

static enum pk_tri is_init(const struct pk_label_set *labels)
{
	if (labels->init)
		return PK_YES;
	return labels->tenant_name ? PK_NO : PK_MAYBE;
}

static enum pk_tri by_entity(const struct ent *ent, enum pk_entity entity, const struct peer *peer)
{
	bool world = peer->party == PK_PARTY_WORLD;

	switch (entity) {
	case PK_ENTITY_ALL:
	case PK_ENTITY_CLUSTER:
		if (world)
			return yes_if(entity == PK_ENTITY_ALL);
		if (!is_narrow(ent))
			return PK_YES;
		return has_labels(peer) ? lives_in(peer, ent->doc->tenant_name) : PK_NO;
	case PK_ENTITY_WORLD:
		return yes_if(world);
	case PK_ENTITY_WORLD4:
		return yes_if(world && !peer->v6);
	case PK_ENTITY_WORLD6:
		return yes_if(world && peer->v6);
	case PK_ENTITY_HOST:
		return yes_if(peer->party == PK_PARTY_HOST);
	case PK_ENTITY_REMOTE_NODE:
		return yes_if(peer->party == PK_PARTY_REMOTE_NODE);
	case PK_ENTITY_INIT:
		/* An endpoint of another tenant has a namespace, though it isn't known which. */
		return has_labels(peer) && !peer->not_in ? is_init(peer->labels) : PK_NO;
	case PK_ENTITY_NONE:
		break;
	}
	return PK_NO;
}

static enum pk_tri by_selector(const struct ent *ent, const struct pk_selector *sel,
			       const struct peer *peer)
{
	const char *own = ent->doc->tenant_name;
	enum pk_tri tri;

	if (sel->is_entity)
		return by_entity(ent, sel->entity, peer);
	if (!has_labels(peer))
		return PK_NO;
	if (own &&
	    !(ent->e->deny ? pk_selector_reads_namespace(sel) : pk_selector_names_namespace(sel))) {
		tri = lives_in(peer, own);
		return tri == PK_NO ? PK_NO : pk_tri_and(tri, pk_selector_match(sel, peer->labels));
	}
	return pk_selector_match(sel, peer->labels);
}

static enum pk_tri by_service(const struct ent *ent, const struct pk_service_ref *ref,
			      const struct peer *peer)
{
	const char *tenant_name = ref->tenant_name ? ref->tenant_name : ent->doc->tenant_name;
	struct pk_requirement req = { .key = (char *)"consul:service",
				      .op = PK_OP_IN,
				      .values = (char **)&ref->name,
				      .n_values = 1 };
	enum pk_tri tri = PK_YES;

	if (!has_labels(peer))
		return PK_NO;
	if (tenant_name)
		tri = lives_in(peer, tenant_name);
	return tri == PK_NO ? PK_NO : pk_tri_and(tri, pk_requirement_match(&req, peer->labels));
}

static enum pk_tri by_peers(const struct ent *ent, const struct peer *peer)
{
	const struct pk_entry *e = ent->e;
	enum pk_tri tri = PK_NO;

	if (e->kind == PK_PEERS_ABSENT)
		return by_entity(ent, PK_ENTITY_ALL, peer);
	for (size_t i = 0; i < e->n_selectors && e->kind == PK_PEERS_ENDPOINTS; i++)
		tri = pk_tri_or(tri, by_selector(ent, &e->selectors[i], peer));
	for (size_t i = 0; i < e->n_entities && e->kind == PK_PEERS_ENTITIES; i++)
		tri = pk_tri_or(tri, by_entity(ent, e->entities[i], peer));
	for (size_t i = 0; i < e->n_services && e->kind == PK_PEERS_SERVICES; i++)
		tri = pk_tri_or(tri, by_service(ent, &e->services[i], peer));
	return tri;
}

static bool in_reach(const struct ent *ent, const struct peer *peer, const struct pk_settings *s)
{
	if (!ent->doc->tenant_name || ent->e->deny || ent->dir != PK_EGRESS)
		return true;
	if (peer->party == PK_PARTY_HOST)
		return s->reach_host;
	if (peer->party == PK_PARTY_REMOTE_NODE)
		return s->reach_remote_node;
	return !peer->out_of_reach;
}

bool ent_matches(const struct ent *ent, const struct peer *peer, const struct pk_settings *s)
{
	enum pk_tri tri;

	if (ent->e->empty || !in_reach(ent, peer, s))
		return false;
	tri = by_peers(ent, peer);
	return ent->e->deny ? tri != PK_NO : tri == PK_YES;
}

int ent_cmp(const struct ent *a, const struct ent *b)
{
	int ra = PK_RANK(a->tier, a->kind), rb = PK_RANK(b->tier, b->kind);
	int c;

	if (ra != rb)
		return ra > rb ? -1 : 1;
	if (a->doc != b->doc) {
		c = strcmp(a->doc->name, b->doc->name);
		c = c ? c : strcmp(a->doc->source, b->doc->source);
		if (c)
			return c;
	}
	return a->order < b->order ? -1 : a->order > b->order;
}

enum pk_tri rule_selects(const struct pk_document *doc, const struct pk_rule *rule,
			 const struct pk_label_set *subject)
{
	enum pk_tri tri = PK_YES;

	if (rule->subject.is_entity)
		return doc->tenant_name || rule->subject.entity != PK_ENTITY_INIT
			       ? PK_NO
			       : is_init(subject);
	if (doc->tenant_name && subject->init)
		return PK_NO;
	if (doc->tenant_name && subject->tenant_name)
		tri = yes_if(strcmp(doc->tenant_name, subject->tenant_name) == 0);
	else if (doc->tenant_name)
		tri = PK_MAYBE;
	return tri == PK_NO ? PK_NO : pk_tri_and(tri, pk_selector_match(&rule->subject, subject));
}

bool ent_selects(const struct ent *ent, const struct pk_label_set *subject)
{
	enum pk_tri tri = rule_selects(ent->doc, ent->rule, subject);

	if (ent->e->deny)
		return tri != PK_NO;
	if (subject->init && !ent->rule->subject.is_entity)
		return false;
	return tri == PK_YES;
}

static void push_known(struct spans *out, uint8_t rule, const struct pk_port_label *label)
{
	if (rule == PK_PROTO_ANY || label->proto == PK_PROTO_ANY || rule == label->proto)
		push_ports(out, rule == PK_PROTO_ANY ? label->proto : rule, label->port,
			   label->port);
}

void ent_resolve(const struct ent *ent, const struct peer *to, struct spans *out)
{
	for (size_t i = 0; i < ent->e->n_ports && has_labels(to); i++) {
		const struct pk_port_rule *rule = &ent->e->ports[i];
		bool known = false;
		char key[300];

		if (!rule->label)
			continue;
		for (size_t j = 0; j < to->n_ports; j++) {
			if (strcmp(to->ports[j].name, rule->label) != 0)
				continue;
			push_known(out, rule->proto, &to->ports[j]);
			known = true;
		}
		snprintf(key, sizeof(key), "port:%s", rule->label);
		/* "a deny that might select does": the port may be any. */
		if (!known && ent->e->deny && pk_label_set_is_unknown(to->labels, key))
			push_ports(out, rule->proto, 0, UINT16_MAX);
	}
}
