// SPDX-License-Identifier: Apache-2.0
/* The overlay: what goes in and to which node, who is believed to have sent what comes out. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define PORT   8479
#define VNI    112
#define REMOTE 500 /* an identity */
#define ETH    14

static const uint8_t router[6] = { 2, 0, 0, 0, 0, 0xfe }; /* up0's neighbour to everywhere */
static const uint8_t own[6] = { 2, 0, 0, 0, 0, 0xc9 };	  /* up0's */
static const uint8_t device[6] = PK_OVERLAY_MAC;

/* Over IPv4, or over IPv6. */
static bool over6;
/* Over IPv4 without UDP's checksum, as nodes send: the device has no part in it. */
static bool plain;

static void end(struct pk_node *n)
{
	n->epoch[1] = 0x1234567800000000;
	n->overlay = (struct pk_overlay){ .ifindex = DEVICES_OVERLAY,
					  .vni = VNI,
					  .local = over6 ? pkt_ip6(WHO_HOST) : pkt_ip4(WHO_HOST),
					  .port = htons(PORT) };
}

static union pk_addr node_end(enum who who)
{
	return over6 ? pkt_ip6(who) : pkt_ip4(who);
}

/* The block of that address is the other node's, whose end is at WHO_WORLD's address. */
static void block(union pk_addr addr, uint32_t bits)
{
	struct pk_pool_key key = { .prefixlen = bits, .addr = addr };
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = node_end(WHO_WORLD) };

	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
}

/* WHO_FAR is an endpoint of that tenant, on the other node. */
static void far_start(uint32_t tenant)
{
	struct pk_remote peer = { .identity = REMOTE, .tenant = tenant };
	union pk_addr v4 = pkt_ip4(WHO_FAR), v6 = pkt_ip6(WHO_FAR), node = node_end(WHO_WORLD);
	uint32_t one = 1;

	world_start();
	node_settings(end);
	block(v4, 120);
	block(v6, 64);
	bpf_map_update_elem(node_map("tunnels"), &node, &one, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &v4, &peer, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &v6, &peer, BPF_ANY);
}

static struct pkt packet(bool v6, enum who from, enum who to, struct l4 l4)
{
	return v6 ? pkt_v6(from, to, l4) : pkt_v4(from, to, l4);
}

static size_t outer_len(void)
{
	return ETH + (over6 ? 40 : 20) + 8 + 8;
}

/* Packets that the device has taken out of tunnels, and has put into them. */
static struct rtnl_link_stats device_stats(void)
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

