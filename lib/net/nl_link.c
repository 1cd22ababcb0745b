/* SPDX-License-Identifier: Apache-2.0 */
/* Links: made, changed, read. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "nl_batch.h"
#include "picket/limits.h"

static void put_mac(struct nl_msg *msg, const uint8_t mac[6])
{
	nla_put(msg, IFLA_ADDRESS, 6, mac);
}

static void put_peer(struct nl_msg *msg, const struct pk_nl_veth *veth)
{
	struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO), *data, *peer;
	struct ifinfomsg body = { 0 };

	nla_put_string(msg, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	peer = nla_nest_start(msg, VETH_INFO_PEER);
	nlmsg_append(msg, &body, sizeof(body), NLMSG_ALIGNTO);
	nla_put_string(msg, IFLA_IFNAME, veth->host_name);
	put_mac(msg, veth->host_mac);
	nla_put_u32(msg, IFLA_MTU, veth->mtu);
	nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)veth->host_netns);
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
}

void pk_nl_veth(struct pk_nl *nl, const struct pk_nl_veth *veth)
{
	struct ifinfomsg body = { .ifi_index = (int)veth->ifindex };
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));

	nla_put_string(msg, IFLA_IFNAME, veth->name);
	put_mac(msg, veth->mac);
	nla_put_u32(msg, IFLA_MTU, veth->mtu);
	put_peer(msg, veth);
	pk_nl_push(nl, msg, "create veth %s and %s", veth->name, veth->host_name);
}

void pk_nl_vxlan(struct pk_nl *nl, const struct pk_nl_vxlan *vxlan)
{
	struct ifinfomsg body = { .ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP };
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	struct ifla_vxlan_port_range sources = { .low = htons(PK_OVERLAY_SOURCE),
						 .high = htons(65535) };
	struct nlattr *info, *data;

	nla_put_string(msg, IFLA_IFNAME, vxlan->name);
	put_mac(msg, vxlan->mac);
	nla_put_u32(msg, IFLA_MTU, vxlan->mtu);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	nla_put_string(msg, IFLA_INFO_KIND, "vxlan");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	nla_put_u8(msg, IFLA_VXLAN_COLLECT_METADATA, 1);
	nla_put_u8(msg, IFLA_VXLAN_LEARNING, 0);
	nla_put_u16(msg, IFLA_VXLAN_PORT, htons(vxlan->port));
	nla_put(msg, IFLA_VXLAN_PORT_RANGE, sizeof(sources), &sources);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	pk_nl_push(nl, msg, "create %s, UDP port %u", vxlan->name, vxlan->port);
}

static struct nl_msg *change(uint32_t ifindex, unsigned int flags, unsigned int mask)
{
	struct ifinfomsg body = { .ifi_index = (int)ifindex,
				  .ifi_flags = flags,
				  .ifi_change = mask };

	return pk_nl_message(RTM_NEWLINK, 0, &body, sizeof(body));
}

void pk_nl_put_no_addrgen(struct nl_msg *msg)
{
	struct nlattr *inet6 = nla_nest_start(msg, AF_INET6);

	nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nla_nest_end(msg, inet6);
}

void pk_nl_no_addrgen(struct pk_nl *nl, uint32_t ifindex)
{
	struct nl_msg *msg = change(ifindex, 0, 0);
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);

	pk_nl_put_no_addrgen(msg);
	nla_nest_end(msg, spec);
	pk_nl_push(nl, msg, "addrgenmode none on link %u", ifindex);
}

void pk_nl_up(struct pk_nl *nl, uint32_t ifindex)
{
	pk_nl_push(nl, change(ifindex, IFF_UP, IFF_UP), "link %u up", ifindex);
}

void pk_nl_down(struct pk_nl *nl, uint32_t ifindex)
{
	pk_nl_push(nl, change(ifindex, 0, IFF_UP), "link %u down", ifindex);
}

void pk_nl_mtu(struct pk_nl *nl, uint32_t ifindex, uint32_t mtu)
{
	struct nl_msg *msg = change(ifindex, 0, 0);

	nla_put_u32(msg, IFLA_MTU, mtu);
	pk_nl_push(nl, msg, "MTU %u of link %u", mtu, ifindex);
}

void pk_nl_queue_length(struct pk_nl *nl, uint32_t ifindex, uint32_t length)
{
	struct nl_msg *msg = change(ifindex, 0, 0);

	nla_put_u32(msg, IFLA_TXQLEN, length);
	pk_nl_push(nl, msg, "queue length %u of link %u", length, ifindex);
}

void pk_nl_delete(struct pk_nl *nl, uint32_t ifindex)
{
	struct ifinfomsg body = { .ifi_index = (int)ifindex };

	pk_nl_push(nl, pk_nl_message(RTM_DELLINK, 0, &body, sizeof(body)), "delete link %u",
		   ifindex);
}

static void read_tun(struct nlattr *data, struct pk_nl_link *link)
{
	struct nlattr *tb[IFLA_TUN_MAX + 1];

	link->tun.owner = link->tun.group = UINT32_MAX;
	if (nla_parse_nested(tb, IFLA_TUN_MAX, data, NULL) < 0)
		return;
	if (tb[IFLA_TUN_OWNER])
		link->tun.owner = nla_get_u32(tb[IFLA_TUN_OWNER]);
	if (tb[IFLA_TUN_GROUP])
		link->tun.group = nla_get_u32(tb[IFLA_TUN_GROUP]);
	link->tun.multi_queue = tb[IFLA_TUN_MULTI_QUEUE] && nla_get_u8(tb[IFLA_TUN_MULTI_QUEUE]);
	link->tun.persist = tb[IFLA_TUN_PERSIST] && nla_get_u8(tb[IFLA_TUN_PERSIST]);
	/* The kernel tells of it where several may be attached. */
	link->tun.queues = tb[IFLA_TUN_NUM_QUEUES] ? nla_get_u32(tb[IFLA_TUN_NUM_QUEUES]) : 0;
}

