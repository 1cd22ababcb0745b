// SPDX-License-Identifier: Apache-2.0
/* Frames for the tests. */
#include <arpa/inet.h>
#include <string.h>

#include "tests/bpf/pkt.h"

#define L3 14

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static uint32_t sum(const uint8_t *at, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

union pk_addr pkt_ip4(enum who who)
{
	union pk_addr a = { .b = { [10] = 0xff, 0xff, 10, 20, 0, who } };

	if (who == WHO_HOST)
		put32(a.b + 12, 0xc0000201);
	if (who == WHO_WORLD)
		put32(a.b + 12, 0xc6336409);
	if (who == WHO_NOROUTE)
		put32(a.b + 12, 0xcb007109);
	if (who == WHO_FAR)
		a.b[13] = 93;
	return a;
}

union pk_addr pkt_ip6(enum who who)
{
	union pk_addr a = { .b = { 0xfd, 0x00, 0x00, 0x20, [15] = who } };

	if (who == WHO_HOST)
		a = (union pk_addr){ .b = { 0xfd, 0x00, 0x00, 0x02, [15] = 1 } };
	if (who == WHO_WORLD)
		a = (union pk_addr){ .b = { 0x20, 0x01, 0x0d, 0xb8, 0, 9, [15] = 9 } };
	if (who == WHO_NOROUTE)
		a = (union pk_addr){ .b = { 0x20, 0x01, 0x0d, 0xb8, 0xde, 0xad, [15] = 9 } };
	if (who == WHO_GATEWAY)
		a = (union pk_addr){ .b = { 0xfe, 0x80, [15] = 1 } };
	if (who == WHO_FAR)
		a.b[3] = 0x93;
	return a;
}

void pkt_mac(enum who who, uint8_t mac[6])
{
	const uint8_t own[6] = { 0x02, 0x70, 0, 0, 0, who };
	const uint8_t gateway[6] = { 0x02, 0x70, 0x6b, 0, 0, 1 };

	memcpy(mac, who >= WHO_A && who <= WHO_CLOSED ? own : gateway, 6);
}

static void ethernet(struct pkt *p, enum who from, uint16_t type)
{
	memset(p, 0, sizeof(*p));
	pkt_mac(WHO_GATEWAY, p->b);
	pkt_mac(from, p->b + 6);
	put16(p->b + 12, type);
}

static size_t l4_header(uint8_t proto)
{
	if (proto == IPPROTO_TCP)
		return 20;
	return proto == IPPROTO_SCTP ? 12 : 8;
}

static void put_l4(uint8_t *at, const struct l4 *l4)
{
	size_t len = l4_header(l4->proto) + l4->payload;

	for (size_t i = l4_header(l4->proto); i < len; i++)
		at[i] = i;
	if (l4->proto == 1 || l4->proto == 58) {
		put16(at, l4->dport);
		put16(at + 4, l4->sport);
		put16(at + 6, 1);
		return;
	}
	put16(at, l4->sport);
	put16(at + 2, l4->dport);
	if (l4->proto == 6) {
		at[12] = 5 << 4;
		at[13] = l4->tcp_flags;
		/* Both ends begin by 0, so that a SYN is acknowledged by 1. */
		put32(at + 4, l4->tcp_flags & 2 ? 0 : 1);
		put32(at + 8, l4->tcp_flags & 16 ? 1 : 0);
		put16(at + 14, 1000);
	}
	if (l4->proto == 17)
		put16(at + 4, len);
}

static bool is_v4(const struct pkt *p)
{
	return get16(p->b + 12) == 0x0800;
}

static size_t l4_off(const struct pkt *p)
{
	return L3 + (is_v4(p) ? (p->b[L3] & 15) * 4u : 40u);
}

static uint8_t l4_proto(const struct pkt *p)
{
	return is_v4(p) ? p->b[L3 + 9] : p->b[L3 + 6];
}

bool pkt_is_arp(const struct pkt *p)
{
	return get16(p->b + 12) == 0x0806;
}

union pk_addr pkt_destination(const struct pkt *p)
{
	union pk_addr to = {};

	if (is_v4(p)) {
		to.b[10] = to.b[11] = 0xff;
		memcpy(to.b + 12, p->b + L3 + 16, 4);
	} else if (get16(p->b + 12) == 0x86dd) {
		memcpy(to.b, p->b + L3 + 24, 16);
	}
	return to;
}

uint16_t pkt_ip_sum(const struct pkt *p)
{
	return fold(sum(p->b + L3, (p->b[L3] & 15) * 4, 0));
}

static size_t l4_len(const struct pkt *p)
{
	return is_v4(p) ? get16(p->b + L3 + 2) - (l4_off(p) - L3) : get16(p->b + L3 + 4);
}

static uint32_t pseudo_sum(const struct pkt *p)
{
	uint32_t addresses = is_v4(p) ? sum(p->b + L3 + 12, 8, 0) : sum(p->b + L3 + 8, 32, 0);

	return l4_proto(p) == 1 ? 0 : addresses + l4_proto(p) + l4_len(p);
}

uint16_t pkt_l4_sum(const struct pkt *p)
{
	return fold(sum(p->b + l4_off(p), l4_len(p), pseudo_sum(p)));
}

void pkt_partial(struct pkt *p)
{
	put16(p->b + l4_off(p) + (l4_proto(p) == 6 ? 16 : 6), fold(pseudo_sum(p)));
}

void pkt_longer(struct pkt *p, size_t more)
{
	size_t off = l4_off(p);

	for (size_t i = 0; i < more; i++)
		p->b[p->len + i] = i * 7;
	p->len += more;
	put16(p->b + L3 + (is_v4(p) ? 2 : 4), p->len - L3 - (is_v4(p) ? 0 : 40));
	if (l4_proto(p) == 17)
		put16(p->b + off + 4, p->len - off);
	pkt_seal(p);
}

void pkt_seal(struct pkt *p)
{
	static const struct {
		uint8_t proto, off;
	} places[] = { { 6, 16 }, { 17, 6 }, { 1, 2 }, { 58, 2 } };
	size_t off = l4_off(p);

	if (is_v4(p)) {
		put16(p->b + L3 + 10, 0);
		put16(p->b + L3 + 10, ~pkt_ip_sum(p));
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (places[i].proto != l4_proto(p))
			continue;
		put16(p->b + off + places[i].off, 0);
		put16(p->b + off + places[i].off, ~pkt_l4_sum(p));
	}
}

struct pkt pkt_v4_to(enum who from, uint32_t to, struct l4 l4)
{
	union pk_addr src = pkt_ip4(from);
	size_t len = 20 + l4_header(l4.proto) + l4.payload;
	struct pkt p;
	uint8_t *ip = p.b + L3;

	ethernet(&p, from, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, len);
	put16(ip + 6, 0x4000); /* not to be cut, as most stacks say */
	ip[8] = 64;
	ip[9] = l4.proto;
	memcpy(ip + 12, src.b + 12, 4);
	put32(ip + 16, to);
	put_l4(ip + 20, &l4);
	p.len = L3 + len;
	pkt_seal(&p);
	return p;
}

struct pkt pkt_v4(enum who from, enum who to, struct l4 l4)
{
	return pkt_v4_to(from, ntohl(pkt_ip4(to).w[3]), l4);
}

struct pkt pkt_v6_to(enum who from, const union pk_addr *to, struct l4 l4)
{
	union pk_addr src = pkt_ip6(from);
	size_t len = l4_header(l4.proto) + l4.payload;
	struct pkt p;
	uint8_t *ip = p.b + L3;

	ethernet(&p, from, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, len);
	ip[6] = l4.proto;
	ip[7] = 64;
	memcpy(ip + 8, src.b, 16);
	memcpy(ip + 24, to->b, 16);
	put_l4(ip + 40, &l4);
	p.len = L3 + 40 + len;
	pkt_seal(&p);
	return p;
}

struct pkt pkt_v6(enum who from, enum who to, struct l4 l4)
{
	union pk_addr dst = pkt_ip6(to);

	return pkt_v6_to(from, &dst, l4);
}

struct pkt pkt_arp(enum who from, uint16_t op, uint32_t target)
{
	union pk_addr src = pkt_ip4(from);
	struct pkt p;
	uint8_t *arp = p.b + L3;

	ethernet(&p, from, 0x0806);
	memset(p.b, 0xff, 6);
	put16(arp, 1);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, op);
	pkt_mac(from, arp + 8);
	memcpy(arp + 14, src.b + 12, 4);
	put32(arp + 24, target);
	p.len = L3 + 28;
	return p;
}