static void put16(uint8_t *at, size_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

/* The outer IPv4 header's sum, as everything in it is now. */
static void sum_up(struct pkt *p)
{
	uint32_t sum = 0;

	put16(p->b + ETH + 10, 0);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)p->b[ETH + i] << 8 | p->b[ETH + i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p->b + ETH + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* The frame in its tunnel, from a node as its way brings it. */
static struct pkt wrapped(enum who node, uint32_t vni, const struct pkt *inner)
{
	struct l4 udp = UDP(50000, PORT);
	struct pkt p;
	uint8_t *vxlan;

	udp.payload = 8 + inner->len;
	p = packet(over6, node, WHO_HOST, udp);
	memcpy(p.b, own, 6);
	memcpy(p.b + 6, router, 6);
	vxlan = p.b + outer_len() - 8;
	memset(vxlan, 0, 8);
	vxlan[0] = 0x08;
	vxlan[4] = (uint8_t)(vni >> 16);
	vxlan[5] = (uint8_t)(vni >> 8);
	vxlan[6] = (uint8_t)vni;
	memcpy(vxlan + 8, inner->b, inner->len);
	if (!(inner->b[0] & 1))
		memcpy(vxlan + 8, device, 6);
	pkt_seal(&p);
	if (plain)
		put16(p.b + ETH + 26, 0);
	return p;
}

static bool comes_to(uint32_t slot, struct pkt *got, int ms)
{
	struct arrival a;

	while (devices_receive(&a, ms))
		if (a.at == AT_GUEST && a.slot == slot) {
			*got = a.p;
			return true;
		}
	return false;
}

/* Before Linux 6.3 the device takes IPv6 out of IPv4. */
static bool guard_unwraps(const struct pkt *outer)
{
	static int since = -1;
	int major = 0, minor = 0;
	struct utsname u;

	if (since < 0) {
		uname(&u);
		sscanf(u.release, "%d.%d", &major, &minor);
		since = major * 1000 + minor >= 6003;
	}
	return since || outer->b[ETH + 20 + 8 + 8 + 12] == 0x08;
}

/* It comes in by up0, and is let through the whole way to slot, or is counted there. */
static void in(const char *text, struct pkt outer, uint32_t slot, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_INGRESS, false };
	struct pkt got;

	uint32_t before = device_stats().rx_packets;

	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(text,
	      node_watched(&e, 0) && comes_to(slot ?: 1, &got, reason ? 0 : 10000) == !reason);
	if (!reason)
		check("by the device, or without it",
		      (device_stats().rx_packets == before) == (plain && guard_unwraps(&outer)));
}

static void in_of(const char *text, struct pkt inner, uint32_t slot, enum pk_reason reason)
{
	in(text, wrapped(WHO_WORLD, VNI, &inner), slot, reason);
}

/* What A sends to WHO_FAR leaves in a tunnel to the node that the block is of. */
static void goes_in(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), was = out, in_tunnel;
	struct expect e = { "to an endpoint of another node", PK_REASON_OK, 1, PK_EGRESS, false };
	size_t head = outer_len();
	union pk_addr to, node = node_end(WHO_WORLD);

	far_start(1);
	if (!node_expect(&e, NODE_FROM, 1, &out, NULL))
		return;
	to = pkt_destination(&out);
	check("the tunnel is to the node of its block",
	      !memcmp(&to, &node, sizeof(to)) && world_port(&out, head - 14) == PORT);
	check("of the cluster's identifier", out.b[head - 2] == VNI && out.b[head - 8] == 0x08);
	memset(&in_tunnel, 0, sizeof(in_tunnel));
	in_tunnel.len = out.len - head;
	memcpy(in_tunnel.b, out.b + head, in_tunnel.len);
	check("inside is what was sent, one hop less", world_one_hop(&in_tunnel, &was));
	check("to the device, from the gateway, and nobody's MAC in it",
	      !memcmp(in_tunnel.b, device, 6) && world_to(&in_tunnel, WHO_GATEWAY) == false &&
		      in_tunnel.b[6 + 5] == 1);
}

static void comes_out(bool v6)
{
	struct pkt inner = packet(v6, WHO_FAR, WHO_A, TCP(40000, 80, SYN)), got;
	struct pkt outer = wrapped(WHO_WORLD, VNI, &inner);
	struct expect e = { "who begins there is of the same tenant", PK_REASON_OK, 1, PK_INGRESS,
			    false };

	far_start(1);
	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(e.text, node_watched(&e, 0) && comes_to(1, &got, 10000) && world_to(&got, WHO_A) &&
			      world_one_hop(&got, &inner));
	node_from("the answer", 1, packet(v6, WHO_A, WHO_FAR, TCP(80, 40000, SYN | ACK)),
		  PK_REASON_OK);
	in_of("and on, by the flow", packet(v6, WHO_FAR, WHO_A, TCP(40000, 80, ACK)), 1,
	      PK_REASON_OK);
}

static void another_tenant(bool v6)
{
	far_start(2);
	node_from("to another tenant's there", 1, packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)),
		  PK_REASON_POLICY_DENIED);
	in_of("another tenant's from there", packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), 1,
	      PK_REASON_POLICY_DENIED);
}

/* The same with an option in the outer header: the stack takes it in, nobody has looked at it. */
static struct pkt with_option(struct pkt p)
{
	const size_t at = ETH + 20;

	memmove(p.b + at + 4, p.b + at, p.len - at);
	memset(p.b + at, 1, 4); /* "no operation", four times */
	p.len += 4;
	p.b[ETH] = 0x46;
	p.b[ETH + 2] = (uint8_t)((p.len - ETH) >> 8);
	p.b[ETH + 3] = (uint8_t)(p.len - ETH);
	pkt_seal(&p);
	return p;
}

