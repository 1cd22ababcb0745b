// SPDX-License-Identifier: Apache-2.0
/*
 * First packets that policy allows and that aren't delivered, for their last hop, their length or
 * the receiver's rate: by each way they leave neither a flow nor an alias, and hold no place.
 */
#include <stdio.h>

#include "tests/bpf/world.h"

#define L3 14

enum why { WHY_NONE, WHY_TTL, WHY_LENGTH, WHY_RATE, WHYS };

static const struct {
	const char *text;
	enum pk_reason reason;
} whys[] = {
	[WHY_NONE] = { "is delivered", PK_REASON_OK },
	[WHY_TTL] = { "at its last hop", PK_REASON_TTL },
	[WHY_LENGTH] = { "too long for what is behind", PK_REASON_LENGTH },
	[WHY_RATE] = { "over the receiver's rate", PK_REASON_RATE_LIMIT },
};

struct way {
	const char *text;
	enum node_prog prog;
	uint32_t slot, receiver; /* receiver 0: the world */
	struct pkt p;
};

/* What was counted for that reason, of all endpoints and both directions. */
static uint64_t counted(enum pk_reason reason)
{
	uint64_t n = 0;

	for (uint32_t slot = 0; slot < NODE_SLOTS; slot++)
		for (int dir = 0; dir < 2; dir++)
			n += node_counter(slot, (enum pk_dir)dir, reason);
	return n;
}

static void last_hop(struct pkt *p)
{
	p->b[p->b[12] == 0x08 ? L3 + 8 : L3 + 7] = 1;
	pkt_seal(p);
}

static void receive(const struct way *w, enum why why)
{
	struct pk_endpoint ep;

	if (!w->receiver) { /* what the way to the world takes is up0's MTU */
		node_endpoint(w->slot, &ep);
		ep.mtu = 9000;
		node_endpoint_set(w->slot, &ep);
		return;
	}
	node_endpoint(w->receiver, &ep);
	ep.mtu = why == WHY_LENGTH ? 1280 : ep.mtu;
	ep.packets_per_s[PK_INGRESS] = 1;
	node_endpoint_set(w->receiver, &ep);
	node_bucket_set(w->receiver, PK_BUCKET_PACKETS + PK_INGRESS, why == WHY_RATE ? 0 : 9,
			NODE_AHEAD);
}

static void try(const struct way *w, enum why why)
{
	struct node_meta outside = { .ingress_ifindex = 1 };
	struct pkt p = w->p;
	uint64_t before;
	char text[128];

	world_start();
	world_publish(0, 8080, 1, 80);
	receive(w, why);
	if (why == WHY_TTL)
		last_hop(&p);
	if (why == WHY_LENGTH)
		p.len = w->receiver ? 1400 : 1600;
	before = counted(whys[why].reason);
	node_run(w->prog, w->slot, &p, w->prog == NODE_TO ? &outside : NULL);
	snprintf(text, sizeof(text), "%s, %s", w->text, whys[why].text);
	check(text, counted(whys[why].reason) > before && (node_flows() == 0) == (why != WHY_NONE));
}

void cases_undelivered(void)
{
	const struct way ways[] = {
		{ "to a neighbour", NODE_FROM, 1, 2, pkt_v4(WHO_A, WHO_B, UDP(40000, 9)) },
		{ "to a neighbour, IPv6", NODE_FROM, 1, 2, pkt_v6(WHO_A, WHO_B, UDP(40000, 9)) },
		{ "by a published port", NODE_FROM, 2, 1,
		  world_to_node(WHO_B, TCP(40000, 8080, SYN)) },
		{ "to itself by a published port", NODE_FROM, 1, 1,
		  world_to_node(WHO_A, TCP(40000, 8080, SYN)) },
		{ "from the world by a published port", NODE_UP, 0, 1,
		  world_to_node(WHO_WORLD, TCP(40000, 8080, SYN)) },
		{ "masqueraded", NODE_FROM, 1, 0, pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)) },
		{ "masqueraded, IPv6", NODE_FROM, 1, 0, pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 9)) },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		for (int why = WHY_NONE; why < WHYS; why++)
			/* The world has no rate. */
			if (ways[i].receiver || why != WHY_RATE)
				try(&ways[i], (enum why)why);
}
