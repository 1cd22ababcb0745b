// SPDX-License-Identifier: Apache-2.0
/* Neighbour and router discovery with the gateway (RFC 4861, 8106). */
#include <string.h>

#include "tests/model/paper.h"

/* The link-layer options from `at` to the message's end name the endpoint's own MAC. */
static bool options_own(const struct walk *k, uint32_t at)
{
	uint32_t end = L3 + k->seen.l3_len;
	const uint8_t *o;

	for (int n = 0; at < end; n++) {
		o = k->frame->b + at;
		if (n == 4 || at + 8 > k->frame->len || !o[1])
			return false;
		if ((o[0] == 1 || o[0] == 2) &&
		    (o[1] != 1 || memcmp(o + 2, k->m->w->ep[k->slot].mac, 6)))
			return false;
		at += o[1] * 8u;
	}
	return at == end;
}

/* The gateway says that it is at whatever was asked for. */
static void advertise(struct walk *k, const union pk_addr *target)
{
	struct frame *f = &k->o->out;
	uint8_t *ip = f->b + L3, *m = ip + 40;
	struct seen s = { .kind = KIND_V6, .proto = 58, .l4 = L3 + 40, .l3_len = 72 };

	answer_back(k);
	memset(ip, 0, 72);
	ip[0] = 0x60;
	put16(ip + 4, 32);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, target->b, 16);
	memcpy(ip + 24, k->seen.src.b, 16);
	m[0] = 136;
	m[4] = 0xe0; /* router, solicited, override */
	memcpy(m + 8, target->b, 16);
	m[24] = 2;
	m[25] = 1;
	memcpy(m + 26, f->b + 6, 6);
	f->len = L3 + 72;
	frame_seal(f, &s);
}

static enum pk_reason answer_neighbour(struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const struct seen *s = &k->seen;
	union pk_addr target;

	if (k->frame->len < s->l4 + 24)
		return PK_REASON_TRUNCATED;
	memcpy(target.b, k->frame->b + s->l4 + 8, 16);
	if (!options_own(k, s->l4 + 24))
		return PK_REASON_SPOOFED_ND;
	if (s->type == 136) {
		if ((addr_same(&target, &ep->ipv6) || is_link_local(&target)) &&
		    !is_gateway6(&target))
			return PK_REASON_MULTICAST;
		return PK_REASON_SPOOFED_ND;
	}
	if (addr_none(&s->src) || addr_same(&target, &ep->ipv6) ||
	    (!is_gateway6(&target) && !in_pools(k->m->w, &target)))
		return PK_REASON_MULTICAST;
	advertise(k, &target);
	return PK_REASON_OK;
}

/*
 * The router, its MAC, the MTU and a prefix that is neither on the link nor to make addresses of:
 * these come by DHCPv6 (M).
 */
static void advertise_router(struct walk *k)
{
	static const union pk_addr all_nodes = { .b = { 0xff, 2, [15] = 1 } };
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	struct frame *f = &k->o->out;
	struct paper p = { f->b, L3 };
	struct seen s = { .kind = KIND_V6, .proto = 58, .l4 = L3 + 40 };

	answer_back(k);
	paper_put(&p, (uint8_t[24]){ 0x60, [6] = 58, 255, 0xfe, 0x80, [23] = 1 }, 24);
	paper_put(&p, addr_none(&k->seen.src) ? all_nodes.b : k->seen.src.b, 16);
	paper_put(&p, (uint8_t[6]){ 134, [4] = 64, 0x80 }, 6);
	paper_number(&p, PK_RA_LIFETIME, 2);
	paper_number(&p, 0, 8); /* reachable and retransmission times: unspecified */
	paper_put(&p, (uint8_t[2]){ 1, 1 }, 2);
	paper_put(&p, f->b + 6, 6);
	paper_put(&p, (uint8_t[4]){ 5, 1 }, 4);
	paper_number(&p, ep->mtu, 4);
	paper_put(&p, (uint8_t[4]){ 3, 4, 128 }, 4);
	paper_number(&p, PK_RA_LIFETIME, 4);
	paper_number(&p, PK_RA_LIFETIME, 4);
	paper_number(&p, 0, 4);
	paper_put(&p, ep->ipv6.b, 16);
	told_ra(&p, &k->m->w->told[k->slot]);
	f->len = p.len;
	s.l3_len = p.len - L3;
	put16(f->b + L3 + 4, (uint16_t)(s.l3_len - 40));
	frame_seal(f, &s);
}

enum pk_reason answer_nd(struct walk *k)
{
	const struct seen *s = &k->seen;

	if (s->type == 143 || s->type <= 132) /* MLD: every group is nobody's here */
		return PK_REASON_MULTICAST;
	if (s->ttl != 255 || s->code)
		return PK_REASON_SPOOFED_ND;
	if (addr_none(&k->m->w->ep[k->slot].ipv6) && (s->type == 133 || s->type == 135))
		return PK_REASON_MULTICAST;
	if (s->type == 135 || s->type == 136)
		return answer_neighbour(k);
	if (s->type != 133 || !options_own(k, s->l4 + 8))
		return PK_REASON_SPOOFED_ND;
	advertise_router(k);
	return PK_REASON_OK;
}
