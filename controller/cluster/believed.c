/* SPDX-License-Identifier: Apache-2.0 */
#include "believed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "own.h"

#define TENANTS "tenants/"
#define NODES	"nodes/"

/* What one key said last. */
struct word {
	char *key, *node;
	char *tenant_name; /* NULL: it is the node's own */
	uint64_t created, number;
	bool said; /* something that could be read */
	bool live;
	time_t since;
	const char *held;
	char bad[200]; /* why its newest text isn't taken; "" */
	struct pk_share share;
	struct pk_node_word *self; /* NULL: it is a tenant's */
	UT_hash_handle hh;
};

struct node {
	char *name;
	const struct word *self;
	bool live;
	time_t since;
	const char *held;
	struct pk_prefix *blocks; /* believed */
	size_t n_blocks, endpoints, refused;
	char why[200];
	UT_hash_handle hh;
};

struct pk_believed {
	char *own;
	struct word *words; /* by key */
	struct node *nodes; /* of the last settling */
	size_t refused;
};

struct pk_believed *pk_believed_new(const char *own)
{
	struct pk_believed *b = pk_alloc(sizeof(*b));

	b->own = pk_strdup(own);
	return b;
}

static void word_free(struct pk_believed *b, struct word *w)
{
	HASH_DEL(b->words, w);
	pk_share_done(&w->share);
	free(w->self);
	free(w->key);
	free(w->node);
	free(w->tenant_name);
	free(w);
}

static void forget_nodes(struct pk_believed *b)
{
	struct node *n, *next;

	HASH_ITER (hh, b->nodes, n, next) {
		HASH_DEL(b->nodes, n);
		free(n->blocks);
		free(n->name);
		free(n);
	}
}

void pk_believed_free(struct pk_believed *b)
{
	struct word *w, *next;

	if (!b)
		return;
	forget_nodes(b);
	HASH_ITER (hh, b->words, w, next)
		word_free(b, w);
	free(b->own);
	free(b);
}

/* Makes a word for "tenants/TENANT/NODE" or "nodes/NODE"; NULL for another key. */
static struct word *word_new(const char *key)
{
	const char *last = strrchr(key, '/');
	struct word *w;
	size_t skip;

	if (!last || !last[1])
		return NULL;
	skip = strlen(TENANTS);
	if (strncmp(key, TENANTS, skip) != 0 || last < key + skip + 1 ||
	    memchr(key + skip, '/', (size_t)(last - key) - skip))
		skip = 0;
	if (!skip && (strncmp(key, NODES, strlen(NODES)) != 0 || last != key + strlen(NODES) - 1))
		return NULL;
	w = pk_alloc(sizeof(*w));
	w->key = pk_strdup(key);
	w->node = pk_strdup(last + 1);
	if (skip)
		w->tenant_name = strndup(key + skip, (size_t)(last - key) - skip);
	if (skip && !w->tenant_name)
		abort();
	return w;
}

static int read_word(struct word *w, const struct pk_said *said)
{
	PK_OWN(pk_share_done) struct pk_share share = { 0 };
	own_mem struct pk_node_word *self = w->tenant_name ? NULL : pk_alloc(sizeof(*self));
	struct pk_err err = { 0 };
	int r = self ? pk_node_word_decode(said->text, said->len, self, &err)
		     : pk_share_decode(said->text, said->len, w->tenant_name, &share, &err);
	uint64_t number = self ? self->number : share.number;

	snprintf(w->bad, sizeof(w->bad), "%.190s", r < 0 ? err.text : "");
	if (r < 0)
		return -EINVAL;
	if (w->said && (number == w->number || (said->doubt && number < w->number)))
		return 0;
	w->said = true;
	w->number = number;
	free(w->self);
	w->self = PK_MOVE(self, NULL);
	pk_share_done(&w->share);
	w->share = PK_MOVE(share, (struct pk_share){ 0 });
	return 1;
}

int pk_believed_say(struct pk_believed *b, const struct pk_said *said)
{
	bool is_new, changed;
	struct word *w;
	int r;

	HASH_FIND_STR(b->words, said->key, w);
	is_new = !w;
	w = w ?: word_new(said->key);
	if (!w)
		return -EINVAL;
	if (is_new)
		HASH_ADD_KEYPTR(hh, b->words, w->key, strlen(w->key), w);
	changed = is_new || w->live != said->live || w->held;
	if (is_new || w->live != said->live)
		w->since = is_new && !said->live ? 0 : said->now;
	w->live = said->live;
	w->held = NULL;
	w->created = said->created;
	r = read_word(w, said);
	return r < 0 ? r : r || changed;
}

void pk_believed_lack(struct pk_believed *b, const char *key, const char *held, time_t now)
{
	struct word *w;

	HASH_FIND_STR(b->words, key, w);
	if (!w)
		return;
	if (!held) {
		word_free(b, w);
		return;
	}
	if (w->live)
		w->since = now;
	w->live = false;
	w->held = held;
}

