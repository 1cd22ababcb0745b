// SPDX-License-Identifier: Apache-2.0
/* Every source that an endpoint may have, in what it may have it, and the ones beside each. */
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

#define L3 14

#define LINK_LOCAL(last)                                                                           \
	{                                                                                          \
		.b = { 0xfe, 0x80, [15] = last }                                                   \
	}
static const union pk_addr own_link = LINK_LOCAL(WHO_A), gateway = LINK_LOCAL(1);
static const union pk_addr unspecified = { .b = { 0 } };
static const union pk_addr foreign = { .b = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };

static struct pkt from(struct pkt p, const union pk_addr *src)
{
	memcpy(p.b + L3 + 8, src, 16);
	pkt_seal(&p);
	return p;
}

static struct pkt from4(struct pkt p, uint32_t src)
{
	for (int i = 0; i < 4; i++)
		p.b[L3 + 12 + i] = (uint8_t)(src >> (24 - 8 * i));
	pkt_seal(&p);
	return p;
}

/* All of the Ethernet source counts. */
static void macs(void)
{
	char text[64];

	for (size_t i = 6; i < 12; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

		p.b[i] ^= 0x10;
		snprintf(text, sizeof(text), "another byte %zu of the source MAC", i - 6);
		node_from(text, 1, p, PK_REASON_SPOOFED_MAC);
	}
}

/* Before it has an address, a guest may ask for one, and nothing else. */
static void unspecified4(void)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

	node_from("0.0.0.0 asks a DHCP server", 1, p, PK_REASON_OK);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(69, 67)), 0);
	node_from("0.0.0.0 asks it by another port", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(68, 68)), 0);
	node_from("0.0.0.0 sends to a DHCP client", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(68, 53)), 0);
	node_from("0.0.0.0 sends to another port by that of DHCP", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from4(pkt_v4(WHO_A, WHO_B, TCP(68, 67, SYN)), 0);
	node_from("0.0.0.0 sends TCP by the ports of DHCP", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(68, 67)), 0x0a14000c);
	node_from("the neighbour's address asks a DHCP server", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(68, 67)), 1);
	node_from("0.0.0.1 asks a DHCP server", 1, p, PK_REASON_SPOOFED_IPV4);
}

/* DHCP's ports alone are its own: the same in TCP, in IPv6, in the other order aren't. */
static void near_dhcp(void)
{
	node_from("UDP to the server's port by another one", 1, pkt_v4(WHO_A, WHO_B, UDP(69, 67)),
		  PK_REASON_SPOOFED_DHCP);
	node_from("UDP between servers' ports", 1, pkt_v4(WHO_A, WHO_B, UDP(67, 67)),
		  PK_REASON_SPOOFED_DHCP);
	node_from("UDP from a server to a client", 1, pkt_v4(WHO_A, WHO_B, UDP(67, 68)),
		  PK_REASON_SPOOFED_DHCP);
	node_from("UDP between clients", 1, pkt_v4(WHO_A, WHO_B, UDP(68, 68)), PK_REASON_OK);
	node_from("UDP from a server's port to another one", 1, pkt_v4(WHO_A, WHO_B, UDP(67, 69)),
		  PK_REASON_OK);
	node_from("TCP to the server's port", 1, pkt_v4(WHO_A, WHO_B, TCP(68, 67, SYN)),
		  PK_REASON_OK);
	node_from("TCP from a server to a client", 1, pkt_v4(WHO_A, WHO_B, TCP(67, 68, SYN)),
		  PK_REASON_OK);
	node_reset();
	node_from("UDP over IPv6 to the server's port of IPv4", 1,
		  pkt_v6(WHO_A, WHO_B, UDP(68, 67)), PK_REASON_OK);
	node_from("UDP over IPv4 to the server's port of IPv6", 1,
		  pkt_v4(WHO_A, WHO_B, UDP(546, 547)), PK_REASON_OK);
	node_from("UDP over IPv4 from the server's port of IPv6", 1,
		  pkt_v4(WHO_A, WHO_B, UDP(547, 546)), PK_REASON_OK);
	node_from("TCP to the server's port of IPv6", 1, pkt_v6(WHO_A, WHO_B, TCP(546, 547, SYN)),
		  PK_REASON_OK);
	node_from("UDP from a server of IPv6 to a client", 1, pkt_v6(WHO_A, WHO_B, UDP(547, 546)),
		  PK_REASON_SPOOFED_DHCP);
	node_from("UDP between clients of IPv6", 1, pkt_v6(WHO_A, WHO_B, UDP(546, 546)),
		  PK_REASON_OK);
	node_from("UDP from a server's port of IPv6 to another one", 1,
		  pkt_v6(WHO_A, WHO_B, UDP(547, 548)), PK_REASON_OK);
}

