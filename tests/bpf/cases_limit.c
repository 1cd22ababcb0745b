// SPDX-License-Identifier: Apache-2.0
/* Budgets and buckets, and what happens where a table or a program is missing. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

static struct pkt udp(enum who from, uint16_t port)
{
	return pkt_v4(from, WHO_B, UDP(port, 53));
}

static void budget(void)
{
	char text[64];

	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++) {
		snprintf(text, sizeof(text), "flow %d of A's budget", i + 1);
		node_from(text, 1, udp(WHO_A, 1000 + i), PK_REASON_OK);
	}
	node_from("one more", 1, udp(WHO_A, 2000), PK_REASON_FLOW_BUDGET);
	node_from("those that are there go on", 1, udp(WHO_A, 1003), PK_REASON_OK);
	node_from("B has its own budget", 2, pkt_v4(WHO_B, WHO_A, UDP(9, 9)), PK_REASON_OK);
}

/* A place whose flow closed is taken again; the flow is deleted. */
static void reclaimed(void)
{
	uint64_t n;

	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("a connection", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)),
			  PK_REASON_OK);
	node_from("its reset", 1, pkt_v4(WHO_A, WHO_B, TCP(1002, 80, RST)), PK_REASON_OK);
	n = node_flows();
	for (int i = 0; i < 2; i++) { /* the cursor looks at four places a try */
		struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(3000, 80, SYN));

		node_run(NODE_FROM, 1, &p, NULL);
	}
	node_from("its place is taken", 1, pkt_v4(WHO_A, WHO_B, TCP(3000, 80, ACK)), PK_REASON_OK);
	check("and its entry is gone", node_flows() == n);
	node_from("the closed one is none any more", 1, pkt_v4(WHO_A, WHO_B, TCP(1002, 80, ACK)),
		  PK_REASON_NO_FLOW);
}

/*
 * P58: ten budgets of short flows, one after the other, with no controller: none is denied, since the
 * guard itself takes the places of those whose time is over.
 */
static void reclaimed_of_the_expired(void)
{
	int fd = node_map("flows");

	node_reset();
	for (int i = 0; i < 10 * NODE_BUDGET; i++) {
		struct pkt p = udp(WHO_A, 1000 + i);
		struct pk_flow_key key = { .src = pkt_ip4(WHO_A),
					   .dst = pkt_ip4(WHO_B),
					   .proto = 17 };
		struct pk_flow flow;

		node_from("a short flow", 1, p, PK_REASON_OK);
		memcpy(&key.sport, p.b + 34, 4);
		if (!check("it is there", !bpf_map_lookup_elem(fd, &key, &flow)))
			return;
		flow.expires -= 31 * 250; /* the test's rodata: 250 Hz */
		bpf_map_update_elem(fd, &key, &flow, BPF_EXIST);
	}
	check("no more entries than places", node_flows() <= NODE_BUDGET);
}

/* A peer that was closed, or opened again, holds none of the initiator's places. */
static void reclaimed_of_the_gone(void)
{
	struct pk_endpoint ep;

	for (int again = 0; again < 2; again++) {
		node_reset();
		for (int i = 0; i < NODE_BUDGET; i++)
			node_from("a connection", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)),
				  PK_REASON_OK);
		node_from("the budget is spent", 1, pkt_v4(WHO_A, WHO_A, UDP(9, 9)),
			  PK_REASON_FLOW_BUDGET);
		node_endpoint(2, &ep);
		ep.opened = 7;
		if (again)
			node_endpoint_set(2, &ep);
		node_word(2, 1, 0, again ? 7 : 0);
		for (int i = 0; i < NODE_BUDGET; i++)
			node_from(again ? "its peer opened again" : "its peer closed", 1,
				  pkt_v4(WHO_A, WHO_A, UDP(1000 + i, 9)), PK_REASON_OK);
		check("the dead ones are deleted", node_flows() == NODE_BUDGET);
	}
}

/*
 * The table holds two budgets: the host's flows to B are B's.
 * P40: A has filled all of the table that is A's; its next flow is denied and counted, B has all of
 * its own places, and no flow that lives is evicted. (A node's own table has room for every
 * endpoint's places: more are refused when it is made.)
 */
