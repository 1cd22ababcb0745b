// SPDX-License-Identifier: Apache-2.0
/*
 * Translation on the wire: what a packet's bytes are when they are other bytes' behind the node,
 * every checksum among them, and which port of the node's they have.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define L3     14
#define DENIED 2
#define GRE    47

static void one_port(struct pk_node *n)
{
	n->masquerade_high = n->masquerade_low;
}

/* Masquerade has one port, so what the world sees is known beforehand. */
static void start_one(void)
{
	world_start();
	node_settings(one_port);
}

static struct pkt masqueraded(struct pkt p, uint16_t port)
{
	bool v4 = p.b[12] == 0x08;
	union pk_addr host = v4 ? pkt_ip4(WHO_HOST) : pkt_ip6(WHO_HOST);
	size_t l4 = L3 + (v4 ? 20 : 40);
	uint8_t proto = p.b[L3 + (v4 ? 9 : 6)];

	memcpy(p.b + L3 + (v4 ? 12 : 8), v4 ? host.b + 12 : host.b, v4 ? 4 : 16);
	world_put_port(&p, l4 + (proto == 6 || proto == 17 ? 0 : 4), port);
	pkt_seal(&p);
	return p;
}

/* A's packet as up0 sends it. */
static int wire(struct pkt *p)
{
	return node_run(NODE_FROM, 1, p, NULL);
}

/* A packet whose only change is the last two bytes, so that its checksum out there is that. */
static struct pkt with_check(struct pkt p, size_t check, uint16_t value)
{
	for (uint32_t x = 0; x <= 0xffff; x++) {
		struct pkt out;

		world_put_port(&p, p.len - 2, (uint16_t)x);
		pkt_seal(&p);
		out = masqueraded(p, WORLD_LOW);
		if (world_port(&out, check) == value)
			return p;
	}
	return p;
}

/* A sum of zero is none in UDP, and one like any other in TCP. */
static void zero_sums(void)
{
	struct pkt tcp = pkt_v4(WHO_A, WHO_WORLD, (struct l4){ 6, 40000, 443, SYN, 2 });
	struct pkt udp = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), p;
	struct pkt udp6 = pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53));

	start_one();
	p = tcp;
	for (uint32_t x = 0; x <= 0xffff && world_port(&p, 50); x++) {
		world_put_port(&p, p.len - 2, (uint16_t)x);
		pkt_seal(&p);
	}
	check("TCP whose sum is zero has one out there",
	      !world_port(&p, 50) && wire(&p) == 7 && pkt_l4_sum(&p) == 0xffff);
	start_one();
	p = with_check(tcp, 50, 0);
	check("TCP whose sum is zero out there",
	      wire(&p) == 7 && !world_port(&p, 50) && pkt_l4_sum(&p) == 0xffff);
	p = with_check(udp, 40, 0);
	check("UDP whose sum is zero out there says 0xffff",
	      wire(&p) == 7 && world_port(&p, 40) == 0xffff);
	start_one();
	p = with_check(udp6, 60, 0);
	check("and in IPv6", wire(&p) == 7 && world_port(&p, 60) == 0xffff);
	start_one();
	p = udp;
	world_put_port(&p, 40, 0);
	check("UDP without a sum goes without", wire(&p) == 7 && !world_port(&p, 40));
	p = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, WORLD_LOW));
	world_put_port(&p, 40, 0);
	check("and its answer comes without",
	      node_run(NODE_UP, 0, &p, NULL) == 7 && !world_port(&p, 40) && world_to(&p, WHO_A));
}

