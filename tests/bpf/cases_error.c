// SPDX-License-Identifier: Apache-2.0
/* ICMP errors: what is quoted decides, and every part of it must be that of a live flow. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

#define L3   14
#define HZ   250 /* the test's rodata */
#define ICMP 1
#define GRE  47

/* Changes a byte of the quote, which begins behind the error's own headers. */
static struct pkt quoting(struct pkt error, size_t off, uint8_t value)
{
	size_t quote = L3 + (error.b[12] == 0x08 ? 20 : 40) + 8;

	error.b[quote + off] = value;
	pkt_seal(&error);
	return error;
}

static void unrelated(const char *text, uint32_t slot, struct pkt error)
{
	node_from(text, slot, error, PK_REASON_ICMP_UNRELATED);
}

/*
 * Each protocol's packet, and the error about it from who got it.
 * P35: an ICMP error of who got the packet passes, about a live flow, and none before it.
 */
static void both_ways(void)
{
	static const struct {
		const char *text;
		bool v6;
		struct l4 out, back;
	} list[] = {
		{ "TCP", false, TCP(40000, 80, SYN), TCP(80, 40000, SYN | ACK) },
		{ "UDP", false, UDP(40000, 53), UDP(53, 40000) },
		{ "a ping", false, PING(7), PONG(7) },
		{ "SCTP", false, { 132, 40000, 80, 0, 8 }, { 132, 80, 40000, 0, 8 } },
		{ "SCTP, IPv6", true, { 132, 40000, 80, 0, 8 }, { 132, 80, 40000, 0, 8 } },
		{ "GRE", false, { GRE, 0, 0, 0, 8 }, { GRE, 0, 0, 0, 8 } },
		{ "TCP, IPv6", true, TCP(40000, 80, SYN), TCP(80, 40000, SYN | ACK) },
		{ "UDP, IPv6", true, UDP(40000, 53), UDP(53, 40000) },
		{ "a ping, IPv6", true, PING6(7), PONG6(7) },
		{ "GRE, IPv6", true, { GRE, 0, 0, 0, 8 }, { GRE, 0, 0, 0, 8 } },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		bool v6 = list[i].v6;
		struct pkt out =
			v6 ? pkt_v6(WHO_A, WHO_B, list[i].out) : pkt_v4(WHO_A, WHO_B, list[i].out);
		struct pkt back = v6 ? pkt_v6(WHO_B, WHO_A, list[i].back)
				     : pkt_v4(WHO_B, WHO_A, list[i].back);

		node_reset();
		snprintf(text, sizeof(text), "an error about %s before it", list[i].text);
		unrelated(text, 2, pkt_error(WHO_B, WHO_A, &out));
		node_from(list[i].text, 1, out, PK_REASON_OK);
		snprintf(text, sizeof(text), "an error about %s", list[i].text);
		node_from(text, 2, pkt_error(WHO_B, WHO_A, &out), PK_REASON_OK);
		node_from("its answer", 2, back, PK_REASON_OK);
		snprintf(text, sizeof(text), "an error about the answer to %s", list[i].text);
		node_from(text, 1, pkt_error(WHO_A, WHO_B, &back), PK_REASON_OK);
		check("neither made a flow", node_flows() == 1);
	}
}

/* Whose packet it was, and to whom the error goes. */
static void ends(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), p;
	struct pkt host = pkt_v4(WHO_A, WHO_HOST, UDP(40000, 53));
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_EGRESS };

	node_reset();
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	node_from("A sends to B", 1, out, PK_REASON_OK);
	node_from("A sends to the host", 1, host, PK_REASON_OK);
	unrelated("B's error about A's packet, to C", 2, pkt_error(WHO_B, WHO_C, &out));
	unrelated("B's error about A's packet, to itself", 2, pkt_error(WHO_B, WHO_B, &out));
	unrelated("B's error about what the host got", 2, pkt_error(WHO_B, WHO_A, &host));
	unrelated("C's error about what B got", 3, pkt_error(WHO_C, WHO_A, &out));
	unrelated("A's error about its own packet", 1, pkt_error(WHO_A, WHO_B, &out));
	p = pkt_error(WHO_HOST, WHO_A, &host);
	node_to("the host's error about what it got", 1, p, PK_REASON_OK);
	node_to("the host's error about what it didn't get", 1, pkt_error(WHO_HOST, WHO_A, &out),
		PK_REASON_NO_FLOW);
	node_to("the host's error to another endpoint", 2, pkt_error(WHO_HOST, WHO_B, &host),
		PK_REASON_ICMP_UNRELATED);
}

