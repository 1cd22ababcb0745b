// SPDX-License-Identifier: Apache-2.0
/* The way of a flow that lives: the FIB is asked the same, whichever end's packet has it asked. */
#include <bpf/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bpf/world.h"

#define NODES "192.0.2.1"
#define A     "10.20.0.11"

/* What has this source finds no way to the world. */
static void closes(const char *verb, const char *source)
{
	char line[128];

	snprintf(line, sizeof(line), "ip rule %s from %s to 198.51.100.9 prohibit", verb, source);
	check(line, !system(line));
}

static void both(const char *text, struct pkt out, struct pkt in, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };

	node_age();
	node_from(text, 1, out, reason);
	node_age();
	node_expect(&e, NODE_UP, 0, &in, NULL);
}

/* By the endpoint's own address: the other one is what the way makes of it. */
static void masqueraded(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), wire = out, in;

	world_start();
	check("A to the world", node_run(NODE_FROM, 1, &wire, NULL) == 7);
	in = world_to_node(WHO_WORLD, UDP(53, world_port(&wire, 34)));
	closes("add", NODES);
	both("masqueraded, no way for the node's address", out, in, PK_REASON_OK);
	closes("del", NODES);
	closes("add", A);
	both("masqueraded, no way for A's", out, in, PK_REASON_NO_ROUTE);
	closes("del", A);
}

/* By the node's address that the client asks: with that the answers leave. */
static void published(void)
{
	struct pkt in = world_to_node(WHO_WORLD, UDP(50000, 8080)), first = in;
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(80, 50000));
	struct expect e = { "a client of A's", PK_REASON_OK, 1, PK_INGRESS, false };

	world_start();
	world_publish_udp(8080, 1, 80);
	node_expect(&e, NODE_UP, 0, &first, NULL);
	closes("add", A);
	both("published, no way for A's address", out, in, PK_REASON_OK);
	closes("del", A);
	closes("add", NODES);
	both("published, no way for the node's", out, in, PK_REASON_NO_ROUTE);
	closes("del", NODES);
}

/* By its own, where nothing is translated. */
static void routed(void)
{
	struct pkt out = pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53));
	struct pkt in = pkt_v4(WHO_WORLD, WHO_B, UDP(53, 40000));
	struct expect e = { "an answer to B", PK_REASON_OK, 2, PK_INGRESS, false };

	world_start();
	node_word(2, 1, 0, 2);
	node_from("B, with its own address", 2, out, PK_REASON_OK);
	closes("add", NODES);
	node_age();
	node_expect(&e, NODE_UP, 0, &in, NULL);
	node_age();
	node_from("no way for the node's address", 2, out, PK_REASON_OK);
	closes("del", NODES);
}

/* Does the world see the packet as the node's own address's? */
static bool leaves_as_the_nodes(struct pkt out)
{
	return node_run(NODE_FROM, 1, &out, NULL) == 7 &&
	       !memcmp(out.b + 26, pkt_ip4(WHO_HOST).b + 12, 4);
}

/*
 * The kernel chooses another source by now, and the flow's is still the uplink's: it goes on. A new
 * one has what the kernel chooses, whatever the uplink's entry has.
 */
static void another_source(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));
	struct pkt anew = pkt_v4(WHO_A, WHO_WORLD, UDP(40001, 53));

	world_start();
	check("A to the world, as the node", leaves_as_the_nodes(out));
	check("the route has another source",
	      !system("ip addr add 192.0.2.77/32 dev up0 &&"
		      " ip route replace default via 192.0.2.254 dev up0 src 192.0.2.77"));
	node_age();
	check("the flow keeps its own", leaves_as_the_nodes(out));
	check("a new one has the route's",
	      node_run(NODE_FROM, 1, &anew, NULL) == 7 && !memcmp(anew.b + 26, "\300\0\2\115", 4));
	check("as it was", !system("ip route replace default via 192.0.2.254 dev up0 &&"
				   " ip addr del 192.0.2.77/32 dev up0"));
}

/* Where the kernel has no source to name, it is the one that the uplink's entry has. */
static void no_source(void)
{
	world_start();
	/* With its last address all routes and neighbours of the device go. */
	check("the node has no address",
	      !system("ip addr del 192.0.2.1/24 dev up0 &&"
		      " ip route replace default via 192.0.2.254 dev up0 onlink &&"
		      " ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0"));
	check("A to the world, as the uplink's entry has it",
	      leaves_as_the_nodes(pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53))));
	check("as it was",
	      !system("ip addr add 192.0.2.1/24 dev up0 &&"
		      " ip route replace default via 192.0.2.254 dev up0 &&"
		      " ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0"));
}

/* What lies behind the uplinks in the node's settings begins with the device's number. */
static void not_an_uplink(struct pk_node *n)
{
	n->block[0] = (struct pk_block){ .addr.w = { n->uplink[0].ifindex } };
	n->uplink[0] = (struct pk_uplink){ 0 };
}

/* To a device that is no uplink it goes with its own address. */
static void another_device(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), was = out;

	world_start();
	node_settings(not_an_uplink);
	check("A to the world, by no uplink",
	      node_run(NODE_FROM, 1, &out, NULL) == 7 && world_one_hop(&out, &was));
}

/* A second uplink, by which the route to the world may lead. */
static void second(struct pk_node *n)
{
	n->uplink[1] = (struct pk_uplink){ .ifindex = if_nametoindex("out0"),
					   .mtu = 1500,
					   .ipv4 = { .b = { [10] = 0xff, 0xff, 203, 0, 113, 2 } } };
}

/*
 * The route goes to another uplink, and both keep their addresses: a connection ends, a datagram
 * begins a new flow behind that one's, and nothing leaves there with the first one's address.
 */
static void moved(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	struct pkt udp = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));

	check("there is another device",
	      !system("ip link add out0 type veth peer name out1 && ip link set out0 up &&"
		      " ip link set out1 up && ip addr add 203.0.113.2/24 dev out0"));
	world_start();
	node_settings(second);
	node_from("a connection", 1, syn, PK_REASON_OK);
	check("a datagram, as the node", leaves_as_the_nodes(udp));
	check("the way leads by the other uplink",
	      !system("ip route add 198.51.100.9/32 via 203.0.113.254 dev out0"));
	node_age();
	node_from("the connection has ended", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)),
		  PK_REASON_NO_FLOW);
	check("the datagram leaves as the other uplink's",
	      node_run(NODE_FROM, 1, &udp, NULL) == 7 && !memcmp(udp.b + 26, "\313\0\161\2", 4));
	check("as it was", !system("ip link del out0"));
}

void cases_way(void)
{
	moved();
	masqueraded();
	published();
	routed();
	another_source();
	no_source();
	another_device();
	node_reset();
}