/* What a driver summed up of the answer is what the endpoint gets. */
static void summed(void)
{
	static const struct {
		const char *text;
		bool v6, unsummed;
		struct l4 out, back;
	} list[] = {
		{ "TCP", false, false, TCP(40000, 443, SYN), TCP(443, WORLD_LOW, SYN | ACK) },
		{ "UDP", false, false, UDP(40000, 53), UDP(53, WORLD_LOW) },
		{ "UDP without a sum", false, true, UDP(40000, 53), UDP(53, WORLD_LOW) },
		{ "a ping", false, false, PING(7), PONG(WORLD_LOW) },
		{ "TCP, IPv6", true, false, TCP(40000, 443, SYN), TCP(443, WORLD_LOW, SYN | ACK) },
		{ "UDP, IPv6", true, false, UDP(40000, 53), UDP(53, WORLD_LOW) },
		{ "UDP without a sum, IPv6", true, true, UDP(40000, 53), UDP(53, WORLD_LOW) },
		{ "a ping, IPv6", true, false, PING6(7), PONG6(WORLD_LOW) },
	};
	const struct node_meta meta = { .summed = true };
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		bool v6 = list[i].v6;
		struct pkt out = v6 ? pkt_v6(WHO_A, WHO_WORLD, list[i].out)
				    : pkt_v4(WHO_A, WHO_WORLD, list[i].out);
		struct pkt back = v6 ? pkt_v6(WHO_WORLD, WHO_HOST, list[i].back)
				     : pkt_v4(WHO_WORLD, WHO_HOST, list[i].back);
		int r;

		start_one();
		wire(&out);
		if (list[i].unsummed)
			world_put_port(&back, v6 ? 60 : 40, 0);
		snprintf(text, sizeof(text), "an answer that was summed up: %s", list[i].text);
		r = node_run(NODE_UP, 0, &back, &meta);
		if (r == -EINVAL)
			return skip(text, "a test run can't say so before Linux 6.17");
		check(text, r == 7 && world_to(&back, WHO_A));
	}
}

/* A partial checksum stays one: the pseudo-header's sum of the addresses out there. */
static void partial(void)
{
	struct pkt list[] = { pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
			      pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)),
			      pkt_v6(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
			      pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53)) };
	struct arrival got;

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		bool udp = i & 1;
		uint16_t start = i < 2 ? 34 : 54;
		struct vnet v = { .flags = VNET_PARTIAL,
				  .csum_start = start,
				  .csum_offset = udp ? 6 : 16 };
		struct pkt want = masqueraded(list[i], WORLD_LOW), p = list[i];

		pkt_partial(&want);
		pkt_partial(&p);
		start_one();
		devices_drain();
		devices_tap_write(1, &v, p.b, p.len);
		check("a partial checksum to the world",
		      devices_receive(&got, 10000) && got.at == AT_UPLINK &&
			      got.p.len == want.len &&
			      !memcmp(got.p.b + start, want.b + start, want.len - start));
	}
}

/* The range's ports, its first and its last one too, are answered at; those beside are the host's. */
static void edges(void)
{
	char text[64];

	world_start();
	for (int i = 0; i <= WORLD_HIGH - WORLD_LOW; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_WORLD, UDP(40000 + i, 53));

		wire(&p);
	}
	for (uint16_t port = WORLD_LOW; port <= WORLD_HIGH; port++) {
		struct pkt p = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, port));
		struct expect e = { text, PK_REASON_OK, 1, PK_INGRESS, false };

		snprintf(text, sizeof(text), "an answer to port %u", port);
		node_expect(&e, NODE_UP, 0, &p, NULL);
	}
	world_untouched("the port before the range",
			pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, WORLD_LOW - 1)));
	world_untouched("the port behind it", pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, WORLD_HIGH + 1)));
	world_untouched("an answer of somebody else",
			pkt_v4(WHO_NOROUTE, WHO_HOST, UDP(53, 10000)));
	world_untouched("an answer by another protocol",
			pkt_v4(WHO_WORLD, WHO_HOST, TCP(53, 10000, ACK)));
}

static void no_range(struct pk_node *n)
{
	n->masquerade_low = 0;
}

static void turned_range(struct pk_node *n)
{
	n->masquerade_low = n->masquerade_high + 1;
}

