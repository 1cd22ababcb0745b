// SPDX-License-Identifier: Apache-2.0
/*
 * Tracked connections: who may begin, reply, judge again, end; ICMP errors.
 */
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

static struct pk_verdict_key same_tenant(enum pk_dir dir)
{
	return (struct pk_verdict_key){ .prefixlen = PK_VERDICT_BITS_DIR,
					.rule_set = 1,
					.class = PK_CLASS_SAME_TENANT,
					.dir = dir };
}

static void deny(enum pk_dir dir)
{
	struct pk_verdict_key key = same_tenant(dir);

	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 64);
}

/* P37: SYN|ACK, ACK, RST, data, SYN|FIN, null and xmas open no flow, and are denied as no-flow. */
static void begin(void)
{
	static const struct {
		const char *text;
		uint8_t flags;
	} list[] = {
		{ "SYN-ACK", SYN | ACK }, { "ACK", ACK },	    { "RST", RST },
		{ "data", ACK | PUSH },	  { "SYN+FIN", SYN | FIN }, { "null", 0 },
		{ "xmas", 0x29 },	  { "SYN+RST", SYN | RST },
	};

	node_reset();
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		node_from(list[i].text, 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, list[i].flags)),
			  PK_REASON_NO_FLOW);
		node_from(list[i].text, 1, pkt_v6(WHO_A, WHO_B, TCP(40000, 80, list[i].flags)),
			  PK_REASON_NO_FLOW);
	}
	node_from("an echo reply", 1, pkt_v4(WHO_A, WHO_B, PONG(7)), PK_REASON_NO_FLOW);
	node_from("an echo reply, IPv6", 1, pkt_v6(WHO_A, WHO_B, PONG6(7)), PK_REASON_NO_FLOW);
	check("none of them made a flow", node_flows() == 0);
}

/* B may not open anything to A; only A to B. */
static void one_way(void)
{
	node_reset();
	deny(PK_INGRESS);
	node_word(1, 1, 0, 2); /* A: nobody may enter */
	node_word(2, 2, 0, 2); /* B has the other rule set: all of its tenant may */
}

/* P33: where A may reach B and not the reverse, B's request with the id of A's echo is denied. */
static void replies(void)
{
	one_way();
	node_from_at("B may not open to A", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN)), 1,
		     PK_REASON_POLICY_DENIED);
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	check("one flow", node_flows() == 1);
	node_from("B replies", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_from("A goes on", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_OK);
	node_from_at("a SYN from the replies' tuple is no reply", 2,
		     pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN)), 1, PK_REASON_POLICY_DENIED);
	node_from("nor is SYN+FIN", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | FIN)),
		  PK_REASON_NO_FLOW);
	node_from("another port isn't that flow", 2, pkt_v4(WHO_B, WHO_A, TCP(81, 40000, ACK)),
		  PK_REASON_NO_FLOW);
	node_from("A pings B", 1, pkt_v4(WHO_A, WHO_B, PING(7)), PK_REASON_OK);
	node_from_at("B's request with the id of A's echo", 2, pkt_v4(WHO_B, WHO_A, PING(7)), 1,
		     PK_REASON_POLICY_DENIED);
	node_from("B's reply", 2, pkt_v4(WHO_B, WHO_A, PONG(7)), PK_REASON_OK);
	node_from("A pings B, IPv6", 1, pkt_v6(WHO_A, WHO_B, PING6(7)), PK_REASON_OK);
	node_from_at("B's request with the id of A's echo, IPv6", 2, pkt_v6(WHO_B, WHO_A, PING6(7)),
		     1, PK_REASON_POLICY_DENIED);
	node_from("B's reply, IPv6", 2, pkt_v6(WHO_B, WHO_A, PONG6(7)), PK_REASON_OK);
}

/* Requests with one id are two flows, whichever way they go: a reply says whose it is. */
static void both_ping(void)
{
	node_reset();
	node_from("A pings B", 1, pkt_v4(WHO_A, WHO_B, PING(7)), PK_REASON_OK);
	node_from("B pings A with the same id", 2, pkt_v4(WHO_B, WHO_A, PING(7)), PK_REASON_OK);
	check("two flows", node_flows() == 2);
	node_from("B's reply", 2, pkt_v4(WHO_B, WHO_A, PONG(7)), PK_REASON_OK);
	node_from("A's reply", 1, pkt_v4(WHO_A, WHO_B, PONG(7)), PK_REASON_OK);
	check("neither ended the other", node_flows() == 2);
}

