/* SPDX-License-Identifier: Apache-2.0 */
#include "claims.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

bool pk_prefix_overlap(const struct pk_prefix *a, const struct pk_prefix *b)
{
	return a->v6 == b->v6 && (pk_prefix_covers(a, b) || pk_prefix_covers(b, a));
}

bool pk_block_in_range(const struct pk_prefix *block, const struct pk_prefix *range, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pk_prefix_covers(&range[i], block))
			return true;
	return false;
}

struct pk_prefix pk_block_at(const union pk_addr *addr, unsigned int len)
{
	struct pk_prefix block = { .addr = *addr, .len = (uint8_t)len, .v6 = !pk_addr_is4(addr) };

	pk_prefix_mask(&block);
	return block;
}

/* Orders blocks; the wider one of two that begin at the same address comes first. */
static int compare_blocks(const struct pk_prefix *a, const struct pk_prefix *b)
{
	int r = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return r ? r : (int)a->len - (int)b->len;
}

static int by_block(const void *a, const void *b)
{
	return compare_blocks(&((const struct pk_block_claim *)a)->block,
			      &((const struct pk_block_claim *)b)->block);
}

static int by_age(const void *a, const void *b)
{
	const struct pk_block_claim *x = *(struct pk_block_claim *const *)a,
				    *y = *(struct pk_block_claim *const *)b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->key, y->key);
}

/*
 * Lists the claims that overlap another one, by block, and returns how many there are: few, since
 * blocks of one size never overlap.
 */
static size_t crowded(const struct pk_block_claims *c, struct pk_block_claim **out)
{
	struct pk_block_claim *widest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct pk_block_claim *now = &c->list[i];

		if (!widest || !pk_prefix_overlap(&widest->block, &now->block)) {
			widest = now;
			continue;
		}
		if (!n || out[n - 1] < widest)
			out[n++] = widest;
		out[n++] = now;
	}
	return n;
}

void pk_block_claims_judge(struct pk_block_claims *c)
{
	struct pk_block_claim **list = pk_alloc((2 * c->n + 1) * sizeof(struct pk_block_claim *));
	size_t n;

	if (c->n)
		qsort(c->list, c->n, sizeof(*c->list), by_block);
	n = crowded(c, list);
	if (n)
		qsort(list, n, sizeof(struct pk_block_claim *), by_age);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i && !list[i]->before; k++)
			if (!list[k]->before && pk_prefix_overlap(&list[k]->block, &list[i]->block))
				list[i]->before = list[k]->node;
	free(list);
}

const struct pk_block_claim *pk_block_claim_of(const struct pk_block_claims *c,
					       const struct pk_prefix *block)
{
	const struct pk_block_claim wanted = { .block = *block };
	const struct pk_block_claim *exact =
		c->n ? bsearch(&wanted, c->list, c->n, sizeof(wanted), by_block) : NULL;

	if (exact && !exact->before)
		return exact;
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].before && pk_prefix_overlap(&c->list[i].block, block))
			return &c->list[i];
	return NULL;
}

/*
 * Returns the block's first address as a number: all of an IPv4 address, the first half of an IPv6
 * one.
 */
static uint64_t number_of(const struct pk_prefix *p)
{
	return p->v6 ? be64toh(p->addr.d[0]) : ntohl(p->addr.w[3]);
}

static struct pk_prefix block_at(const struct pk_prefix *range, unsigned int len, uint64_t number)
{
	struct pk_prefix block = { .addr = range->addr, .len = (uint8_t)len, .v6 = range->v6 };

	if (block.v6)
		block.addr.d[0] = htobe64(number);
	else
		block.addr.w[3] = htonl((uint32_t)number);
	return block;
}

struct span {
	uint64_t first, last; /* as by number_of */
};

static struct span span_of(const struct pk_prefix *p)
{
	unsigned int whole = p->v6 ? 64 : 32, len = p->len < whole ? p->len : whole;
	uint64_t first = number_of(p);

	return (struct span){ first, first + (len < whole ? UINT64_MAX >> (64 - whole + len) : 0) };
}

static int by_first(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/*
 * Moves the block on to the first one that overlaps none of the spans, which are sorted. Returns
 * false where there is none up to `last`.
 */
static bool gap(const struct span *taken, size_t n, struct span *block, uint64_t last)
{
	uint64_t size = block->last - block->first + 1;

	for (size_t i = 0; i < n; i++) {
		if (taken[i].last < block->first)
			continue;
		if (taken[i].first > block->last)
			break;
		block->first = (taken[i].last & ~(size - 1)) + size;
		block->last = block->first + (size - 1);
		if (block->first <= taken[i].last || block->first > last)
			return false; /* the number ran over, or past `last` */
	}
	return block->last <= last;
}

static bool free_in(const struct pk_block_want *want, const struct pk_prefix *range,
		    struct pk_prefix *out)
{
	struct span *taken = pk_alloc((want->n_taken + 1) * sizeof(*taken)), all = span_of(range);
	uint64_t n_blocks = 1ull << (want->len - range->len), size, first;
	struct span block;
	size_t n = 0;
	bool found;

	for (size_t i = 0; i < want->n_taken; i++)
		if (pk_prefix_overlap(&want->taken[i], range))
			taken[n++] = span_of(&want->taken[i]);
	if (n)
		qsort(taken, n, sizeof(*taken), by_first);
	size = (all.last - all.first) / n_blocks + 1;
	first = all.first + want->start % n_blocks * size;
	block = (struct span){ first, first + (size - 1) };
	found = gap(taken, n, &block, all.last);
	if (!found) {
		block = (struct span){ all.first, all.first + (size - 1) };
		found = gap(taken, n, &block, all.last);
	}
	free(taken);
	*out = block_at(range, want->len, block.first);
	return found;
}

bool pk_block_free(const struct pk_block_want *want, struct pk_prefix *out)
{
	for (size_t i = 0; i < want->n_range; i++)
		if (want->range[i].v6 == want->v6 && want->range[i].len <= want->len &&
		    free_in(want, &want->range[i], out))
			return true;
	return false;
}

static bool may_take(const struct pk_block_claim *c, const struct pk_block_want *want,
		     const char *node, time_t now)
{
	return c->word->returned && !c->before && c->modified && !c->kept &&
	       c->block.v6 == want->v6 && c->block.len == want->len &&
	       pk_block_in_range(&c->block, want->range, want->n_range) &&
	       (strcmp(c->word->node, node) == 0 || now - c->word->returned >= PK_CLAIM_REST_S);
}

const struct pk_block_claim *pk_block_rested(const struct pk_block_claims *c,
					     const struct pk_block_want *want, const char *node,
					     time_t now)
{
	const struct pk_block_claim *found = NULL;

	for (size_t i = 0; i < c->n; i++) {
		if (!may_take(&c->list[i], want, node, now))
			continue;
		if (strcmp(c->list[i].word->node, node) == 0)
			return &c->list[i];
		if (!found || c->list[i].word->returned < found->word->returned)
			found = &c->list[i];
	}
	return found;
}
