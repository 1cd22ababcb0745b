// SPDX-License-Identifier: Apache-2.0
/*
 * Reasons at each hook that can come to them (hooks.h): what the other subjects ask of packets from
 * an endpoint is asked here of those from the node's stack, by an uplink and out of the overlay.
 */
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"
#include "tests/bpf/overlay.h"
#include "tests/bpf/world.h"

#define TAILS 12 /* places of `programs`, the first of which stays empty */

/* One hook: who sends through it, and the slot where a packet is counted whose bytes are wrong. */
struct way {
	const char *text;
	enum node_prog hook;
	enum who from;
	uint32_t slot;
};

static const struct way ways[] = {
	{ "from the node's stack", NODE_TO, WHO_HOST, 1 },
	{ "by an uplink", NODE_UP, WHO_WORLD, 0 },
	{ "out of the overlay", NODE_FABRIC, WHO_FAR, 0 },
};

static struct pkt packet(const struct way *w, bool v6, struct l4 l4)
{
	if (w->hook == NODE_FABRIC)
		return overlay_packet(v6, w->from, WHO_A, l4);
	return v6 ? pkt_v6(w->from, WHO_A, l4) : pkt_v4(w->from, WHO_A, l4);
}

static void sent(const struct way *w, const char *what, struct pkt p, uint32_t slot,
		 enum pk_reason reason)
{
	struct expect e = { what, reason, slot, PK_INGRESS, false };

	if (w->hook == NODE_FABRIC)
		overlay_in_of(what, p, slot, reason);
	else
		node_expect(&e, w->hook, w->hook == NODE_TO ? slot : 0, &p, NULL);
}

/* At an uplink the node tells whoever is outside, as a router does. */
static void sent_told(const struct way *w, const char *what, struct pkt p, enum pk_reason reason)
{
	struct expect e = { what, reason, 1, PK_INGRESS, w->hook == NODE_UP };

	if (w->hook == NODE_FABRIC)
		overlay_in_of(what, p, 1, reason);
	else
		node_expect(&e, w->hook, 0, &p, NULL);
}

static void sent_to_a(const struct way *w, const char *what, enum pk_reason reason)
{
	sent(w, what, packet(w, false, UDP(40000, 53)), 1, reason);
}

static void some_new_flows(struct pk_node *n)
{
	n->new_flows_per_s = 2;
}

static void block6(struct pk_node *n)
{
	n->block[1] =
		(struct pk_block){ .addr = { .b = { 0xfd, 0, 0, 0x20 } },
				   .mask = { .b = { 255, 255, 255, 255, 255, 255, 255, 255 } } };
}

/* Everybody outside may begin with A and with C. */
static void opened(uint32_t tenant)
{
	static const uint32_t classes[] = { PK_CLASS_HOST, PK_CLASS_WORLD4, PK_CLASS_WORLD6 };

	overlay_start(tenant);
	node_settings(block6);
	for (uint32_t set = 1; set <= 2; set++)
		for (size_t i = 0; i < 3; i++) {
			struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
						      .rule_set = set,
						      .class = classes[i],
						      .dir = PK_INGRESS };

			node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
		}
}

static const struct {
	const char *text;
	bool v6;
	struct l4 l4;
	struct {
		uint16_t off;
		uint8_t value;
	} change[2];
	enum pk_reason reason;
	bool hosts; /* at an uplink it is the host's */
} bytes[] = {
	{ "a header of 16 bytes",
	  false,
	  UDP(40000, 53),
	  { { 14, 0x44 } },
	  PK_REASON_MALFORMED,
	  true },
	{ "a cut UDP header", false, UDP(40000, 53), { { 17, 27 } }, PK_REASON_TRUNCATED, false },
	{ "a tag in the data",
	  false,
	  UDP(40000, 53),
	  { { 12, 0x88 }, { 13, 0xa8 } },
	  PK_REASON_VLAN,
	  true },
	{ "LLDP",
	  false,
	  UDP(40000, 53),
	  { { 12, 0x88 }, { 13, 0xcc } },
	  PK_REASON_ETHERTYPE,
	  true },
	{ "a routing header", true, UDP(40000, 53), { { 20, 43 } }, PK_REASON_EXT_HEADER, false },
};