static void read_vxlan(struct nlattr *data, struct pk_nl_link *link)
{
	struct nlattr *tb[IFLA_VXLAN_MAX + 1];

	if (nla_parse_nested(tb, IFLA_VXLAN_MAX, data, NULL) < 0)
		return;
	link->vxlan.external =
		tb[IFLA_VXLAN_COLLECT_METADATA] && nla_get_u8(tb[IFLA_VXLAN_COLLECT_METADATA]);
	if (tb[IFLA_VXLAN_PORT])
		link->vxlan.port = ntohs(nla_get_u16(tb[IFLA_VXLAN_PORT]));
}

static void read_info(struct nlattr *attr, struct pk_nl_link *link)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];

	if (nla_parse_nested(tb, IFLA_INFO_MAX, attr, NULL) < 0 || !tb[IFLA_INFO_KIND])
		return;
	nla_strlcpy(link->kind, tb[IFLA_INFO_KIND], sizeof(link->kind));
	if (!strcmp(link->kind, "tun") && tb[IFLA_INFO_DATA])
		read_tun(tb[IFLA_INFO_DATA], link);
	if (!strcmp(link->kind, "vxlan") && tb[IFLA_INFO_DATA])
		read_vxlan(tb[IFLA_INFO_DATA], link);
}

static void take_conf(struct pk_nl_link *link, enum pk_nl_conf conf, const struct nlattr *all,
		      size_t at)
{
	if (!all || (size_t)nla_len(all) < (at + 1) * sizeof(int32_t))
		return;
	memcpy(&link->conf[conf], (const char *)nla_data(all) + at * sizeof(int32_t),
	       sizeof(int32_t));
	link->conf_known |= 1u << conf;
}

/* IPv4's array begins with IPV4_DEVCONF_FORWARDING, which is 1. */
static void read_conf4(struct nlattr *inet, struct pk_nl_link *link)
{
	const struct nlattr *all = nla_find(nla_data(inet), nla_len(inet), IFLA_INET_CONF);

	take_conf(link, PK_NL_V4_FORWARDING, all, IPV4_DEVCONF_FORWARDING - 1);
	take_conf(link, PK_NL_V4_ACCEPT_LOCAL, all, IPV4_DEVCONF_ACCEPT_LOCAL - 1);
	take_conf(link, PK_NL_V4_RP_FILTER, all, IPV4_DEVCONF_RP_FILTER - 1);
	take_conf(link, PK_NL_V4_ARP_IGNORE, all, IPV4_DEVCONF_ARP_IGNORE - 1);
	take_conf(link, PK_NL_V4_ARP_ANNOUNCE, all, IPV4_DEVCONF_ARP_ANNOUNCE - 1);
}

static void read_conf6(struct nlattr *inet6, struct pk_nl_link *link)
{
	const struct nlattr *all = nla_find(nla_data(inet6), nla_len(inet6), IFLA_INET6_CONF);

	take_conf(link, PK_NL_V6_ACCEPT_RA, all, DEVCONF_ACCEPT_RA);
	take_conf(link, PK_NL_V6_ACCEPT_DAD, all, DEVCONF_ACCEPT_DAD);
	take_conf(link, PK_NL_V6_FORWARDING, all, DEVCONF_FORWARDING);
}

static void read_families(struct nlattr *spec, struct pk_nl_link *link)
{
	struct nlattr *family;
	int left;

	nla_for_each_nested(family, spec, left)
	{
		if (nla_type(family) == AF_INET)
			read_conf4(family, link);
		else if (nla_type(family) == AF_INET6)
			read_conf6(family, link);
	}
}

static void read_xdp(struct nlattr *attr, struct pk_nl_link *link)
{
	struct nlattr *tb[IFLA_XDP_MAX + 1];

	if (nla_parse_nested(tb, IFLA_XDP_MAX, attr, NULL) < 0)
		return;
	if (tb[IFLA_XDP_PROG_ID])
		link->xdp = nla_get_u32(tb[IFLA_XDP_PROG_ID]);
	else if (tb[IFLA_XDP_ATTACHED] && nla_get_u8(tb[IFLA_XDP_ATTACHED]))
		link->xdp = UINT32_MAX; /* several: each mode has its own id */
}

