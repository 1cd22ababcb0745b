/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells which of this node's endpoints a document selects, and which of those have it in the
 * tables.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "api_policy_private.h"
#include "fs.h"
#include "own.h"
#include "parts.h"
#include "selector.h"

bool pk_api_selects(const struct pk_document *doc, const struct pk_world_endpoint *ep)
{
	if (doc->tenant_name &&
	    (!ep->labels->tenant_name || strcmp(doc->tenant_name, ep->labels->tenant_name) != 0))
		return false;
	for (size_t i = 0; i < doc->n_rules; i++) {
		const struct pk_selector *s = &doc->rules[i].subject;

		if (s->is_entity ? s->entity == PK_ENTITY_INIT && ep->labels->init
				 : !ep->labels->init && pk_selector_match(s, ep->labels) != PK_NO)
			return true;
	}
	return false;
}

void policy_view_open(struct policy_view *v)
{
	struct pk_model *model = v->parts->model;
	const struct pk_world *world = pk_engine_world(pk_model_engine(model));

	v->endpoints = pk_alloc((pk_model_count(model) + 1) * sizeof(*v->endpoints));
	for (const struct pk_local_endpoint *m = pk_model_next(model, NULL); m;
	     m = pk_model_next(model, m)) {
		struct policy_member *member = &v->endpoints[v->n_endpoints];

		*member = (struct policy_member){
			.ep = pk_world_get(world, m->key),
			.has_tables = pk_enforced_has_tables(v->parts->sync, m),
			.operators = pk_apply_enforced(v->parts->apply, m, true),
			.all = pk_apply_enforced(v->parts->apply, m, false),
		};
		v->n_endpoints += member->ep != NULL;
	}
}

void policy_view_close(struct policy_view *v)
{
	free(v->endpoints);
}

unsigned int policy_selected(const struct policy_view *v, const struct pk_document *doc)
{
	unsigned int n = 0;

	for (size_t i = 0; i < v->n_endpoints; i++)
		n += pk_api_selects(doc, v->endpoints[i].ep);
	return n;
}

struct pk_enforced_count policy_enforced(const struct policy_view *v, const struct pk_doc_entry *e)
{
	uint64_t number = pk_docs_number_of(e);
	uint64_t passed = pk_apply_enforced(v->parts->apply, NULL, false);
	struct pk_enforced_count c = { 0 };

	for (size_t i = 0; e->doc && i < v->n_endpoints; i++) {
		const struct policy_member *m = &v->endpoints[i];
		const uint64_t has = e->doc->tenant_name ? m->all : m->operators;

		if (!m->has_tables || !pk_api_selects(e->doc, m->ep))
			continue;
		c.of++;
		c.n += has && number <= has;
	}
	if (!c.of) {
		c.of = 1;
		c.n = passed && number <= passed;
	}
	return c;
}

/*
 * Returns the number that all endpoints and the last pass have reached: a document that is as old
 * is enforced.
 */
static uint64_t everywhere(const struct policy_view *v)
{
	uint64_t least = pk_apply_enforced(v->parts->apply, NULL, false);

	for (size_t i = 0; i < v->n_endpoints; i++) {
		const struct policy_member *m = &v->endpoints[i];

		if (m->has_tables && m->operators < least)
			least = m->operators;
		if (m->has_tables && m->all < least)
			least = m->all;
	}
	return least;
}

static bool is_enforced(const struct policy_view *v, const struct pk_doc_entry *e, uint64_t least)
{
	struct pk_enforced_count c;

	if (!e->doc)
		return false;
	if (least && pk_docs_number_of(e) <= least)
		return true;
	c = policy_enforced(v, e);
	return c.n == c.of;
}

bool pk_api_enforced_part(const struct pk_parts *p, struct pk_api_enforced_walk *walk,
			  uint64_t deadline_ns)
{
	struct policy_view v = { .parts = p };
	uint64_t least;

	policy_view_open(&v);
	least = everywhere(&v);
	for (; walk->at < pk_docs_count(p->docs) && pk_now_ns() < deadline_ns; walk->at++) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, walk->at);
		bool enforced = is_enforced(&v, e, least);

		walk->enforced += enforced;
		walk->held += e->held != NULL;
		if (walk->fn)
			walk->fn(walk->arg, e, enforced);
	}
	policy_view_close(&v);
	return walk->at >= pk_docs_count(p->docs);
}
