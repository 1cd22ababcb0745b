// SPDX-License-Identifier: Apache-2.0
/*
 * The last packet of a connection acknowledges the second FIN. Its flow is there for it, unless
 * places are needed.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/world.h"

static void a_says(const char *text, uint16_t port, uint8_t flags)
{
	node_from(text, 1, pkt_v4(WHO_A, WHO_B, TCP(port, 80, flags)), PK_REASON_OK);
}

static void b_says(const char *text, uint16_t port, uint8_t flags)
{
	node_from(text, 2, pkt_v4(WHO_B, WHO_A, TCP(80, port, flags)), PK_REASON_OK);
}

/* Both ends of a connection of A's have closed, A first. */
static void closes(uint16_t port)
{
	a_says("A opens to B", port, SYN);
	b_says("B answers", port, SYN | ACK);
	a_says("A closes", port, FIN | ACK);
	b_says("B closes", port, FIN | ACK);
}

/* So many seconds pass for every flow. What is written changes the order: the keys come first. */
static void pass(uint32_t seconds)
{
	struct pk_flow_key key[2 * NODE_BUDGET];
	int fd = node_map("flows"), n = 0;
	struct pk_flow flow;

	for (void *at = NULL; n < 2 * NODE_BUDGET && !bpf_map_get_next_key(fd, at, &key[n]); n++)
		at = &key[n];
	while (n--) {
		if (bpf_map_lookup_elem(fd, &key[n], &flow))
			continue;
		flow.expires -= seconds * node_hz();
		bpf_map_update_elem(fd, &key[n], &flow, BPF_EXIST);
	}
}

/* As many as there are other places begin meanwhile. */
static void others_begin(void)
{
	node_reset();
	closes(40000);
	for (uint16_t i = 1; i < NODE_BUDGET; i++)
		a_says("another connection begins", 1000 + i, SYN);
	a_says("the last packet passes", 40000, ACK);
	a_says("one more has the place of what closed", 2000, SYN);
	node_from("whose last packet was the last", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
		  PK_REASON_NO_FLOW);
}

/* The places of what closed before are taken first, whether its last packet came or not. */
static void after_a_second(void)
{
	node_reset();
	for (uint16_t i = 0; i < NODE_BUDGET - 1; i++)
		closes(3000 + i);
	pass(2);
	closes(40000);
	for (uint16_t i = 0; i < NODE_BUDGET - 1; i++)
		a_says("another connection begins", 1000 + i, SYN);
	a_says("the last packet passes", 40000, ACK);
}

/*
 * P58: with all other places held, ten budgets of connections that both ends close, whoever closes
 * first, are not denied once, nor where somebody says again and again what he said before.
 */
static void every_place(void)
{
	node_reset();
	for (uint16_t i = 1; i < NODE_BUDGET; i++)
		a_says("a connection that lasts", 1000 + i, SYN);
	for (uint16_t i = 0; i < 5 * NODE_BUDGET; i++) {
		closes(2000 + i);
		b_says("the second FIN once more", 2000 + i, FIN | ACK);
	}
	for (uint16_t i = 0; i < 5 * NODE_BUDGET; i++) {
		a_says("A opens to B", 3000 + i, SYN);
		b_says("B answers", 3000 + i, SYN | ACK);
		b_says("B closes", 3000 + i, FIN | ACK);
		a_says("A closes", 3000 + i, FIN | ACK);
	}
}

/* Seconds that the only flow would still live without a packet. */
static uint32_t left(void)
{
	int fd = node_map("flows");
	struct pk_flow_key key;
	struct pk_flow flow;

	if (!check("the flow is there",
		   !bpf_map_get_next_key(fd, NULL, &key) && !bpf_map_lookup_elem(fd, &key, &flow)))
		return UINT32_MAX;
	return (flow.expires - judge_clock()) / node_hz();
}

/* What is closed, or reset from outside, ends in its time, whatever comes. */
static void runs_out(void)
{
	static const uint8_t again[] = { FIN | ACK, RST, ACK };
	struct expect e = { "a RST from outside", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, RST));
	struct node_meta world = { .ingress_ifindex = 1 };

	node_reset();
	closes(40000);
	pass(6);
	for (size_t i = 0; i < sizeof(again); i++) {
		b_says("B says something again", 40000, again[i]);
		a_says("A, too", 40000, again[i]);
		check("nothing is prolonged", left() <= 4);
	}
	node_reset();
	node_from("A opens to the world", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
		  PK_REASON_OK);
	node_expect(&e, NODE_TO, 1, &p, &world);
	pass(6);
	e.text = "and another one";
	node_expect(&e, NODE_TO, 1, &p, &world);
	check("prolongs nothing", left() <= 4);
}

/* A's connection to the world, which is open; each side has said nothing yet. */
static void opens(void)
{
	struct expect e = { "its answer", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt p =
		world_says(pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, SYN | ACK)), 500, 101, 1000);
	struct node_meta world = { .ingress_ifindex = 1 };

	node_reset();
	node_from("A opens to the world", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)), 100, 0, 1000),
		  PK_REASON_OK);
	node_expect(&e, NODE_TO, 1, &p, &world);
	node_from("and goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), 101, 501, 1000),
		  PK_REASON_OK);
}

static void the_world_says(const char *text, uint8_t flags)
{
	struct pkt p = world_says(pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, flags)), 501, 101, 1000);
	struct expect e = { text, PK_REASON_OK, 1, PK_INGRESS, false };
	struct node_meta world = { .ingress_ifindex = 1 };

	node_expect(&e, NODE_TO, 1, &p, &world);
}

/* A RST and a FIN from outside in turn hold no place; a FIN counts once the RST is taken back. */
static void in_turn(void)
{
	opens();
	the_world_says("a RST", RST);
	check("ends it in ten seconds", left() <= 10);
	pass(6);
	for (int turn = 0; turn < 2; turn++) {
		the_world_says("a FIN", FIN | ACK);
		check("prolongs nothing", left() <= 4);
		the_world_says("another RST", RST);
		check("nor does that", left() <= 4);
	}
	node_from("A goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), 101, 502, 1000),
		  PK_REASON_OK);
	check("with what is half closed", left() > 100 && left() <= 120);
	opens();
	the_world_says("a RST alone", RST);
	node_from("A goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), 101, 501, 1000),
		  PK_REASON_OK);
	check("with what is open", left() > 120);
}

void cases_last(void)
{
	others_begin();
	after_a_second();
	every_place();
	runs_out();
	in_turn();
}