/* What the node's own stack asked: an error about it is the stack's, and judged as its flow is. */
static void of_the_stack(void)
{
	struct pkt asked = pkt_v4(WHO_HOST, WHO_A, UDP(40000, 53));
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_INGRESS };

	node_reset();
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	node_to("the host asks A", 1, asked, PK_REASON_OK);
	node_from("A's error about it", 1, pkt_error(WHO_A, WHO_HOST, &asked), PK_REASON_OK);
	node_word(1, 1, 0, 2);
	node_from("A's error after a change", 1, pkt_error(WHO_A, WHO_HOST, &asked), PK_REASON_OK);
}

/*
 * Behind a header of 16 bytes the destination stands where the ports are: here they are those of a
 * live flow.
 */
static void quoted_short(void)
{
	uint32_t to = ntohl(pkt_ip4(WHO_B).w[3]);
	struct pkt twin = pkt_v4(WHO_A, WHO_B, UDP(to >> 16, to & 0xffff));

	node_reset();
	node_from("A sends to B from ports that are B's address", 1, twin, PK_REASON_OK);
	unrelated("a quoted header of 16 bytes, of a flow's ports", 2,
		  quoting(pkt_error(WHO_B, WHO_A, &twin), 0, 0x44));
}

static void quotes(void)
{
	struct pkt udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
	struct pkt udp6 = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	struct pkt error = pkt_error(WHO_B, WHO_A, &udp), error6 = pkt_error(WHO_B, WHO_A, &udp6);

	node_reset();
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	node_from("A sends to B, IPv6", 1, udp6, PK_REASON_OK);
	unrelated("a quote of version 6 in IPv4", 2, quoting(error, 0, 0x65));
	unrelated("a quoted header of 16 bytes", 2, quoting(error, 0, 0x44));
	unrelated("a quoted header of 24 bytes, which isn't there", 2, quoting(error, 0, 0x46));
	unrelated("a quoted later fragment", 2, quoting(error, 7, 1));
	unrelated("a quoted last fragment, far out", 2, quoting(error, 6, 0x1f));
	node_from("a quoted first fragment", 2, quoting(error, 6, 0x20), PK_REASON_OK);
	node_from("a quote that may not be fragmented", 2, quoting(error, 6, 0x40), PK_REASON_OK);
	unrelated("another source port", 2, quoting(error, 21, 0));
	unrelated("another destination port", 2, quoting(error, 23, 0));
	unrelated("another protocol", 2, quoting(error, 9, 6));
	unrelated("a quote of version 4 in IPv6", 2, quoting(error6, 0, 0x40));
	unrelated("another source port, IPv6", 2, quoting(error6, 41, 0));
	unrelated("another protocol, IPv6", 2, quoting(error6, 6, 6));
	unrelated("an extension header in the quote", 2, quoting(error6, 6, 0));
	quoted_short();
}

/* The quote may be cut behind the ports, not before. */
static void cuts(void)
{
	struct pkt udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), p;
	struct pkt udp6 = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	char text[64];

	node_reset();
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	node_from("A sends to B, IPv6", 1, udp6, PK_REASON_OK);
	for (size_t cut = 1; cut <= 28; cut++) {
		p = pkt_error(WHO_B, WHO_A, &udp);
		p.len -= cut;
		p.b[17] -= cut;
		pkt_seal(&p);
		snprintf(text, sizeof(text), "a quote without its last %zu bytes", cut);
		unrelated(text, 2, p);
		p = pkt_error(WHO_B, WHO_A, &udp6);
		p.len -= cut;
		p.b[19] -= cut;
		pkt_seal(&p);
		unrelated(text, 2, p);
	}
}

/* What isn't in the quote isn't read as zero: echoes of id 0 have a flow like any other. */
static void cut_echo(void)
{
	struct pkt ping = pkt_v4(WHO_B, WHO_A, PING(0)), pong = pkt_v4(WHO_A, WHO_B, PONG(0));

	node_reset();
	node_from("B pings A with id 0", 2, ping, PK_REASON_OK);
	node_from("A answers", 1, pong, PK_REASON_OK);
	node_from("B's error about the answer", 2, pkt_error(WHO_B, WHO_A, &pong), PK_REASON_OK);
	for (size_t n = 0; n < 8; n++)
		unrelated("one that quotes too little of it", 2,
			  pkt_error_long(WHO_B, WHO_A, &pong, n));
}

