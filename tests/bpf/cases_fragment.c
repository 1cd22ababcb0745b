// SPDX-License-Identifier: Apache-2.0
/* Datagrams in pieces: the first is judged, the later ones go with it or not at all. */
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/node.h"
#include "tests/bpf/world.h"

#define L3   14
#define HEAD 104 /* bytes of a datagram that its first piece has, the L4 header among them */
#define MID  208
#define ID   0x4711

/* A datagram of 312 bytes and its three pieces; sealed as a whole, so that its checksum is right. */
static struct pkt datagram(bool v6, enum who from, enum who to, struct l4 l4)
{
	struct pkt p = v6 ? pkt_v6(from, to, l4) : pkt_v4(from, to, l4);

	pkt_longer(&p, 3 * HEAD - (p.len - L3 - (v6 ? 40 : 20)));
	return p;
}

static struct pkt piece(const struct pkt *whole, int nr)
{
	return pkt_piece(whole, nr * HEAD, nr < 2 ? (nr + 1) * HEAD : 3 * HEAD, ID);
}

static struct expect seen(const char *text, enum pk_reason reason, uint32_t slot, enum pk_dir dir)
{
	return (struct expect){ text, reason, slot, dir, false };
}

/* Is it that piece of `want`, one hop later, as one of the datagram `id`? */
static bool is_piece_of(const struct pkt *is, struct pkt want, int nr, uint32_t id)
{
	struct pkt p;

	want.b[L3 + (want.b[12] == 0x08 ? 8 : 7)]--;
	pkt_seal(&want);
	p = pkt_piece(&want, nr * HEAD, nr < 2 ? (nr + 1) * HEAD : 3 * HEAD, id);
	return is->len == p.len && !memcmp(is->b + L3, p.b + L3, p.len - L3);
}

static bool is_piece(const struct pkt *is, struct pkt want, int nr)
{
	return is_piece_of(is, want, nr, ID);
}

/* The id with which a first piece from an address of several endpoints has left. */
static uint32_t id_left(const struct pkt *p)
{
	return p->b[12] == 0x08 ? world_port(p, L3 + 4) : ID;
}

static const struct kind {
	const char *text;
	bool v6;
	struct l4 out, back;
} kinds[] = {
	{ "UDP", false, UDP(40000, 5000), UDP(5000, 40000) },
	{ "a ping", false, PING(77), PONG(77) },
	{ "TCP", false, TCP(40000, 80, SYN), TCP(80, 40000, SYN | ACK) },
	{ "a protocol by number", false, { 99, 0, 0, 0, 8 }, { 99, 0, 0, 0, 8 } },
	{ "UDP over IPv6", true, UDP(40000, 5000), UDP(5000, 40000) },
	{ "a ping over IPv6", true, PING6(77), PONG6(77) },
};

/*
 * Between two endpoints, there and back.
 * P15: once a first fragment is let in, the later ones are delivered, as they are.
 */
static void inside(const struct kind *k)
{
	struct pkt there = datagram(k->v6, WHO_A, WHO_B, k->out), p;
	struct pkt back = datagram(k->v6, WHO_B, WHO_A, k->back);
	char text[96];

	node_reset();
	for (int nr = 0; nr < 3; nr++) {
		struct expect e = seen(text, PK_REASON_OK, 1, PK_EGRESS);

		snprintf(text, sizeof(text), "%s: piece %d", k->text, nr);
		p = piece(&there, nr);
		node_expect(&e, NODE_FROM, 1, &p, NULL);
		snprintf(text, sizeof(text), "%s: piece %d is as it was", k->text, nr);
		check(text, is_piece(&p, there, nr));
	}
	for (int nr = 0; nr < 3; nr++) {
		struct expect e = seen(text, PK_REASON_OK, 2, PK_EGRESS);

		snprintf(text, sizeof(text), "%s: piece %d of the answer", k->text, nr);
		p = piece(&back, nr);
		node_expect(&e, NODE_FROM, 2, &p, NULL);
		check(text, is_piece(&p, back, nr));
	}
}

/*
 * What isn't the first's own goes nowhere.
 * P16: a later fragment that has no first one of its own is dropped as fragment.
 */
