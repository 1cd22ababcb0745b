// SPDX-License-Identifier: Apache-2.0
/*
 * Flows at an address of the node's that it has no more: neither a packet nor an error about one
 * goes on. What the FIB says of such an address depends on its other routes.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bpf/world.h"

#define ROUTES4 "ip route replace 198.51.100.0/24 via 192.0.2.254 dev up0 && "
#define ROUTES6 "ip -6 route replace 2001:db8:9::/48 via fd00:2::fe dev up0 && "

/* An address of a device that is no uplink, and how the node comes to lose it. */
struct lost {
	const char *text;
	bool v6, alone; /* alone: the port is published on this very address */
	const char *add, *del, *undo;
	bool told; /* the FIB says that it is lost */
};

static void no_default(struct pk_node *n)
{
	n->flags &= ~(uint32_t)(PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6);
}

static void a_default(struct pk_node *n)
{
	n->flags |= PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6;
}

static union pk_addr other4(void)
{
	return (union pk_addr){ .b = { [10] = 0xff, 0xff, 10, 77, 0, 1 } };
}

static union pk_addr other6(void)
{
	return (union pk_addr){ .b = { 0xfd, 0, 0, 0x77, [15] = 1 } };
}

/* Is the only flow still as it was aged: did nothing judge it anew? */
static bool is_unrenewed(void)
{
	struct pk_flow_key key, *at = NULL;
	struct pk_flow flow;

	while (!bpf_map_get_next_key(node_map("flows"), at, &key)) {
		at = &key;
		if (!bpf_map_lookup_elem(node_map("flows"), &key, &flow) &&
		    flow.kind == PK_FLOW_PRIMARY)
			return judge_clock() - flow.judged >= node_hz();
	}
	return false;
}

static void publish(const struct lost *l)
{
	struct pk_published_key key = { .proto = 6, .port = htons(8080) };
	struct pk_published to = { .slot = 1, .port = htons(80) }, marker = { .slot = 0 };
	struct pk_open_port_key open = { .slot = 1, .proto = 6, .port = htons(80) };
	uint32_t published = PK_OPEN_PUBLISHED;

	if (l->alone)
		node_publish(&key, &marker);
	if (l->alone)
		key.addr = l->v6 ? other6() : other4();
	node_publish(&key, &to);
	bpf_map_update_elem(node_map("open_ports"), &open, &published, BPF_ANY);
}

/* A client of A's at that address; got: what A has of it. */
static void begin(const struct lost *l, struct pkt *got)
{
	struct expect e = { l->text, PK_REASON_OK, 1, PK_INGRESS, false };
	union pk_addr to = other6();

	world_start();
	publish(l);
	*got = l->v6 ? pkt_v6_to(WHO_WORLD, &to, TCP(50000, 8080, SYN))
		     : pkt_v4_to(WHO_WORLD, 0x0a4d0001, TCP(50000, 8080, SYN));
	node_expect(&e, NODE_UP, 0, got, NULL);
}

/* A's answer, and A's error about what it got. */
static void answers(const struct lost *l, const struct pkt *got, bool pass)
{
	struct pkt error = pkt_error(WHO_A, WHO_WORLD, got);
	struct pkt out = l->v6 ? pkt_v6(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK))
			       : pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK));

	node_age();
	node_from("an error", 1, error, pass ? PK_REASON_OK : PK_REASON_ICMP_UNRELATED);
	if (!pass)
		check("has nothing renewed", is_unrenewed());
	node_age();
	node_from("an answer", 1, out, pass ? PK_REASON_OK : PK_REASON_NO_FLOW);
}

static void published(const struct lost *l)
{
	struct pkt got;

	check("the node has another address", !system(l->add));
	begin(l, &got);
	check("and no default route",
	      !system(ROUTES4 ROUTES6 "ip route del default && ip -6 route del default"));
	node_settings(no_default);
	answers(l, &got, true);
	check("the node loses the address", !system(l->del));
	answers(l, &got, !l->told);
	check("as it was",
	      !system(l->undo) && !system("ip route replace default via 192.0.2.254 dev up0 &&"
					  " ip -6 route replace default via fd00:2::fe dev up0"));
}

