/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers what is asked of the engine beside rule sets: open ports, what resolves to nothing,
 * single bases.
 */
#include "engine.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct pk_open_entry *open_entry(struct pk_open_entry **list, size_t *n, uint8_t proto,
					uint16_t port)
{
	for (size_t i = 0; i < *n; i++)
		if ((*list)[i].proto == proto && (*list)[i].port == port)
			return &(*list)[i];
	*list = realloc(*list, (*n + 1) * sizeof(**list));
	if (!*list)
		abort();
	(*list)[*n] = (struct pk_open_entry){ .proto = proto, .port = port };
	return &(*list)[(*n)++];
}

static void open_all(struct pk_open_entry **list, size_t *n, const struct pk_own_port *ports,
		     size_t n_ports, uint32_t flag)
{
	static const uint8_t any[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	for (size_t i = 0; i < n_ports; i++)
		for (size_t j = 0; j < PK_ARRAY_LEN(any); j++)
			if (ports[i].proto == any[j] || ports[i].proto == PK_PROTO_ANY)
				open_entry(list, n, any[j], ports[i].port)->flags |= flag;
}

size_t pk_engine_open_ports(const struct pk_engine *engine, const char *key,
			    struct pk_open_entry **out)
{
	const struct pk_world_endpoint *ep = pk_world_get(engine->world, key);
	size_t n = 0;

	*out = NULL;
	if (!ep || ep->labels->init)
		return 0;
	if (engine->settings.baseline != PK_BASELINE_DENY)
		open_all(out, &n, ep->published, ep->n_published, PK_OPEN_PUBLISHED);
	if (engine->settings.health_checks)
		open_all(out, &n, ep->checks, ep->n_checks, PK_OPEN_CHECKED);
	return n;
}

/*
 * Returns whether the rule may select an endpoint that `wanted` takes. Those of the rule's
 * namespace are asked, and those that aren't known well enough.
 */
static bool any_selected(const struct pk_engine *engine, const struct rule_obj *r,
			 bool (*wanted)(const struct ident *ident, const char *text),
			 const char *text)
{
	struct tenant *t = NULL;

	for (size_t i = 0; i < engine->uncertain.n; i++) {
		const struct ident *ident = engine->uncertain.at[i];

		if (rule_selects(r->doc, r->rule, ident->labels) != PK_NO && wanted(ident, text))
			return true;
	}
	if (!r->doc->tenant_name) {
		for (const struct ident *i = engine->idents; i; i = i->hh.next)
			if (i->refs && rule_selects(r->doc, r->rule, i->labels) != PK_NO &&
			    wanted(i, text))
				return true;
		return false;
	}
	HASH_FIND_STR(engine->tenants, r->doc->tenant_name, t);
	for (size_t i = 0; t && i < t->idents.n; i++) {
		const struct ident *ident = t->idents.at[i];

		if (rule_selects(r->doc, r->rule, ident->labels) != PK_NO && wanted(ident, text))
			return true;
	}
	return false;
}

static bool whoever(const struct ident *ident, const char *text)
{
	(void)ident;
	(void)text;
	return true;
}

/* Returns whether the endpoint may have the port: one whose ports aren't known may. */
static bool may_have_port(const struct ident *ident, const char *label)
{
	char key[300];

	for (size_t i = 0; i < ident->n_ports; i++)
		if (strcmp(ident->ports[i].name, label) == 0)
			return true;
	snprintf(key, sizeof(key), "port:%s", label);
	return pk_label_set_is_unknown(ident->labels, key);
}

/* Returns whether one element of a list of peers matches any endpoint. */
static bool matches_any(struct pk_engine *engine, const struct ent *ent,
			const struct pk_entry *part)
{
	struct ent one = *ent;
	bool any;

	one.e = part;
	one.matched = (struct vec){ 0 };
	one.fresh = 0;
	any = index_matched(engine, &one)->n != 0;
	vec_done(&one.matched);
	return any;
}

struct findings {
	struct pk_unresolved *at;
	size_t n;
};

static struct pk_unresolved *found(struct findings *f, const struct rule_obj *r,
				   const struct ent *ent)
{
	struct pk_unresolved *u;

	f->at = realloc(f->at, (f->n + 1) * sizeof(*f->at));
	if (!f->at)
		abort();
	u = &f->at[f->n++];
	*u = (struct pk_unresolved){ .doc = r->doc,
				     .rule = r->rule,
				     .entry = ent ? ent->e : NULL,
				     .dir = ent ? ent->dir : -1 };
	return u;
}

static void find_selectors(struct pk_engine *engine, const struct rule_obj *r, struct ent *ent,
			   struct findings *f)
{
	for (size_t i = 0; i < ent->e->n_selectors; i++) {
		struct pk_entry part = *ent->e;

		part.selectors = &ent->e->selectors[i];
		part.n_selectors = 1;
		if (part.selectors->is_entity || !part.selectors->n_req ||
		    matches_any(engine, ent, &part))
			continue;
		snprintf(found(f, r, ent)->what, sizeof(f->at->what),
			 "%sEndpoints[%zu] matches no endpoint",
			 ent->dir == PK_INGRESS ? "from" : "to", i);
	}
}

/*
 * Says why a service that the operator declared opens nothing now. False: none of that name is
 * declared.
 */
static bool find_declared(struct pk_engine *engine, const struct rule_obj *r, const struct ent *ent,
			  const struct pk_entry *part, struct findings *f)
{
	const struct ent one = { .doc = ent->doc, .e = part };
	const struct pk_declared_service *d = declared_find(&engine->settings, &one);

	if (!d)
		return false;
	if (declared_each(&engine->settings, &one, NULL, NULL))
		return true;
	if (!declared_may(d, r->doc))
		snprintf(found(f, r, ent)->what, sizeof(f->at->what),
			 "opens nothing to service \"%.60s\": the operator's \"services\" doesn't "
			 "list this namespace in its \"tenants\"",
			 part->services->name);
	else
		snprintf(found(f, r, ent)->what, sizeof(f->at->what),
			 "no instance of the declared service \"%.80s\" counts now",
			 part->services->name);
	return true;
}

static void find_services(struct pk_engine *engine, const struct rule_obj *r, struct ent *ent,
			  struct findings *f)
{
	for (size_t i = 0; i < ent->e->n_services; i++) {
		struct pk_entry part = *ent->e;

		part.services = &ent->e->services[i];
		part.n_services = 1;
		if (!matches_any(engine, ent, &part) && !find_declared(engine, r, ent, &part, f))
			snprintf(found(f, r, ent)->what, sizeof(f->at->what),
				 "no endpoint registers service \"%.80s\"", part.services->name);
	}
}

/*
 * Returns whether anybody has the port label: on ingress whom the rule selects, on egress whom it
 * names.
 */
static bool is_port_of_any(struct pk_engine *engine, const struct rule_obj *r, struct ent *ent,
			   const char *label)
{
	const struct vec *peers;

	if (ent->dir == PK_INGRESS)
		return any_selected(engine, r, may_have_port, label);
	if (ent->ep == EP_NONE)
		return false;
	peers = index_matched(engine, ent);
	for (size_t i = 0; i < peers->n; i++)
		if (may_have_port(peers->at[i], label))
			return true;
	/* Peers that match nothing are told of by themselves. */
	return !peers->n &&
	       (ent->e->kind == PK_PEERS_ENDPOINTS || ent->e->kind == PK_PEERS_SERVICES);
}

static bool is_out_of_reach(const struct pk_settings *s, const struct pk_prefix *cidr)
{
	bool covered = false;

	for (size_t i = 0; i < pk_n_protected; i++)
		covered |= pk_prefix_covers(&pk_protected[i], cidr);
	for (size_t i = 0; i < s->n_reach && covered; i++)
		if (pk_prefix_covers(&s->reach[i], cidr) || pk_prefix_covers(cidr, &s->reach[i]))
			return false;
	return covered;
}

static void unreached(struct findings *f, const struct rule_obj *r, const struct ent *ent,
		      const char *what)
{
	snprintf(found(f, r, ent)->what, sizeof(f->at->what),
		 "opens nothing to %s: the operator's \"tenantReach\" lists no such way", what);
}

/* Tells of a tenant's allow that the operator's tenantReach keeps from opening anything. */
static void find_reach(struct pk_engine *engine, const struct rule_obj *r, struct ent *ent,
		       struct findings *f)
{
	const struct pk_settings *s = &engine->settings;
	const struct pk_entry *e = ent->e;
	char text[PK_ADDR_TEXT];

	if (!r->doc->tenant_name || ent->dir != PK_EGRESS || e->deny || e->pass)
		return;
	for (size_t i = 0; i < e->n_entities && e->kind == PK_PEERS_ENTITIES; i++) {
		if (e->entities[i] == PK_ENTITY_HOST && !s->reach_host)
			unreached(f, r, ent, "host");
		if (e->entities[i] == PK_ENTITY_REMOTE_NODE && !s->reach_remote_node)
			unreached(f, r, ent, "remote-node");
	}
	for (size_t i = 0; i < e->n_selectors && e->kind == PK_PEERS_ENDPOINTS; i++) {
		const struct pk_selector *sel = &e->selectors[i];

		if (sel->is_entity && sel->entity == PK_ENTITY_HOST && !s->reach_host)
			unreached(f, r, ent, "host");
	}
	for (size_t i = 0; i < e->n_cidrs && e->kind == PK_PEERS_CIDR; i++)
		if (is_out_of_reach(s, &e->cidrs[i].cidr))
			unreached(f, r, ent, pk_prefix_format(&e->cidrs[i].cidr, text));
}

static void find_in_entry(struct pk_engine *engine, const struct rule_obj *r, struct ent *ent,
			  struct findings *f)
{
	const struct pk_entry *e = ent->e;

	if (e->kind == PK_PEERS_ENDPOINTS)
		find_selectors(engine, r, ent, f);
	if (e->kind == PK_PEERS_SERVICES)
		find_services(engine, r, ent, f);
	find_reach(engine, r, ent, f);
	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i].label && !is_port_of_any(engine, r, ent, e->ports[i].label))
			snprintf(found(f, r, ent)->what, sizeof(f->at->what),
				 "%s has a port labelled \"%.80s\"",
				 ent->dir == PK_INGRESS ? "no endpoint that it selects"
							: "none of the peers",
				 e->ports[i].label);
}

