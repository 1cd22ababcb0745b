// SPDX-License-Identifier: Apache-2.0
/* The overlay: what goes in and to which node, who is believed to have sent what comes out. */
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/overlay.h"

#define PORT   OVERLAY_PORT
#define VNI    OVERLAY_VNI
#define REMOTE OVERLAY_REMOTE
#define ETH    OVERLAY_ETH

/* What A sends to WHO_FAR leaves in a tunnel to the node that the block is of. */
static void goes_in(bool v6)
{
	struct pkt out = overlay_packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), was = out, in_tunnel;
	struct expect e = { "to an endpoint of another node", PK_REASON_OK, 1, PK_EGRESS, false };
	size_t head = overlay_outer_len();
	union pk_addr to, node = overlay_node(WHO_WORLD);

	overlay_start(1);
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
	      !memcmp(in_tunnel.b, overlay_mac, 6) && world_to(&in_tunnel, WHO_GATEWAY) == false &&
		      in_tunnel.b[6 + 5] == 1);
}

static void comes_out(bool v6)
{
	struct pkt inner = overlay_packet(v6, WHO_FAR, WHO_A, TCP(40000, 80, SYN)), got;
	struct pkt outer = overlay_wrapped(WHO_WORLD, VNI, &inner);
	struct expect e = { "who begins there is of the same tenant", PK_REASON_OK, 1, PK_INGRESS,
			    false };

	overlay_start(1);
	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(e.text, node_watched(&e, 0, NODE_FABRIC) && overlay_comes_to(1, &got, 10000) &&
			      world_to(&got, WHO_A) && world_one_hop(&got, &inner));
	node_from("the answer", 1, overlay_packet(v6, WHO_A, WHO_FAR, TCP(80, 40000, SYN | ACK)),
		  PK_REASON_OK);
	overlay_in_of("and on, by the flow",
		      overlay_packet(v6, WHO_FAR, WHO_A, TCP(40000, 80, ACK)), 1, PK_REASON_OK);
}

static void another_tenant(bool v6)
{
	overlay_start(2);
	node_from("to another tenant's there", 1,
		  overlay_packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), PK_REASON_POLICY_DENIED);
	overlay_in_of("another tenant's from there",
		      overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), 1,
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
	struct pkt inner = overlay_packet(false, WHO_FAR, WHO_A, UDP(5000, 40000)), p;
	union pk_addr node = overlay_node(WHO_WORLD);

	overlay_start(1);
	overlay_in("a host that is no node", overlay_wrapped(WHO_NOBODY, VNI, &inner), 0,
		   PK_REASON_OVERLAY_FOREIGN);
	p = overlay_wrapped(WHO_WORLD, VNI, &inner);
	p.b[6 + 5] = 0xfd;
	overlay_in("a node's address, from another neighbour", p, 0, PK_REASON_OVERLAY_FOREIGN);
	if (!overlay_over6)
		overlay_in("a node's, past the look at it",
			   with_option(overlay_wrapped(WHO_WORLD, VNI, &inner)), 0,
			   PK_REASON_OVERLAY_FOREIGN);
	overlay_in("of another cluster's identifier", overlay_wrapped(WHO_WORLD, VNI + 1, &inner),
		   0, PK_REASON_OVERLAY_VNI);
	bpf_map_delete_elem(node_map("tunnels"), &node);
	overlay_in("a node that is none any more", overlay_wrapped(WHO_WORLD, VNI, &inner), 0,
		   PK_REASON_OVERLAY_FOREIGN);
}

static void no_device(struct pk_node *n)
{
	n->overlay.ifindex = 0;
}

