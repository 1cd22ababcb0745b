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

#define ASKED 8 /* endpoints between two looks at the clock */

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

/* Counts anew where documents or endpoints are other ones than those that were counted. */
static void begin(const struct policy_view *v, struct pk_api_count *c)
{
	uint64_t documents = pk_docs_number(v->parts->docs);
	uint64_t endpoints = pk_model_changes(v->parts->model);

	if (c->at && c->documents == documents && c->endpoints == endpoints)
		return;
	*c = (struct pk_api_count){ .documents = documents, .endpoints = endpoints };
}

static void count_one(const struct policy_member *m, const struct pk_doc_entry *e,
		      struct pk_api_count *c)
{
	const uint64_t has = e->doc->tenant_name ? m->all : m->operators;

	if (!pk_api_selects(e->doc, m->ep))
		return;
	c->selects++;
	c->of += m->has_tables;
	c->n += m->has_tables && has && pk_docs_number_of(e) <= has;
}

bool policy_count(const struct policy_view *v, const struct pk_doc_entry *e, struct pk_api_count *c,
		  uint64_t deadline_ns)
{
	uint64_t passed = pk_apply_enforced(v->parts->apply, NULL, false);

	begin(v, c);
	while (e->doc && c->at < v->n_endpoints) {
		count_one(&v->endpoints[c->at++], e, c);
		if (c->at % ASKED == 0 && pk_now_ns() >= deadline_ns)
			return false;
	}
	if (!c->of) {
		c->of = 1;
		c->n = passed && pk_docs_number_of(e) <= passed;
	}
	return true;
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

/* Asks each endpoint only where the document is younger than what all of them have. */
static bool count_enforced(const struct policy_view *v, const struct pk_doc_entry *e,
			   struct pk_api_enforced_walk *walk, uint64_t deadline_ns)
{
	if (e->doc && (!walk->least || pk_docs_number_of(e) > walk->least))
		return policy_count(v, e, &walk->count, deadline_ns);
	walk->count = (struct pk_api_count){ .of = 1, .n = e->doc != NULL };
	return true;
}

bool pk_api_enforced_part(const struct pk_parts *p, struct pk_api_enforced_walk *walk,
			  uint64_t deadline_ns)
{
	struct policy_view v = { .parts = p };
	const struct pk_doc_entry *e;
	bool any = false; /* however long the look at the endpoints takes, a part goes on */

	policy_view_open(&v);
	walk->least = everywhere(&v);
	for (; walk->at < pk_docs_count(p->docs) && (!any || pk_now_ns() < deadline_ns);
	     walk->at++) {
		bool enforced;

		any = true;

		e = pk_docs_at(p->docs, walk->at);
		if (!count_enforced(&v, e, walk, deadline_ns))
			break;
		enforced = walk->count.n == walk->count.of;
		walk->count = (struct pk_api_count){ 0 };
		walk->enforced += enforced;
		walk->held += e->held != NULL;
		if (walk->fn)
			walk->fn(walk->arg, e, enforced);
	}
	policy_view_close(&v);
	return walk->at >= pk_docs_count(p->docs);
}
