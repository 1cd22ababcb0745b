/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoints' prefixes: `pools`, and the few of them that node.block holds. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "tables.h"
#include "tables_private.h"

struct pk_pool_key pk_pool_key_of(const struct pk_prefix *pool)
{
	struct pk_prefix masked = *pool;
	struct pk_pool_key key = { .prefixlen = pk_prefix_bits(pool) };

	pk_prefix_mask(&masked);
	key.addr = masked.addr;
	return key;
}

static struct pk_block block_of(const struct pk_pool_key *key)
{
	struct pk_block block = { .addr = key->addr };

	for (uint32_t bit = 0; bit < key->prefixlen; bit++)
		block.mask.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return block;
}

/* Returns the index of the block in node.block; PK_BLOCKS where it isn't there. */
static int index_of(const struct pk_node *node, const struct pk_block *block)
{
	int i = 0;

	while (i < PK_BLOCKS && memcmp(&node->block[i], block, sizeof(*block)) != 0)
		i++;
	return i;
}

void pk_node_add_block(struct pk_node *node, const struct pk_pool_key *key)
{
	static const struct pk_block none;
	struct pk_block block = block_of(key);
	int i = index_of(node, &block);

	if (i == PK_BLOCKS)
		i = index_of(node, &none);
	if (i == PK_BLOCKS)
		node->flags |= PK_NODE_MORE_BLOCKS;
	else
		node->block[i] = block;
}

static int add_block(void *arg, const void *key, const void *value)
{
	if (((const struct pk_pool *)value)->whose != PK_POOL_OTHERS)
		pk_node_add_block(arg, key);
	return 0;
}

/*
 * Writes the blocks. Those that stay keep their index, so that no packet meets a block that is half
 * another's.
 */
static void edit_blocks(void *arg, struct pk_node *node)
{
	const struct pk_node *want = arg;
	struct pk_node now = { 0 };

	for (int i = 0; i < PK_BLOCKS; i++)
		if (index_of(want, &node->block[i]) < PK_BLOCKS)
			now.block[i] = node->block[i];
	for (int i = 0; i < PK_BLOCKS; i++) {
		static const struct pk_block none;

		if (index_of(&now, &want->block[i]) == PK_BLOCKS)
			now.block[index_of(&now, &none)] = want->block[i];
	}
	memcpy(node->block, now.block, sizeof(node->block));
	node->flags = (node->flags & ~PK_NODE_MORE_BLOCKS) | (want->flags & PK_NODE_MORE_BLOCKS);
}

/* The node's blocks follow the pools. */
static int set_blocks(struct pk_bpf *bpf, uint64_t deadline_ns, struct pk_err *err)
{
	struct pk_node want = { 0 };
	int r = pk_map_each(bpf->map[PK_MAP_POOLS], add_block, &want);

	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_POOLS, "read");
	return pk_node_update(bpf, edit_blocks, &want, deadline_ns, err);
}

static int write_pool(struct pk_bpf *bpf, const struct pk_prefix *prefix,
		      const struct pk_pool *pool, struct pk_err *err)
{
	struct pk_pool_key key = pk_pool_key_of(prefix);
	int r = pk_map_set(bpf->map[PK_MAP_POOLS], &key, pool, BPF_ANY);

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_POOLS, "add a pool") : 0;
}

static bool is_there(const struct pk_bpf *bpf, const struct pk_prefix *pool)
{
	struct pk_pool_key key = pk_pool_key_of(pool);
	struct pk_block block = block_of(&key);
	struct pk_pool value;

	/* An LPM trie answers with what covers the key. The blocks hold what is exactly it. */
	return index_of(&bpf->node, &block) < PK_BLOCKS ||
	       (bpf->node.flags & PK_NODE_MORE_BLOCKS &&
		pk_map_get(bpf->map[PK_MAP_POOLS], &key, &value) == 0);
}

static const struct pk_pool own_pool = { .whose = PK_POOL_OWN };

