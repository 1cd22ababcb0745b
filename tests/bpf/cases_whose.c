// SPDX-License-Identifier: Apache-2.0
/*
 * Whose a flow is, and whose an address: endpoints that take each other's place, places that two
 * flows have had, peers that the tables and the FIB name differently, denials that come later.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bpf/node.h"

#define HZ 250 /* the test's rodata */

static void rule(uint32_t class, enum pk_dir dir, uint8_t verdict)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_DIR, .rule_set = 1, .class = class, .dir = dir
	};

	node_verdict(&key, verdict, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
}

static struct pk_flow_key key_of(const struct pkt *p, enum who from, enum who to)
{
	struct pk_flow_key key = { .src = pkt_ip4(from), .dst = pkt_ip4(to), .proto = p->b[23] };

	memcpy(&key.sport, p->b + 34, 4);
	return key;
}

/* The flow of p as if it had been judged, and refreshed, that many seconds ago. */
static void age(const struct pkt *p, enum who from, enum who to, int judged, int refreshed)
{
	struct pk_flow_key key = key_of(p, from, to);
	struct pk_flow flow;

	if (!check("the flow is there", !bpf_map_lookup_elem(node_map("flows"), &key, &flow)))
		return;
	flow.judged -= judged * HZ;
	flow.expires -= refreshed * HZ;
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

/* A's address, MAC and all, at slot 2, under a word that reads the same. */
static void sender_moved(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_C, TCP(40000, 80, ACK));
	struct pk_endpoint a, none = { 0 };
	struct pk_local local = { 2, 101, 1, 0 };

	node_reset();
	node_word(3, 1, 0, 1);
	rule(PK_CLASS_OTHER_TENANT, PK_EGRESS, PK_ALLOW);
	rule(PK_CLASS_OTHER_TENANT, PK_INGRESS, PK_ALLOW);
	node_from("A opens to C", 1, syn, PK_REASON_OK);
	node_endpoint(1, &a);
	none.opened = a.opened; /* the slot's number tells, not this */
	node_endpoint_set(1, &none);
	a.host_ifindex = node_ifindex(2);
	node_endpoint_set(2, &a);
	bpf_map_update_elem(node_map("by_address"), &a.ipv4, &local, BPF_ANY);
	node_from("another slot with A's address carries nothing on", 2, ack, PK_REASON_NO_FLOW);
	node_from("it begins its own", 2, syn, PK_REASON_OK);
}

/* B's address at slot 3: what was open to B is open to nobody there. */
static void receiver_moved(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));
	struct pk_endpoint b, none = { 0 };
	struct pk_local local = { 3, 102, 1, 0 };

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_endpoint(2, &b);
	none.opened = b.opened; /* the slot's number tells, not this */
	node_endpoint_set(2, &none);
	b.host_ifindex = node_ifindex(3);
	node_endpoint_set(3, &b);
	node_word(3, 1, 0, 1);
	bpf_map_update_elem(node_map("by_address"), &b.ipv4, &local, BPF_ANY);
	node_from("before a change, the flow knows no other receiver", 1, ack,
		  PK_REASON_ENDPOINT_CLOSED);
	node_word(1, 1, 0, 2);
	node_from("after one, it is over", 1, ack, PK_REASON_NO_FLOW);
	node_from("and another one begins", 1, syn, PK_REASON_OK);
}

/*
 * A slot that a device was found to have isn't believed of another device, nor of one that has
 * another slot by now. HINTS as in bpf/lib/guard.h.
 */
#define HINTS 4096

static void device(uint32_t ifindex, uint32_t slot)
{
	struct pk_endpoint ep;

	node_endpoint(slot, &ep);
	ep.host_ifindex = ifindex;
	node_endpoint_set(slot, &ep);
	bpf_map_update_elem(node_map("slots"), &ifindex, &slot, BPF_ANY);
}

/* There is one with that ifindex, or (0) no more. */
static void spare_device(uint32_t ifindex)
{
	char line[96];

	snprintf(line, sizeof(line),
		 ifindex ? "ip link add spare index %u type veth" : "ip link del spare", ifindex);
	check("a spare device", !system(line));
}

