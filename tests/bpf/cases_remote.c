// SPDX-License-Identifier: Apache-2.0
/* Other nodes and their endpoints: the way there, and who is believed to come from there. */
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/world.h"

#define REMOTE 500 /* an identity */

static const uint8_t router[6] = { 2, 0, 0, 0, 0, 0xfe }; /* up0's neighbour to everywhere */

static void block6(struct pk_node *n)
{
	n->block[1] =
		(struct pk_block){ .addr = { .b = { 0xfd, 0, 0, 0x20 } },
				   .mask = { .b = { 255, 255, 255, 255, 255, 255, 255, 255 } } };
}

/* WHO_WORLD is an endpoint of that tenant, on another node. */
static void remote_start(uint32_t tenant)
{
	struct pk_remote peer = { .identity = REMOTE, .tenant = tenant };
	union pk_addr v4 = pkt_ip4(WHO_WORLD), v6 = pkt_ip6(WHO_WORLD);

	world_start();
	node_settings(block6);
	bpf_map_update_elem(node_map("remote"), &v4, &peer, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &v6, &peer, BPF_ANY);
}

static struct pkt packet(bool v6, enum who from, enum who to, struct l4 l4)
{
	return v6 ? pkt_v6(from, to, l4) : pkt_v4(from, to, l4);
}

/* As it comes in from the router. */
static struct pkt by_router(bool v6, struct l4 l4)
{
	struct pkt p = packet(v6, WHO_WORLD, WHO_A, l4);

	memcpy(p.b + 6, router, sizeof(router));
	return p;
}

static void up(const char *text, struct pkt p, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

/* Out and back with the endpoints' own addresses, whatever is masqueraded to the world. */
static void reaches(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000)), was = out;
	struct pkt back = by_router(v6, UDP(5000, 40000)), sent = back;

	remote_start(1);
	check("to an endpoint of another node, by the neighbour",
	      node_run(NODE_FROM, 1, &out, NULL) == 7 && world_one_hop(&out, &was));
	up("its answer", back, PK_REASON_OK);
	check("comes as it was sent, one hop less", node_run(NODE_UP, 0, &back, NULL) == 7 &&
							    world_one_hop(&back, &sent) &&
							    world_to(&back, WHO_A));
	up("who begins there is of the same tenant", by_router(v6, TCP(40000, 80, SYN)),
	   PK_REASON_OK);
}

/* Denied on both ends, each by its own verdict. */
static void another_tenant(bool v6)
{
	remote_start(2);
	node_from("to another tenant's there", 1, packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000)),
		  PK_REASON_POLICY_DENIED);
	up("another tenant's from there", by_router(v6, UDP(5000, 40000)), PK_REASON_POLICY_DENIED);
}

/* Whoever in the fabric writes the address: another neighbour, a forwarding stack. */
static void forged(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000));
	struct pkt answer = packet(v6, WHO_WORLD, WHO_A, UDP(5000, 40000));
	struct node_meta forwarded = { .ingress_ifindex = 101 },
			 other = { .ifindex = node_ifindex(2) };
	struct pkt elsewhere = by_router(v6, UDP(5000, 40000));
	struct expect e = { "its answer, forwarded by the stack", PK_REASON_SPOOFED_REMOTE, 1,
			    PK_INGRESS, false };

	remote_start(1);
	up("who begins, from another neighbour", packet(v6, WHO_WORLD, WHO_A, TCP(1, 80, SYN)),
	   PK_REASON_SPOOFED_REMOTE);
	node_run(NODE_FROM, 1, &out, NULL);
	up("an answer from another neighbour, before any came", answer, PK_REASON_SPOOFED_REMOTE);
	up("the answer", by_router(v6, UDP(5000, 40000)), PK_REASON_OK);
	up("an answer from another neighbour, on a live flow", answer, PK_REASON_SPOOFED_REMOTE);
	node_expect(&e, NODE_TO, 1, &answer, &forwarded);
	e.text = "an answer by another device, from one with the neighbour's MAC";
	node_expect(&e, NODE_UP, 0, &elsewhere, &other);
	up("which the flow outlives", by_router(v6, UDP(5000, 40000)), PK_REASON_OK);
}

/* Nobody has such a MAC; a flow that no packet came by yet knows none either. */
static void no_mac(void)
{
	struct pkt out = packet(false, WHO_A, WHO_WORLD, UDP(40000, 5000));
	struct pkt answer = packet(false, WHO_WORLD, WHO_A, UDP(5000, 40000));

	remote_start(1);
	node_run(NODE_FROM, 1, &out, NULL);
	memset(answer.b + 6, 0, 6);
	up("an answer from the MAC that is all zero", answer, PK_REASON_SPOOFED_REMOTE);
}

/* The node's own process under the address of another node's endpoint rides no flow with it. */
static void node_itself(void)
{
	struct pkt out = packet(false, WHO_A, WHO_WORLD, UDP(40000, 5000));
	struct pkt answer = packet(false, WHO_WORLD, WHO_A, UDP(5000, 40000));
	struct expect e = { "the node's own process in its name is the host: A may not ask that",
			    PK_REASON_POLICY_DENIED, 1, PK_EGRESS, false };

	remote_start(1);
	node_run(NODE_FROM, 1, &out, NULL);
	up("the answer", by_router(false, UDP(5000, 40000)), PK_REASON_OK);
	node_expect(&e, NODE_TO, 1, &answer, NULL);
}

/* An endpoint there that is gone is an unknown one: its block is one of the pools. */
static void gone(void)
{
	union pk_addr v4 = pkt_ip4(WHO_WORLD);

	remote_start(1);
	node_pool("198.51.100.0", 24);
	node_from("while it is there", 1, packet(false, WHO_A, WHO_WORLD, TCP(40000, 80, SYN)),
		  PK_REASON_OK);
	bpf_map_delete_elem(node_map("remote"), &v4);
	node_from("when it is gone", 1, packet(false, WHO_A, WHO_WORLD, TCP(40001, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	up("and from there", by_router(false, TCP(40000, 80, SYN)), PK_REASON_POLICY_DENIED);
}

static void no_way(void)
{
	struct pk_remote peer = { .identity = REMOTE, .tenant = 1 };
	union pk_addr nowhere = pkt_ip4(WHO_NOROUTE);

	remote_start(1);
	bpf_map_update_elem(node_map("remote"), &nowhere, &peer, BPF_ANY);
	node_from("an endpoint of another node that no route leads to", 1,
		  pkt_v4(WHO_A, WHO_NOROUTE, UDP(9, 9)), PK_REASON_NO_ROUTE);
}

/* A router's error about a flow under new words is judged as of the tenant whose endpoint it is. */
static void error(bool v6)
{
	struct pkt out = packet(v6, WHO_A, WHO_WORLD, UDP(40000, 5000)), quoted = out;

	remote_start(1);
	node_from("to an endpoint of another node", 1, out, PK_REASON_OK);
	node_word(1, 1, 0, 2);
	up("an error about it, under new words", pkt_error(WHO_WORLD, WHO_A, &quoted),
	   PK_REASON_OK);
}

void cases_remote(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		reaches(v6);
		another_tenant(v6);
		forged(v6);
		error(v6);
	}
	no_mac();
	node_itself();
	gone();
	no_way();
}
