/* SPDX-License-Identifier: Apache-2.0 */
#include "bpfmap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fs.h"
#include "own.h"

static const char *const map_names[] = {
#define NAME(sym, name) [PK_MAP_##sym] = name,
	PK_MAPS(NAME)
#undef NAME
};
_Static_assert(PK_ARRAY_LEN(map_names) == PK_MAP_COUNT, "one name per map");

static const char *const prog_names[] = {
#define NAME(sym, name) [PK_PROG_##sym] = name,
	PK_PROGS(NAME)
#undef NAME
};
_Static_assert(PK_ARRAY_LEN(prog_names) == PK_PROG_COUNT, "one name per program");

const char *pk_map_name(enum pk_map map)
{
	return map_names[map];
}

const char *pk_prog_name(enum pk_prog prog)
{
	return prog_names[prog];
}

int pk_map_get(int map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map, key, value) < 0 ? -errno : 0;
}

int pk_map_set(int map, const void *key, const void *value, uint64_t flags)
{
	return bpf_map_update_elem(map, key, value, flags) < 0 ? -errno : 0;
}

int pk_map_delete(int map, const void *key)
{
	return bpf_map_delete_elem(map, key) < 0 ? -errno : 0;
}

int pk_map_next(int map, const void *key, void *next)
{
	return bpf_map_get_next_key(map, key, next) < 0 ? -errno : 0;
}

int pk_map_info(int map, struct pk_map_info *info)
{
	struct bpf_map_info raw = { 0 };
	__u32 size = sizeof(raw);

	if (bpf_obj_get_info_by_fd(map, &raw, &size) < 0)
		return -errno;
	*info = (struct pk_map_info){
		.type = raw.type,
		.key_size = raw.key_size,
		.value_size = raw.value_size,
		.max_entries = raw.max_entries,
		.flags = raw.map_flags,
		.id = raw.id,
	};
	return 0;
}

int pk_prog_id(int prog, uint32_t *id)
{
	struct bpf_prog_info raw = { 0 };
	__u32 size = sizeof(raw);

	if (bpf_obj_get_info_by_fd(prog, &raw, &size) < 0)
		return -errno;
	*id = raw.id;
	return 0;
}

/* The kernel's "this map has no batch": ENOTSUPP has no name in user space. */
static bool no_batch(int num)
{
	return num == 524 || num == EOPNOTSUPP;
}

static int set_each(int map, const char *keys, const char *values, size_t n, size_t *done)
{
	struct pk_map_info info = { 0 };
	int r = pk_map_info(map, &info);

	for (*done = 0; *done < n && r == 0; *done += r == 0)
		r = pk_map_set(map, keys + *done * info.key_size, values + *done * info.value_size,
			       0);
	return r;
}

int pk_map_set_many(int map, const void *keys, const void *values, size_t n, size_t *done)
{
	__u32 count = (__u32)n;

	*done = 0;
	if (!n)
		return 0;
	if (bpf_map_update_batch(map, keys, values, &count, NULL) == 0) {
		*done = n;
		return 0;
	}
	if (no_batch(errno))
		return set_each(map, keys, values, n, done);
	*done = count <= n ? count : 0;
	return -errno;
}

int pk_cpus(void)
{
	int n = libbpf_num_possible_cpus();

	return n > 0 ? n : 1;
}

/* The kernel's batch starts after the key that it is given. */
int pk_map_get_range(int map, uint32_t first, size_t n, void *values)
{
	own_mem __u32 *keys = pk_alloc(n * sizeof(*keys));
	__u32 count = (__u32)n, out, before = first - 1;

	if (bpf_map_lookup_batch(map, first ? &before : NULL, &out, keys, values, &count, NULL) <
		    0 &&
	    (errno != ENOENT || count != n))
		return -errno;
	return count == n ? 0 : -ENOENT;
}

/* Reads entries one by one. The next key is asked for before `each` may delete this one. */
static int each_single(int map, const struct pk_map_info *info,
		       int (*each)(void *arg, const void *key, const void *value), void *arg)
{
	own_mem char *key = pk_alloc(info->key_size), *next = pk_alloc(info->key_size);
	own_mem char *value = pk_alloc(info->value_size);
	int r = pk_map_next(map, NULL, key);

	while (r == 0) {
		int last = pk_map_next(map, key, next), found = pk_map_get(map, key, value);

		r = found == 0 ? each(arg, key, value) : 0;
		if (r)
			return r;
		if (last < 0)
			return last == -ENOENT ? 0 : last;
		memcpy(key, next, info->key_size);
	}
	return r == -ENOENT ? 0 : r;
}

