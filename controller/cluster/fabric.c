/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nl.h"
#include "own.h"

#define TOGETHER_MS 20
#define EACH_MS	    10000 /* a link that came back has lost its routes */

struct pk_fabric {
	const struct pk_believed *believed;
	struct pk_timer *timer;
	struct pk_err error;
};

struct routes {
	struct pk_nl_route *list;
	size_t n;
};

static const union pk_addr *address_of(const struct pk_node_word *word, bool v6)
{
	for (size_t i = 0; i < word->n_addresses; i++)
		if (pk_addr_is4(&word->addresses[i]) != v6)
			return &word->addresses[i];
	return NULL;
}

static void want_block(struct pk_nl *nl, const struct pk_believed_node *node,
		       const struct pk_prefix *block, struct routes *want)
{
	const union pk_addr *to = address_of(node->word, block->v6);
	struct pk_nl_route route = { .to = *block,
				     .protocol = PK_FABRIC_PROTOCOL,
				     .metric = PK_FABRIC_METRIC };

	/* A node that can't be reached now gets its route when there is a way again. */
	if (!to || pk_nl_way(nl, to, &route.ifindex, &route.via) < 0)
		return;
	want->list = realloc(want->list, (want->n + 1) * sizeof(route));
	if (!want->list)
		abort();
	want->list[want->n++] = route;
}

static void want_all(struct pk_nl *nl, const struct pk_believed *believed, struct routes *want)
{
	struct pk_believed_node node;

	for (size_t i = 0; pk_believed_node(believed, i, &node); i++)
		for (size_t k = 0; k < node.n_blocks; k++)
			want_block(nl, &node, &node.blocks[k], want);
}

/* Orders routes by where they lead. */
static int compare(const struct pk_prefix *a, const struct pk_prefix *b)
{
	int r = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	if (r == 0)
		r = (int)a->v6 - (int)b->v6;
	return r ? r : (int)a->len - (int)b->len;
}

static int by_wanted(const void *a, const void *b)
{
	return compare(&((const struct pk_nl_route *)a)->to, &((const struct pk_nl_route *)b)->to);
}

static int by_info(const void *a, const void *b)
{
	return compare(&((const struct pk_nl_route_info *)a)->to,
		       &((const struct pk_nl_route_info *)b)->to);
}

/* Leaves those that are ours in the list, in order. */
static size_t keep_ours(struct pk_nl_route_info *list, size_t n)
{
	size_t ours = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].protocol == PK_FABRIC_PROTOCOL)
			list[ours++] = list[i];
	if (ours)
		qsort(list, ours, sizeof(*list), by_info);
	return ours;
}

/* Looks among all of ours that lead there: an uplink that is gone may have left an older one. */
static bool is_there(const struct pk_nl_route *want, const struct pk_nl_route_info *list, size_t n)
{
	const struct pk_nl_route_info key = { .to = want->to };
	const struct pk_nl_route_info *at = n ? bsearch(&key, list, n, sizeof(key), by_info) : NULL;

	while (at && at > list && by_info(at - 1, &key) == 0)
		at--;
	for (; at && at < list + n && by_info(at, &key) == 0; at++)
		if (at->ifindex == want->ifindex && pk_addr_equal(&at->via, &want->via))
			return true;
	return false;
}

static bool is_wanted(const struct pk_nl_route_info *is, const struct routes *want)
{
	const struct pk_nl_route key = { .to = is->to };

	return want->n && bsearch(&key, want->list, want->n, sizeof(key), by_wanted);
}

static int make_step(struct pk_nl *nl, const struct routes *want, const struct pk_nl_route_info *is,
		     size_t n, struct pk_err *err)
{
	int result = 0;

	for (size_t i = 0; i < n; i++) {
		struct pk_nl_route gone = { .to = is[i].to,
					    .via = is[i].via,
					    .ifindex = is[i].ifindex,
					    .protocol = PK_FABRIC_PROTOCOL,
					    .metric = PK_FABRIC_METRIC };

		if (is_wanted(&is[i], want))
			continue;
		pk_nl_route_delete(nl, &gone);
		result = pk_nl_send(nl, err) ?: result;
	}
	for (size_t i = 0; i < want->n; i++) {
		if (is_there(&want->list[i], is, n))
			continue;
		pk_nl_route(nl, &want->list[i]);
		result = pk_nl_send(nl, err) ?: result;
	}
	return result;
}

static int by_neighbour(const void *a, const void *b)
{
	const struct pk_nl_route *x = a, *y = b;
	int r = memcmp(&x->via, &y->via, sizeof(x->via));

	if (r)
		return r;
	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

/*
 * Makes neighbours known, each once, however many nodes are behind it; one that is known already
 * stays as it is. The routes are sorted by them.
 */
static void know_neighbours(struct pk_nl *nl, struct routes *want)
{
	if (want->n)
		qsort(want->list, want->n, sizeof(*want->list), by_neighbour);
	for (size_t i = 0; i < want->n; i++) {
		if (i && by_neighbour(&want->list[i - 1], &want->list[i]) == 0)
			continue;
		pk_nl_neigh_managed(nl, want->list[i].ifindex, &want->list[i].via);
		pk_nl_send(nl, NULL);
	}
}

/* Brings the routes in step. believed is NULL where there are no other nodes. */
static int pass(const struct pk_believed *believed, struct pk_err *err)
{
	own_mem struct pk_nl_route_info *is = NULL;
	struct routes want = { 0 };
	own_nl *nl = NULL;
	size_t n = 0;
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_nl_routes(nl, &is, &n, err);
	if (r < 0)
		return r;
	if (believed)
		want_all(nl, believed, &want);
	if (want.n)
		qsort(want.list, want.n, sizeof(*want.list), by_wanted);
	r = make_step(nl, &want, is, keep_ours(is, n), err);
	know_neighbours(nl, &want);
	free(want.list);
	return r;
}

static void on_timer(void *arg)
{
	struct pk_fabric *f = arg;
	struct pk_err err = { 0 };
	int r = pass(f->believed, &err);

	if (r < 0 && strcmp(err.text, f->error.text) != 0)
		log_error("op=fabric err=\"%s\"", err.text);
	f->error = r < 0 ? err : (struct pk_err){ 0 };
	pk_timer_set(f->timer, EACH_MS);
}

struct pk_fabric *pk_fabric_new(struct pk_loop *loop, const struct pk_believed *believed)
{
	struct pk_fabric *f = pk_alloc(sizeof(*f));

	f->believed = believed;
	f->timer = pk_timer_new(loop, on_timer, f);
	pk_fabric_soon(f);
	return f;
}

void pk_fabric_free(struct pk_fabric *f)
{
	if (!f)
		return;
	pk_timer_free(f->timer);
	free(f);
}

void pk_fabric_withdraw(void)
{
	struct pk_err err = { 0 };

	if (pass(NULL, &err) < 0)
		log_warn("op=fabric err=\"%s\" ignoring", err.text);
}

void pk_fabric_soon(struct pk_fabric *f)
{
	pk_timer_hurry(f->timer, TOGETHER_MS);
}

const struct pk_err *pk_fabric_error(const struct pk_fabric *f)
{
	return &f->error;
}
