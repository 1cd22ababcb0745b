// SPDX-License-Identifier: Apache-2.0
/* What comes in from outside and looks like something of a flow's, or of a published port's. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/world.h"

#define L3 14

static void allow(uint32_t class, uint8_t dir)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_DIR, .rule_set = 1, .class = class, .dir = dir
	};

	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
}

/* A's ping or connection to the world, and the port or id that the world sees. */
static uint16_t port_of(struct l4 l4, size_t off)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, l4);

	check("A's masqueraded flow",
	      node_run(NODE_UP, 0, &p, NULL) == -1 && node_run(NODE_FROM, 1, &p, NULL) == 7);
	return world_port(&p, off);
}

/* A SYN and an echo request answer nothing, whatever tuple they have: they are the host's. */
static void questions(void)
{
	uint16_t id, port;
	struct pkt pong;

	world_start();
	allow(PK_CLASS_WORLD4, PK_INGRESS);
	id = port_of(PING(7), L3 + 24);
	port = port_of(TCP(40000, 443, SYN), L3 + 20);
	world_untouched("a ping of the node with a masqueraded ping's id",
			world_to_node(WHO_WORLD, PING(id)));
	world_untouched("a SYN to a masqueraded connection's port",
			world_to_node(WHO_WORLD, TCP(443, port, SYN)));
	pong = world_to_node(WHO_WORLD, PONG(id));
	check("the answer is A's", node_run(NODE_UP, 0, &pong, NULL) == 7);
}

/* A masqueraded ping sends requests: who quotes a reply with its id speaks of the host's own. */
static void quoted_reply(void)
{
	struct pkt reply, request;
	uint16_t id;

	world_start();
	id = port_of(PING(7), L3 + 24);
	request = pkt_v4(WHO_HOST, WHO_WORLD, PING(id));
	reply = pkt_v4(WHO_HOST, WHO_WORLD, PONG(id));
	world_untouched("an error about a reply that nobody here sent",
			pkt_error(WHO_WORLD, WHO_HOST, &reply));
	request = pkt_error(WHO_WORLD, WHO_HOST, &request);
	check("one about A's request is A's", node_run(NODE_UP, 0, &request, NULL) == 7);
}

/* An endpoint without an address of the family isn't published in it: the port is the host's. */
static void other_family(void)
{
	struct pkt p = world_to_node(WHO_WORLD, TCP(40000, 8080, SYN));
	struct pkt p6 = pkt_v6(WHO_WORLD, WHO_HOST, TCP(40000, 8080, SYN));
	struct pk_endpoint ep;

	world_start();
	world_publish(0, 8080, 2, 80);
	node_endpoint(2, &ep);
	bpf_map_delete_elem(node_map("by_address"), &ep.ipv4);
	ep.ipv4 = (union pk_addr){};
	node_endpoint_set(2, &ep);
	world_untouched("a published port of an endpoint without IPv4", p);
	check("and with IPv6", node_run(NODE_UP, 0, &p6, NULL) == 7);
	node_from("from a VM it is the host's port", 1,
		  pkt_v4(WHO_A, WHO_HOST, TCP(40000, 8080, SYN)), PK_REASON_POLICY_DENIED);
	allow(PK_CLASS_HOST, PK_EGRESS);
	node_from("as policy has it", 1, pkt_v4(WHO_A, WHO_HOST, TCP(40001, 8080, SYN)),
		  PK_REASON_OK);
}

/* Nobody outside rides a flow with the node under the node's own address. */
static void forged(void)
{
	struct pkt forged = pkt_v4(WHO_HOST, WHO_A, UDP(53, 40000));
	struct node_meta forwarded = { .ingress_ifindex = node_ifindex(2) };
	struct expect e = { "the node's answer, by the uplink", PK_REASON_NO_ROUTE, 1, PK_INGRESS,
			    false };

	world_start();
	allow(PK_CLASS_HOST, PK_EGRESS);
	node_from("A asks the node", 1, pkt_v4(WHO_A, WHO_HOST, UDP(40000, 53)), PK_REASON_OK);
	node_expect(&e, NODE_UP, 0, &forged, NULL);
	e.text = "the node's answer, forwarded";
	forged = pkt_v4(WHO_HOST, WHO_A, UDP(53, 40000));
	node_expect(&e, NODE_TO, 1, &forged, &forwarded);
	node_to("the node's own", 1, pkt_v4(WHO_HOST, WHO_A, UDP(53, 40000)), PK_REASON_OK);
}