static void full(void)
{
	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("A's flows", 1, udp(WHO_A, 1000 + i), PK_REASON_OK);
	node_from("one more of A's", 1, udp(WHO_A, 2000), PK_REASON_FLOW_BUDGET);
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("B's flows", 2, pkt_v4(WHO_B, WHO_A, UDP(1000 + i, 9)), PK_REASON_OK);
	node_from("C's first flow: the table is full", 3, pkt_v4(WHO_C, WHO_C, UDP(1000, 9)),
		  PK_REASON_MAP_FULL);
	for (int i = 0; i < NODE_BUDGET; i++) {
		node_from("nothing was evicted of A's", 1, udp(WHO_A, 1000 + i), PK_REASON_OK);
		node_from("nor of B's", 2, pkt_v4(WHO_B, WHO_A, UDP(1000 + i, 9)), PK_REASON_OK);
	}
	check("no flow more than there were", node_flows() == 2 * NODE_BUDGET);
}

static void new_flows(struct pk_node *n)
{
	n->new_flows_per_s = 2;
}

static struct pkt more_udp(enum who from, uint16_t i)
{
	return udp(from, i + 1000);
}

static int denied_after(struct pkt (*next)(enum who, uint16_t), int most)
{
	for (int i = 0; i < most; i++) {
		struct pkt p = next(WHO_A, 5000 + i);

		if (node_run(NODE_FROM, 1, &p, NULL) == 2)
			return i;
	}
	return most;
}

/* What is measured is what a bucket holds, never how fast this machine is. */
static void rates(void)
{
	struct pkt full = udp(WHO_A, 1000), p = full;
	struct pk_endpoint ep;

	full.len = 1514;
	node_reset();
	node_settings(new_flows);
	node_from("a new flow", 1, udp(WHO_A, 5000), PK_REASON_OK);
	check("of a burst of twice the rate", node_bucket(1, PK_BUCKET_NEW_FLOWS) == 3);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS, 2, NODE_AHEAD);
	check("the rest of the burst passes", denied_after(more_udp, 8) == 2);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS, 0, NODE_AHEAD);
	node_from("then flow-rate", 1, udp(WHO_A, 7000), PK_REASON_FLOW_RATE);
	node_from("a flow that is there goes on", 1, udp(WHO_A, 5000), PK_REASON_OK);
	node_reset();
	node_endpoint(1, &ep);
	ep.packets_per_s[PK_EGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_from("a packet sent", 1, p, PK_REASON_OK);
	check("of a burst of 256", node_bucket(1, PK_BUCKET_PACKETS) == 255);
	check("who has no rate of bytes has no bucket of them", !node_bucket(1, PK_BUCKET_BYTES));
	node_bucket_set(1, PK_BUCKET_PACKETS, 1, NODE_AHEAD);
	node_from("the last one of the bucket", 1, p, PK_REASON_OK);
	node_bucket_set(1, PK_BUCKET_PACKETS, 0, NODE_AHEAD);
	node_from("over the bucket of packets sent", 1, p, PK_REASON_RATE_LIMIT);
	node_reset();
	node_endpoint(2, &ep);
	ep.bytes_per_s[PK_INGRESS] = 1;
	node_endpoint_set(2, &ep);
	node_from("a packet got", 1, full, PK_REASON_OK);
	check("of a burst of 131,072 bytes",
	      node_bucket(2, PK_BUCKET_BYTES + PK_INGRESS) == 131072 - 1514);
	node_bucket_set(2, PK_BUCKET_BYTES + PK_INGRESS, 1514, NODE_AHEAD);
	node_from("as many bytes as there are", 1, full, PK_REASON_OK);
	node_bucket_set(2, PK_BUCKET_BYTES + PK_INGRESS, 1513, NODE_AHEAD);
	node_from_at("over the peer's bucket of bytes got", 1, full, 2, PK_REASON_RATE_LIMIT);
}

/* A's bucket of one packet a second, empty since so many milliseconds. */
static void drained(int64_t ms)
{
	struct pk_endpoint ep;

	node_reset();
	node_endpoint(1, &ep);
	ep.packets_per_s[PK_EGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_PACKETS, 0, ms);
}