void pk_believed_each(struct pk_believed *b, const char *below, bool fresh, pk_believed_fn *fn,
		      void *arg)
{
	struct word *w, *next;

	HASH_ITER (hh, b->words, w, next)
		if (strncmp(w->key, below, strlen(below)) == 0 && !(fresh && w->held))
			fn(arg, w->key);
}

bool pk_believed_release(struct pk_believed *b, pk_believed_fn *told, void *arg)
{
	struct word *w, *next;
	bool any = false;

	HASH_ITER (hh, b->words, w, next)
		if (w->held) {
			told(arg, w->key);
			word_free(b, w);
			any = true;
		}
	return any;
}

static struct node *node_of(struct pk_believed *b, const char *name)
{
	struct node *n;

	HASH_FIND_STR(b->nodes, name, n);
	if (n)
		return n;
	n = pk_alloc(sizeof(*n));
	n->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, b->nodes, n->name, strlen(n->name), n);
	return n;
}

static __attribute__((format(printf, 3, 4))) void refuse(struct pk_believed *b, struct node *n,
							 const char *fmt, ...)
{
	va_list ap;

	b->refused++;
	if (n->refused++)
		return;
	va_start(ap, fmt);
	vsnprintf(n->why, sizeof(n->why), fmt, ap);
	va_end(ap);
}

static bool overlap(const struct pk_prefix *a, const struct pk_prefix *b)
{
	return a->v6 == b->v6 && (pk_prefix_covers(a, b) || pk_prefix_covers(b, a));
}

static const char *has_block(const struct pk_believed *b, const struct pk_prefix *block)
{
	for (const struct node *n = b->nodes; n; n = n->hh.next)
		for (size_t i = 0; i < n->n_blocks; i++)
			if (overlap(&n->blocks[i], block))
				return n->name;
	return NULL;
}

static bool is_ours(const struct pk_prefix *block, const struct pk_believed_world *world)
{
	for (size_t i = 0; i < world->n_pools; i++)
		if (overlap(&world->pools[i], block))
			return true;
	return false;
}

/*
 * Returns whether the block is in the cluster's range: otherwise a node could claim any part of the
 * world.
 */
static bool is_in_range(const struct pk_prefix *block, const struct pk_believed_world *world)
{
	for (size_t i = 0; i < world->n_range; i++)
		if (world->range[i].v6 == block->v6 && pk_prefix_covers(&world->range[i], block))
			return true;
	return false;
}

/* Believes a node's blocks. Whoever claimed a block first has it; this node believes itself. */
static void believe_blocks(struct pk_believed *b, const struct word *w,
			   const struct pk_believed_world *world)
{
	struct node *n = node_of(b, w->node);

	n->self = w;
	n->blocks = pk_alloc((w->self->n_blocks + 1) * sizeof(*n->blocks));
	for (size_t i = 0; i < w->self->n_blocks; i++) {
		const struct pk_prefix *block = &w->self->blocks[i];
		const char *other = is_ours(block, world) ? b->own : has_block(b, block);
		char text[PK_ADDR_TEXT];

		if (!is_in_range(block, world))
			refuse(b, n, "block %s is outside \"blocks\": { \"range\" }",
			       pk_prefix_format(block, text));
		else if (other)
			refuse(b, n, "block %s is %.64s's", pk_prefix_format(block, text), other);
		else
			n->blocks[n->n_blocks++] = *block;
	}
}

static int by_created(const void *a, const void *b)
{
	const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->key, y->key);
}

static void believe_nodes(struct pk_believed *b, const struct pk_believed_world *world)
{
	const struct word **list = pk_alloc((HASH_COUNT(b->words) + 1) * sizeof(struct word *));
	size_t n = 0;

	for (struct word *w = b->words; w; w = w->hh.next)
		if (!w->tenant_name && w->said && strcmp(w->node, b->own) != 0)
			list[n++] = w;
	if (n)
		qsort(list, n, sizeof(struct word *), by_created);
	for (size_t i = 0; i < n; i++)
		believe_blocks(b, list[i], world);
	free(list);
}

static bool has_address(const struct node *n, const union pk_addr *addr)
{
	for (size_t i = 0; i < n->n_blocks; i++)
		if (pk_prefix_has(&n->blocks[i], addr))
			return true;
	return false;
}

/* An endpoint that may be believed, under one of its addresses. */
struct claim {
	union pk_addr addr;
	struct node *node;
	const struct pk_share_endpoint *e;
	UT_hash_handle hh;
};

static bool is_within(struct pk_believed *b, struct node *n, const struct word *w,
		      const struct pk_share_endpoint *e)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < e->ep->n_addresses; i++) {
		if (has_address(n, &e->ep->addresses[i]))
			continue;
		refuse(b, n, "%s of %.64s is in none of its blocks",
		       pk_addr_format(&e->ep->addresses[i], text), w->tenant_name);
		return false;
	}
	return e->ep->n_addresses > 0;
}