int pk_pool_add(struct pk_bpf *bpf, const struct pk_prefix *pool, uint64_t deadline_ns,
		struct pk_err *err)
{
	int r;

	if (is_there(bpf, pool))
		return 0;
	r = write_pool(bpf, pool, &own_pool, err);
	return r < 0 ? r : set_blocks(bpf, deadline_ns, err);
}

/* Keys of a table that are wanted, in order: a cluster has thousands of blocks. */
struct wanted {
	int map;
	void *keys;
	size_t n, size;
	int (*compare)(const void *a, const void *b);
};

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pk_pool_key));
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(union pk_addr));
}

static int drop_unwanted(void *arg, const void *key, const void *value)
{
	const struct wanted *w = arg;

	(void)value;
	if (w->n && bsearch(key, w->keys, w->n, w->size, w->compare))
		return 0;
	return pk_map_delete(w->map, key);
}

static int drop_others(struct wanted *w)
{
	if (w->n)
		qsort(w->keys, w->n, w->size, w->compare);
	return pk_map_each(w->map, drop_unwanted, w);
}

static int drop_pools(struct pk_bpf *bpf, const struct pk_pools_want *want)
{
	own_mem struct pk_pool_key *keys =
		pk_alloc((want->n_own + want->n_others + 1) * sizeof(*keys));
	struct wanted w = { .map = bpf->map[PK_MAP_POOLS],
			    .keys = keys,
			    .size = sizeof(*keys),
			    .compare = by_key };

	for (size_t i = 0; i < want->n_own; i++)
		keys[w.n++] = pk_pool_key_of(&want->own[i]);
	for (size_t i = 0; i < want->n_others; i++)
		keys[w.n++] = pk_pool_key_of(&want->others[i].prefix);
	return drop_others(&w);
}

static int drop_tunnels(struct pk_bpf *bpf, const struct pk_pools_want *want)
{
	own_mem union pk_addr *nodes = pk_alloc((want->n_others + 1) * sizeof(*nodes));
	struct wanted w = { .map = bpf->map[PK_MAP_TUNNELS],
			    .keys = nodes,
			    .size = sizeof(*nodes),
			    .compare = by_addr };

	for (size_t i = 0; i < want->n_others; i++)
		nodes[w.n++] = want->others[i].node;
	return drop_others(&w);
}

/* The ends of the overlay are those of the blocks. */
static int set_tunnels(struct pk_bpf *bpf, const struct pk_pools_want *want, struct pk_err *err)
{
	static const uint32_t one = 1;
	int r = drop_tunnels(bpf, want);

	for (size_t i = 0; i < want->n_others && r == 0; i++)
		if (!pk_addr_is_zero(&want->others[i].node))
			r = pk_map_set(bpf->map[PK_MAP_TUNNELS], &want->others[i].node, &one,
				       BPF_ANY);
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_TUNNELS, "set") : 0;
}

static int write_other(struct pk_bpf *bpf, const struct pk_far_block *block, struct pk_err *err)
{
	const struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = block->node };

	return write_pool(bpf, &block->prefix, &pool, err);
}

/* Adds new pools before it deletes old ones: an address is never world in between. */
int pk_pools_set(struct pk_bpf *bpf, const struct pk_pools_want *want, uint64_t deadline_ns,
		 struct pk_err *err)
{
	int r = 0;

	for (size_t i = 0; i < want->n_others && r == 0; i++)
		r = write_other(bpf, &want->others[i], err);
	for (size_t i = 0; i < want->n_own && r == 0; i++)
		r = write_pool(bpf, &want->own[i], &own_pool, err);
	if (r == 0)
		r = set_tunnels(bpf, want, err);
	if (r == 0)
		r = set_blocks(bpf, deadline_ns, err);
	if (r < 0)
		return r;
	r = drop_pools(bpf, want);
	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_POOLS, "remove a pool");
	/* They are read again: an ADD may have added one meanwhile. */
	return set_blocks(bpf, deadline_ns, err);
}
