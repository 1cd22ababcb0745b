// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "tests/model/make.h"
#include "tests/model/state.h"

static const uint8_t gateway_mac[6] = PK_GATEWAY_MAC;

static void ethernet(struct frame *f, const uint8_t smac[6], uint16_t type)
{
	memset(f->b, 0, 128);
	memcpy(f->b, gateway_mac, 6);
	memcpy(f->b + 6, smac, 6);
	put16(f->b + 12, type);
}

static uint32_t header_of(uint8_t proto)
{
	if (proto == 6)
		return 20;
	if (proto == 132)
		return 12;
	return proto == 17 || is_icmp(proto) ? 8 : 0;
}

/* The protocol's part of the datagram, at `at`; its length. */
static uint32_t make_l4(uint8_t *at, const struct make *m)
{
	uint32_t options = m->proto == 6 && m->scale ? 4 : 0;
	uint32_t header = header_of(m->proto) + options, len = header + m->payload;

	memset(at, 0, header);
	if (m->quote)
		memcpy(at + header, m->quote, m->payload);
	for (uint32_t i = header; !m->quote && i < len; i++)
		at[i] = (uint8_t)(i * 7 + m->sport);
	if (is_icmp(m->proto)) {
		at[0] = m->type;
		at[1] = m->code;
		put16(at + 4, m->sport);
		return len;
	}
	if (!header)
		return len;
	put16(at, m->sport);
	put16(at + 2, m->dport);
	if (m->proto == 6) {
		at[12] = (uint8_t)(header / 4 << 4);
		at[13] = m->tcp;
		put32(at + 4, m->seq);
		put32(at + 8, m->ack);
		put16(at + 14, m->window);
		if (options)
			memcpy(at + 20, (uint8_t[]){ 1, 3, 3, m->scale - 1 }, options);
	}
	if (m->proto == 17)
		put16(at + 4, (uint16_t)len);
	return len;
}

/* A fragment is cut out of the whole datagram, whose checksum it has. */
static uint32_t cut(uint8_t *at, const struct make *m, uint32_t len)
{
	uint32_t from = m->offset < len ? m->offset : 0, left = len - from;
	uint32_t part = m->more ? left / 2 & ~7u : left;

	if (!m->piece)
		return len;
	if (m->more && !part)
		part = left & ~7u;
	memmove(at, at + from, part);
	return part;
}

static void make_v4(struct frame *f, const struct make *m)
{
	uint8_t *ip = f->b + L3, l4[FRAME_ROOM];
	uint32_t header = 20 + m->options * 4, len = make_l4(l4, m);
	struct seen s = { .kind = KIND_V4, .proto = m->proto, .l4 = L3 + header };

	ip[0] = (uint8_t)(0x40 | header / 4);
	ip[8] = m->ttl;
	ip[9] = m->proto;
	memcpy(ip + 12, m->src.b + 12, 4);
	memcpy(ip + 16, m->dst.b + 12, 4);
	memset(ip + 20, m->option, header - 20);
	put16(ip + 2, (uint16_t)(header + len));
	memcpy(f->b + s.l4, l4, len);
	s.l3_len = header + len;
	frame_seal(f, &s);
	len = cut(f->b + s.l4, m, len);
	put16(ip + 2, (uint16_t)(header + len));
	put16(ip + 4, (uint16_t)m->id);
	if (m->piece)
		put16(ip + 6, (uint16_t)(m->offset / 8 | (m->more ? 0x2000 : 0)));
	else if (m->atomic)
		put16(ip + 6, 0x4000);
	f->len = L3 + header + len;
	s.first = true;
	frame_seal(f, &s);
}

/* Extension headers of eight bytes each, then the fragment's. */
static uint32_t make_chain(uint8_t *ip, const struct make *m)
{
	uint8_t *next = ip + 6;
	uint32_t off = 40;

	for (uint32_t i = 0; i < m->options; i++, off += 8) {
		*next = m->option;
		next = ip + off;
		memset(next, 0, 8);
		next[2] = 1; /* padding: PadN */
		next[3] = 4;
	}
	if (m->piece) {
		*next = 44;
		next = ip + off;
		memset(next, 0, 8);
		put16(next + 2, (uint16_t)(m->offset | m->more));
		put32(next + 4, m->id);
		off += 8;
	}
	*next = m->proto;
	return off;
}