#define OUT0 "ip link add out0 type veth peer name out1 && ip link set out0 up && "
static const struct lost losts[] = {
	{ "no route is left", false, false, OUT0 "ip addr add 10.77.0.1/24 dev out0",
	  "ip addr del 10.77.0.1/24 dev out0", "ip link del out0", true },
	{ "no route is left of IPv6", true, false, OUT0 "ip addr add fd00:77::1/64 dev out0 nodad",
	  "ip addr del fd00:77::1/64 dev out0", "ip link del out0", true },
	{ "an aggregate says that nobody has it", false, false,
	  OUT0 "ip addr add 10.77.0.1/24 dev out0 && ip route add unreachable 10.0.0.0/8",
	  "ip addr del 10.77.0.1/24 dev out0",
	  "ip link del out0 && ip route del unreachable 10.0.0.0/8", true },
	{ "an aggregate says so in IPv6", true, false,
	  OUT0 "ip addr add fd00:77::1/128 dev out0 nodad &&"
	       " ip -6 route add unreachable fd00:77::/32",
	  "ip addr del fd00:77::1/128 dev out0",
	  "ip link del out0 && ip -6 route del unreachable fd00:77::/32", true },
	{ "an IPv6 address for itself", true, true,
	  OUT0 "ip addr add fd00:77::1/128 dev out0 nodad", "true", "ip link del out0", false },
	{ "a rule divides the tables", false, false,
	  OUT0 "ip addr add 10.77.0.1/30 dev out0 && ip rule add from 10.99.0.0/16 lookup 77",
	  "ip addr del 10.77.0.1/30 dev out0",
	  "ip link del out0 && ip rule del from 10.99.0.0/16 lookup 77", true },
	{ "an IPv4 address for itself", false, true, "ip addr add 10.77.0.1/32 dev lo",
	  "ip addr del 10.77.0.1/32 dev lo", "true", false },
};

#define BOTH(verb)                                                                                 \
	"ip route " verb " default via 192.0.2.254 dev up0 &&"                                     \
	" ip -6 route " verb " default via fd00:2::fe dev up0"

/* The default route is gone for a while; the address, which no other route covers, isn't lost. */
static void without_a_route(void)
{
	const struct lost l = { .text = "an address that nothing else covers" };
	struct pkt got, out = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK));

	check("the node has it", !system("ip addr add 10.77.0.1/32 dev lo"));
	begin(&l, &got);
	check("no route at all", !system(BOTH("del")));
	node_settings(no_default);
	node_age();
	node_run(NODE_FROM, 1, &out, NULL);
	check("the flow is there", node_flows() != 0);
	check("a route again", !system(BOTH("add")));
	node_settings(a_default);
	node_age();
	out = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK));
	node_from("an answer again", 1, out, PK_REASON_OK);
	answers(&l, &got, true);
	check("as it was", !system("ip addr del 10.77.0.1/32 dev lo"));
}

static struct pkt reported(const struct pkt *wire)
{
	return pkt_error(WHO_WORLD, WHO_HOST, wire);
}

/* The uplink's entry, too, has another address by now. */
static void other_address(struct pk_node *n)
{
	n->uplink[0].ipv4 = (union pk_addr){ .b = { [10] = 0xff, 0xff, 192, 0, 2, 77 } };
}

/* Errors about what is masqueraded behind an address that the node has, and then hasn't. */
static void masqueraded(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), wire = out, got, error;
	struct expect e = { "an error about what is masqueraded", PK_REASON_OK, 1, PK_INGRESS,
			    false };

	world_start();
	check("A to the world", node_run(NODE_FROM, 1, &wire, NULL) == 7);
	got = world_to_node(WHO_WORLD, UDP(9, world_port(&wire, 34)));
	check("an answer", node_run(NODE_UP, 0, &got, NULL) == 7);
	node_age();
	error = reported(&wire);
	node_expect(&e, NODE_UP, 0, &error, NULL);
	check("has its flow renewed", !is_unrenewed());
	node_age();
	node_from("A's own, about the answer", 1, pkt_error(WHO_A, WHO_WORLD, &got), PK_REASON_OK);
	check("the node's address is another one",
	      !system("ip addr del 192.0.2.1/24 dev up0 && ip addr add 192.0.2.77/24 dev up0 &&"
		      " ip route replace default via 192.0.2.254 dev up0 onlink &&"
		      " ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0"));
	node_settings(other_address);
	node_age();
	e.text = "an error, behind an address that is lost";
	e.reason = PK_REASON_ICMP_UNRELATED;
	error = reported(&wire);
	node_expect(&e, NODE_UP, 0, &error, NULL);
	node_from("A's own", 1, pkt_error(WHO_A, WHO_WORLD, &got), PK_REASON_ICMP_UNRELATED);
	check("neither has its flow renewed", is_unrenewed() && node_flows() == 2);
	check("as it was", !system("ip addr del 192.0.2.77/24 dev up0 &&"
				   " ip addr add 192.0.2.1/24 dev up0 &&"
				   " ip route replace default via 192.0.2.254 dev up0 &&"
				   " ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe"
				   " dev up0"));
}

void cases_lost(void)
{
	masqueraded();
	without_a_route();
	for (size_t i = 0; i < sizeof(losts) / sizeof(*losts); i++)
		published(&losts[i]);
	node_reset();
}