static void each_byte(const struct way *w)
{
	char text[96];

	for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
		struct pkt p;

		if (w->hook == NODE_UP && bytes[i].hosts)
			continue;
		opened(1);
		p = packet(w, bytes[i].v6, bytes[i].l4);
		for (size_t k = 0; k < 2; k++)
			if (bytes[i].change[k].off)
				p.b[bytes[i].change[k].off] = bytes[i].change[k].value;
		snprintf(text, sizeof(text), "%s %s", bytes[i].text, w->text);
		sent(w, text, p, w->slot, bytes[i].reason);
	}
}

static void a_redirect(const struct way *w)
{
	opened(1);
	sent(w, "a redirect", packet(w, false, (struct l4){ 1, 1, 5 << 8, 0, 8 }), 1,
	     PK_REASON_SPOOFED_ND);
}

static void options(const struct way *w)
{
	static const uint8_t route[4] = { 7, 3, 4, 0 };
	struct pkt p;

	opened(1);
	p = packet(w, false, UDP(40000, 53));
	memmove(p.b + 38, p.b + 34, p.len - 34);
	memcpy(p.b + 34, route, 4);
	p.len += 4;
	p.b[14]++;
	p.b[17] += 4;
	pkt_seal(&p);
	sent(w, "a recorded route", p, w->slot, PK_REASON_IP_OPTION);
}

static void limits(const struct way *w)
{
	struct pk_endpoint ep;

	opened(1);
	node_endpoint(1, &ep);
	ep.packets_per_s[PK_INGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_PACKETS + PK_INGRESS, 0, NODE_AHEAD);
	sent_to_a(w, "over its packets", PK_REASON_RATE_LIMIT);
	opened(1);
	node_settings(some_new_flows);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS, 0, NODE_AHEAD);
	sent_to_a(w, "over its new flows", PK_REASON_FLOW_RATE);
	opened(1);
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("A's flows", 1, pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 9)), PK_REASON_OK);
	sent_to_a(w, "beyond its flows", PK_REASON_FLOW_BUDGET);
}

static void nothing_there(const struct way *w)
{
	opened(1);
	node_word(1, 0, 0, 2);
	sent_to_a(w, "without a rule set", PK_REASON_NO_RULE_SET);
	opened(1);
	for (uint32_t place = 1; place < TAILS; place++)
		node_tail(place, false);
	sent_to_a(w, "no slow path", PK_REASON_TAIL_CALL_MISSING);
	for (uint32_t place = 1; place < TAILS; place++)
		node_tail(place, true);
}

static void full(const struct way *w)
{
	struct pkt p;

	opened(w->hook == NODE_FABRIC ? 2 : 1);
	for (int i = 0; i < NODE_BUDGET; i++) {
		node_from("A's flows", 1, pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 9)), PK_REASON_OK);
		node_from("B's flows", 2, pkt_v4(WHO_B, WHO_A, UDP(1000 + i, 9)), PK_REASON_OK);
	}
	p = packet(w, false, UDP(40000, 53));
	p.b[33] = WHO_C;
	pkt_seal(&p);
	sent(w, "the table is full", p, 3, PK_REASON_MAP_FULL);
}

static void hops(const struct way *w)
{
	struct pk_endpoint ep;
	struct pkt p;

	opened(1);
	p = packet(w, false, UDP(40000, 53));
	p.b[22] = 1;
	pkt_seal(&p);
	sent_told(w, "its last hop", p, PK_REASON_TTL);
	opened(1);
	node_endpoint(1, &ep);
	ep.mtu = 600;
	node_endpoint_set(1, &ep);
	p = packet(w, false, UDP(40000, 53));
	pkt_longer(&p, 700);
	sent_told(w, "longer than A's MTU", p, PK_REASON_LENGTH);
}