static void strangers(bool v6)
{
	struct l4 udp = UDP(40000, 5000);
	struct pkt whole = datagram(v6, WHO_A, WHO_B, udp), other = whole, p;
	struct pkt of_b = datagram(v6, WHO_B, WHO_A, udp);

	node_reset();
	node_from("a later piece before the first", 1, piece(&whole, 1), PK_REASON_FRAGMENT);
	node_from("the first piece", 1, piece(&whole, 0), PK_REASON_OK);
	node_from("the later one once more", 1, piece(&whole, 1), PK_REASON_OK);
	node_from("a piece of another datagram", 1, pkt_piece(&whole, MID, 3 * HEAD, ID + 1),
		  PK_REASON_FRAGMENT);
	node_from("a piece that overlaps the first", 1, pkt_piece(&whole, HEAD - 8, MID, ID),
		  PK_REASON_FRAGMENT);
	node_from("one that begins inside the header", 1, pkt_piece(&whole, 8, MID, ID),
		  PK_REASON_FRAGMENT);
	node_from("the same id from another endpoint", 2, piece(&of_b, 1), PK_REASON_FRAGMENT);
	other = datagram(v6, WHO_A, WHO_HOST, udp);
	node_from("the same id to another address", 1, piece(&other, 1), PK_REASON_FRAGMENT);
	if (!v6) {
		other = datagram(v6, WHO_A, WHO_B, TCP(40000, 5000, SYN));
		node_from("the same id of another protocol", 1, piece(&other, 1),
			  PK_REASON_FRAGMENT);
	}
	p = datagram(v6, WHO_A, WHO_B, UDP(40000, 5000));
	node_word(1, 0, 0, 2);
	node_from("a first piece with that id that is denied", 1, piece(&p, 0),
		  PK_REASON_NO_RULE_SET);
	node_word(1, 1, 0, 3);
	node_from("ends what the one before had opened", 1, piece(&whole, 1), PK_REASON_FRAGMENT);
	p = pkt_piece(&whole, MID, 3 * HEAD - 3, ID);
	pkt_more(&p);
	node_from("a piece in the middle that isn't cut at 8 bytes", 1, p, PK_REASON_FRAGMENT);
	p = pkt_piece(&whole, MID, MID, ID);
	node_from("an empty piece", 1, p, PK_REASON_FRAGMENT);
	p = pkt_piece_at(&whole, MID, 3 * HEAD, ID, 65528);
	node_from("a piece that ends beyond 65,535", 1, p, PK_REASON_FRAGMENT);
}

/* More datagrams than an endpoint's places, so that some have the first one's: it loses nothing. */
static void beside(void)
{
	struct pkt whole = datagram(false, WHO_A, WHO_B, UDP(40000, 5000));
	struct pkt other = datagram(false, WHO_A, WHO_C, UDP(40000, 5000));
	struct pkt odd = whole;
	struct pkt zero = datagram(false, WHO_A, WHO_B, (struct l4){ 0, 0, 0, 0, 8 }), cut;
	int passed = 0;

	pkt_longer(&odd, 3);
	node_reset();
	node_from("a first piece", 1, piece(&whole, 0), PK_REASON_OK);
	for (uint32_t i = 1; i <= 8 * PK_FRAGMENTS; i++) {
		struct pkt p = pkt_piece(&other, 0, HEAD, ID + i);

		passed += node_run(NODE_FROM, 1, &p, NULL) != 2;
	}
	check("other datagrams' first pieces are denied", !passed);
	node_from("and end nothing but their own", 1, piece(&whole, 1), PK_REASON_OK);
	node_from("a last piece that isn't cut at 8 bytes", 1,
		  pkt_piece(&odd, MID, 3 * HEAD + 3, ID), PK_REASON_OK);
	cut = pkt_piece(&whole, MID, 3 * HEAD - 3, ID);
	pkt_more(&cut);
	node_from("one in the middle that isn't", 1, cut, PK_REASON_FRAGMENT);
	node_from("an empty one", 1, pkt_piece(&whole, MID, MID, ID), PK_REASON_FRAGMENT);
	node_from("one that ends beyond 65,535", 1,
		  pkt_piece_at(&odd, MID, 3 * HEAD + 3, ID, 65535 - 20 - HEAD + 5),
		  PK_REASON_FRAGMENT);
	node_from("a first piece of protocol 0", 1, pkt_piece(&zero, 0, HEAD, ID),
		  PK_REASON_FRAGMENT);
	node_from("a last piece that ends at 65,535", 1,
		  pkt_piece_at(&odd, MID, 3 * HEAD + 3, ID, 65535 - 20 - HEAD - 3), PK_REASON_OK);
}

