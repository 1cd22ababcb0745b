// SPDX-License-Identifier: Apache-2.0
/*
 * What comes in by the uplink, told apart at a glance: which frames are an endpoint's to take, which
 * are answers, and that everything else is the host's as it came.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define L3  14
#define GRE 47

/* Denied, or passed to endpoint `slot`, and counted there. */
static void comes_in(const char *text, struct pkt p, uint32_t slot, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_INGRESS, false };

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* Without what lies behind its IPv4 header and n bytes. */
static struct pkt cut(struct pkt p, uint8_t n)
{
	p.len = L3 + 20 + n;
	p.b[L3 + 3] = 20 + n;
	pkt_seal(&p);
	return p;
}

/* With four bytes of options that do nothing. */
static struct pkt with_options(struct pkt p)
{
	memmove(p.b + L3 + 24, p.b + L3 + 20, p.len - L3 - 20);
	memset(p.b + L3 + 20, 1, 4);
	p.len += 4;
	p.b[L3] = 0x46;
	p.b[L3 + 3] += 4;
	pkt_seal(&p);
	return p;
}

/* The pool's IPv6 addresses are of the node's blocks, too. */
static void block6(struct pk_node *n)
{
	n->block[PK_BLOCKS - 1] =
		(struct pk_block){ .addr = pkt_ip6(WHO_A), .mask = { .d = { ~0ull } } };
	n->block[PK_BLOCKS - 1].addr.b[15] = 0;
}

/* An endpoint's address makes a packet one to judge, however little of it there is. */
static void short_ones(void)
{
	struct pkt gre = pkt_v4(WHO_WORLD, WHO_A, (struct l4){ GRE, 0, 0, 0, 8 });
	struct pkt udp = pkt_v4(WHO_WORLD, WHO_A, (struct l4){ 17, 40000, 53, 0, 10 });
	struct pkt udp6 = pkt_v6(WHO_WORLD, WHO_A, (struct l4){ 17, 40000, 53, 0, 10 });

	world_start();
	node_settings(block6);
	comes_in("GRE without a byte of it", cut(gre, 0), 1, PK_REASON_POLICY_DENIED);
	comes_in("GRE with three bytes", cut(gre, 3), 1, PK_REASON_POLICY_DENIED);
	comes_in("a last fragment of two bytes", pkt_piece(&udp, 16, 18, 7), 0, PK_REASON_FRAGMENT);
	comes_in("and in IPv6", pkt_piece(&udp6, 16, 18, 7), 0, PK_REASON_FRAGMENT);
	world_untouched("UDP without ports", cut(udp, 3));
}

/* What can't be read and is for an endpoint is denied; of the rest the host makes what it likes. */
static void malformed(void)
{
	struct pkt to_a = pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, SYN));
	struct pkt to_port = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	struct pkt answer = world_to_node(WHO_WORLD, TCP(443, WORLD_LOW, ACK));

	world_start();
	world_publish(0, 8080, 1, 80);
	to_a.b[46] = to_port.b[46] = answer.b[46] = 4 << 4;
	comes_in("TCP of 16 bytes to an endpoint", to_a, 0, PK_REASON_MALFORMED);
	world_untouched("TCP of 16 bytes to a published port", to_port);
	world_untouched("TCP of 16 bytes to a port of the range", answer);
	world_untouched("options to an endpoint",
			with_options(pkt_v4(WHO_WORLD, WHO_A, UDP(9, 9))));
	to_a = pkt_v6(WHO_WORLD, WHO_A, UDP(9, 9));
	node_settings(block6);
	to_a.b[12] = 0x88;
	to_a.b[13] = 0xb5;
	world_untouched("another ethertype, which reads as IPv6", to_a);
}