/* Whoever isn't a node, and whoever writes a node's address: nothing inside is looked at. */
static void foreign(void)
{
	struct pkt inner = packet(false, WHO_FAR, WHO_A, UDP(5000, 40000)), p;
	union pk_addr node = node_end(WHO_WORLD);

	far_start(1);
	in("a host that is no node", wrapped(WHO_NOBODY, VNI, &inner), 0,
	   PK_REASON_OVERLAY_FOREIGN);
	p = wrapped(WHO_WORLD, VNI, &inner);
	p.b[6 + 5] = 0xfd;
	in("a node's address, from another neighbour", p, 0, PK_REASON_OVERLAY_FOREIGN);
	if (!over6)
		in("a node's, past the look at it", with_option(wrapped(WHO_WORLD, VNI, &inner)), 0,
		   PK_REASON_OVERLAY_FOREIGN);
	in("of another cluster's identifier", wrapped(WHO_WORLD, VNI + 1, &inner), 0,
	   PK_REASON_OVERLAY_VNI);
	bpf_map_delete_elem(node_map("tunnels"), &node);
	in("a node that is none any more", wrapped(WHO_WORLD, VNI, &inner), 0,
	   PK_REASON_OVERLAY_FOREIGN);
}

/* Neither a guest nor a counter hears of it: the stack or the device refuses it. */
static void refused(const char *text, struct pkt outer)
{
	struct pkt got;

	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(text, !comes_to(1, &got, 200));
}

/* What the stack and the device look at is left to them. */
static void looked_at(bool v6)
{
	struct pkt inner = packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), outer, p, got;

	far_start(1);
	outer = wrapped(WHO_WORLD, VNI, &inner);
	in("as nodes send it", outer, 1, PK_REASON_OK);
	p = outer;
	p.b[ETH + 8]--;
	refused("the outer sum is wrong", p);
	p = outer;
	put16(p.b + ETH + 26, 0x1234);
	refused("UDP's checksum is wrong", p);
	p = outer;
	put16(p.b + ETH + 24, p.len - ETH - 20 + 1);
	refused("UDP is longer than it is", p);
	p = outer;
	p.b[ETH + 28] |= 0x40;
	refused("VXLAN has a bit that nobody knows", p);
	p = outer;
	p.b[ETH + 35] = 1;
	refused("and one behind the identifier", p);
	p = outer;
	p.b[5] ^= 1;
	refused("the frame is for another host", p);
	p = outer;
	memset(p.b + p.len, 0xee, 4);
	p.len += 4;
	devices_drain();
	devices_send(0, &p);
	check("what stands behind the packet goes",
	      comes_to(1, &got, 10000) && got.len == inner.len);
}

static void set_tos(struct pkt *p, bool v6, uint8_t tos)
{
	if (v6)
		put16(p->b + ETH, 0x6000 | tos << 4);
	else
		p->b[ETH + 1] = tos;
	pkt_seal(p);
}

/* A mark of congestion outside comes inside, where that takes marks; else the packet is lost. */
static void congested(bool v6)
{
	struct pkt inner = packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), p, got;

	far_start(1);
	p = wrapped(WHO_WORLD, VNI, &inner);
	p.b[ETH + 1] = 3;
	sum_up(&p);
	refused("a mark on what takes none", p);
	set_tos(&inner, v6, 2);
	p = wrapped(WHO_WORLD, VNI, &inner);
	p.b[ETH + 1] = 3;
	sum_up(&p);
	devices_drain();
	devices_send(0, &p);
	check("a mark on what takes it is there inside",
	      comes_to(1, &got, 10000) && ((v6 ? got.b[ETH + 1] >> 4 : got.b[ETH + 1]) & 3) == 3);
}

/* What A sends with these marks leaves under those, and the outer header is right. */
static void marked(bool v6, uint8_t inside, uint8_t outside)
{
	struct pkt out = packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), as;
	struct expect e = { "with marks of congestion", PK_REASON_OK, 1, PK_EGRESS, false };
	uint32_t before;

	far_start(1);
	set_tos(&out, v6, inside);
	before = device_stats().tx_packets;
	if (!node_expect(&e, NODE_FROM, 1, &out, NULL))
		return;
	as = out;
	sum_up(&as);
	check("the outer header: marks, sum, lengths, don't fragment, TTL",
	      out.b[ETH + 1] == outside && !memcmp(&as, &out, sizeof(as)) &&
		      (size_t)(out.b[ETH + 2] << 8 | out.b[ETH + 3]) == out.len - ETH &&
		      (size_t)(out.b[ETH + 24] << 8 | out.b[ETH + 25]) == out.len - ETH - 20 &&
		      out.b[ETH + 6] == 0x40 && out.b[ETH + 8] == 64 && out.b[ETH] == 0x45);
	check("the device had no part in it", device_stats().tx_packets == before);
}

