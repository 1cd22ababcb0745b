/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the links that lead out of the node: by default routes, rules, source addresses. */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nl_batch.h"

#define TABLES_MAX 64 /* that rules name, of both families */

static const uint8_t families[] = { AF_INET, AF_INET6 };

/* The tables that packets of the node are looked up in. */
struct tables {
	uint32_t main_first[TABLES_MAX];
	size_t n;
};

static void add_table(struct tables *tables, uint32_t table)
{
	for (size_t i = 0; i < tables->n; i++)
		if (tables->main_first[i] == table)
			return;
	if (tables->n < TABLES_MAX)
		tables->main_first[tables->n++] = table;
}

static void read_rule(void *arg, struct nlmsghdr *h)
{
	const struct fib_rule_hdr *body = nlmsg_data(h);
	struct nlattr *tb[FRA_MAX + 1];
	uint32_t table;

	if (h->nlmsg_type != RTM_NEWRULE || nlmsg_parse(h, sizeof(*body), tb, FRA_MAX, NULL) < 0 ||
	    body->action != FR_ACT_TO_TBL)
		return;
	table = tb[FRA_TABLE] ? nla_get_u32(tb[FRA_TABLE]) : body->table;
	if (table != RT_TABLE_LOCAL && table != RT_TABLE_UNSPEC)
		add_table(arg, table);
}

static int read_rules(struct pk_nl *nl, struct tables *tables)
{
	int r = 0;

	add_table(tables, RT_TABLE_MAIN);
	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++) {
		struct fib_rule_hdr body = { .family = families[i] };

		r = pk_nl_ask(nl, pk_nl_message(RTM_GETRULE, NLM_F_DUMP, &body, sizeof(body)),
			      read_rule, tables);
	}
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}

struct defaults {
	const struct tables *tables;
	struct pk_nl_default *list;
	size_t n, room;
	uint32_t nexthop[TABLES_MAX]; /* ids that a route names without saying their device */
	struct pk_nl_default of[TABLES_MAX];
	size_t n_nexthops;
};

static void add_default(struct defaults *d, struct pk_nl_default route, uint32_t ifindex)
{
	route.ifindex = ifindex;
	if (d->n == d->room) {
		d->room = d->room ? d->room * 2 : 8;
		d->list = realloc(d->list, d->room * sizeof(route));
		if (!d->list)
			abort();
	}
	d->list[d->n++] = route;
}

static void add_hops(struct defaults *d, const struct pk_nl_default *route, struct nlattr *hops)
{
	const struct rtnexthop *hop = nla_data(hops);
	int left = nla_len(hops);

	for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
		add_default(d, *route, (uint32_t)hop->rtnh_ifindex);
}

/* A node with nexthop_compat_mode=0 shows the id of a next hop and nothing of it. */
static void note_nexthop(struct defaults *d, const struct pk_nl_default *route, uint32_t id)
{
	if (d->n_nexthops == TABLES_MAX)
		return;
	d->of[d->n_nexthops] = *route;
	d->nexthop[d->n_nexthops++] = id;
}

static bool is_looked_up(const struct tables *tables, uint32_t table)
{
	for (size_t i = 0; i < tables->n; i++)
		if (tables->main_first[i] == table)
			return true;
	return false;
}

static void read_default(void *arg, struct nlmsghdr *h)
{
	const struct rtmsg *body = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	struct pk_nl_default route = { 0 };
	struct defaults *d = arg;

	if (h->nlmsg_type != RTM_NEWROUTE || body->rtm_dst_len || body->rtm_type != RTN_UNICAST ||
	    body->rtm_flags & RTM_F_CLONED || nlmsg_parse(h, sizeof(*body), tb, RTA_MAX, NULL) < 0)
		return;
	route.v6 = body->rtm_family == AF_INET6;
	route.table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : body->rtm_table;
	route.metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0;
	if (!is_looked_up(d->tables, route.table))
		return;
	if (tb[RTA_MULTIPATH])
		add_hops(d, &route, tb[RTA_MULTIPATH]);
	else if (tb[RTA_OIF])
		add_default(d, route, nla_get_u32(tb[RTA_OIF]));
	else if (tb[RTA_NH_ID])
		note_nexthop(d, &route, nla_get_u32(tb[RTA_NH_ID]));
}