static void ranges(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));

	world_start();
	node_settings(no_range);
	node_from("no range of ports", 1, p, PK_REASON_MASQUERADE_FULL);
	world_start();
	node_settings(turned_range);
	node_from("a range that ends before it begins", 1, p, PK_REASON_MASQUERADE_FULL);
	start_one();
	node_from("a range of one port", 1, p, PK_REASON_OK);
	node_from("which is taken", 2, pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53)),
		  PK_REASON_MASQUERADE_FULL);
	check("and leaves nothing of the other flow", node_flows() == 2);
}

/* A socket of the node on a port, as whoever serves there has one. */
static int served(int family, int type, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(family, type | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
			      : bind(fd, (struct sockaddr *)&v6, sizeof(v6)))
		perror("bpf-test: a socket");
	if (type == SOCK_STREAM)
		listen(fd, 1);
	return fd;
}

/* What the node's own sockets use isn't masquerade's, in that protocol and family alone. */
static void sockets(void)
{
	static const struct {
		const char *text;
		int family, type;
	} list[] = { { "TCP", AF_INET, SOCK_STREAM },
		     { "UDP", AF_INET, SOCK_DGRAM },
		     { "TCP over IPv6", AF_INET6, SOCK_STREAM },
		     { "UDP over IPv6", AF_INET6, SOCK_DGRAM } };
	const struct pkt kinds[] = { pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
				     pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)),
				     pkt_v6(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
				     pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53)) };
	char text[96];

	for (size_t i = 0; i < 4; i++) {
		int fd = served(list[i].family, list[i].type, WORLD_LOW);

		for (size_t k = 0; k < 4; k++) {
			start_one();
			snprintf(text, sizeof(text), "%s to the world, where the node serves %s",
				 list[k].text, list[i].text);
			node_from(text, 1, kinds[k],
				  i == k ? PK_REASON_MASQUERADE_FULL : PK_REASON_OK);
		}
		close(fd);
	}
	start_one();
	world_publish(0, WORLD_LOW, 2, 80);
	node_from("TCP to the world, where that port is published", 1, kinds[0],
		  PK_REASON_MASQUERADE_FULL);
	node_from("UDP to the world, where that of TCP is published", 1, kinds[1], PK_REASON_OK);
}

static void other_uplink(struct pk_node *n)
{
	n->uplink[0].ifindex += 1000;
}

static void last_uplink(struct pk_node *n)
{
	n->uplink[PK_UPLINKS - 1] = n->uplink[0];
	n->uplink[0] = (struct pk_uplink){ .ifindex = 0 };
}

/* Whether a packet is masqueraded at all. */
static void chosen(void)
{
	struct pkt udp = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), p = udp;
	struct pkt udp6 = pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53));
	const struct pkt gre = pkt_v4(WHO_A, WHO_WORLD, (struct l4){ GRE, 0, 0, 0, 8 });

	world_start();
	node_from("GRE to the world can't be masqueraded", 1, gre, PK_REASON_NO_MASQUERADE);
	node_word(1, 1, 0, 2);
	node_from("it goes where nothing is", 1, gre, PK_REASON_OK);
	world_start();
	node_word(1, 1, PK_WORD_MASQUERADE6, 2);
	check("IPv4, where only IPv6 is masqueraded", wire(&p) == 7 && p.b[L3 + 15] == WHO_A);
	p = udp6;
	check("IPv6 is", wire(&p) == 7 && p.b[L3 + 23] == 1);
	world_start();
	node_word(1, 1, PK_WORD_MASQUERADE, 2);
	p = udp6;
	check("IPv6, where only IPv4 is masqueraded", wire(&p) == 7 && p.b[L3 + 23] == WHO_A);
	world_start();
	node_settings(other_uplink);
	p = udp;
	check("by a device that is no uplink", wire(&p) == 7 && p.b[L3 + 15] == WHO_A);
	world_start();
	node_settings(last_uplink);
	p = udp;
	check("by the last uplink", wire(&p) == 7 && p.b[L3 + 12] == 192);
	p = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, world_port(&p, 34)));
	check("and back", node_run(NODE_UP, 0, &p, NULL) == 7 && world_to(&p, WHO_A));
}

