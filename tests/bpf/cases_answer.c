// SPDX-License-Identifier: Apache-2.0
/* What the guard answers itself, byte by byte: ARP, ND, RS, DHCPv4, ping of the gateway. */
#include <string.h>

#include "tests/bpf/node.h"

static const uint8_t gateway_mac[6] = { 0x02, 0x70, 0x6b, 0, 0, 1 };

/* Runs it from A; true where an answer came back to A's MAC from the gateway's. */
static bool answered(const char *text, struct pkt *p)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_EGRESS, false };
	uint8_t mac[6];

	pkt_mac(WHO_A, mac);
	return node_expect(&e, NODE_FROM, 1, p, NULL) &&
	       check(text, !memcmp(p->b, mac, 6) && !memcmp(p->b + 6, gateway_mac, 6));
}

/* P61: an ARP probe and a gratuitous ARP for the endpoint's own address are never answered. */
static void arp(void)
{
	struct pkt p = pkt_arp(WHO_A, 1, 0x0a140001);
	static const uint8_t wanted[] = { 0,	1, 8, 0,  6,  4,  0, 2, 0x02, 0x70,
					  0x6b, 0, 0, 1,  10, 20, 0, 1, 0x02, 0x70,
					  0,	0, 0, 11, 10, 20, 0, 11 };
	struct pk_endpoint ep;

	if (answered("ARP for the gateway", &p))
		check("ARP reply is right", p.len == 42 && !memcmp(p.b + 14, wanted, 28));
	p = pkt_arp(WHO_A, 1, 0x0a14000c);
	if (answered("ARP for a neighbour gives the gateway's MAC", &p))
		check("sender MAC", !memcmp(p.b + 22, gateway_mac, 6));
	p = pkt_arp(WHO_A, 1, 0x0a14004d);
	answered("and the same for an address where nobody lives", &p);
	node_from("gratuitous ARP isn't answered", 1, pkt_arp(WHO_A, 1, 0x0a14000b),
		  PK_REASON_MULTICAST);
	p = pkt_arp(WHO_A, 1, 0x0a14000b);
	memset(p.b + 28, 0, 4);
	node_from("an ARP probe for its own address isn't answered", 1, p, PK_REASON_MULTICAST);
	node_from("ARP beyond the block isn't answered", 1, pkt_arp(WHO_A, 1, 0x0a150001),
		  PK_REASON_MULTICAST);
	node_endpoint(1, &ep);
	memset(&ep.ipv4, 0, sizeof(ep.ipv4));
	ep.ipv4_prefix = 0;
	node_endpoint_set(1, &ep);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	memset(p.b + 28, 0, 4);
	node_from("ARP probe of an endpoint without IPv4", 1, p, PK_REASON_MULTICAST);
	node_from("ARP with a sender of an endpoint without IPv4", 1, pkt_arp(WHO_A, 1, 0x0a140001),
		  PK_REASON_SPOOFED_ARP);
	node_reset();
}

/* P61: nor is the detection of duplicates (DAD) for its own address. */
static void neighbours(void)
{
	union pk_addr gateway = pkt_ip6(WHO_GATEWAY), b = pkt_ip6(WHO_B), a = pkt_ip6(WHO_A);
	union pk_addr else_where = pkt_ip6(WHO_WORLD);
	struct pkt p = pkt_nd(WHO_A, 135, &gateway, 1);

	if (answered("NS for fe80::1 from a link-local source", &p)) {
		check("NA: type, flags", p.b[54] == 136 && p.b[58] == 0xe0);
		check("NA: target", !memcmp(p.b + 62, gateway.b, 16));
		check("NA: link-layer option", p.b[78] == 2 && !memcmp(p.b + 80, gateway_mac, 6));
		check("NA: length, hop limit, checksum",
		      p.len == 86 && p.b[21] == 255 && pkt_l4_sum(&p) == 0xffff);
		check("NA: to who asked", p.b[38] == 0xfe && p.b[53] == WHO_A);
	}
	p = pkt_nd(WHO_A, 135, &b, 0);
	if (answered("NS for an address of the pool", &p))
		check("NA: of that address", !memcmp(p.b + 62, b.b, 16) &&
						     !memcmp(p.b + 22, b.b, 16) &&
						     pkt_l4_sum(&p) == 0xffff);
	node_from("its own address is never answered for", 1, pkt_nd(WHO_A, 135, &a, 1),
		  PK_REASON_MULTICAST);
	p = pkt_nd(WHO_A, 135, &a, 0);
	memset(p.b + 22, 0, 16);
	pkt_seal(&p);
	node_from("DAD for its own address isn't answered", 1, p, PK_REASON_MULTICAST);
	node_from("NS for the world isn't answered", 1, pkt_nd(WHO_A, 135, &else_where, 0),
		  PK_REASON_MULTICAST);
	node_from("an NA of its own is swallowed", 1, pkt_nd(WHO_A, 136, &a, 0),
		  PK_REASON_MULTICAST);
	p = pkt_nd(WHO_A, 133, NULL, 1);
	p.b[54] = 143;
	node_from("MLD is swallowed", 1, p, PK_REASON_MULTICAST);
}

