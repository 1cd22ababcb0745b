// SPDX-License-Identifier: Apache-2.0
/*
 * ICMP errors about translated flows. Whoever gets one sees its own packet quoted as it sent it, to
 * the last checksum, however much of it the reporter quotes.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/world.h"

#define L3 14

/* A packet and its answer, in one protocol and family. */
static const struct kind {
	const char *text;
	bool v6, unsummed;
	struct l4 out, back;
} kinds[] = {
	{ "TCP", false, false, TCP(40000, 443, SYN), TCP(443, 40000, SYN | ACK) },
	{ "UDP", false, false, UDP(40000, 53), UDP(53, 40000) },
	{ "UDP without a sum", false, true, UDP(40000, 53), UDP(53, 40000) },
	{ "a ping", false, false, PING(7), PONG(7) },
	{ "TCP, IPv6", true, false, TCP(40000, 443, SYN), TCP(443, 40000, SYN | ACK) },
	{ "UDP, IPv6", true, false, UDP(40000, 53), UDP(53, 40000) },
	{ "a ping, IPv6", true, false, PING6(7), PONG6(7) },
};

static size_t l4_of(const struct pkt *p)
{
	return L3 + (p->b[12] == 0x08 ? 20 : 40);
}

static struct pkt make(const struct kind *k, enum who from, enum who to, struct l4 l4)
{
	struct pkt p = k->v6 ? pkt_v6(from, to, l4) : pkt_v4(from, to, l4);

	if (k->unsummed)
		world_put_port(&p, 40, 0);
	return p;
}

/* As it is one hop on. */
static struct pkt hop(struct pkt p)
{
	bool unsummed = p.b[23] == 17 && p.b[12] == 0x08 && !world_port(&p, 40);

	if (p.b[12] == 0x08)
		p.b[L3 + 8]--;
	else
		p.b[L3 + 7]--;
	pkt_seal(&p);
	if (unsummed)
		world_put_port(&p, 40, 0);
	return p;
}

/* The L4 port that the world sees, of the sender (0) or the receiver (2), or an echo's id. */
static size_t port_place(const struct kind *k, const struct pkt *p, size_t place)
{
	return l4_of(p) + (k->out.proto == 6 || k->out.proto == 17 ? place : 4);
}

/* A router's error about what A sent, and A's about what it got. */
static void masqueraded(const struct kind *k, size_t n)
{
	struct pkt out = make(k, WHO_A, WHO_WORLD, k->out), wire = out, back, got, error, want;
	struct expect e = { "", PK_REASON_OK, 1, PK_INGRESS, false };
	char text[96];
	uint16_t port;

	world_start();
	node_run(NODE_FROM, 1, &wire, NULL);
	port = world_port(&wire, port_place(k, &wire, 0));
	snprintf(text, sizeof(text), "a router's error about %s, %zu bytes quoted", k->text, n);
	e.text = text;
	error = pkt_error_long(WHO_NOROUTE, WHO_HOST, &wire, n);
	out = hop(out);
	want = pkt_error_long(WHO_NOROUTE, WHO_A, &out, n);
	if (node_expect(&e, NODE_UP, 0, &error, NULL))
		check(text, world_one_hop(&error, &want) && world_to(&error, WHO_A));
	back = make(k, WHO_WORLD, WHO_HOST, k->back);
	world_put_port(&back, port_place(k, &back, 2), port);
	if (!k->unsummed)
		pkt_seal(&back);
	got = back;
	snprintf(text, sizeof(text), "the answer to %s", k->text);
	check(text, node_run(NODE_UP, 0, &got, NULL) == 7);
	snprintf(text, sizeof(text), "A's error about the answer to %s, %zu bytes", k->text, n);
	error = pkt_error_long(WHO_A, WHO_WORLD, &got, n);
	back = hop(back);
	want = pkt_error_long(WHO_HOST, WHO_WORLD, &back, n);
	check(text, node_run(NODE_FROM, 1, &error, NULL) == 7 && world_one_hop(&error, &want));
}

/* Port 8080 of the node is A's port 80, in that family. */
static void publish6(const struct kind *k)
{
	struct pk_published_key key = { .proto = k->out.proto, .port = htons(8080) };
	struct pk_published to = { .slot = 1, .port = htons(80) };
	struct pk_open_port_key open = { .slot = 1, .proto = k->out.proto, .port = htons(80) };
	uint32_t published = PK_OPEN_PUBLISHED;

	node_publish(&key, &to);
	bpf_map_update_elem(node_map("open_ports"), &open, &published, BPF_ANY);
}

static struct l4 ports(const struct kind *k, uint16_t from, uint16_t to, uint8_t flags)
{
	return k->out.proto == 6 ? TCP(from, to, flags) : UDP(from, to);
}

