// SPDX-License-Identifier: Apache-2.0
/* Which RST and FIN from outside close a flow: those that lie in the endpoint's window. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"
#include "tests/bpf/world.h"

#define L4     (14 + 20)
#define ACKED  0x80000000u
#define WINDOW 1000
#define SHIFT  7
#define EDGE   (ACKED + (WINDOW << SHIFT))

static const uint8_t linux_options[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
					 0, 0, 0, 0,	0, 0, 1, 3,  3, SHIFT };

/* p, whose payload becomes these options; their length is a multiple of 4. */
static struct pkt with_options(struct pkt p, const uint8_t *options, size_t n)
{
	memcpy(p.b + L4 + 20, options, n);
	p.b[L4 + 12] = (uint8_t)((5 + n / 4) << 4);
	pkt_seal(&p);
	return p;
}

static struct pkt from_a(uint8_t flags, size_t payload)
{
	return pkt_v4(WHO_A, WHO_WORLD, (struct l4){ 6, 40000, 443, flags, payload });
}

static struct pkt from_world(uint8_t flags, size_t payload)
{
	return pkt_v4(WHO_WORLD, WHO_A, (struct l4){ 6, 443, 40000, flags, payload });
}

static bool flow_of(struct pk_flow *flow, union pk_addr from, union pk_addr to, uint16_t sport,
		    uint16_t dport)
{
	struct pk_flow_key key = {
		.src = from, .dst = to, .sport = htons(sport), .dport = htons(dport), .proto = 6
	};

	return bpf_map_lookup_elem(node_map("flows"), &key, flow) == 0;
}

static int state_of(union pk_addr from, union pk_addr to, uint16_t sport, uint16_t dport)
{
	struct pk_flow flow;

	return flow_of(&flow, from, to, sport, dport) ? flow.state : -1;
}

/* The state of A's flow to the world; -1 = there is none. */
static int state(void)
{
	return state_of(pkt_ip4(WHO_A), pkt_ip4(WHO_WORLD), 40000, 443);
}

/* The world's packet passes, and leaves A's flow in that state. */
static void comes(const char *text, struct pkt p, int then)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_INGRESS, false };
	struct node_meta world = { .ingress_ifindex = 1 };

	node_expect(&e, NODE_TO, 1, &p, &world);
	check(text, state() == then);
}

/* The same by the uplink, of the world's flow to A's published port. */
static void asks(const char *text, struct pkt p, int then)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_INGRESS, false };
	union pk_addr node = pkt_ip4(WHO_HOST);

	node.w[3] = htonl(WORLD_NODE_V4);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	check(text, state_of(pkt_ip4(WHO_WORLD), node, 50000, 8080) == then);
}

/* The world's SYN|ACK with these options. */
static struct pkt answer(const uint8_t *options, size_t n)
{
	return world_says(with_options(from_world(SYN | ACK, n), options, n), ACKED - 1, 1, 500);
}

/*
 * A connection of A's whose window is known: from ACKED to `edge`. The world shifts its windows,
 * too.
 */
static void open_with(const uint8_t *options, size_t n)
{
	node_reset();
	node_from("A opens to the world", 1, with_options(from_a(SYN, n), options, n),
		  PK_REASON_OK);
	comes("the world answers", answer(linux_options, sizeof(linux_options)), PK_FLOW_NEW);
	node_from("A acknowledges", 1, world_says(from_a(ACK, 0), 1, ACKED, WINDOW), PK_REASON_OK);
}

/* Where a RST closes: from what is acknowledged to where the window ends. */
static void edges(const char *what, const uint8_t *options, size_t n, uint32_t edge)
{
	const struct {
		uint32_t seq;
		int then;
	} rst[] = { { ACKED - 1, PK_FLOW_OPEN },
		    { ACKED, PK_FLOW_RESET },
		    { edge, PK_FLOW_RESET },
		    { edge + 1, PK_FLOW_OPEN },
		    { ACKED + 0x80000000u, PK_FLOW_OPEN } };

	for (size_t i = 0; i < sizeof(rst) / sizeof(*rst); i++) {
		open_with(options, n);
		comes(what, world_says(from_world(RST, 0), rst[i].seq, 0, 0), rst[i].then);
	}
}

