/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rtnetlink, in batches: many messages, one system call. A handle belongs to the network
 * namespace that it was opened in. ifindexes are those of that namespace.
 *
 * The kernel goes on with a batch after a message that failed. So what must not happen without
 * its predecessors (a device up without its guard) is sent as a batch of its own:
 *
 *	in the alloc's netns	eth0 + peer, addrgenmode, clsact, filters	[pk_nl_send]
 *	node			clsact, guard, word closed			[pk_nl_send]
 *	both			per-device sysctls
 *	both			up, then addresses, neighbours, routes		[pk_nl_send each]
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "own.h"

struct pk_nl;

int pk_nl_open(struct pk_nl **nl, struct pk_err *err); /* in the current netns */
/* Open nfnetlink and IPsec's netlink, for requests that read; -errno. */
int pk_nl_open_netfilter(struct pk_nl **nl);
int pk_nl_open_xfrm(struct pk_nl **nl);
void pk_nl_close(struct pk_nl *nl);
/*
 * Opens a non-blocking socket that hears of changes in the current netns, and returns it, or
 * -errno. groups are RTNLGRP_*, ended by 0. The caller reads raw messages from it; a read fails
 * with ENOBUFS where messages were lost.
 */
int pk_nl_listen(const int *groups, struct pk_err *err);
int pk_nl_listen_xfrm(struct pk_err *err); /* the same for changes of IPsec policies */
static inline void pk_nl_closep(struct pk_nl **nl)
{
	pk_nl_close(*nl);
}
#define own_nl PK_OWN(pk_nl_closep) struct pk_nl

/*
 * The functions down to pk_nl_send add messages to the handle's batch, and nothing is sent before
 * pk_nl_send. None of them fails: a batch that grew too large fails at pk_nl_send (-E2BIG). Strings
 * are copied.
 */

/*
 * A veth pair, made from inside: on a handle of the alloc's netns, `name` is made there with the
 * chosen ifindex, and its peer in host_netns. From inside, because the kernel heeds a chosen
 * ifindex of the first end alone.
 */
struct pk_nl_veth {
	const char *name; /* "eth0" */
	uint32_t ifindex; /* 2k */
	uint8_t mac[6];
	const char *host_name; /* "pk<slot>" */
	uint8_t host_mac[6];
	int host_netns; /* descriptor */
	uint32_t mtu;
};
void pk_nl_veth(struct pk_nl *nl, const struct pk_nl_veth *veth);
/*
 * A VXLAN device whose tunnels are set packet by packet: nothing is learned or flooded, and there
 * is no neighbour to ask for.
 */
struct pk_nl_vxlan {
	const char *name;
	uint8_t mac[6];
	uint32_t mtu;
	uint16_t port;
};
void pk_nl_vxlan(struct pk_nl *nl, const struct pk_nl_vxlan *vxlan);
void pk_nl_no_addrgen(struct pk_nl *nl, uint32_t ifindex); /* no link-local of the kernel's own */
void pk_nl_up(struct pk_nl *nl, uint32_t ifindex);
void pk_nl_down(struct pk_nl *nl, uint32_t ifindex);
void pk_nl_mtu(struct pk_nl *nl, uint32_t ifindex, uint32_t mtu);
void pk_nl_queue_length(struct pk_nl *nl, uint32_t ifindex, uint32_t length);
void pk_nl_delete(struct pk_nl *nl, uint32_t ifindex);
/*
 * Make the qdisc that filters are attached to; one that is there already is kept. clsact has both
 * directions, ingress one. Take ingress where it is enough: the kernel keeps one list of all
 * directions on the machine, and each makes adding a later one slower.
 */
void pk_nl_clsact(struct pk_nl *nl, uint32_t ifindex);
void pk_nl_ingress(struct pk_nl *nl, uint32_t ifindex);
/* Gives the device no queue (noqueue), whatever the node's default qdisc is. */
void pk_nl_no_queue(struct pk_nl *nl, uint32_t ifindex);
void pk_nl_clsact_delete(struct pk_nl *nl, uint32_t ifindex); /* with all filters in it */

struct pk_nl_filter {
	uint32_t ifindex;
	bool egress;
	int prog;	  /* descriptor */
	const char *name; /* shown by tc */
	uint32_t handle;  /* 0 = PK_TC_HANDLE */
};
/*
 * Adds a direct-action cls_bpf filter with preference PK_TC_PREF for all protocols; one that is
 * there is replaced in one step.
 */
void pk_nl_filter(struct pk_nl *nl, const struct pk_nl_filter *filter);
void pk_nl_filter_delete(struct pk_nl *nl, uint32_t ifindex, bool egress, uint32_t handle);

/*
 * Adds an address. len is its prefix's, of the family (0..32 or 0..128). noprefixroute: the kernel
 * adds no connected route. IPv6 does no duplicate address detection.
 */
void pk_nl_addr(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr, uint8_t len,
		bool noprefixroute);
struct pk_nl_route {
	uint32_t ifindex;
	struct pk_prefix to;  /* /0 is the default route of its family */
	union pk_addr via;    /* all zero = on link */
	bool onlink;	      /* via is taken as a neighbour, whatever the routes say */
	union pk_addr source; /* all zero = the kernel's choice */
	uint8_t protocol;     /* 0 = RTPROT_STATIC */
	uint32_t metric;      /* 0 = the family's own */
};
void pk_nl_route(struct pk_nl *nl, const struct pk_nl_route *route); /* made or replaced */
void pk_nl_route_delete(struct pk_nl *nl, const struct pk_nl_route *route);
/*
 * Adds a managed neighbour: the kernel resolves its MAC and keeps it resolved. -EEXIST: there is an
 * entry of that address already, of whatever kind.
 */
