/* SPDX-License-Identifier: Apache-2.0 */
/* Identities and tenants: which endpoints are one to every policy. */
#include "engine.h"

#include <stdio.h>
#include <string.h>

struct tenant *tenant_take(struct pk_engine *engine, const char *name)
{
	struct tenant *t;

	HASH_FIND_STR(engine->tenants, name, t);
	if (!t) {
		t = pk_alloc(sizeof(*t));
		t->name = pk_strdup(name);
		pk_tenant_hash(name, t->hash.h);
		t->labels = pk_label_set_of_tenant(name);
		HASH_ADD_KEYPTR(hh, engine->tenants, t->name, strlen(t->name), t);
	}
	t->refs++;
	return t;
}

void tenant_drop(struct pk_engine *engine, struct tenant *t)
{
	if (!t || --t->refs)
		return;
	HASH_DEL(engine->tenants, t);
	vec_done(&t->idents);
	pk_label_set_free(t->labels);
	free(t->name);
	free(t);
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_named(const struct pk_engine *engine, const char *port)
{
	return engine->n_port_names && bsearch(&port, engine->port_names, engine->n_port_names,
					       sizeof(*engine->port_names), cmp_text);
}

/* Makes the identity's set: labels, and the ports that policies name. Quarantine has no ports. */
static struct pk_label_set *identity_labels(const struct pk_engine *engine,
					    const struct pk_world_endpoint *ep)
{
	struct pk_label_set *set = NULL;

	for (size_t i = 0; i < ep->n_ports && !ep->labels->init; i++) {
		char key[300], value[PK_PORT_TEXT];

		if (!is_named(engine, ep->ports[i].name))
			continue;
		set = set ?: pk_label_set_copy(ep->labels);
		snprintf(key, sizeof(key), "port:%s", ep->ports[i].name);
		pk_port_format(ep->ports[i].port, ep->ports[i].proto, value);
		pk_label_set_add(set, key, value);
	}
	if (!set)
		return pk_label_set_share(ep->labels);
	if (pk_label_set_finish(set, NULL) < 0)
		abort();
	return set;
}

static void copy_ports(const struct pk_engine *engine, const struct pk_world_endpoint *ep,
		       struct ident *ident)
{
	if (ident->labels->init || !ep->n_ports)
		return;
	ident->ports = calloc(ep->n_ports, sizeof(*ident->ports));
	if (!ident->ports)
		abort();
	for (size_t i = 0; i < ep->n_ports; i++) {
		if (!is_named(engine, ep->ports[i].name))
			continue;
		ident->ports[ident->n_ports] = ep->ports[i];
		ident->ports[ident->n_ports++].name = pk_strdup(ep->ports[i].name);
	}
}

static void enqueue(struct pk_engine *engine, struct ident *ident)
{
	if (ident->queued)
		return;
	ident->queued = true;
	vec_push(&engine->queue, ident);
}

struct ident *ident_take(struct pk_engine *engine, const struct pk_world_endpoint *ep)
{
	struct pk_label_set *labels = identity_labels(engine, ep);
	struct hash128 key = { { labels->hash[0], labels->hash[1] } };
	struct ident *ident;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): finish makes it */
	HASH_FIND(hh, engine->idents, &key, sizeof(key), ident);
	if (ident) {
		pk_label_set_free(labels);
	} else {
		ident = pk_alloc(sizeof(*ident));
		ident->hash = key;
		ident->labels = labels;
		copy_ports(engine, ep, ident);
		if (labels->tenant_name)
			ident->tenant = tenant_take(engine, labels->tenant_name);
		HASH_ADD(hh, engine->idents, hash, sizeof(ident->hash), ident);
	}
	ident->refs++;
	ident->local_refs += ep->local;
	enqueue(engine, ident);
	return ident;
}

void ident_drop(struct pk_engine *engine, struct ident *ident, bool local)
{
	ident->refs--;
	ident->local_refs -= local;
	enqueue(engine, ident);
}

void ident_clear(struct ident *ident)
{
	for (size_t i = 0; i < ident->n_ports; i++)
		free(ident->ports[i].name);
	free(ident->ports);
	pk_label_set_free(ident->labels);
	pk_image_unref(ident->published);
}
