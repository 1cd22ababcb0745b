/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "believed_private.h"
#include "own.h"

struct node {
	char *name;
	const struct word *self;
	bool live;
	time_t since;
	const char *held;
	struct pk_prefix *blocks; /* the blocks that are believed */
	size_t n_blocks, endpoints, refused;
	char *why; /* the first refusal, or NULL */
	UT_hash_handle hh;
};

struct pk_believed *pk_believed_new(const char *own)
{
	struct pk_believed *b = pk_alloc(sizeof(*b));

	b->own = pk_strdup(own);
	b->labels = pk_label_sets_new();
	return b;
}

static void forget_nodes(struct pk_believed *b)
{
	struct node *n, *next;

	HASH_ITER (hh, b->nodes, n, next) {
		HASH_DEL(b->nodes, n);
		free(n->blocks);
		free(n->why);
		free(n->name);
		free(n);
	}
}

void pk_believed_free(struct pk_believed *b)
{
	if (!b)
		return;
	forget_nodes(b);
	words_free(b);
	pk_label_sets_free(b->labels);
	free(b->claims.list);
	free(b->list);
	free(b->own);
	free(b);
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
	if (vasprintf(&n->why, fmt, ap) < 0)
		abort();
	va_end(ap);
}

static bool is_ours(const struct pk_prefix *block, const struct pk_believed_world *world)
{
	for (size_t i = 0; i < world->n_pools; i++)
		if (pk_prefix_overlap(&world->pools[i], block))
			return true;
	return false;
}

/*
 * Returns the node whose claim counts for the block, or NULL. A claim of the very node that names
 * the block doesn't stand against it, unless that node has given the block back.
 */
static const char *claimed_by_another(const struct pk_believed *b, const struct word *w,
				      const struct pk_prefix *block)
{
	const struct pk_block_claim *c = pk_block_claim_of(&b->claims, block);

	if (!c || (strcmp(c->word->node, w->node) == 0 && !c->word->returned))
		return NULL;
	return c->word->node;
}

/* Lists a block that a node's word names, unless a claim gives it to somebody else. */
static void name_block(struct pk_believed *b, struct pk_block_claims *named, const struct word *w,
		       const struct pk_prefix *block, const struct pk_believed_world *world)
{
	const char *claimer = claimed_by_another(b, w, block);
	struct node *n = node_of(b, w->node);
	char text[PK_ADDR_TEXT];

	if (!pk_block_in_range(block, world->range, world->n_range))
		refuse(b, n, "block %s is outside \"blocks\": { \"range\" }",
		       pk_prefix_format(block, text));
	else if (is_ours(block, world))
		refuse(b, n, "block %s is %.64s's", pk_prefix_format(block, text), b->own);
	else if (claimer)
		refuse(b, n, "block %s is %.64s's by its claim, or was given back",
		       pk_prefix_format(block, text), claimer);
	else
		named->list[named->n++] = (struct pk_block_claim){
			.key = w->key, .node = n->name, .block = *block, .created = w->created
		};
}

static void name_blocks(struct pk_believed *b, struct pk_block_claims *named,
			const struct pk_believed_world *world)
{
	size_t n = 0;

	for (const struct word *w = b->words; w; w = w->hh.next)
		n += w->self ? w->self->n_blocks : 0;
	named->list = pk_alloc((n + 1) * sizeof(*named->list));
	for (const struct word *w = b->words; w; w = w->hh.next) {
		char why[ENDS_WHY];
		struct node *node;

		if (!w->self || strcmp(w->node, b->own) == 0)
			continue;
		node = node_of(b, w->node);
		node->self = w;
		node->blocks = pk_alloc((w->self->n_blocks + 1) * sizeof(*node->blocks));
		if (ends_are_wrong(b, w, world, why)) {
			refuse(b, node, "%s", why);
			continue;
		}
		for (size_t i = 0; i < w->self->n_blocks; i++)
			name_block(b, named, w, &w->self->blocks[i], world);
	}
}