/* A mapping is of the node's addresses: at the endpoint's own it opens and changes nothing. */
static void own_address(void)
{
	struct pkt reply = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK));
	struct pkt own = pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN));

	world_start();
	world_publish(0, 8080, 1, 80);
	comes_in("the published number at the endpoint's own address",
		 pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 8080, SYN)), 1, PK_REASON_POLICY_DENIED);
	comes_in("a client at the node's", world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)), 1,
		 PK_REASON_OK);
	comes_in("which goes on at the endpoint's own, where it has no connection",
		 pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, ACK)), 1, PK_REASON_NO_FLOW);
	check("the client's flow and its alias stay", node_flows() == 2);
	node_from("and it is answered", 1, reply, PK_REASON_OK);
	node_from("a connection of the endpoint's own with the tuple that it answers by", 1, own,
		  PK_REASON_TUPLE_TAKEN);
	check("which left nothing behind", node_flows() == 2);
	node_from("the client's connection is reset", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 1, 1, 0),
		  PK_REASON_OK);
	node_bucket_set(1, PK_BUCKET_PLACE, 77, 0);
	node_from("and that tuple is free at once, though its place isn't looked at", 1, own,
		  PK_REASON_OK);
	check("for the one flow and its alias", node_flows() == 2);
}

/* A group's packet is for the host's own sockets, whatever port it names. */
static void groups(void)
{
	struct pkt all = pkt_v4_to(WHO_WORLD, 0xffffffff, UDP(50000, 8080)), frame;

	world_start();
	world_publish_udp(8080, 1, 80);
	comes_in("UDP to the published port", world_to_node(WHO_WORLD, UDP(50000, 8080)), 1,
		 PK_REASON_OK);
	world_untouched("the same to everybody", all);
	frame = world_to_node(WHO_WORLD, UDP(50001, 8080));
	memset(frame.b, 0xff, 6);
	world_untouched("the same in a frame to everybody", frame);
}

static void no_blocks(struct pk_node *n)
{
	memset(n->block, 0, sizeof(n->block));
}

static void more_blocks(struct pk_node *n)
{
	no_blocks(n);
	n->flags |= PK_NODE_MORE_BLOCKS;
}

/* Whose an address is say the node's blocks; where there are more of them, every endpoint's own. */
static void blocks(void)
{
	union pk_addr half = { .b = { 0x20, 1, 0x0d, 0xb8, [10] = 0xff, 0xff, 10, 20, 0, WHO_A } };
	struct pkt to_a = pkt_v4(WHO_WORLD, WHO_A, UDP(9, 9));
	struct pkt to_a6 = pkt_v6(WHO_WORLD, WHO_A, UDP(9, 9));
	struct pkt ssh = world_to_node(WHO_WORLD, TCP(50000, 22, SYN));

	world_start();
	comes_in("an address of the first block", to_a, 1, PK_REASON_POLICY_DENIED);
	world_untouched("an address of no block", to_a6);
	world_untouched("an address that ends as one of a block",
			pkt_v6_to(WHO_WORLD, &half, UDP(9, 9)));
	node_settings(block6);
	comes_in("an address of the last block", to_a6, 1, PK_REASON_POLICY_DENIED);
	half = pkt_ip6(WHO_A);
	half.b[7] = 1;
	world_untouched("one beside it", pkt_v6_to(WHO_WORLD, &half, UDP(9, 9)));
	node_settings(no_blocks);
	world_untouched("an endpoint's address, without blocks", to_a);
	node_settings(more_blocks);
	comes_in("an endpoint's address, with more blocks", to_a, 1, PK_REASON_POLICY_DENIED);
	world_untouched("the node's own, with more blocks", ssh);
}

static void range_above(struct pk_node *n)
{
	n->masquerade_low += 100;
	n->masquerade_high += 100;
}

static void range_below(struct pk_node *n)
{
	n->masquerade_low -= 100;
	n->masquerade_high -= 100;
}

/* A's port out there, for a flow from its port. */
static uint16_t masqueraded(uint16_t from)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, UDP(from, 53));

	check("A to the world", node_run(NODE_FROM, 1, &p, NULL) == 7);
	return world_port(&p, 34);
}

