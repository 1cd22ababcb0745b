// SPDX-License-Identifier: Apache-2.0
/* Who isn't an endpoint: the host both ways, the world, remote ones; the forwarders. */
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/node.h"

static void rule(uint32_t class, enum pk_dir dir, uint8_t verdict)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_DIR, .rule_set = 1, .class = class, .dir = dir
	};

	node_verdict(&key, verdict, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
}

static void egress_to_host(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_HOST, TCP(40000, 4646, SYN));
	struct pkt reply = pkt_v4(WHO_HOST, WHO_A, TCP(4646, 40000, SYN | ACK));
	struct pkt p = syn;
	int ret;

	node_reset();
	rule(PK_CLASS_HOST, PK_EGRESS, PK_ALLOW);
	ret = node_run(NODE_FROM, 1, &p, NULL);
	check("to the host's stack: TC_ACT_OK, unchanged", !ret && !memcmp(p.b, syn.b, syn.len));
	node_from("the same, counted", 1, syn, PK_REASON_OK);
	node_to("the stack replies", 1, reply, PK_REASON_OK);
	node_to("an error of the stack about it", 1, pkt_error(WHO_HOST, WHO_A, &syn),
		PK_REASON_OK);
	syn = pkt_v4(WHO_A, WHO_HOST, TCP(40001, 4646, SYN));
	node_to("an error of the stack about nothing", 1, pkt_error(WHO_HOST, WHO_A, &syn),
		PK_REASON_ICMP_UNRELATED);
	node_to("the stack may not open for that", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)),
		PK_REASON_POLICY_DENIED);
}

static void ingress_from_host(void)
{
	struct pk_open_port_key key = { .slot = 1, .proto = 6, .port = __builtin_bswap16(8080) };
	uint32_t checked = PK_OPEN_CHECKED, published = PK_OPEN_PUBLISHED;
	struct pkt p = pkt_v4(WHO_HOST, WHO_A, TCP(40000, 8080, SYN)), question;
	union pk_addr a = pkt_ip6(WHO_A);
	struct node_meta forwarded = { .ingress_ifindex = node_ifindex(2) };
	struct node_meta uplink = { .ifindex = devices_uplink() };
	struct expect e = { "what was forwarded isn't the host's", PK_REASON_NO_ROUTE, 1,
			    PK_INGRESS, false };
	struct expect nobody = { "at a device that is nobody's", PK_REASON_UNKNOWN_ENDPOINT, 0,
				 PK_INGRESS, false };

	node_reset();
	node_to("the host to an endpoint", 1, p, PK_REASON_POLICY_DENIED);
	node_to("the host to an endpoint, IPv6", 1, pkt_v6(WHO_HOST, WHO_A, UDP(9, 9)),
		PK_REASON_POLICY_DENIED);
	bpf_map_update_elem(node_map("open_ports"), &key, &checked, BPF_ANY);
	node_to("a registered check is open to it", 1, p, PK_REASON_OK);
	node_from("and is answered", 1, pkt_v4(WHO_A, WHO_HOST, TCP(8080, 40000, SYN | ACK)),
		  PK_REASON_OK);
	key.port = __builtin_bswap16(8081);
	bpf_map_update_elem(node_map("open_ports"), &key, &published, BPF_ANY);
	node_to("a published port too", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 8081, SYN)),
		PK_REASON_OK);
	node_to("not another one", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 8082, SYN)),
		PK_REASON_POLICY_DENIED);
	p = pkt_v4(WHO_HOST, WHO_A, TCP(40001, 8080, SYN));
	node_expect(&e, NODE_TO, 1, &p, &forwarded);
	node_to("a closed endpoint", 4, pkt_v4(WHO_HOST, WHO_CLOSED, UDP(9, 9)),
		PK_REASON_ENDPOINT_CLOSED);
	p = pkt_v4(WHO_HOST, WHO_A, UDP(9, 9));
	node_expect(&nobody, NODE_TO, 0, &p, &uplink);
	node_to("somebody else's address on its device", 1, pkt_v4(WHO_HOST, WHO_B, UDP(9, 9)),
		PK_REASON_UNKNOWN_ENDPOINT);
	question = pkt_nd(WHO_HOST, 135, &a, 0);
	memcpy(question.b + 38, &a, 16);
	pkt_seal(&question);
	node_to("the stack's own neighbour question", 1, question, PK_REASON_MULTICAST);
	node_to("the stack's own ARP", 1, pkt_arp(WHO_HOST, 1, 0x0a14000b), PK_REASON_MULTICAST);
}

/* The stack can't carry on a flow between endpoints, whatever source it writes, nor end it. */
static void not_its_flow(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pk_flow_key key;
	struct pk_flow flow;

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_to("its packet from the stack", 2, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)),
		PK_REASON_NO_FLOW);
	node_to("a reset from the stack", 2, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, RST)),
		PK_REASON_NO_FLOW);
	node_to("the other side's reset from the stack", 1,
		pkt_v4(WHO_B, WHO_A, TCP(80, 40000, RST)), PK_REASON_NO_FLOW);
	node_to("an error about it from the stack", 1, pkt_error(WHO_HOST, WHO_A, &syn),
		PK_REASON_NO_FLOW);
	node_word(2, 1, 0, 2);
	node_to("its packet from the stack, under new words", 2,
		pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_NO_FLOW);
	bpf_map_get_next_key(node_map("flows"), NULL, &key);
	check("the flow is as it was", !bpf_map_lookup_elem(node_map("flows"), &key, &flow) &&
					       flow.state == PK_FLOW_NEW && flow.packets[0] == 1 &&
					       !flow.packets[1] && !flow.reason);
}

