// SPDX-License-Identifier: Apache-2.0
/*
 * First packets that policy allows and that aren't delivered, for their last hop, their length or
 * the receiver's rate: by each way they leave neither a flow nor an alias, and hold no place.
 */
#include <stdio.h>
#include <string.h>

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

/* Whoever is outside may begin with A, at its own address too. */
static void open_to_all(void)
{
	static const uint32_t classes[] = { PK_CLASS_HOST, PK_CLASS_WORLD4, PK_CLASS_WORLD6 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .dir = PK_INGRESS };

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		key.class = classes[i];
		node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	}
}

/* Both families' addresses of the endpoints are of the node's blocks. */
static void block6(struct pk_node *n)
{
	n->block[1] =
		(struct pk_block){ .addr = { .b = { 0xfd, 0, 0, 0x20 } },
				   .mask = { .b = { 255, 255, 255, 255, 255, 255, 255, 255 } } };
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

/* What isn't the node's own comes to its stack by another device. */
static bool is_forwarded(const struct way *w)
{
	union pk_addr host4 = pkt_ip4(WHO_HOST), host6 = pkt_ip6(WHO_HOST);

	if (w->prog != NODE_TO)
		return false;
	if (w->p.b[12] == 0x08)
		return memcmp(w->p.b + L3 + 12, host4.b + 12, 4);
	return memcmp(w->p.b + L3 + 8, &host6, sizeof(host6));
}

static void try(const struct way *w, enum why why)
{
	struct node_meta outside = { .ingress_ifindex = 1 };
	struct pkt p = w->p;
	uint64_t before;
	char text[128];

	world_start();
	node_settings(block6);
	open_to_all();
	world_publish(0, 8080, 1, 80);
	world_publish_udp(8080, 1, 80);
	receive(w, why);
	if (why == WHY_TTL)
		last_hop(&p);
	if (why == WHY_LENGTH)
		p.len = w->receiver ? 1400 : 1600;
	before = counted(whys[why].reason);
	node_run(w->prog, w->slot, &p, is_forwarded(w) ? &outside : NULL);
	snprintf(text, sizeof(text), "%s, %s", w->text, whys[why].text);
	check(text, counted(whys[why].reason) > before && (node_flows() == 0) == (why != WHY_NONE));
}

/* The world has no rate; the node's stack has counted the hop, and cut for the device. */
static bool may_be(const struct way *w, enum why why)
{
	if (w->prog == NODE_TO)
		return why == WHY_NONE || why == WHY_RATE;
	return w->receiver || why != WHY_RATE;
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
		{ "from the world by a published port, UDP", NODE_UP, 0, 1,
		  world_to_node(WHO_WORLD, UDP(40000, 8080)) },
		{ "from the world by a published port, IPv6", NODE_UP, 0, 1,
		  pkt_v6(WHO_WORLD, WHO_HOST, TCP(40000, 8080, SYN)) },
		{ "from the world to its own address", NODE_UP, 0, 1,
		  pkt_v4(WHO_WORLD, WHO_A, UDP(40000, 9)) },
		{ "from the world to its own address, IPv6", NODE_UP, 0, 1,
		  pkt_v6(WHO_WORLD, WHO_A, UDP(40000, 9)) },
		{ "from the node itself", NODE_TO, 1, 1, pkt_v4(WHO_HOST, WHO_A, UDP(40000, 9)) },
		{ "from the node itself, IPv6", NODE_TO, 1, 1,
		  pkt_v6(WHO_HOST, WHO_A, UDP(40000, 9)) },
		{ "forwarded by the node", NODE_TO, 1, 1, pkt_v4(WHO_WORLD, WHO_A, UDP(40000, 9)) },
		{ "forwarded by the node, IPv6", NODE_TO, 1, 1,
		  pkt_v6(WHO_WORLD, WHO_A, UDP(40000, 9)) },
		{ "masqueraded", NODE_FROM, 1, 0, pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 9)) },
		{ "masqueraded, IPv6", NODE_FROM, 1, 0, pkt_v6(WHO_A, WHO_WORLD, UDP(40000, 9)) },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		for (int why = WHY_NONE; why < WHYS; why++)
			if (may_be(&ways[i], (enum why)why))
				try(&ways[i], (enum why)why);
}
