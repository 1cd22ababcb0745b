// SPDX-License-Identifier: Apache-2.0
/* Sources that are not one's own, and what the gateway answers itself. */
#include <string.h>

#include "tests/model/state.h"

#define REQUEST_OFF (L3 + 28) /* a DHCP message's, behind a plain header */

bool is_link_local(const union pk_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool is_gateway6(const union pk_addr *a)
{
	static const union pk_addr gateway = { .b = { 0xfe, 0x80, [15] = 1 } };

	return addr_same(a, &gateway);
}

bool is_nd(const struct seen *s)
{
	return s->kind == KIND_V6 && s->proto == 58 && !s->later &&
	       ((s->type >= 133 && s->type <= 137) || (s->type >= 130 && s->type <= 132) ||
		s->type == 143);
}

bool is_dhcp4(const struct seen *s)
{
	return s->kind == KIND_V4 && s->proto == 17 && s->ports &&
	       (s->dport == 67 || (s->sport == 67 && s->dport == 68));
}

bool is_dhcp6(const struct seen *s)
{
	return s->kind == KIND_V6 && s->proto == 17 && s->ports &&
	       (s->dport == 547 || (s->sport == 547 && s->dport == 546));
}

static enum pk_reason spoofs_v6(const struct seen *s, const struct pk_endpoint *ep)
{
	bool local = is_link_local(&s->src);

	if (addr_same(&s->src, &ep->ipv6) && !addr_none(&s->src))
		return PK_REASON_OK;
	if (is_nd(s) && (local || addr_none(&s->src)))
		return PK_REASON_OK;
	if (local && is_dhcp6(s))
		return PK_REASON_OK;
	/* A ping of fe80::1, the rest of a long one, an error to it. */
	if (local && is_gateway6(&s->dst) && (s->request || s->later || s->error))
		return PK_REASON_OK;
	return PK_REASON_SPOOFED_IPV6;
}

enum pk_reason spoofs(const struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const struct seen *s = &k->seen;

	if (memcmp(s->smac, ep->mac, 6))
		return PK_REASON_SPOOFED_MAC;
	if (s->kind == KIND_V6)
		return spoofs_v6(s, ep);
	if (s->kind == KIND_ARP || addr_same(&s->src, &ep->ipv4))
		return PK_REASON_OK;
	/* Who has no address yet asks for one from 0.0.0.0. */
	return !addr_number(&s->src) && s->sport == 68 && is_dhcp4(s) ? PK_REASON_OK
								      : PK_REASON_SPOOFED_IPV4;
}

static bool is_ping_of_gateway(const struct walk *k)
{
	const struct seen *s = &k->seen;

	if (!s->request)
		return false;
	return s->kind == KIND_V4 ? addr_same(&s->dst, &k->m->w->ep[k->slot].gateway4)
				  : is_gateway6(&s->dst);
}

bool is_question(const struct walk *k)
{
	return k->seen.kind == KIND_ARP || is_nd(&k->seen) || is_dhcp4(&k->seen) ||
	       is_ping_of_gateway(k);
}

static void goes_back(struct walk *k)
{
	k->o->where = GOES_BACK;
	k->o->to = k->slot;
	frame_macs(&k->o->out, k->seen.smac);
}

static enum pk_reason answer_arp(struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const struct seen *s = &k->seen;
	const uint8_t *arp = k->frame->b + L3;
	uint8_t *is = k->o->out.b + L3;

	if (get16(arp + 6) != 1 || memcmp(arp + 8, ep->mac, 6) ||
	    (addr_number(&s->src) && !addr_same(&s->src, &ep->ipv4)))
		return PK_REASON_SPOOFED_ARP;
	if (addr_none(&ep->ipv4) || addr_same(&s->dst, &ep->ipv4) ||
	    !addr_within(&s->dst, ep->ipv4.b, 96u + ep->ipv4_prefix))
		return PK_REASON_MULTICAST;
	goes_back(k);
	k->o->out.len = L3 + 28;
	put16(is + 6, 2);
	memcpy(is + 8, k->o->out.b + 6, 6);
	memcpy(is + 14, arp + 24, 4);
	memcpy(is + 18, arp + 8, 6);
	memcpy(is + 24, arp + 14, 4);
	return PK_REASON_OK;
}

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

	goes_back(k);
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

static enum pk_reason answer_nd(struct walk *k)
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
	goes_back(k);
	k->o->any_answer = true;
	return PK_REASON_OK;
}

