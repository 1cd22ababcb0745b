// SPDX-License-Identifier: Apache-2.0
/* The way to the world and back: masquerade, published ports, errors through both. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/world.h"

#define L3 14

/* A's packet of a kind to the world and the answer to what the world saw. */
struct exchange {
	const char *text;
	bool v6;
	struct l4 out, back;
	size_t port; /* where the world sees the node's port, or an echo's id */
};

static void exchange(const struct exchange *x)
{
	struct pkt out =
		x->v6 ? pkt_v6(WHO_A, WHO_WORLD, x->out) : pkt_v4(WHO_A, WHO_WORLD, x->out);
	struct pkt back =
		x->v6 ? pkt_v6(WHO_WORLD, WHO_A, x->back) : pkt_v4(WHO_WORLD, WHO_A, x->back);
	struct pkt wire = out, want = out, answer = back;
	struct expect seen = { x->text, PK_REASON_OK, 1, PK_INGRESS, false };
	union pk_addr node = x->v6 ? pkt_ip6(WHO_HOST) : pkt_ip4(WHO_HOST);
	size_t dport = x->out.proto == 6 || x->out.proto == 17 ? x->port + 2 : x->port;
	char text[96];
	uint16_t port;

	world_start();
	snprintf(text, sizeof(text), "%s: out, by the neighbour", x->text);
	check(text, node_run(NODE_FROM, 1, &wire, NULL) == 7);
	port = world_port(&wire, x->port);
	snprintf(text, sizeof(text), "%s: a port of the range", x->text);
	check(text, port >= 10000 && port <= 10003);
	world_put_port(&want, x->port, port);
	if (x->v6)
		memcpy(want.b + L3 + 8, &node, 16);
	else
		memcpy(want.b + L3 + 12, &node.w[3], 4);
	snprintf(text, sizeof(text), "%s: the node's address, nothing else changed", x->text);
	check(text, world_one_hop(&wire, &want));
	/* What the world answers to that. */
	world_put_port(&answer, dport, port);
	if (x->v6)
		memcpy(answer.b + L3 + 24, &node, 16);
	else
		memcpy(answer.b + L3 + 16, &node.w[3], 4);
	pkt_seal(&answer);
	node_expect(&seen, NODE_UP, 0, &answer, NULL);
	snprintf(text, sizeof(text), "%s: back as plain forwarding would have", x->text);
	check(text, world_one_hop(&answer, &back) && world_to(&answer, WHO_A));
	snprintf(text, sizeof(text), "%s: the established packet, the same port", x->text);
	wire = out;
	node_run(NODE_FROM, 1, &wire, NULL);
	check(text, world_one_hop(&wire, &want));
}