static void through_device(const char *text, bool there)
{
	struct pkt out = packet(false, WHO_A, WHO_FAR, UDP(40000, 5000));
	uint32_t before = device_stats().tx_packets;

	devices_send(1, &out);
	for (int i = 0; i < 100 && there && device_stats().tx_packets == before; i++)
		usleep(10000);
	check(text, (device_stats().tx_packets != before) == there);
}

/* What the guard can't send itself the device does. */
static void left_to_the_device(void)
{
	struct pk_pool_key key = { .prefixlen = 120, .addr = pkt_ip4(WHO_FAR) };
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = pkt_ip4(WHO_HOST) };

	far_start(1);
	through_device("the guard sends it", false);
	if (system("ip route change default via 192.0.2.254 dev up0 mtu lock 1499"))
		check("the way gets narrower", false);
	through_device("the way is narrower than the device", true);
	if (system("ip route change default via 192.0.2.254 dev up0"))
		check("and wide again", false);
	through_device("as wide as before", false);
	far_start(1);
	pool.node.b[15] = 0x4d; /* a neighbour that nobody knows */
	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	through_device("the neighbour isn't known", true);
}

static void no_device(struct pk_node *n)
{
	n->overlay.ifindex = 0;
}

/* The proof is that of this load, and nothing passes the stack without it. */
static void unproved(void)
{
	struct pkt inner = packet(false, WHO_FAR, WHO_A, UDP(5000, 40000)), p = inner;
	struct expect e = { "what comes out with no proof", PK_REASON_OVERLAY_FOREIGN, 0,
			    PK_INGRESS, false };
	struct node_meta there = { .ifindex = DEVICES_OVERLAY };

	far_start(1);
	node_expect(&e, NODE_FABRIC, 0, &p, &there);
	node_settings(no_device);
	in("the device is gone from the table", wrapped(WHO_WORLD, VNI, &inner), 0,
	   PK_REASON_OVERLAY_FOREIGN);
}

/* A node speaks for its own blocks alone, whatever flow there is. */
static void lies(bool v6)
{
	far_start(1);
	in_of("an address of the world", packet(v6, WHO_WORLD, WHO_A, UDP(53, 40000)), 1,
	      PK_REASON_SPOOFED_REMOTE);
	in_of("another endpoint's of this node", packet(v6, WHO_B, WHO_A, UDP(5000, 40000)), 1,
	      v6 ? PK_REASON_SPOOFED_IPV6 : PK_REASON_SPOOFED_IPV4);
	in_of("the node's own", packet(v6, WHO_HOST, WHO_A, UDP(5000, 40000)), 1,
	      PK_REASON_NO_ROUTE);
	in_of("to nobody here", packet(v6, WHO_FAR, WHO_NOBODY, UDP(5000, 40000)), 0,
	      PK_REASON_UNKNOWN_ENDPOINT);
	in_of("to the world through this node", packet(v6, WHO_FAR, WHO_WORLD, UDP(5000, 40000)), 0,
	      PK_REASON_UNKNOWN_ENDPOINT);
	in_of("to a closed endpoint", packet(v6, WHO_FAR, WHO_CLOSED, UDP(5000, 40000)), 4,
	      PK_REASON_ENDPOINT_CLOSED);
	node_from("to the world", 1, packet(v6, WHO_A, WHO_WORLD, UDP(40000, 53)), PK_REASON_OK);
	in_of("in the name of who was asked there", packet(v6, WHO_WORLD, WHO_A, UDP(53, 40000)), 1,
	      PK_REASON_SPOOFED_REMOTE);
	node_from("to B", 1, packet(v6, WHO_A, WHO_B, UDP(40000, 5000)), PK_REASON_OK);
	in_of("in the name of B, on its flow", packet(v6, WHO_B, WHO_A, UDP(5000, 40000)), 1,
	      PK_REASON_NO_FLOW);
}

/* The block is another node's by now: its old owner is believed no more, on a live flow too. */
static void moved(bool v6)
{
	union pk_addr other = node_end(WHO_NOROUTE), was = node_end(WHO_WORLD);
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = other };
	struct pk_pool_key key = { .prefixlen = v6 ? 64 : 120,
				   .addr = v6 ? pkt_ip6(WHO_FAR) : pkt_ip4(WHO_FAR) };

	far_start(1);
	node_from("to an endpoint of another node", 1, packet(v6, WHO_A, WHO_FAR, UDP(4, 5)),
		  PK_REASON_OK);
	in_of("its answer", packet(v6, WHO_FAR, WHO_A, UDP(5, 4)), 1, PK_REASON_OK);
	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	in_of("who begins, from the node whose block it was", packet(v6, WHO_FAR, WHO_A, UDP(7, 8)),
	      1, PK_REASON_SPOOFED_REMOTE);
	pool.node = was;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	in_of("when it is that node's again", packet(v6, WHO_FAR, WHO_A, UDP(7, 8)), 1,
	      PK_REASON_OK);
}

