/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the identities that an entry matches by label value and tenant, without asking all. */
#include "engine.h"

#include <stdio.h>
#include <string.h>

#include "str.h"

static char *posting_text(const char *key, const char *value)
{
	char *text;

	if (asprintf(&text, "%s=%s", key, value) < 0)
		abort();
	return text;
}

static struct posting *find(const struct pk_engine *engine, const char *text)
{
	struct posting *p;

	HASH_FIND_STR(engine->postings, text, p);
	return p;
}

static bool is_uncertain(const struct ident *ident)
{
	return ident->labels->n_unknown || !ident->labels->tenant_name;
}

void index_add(struct pk_engine *engine, struct ident *ident)
{
	for (size_t i = 0; i < ident->labels->n_known; i++) {
		const struct pk_label *l = &ident->labels->known[i];
		char *text = posting_text(l->key, l->value);
		struct posting *p = find(engine, text);

		if (p) {
			free(text);
		} else {
			p = pk_alloc(sizeof(*p));
			p->text = text;
			HASH_ADD_KEYPTR(hh, engine->postings, p->text, strlen(p->text), p);
		}
		vec_push(&p->idents, ident);
	}
	if (is_uncertain(ident))
		vec_push(&engine->uncertain, ident);
	if (ident->tenant)
		vec_push(&ident->tenant->idents, ident);
	engine->idents_changed++;
}

static void drop_posting(struct pk_engine *engine, struct posting *p)
{
	HASH_DEL(engine->postings, p);
	vec_done(&p->idents);
	free(p->text);
	free(p);
}

void index_remove(struct pk_engine *engine, struct ident *ident)
{
	for (size_t i = 0; i < ident->labels->n_known; i++) {
		own_mem char *text =
			posting_text(ident->labels->known[i].key, ident->labels->known[i].value);
		struct posting *p = find(engine, text);

		vec_remove(&p->idents, ident);
		if (!p->idents.n)
			drop_posting(engine, p);
	}
	if (is_uncertain(ident))
		vec_remove(&engine->uncertain, ident);
	if (ident->tenant)
		vec_remove(&ident->tenant->idents, ident);
	engine->idents_changed++;
}

void index_free(struct pk_engine *engine)
{
	struct posting *p, *next;

	HASH_ITER (hh, engine->postings, p, next)
		drop_posting(engine, p);
	vec_done(&engine->uncertain);
}

static void consider(struct pk_engine *engine, struct ent *ent, struct ident *ident)
{
	const struct peer peer = { .party = PK_PARTY_ENDPOINT,
				   .labels = ident->labels,
				   .ports = ident->ports,
				   .n_ports = ident->n_ports };

	if (ident->mark == engine->walks)
		return;
	ident->mark = engine->walks;
	if (ent_matches(ent, &peer, &engine->settings))
		vec_push(&ent->matched, ident);
}

static void consider_all(struct pk_engine *engine, struct ent *ent, const struct vec *idents)
{
	for (size_t i = 0; i < idents->n; i++)
		consider(engine, ent, idents->at[i]);
}

static void consider_tenant(struct pk_engine *engine, struct ent *ent, const char *name)
{
	struct tenant *t;

	HASH_FIND_STR(engine->tenants, name, t);
	if (t)
		consider_all(engine, ent, &t->idents);
}

static size_t posting_size(const struct pk_engine *engine, const struct pk_requirement *req)
{
	size_t n = 0;

	for (size_t i = 0; i < req->n_values; i++) {
		own_mem char *text = posting_text(req->key, req->values[i]);
		const struct posting *p = find(engine, text);

		n += p ? p->idents.n : 0;
	}
	return n;
}

/* The requirement that leaves the fewest; NULL: none names values. */
static const struct pk_requirement *narrowest(const struct pk_engine *engine,
					      const struct pk_selector *sel)
{
	const struct pk_requirement *best = NULL;
	size_t least = SIZE_MAX, n;

	for (size_t i = 0; i < sel->n_req; i++) {
		if (sel->req[i].op != PK_OP_IN)
			continue;
		n = posting_size(engine, &sel->req[i]);
		if (n < least) {
			least = n;
			best = &sel->req[i];
		}
	}
	return best;
}

