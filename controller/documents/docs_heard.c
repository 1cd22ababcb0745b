/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps which tenants' documents are known here: see docs.h. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "docs_private.h"
#include "docsource.h"
#include "docstore.h"
#include "own.h"
#include "str.h"

struct heard {
	char *tenant_name;
	UT_hash_handle hh; /* by name */
};

static struct heard *find(const struct pk_docs *docs, const char *tenant_name)
{
	struct heard *h;

	HASH_FIND_STR(docs->heard, tenant_name, h);
	return h;
}

static void add(struct pk_docs *docs, const char *tenant_name)
{
	struct heard *h = pk_alloc(sizeof(*h));

	h->tenant_name = pk_strdup(tenant_name);
	HASH_ADD_KEYPTR(hh, docs->heard, h->tenant_name, strlen(h->tenant_name), h);
}

static void drop(struct pk_docs *docs, struct heard *h)
{
	HASH_DEL(docs->heard, h);
	free(h->tenant_name);
	free(h);
}

static void on_stored(void *arg, const char *tenant_name)
{
	struct pk_docs *docs = arg;

	if (!find(docs, tenant_name))
		add(docs, tenant_name);
}

void docs_heard_load(struct pk_docs *docs)
{
	docs->origin = PK_ORIGIN_CONSUL;
	if (pk_docstore_is_each(docs->directory, PK_ORIGIN_NOMAD))
		docs->origin = PK_ORIGIN_NOMAD;
	docs->each = pk_docstore_is_each(docs->directory, docs->origin);
	/* Also takes the tenants of an earlier release, which asked for all of them. */
	if (docs->directory)
		pk_docstore_tenants(docs->directory, docs->origin, on_stored, docs);
}

void docs_heard_free(struct pk_docs *docs)
{
	while (docs->heard)
		drop(docs, docs->heard);
}

void pk_docs_set_each(struct pk_docs *docs, const char *origin, bool each)
{
	bool same = strcmp(docs->origin, origin) == 0;

	/* What one store said of a tenant is no word of the other's. */
	if (!each || !same)
		docs_heard_free(docs);
	docs->forgot |= !each || !same;
	docs->each_due |= docs->each != each || !same;
	docs->each = each;
	docs->origin = origin;
}

bool pk_docs_hear(struct pk_docs *docs, const char *tenant_name)
{
	if (!docs->each || find(docs, tenant_name))
		return false;
	add(docs, tenant_name);
	docs_text_add(&docs->made, &docs->n_made, &docs->room_made, pk_strdup(tenant_name));
	return true;
}

bool pk_docs_awaits(const struct pk_docs *docs, const char *tenant_name)
{
	if (!tenant_name)
		return false;
	return (docs->each && !find(docs, tenant_name)) || pk_docs_lost_of(docs, tenant_name);
}

bool pk_docs_forget(struct pk_docs *docs, const char *tenant_name)
{
	struct heard *h = find(docs, tenant_name);
	own_str source = { 0 };
	bool any;

	pk_str_addf(&source, "%s" PK_SOURCE_TENANT "%s", docs->origin, tenant_name);
	any = pk_docs_withdraw(docs, source.text, "no endpoint of it is here any more");
	any |= h != NULL;
	if (h)
		drop(docs, h);
	docs->forgot = true; /* with its last file, in the next batch */
	return any;
}

const char *pk_docs_heard_next(const struct pk_docs *docs, const char *tenant_name)
{
	const struct heard *h = docs->heard;

	if (tenant_name) {
		h = find(docs, tenant_name);
		h = h ? h->hh.next : NULL;
	}
	return h ? h->tenant_name : NULL;
}