/*
 * Decides which blocks are believed: those that a node claims, else those that it was the first to
 * name. This node believes itself. A block outside of the range is refused: a node could claim any
 * part of the world there.
 */
static void believe_nodes(struct pk_believed *b, const struct pk_believed_world *world)
{
	struct pk_block_claims named = { 0 };
	char text[PK_ADDR_TEXT];

	name_blocks(b, &named, world);
	pk_block_claims_judge(&named);
	for (size_t i = 0; i < named.n; i++) {
		const struct pk_block_claim *c = &named.list[i];
		struct node *n = node_of(b, c->node);

		if (c->before)
			refuse(b, n, "block %s is %.64s's", pk_prefix_format(&c->block, text),
			       c->before);
		else
			n->blocks[n->n_blocks++] = c->block;
	}
	free(named.list);
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

/*
 * Claims an endpoint's addresses. The endpoint with the newer generation has an address; of two
 * with the same generation the first one keeps it. An endpoint that stands in two parts of a share
 * counts once.
 */
static void claim(struct pk_believed *b, struct claim **all, struct node *n,
		  const struct pk_share_endpoint *e)
{
	char text[PK_ADDR_TEXT];
	struct claim *c;

	for (size_t i = 0; i < e->ep->n_addresses; i++) {
		HASH_FIND(hh, *all, &e->ep->addresses[i], sizeof(c->addr), c);
		if (!c || c->e->generation < e->generation)
			continue;
		if (c->node == n && strcmp(c->e->ep->key, e->ep->key) == 0)
			return;
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

/*
 * Returns whether Nomad has placed the tenant on the node. While no answer has come, only what was
 * believed before this picketd began counts.
 */
static bool is_placed(struct pk_believed *b, struct node *n, const struct word *w,
		      const struct pk_believed_world *world)
{
	if (!world->placed || !w->share.n)
		return true;
	switch (world->placed(world->arg, w->tenant_name, w->node)) {
	case PK_HOSTING_ASKED:
		return w->kept;
	case PK_HOSTING_NO:
		for (size_t i = 0; i < w->share.n; i++)
			refuse(b, n, "Nomad has no allocation of %.64s on it", w->tenant_name);
		return false;
	case PK_HOSTING_YES:
	case PK_HOSTING_SILENT:
		return true;
	}
	return true;
}

static void claim_share(struct pk_believed *b, struct claim **all, const struct word *w,
			const struct pk_believed_world *world)
{
	struct node *n = node_of(b, w->node);

	if (w->bad)
		refuse(b, n, "%.64s: %.120s", w->tenant_name, w->bad);
	if (!is_placed(b, n, w, world))
		return;
	for (size_t i = 0; i < w->share.n; i++)
		if (is_within(b, n, w, &w->share.list[i]))
			claim(b, all, n, &w->share.list[i]);
}

/* Returns whether no other endpoint took one of its addresses. */
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

		if (strcmp(w->node, b->own) == 0 || w->kind == WORD_CLAIM)
			continue;
		n = node_of(b, w->node);
		if (!w->tenant_name && w->bad)
			refuse(b, n, "%.180s", w->bad);
		if (w->held)
			n->held = w->held;
		if (w->tenant_name && n->self)
			continue;
		n->live = w->live;
		n->since = w->since;
	}
}

static struct pk_far_block far_block(const struct node *node, const struct pk_prefix *prefix,
				     enum pk_believed_overlay overlay)
{
	struct pk_far_block block = { .prefix = *prefix };
	const union pk_addr *addr = NULL;

	if (overlay)
		addr = pk_node_word_address(node->self->self, overlay == PK_OVERLAY_IPV6);
	if (addr)
		block.node = *addr;
	return block;
}

static bool set_blocks(struct pk_believed *b, enum pk_believed_overlay overlay,
		       struct pk_remotes *remotes)
{
	size_t n = 0;
	struct pk_far_block *all;
	bool changed;

	for (struct node *node = b->nodes; node; node = node->hh.next)
		n += node->n_blocks;
	all = pk_alloc((n + 1) * sizeof(*all));
	n = 0;
	for (struct node *node = b->nodes; node; node = node->hh.next)
		for (size_t i = 0; i < node->n_blocks; i++)
			all[n++] = far_block(node, &node->blocks[i], overlay);
	changed = pk_remotes_set_blocks(remotes, all, n);
	free(all);
	return changed;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

static void list_nodes(struct pk_believed *b)
{
	free(b->list);
	b->list = pk_alloc((HASH_COUNT(b->nodes) + 1) * sizeof(struct node *));
	b->n = 0;
	for (struct node *n = b->nodes; n; n = n->hh.next)
		b->list[b->n++] = n;
	if (b->n)
		qsort(b->list, b->n, sizeof(struct node *), by_name);
}

/*
 * Returns whether a block has another node, or a node another address, than at the last settling.
 */
static bool note_ways(struct pk_believed *b)
{
	own_str all = { 0 };
	uint64_t hash[2];

	for (size_t i = 0; i < b->n; i++) {
		const struct node *n = b->list[i];
		const struct pk_node_word *self;

		if (!n->n_blocks)
			continue;
		self = n->self->self;
		pk_str_addn(&all, n->blocks, n->n_blocks * sizeof(*n->blocks));
		pk_str_addn(&all, self->addresses, self->n_addresses * sizeof(*self->addresses));
	}
	pk_hash128(all.text ?: "", all.len, hash);
	if (memcmp(hash, b->ways, sizeof(hash)) == 0)
		return false;
	memcpy(b->ways, hash, sizeof(hash));
	return true;
}

/*
 * Counts the claims of other nodes that don't count as refused. blocks.c reports this node's own.
 */
static void refuse_claims(struct pk_believed *b)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < b->claims.n; i++) {
		const struct pk_block_claim *c = &b->claims.list[i];

		if (c->before && strcmp(c->word->node, b->own) != 0)
			refuse(b, node_of(b, c->word->node),
			       "%.64s claimed what its claim of %s has", c->before,
			       pk_prefix_format(&c->block, text));
	}
}