/* What isn't an echo has no id: it never rides the flow of the echo with id 0. */
static void not_an_echo(void)
{
	static const struct {
		const char *text;
		uint8_t type;
		enum pk_reason a, b;
	} list[] = {
		{ "a redirect", 5, PK_REASON_SPOOFED_ND, PK_REASON_SPOOFED_ND },
		{ "a router advertisement", 9, PK_REASON_SPOOFED_ND, PK_REASON_SPOOFED_ND },
		{ "a timestamp request", 13, PK_REASON_OK, PK_REASON_POLICY_DENIED },
		{ "an address mask request", 17, PK_REASON_OK, PK_REASON_POLICY_DENIED },
	};
	uint64_t flows;

	one_way();
	node_from("A pings B with id 0", 1, pkt_v4(WHO_A, WHO_B, PING(0)), PK_REASON_OK);
	node_from("A pings B with id 0, IPv6", 1, pkt_v6(WHO_A, WHO_B, PING6(0)), PK_REASON_OK);
	flows = node_flows();
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct l4 l4 = { 1, 0, list[i].type << 8, 0, 12 };

		node_from(list[i].text, 1, pkt_v4(WHO_A, WHO_B, l4), list[i].a);
		if (list[i].b == PK_REASON_POLICY_DENIED)
			node_from_at(list[i].text, 2, pkt_v4(WHO_B, WHO_A, l4), 1, list[i].b);
		else
			node_from(list[i].text, 2, pkt_v4(WHO_B, WHO_A, l4), list[i].b);
	}
	node_from("a node information query, IPv6", 1,
		  pkt_v6(WHO_A, WHO_B, (struct l4){ 58, 0, 139 << 8, 0, 12 }), PK_REASON_OK);
	node_from("ICMPv6 of a redirect's number in ICMP", 1,
		  pkt_v6(WHO_A, WHO_B, (struct l4){ 58, 0, 5 << 8, 0, 12 }), PK_REASON_OK);
	node_from("ICMPv6 of a router advertisement's", 1,
		  pkt_v6(WHO_A, WHO_B, (struct l4){ 58, 0, 9 << 8, 0, 12 }), PK_REASON_OK);
	node_from_at("the same from B", 2,
		     pkt_v6(WHO_B, WHO_A, (struct l4){ 58, 0, 139 << 8, 0, 12 }), 1,
		     PK_REASON_POLICY_DENIED);
	check("none of them has a flow", node_flows() == flows);
	node_from("B's replies still pass", 2, pkt_v4(WHO_B, WHO_A, PONG(0)), PK_REASON_OK);
	node_from("B's replies still pass, IPv6", 2, pkt_v6(WHO_B, WHO_A, PONG6(0)), PK_REASON_OK);
}

/*
 * P63: a flow that a reply has judged again gets the verdict of initiator to responder, as at
 * first: let in where the reverse is denied, denied where the reverse is let in.
 */
static void judged_again(void)
{
	one_way();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_word(2, 2, 0, 3);
	node_from("judged again by a reply: still A to B, which may", 2,
		  pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_from_at("while B may not to A", 2, pkt_v4(WHO_B, WHO_A, UDP(9, 9)), 1,
		     PK_REASON_POLICY_DENIED);
}

/* The other way round: from now on nobody may enter B, and B may enter whom it likes. */
static void judged_again_and_denied(bool v6)
{
	struct pkt syn = v6 ? pkt_v6(WHO_A, WHO_B, TCP(40000, 80, SYN))
			    : pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt reply = v6 ? pkt_v6(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK))
			      : pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK));
	struct pkt own = v6 ? pkt_v6(WHO_B, WHO_A, TCP(81, 40000, SYN))
			    : pkt_v4(WHO_B, WHO_A, TCP(81, 40000, SYN));

	node_reset();
	node_word(1, 2, 0, 2); /* A has the other rule set: all of its tenant may */
	node_from("A opens to B, which all may", 1, syn, PK_REASON_OK);
	deny(PK_INGRESS);
	node_word(2, 1, 0, 2);
	for (int i = 0; i < 2; i++)
		node_from_at("judged again by a reply: A to B, which may not", 2, reply, 2,
			     PK_REASON_POLICY_DENIED);
	node_from("B's own to A passes", 2, own, PK_REASON_OK);
}