/* Only echoes have an id: another message's four bytes there are no tuple. */
static void quoted_icmp(void)
{
	struct pkt ping = pkt_v4(WHO_A, WHO_B, PING(7)), ping6 = pkt_v6(WHO_A, WHO_B, PING6(7));
	struct pkt error = pkt_error(WHO_B, WHO_A, &ping);
	struct pkt error6 = pkt_error(WHO_B, WHO_A, &ping6), p;
	static const uint8_t types[] = { 3, 5, 11, 13, 128, 129 },
			     types6[] = { 0, 1, 3, 8, 130, 135 };
	char text[64];

	node_reset();
	node_from("A pings B", 1, ping, PK_REASON_OK);
	node_from("A pings B, IPv6", 1, ping6, PK_REASON_OK);
	for (size_t i = 0; i < sizeof(types); i++) {
		snprintf(text, sizeof(text), "an error about ICMP type %u", types[i]);
		unrelated(text, 2, quoting(error, 20, types[i]));
		snprintf(text, sizeof(text), "an error about ICMPv6 type %u", types6[i]);
		unrelated(text, 2, quoting(error6, 40, types6[i]));
	}
	unrelated("an error about another id", 2, quoting(error, 25, 8));
	unrelated("an error about another id, IPv6", 2, quoting(error6, 45, 8));
	unrelated("an error about a reply that A never sent", 2, quoting(error, 20, 0));
	unrelated("an error about a reply that A never sent, IPv6", 2, quoting(error6, 40, 129));
	p = pkt_v4(WHO_B, WHO_A, PING(7));
	unrelated("A's error about a request that B never sent", 1, pkt_error(WHO_A, WHO_B, &p));
	p = pkt_v6(WHO_B, WHO_A, PING6(7));
	unrelated("the same in IPv6", 1, pkt_error(WHO_A, WHO_B, &p));
}

/* Changes the only flow. */
static void change(void (*edit)(struct pk_flow *flow))
{
	struct pk_flow_key key;
	struct pk_flow flow;

	bpf_map_get_next_key(node_map("flows"), NULL, &key);
	bpf_map_lookup_elem(node_map("flows"), &key, &flow);
	edit(&flow);
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

static void outlived(struct pk_flow *flow)
{
	flow->expires -= 31 * HZ;
}

static void denied(struct pk_flow *flow)
{
	flow->reason = PK_REASON_POLICY_DENIED;
}

static void states(void)
{
	struct pkt udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
	struct pk_endpoint ep;

	node_reset();
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	change(outlived);
	unrelated("a flow whose time is over", 2, pkt_error(WHO_B, WHO_A, &udp));
	node_reset();
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	change(denied);
	unrelated("a flow that is denied under the words of now", 2, pkt_error(WHO_B, WHO_A, &udp));
	node_reset();
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	node_endpoint(1, &ep);
	ep.opened = 7;
	node_endpoint_set(1, &ep);
	node_word(1, 1, 0, 7);
	unrelated("a flow of who was at A before", 2, pkt_error(WHO_B, WHO_A, &udp));
}

/* B may not speak to A but in answers: an error isn't B's to begin. */
static void judged(void)
{
	struct pkt ping = pkt_v4(WHO_A, WHO_B, PING(7)), udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
	struct pkt gre = pkt_v4(WHO_A, WHO_B, (struct l4){ GRE, 0, 0, 0, 8 });
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_EGRESS };
	const uint8_t rank = PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY);
	struct expect e = { "an error about a ping, after pings were denied",
			    PK_REASON_POLICY_DENIED, 1, PK_EGRESS, false };
	struct pkt p = pkt_error(WHO_B, WHO_A, &ping);

	node_reset();
	node_from("A pings B", 1, ping, PK_REASON_OK);
	node_from("A sends to B", 1, udp, PK_REASON_OK);
	node_from("A sends GRE to B", 1, gre, PK_REASON_OK);
	key.prefixlen = PK_VERDICT_BITS_PORT;
	key.proto = ICMP;
	key.port = __builtin_bswap16(8 << 8);
	node_verdict(&key, PK_DENY, rank, 64);
	node_word(1, 1, 0, 2);
	node_from("an error about UDP after a change", 2, pkt_error(WHO_B, WHO_A, &udp),
		  PK_REASON_OK);
	node_from("an error about GRE after a change", 2, pkt_error(WHO_B, WHO_A, &gre),
		  PK_REASON_OK);
	node_expect(&e, NODE_FROM, 2, &p, NULL);
	key.proto = 17;
	key.port = __builtin_bswap16(53);
	node_verdict(&key, PK_DENY, rank, 65);
	node_word(1, 1, 0, 3);
	e.text = "an error about UDP, after its port was denied";
	p = pkt_error(WHO_B, WHO_A, &udp);
	node_expect(&e, NODE_FROM, 2, &p, NULL);
	node_from("an error about GRE still", 2, pkt_error(WHO_B, WHO_A, &gre), PK_REASON_OK);
}

void cases_error(void)
{
	both_ways();
	ends();
	of_the_stack();
	quotes();
	cuts();
	cut_echo();
	quoted_icmp();
	states();
	judged();
}