/* A flow that is denied, and known to be: its pieces are, too. */
static void revoked(void)
{
	struct pkt whole = datagram(false, WHO_A, WHO_B, UDP(40000, 5000));
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_EGRESS };

	node_reset();
	node_from("a datagram in one piece", 1, whole, PK_REASON_OK);
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 64);
	node_word(1, 1, 0, 2);
	node_from("another one, after its port was denied", 1, whole, PK_REASON_POLICY_DENIED);
	node_from("the first piece of one", 1, piece(&whole, 0), PK_REASON_POLICY_DENIED);
	node_from("and the next", 1, piece(&whole, 1), PK_REASON_FRAGMENT);
}

/*
 * Whoever isn't let in by the first piece isn't by a later one.
 * P15: where the first fragment is denied, so is each later one. P16: a tiny first one is dropped.
 */
static void denied(bool v6)
{
	struct pkt whole = datagram(v6, WHO_A, WHO_C, UDP(40000, 5000));
	struct pkt tiny = datagram(v6, WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt error = datagram(v6, WHO_A, WHO_B,
				    (struct l4){ v6 ? 58 : 1, 0, v6 ? 1 << 8 : 3 << 8, 0, 8 });
	struct pkt timestamp = datagram(
		v6, WHO_A, WHO_B, (struct l4){ v6 ? 58 : 1, 0, v6 ? 160 << 8 : 13 << 8, 0, 8 });
	struct pkt stale = datagram(v6, WHO_A, WHO_B, UDP(40000, 5000));
	struct pkt dying = stale;

	node_reset();
	node_from("the first piece is denied", 1, piece(&whole, 0), PK_REASON_POLICY_DENIED);
	node_from("and so is what follows", 1, piece(&whole, 1), PK_REASON_FRAGMENT);
	node_from("a first piece without the whole header", 1, pkt_piece(&tiny, 0, 8, ID),
		  PK_REASON_FRAGMENT);
	node_from("and what follows", 1, pkt_piece(&tiny, 8, MID, ID), PK_REASON_FRAGMENT);
	node_from("an ICMP error in pieces", 1, piece(&error, 0), PK_REASON_FRAGMENT);
	node_from("ICMP that has no flow, in pieces", 1, piece(&timestamp, 0), PK_REASON_FRAGMENT);
	dying.b[L3 + (v6 ? 7 : 8)] = 1;
	pkt_seal(&dying);
	node_from_told("a first piece whose hops run out", 1, piece(&dying, 0), 1, PK_EGRESS,
		       PK_REASON_TTL);
	node_from("leaves nothing to go by", 1, piece(&stale, 1), PK_REASON_FRAGMENT);
	node_from("a first piece", 1, piece(&stale, 0), PK_REASON_OK);
	node_from("the hops of a later piece run out, and nobody is told", 1, piece(&dying, 1),
		  PK_REASON_TTL);
	node_word(2, 2, 0, 2);
	node_word(1, 0, 0, 3);
	node_from("the policy goes between two pieces", 1, piece(&stale, 1), PK_REASON_NO_RULE_SET);
	node_word(1, 1, 0, 4);
	node_from("and comes back", 1, piece(&stale, 2), PK_REASON_OK);
}

/* Every place as if its first piece had come so many seconds ago. */
static void age(uint32_t seconds)
{
	struct pk_fragment_place place;

	for (uint32_t at = 0; at < NODE_FRAGMENTS; at++) {
		bpf_map_lookup_elem(node_map("fragments"), &at, &place);
		if (!place.first.proto)
			continue;
		place.first.seen -= seconds * node_hz();
		bpf_map_update_elem(node_map("fragments"), &at, &place, BPF_ANY);
	}
}

static void life(void)
{
	struct pkt whole = datagram(false, WHO_A, WHO_B, UDP(40000, 5000));

	node_reset();
	node_from("a first piece", 1, piece(&whole, 0), PK_REASON_OK);
	age(14);
	node_from("is known for 15 seconds", 1, piece(&whole, 1), PK_REASON_OK);
	age(2);
	node_from("and no longer", 1, piece(&whole, 1), PK_REASON_FRAGMENT);
}

static void put_address(struct pkt *p, bool v6, bool source, union pk_addr to)
{
	if (v6)
		memcpy(p->b + L3 + (source ? 8 : 24), &to, 16);
	else
		memcpy(p->b + L3 + (source ? 12 : 16), &to.w[3], 4);
	pkt_seal(p);
}

/*
 * Of so many others that some take the place of this one for certain, none goes by its word, though
 * each has a flow to go by.
 */
static void neighbours(bool v6)
{
	struct l4 out = UDP(40000, 5000), back = UDP(5000, 40000);
	struct pkt whole = datagram(v6, WHO_A, WHO_B, out), p;
	struct pkt world = datagram(v6, WHO_A, WHO_WORLD, out);
	struct pkt from_node = datagram(v6, WHO_HOST, WHO_A, back);
	struct pkt from_world = datagram(v6, WHO_WORLD, WHO_A, back);
	struct pkt host = datagram(v6, WHO_A, WHO_HOST, out);
	struct node_meta routed = { .ingress_ifindex = 1 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_EGRESS };
	bool ids = true, destinations = true, sources = true;

	node_reset();
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW), 1);
	node_from("a first piece to the world", 1, piece(&world, 0), PK_REASON_OK);
	node_from("one to the host", 1, piece(&host, 0), PK_REASON_OK);
	node_from("one to B", 1, piece(&whole, 0), PK_REASON_OK);
	for (uint32_t i = 1; i <= 16 * PK_FRAGMENTS; i++) {
		p = pkt_piece(&whole, MID, 3 * HEAD, ID + i);
		ids &= node_run(NODE_FROM, 1, &p, NULL) == 2;
	}
	check("no other id is known", ids);
	for (uint32_t i = 1; i <= 16 * PK_FRAGMENTS; i++) {
		p = pkt_piece(&whole, 0, HEAD, 2 * ID + i);
		node_run(NODE_FROM, 1, &p, NULL);
		p = pkt_piece(&world, HEAD, MID, 2 * ID + i);
		destinations &= node_run(NODE_FROM, 1, &p, NULL) == 2;
		p = pkt_piece(&from_node, 0, HEAD, 3 * ID + i);
		node_run(NODE_TO, 1, &p, NULL);
		p = pkt_piece(&from_world, HEAD, MID, 3 * ID + i);
		sources &= node_run(NODE_TO, 1, &p, &routed) == 2;
	}
	check("no other destination of that id", destinations);
	check("no other source", sources);
	node_to("the node's own later piece is known", 1,
		pkt_piece(&from_node, HEAD, MID, 3 * ID + 16 * PK_FRAGMENTS), PK_REASON_OK);
}

