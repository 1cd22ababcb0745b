// SPDX-License-Identifier: Apache-2.0
/* Frames as they come out. A checksum that was right is right again; a wrong one stays as wrong. */
#include <string.h>

#include "tests/model/state.h"

static const uint8_t gateway_mac[6] = PK_GATEWAY_MAC;

void frame_macs(struct frame *f, const uint8_t to[6])
{
	memcpy(f->b, to, 6);
	memcpy(f->b + 6, gateway_mac, 6);
}

/* Where the protocol's checksum stands in the frame; 0: it has none that knows addresses. */
static uint32_t sum_at(const struct seen *s)
{
	if (s->later)
		return 0;
	switch (s->proto) {
	case 6:
		return s->l4 + 16;
	case 17:
		return s->l4 + 6;
	case 1:
	case 58:
		return s->l4 + 2;
	default:
		return 0;
	}
}

/* Over the protocol's part and its pseudo-header: 0xffff where the checksum is right. */
static uint16_t l4_sum(const struct frame *f, const struct seen *s)
{
	uint32_t len = s->l3_len - (s->l4 - L3), sum = 0;

	if (s->proto != 1) {
		sum = s->kind == KIND_V4 ? sum_of(f->b + L3 + 12, 8, 0)
					 : sum_of(f->b + L3 + 8, 32, 0);
		sum += len + s->proto;
	}
	return fold(sum_of(f->b + s->l4, len, sum));
}

static void seal_header(struct frame *f, const struct seen *s)
{
	put16(f->b + L3 + 10, 0);
	put16(f->b + L3 + 10, (uint16_t)~fold(sum_of(f->b + L3, s->l4 - L3, 0)));
}

static void seal_l4(struct frame *f, const struct seen *s)
{
	uint32_t at = sum_at(s);
	uint16_t sum;

	if (!at)
		return;
	put16(f->b + at, 0);
	sum = (uint16_t)~l4_sum(f, s);
	put16(f->b + at, s->proto == 17 && !sum ? 0xffff : sum);
}

void frame_seal(struct frame *f, const struct seen *s)
{
	if (s->kind == KIND_V4)
		seal_header(f, s);
	if (!s->first)
		seal_l4(f, s);
}

/* Is the checksum, of the IPv4 header or of what it carries, what frame_seal would write? */
static bool is_canonical(const struct frame *f, const struct seen *s, bool header)
{
	struct frame is = *f;

	if (header && s->kind == KIND_V4)
		seal_header(&is, s);
	if (!header)
		seal_l4(&is, s);
	return !memcmp(is.b, f->b, f->len);
}

/* RFC 1624: the checksum at `at` follows where the word at `of` became another. */
static void follow(struct frame *f, uint32_t at, uint16_t was, uint16_t is)
{
	uint16_t check = get16(f->b + at);

	put16(f->b + at, (uint16_t)~fold((uint16_t)~check + (uint32_t)(uint16_t)~was + is));
}

static void loosely(struct outcome *o, uint32_t at)
{
	for (int i = 0; i < 4; i++) {
		if (o->sums[i] && o->sums[i] != at)
			continue;
		o->sums[i] = at;
		return;
	}
}

void frame_hop(struct outcome *o, const struct seen *s)
{
	struct frame *f = &o->out;
	bool right = is_canonical(f, s, true);

	if (s->kind == KIND_V6) {
		f->b[L3 + 7]--;
		return;
	}
	follow(f, L3 + 10, get16(f->b + L3 + 8), (uint16_t)(get16(f->b + L3 + 8) - 0x100));
	f->b[L3 + 8]--;
	if (right)
		seal_header(f, s);
	else
		loosely(o, L3 + 10);
}

/* The bytes at `at` become others, which the checksum at `check` knows. */
void frame_change_bytes(struct frame *f, uint32_t check, uint32_t at, const uint8_t *to,
			uint32_t len)
{
	follow(f, check, fold(sum_of(f->b + at, len, 0)), fold(sum_of(to, len, 0)));
	memcpy(f->b + at, to, len);
}

