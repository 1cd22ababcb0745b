// SPDX-License-Identifier: Apache-2.0
/*
 * What a VMM can say beside a frame's bytes: where the checksum is finished, how the frame is cut,
 * how much of it lies in one piece. Frames are written into A's tap and read from B's, through both
 * forwarders and the guard, which reads the kernel's packet in both of its ways.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guard.skel.h"
#include "tests/bpf/devices.h"
#include "tests/bpf/node.h"
#include "tests/bpf/object.h"

#define ARRIVAL_MS 10000

static const char *way; /* in which the guard at work reads */
static bool gateways;	/* what is written is for the gateway, not for B */
static const char no_udp[] = "before Linux 6.2 a tap refuses UDP segmentation from its writer";

/* Nothing but the reason was counted, at A or at `at`'s ingress; what passed is read from B's tap. */
static bool written(const char *text, const struct vnet *vnet, const struct pkt *p,
		    const struct expect *e)
{
	char line[128];
	int r;

	devices_drain();
	node_watch();
	snprintf(line, sizeof(line), "%s (%s)", text, way);
	r = devices_tap_write(1, vnet, p->b, p->len);
	/* Newer kernels refuse by themselves what they can't segment or finish. */
	if (r == -EINVAL && (e->reason == PK_REASON_GSO || e->reason == PK_REASON_CHECKSUM))
		return check(line, true);
	return check(line, !r && node_watched(e, e->reason || gateways ? 0 : 2, NODE_FROM));
}

static bool tap(const char *text, const struct vnet *vnet, const struct pkt *p,
		enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_EGRESS, false };

	return written(text, vnet, p, &e);
}

/* The next IP packet that B's VMM reads. */
static bool received(struct pkt *p)
{
	struct vnet vnet;
	int len;

	do {
		len = devices_tap_read(2, &vnet, p->b, sizeof(p->b), ARRIVAL_MS);
		p->len = len < 0 ? 0 : (size_t)len;
	} while (len > 0 && pkt_is_arp(p));
	return len > 0;
}

static struct pkt tcp4(size_t payload)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));

	pkt_longer(&p, payload);
	return p;
}

static struct pkt tcp6(size_t payload)
{
	struct pkt p = pkt_v6(WHO_A, WHO_B, TCP(40000, 80, SYN));

	pkt_longer(&p, payload);
	return p;
}

static struct pkt udp4(size_t payload)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	pkt_longer(&p, payload - 8);
	return p;
}

static struct pkt udp6(size_t payload)
{
	struct pkt p = pkt_v6(WHO_A, WHO_B, UDP(40000, 53));

	pkt_longer(&p, payload - 8);
	return p;
}

/*
 * The checksum is finished where the protocol that was judged has it, and nowhere else.
 * P18: a partial checksum is right in the end at its protocol's own place, and denied at any
 * other.
 */
static void checksum(void)
{
	static const struct {
		const char *text;
		struct pkt (*make)(size_t);
		uint16_t start, offset;
		enum pk_reason reason;
	} list[] = {
		{ "TCP's checksum", tcp4, 34, 16, PK_REASON_OK },
		{ "UDP's checksum", udp4, 34, 6, PK_REASON_OK },
		{ "TCP's checksum, IPv6", tcp6, 54, 16, PK_REASON_OK },
		{ "UDP's checksum, IPv6", udp6, 54, 6, PK_REASON_OK },
		{ "a sum into TCP's port", tcp4, 34, 2, PK_REASON_CHECKSUM },
		{ "a sum into UDP's port", udp4, 34, 2, PK_REASON_CHECKSUM },
		{ "a sum at TCP's place of UDP", udp4, 34, 16, PK_REASON_CHECKSUM },
		{ "a sum at UDP's place of TCP", tcp4, 34, 6, PK_REASON_CHECKSUM },
		{ "a sum into the source address", tcp4, 26, 0, PK_REASON_CHECKSUM },
		{ "a sum into the destination address", tcp4, 30, 0, PK_REASON_CHECKSUM },
		{ "a sum that begins two bytes late", tcp4, 36, 14, PK_REASON_CHECKSUM },
		{ "a sum that begins two bytes early", tcp4, 32, 18, PK_REASON_CHECKSUM },
		{ "a sum at IPv4's place of IPv6", tcp6, 34, 16, PK_REASON_CHECKSUM },
		{ "a sum into the Ethernet header", tcp4, 0, 0, PK_REASON_CHECKSUM },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct pkt p = list[i].make(100), got;
		struct vnet v = { .flags = VNET_PARTIAL,
				  .csum_start = list[i].start,
				  .csum_offset = list[i].offset };

		pkt_partial(&p);
		if (tap(list[i].text, &v, &p, list[i].reason) && !list[i].reason)
			check("is right when it arrives",
			      received(&got) && pkt_l4_sum(&got) == 0xffff);
	}
}