/* To the world behind the node's address, and the answer. */
static void masqueraded(const struct kind *k)
{
	size_t l4 = L3 + (k->v6 ? 40 : 20), port = k->out.proto == 17 ? l4 : l4 + 4;
	size_t port_back = k->out.proto == 17 ? l4 + 2 : l4 + 4;
	struct pkt out = datagram(k->v6, WHO_A, WHO_WORLD, k->out), want = out, p;
	struct pkt back = datagram(k->v6, WHO_WORLD, WHO_A, k->back), wire = back;
	union pk_addr node = k->v6 ? pkt_ip6(WHO_HOST) : pkt_ip4(WHO_HOST);
	struct expect e;
	uint32_t id;
	char text[96];

	world_start();
	p = piece(&out, 0);
	check("a first piece to the world goes by the neighbour",
	      node_run(NODE_FROM, 1, &p, NULL) == 7);
	world_put_port(&want, port, world_port(&p, port + (k->v6 ? 8 : 0)));
	put_address(&want, k->v6, true, node);
	snprintf(text, sizeof(text), "%s: masqueraded, piece 0", k->text);
	id = id_left(&p);
	check(text, is_piece_of(&p, want, 0, id));
	for (int nr = 1; nr < 3; nr++) {
		p = piece(&out, nr);
		node_run(NODE_FROM, 1, &p, NULL);
		snprintf(text, sizeof(text), "%s: masqueraded, piece %d", k->text, nr);
		check(text, is_piece_of(&p, want, nr, id));
	}
	world_put_port(&wire, port_back, world_port(&want, port));
	put_address(&wire, k->v6, false, node);
	world_untouched("a later piece of an answer before the first", piece(&wire, 1));
	for (int nr = 0; nr < 3; nr++) {
		p = piece(&wire, nr);
		snprintf(text, sizeof(text), "%s: piece %d of the world's answer", k->text, nr);
		e = seen(text, PK_REASON_OK, 1, PK_INGRESS);
		node_expect(&e, NODE_UP, 0, &p, NULL);
		snprintf(text, sizeof(text), "%s: answer %d as plain forwarding would", k->text,
			 nr);
		check(text, is_piece(&p, back, nr));
	}
}