/* The proof is that of this load, and nothing passes the stack without it. */
static void unproved(void)
{
	struct pkt inner = overlay_packet(false, WHO_FAR, WHO_A, UDP(5000, 40000)), p = inner;
	struct expect e = { "what comes out with no proof", PK_REASON_OVERLAY_FOREIGN, 0,
			    PK_INGRESS, false };
	struct node_meta there = { .ifindex = DEVICES_OVERLAY };

	overlay_start(1);
	node_expect(&e, NODE_FABRIC, 0, &p, &there);
	node_settings(no_device);
	overlay_in("the device is gone from the table", overlay_wrapped(WHO_WORLD, VNI, &inner), 0,
		   PK_REASON_OVERLAY_FOREIGN);
}

/* A node speaks for its own blocks alone, whatever flow there is. */
static void lies(bool v6)
{
	overlay_start(1);
	overlay_in_of("an address of the world",
		      overlay_packet(v6, WHO_WORLD, WHO_A, UDP(53, 40000)), 1,
		      PK_REASON_SPOOFED_REMOTE);
	overlay_in_of("another endpoint's of this node",
		      overlay_packet(v6, WHO_B, WHO_A, UDP(5000, 40000)), 1,
		      v6 ? PK_REASON_SPOOFED_IPV6 : PK_REASON_SPOOFED_IPV4);
	overlay_in_of("the node's own", overlay_packet(v6, WHO_HOST, WHO_A, UDP(5000, 40000)), 1,
		      PK_REASON_NO_ROUTE);
	overlay_in_of("to nobody here", overlay_packet(v6, WHO_FAR, WHO_NOBODY, UDP(5000, 40000)),
		      0, PK_REASON_UNKNOWN_ENDPOINT);
	overlay_in_of("to the world through this node",
		      overlay_packet(v6, WHO_FAR, WHO_WORLD, UDP(5000, 40000)), 0,
		      PK_REASON_UNKNOWN_ENDPOINT);
	overlay_in_of("to a closed endpoint",
		      overlay_packet(v6, WHO_FAR, WHO_CLOSED, UDP(5000, 40000)), 4,
		      PK_REASON_ENDPOINT_CLOSED);
	node_from("to the world", 1, overlay_packet(v6, WHO_A, WHO_WORLD, UDP(40000, 53)),
		  PK_REASON_OK);
	overlay_in_of("in the name of who was asked there",
		      overlay_packet(v6, WHO_WORLD, WHO_A, UDP(53, 40000)), 1,
		      PK_REASON_SPOOFED_REMOTE);
	node_from("to B", 1, overlay_packet(v6, WHO_A, WHO_B, UDP(40000, 5000)), PK_REASON_OK);
	overlay_in_of("in the name of B, on its flow",
		      overlay_packet(v6, WHO_B, WHO_A, UDP(5000, 40000)), 1, PK_REASON_NO_FLOW);
}

/* The block is another node's by now: its old owner is believed no more, on a live flow too. */
static void moved(bool v6)
{
	union pk_addr other = overlay_node(WHO_NOROUTE), was = overlay_node(WHO_WORLD);
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = other };
	struct pk_pool_key key = { .prefixlen = v6 ? 64 : 120,
				   .addr = v6 ? pkt_ip6(WHO_FAR) : pkt_ip4(WHO_FAR) };

	overlay_start(1);
	node_from("to an endpoint of another node", 1,
		  overlay_packet(v6, WHO_A, WHO_FAR, UDP(4, 5)), PK_REASON_OK);
	overlay_in_of("its answer", overlay_packet(v6, WHO_FAR, WHO_A, UDP(5, 4)), 1, PK_REASON_OK);
	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	overlay_in_of("who begins, from the node whose block it was",
		      overlay_packet(v6, WHO_FAR, WHO_A, UDP(7, 8)), 1, PK_REASON_SPOOFED_REMOTE);
	pool.node = was;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	overlay_in_of("when it is that node's again", overlay_packet(v6, WHO_FAR, WHO_A, UDP(7, 8)),
		      1, PK_REASON_OK);
}