/* The only flow that is none's alias, as if it were masqueraded behind that address. */
static void behind(union pk_addr address)
{
	struct pk_flow_key key, *at = NULL;
	struct pk_flow flow;

	while (!bpf_map_get_next_key(node_map("flows"), at, &key)) {
		at = &key;
		bpf_map_lookup_elem(node_map("flows"), &key, &flow);
		if (flow.kind != PK_FLOW_PRIMARY)
			continue;
		flow.address = address;
		bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	}
}

/* A flow behind an address that the node lost is over with the next change. */
static void lost_address(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK));

	world_start();
	node_from("A to the world", 1, syn, PK_REASON_OK);
	node_word(1, 1, PK_WORD_MASQUERADE, 2);
	node_from("goes on after a change", 1, ack, PK_REASON_OK);
	behind(pkt_ip4(WHO_NOROUTE));
	node_word(1, 1, PK_WORD_MASQUERADE, 3);
	node_from("not behind an address that the node hasn't", 1, ack, PK_REASON_NO_FLOW);
	check("and nothing is left of it but its alias", node_flows() <= 1);
}

/* One tuple of A's wire is one flow's. */
static void tuples(void)
{
	struct pkt direct = pkt_v4(WHO_A, WHO_B, TCP(50000, 80, SYN));
	struct pkt by_node = world_to_node(WHO_A, TCP(50000, 8080, SYN));

	world_start();
	world_publish(0, 8080, 2, 80);
	node_from("A connects to B", 1, direct, PK_REASON_OK);
	node_from("and by the published port, from the same port", 1, by_node,
		  PK_REASON_TUPLE_TAKEN);
	check("which leaves nothing", node_flows() == 1);
	node_from("the first one is reset", 1, pkt_v4(WHO_A, WHO_B, TCP(50000, 80, RST)),
		  PK_REASON_OK);
	check("then there is a way", node_run(NODE_FROM, 1, &by_node, NULL) == 7);
	node_from("and none besides", 1, direct, PK_REASON_TUPLE_TAKEN);
	check("which leaves nothing", node_flows() == 2);
	by_node = world_to_node(WHO_A, TCP(50000, 8080, RST));
	check("that one is reset, too", node_run(NODE_FROM, 1, &by_node, NULL) == 7);
	node_bucket_set(1, PK_BUCKET_PLACE, 77, 0);
	node_from("and there is a way again, though its place isn't looked at", 1, direct,
		  PK_REASON_OK);
	check("for one flow", node_flows() == 1);
}

/* A published port that is withdrawn keeps its connections. */
static void withdrawn(void)
{
	struct pk_published_key key = { .proto = 6, .port = htons(8080) };
	struct pkt p = world_to_node(WHO_A, TCP(50000, 8080, SYN));
	struct pkt want = pkt_v4(WHO_A, WHO_B, TCP(50000, 80, ACK));

	world_start();
	world_publish(0, 8080, 2, 80);
	check("A by B's published port", node_run(NODE_FROM, 1, &p, NULL) == 7);
	bpf_map_delete_elem(node_map("published"), &key);
	node_word(1, 1, 0, 2);
	p = world_to_node(WHO_A, TCP(50000, 8080, ACK));
	check("goes on when that is withdrawn, judged again",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && world_one_hop(&p, &want));
	node_from("a new one doesn't begin", 1, world_to_node(WHO_A, TCP(50001, 8080, SYN)),
		  PK_REASON_POLICY_DENIED);
}