static void make_v6(struct frame *f, const struct make *m)
{
	uint8_t *ip = f->b + L3;
	uint32_t header = make_chain(ip, m), len;
	struct seen s = { .kind = KIND_V6, .proto = m->proto, .l4 = L3 + header };

	ip[0] = 0x60;
	ip[7] = m->ttl;
	memcpy(ip + 8, m->src.b, 16);
	memcpy(ip + 24, m->dst.b, 16);
	len = make_l4(f->b + s.l4, m);
	s.l3_len = header + len;
	frame_seal(f, &s);
	len = cut(f->b + s.l4, m, len);
	put16(ip + 4, (uint16_t)(header - 40 + len));
	f->len = L3 + header + len;
}

void make_frame(struct frame *f, const struct make *m, const uint8_t smac[6])
{
	bool v4 = addr_is_v4(&m->dst);

	ethernet(f, smac, v4 ? 0x0800 : 0x86dd);
	if (v4)
		make_v4(f, m);
	else
		make_v6(f, m);
	if (v4 ? m->dst.b[12] >= 224 && m->dst.b[12] < 240 : m->dst.b[0] == 0xff)
		memset(f->b, v4 ? 0x01 : 0x33, 2);
}

void make_arp(struct frame *f, uint32_t slot, uint16_t op, const union pk_addr *target)
{
	union pk_addr own = cast_address(slot, true);
	uint8_t mac[6], *arp = f->b + L3;

	cast_mac(slot, mac);
	ethernet(f, mac, 0x0806);
	memset(f->b, 0xff, 6);
	put16(arp, 1);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, op);
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, own.b + 12, 4);
	memcpy(arp + 24, target->b + 12, 4);
	f->len = L3 + 28;
}

void make_nd(struct frame *f, uint32_t slot, uint8_t type, const union pk_addr *target, bool own)
{
	static const union pk_addr routers = { .b = { 0xff, 2, [15] = 2 } };
	uint32_t fixed = type == 133 ? 0 : 16;
	uint8_t body[32] = {}, mac[6];
	struct make m = {
		.src = cast_address(slot, false), .dst = routers, .proto = 58, .ttl = 255
	};

	cast_mac(slot, mac);
	if (!own)
		m.src = (union pk_addr){ .b = { 0xfe, 0x80, [15] = (uint8_t)(slot + 10) } };
	if (fixed)
		memcpy(body, target->b, 16);
	body[fixed] = type == 136 ? 2 : 1;
	body[fixed + 1] = 1;
	memcpy(body + fixed + 2, mac, 6);
	m.type = type;
	m.quote = body;
	m.payload = fixed + 8;
	make_frame(f, &m, mac);
}

void make_seal(struct frame *f)
{
	struct seen s;

	see(f, &s);
	if (!s.reason && s.kind != KIND_ARP && !s.later)
		frame_seal(f, &s);
}

static uint32_t gso_type(const struct seen *s)
{
	if (s->proto == 17)
		return GSO_UDP;
	return s->kind == KIND_V4 ? GSO_TCP4 : GSO_TCP6;
}

void make_beside(struct frame *f, struct beside *b, uint32_t size)
{
	struct seen s;
	uint32_t sum;

	see(f, &s);
	sum = s.kind == KIND_V4 ? sum_of(f->b + L3 + 12, 8, 0) : sum_of(f->b + L3 + 8, 32, 0);
	sum += s.l3_len - (s.l4 - L3) + s.proto;
	*b = (struct beside){ .partial = true,
			      .honest = true,
			      .sum_start = (uint16_t)s.l4,
			      .sum_offset = s.proto == 6 ? 16 : 6,
			      .gso = (uint16_t)size,
			      .gso_type = size ? gso_type(&s) : 0 };
	put16(f->b + s.l4 + b->sum_offset, fold(sum));
}
