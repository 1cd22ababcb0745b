/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, routes, neighbours. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "nl_batch.h"

static uint8_t family_of(const union pk_addr *addr)
{
	return pk_addr_is4(addr) ? AF_INET : AF_INET6;
}

/* An IPv4 address is the last four of the sixteen bytes. */
void pk_nl_put_addr(struct nl_msg *msg, int type, const union pk_addr *addr)
{
	bool v4 = pk_addr_is4(addr);

	nla_put(msg, type, v4 ? 4 : 16, v4 ? addr->b + 12 : addr->b);
}

void pk_nl_get_addr(struct nlattr *attr, union pk_addr *addr)
{
	__be32 v4;

	if (nla_len(attr) == 16)
		memcpy(addr->b, nla_data(attr), 16);
	if (nla_len(attr) != 4)
		return;
	memcpy(&v4, nla_data(attr), 4);
	*addr = pk_addr_from4(v4);
}

void pk_nl_addr(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr, uint8_t len,
		bool noprefixroute)
{
	struct ifaddrmsg body = {
		.ifa_family = family_of(addr),
		.ifa_prefixlen = len,
		.ifa_index = ifindex,
		.ifa_scope = RT_SCOPE_UNIVERSE,
	};
	uint32_t flags = (noprefixroute ? IFA_F_NOPREFIXROUTE : 0) |
			 (body.ifa_family == AF_INET6 ? IFA_F_NODAD : 0);
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	char text[PK_ADDR_TEXT];

	pk_nl_put_addr(msg, IFA_LOCAL, addr);
	pk_nl_put_addr(msg, IFA_ADDRESS, addr);
	nla_put_u32(msg, IFA_FLAGS, flags);
	pk_nl_push(nl, msg, "address %s on link %u", pk_addr_format(addr, text), ifindex);
}

/* The next hop of a route to addresses of the other family is named with its own. */
static void put_next_hop(struct nl_msg *msg, const struct pk_nl_route *route)
{
	struct {
		__kernel_sa_family_t family;
		uint8_t addr[16];
	} via = { .family = AF_INET6 }; /* struct rtvia */

	if (route->to.v6 || pk_addr_is4(&route->via)) {
		pk_nl_put_addr(msg, RTA_GATEWAY, &route->via);
		return;
	}
	memcpy(via.addr, route->via.b, sizeof(via.addr));
	nla_put(msg, RTA_VIA, sizeof(via), &via);
}

static void get_next_hop(struct nlattr **tb, union pk_addr *addr)
{
	const struct rtvia *via;

	if (tb[RTA_GATEWAY])
		pk_nl_get_addr(tb[RTA_GATEWAY], addr);
	if (!tb[RTA_VIA] || nla_len(tb[RTA_VIA]) < (int)(sizeof(*via) + sizeof(addr->b)))
		return;
	via = nla_data(tb[RTA_VIA]);
	if (via->rtvia_family == AF_INET6)
		memcpy(addr->b, via->rtvia_addr, sizeof(addr->b));
}

static void push_route(struct pk_nl *nl, const struct pk_nl_route *route, uint16_t type,
		       uint16_t flags)
{
	bool via = !pk_addr_is_zero(&route->via);
	struct rtmsg body = {
		.rtm_family = route->to.v6 ? AF_INET6 : AF_INET,
		.rtm_dst_len = route->to.len,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = route->protocol ? route->protocol : RTPROT_STATIC,
		.rtm_scope = via || route->to.v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = route->onlink ? RTNH_F_ONLINK : 0,
	};
	struct nl_msg *msg = pk_nl_message(type, flags, &body, sizeof(body));
	char text[PK_ADDR_TEXT];

	if (route->to.len)
		pk_nl_put_addr(msg, RTA_DST, &route->to.addr);
	if (via)
		put_next_hop(msg, route);
	if (!pk_addr_is_zero(&route->source))
		pk_nl_put_addr(msg, RTA_PREFSRC, &route->source);
	if (route->metric)
		nla_put_u32(msg, RTA_PRIORITY, route->metric);
	nla_put_u32(msg, RTA_OIF, route->ifindex);
	pk_nl_push(nl, msg, "route %s by link %u", pk_prefix_format(&route->to, text),
		   route->ifindex);
}