/* Who is outside is told out of a bucket of the node's, and not where a group would hear it. */
static void told_outside(const struct way *w)
{
	struct pkt last = packet(w, false, UDP(40000, 53)), longer = last;
	struct pk_endpoint ep;

	opened(1);
	node_endpoint(1, &ep);
	ep.mtu = 600;
	node_endpoint_set(1, &ep);
	last.b[22] = 1;
	pkt_seal(&last);
	pkt_longer(&longer, 700);
	last.b[6] |= 1;
	sent(w, "its last hop, from a group's MAC", last, 1, PK_REASON_TTL);
	last.b[6] &= 0xfe;
	node_bucket_set(0, PK_BUCKET_ANSWERS, 150, 0);
	sent(w, "half of the bucket isn't for a last hop", last, 1, PK_REASON_TTL);
	sent_told(w, "but for who is told of an MTU", longer, PK_REASON_LENGTH);
	node_bucket_set(0, PK_BUCKET_ANSWERS, 0, NODE_AHEAD);
	sent(w, "the bucket is empty", longer, 1, PK_REASON_LENGTH);
	check("A's own is as it was", !node_bucket(1, PK_BUCKET_ANSWERS));
}

/* From B's address, which never comes from outside. */
static void from_b(const struct way *w, bool v6)
{
	struct node_meta forwarded = { .ingress_ifindex = node_ifindex(3) };
	struct expect e = { "from B's address",
			    v6 ? PK_REASON_SPOOFED_IPV6 : PK_REASON_SPOOFED_IPV4, 1, PK_INGRESS,
			    false };
	struct l4 udp = UDP(40000, 53);
	struct pkt p = v6 ? pkt_v6(WHO_B, WHO_A, udp) : pkt_v4(WHO_B, WHO_A, udp);

	opened(1);
	if (w->hook == NODE_FABRIC)
		overlay_in_of(e.text, overlay_packet(v6, WHO_B, WHO_A, udp), 1, e.reason);
	else
		node_expect(&e, w->hook, w->hook == NODE_TO, &p,
			    w->hook == NODE_TO ? &forwarded : NULL);
}

static void no_way_back(const struct way *w)
{
	opened(1);
	node_forwarding(1, false);
	sent_to_a(w, "no way back", PK_REASON_FORWARDING_OFF);
	node_forwarding(1, true);
}

/* An address of the cluster's that nobody has, and policy that lets it in. */
static void nobodys(const struct way *w)
{
	struct node_meta forwarded = { .ingress_ifindex = node_ifindex(3) };
	struct expect e = { "from nobody's address", PK_REASON_NOT_BUILT, 1, PK_INGRESS, false };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_UNKNOWN,
				      .dir = PK_INGRESS };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, UDP(40000, 53));
	union pk_addr far = pkt_ip4(WHO_FAR);

	opened(1);
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	bpf_map_delete_elem(node_map("remote"), &far);
	node_pool("198.51.100.0", 24);
	node_pool("10.93.0.0", 24);
	if (w->hook == NODE_TO)
		node_expect(&e, NODE_TO, 1, &p, &forwarded);
	else
		sent_to_a(w, e.text, w->hook == NODE_UP ? e.reason : PK_REASON_NO_ROUTE);
}

/* The guard takes out of a tunnel what came plain, at the uplink itself. */
static void to_a_group(void)
{
	struct pkt p;

	overlay_plain = true;
	opened(1);
	p = overlay_packet(false, WHO_FAR, WHO_A, UDP(40000, 53));
	memcpy(p.b + 30, "\xe0\0\0\5", 4);
	pkt_seal(&p);
	overlay_in_of("to a group, out of a tunnel", p, 0, PK_REASON_MULTICAST);
	overlay_plain = false;
}

void cases_hook(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		each_byte(&ways[i]);
		if (ways[i].hook != NODE_UP)
			options(&ways[i]);
		a_redirect(&ways[i]);
		limits(&ways[i]);
		nothing_there(&ways[i]);
		full(&ways[i]);
		if (ways[i].hook != NODE_TO)
			hops(&ways[i]);
		if (ways[i].hook == NODE_UP)
			told_outside(&ways[i]);
		from_b(&ways[i], false);
		from_b(&ways[i], true);
		if (ways[i].hook != NODE_TO)
			no_way_back(&ways[i]);
		nobodys(&ways[i]);
	}
	to_a_group();
}
