/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "nl.h"
#include "own.h"

#define TOGETHER_MS 20
#define EACH_MS	    10000 /* between two checks: a link that went down and came back has lost */

struct pk_fabric {
	const struct pk_believed *believed;
	const struct pk_overlay_keeper *overlay;
	struct pk_timer *timer;
	struct pk_err error;
};

struct neighbour {
	uint32_t ifindex;
	union pk_addr addr;
};

/* The routes that are wanted, and the neighbours that are to stay known. */
struct routes {
	struct pk_nl_route *list;
	struct neighbour *neighbours; /* one for each route */
	size_t n;
};

static void add(struct routes *want, const struct pk_nl_route *route, const struct neighbour *to)
{
	want->list = realloc(want->list, (want->n + 1) * sizeof(*route));
	want->neighbours = realloc(want->neighbours, (want->n + 1) * sizeof(*to));
	if (!want->list || !want->neighbours)
		abort();
	want->neighbours[want->n] = *to;
	want->list[want->n++] = *route;
}

/*
 * Finds the way to a node's block. Where the node has no reachable IPv4 address the next hop is its
 * IPv6 address: the kernel takes that for IPv4 routes too.
 */
static int find_way(struct pk_nl *nl, const struct pk_node_word *word, bool v6,
		    struct pk_nl_route *route)
{
	const union pk_addr *own = pk_node_word_address(word, v6);
	const union pk_addr *six = v6 ? NULL : pk_node_word_address(word, true);

	if (own && pk_nl_way(nl, own, &route->ifindex, &route->via) == 0)
		return 0;
	return six ? pk_nl_way(nl, six, &route->ifindex, &route->via) : -ENETUNREACH;
}

static void want_block(struct pk_nl *nl, const struct pk_believed_node *node,
		       const struct pk_prefix *block, struct routes *want)
{
	struct pk_nl_route route = { .to = *block,
				     .protocol = PK_FABRIC_PROTOCOL,
				     .metric = PK_FABRIC_METRIC };

	/* A node that can't be reached now gets its route when there is a way again. */
	if (find_way(nl, node->word, block->v6, &route) < 0)
		return;
	add(want, &route, &(struct neighbour){ route.ifindex, route.via });
}

/*
 * Adds the route of a block that is reached by the overlay. It names the device alone; the table
 * `pools` says which node has the block.
 */
static void want_tunnel(struct pk_nl *nl, const struct pk_overlay_keeper *overlay,
			const struct pk_believed_node *node, const struct pk_prefix *block,
			struct routes *want)
{
	const union pk_addr *to = pk_node_word_address(node->word, pk_overlay_is6(overlay));
	const struct pk_nl_route route = { .to = *block,
					   .ifindex = pk_overlay_ifindex(overlay),
					   .protocol = PK_FABRIC_PROTOCOL,
					   .metric = PK_FABRIC_METRIC };
	struct neighbour way = { 0 };

	if (!to || !route.ifindex)
		return;
	pk_nl_way(nl, to, &way.ifindex, &way.addr);
	add(want, &route, &way);
}

static void want_all(struct pk_nl *nl, const struct pk_fabric *f, struct routes *want)
{
	struct pk_believed_node node;

	for (size_t i = 0; pk_believed_node(f->believed, i, &node); i++)
		for (size_t k = 0; k < node.n_blocks; k++)
			if (f->overlay)
				want_tunnel(nl, f->overlay, &node, &node.blocks[k], want);
			else
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

/* Keeps only the routes with our protocol number, sorted by where they lead; returns how many. */
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

/*
 * Returns whether the wanted route is there. Several of ours may lead there: an uplink that is gone
 * may have left one.
 */
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
	const struct neighbour *x = a, *y = b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (r)
		return r;
	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

/*
 * Makes the next hops known as neighbours, each once however many nodes are behind it; one that is
 * known already isn't touched. Sorts them.
 */
static void know_neighbours(struct pk_nl *nl, struct routes *want)
{
	if (want->n)
		qsort(want->neighbours, want->n, sizeof(*want->neighbours), by_neighbour);
	for (size_t i = 0; i < want->n; i++) {
		const struct neighbour *n = &want->neighbours[i];

		if (!n->ifindex || (i && by_neighbour(n - 1, n) == 0))
			continue;
		pk_nl_neigh_managed(nl, n->ifindex, &n->addr);
		pk_nl_send(nl, NULL);
	}
}

/* Brings the routes in step. f is NULL where there are no other nodes. */
static int pass(const struct pk_fabric *f, struct pk_err *err)
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
	if (f)
		want_all(nl, f, &want);
	if (want.n)
		qsort(want.list, want.n, sizeof(*want.list), by_wanted);
	r = make_step(nl, &want, is, keep_ours(is, n), err);
	know_neighbours(nl, &want);
	free(want.list);
	free(want.neighbours);
	return r;
}

static void on_timer(void *arg)
{
	struct pk_fabric *f = arg;
	struct pk_err err = { 0 };
	int r = pass(f, &err);

	if (r < 0 && strcmp(err.text, f->error.text) != 0)
		log_error("op=fabric err=\"%s\"", err.text);
	f->error = r < 0 ? err : (struct pk_err){ 0 };
	pk_timer_set(f->timer, EACH_MS);
}

struct pk_fabric *pk_fabric_new(struct pk_loop *loop, const struct pk_believed *believed,
				const struct pk_overlay_keeper *overlay)
{
	struct pk_fabric *f = pk_alloc(sizeof(*f));

	f->believed = believed;
	f->overlay = overlay;
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
