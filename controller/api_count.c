/* SPDX-License-Identifier: Apache-2.0 */
/* Counts documents and endpoints by their states, for status, health and metrics. */
#include <string.h>

#include "api.h"
#include "guard.h"
#include "own.h"
#include "parts.h"

/*
 * Returns whether the document concerns this node: every operator's does, a tenant's where the
 * tenant has an endpoint here.
 */
static bool is_hosted(const struct pk_parts *p, const struct pk_doc_entry *e)
{
	const char *own = e->doc ? e->doc->tenant_name : e->tenant_name, *name;

	for (size_t i = 0; own && (name = pk_model_tenant(p->model, i)); i++)
		if (strcmp(name, own) == 0)
			return true;
	return !own;
}

struct pk_api_documents pk_api_documents_count(const struct pk_parts *p)
{
	own_unresolved unresolved = { 0 };
	struct pk_api_documents c = { 0 };
	size_t n;

	pk_api_unresolved_read(p, &unresolved);

	for (size_t i = 0; i < pk_docs_count(p->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, i);

		c.refused += e->refused;
		c.foreign += e->refused && !is_hosted(p, e);
		if (!e->doc)
			continue;
		c.audit += e->doc->audit;
		c.unresolved += pk_api_unresolved_of(&unresolved, e->doc, &n) != NULL;
		c.active += !e->doc->audit;
	}
	return c;
}

struct pk_api_endpoint_count pk_api_endpoints_count(const struct pk_parts *p)
{
	struct pk_api_endpoint_count n = { .closed = pk_records_closed(p->records) };

	for (const struct pk_local_endpoint *m = pk_model_next(p->model, NULL); m;
	     m = pk_model_next(p->model, m)) {
		n.open += m->open;
		n.quarantined += pk_local_endpoint_quarantined(m);
		n.unconfirmed += m->confirmed == PK_UNCONFIRMED;
		n.contradicted += m->confirmed == PK_CONTRADICTED;
		n.in_step += pk_apply_in_step(p->apply, m) && !pk_guard_is_gone(m);
	}
	n.orphans = p->upkeep ? pk_upkeep_stats(p->upkeep)->orphans : 0;
	return n;
}