/* What has no checksum that a device finishes. */
static void checksum_of_others(void)
{
	struct vnet v = { .flags = VNET_PARTIAL, .csum_start = 34, .csum_offset = 2 };
	struct vnet arp = { .flags = VNET_PARTIAL, .csum_start = 0, .csum_offset = 16 };
	struct pkt p = pkt_v4(WHO_A, WHO_B, PING(7));

	tap("a ping's checksum", &v, &p, PK_REASON_CHECKSUM);
	v.csum_offset = 16;
	tap("a sum at TCP's place of a ping", &v, &p, PK_REASON_CHECKSUM);
	v.csum_offset = 6;
	tap("a sum at UDP's place of a ping", &v, &p, PK_REASON_CHECKSUM);
	p = pkt_arp(WHO_A, 1, 0x0a140001);
	tap("a sum in ARP", &arp, &p, PK_REASON_CHECKSUM);
	arp.csum_offset = 6;
	tap("a sum at the place of UDP in ARP", &arp, &p, PK_REASON_CHECKSUM);
}

/* A large frame of each kind, and what is said of its pieces. */
struct cut {
	const char *text;
	struct pkt (*make)(size_t);
	size_t payload;
	uint8_t type;
	uint16_t size;
	int pieces; /* 0: denied as gso */
};

static const struct cut cuts[] = {
	{ "TCP in pieces of 422", tcp4, 1740, VNET_TCPV4, 422, 5 },
	{ "TCP in pieces of 421", tcp4, 1740, VNET_TCPV4, 421, 0 },
	{ "TCP in pieces of 1460", tcp4, 6000, VNET_TCPV4, 1460, 5 },
	{ "TCP in pieces of 1460, with ECN", tcp4, 6000, VNET_TCPV4 | VNET_ECN, 1460, 5 },
	{ "TCP in pieces of 1180, IPv6", tcp6, 6000, VNET_TCPV6, 1180, 6 },
	{ "TCP in pieces of 1179, IPv6", tcp6, 6000, VNET_TCPV6, 1179, 0 },
	{ "UDP in 128 pieces", udp4, 128 * 40, VNET_UDP_L4, 40, 128 },
	{ "UDP in 129 pieces", udp4, 128 * 40 + 1, VNET_UDP_L4, 40, 0 },
	{ "UDP in pieces, IPv6", udp6, 5000, VNET_UDP_L4, 1000, 5 },
};

static struct vnet cut_header(const struct pkt *p, uint8_t type, uint16_t size)
{
	uint16_t start = p->b[12] == 0x08 ? 34 : 54;
	bool udp = type == VNET_UDP_L4;

	return (struct vnet){ .flags = VNET_PARTIAL,
			      .gso_type = type,
			      .hdr_len = start + (udp ? 8 : 20),
			      .gso_size = size,
			      .csum_start = start,
			      .csum_offset = udp ? 6 : 16 };
}

/* So many: none is left on its way, where it would be taken for one of the next frame's. */
static void pieces(int want)
{
	struct pkt got;
	int n = 0, right = 0;

	for (; n < want && received(&got); n++)
		right += pkt_l4_sum(&got) == 0xffff && got.len <= 1514u;
	check("all of its pieces arrive, right", n == want && right == n);
}

/* P19: segments too small to be honest are denied as gso, and none of them is made. */
static void segmentation(void)
{
	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		const struct cut *c = &cuts[i];
		struct pkt p = c->make(c->payload);
		struct vnet v = cut_header(&p, c->type, c->size);

		if (c->type == VNET_UDP_L4 && c->pieces && !devices_tap_cuts_udp()) {
			skip(c->text, no_udp);
			continue;
		}
		pkt_partial(&p);
		if (tap(c->text, &v, &p, c->pieces ? PK_REASON_OK : PK_REASON_GSO) && c->pieces)
			pieces(c->pieces);
	}
}

/*
 * What would be cut into other packets than were judged.
 * P60: segments that have no partial checksum, or another protocol's kind, are denied.
 */