static void router(void)
{
	struct pkt p = pkt_nd(WHO_A, 133, NULL, 1);
	struct pk_endpoint ep;

	if (answered("RS", &p)) {
		const uint8_t *ra = p.b + 54;

		check("RA: managed, hop limit, lifetime",
		      ra[0] == 134 && ra[4] == 64 && ra[5] == 0x80 && ra[6] == 0x07);
		check("RA: MTU 1500", ra[24] == 5 && ra[30] == 0x05 && ra[31] == 0xdc);
		check("RA: prefix /128, neither on-link nor autonomous",
		      ra[32] == 3 && ra[34] == 128 && ra[35] == 0 &&
			      !memcmp(ra + 48, pkt_ip6(WHO_A).b, 16));
		check("RA: one resolver", ra[64] == 25 && ra[65] == 3 && ra[72] == 0xfd &&
						  ra[87] == 0x53 && p.len == 54 + 88);
		check("RA: checksum", pkt_l4_sum(&p) == 0xffff);
	}
	p = pkt_nd(WHO_A, 133, NULL, 0);
	memset(p.b + 22, 0, 16);
	pkt_seal(&p);
	if (answered("RS from ::", &p))
		check("RA: to all nodes", p.b[38] == 0xff && pkt_l4_sum(&p) == 0xffff);
	node_answers_set(1, &node_untold);
	p = pkt_nd(WHO_A, 133, NULL, 1);
	if (answered("RS, no resolver", &p))
		check("RA: without RDNSS", p.len == 54 + 64 && pkt_l4_sum(&p) == 0xffff);
	node_endpoint(1, &ep);
	ep.mtu = 1400;
	node_endpoint_set(1, &ep);
	p = pkt_nd(WHO_A, 133, NULL, 1);
	if (answered("RS, another MTU", &p))
		check("RA: the endpoint's own MTU", p.b[54 + 30] == 0x05 && p.b[54 + 31] == 0x78);
	memset(&ep.ipv6, 0, sizeof(ep.ipv6));
	node_endpoint_set(1, &ep);
	node_from("RS of an endpoint without IPv6", 1, pkt_nd(WHO_A, 133, NULL, 1),
		  PK_REASON_MULTICAST);
	node_from("but an RA is still spoofed", 1, pkt_nd(WHO_A, 134, NULL, 1),
		  PK_REASON_SPOOFED_ND);
	node_reset();
}

static const uint8_t *option(const struct pkt *p, uint8_t code)
{
	size_t at = 42 + 240;

	while (at < p->len && p->b[at] != 255) {
		if (p->b[at] == code)
			return p->b + at + 1;
		at += p->b[at] ? 2 + p->b[at + 1] : 1;
	}
	return NULL;
}

static bool option_is(const struct pkt *p, uint8_t code, const void *value, uint8_t len)
{
	const uint8_t *o = option(p, code);

	return o && *o == len && !memcmp(o + 1, value, len);
}

static void lease(const struct pkt *p, uint8_t type)
{
	check("DHCP: type", option_is(p, 53, &type, 1));
	check("DHCP: yiaddr", !memcmp(p->b + 58, pkt_ip4(WHO_A).b + 12, 4));
	check("DHCP: server", option_is(p, 54, "\x0a\x14\x00\x01", 4));
	check("DHCP: mask", option_is(p, 1, "\xff\xff\xff\x00", 4));
	check("DHCP: router", option_is(p, 3, "\x0a\x14\x00\x01", 4));
	check("DHCP: MTU", option_is(p, 26, "\x05\xdc", 2));
	check("DHCP: resolver", option_is(p, 6, "\x0a\x00\x00\x35", 4));
	check("DHCP: lease", option(p, 51));
	check("DHCP: transaction", !memcmp(p->b + 46, "\x12\x34\x56\x78", 4));
	check("DHCP: checksums", pkt_ip_sum(p) == 0xffff && pkt_l4_sum(p) == 0xffff);
	check("DHCP: ports", p->b[35] == 67 && p->b[37] == 68);
}