/* A bucket that rested gains what its rate gives, not its whole burst. */
static void rested(void)
{
	static const uint32_t seconds[] = { 2, 10, 3600 };

	for (size_t s = 0; s < sizeof(seconds) / sizeof(*seconds); s++) {
		uint32_t gained = seconds[s] < 256 ? seconds[s] : 256, left;

		drained(seconds[s] * 1000 + 100);
		node_from("a bucket of one a second that rested", 1, udp(WHO_A, 1000),
			  PK_REASON_OK);
		left = node_bucket(1, PK_BUCKET_PACKETS);
		/* A long rest is counted in whole steps of 1.07 seconds. */
		check("gained one for each second", left + 2 >= gained && left <= gained);
	}
	drained(NODE_AHEAD);
	node_from("a stamp of a CPU that is ahead is no rest", 1, udp(WHO_A, 1000),
		  PK_REASON_RATE_LIMIT);
}

static struct pkt arp(enum who from, uint16_t i)
{
	return pkt_arp(from, 1, 0x0a140001 + i % 2 * 76);
}

static void answers(void)
{
	node_reset();
	node_from("an answer", 1, arp(WHO_A, 0), PK_REASON_OK);
	check("of a burst of 400", node_bucket(1, PK_BUCKET_ANSWERS) == 399);
	node_bucket_set(1, PK_BUCKET_ANSWERS, 3, NODE_AHEAD);
	check("answers: what the bucket holds, then no more", denied_after(arp, 8) == 3);
	node_from("traffic goes on", 1, udp(WHO_A, 1000), PK_REASON_OK);
}

static void tails(void)
{
	node_reset();
	for (uint32_t place = 1; place <= 3; place++)
		node_tail(place, false);
	node_from("no slow path: a miss", 1, udp(WHO_A, 1000), PK_REASON_TAIL_CALL_MISSING);
	node_from("no slow path: an answer", 1, pkt_arp(WHO_A, 1, 0x0a140001),
		  PK_REASON_TAIL_CALL_MISSING);
	for (uint32_t place = 1; place <= 3; place++)
		node_tail(place, true);
	node_from("there again", 1, udp(WHO_A, 1000), PK_REASON_OK);
}

static void mtu(void)
{
	struct pk_endpoint ep;
	struct pkt p = udp(WHO_A, 1000);

	node_reset();
	node_endpoint(2, &ep);
	ep.mtu = 1280;
	node_endpoint_set(2, &ep);
	p.len = 1295;
	node_from_told("longer than the peer's MTU", 1, p, 2, PK_INGRESS, PK_REASON_LENGTH);
}

static void allow(uint32_t slot, uint32_t flows)
{
	struct pk_endpoint ep;

	node_endpoint(slot, &ep);
	ep.flow_budget = flows;
	node_endpoint_set(slot, &ep);
}

static struct pkt tcp(int flow, uint8_t flags)
{
	return pkt_v4(WHO_A, WHO_B, TCP(1000 + flow, 80, flags));
}

static void open_flows(int from, int to)
{
	for (int i = from; i < to; i++)
		node_from("a connection", 1, tcp(i, SYN), PK_REASON_OK);
}

static void close_flows(int from, int to)
{
	for (int i = from; i < to; i++)
		node_from("its reset", 1, tcp(i, RST), PK_REASON_OK);
}

/* A budget that is lowered while more flows live: all of them go on, wherever they stand. */
static void shrunk(void)
{
	node_reset();
	open_flows(0, 6);
	allow(1, 3);
	node_from("six live, and three may", 1, tcp(20, SYN), PK_REASON_FLOW_BUDGET);
	for (int i = 0; i < 6; i++)
		node_from("what lives goes on", 1, tcp(i, ACK), PK_REASON_OK);
	close_flows(0, 3);
	for (int i = 0; i < 3; i++)
		node_from("three live, and three may", 1, tcp(20 + i, SYN), PK_REASON_FLOW_BUDGET);
	close_flows(3, 4);
	node_from("two live", 1, tcp(30, SYN), PK_REASON_OK);
	node_from("three again", 1, tcp(31, SYN), PK_REASON_FLOW_BUDGET);
	for (int i = 4; i < 6; i++)
		node_from("those of before go on", 1, tcp(i, ACK), PK_REASON_OK);
	node_from("and so does the new one", 1, tcp(30, ACK), PK_REASON_OK);
}