/* Outside the range nothing is an answer, also where a flow from before would take it. */
static void moved_range(void)
{
	struct pkt answer;

	world_start();
	answer = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, masqueraded(40000)));
	comes_in("an answer", answer, 1, PK_REASON_OK);
	node_settings(range_above);
	world_untouched("an answer below the range", answer);
	world_start();
	answer = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, masqueraded(40000)));
	node_settings(range_below);
	world_untouched("an answer above the range", answer);
}

/* A port of the range that somebody publishes is a flow's where there is one. */
static void flow_and_mapping(void)
{
	struct pkt answer;
	uint16_t port;

	world_start();
	port = masqueraded(40000);
	world_publish_udp(port, 2, 80);
	answer = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, port));
	comes_in("an answer to a port that is published since", answer, 1, PK_REASON_OK);
	comes_in("anybody else's packet to it", world_to_node(WHO_WORLD, UDP(54, port)), 2,
		 PK_REASON_OK);
	node_settings(range_above);
	comes_in("the other end's, where the range has gone", answer, 2, PK_REASON_OK);
}

static void uplink_elsewhere(struct pk_node *n)
{
	n->flags = 0;
	n->uplink[1] = (struct pk_uplink){ .ifindex = 1, .ipv4 = pkt_ip4(WHO_WORLD) };
}

/* An uplink's address is the node's also where the FIB says that it is elsewhere. */
static void published_at(void)
{
	struct pkt p = pkt_v4_to(WHO_WORLD, 0xc6336409, TCP(50000, 8080, SYN));

	world_start();
	world_publish(0, 8080, 1, 80);
	p.b[L3 + 15]++;
	pkt_seal(&p);
	world_untouched("a published port at an address of the world's", p);
	node_settings(uplink_elsewhere);
	comes_in("at one that an uplink has", p, 1, PK_REASON_OK);
}

/* An echo's id is no port: no mapping is its. */
static void published_id(void)
{
	struct pk_published_key key = { .proto = 1, .port = htons(WORLD_LOW) };
	struct pk_published to = { .slot = 1, .port = htons(80) };

	world_start();
	node_publish(&key, &to);
	world_untouched("a ping whose id is that of a mapping",
			world_to_node(WHO_WORLD, PING(WORLD_LOW)));
	bpf_map_delete_elem(node_map("published"), &key);
}

/* What one packet's way says is no other's: B goes with its own address, beside A behind the node's. */
static void two_ways(void)
{
	struct pkt b = pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53)), to_a;

	world_start();
	node_word(2, 1, 0, 2);
	check("B to the world", node_run(NODE_FROM, 2, &b, NULL) == 7);
	to_a = pkt_v4(WHO_WORLD, WHO_HOST, UDP(53, masqueraded(40000)));
	b = pkt_v4(WHO_WORLD, WHO_B, UDP(53, 40000));
	for (int i = 0; i < 4; i++) { /* one processor has both in turn, at least once */
		comes_in("the answer to A", to_a, 1, PK_REASON_OK);
		comes_in("the answer to B", b, 2, PK_REASON_OK);
	}
}

/* Whatever comes for an endpoint that is closed. */
static void closed(void)
{
	world_start();
	comes_in("a connection's first packet", pkt_v4(WHO_WORLD, WHO_CLOSED, TCP(9, 9, SYN)), 4,
		 PK_REASON_ENDPOINT_CLOSED);
	comes_in("one of no connection", pkt_v4(WHO_WORLD, WHO_CLOSED, TCP(9, 9, ACK)), 4,
		 PK_REASON_ENDPOINT_CLOSED);
}

/* A connection that began outside is its endpoint's: so is the place that it leaves. */
static void place_of_a_guest(void)
{
	world_start();
	world_publish(0, 8080, 1, 80);
	comes_in("a client", world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)), 1, PK_REASON_OK);
	node_bucket_set(1, PK_BUCKET_CLOSED, 77, 0);
	node_from("is refused", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 0, 1, 0),
		  PK_REASON_OK);
	check("its place is the next that is looked at",
	      node_bucket(1, PK_BUCKET_CLOSED) < NODE_BUDGET);
}