struct nexthop {
	uint32_t ifindex;
	uint32_t member[TABLES_MAX];
	size_t n;
};

static void read_nexthop(void *arg, struct nlmsghdr *h)
{
	struct nlattr *tb[NHA_MAX + 1];
	struct nexthop *hop = arg;
	const struct nexthop_grp *group;

	if (h->nlmsg_type != RTM_NEWNEXTHOP ||
	    nlmsg_parse(h, sizeof(struct nhmsg), tb, NHA_MAX, NULL) < 0)
		return;
	if (tb[NHA_OIF])
		hop->ifindex = nla_get_u32(tb[NHA_OIF]);
	if (!tb[NHA_GROUP])
		return;
	group = nla_data(tb[NHA_GROUP]);
	for (int i = 0; i < nla_len(tb[NHA_GROUP]) / (int)sizeof(*group); i++)
		if (hop->n < TABLES_MAX)
			hop->member[hop->n++] = group[i].id;
}

static void ask_nexthop(struct pk_nl *nl, uint32_t id, struct nexthop *hop)
{
	struct nhmsg body = { .nh_family = AF_UNSPEC };
	struct nl_msg *msg = pk_nl_message(RTM_GETNEXTHOP, 0, &body, sizeof(body));

	nla_put_u32(msg, NHA_ID, id);
	pk_nl_ask(nl, msg, read_nexthop, hop); /* one that went meanwhile leads nowhere */
}

/* A group holds no groups. */
static void resolve_nexthops(struct pk_nl *nl, struct defaults *d)
{
	for (size_t i = 0; i < d->n_nexthops; i++) {
		struct nexthop hop = { 0 };

		ask_nexthop(nl, d->nexthop[i], &hop);
		if (hop.ifindex)
			add_default(d, d->of[i], hop.ifindex);
		for (size_t k = 0; k < hop.n; k++) {
			struct nexthop member = { 0 };

			ask_nexthop(nl, hop.member[k], &member);
			if (member.ifindex)
				add_default(d, d->of[i], member.ifindex);
		}
	}
}

static size_t index_of(const struct tables *tables, uint32_t table)
{
	size_t i = 0;

	while (tables->main_first[i] != table)
		i++;
	return i;
}

static bool is_before(const struct tables *tables, const struct pk_nl_default *a,
		      const struct pk_nl_default *b)
{
	size_t x = index_of(tables, a->table), y = index_of(tables, b->table);

	if (x != y)
		return x < y;
	if (a->v6 != b->v6)
		return !a->v6;
	return a->metric < b->metric;
}

/* There are few of them; equal ones keep the kernel's order. */
static void sort_defaults(struct defaults *d)
{
	for (size_t i = 1; i < d->n; i++) {
		struct pk_nl_default route = d->list[i];
		size_t k = i;

		for (; k && is_before(d->tables, &route, &d->list[k - 1]); k--)
			d->list[k] = d->list[k - 1];
		d->list[k] = route;
	}
}

int pk_nl_defaults(struct pk_nl *nl, struct pk_nl_default **list, size_t *n, struct pk_err *err)
{
	struct tables tables = { 0 };
	struct defaults d = { .tables = &tables };
	int r = read_rules(nl, &tables);

	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++) {
		struct rtmsg body = { .rtm_family = families[i] };

		r = pk_nl_ask(nl, pk_nl_message(RTM_GETROUTE, NLM_F_DUMP, &body, sizeof(body)),
			      read_default, &d);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0;
	}
	if (r < 0) {
		free(d.list);
		return pk_code(err, pk_fail(err, -r, "list default routes"), PK_CODE_KERNEL);
	}
	resolve_nexthops(nl, &d);
	sort_defaults(&d);
	*list = d.list;
	*n = d.n;
	return 0;
}

