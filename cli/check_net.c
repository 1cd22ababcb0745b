/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the machine's own networks and name servers against what the conflists ask of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "nl.h"
#include "own.h"
#include "resolv.h"
#include "stack.h"

static bool has_ipv6(const struct cni_conf *conf)
{
	for (size_t i = 0; i < conf->n_pools; i++)
		if (conf->pool[i].v6)
			return true;
	return false;
}

static void check_ipv6(struct check *c, const struct check_network *n)
{
	if (has_ipv6(&n->conf) && pk_ipv6_is_off())
		check_line(c, CHECK_FAIL, "ipv6",
			   "sysctl -w net.ipv6.conf.all.disable_ipv6=0 "
			   "net.ipv6.conf.default.disable_ipv6=0, or take the IPv6 block out of "
			   "\"pool\"",
			   "%s: an IPv6 pool, and IPv6 is switched off on this node", n->path);
}

struct routes {
	struct pk_nl *nl;
	struct pk_nl_route_info *list; /* owned */
	size_t n;
};

/*
 * Returns whether the route collides with the pool: it is to a network that the node is on, or
 * leads to what would be an endpoint's address. A route that covers the pool and leads to a gateway
 * doesn't: that is how this node reaches the cluster's other blocks.
 */
static bool in_the_way(const struct pk_nl_route_info *route, const struct pk_prefix *pool)
{
	if (!route->to.len || route->to.v6 != pool->v6)
		return false;
	return pk_prefix_covers(pool, &route->to) ||
	       (pk_addr_is_zero(&route->via) && pk_prefix_covers(&route->to, pool));
}

static bool overlaps(struct check *c, const struct check_network *n, const struct routes *routes,
		     const struct pk_prefix *pool)
{
	char text[PK_ADDR_TEXT], other[PK_ADDR_TEXT];

	for (size_t i = 0; i < routes->n; i++) {
		struct pk_nl_link link = { 0 };

		if (!in_the_way(&routes->list[i], pool) ||
		    pk_nl_link(routes->nl, routes->list[i].ifindex, NULL, &link, NULL) < 0 ||
		    pk_nl_is_host_end(link.name))
			continue;
		check_line(c, CHECK_FAIL, "pool",
			   "take a block that no network of this node and no route has",
			   "%s: pool %s overlaps %s, which this node reaches through %s", n->path,
			   pk_prefix_format(pool, text),
			   pk_prefix_format(&routes->list[i].to, other), link.name);
		return true;
	}
	return false;
}

static void check_pools(struct check *c, const struct check_network *n, const struct routes *routes)
{
	bool found = false;

	for (size_t i = 0; i < n->conf.n_pools; i++)
		found |= overlaps(c, n, routes, &n->conf.pool[i]);
	for (size_t i = 0; i < c->settings.n_blocks; i++)
		found |= overlaps(c, n, routes, &c->settings.blocks[i]);
	if (!found && n->conf.n_pools + c->settings.n_blocks)
		check_line(c, CHECK_OK, "pool", NULL,
			   "network \"%s\": no network of this node overlaps it", n->list.name);
}

struct servers {
	char text[256];
	size_t n;
};

static void add_server(void *arg, const union pk_addr *addr)
{
	struct servers *s = arg;
	size_t used = strlen(s->text);
	char text[PK_ADDR_TEXT];

	snprintf(s->text + used, sizeof(s->text) - used, "%s%s", used ? ", " : "",
		 pk_addr_format(addr, text));
	s->n++;
}

/*
 * Checks who resolves a guest's names: the conflist's servers, else those of the machine that a
 * guest can reach.
 */
static void check_dns(struct check *c, const struct check_network *n)
{
	const struct cni_dns *dns = &n->conf.dns;
	struct servers servers = { 0 };
	const struct pk_resolv_fns fns = { .server = add_server, .arg = &servers };
	struct pk_resolv_seen seen = { 0 };
	struct pk_err note = { 0 };

	for (size_t i = 0; i < dns->n_servers; i++) {
		if (pk_addr_is_loopback(&dns->server[i])) {
			pk_resolv_unreachable(&dns->server[i], &note);
			check_line(c, CHECK_FAIL, "dns", note.fix, "%s: %s", n->path, note.text);
			return;
		}
		add_server(&servers, &dns->server[i]);
	}
	if (!dns->given)
		pk_resolv_conf_read(&c->cli->paths, &fns, &seen);
	if (servers.n)
		check_line(c, CHECK_OK, "dns", NULL, "network \"%s\": guests ask %s", n->list.name,
			   servers.text);
	else if (dns->given)
		check_line(c, CHECK_WARN, "dns", "name resolvers in it, if guests are to have one",
			   "network \"%s\": guests get no resolver: \"dns\" names none",
			   n->list.name);
	else if (pk_resolv_none(&seen, &note))
		check_line(c, CHECK_WARN, "dns", note.fix, "network \"%s\": %s", n->list.name,
			   note.text);
}

void check_net(struct check *c)
{
	own_nl *nl = NULL;
	own_mem struct pk_nl_route_info *list = NULL;
	struct routes routes = { 0 };
	struct pk_err err = { 0 };

	if (pk_nl_open(&nl, &err) < 0 || pk_nl_routes(nl, &list, &routes.n, &err) < 0)
		check_line(c, CHECK_WARN, "pool", "run picket check as root",
			   "this node's routes can't be read: %s", err.text);
	routes.nl = nl;
	routes.list = list;
	for (size_t i = 0; i < c->n_networks; i++) {
		const struct check_network *n = &c->networks[i];

		if (!n->taken)
			continue;
		check_ipv6(c, n);
		if (list)
			check_pools(c, n, &routes);
		check_dns(c, n);
	}
}