/* A closed flow's port is the next one's, and nothing is left of the closed one. */
static void taken_again(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));

	start_one();
	node_from("A to the world", 1, p, PK_REASON_OK);
	node_from("another one finds no port", 2, pkt_v4(WHO_B, WHO_WORLD, TCP(40000, 443, SYN)),
		  PK_REASON_MASQUERADE_FULL);
	node_from("A's is reset", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, RST | ACK)), 1, 1, 0),
		  PK_REASON_OK);
	node_from("another one takes its port", 2, pkt_v4(WHO_B, WHO_WORLD, TCP(40000, 443, SYN)),
		  PK_REASON_OK);
	check("nothing is left of A's", node_flows() == 2);
	p = pkt_v4(WHO_WORLD, WHO_HOST, TCP(443, WORLD_LOW, SYN | ACK));
	check("an answer is B's", node_run(NODE_UP, 0, &p, NULL) == 7 && world_to(&p, WHO_B));
}

/* What is at its last hop leaves the node no more than it reaches a neighbour. */
static void last_hop(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9));

	world_start();
	p.b[22] = 1;
	pkt_seal(&p);
	node_from_told("TTL 1 to the world", 1, p, 1, PK_EGRESS, PK_REASON_TTL);
	p = pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 9));
	p.b[21] = 1;
	node_from_told("hop limit 1 to the world", 1, p, 1, PK_EGRESS, PK_REASON_TTL);
}

/* The node's address is no uplink's, save one of a place where there is none. */
static void elsewhere(struct pk_node *n)
{
	n->flags = 0;
	n->uplink[0].ipv4 = pkt_ip4(WHO_NOROUTE);
	n->uplink[0].ipv6 = pkt_ip6(WHO_NOROUTE);
	n->uplink[1] = (struct pk_uplink){ .ipv4 = pkt_ip4(WHO_HOST), .ipv6 = pkt_ip6(WHO_HOST) };
}

static void uplinks_own(struct pk_node *n)
{
	n->flags = 0;
}

static void default4(struct pk_node *n)
{
	elsewhere(n);
	n->flags = PK_NODE_DEFAULT4;
}

static void default6(struct pk_node *n)
{
	elsewhere(n);
	n->flags = PK_NODE_DEFAULT6;
}

/* Is A's connection to port 8080 of the node's address B's? */
static bool is_published(void (*edit)(struct pk_node *n), bool v6, uint32_t slot)
{
	struct pkt p = v6 ? pkt_v6(WHO_A, WHO_HOST, TCP(50000, 8080, SYN))
			  : pkt_v4(WHO_A, WHO_HOST, TCP(50000, 8080, SYN));

	world_start();
	node_settings(edit);
	world_publish(0, 8080, slot, 80);
	return node_run(NODE_FROM, 1, &p, NULL) == 7 && world_to(&p, WHO_B);
}

/*
 * The FIB helper says the same of the node's own addresses and of what has no route. A mapping on
 * every address holds where that is surely the first: by a default route, or an uplink's address.
 */
static void whose_address(void)
{
	check("an uplink's address is the node's", is_published(uplinks_own, false, 2));
	check("and in IPv6", is_published(uplinks_own, true, 2));
	check("another one may have no route", !is_published(elsewhere, false, 2));
	check("and in IPv6, too", !is_published(elsewhere, true, 2));
	check("where there is a default route it is the node's", is_published(default4, false, 2));
	check("which says nothing of IPv6", !is_published(default4, true, 2));
	check("one of IPv6 says it", is_published(default6, true, 2));
	check("and nothing of IPv4", !is_published(default6, false, 2));
	check("a mark that there are others is none", !is_published(default4, false, 0));
}

static void closed(void)
{
	struct pkt p = pkt_v4(WHO_WORLD, WHO_CLOSED, UDP(9, 9));
	struct expect e = { "a closed endpoint's address, from outside", PK_REASON_ENDPOINT_CLOSED,
			    4, PK_INGRESS, false };

	world_start();
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

void cases_wire(void)
{
	closed();
	whose_address();
	last_hop();
	zero_sums();
	summed();
	partial();
	edges();
	ranges();
	sockets();
	chosen();
	lost_address();
	tuples();
	withdrawn();
	taken_again();
	node_reset();
}