static void read_source(void *arg, struct nlmsghdr *h)
{
	struct nlattr *tb[RTA_MAX + 1];

	if (h->nlmsg_type != RTM_NEWROUTE ||
	    nlmsg_parse(h, sizeof(struct rtmsg), tb, RTA_MAX, NULL) < 0 || !tb[RTA_PREFSRC])
		return;
	pk_nl_get_addr(tb[RTA_PREFSRC], arg);
}

/*
 * Nobody has a route of its own to these two: a reserved IPv4 address, and one of IPv6's global
 * unicast that is given to nobody.
 */
int pk_nl_source(struct pk_nl *nl, uint32_t ifindex, bool v6, union pk_addr *addr)
{
	struct rtmsg body = { .rtm_family = v6 ? AF_INET6 : AF_INET, .rtm_dst_len = v6 ? 128 : 32 };
	struct nl_msg *msg = pk_nl_message(RTM_GETROUTE, 0, &body, sizeof(body));
	union pk_addr found = { 0 }, to;
	int r = pk_addr_parse(v6 ? "2000::1" : "240.0.0.1", &to);

	pk_nl_put_addr(msg, RTA_DST, &to);
	nla_put_u32(msg, RTA_OIF, ifindex);
	r = r < 0 ? r : pk_nl_ask(nl, msg, read_source, &found);
	if (r < 0 || pk_addr_is_zero(&found))
		return -ENOENT;
	*addr = found;
	return 0;
}

struct addrs {
	uint32_t ifindex;
	struct pk_nl_addr_info *list;
	size_t n, room;
};

static bool is_primary(const struct ifaddrmsg *body, uint32_t flags)
{
	const uint32_t unfit =
		IFA_F_SECONDARY | IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED;

	return body->ifa_scope == RT_SCOPE_UNIVERSE && !(flags & unfit);
}

static void add_addr(void *arg, struct nlmsghdr *h)
{
	const struct ifaddrmsg *body = nlmsg_data(h);
	struct nlattr *tb[IFA_MAX + 1], *at;
	struct pk_nl_addr_info info = { 0 };
	struct addrs *addrs = arg;

	if (h->nlmsg_type != RTM_NEWADDR || nlmsg_parse(h, sizeof(*body), tb, IFA_MAX, NULL) < 0 ||
	    (addrs->ifindex && body->ifa_index != addrs->ifindex))
		return;
	at = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!at)
		return;
	pk_nl_get_addr(at, &info.addr);
	info.primary =
		is_primary(body, tb[IFA_FLAGS] ? nla_get_u32(tb[IFA_FLAGS]) : body->ifa_flags);
	if (addrs->n == addrs->room) {
		addrs->room = addrs->room ? addrs->room * 2 : 8;
		addrs->list = realloc(addrs->list, addrs->room * sizeof(info));
		if (!addrs->list)
			abort();
	}
	addrs->list[addrs->n++] = info;
}

int pk_nl_addrs(struct pk_nl *nl, uint32_t ifindex, struct pk_nl_addr_info **list, size_t *n,
		struct pk_err *err)
{
	struct addrs addrs = { .ifindex = ifindex };
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(families) && r == 0; i++) {
		struct ifaddrmsg body = { .ifa_family = families[i], .ifa_index = ifindex };

		r = pk_nl_ask(nl, pk_nl_message(RTM_GETADDR, NLM_F_DUMP, &body, sizeof(body)),
			      add_addr, &addrs);
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0;
	}
	if (r < 0) {
		free(addrs.list);
		return pk_code(err, pk_fail(err, -r, "addresses of link %u", ifindex),
			       PK_CODE_KERNEL);
	}
	*list = addrs.list;
	*n = addrs.n;
	return 0;
}