/* P08: a guest's own discover and request are answered by the guard with its own lease only. */
static void dhcp(void)
{
	uint32_t own = 0x0a14000b, gateway = 0x0a140001;
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);
	uint8_t nak = 6;

	if (answered("its own discover", &p))
		lease(&p, 2);
	p = pkt_dhcp(WHO_A, 3, own, gateway);
	if (answered("its own request", &p))
		lease(&p, 5);
	p = pkt_dhcp(WHO_A, 3, 0x0a14000c, gateway);
	if (answered("a request for the neighbour's address", &p))
		check("DHCP: refused", option_is(&p, 53, &nak, 1) && !p.b[58] && !p.b[61] &&
					       pkt_l4_sum(&p) == 0xffff);
	p = pkt_dhcp(WHO_A, 3, 0, 0);
	memcpy(p.b + 42 + 12, pkt_ip4(WHO_A).b + 12, 4);
	memcpy(p.b + 26, pkt_ip4(WHO_A).b + 12, 4);
	pkt_seal(&p);
	if (answered("a renewal", &p))
		lease(&p, 5);
	for (int with = 0; with < 2; with++) {
		p = pkt_dhcp(WHO_A, 8, 0, 0);
		memcpy(p.b + 26, pkt_ip4(WHO_A).b + 12, 4);
		memcpy(p.b + 42 + 12, pkt_ip4(with ? WHO_B : WHO_A).b + 12, with ? 4 : 0);
		pkt_seal(&p);
		if (answered("an inform, without an address or with another's", &p))
			check("DHCP: to its own address, which isn't given again",
			      option_is(&p, 53, "\x05", 1) && !p.b[58] && !p.b[61] &&
				      !memcmp(p.b + 30, pkt_ip4(WHO_A).b + 12, 4) &&
				      pkt_ip_sum(&p) == 0xffff && pkt_l4_sum(&p) == 0xffff);
	}
	node_from("another server's offer was taken", 1, pkt_dhcp(WHO_A, 3, own, 0x0a140063),
		  PK_REASON_MULTICAST);
	node_from("a release", 1, pkt_dhcp(WHO_A, 7, 0, gateway), PK_REASON_MULTICAST);
	p = pkt_dhcp(WHO_A, 1, 0, 0);
	p.b[42 + 236] = 0;
	pkt_seal(&p);
	node_from("DHCP without its cookie", 1, p, PK_REASON_MALFORMED);
	p = pkt_dhcp(WHO_A, 1, 0, 0);
	p.b[38] = 0, p.b[39] = 8;
	p.len = 42;
	p.b[16] = 0, p.b[17] = 28;
	node_from("DHCP of 8 bytes", 1, p, PK_REASON_TRUNCATED);
}

static void ping(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_GATEWAY, PING(7));

	if (answered("ping of the gateway", &p))
		check("echo reply is right",
		      p.b[34] == 0 && !memcmp(p.b + 26, "\x0a\x14\0\x01", 4) &&
			      pkt_ip_sum(&p) == 0xffff && pkt_l4_sum(&p) == 0xffff);
	p = pkt_v6(WHO_A, WHO_GATEWAY, PING6(7));
	if (answered("ping of fe80::1", &p))
		check("echo reply is right, IPv6",
		      p.b[54] == 129 && p.b[22] == 0xfe && pkt_l4_sum(&p) == 0xffff);
	node_from("TCP to the gateway is nobody's", 1, pkt_v4(WHO_A, WHO_GATEWAY, TCP(9, 22, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("ping of the gateway with the neighbour's source", 1,
		  (p = pkt_v4(WHO_A, WHO_GATEWAY, PING(7)), p.b[29] = 12, p),
		  PK_REASON_SPOOFED_IPV4);
}

void cases_answer(void)
{
	node_reset();
	arp();
	neighbours();
	router();
	dhcp();
	ping();
}
