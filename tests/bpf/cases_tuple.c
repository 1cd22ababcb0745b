// SPDX-License-Identifier: Apache-2.0
/*
 * Tuples of the wire that flows take and leave: the source that masquerade has, aliases whose flow
 * is gone, ports that somebody else has, and a table that takes no more.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/world.h"

#define L3   14
#define ROOM (2 * NODE_BUDGET) /* of the flow table */

static void one_port(struct pk_node *n)
{
	n->masquerade_high = n->masquerade_low;
}

static void start_one(void)
{
	world_start();
	node_settings(one_port);
}

static struct pkt to_world(uint16_t from)
{
	return pkt_v4(WHO_A, WHO_WORLD, UDP(from, 53));
}

static void uplink_has_another(struct pk_node *n)
{
	n->uplink[0].ipv4 = pkt_ip4(WHO_NOROUTE);
	n->uplink[0].ipv6 = pkt_ip6(WHO_NOROUTE);
}

/* Masquerade's source is the kernel's choice, and stays the flow's as long as it is. */
static void source(void)
{
	struct pkt p = to_world(40000), p6 = pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 53));
	union pk_addr host = pkt_ip4(WHO_HOST), host6 = pkt_ip6(WHO_HOST);

	world_start();
	node_settings(uplink_has_another);
	check("the source is the kernel's choice",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && !memcmp(p.b + L3 + 12, &host.w[3], 4));
	check("and in IPv6",
	      node_run(NODE_FROM, 1, &p6, NULL) == 7 && !memcmp(p6.b + L3 + 8, &host6, 16));
	p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	check("so it is of a connection", node_run(NODE_FROM, 1, &p, NULL) == 7);
	node_word(1, 1, PK_WORD_MASQUERADE, 2);
	node_from("which goes on after a change, whatever the uplink has", 1,
		  pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), PK_REASON_OK);
}

/* The entry of that kind; false: there is none. */
static bool find(enum pk_flow_kind kind, struct pk_flow_key *key, struct pk_flow *flow)
{
	int fd = node_map("flows");

	for (void *at = NULL; !bpf_map_get_next_key(fd, at, key); at = key)
		if (!bpf_map_lookup_elem(fd, key, flow) && flow->kind == kind)
			return true;
	return false;
}

/* The one port's alias is left behind, and where its flow stood stands another's alias. */
static void orphan(void)
{
	struct pk_flow_key key, alias, at;
	struct pk_flow flow, other;
	struct pkt p = to_world(40000);

	start_one();
	node_run(NODE_FROM, 1, &p, NULL);
	if (!check("a flow and its alias",
		   find(PK_FLOW_PRIMARY, &key, &flow) && find(PK_FLOW_ALIAS, &alias, &other)))
		return;
	bpf_map_delete_elem(node_map("flows"), &key);
	other.primary = alias;
	other.primary.proto = 6;
	bpf_map_update_elem(node_map("flows"), &key, &other, BPF_ANY);
	node_from("a young alias without a flow waits for its flow", 2,
		  pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53)), PK_REASON_MASQUERADE_FULL);
	other.primary = key;
	other.begun -= 2 * node_hz();
	bpf_map_update_elem(node_map("flows"), &alias, &other, BPF_EXIST);
	node_from("an alias without a flow is taken", 2, pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53)),
		  PK_REASON_OK);
	check("another's alias in its flow's place stays",
	      !bpf_map_lookup_elem(node_map("flows"), &key, &flow) && flow.kind == PK_FLOW_ALIAS);
	check("beside the new flow and its alias",
	      node_flows() == 3 && find(PK_FLOW_PRIMARY, &at, &flow) && flow.slot[0] == 2);
}

/*
 * The mirror of a connection that opens is an alias, of IPv6, so that its bytes are those of a flow
 * that lives: it is none.
 */
static void mirror(void)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_B),
				   .dst = pkt_ip4(WHO_A),
				   .sport = htons(80),
				   .dport = htons(40000),
				   .proto = 6 };
	struct pk_flow alias = { .kind = PK_FLOW_ALIAS,
				 .begun = judge_clock(),
				 .expires = judge_clock() + 60 * node_hz() };

	node_reset();
	bpf_map_update_elem(node_map("flows"), &key, &alias, BPF_ANY);
	node_from("A opens to B, whose tuple is an alias of a flow that is about to be made", 1,
		  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_TUPLE_TAKEN);
	check("which stays, and nothing beside it",
	      node_flows() == 1 && !bpf_map_lookup_elem(node_map("flows"), &key, &alias));
}