void pk_nl_route(struct pk_nl *nl, const struct pk_nl_route *route)
{
	push_route(nl, route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
}

void pk_nl_route_delete(struct pk_nl *nl, const struct pk_nl_route *route)
{
	push_route(nl, route, RTM_DELROUTE, 0);
}

void pk_nl_neigh_managed(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr)
{
	struct ndmsg body = { .ndm_family = family_of(addr), .ndm_ifindex = (int)ifindex };
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	char text[PK_ADDR_TEXT];

	pk_nl_put_addr(msg, NDA_DST, addr);
	nla_put_u32(msg, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	pk_nl_push(nl, msg, "neighbour %s on link %u", pk_addr_format(addr, text), ifindex);
}

struct way {
	uint32_t ifindex;
	union pk_addr via;
	bool found;
};

static void read_way(void *arg, struct nlmsghdr *h)
{
	const struct rtmsg *body = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	struct way *way = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || body->rtm_type != RTN_UNICAST ||
	    nlmsg_parse(h, sizeof(*body), tb, RTA_MAX, NULL) < 0 || !tb[RTA_OIF])
		return;
	way->ifindex = nla_get_u32(tb[RTA_OIF]);
	get_next_hop(tb, &way->via);
	way->found = true;
}

int pk_nl_way(struct pk_nl *nl, const union pk_addr *to, uint32_t *ifindex, union pk_addr *via)
{
	struct rtmsg body = { .rtm_family = family_of(to),
			      .rtm_dst_len = pk_addr_is4(to) ? 32 : 128 };
	struct nl_msg *msg = pk_nl_message(RTM_GETROUTE, 0, &body, sizeof(body));
	struct way way = { .via = *to };
	int r;

	pk_nl_put_addr(msg, RTA_DST, to);
	r = pk_nl_ask(nl, msg, read_way, &way);
	if (r == 0 && !way.found)
		r = -ENETUNREACH;
	*ifindex = way.ifindex;
	*via = way.via;
	return r;
}

void pk_nl_neigh(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr,
		 const uint8_t mac[6])
{
	struct ndmsg body = {
		.ndm_family = family_of(addr),
		.ndm_ifindex = (int)ifindex,
		.ndm_state = NUD_PERMANENT,
	};
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	char text[PK_ADDR_TEXT];

	pk_nl_put_addr(msg, NDA_DST, addr);
	nla_put(msg, NDA_LLADDR, 6, mac);
	pk_nl_push(nl, msg, "neighbour %s on link %u", pk_addr_format(addr, text), ifindex);
}

struct routes {
	struct pk_nl_route_info *list;
	size_t n, room;
};

static int read_route(struct nlmsghdr *h, struct pk_nl_route_info *info)
{
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *body = nlmsg_data(h);

	memset(info, 0, sizeof(*info));
	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*body), tb, RTA_MAX, NULL) < 0)
		return -EINVAL;
	if (body->rtm_type != RTN_UNICAST || body->rtm_flags & RTM_F_CLONED ||
	    (tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : body->rtm_table) != RT_TABLE_MAIN)
		return -EINVAL;
	info->to.v6 = body->rtm_family == AF_INET6;
	info->to.len = body->rtm_dst_len;
	info->table = RT_TABLE_MAIN;
	info->type = body->rtm_type;
	info->scope = body->rtm_scope;
	info->protocol = body->rtm_protocol;
	if (!info->to.v6)
		info->to.addr = pk_addr_from4(0);
	if (tb[RTA_DST])
		pk_nl_get_addr(tb[RTA_DST], &info->to.addr);
	get_next_hop(tb, &info->via);
	if (tb[RTA_OIF])
		info->ifindex = nla_get_u32(tb[RTA_OIF]);
	if (tb[RTA_PRIORITY])
		info->metric = nla_get_u32(tb[RTA_PRIORITY]);
	return 0;
}

static void add_route(void *arg, struct nlmsghdr *h)
{
	struct routes *routes = arg;
	struct pk_nl_route_info info;

	if (read_route(h, &info) < 0)
		return;
	if (routes->n == routes->room) {
		routes->room = routes->room ? routes->room * 2 : 16;
		routes->list = realloc(routes->list, routes->room * sizeof(info));
		if (!routes->list)
			abort();
	}
	routes->list[routes->n++] = info;
}

int pk_nl_routes(struct pk_nl *nl, struct pk_nl_route_info **list, size_t *n, struct pk_err *err)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct routes routes = { 0 };
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++) {
		struct rtmsg body = { .rtm_family = families[i] };

		r = pk_nl_ask(nl, pk_nl_message(RTM_GETROUTE, NLM_F_DUMP, &body, sizeof(body)),
			      add_route, &routes);
	}
	if (r < 0) {
		free(routes.list);
		return pk_code(err, pk_fail(err, -r, "list routes"), PK_CODE_KERNEL);
	}
	*list = routes.list;
	*n = routes.n;
	return 0;
}
