/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs.h"
#include "log.h"
#include "nl.h"
#include "own.h"

#define TOGETHER_MS 20
#define EACH_MS	    10000 /* a link that came back has lost its routes */
#define QUIET	    6 /* so many times nothing is looked at while the kernel tells of no change */
#define SLICE_NS    10000000 /* a turn of a pass; between two, others are served */

struct neighbour {
	uint32_t ifindex;
	union pk_addr addr;
};

/* A block of another node's, and where that node is reached; six: for IPv4 that goes by IPv6. */
struct hop {
	struct pk_prefix block;
	union pk_addr to, six;
	bool has_to, has_six;
};

/* A pass under way: what is believed as it began, and how far it is. */
struct work {
	struct pk_nl *nl;
	uint32_t tunnel; /* the overlay's device; 0: the network routes the blocks */
	struct hop *hops;
	struct pk_nl_route *want;
	struct neighbour *neighbours; /* that are to stay known, one for each route */
	struct pk_nl_route_info *is;
	size_t n_hops, n_want, n_is;
	size_t next_hop, next_is, next_want, next_neighbour;
	struct pk_err *err;
	int result;
};

struct pk_fabric {
	const struct pk_believed *believed;
	const struct pk_overlay_keeper *overlay;
	struct pk_timer *timer;
	struct work *work; /* NULL: none is under way */
	bool soon;	   /* what is believed may have changed since the last one began */
	int fd;		   /* hears of what may change a way */
	unsigned int quiet;
	struct pk_err error, found;
};

static const int groups[] = { RTNLGRP_LINK,	  RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
			      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
			      RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP,     0 };

static void add_hop(struct work *w, const struct pk_node_word *word, const struct pk_prefix *block,
		    bool by6)
{
	const union pk_addr *to = pk_node_word_address(word, by6);
	const union pk_addr *six = by6 ? NULL : pk_node_word_address(word, true);
	struct hop *h;

	w->hops = realloc(w->hops, (w->n_hops + 1) * sizeof(*w->hops));
	if (!w->hops)
		abort();
	h = &w->hops[w->n_hops++];
	*h = (struct hop){ .block = *block, .has_to = to, .has_six = six };
	if (to)
		h->to = *to;
	if (six)
		h->six = *six;
}

/* In the overlay the route names the device alone: `pools` says to which node a block leads. */
static void collect(struct work *w, const struct pk_fabric *f)
{
	const bool tunnel6 = f->overlay && pk_overlay_is6(f->overlay);
	struct pk_believed_node node;

	w->tunnel = f->overlay ? pk_overlay_ifindex(f->overlay) : 0;
	if (f->overlay && !w->tunnel)
		return;
	for (size_t i = 0; pk_believed_node(f->believed, i, &node); i++)
		for (size_t k = 0; k < node.n_blocks; k++)
			add_hop(w, node.word, &node.blocks[k],
				f->overlay ? tunnel6 : node.blocks[k].v6);
}

/*
 * Finds the way to a node's block. Where the node has no address of IPv4, or none that can be
 * reached now, the next hop is one of IPv6: the kernel takes it for routes of IPv4, too.
 */
static int find_way(const struct work *w, const struct hop *h, struct neighbour *way)
{
	if (h->has_to && pk_nl_way(w->nl, &h->to, &way->ifindex, &way->addr) == 0)
		return 0;
	return h->has_six && !w->tunnel ? pk_nl_way(w->nl, &h->six, &way->ifindex, &way->addr)
					: -ENETUNREACH;
}