static void masquerade(void)
{
	static const struct exchange kinds[] = {
		{ "TCP to the world", false, TCP(40000, 443, SYN), TCP(443, 40000, SYN | ACK), 34 },
		{ "UDP to the world", false, UDP(40000, 53), UDP(53, 40000), 34 },
		{ "ping of the world", false, PING(77), PONG(77), 38 },
		{ "TCP to the world, IPv6", true, TCP(40000, 443, SYN), TCP(443, 40000, SYN | ACK),
		  54 },
		{ "UDP to the world, IPv6", true, UDP(40000, 53), UDP(53, 40000), 54 },
		{ "ping of the world, IPv6", true, PING6(77), PONG6(77), 58 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		exchange(&kinds[i]);
}

static void hosts_own(void)
{
	struct pkt syn = world_to_node(WHO_WORLD, TCP(50000, 22, SYN));

	world_start();
	world_untouched("SSH to the node", syn);
	world_untouched("a port of the range that no flow has",
			world_to_node(WHO_WORLD, UDP(53, 10001)));
	world_untouched("a ping of the node", world_to_node(WHO_WORLD, PING(10001)));
	world_untouched("an error about something of the node's own",
			pkt_error(WHO_WORLD, WHO_HOST, &syn));
	world_untouched("an ARP question", pkt_arp(WHO_WORLD, 1, WORLD_NODE_V4));
	world_untouched("what the node forwards for others",
			pkt_v4(WHO_WORLD, WHO_NOROUTE, UDP(9, 9)));
}

/* Four ports are four flows to one destination, and one more gets none of theirs. */
static void range(void)
{
	uint16_t seen = 0;
	char text[64];

	world_start();
	for (uint16_t i = 0; i < 4; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000 + i, 443, SYN));

		node_run(NODE_FROM, 1, &p, NULL);
		seen |= 1u << (world_port(&p, 34) - 10000);
		snprintf(text, sizeof(text), "connection %u to one destination", i + 1);
		check(text, p.b[L3 + 12] == 192);
	}
	check("each has a port of its own", seen == 15);
	node_from("a fifth one finds the range full", 2,
		  pkt_v4(WHO_B, WHO_WORLD, TCP(40000, 443, SYN)), PK_REASON_MASQUERADE_FULL);
	node_from("to another port of that destination there is room", 2,
		  pkt_v4(WHO_B, WHO_WORLD, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("SCTP has no translation", 1,
		  pkt_v4(WHO_A, WHO_WORLD, (struct l4){ 132, 9, 9, 0, 8 }),
		  PK_REASON_NO_MASQUERADE);
	node_from("nor has ICMP that isn't an echo", 1,
		  pkt_v4(WHO_A, WHO_WORLD, (struct l4){ 1, 1, 13 << 8, 0, 12 }),
		  PK_REASON_NO_MASQUERADE);
	node_from("a connection closes", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40002, 443, RST | ACK)), 1, 1, 0),
		  PK_REASON_OK);
	node_from("and its port is taken again", 2, pkt_v4(WHO_B, WHO_WORLD, TCP(40001, 443, SYN)),
		  PK_REASON_OK);
}

/*
 * Whose port is published takes nobody's own traffic to that number elsewhere.
 * P31: a published port 8080 doesn't catch another endpoint's traffic to port 8080 elsewhere, nor
 * to it.
 */
static void published_nowhere_else(void)
{
	struct pkt p = pkt_v4(WHO_B, WHO_A, TCP(50000, 8080, SYN)), want = p;

	world_start();
	world_publish(0, 8080, 1, 80);
	check("to the endpoint itself at that number", node_run(NODE_FROM, 2, &p, NULL) == 7 &&
							       world_to(&p, WHO_A) &&
							       world_one_hop(&p, &want));
	p = pkt_v4(WHO_A, WHO_B, TCP(50000, 8080, SYN));
	want = p;
	check("from it to another one there", node_run(NODE_FROM, 1, &p, NULL) == 7 &&
						      world_to(&p, WHO_B) &&
						      world_one_hop(&p, &want));
	p = pkt_v4(WHO_B, WHO_WORLD, TCP(50000, 8080, SYN));
	check("to the world there it is masqueraded as ever",
	      node_run(NODE_FROM, 2, &p, NULL) == 7 && world_port(&p, 36) == 8080 &&
		      !memcmp(p.b + 30, pkt_ip4(WHO_WORLD).b + 12, 4));
	p = pkt_v6(WHO_B, WHO_A, TCP(50000, 8080, SYN));
	want = p;
	check("and in IPv6", node_run(NODE_FROM, 2, &p, NULL) == 7 && world_to(&p, WHO_A) &&
				     world_one_hop(&p, &want));
}

