/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services that run outside of the cluster, as the operator declared them (docs/policy.md,
 * "Declared services"): which of them an entry means, and the prefixes that it so names.
 */
#include "engine.h"

#include <string.h>

bool pk_declared_service_is_meant(const struct pk_declared_service *d,
				  const struct pk_document *doc, const struct pk_service_ref *ref)
{
	const char *tenant_name = ref->tenant_name ? ref->tenant_name : doc->tenant_name;

	if (strcmp(d->name, ref->name) != 0)
		return false;
	return !*d->tenant_name || !tenant_name || strcmp(tenant_name, d->tenant_name) == 0;
}

bool declared_may(const struct pk_declared_service *d, const struct pk_document *doc)
{
	if (!doc->tenant_name || d->all_tenants)
		return true;
	for (size_t i = 0; i < d->n_tenants; i++)
		if (strcmp(d->tenants[i], doc->tenant_name) == 0)
			return true;
	return false;
}

const struct pk_declared_service *declared_find(const struct pk_settings *s, const struct ent *ent)
{
	for (size_t i = 0; i < ent->e->n_services; i++)
		for (size_t j = 0; j < s->n_services; j++)
			if (pk_declared_service_is_meant(&s->services[j], ent->doc,
							 &ent->e->services[i]))
				return &s->services[j];
	return NULL;
}

struct walk {
	void (*fn)(void *arg, const struct pk_prefix *prefix);
	void *arg;
	size_t n;
};

static void tell(struct walk *w, const struct pk_prefix *prefix)
{
	w->n++;
	if (w->fn)
		w->fn(w->arg, prefix);
}

static void tell_instances(struct walk *w, const struct pk_declared_service *d)
{
	for (size_t i = 0; i < d->n_instances; i++) {
		bool v4 = pk_addr_is4(&d->instances[i]);
		const struct pk_prefix one = { .addr = d->instances[i],
					       .len = v4 ? 32 : 128,
					       .v6 = !v4 };

		tell(w, &one);
	}
}

size_t declared_each(const struct pk_settings *s, const struct ent *ent,
		     void (*fn)(void *arg, const struct pk_prefix *prefix), void *arg)
{
	struct walk w = { fn, arg, 0 };
	const struct pk_entry *e = ent->e;

	for (size_t i = 0; i < e->n_services && !e->empty && e->kind == PK_PEERS_SERVICES; i++)
		for (size_t j = 0; j < s->n_services; j++) {
			const struct pk_declared_service *d = &s->services[j];

			if (!pk_declared_service_is_meant(d, ent->doc, &e->services[i]))
				continue;
			for (size_t k = 0; k < d->n_within && e->deny; k++)
				tell(&w, &d->within[k]);
			if (!e->deny && declared_may(d, ent->doc))
				tell_instances(&w, d);
		}
	return w.n;
}
