// SPDX-License-Identifier: Apache-2.0
/* Sources that aren't the endpoint's, and destinations that are nobody's. */
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

/*
 * P01: a source MAC that isn't the endpoint's own is dropped as spoofed-mac and counted.
 * P05: so is an ARP request with the right sender in a wrong Ethernet frame; the reverse is
 * spoofed-arp.
 */
static void mac(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	p.b[11]++;
	node_from("source MAC + 1", 1, p, PK_REASON_SPOOFED_MAC);
	p = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	pkt_mac(WHO_B, p.b + 6);
	node_from("the neighbour's MAC, IPv6", 1, p, PK_REASON_SPOOFED_MAC);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	p.b[11]++;
	node_from("ARP, Ethernet source wrong", 1, p, PK_REASON_SPOOFED_MAC);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	p.b[27]++;
	node_from("ARP, sender MAC wrong", 1, p, PK_REASON_SPOOFED_ARP);
}

/* A packet of each kind; what it is changes nothing about whose source it may have. */
static const struct {
	const char *text;
	struct l4 v4, v6;
} kinds[] = {
	{ "TCP", TCP(40000, 80, SYN), TCP(40000, 80, SYN) },
	{ "UDP", UDP(40000, 53), UDP(40000, 53) },
	{ "a client's port of DHCP", UDP(68, 53), UDP(546, 53) },
	{ "a ping", PING(7), PING6(7) },
	{ "an answer to one", PONG(7), PONG6(7) },
	{ "SCTP", { 132, 40000, 80, 0, 8 }, { 132, 40000, 80, 0, 8 } },
	{ "a protocol by number", { 99, 0, 0, 0, 8 }, { 99, 0, 0, 0, 8 } },
};

/*
 * P02: sources of the neighbour, the gateway, the node, a loopback, of nobody (but for DHCP), of all
 * and of a group: each is dropped as spoofed-ipv4, whatever the packet is.
 */
static void ipv4(void)
{
	static const struct {
		const char *text;
		uint8_t src[4];
	} list[] = {
		{ "the neighbour's IPv4", { 10, 20, 0, 12 } },
		{ "the gateway's IPv4", { 10, 20, 0, 1 } },
		{ "the node's IPv4", { 192, 0, 2, 1 } },
		{ "127.0.0.1", { 127, 0, 0, 1 } },
		{ "0.0.0.0, not DHCP", { 0, 0, 0, 0 } },
		{ "255.255.255.255", { 255, 255, 255, 255 } },
		{ "224.0.0.1", { 224, 0, 0, 1 } },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
			struct pkt p = pkt_v4(WHO_A, WHO_B, kinds[k].v4);
			char text[96];

			memcpy(p.b + 26, list[i].src, 4);
			pkt_seal(&p);
			snprintf(text, sizeof(text), "%s: %s", list[i].text, kinds[k].text);
			node_from(text, 1, p, PK_REASON_SPOOFED_IPV4);
		}
}

/*
 * P03: a neighbour's source, a link-local one with anything but discovery, MLD, DHCPv6 and what is for
 * the gateway, the unspecified one, a loopback, a group, an IPv4-mapped one: each is dropped as
 * spoofed-ipv6, whatever the packet is.
 */
static void ipv6(void)
{
	static const struct {
		const char *text;
		union pk_addr src;
	} list[] = {
		{ "the neighbour's IPv6", { .b = { 0xfd, 0, 0, 0x20, [15] = 12 } } },
		{ "its own link-local", { .b = { 0xfe, 0x80, [15] = 11 } } },
		{ "::", { .b = { 0 } } },
		{ "::1", { .b = { [15] = 1 } } },
		{ "ff02::1", { .b = { 0xff, 2, [15] = 1 } } },
		{ "IPv4-mapped, its own", { .b = { [10] = 0xff, 0xff, 10, 20, 0, 11 } } },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
			struct pkt p = pkt_v6(WHO_A, WHO_B, kinds[k].v6);
			char text[96];

			memcpy(p.b + 22, list[i].src.b, 16);
			pkt_seal(&p);
			snprintf(text, sizeof(text), "%s: %s", list[i].text, kinds[k].text);
			node_from(text, 1, p, PK_REASON_SPOOFED_IPV6);
		}
}

/* To the gateway a link-local source has its own pings, and nothing more. */
static void link_local(void)
{
	static const struct {
		const char *text;
		struct l4 l4;
		enum pk_reason reason;
	} list[] = {
		{ "a ping of the gateway", PING6(7), PK_REASON_OK },
		{ "an answer to no ping of it", PONG6(7), PK_REASON_SPOOFED_IPV6 },
		{ "TCP to it", TCP(40000, 80, SYN), PK_REASON_SPOOFED_IPV6 },
		{ "UDP to it", UDP(40000, 53), PK_REASON_SPOOFED_IPV6 },
	};
	union pk_addr gateway = { .b = { 0xfe, 0x80, [15] = 1 } };

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt p = pkt_v6_to(WHO_A, &gateway, list[i].l4);

		memcpy(p.b + 22, gateway.b, 16);
		p.b[37] = 11;
		pkt_seal(&p);
		node_from(list[i].text, 1, p, list[i].reason);
	}
}

/*
 * P06: advertisements for the gateway's and the neighbour's address, and a solicitation with a foreign
 * link-layer option, are dropped as spoofed-nd. P07: so is a router advertisement.
 */
