/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers documents, and keeps those that went but may still be in a table: see docs.h. */
#include <stdlib.h>
#include <string.h>

#include "docs_private.h"
#include "own.h"

uint64_t pk_docs_number(const struct pk_docs *docs)
{
	return docs->number;
}

uint64_t pk_docs_number_of(const struct pk_doc_entry *e)
{
	if (!e->doc || !e->has_noted || memcmp(e->noted, e->hash, sizeof(e->noted)) != 0)
		return UINT64_MAX;
	return e->number;
}

void pk_docs_gone_drop(struct pk_docs *docs, size_t at)
{
	struct pk_doc_gone *g = &docs->gone[at];

	free(g->source);
	free(g->name);
	free(g->path);
	free(g->tenant_name);
	docs->n_gone--;
	memmove(g, g + 1, (docs->n_gone - at) * sizeof(*g));
}

/* Notes a document that went: the settle that follows, or is under way, compiles without it. */
void docs_gone_note(struct pk_docs *docs, const struct pk_doc_entry *e)
{
	const char *tenant_name = e->doc ? e->doc->tenant_name : e->tenant_name;

	if (docs->n_gone == PK_DOCS_GONE_MAX)
		pk_docs_gone_drop(docs, 0);
	docs->gone[docs->n_gone++] = (struct pk_doc_gone){ .source = pk_strdup(e->source),
							   .name = pk_strdup(docs_name_of(e)),
							   .path = pk_strdup(e->path),
							   .tenant_name = pk_strdup(tenant_name),
							   .number = docs->number + 1 };
}

const struct pk_doc_gone *pk_docs_gone(const struct pk_docs *docs, size_t i)
{
	return i < docs->n_gone ? &docs->gone[i] : NULL;
}
