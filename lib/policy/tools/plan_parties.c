/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between whom a plan asks: kinds of endpoints, the nodes, and addresses that stand for the world.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_private.h"
#include "selector.h"

#define PARTIES_MAX   4096
#define ADDRESSES_MAX 1024 /* of the documents' prefixes */

static struct plan_party *add_party(struct plan_work *w, const char *name)
{
	struct plan_party *p;

	w->parties = realloc(w->parties, (w->n_parties + 1) * sizeof(*w->parties));
	if (!w->parties)
		abort();
	p = &w->parties[w->n_parties++];
	*p = (struct plan_party){ .name = strdup(name), .n = 1 };
	if (!p->name)
		abort();
	return p;
}

static bool may_select(const struct plan_work *w, const struct pk_label_set *labels)
{
	for (size_t d = 0; d < w->ask->n_changed; d++) {
		const struct pk_document *doc = w->ask->changed[d];

		for (size_t r = 0; r < doc->n_rules; r++) {
			const struct pk_selector *s = &doc->rules[r].subject;

			if (doc->tenant_name && labels->tenant_name &&
			    strcmp(doc->tenant_name, labels->tenant_name) != 0)
				break;
			if (s->is_entity ? !labels->tenant_name
					 : pk_selector_match(s, labels) != PK_NO)
				return true;
		}
	}
	return false;
}

static void set_peers(struct plan_work *w, const struct pk_world_endpoint *ep, struct pk_peer to[2])
{
	for (int i = 0; i < 2; i++)
		to[i] = (struct pk_peer){
			.party = PK_PARTY_ENDPOINT,
			.endpoint = pk_world_get(pk_asker_world(w->side[i]->asker), ep->key),
		};
}

static bool hash_of(const struct plan_work *w, const char *key, uint64_t hash[4])
{
	struct pk_identity_ref ref;

	for (size_t i = 0; i < 2; i++) {
		if (pk_engine_identity(pk_asker_engine(w->side[i]->asker), key, &ref) < 0)
			return false;
		memcpy(hash + 2 * i, ref.hash, sizeof(ref.hash));
	}
	return true;
}

/*
 * Returns the party of these labels. Endpoints of this node and of others are apart, since others
 * judge theirs.
 */
static struct plan_party *party_of(const struct plan_work *w, const uint64_t hash[4], bool remote)
{
	for (size_t i = 0; i < w->n_parties; i++)
		if (w->parties[i].remote == remote &&
		    memcmp(w->parties[i].hash, hash, sizeof(w->parties[i].hash)) == 0)
			return &w->parties[i];
	return NULL;
}

const struct plan_party *plan_party_of(const struct plan_work *w,
				       const struct pk_world_endpoint *ep)
{
	uint64_t hash[4];

	return hash_of(w, ep->key, hash) ? party_of(w, hash, !ep->local) : NULL;
}

int plan_add_endpoints(struct plan_work *w)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		struct plan_party *p;
		uint64_t hash[4];

		if (!hash_of(w, ep->key, hash))
			continue;
		p = party_of(w, hash, !ep->local);
		if (p) {
			if (p->n++ == 1)
				set_peers(w, ep, p->next);
			continue;
		}
		if (w->n_parties == PARTIES_MAX)
			return pk_fail(w->err, 0, "more than %d kinds of endpoints", PARTIES_MAX);
		p = add_party(w, ep->key);
		memcpy(p->hash, hash, sizeof(p->hash));
		p->remote = !ep->local;
		p->touched = ep->local && may_select(w, ep->labels);
		set_peers(w, ep, p->peer);
	}
	return 0;
}

/* Returns whether the address is of the pools, and so an endpoint's, or nobody's yet. */
static bool in_pools(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (pk_prefix_has(&s->pools[i], addr))
			return true;
	return false;
}

bool plan_add_address(struct plan_work *w, const union pk_addr *addr, enum pk_dir dir)
{
	char text[PK_ADDR_TEXT], name[PK_ADDR_TEXT + 8];
	struct plan_party *p;

	if (in_pools(&w->side[1]->settings, addr))
		return false;
	snprintf(name, sizeof(name), "world:%s", pk_addr_format(addr, text));
	for (size_t i = w->first_address; i < w->n_parties; i++)
		if (strcmp(w->parties[i].name, name) == 0) {
			w->parties[i].role[dir] = true;
			return true;
		}
	if (w->n_parties - w->first_address == ADDRESSES_MAX) {
		w->out->partial = true;
		return false;
	}
	p = add_party(w, name);
	p->peer[0] = (struct pk_peer){ .party = PK_PARTY_WORLD, .address = *addr };
	p->peer[1] = p->peer[0];
	p->role[dir] = true;
	return true;
}

static void add_both(struct plan_work *w, const union pk_addr *addr)
{
	plan_add_address(w, addr, PK_EGRESS);
	plan_add_address(w, addr, PK_INGRESS);
}

static void add_prefix(struct plan_work *w, const struct pk_cidr_rule *cidr)
{
	add_both(w, &cidr->cidr.addr);
	for (size_t i = 0; i < cidr->n_except; i++)
		add_both(w, &cidr->except[i].addr);
}

/*
 * Adds addresses where the declared services of that name may be reached, and one where nothing of
 * them is.
 */
static void add_services(struct plan_work *w, const struct pk_entry *e)
{
	const struct pk_settings *s = &w->side[1]->settings;

	for (size_t i = 0; i < s->n_services; i++)
		for (size_t j = 0; j < e->n_services; j++) {
			const struct pk_declared_service *d = &s->services[i];

			if (strcmp(e->services[j].name, d->name) != 0)
				continue;
			for (size_t k = 0; k < d->n_within; k++)
				add_both(w, &d->within[k].addr);
			for (size_t k = 0; k < d->n_instances; k++)
				add_both(w, &d->instances[k]);
		}
}

void plan_add_others(struct plan_work *w)
{
	static const char *const sample[] = { "203.0.113.1", "10.255.255.1", "2001:db8::1" };
	struct plan_entry_at at = { 0 };
	const struct pk_entry *e;
	union pk_addr addr;
	struct plan_party *p;

	p = add_party(w, "host");
	p->peer[0] = p->peer[1] = (struct pk_peer){ .party = PK_PARTY_HOST };
	p = add_party(w, "remote-node");
	p->peer[0] = p->peer[1] = (struct pk_peer){ .party = PK_PARTY_REMOTE_NODE };
	w->first_address = w->n_parties;
	for (size_t i = 0; i < PK_ARRAY_LEN(sample); i++)
		if (pk_addr_parse(sample[i], &addr) == 0)
			add_both(w, &addr);
	while ((e = plan_next_entry(w, &at))) {
		for (size_t c = 0; c < e->n_cidrs; c++)
			add_prefix(w, &e->cidrs[c]);
		add_services(w, e);
	}
}