static void discovery(void)
{
	union pk_addr gateway = pkt_ip6(WHO_GATEWAY), b = pkt_ip6(WHO_B);
	struct pkt p = pkt_nd(WHO_A, 134, NULL, 1);

	node_from("a router advertisement", 1, p, PK_REASON_SPOOFED_ND);
	node_from("an ICMPv6 redirect", 1, pkt_nd(WHO_A, 137, &b, 1), PK_REASON_SPOOFED_ND);
	node_from("NA for the gateway", 1, pkt_nd(WHO_A, 136, &gateway, 0), PK_REASON_SPOOFED_ND);
	node_from("NA for the neighbour", 1, pkt_nd(WHO_A, 136, &b, 0), PK_REASON_SPOOFED_ND);
	p = pkt_nd(WHO_A, 135, &gateway, 0);
	p.b[85]++;
	pkt_seal(&p);
	node_from("NS with a foreign link-layer option", 1, p, PK_REASON_SPOOFED_ND);
	p = pkt_nd(WHO_A, 135, &gateway, 0);
	p.b[21] = 64;
	node_from("NS from beyond the link", 1, p, PK_REASON_SPOOFED_ND);
	node_from("an ARP reply", 1, pkt_arp(WHO_A, 2, 0x0a140001), PK_REASON_SPOOFED_ARP);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	p.b[31] = 12;
	node_from("an ARP request with the neighbour's sender", 1, p, PK_REASON_SPOOFED_ARP);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	p.b[15] = 6;
	node_from("ARP of another link", 1, p, PK_REASON_MALFORMED);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	p.b[16] = 0x86;
	node_from("ARP for another protocol", 1, p, PK_REASON_MALFORMED);
}

/* P08: a guest's offer and a discover with a foreign chaddr are dropped as spoofed-dhcp. */
static void dhcp(void)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

	p.b[42 + 33]++;
	pkt_seal(&p);
	node_from("a discover with a foreign chaddr", 1, p, PK_REASON_SPOOFED_DHCP);
	p = pkt_dhcp(WHO_A, 2, 0, 0);
	memcpy(p.b + 26, pkt_ip4(WHO_A).b + 12, 4);
	p.b[42] = 2;
	p.b[35] = 67;
	p.b[37] = 68;
	pkt_seal(&p);
	node_from("an offer from a guest", 1, p, PK_REASON_SPOOFED_DHCP);
	p = pkt_dhcp(WHO_A, 1, 0, 0);
	p.b[42 + 27] = 9;
	pkt_seal(&p);
	node_from("a request that a relay made", 1, p, PK_REASON_SPOOFED_DHCP);
}

/* P24: broadcast, mDNS and SSDP are dropped as multicast. */
static void groups(void)
{
	union pk_addr mdns = { .b = { 0xff, 2, [15] = 0xfb } };
	struct pkt p = pkt_v4_to(WHO_A, 0xe00000fb, UDP(5353, 5353));

	node_from("mDNS", 1, p, PK_REASON_MULTICAST);
	node_from("broadcast", 1, pkt_v4_to(WHO_A, 0xffffffff, UDP(9, 9)), PK_REASON_MULTICAST);
	node_from("SSDP", 1, pkt_v4_to(WHO_A, 0xeffffffa, UDP(1900, 1900)), PK_REASON_MULTICAST);
	node_from("mDNS, IPv6", 1, pkt_v6_to(WHO_A, &mdns, UDP(5353, 5353)), PK_REASON_MULTICAST);
	p = pkt_v4(WHO_A, WHO_B, UDP(9, 9));
	memset(p.b, 0xff, 6);
	node_from("a peer's address in a broadcast frame", 1, p, PK_REASON_MULTICAST);
	node_from("the block's broadcast address is nobody's", 1,
		  pkt_v4_to(WHO_A, 0x0a1400ff, UDP(9, 9)), PK_REASON_POLICY_DENIED);
}

/*
 * P30: a frame for the gateway whose destination is a loopback, plain or mapped, is denied as one to
 * a protected address.
 */
static void loopback(void)
{
	static const struct {
		const char *text;
		union pk_addr dst;
	} list[] = {
		{ "::1", { .b = { [15] = 1 } } },
		{ "::ffff:127.0.0.1", { .b = { [10] = 0xff, 0xff, 127, 0, 0, 1 } } },
		{ "::ffff:10.20.0.12 is no spelling of a peer",
		  { .b = { [10] = 0xff, 0xff, 10, 20, 0, 12 } } },
		{ "fe80::99", { .b = { 0xfe, 0x80, [15] = 0x99 } } },
	};

	node_from("127.0.0.1", 1, pkt_v4_to(WHO_A, 0x7f000001, TCP(40000, 4646, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("0.0.0.0", 1, pkt_v4_to(WHO_A, 0, TCP(40000, 4646, SYN)),
		  PK_REASON_POLICY_DENIED);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		node_from(list[i].text, 1, pkt_v6_to(WHO_A, &list[i].dst, TCP(40000, 4646, SYN)),
			  PK_REASON_POLICY_DENIED);
}

static void who(void)
{
	struct pkt p = pkt_v4(WHO_CLOSED, WHO_A, UDP(40000, 53));
	struct node_meta meta = { .ifindex = 1 };
	struct expect e = { "a device of no slot", PK_REASON_UNKNOWN_ENDPOINT, 0, PK_EGRESS,
			    false };

	node_from("a closed endpoint's packet", 4, p, PK_REASON_ENDPOINT_CLOSED);
	node_from("even a frame that can't be read", 4, pkt_arp(WHO_CLOSED, 9, 0),
		  PK_REASON_ENDPOINT_CLOSED);
	node_expect(&e, NODE_FROM, 0, &p, &meta);
	node_from_at("a packet to a closed endpoint", 1, pkt_v4(WHO_A, WHO_CLOSED, UDP(40000, 53)),
		     4, PK_REASON_ENDPOINT_CLOSED);
}

void cases_spoof(void)
{
	node_reset();
	mac();
	ipv4();
	ipv6();
	link_local();
	discovery();
	dhcp();
	groups();
	loopback();
	who();
}