static void want_hop(struct work *w, const struct hop *h)
{
	struct pk_nl_route route = { .to = h->block,
				     .protocol = PK_FABRIC_PROTOCOL,
				     .metric = PK_FABRIC_METRIC };
	struct neighbour way = { 0 };
	int r = find_way(w, h, &way);

	/* A node that can't be reached now gets its route when there is a way again. */
	if (w->tunnel ? !h->has_to : r < 0)
		return;
	route.ifindex = w->tunnel ?: way.ifindex;
	if (!w->tunnel)
		route.via = way.addr;
	w->neighbours[w->n_want] = r < 0 ? (struct neighbour){ 0 } : way;
	w->want[w->n_want++] = route;
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

static bool is_wanted(const struct work *w, const struct pk_nl_route_info *is)
{
	const struct pk_nl_route key = { .to = is->to };

	return w->n_want && bsearch(&key, w->want, w->n_want, sizeof(key), by_wanted);
}

static void send_one(struct work *w)
{
	int r = pk_nl_send(w->nl, w->err);

	w->result = w->result ?: r;
}

static void end_one(struct work *w, const struct pk_nl_route_info *is)
{
	const struct pk_nl_route gone = { .to = is->to,
					  .via = is->via,
					  .ifindex = is->ifindex,
					  .protocol = PK_FABRIC_PROTOCOL,
					  .metric = PK_FABRIC_METRIC };

	if (is_wanted(w, is))
		return;
	pk_nl_route_delete(w->nl, &gone);
	send_one(w);
}

static void make_one(struct work *w, const struct pk_nl_route *want)
{
	if (is_there(want, w->is, w->n_is))
		return;
	pk_nl_route(w->nl, want);
	send_one(w);
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
 * Makes a neighbour known, once, however many nodes are behind it; one that is known already stays
 * as it is. They are sorted by this.
 */
static void know_one(struct work *w, size_t i)
{
	const struct neighbour *n = &w->neighbours[i];

	if (!n->ifindex || (i && by_neighbour(n - 1, n) == 0))
		return;
	pk_nl_neigh_managed(w->nl, n->ifindex, &n->addr);
	pk_nl_send(w->nl, NULL);
}

/* Does the next thing of the pass; false: it is done. */
static bool step(struct work *w)
{
	if (w->next_hop < w->n_hops) {
		want_hop(w, &w->hops[w->next_hop]);
		if (++w->next_hop == w->n_hops && w->n_want) {
			qsort(w->want, w->n_want, sizeof(*w->want), by_wanted);
			qsort(w->neighbours, w->n_want, sizeof(*w->neighbours), by_neighbour);
		}
		return true;
	}
	if (w->next_is < w->n_is)
		end_one(w, &w->is[w->next_is++]);
	else if (w->next_want < w->n_want)
		make_one(w, &w->want[w->next_want++]);
	else if (w->next_neighbour < w->n_want)
		know_one(w, w->next_neighbour++);
	else
		return false;
	return true;
}

static void work_free(struct work *w)
{
	if (!w)
		return;
	pk_nl_close(w->nl);
	free(w->hops);
	free(w->want);
	free(w->neighbours);
	free(w->is);
	free(w);
}

/* Begins a pass; NULL: the kernel doesn't list the routes. f NULL: no other node is known. */
static struct work *begin(const struct pk_fabric *f, struct pk_err *err)
{
	struct work *w = pk_alloc(sizeof(*w));

	w->err = err;
	if (pk_nl_open(&w->nl, err) < 0 || pk_nl_routes(w->nl, &w->is, &w->n_is, err) < 0) {
		work_free(w);
		return NULL;
	}
	w->n_is = keep_ours(w->is, w->n_is);
	if (f)
		collect(w, f);
	w->want = pk_alloc((w->n_hops + 1) * sizeof(*w->want));
	w->neighbours = pk_alloc((w->n_hops + 1) * sizeof(*w->neighbours));
	return w;
}

/* Returns whether the kernel told of anything since it was asked last, or may have. */
static bool has_heard(const struct pk_fabric *f)
{
	char buf[16384];
	bool any = f->fd < 0;
	ssize_t n;

	while (f->fd >= 0 && (n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
		if (n < 0 && errno != ENOBUFS)
			break;
		any = true;
	}
	return any;
}

/* Returns whether a pass is due: of many nodes it is thousands of questions to the kernel. */
static bool is_due(struct pk_fabric *f)
{
	const bool heard = has_heard(f);

	if (!heard && !f->soon && !*f->error.text && ++f->quiet < QUIET)
		return false;
	f->quiet = 0;
	f->soon = false;
	return true;
}

static void ended(struct pk_fabric *f, int r)
{
	if (r < 0 && strcmp(f->found.text, f->error.text) != 0)
		log_error("op=fabric err=\"%s\"", f->found.text);
	f->error = r < 0 ? f->found : (struct pk_err){ 0 };
	work_free(PK_MOVE(f->work, NULL));
	pk_timer_set(f->timer, f->soon ? TOGETHER_MS : EACH_MS);
}

static void on_timer(void *arg)
{
	const uint64_t until = pk_now_ns() + SLICE_NS;
	struct pk_fabric *f = arg;

	if (!f->work) {
		if (!is_due(f)) {
			pk_timer_set(f->timer, EACH_MS);
			return;
		}
		f->found = (struct pk_err){ 0 };
		f->work = begin(f, &f->found);
		if (!f->work) {
			ended(f, -EIO);
			return;
		}
	}
	while (step(f->work))
		if (pk_now_ns() >= until) {
			pk_timer_set(f->timer, 0);
			return;
		}
	ended(f, f->work->result);
}

struct pk_fabric *pk_fabric_new(struct pk_loop *loop, const struct pk_believed *believed,
				const struct pk_overlay_keeper *overlay)
{
	struct pk_fabric *f = pk_alloc(sizeof(*f));

	f->believed = believed;
	f->overlay = overlay;
	f->fd = pk_nl_listen(groups, NULL);
	f->timer = pk_timer_new(loop, on_timer, f);
	pk_fabric_soon(f);
	return f;
}

void pk_fabric_free(struct pk_fabric *f)
{
	if (!f)
		return;
	pk_timer_free(f->timer);
	work_free(f->work);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

void pk_fabric_withdraw(void)
{
	struct pk_err err = { 0 };
	struct work *w = begin(NULL, &err);
	int r = w ? 0 : -EIO;

	while (w && step(w))
		;
	if (w)
		r = w->result;
	if (r < 0)
		log_warn("op=fabric err=\"%s\" ignoring", err.text);
	work_free(w);
}

void pk_fabric_soon(struct pk_fabric *f)
{
	f->soon = true;
	if (!f->work)
		pk_timer_hurry(f->timer, TOGETHER_MS);
}

const struct pk_err *pk_fabric_error(const struct pk_fabric *f)
{
	return &f->error;
}