struct pkt pkt_nd(enum who from, uint8_t type, const union pk_addr *target, int link_local)
{
	union pk_addr to = { .b = { 0xff, 0x02, [15] = 2 } };
	size_t fixed = type == 133 ? 8 : 24;
	struct pkt p = pkt_v6_to(from, &to, (struct l4){ 58, 0, type << 8, 0, fixed });
	uint8_t *m = p.b + L3 + 40;

	p.b[0] = 0x33;
	p.b[1] = 0x33;
	p.b[L3 + 7] = 255;
	if (link_local) {
		union pk_addr own = { .b = { 0xfe, 0x80, [15] = from } };

		memcpy(p.b + L3 + 8, own.b, 16);
	}
	memset(m + 4, 0, fixed + 4);
	if (target)
		memcpy(m + 8, target->b, 16);
	m[fixed] = type == 136 ? 2 : 1;
	m[fixed + 1] = 1;
	pkt_mac(from, m + fixed + 2);
	pkt_seal(&p);
	return p;
}

struct pkt pkt_dhcp(enum who from, uint8_t type, uint32_t requested, uint32_t server)
{
	struct pkt p = pkt_v4_to(from, 0xffffffff, (struct l4){ 17, 68, 67, 0, 300 });
	uint8_t *m = p.b + L3 + 28, *o = m + 240;

