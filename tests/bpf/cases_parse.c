// SPDX-License-Identifier: Apache-2.0
/* What the bytes say: cut headers, options, extension headers, fragments, lengths. */
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

enum base { B_TCP4, B_UDP4, B_PING4, B_SCTP4, B_TCP6, B_UDP6, B_ARP };

struct row {
	const char *text;
	enum base base;
	struct {
		int off;
		int value; /* -1 ends */
	} change[4];
	enum pk_reason reason;
};

#define C1(o, v)	       { { o, v }, { 0, -1 } }
#define C2(o, v, o2, v2)       { { o, v }, { o2, v2 }, { 0, -1 } }
#define C3(o, v, o2, v2, p, w) { { o, v }, { o2, v2 }, { p, w }, { 0, -1 } }

static const struct row rows[] = {
	{ "the TCP/IPv4 SYN that is changed below passes", B_TCP4, { { 0, -1 } }, PK_REASON_OK },
	{ "the UDP/IPv4 datagram passes", B_UDP4, { { 0, -1 } }, PK_REASON_OK },
	{ "the TCP/IPv6 SYN passes", B_TCP6, { { 0, -1 } }, PK_REASON_OK },
	{ "the UDP/IPv6 datagram passes", B_UDP6, { { 0, -1 } }, PK_REASON_OK },
	/* P10: an IPv4 header that lies about its length or version is dropped as malformed. */
	{ "ihl 0", B_TCP4, C1(14, 0x40), PK_REASON_MALFORMED },
	{ "ihl 1", B_TCP4, C1(14, 0x41), PK_REASON_MALFORMED },
	{ "ihl 2", B_TCP4, C1(14, 0x42), PK_REASON_MALFORMED },
	{ "ihl 3", B_TCP4, C1(14, 0x43), PK_REASON_MALFORMED },
	{ "ihl 4", B_TCP4, C1(14, 0x44), PK_REASON_MALFORMED },
	{ "ihl 15 with 20 bytes present", B_TCP4, C1(14, 0x4f), PK_REASON_MALFORMED },
	{ "total length < ihl * 4", B_TCP4, C2(16, 0, 17, 19), PK_REASON_MALFORMED },
	{ "total length > frame", B_TCP4, C2(16, 0, 17, 41), PK_REASON_MALFORMED },
	{ "version 6 in 0x0800", B_TCP4, C1(14, 0x65), PK_REASON_MALFORMED },
	{ "version 4 in 0x86dd", B_TCP6, C1(14, 0x40), PK_REASON_MALFORMED },
	{ "IPv6 payload length > frame", B_TCP6, C1(19, 21), PK_REASON_MALFORMED },
	{ "total length ends inside the TCP header", B_TCP4, C1(17, 39), PK_REASON_TRUNCATED },
	{ "total length ends inside the UDP header", B_UDP4, C1(17, 27), PK_REASON_TRUNCATED },
	{ "a jumbogram", B_TCP6, C1(19, 0), PK_REASON_TRUNCATED },
	/* P11: TCP and UDP that lie about their lengths are malformed, and make no flow. */
	{ "doff 0", B_TCP4, C1(46, 0x00), PK_REASON_MALFORMED },
	{ "doff 1", B_TCP4, C1(46, 0x10), PK_REASON_MALFORMED },
	{ "doff 2", B_TCP4, C1(46, 0x20), PK_REASON_MALFORMED },
	{ "doff 3", B_TCP4, C1(46, 0x30), PK_REASON_MALFORMED },
	{ "doff 4", B_TCP4, C1(46, 0x40), PK_REASON_MALFORMED },
	{ "doff beyond the packet", B_TCP4, C1(46, 0x60), PK_REASON_MALFORMED },
	{ "UDP length 0", B_UDP4, C1(39, 0), PK_REASON_MALFORMED },
	{ "UDP length 1", B_UDP4, C1(39, 1), PK_REASON_MALFORMED },
	{ "UDP length 2", B_UDP4, C1(39, 2), PK_REASON_MALFORMED },
	{ "UDP length 3", B_UDP4, C1(39, 3), PK_REASON_MALFORMED },
	{ "UDP length 4", B_UDP4, C1(39, 4), PK_REASON_MALFORMED },
	{ "UDP length 5", B_UDP4, C1(39, 5), PK_REASON_MALFORMED },
	{ "UDP length 6", B_UDP4, C1(39, 6), PK_REASON_MALFORMED },
	{ "UDP length 7", B_UDP4, C1(39, 7), PK_REASON_MALFORMED },
	{ "UDP length 1, IPv6", B_UDP6, C1(59, 1), PK_REASON_MALFORMED },
	{ "UDP length 2, IPv6", B_UDP6, C1(59, 2), PK_REASON_MALFORMED },
	{ "UDP length 3, IPv6", B_UDP6, C1(59, 3), PK_REASON_MALFORMED },
	{ "UDP length 4, IPv6", B_UDP6, C1(59, 4), PK_REASON_MALFORMED },
	{ "UDP length 5, IPv6", B_UDP6, C1(59, 5), PK_REASON_MALFORMED },
	{ "UDP length 6, IPv6", B_UDP6, C1(59, 6), PK_REASON_MALFORMED },
	{ "UDP length 7, IPv6", B_UDP6, C1(59, 7), PK_REASON_MALFORMED },
	{ "UDP length > IP", B_UDP4, C1(39, 17), PK_REASON_MALFORMED },
	{ "UDP length > IP, IPv6", B_UDP6, C1(59, 17), PK_REASON_MALFORMED },
	{ "source port 0", B_TCP4, C2(34, 0, 35, 0), PK_REASON_MALFORMED },
	{ "destination port 0", B_UDP4, C2(36, 0, 37, 0), PK_REASON_MALFORMED },
	{ "SCTP's header alone passes", B_SCTP4, { { 0, -1 } }, PK_REASON_OK },
	{ "total length ends inside the SCTP header", B_SCTP4, C1(17, 31), PK_REASON_TRUNCATED },
	{ "SCTP's source port 0", B_SCTP4, C2(34, 0, 35, 0), PK_REASON_MALFORMED },
	{ "SCTP's destination port 0", B_SCTP4, C2(36, 0, 37, 0), PK_REASON_MALFORMED },
	{ "ICMPv6 in IPv4", B_PING4, C1(23, 58), PK_REASON_MALFORMED },
	{ "protocol 0 in IPv4", B_PING4, C1(23, 0), PK_REASON_MALFORMED },
	/* P13: whatever is neither IP nor ARP is dropped and counted as ethertype. */
	{ "PPPoE", B_TCP4, C2(12, 0x88, 13, 0x64), PK_REASON_ETHERTYPE },
	{ "MPLS", B_TCP4, C2(12, 0x88, 13, 0x47), PK_REASON_ETHERTYPE },
	{ "LLDP", B_TCP4, C2(12, 0x88, 13, 0xcc), PK_REASON_ETHERTYPE },
	{ "EAPOL", B_TCP4, C2(12, 0x88, 13, 0x8e), PK_REASON_ETHERTYPE },
	{ "MACsec", B_TCP4, C2(12, 0x88, 13, 0xe5), PK_REASON_ETHERTYPE },
	{ "loopback", B_TCP4, C2(12, 0x90, 13, 0x00), PK_REASON_ETHERTYPE },
	{ "RARP", B_TCP4, C2(12, 0x80, 13, 0x35), PK_REASON_ETHERTYPE },
	{ "802.3 length with LLC/STP", B_TCP4, C3(12, 0, 13, 38, 14, 0x42), PK_REASON_ETHERTYPE },
	{ "a VLAN tag in the data", B_TCP4, C2(12, 0x88, 13, 0xa8), PK_REASON_VLAN },
	/* P16: a fragment without its first, at offset 1 or beyond 65,535 is dropped. */
	{ "a later fragment without a first", B_UDP4, C1(21, 0xb9), PK_REASON_FRAGMENT },
	{ "a fragment at offset 1", B_TCP4, C1(21, 1), PK_REASON_FRAGMENT },
	{ "a fragment that ends beyond 65,535", B_UDP4, C2(20, 0x1f, 21, 0xff),
	  PK_REASON_FRAGMENT },
	{ "don't fragment is no fragment", B_UDP4, C1(20, 0x40), PK_REASON_OK },
	{ "routing header type 0", B_UDP6, C1(20, 43), PK_REASON_EXT_HEADER },
	{ "next header 59 with data", B_UDP6, C1(20, 59), PK_REASON_EXT_HEADER },
	{ "hop-by-hop whose length is past the end", B_UDP6, C2(20, 0, 55, 200),
	  PK_REASON_EXT_HEADER },
	{ "mobility header", B_UDP6, C1(20, 135), PK_REASON_EXT_HEADER },
	{ "experimental header 253", B_UDP6, C1(20, 253), PK_REASON_EXT_HEADER },
	{ "ARP for tokens of another hardware", B_ARP, C1(15, 6), PK_REASON_MALFORMED },
	{ "ARP with 8-byte protocol addresses", B_ARP, C1(19, 8), PK_REASON_MALFORMED },
};

