// SPDX-License-Identifier: Apache-2.0
/* Sources that are not one's own, and what the gateway answers itself. */
#include <string.h>

#include "tests/model/state.h"

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
	       is_dhcp6(&k->seen) || is_ping_of_gateway(k);
}

void answer_back(struct walk *k)
{
	k->o->where = GOES_BACK;
	k->o->to = k->slot;
	frame_macs(&k->o->out, k->seen.smac);
}

/* Who leaves the checksum to others says where it stands: it must be there in the answer, too. */
enum pk_reason answer_fits(const struct walk *k, uint32_t l4)
{
	if (k->seen.partial && k->seen.l4 != l4)
		return PK_REASON_CHECKSUM;
	return k->step->beside.gso ? PK_REASON_GSO : PK_REASON_OK;
}

void answer_seal(struct walk *k, const struct seen *s)
{
	struct frame *f = &k->o->out;
	uint32_t at = s->kind == KIND_V4 ? L3 + 12 : L3 + 8;

	frame_seal(f, s);
	if (k->seen.partial) /* the pseudo-header's sum; the rest is added later */
		put16(f->b + s->l4 + 6,
		      fold(sum_of(f->b + at, s->l4 - at, s->l3_len - (s->l4 - L3) + s->proto)));
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
	answer_back(k);
	k->o->out.len = L3 + 28;
	put16(is + 6, 2);
	memcpy(is + 8, k->o->out.b + 6, 6);
	memcpy(is + 14, arp + 24, 4);
	memcpy(is + 18, arp + 8, 6);
	memcpy(is + 24, arp + 14, 4);
	return PK_REASON_OK;
}

void ping_back(struct walk *k)
{
	const struct seen *s = &k->seen;
	struct frame *f = &k->o->out;
	uint8_t *ip = f->b + L3;
	bool v4 = s->kind == KIND_V4;

	answer_back(k);
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
		return answer_dhcp4(k);
	if (is_dhcp6(&k->seen))
		return answer_dhcp6(k);
	ping_back(k);
	return PK_REASON_OK;
}
