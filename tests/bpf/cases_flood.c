// SPDX-License-Identifier: Apache-2.0
/* Floods of one endpoint, a million packets of them denied, and what its neighbours have of it. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "picket/event.h"
#include "tests/bpf/node.h"

#define FLOOD 1000000
#define EVERY 10000 /* of A's packets, after which a neighbour sends one */
#define READ  50000 /* of them, after which somebody reads the ring */
#define HEAD  104   /* bytes of a datagram that its first piece has, the L4 header among them */

/* Of an endpoint: told, and said to be lost before one that is told. */
struct told {
	uint64_t events, lost;
};

static int hear(void *ctx, void *data, size_t size)
{
	struct told *told = ctx;
	const struct pk_event *e = data;

	if (size != sizeof(*e) || e->slot >= NODE_SLOTS)
		return 0;
	told[e->slot].events++;
	told[e->slot].lost += e->lost;
	return 0;
}

static uint64_t unsaid(uint32_t slot)
{
	struct pk_bucket b = {};

	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	return b.tokens[PK_BUCKET_EVENTS_LOST] - b.tokens[PK_BUCKET_EVENTS_TOLD];
}

/* No flow's time is over before the flood is, however busy the machine. */
static void long_lives(struct pk_node *n)
{
	n->timeout[PK_TIMEOUT_UDP] = PK_TIMEOUT_MAX;
}

/* Sends A's next flow; true where it was denied. */
static bool one_more(uint32_t i)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(1024 + i % 60000, 1024 + i / 60000));

	return node_run(NODE_FROM, 1, &p, NULL) == 2;
}

/* B's flow and a new one of it pass, and C's packet is denied: both beside the flood. */
static bool neighbours(uint32_t round)
{
	struct pkt goes_on = pkt_v4(WHO_B, WHO_A, UDP(53, 53));
	struct pkt begins = pkt_v4(WHO_B, WHO_A, TCP(1024 + round, 80, SYN));
	struct pkt ends = pkt_v4(WHO_B, WHO_A, TCP(1024 + round, 80, RST));
	struct pkt denied = pkt_v4(WHO_C, WHO_A, UDP(1024 + round, 53));

	return node_run(NODE_FROM, 2, &goes_on, NULL) == 7 &&
	       node_run(NODE_FROM, 2, &begins, NULL) == 7 &&
	       node_run(NODE_FROM, 2, &ends, NULL) == 7 &&
	       node_run(NODE_FROM, 3, &denied, NULL) == 2;
}

/*
 * P39: one endpoint opens a million UDP flows. It has as many as its budget is and no more, each
 * other one is denied as flow-budget and counted; a neighbour's flow, and its new ones, lose nothing.
 * P41: of the million denials there is an event or a count of lost ones, by endpoint, and each denial
 * of another tenant's endpoint beside them is told.
 */
static void a_million(struct ring_buffer *ring, struct told told[NODE_SLOTS])
{
	uint64_t before = node_counter(1, PK_EGRESS, PK_REASON_FLOW_BUDGET);
	uint32_t flood = node_rounds(FLOOD), rounds = 0, denied = 0;
	bool passed = true;

	node_reset();
	node_settings(long_lives);
	ring_buffer__consume(ring);
	for (uint32_t slot = 0; slot < NODE_SLOTS; slot++)
		told[slot] = (struct told){ 0 };
	for (uint32_t i = 0; i < flood; i++) {
		denied += one_more(i);
		if (i % EVERY == 0)
			passed &= neighbours(rounds++);
		if (i % READ == 0)
			ring_buffer__consume(ring);
	}
	ring_buffer__consume(ring);
	check("of a million flows as many as the budget is", denied == flood - NODE_BUDGET);
	check("the others are counted as flow-budget",
	      node_counter(1, PK_EGRESS, PK_REASON_FLOW_BUDGET) == before + denied);
	check("its neighbours' packets and new flows all passed", passed);
	check("each denial of another tenant's is told",
	      told[3].events == rounds && !told[3].lost && !unsaid(3));
	check("each of its own is told or counted as lost",
	      told[1].events + told[1].lost + unsaid(1) == denied);
	check("and most are lost, or this were no flood", told[1].events < flood / 10);
}

static struct pkt long_one(enum who from, enum who to)
{
	struct pkt p = pkt_v4(from, to, UDP(40000, 5000));

	pkt_longer(&p, 2 * HEAD - 8);
	return p;
}

/*
 * P42: 100,000 first fragments of one endpoint push out none of another's, whose next piece passes:
 * each endpoint has places of its own, of a number that never grows (and what they know is forgotten
 * after 15 seconds: cases_fragment.c).
 */
static void fragments(void)
{
	struct pkt whole = long_one(WHO_A, WHO_B), of_b = long_one(WHO_B, WHO_A);
	uint32_t many = node_rounds(100000), passed = 0;

	node_reset();
	node_from("the neighbour's first piece", 2, pkt_piece(&of_b, 0, HEAD, 1), PK_REASON_OK);
	for (uint32_t id = 1; id <= many; id++) {
		struct pkt p = pkt_piece(&whole, 0, HEAD, id);

		passed += node_run(NODE_FROM, 1, &p, NULL) == 7;
	}
	check("100,000 of another endpoint's passed", passed == many);
	node_from("and took no place of it", 2, pkt_piece(&of_b, HEAD, 2 * HEAD, 1), PK_REASON_OK);
}

void cases_flood(void)
{
	struct told told[NODE_SLOTS] = {};
	struct ring_buffer *ring = ring_buffer__new(node_map("events"), hear, told, NULL);

	if (!check("the ring of events", ring))
		return;
	a_million(ring, told);
	fragments();
	ring_buffer__free(ring);
	node_reset();
}