/* Who asks by DHCPv6 does so from its link-local address. */
static void link_local_dhcp(void)
{
	static const char solicit[] = "\x01\x12\x34\x56"
				      "\0\1\0\4\0\4\1\2";
	struct pkt ask = pkt_dhcp6(WHO_A, solicit, sizeof(solicit) - 1), p;
	union pk_addr own = pkt_ip6(WHO_A);

	node_from("DHCPv6 from the link-local address", 1, ask, PK_REASON_OK);
	node_from("DHCPv6 from its own address", 1, from(ask, &own), PK_REASON_OK);
	node_from("DHCPv6 from a foreign address", 1, from(ask, &foreign), PK_REASON_SPOOFED_IPV6);
	node_from("DHCPv6 from ::", 1, from(ask, &unspecified), PK_REASON_SPOOFED_IPV6);
	p = from(pkt_v6(WHO_A, WHO_B, UDP(547, 546)), &own_link);
	node_from("a DHCPv6 server at the link-local address", 1, p, PK_REASON_SPOOFED_DHCP);
	p = from(pkt_v6(WHO_A, WHO_B, UDP(547, 548)), &own_link);
	node_from("the link-local address from a server's port", 1, p, PK_REASON_SPOOFED_IPV6);
	p = from(pkt_v6(WHO_A, WHO_B, UDP(546, 546)), &own_link);
	node_from("the link-local address to a client", 1, p, PK_REASON_SPOOFED_IPV6);
	p = from(pkt_v6(WHO_A, WHO_B, TCP(546, 547, SYN)), &own_link);
	node_from("the link-local address, TCP", 1, p, PK_REASON_SPOOFED_IPV6);
}