/* From the world to 192.0.2.1:8080, which is A's port 80. */
static void published(void)
{
	struct pkt syn = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)), in = syn;
	struct pkt want = pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, SYN));
	struct pkt reply = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)), out = reply;
	struct pkt seen = pkt_v4(WHO_HOST, WHO_WORLD, TCP(8080, 50000, SYN | ACK));
	struct expect e = { "a published port from the world", PK_REASON_OK, 1, PK_INGRESS, false };

	world_start();
	world_publish(0, 8080, 1, 80);
	node_expect(&e, NODE_UP, 0, &in, NULL);
	check("arrives at the endpoint's own port",
	      world_one_hop(&in, &want) && world_to(&in, WHO_A));
	check("its answer leaves by the neighbour", node_run(NODE_FROM, 1, &out, NULL) == 7);
	check("as the published port's", world_one_hop(&out, &seen));
	in = world_to_node(WHO_WORLD, TCP(50000, 8080, ACK));
	want = pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, ACK));
	node_expect(&e, NODE_UP, 0, &in, NULL);
	check("the established packet likewise", world_one_hop(&in, &want));
	e = (struct expect){ "data of nobody's connection", PK_REASON_NO_FLOW, 1, PK_INGRESS,
			     false };
	in = world_to_node(WHO_WORLD, TCP(50001, 8080, ACK));
	node_expect(&e, NODE_UP, 0, &in, NULL);
	world_untouched("the same port of another protocol",
			world_to_node(WHO_WORLD, UDP(50000, 8080)));
	world_untouched("the endpoint's own port at the node",
			world_to_node(WHO_WORLD, TCP(50000, 80, SYN)));
	world_untouched("that port of an address that isn't the node's",
			pkt_v4(WHO_WORLD, WHO_NOROUTE, TCP(50000, 8080, SYN)));
	node_word(1, 1, PK_WORD_MASQUERADE, 0);
	e = (struct expect){ "the endpoint has closed", PK_REASON_ENDPOINT_CLOSED, 1, PK_INGRESS,
			     false };
	in = syn;
	node_expect(&e, NODE_UP, 0, &in, NULL);
}

/* Two published ports of one port of A's: a client's second connection would answer as the first. */
static void two_of_one(void)
{
	struct pkt in = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	struct expect e = { "a client of two published ports", PK_REASON_OK, 1, PK_INGRESS, false };

	world_start();
	world_publish(0, 8080, 1, 80);
	world_publish(0, 8081, 1, 80);
	node_expect(&e, NODE_UP, 0, &in, NULL);
	e = (struct expect){ "by the same port of its own", PK_REASON_TUPLE_TAKEN, 1, PK_INGRESS,
			     false };
	in = world_to_node(WHO_WORLD, TCP(50000, 8081, SYN));
	node_expect(&e, NODE_UP, 0, &in, NULL);
	e = (struct expect){ "by another one", PK_REASON_OK, 1, PK_INGRESS, false };
	in = world_to_node(WHO_WORLD, TCP(50001, 8081, SYN));
	node_expect(&e, NODE_UP, 0, &in, NULL);
}

/* B and A itself at the node's address: policy sees the endpoints. */
static void published_inside(void)
{
	struct pkt p = world_to_node(WHO_B, TCP(50000, 8080, SYN));
	struct pkt want = pkt_v4(WHO_B, WHO_A, TCP(50000, 80, SYN));

	world_start();
	world_publish(0, 8080, 1, 80);
	check("B to the published port of A", node_run(NODE_FROM, 2, &p, NULL) == 7);
	check("reaches A's own", world_one_hop(&p, &want) && world_to(&p, WHO_A));
	p = pkt_v4(WHO_A, WHO_B, TCP(80, 50000, SYN | ACK));
	want = pkt_v4(WHO_HOST, WHO_B, TCP(8080, 50000, SYN | ACK));
	check("A answers B", node_run(NODE_FROM, 1, &p, NULL) == 7);
	check("as the published port", world_one_hop(&p, &want) && world_to(&p, WHO_B));
	node_from("C, of another tenant, is denied as at A's own port", 3,
		  world_to_node(WHO_C, TCP(50000, 8080, SYN)), PK_REASON_POLICY_DENIED);
	p = world_to_node(WHO_A, TCP(50001, 8080, SYN));
	want = pkt_v4(WHO_HOST, WHO_A, TCP(50001, 80, SYN));
	check("A to its own published port", node_run(NODE_FROM, 1, &p, NULL) == 7);
	check("sees the node as the client", world_one_hop(&p, &want) && world_to(&p, WHO_A));
	p = world_to_node(WHO_A, TCP(80, 50001, SYN | ACK));
	want = pkt_v4(WHO_HOST, WHO_A, TCP(8080, 50001, SYN | ACK));
	check("and its own answer", node_run(NODE_FROM, 1, &p, NULL) == 7);
	check("comes as the published port's", world_one_hop(&p, &want));
}