/* The same address by the uplink, not through the overlay. */
static void beside(void)
{
	struct pkt p = overlay_packet(false, WHO_FAR, WHO_A, UDP(5000, 40000));
	struct expect e = { "another node's address by the uplink itself", PK_REASON_SPOOFED_REMOTE,
			    1, PK_INGRESS, false };

	overlay_start(1);
	memcpy(p.b + 6, overlay_router, 6);
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
	struct pkt out = overlay_packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000));
	struct pkt in_ = overlay_packet(v6, WHO_WORLD, WHO_A, UDP(6000, 40000)), p = in_;
	struct expect e = { "nobody is believed by that way", PK_REASON_NO_ROUTE, 1, PK_INGRESS,
			    false };
	struct pk_remote peer = { .identity = REMOTE, .tenant = 1 };
	union pk_addr far = v6 ? pkt_ip6(WHO_WORLD) : pkt_ip4(WHO_WORLD);

	overlay_start(1);
	node_settings(both_blocks);
	overlay_block(far, v6 ? 64 : 120);
	bpf_map_update_elem(node_map("remote"), &far, &peer, BPF_ANY);
	node_from("nothing of a tenant's leaves in the clear", 1, out, PK_REASON_NO_ROUTE);
	memcpy(p.b + 6, overlay_router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	node_settings(no_device);
	node_from("nor while there is no device", 1, out, PK_REASON_NO_ROUTE);
	node_settings(no_overlay);
	node_from("in a network that routes the blocks that is the way", 1, out, PK_REASON_OK);
	e = (struct expect){ "and from there it is", PK_REASON_OK, 1, PK_INGRESS, false };
	p = in_;
	memcpy(p.b + 6, overlay_router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* An error about a flow comes from the node that the flow leads to, and by its way. */
static void errors(bool v6)
{
	struct pkt out = overlay_packet(v6, WHO_A, WHO_WORLD, UDP(40001, 53)), p;
	struct expect e = { "an error by the uplink about a flow through the overlay",
			    PK_REASON_SPOOFED_REMOTE, 1, PK_INGRESS, false };

	overlay_start(1);
	node_settings(both_blocks);
	node_from("to the world", 1, out, PK_REASON_OK);
	overlay_in_of("another node's endpoint says an error of it",
		      pkt_error(WHO_FAR, WHO_A, &out), 1, PK_REASON_SPOOFED_REMOTE);
	out = overlay_packet(v6, WHO_A, WHO_B, UDP(40000, 5000));
	node_from("to B", 1, out, PK_REASON_OK);
	overlay_in_of("and of that", pkt_error(WHO_FAR, WHO_A, &out), 1, PK_REASON_SPOOFED_REMOTE);
	out = overlay_packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000));
	node_from("to an endpoint of another node", 1, out, PK_REASON_OK);
	p = pkt_error(WHO_FAR, WHO_A, &out);
	memcpy(p.b + 6, overlay_router, 6);
	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* Errors, groups, tags and pieces. */
static void odd(bool v6)
{
	struct pkt out = overlay_packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), quoted = out, p;

	overlay_start(1);
	p = pkt_error(WHO_FAR, WHO_A, &quoted);
	overlay_in_of("an error about nothing", p, 0, PK_REASON_ICMP_UNRELATED);
	node_from("to an endpoint of another node", 1, out, PK_REASON_OK);
	overlay_in_of("an error about it", p, 1, PK_REASON_OK);
	p = pkt_error(WHO_WORLD, WHO_A, &quoted);
	overlay_in_of("one in the world's name", p, 0, PK_REASON_SPOOFED_REMOTE);
	p = overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000));
	p.b[0] = 0x33;
	overlay_in_of("a group", p, 0, PK_REASON_MULTICAST);
}

/* Room for a VLAN's tag behind the MACs. */
static void tagged(bool v6)
{
	struct pkt p = overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000));

	overlay_start(1);
	memmove(p.b + 16, p.b + 12, p.len - 12);
	memcpy(p.b + 12, (uint8_t[]){ 0x81, 0, 0, 5 }, 4);
	p.len += 4;
	overlay_in_of("with a VLAN's tag", p, 0, PK_REASON_VLAN);
}

