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
	bool is_new;   /* added since the list was sorted last */
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

/*
 * Adds a tenant at the list's end, which take_new sorts: thousands may come in one turn. at is the
 * end, beyond what is sorted.
 */
static void append(struct pk_model *m, size_t at, const char *name)
{
	if ((at & (at - 1)) == 0)
		m->tenants = realloc(m->tenants, (at ? 2 * at : 1) * sizeof(*m->tenants));
	if (!m->tenants)
		abort();
	m->tenants[at] = (struct tenant){ .name = strdup(name), .turn = m->turn, .is_new = true };
	if (!m->tenants[at].name)
		abort();
}

/* Sorts what was appended, n in all, into the list, each name once. */
static void take_new(struct pk_model *m, size_t n)
{
	struct tenant *all = m->tenants;

	if (n == m->n_tenants)
		return;
	qsort(all, n, sizeof(*all), by_name);
	m->n_tenants = 0;
	m->many = true;
	for (size_t i = 0; i < n; i++) {
		if (m->n_tenants && by_name(&all[m->n_tenants - 1], &all[i]) == 0) {
			free(all[i].name);
			continue;
		}
		if (PK_MOVE(all[i].is_new, false))
			pk_engine_want_base(m->engine, all[i].name);
		all[m->n_tenants++] = all[i];
	}
}

void model_remember_tenants(struct pk_model *m)
{
	const char *name = NULL;
	size_t n = m->n_tenants;

	while ((name = pk_docs_heard_next(m->docs, name)))
		append(m, n++, name);
	take_new(m, n);
}

static int by_turn(const void *a, const void *b)
{
	const uint64_t *first = a, *second = b;

	return (*first > *second) - (*first < *second);
}

/*
 * Returns the turn of the last tenant that goes, where the n that have been idle longest do, and in
 * *of_it how many of that turn go.
 */
static uint64_t last_to_go(const struct pk_model *m, size_t n_idle, size_t n, size_t *of_it)
{
	own_mem uint64_t *turns = pk_alloc(n_idle * sizeof(*turns));
	size_t at = 0;

	for (size_t i = 0; i < m->n_tenants; i++)
		if (m->tenants[i].turn != m->turn)
			turns[at++] = m->tenants[i].turn;
	qsort(turns, n_idle, sizeof(*turns), by_turn);
	for (*of_it = 0; *of_it < n && turns[n - 1 - *of_it] == turns[n - 1];)
		++*of_it;
	return turns[n - 1];
}

/*
 * Drops the tenants that have been idle longest: otherwise every namespace that ever ran here would
 * hold a rule set for ever.
 */
static void drop_longest_idle(struct pk_model *m)
{
	size_t n_idle = 0, of_last, kept = 0;
	uint64_t last;

	for (size_t i = 0; i < m->n_tenants; i++)
		n_idle += m->tenants[i].turn != m->turn;
	if (n_idle <= IDLE_TENANTS)
		return;
	last = last_to_go(m, n_idle, n_idle - IDLE_TENANTS, &of_last);
	for (size_t i = 0; i < m->n_tenants; i++) {
		const struct tenant t = m->tenants[i];

		if (t.turn == m->turn || t.turn > last || (t.turn == last && of_last == 0)) {
			m->tenants[kept++] = t;
			continue;
		}
		of_last -= t.turn == last;
		pk_engine_drop_base(m->engine, t.name);
		free(t.name);
	}
	m->n_tenants = kept;
	m->many = m->tenant_dropped = true;
}

void model_want_tenants(struct pk_model *m)
{
	size_t n = m->n_tenants;

	if (!m->tenants_stale)
		return;
	m->tenants_stale = false;
	m->turn++;
	for (size_t i = 0; i < m->n; i++) {
		const char *name =
			m->list[i]->open ? pk_local_endpoint_namespace(m->list[i]) : NULL;
		struct tenant *t = name ? tenant_of(m, name) : NULL;

		if (t)
			t->turn = m->turn;
		else if (name)
			append(m, n++, name);
	}
	take_new(m, n);
	drop_longest_idle(m);
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
