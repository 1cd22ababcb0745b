/* SPDX-License-Identifier: Apache-2.0 */
#include "remotes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "own.h"
#include "str.h"

struct remote {
	struct pk_remote_endpoint own;
	bool seen;
	UT_hash_handle hh;
};

struct address {
	union pk_addr addr;
	struct remote *of;
	UT_hash_handle hh;
};

struct pk_remotes {
	struct pk_engine *engine;
	struct remote *all;
	struct address *addresses;
	struct pk_far_block *blocks;
	size_t n_blocks;
	bool changed;
};

struct pk_remotes *pk_remotes_new(struct pk_engine *engine)
{
	struct pk_remotes *r = pk_alloc(sizeof(*r));

	r->engine = engine;
	return r;
}

static void unindex(struct pk_remotes *r, struct remote *e)
{
	for (size_t i = 0; i < e->own.ep->n_addresses; i++) {
		struct address *a;

		HASH_FIND(hh, r->addresses, &e->own.ep->addresses[i], sizeof(a->addr), a);
		if (!a || a->of != e)
			continue;
		HASH_DEL(r->addresses, a);
		free(a);
	}
}

static void index_it(struct pk_remotes *r, struct remote *e)
{
	for (size_t i = 0; i < e->own.ep->n_addresses; i++) {
		struct address *a;

		HASH_FIND(hh, r->addresses, &e->own.ep->addresses[i], sizeof(a->addr), a);
		if (!a) {
			a = pk_alloc(sizeof(*a));
			a->addr = e->own.ep->addresses[i];
			HASH_ADD(hh, r->addresses, addr, sizeof(a->addr), a);
		}
		a->of = e;
	}
}

static void drop(struct pk_remotes *r, struct remote *e)
{
	unindex(r, e);
	HASH_DEL(r->all, e);
	pk_engine_remove(r->engine, e->own.key);
	free(e->own.key);
	free(e->own.node);
	free(e);
}

void pk_remotes_free(struct pk_remotes *r)
{
	struct remote *e, *next;

	if (!r)
		return;
	HASH_ITER (hh, r->all, e, next)
		drop(r, e);
	free(r->blocks);
	free(r);
}

static bool same_ports(const struct pk_world_endpoint *a, const struct pk_world_endpoint *b)
{
	if (a->n_ports != b->n_ports)
		return false;
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].port != b->ports[i].port ||
		    a->ports[i].proto != b->ports[i].proto ||
		    strcmp(a->ports[i].name, b->ports[i].name) != 0)
			return false;
	return true;
}

static bool same(const struct pk_world_endpoint *a, const struct pk_world_endpoint *b)
{
	return (a->labels == b->labels || strcmp(a->labels->text, b->labels->text) == 0) &&
	       a->n_addresses == b->n_addresses &&
	       memcmp(a->addresses, b->addresses, a->n_addresses * sizeof(*a->addresses)) == 0 &&
	       same_ports(a, b);
}

/* Copies another node's endpoint for the engine, under its own key. */
static struct pk_world_endpoint *copy(const struct pk_world_endpoint *ep, const char *key)
{
	struct pk_world_endpoint *own = pk_world_endpoint_new(key);

	own->labels = pk_label_set_share(ep->labels);
	for (size_t i = 0; i < ep->n_ports; i++)
		pk_world_endpoint_add_port(own, ep->ports[i].name, ep->ports[i].proto,
					   ep->ports[i].port);
	for (size_t i = 0; i < ep->n_addresses; i++)
		pk_world_endpoint_add_address(own, &ep->addresses[i]);
	return own;
}

void pk_remotes_begin(struct pk_remotes *r)
{
	for (struct remote *e = r->all; e; e = e->hh.next)
		e->seen = false;
	r->changed = false;
}

static struct remote *get(struct pk_remotes *r, const char *key, const char *node)
{
	static const uint64_t hash_key[2] = { 0x7069636b65742d72, 0x656d6f746573 };
	struct remote *e;

	HASH_FIND_STR(r->all, key, e);
	if (e)
		return e;
	e = pk_alloc(sizeof(*e));
	e->own.key = pk_strdup(key);
	e->own.node = pk_strdup(node);
	e->own.owner = pk_siphash(key, strlen(key), hash_key);
	HASH_ADD_KEYPTR(hh, r->all, e->own.key, strlen(e->own.key), e);
	return e;
}

void pk_remotes_put(struct pk_remotes *r, const char *node, const struct pk_world_endpoint *ep,
		    uint64_t generation)
{
	struct pk_world_endpoint *own;
	char key[PK_REMOTE_KEY];
	struct remote *e;

	snprintf(key, sizeof(key), "%s/%s", node, ep->key);
	e = get(r, key, node);
	e->seen = true;
	if (e->own.ep && e->own.generation == generation && same(e->own.ep, ep))
		return;
	if (e->own.ep)
		unindex(r, e);
	own = copy(ep, key);
	e->own.ep = own;
	e->own.generation = generation;
	pk_engine_put(r->engine, own);
	index_it(r, e);
	r->changed = true;
}

bool pk_remotes_end(struct pk_remotes *r)
{
	struct remote *e, *next;

	HASH_ITER (hh, r->all, e, next)
		if (!e->seen) {
			drop(r, e);
			r->changed = true;
		}
	return r->changed;
}

size_t pk_remotes_count(const struct pk_remotes *r)
{
	return HASH_COUNT(r->all);
}

const struct pk_remote_endpoint *pk_remotes_next(const struct pk_remotes *r,
						 const struct pk_remote_endpoint *e)
{
	struct remote *next = e ? ((const struct remote *)e)->hh.next : r->all;

	return next ? &next->own : NULL;
}

const struct pk_remote_endpoint *pk_remotes_by_address(const struct pk_remotes *r,
						       const union pk_addr *addr)
{
	struct address *a;

	HASH_FIND(hh, r->addresses, addr, sizeof(*addr), a);
	return a ? &a->of->own : NULL;
}

static bool has_blocks(const struct pk_remotes *r, const struct pk_far_block *blocks, size_t n)
{
	if (n != r->n_blocks)
		return false;
	for (size_t i = 0; i < n; i++)
		if (blocks[i].prefix.len != r->blocks[i].prefix.len ||
		    !pk_addr_equal(&blocks[i].prefix.addr, &r->blocks[i].prefix.addr) ||
		    !pk_addr_equal(&blocks[i].node, &r->blocks[i].node))
			return false;
	return true;
}

bool pk_remotes_set_blocks(struct pk_remotes *r, const struct pk_far_block *blocks, size_t n)
{
	if (has_blocks(r, blocks, n))
		return false;
	free(r->blocks);
	r->blocks = pk_alloc((n + 1) * sizeof(*blocks));
	if (n)
		memcpy(r->blocks, blocks, n * sizeof(*blocks));
	r->n_blocks = n;
	return true;
}

const struct pk_far_block *pk_remotes_blocks(const struct pk_remotes *r, size_t *n)
{
	*n = r->n_blocks;
	return r->blocks;
}