/* Neighbour discovery has the link-local source, or none, or the endpoint's own. */
static void discovery(void)
{
	static const struct {
		const char *text;
		union pk_addr src;
		enum pk_reason reason;
	} list[] = {
		{ "from ::", { .b = { 0 } }, PK_REASON_OK },
		{ "from fe80::11", LINK_LOCAL(0x11), PK_REASON_OK },
		{ "from febf::11", { .b = { 0xfe, 0xbf, [15] = 0x11 } }, PK_REASON_OK },
		{ "from fec0::11", { .b = { 0xfe, 0xc0, [15] = 0x11 } }, PK_REASON_SPOOFED_IPV6 },
		{ "from fe7f::11", { .b = { 0xfe, 0x7f, [15] = 0x11 } }, PK_REASON_SPOOFED_IPV6 },
		{ "from ff80::11", { .b = { 0xff, 0x80, [15] = 0x11 } }, PK_REASON_SPOOFED_IPV6 },
		{ "from 2001:db8::1",
		  { .b = { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
		  PK_REASON_SPOOFED_IPV6 },
		{ "from the neighbour's",
		  { .b = { 0xfd, 0, 0, 0x20, [15] = WHO_B } },
		  PK_REASON_SPOOFED_IPV6 },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt p = from(pkt_nd(WHO_A, 133, NULL, 1), &list[i].src);

		snprintf(text, sizeof(text), "a router solicitation %s", list[i].text);
		node_from(text, 1, p, list[i].reason);
		p = from(pkt_v6(WHO_A, WHO_B, PING6(7)), &list[i].src);
		snprintf(text, sizeof(text), "a ping %s", list[i].text);
		node_from(text, 1, p, PK_REASON_SPOOFED_IPV6);
	}
}

/* What is neighbour discovery or MLD is so by its type in ICMPv6, and not in ICMP. */
static void types(void)
{
	char text[64];

	for (int type = 128; type <= 145; type++) {
		bool echo = type <= 129, mld = (type >= 130 && type <= 132) || type == 143;
		enum pk_reason want =
			type >= 133 && type <= 137 ? PK_REASON_SPOOFED_ND : PK_REASON_SPOOFED_IPV6;
		struct l4 l4 = { 58, 0, (uint16_t)(type << 8), 0, 24 };
		struct pkt p = from(pkt_v6_to(WHO_A, &gateway, l4), &own_link);

		if (echo)
			continue;
		snprintf(text, sizeof(text), "ICMPv6 type %d from the link-local address", type);
		/* Discovery comes from the link: here it says a hop limit of 64. */
		node_from(text, 1, p, mld ? PK_REASON_MULTICAST : want);
		snprintf(text, sizeof(text), "ICMP type %d from its own address", type);
		l4.proto = 1;
		node_from(text, 1, pkt_v4(WHO_A, WHO_B, l4), PK_REASON_OK);
	}
}

/* fe80::1 is one address. */
static void gateways(void)
{
	static const uint8_t places[] = { 2, 4, 7, 8, 11, 12, 14 };
	struct pkt ping = from(pkt_v6(WHO_A, WHO_GATEWAY, PING6(7)), &own_link);
	struct pkt p = from(pkt_v6(WHO_A, WHO_GATEWAY, PONG6(7)), &own_link);
	const union pk_addr own = pkt_ip6(WHO_A), other = LINK_LOCAL(2);
	char text[64];

	node_from("a ping of fe80::1 from the link-local address", 1, ping, PK_REASON_OK);
	node_from("from its own address", 1, pkt_v6(WHO_A, WHO_GATEWAY, PING6(7)), PK_REASON_OK);
	node_from("from a foreign one", 1, from(ping, &foreign), PK_REASON_SPOOFED_IPV6);
	node_from("from ::", 1, from(ping, &unspecified), PK_REASON_SPOOFED_IPV6);
	node_from("an echo reply to fe80::1 from the link-local address", 1, p,
		  PK_REASON_SPOOFED_IPV6);
	p = from(pkt_v6(WHO_A, WHO_GATEWAY, UDP(9, 9)), &own_link);
	node_from("UDP to fe80::1 from the link-local address", 1, p, PK_REASON_SPOOFED_IPV6);
	p = from(pkt_error(WHO_A, WHO_GATEWAY, &p), &own_link);
	node_from("that nobody waits for it, to fe80::1 from the link-local address", 1, p,
		  PK_REASON_ICMP_UNRELATED);
	node_from("the same from its own address", 1, from(p, &own), PK_REASON_ICMP_UNRELATED);
	node_from("the same from a foreign one", 1, from(p, &foreign), PK_REASON_SPOOFED_IPV6);
	memcpy(p.b + L3 + 24, &other, 16);
	pkt_seal(&p);
	node_from("the same to fe80::2", 1, p, PK_REASON_SPOOFED_IPV6);
	for (size_t i = 0; i < sizeof(places); i++) {
		p = ping;
		p.b[L3 + 24 + places[i]] ^= 0x20;
		pkt_seal(&p);
		snprintf(text, sizeof(text), "a ping of fe80::1 but for byte %u", places[i]);
		node_from(text, 1, p, PK_REASON_SPOOFED_IPV6);
	}
	node_from("a ping of fe80::2", 1, pkt_v6_to(WHO_A, &(union pk_addr)LINK_LOCAL(2), PING6(7)),
		  PK_REASON_POLICY_DENIED);
}

/* What an endpoint without an address of a family may say in it. */
static void without(void)
{
	struct pk_endpoint ep;
	struct pkt p;

	node_endpoint(1, &ep);
	memset(&ep.ipv4, 0, sizeof(ep.ipv4));
	memset(&ep.ipv6, 0, sizeof(ep.ipv6));
	node_endpoint_set(1, &ep);
	p = from4(pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), 0);
	node_from("0.0.0.0 where there is no IPv4", 1, p, PK_REASON_SPOOFED_IPV4);
	p = from(pkt_v6(WHO_A, WHO_B, UDP(40000, 53)), &unspecified);
	node_from(":: where there is no IPv6", 1, p, PK_REASON_SPOOFED_IPV6);
	node_from("its discover, where there is no IPv4", 1, pkt_dhcp(WHO_A, 1, 0, 0),
		  PK_REASON_MULTICAST);
	node_from("its solicitation, where there is no IPv6", 1, pkt_nd(WHO_A, 135, &gateway, 1),
		  PK_REASON_MULTICAST);
	node_from("its advertisement", 1, pkt_nd(WHO_A, 136, &own_link, 1), PK_REASON_MULTICAST);
	node_reset();
}

void cases_source(void)
{
	node_reset();
	macs();
	unspecified4();
	near_dhcp();
	link_local_dhcp();
	discovery();
	types();
	gateways();
	without();
}