static void scales(void)
{
	static const uint8_t nops[] = { 1, 1, 1, 3, 3, 2, 0, 0 }, much[] = { 3, 3, 200, 0 },
			     broken[] = { 9, 0, 3, 3, 3, 3, 3, 0 }, at_end[] = { 1, 1, 3, 3 },
			     ended[] = { 0, 3, 3, 7 }, longer[] = { 3, 4, 7, 7 },
			     last[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 2, 0, 0 },
			     late[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 2, 0 };

	edges("a RST, windows shifted by 7", linux_options, sizeof(linux_options), EDGE);
	edges("none", NULL, 0, ACKED + WINDOW);
	edges("by 2, behind padding", nops, sizeof(nops), ACKED + (WINDOW << 2));
	edges("by more than there is", much, sizeof(much), ACKED + (WINDOW << 14));
	edges("an option without a length", broken, sizeof(broken), ACKED + WINDOW);
	edges("one that ends with the header", at_end, sizeof(at_end), ACKED + WINDOW);
	edges("the list's end before it", ended, sizeof(ended), ACKED + WINDOW);
	edges("one of another length", longer, sizeof(longer), ACKED + WINDOW);
	edges("the last that is looked at", last, sizeof(last), ACKED + (WINDOW << 2));
	edges("one behind as many as are looked at", late, sizeof(late), ACKED + WINDOW);
}

/* A FIN stands behind its segment's bytes, which may have been acknowledged before. */
static void fins(void)
{
	const struct {
		uint32_t seq;
		int then;
	} fin[] = { { ACKED - 9, PK_FLOW_OPEN },
		    { ACKED - 8, PK_FLOW_CLOSING },
		    { EDGE - 8, PK_FLOW_CLOSING },
		    { EDGE - 7, PK_FLOW_OPEN } };

	for (size_t i = 0; i < sizeof(fin) / sizeof(*fin); i++) {
		open_with(linux_options, sizeof(linux_options));
		comes("a FIN behind 8 bytes",
		      world_says(from_world(FIN | ACK, 8), fin[i].seq, 1, 500), fin[i].then);
	}
}

/* The window goes on with the endpoint's packets, also over the end of the numbers. */
static void goes_on(void)
{
	open_with(linux_options, sizeof(linux_options));
	node_from("A acknowledges more", 1, world_says(from_a(ACK, 0), 1, 0xfffffff0, 1),
		  PK_REASON_OK);
	comes("a RST where the window was", world_says(from_world(RST, 0), ACKED, 0, 0),
	      PK_FLOW_OPEN);
	comes("one where it is", world_says(from_world(RST, 0), 0x10, 0, 0), PK_FLOW_RESET);
	node_from("A contradicts", 1, world_says(from_a(ACK, 0), 1, 0xfffffff0, 1), PK_REASON_OK);
	check("and the flow goes on", state() == PK_FLOW_OPEN);
	node_from("A opens anew by that port", 1, world_says(from_a(SYN, 0), 9, 0, 500),
		  PK_REASON_OK);
	comes("it is refused, with no number", world_says(from_world(RST | ACK, 0), 0, 10, 0),
	      PK_FLOW_RESET);
	node_from("A contradicts again", 1, world_says(from_a(ACK, 0), 1, 0xfffffff0, 1),
		  PK_REASON_OK);
	node_from("A's own RST is where it wants", 1, world_says(from_a(RST, 0), 77, 0, 0),
		  PK_REASON_OK);
	check("it closes", state() == PK_FLOW_CLOSED);
}

/* While the endpoint's word isn't in force, its packets and those to it are judged again. */
static void judged_again(void)
{
	open_with(linux_options, sizeof(linux_options));
	node_word(1, 1, 0, 2);
	node_from("A's next packet is judged anew", 1,
		  world_says(from_a(ACK, 0), 1, ACKED + 5000, 1), PK_REASON_OK);
	node_word(1, 1, 0, 3);
	comes("a RST below the window, judged anew", world_says(from_world(RST, 0), ACKED, 0, 0),
	      PK_FLOW_OPEN);
	node_word(1, 1, 0, 4);
	comes("one inside", world_says(from_world(RST, 0), ACKED + 5000, 0, 0), PK_FLOW_RESET);
}