static void find_in_document(struct pk_engine *engine, const struct doc_obj *d, struct findings *f)
{
	for (size_t i = 0; i < d->n_rules; i++) {
		const struct rule_obj *r = &d->rules[i];

		if (!r->rule->subject.is_entity && !any_selected(engine, r, whoever, NULL))
			snprintf(found(f, r, NULL)->what, sizeof(f->at->what),
				 "endpointSelector selects no endpoint");
		for (int dir = 0; dir < 2; dir++)
			for (size_t j = 0; j < r->n[dir]; j++)
				find_in_entry(engine, r, &r->ents[dir][j], f);
	}
}

size_t pk_engine_unresolved(struct pk_engine *engine, struct pk_unresolved **out)
{
	struct findings f = { 0 };

	for (const struct doc_obj *d = engine->docs; d; d = d->hh.next)
		find_in_document(engine, d, &f);
	*out = f.at;
	return f.n;
}

size_t pk_engine_unresolved_of(struct pk_engine *engine, const struct pk_document *doc,
			       struct pk_unresolved **out)
{
	const struct doc_obj *d = doc ? documents_find(engine, doc) : NULL;
	struct findings f = { 0 };

	if (d)
		find_in_document(engine, d, &f);
	*out = f.at;
	return f.n;
}

int pk_compile_labels(const struct pk_settings *settings, struct pk_document *const *docs, size_t n,
		      const struct pk_label_set *labels, struct pk_image **out, struct pk_err *err)
{
	struct pk_engine *engine = pk_engine_new(settings);
	int r;

	pk_engine_set_documents(engine, docs, n);
	base_of_labels(engine, "", labels);
	r = pk_engine_compile(engine, err);
	if (r == 0)
		*out = pk_image_ref(pk_engine_base(engine, NULL));
	pk_engine_free(engine);
	return r;
}

int pk_compile_base(const struct pk_settings *settings, struct pk_document *const *docs, size_t n,
		    const char *tenant_name, struct pk_image **out, struct pk_err *err)
{
	own_labels *labels = pk_label_set_of_tenant(tenant_name);

	return pk_compile_labels(settings, docs, n, labels, out, err);
}
