/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the parts that are asked for: those of the tenants that live here or that policies name.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "log.h"
#include "own.h"

#define NODES_MAX  4096
#define SHARE_TEXT (16u << 20) /* bytes of one tenant's shares, of all nodes together */
#define BASE64(n)  ((n) / 3 * 4)

struct part *cluster_part(struct pk_cluster *c, const char *name, size_t text_max)
{
	struct pk_keys_watch_args args = { .loop = c->args.loop,
					   .store = c->args.store,
					   .budget = { NODES_MAX, text_max },
					   .cap = BASE64(text_max) + (4u << 20),
					   .fn = cluster_hear,
					   .ahead = cluster_read_ahead };
	own_str prefix = { 0 };
	struct part *p;

	HASH_FIND_STR(c->parts, name, p);
	if (p)
		return p;
	pk_str_addf(&prefix, "%s%s", c->prefix, name);
	p = pk_alloc(sizeof(*p));
	p->name = pk_strdup(name);
	p->cluster = c;
	args.prefix = prefix.text;
	args.many = strncmp(name, "tenants/", 8) != 0;
	args.arg = p;
	p->watch = pk_keys_watch_new(&args);
	HASH_ADD_KEYPTR(hh, c->parts, p->name, strlen(p->name), p);
	return p;
}

void cluster_part_free(struct pk_cluster *c, struct part *p)
{
	HASH_DEL(c->parts, p);
	pk_believed_drop_ahead(c->believed, p->name);
	pk_keys_watch_free(p->watch);
	free(p->name);
	free(p);
}

static void want_tenant(struct pk_cluster *c, const char *name)
{
	own_str part = { 0 };
	struct part *p;

	pk_str_addf(&part, "tenants/%s/", name);
	HASH_FIND_STR(c->parts, part.text, p);
	if (p && p->wanted)
		return;
	if (c->asked == PK_CLUSTER_TENANTS) {
		c->full = true;
		return;
	}
	c->asked++;
	cluster_part(c, part.text, SHARE_TEXT)->wanted = true;
}

static void want_selector(struct pk_cluster *c, const struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req; i++) {
		const struct pk_requirement *req = &sel->req[i];

		if (req->op != PK_OP_IN || strcmp(req->key, "nomad:namespace") != 0)
			continue;
		for (size_t k = 0; k < req->n_values; k++)
			want_tenant(c, req->values[k]);
	}
}

static void want_peers(struct pk_cluster *c, const struct pk_entry *e)
{
	for (size_t i = 0; i < e->n_selectors; i++)
		want_selector(c, &e->selectors[i]);
	for (size_t i = 0; i < e->n_services; i++)
		if (e->services[i].tenant_name)
			want_tenant(c, e->services[i].tenant_name);
}

/* Asks for the namespaces that policies in force name as peers. */
static void want_named(struct pk_cluster *c)
{
	const struct pk_rules *rules = pk_model_rules(c->args.model);
	struct pk_rule_ref ref;

	for (size_t i = 0; i < pk_rules_count(rules); i++)
		if (pk_rules_at(rules, i, &ref) == 0 && ref.entry)
			want_peers(c, ref.entry);
}

struct forgetting {
	struct pk_cluster *cluster;
	bool any;
};

static void forget(void *arg, const char *key)
{
	struct forgetting *f = arg;

	cluster_unkeep(f->cluster, key);
	pk_believed_lack(f->cluster->believed, key, NULL, 0);
	f->any = true;
}

/* Drops what was said of tenants that nobody here asks for any more. */
static void drop_unwanted(struct pk_cluster *c)
{
	struct forgetting f = { .cluster = c };
	struct part *p, *next;

	HASH_ITER (hh, c->parts, p, next) {
		if (p->wanted)
			continue;
		pk_believed_each(c->believed, p->name, false, forget, &f);
		cluster_part_free(c, p);
	}
	if (f.any)
		cluster_settle(c);
}

/* Follows those that live here first: a policy that names many tenants takes no room of theirs. */
void cluster_follow_tenants(struct pk_cluster *c)
{
	bool was_full = PK_MOVE(c->full, false);
	const char *name;

	c->asked = 0;
	for (struct part *p = c->parts; p; p = p->hh.next)
		p->wanted = p == c->nodes || p == c->claims;
	for (size_t i = 0; (name = pk_model_tenant(c->args.model, i)); i++)
		want_tenant(c, name);
	want_named(c);
	drop_unwanted(c);
	if (c->full && !was_full)
		log_warn("op=cluster err=\"" PK_CLUSTER_FULL "\"", PK_CLUSTER_TENANTS);
}
