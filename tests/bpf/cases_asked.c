// SPDX-License-Identifier: Apache-2.0
/* What is asked of the gateway, field by field: what it answers, and what it doesn't. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

#define L3	14
#define ICMP6	(L3 + 40)
#define OPTIONS (ICMP6 + 24) /* of NS and NA */
#define BOOTP	(L3 + 28)
#define DHCP	(BOOTP + 240)

static const union pk_addr gateway = { .b = { 0xfe, 0x80, [15] = 1 } };

static struct pkt with(struct pkt p, size_t off, uint8_t value)
{
	p.b[off] = value;
	pkt_seal(&p);
	return p;
}

static bool answered(const char *text, struct pkt *p)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_EGRESS, false };

	return node_expect(&e, NODE_FROM, 1, p, NULL);
}

static void edit(uint32_t prefix)
{
	struct pk_endpoint ep;

	node_reset();
	node_endpoint(1, &ep);
	ep.ipv4_prefix = prefix;
	node_endpoint_set(1, &ep);
}

/* The block that ARP is answered for is the prefix around the endpoint's own address. */
static void arp_blocks(void)
{
	static const struct {
		const char *text;
		uint32_t prefix, target;
		enum pk_reason reason;
	} list[] = {
		{ "in /24, its first address", 24, 0x0a140000, PK_REASON_OK },
		{ "in /24, its last one", 24, 0x0a1400ff, PK_REASON_OK },
		{ "behind /24", 24, 0x0a140100, PK_REASON_MULTICAST },
		{ "before /24", 24, 0x0a13ffff, PK_REASON_MULTICAST },
		{ "in /25, its last one", 25, 0x0a14007f, PK_REASON_OK },
		{ "behind /25", 25, 0x0a140080, PK_REASON_MULTICAST },
		{ "in /31, the other one", 31, 0x0a14000a, PK_REASON_OK },
		{ "behind /31", 31, 0x0a14000c, PK_REASON_MULTICAST },
		{ "in /32 there is nobody else", 32, 0x0a14000a, PK_REASON_MULTICAST },
		{ "in /32, itself", 32, 0x0a14000b, PK_REASON_MULTICAST },
		{ "in /0, anybody", 0, 0xc0000201, PK_REASON_OK },
		{ "in /0, itself", 0, 0x0a14000b, PK_REASON_MULTICAST },
		{ "a prefix of 33", 33, 0x0a14000a, PK_REASON_MULTICAST },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		edit(list[i].prefix);
		snprintf(text, sizeof(text), "ARP %s", list[i].text);
		node_from(text, 1, pkt_arp(WHO_A, 1, list[i].target), list[i].reason);
	}
}

static void arp_fields(void)
{
	struct pkt ask = pkt_arp(WHO_A, 1, 0x0a140001), p;
	char text[64];

	node_reset();
	for (size_t i = 0; i < 6; i++) {
		p = ask;
		p.b[L3 + 8 + i] ^= 0x10;
		snprintf(text, sizeof(text), "ARP with another byte %zu of its MAC", i);
		node_from(text, 1, p, PK_REASON_SPOOFED_ARP);
	}
	for (size_t i = 0; i < 4; i++) {
		p = ask;
		p.b[L3 + 14 + i] ^= 0x10;
		snprintf(text, sizeof(text), "ARP with another byte %zu of its address", i);
		node_from(text, 1, p, PK_REASON_SPOOFED_ARP);
	}
	for (uint16_t op = 0; op < 10; op++) {
		snprintf(text, sizeof(text), "ARP operation %u", op);
		node_from(text, 1, pkt_arp(WHO_A, op, 0x0a140001),
			  op == 1 ? PK_REASON_OK : PK_REASON_SPOOFED_ARP);
	}
	p = ask;
	memset(p.b + L3 + 14, 0, 4);
	if (answered("an ARP probe for another address", &p))
		check("is answered to nobody's address", !p.b[L3 + 24] && !p.b[L3 + 27]);
}