/* A denied flow stays marked, and a revert revives it. */
static void revoked(void)
{
	struct pk_verdict_key key = same_tenant(PK_EGRESS);
	struct expect reply = { "a reply asks: denied as A's egress", PK_REASON_POLICY_DENIED, 1,
				PK_EGRESS, false };
	struct pkt p = pkt_v4(WHO_B, WHO_A, TCP(80, 40000, ACK));

	one_way();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	deny(PK_EGRESS);
	node_word(1, 1, 0, 3);
	node_expect(&reply, NODE_FROM, 2, &p, NULL);
	node_from("the flow stays denied", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
		  PK_REASON_POLICY_DENIED);
	check("and stays in the table", node_flows() == 1);
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW), 65);
	node_word(1, 1, 0, 4);
	node_from("a revert revives it", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
		  PK_REASON_OK);
}

/* What the responder's policy denies counts at the responder, each time. */
static void revoked_at_responder(void)
{
	node_reset();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	deny(PK_INGRESS);
	node_word(2, 1, 0, 2);
	for (int i = 0; i < 2; i++)
		node_from_at("B takes nothing more", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
			     2, PK_REASON_POLICY_DENIED);
}

static void opened_again(void)
{
	struct pk_endpoint ep;

	node_reset();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_endpoint(2, &ep);
	ep.opened = 7;
	node_endpoint_set(2, &ep);
	node_word(2, 1, 0, 7);
	node_from("another endpoint in B's slot: the flow is dead", 1,
		  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_NO_FLOW);
	check("and deleted", node_flows() == 0);
	node_word(2, 1, 0, 0);
	node_from_at("closed: nothing enters", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), 2,
		     PK_REASON_ENDPOINT_CLOSED);
}

/*
 * P38: the SYN of a closed flow's tuple, which policy denies by now, is denied: the old flow
 * admits nothing.
 */
static void closed(void)
{
	node_reset();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("FIN of A", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)), PK_REASON_OK);
	node_from("FIN of B", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, FIN | ACK)), PK_REASON_OK);
	node_from("the last ACK", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_OK);
	deny(PK_EGRESS); /* without a new revision: only a new judgement sees it */
	node_from("the same tuple's SYN is judged as new", 1,
		  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_POLICY_DENIED);
	node_from("and left nothing to ride on", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
		  PK_REASON_NO_FLOW);
}

/* P38: what waits for late packets of a closed flow lets in neither side's next connection. */
static void closed_by(uint8_t last)
{
	static const struct {
		const char *text;
		uint8_t flags;
	} list[] = { { "nor its SYN with data", SYN | PUSH }, { "a SYN that is none", SYN | FIN } };

	one_way();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_from("A acknowledges", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_OK);
	node_from("B ends", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, last)), PK_REASON_OK);
	if (!(last & RST))
		node_from("A ends", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)),
			  PK_REASON_OK);
	node_from_at("B's SYN by the closed flow's ports", 2,
		     pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN)), 1, PK_REASON_POLICY_DENIED);
	node_from_at(list[0].text, 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, list[0].flags)), 1,
		     PK_REASON_POLICY_DENIED);
	node_from(list[1].text, 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, list[1].flags)),
		  PK_REASON_NO_FLOW);
	node_word(1, 0, 0, 3);
	node_from("A's late ACK, under a policy that lets out nothing", 1,
		  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_NO_RULE_SET);
	node_from("and its next SYN", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)),
		  PK_REASON_NO_RULE_SET);
}

static void expired(void)
{
	/* Jiffies at 250 Hz, the test's rodata: a minute and a second, 60 and 170 days. */
	static const uint32_t ago[] = { 61 * 250, 60u * 86400 * 250, 170u * 86400 * 250 };
	int fd = node_map("flows");

	for (size_t i = 0; i < sizeof(ago) / sizeof(*ago); i++) {
		struct pk_flow_key key;
		struct pk_flow flow;

		node_reset();
		node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)),
			  PK_REASON_OK);
		bpf_map_get_next_key(fd, NULL, &key);
		bpf_map_lookup_elem(fd, &key, &flow);
		flow.expires -= ago[i];
		bpf_map_update_elem(fd, &key, &flow, BPF_EXIST);
		node_from("a flow whose time is over is none", 1,
			  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_NO_FLOW);
		check("and deleted", node_flows() == 0);
	}
}