/* What DHCP says is its own tests' matter; here only that nobody else hears of it. */
static enum pk_reason answer_dhcp(struct walk *k)
{
	k->o->loose = true;
	return PK_REASON_OK;
}

void ping_back(struct walk *k)
{
	const struct seen *s = &k->seen;
	struct frame *f = &k->o->out;
	uint8_t *ip = f->b + L3;
	bool v4 = s->kind == KIND_V4;

	goes_back(k);
	memcpy(ip + (v4 ? 12 : 8), v4 ? s->dst.b + 12 : s->dst.b, v4 ? 4 : 16);
	memcpy(ip + (v4 ? 16 : 24), v4 ? s->src.b + 12 : s->src.b, v4 ? 4 : 16);
	ip[v4 ? 8 : 7] = 64;
	k->o->sums[0] = v4 ? L3 + 10 : 0;
	if (v4)
		put16(ip + 10, (uint16_t)~fold((uint16_t)~get16(ip + 10) +
					       (uint32_t)(uint16_t)~(s->ttl << 8) + (64 << 8)));
	if (s->later)
		return;
	k->o->sums[1] = s->l4 + 2;
	put16(f->b + s->l4 + 2,
	      (uint16_t)~fold((uint16_t)~get16(f->b + s->l4 + 2) +
			      (uint32_t)(uint16_t)~(s->type << 8) + ((v4 ? 0u : 129u) << 8)));
	f->b[s->l4] = v4 ? 0 : 129;
}

enum pk_reason answer(struct walk *k)
{
	if (k->seen.kind == KIND_ARP)
		return answer_arp(k);
	if (is_nd(&k->seen))
		return answer_nd(k);
	if (is_dhcp4(&k->seen))
		return answer_dhcp(k);
	ping_back(k);
	return PK_REASON_OK;
}

/* A router's word to the sender of what it couldn't forward: time exceeded, or its way's MTU. */
static void tell_v4(struct walk *k, uint32_t mtu, uint32_t quote)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	uint8_t *ip = k->o->out.b + L3, *m = ip + 20;
	struct seen s = { .kind = KIND_V4, .proto = 1, .l4 = L3 + 20, .l3_len = 28 + quote };

	memset(ip, 0, 28);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)s.l3_len);
	ip[8] = 64;
	ip[9] = 1;
	memcpy(ip + 12, ep->gateway4.b + 12, 4);
	memcpy(ip + 16, ep->ipv4.b + 12, 4);
	m[0] = mtu ? 3 : 11;
	m[1] = mtu ? 4 : 0;
	put16(m + 6, (uint16_t)mtu);
	memcpy(m + 8, k->frame->b + L3, quote);
	k->o->out.len = L3 + s.l3_len;
	frame_seal(&k->o->out, &s);
}

static void tell_v6(struct walk *k, uint32_t mtu, uint32_t quote)
{
	static const union pk_addr gateway = { .b = { 0xfe, 0x80, [15] = 1 } };
	uint8_t *ip = k->o->out.b + L3, *m = ip + 40;
	struct seen s = { .kind = KIND_V6, .proto = 58, .l4 = L3 + 40, .l3_len = 48 + quote };

	memset(ip, 0, 48);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)(8 + quote));
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, gateway.b, 16);
	memcpy(ip + 24, k->m->w->ep[k->slot].ipv6.b, 16);
	m[0] = mtu ? 2 : 3;
	put32(m + 4, mtu);
	memcpy(m + 8, k->frame->b + L3, quote);
	k->o->out.len = L3 + s.l3_len;
	frame_seal(&k->o->out, &s);
}

/* Errors aren't told of, nor fragments behind the first. */
void tell(struct walk *k, uint32_t mtu)
{
	bool v4 = k->seen.kind == KIND_V4;
	uint32_t full = v4 ? 68 : 128, quote = v4 ? 28 : 48;

	if (k->seen.l3_len >= full)
		quote = full;
	if (!k->out || k->seen.error || k->seen.later || k->frame->len < L3 + quote)
		return;
	goes_back(k);
	if (v4)
		tell_v4(k, mtu, quote);
	else
		tell_v6(k, mtu, quote);
}