/* What is written where, and the checksums that know it. */
struct change {
	uint32_t at, len;
	uint8_t to[16];
	bool address; /* else a port */
};

static void change(struct frame *f, const struct seen *s, const struct change *c)
{
	uint32_t l4 = sum_at(s);
	bool known = l4 && l4 + 2 <= f->len && !(c->address && s->proto == 1) &&
		     !(s->partial && !c->address) && (s->partial || !s->unsummed);

	for (uint32_t i = 0; i < c->len; i += 2) {
		uint16_t was = get16(f->b + c->at + i), is = get16(c->to + i);

		if (c->address && s->kind == KIND_V4)
			follow(f, L3 + 10, was, is);
		if (known && s->partial)
			put16(f->b + l4, fold(get16(f->b + l4) + (uint32_t)(uint16_t)~was + is));
		else if (known)
			follow(f, l4, was, is);
		put16(f->b + c->at + i, is);
	}
}

void frame_change_address(struct frame *f, const struct seen *s, bool source,
			  const union pk_addr *to)
{
	struct change c = { .address = true };

	if (s->kind == KIND_V4) {
		c.at = L3 + (source ? 12 : 16);
		c.len = 4;
		memcpy(c.to, to->b + 12, 4);
	} else {
		c.at = L3 + (source ? 8 : 24);
		c.len = 16;
		memcpy(c.to, to->b, 16);
	}
	change(f, s, &c);
}

void frame_change_port(struct frame *f, const struct seen *s, bool source, uint16_t to)
{
	struct change c = { .at = s->l4 + (source ? 0 : 2), .len = 2 };

	if (s->later)
		return;
	if (is_icmp(s->proto))
		c.at = s->l4 + 4;
	put16(c.to, to);
	change(f, s, &c);
}

/*
 * The packet as the flow's other end knows it: the initiator's as the responder sees it, and the
 * responder's as the initiator sees it.
 */
static void translate(struct frame *f, const struct seen *s, const struct model_flow *w, int role)
{
	const union pk_addr *src = role ? &w->dst : &w->seen_src;
	const union pk_addr *dst = role ? &w->src : &w->seen_dst;

	if (!addr_same(src, &s->src))
		frame_change_address(f, s, true, src);
	if (!addr_same(dst, &s->dst))
		frame_change_address(f, s, false, dst);
	if (is_icmp(s->proto)) {
		frame_change_port(f, s, true, role ? w->sport : w->seen_sport);
		return;
	}
	frame_change_port(f, s, true, role ? w->dport : w->seen_sport);
	frame_change_port(f, s, false, role ? w->sport : w->seen_dport);
}

/* Who sends from an address that others send from, too, has ids that nobody foretells. */
void frame_rename(struct outcome *o, const struct seen *s)
{
	if (s->kind != KIND_V4 || s->atomic || !memcmp(o->out.b + L3 + 12, s->src.b + 12, 4))
		return;
	o->new_id = true;
	loosely(o, L3 + 10);
}

void frame_translate(struct walk *k)
{
	struct outcome *o = k->o;
	const struct seen *s = &k->seen;
	bool right = !s->first && !s->later && !s->partial && is_canonical(k->frame, s, false);
	bool header = s->kind == KIND_V4 && is_canonical(k->frame, s, true);

	if (k->flow == NO_ONE || !k->m->flow[k->flow].translation)
		return;
	translate(&o->out, s, &k->m->flow[k->flow], k->role);
	frame_rename(o, s);
	if (s->kind == KIND_V4 && header)
		seal_header(&o->out, s);
	else if (s->kind == KIND_V4)
		loosely(o, L3 + 10);
	if (right && !s->unsummed)
		seal_l4(&o->out, s);
	else if (!s->later && !s->unsummed)
		loosely(o, sum_at(s));
}
