/* SPDX-License-Identifier: Apache-2.0 */
/* The tenants whose bases are wanted: those that have an endpoint here, or had one lately. */
#include "model_private.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"

/* How many tenants without an endpoint keep their base, for their next allocation. */
#define IDLE_TENANTS 32

struct tenant {
	char *name;
	uint64_t turn; /* the last one in which it had an endpoint */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tenant *)a)->name, ((const struct tenant *)b)->name);
}

static struct tenant *tenant_of(const struct pk_model *m, const char *name)
{
	const struct tenant key = { .name = (char *)name };

	return m->n_tenants ? bsearch(&key, m->tenants, m->n_tenants, sizeof(key), by_name) : NULL;
}

static struct tenant *add_tenant(struct pk_model *m, const char *name)
{
	size_t at = m->n_tenants;

	m->tenants = realloc(m->tenants, (m->n_tenants + 1) * sizeof(*m->tenants));
	if (!m->tenants)
		abort();
	while (at > 0 && strcmp(m->tenants[at - 1].name, name) > 0)
		at--;
	memmove(m->tenants + at + 1, m->tenants + at, (m->n_tenants++ - at) * sizeof(*m->tenants));
	m->tenants[at] = (struct tenant){ .name = strdup(name) };
	if (!m->tenants[at].name)
		abort();
	m->many = true;
	pk_engine_want_base(m->engine, name);
	return &m->tenants[at];
}

void model_remember_tenants(struct pk_model *m)
{
	const char *name = NULL;

	while ((name = pk_docs_heard_next(m->docs, name)))
		add_tenant(m, name);
}

/*
 * Drops the tenant that has been idle longest: otherwise every namespace that ever ran here would
 * hold a rule set for ever.
 */
static bool drop_longest_idle(struct pk_model *m)
{
	size_t idle = 0, oldest = 0;

	for (size_t i = 0; i < m->n_tenants; i++) {
		idle += m->tenants[i].turn != m->turn;
		if (m->tenants[i].turn < m->tenants[oldest].turn)
			oldest = i;
	}
	if (idle <= IDLE_TENANTS)
		return false;
	m->many = true;
	pk_engine_drop_base(m->engine, m->tenants[oldest].name);
	free(m->tenants[oldest].name);
	memmove(m->tenants + oldest, m->tenants + oldest + 1,
		(--m->n_tenants - oldest) * sizeof(*m->tenants));
	m->tenant_dropped = true;
	return true;
}

void model_want_tenants(struct pk_model *m)
{
	if (!m->tenants_stale)
		return;
	m->tenants_stale = false;
	m->turn++;
	for (size_t i = 0; i < m->n; i++) {
		const char *name =
			m->list[i]->open ? pk_local_endpoint_namespace(m->list[i]) : NULL;
		struct tenant *t = name ? tenant_of(m, name) : NULL;

		if (name && !t)
			t = add_tenant(m, name);
		if (t)
			t->turn = m->turn;
	}
	while (drop_longest_idle(m))
		;
}

const char *pk_model_tenant(const struct pk_model *m, size_t i)
{
	return i < m->n_tenants ? m->tenants[i].name : NULL;
}

bool pk_model_has_tenant(const struct pk_model *m, const char *name)
{
	return tenant_of(m, name) != NULL;
}

bool pk_model_awaits(const struct pk_model *m, const char *tenant_name)
{
	return pk_docs_awaits(m->docs, tenant_name);
}

bool pk_model_tenant_dropped(struct pk_model *m)
{
	return PK_MOVE(m->tenant_dropped, false);
}

void model_free_tenants(struct pk_model *m)
{
	for (size_t i = 0; i < m->n_tenants; i++)
		free(m->tenants[i].name);
	free(m->tenants);
}