static void pieces(bool v6)
{
	struct l4 long_one = UDP(5000, 40000);
	struct pkt whole;

	overlay_start(1);
	long_one.payload = 800;
	whole = overlay_packet(v6, WHO_FAR, WHO_A, long_one);
	overlay_in_of("a piece without its first", pkt_piece(&whole, 400, 808, 7), 0,
		      PK_REASON_FRAGMENT);
	overlay_in_of("the first piece", pkt_piece(&whole, 0, 400, 8), 1, PK_REASON_OK);
	overlay_in_of("the last one", pkt_piece(&whole, 400, 808, 8), 1, PK_REASON_OK);
	whole = overlay_packet(v6, WHO_FAR, WHO_WORLD, long_one);
	overlay_in_of("a piece to the world through this node", pkt_piece(&whole, 0, 400, 9), 0,
		      PK_REASON_UNKNOWN_ENDPOINT);
	whole = overlay_packet(v6, WHO_WORLD, WHO_A, long_one);
	overlay_in_of("a first piece in the world's name", pkt_piece(&whole, 0, 400, 10), 1,
		      PK_REASON_SPOOFED_REMOTE);
}

/* An endpoint that builds VXLAN itself: in its node's name it would be believed. */
static void closed_port(bool v6)
{
	struct l4 there = UDP(40000, PORT);

	overlay_start(1);
	node_from("to a node's port of the overlay", 1, overlay_packet(v6, WHO_A, WHO_WORLD, there),
		  PK_REASON_OVERLAY_PORT);
	node_from("to this node's", 1, overlay_packet(v6, WHO_A, WHO_HOST, there),
		  PK_REASON_OVERLAY_PORT);
	node_settings(no_device);
	node_from("also while there is no device", 1, overlay_packet(v6, WHO_A, WHO_WORLD, there),
		  PK_REASON_OVERLAY_PORT);
	node_settings(overlay_end);
	node_from("an endpoint's own port of that number is its own", 1,
		  overlay_packet(v6, WHO_A, WHO_B, there), PK_REASON_OK);
	node_from("another node's endpoint's, too", 1, overlay_packet(v6, WHO_A, WHO_FAR, there),
		  PK_REASON_OK);
	node_from("TCP is not the overlay's", 1,
		  overlay_packet(v6, WHO_A, WHO_WORLD, TCP(40000, PORT, SYN)), PK_REASON_OK);
}

/* Who asks a published port from there gets no answer: it would be one of the node's. */
static void asked_from_there(void)
{
	struct pkt in_ = pkt_v4(WHO_WORLD, WHO_HOST, UDP(PORT, 5300));
	struct expect e = { "a published port, asked from a node's port of the overlay",
			    PK_REASON_OK, 1, PK_INGRESS, false };

	overlay_start(1);
	world_publish_udp(5300, 1, 53);
	node_expect(&e, NODE_UP, 0, &in_, NULL);
	node_from("its answer", 1, overlay_packet(false, WHO_A, WHO_WORLD, UDP(53, PORT)),
		  PK_REASON_OVERLAY_PORT);
}

/* A port that somebody publishes is never the overlay's. */
static void published(void)
{
	struct pkt inner = overlay_packet(false, WHO_FAR, WHO_A, UDP(5000, 40000));

	overlay_start(1);
	world_publish_udp(PORT, 2, 53);
	overlay_in("the overlay's port, published by an endpoint",
		   overlay_wrapped(WHO_WORLD, VNI, &inner), 1, PK_REASON_OK);
}

void cases_overlay(void)
{
	for (int outer = 0; outer < 3; outer++) {
		overlay_over6 = outer == 2;
		overlay_plain = outer == 1;
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
	overlay_over6 = false;
	asked_from_there();
}