/* A peer that doesn't shift its windows: the endpoint doesn't, either (RFC 7323 2.2). */
static void unscaled(void)
{
	node_reset();
	node_from("A is ready to shift its windows", 1,
		  with_options(from_a(SYN, sizeof(linux_options)), linux_options,
			       sizeof(linux_options)),
		  PK_REASON_OK);
	comes("a stranger that guessed the port is ready", answer(linux_options, 20), PK_FLOW_NEW);
	comes("the world isn't", answer(NULL, 0), PK_FLOW_NEW);
	node_from("A acknowledges", 1, world_says(from_a(ACK, 0), 1, ACKED, WINDOW), PK_REASON_OK);
	comes("a RST beyond the unshifted window",
	      world_says(from_world(RST, 0), ACKED + WINDOW + 1, 0, 0), PK_FLOW_OPEN);
	comes("a SYN|ACK says nothing once A has acknowledged one", answer(linux_options, 20),
	      PK_FLOW_OPEN);
	node_from("A goes on", 1, world_says(from_a(ACK, 0), 1, ACKED, WINDOW), PK_REASON_OK);
	comes("a RST beyond the window that A still doesn't shift",
	      world_says(from_world(RST, 0), ACKED + WINDOW + 1, 0, 0), PK_FLOW_OPEN);
	comes("one inside", world_says(from_world(RST, 0), ACKED + WINDOW, 0, 0), PK_FLOW_RESET);
	node_from("A opens anew by that port", 1,
		  with_options(from_a(SYN, sizeof(linux_options)), linux_options,
			       sizeof(linux_options)),
		  PK_REASON_OK);
	comes("this time the world shifts", answer(linux_options, 20), PK_FLOW_NEW);
	node_from("A acknowledges it", 1, world_says(from_a(ACK, 0), 1, ACKED, WINDOW),
		  PK_REASON_OK);
	comes("a RST inside of the shifted window", world_says(from_world(RST, 0), EDGE, 0, 0),
	      PK_FLOW_RESET);
}

/* The world's SYN to A's published port, with these options. */
static struct pkt request(const uint8_t *options, size_t n)
{
	const struct l4 syn = { 6, 50000, 8080, SYN, n };

	return with_options(world_to_node(WHO_WORLD, syn), options, n);
}

/* A's SYN|ACK to it, which is always ready to shift. */
static struct pkt syn_ack(void)
{
	const struct l4 l4 = { 6, 80, 50000, SYN | ACK, sizeof(linux_options) };
	struct pkt p =
		with_options(pkt_v4(WHO_A, WHO_WORLD, l4), linux_options, sizeof(linux_options));

	return world_says(p, 0, ACKED, WINDOW);
}

static void published(void)
{
	world_start();
	world_publish(0, 8080, 1, 80);
}

/* A connection that began outside: the endpoint's SYN says its shift, and an unshifted window. */
static void of_the_worlds(void)
{
	struct pkt rst = world_to_node(WHO_WORLD, TCP(50000, 8080, RST));

	published();
	asks("the world opens", request(linux_options, sizeof(linux_options)), PK_FLOW_NEW);
	node_from("A answers", 1, syn_ack(), PK_REASON_OK);
	asks("a RST beyond the SYN's window", world_says(rst, ACKED + WINDOW + 1, 0, 0),
	     PK_FLOW_NEW);
	asks("the client's ACK", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), PK_FLOW_OPEN);
	node_from("A goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, ACK)), 2, ACKED, WINDOW),
		  PK_REASON_OK);
	asks("a RST beyond the shifted one", world_says(rst, EDGE + 1, 0, 0), PK_FLOW_OPEN);
	asks("one inside", world_says(rst, EDGE, 0, 0), PK_FLOW_RESET);
}

/* One whose SYN doesn't have the option: whatever the endpoint says, no window is shifted. */
static void of_an_unscaled_world(void)
{
	struct pkt rst = world_to_node(WHO_WORLD, TCP(50000, 8080, RST));

	published();
	asks("the world opens, and shifts nothing", request(NULL, 0), PK_FLOW_NEW);
	node_from("A answers that it would", 1, syn_ack(), PK_REASON_OK);
	asks("the client's ACK", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), PK_FLOW_OPEN);
	node_from("A goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, ACK)), 2, ACKED, WINDOW),
		  PK_REASON_OK);
	asks("a RST beyond the unshifted window", world_says(rst, ACKED + WINDOW + 1, 0, 0),
	     PK_FLOW_OPEN);
	asks("one inside", world_says(rst, ACKED + WINDOW, 0, 0), PK_FLOW_RESET);
}