static void segmentation_lies(void)
{
	struct pkt p = tcp4(3000);
	struct vnet v = cut_header(&p, VNET_TCPV4, 1000);

	v.flags = 0;
	v.csum_start = v.csum_offset = 0;
	tap("pieces without a partial checksum", &v, &p, PK_REASON_GSO);
	p = udp4(3000);
	v = cut_header(&p, VNET_TCPV4, 1000);
	v.csum_offset = 6;
	tap("UDP in TCP's pieces", &v, &p, PK_REASON_GSO);
	p = tcp4(3000);
	v = cut_header(&p, VNET_UDP_L4, 1000);
	v.csum_offset = 16;
	tap("TCP in UDP's pieces", &v, &p, PK_REASON_GSO);
	p = pkt_v4(WHO_A, WHO_B, PING(7));
	pkt_longer(&p, 3000);
	v = cut_header(&p, VNET_TCPV4, 1000);
	tap("a ping in TCP's pieces", &v, &p, PK_REASON_GSO);
	p = tcp4(3000);
	v = cut_header(&p, VNET_TCPV6, 1000);
	tap("TCP in pieces of IPv6", &v, &p, PK_REASON_GSO);
	p = tcp6(3000);
	v = cut_header(&p, VNET_TCPV4, 1200);
	tap("TCP over IPv6 in pieces of IPv4", &v, &p, PK_REASON_GSO);
	p = tcp4(3000);
	v = cut_header(&p, VNET_TCPV4, 1000);
	p.b[16] = 0, p.b[17] = 40;
	pkt_partial(&p);
	tap("a large frame that says it is a small packet", &v, &p, PK_REASON_LENGTH);
	p = tcp4(3000);
	v = cut_header(&p, VNET_TCPV4, 1461);
	pkt_partial(&p);
	tap("pieces longer than the MTU", &v, &p, PK_REASON_LENGTH);
	v.gso_size = 1460;
	tap("pieces as long as the MTU", &v, &p, PK_REASON_OK);
	pieces(3);
}

/* What the gateway answers is believed no more of its metadata than what goes to others. */
static void dhcp_lies(void)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0);
	struct vnet v = { .flags = VNET_PARTIAL, .csum_start = 34, .csum_offset = 2 };
	const struct node_meta pieces = { .gso_size = 100 }; /* which a tap's own kernel refuses */
	struct expect e = { "a discover in pieces", PK_REASON_GSO, 1, PK_EGRESS, false };

	tap("a discover whose checksum is its port", &v, &p, PK_REASON_CHECKSUM);
	v.csum_start = 26;
	v.csum_offset = 6;
	tap("a discover whose checksum is an address", &v, &p, PK_REASON_CHECKSUM);
	node_expect(&e, NODE_FROM, 1, &p, &pieces);
}

/* The receiver's MTU counts for the pieces, too. */
static void pieces_of_the_peer(void)
{
	struct expect e = { "", PK_REASON_LENGTH, 2, PK_INGRESS, false };
	struct pkt p = udp4(3000);
	struct vnet v = cut_header(&p, VNET_UDP_L4, 1300);
	struct pk_endpoint ep;

	node_endpoint(2, &ep);
	ep.mtu = 1328;
	node_endpoint_set(2, &ep);
	pkt_partial(&p);
	tap("pieces as long as the peer's MTU", &v, &p, PK_REASON_OK);
	pieces(3);
	ep.mtu = 1327;
	node_endpoint_set(2, &ep);
	e.told = true; /* its sender is told the MTU */
	written("pieces longer than the peer's MTU", &v, &p, &e);
	node_reset();
}

/* A frame counts for as many packets as it is cut into: 100 + 100 + 56 are a burst of 256. */
static void rate_of_pieces(enum pk_dir dir)
{
	struct expect over = { "", PK_REASON_RATE_LIMIT, dir == PK_EGRESS ? 1 : 2, dir, false };
	struct pkt p = udp4(100 * 20), rest = udp4(55 * 20 + 1), one = udp4(20);
	struct vnet v = cut_header(&p, VNET_UDP_L4, 20), none = {};
	struct pk_endpoint ep;

	node_endpoint(over.slot, &ep);
	ep.packets_per_s[dir] = 1;
	node_endpoint_set(over.slot, &ep);
	pkt_partial(&p);
	pkt_partial(&rest);
	tap("a frame of 100 pieces", &v, &p, PK_REASON_OK);
	pieces(100);
	tap("another frame of 100 pieces", &v, &p, PK_REASON_OK);
	pieces(100);
	written("a third one is over the burst of 256 packets", &v, &p, &over);
	tap("a frame of 56 pieces", &v, &rest, PK_REASON_OK);
	pieces(56);
	written("and then not one packet more", &none, &one, &over);
	node_reset();
}

/* P20: where the sender has the linear part end changes nothing. */
static void linear(void)
{
	static const uint16_t heads[] = { 14, 34, 53, 54, 1000 };
	char text[64];

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct pkt p = tcp4(6000), got;
		struct vnet v = cut_header(&p, VNET_TCPV4, 1460);

		v.hdr_len = heads[i];
		pkt_partial(&p);
		snprintf(text, sizeof(text), "a frame with %u bytes in one piece", heads[i]);
		tap(text, &v, &p, PK_REASON_OK);
		check("arrives", received(&got) && got.len == 1514);
		pieces(4);
	}
}