/* A denial is counted for the endpoint whose it is, also where its peer's packet asks. */
static void whose_denial(void)
{
	struct expect e = { "its answer is judged", PK_REASON_NOT_BUILT, 1, PK_INGRESS, false };
	struct pkt answer = pkt_v4(WHO_WORLD, WHO_A, UDP(53, 40000));

	world_start();
	node_word(1, 1, 0, 2);
	node_from("A asks the world", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), PK_REASON_OK);
	node_pool("198.51.100.0", 24);
	allow(PK_CLASS_UNKNOWN, PK_EGRESS);
	node_word(1, 1, 0, 3);
	node_expect(&e, NODE_UP, 0, &answer, NULL);
	e.text = "and the next one goes by that: it is the flow's, which A began";
	e.dir = PK_EGRESS;
	node_expect(&e, NODE_UP, 0, &answer, NULL);
}

/* Policy lets the world in; nobody in it has such an address. */
static void martians(void)
{
	static const uint32_t v4[] = { 0, 0x00010203, 0x7f000001, 0xe0000001, 0xf0000001, ~0u };
	static const union pk_addr v6[] = { { .b = { 0 } },
					    { .b = { [15] = 1 } },
					    { .b = { [10] = 0xff, 0xff, 198, 51, 100, 9 } },
					    { .b = { 0xfe, 0x80, [15] = 9 } },
					    { .b = { 0xff, 2, [15] = 1 } } };
	struct expect e = { "a source that nobody has", PK_REASON_NO_ROUTE, 1, PK_INGRESS, false };
	struct pkt p;

	world_start();
	allow(PK_CLASS_WORLD4, PK_INGRESS);
	allow(PK_CLASS_WORLD6, PK_INGRESS);
	for (size_t i = 0; i < sizeof(v4) / sizeof(*v4); i++) {
		p = pkt_v4(WHO_WORLD, WHO_A, UDP(53, 40000));
		memcpy(p.b + L3 + 12, &(uint32_t){ htonl(v4[i]) }, 4);
		pkt_seal(&p);
		node_expect(&e, NODE_UP, 0, &p, NULL);
	}
	for (size_t i = 0; i < sizeof(v6) / sizeof(*v6); i++) {
		struct node_meta forwarded = { .ingress_ifindex = node_ifindex(2) };

		p = pkt_v6(WHO_WORLD, WHO_A, UDP(53, 40000));
		memcpy(p.b + L3 + 8, &v6[i], 16);
		pkt_seal(&p);
		node_expect(&e, NODE_TO, 1, &p, &forwarded);
	}
}

/* What pads a frame is no part of the message in it: neither read as a quote nor written. */
static void padded(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)), wire = syn, error, out;
	const uint8_t padding[16] = "sixteen bytes..";

	world_start();
	node_run(NODE_FROM, 1, &wire, NULL);
	error = pkt_error(WHO_WORLD, WHO_HOST, &wire);
	memcpy(error.b + error.len, padding, sizeof(padding));
	error.len += sizeof(padding);
	out = error;
	check("a padded error about A's connection is A's, its checksum right",
	      node_run(NODE_UP, 0, &out, NULL) == 7 && pkt_l4_sum(&out) == 0xffff &&
		      !memcmp(out.b + out.len - sizeof(padding), padding, sizeof(padding)));
	error = pkt_error_long(WHO_WORLD, WHO_HOST, &wire, 4);
	memcpy(error.b + error.len, wire.b + L3 + 24, 4);
	error.len += 4;
	world_untouched("one whose padding has what it doesn't quote", error);
}

/* An error under new words has its flow judged as the flow's own packets would. */
static void judged_for_an_error(void)
{
	struct pkt own = pkt_v4(WHO_A, WHO_A, UDP(40000, 53));
	struct pkt asked = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53)), error;
	struct pk_remote other = { .flags = PK_REMOTE_NODE };
	union pk_addr node = pkt_ip4(WHO_WORLD);
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_EGRESS };
	struct expect e = { "an error about what went to another node", PK_REASON_OK, 1, PK_INGRESS,
			    false };

	world_start();
	node_from("A to itself", 1, own, PK_REASON_OK);
	node_no_verdict(&key);
	node_word(1, 1, 0, 2);
	node_from("its error about that, whatever the rules are now", 1,
		  pkt_error(WHO_A, WHO_A, &own), PK_REASON_OK);
	bpf_map_update_elem(node_map("remote"), &node, &other, BPF_ANY);
	allow(PK_CLASS_REMOTE_NODE, PK_EGRESS);
	node_from("A to another node", 1, asked, PK_REASON_OK);
	key.class = PK_CLASS_WORLD4;
	node_no_verdict(&key);
	node_word(1, 1, 0, 3);
	error = pkt_error(WHO_WORLD, WHO_A, &asked);
	node_expect(&e, NODE_UP, 0, &error, NULL);
}

void cases_outside(void)
{
	judged_for_an_error();
	padded();
	martians();
	whose_denial();
	questions();
	quoted_reply();
	other_family();
	forged();
}
