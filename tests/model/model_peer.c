// SPDX-License-Identifier: Apache-2.0
/* Who is at an address, and the way to it, by the routes of tests/bpf/devices.c. */
#include <string.h>

#include "tests/model/cast.h"
#include "tests/model/state.h"

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

uint32_t slot_of_address(const struct world *w, const union pk_addr *a)
{
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		if (!addr_none(a) &&
		    (addr_same(a, &w->ep[slot].ipv4) || addr_same(a, &w->ep[slot].ipv6)))
			return slot;
	return 0;
}

bool is_own_address(const struct world *w, const union pk_addr *a)
{
	return addr_same(a, &w->node.uplink[0].ipv4) || addr_same(a, &w->node.uplink[0].ipv6);
}

/* Routes to 10.20.0.11 to .14 and fd00:20::b to ::e, whoever is there. */
static uint32_t device_of_endpoint(const struct world *w, const union pk_addr *a)
{
	static const union pk_addr v6 = { .b = { 0xfd, 0, 0, 0x20 } };
	uint32_t last = a->b[15];

	if (last < 11 || last > 14)
		return 0;
	if (addr_is_v4(a))
		return addr_number(a) >> 8 == V4(0, 10, 20, 0) ? w->ep[last - 10].host_ifindex : 0;
	return addr_within(a, v6.b, 120) ? w->ep[last - 10].host_ifindex : 0;
}

static enum route route_v4(uint32_t to)
{
	if (to == V4(192, 0, 2, 1) || to == V4(192, 0, 2, 255) || to >> 24 == 127 ||
	    to == 0xffffffff)
		return ROUTE_LOCAL; /* or broadcast: the FIB says so of both */
	return to >> 8 == V4(0, 203, 0, 113) ? ROUTE_NONE : ROUTE_WAY;
}

static enum route route_v6(const union pk_addr *to)
{
	static const union pk_addr own = { .b = { 0xfd, 0, 0, 2, [15] = 1 } },
				   loop = { .b = { [15] = 1 } },
				   nowhere = { .b = { 0x20, 1, 0xd, 0xb8, 0xde, 0xad } };

	if (addr_same(to, &own) || addr_same(to, &loop))
		return ROUTE_LOCAL;
	if (is_link_local(to)) /* of no way that a router goes */
		return ROUTE_NONE;
	return addr_within(to, nowhere.b, 48) ? ROUTE_NONE : ROUTE_WAY;
}

enum route route_to(const struct world *w, const union pk_addr *to, uint32_t *device)
{
	*device = device_of_endpoint(w, to);
	if (*device)
		return ROUTE_WAY;
	*device = UPLINK;
	return addr_is_v4(to) ? route_v4(addr_number(to)) : route_v6(to);
}

static const struct pk_published *mapping(const struct world *w, const union pk_addr *a,
					  uint8_t proto, uint16_t port)
{
	for (int i = 0; i < w->publisheds; i++)
		if (addr_same(&w->published[i].key.addr, a) && w->published[i].key.proto == proto &&
		    get16((const uint8_t *)&w->published[i].key.port) == port)
			return &w->published[i].value;
	return NULL;
}

/* Is `to`, which is routed nowhere, the node's own? Surely so where all else has a route. */
static bool is_nodes(const struct world *w, const union pk_addr *to)
{
	uint32_t all = addr_is_v4(to) ? PK_NODE_DEFAULT4 : PK_NODE_DEFAULT6;

	return w->node.flags & all || is_own_address(w, to);
}

const struct pk_published *published_of(const struct world *w, const struct seen *s,
					const union pk_addr *to, uint16_t port)
{
	static const union pk_addr every;
	const struct pk_published *found = mapping(w, &every, s->proto, port);

	if (!s->ports || !found)
		return NULL;
	if (!found->slot)
		found = mapping(w, to, s->proto, port);
	else if (!is_nodes(w, to))
		return NULL;
	if (!found || !found->slot)
		return NULL;
	/* An endpoint without an address of the family is published in the other one alone. */
	return addr_none(s->kind == KIND_V4 ? &w->ep[found->slot].ipv4 : &w->ep[found->slot].ipv6)
		       ? NULL
		       : found;
}