/* NS, NA and RS: the options behind them name the endpoint's own MAC, and end where they should. */
static void nd_options(void)
{
	static const struct {
		const char *text;
		uint8_t options[40];
		size_t n;
		bool right;
	} list[] = {
		{ "no option", { 0 }, 0, true },
		{ "its own MAC", { 1, 1, 2, 0x70, 0, 0, 0, WHO_A }, 8, true },
		{ "its own MAC as a target", { 2, 1, 2, 0x70, 0, 0, 0, WHO_A }, 8, true },
		{ "a foreign MAC", { 1, 1, 2, 0x70, 0, 0, 0, WHO_B }, 8, false },
		{ "a foreign MAC as a target", { 2, 1, 2, 0x70, 0, 0, 0, WHO_B }, 8, false },
		{ "a MAC that begins otherwise", { 1, 1, 3, 0x70, 0, 0, 0, WHO_A }, 8, false },
		{ "another option", { 14, 1, 9, 9, 9, 9, 9, 9 }, 8, true },
		{ "an option of no length", { 14, 0, 9, 9, 9, 9, 9, 9 }, 8, false },
		{ "an option beyond the end", { 14, 2, 9, 9, 9, 9, 9, 9 }, 8, false },
		{ "an option of 16 bytes", { 14, 2 }, 16, true },
		{ "its MAC in 16 bytes", { 1, 2, 2, 0x70, 0, 0, 0, WHO_A }, 16, false },
		{ "a foreign MAC behind another option",
		  { 14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0x70, 0, 0, 0, WHO_B },
		  16,
		  false },
		{ "its own MAC behind another option",
		  { 14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0x70, 0, 0, 0, WHO_A },
		  16,
		  true },
		{ "four options", { 14, 1, [8] = 14, 1, [16] = 14, 1, [24] = 14, 1 }, 32, true },
		{ "a foreign MAC as the fourth",
		  { 14, 1, [8] = 14, 1, [16] = 14, 1, [24] = 1, 1, 2, 0x70, 0, 0, 0, WHO_B },
		  32,
		  false },
		{ "five options",
		  { 14, 1, [8] = 14, 1, [16] = 14, 1, [24] = 14, 1, [32] = 14, 1 },
		  40,
		  false },
		{ "four bytes more", { 14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0x70 }, 12, false },
	};
	union pk_addr a = pkt_ip6(WHO_A);
	char text[96];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt kinds[] = { pkt_nd(WHO_A, 133, NULL, 1), pkt_nd(WHO_A, 135, &gateway, 1),
				       pkt_nd(WHO_A, 136, &a, 1) };
		static const char *const names[] = { "RS", "NS", "NA" };

		node_reset();
		for (int k = 0; k < 3; k++) {
			struct pkt p = kinds[k];
			size_t at = k ? OPTIONS : ICMP6 + 8;
			enum pk_reason taken = k == 2 ? PK_REASON_MULTICAST : PK_REASON_OK;

			memcpy(p.b + at, list[i].options, list[i].n);
			p.len = at + list[i].n;
			p.b[L3 + 5] = (uint8_t)(p.len - ICMP6);
			pkt_seal(&p);
			snprintf(text, sizeof(text), "%s with %s", names[k], list[i].text);
			node_from(text, 1, p, list[i].right ? taken : PK_REASON_SPOOFED_ND);
		}
	}
}

/* Discovery comes from the link itself, in its one version. */
static void nd_headers(void)
{
	static const uint8_t kinds[] = { 133, 135, 136 };
	union pk_addr a = pkt_ip6(WHO_A);
	char text[64];

	node_reset();
	for (size_t k = 0; k < sizeof(kinds); k++) {
		const union pk_addr *target = kinds[k] == 136 ? &a : &gateway;
		struct pkt p = pkt_nd(WHO_A, kinds[k], kinds[k] == 133 ? NULL : target, 1);

		snprintf(text, sizeof(text), "type %u that crossed a router", kinds[k]);
		node_from(text, 1, with(p, L3 + 7, 254), PK_REASON_SPOOFED_ND);
		snprintf(text, sizeof(text), "type %u with a code", kinds[k]);
		node_from(text, 1, with(p, ICMP6 + 1, 1), PK_REASON_SPOOFED_ND);
		p.len = ICMP6 + 20;
		p.b[L3 + 5] = 20;
		pkt_seal(&p);
		snprintf(text, sizeof(text), "type %u that ends early", kinds[k]);
		node_from(text, 1, p, kinds[k] == 133 ? PK_REASON_SPOOFED_ND : PK_REASON_TRUNCATED);
	}
}