/* By a published port, and the answer. */
static void published(void)
{
	struct pkt in = datagram(false, WHO_WORLD, WHO_HOST, UDP(50000, 8080)), p;
	struct pkt want = datagram(false, WHO_WORLD, WHO_A, UDP(50000, 80));
	struct pkt reply = datagram(false, WHO_A, WHO_WORLD, UDP(80, 50000));
	struct pkt wire = datagram(false, WHO_HOST, WHO_WORLD, UDP(8080, 50000));
	struct pkt routed = datagram(false, WHO_WORLD, WHO_A, UDP(50001, 80));
	uint32_t id = 0;
	struct expect e;

	world_start();
	world_publish_udp(8080, 1, 80);
	world_untouched("a later piece for nobody", piece(&in, 1));
	for (int nr = 0; nr < 3; nr++) {
		e = seen("a piece to a published port", PK_REASON_OK, 1, PK_INGRESS);
		p = piece(&in, nr);
		node_expect(&e, NODE_UP, 0, &p, NULL);
		check("comes to the endpoint's own", is_piece(&p, want, nr));
	}
	for (int nr = 0; nr < 3; nr++) {
		p = piece(&reply, nr);
		check("a piece of its answer leaves", node_run(NODE_FROM, 1, &p, NULL) == 7);
		id = nr ? id : id_left(&p);
		check("as the published port's", is_piece_of(&p, wire, nr, id));
	}
	e = seen("a later piece to an endpoint's own address", PK_REASON_FRAGMENT, 0, PK_INGRESS);
	p = piece(&routed, 1);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	in = datagram(false, WHO_WORLD, WHO_HOST, UDP(50000, 22));
	world_untouched("a first piece of the host's own", piece(&in, 0));
	world_untouched("a later piece of the host's own", piece(&in, 1));
}

/* From the node's stack. */
static void from_host(bool v6)
{
	struct pkt ask = v6 ? pkt_v6(WHO_A, WHO_HOST, UDP(40000, 53))
			    : pkt_v4(WHO_A, WHO_HOST, UDP(40000, 53));
	struct pkt whole = datagram(v6, WHO_HOST, WHO_A, UDP(53, 40000));
	struct pkt other = datagram(v6, WHO_HOST, WHO_A, UDP(54, 40000)), p;
	struct expect cut =
		seen("a piece that the kernel is to cut", PK_REASON_FRAGMENT, 1, PK_INGRESS);
	struct node_meta gso = { .gso_size = 600 };
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_EGRESS };

	node_reset();
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW), 1);
	node_from("a question to the node's resolver", 1, ask, PK_REASON_OK);
	node_to("a later piece of the answer before the first", 1, piece(&whole, 1),
		PK_REASON_FRAGMENT);
	node_to("the first piece of the answer", 1, piece(&whole, 0), PK_REASON_OK);
	node_to("the second one", 1, piece(&whole, 1), PK_REASON_OK);
	node_to("the last one", 1, piece(&whole, 2), PK_REASON_OK);
	p = piece(&whole, 0);
	node_expect(&cut, NODE_TO, 1, &p, &gso);
	node_to("what nobody asked for", 1, piece(&other, 0), PK_REASON_POLICY_DENIED);
}

