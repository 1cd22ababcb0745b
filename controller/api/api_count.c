/* SPDX-License-Identifier: Apache-2.0 */
/* Counts documents and endpoints by their states, for status, health and metrics. */
#include <string.h>
#include <time.h>

#include "api.h"
#include "api_reasons.h"
#include "fs.h"
#include "guard.h"
#include "parts.h"

#define ANEW 3 /* how often a count is begun anew for what changes meanwhile */

bool pk_api_moved(const struct pk_parts *p, struct pk_api_moment *moment)
{
	uint64_t documents = pk_docs_number(p->docs), endpoints = pk_model_changes(p->model);
	bool moved = moment->documents != documents || moment->endpoints != endpoints;

	if (moment->begun && (!moved || moment->begun > ANEW))
		return false;
	moment->documents = documents;
	moment->endpoints = endpoints;
	moment->begun++;
	return true;
}

/*
 * Returns whether the document concerns this node: every operator's does, a tenant's where the
 * tenant has an endpoint here.
 */
static bool is_hosted(const struct pk_parts *p, const struct pk_doc_entry *e)
{
	const char *own = e->doc ? e->doc->tenant_name : e->tenant_name;

	return !own || pk_model_has_tenant(p->model, own);
}

static void count_document(const struct pk_parts *p, const struct pk_doc_entry *e,
			   struct pk_api_documents *n)
{
	n->refused += e->refused;
	n->foreign += e->refused && !is_hosted(p, e);
	if (!e->doc)
		return;
	n->audit += e->doc->audit;
	n->unresolved += pk_api_is_unresolved(p, e->doc);
	n->active += !e->doc->audit;
}

bool pk_api_is_settled(const struct pk_local_endpoint *m)
{
	int64_t age = time(NULL) - m->added;

	return age < 0 || age >= PK_API_SETTLED_S;
}

bool pk_api_is_shut(const struct pk_parts *p, const struct pk_local_endpoint *m)
{
	return pk_sync_bpf(p->sync) && m->open && m->epoch_matches &&
	       !pk_enforced_has_tables(p->sync, m) && !pk_guard_is_gone(m);
}

static void count_endpoint(const struct pk_parts *p, const struct pk_local_endpoint *m,
			   struct pk_api_endpoints *n)
{
	const bool in_step = pk_apply_in_step(p->apply, m), gone = pk_guard_is_gone(m);
	const bool quarantined = pk_local_endpoint_quarantined(m);
	const bool shut = pk_api_is_shut(p, m);

	n->open += m->open;
	n->quarantined += quarantined;
	n->unconfirmed += m->confirmed == PK_UNCONFIRMED;
	n->contradicted += m->confirmed == PK_CONTRADICTED;
	n->in_step += in_step && !gone;
	n->gone += gone && m->open && m->epoch_matches;
	n->elsewhere += m->open && !m->epoch_matches;
	n->of_before += m->of_before;
	n->troubled += pk_api_alloc_trouble(p, m) != NULL;
	if (!m->open || !m->epoch_matches || !pk_api_is_settled(m))
		return;
	n->settled.open++;
	n->settled.quarantined += quarantined;
	n->settled.unconfirmed += m->confirmed == PK_UNCONFIRMED;
	n->settled.shut += shut;
	n->settled.behind += !in_step && !gone && !shut && !pk_apply_is_pending(p->apply);
}

/* Counts the next one; false: there is none left. */
static bool count_next(const struct pk_parts *p, struct pk_api_counts *c)
{
	const struct pk_local_endpoint *m;

	if (c->document < pk_docs_count(p->docs)) {
		count_document(p, pk_docs_at(p->docs, c->document++), &c->documents);
		return true;
	}
	m = pk_model_at(p->model, c->endpoint++);
	if (m)
		count_endpoint(p, m, &c->endpoints);
	return m != NULL;
}

bool pk_api_counts_part(const struct pk_parts *p, struct pk_api_counts *c, uint64_t deadline_ns)
{
	if (pk_api_moved(p, &c->moment))
		*c = (struct pk_api_counts){ .moment = c->moment };
	while (count_next(p, c))
		if (pk_now_ns() >= deadline_ns)
			return false;
	c->endpoints.closed = pk_records_closed(p->records);
	c->endpoints.orphans = p->upkeep ? pk_upkeep_stats(p->upkeep)->orphans : 0;
	return true;
}