	memset(p.b, 0xff, 6);
	memset(p.b + L3 + 12, 0, 4);
	memset(m, 0, 300);
	m[0] = 1;
	m[1] = 1;
	m[2] = 6;
	put32(m + 4, 0x12345678);
	pkt_mac(from, m + 28);
	put32(m + 236, 0x63825363);
	*o++ = 53, *o++ = 1, *o++ = type;
	if (requested) {
		*o++ = 50, *o++ = 4;
		put32(o, requested);
		o += 4;
	}
	if (server) {
		*o++ = 54, *o++ = 4;
		put32(o, server);
		o += 4;
	}
	*o = 255;
	pkt_seal(&p);
	return p;
}

struct pkt pkt_dhcp6(enum who from, const char *message, size_t n)
{
	const union pk_addr all = { .b = { 0xff, 2, [13] = 1, 0, 2 } };
	const union pk_addr own = { .b = { 0xfe, 0x80, [15] = from } };
	struct pkt p = pkt_v6_to(from, &all, (struct l4){ 17, 546, 547, 0, n });

	memcpy(p.b, "\x33\x33\0\1\0\2", 6);
	memcpy(p.b + L3 + 8, own.b, 16);
	memcpy(p.b + L3 + 48, message, n);
	pkt_seal(&p);
	return p;
}

struct pkt pkt_error(enum who from, enum who to, const struct pkt *about)
{
	return pkt_error_long(from, to, about, 8);
}

struct pkt pkt_error_long(enum who from, enum who to, const struct pkt *about, size_t n)
{
	bool v4 = is_v4(about);
	size_t quoted = l4_off(about) - L3 + n;
	struct l4 l4 = { v4 ? 1 : 58, 0, v4 ? 3 << 8 | 3 : 1 << 8 | 4, 0, quoted };
	struct pkt p = v4 ? pkt_v4(from, to, l4) : pkt_v6(from, to, l4);

	memset(p.b + l4_off(&p) + 4, 0, 4);
	memcpy(p.b + l4_off(&p) + 8, about->b + L3, quoted);
	pkt_seal(&p);
	return p;
}

static void seal_ip(struct pkt *p)
{
	put16(p->b + L3 + 10, 0);
	put16(p->b + L3 + 10, ~pkt_ip_sum(p));
}

struct pkt pkt_piece_at(const struct pkt *whole, size_t from, size_t to, uint32_t id,
			uint32_t offset)
{
	size_t above = l4_off(whole), head = above;
	bool more = above + to < whole->len;
	struct pkt p = { 0 };

	memcpy(p.b, whole->b, above);
	if (is_v4(whole)) {
		put16(p.b + L3 + 2, above - L3 + to - from);
		put16(p.b + L3 + 4, id);
		put16(p.b + L3 + 6, offset / 8 | (more ? 0x2000 : 0));
		seal_ip(&p);
	} else {
		head += 8;
		p.b[above] = whole->b[L3 + 6];
		p.b[L3 + 6] = 44;
		put16(p.b + L3 + 4, 8 + to - from);
		put16(p.b + above + 2, offset | more);
		put32(p.b + above + 4, id);
	}
	memcpy(p.b + head, whole->b + above + from, to - from);
	p.len = head + to - from;
	return p;
}

struct pkt pkt_piece(const struct pkt *whole, size_t from, size_t to, uint32_t id)
{
	return pkt_piece_at(whole, from, to, id, from);
}

void pkt_more(struct pkt *p)
{
	if (is_v4(p)) {
		p->b[L3 + 6] |= 0x20;
		seal_ip(p);
	} else {
		p->b[L3 + 43] |= 1;
	}
}