/* For whom the gateway speaks, and of whom a guest may. */
static void nd_targets(void)
{
	static const struct {
		const char *text;
		union pk_addr target;
		enum pk_reason ns, na;
	} list[] = {
		{ "fe80::1",
		  { .b = { 0xfe, 0x80, [15] = 1 } },
		  PK_REASON_OK,
		  PK_REASON_SPOOFED_ND },
		{ "fe80::11",
		  { .b = { 0xfe, 0x80, [15] = 0x11 } },
		  PK_REASON_MULTICAST,
		  PK_REASON_MULTICAST },
		{ "its own",
		  { .b = { 0xfd, 0, 0, 0x20, [15] = WHO_A } },
		  PK_REASON_MULTICAST,
		  PK_REASON_MULTICAST },
		{ "the neighbour's",
		  { .b = { 0xfd, 0, 0, 0x20, [15] = WHO_B } },
		  PK_REASON_OK,
		  PK_REASON_SPOOFED_ND },
		{ "a free address of the pool",
		  { .b = { 0xfd, 0, 0, 0x20, [15] = 0x99 } },
		  PK_REASON_OK,
		  PK_REASON_SPOOFED_ND },
		{ "an address beyond the pool",
		  { .b = { 0xfd, 0, 0, 0x21, [15] = 0x99 } },
		  PK_REASON_MULTICAST,
		  PK_REASON_SPOOFED_ND },
	};
	union pk_addr nobody = { .b = { 0 } };
	char text[64];

	node_reset();
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt p = pkt_nd(WHO_A, 135, &list[i].target, 1);

		snprintf(text, sizeof(text), "a solicitation for %s", list[i].text);
		node_from(text, 1, p, list[i].ns);
		memcpy(p.b + L3 + 8, nobody.b, 16);
		pkt_seal(&p);
		snprintf(text, sizeof(text), "duplicate detection of %s", list[i].text);
		node_from(text, 1, p, PK_REASON_MULTICAST);
		snprintf(text, sizeof(text), "an advertisement of %s", list[i].text);
		node_from(text, 1, pkt_nd(WHO_A, 136, &list[i].target, 1), list[i].na);
	}
}

/* A DHCP message with these options alone. */
static struct pkt dhcp_with(const char *options, size_t n)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

	memset(p.b + DHCP, 0, p.len - DHCP);
	memcpy(p.b + DHCP, options, n);
	pkt_seal(&p);
	return p;
}

static uint8_t dhcp_type(const struct pkt *p)
{
	return p->b[DHCP] == 53 ? p->b[DHCP + 2] : 0;
}

#define DISCOVER "\x35\x01\x01"
#define REQUEST	 "\x35\x01\x03"
#define OWN	 "\x32\x04\x0a\x14\x00\x0b"
#define OTHERS	 "\x32\x04\x0a\x14\x00\x0c"
#define GATEWAY	 "\x36\x04\x0a\x14\x00\x01"
#define SERVER	 "\x36\x04\x0a\x14\x00\x63"
#define END	 "\xff"
#define PADS	 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" /* 15 */
#define OF(text) text, sizeof(text) - 1

static void dhcp_options(void)
{
	static const struct {
		const char *text;
		const char *options;
		size_t n;
		uint8_t type; /* of the answer; 0: none */
	} list[] = {
		{ "a discover", OF(DISCOVER END), 2 },
		{ "a discover behind padding", OF("\0\0" DISCOVER END), 2 },
		{ "a discover behind another option", OF("\x0c\x03xyz" DISCOVER END), 2 },
		{ "a discover behind the end", OF(END DISCOVER), 0 },
		{ "a discover behind the end and padding", OF(END "\0" DISCOVER END), 0 },
		{ "a type of two bytes", OF("\x35\x02\x01\x01" END), 0 },
		{ "no type", OF(OWN END), 0 },
		{ "a request of its own", OF(REQUEST OWN END), 5 },
		{ "a request of the neighbour's", OF(REQUEST OTHERS END), 6 },
		{ "a request of nothing", OF(REQUEST END), 6 },
		{ "a request of five bytes", OF(REQUEST "\x32\x05\x0a\x14\x00\x0b\x00" END), 6 },
		{ "a request of its own from the gateway", OF(REQUEST OWN GATEWAY END), 5 },
		{ "a request from another server", OF(REQUEST OWN SERVER END), 0 },
		{ "a request from a server of five bytes",
		  OF(REQUEST OWN "\x36\x05\x0a\x14\x00\x63\x00" END), 5 },
		{ "a discover from another server", OF(DISCOVER SERVER END), 2 },
		{ "a decline", OF("\x35\x01\x04" END), 0 },
		{ "an offer", OF("\x35\x01\x02" END), 0 },
		{ "an acknowledgement", OF("\x35\x01\x05" END), 0 },
		{ "a type behind 31 bytes of padding", OF(PADS PADS "\0" DISCOVER END), 2 },
		{ "a type behind 32 bytes of padding", OF(PADS PADS "\0\0" DISCOVER END), 0 },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt p = dhcp_with(list[i].options, list[i].n);

		edit(24);
		snprintf(text, sizeof(text), "DHCP: %s", list[i].text);
		if (!list[i].type)
			node_from(text, 1, p, PK_REASON_MULTICAST);
		else if (answered(text, &p))
			check("DHCP: the right answer", dhcp_type(&p) == list[i].type);
	}
}