struct chunk {
	char *keys, *values;
	__u32 room;
};

static void chunk_done(struct chunk *c)
{
	free(c->keys);
	free(c->values);
}

static void chunk_make(struct chunk *c, const struct pk_map_info *info, __u32 room)
{
	chunk_done(c);
	c->room = room;
	c->keys = pk_alloc((size_t)room * info->key_size);
	c->values = pk_alloc((size_t)room * info->value_size);
}

/* Reads a hash by buckets, many entries a call. ENOSPC: a bucket is longer than the room. */
static int each_batch(int map, const struct pk_map_info *info,
		      int (*each)(void *arg, const void *key, const void *value), void *arg)
{
	PK_OWN(chunk_done) struct chunk c = { 0 };
	__u32 at = 0;
	bool begun = false, ended = false;

	chunk_make(&c, info, 1024);
	while (!ended) {
		__u32 count = c.room, next = 0;
		int r = bpf_map_lookup_batch(map, begun ? &at : NULL, &next, c.keys, c.values,
					     &count, NULL);

		if (r < 0 && errno == ENOSPC) {
			chunk_make(&c, info, 2 * c.room);
			continue;
		}
		if (r < 0 && errno != ENOENT)
			return -errno;
		ended = r < 0;
		for (__u32 i = 0; i < count; i++) {
			r = each(arg, c.keys + (size_t)i * info->key_size,
				 c.values + (size_t)i * info->value_size);
			if (r)
				return r;
		}
		begun = true;
		at = next;
	}
	return 0;
}

int pk_map_each(int map, int (*each)(void *arg, const void *key, const void *value), void *arg)
{
	struct pk_map_info info = { 0 };
	int r = pk_map_info(map, &info);

	if (r < 0)
		return r;
	return info.type == BPF_MAP_TYPE_HASH ? each_batch(map, &info, each, arg)
					      : each_single(map, &info, each, arg);
}

#define COUNT_PART 4096 /* entries of a hash at a time: less than a millisecond */

static int count_batch(int map, const struct pk_map_info *info, struct pk_map_counting *c,
		       uint64_t deadline_ns)
{
	PK_OWN(chunk_done) struct chunk room = { 0 };

	chunk_make(&room, info, COUNT_PART);
	do {
		__u32 count = room.room, next = 0;
		int r = bpf_map_lookup_batch(map, c->under_way ? &c->at : NULL, &next, room.keys,
					     room.values, &count, NULL);

		if (r < 0 && errno == ENOSPC) {
			chunk_make(&room, info, 2 * room.room);
			continue;
		}
		if (r < 0 && errno != ENOENT)
			return -errno;
		c->n += count;
		if (r < 0)
			return 1;
		c->under_way = true;
		c->at = next;
	} while (pk_now_ns() < deadline_ns);
	return 0;
}

/*
 * Counts one by one. A key that went between two parts leads to the first one again, so no more are
 * counted than fit.
 */
static int count_single(int map, const struct pk_map_info *info, struct pk_map_counting *c,
			uint64_t deadline_ns)
{
	char next[sizeof(c->key)];

	if (info->key_size > sizeof(c->key))
		return -E2BIG;
	for (unsigned int i = 1; c->n < info->max_entries; i++) {
		int r = pk_map_next(map, c->under_way ? c->key : NULL, next);

		if (r < 0)
			return r == -ENOENT ? 1 : r;
		memcpy(c->key, next, info->key_size);
		c->under_way = true;
		c->n++;
		if (i % 64 == 0 && pk_now_ns() >= deadline_ns)
			return 0;
	}
	return 1;
}

int pk_map_count_part(int map, struct pk_map_counting *c, uint64_t deadline_ns)
{
	struct pk_map_info info = { 0 };
	int r = pk_map_info(map, &info);

	if (r < 0)
		return r;
	return info.type == BPF_MAP_TYPE_HASH ? count_batch(map, &info, c, deadline_ns)
					      : count_single(map, &info, c, deadline_ns);
}

int pk_map_count(int map, size_t *n)
{
	struct pk_map_counting c = { 0 };
	int r = pk_map_count_part(map, &c, UINT64_MAX);

	*n = c.n;
	return r < 0 ? r : 0;
}
