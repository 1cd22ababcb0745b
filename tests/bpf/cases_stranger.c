// SPDX-License-Identifier: Apache-2.0
/*
 * What somebody outside may use up of an endpoint's limits through a published port: a rate of his
 * own, three quarters of its places, and none of them for long who doesn't show that he hears the
 * answer.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/stranger.h"

#define OUTSIDE (NODE_BUDGET - NODE_BUDGET / 4)

static void own(const char *text, uint16_t sport, enum pk_reason reason)
{
	node_from(text, 1, pkt_v4(WHO_A, WHO_B, UDP(sport, 53)), reason);
}

/* So many seconds pass for the world's flow from that port. */
static void age(uint16_t sport, uint32_t seconds)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	if (!stranger_flow(sport, &key, &flow))
		return;
	flow.begun -= seconds * node_hz();
	flow.expires -= seconds * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

static void fill(void)
{
	for (uint16_t i = 0; i < OUTSIDE; i++)
		stranger_comes("a connection from outside", 50000 + i, SYN, PK_REASON_OK);
	stranger_comes("one more than strangers have places", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* Strangers have three quarters; that these are full bars nobody else. */
static void places(void)
{
	stranger_start();
	fill();
	for (uint16_t i = OUTSIDE; i < NODE_BUDGET; i++)
		own("A still has places of its own", 1000 + i, PK_REASON_OK);
	own("and no more than those", 2000, PK_REASON_FLOW_BUDGET);
	node_from("A's reset gives one back", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 0, 1, 0),
		  PK_REASON_OK);
	stranger_comes("which a stranger may have", 51000, SYN, PK_REASON_OK);
}

/* A's own flows may take all of them. */
static void all_own(void)
{
	stranger_start();
	for (uint16_t i = 0; i < NODE_BUDGET; i++)
		own("a flow of A's", 1000 + i, PK_REASON_OK);
	own("one more", 2000, PK_REASON_FLOW_BUDGET);
	stranger_comes("a stranger finds none", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* A budget of its own is divided likewise; the least there is is for whoever comes. */
static void small(void)
{
	struct pk_endpoint ep;

	stranger_start();
	node_endpoint(1, &ep);
	ep.flow_budget = 4;
	node_endpoint_set(1, &ep);
	for (uint16_t i = 0; i < 3; i++)
		stranger_comes("of four places three", 50000 + i, SYN, PK_REASON_OK);
	stranger_comes("and not the fourth", 51000, SYN, PK_REASON_FLOW_BUDGET);
	own("which is A's", 1000, PK_REASON_OK);
	stranger_start();
	ep.flow_budget = 1;
	node_endpoint_set(1, &ep);
	stranger_comes("the only place", 50000, SYN, PK_REASON_OK);
}

/* Who asks once and never again holds a place for five seconds where others want it. */
static void half_open(void)
{
	stranger_start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++)
		stranger_answered("A's answer, which the stranger may not hear", 50000 + i,
				  SYN | ACK);
	stranger_comes("still none is free", 51000, SYN, PK_REASON_FLOW_BUDGET);
	stranger_comes("one acknowledges the answer", 50000, ACK, PK_REASON_OK);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age(50000 + i, 6);
	for (uint16_t i = 1; i < OUTSIDE; i++)
		stranger_comes("the others' places are free", 52000 + i, SYN, PK_REASON_OK);
	stranger_comes("but not that one's", 51000, SYN, PK_REASON_FLOW_BUDGET);
	stranger_comes("which goes on", 50000, ACK, PK_REASON_OK);
	stranger_start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age(50000 + i, 4);
	stranger_comes("after four seconds none is free", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* A datagram of the world's to A's published port. */
static void datagram(const char *text, uint16_t sport, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };
	struct pkt p = world_to_node(WHO_WORLD, UDP(sport, 8080));

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

static void age_datagram(uint16_t sport, uint32_t seconds)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_WORLD),
				   .dst = pkt_ip4(WHO_HOST),
				   .sport = htons(sport),
				   .dport = htons(8080),
				   .proto = 17 };
	struct pk_flow flow;

	key.dst.w[3] = htonl(WORLD_NODE_V4);
	if (!check("the world's", !bpf_map_lookup_elem(node_map("flows"), &key, &flow)))
		return;
	flow.begun -= seconds * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

/* What A never answered gives way after five seconds, whatever it is; what it answered stays. */
static void unanswered(void)
{
	world_start();
	world_publish_udp(8080, 1, 80);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		datagram("a datagram from outside", 50000 + i, PK_REASON_OK);
	node_from("A answers one", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(80, 50000)), PK_REASON_OK);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age_datagram(50000 + i, 4);
	datagram("after four seconds none is free", 51000, PK_REASON_FLOW_BUDGET);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age_datagram(50000 + i, 2);
	for (uint16_t i = 1; i < OUTSIDE; i++)
		datagram("after six the others' places are", 52000 + i, PK_REASON_OK);
	datagram("but not that one's", 51000, PK_REASON_FLOW_BUDGET);
	datagram("which goes on", 50000, PK_REASON_OK);
}

static void reset_own(uint16_t sport)
{
	node_from("A's connection", 1, pkt_v4(WHO_A, WHO_B, TCP(sport, 80, SYN)), PK_REASON_OK);
	node_from("ends", 1, pkt_v4(WHO_A, WHO_B, TCP(sport, 80, RST | ACK)), PK_REASON_OK);
}

/* A place of the last quarter that A's own connection leaves is none for strangers. */
static void left_behind(void)
{
	stranger_start();
	fill();
	check("strangers' search rests", node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
	reset_own(1000);
	check("and rests on", node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
	node_from("A ends a stranger's", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000 + OUTSIDE - 1, RST | ACK)), 0,
			     1, 0),
		  PK_REASON_OK);
	check("which has strangers look again", !node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
}

/* A's own connection that isn't answered stays: nobody outside made it begin. */
static void own_unanswered(void)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_A), .dst = pkt_ip4(WHO_B), .proto = 6 };
	struct pk_flow flow;

	stranger_start();
	for (uint16_t i = 0; i < NODE_BUDGET; i++) {
		node_from("a connection of A's", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)),
			  PK_REASON_OK);
		key.sport = htons(1000 + i);
		key.dport = htons(80);
		bpf_map_lookup_elem(node_map("flows"), &key, &flow);
		flow.begun -= 6 * node_hz();
		bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	}
	own("its places are taken", 2000, PK_REASON_FLOW_BUDGET);
}

