/* SPDX-License-Identifier: GPL-2.0-only */
/* What is asked of the engine beside rule sets: open ports, what resolves to nothing, single bases.
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

static bool selects_any(const struct pk_engine *engine, const struct rule_obj *r)
{
	for (const struct ident *i = engine->idents; i; i = i->hh.next)
		if (i->refs && rule_selects(r->doc, r->rule, i->labels) != PK_NO)
			return true;
	return false;
}

static bool matches_any(const struct pk_engine *engine, const struct ent *ent)
{
	for (const struct ident *i = engine->idents; i; i = i->hh.next) {
		const struct peer peer = { .is = IS_ENDPOINT, .labels = i->labels };

		if (i->refs && ent_matches(ent, &peer, &engine->settings))
			return true;
	}
	return false;
}

static bool has_port(const struct pk_engine *engine, const char *label)
{
	for (const struct ident *i = engine->idents; i; i = i->hh.next)
		for (size_t j = 0; j < i->n_ports && i->refs; j++)
			if (strcmp(i->ports[j].name, label) == 0)
				return true;
	return false;
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

static void find_in_entry(const struct pk_engine *engine, const struct rule_obj *r,
			  const struct ent *ent, struct findings *f)
{
	const struct pk_entry *e = ent->e;
	bool endpoints = e->kind == PK_PEER_ENDPOINTS || e->kind == PK_PEER_SERVICES;

	if (endpoints && ent->ep == EP_SOME && !matches_any(engine, ent)) {
		struct pk_unresolved *u = found(f, r, ent);

		if (e->kind == PK_PEER_SERVICES)
			snprintf(u->what, sizeof(u->what), "no endpoint registers service '%.80s'",
				 e->services[0].name);
		else
			snprintf(u->what, sizeof(u->what), "the peers match no endpoint");
	}
	for (size_t i = 0; i < e->n_ports; i++)
		if (e->ports[i].label && !has_port(engine, e->ports[i].label))
			snprintf(found(f, r, ent)->what, sizeof(f->at->what),
				 "no endpoint has a port labelled '%.80s'", e->ports[i].label);
}

size_t pk_engine_unresolved(const struct pk_engine *engine, struct pk_unresolved **out)
{
	struct findings f = { 0 };

	for (const struct doc_obj *d = engine->docs; d; d = d->hh.next)
		for (size_t i = 0; i < d->n_rules; i++) {
			const struct rule_obj *r = &d->rules[i];

			if (!r->rule->subject.is_entity && !selects_any(engine, r))
				snprintf(found(&f, r, NULL)->what, sizeof(f.at->what),
					 "endpointSelector selects no endpoint");
			for (int dir = 0; dir < 2; dir++)
				for (size_t j = 0; j < r->n[dir]; j++)
					find_in_entry(engine, r, &r->ents[dir][j], &f);
		}
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
		    const char *namespace, struct pk_image **out, struct pk_err *err)
{
	own_labels *labels = pk_label_set_of_tenant(namespace);

	return pk_compile_labels(settings, docs, n, labels, out, err);
}