/* A client of the world at A's published port: errors of either about the other's packets. */
static void published(const struct kind *k, size_t n)
{
	struct pkt in = make(k, WHO_WORLD, WHO_HOST, ports(k, 50000, 8080, SYN)), got = in;
	struct pkt reply = make(k, WHO_A, WHO_WORLD, ports(k, 80, 50000, SYN | ACK)), wire = reply;
	struct pkt error, want;
	struct expect e = { "", PK_REASON_OK, 1, PK_INGRESS, false };
	char text[96];

	if (k->out.proto != 6 && k->out.proto != 17)
		return;
	world_start();
	publish6(k);
	snprintf(text, sizeof(text), "a published port of %s", k->text);
	e.text = text;
	check(text, node_run(NODE_UP, 0, &got, NULL) == 7);
	snprintf(text, sizeof(text), "A's error about its client's %s, %zu bytes", k->text, n);
	error = pkt_error_long(WHO_A, WHO_WORLD, &got, n);
	in = hop(in);
	want = pkt_error_long(WHO_HOST, WHO_WORLD, &in, n);
	check(text, node_run(NODE_FROM, 1, &error, NULL) == 7 && world_one_hop(&error, &want));
	check("A's reply", node_run(NODE_FROM, 1, &wire, NULL) == 7);
	snprintf(text, sizeof(text), "the client's error about A's %s, %zu bytes", k->text, n);
	error = pkt_error_long(WHO_WORLD, WHO_HOST, &wire, n);
	reply = hop(reply);
	want = pkt_error_long(WHO_WORLD, WHO_A, &reply, n);
	if (node_expect(&e, NODE_UP, 0, &error, NULL))
		check(text, world_one_hop(&error, &want) && world_to(&error, WHO_A));
}

/* A at its own published port, where either end sees the node. */
static void hairpin(const struct kind *k, size_t n)
{
	struct pkt out = make(k, WHO_A, WHO_HOST, ports(k, 50000, 8080, SYN)), got = out;
	struct pkt reply = make(k, WHO_A, WHO_HOST, ports(k, 80, 50000, SYN | ACK)), seen = reply;
	struct pkt error, want;
	char text[96];

	if (k->out.proto != 6 && k->out.proto != 17)
		return;
	world_start();
	publish6(k);
	snprintf(text, sizeof(text), "its own published port of %s", k->text);
	check(text, node_run(NODE_FROM, 1, &got, NULL) == 7);
	check("answers it", node_run(NODE_FROM, 1, &seen, NULL) == 7);
	snprintf(text, sizeof(text), "an error about what came by it, %s, %zu bytes", k->text, n);
	error = pkt_error_long(WHO_A, WHO_HOST, &got, n);
	out = hop(out);
	want = pkt_error_long(WHO_HOST, WHO_A, &out, n);
	check(text, node_run(NODE_FROM, 1, &error, NULL) == 7 && world_one_hop(&error, &want));
	snprintf(text, sizeof(text), "an error about the answer, %s, %zu bytes", k->text, n);
	error = pkt_error_long(WHO_A, WHO_HOST, &seen, n);
	reply = hop(reply);
	want = pkt_error_long(WHO_HOST, WHO_A, &reply, n);
	check(text, node_run(NODE_FROM, 1, &error, NULL) == 7 && world_one_hop(&error, &want));
}

/* Errors at the uplink that are about nothing of ours are the host's. */
static void of_the_host(void)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_EGRESS };
	struct pkt reply = pkt_v4(WHO_HOST, WHO_A, TCP(22, 40000, SYN | ACK));
	struct pkt own = pkt_v4(WHO_HOST, WHO_WORLD, TCP(10001, 443, SYN));
	struct pkt own6 = pkt_v6(WHO_HOST, WHO_WORLD, UDP(10001, 443));

	world_start();
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	node_from("A to the host", 1, pkt_v4(WHO_A, WHO_HOST, TCP(40000, 22, SYN)), PK_REASON_OK);
	world_untouched("an error about what the host answers A",
			pkt_error(WHO_WORLD, WHO_HOST, &reply));
	world_untouched("an error about the host's own", pkt_error(WHO_WORLD, WHO_HOST, &own));
	world_untouched("and in IPv6", pkt_error(WHO_WORLD, WHO_HOST, &own6));
}

void cases_quote(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		/* TCP's sum is behind the eight bytes that every reporter quotes. */
		for (size_t n = 8; n <= 20; n += kinds[i].out.proto == 6 ? 12 : 8) {
			if (n > 8 + kinds[i].out.payload && kinds[i].out.proto != 6)
				break;
			masqueraded(&kinds[i], n);
			published(&kinds[i], n);
			hairpin(&kinds[i], n);
		}
	}
	of_the_host();
	node_reset();
}
