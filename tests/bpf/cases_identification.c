// SPDX-License-Identifier: Apache-2.0
/*
 * IPv4's identification of what leaves from an address that several endpoints have: a receiver puts
 * pieces together by it and the addresses alone.
 */
#include <arpa/inet.h>
#include <string.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define L3   14
#define ID   0x4711
#define HALF 104

#define ARRIVAL_MS 10000

static uint16_t id_of(const struct pkt *p)
{
	return world_port(p, L3 + 4);
}

static void put_id(struct pkt *p, uint16_t id, uint16_t flags)
{
	world_put_port(p, L3 + 4, id);
	world_put_port(p, L3 + 6, flags);
	pkt_seal(p);
}

static struct pkt question(enum who from, enum who to, uint16_t flags)
{
	struct pkt p = pkt_v4(from, to, UDP(40000, 53));

	put_id(&p, ID, flags);
	return p;
}

/* The id with which it leaves; 0: it doesn't leave, or its header's checksum is wrong. */
static uint16_t left_as(uint32_t slot, struct pkt p)
{
	bool left = node_run(NODE_FROM, slot, &p, NULL) == 7;

	return left && pkt_ip_sum(&p) == 0xffff ? id_of(&p) : 0;
}

static struct pkt half(enum who from, int nr)
{
	struct pkt whole = pkt_v4(from, WHO_WORLD, UDP(40000, 53));

	pkt_longer(&whole, 2 * HALF - 8);
	return pkt_piece(&whole, nr * HALF, (nr + 1) * HALF, ID);
}

/* Two endpoints say one id at once, to one destination. */
static void two_say_one(void)
{
	uint16_t a, b;

	world_start();
	a = left_as(1, half(WHO_A, 0));
	b = left_as(2, half(WHO_B, 0));
	check("two endpoints' datagrams of one id leave as two", a && b && a != b);
	check("the first's later piece goes with its first", left_as(1, half(WHO_A, 1)) == a);
	check("and the second's with its own", left_as(2, half(WHO_B, 1)) == b);
}

/* What isn't in pieces yet may be further on, unless it says not. */
static void whole_ones(void)
{
	uint16_t first, next;

	world_start();
	first = left_as(1, question(WHO_A, WHO_WORLD, 0));
	next = left_as(2, question(WHO_B, WHO_WORLD, 0));
	check("a whole one that may be cut", first && next && next != first);
	check("one id after the other", next == (uint16_t)(first + 1));
	check("one that is never cut keeps its id",
	      left_as(1, question(WHO_A, WHO_WORLD, 0x4000)) == ID);
	check("whose id costs none",
	      left_as(1, question(WHO_A, WHO_WORLD, 0)) == (uint16_t)(first + 2));
}

/* The kernel counts on from the id that a packet of segments has. */
static void segments(void)
{
	const struct vnet cut = { VNET_PARTIAL, VNET_TCPV4, L3 + 40, 496, L3 + 20, 16 };
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)), next = p;
	struct arrival a = { .at = AT_NOBODY };

	put_id(&next, ID, 0);
	pkt_longer(&p, 1900);
	put_id(&p, ID, 0);
	pkt_partial(&p);
	world_start();
	devices_drain();
	check("a packet of four segments leaves", !devices_tap_write(1, &cut, p.b, p.len) &&
							  devices_receive(&a, ARRIVAL_MS) &&
							  a.at == AT_UPLINK && id_of(&a.p) != ID);
	check("each has an id of its own", (uint16_t)(left_as(1, next) - id_of(&a.p)) >= 4);
}

/* Endpoints know each other's addresses, and nothing else is told apart by the id. */
static void between_endpoints(void)
{
	struct pkt p = question(WHO_A, WHO_B, 0);

	node_reset();
	check("between endpoints an id stays",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && id_of(&p) == ID);
}

static void published(void)
{
	struct pkt in = pkt_v4(WHO_WORLD, WHO_HOST, UDP(50000, 8080));
	struct pkt reply = pkt_v4(WHO_A, WHO_WORLD, UDP(80, 50000));
	uint16_t id;

	world_start();
	world_publish_udp(8080, 1, 80);
	put_id(&in, ID, 0);
	check("what comes in keeps its id",
	      node_run(NODE_UP, 0, &in, NULL) == 7 && id_of(&in) == ID);
	put_id(&reply, ID, 0);
	id = left_as(1, reply);
	check("a published port's answer has another", id && id != ID);
}

/* An endpoint at its own published port hears questions and answers from one address of the node's. */
static void hairpin(void)
{
	struct pkt ask = pkt_v4(WHO_A, WHO_HOST, UDP(50000, 8080));
	struct pkt reply = pkt_v4(WHO_A, WHO_HOST, UDP(80, 50000));
	uint16_t asked, replied;

	world_start();
	world_publish_udp(8080, 1, 80);
	put_id(&ask, ID, 0);
	put_id(&reply, ID, 0);
	asked = left_as(1, ask);
	replied = left_as(1, reply);
	check("a question to oneself has an id of the node's", asked && asked != ID);
	check("and the answer the next one of the same count", replied == (uint16_t)(asked + 1));
	check("as the next question has", left_as(1, ask) == (uint16_t)(replied + 1));
}

void cases_identification(void)
{
	two_say_one();
	whole_ones();
	segments();
	between_endpoints();
	published();
	hairpin();
}