static struct pkt with_tag(struct pkt p, uint16_t tag)
{
	memmove(p.b + 16, p.b + 12, p.len - 12);
	memcpy(p.b + 12, (uint8_t[]){ 0x81, 0, tag >> 8, tag & 0xff }, 4);
	p.len += 4;
	return p;
}

/*
 * A tagged frame is a VLAN device's; the one after it says when it is through. A tag that says a
 * priority alone changes nothing, and is gone where the packet is the endpoint's.
 */
static void tagged(void)
{
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, UDP(9, 9)), vlan = with_tag(p, 5);
	struct pkt client = with_tag(world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)), 0x6000);
	struct expect e = { "a client's, whose tag says a priority", PK_REASON_OK, 1, PK_INGRESS,
			    false };
	uint64_t before;

	world_start();
	before = node_counter(1, PK_INGRESS, PK_REASON_POLICY_DENIED);
	check("a tagged frame is sent", !devices_send(0, &vlan));
	comes_in("and one without a tag", p, 1, PK_REASON_POLICY_DENIED);
	check("the tagged one was nobody's of ours",
	      node_counter(1, PK_INGRESS, PK_REASON_POLICY_DENIED) == before + 1);
	comes_in("one whose tag says a priority", with_tag(p, 0x6000), 1, PK_REASON_POLICY_DENIED);
	world_publish(0, 8080, 1, 80);
	node_expect(&e, NODE_UP, 0, &client, NULL);
	check("comes without it", client.b[12] == 8 && !client.b[13] && world_to(&client, WHO_A));
}

/* The world may begin with A, at its own address too. */
static void open_to_world(void)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_WORLD4,
				      .dir = PK_INGRESS };

	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	key.class = PK_CLASS_WORLD6;
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
}

static void summed_start(void)
{
	world_start();
	node_settings(block6);
	world_publish(0, 8080, 1, 80);
	world_publish_udp(8080, 1, 80);
	open_to_world();
}

/* The kernel compares the sum with the bytes behind the program. */
static void comes_summed(const char *text, struct pkt p)
{
	static const struct node_meta meta = { .summed = true };
	int r = node_run(NODE_UP, 0, &p, &meta);

	if (r == -EINVAL)
		skip(text, "a test run can't say so before Linux 6.17");
	else
		check(text, r == 7 && world_to(&p, WHO_A));
}

/*
 * What a driver summed up of a client's packet, or of an error about what an endpoint sent, is what
 * the endpoint gets.
 */
static void summed(void)
{
	struct pkt wire = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9));
	struct pkt wire6 = pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 9));

	summed_start();
	comes_summed("summed up: TCP", world_to_node(WHO_WORLD, TCP(50000, 8080, SYN)));
	comes_summed("summed up: UDP", world_to_node(WHO_WORLD, UDP(50000, 8080)));
	comes_summed("summed up: TCP, IPv6", pkt_v6(WHO_WORLD, WHO_HOST, TCP(50000, 8080, SYN)));
	comes_summed("summed up: UDP, IPv6", pkt_v6(WHO_WORLD, WHO_HOST, UDP(50000, 8080)));
	summed_start();
	comes_summed("summed up: to its own address", pkt_v4(WHO_WORLD, WHO_A, UDP(50000, 9)));
	comes_summed("summed up: to its own address, IPv6",
		     pkt_v6(WHO_WORLD, WHO_A, UDP(50000, 9)));
	node_run(NODE_FROM, 1, &wire, NULL);
	node_run(NODE_FROM, 1, &wire6, NULL);
	comes_summed("summed up: an error", pkt_error(WHO_WORLD, WHO_HOST, &wire));
	comes_summed("summed up: an error, IPv6", pkt_error(WHO_WORLD, WHO_HOST, &wire6));
}

void cases_uplink(void)
{
	summed();
	short_ones();
	malformed();
	own_address();
	groups();
	blocks();
	moved_range();
	flow_and_mapping();
	published_at();
	published_id();
	two_ways();
	closed();
	place_of_a_guest();
	tagged();
	node_reset();
}