static void dhcp_fields(void)
{
	static const struct {
		const char *text;
		size_t off;
		uint8_t value;
		enum pk_reason reason;
	} list[] = {
		{ "an answer", BOOTP, 2, PK_REASON_SPOOFED_DHCP },
		{ "another hardware", BOOTP + 1, 6, PK_REASON_SPOOFED_DHCP },
		{ "an address of five bytes", BOOTP + 2, 5, PK_REASON_SPOOFED_DHCP },
		{ "a relay", BOOTP + 24, 10, PK_REASON_SPOOFED_DHCP },
		{ "a relay's last byte", BOOTP + 27, 1, PK_REASON_SPOOFED_DHCP },
		{ "a foreign MAC at its begin", BOOTP + 28, 4, PK_REASON_SPOOFED_DHCP },
		{ "a foreign MAC at its end", BOOTP + 33, 99, PK_REASON_SPOOFED_DHCP },
		{ "another cookie", DHCP - 1, 0, PK_REASON_MALFORMED },
		{ "hops", BOOTP + 3, 1, PK_REASON_OK },
		{ "seconds", BOOTP + 9, 9, PK_REASON_OK },
	};
	struct pkt p;
	char text[64];

	edit(24);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		p = with(pkt_dhcp(WHO_A, 1, 0, 0), list[i].off, list[i].value);
		snprintf(text, sizeof(text), "DHCP with %s", list[i].text);
		node_from(text, 1, p, list[i].reason);
	}
	p = with(with(with(pkt_dhcp(WHO_A, 1, 0, 0), BOOTP + 3, 1), BOOTP + 9, 9), BOOTP + 23, 7);
	if (answered("a discover with hops, seconds and a next server", &p))
		check("has none of them in its offer",
		      p.b[BOOTP] == 2 && !p.b[BOOTP + 3] && !p.b[BOOTP + 9] && !p.b[BOOTP + 23]);
	for (size_t len = BOOTP + 200; len <= DHCP; len += 8) {
		p = pkt_dhcp(WHO_A, 1, 0, 0);
		p.len = len;
		p.b[L3 + 2] = (uint8_t)((len - L3) >> 8), p.b[L3 + 3] = (uint8_t)(len - L3);
		p.b[38] = (uint8_t)((len - 34) >> 8), p.b[39] = (uint8_t)(len - 34);
		pkt_seal(&p);
		snprintf(text, sizeof(text), "DHCP of %zu bytes", len - BOOTP);
		node_from(text, 1, p, len < DHCP ? PK_REASON_TRUNCATED : PK_REASON_MULTICAST);
	}
}

/* To whom the answer goes. */
static void dhcp_target(void)
{
	static const uint8_t everybody[4] = { 255, 255, 255, 255 };
	union pk_addr a = pkt_ip4(WHO_A);
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

	edit(24);
	if (answered("a discover", &p))
		check("its offer goes to the address that it is for",
		      !memcmp(p.b + L3 + 16, &a.w[3], 4) && !memcmp(p.b + BOOTP + 16, &a.w[3], 4));
	p = with(pkt_dhcp(WHO_A, 1, 0, 0), BOOTP + 10, 0x80);
	if (answered("a discover that can't take that", &p))
		check("its offer goes to everybody", !memcmp(p.b + L3 + 16, everybody, 4));
	p = with(pkt_dhcp(WHO_A, 1, 0, 0), BOOTP + 11, 0x80);
	if (answered("a discover with another flag", &p))
		check("its offer goes to its address", !memcmp(p.b + L3 + 16, &a.w[3], 4));
	p = dhcp_with(OF(REQUEST OTHERS END));
	memcpy(p.b + BOOTP + 12, &a.w[3], 4);
	pkt_seal(&p);
	if (answered("a request of the neighbour's address", &p))
		check("its refusal goes to everybody, and names no address",
		      !memcmp(p.b + L3 + 16, everybody, 4) && !p.b[BOOTP + 12] &&
			      !p.b[BOOTP + 16] && !p.b[DHCP + 9] && p.b[DHCP + 48] == 255);
}

