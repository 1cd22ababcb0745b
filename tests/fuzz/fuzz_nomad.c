/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nomad's bodies. The first byte chooses which one, the second the pieces it comes in. An alloc
 * that is taken has what it needs, is the same after it was kept and read again, makes an endpoint
 * for the engine, and is what a tree of the whole text says; the pieces change nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/model/local_endpoint.h"
#include "controller/sources/nomad_reader.h"
#include "own.h"
#include "tests/unit/nomad_tree.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_member(struct pk_alloc *alloc)
{
	struct pk_local_endpoint m = { .key = "k@eth0",
				       .container_id = alloc->id,
				       .tenant_name = alloc->tenant_name,
				       .job = alloc->job_id,
				       .group = alloc->group,
				       .open = true,
				       .facts = alloc };
	struct pk_world_endpoint *ep;
	struct pk_settings s;

	pk_settings_init(&s);
	pk_local_endpoint_judge(&m, &s);
	check(m.confirmed == PK_CONFIRMED);
	ep = pk_local_endpoint_world(&m, &s);
	check(ep && ep->labels && *ep->labels->text == '[');
	pk_world_endpoint_free(ep);
	pk_settings_done(&s);
}

static void check_alloc(struct pk_alloc *a)
{
	struct pk_alloc *copy;

	check(*a->id && *a->tenant_name && *a->job_id && *a->job && *a->group && a->region);
	for (size_t i = 0; i < a->n_ports; i++)
		check(*a->ports[i].label && a->ports[i].host && a->ports[i].own);
	for (size_t i = 0; i < a->n_checks; i++)
		check(a->checks[i] != 0);
	copy = pk_alloc_copy(a);
	check(copy && strcmp(copy->job, a->job) == 0 && copy->n_ports == a->n_ports &&
	      copy->n_meta == a->n_meta && copy->services_unknown == a->services_unknown);
	pk_alloc_done(copy);
	free(copy);
	check_member(a);
}

static int read_allocs(const char *text, size_t n, size_t piece, struct pk_allocs *out)
{
	struct pk_alloc_reader *reader = pk_alloc_reader_new(PK_READ_ALLOCS);
	int r = 0;

	*out = (struct pk_allocs){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_alloc_reader_feed(reader, text + at, n - at < piece ? n - at : piece, NULL);
	if (r == 0)
		r = pk_alloc_reader_end(reader, out, NULL);
	pk_alloc_reader_free(reader);
	return r;
}

static void check_same(const struct pk_allocs *a, const struct pk_allocs *b)
{
	check(a->n == b->n && a->n_refused == b->n_refused && a->n_terminal == b->n_terminal);
	for (size_t i = 0; i < a->n; i++) {
		check(strcmp(a->list[i].id, b->list[i].id) == 0);
		check(!a->list[i].refused == !b->list[i].refused);
		check(a->list[i].refused || pk_alloc_equal(&a->list[i], &b->list[i]));
	}
}

/* What the tree takes is taken, or refused for what the tree doesn't mind. */
static void check_tree(const char *text, size_t n, int r, const struct pk_allocs *list)
{
	struct pk_allocs tree;
	size_t live = 0;

	if (tree_allocs(text, n, &tree, NULL) < 0)
		return;
	check(r == 0);
	for (size_t i = 0; i < tree.n && !list->n_refused; i++) {
		const struct pk_alloc *a;

		if (tree.list[i].terminal)
			continue;
		check(live < list->n);
		a = &list->list[live++];
		check(a->labels_refused || tree_equal(&tree.list[i], a));
	}
	check(list->n_refused || live == list->n);
	pk_allocs_done(&tree);
}

static void check_list(const char *text, size_t n, size_t piece)
{
	struct pk_allocs list, pieces;
	int r = read_allocs(text, n, n + 1, &list);

	check(read_allocs(text, n, piece, &pieces) == r);
	check_same(&list, &pieces);
	check_tree(text, n, r, &list);
	for (size_t i = 0; i < list.n; i++)
		if (!list.list[i].refused)
			check_alloc(&list.list[i]);
	pk_allocs_done(&list);
	pk_allocs_done(&pieces);
}

static void check_nodes(const char *text, size_t n, size_t piece)
{
	struct pk_node_reader *reader = pk_node_reader_new("vm");
	struct pk_nomad_node node;
	int r = 0;

	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_node_reader_feed(reader, text + at, n - at < piece ? n - at : piece, NULL);
	if (r == 0 && pk_node_reader_end(reader, &node, NULL) == 0)
		check(strlen(node.id) < sizeof(node.id));
	pk_node_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 2;
	struct pk_alloc alloc;

	if (size < 2)
		return 0;
	switch (data[0] % 3) {
	case 0:
		if (pk_alloc_decode(text, size - 2, &alloc, NULL) == 0)
			check_alloc(&alloc);
		pk_alloc_done(&alloc);
		break;
	case 1:
		check_list(text, size - 2, data[1] + 1);
		break;
	default:
		check_nodes(text, size - 2, data[1] + 1);
		break;
	}
	return 0;
}