static struct pkt base(enum base b)
{
	switch (b) {
	case B_TCP4:
		return pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	case B_UDP4:
		return pkt_v4(WHO_A, WHO_B, UDP(40000, 53));
	case B_PING4:
		return pkt_v4(WHO_A, WHO_B, PING(7));
	case B_SCTP4:
		return pkt_v4(WHO_A, WHO_B, (struct l4){ 132, 40000, 9, 0, 0 });
	case B_TCP6:
		return pkt_v6(WHO_A, WHO_B, TCP(40000, 80, SYN));
	case B_UDP6:
		return pkt_v6(WHO_A, WHO_B, UDP(40000, 53));
	default:
		return pkt_arp(WHO_A, 1, 0x0a140001);
	}
}

/* n bytes of options between the IPv4 header and what follows. */
static struct pkt with_options(const uint8_t *options, size_t n)
{
	struct pkt p = base(B_TCP4);

	memmove(p.b + 34 + n, p.b + 34, p.len - 34);
	memcpy(p.b + 34, options, n);
	p.len += n;
	p.b[14] = 0x45 + n / 4;
	p.b[17] += n;
	pkt_seal(&p);
	return p;
}

/*
 * P14: source routes, recorded routes, timestamps and options of length 0 and 1 are dropped; padding
 * passes.
 */
