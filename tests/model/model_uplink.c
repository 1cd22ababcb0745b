// SPDX-License-Identifier: Apache-2.0
/*
 * What comes in from outside. An answer to a masqueraded flow, what is for a published port and
 * what is for an endpoint's address is ours; everything else goes on to the host as it came.
 */
#include "tests/model/state.h"

static enum pk_reason goes_on(struct walk *k)
{
	k->o->where = GOES_ON;
	return PK_REASON_OK;
}

/* Is it for an address of this node's blocks, whoever is there? */
static bool is_for_endpoints(const struct world *w, const union pk_addr *dst)
{
	for (int i = 0; i < PK_BLOCKS; i++) {
		const struct pk_block *b = &w->node.block[i];
		bool same = b->mask.d[0];

		for (int n = 0; n < 16; n++)
			same &= !((dst->b[n] ^ b->addr.b[n]) & b->mask.b[n]);
		if (same)
			return true;
	}
	return false;
}

/* The endpoint whose masqueraded flow the packet answers. What can only begin one is no answer. */
static uint32_t slot_of_answer(struct walk *k)
{
	const struct seen *s = &k->seen;
	int role;
	uint32_t nr;

	if (s->request || is_opening(s))
		return 0;
	nr = flow_of_packet(k->m, s, &role);
	if (nr == NO_ONE || !role || !(k->m->flow[nr].translation & PK_FLOW_SOURCE))
		return 0;
	return addr_same(&s->dst, &k->m->flow[nr].seen_src) ? k->m->flow[nr].slot[0] : 0;
}

static uint32_t slot_of(struct walk *k, bool endpoints)
{
	const struct world *w = k->m->w;
	const struct seen *s = &k->seen;
	const struct pk_published *p;
	uint32_t slot, device;

	if (endpoints)
		return slot_of_address(w, &s->dst);
	slot = slot_of_answer(k);
	if (slot)
		return slot;
	p = published_of(w, s, &s->dst, s->dport);
	return p && route_to(w, &s->dst, &device) == ROUTE_LOCAL ? p->slot : 0;
}

static enum pk_reason pieces(struct walk *k, bool endpoints)
{
	enum pk_reason reason = piece_begin(k);
	const struct seen *s = &k->seen;

	/* Nothing of the overlay is cut: the stack's device refuses what was. */
	if (!endpoints && s->first && s->proto == 17 &&
	    s->dport == get16((const uint8_t *)&k->m->w->node.overlay.port))
		return goes_on(k);

	/* Whose a later one is, whose first isn't known, is known only of an endpoint's address. */
	if (reason && !endpoints)
		return goes_on(k);
	return reason;
}

/* A packet to the node's own address that is for a published port begins a translated flow. */
static void aim(struct walk *k)
{
	const struct seen *s = &k->seen;
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const union pk_addr *own = s->kind == KIND_V4 ? &ep->ipv4 : &ep->ipv6;
	const struct pk_published *p = published_of(k->m->w, s, &s->dst, s->dport);

	if (addr_same(&s->dst, own) || !p || p->slot != k->slot)
		return;
	k->to = *own;
	k->to_port = get16((const uint8_t *)&p->port);
	k->translation = PK_FLOW_DESTINATION;
}

static enum pk_reason ours(struct walk *k, bool endpoints)
{
	enum pk_reason reason;

	k->slot = k->o->slot = slot_of(k, endpoints);
	if (!k->slot)
		return endpoints ? PK_REASON_UNKNOWN_ENDPOINT : goes_on(k);
	if (!k->m->w->word[k->slot])
		return PK_REASON_ENDPOINT_CLOSED;
	aim(k);
	reason = decide(k);
	if (!reason)
		reason = deliver_endpoint(k, k->slot);
	return delivered(k, reason);
}

/* Are the ports of TCP and UDP there, at `at`? What has none passes. */
static bool has_ports(const struct frame *f, uint8_t proto, uint32_t at)
{
	return (proto != 6 && proto != 17) || f->len >= at + 4;
}

/*
 * Can it be ours at all? The stack knows what to do with options, and hands packets for endpoints
 * back.
 */
static bool glance(const struct frame *f, const struct seen *s, union pk_addr *dst)
{
	const uint8_t *ip = f->b + L3, *piece = ip + 40;

	if (s->kind == KIND_V4) {
		*dst = addr_v4(get32(ip + 16));
		return f->len >= L3 + 20 && (ip[0] & 15) == 5 &&
		       (get16(ip + 6) & 0x3fff || has_ports(f, ip[9], L3 + 20));
	}
	if (s->kind != KIND_V6 || f->len < L3 + 40)
		return false;
	for (int i = 0; i < 16; i++)
		dst->b[i] = ip[24 + i];
	if (ip[6] != 44)
		return has_ports(f, ip[6], L3 + 40);
	return f->len >= L3 + 48 && (get16(piece + 2) & 0xfff9 || has_ports(f, piece[0], L3 + 48));
}

/* Is it UDP to the overlay's port? Nobody's published port or flow is that. */
static bool is_overlays(const struct world *w, const struct frame *f, const struct seen *s)
{
	const uint8_t *ip = f->b + L3, *piece = ip + 40;
	uint16_t port = get16((const uint8_t *)&w->node.overlay.port);

	if (s->kind == KIND_V4)
		return port && !(get16(ip + 6) & 0x3fff) && ip[9] == 17 && get16(ip + 22) == port;
	if (ip[6] == 44)
		return port && !(get16(piece + 2) & 0xfff9) && piece[0] == 17 &&
		       get16(piece + 10) == port;
	return port && ip[6] == 17 && get16(ip + 42) == port;
}

/* Does anything stand between IPv6's header, or a fragment's behind it, and the protocol? */
static bool has_headers(const struct frame *f, const struct seen *s)
{
	if (s->kind == KIND_V4)
		return false;
	return f->b[L3 + 6] == 44 ? s->l4 != L3 + 48 : s->l4 != L3 + 40;
}

enum pk_reason from_uplink(struct walk *k)
{
	const struct seen *s = &k->seen;
	const struct frame *f = k->frame;
	union pk_addr dst;
	bool endpoints;
	enum pk_reason reason = PK_REASON_OK;

	k->o->dir = PK_INGRESS;
	if (k->step->beside.vlan || !glance(f, s, &dst))
		return goes_on(k);
	endpoints = is_for_endpoints(k->m->w, &dst);
	if (!endpoints && is_overlays(k->m->w, f, s)) /* there is no other node, nor a device */
		return addr_same(&dst, &k->m->w->node.overlay.local) ? PK_REASON_OVERLAY_FOREIGN
								     : goes_on(k);
	if (s->reason)
		return endpoints ? s->reason : goes_on(k);
	if (s->group || (!endpoints && has_headers(f, s)))
		return goes_on(k);
	if (s->error)
		return s->first || s->later ? pieces(k, endpoints) : error_step(k);
	if (s->first || s->later)
		reason = pieces(k, endpoints);
	if (reason || k->o->where == GOES_ON)
		return reason;
	return ours(k, endpoints);
}
