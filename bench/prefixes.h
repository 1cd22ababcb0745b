/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The prefixes of an engine's rule sets in a table of the kernel's, and what that takes. */
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compile.h"

struct table { /* the kernel's */
	int fd;
	const struct pk_cidr_list *lists[4096];
	size_t n;
};

static void put_list(struct table *t, const struct pk_cidr_list *list)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->lists[i] == list)
			return;
	if (!list || t->n == PK_ARRAY_LEN(t->lists))
		return;
	t->lists[t->n++] = list;
	for (size_t i = 0; i < list->n; i++) {
		const struct pk_cidr_entry *e = &list->entries[i];
		const struct pk_cidr_key key = { .prefixlen = 32 + e->bits,
						 .list = (uint32_t)t->n,
						 .addr = e->addr };

		if (bpf_map_update_elem(t->fd, &key, &e->class_nr, BPF_ANY)) {
			perror("table of prefixes");
			exit(1);
		}
	}
}

/* Returns the bytes that the kernel says a table takes. */
static size_t memory_of(int fd)
{
	char line[128], path[64];
	size_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "memlock: %zu", &bytes);
	if (file)
		fclose(file);
	return bytes;
}

/* Writes all lists of the engine's images into a table like the node's, and returns its bytes. */
static size_t in_kernel(const struct pk_engine *engine)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	const struct pk_world *world = pk_engine_world(engine);
	static struct table t;
	size_t bytes;

	t.n = 0;
	t.fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "cidr", sizeof(struct pk_cidr_key), 4, 1 << 20,
			      &opts);
	if (t.fd < 0) {
		perror("table of prefixes");
		exit(1);
	}
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		const struct pk_image *image = ep->local ? pk_engine_image(engine, ep->key) : NULL;

		for (int i = 0; image && i < PK_LISTS; i++)
			put_list(&t, image->list[i]);
	}
	bytes = memory_of(t.fd);
	close(t.fd);
	return bytes;
}