/* The same over IPv6, from a guest's link-local address. */
static void answered6(void)
{
	union pk_addr own = { .b = { 0xfe, 0x80, [15] = 0x11 } };
	struct pkt ping = datagram(true, WHO_A, WHO_GATEWAY, PING6(7)), want, p;
	struct expect e = seen("a piece of a ping of fe80::1", PK_REASON_OK, 1, PK_EGRESS);

	put_address(&ping, true, true, own);
	want = datagram(true, WHO_GATEWAY, WHO_A, PONG6(7));
	put_address(&want, true, false, own);
	want.b[L3 + 7]++;
	node_reset();
	node_from("the rest of a ping that nobody began", 1, piece(&ping, 1), PK_REASON_FRAGMENT);
	for (int nr = 0; nr < 3; nr++) {
		p = piece(&ping, nr);
		node_expect(&e, NODE_FROM, 1, &p, NULL);
		check("comes back as its answer's", is_piece(&p, want, nr));
	}
}

/* Of what the gateway answers only its ping may be long. */
static void answered(void)
{
	struct pkt ping = datagram(false, WHO_A, WHO_GATEWAY, PING(7)), want, p;
	struct pkt dhcp = pkt_dhcp(WHO_A, 1, 0, 0);
	struct pkt dhcp6 = pkt_dhcp6(WHO_A, "\1\0\0\0\0\1\0\4\0\4\1\2", 12);
	union pk_addr target = pkt_ip6(WHO_GATEWAY);
	struct pkt ns = pkt_nd(WHO_A, 135, &target, 0);
	struct expect e = seen("a piece of a ping of the gateway", PK_REASON_OK, 1, PK_EGRESS);

	node_reset();
	want = pkt_v4(WHO_GATEWAY, WHO_A, PONG(7));
	pkt_longer(&want, ping.len - want.len);
	memcpy(want.b + L3 + 28, ping.b + L3 + 28, ping.len - L3 - 28);
	want.b[L3 + 8]++; /* is_piece() takes one away, the gateway's own answer none */
	pkt_seal(&want);
	for (int nr = 0; nr < 3; nr++) {
		p = piece(&ping, nr);
		node_expect(&e, NODE_FROM, 1, &p, NULL);
		check("comes back as its answer's", is_piece(&p, want, nr));
	}
	node_from("a later piece of no ping of it", 1, pkt_piece(&ping, MID, 3 * HEAD, ID + 1),
		  PK_REASON_FRAGMENT);
	node_from("DHCP in pieces", 1, pkt_piece(&dhcp, 0, 256, ID), PK_REASON_FRAGMENT);
	node_from("DHCPv6 in pieces", 1, pkt_piece(&dhcp6, 0, 16, ID), PK_REASON_FRAGMENT);
	node_from("neighbour discovery in pieces", 1, pkt_piece(&ns, 0, 24, ID),
		  PK_REASON_FRAGMENT);
}

/* A checksum that somebody else is to finish can't be, of a piece. */
static void partial(void)
{
	struct pkt whole = datagram(false, WHO_A, WHO_B, UDP(40000, 5000)), p;
	struct vnet vnet = { .flags = VNET_PARTIAL, .csum_start = 34, .csum_offset = 6 };
	struct expect e =
		seen("a first piece with a partial checksum", PK_REASON_FRAGMENT, 1, PK_EGRESS);

	node_reset();
	for (int nr = 0; nr < 2; nr++) {
		p = piece(&whole, nr);
		devices_drain();
		node_watch();
		check(e.text,
		      !devices_tap_write(1, &vnet, p.b, p.len) && node_watched(&e, 0, NODE_FROM));
		e.text = "a later one";
	}
}

void cases_fragment(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		inside(&kinds[i]);
		if (kinds[i].out.proto != 6 && kinds[i].out.proto != 99)
			masqueraded(&kinds[i]);
	}
	for (int v6 = 0; v6 < 2; v6++) {
		strangers(v6);
		denied(v6);
		from_host(v6);
		neighbours(v6);
	}
	beside();
	revoked();
	life();
	published();
	answered();
	answered6();
	partial();
}