static void consider_values(struct pk_engine *engine, struct ent *ent, const char *key,
			    char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		own_mem char *text = posting_text(key, values[i]);
		struct posting *p = find(engine, text);

		if (p)
			consider_all(engine, ent, &p->idents);
	}
}

static void consider_everyone(struct pk_engine *engine, struct ent *ent)
{
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		if (i->known)
			consider(engine, ent, i);
}

static void consider_selector(struct pk_engine *engine, struct ent *ent,
			      const struct pk_selector *sel)
{
	const struct pk_requirement *req;

	if (sel->is_entity) {
		consider_everyone(engine, ent);
		return;
	}
	req = narrowest(engine, sel);
	if (req)
		consider_values(engine, ent, req->key, req->values, req->n_values);
	else if (ent->doc->tenant_name && !pk_selector_reads_namespace(sel))
		consider_tenant(engine, ent, ent->doc->tenant_name);
	else
		consider_everyone(engine, ent);
}

static size_t most_of_selector(const struct pk_engine *engine, const struct ent *ent,
			       const struct pk_selector *sel)
{
	const struct pk_requirement *req = sel->is_entity ? NULL : narrowest(engine, sel);
	struct tenant *t = NULL;

	if (req)
		return posting_size(engine, req);
	if (!sel->is_entity && ent->doc->tenant_name && !pk_selector_reads_namespace(sel)) {
		HASH_FIND_STR(engine->tenants, ent->doc->tenant_name, t);
		return t ? t->idents.n : 0;
	}
	return HASH_COUNT(engine->idents);
}

static size_t most_of_service(const struct pk_engine *engine, const struct pk_service_ref *ref)
{
	char *values[] = { ref->name };
	const struct pk_requirement req = { .key = (char *)"consul:service",
					    .values = values,
					    .n_values = 1 };

	return posting_size(engine, &req);
}

size_t index_most(const struct pk_engine *engine, const struct ent *ent)
{
	const struct pk_entry *e = ent->e;
	size_t n = e->deny ? engine->uncertain.n : 0;

	if (e->kind == PK_PEERS_ABSENT || e->kind == PK_PEERS_ENTITIES)
		return HASH_COUNT(engine->idents);
	for (size_t i = 0; i < e->n_selectors && e->kind == PK_PEERS_ENDPOINTS; i++)
		n += most_of_selector(engine, ent, &e->selectors[i]);
	for (size_t i = 0; i < e->n_services && e->kind == PK_PEERS_SERVICES; i++)
		n += most_of_service(engine, &e->services[i]);
	return n;
}

const struct vec *index_matched(struct pk_engine *engine, struct ent *ent)
{
	const struct pk_entry *e = ent->e;

	if (ent->fresh == engine->idents_changed)
		return &ent->matched;
	ent->fresh = engine->idents_changed;
	ent->matched.n = 0;
	engine->walks++;
	/* Identities with something unknown may match a deny: they are asked one by one. */
	if (e->deny)
		consider_all(engine, ent, &engine->uncertain);
	for (size_t i = 0; i < e->n_selectors && e->kind == PK_PEERS_ENDPOINTS; i++)
		consider_selector(engine, ent, &e->selectors[i]);
	for (size_t i = 0; i < e->n_services && e->kind == PK_PEERS_SERVICES; i++)
		consider_values(engine, ent, "consul:service", &e->services[i].name, 1);
	if (e->kind != PK_PEERS_ABSENT && e->kind != PK_PEERS_ENTITIES)
		return &ent->matched;
	if (ent->doc->tenant_name && !e->deny)
		consider_tenant(engine, ent, ent->doc->tenant_name);
	else
		consider_everyone(engine, ent);
	return &ent->matched;
}