static void read_more(struct nlattr **tb, struct pk_nl_link *link)
{
	if (tb[IFLA_LINKINFO])
		read_info(tb[IFLA_LINKINFO], link);
	if (tb[IFLA_MASTER])
		link->master = nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_TXQLEN])
		link->tx_queue_len = nla_get_u32(tb[IFLA_TXQLEN]);
	if (tb[IFLA_XDP])
		read_xdp(tb[IFLA_XDP], link);
	if (tb[IFLA_AF_SPEC])
		read_families(tb[IFLA_AF_SPEC], link);
}

static int read_link(struct nlmsghdr *h, struct pk_nl_link *link)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *body = nlmsg_data(h);

	memset(link, 0, sizeof(*link));
	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse(h, sizeof(*body), tb, IFLA_MAX, NULL) < 0 ||
	    !tb[IFLA_IFNAME])
		return -EINVAL;
	link->ifindex = (uint32_t)body->ifi_index;
	link->up = body->ifi_flags & IFF_UP;
	link->carrier = body->ifi_flags & IFF_RUNNING;
	link->ethernet = body->ifi_type == ARPHRD_ETHER;
	nla_strlcpy(link->name, tb[IFLA_IFNAME], sizeof(link->name));
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6)
		memcpy(link->mac, nla_data(tb[IFLA_ADDRESS]), 6);
	if (tb[IFLA_MTU])
		link->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_LINK])
		link->peer = nla_get_u32(tb[IFLA_LINK]);
	link->peer_netns = tb[IFLA_LINK_NETNSID] ? nla_get_s32(tb[IFLA_LINK_NETNSID]) : -1;
	read_more(tb, link);
	return 0;
}

struct links {
	struct pk_nl_link *list;
	size_t n, room;
};

static void add_link(void *arg, struct nlmsghdr *h)
{
	struct links *links = arg;
	struct pk_nl_link link;

	if (read_link(h, &link) < 0)
		return;
	if (links->n == links->room) {
		links->room = links->room ? links->room * 2 : 16;
		links->list = realloc(links->list, links->room * sizeof(link));
		if (!links->list)
			abort();
	}
	links->list[links->n++] = link;
}

/* Asks for no statistics, which are the larger part of each answer. */
static void no_statistics(struct nl_msg *msg)
{
	nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

/* Asks for one link by msg, which it frees. */
static int ask_link(struct pk_nl *nl, struct nl_msg *msg, struct pk_nl_link *link)
{
	struct links links = { 0 };
	own_mem void *list = NULL;
	int r;

	no_statistics(msg);
	r = pk_nl_ask(nl, msg, add_link, &links);
	list = links.list;
	if (r == 0 && links.n != 1)
		r = -ENODEV;
	if (r == 0)
		*link = links.list[0];
	return r;
}

int pk_nl_link(struct pk_nl *nl, uint32_t ifindex, const char *name, struct pk_nl_link *link,
	       struct pk_err *err)
{
	struct ifinfomsg body = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = pk_nl_message(RTM_GETLINK, 0, &body, sizeof(body));
	int r;

	if (!ifindex)
		nla_put_string(msg, IFLA_IFNAME, name);
	r = ask_link(nl, msg, link);
	if (r < 0 && ifindex)
		return pk_code(err, pk_fail(err, -r, "link %u", ifindex), PK_CODE_NETNS);
	return r < 0 ? pk_code(err, pk_fail(err, -r, "link %s", name), PK_CODE_NETNS) : 0;
}

int pk_nl_link_at(struct pk_nl *nl, int32_t netns, uint32_t ifindex, struct pk_nl_link *link,
		  struct pk_err *err)
{
	struct ifinfomsg body = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = pk_nl_message(RTM_GETLINK, 0, &body, sizeof(body));
	int r;

	nla_put_s32(msg, IFLA_TARGET_NETNSID, netns);
	r = ask_link(nl, msg, link);
	return r < 0 ? pk_code(err, pk_fail(err, -r, "link %u of namespace %d", ifindex, netns),
			       PK_CODE_NETNS)
		     : 0;
}

int pk_nl_links(struct pk_nl *nl, struct pk_nl_link **out, size_t *n, struct pk_err *err)
{
	struct ifinfomsg body = { 0 };
	struct nl_msg *msg = pk_nl_message(RTM_GETLINK, NLM_F_DUMP, &body, sizeof(body));
	struct links links = { 0 };
	int r;

	no_statistics(msg);
	r = pk_nl_ask(nl, msg, add_link, &links);
	if (r < 0) {
		free(links.list);
		return pk_code(err, pk_fail(err, -r, "list links"), PK_CODE_KERNEL);
	}
	*out = links.list;
	*n = links.n;
	return 0;
}

bool pk_nl_is_host_end(const char *name)
{
	return !strncmp(name, "pk", 2) && name[2] &&
	       strspn(name + 2, "0123456789") == strlen(name + 2);
}