static void options(void)
{
	static const struct {
		const char *text;
		uint8_t option[4];
		enum pk_reason reason;
	} list[] = {
		{ "LSRR", { 131, 3, 4, 0 }, PK_REASON_IP_OPTION },
		{ "SSRR", { 137, 3, 4, 0 }, PK_REASON_IP_OPTION },
		{ "RR", { 7, 3, 4, 0 }, PK_REASON_IP_OPTION },
		{ "TS", { 68, 4, 5, 0 }, PK_REASON_IP_OPTION },
		{ "router alert", { 148, 4, 0, 0 }, PK_REASON_IP_OPTION },
		{ "an option of length 0", { 7, 0, 0, 0 }, PK_REASON_IP_OPTION },
		{ "an option of length 1", { 1, 130, 1, 0 }, PK_REASON_IP_OPTION },
		{ "NOP and EOL pass", { 1, 1, 0, 0 }, PK_REASON_OK },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		node_from(list[i].text, 1, with_options(list[i].option, 4), list[i].reason);
}

/* IPv6 extension headers, 8 bytes each, before UDP. */
static struct pkt with_ext(const uint8_t *kinds, size_t n)
{
	struct pkt p = base(B_UDP6);

	memmove(p.b + 54 + 8 * n, p.b + 54, p.len - 54);
	memset(p.b + 54, 0, 8 * n);
	for (size_t i = 0; i < n; i++) {
		p.b[54 + 8 * i] = i + 1 < n ? kinds[i + 1] : 17;
		if (kinds[i] != 44) {
			p.b[54 + 8 * i + 2] = 1; /* PadN of four */
			p.b[54 + 8 * i + 3] = 4;
		}
	}
	p.b[20] = kinds[0];
	p.b[19] += 8 * n;
	p.len += 8 * n;
	return p;
}

/*
 * P17: hop-by-hop, destination options and an atomic fragment before UDP pass where its ports may; a
 * chain of seven, hop-by-hop elsewhere than first, a routing header, next header 59 with data and a
 * length past the end are dropped as ext-header.
 */
static void extensions(void)
{
	static const struct {
		const char *text;
		uint8_t kinds[8];
		size_t n;
		enum pk_reason reason;
	} list[] = {
		{ "hop-by-hop, destination, atomic fragment and UDP",
		  { 0, 60, 44 },
		  3,
		  PK_REASON_OK },
		{ "a chain of 7 headers", { 0, 60, 60, 60, 60, 60, 60 }, 7, PK_REASON_EXT_HEADER },
		{ "hop-by-hop not first", { 60, 0 }, 2, PK_REASON_EXT_HEADER },
		{ "a header twice", { 60, 60 }, 2, PK_REASON_EXT_HEADER },
		{ "an atomic fragment twice", { 44, 44 }, 2, PK_REASON_EXT_HEADER },
		{ "destination options behind an atomic fragment's", { 44, 60 }, 2, PK_REASON_OK },
		{ "and once more", { 60, 44, 60 }, 3, PK_REASON_EXT_HEADER },
	};
	static const uint8_t before_protocol[] = { 0, 43, 44, 59, 60, 135, 139, 140, 253, 254 };
	const uint8_t fragment = 44;
	char text[64];
	struct pkt p;

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		node_from(list[i].text, 1, with_ext(list[i].kinds, list[i].n), list[i].reason);
	p = with_ext(&fragment, 1);
	p.b[57] = 1;
	node_from("an IPv6 first fragment", 1, p, PK_REASON_OK);
	p.b[57] = 8;
	node_from("an IPv6 fragment at an offset", 1, p, PK_REASON_FRAGMENT);
	p.b[57] = 1;
	for (size_t i = 0; i < sizeof(before_protocol); i++) {
		p.b[54] = before_protocol[i];
		snprintf(text, sizeof(text), "a first fragment of header %u", before_protocol[i]);
		node_from(text, 1, p, PK_REASON_EXT_HEADER);
	}
}

/*
 * Policy knows the ports behind the headers: A may send UDP to port 53 of its own tenant alone.
 * P17: the datagram behind the headers is judged by its UDP ports.
 */
static void judged_behind_them(void)
{
	static const uint8_t kinds[] = { 0, 60, 44 };
	struct pk_verdict_key key = {
		PK_VERDICT_BITS_DIR, 1, PK_CLASS_SAME_TENANT, PK_EGRESS, 0, 0
	};
	struct pkt p = with_ext(kinds, 3);

	node_reset();
	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_TENANT, PK_KIND_DENY), 1);
	key.prefixlen = PK_VERDICT_BITS_PROTO + 16;
	key.proto = 17;
	key.port = __builtin_bswap16(53);
	node_verdict(&key, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 2);
	node_from("UDP to an open port behind three headers", 1, p, PK_REASON_OK);
	p.b[54 + 24 + 3] = 54;
	pkt_seal(&p);
	node_from("to a closed one", 1, p, PK_REASON_POLICY_DENIED);
	node_reset();
}