/* The same address by the uplink, not through the overlay. */
static void beside(void)
{
	struct pkt p = packet(false, WHO_FAR, WHO_A, UDP(5000, 40000));
	struct expect e = { "another node's address by the uplink itself", PK_REASON_SPOOFED_REMOTE,
			    1, PK_INGRESS, false };

	far_start(1);
	memcpy(p.b + 6, router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

static void no_overlay(struct pk_node *n)
{
	n->overlay = (struct pk_overlay){ 0 };
}

/* The endpoints' IPv6 block, too, is the uplink's to look at. */
static void both_blocks(struct pk_node *n)
{
	n->block[1] = (struct pk_block){ .addr = pkt_ip6(WHO_A), .mask = { .d = { ~0ull } } };
}

/* The route to another node's block is gone, and what is left is the way to everywhere. */
static void no_route(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000));
	struct pkt in_ = packet(v6, WHO_WORLD, WHO_A, UDP(6000, 40000)), p = in_;
	struct expect e = { "nobody is believed by that way", PK_REASON_NO_ROUTE, 1, PK_INGRESS,
			    false };
	struct pk_remote peer = { .identity = REMOTE, .tenant = 1 };
	union pk_addr far = v6 ? pkt_ip6(WHO_WORLD) : pkt_ip4(WHO_WORLD);

	far_start(1);
	node_settings(both_blocks);
	block(far, v6 ? 64 : 120);
	bpf_map_update_elem(node_map("remote"), &far, &peer, BPF_ANY);
	node_from("nothing of a tenant's leaves in the clear", 1, out, PK_REASON_NO_ROUTE);
	memcpy(p.b + 6, router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	node_settings(no_device);
	node_from("nor while there is no device", 1, out, PK_REASON_NO_ROUTE);
	node_settings(no_overlay);
	node_from("in a network that routes the blocks that is the way", 1, out, PK_REASON_OK);
	e = (struct expect){ "and from there it is", PK_REASON_OK, 1, PK_INGRESS, false };
	p = in_;
	memcpy(p.b + 6, router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* An error about a flow comes from the node that the flow leads to, and by its way. */
static void errors(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_WORLD, UDP(40001, 53)), p;
	struct expect e = { "an error by the uplink about a flow through the overlay",
			    PK_REASON_SPOOFED_REMOTE, 1, PK_INGRESS, false };

	far_start(1);
	node_settings(both_blocks);
	node_from("to the world", 1, out, PK_REASON_OK);
	in_of("another node's endpoint says an error of it", pkt_error(WHO_FAR, WHO_A, &out), 1,
	      PK_REASON_SPOOFED_REMOTE);
	out = packet(v6, WHO_A, WHO_B, UDP(40000, 5000));
	node_from("to B", 1, out, PK_REASON_OK);
	in_of("and of that", pkt_error(WHO_FAR, WHO_A, &out), 1, PK_REASON_SPOOFED_REMOTE);
	out = packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000));
	node_from("to an endpoint of another node", 1, out, PK_REASON_OK);
	p = pkt_error(WHO_FAR, WHO_A, &out);
	memcpy(p.b + 6, router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* Errors, groups, tags and pieces. */
static void odd(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), quoted = out, p;

	far_start(1);
	p = pkt_error(WHO_FAR, WHO_A, &quoted);
	in_of("an error about nothing", p, 0, PK_REASON_ICMP_UNRELATED);
	node_from("to an endpoint of another node", 1, out, PK_REASON_OK);
	in_of("an error about it", p, 1, PK_REASON_OK);
	p = pkt_error(WHO_WORLD, WHO_A, &quoted);
	in_of("one in the world's name", p, 0, PK_REASON_SPOOFED_REMOTE);
	p = packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000));
	p.b[0] = 0x33;
	in_of("a group", p, 0, PK_REASON_MULTICAST);
}

/* Room for a VLAN's tag behind the MACs. */
static void tagged(bool v6)
{
	struct pkt p = packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000));

	far_start(1);
	memmove(p.b + 16, p.b + 12, p.len - 12);
	memcpy(p.b + 12, (uint8_t[]){ 0x81, 0, 0, 5 }, 4);
	p.len += 4;
	in_of("with a VLAN's tag", p, 0, PK_REASON_VLAN);
}