/* Resets that come again and again hold no place for who never heard an answer. */
static void reset_again(void)
{
	stranger_start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++) {
		stranger_comes("a RST follows", 50000 + i, RST, PK_REASON_OK);
		age(50000 + i, 6);
		stranger_comes("and one more", 50000 + i, RST, PK_REASON_OK);
	}
	for (uint16_t i = 0; i < OUTSIDE; i++)
		stranger_comes("their places are free", 52000 + i, SYN, PK_REASON_OK);
}

static void two_a_second(struct pk_node *n)
{
	n->new_flows_per_s = 2;
}

/* Of new flows each direction has its own rate: a stranger's take none of A's. */
static void rates(void)
{
	struct pk_endpoint ep;

	stranger_start();
	node_settings(two_a_second);
	stranger_comes("a new flow from outside", 50000, SYN, PK_REASON_OK);
	check("of a burst of twice the rate",
	      node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS) == 3 &&
		      !node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS));
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS, 0, NODE_AHEAD);
	stranger_comes("over it", 50001, SYN, PK_REASON_FLOW_RATE);
	stranger_comes("the one that is there goes on", 50000, ACK, PK_REASON_OK);
	own("A's own are none of them", 1000, PK_REASON_OK);
	check("they have a burst, too", node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS) == 3);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS, 0, NODE_AHEAD);
	own("of their own", 1001, PK_REASON_FLOW_RATE);
	stranger_start();
	node_endpoint(1, &ep);
	ep.new_flows_per_s[PK_INGRESS] = 1;
	node_endpoint_set(1, &ep);
	stranger_comes("where the endpoint has a rate for strangers", 50000, SYN, PK_REASON_OK);
	check("theirs alone has it", node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS) == 1);
	own("A has none of its own", 1000, PK_REASON_OK);
	check("and no bucket", !node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS));
}

/* What the node itself begins is from outside, too; another endpoint's flow is that one's. */
static void others(void)
{
	struct pk_endpoint ep;

	stranger_start();
	node_endpoint(1, &ep);
	ep.new_flows_per_s[PK_INGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS, 0, NODE_AHEAD);
	node_to("the node's connection to A", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)),
		PK_REASON_FLOW_RATE);
	node_from("B's to A", 2, pkt_v4(WHO_B, WHO_A, TCP(40000, 80, SYN)), PK_REASON_OK);
}

void cases_stranger(void)
{
	places();
	all_own();
	small();
	half_open();
	own_unanswered();
	unanswered();
	left_behind();
	reset_again();
	rates();
	others();
	node_reset();
}