/* A search that found no place has looked at as many as it may, and the next one goes on there. */
static void found_none(void)
{
	node_reset();
	allow(1, 3);
	open_flows(0, 3);
	node_bucket_set(1, PK_BUCKET_PLACE, 2, 0);
	node_from("a fourth", 1, tcp(3, SYN), PK_REASON_FLOW_BUDGET);
	check("the next search begins where this one ended",
	      node_bucket(1, PK_BUCKET_PLACE) == (2 + 3) % 3);
}

/* Nobody has looked yet at what may stand above the budget: it counts as too much. */
static void not_drained(void)
{
	node_reset();
	allow(1, 3);
	node_bucket_set(1, PK_BUCKET_TOP, 1 << 20, 0);
	node_from("flows above the budget that aren't moved", 1, tcp(0, SYN),
		  PK_REASON_FLOW_BUDGET);
}

/* One flow far above the new budget counts as one. */
static void shrunk_to_few(void)
{
	node_reset();
	open_flows(0, NODE_BUDGET);
	close_flows(0, NODE_BUDGET - 1);
	allow(1, 2);
	open_flows(40, 41);
	node_from("a third", 1, tcp(41, SYN), PK_REASON_FLOW_BUDGET);
	node_from("the old one goes on", 1, tcp(NODE_BUDGET - 1, ACK), PK_REASON_OK);
	close_flows(NODE_BUDGET - 1, NODE_BUDGET);
	open_flows(42, 43);
	node_from("a third again", 1, tcp(43, SYN), PK_REASON_FLOW_BUDGET);
}

static void grown(void)
{
	node_reset();
	allow(1, 3);
	open_flows(0, 3);
	node_from("a fourth", 1, tcp(3, SYN), PK_REASON_FLOW_BUDGET);
	allow(1, 5);
	open_flows(3, 5);
	node_from("a sixth", 1, tcp(5, SYN), PK_REASON_FLOW_BUDGET);
	allow(1, 0);
	open_flows(5, NODE_BUDGET);
	node_from("one more than there are places", 1, tcp(NODE_BUDGET, SYN),
		  PK_REASON_FLOW_BUDGET);
	allow(1, 4);
	allow(1, 0);
	close_flows(2, 3);
	open_flows(60, 61);
	node_from("full again", 1, tcp(61, SYN), PK_REASON_FLOW_BUDGET);
}

/* Live: what the bucket holds stays, but for what is over the new burst. */
static void changed_live(void)
{
	struct pkt full = udp(WHO_A, 1000);
	struct pk_endpoint ep;

	full.len = 1514;
	node_reset();
	node_endpoint(1, &ep);
	ep.bytes_per_s[PK_EGRESS] = 1000000;
	node_endpoint_set(1, &ep);
	node_from("within a million", 1, full, PK_REASON_OK);
	check("of a burst of one second", node_bucket(1, PK_BUCKET_BYTES) == 1000000 - 1514);
	ep.burst[PK_EGRESS] = 200000;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_BYTES, 900000, NODE_AHEAD);
	node_from("within its own burst", 1, full, PK_REASON_OK);
	check("of a burst of its own", node_bucket(1, PK_BUCKET_BYTES) == 200000 - 1514);
	ep.burst[PK_EGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_BYTES, 900000, NODE_AHEAD);
	node_from("the largest packet has room", 1, full, PK_REASON_OK);
	check("whatever the burst", node_bucket(1, PK_BUCKET_BYTES) == 131072 - 1514);
	node_bucket_set(1, PK_BUCKET_BYTES, 1000, NODE_AHEAD);
	ep.bytes_per_s[PK_EGRESS] = 2000000;
	node_endpoint_set(1, &ep);
	node_from("a higher rate brings no tokens of before", 1, full, PK_REASON_RATE_LIMIT);
	ep.bytes_per_s[PK_EGRESS] = 0;
	node_endpoint_set(1, &ep);
	node_from("no limit any more", 1, full, PK_REASON_OK);
}

void cases_limit(void)
{
	budget();
	shrunk();
	found_none();
	not_drained();
	shrunk_to_few();
	grown();
	changed_live();
	reclaimed();
	reclaimed_of_the_expired();
	reclaimed_of_the_gone();
	full();
	rates();
	rested();
	answers();
	tails();
	mtu();
}