/* The port was published, and a client's connection to it lives. */
static void client_of_the_port(void)
{
	struct pk_published_key key = { .proto = 17, .port = htons(WORLD_LOW) };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, WORLD_LOW));
	struct expect e = { "a client of B's published port", PK_REASON_OK, 2, PK_INGRESS, false };

	start_one();
	world_publish_udp(WORLD_LOW, 2, 80);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	bpf_map_delete_elem(node_map("published"), &key);
	node_from("A to the client, where no other port is", 1, to_world(40000),
		  PK_REASON_MASQUERADE_FULL);
	p = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, WORLD_LOW));
	check("B's flow and its alias stay", node_flows() == 2);
	node_from("to somebody else A has the port", 1,
		  pkt_v4_to(WHO_A, 0xc633640a, UDP(40000, 53)), PK_REASON_OK);
}

/* An echo's id is no port: no socket and no mapping has it. */
static void ids(void)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(WORLD_LOW) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(WORLD_LOW) };
	int four = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
	int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	check("the node serves UDP", !bind(four, (struct sockaddr *)&v4, sizeof(v4)) &&
					     !bind(six, (struct sockaddr *)&v6, sizeof(v6)));
	start_one();
	node_from("UDP of that port", 1, to_world(40000), PK_REASON_MASQUERADE_FULL);
	node_from("a ping of that id", 1, pkt_v4(WHO_A, WHO_WORLD, PING(7)), PK_REASON_OK);
	node_from("and in IPv6", 1, pkt_v6(WHO_A, WHO_WORLD, PING6(7)), PK_REASON_OK);
	close(four);
	close(six);
}

/* Flows of A and B until the table has so many entries. */
static void fill(uint64_t entries)
{
	for (uint16_t i = 0; node_flows() < entries && i < ROOM; i++) {
		struct pkt a = pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 9));
		struct pkt b = pkt_v4(WHO_B, WHO_A, UDP(1000 + i, 8));

		node_run(NODE_FROM, i < NODE_BUDGET ? 1 : 2, i < NODE_BUDGET ? &a : &b, NULL);
	}
	check("the table is as full as it should be", node_flows() == entries);
}

/* A table without room takes neither half of a translated flow, and nobody else's goes for it. */
static void full(void)
{
	struct pkt out = pkt_v4(WHO_C, WHO_WORLD, UDP(40000, 53));
	struct pkt by_node = pkt_v4_to(WHO_C, WORLD_NODE_V4, TCP(50000, 8080, SYN));

	world_start();
	world_publish(0, 8080, 3, 80);
	fill(ROOM - 1);
	node_from("masquerade, where only its alias has room", 3, out, PK_REASON_MAP_FULL);
	check("leaves no alias", node_flows() == ROOM - 1);
	node_from("a published port, likewise", 3, by_node, PK_REASON_MAP_FULL);
	check("leaves no alias, either", node_flows() == ROOM - 1);
	fill(ROOM);
	node_from("masquerade, without room", 3, out, PK_REASON_MAP_FULL);
	node_from("a published port, without room", 3, by_node, PK_REASON_MAP_FULL);
}

/* A flow that finds no room takes nobody's alias along: not that of the translation before it. */
static void full_after_another(void)
{
	struct pkt p;

	world_start();
	fill(ROOM - 2);
	for (int i = 0; i < 4; i++) { /* one processor has both in turn, at least once */
		p = pkt_v4(WHO_C, WHO_WORLD, UDP(40000, 53));
		node_run(NODE_FROM, 3, &p, NULL);
		p = pkt_v4(WHO_C, WHO_C, UDP(40000, 9));
		check("a plain flow finds no room", node_run(NODE_FROM, 3, &p, NULL) == 2);
	}
	check("the masqueraded one has its alias still", node_flows() == ROOM);
}

void cases_tuple(void)
{
	source();
	orphan();
	mirror();
	client_of_the_port();
	ids();
	full();
	full_after_another();
	node_reset();
}