/* P36: an ICMP error about somebody else's flow, or about none, is dropped as icmp-unrelated. */
static void errors(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt other = pkt_v4(WHO_A, WHO_B, TCP(40001, 80, SYN));
	struct pkt udp6 = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	struct pkt other6 = pkt_v6(WHO_A, WHO_B, UDP(40001, 53));
	struct pkt ping = pkt_v4(WHO_A, WHO_B, PING(9));
	struct pkt p;

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_from("A sends UDP to B, IPv6", 1, udp6, PK_REASON_OK);
	node_from("A pings B", 1, ping, PK_REASON_OK);
	node_from("an error about a live flow passes", 2, pkt_error(WHO_B, WHO_A, &syn),
		  PK_REASON_OK);
	node_from("and in IPv6", 2, pkt_error(WHO_B, WHO_A, &udp6), PK_REASON_OK);
	node_from("and about an echo", 2, pkt_error(WHO_B, WHO_A, &ping), PK_REASON_OK);
	node_from("a flow that never was", 2, pkt_error(WHO_B, WHO_A, &other),
		  PK_REASON_ICMP_UNRELATED);
	node_from("somebody else's flow", 3, pkt_error(WHO_C, WHO_A, &syn),
		  PK_REASON_ICMP_UNRELATED);
	node_from("a flow that never was, IPv6", 2, pkt_error(WHO_B, WHO_A, &other6),
		  PK_REASON_ICMP_UNRELATED);
	node_from("somebody else's flow, IPv6", 3, pkt_error(WHO_C, WHO_A, &udp6),
		  PK_REASON_ICMP_UNRELATED);
	node_from("somebody else's flow, to who got it", 3, pkt_error(WHO_C, WHO_B, &syn),
		  PK_REASON_ICMP_UNRELATED);
	node_from("its own packet quoted back at the peer", 1, pkt_error(WHO_A, WHO_B, &syn),
		  PK_REASON_ICMP_UNRELATED);
	p = pkt_error(WHO_B, WHO_A, &syn);
	p.len -= 20;
	p.b[17] -= 20;
	pkt_seal(&p);
	node_from("a quote that is cut off", 2, p, PK_REASON_ICMP_UNRELATED);
	check("no error made a flow", node_flows() == 3);
}

static void hops(void)
{
	struct pkt p;

	node_reset();
	p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
	p.b[22] = 1;
	pkt_seal(&p);
	node_from_told("TTL 1", 1, p, 1, PK_EGRESS, PK_REASON_TTL);
	p = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	p.b[21] = 0;
	node_from_told("hop limit 0", 1, p, 1, PK_EGRESS, PK_REASON_TTL);
}

/* What arrives: MACs, TTL, checksum, and nothing else changed. */
static void delivered(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), was = p;
	struct expect e = { "delivered", PK_REASON_OK, 1, PK_EGRESS, false };
	uint8_t mac[6];

	node_reset();
	for (int i = 0; i < 2; i++) { /* the first packet's way and the established one's */
		p = was;
		node_expect(&e, NODE_FROM, 1, &p, NULL);
		pkt_mac(WHO_B, mac);
		check("to the peer's MAC", !memcmp(p.b, mac, 6));
		pkt_mac(WHO_GATEWAY, mac);
		check("from the gateway's MAC", !memcmp(p.b + 6, mac, 6));
		check("one hop less, the checksum follows",
		      p.b[22] == 63 && pkt_ip_sum(&p) == 0xffff);
		check("nothing else",
		      p.len == was.len && !memcmp(p.b + 26, was.b + 26, was.len - 26));
	}
	for (int ttl = 2; ttl < 256; ttl++) {
		p = was;
		p.b[22] = ttl;
		p.b[18] = ttl * 7; /* other sums, too */
		pkt_seal(&p);
		node_run(NODE_FROM, 1, &p, NULL);
		if (p.b[22] != ttl - 1 || pkt_ip_sum(&p) != 0xffff)
			check("the checksum follows every TTL", false);
	}
}

void cases_flow(void)
{
	begin();
	replies();
	both_ping();
	not_an_echo();
	judged_again();
	judged_again_and_denied(false);
	judged_again_and_denied(true);
	revoked();
	revoked_at_responder();
	opened_again();
	closed();
	closed_by(FIN | ACK);
	closed_by(RST | ACK);
	expired();
	errors();
	hops();
	delivered();
}