static void pieces(bool v6)
{
	struct l4 long_one = UDP(5000, 40000);
	struct pkt whole;

	far_start(1);
	long_one.payload = 800;
	whole = packet(v6, WHO_FAR, WHO_A, long_one);
	in_of("a piece without its first", pkt_piece(&whole, 400, 808, 7), 0, PK_REASON_FRAGMENT);
	in_of("the first piece", pkt_piece(&whole, 0, 400, 8), 1, PK_REASON_OK);
	in_of("the last one", pkt_piece(&whole, 400, 808, 8), 1, PK_REASON_OK);
	whole = packet(v6, WHO_FAR, WHO_WORLD, long_one);
	in_of("a piece to the world through this node", pkt_piece(&whole, 0, 400, 9), 0,
	      PK_REASON_UNKNOWN_ENDPOINT);
	whole = packet(v6, WHO_WORLD, WHO_A, long_one);
	in_of("a first piece in the world's name", pkt_piece(&whole, 0, 400, 10), 1,
	      PK_REASON_SPOOFED_REMOTE);
}

/* An endpoint that builds VXLAN itself: in its node's name it would be believed. */
static void closed_port(bool v6)
{
	struct l4 there = UDP(40000, PORT);

	far_start(1);
	node_from("to a node's port of the overlay", 1, packet(v6, WHO_A, WHO_WORLD, there),
		  PK_REASON_OVERLAY_PORT);
	node_from("to this node's", 1, packet(v6, WHO_A, WHO_HOST, there), PK_REASON_OVERLAY_PORT);
	node_settings(no_device);
	node_from("also while there is no device", 1, packet(v6, WHO_A, WHO_WORLD, there),
		  PK_REASON_OVERLAY_PORT);
	node_settings(end);
	node_from("an endpoint's own port of that number is its own", 1,
		  packet(v6, WHO_A, WHO_B, there), PK_REASON_OK);
	node_from("another node's endpoint's, too", 1, packet(v6, WHO_A, WHO_FAR, there),
		  PK_REASON_OK);
	node_from("TCP is not the overlay's", 1,
		  packet(v6, WHO_A, WHO_WORLD, TCP(40000, PORT, SYN)), PK_REASON_OK);
}

/* Who asks a published port from there gets no answer: it would be one of the node's. */
static void asked_from_there(void)
{
	struct pkt in_ = pkt_v4(WHO_WORLD, WHO_HOST, UDP(PORT, 5300));
	struct expect e = { "a published port, asked from a node's port of the overlay",
			    PK_REASON_OK, 1, PK_INGRESS, false };

	far_start(1);
	world_publish_udp(5300, 1, 53);
	node_expect(&e, NODE_UP, 0, &in_, NULL);
	node_from("its answer", 1, packet(false, WHO_A, WHO_WORLD, UDP(53, PORT)),
		  PK_REASON_OVERLAY_PORT);
}

/* A port that somebody publishes is never the overlay's. */
static void published(void)
{
	struct pkt inner = packet(false, WHO_FAR, WHO_A, UDP(5000, 40000));

	far_start(1);
	world_publish_udp(PORT, 2, 53);
	in("the overlay's port, published by an endpoint", wrapped(WHO_WORLD, VNI, &inner), 1,
	   PK_REASON_OK);
}

/* The ways of an overlay over IPv4 that the device has a part in, and those that it has none in. */
static void without_the_device(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		looked_at(v6);
		congested(v6);
		marked(v6, 0, 0);
		marked(v6, 1, 1);
		marked(v6, 2, 2);
		marked(v6, 3, 2);
	}
	left_to_the_device();
}

void cases_overlay(void)
{
	for (int outer = 0; outer < 3; outer++) {
		over6 = outer == 2;
		plain = outer == 1;
		for (int v6 = 0; v6 < 2; v6++) {
			goes_in(v6);
			comes_out(v6);
			another_tenant(v6);
			lies(v6);
			moved(v6);
			odd(v6);
			no_route(v6);
			errors(v6);
			tagged(v6);
			pieces(v6);
			closed_port(v6);
		}
		foreign();
		unproved();
		beside();
		published();
	}
	over6 = false;
	plain = true;
	without_the_device();
	plain = false;
	asked_from_there();
}