unsigned int pk_believed_settle(struct pk_believed *b, const struct pk_believed_world *world,
				struct pk_remotes *remotes)
{
	struct claim *claims = NULL;
	unsigned int changed = 0;

	forget_nodes(b);
	b->refused = 0;
	believe_nodes(b, world);
	refuse_claims(b);
	for (struct word *w = b->words; w; w = w->hh.next)
		if (w->kind == WORD_SHARE && strcmp(w->node, b->own) != 0)
			claim_share(b, &claims, w, world);
	note_life(b);
	pk_remotes_begin(remotes);
	put_claims(claims, remotes);
	if (pk_remotes_end(remotes))
		changed |= PK_BELIEVED_ENDPOINTS;
	if (set_blocks(b, world->overlay, remotes))
		changed |= PK_BELIEVED_BLOCKS;
	list_nodes(b);
	if (note_ways(b))
		changed |= PK_BELIEVED_WAYS;
	pk_label_sets_tidy(b->labels);
	return changed;
}

bool pk_believed_node(const struct pk_believed *b, size_t i, struct pk_believed_node *out)
{
	const struct node *n;

	if (i >= b->n)
		return false;
	n = b->list[i];
	*out = (struct pk_believed_node){ .name = n->name,
					  .live = n->live,
					  .since = n->since,
					  .word = n->self ? n->self->self : NULL,
					  .blocks = n->blocks,
					  .n_blocks = n->n_blocks,
					  .held = n->held,
					  .endpoints = n->endpoints,
					  .refused = n->refused,
					  .why = n->why ?: "" };
	return true;
}

size_t pk_believed_refused(const struct pk_believed *b)
{
	return b->refused;
}
