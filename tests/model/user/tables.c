// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's tables in user space: arrays, hashes and prefixes. A deleted element's memory is there
 * until the packet has gone, as in the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/user/bpf/bpf_helpers.h"
#include "tests/model/user/user.h"

#define TABLES	32
#define BUCKETS 1024
#define NOEXIST 1

struct element {
	struct element *next;
	uint32_t hash;
	_Alignas(8) uint8_t bytes[]; /* the key to eight bytes, then the value */
};

static struct table tables[TABLES];
static int n_tables;
static struct element *deleted;

static void die(const char *why, const char *name)
{
	fprintf(stderr, "model-test: the guard in user space: %s: %s\n", name, why);
	exit(1);
}

void table_is(const struct table *t)
{
	struct table *own = &tables[n_tables++];

	if (n_tables > TABLES)
		die("too many tables", t->name);
	*own = *t;
	own->elements = own->kind == TABLE_ARRAY ? calloc(own->room, own->value)
						 : calloc(BUCKETS, sizeof(struct element *));
}

static struct table *find(const void *address)
{
	for (int i = 0; i < n_tables; i++)
		if (tables[i].address == address)
			return &tables[i];
	die("a table that nobody named", "?");
	return NULL;
}

static struct table *named(const char *name)
{
	for (int i = 0; i < n_tables; i++)
		if (!strcmp(tables[i].name, name))
			return &tables[i];
	die("no such table", name);
	return NULL;
}

static uint32_t value_at(const struct table *t)
{
	return (t->key + 7) & ~7u;
}

static uint32_t hash_of(const struct table *t, const uint8_t *key)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; t->kind == TABLE_HASH && i < t->key; i++)
		hash = (hash ^ key[i]) * 16777619;
	return hash;
}

static struct element **place(const struct table *t, uint32_t hash)
{
	return &((struct element **)t->elements)[hash % BUCKETS];
}

/* The bits of the prefix, which counts them in its first four bytes. */
static bool holds(const struct element *e, const uint8_t *key)
{
	uint32_t bits;

	memcpy(&bits, e->bytes, sizeof(bits));
	for (uint32_t i = 0; i < bits; i++)
		if ((e->bytes[4 + i / 8] ^ key[4 + i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static uint32_t bits_of(const struct element *e)
{
	uint32_t bits;

	memcpy(&bits, e->bytes, sizeof(bits));
	return bits;
}

static struct element *longest(const struct table *t, const uint8_t *key)
{
	struct element *best = NULL;

	for (struct element *e = *place(t, hash_of(t, key)); e; e = e->next)
		if (holds(e, key) && (!best || bits_of(e) > bits_of(best)))
			best = e;
	return best;
}

static struct element **same(const struct table *t, const void *key)
{
	uint32_t hash = hash_of(t, key);
	struct element **at = place(t, hash);

	while (*at && ((*at)->hash != hash || memcmp((*at)->bytes, key, t->key) != 0))
		at = &(*at)->next;
	return at;
}

void *bpf_map_lookup_elem(const void *map, const void *key)
{
	const struct table *t = find(map);
	struct element *e;
	uint32_t at;

	if (t->kind == TABLE_ARRAY) {
		memcpy(&at, key, sizeof(at));
		return at < t->room ? (uint8_t *)t->elements + (size_t)at * t->value : NULL;
	}
	e = t->kind == TABLE_PREFIX ? longest(t, key) : *same(t, key);
	return e ? e->bytes + value_at(t) : NULL;
}

static long update(struct table *t, const void *key, const void *value, uint64_t flags)
{
	struct element **at, *e;

	if (t->kind == TABLE_ARRAY) {
		memcpy(bpf_map_lookup_elem(t->address, key), value, t->value);
		return 0;
	}
	at = same(t, key);
	if (*at && flags == NOEXIST)
		return -EEXIST;
	if (*at) {
		memcpy((*at)->bytes + value_at(t), value, t->value);
		return 0;
	}
	if (t->count >= t->room)
		return -E2BIG;
	e = calloc(1, sizeof(*e) + value_at(t) + t->value);
	e->hash = hash_of(t, key);
	memcpy(e->bytes, key, t->key);
	memcpy(e->bytes + value_at(t), value, t->value);
	*at = e;
	t->count++;
	return 0;
}

long bpf_map_update_elem(const void *map, const void *key, const void *value, __u64 flags)
{
	return update(find(map), key, value, flags);
}

long bpf_map_delete_elem(const void *map, const void *key)
{
	struct table *t = find(map);
	struct element **at = same(t, key), *e = *at;

	if (!e)
		return -ENOENT;
	*at = e->next;
	e->next = deleted;
	deleted = e;
	t->count--;
	return 0;
}

void table_put(const char *name, const void *key, const void *value)
{
	if (update(named(name), key, value, 0))
		die("full", name);
}

void *table_all(const char *name)
{
	return named(name)->elements;
}

static void chain_free(struct element **at)
{
	while (*at) {
		struct element *e = *at;

		*at = e->next;
		free(e);
	}
}

void tables_rest(void)
{
	chain_free(&deleted);
}

void tables_empty(void)
{
	tables_rest();
	for (int i = 0; i < n_tables; i++) {
		struct table *t = &tables[i];

		if (t->kind == TABLE_ARRAY)
			memset(t->elements, 0, (size_t)t->room * t->value);
		for (int n = 0; t->kind != TABLE_ARRAY && n < BUCKETS; n++)
			chain_free(place(t, (uint32_t)n));
		t->count = 0;
	}
}