/* Between two endpoints nobody can write another's addresses, and nothing is followed. */
static void between_endpoints(void)
{
	const struct l4 syn = { 6, 40000, 80, SYN, sizeof(linux_options) };
	struct pk_flow flow = { .scale = 1 };

	node_reset();
	node_from("A opens to B", 1,
		  with_options(pkt_v4(WHO_A, WHO_B, syn), linux_options, sizeof(linux_options)),
		  PK_REASON_OK);
	node_from("B answers", 2,
		  world_says(pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), 1, 2, 3),
		  PK_REASON_OK);
	check("no window is kept of theirs",
	      flow_of(&flow, pkt_ip4(WHO_A), pkt_ip4(WHO_B), 40000, 80) && !flow.scale &&
		      !flow.window);
}

/*
 * P34: a RST and a FIN of another endpoint that writes A's or the world's address are dropped as
 * spoofed; those of the true peer outside of the window (the cases above) leave the flow as well.
 */
static void of_a_third(void)
{
	static const uint8_t kinds[] = { RST, FIN | ACK };

	for (size_t i = 0; i < sizeof(kinds); i++) {
		struct pkt as_a = from_a(kinds[i], 0), as_world = from_world(kinds[i], 0);

		open_with(linux_options, sizeof(linux_options));
		pkt_mac(WHO_C, as_a.b + 6);
		pkt_mac(WHO_C, as_world.b + 6);
		node_from("C writes A's address", 3, world_says(as_a, 1, ACKED, 0),
			  PK_REASON_SPOOFED_IPV4);
		node_from("C writes the world's", 3, world_says(as_world, ACKED, 1, 0),
			  PK_REASON_SPOOFED_IPV4);
		check("A's flow stays", state() == PK_FLOW_OPEN);
	}
}

/* Blind: whoever doesn't see the connection tries numbers. */
static void blind(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		if (i % 16 == 0)
			open_with(linux_options, sizeof(linux_options));
		comes("a blind RST", world_says(from_world(RST, 0), i << 24 | 0x00ffffff, 0, 0),
		      PK_FLOW_OPEN);
		comes("a blind FIN",
		      world_says(from_world(FIN | ACK, 0), i << 24 | 0x00ffffff, 0, 0),
		      PK_FLOW_OPEN);
	}
}

/*
 * A stranger who writes the other end's address has the endpoint's stack, which waits for the
 * answer to its SYN, send a RST. The connection opens all the same.
 */
static void by_reflection(void)
{
	node_reset();
	node_from("A opens to the world", 1, from_a(SYN, 0), PK_REASON_OK);
	comes("a stranger's ACK", from_world(ACK, 0), PK_FLOW_NEW);
	node_from("A's stack refuses it", 1, from_a(RST, 0), PK_REASON_OK);
	comes("the real answer", from_world(SYN | ACK, 0), PK_FLOW_RESET);
	node_from("A goes on", 1, world_says(from_a(ACK, 0), 1, ACKED, 1), PK_REASON_OK);
	check("the flow is open", state() == PK_FLOW_OPEN);
}

/* The same in SYN_RECEIVED, behind a published port. */
static void by_reflection_of_the_asked(void)
{
	published();
	asks("the world opens", request(NULL, 0), PK_FLOW_NEW);
	node_from("A answers", 1, syn_ack(), PK_REASON_OK);
	asks("a stranger's ACK",
	     world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), 1, 77, 500), PK_FLOW_NEW);
	node_from("A's stack refuses it", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST)),
		  PK_REASON_OK);
	asks("the client's ACK", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), PK_FLOW_RESET);
	node_from("A goes on", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, ACK)), 2, ACKED, WINDOW),
		  PK_REASON_OK);
	asks("and the flow", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), PK_FLOW_OPEN);
	node_from("A ends it itself", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 2, ACKED, 0),
		  PK_REASON_OK);
	asks("it is closed", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)), PK_FLOW_CLOSED);
	published();
	asks("another opens", request(NULL, 0), PK_FLOW_NEW);
	node_from("A refuses it by a RST that acknowledges, as no stranger's ACK brings about", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 0, 1, 0),
		  PK_REASON_OK);
	asks("it is closed at once", world_to_node(WHO_WORLD, TCP(50000, 8080, ACK)),
	     PK_FLOW_CLOSED);
}

void cases_window(void)
{
	scales();
	fins();
	goes_on();
	judged_again();
	unscaled();
	of_the_worlds();
	of_an_unscaled_world();
	between_endpoints();
	of_a_third();
	blind();
	by_reflection();
	by_reflection_of_the_asked();
}
