// SPDX-License-Identifier: Apache-2.0
/* The overlay's packets in their tunnels, and what becomes of those that come in by up0. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

#include "tests/bpf/overlay.h"

#define REMOTE OVERLAY_REMOTE
#define PORT   OVERLAY_PORT
#define VNI    OVERLAY_VNI
#define ETH    OVERLAY_ETH

const uint8_t overlay_router[6] = { 2, 0, 0, 0, 0, 0xfe }; /* up0's neighbour to everywhere */
static const uint8_t own[6] = { 2, 0, 0, 0, 0, 0xc9 };	   /* up0's */
const uint8_t overlay_mac[6] = PK_OVERLAY_MAC;

/* Over IPv4, or over IPv6. */
bool overlay_over6;
/* Over IPv4 without UDP's checksum, as nodes send: the device has no part in it. */
bool overlay_plain;
/* The device may be left out. */
enum overlay_lease overlay_lease = OVERLAY_LEASE_FRESH;

static void lease(struct pk_node *n)
{
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	switch (overlay_lease) {
	case OVERLAY_LEASE_FRESH:
		n->overlay.direct = pk_direct_until(now);
		break;
	case OVERLAY_LEASE_NONE:
		n->overlay.direct = 0;
		break;
	case OVERLAY_LEASE_OVER:
		n->overlay.direct = pk_direct_until(now) - PK_DIRECT_UNITS;
		break;
	case OVERLAY_LEASE_AHEAD:
		n->overlay.direct = pk_direct_until(now) + 1000;
	}
}

void overlay_end(struct pk_node *n)
{
	n->epoch[1] = 0x1234567800000000;
	n->overlay =
		(struct pk_overlay){ .ifindex = DEVICES_OVERLAY,
				     .vni = VNI,
				     .local = overlay_over6 ? pkt_ip6(WHO_HOST) : pkt_ip4(WHO_HOST),
				     .port = htons(PORT) };
	lease(n);
}

void overlay_renew(void)
{
	node_settings(lease);
}

union pk_addr overlay_node(enum who who)
{
	return overlay_over6 ? pkt_ip6(who) : pkt_ip4(who);
}

/* The block of that address is the other node's, whose end is at WHO_WORLD's address. */
void overlay_block(union pk_addr addr, uint32_t bits)
{
	struct pk_pool_key key = { .prefixlen = bits, .addr = addr };
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = overlay_node(WHO_WORLD) };

	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
}

/* WHO_FAR is an endpoint of that tenant, on the other node. */
void overlay_start(uint32_t tenant)
{
	struct pk_remote peer = { .identity = REMOTE, .tenant = tenant };
	union pk_addr v4 = pkt_ip4(WHO_FAR), v6 = pkt_ip6(WHO_FAR), node = overlay_node(WHO_WORLD);
	uint32_t one = 1;

	world_start();
	node_settings(overlay_end);
	overlay_block(v4, 120);
	overlay_block(v6, 64);
	bpf_map_update_elem(node_map("tunnels"), &node, &one, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &v4, &peer, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &v6, &peer, BPF_ANY);
}

struct pkt overlay_packet(bool v6, enum who from, enum who to, struct l4 l4)
{
	return v6 ? pkt_v6(from, to, l4) : pkt_v4(from, to, l4);
}

size_t overlay_outer_len(void)
{
	return ETH + (overlay_over6 ? 40 : 20) + 8 + 8;
}

/* Packets that the device has taken out of tunnels, and has put into them. */
struct rtnl_link_stats overlay_stats(void)
{
	struct rtnl_link_stats stats = { 0 };
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all))
		return stats;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next)
		if (a->ifa_data && a->ifa_addr && a->ifa_addr->sa_family == AF_PACKET &&
		    if_nametoindex(a->ifa_name) == DEVICES_OVERLAY)
			stats = *(const struct rtnl_link_stats *)a->ifa_data;
	freeifaddrs(all);
	return stats;
}

void overlay_put16(uint8_t *at, size_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

/* The outer IPv4 header's sum, as everything in it is now. */
void overlay_sum_up(struct pkt *p)
{
	uint32_t sum = 0;

	overlay_put16(p->b + ETH + 10, 0);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)p->b[ETH + i] << 8 | p->b[ETH + i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	overlay_put16(p->b + ETH + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* The frame in its tunnel, from a node as its way brings it. */
struct pkt overlay_wrapped(enum who node, uint32_t vni, const struct pkt *inner)
{
	struct l4 udp = UDP(50000, PORT);
	struct pkt p;
	uint8_t *vxlan;

	udp.payload = 8 + inner->len;
	p = overlay_packet(overlay_over6, node, WHO_HOST, udp);
	memcpy(p.b, own, 6);
	memcpy(p.b + 6, overlay_router, 6);
	vxlan = p.b + overlay_outer_len() - 8;
	memset(vxlan, 0, 8);
	vxlan[0] = 0x08;
	vxlan[4] = (uint8_t)(vni >> 16);
	vxlan[5] = (uint8_t)(vni >> 8);
	vxlan[6] = (uint8_t)vni;
	memcpy(vxlan + 8, inner->b, inner->len);
	if (!(inner->b[0] & 1))
		memcpy(vxlan + 8, overlay_mac, 6);
	pkt_seal(&p);
	if (overlay_plain)
		overlay_put16(p.b + ETH + 26, 0);
	return p;
}

bool overlay_comes_to(uint32_t slot, struct pkt *got, int ms)
{
	struct arrival a;

	while (devices_receive(&a, ms))
		if (a.at == AT_GUEST && a.slot == slot) {
			*got = a.p;
			return true;
		}
	return false;
}

/* What the kernel merges (GRO) is the device's, each packet of it. */
static bool is_merged(const struct pkt *outer)
{
	const uint8_t *inner = outer->b + ETH + 20 + 8 + 8;
	uint8_t proto = inner[12] == 0x08 ? inner[ETH + 9] : inner[ETH + 6];

	return proto != IPPROTO_UDP && proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6 &&
	       proto != IPPROTO_FRAGMENT;
}

bool overlay_guard_unwraps(const struct pkt *outer)
{
	static int since = -1;
	int major = 0, minor = 0;
	struct utsname u;

	if (since < 0) {
		uname(&u);
		sscanf(u.release, "%d.%d", &major, &minor);
		since = major * 1000 + minor >= 6003;
	}
	return !is_merged(outer) && (since || outer->b[ETH + 20 + 8 + 8 + 12] == 0x08);
}

/* Judged where the device, which had taken out so many, has taken it out, else at the uplink. */
static enum node_prog overlay_hook(uint32_t before)
{
	node_await_count();
	return overlay_stats().rx_packets == before ? NODE_UP : NODE_FABRIC;
}

/* It comes in by up0, and is let through the whole way to slot, or is counted there. */
void overlay_in(const char *text, struct pkt outer, uint32_t slot, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_INGRESS, false };
	struct pkt got;

	uint32_t before = overlay_stats().rx_packets;

	overlay_renew();
	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(text, node_watched(&e, 0, overlay_hook(before)) &&
			    overlay_comes_to(slot ?: 1, &got, reason ? 0 : 10000) == !reason);
	if (!reason)
		check("by the device, or without it",
		      (overlay_stats().rx_packets == before) ==
			      (overlay_plain && !overlay_lease && overlay_guard_unwraps(&outer)));
}

void overlay_in_of(const char *text, struct pkt inner, uint32_t slot, enum pk_reason reason)
{
	overlay_in(text, overlay_wrapped(WHO_WORLD, VNI, &inner), slot, reason);
}