static void whose_device(void)
{
	uint32_t own = node_ifindex(1), alike = own + HINTS;
	struct expect e = { "a device in the place of A's", PK_REASON_UNKNOWN_ENDPOINT, 0,
			    PK_EGRESS, false };
	const struct node_meta at = { .ifindex = alike };
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	node_reset();
	spare_device(alike);
	node_from("A by its device", 1, p, PK_REASON_OK);
	node_expect(&e, NODE_FROM, 1, &p, &at);
	device(alike, 3);
	e = (struct expect){ "that device, as C's", PK_REASON_SPOOFED_MAC, 3, PK_EGRESS, false };
	node_expect(&e, NODE_FROM, 1, &p, &at);
	e.text = "and once more";
	node_expect(&e, NODE_FROM, 1, &p, &at);
	node_from("A's is still A's", 1, p, PK_REASON_OK);
	device(0, 1);
	device(own, 3);
	e.text = "A's device, as C's";
	node_expect(&e, NODE_FROM, 1, &p, NULL);
	spare_device(0);
}

/* Nothing says when an address's meaning changes: such flows are judged every second. */
static void judged_each_second(void)
{
	struct pkt host = pkt_v4(WHO_A, WHO_HOST, UDP(40000, 53));
	struct pkt world = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));
	struct pkt local = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	node_reset();
	rule(PK_CLASS_HOST, PK_EGRESS, PK_ALLOW);
	node_from("A sends to the host", 1, host, PK_REASON_OK);
	node_from("A sends to the world", 1, world, PK_REASON_OK);
	node_from("A sends to B", 1, local, PK_REASON_OK);
	rule(PK_CLASS_HOST, PK_EGRESS, PK_DENY);
	rule(PK_CLASS_WORLD4, PK_EGRESS, PK_DENY);
	rule(PK_CLASS_SAME_TENANT, PK_EGRESS, PK_DENY);
	node_from("the host, for the rest of the second", 1, host, PK_REASON_OK);
	node_from("the world, for the rest of the second", 1, world, PK_REASON_OK);
	age(&host, WHO_A, WHO_HOST, 2, 0);
	age(&world, WHO_A, WHO_WORLD, 2, 0);
	age(&local, WHO_A, WHO_B, 2, 0);
	node_from("then the host is judged again", 1, host, PK_REASON_POLICY_DENIED);
	node_from("and the world", 1, world, PK_REASON_POLICY_DENIED);
	node_from("an endpoint's flow has its words for that", 1, local, PK_REASON_OK);
	rule(PK_CLASS_HOST, PK_EGRESS, PK_ALLOW);
	node_from("a denial stands as long", 1, host, PK_REASON_POLICY_DENIED);
	age(&host, WHO_A, WHO_HOST, 2, 0);
	node_from("and is judged again, too", 1, host, PK_REASON_OK);
}

/* A connection that began anew has another place; the place that it had still names it. */
static void two_places(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_from("and to another port", 1, pkt_v4(WHO_A, WHO_B, TCP(40001, 80, SYN)),
		  PK_REASON_OK);
	age(&syn, WHO_A, WHO_B, 0, 61);
	node_from("the first one begins again after its time", 1, syn, PK_REASON_OK);
	for (uint16_t port = 1; port <= NODE_BUDGET - 2; port++)
		node_from("as many more as the budget has", 1,
			  pkt_v4(WHO_A, WHO_B, TCP(port, 80, SYN)), PK_REASON_OK);
	node_from("and no more", 1, pkt_v4(WHO_A, WHO_B, TCP(99, 80, SYN)), PK_REASON_FLOW_BUDGET);
	node_from("who took its old place didn't end it", 1, ack, PK_REASON_OK);
	check("one place a flow", node_flows() == NODE_BUDGET);
}

/* An endpoint's own budget is the smaller one; more than the node's is the node's. */
static void own_budget(uint32_t budget, int fit)
{
	struct pk_endpoint ep;
	char text[64];
	int n = 0;

	node_reset();
	node_endpoint(1, &ep);
	ep.flow_budget = budget;
	node_endpoint_set(1, &ep);
	for (uint16_t port = 1; port <= 3 * NODE_BUDGET; port++) {
		struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(port, 80, SYN));

		n += node_run(NODE_FROM, 1, &p, NULL) != 2;
	}
	snprintf(text, sizeof(text), "a budget of %u on a node of %u", budget, NODE_BUDGET);
	check(text, n == fit);
}

static void no_budget(struct pk_node *n)
{
	n->flow_budget = 0;
}