static void world(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));

	node_reset();
	node_from("the world", 1, p, PK_REASON_OK);
	node_from("the world, IPv6", 1, pkt_v6(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
		  PK_REASON_OK);
	node_from("no route", 1, pkt_v4(WHO_A, WHO_NOROUTE, UDP(9, 9)), PK_REASON_NO_ROUTE);
	node_from("no route, IPv6", 1, pkt_v6(WHO_A, WHO_NOROUTE, UDP(9, 9)), PK_REASON_NO_ROUTE);
	node_from("a DHCPv6 server among the guests", 1, pkt_v6(WHO_A, WHO_B, UDP(547, 546)),
		  PK_REASON_SPOOFED_DHCP);
}

/* The flow's way is all that is asked: where it names no device, the packet goes nowhere. */
static void no_way(void)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	node_reset();
	node_from("A opens to the world", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN)),
		  PK_REASON_OK);
	check("by a flow", !bpf_map_get_next_key(node_map("flows"), NULL, &key) &&
				   !bpf_map_lookup_elem(node_map("flows"), &key, &flow));
	flow.target = 0;
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	node_from("whose way is lost", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)),
		  PK_REASON_NO_ROUTE);
}

/* What `sysctl -w net.ipv4.ip_forward=0` does to every device. */
static void forwarding_off(void)
{
	struct pkt in = pkt_v4(WHO_WORLD, WHO_A, UDP(9, 9));
	struct node_meta forwarded = { .ingress_ifindex = node_ifindex(2) };
	struct expect e = { "what comes from outside has no way back", PK_REASON_FORWARDING_OFF, 1,
			    PK_INGRESS, false };

	node_reset();
	node_forwarding(1, false);
	node_from("its device lost its forwarding", 1, pkt_v4(WHO_A, WHO_HOST, UDP(9, 9)),
		  PK_REASON_FORWARDING_OFF);
	node_expect(&e, NODE_TO, 1, &in, &forwarded);
	node_forwarding(1, true);
	node_from("and has it back", 1, pkt_v4(WHO_A, WHO_B, UDP(9, 9)), PK_REASON_OK);
}

static void remote(void)
{
	union pk_addr node_addr = pkt_ip4(WHO_WORLD), other = pkt_ip4(WHO_NOBODY);
	union pk_addr host = pkt_ip4(WHO_HOST);
	union pk_addr host6 = pkt_ip6(WHO_HOST);
	struct pk_remote node = { .flags = PK_REMOTE_NODE }, peer = { 500, 1, 0, 0, 1, 1 };
	struct pk_local local = { 2, 102, 1, 0 };

	node_reset();
	bpf_map_update_elem(node_map("remote"), &node_addr, &node, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &other, &peer, BPF_ANY);
	bpf_map_update_elem(node_map("remote"), &host, &peer, BPF_ANY);
	node_from("another node, closed by the baseline", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(9, 9)),
		  PK_REASON_POLICY_DENIED);
	node_from("an endpoint of another node, its tenant's", 1,
		  pkt_v4(WHO_A, WHO_NOBODY, UDP(9, 9)), PK_REASON_OK);
	node_from("who claims the node's own address is still the host", 1,
		  pkt_v4(WHO_A, WHO_HOST, UDP(9, 9)), PK_REASON_POLICY_DENIED);
	bpf_map_update_elem(node_map("by_address"), &host, &local, BPF_ANY);
	bpf_map_update_elem(node_map("by_address"), &host6, &local, BPF_ANY);
	node_from("so it is where an endpoint has it", 1, pkt_v4(WHO_A, WHO_HOST, UDP(9, 9)),
		  PK_REASON_POLICY_DENIED);
	node_from("so it is where an endpoint has it, IPv6", 1, pkt_v6(WHO_A, WHO_HOST, UDP(9, 9)),
		  PK_REASON_POLICY_DENIED);
}

static void forwarders(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(9, 9));
	struct node_meta odd = { .ifindex = devices_uplink() };
	struct node_meta even = { .ifindex = node_ifindex(node_ifindex(1) & 1 ? 2 : 1) };

	check("from the tap: redirected", node_run(NODE_FORWARD_TAP, 0, &p, &odd) == 7);
	check("from a device of the wrong parity: dropped",
	      node_run(NODE_FORWARD_TAP, 0, &p, &even) == 2);
	check("from eth0: redirected", node_run(NODE_FORWARD_ETH, 0, &p, &even) == 7);
	check("from a device of the wrong parity: dropped",
	      node_run(NODE_FORWARD_ETH, 0, &p, &odd) == 2);
}

void cases_world(void)
{
	egress_to_host();
	ingress_from_host();
	not_its_flow();
	world();
	no_way();
	remote();
	forwarding_off();
	forwarders();
}
