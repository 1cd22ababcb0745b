// SPDX-License-Identifier: Apache-2.0
/*
 * What the sender of a packet that can't go on is told: an endpoint by its gateway, who is outside
 * by the node, at the uplink's address.
 */
#include <string.h>

#include "tests/model/state.h"

/* A router's word to the sender of what it couldn't forward: time exceeded, or its way's MTU. */
static void tell_v4(struct walk *k, uint32_t mtu, uint32_t quote)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const union pk_addr *from = k->out ? &ep->gateway4 : &k->m->w->node.uplink[0].ipv4;
	const union pk_addr *to = k->out ? &ep->ipv4 : &k->seen.src;
	uint8_t *ip = k->o->out.b + L3, *m = ip + 20;
	struct seen s = { .kind = KIND_V4, .proto = 1, .l4 = L3 + 20, .l3_len = 28 + quote };

	memset(ip, 0, 28);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)s.l3_len);
	ip[8] = 64;
	ip[9] = 1;
	memcpy(ip + 12, from->b + 12, 4);
	memcpy(ip + 16, to->b + 12, 4);
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
	const union pk_addr *from = k->out ? &gateway : &k->m->w->node.uplink[0].ipv6;
	const union pk_addr *to = k->out ? &k->m->w->ep[k->slot].ipv6 : &k->seen.src;
	uint8_t *ip = k->o->out.b + L3, *m = ip + 40;
	struct seen s = { .kind = KIND_V6, .proto = 58, .l4 = L3 + 40, .l3_len = 48 + quote };

	memset(ip, 0, 48);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)(8 + quote));
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, from->b, 16);
	memcpy(ip + 24, to->b, 16);
	m[0] = mtu ? 2 : 3;
	put32(m + 4, mtu);
	memcpy(m + 8, k->frame->b + L3, quote);
	k->o->out.len = L3 + s.l3_len;
	frame_seal(&k->o->out, &s);
}

/*
 * Errors aren't told of, nor fragments behind the first; who is outside not of what may be an error,
 * of merged packets, nor where a group would hear it.
 */
void tell(struct walk *k, uint32_t mtu)
{
	bool v4 = k->seen.kind == KIND_V4;
	uint32_t full = v4 ? 68 : 128, quote = v4 ? 28 : 48;

	if (k->seen.l3_len >= full)
		quote = full;
	if (k->seen.error || k->seen.later || k->frame->len < L3 + quote)
		return;
	if (!k->out && (k->seen.other || k->seen.smac[0] & 1 || k->step->beside.gso))
		return;
	answer_back(k);
	if (!k->out)
		memcpy(k->o->out.b + 6, k->frame->b, 6);
	if (v4)
		tell_v4(k, mtu, quote);
	else
		tell_v6(k, mtu, quote);
}