static void budgets(void)
{
	own_budget(0, NODE_BUDGET);
	own_budget(1, 1);
	own_budget(NODE_BUDGET - 1, NODE_BUDGET - 1);
	own_budget(NODE_BUDGET, NODE_BUDGET);
	own_budget(NODE_BUDGET + 1, NODE_BUDGET);
	node_reset();
	node_settings(no_budget);
	node_from("no budget, no flow", 1, pkt_v4(WHO_A, WHO_B, UDP(9, 9)), PK_REASON_FLOW_BUDGET);
}

/* An endpoint's address is never the host's nor the world's, also where nobody has it. */
static void pools(void)
{
	node_reset();
	rule(PK_CLASS_HOST, PK_EGRESS, PK_ALLOW);
	node_from("an address of the world", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(9, 9)), PK_REASON_OK);
	node_from("an address of the node", 1, pkt_v4(WHO_A, WHO_HOST, UDP(9, 9)), PK_REASON_OK);
	node_pool("198.51.100.0", 24);
	node_pool("2001:db8:9::", 64);
	node_pool("192.0.2.0", 24);
	node_pool("fd00:2::", 64);
	node_from("of a pool, it isn't the world's", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(10, 9)),
		  PK_REASON_POLICY_DENIED);
	node_from("nor in IPv6", 1, pkt_v6(WHO_A, WHO_WORLD, UDP(10, 9)), PK_REASON_POLICY_DENIED);
	node_from("of a pool, it isn't the host's", 1, pkt_v4(WHO_A, WHO_HOST, UDP(10, 9)),
		  PK_REASON_POLICY_DENIED);
	node_from("nor in IPv6", 1, pkt_v6(WHO_A, WHO_HOST, UDP(10, 9)), PK_REASON_POLICY_DENIED);
	rule(PK_CLASS_UNKNOWN, PK_EGRESS, PK_ALLOW);
	node_from("who opens the unknown has no way to them", 1,
		  pkt_v4(WHO_A, WHO_NOBODY, UDP(9, 9)), PK_REASON_NOT_BUILT);
}

static void never(void)
{
	static const uint32_t list[] = { 0, 0x00ffffff, 0x7f000001, 0x7fffffff };
	static const struct {
		const char *text;
		union pk_addr dst;
	} list6[] = {
		{ "::", { .b = { 0 } } },
		{ "::1", { .b = { [15] = 1 } } },
		{ "00ff::1", { .b = { 0, 0xff, [15] = 1 } } },
		{ "fe80::2", { .b = { 0xfe, 0x80, [15] = 2 } } },
		{ "febf::2", { .b = { 0xfe, 0xbf, [15] = 2 } } },
	};
	char text[64];

	node_reset();
	rule(PK_CLASS_HOST, PK_EGRESS, PK_ALLOW);
	rule(PK_CLASS_UNKNOWN, PK_EGRESS, PK_ALLOW);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		snprintf(text, sizeof(text), "%08x, whatever policy says", list[i]);
		node_from(text, 1, pkt_v4_to(WHO_A, list[i], UDP(9, 9)), PK_REASON_POLICY_DENIED);
	}
	for (size_t i = 0; i < sizeof(list6) / sizeof(*list6); i++) {
		snprintf(text, sizeof(text), "%s, whatever policy says", list6[i].text);
		node_from(text, 1, pkt_v6_to(WHO_A, &list6[i].dst, UDP(9, 9)),
			  PK_REASON_POLICY_DENIED);
	}
	node_from("1.0.0.1 is an address", 1, pkt_v4_to(WHO_A, 0x01000001, UDP(9, 9)),
		  PK_REASON_OK);
	node_from("126.0.0.1 is one", 1, pkt_v4_to(WHO_A, 0x7e000001, UDP(9, 9)), PK_REASON_OK);
	node_from("128.0.0.1 is one", 1, pkt_v4_to(WHO_A, 0x80000001, UDP(9, 9)), PK_REASON_OK);
	node_from("0100::1 is one", 1,
		  pkt_v6_to(WHO_A, &(union pk_addr){ .b = { 1, [15] = 1 } }, UDP(9, 9)),
		  PK_REASON_OK);
	node_from("fec0::1 is one", 1,
		  pkt_v6_to(WHO_A, &(union pk_addr){ .b = { 0xfe, 0xc0, [15] = 1 } }, UDP(9, 9)),
		  PK_REASON_OK);
}

void cases_whose(void)
{
	sender_moved();
	receiver_moved();
	whose_device();
	judged_each_second();
	two_places();
	budgets();
	pools();
	never();
}