/* Claims an address. Of two that claim it at the same age the second loses. */
static void claim(struct pk_believed *b, struct claim **all, struct node *n,
		  const struct pk_share_endpoint *e)
{
	char text[PK_ADDR_TEXT];
	struct claim *c;

	for (size_t i = 0; i < e->ep->n_addresses; i++) {
		HASH_FIND(hh, *all, &e->ep->addresses[i], sizeof(c->addr), c);
		if (!c || c->e->generation < e->generation)
			continue;
		refuse(b, n, "%s has an owner that is not older",
		       pk_addr_format(&e->ep->addresses[i], text));
		return;
	}
	for (size_t i = 0; i < e->ep->n_addresses; i++) {
		HASH_FIND(hh, *all, &e->ep->addresses[i], sizeof(c->addr), c);
		if (c) {
			refuse(b, c->node, "%s has a newer owner on %.64s",
			       pk_addr_format(&e->ep->addresses[i], text), n->name);
		} else {
			c = pk_alloc(sizeof(*c));
			c->addr = e->ep->addresses[i];
			HASH_ADD(hh, *all, addr, sizeof(c->addr), c);
		}
		c->node = n;
		c->e = e;
	}
}

static void claim_share(struct pk_believed *b, struct claim **all, const struct word *w)
{
	struct node *n = node_of(b, w->node);

	if (*w->bad)
		refuse(b, n, "%.64s: %.120s", w->tenant_name, w->bad);
	for (size_t i = 0; i < w->share.n; i++)
		if (is_within(b, n, w, &w->share.list[i]))
			claim(b, all, n, &w->share.list[i]);
}

/* Returns whether the endpoint has each of its addresses. */
static bool has_all(struct claim *all, const struct pk_share_endpoint *e)
{
	struct claim *c;

	for (size_t i = 0; i < e->ep->n_addresses; i++) {
		HASH_FIND(hh, all, &e->ep->addresses[i], sizeof(c->addr), c);
		if (!c || c->e != e)
			return false;
	}
	return true;
}

/* Puts each endpoint once: under the first of its addresses. */
static void put_claims(struct claim *all, struct pk_remotes *remotes)
{
	struct claim *c, *next;

	HASH_ITER (hh, all, c, next) {
		if (!pk_addr_equal(&c->addr, &c->e->ep->addresses[0]) || !has_all(all, c->e))
			continue;
		c->node->endpoints++;
		pk_remotes_put(remotes, c->node->name, c->e->ep, c->e->generation);
	}
	HASH_ITER (hh, all, c, next) {
		HASH_DEL(all, c);
		free(c);
	}
}

static void note_life(struct pk_believed *b)
{
	for (struct word *w = b->words; w; w = w->hh.next) {
		struct node *n;

		if (strcmp(w->node, b->own) == 0)
			continue;
		n = node_of(b, w->node);
		if (!w->tenant_name && *w->bad)
			refuse(b, n, "%.180s", w->bad);
		if (w->held)
			n->held = w->held;
		if (w->tenant_name && n->self)
			continue;
		n->live = w->live;
		n->since = w->since;
	}
}

static bool set_blocks(struct pk_believed *b, struct pk_remotes *remotes)
{
	size_t n = 0;
	struct pk_prefix *all;
	bool changed;

	for (struct node *node = b->nodes; node; node = node->hh.next)
		n += node->n_blocks;
	all = pk_alloc((n + 1) * sizeof(*all));
	n = 0;
	for (struct node *node = b->nodes; node; node = node->hh.next)
		for (size_t i = 0; i < node->n_blocks; i++)
			all[n++] = node->blocks[i];
	changed = pk_remotes_set_blocks(remotes, all, n);
	free(all);
	return changed;
}

static int by_name(const struct node *a, const struct node *b)
{
	return strcmp(a->name, b->name);
}

unsigned int pk_believed_settle(struct pk_believed *b, const struct pk_believed_world *world,
				struct pk_remotes *remotes)
{
	struct claim *claims = NULL;
	unsigned int changed = 0;

	forget_nodes(b);
	b->refused = 0;
	believe_nodes(b, world);
	for (struct word *w = b->words; w; w = w->hh.next)
		if (w->tenant_name && strcmp(w->node, b->own) != 0)
			claim_share(b, &claims, w);
	note_life(b);
	pk_remotes_begin(remotes);
	put_claims(claims, remotes);
	if (pk_remotes_end(remotes))
		changed |= PK_BELIEVED_ENDPOINTS;
	if (set_blocks(b, remotes))
		changed |= PK_BELIEVED_BLOCKS;
	HASH_SORT(b->nodes, by_name);
	return changed;
}

bool pk_believed_node(const struct pk_believed *b, size_t i, struct pk_believed_node *out)
{
	const struct node *n = b->nodes;

	while (n && i--)
		n = n->hh.next;
	if (!n)
		return false;
	*out = (struct pk_believed_node){ .name = n->name,
					  .live = n->live,
					  .since = n->since,
					  .word = n->self ? n->self->self : NULL,
					  .blocks = n->blocks,
					  .n_blocks = n->n_blocks,
					  .held = n->held,
					  .endpoints = n->endpoints,
					  .refused = n->refused,
					  .why = n->why };
	return true;
}

size_t pk_believed_refused(const struct pk_believed *b)
{
	return b->refused;
}
