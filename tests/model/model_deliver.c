// SPDX-License-Identifier: Apache-2.0
/* The last steps: hop limit, the receiver's limits, translation, where it comes out. */
#include "tests/model/state.h"

#define UPLINK_MTU 1500

static bool lives(struct walk *k)
{
	if (k->seen.ttl > 1)
		return true;
	tell(k, 0);
	return false;
}

enum pk_reason deliver_endpoint(struct walk *k, uint32_t slot)
{
	const struct pk_endpoint *to = &k->m->w->ep[slot];
	const union pk_addr *own = k->seen.kind == KIND_V4 ? &to->ipv4 : &to->ipv6;
	union pk_addr dst = k->seen.dst;

	if (!to->host_ifindex)
		return PK_REASON_ENDPOINT_CLOSED;
	if (!lives(k))
		return PK_REASON_TTL;
	if (!beside_fits(k, to->mtu)) {
		k->o->slot = slot;
		k->o->dir = PK_INGRESS;
		tell(k, to->mtu);
		return PK_REASON_LENGTH;
	}
	if (!rate_traffic(k->m, slot, PK_INGRESS, k->frame->len, rate_packets(k))) {
		k->o->slot = slot;
		k->o->dir = PK_INGRESS;
		return PK_REASON_RATE_LIMIT;
	}
	if (k->flow != NO_ONE && k->m->flow[k->flow].translation)
		dst = k->role ? k->m->flow[k->flow].src : k->m->flow[k->flow].seen_dst;
	if (!addr_same(&dst, own))
		return PK_REASON_UNKNOWN_ENDPOINT;
	frame_hop(k->o, &k->seen);
	frame_translate(k);
	frame_macs(&k->o->out, to->mac);
	k->o->where = GOES_TO_ENDPOINT;
	k->o->to = slot;
	if (k->out)
		k->o->also = slot;
	return PK_REASON_OK;
}

enum pk_reason deliver_world(struct walk *k)
{
	if (!lives(k))
		return PK_REASON_TTL;
	if (!beside_fits(k, UPLINK_MTU)) {
		tell(k, UPLINK_MTU);
		return PK_REASON_LENGTH;
	}
	frame_hop(k->o, &k->seen);
	frame_translate(k);
	k->o->where = GOES_TO_WORLD;
	return PK_REASON_OK;
}