/* P12: a VLAN tag is dropped as vlan, also where the kernel keeps it beside the bytes. */
static void vlan(void)
{
	struct pkt p = tcp4(100), tagged = p;
	struct vnet v = {};

	memcpy(tagged.b + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged.b + 16, p.b + 12, p.len - 12);
	tagged.len += 4;
	tap("a VLAN tag", &v, &tagged, PK_REASON_VLAN);
	tagged.b[15] = 0;
	tap("a VLAN tag of priority alone", &v, &tagged, PK_REASON_VLAN);
	tagged.b[12] = 0x88, tagged.b[13] = 0xa8;
	tap("a tag of 802.1ad", &v, &tagged, PK_REASON_VLAN);
}

/*
 * The gateway's answer stands in the question's packet, whose checksum may be unfinished.
 * P61: a question with a partial checksum has an answer with a right one; one in segments is
 * denied.
 */
static void dhcp(void)
{
	struct pkt p = pkt_dhcp(WHO_A, 1, 0, 0), options, got;
	struct vnet v = { .flags = VNET_PARTIAL, .csum_start = 34, .csum_offset = 6 };
	struct vnet out;
	int len;

	pkt_partial(&p);
	gateways = true;
	if (tap("a discover whose checksum is partial", &v, &p, PK_REASON_OK)) {
		len = devices_tap_read(1, &out, got.b, sizeof(got.b), ARRIVAL_MS);
		got.len = len < 0 ? 0 : (size_t)len;
		check("its offer's is right", got.len == 342 && pkt_l4_sum(&got) == 0xffff);
	}
	options = p;
	memcpy(options.b + 38, p.b + 34, p.len - 34);
	memset(options.b + 34, 1, 4);
	options.len += 4;
	options.b[14] = 0x46;
	options.b[17] += 4;
	v.csum_start = 38;
	tap("the same behind IP options", &v, &options, PK_REASON_CHECKSUM);
	v.csum_start = 34;
	v.gso_type = VNET_UDP_L4;
	v.gso_size = 100;
	v.hdr_len = 42;
	tap("the same in pieces", &v, &p, PK_REASON_GSO);
	gateways = false;
}

static void dhcp6(void)
{
	static const char solicit[] = "\1\0\0\0"
				      "\0\1\0\4\0\4\1\2"
				      "\0\x27\0\1"
				      "x";
	struct pkt p = pkt_dhcp6(WHO_A, solicit, sizeof(solicit) - 1), options, got;
	struct vnet v = { .flags = VNET_PARTIAL, .csum_start = 54, .csum_offset = 6 };
	struct vnet out;
	int len;

	pkt_partial(&p);
	gateways = true;
	if (tap("a solicit whose checksum is partial", &v, &p, PK_REASON_OK)) {
		len = devices_tap_read(1, &out, got.b, sizeof(got.b), ARRIVAL_MS);
		got.len = len < 0 ? 0 : (size_t)len;
		check("its advertisement's is right", got.len == 62 + 4 + 20 + 14 + 8 &&
							      got.b[62] == 2 &&
							      pkt_l4_sum(&got) == 0xffff);
	}
	options = p;
	memcpy(options.b + 62, p.b + 54, p.len - 54);
	memcpy(options.b + 54, "\x11\0\1\4\0\0\0\0", 8); /* destination options: padding */
	options.len += 8;
	options.b[20] = 60;
	options.b[19] += 8;
	v.csum_start = 62;
	tap("the same behind destination options", &v, &options, PK_REASON_CHECKSUM);
	v.csum_start = 54;
	v.gso_type = VNET_UDP_L4;
	v.gso_size = 10;
	v.hdr_len = 62;
	tap("the same in pieces, IPv6", &v, &p, PK_REASON_GSO);
	gateways = false;
}

static void all(void)
{
	node_reset();
	checksum();
	checksum_of_others();
	segmentation();
	segmentation_lies();
	dhcp_lies();
	if (devices_tap_cuts_udp()) {
		pieces_of_the_peer();
		rate_of_pieces(PK_EGRESS);
		rate_of_pieces(PK_INGRESS);
	} else {
		skip("the peer's MTU and the rate of pieces", no_udp);
	}
	linear();
	vlan();
	dhcp();
	dhcp6();
}

void cases_tap(void)
{
	struct pk_guard *probe = object_open(pk_guard, "guard");

	way = "as the kernel has it";
	all();
	way = "by probe reads";
	if (!check("the guard that probes", probe && !node_share(probe->obj)))
		return;
	probe->rodata->pk_kfunc = false;
	if (check("the guard that probes loads", !pk_guard__load(probe)) &&
	    check("and is attached",
		  !devices_guard(bpf_program__fd(probe->progs.pk_from_endpoint))))
		all();
	devices_guard(node_prog_fd(NODE_FROM));
	pk_guard__destroy(probe);
}