/* What a lease says for each prefix. */
static void dhcp_lease(void)
{
	static const struct {
		uint32_t prefix;
		uint8_t mask[4];
	} masks[] = { { 24, { 255, 255, 255, 0 } },   { 32, { 255, 255, 255, 255 } },
		      { 31, { 255, 255, 255, 254 } }, { 1, { 128, 0, 0, 0 } },
		      { 0, { 0, 0, 0, 0 } },	      { 33, { 0, 0, 0, 0 } } };
	char text[64];

	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);

		edit(masks[i].prefix);
		snprintf(text, sizeof(text), "a discover where the prefix is %u", masks[i].prefix);
		/* type, server, lease: 3 + 6 + 6 bytes, and the mask's code and length */
		if (answered(text, &p))
			check("the mask is that", !memcmp(p.b + DHCP + 17, masks[i].mask, 4));
	}
}

/* The gateway answers as often as its bucket lets it, whatever it is asked. */
static void bounded(void)
{
	static struct pkt kinds[7];
	static const char *const names[] = { "ARP",    "NS",	       "RS",	"DHCP",
					     "a ping", "a ping, IPv6", "DHCPv6" };
	char text[64];

	kinds[0] = pkt_arp(WHO_A, 1, 0x0a140001);
	kinds[1] = pkt_nd(WHO_A, 135, &gateway, 1);
	kinds[2] = pkt_nd(WHO_A, 133, NULL, 1);
	kinds[3] = pkt_dhcp(WHO_A, 1, 0, 0);
	kinds[4] = pkt_v4(WHO_A, WHO_GATEWAY, PING(7));
	kinds[5] = pkt_v6(WHO_A, WHO_GATEWAY, PING6(7));
	kinds[6] = pkt_dhcp6(WHO_A, OF("\x01\x12\x34\x56"
				       "\0\1\0\4\0\4\1\2"));
	for (size_t k = 0; k < 7; k++) {
		uint32_t slot = 1;
		struct pk_bucket b;

		node_reset();
		node_from(names[k], 1, kinds[k], PK_REASON_OK);
		bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
		/* Nothing is left, and half a second to come before the next one. */
		b.tokens[PK_BUCKET_ANSWERS] = ((b.tokens[PK_BUCKET_ANSWERS] >> 32) + 500000) << 32;
		bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
		snprintf(text, sizeof(text), "%s over the answers' bucket", names[k]);
		node_from(text, 1, kinds[k], PK_REASON_RATE_LIMIT);
	}
}

/* The reply's checksums follow, whatever TTL and payload. */
static void pings(void)
{
	bool right = true;

	for (int ttl = 1; ttl < 256; ttl++) {
		struct pkt p = pkt_v4(WHO_A, WHO_GATEWAY, PING(ttl * 251));

		p.b[L3 + 8] = (uint8_t)ttl;
		pkt_longer(&p, ttl % 5);
		if (ttl % 100 == 1)
			node_reset();
		right &= node_run(NODE_FROM, 1, &p, NULL) == 7 && p.b[L3 + 8] == 64 &&
			 pkt_ip_sum(&p) == 0xffff && pkt_l4_sum(&p) == 0xffff && !p.b[L3 + 20];
		p = pkt_v6(WHO_A, WHO_GATEWAY, PING6(ttl * 251));
		p.b[L3 + 7] = (uint8_t)ttl;
		pkt_longer(&p, ttl % 5);
		right &= node_run(NODE_FROM, 1, &p, NULL) == 7 && p.b[L3 + 7] == 64 &&
			 pkt_l4_sum(&p) == 0xffff && p.b[ICMP6] == 129;
	}
	check("a reply of every TTL is right", right);
}

void cases_asked(void)
{
	arp_blocks();
	arp_fields();
	nd_options();
	nd_headers();
	nd_targets();
	dhcp_options();
	dhcp_fields();
	dhcp_target();
	dhcp_lease();
	bounded();
	pings();
	node_reset();
}