/* TCP with 12 bytes of options: the frame ends inside them. */
static void truncated_options(void)
{
	struct pkt whole = base(B_TCP4);
	char text[64];

	whole.b[46] = 8 << 4;
	whole.b[17] += 12;
	whole.len += 12;
	pkt_seal(&whole);
	node_from("TCP with options passes", 1, whole, PK_REASON_OK);
	for (size_t len = 54; len < 66; len++) {
		struct pkt p = whole;

		p.len = len;
		snprintf(text, sizeof(text), "TCP options cut to %zu bytes", len - 54);
		node_from(text, 1, p, PK_REASON_TRUNCATED);
	}
}

/*
 * The shortest that BPF_PROG_TEST_RUN takes; shorter ones: tests/netns and the parser alone.
 * P09: every cut of every header is dropped as truncated.
 */
static void truncated(void)
{
	char text[64];

	for (int b = B_TCP4; b <= B_ARP; b++) {
		struct pkt whole = base(b);
		size_t from = 54, to;

		if (b <= B_SCTP4)
			from = 34;
		if (b == B_ARP)
			from = 14;
		to = from + (b == B_TCP4 || b == B_TCP6 ? 20 : 8);
		if (b == B_SCTP4)
			to = from + 12;
		if (b == B_ARP)
			to = from + 28;
		for (size_t len = from; len < to; len++) {
			struct pkt p = whole;

			p.len = len;
			snprintf(text, sizeof(text), "kind %d cut to %zu bytes", b, len);
			node_from(text, 1, p, PK_REASON_TRUNCATED);
		}
	}
}

/*
 * P60: segments without a partial checksum are dropped as gso. P20: longer than the MTU is length.
 */
static void lengths(void)
{
	struct pkt p = base(B_UDP4);
	struct node_meta gso = { .gso_size = 600 };
	struct expect e = { "GSO without a partial checksum", PK_REASON_GSO, 1, PK_EGRESS, false };

	p.len += 30;
	node_from("padding after the packet passes", 1, p, PK_REASON_OK);
	p.len = 1514;
	node_from("padding up to the MTU passes", 1, p, PK_REASON_OK);
	p.len = 1515;
	node_from("longer than the MTU", 1, p, PK_REASON_LENGTH);
	p = base(B_ARP);
	p.len = 1515;
	node_from("ARP longer than the MTU", 1, p, PK_REASON_LENGTH);
	p = base(B_TCP4);
	node_expect(&e, NODE_FROM, 1, &p, &gso);
	p = base(B_UDP4);
	node_expect(&e, NODE_FROM, 1, &p, &gso);
	p = base(B_ARP);
	node_expect(&e, NODE_FROM, 1, &p, &gso);
}

void cases_parse(void)
{
	node_reset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pkt p = base(rows[i].base);

		for (int c = 0; rows[i].change[c].value >= 0; c++)
			p.b[rows[i].change[c].off] = rows[i].change[c].value;
		node_from(rows[i].text, 1, p, rows[i].reason);
	}
	options();
	extensions();
	judged_behind_them();
	truncated();
	truncated_options();
	lengths();
}