/* A mapping on one address holds there alone. */
static void published_on_one(void)
{
	struct pkt in = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	struct expect e = { "a port published on one address", PK_REASON_OK, 1, PK_INGRESS, false };

	world_start();
	world_publish(0, 8080, 0, 0);
	world_publish(WORLD_NODE_V4, 8080, 1, 80);
	node_expect(&e, NODE_UP, 0, &in, NULL);
	world_start();
	world_publish(0, 8080, 0, 0);
	world_publish(WORLD_NODE_V4 + 8, 8080, 1, 80);
	world_untouched("another address of the node",
			world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)));
}

/* Routed to the endpoint's own address: judged, denied by the baseline, delivered where it may. */
static void routed(void)
{
	struct pkt in = pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, SYN));
	struct expect e = { "the world to an endpoint's address", PK_REASON_POLICY_DENIED, 1,
			    PK_INGRESS, false };

	world_start();
	node_expect(&e, NODE_UP, 0, &in, NULL);
	in = pkt_v4(WHO_B, WHO_A, TCP(50000, 80, SYN));
	e = (struct expect){ "an endpoint's address from outside", PK_REASON_SPOOFED_IPV4, 1,
			     PK_INGRESS, false };
	node_expect(&e, NODE_UP, 0, &in, NULL);
	in = pkt_v4(WHO_HOST, WHO_A, TCP(50000, 80, SYN));
	e = (struct expect){ "the node's own address from outside", PK_REASON_NO_ROUTE, 1,
			     PK_INGRESS, false };
	node_expect(&e, NODE_UP, 0, &in, NULL);
	in = pkt_v4(WHO_WORLD, WHO_NOBODY, TCP(50000, 80, SYN));
	e = (struct expect){ "an address that nobody has", PK_REASON_UNKNOWN_ENDPOINT, 0,
			     PK_INGRESS, false };
	node_expect(&e, NODE_UP, 0, &in, NULL);
	for (uint32_t slot = 1; slot <= 3; slot++)
		node_word(slot, 1, 0, 2);
	in = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	check("without masquerade: out", node_run(NODE_FROM, 1, &in, NULL) == 7);
	check("with the endpoint's own address", in.b[L3 + 15] == WHO_A);
	in = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, SYN | ACK));
	e = (struct expect){ "and its answer comes in", PK_REASON_OK, 1, PK_INGRESS, false };
	node_expect(&e, NODE_UP, 0, &in, NULL);
}