bool in_pools(const struct world *w, const union pk_addr *a)
{
	for (int i = 0; i < w->pools; i++)
		if (addr_within(a, w->pool[i].key.addr.b, w->pool[i].key.prefixlen))
			return true;
	return false;
}

void peer_outside(struct walk *k, const union pk_addr *a)
{
	const struct world *w = k->m->w;

	k->party = in_pools(w, a) ? PK_PARTY_UNKNOWN : PK_PARTY_WORLD;
	for (int i = 0; i < w->remotes; i++) {
		if (!addr_same(a, &w->remote[i].key))
			continue;
		k->identity = w->remote[i].value.identity;
		k->tenant = w->remote[i].value.tenant;
		k->party = w->remote[i].value.flags & PK_REMOTE_NODE ? PK_PARTY_REMOTE_NODE
								     : PK_PARTY_ENDPOINT;
	}
}

/* The endpoint behind a published port of the node. */
static bool peer_published(struct walk *k)
{
	const struct seen *s = &k->seen;
	const struct pk_published *p = published_of(k->m->w, s, &s->dst, s->dport);
	const struct pk_endpoint *ep = p ? &k->m->w->ep[p->slot] : NULL;

	if (!p)
		return false;
	k->to = s->kind == KIND_V4 ? ep->ipv4 : ep->ipv6;
	k->to_port = get16((const uint8_t *)&p->port);
	k->translation = PK_FLOW_DESTINATION;
	k->peer = p->slot;
	k->party = PK_PARTY_ENDPOINT;
	if (p->slot == k->slot && k->out) {
		k->party = PK_PARTY_SELF;
		k->translation |= PK_FLOW_HAIRPIN;
	}
	return true;
}

/* What the FIB calls local is the host, whatever the tables say, or a published port. */
enum pk_reason peer_of_destination(struct walk *k)
{
	const struct seen *s = &k->seen;
	uint32_t device;
	enum route route = route_to(k->m->w, &s->dst, &device);

	if (route == ROUTE_LOCAL) {
		if (peer_published(k))
			return PK_REASON_OK;
		k->party = PK_PARTY_HOST;
		return PK_REASON_OK;
	}
	k->peer = slot_of_address(k->m->w, &s->dst);
	if (k->peer) {
		k->party = k->peer == k->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
		return PK_REASON_OK;
	}
	peer_outside(k, &s->dst);
	k->routed = route == ROUTE_WAY && device == UPLINK;
	return route == ROUTE_WAY || k->party == PK_PARTY_UNKNOWN ? PK_REASON_OK
								  : PK_REASON_NO_ROUTE;
}

/* Unspecified, loopback, groups, other spellings of IPv4, link-local: nobody's in the world. */
static bool is_martian(const union pk_addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 0 || a->b[12] == 127 || a->b[12] >= 224;
	return a->b[0] == 0 || a->b[0] == 0xff || is_link_local(a);
}

/* By the uplink, and from the one neighbour that leads out of it. */
static bool came_by_its_way(const struct walk *k, uint32_t device)
{
	return k->step->hook == AT_UPLINK && device == UPLINK &&
	       !memcmp(k->seen.smac, outside_mac, sizeof(outside_mac));
}

/*
 * Nobody comes from outside with an address of the node's or of an endpoint's; who has one of
 * another node comes by the way to it.
 */
enum pk_reason peer_of_source(struct walk *k)
{
	const struct seen *s = &k->seen;
	uint32_t device;

	if (is_martian(&s->src) || route_to(k->m->w, &s->src, &device) != ROUTE_WAY)
		return PK_REASON_NO_ROUTE;
	if (slot_of_address(k->m->w, &s->src))
		return s->kind == KIND_V4 ? PK_REASON_SPOOFED_IPV4 : PK_REASON_SPOOFED_IPV6;
	peer_outside(k, &s->src);
	return !is_remote(k) || came_by_its_way(k, device) ? PK_REASON_OK
							   : PK_REASON_SPOOFED_REMOTE;
}