void pk_nl_neigh_managed(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr);
void pk_nl_neigh(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr,
		 const uint8_t mac[6]); /* permanent */

/*
 * Sends the batch and waits until the kernel has done with it; the batch is empty afterwards,
 * whatever came. The first failure is returned: -errno, its message named, the kernel's own words
 * (extended acknowledgement) added. -EEXIST and -EBUSY come as they are (a taken name or ifindex).
 */
int pk_nl_send(struct pk_nl *nl, struct pk_err *err);

/* Reading. */

/* Settings of the kernel's IP stack on a link (stack.h). */
enum pk_nl_conf {
	PK_NL_V4_FORWARDING,
	PK_NL_V4_ACCEPT_LOCAL,
	PK_NL_V4_RP_FILTER,
	PK_NL_V4_ARP_IGNORE,
	PK_NL_V4_ARP_ANNOUNCE,
	PK_NL_V6_ACCEPT_RA,
	PK_NL_V6_ACCEPT_DAD,
	PK_NL_V6_FORWARDING,
	PK_NL_CONF_COUNT,
};

struct pk_nl_link {
	uint32_t ifindex;
	char name[16];
	char kind[16]; /* "veth", "tun", "" */
	uint8_t mac[6];
	uint32_t mtu;
	bool up, carrier;
	bool ethernet;		       /* its frames begin with an Ethernet header */
	uint32_t master;	       /* bridge, bond, VRF that it is a port of; 0 = none */
	struct {		       /* of a tap */
		uint32_t owner, group; /* UINT32_MAX = nobody named */
		bool multi_queue, persist;
		uint32_t queues; /* attached */
	} tun;
	struct { /* of a VXLAN device */
		bool external;
		uint16_t port;
	} vxlan;
	uint32_t peer;	    /* IFLA_LINK; 0 = none */
	int32_t peer_netns; /* the id that our namespace has for that of the peer; -1 = ours */
	uint32_t tx_queue_len;
	uint32_t xdp;	     /* id of the XDP program that it has, 0 = none */
	uint32_t conf_known; /* a bit for each enum pk_nl_conf: the kernel told it */
	int32_t conf[PK_NL_CONF_COUNT];
};
/* Reads a link by ifindex, or where that is 0 by name; -ENODEV. */
int pk_nl_link(struct pk_nl *nl, uint32_t ifindex, const char *name, struct pk_nl_link *link,
	       struct pk_err *err);
/* Asks for a link of another namespace, by the id that ours has for it (pk_nl_link.peer_netns). */
int pk_nl_link_at(struct pk_nl *nl, int32_t netns, uint32_t ifindex, struct pk_nl_link *link,
		  struct pk_err *err);
/* All of the namespace; the caller frees. */
int pk_nl_links(struct pk_nl *nl, struct pk_nl_link **links, size_t *n, struct pk_err *err);

/* Returns whether it is the name of a device that leads to an endpoint: pk and a slot's number. */
bool pk_nl_is_host_end(const char *name);

struct pk_nl_filter_info {
	uint32_t handle, pref, chain;
	uint16_t protocol; /* host order; ETH_P_ALL */
	char kind[16];
	uint32_t prog_id; /* 0: not a bpf filter */
	char name[64];
	bool direct_action;
};
/* Lists the filters in the kernel's order; caller frees. Without a clsact qdisc there are none. */
int pk_nl_filters(struct pk_nl *nl, uint32_t ifindex, bool egress, struct pk_nl_filter_info **list,
		  size_t *n, struct pk_err *err);

struct pk_nl_route_info {
	struct pk_prefix to;
	union pk_addr via; /* all zero = on link */
	uint32_t ifindex;
	uint32_t table, metric;
	uint8_t type, scope; /* RTN_*, RT_SCOPE_* */
	uint8_t protocol;    /* RTPROT_* */
};
/*
 * Finds the way to an address: the device, and the neighbour on it. -ENETUNREACH: there is no
 * route, or the address is the node's own.
 */
int pk_nl_way(struct pk_nl *nl, const union pk_addr *to, uint32_t *ifindex, union pk_addr *via);
/* All unicast routes of the main table, both families; caller frees. */
int pk_nl_routes(struct pk_nl *nl, struct pk_nl_route_info **list, size_t *n, struct pk_err *err);

struct pk_nl_default {
	uint32_t ifindex, table, metric;
	bool v6;
};
/*
 * The default routes of every table that a rule names, one entry a next hop: the main table first,
 * then the others in their rules' order; in a table IPv4 before IPv6, and the lower metric first.
 * Caller frees.
 */
int pk_nl_defaults(struct pk_nl *nl, struct pk_nl_default **list, size_t *n, struct pk_err *err);
/*
 * The address that the kernel would give to what leaves through the link for the Internet, whatever
 * device has it: -ENOENT where it would give none.
 */
int pk_nl_source(struct pk_nl *nl, uint32_t ifindex, bool v6, union pk_addr *addr);

struct pk_nl_addr_info {
	union pk_addr addr;
	bool primary; /* of global scope, valid, first of its network: fit to be a source */
};
/* A link's addresses (0: every link's) in the kernel's order, IPv4 before IPv6; caller frees. */
int pk_nl_addrs(struct pk_nl *nl, uint32_t ifindex, struct pk_nl_addr_info **list, size_t *n,
		struct pk_err *err);