/* A router's error about a masqueraded packet; the endpoint's error about an answer. */
static void errors(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), wire = out, error, want;
	struct expect e = { "a router's error about a masqueraded flow", PK_REASON_OK, 1,
			    PK_INGRESS, false };
	uint16_t port;

	world_start();
	node_run(NODE_FROM, 1, &wire, NULL);
	port = world_port(&wire, 34);
	error = pkt_error(WHO_WORLD, WHO_HOST, &wire);
	out.b[L3 + 8]--; /* as it was when the router had it */
	pkt_seal(&out);
	want = pkt_error(WHO_WORLD, WHO_A, &out);
	node_expect(&e, NODE_UP, 0, &error, NULL);
	check("reaches the endpoint as if it had never been translated",
	      world_one_hop(&error, &want) && world_to(&error, WHO_A));
	wire = pkt_v4(WHO_WORLD, WHO_HOST, UDP(9, port));
	node_run(NODE_UP, 0, &wire, NULL);
	error = pkt_error(WHO_A, WHO_WORLD, &wire);
	check("the endpoint's error about the answer", node_run(NODE_FROM, 1, &error, NULL) == 7);
	wire = pkt_v4(WHO_WORLD, WHO_HOST, UDP(9, port));
	wire.b[L3 + 8]--;
	pkt_seal(&wire);
	want = pkt_error(WHO_HOST, WHO_WORLD, &wire);
	check("quotes what the world sent", world_one_hop(&error, &want));
}

/* Who answers for a published port reports of what it got, not of what its client sent. */
static void errors_of_published(void)
{
	struct pkt out = world_to_node(WHO_A, TCP(50000, 8080, SYN)), got = out, error;

	world_start();
	world_publish(0, 8080, 2, 80);
	check("A to the published port of B", node_run(NODE_FROM, 1, &got, NULL) == 7);
	node_from("B's error about what A wrote", 2, pkt_error(WHO_B, WHO_A, &out),
		  PK_REASON_ICMP_UNRELATED);
	error = pkt_error(WHO_B, WHO_A, &got);
	check("B's error about what it got", node_run(NODE_FROM, 2, &error, NULL) == 7);
}

/* The one flow of the table is as if it had been judged two seconds ago. */
static void stale(void)
{
	struct pk_flow_key key, *at = NULL;
	struct pk_flow flow;
	int fd = node_map("flows");

	while (!bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		if (bpf_map_lookup_elem(fd, &key, &flow) || flow.kind != PK_FLOW_PRIMARY)
			continue;
		flow.judged -= 2 * 250;
		bpf_map_update_elem(fd, &key, &flow, BPF_EXIST);
	}
}

/* An error that has a flow judged again leaves it its way and its own port. */
static void errors_of_stale_flows(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), p = out, seen;
	struct expect e = { "an error about a routed flow that is stale", PK_REASON_OK, 1,
			    PK_INGRESS, false };

	world_start();
	node_run(NODE_FROM, 1, &p, NULL);
	stale();
	p = pkt_error(WHO_WORLD, WHO_HOST, &p);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	p = out;
	check("the flow still has its way", node_run(NODE_FROM, 1, &p, NULL) == 7);
	world_start();
	world_publish(0, 8080, 1, 80);
	p = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	node_run(NODE_UP, 0, &p, NULL);
	p = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK));
	node_run(NODE_FROM, 1, &p, NULL);
	seen = p;
	stale();
	p = pkt_error(WHO_WORLD, WHO_HOST, &seen);
	e.text = "an error about a published port's flow that is stale";
	node_expect(&e, NODE_UP, 0, &p, NULL);
	p = world_to_node(WHO_WORLD, TCP(50000, 8080, ACK));
	e.text = "the flow is judged by the endpoint's port";
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* A closed endpoint's word is none: an error about its flow is judged each time anew. */
static void errors_to_who_closed(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)), p;
	struct expect e = { "an error to who closed", PK_REASON_ENDPOINT_CLOSED, 1, PK_EGRESS,
			    false };

	world_start();
	node_run(NODE_FROM, 1, &out, NULL);
	node_word(1, 1, 0, 0);
	p = pkt_error(WHO_WORLD, WHO_HOST, &out);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	p = pkt_error(WHO_WORLD, WHO_HOST, &out);
	e.text = "and one more";
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

void cases_nat(void)
{
	published_nowhere_else();
	masquerade();
	hosts_own();
	range();
	published();
	two_of_one();
	published_inside();
	published_on_one();
	routed();
	errors();
	errors_of_stale_flows();
	errors_to_who_closed();
	errors_of_published();
}
