// SPDX-License-Identifier: Apache-2.0
/* The model's reader: RFC 826, 791, 8200, 792, 4443, 9293, 768, 9260, and datapath.md. */
#include <string.h>

#include "tests/model/seen.h"

#define EXT_ROOM 256

uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

uint32_t sum_of(const uint8_t *at, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

union pk_addr addr_v4(uint32_t host_order)
{
	union pk_addr a = { .b = { [10] = 0xff, 0xff } };

	put32(a.b + 12, host_order);
	return a;
}

uint32_t addr_number(const union pk_addr *a)
{
	return get32(a->b + 12);
}

bool addr_same(const union pk_addr *a, const union pk_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool addr_none(const union pk_addr *a)
{
	static const union pk_addr none;

	return addr_same(a, &none);
}

bool addr_is_v4(const union pk_addr *a)
{
	union pk_addr v4 = addr_v4(0);

	return !memcmp(a, &v4, 12);
}

bool addr_within(const union pk_addr *a, const uint8_t *prefix, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++)
		if ((a->b[i / 8] ^ prefix[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

bool is_icmp(uint8_t proto)
{
	return proto == 1 || proto == 58;
}

static enum pk_reason see_arp(const struct frame *f, struct seen *s)
{
	const uint8_t *arp = f->b + L3;

	s->kind = KIND_ARP;
	if (f->len < L3 + 28)
		return PK_REASON_TRUNCATED;
	if (get16(arp) != 1 || get16(arp + 2) != 0x0800 || arp[4] != 6 || arp[5] != 4)
		return PK_REASON_MALFORMED;
	s->src = addr_v4(get32(arp + 14));
	s->dst = addr_v4(get32(arp + 24));
	return PK_REASON_OK;
}

/* The first fragment of a datagram has the whole header of its protocol. */
static enum pk_reason cut_off(const struct seen *s)
{
	return s->first ? PK_REASON_FRAGMENT : PK_REASON_TRUNCATED;
}

static enum pk_reason see_icmp(const uint8_t *h, uint32_t len, struct seen *s)
{
	bool v4 = s->proto == 1;

	s->type = h[0];
	s->code = h[1];
	s->payload = len - 8;
	s->request = s->type == (v4 ? 8 : 128);
	s->reply = s->type == (v4 ? 0 : 129);
	s->error =
		v4 ? s->type == 3 || s->type == 11 || s->type == 12 : s->type >= 1 && s->type <= 4;
	s->other = !s->request && !s->reply && !s->error;
	if (!s->request && !s->reply)
		return PK_REASON_OK;
	if (s->code)
		return PK_REASON_MALFORMED;
	s->sport = s->dport = get16(h + 4);
	return PK_REASON_OK;
}

/* The shift of later windows, among the first dozen options. */
static bool see_shift(const uint8_t *h, uint32_t header, uint8_t *shift)
{
	uint32_t at = 20;

	for (int i = 0; i < 12; i++) {
		if (at + 3 > header || h[at] == 0)
			return false;
		if (h[at] == 3 && h[at + 1] == 3) {
			*shift = h[at + 2] > 14 ? 14 : h[at + 2];
			return true;
		}
		if (h[at] != 1 && h[at + 1] < 2)
			return false;
		at += h[at] == 1 ? 1 : h[at + 1];
	}
	return false;
}

static enum pk_reason see_tcp(const uint8_t *h, uint32_t len, struct seen *s)
{
	uint32_t header = (h[12] >> 4) * 4u;

	if (header < 20 || header > len)
		return PK_REASON_MALFORMED;
	s->tcp = h[13];
	s->seq = get32(h + 4);
	s->ack = get32(h + 8);
	s->window = get16(h + 14);
	s->shifts = see_shift(h, header, &s->shift);
	s->payload = len - header;
	return PK_REASON_OK;
}

static enum pk_reason see_udp(const uint8_t *h, uint32_t len, struct seen *s)
{
	uint32_t says = get16(h + 4);

	s->payload = len - 8;
	s->unsummed = !get16(h + 6);
	/* The first fragment has less than its datagram says. */
	return says < 8 || (says > len && !s->first) ? PK_REASON_MALFORMED : PK_REASON_OK;
}

static uint32_t header_of(uint8_t proto)
{
	if (proto == 6)
		return 20;
	return proto == 132 ? 12 : 8;
}

static enum pk_reason see_protocol(const struct frame *f, struct seen *s)
{
	uint32_t len = s->l3_len - (s->l4 - L3), need = header_of(s->proto);
	const uint8_t *h = f->b + s->l4;
	enum pk_reason reason = PK_REASON_OK;
	bool icmp = is_icmp(s->proto);

	if (icmp && (s->proto == 1) != (s->kind == KIND_V4))
		return PK_REASON_MALFORMED;
	if (!s->proto)
		return PK_REASON_MALFORMED;
	s->payload = len;
	if (!icmp && s->proto != 6 && s->proto != 17 && s->proto != 132)
		return PK_REASON_OK;
	if (len < need || f->len < s->l4 + need)
		return cut_off(s);
	if (icmp)
		return see_icmp(h, len, s);
	s->payload = len - need;
	if (s->proto == 6)
		reason = see_tcp(h, len, s);
	if (s->proto == 17)
		reason = see_udp(h, len, s);
	if (reason || !get16(h) || !get16(h + 2))
		return PK_REASON_MALFORMED;
	s->ports = true;
	s->sport = get16(h);
	s->dport = get16(h + 2);
	return PK_REASON_OK;
}

/* A piece of a datagram, cut at s->offset. */
static enum pk_reason see_piece(struct seen *s, bool more)
{
	uint32_t len = s->l3_len - (s->l4 - L3);

	if (!len || (more && len % 8) || s->offset + s->l3_len > 0xffff || !s->proto)
		return PK_REASON_FRAGMENT;
	s->first = !s->offset;
	s->later = !s->first;
	s->payload = len;
	return PK_REASON_OK;
}

/* Padding passes: no operation, and the end of the list. */
static enum pk_reason see_options(const struct frame *f, uint32_t header)
{
	for (uint32_t i = L3 + 20; i < L3 + header; i++) {
		if (i >= f->len)
			return PK_REASON_MALFORMED;
		if (f->b[i] == 0)
			return PK_REASON_OK;
		if (f->b[i] != 1)
			return PK_REASON_IP_OPTION;
	}
	return PK_REASON_OK;
}

static enum pk_reason see_v4(const struct frame *f, struct seen *s)
{
	const uint8_t *ip = f->b + L3;
	uint32_t header = (ip[0] & 15) * 4u, cut = get16(ip + 6);
	enum pk_reason reason;

	s->kind = KIND_V4;
	if (f->len < L3 + 20)
		return PK_REASON_TRUNCATED;
	s->l3_len = get16(ip + 2);
	if (ip[0] >> 4 != 4 || header < 20 || s->l3_len < header)
		return PK_REASON_MALFORMED;
	s->src = addr_v4(get32(ip + 12));
	s->dst = addr_v4(get32(ip + 16));
	s->ttl = ip[8];
	s->proto = ip[9];
	s->l4 = L3 + header;
	s->group |= ip[16] >= 224;
	reason = see_options(f, header);
	if (reason)
		return reason;
	s->id = get16(ip + 4);
	s->atomic = get16(ip + 6) == 0x4000;
	s->offset = (cut & 0x1fff) * 8;
	if (cut & 0x3fff)
		reason = see_piece(s, cut & 0x2000);
	return reason || s->later ? reason : see_protocol(f, s);
}

static bool never_behind(uint8_t next)
{
	static const uint8_t refused[] = { 0, 43, 44, 59, 60, 135, 139, 140, 253, 254, 255 };

	return memchr(refused, next, sizeof(refused));
}

/* The header of a fragment at `off`, that isn't an atomic one's. */
static enum pk_reason see_v6_piece(const struct frame *f, struct seen *s, uint32_t off)
{
	uint16_t cut = get16(f->b + off + 2);

	s->proto = f->b[off];
	s->l4 = off + 8;
	if (s->l4 > L3 + s->l3_len || never_behind(s->proto))
		return PK_REASON_EXT_HEADER;
	s->id = get32(f->b + off + 4);
	s->offset = cut & 0xfff8;
	return see_piece(s, cut & 1);
}

/* Headers that stand before the protocol's, each once; *done: a fragment ended the chain. */
static enum pk_reason see_chain(const struct frame *f, struct seen *s, bool *done)
{
	uint32_t off = L3 + 40, length;
	uint8_t next = f->b[L3 + 6];
	bool options = false, piece = false;

	for (int place = 0; (next == 0 && !place) || next == 60 || next == 44; place++) {
		if ((next == 60 && options) || (next == 44 && piece))
			return PK_REASON_EXT_HEADER;
		options |= next == 60;
		if (f->len < off + 8)
			return PK_REASON_TRUNCATED;
		*done = next == 44 && get16(f->b + off + 2) & 0xfff9;
		if (*done)
			return see_v6_piece(f, s, off);
		length = next == 44 ? 8 : (f->b[off + 1] + 1) * 8u; /* a fragment's has none */
		piece |= next == 44;
		next = f->b[off];
		off += length;
		if (off > L3 + 40 + EXT_ROOM || off > L3 + s->l3_len)
			return PK_REASON_EXT_HEADER;
	}
	s->proto = next;
	s->l4 = off;
	return never_behind(next) ? PK_REASON_EXT_HEADER : PK_REASON_OK;
}

static enum pk_reason see_v6(const struct frame *f, struct seen *s)
{
	const uint8_t *ip = f->b + L3;
	enum pk_reason reason;
	bool done = false;

	s->kind = KIND_V6;
	if (f->len < L3 + 40)
		return PK_REASON_TRUNCATED;
	s->l3_len = 40 + get16(ip + 4);
	if (ip[0] >> 4 != 6)
		return PK_REASON_MALFORMED;
	memcpy(s->src.b, ip + 8, 16);
	memcpy(s->dst.b, ip + 24, 16);
	s->ttl = ip[7];
	s->group |= ip[24] == 0xff;
	reason = see_chain(f, s, &done);
	return reason || s->later ? reason : see_protocol(f, s);
}

static enum pk_reason see_any(const struct frame *f, struct seen *s)
{
	enum pk_reason reason;

	if (f->len < L3)
		return PK_REASON_TRUNCATED;
	memcpy(s->dmac, f->b, 6);
	memcpy(s->smac, f->b + 6, 6);
	s->group = f->b[0] & 1;
	switch (get16(f->b + 12)) {
	case 0x0806:
		return see_arp(f, s);
	case 0x0800:
		reason = see_v4(f, s);
		break;
	case 0x86dd:
		reason = see_v6(f, s);
		break;
	case 0x8100:
	case 0x88a8:
		return PK_REASON_VLAN;
	default:
		return PK_REASON_ETHERTYPE;
	}
	if (reason)
		return reason;
	/* What ends inside a header is cut off; what ends before its own end contradicts itself. */
	if (s->l3_len - s->payload > f->len - L3)
		return PK_REASON_TRUNCATED;
	return s->l3_len > f->len - L3 ? PK_REASON_MALFORMED : PK_REASON_OK;
}

void see(const struct frame *f, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	s->reason = see_any(f, s);
}
