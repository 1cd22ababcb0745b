// SPDX-License-Identifier: Apache-2.0
/* Verdicts by party, class, port and rank, each side's own; events. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "picket/event.h"
#include "picket/query.h"
#include "tests/bpf/node.h"

#define OPERATOR_DENY PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY)
#define TENANT_ALLOW  PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW)

static void rule(uint32_t set_nr, uint32_t class, enum pk_dir dir, uint8_t verdict, uint8_t rank)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_DIR, .rule_set = set_nr, .class = class, .dir = dir
	};

	node_verdict(&key, verdict, rank, 100);
}

static void port_rule(uint32_t class, uint16_t port, uint32_t bits, uint8_t verdict, uint8_t rank)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_PROTO + bits,
				      .rule_set = 1,
				      .class = class,
				      .dir = PK_EGRESS,
				      .proto = 6,
				      .port = __builtin_bswap16(port) };

	node_verdict(&key, verdict, rank, 101);
}

/* P21: TCP, UDP, echo and SCTP to another tenant are denied at the source, in IPv4 and IPv6. */
static void isolation(void)
{
	node_reset();
	node_from("TCP to another tenant", 1, pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("UDP", 1, pkt_v4(WHO_A, WHO_C, UDP(40000, 53)), PK_REASON_POLICY_DENIED);
	node_from("echo", 1, pkt_v4(WHO_A, WHO_C, PING(7)), PK_REASON_POLICY_DENIED);
	node_from("SCTP", 1, pkt_v4(WHO_A, WHO_C, (struct l4){ 132, 9, 9, 0, 8 }),
		  PK_REASON_POLICY_DENIED);
	node_from("TCP, IPv6", 1, pkt_v6(WHO_A, WHO_C, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("UDP, IPv6", 1, pkt_v6(WHO_A, WHO_C, UDP(40000, 53)), PK_REASON_POLICY_DENIED);
	node_from("echo, IPv6", 1, pkt_v6(WHO_A, WHO_C, PING6(7)), PK_REASON_POLICY_DENIED);
	node_from("the other way", 3, pkt_v4(WHO_C, WHO_A, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	check("no flow", node_flows() == 0);
	node_from("SCTP that policy allows passes", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 132, 9, 10, 0, 8 }), PK_REASON_OK);
	node_from("an ICMP timestamp too", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 1, 1, 13 << 8, 0, 12 }), PK_REASON_OK);
	node_from("GRE that policy allows passes", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 47, 0, 0, 0, 8 }), PK_REASON_OK);
}

/* One entry of rule set 1: A's egress to its own tenant. */
static void egress(uint8_t proto, uint16_t port, uint32_t bits, uint8_t verdict)
{
	struct pk_verdict_key key = { .prefixlen = bits,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_EGRESS,
				      .proto = proto,
				      .port = __builtin_bswap16(port) };

	node_verdict(&key, verdict, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 102);
}

/* ICMP by type and code, each message by itself; SCTP by its ports, with flows. */
static void types_and_ports(void)
{
	struct l4 sctp = { 132, 9000, 36412, 0, 8 };

	node_reset();
	egress(1, 13 << 8, PK_VERDICT_BITS_TYPE, PK_DENY);
	egress(1, 42 << 8 | 1, PK_VERDICT_BITS_PORT, PK_DENY);
	egress(58, 160 << 8, PK_VERDICT_BITS_TYPE, PK_DENY);
	egress(132, 36412, PK_VERDICT_BITS_PORT, PK_DENY);
	node_from("an ICMP type that policy denies", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 1, 1, 13 << 8, 0, 12 }),
		  PK_REASON_POLICY_DENIED);
	node_from("its answer's type, which it doesn't", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 1, 1, 14 << 8, 0, 12 }), PK_REASON_OK);
	node_from("a code that it denies", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 1, 1, 42 << 8 | 1, 0, 12 }),
		  PK_REASON_POLICY_DENIED);
	node_from("another code of that type", 1,
		  pkt_v4(WHO_A, WHO_B, (struct l4){ 1, 1, 42 << 8, 0, 12 }), PK_REASON_OK);
	node_from("an ICMPv6 type that it denies", 1,
		  pkt_v6(WHO_A, WHO_B, (struct l4){ 58, 1, 160 << 8, 0, 12 }),
		  PK_REASON_POLICY_DENIED);
	node_from("another one", 1, pkt_v6(WHO_A, WHO_B, (struct l4){ 58, 1, 161 << 8, 0, 12 }),
		  PK_REASON_OK);
	check("none has a flow", node_flows() == 0);
	node_from("an SCTP port that it denies", 1, pkt_v4(WHO_A, WHO_B, sctp),
		  PK_REASON_POLICY_DENIED);
	sctp.dport = 36413;
	node_from("another SCTP port", 1, pkt_v4(WHO_A, WHO_B, sctp), PK_REASON_OK);
	check("that has a flow", node_flows() == 1);
	sctp = (struct l4){ 132, 36413, 9000, 0, 8 };
	node_from("by which it is answered", 2, pkt_v4(WHO_B, WHO_A, sctp), PK_REASON_OK);
	check("the same one", node_flows() == 1);
	egress(132, 9000, PK_VERDICT_BITS_PORT, PK_DENY);
	node_word(1, 1, 0, 2);
	node_from("judged again by an answer, by the port that was asked", 2,
		  pkt_v4(WHO_B, WHO_A, sctp), PK_REASON_OK);
	node_word(1, 1, PK_WORD_MASQUERADE, 3);
	node_from("ICMP that isn't an echo is routed as it is", 1,
		  pkt_v4(WHO_A, WHO_WORLD, (struct l4){ 1, 1, 13 << 8, 0, 12 }), PK_REASON_OK);
}

/* From A to C, of another tenant. */
#define N_PROBES 6
static struct pkt probe(int i)
{
	switch (i) {
	case 0:
		return pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN));
	case 1:
		return pkt_v4(WHO_A, WHO_C, UDP(40000, 53));
	case 2:
		return pkt_v4(WHO_A, WHO_C, PING(7));
	case 3:
		return pkt_v6(WHO_A, WHO_C, TCP(40000, 80, SYN));
	case 4:
		return pkt_v6(WHO_A, WHO_C, UDP(40000, 53));
	default:
		return pkt_v6(WHO_A, WHO_C, PING6(7));
	}
}

/* P23: egress allowed and ingress not, and the reverse: each is denied, by the side that denies. */
static void sides(void)
{
	node_reset();
	rule(1, PK_CLASS_OTHER_TENANT, PK_EGRESS, PK_ALLOW, TENANT_ALLOW);
	for (int i = 0; i < N_PROBES; i++)
		node_from_at("egress allowed, ingress not", 1, probe(i), 3,
			     PK_REASON_POLICY_DENIED);
	node_reset();
	rule(2, PK_CLASS_OTHER_TENANT, PK_INGRESS, PK_ALLOW, TENANT_ALLOW);
	for (int i = 0; i < N_PROBES; i++)
		node_from("ingress allowed, egress not", 1, probe(i), PK_REASON_POLICY_DENIED);
	rule(1, PK_CLASS_OTHER_TENANT, PK_EGRESS, PK_ALLOW, TENANT_ALLOW);
	for (int i = 0; i < N_PROBES; i++)
		node_from("both", 1, probe(i), PK_REASON_OK);
	node_from("an endpoint reaches itself", 1, pkt_v4(WHO_A, WHO_A, UDP(40000, 53)),
		  PK_REASON_OK);
	node_word(1, 7, 0, 9);
	node_from("a rule set that isn't there", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)),
		  PK_REASON_NO_RULE_SET);
	node_word(1, 0, 0, 10);
	node_from("rule set 0", 1, pkt_v4(WHO_A, WHO_B, UDP(40001, 53)), PK_REASON_NO_RULE_SET);
}

static void classes(void)
{
	struct pk_peer_class_key by = { 1, 102, PK_EGRESS };
	struct pk_local was = { 2, 99, 1, 0 };
	union pk_addr addr = pkt_ip4(WHO_B);
	uint32_t class = 70;

	node_reset();
	bpf_map_update_elem(node_map("peer_class"), &by, &class, BPF_ANY);
	rule(1, 70, PK_EGRESS, PK_DENY, OPERATOR_DENY);
	node_from("a class by identity comes before the tenant's", 1,
		  pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), PK_REASON_POLICY_DENIED);
	bpf_map_delete_elem(node_map("peer_class"), &by);
	by.peer = 1 | PK_PEER_TENANT;
	bpf_map_update_elem(node_map("peer_class"), &by, &class, BPF_ANY);
	node_from("a class by tenant", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)),
		  PK_REASON_POLICY_DENIED);
	bpf_map_delete_elem(node_map("peer_class"), &by);
	node_from("the reserved one", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), PK_REASON_OK);
	/* by_address is read before B's word: who B is, is read after it. */
	bpf_map_update_elem(node_map("by_address"), &addr, &was, BPF_ANY);
	by.peer = 102;
	bpf_map_update_elem(node_map("peer_class"), &by, &class, BPF_ANY);
	node_from("the identity is the one of the word, not by_address's", 1,
		  pkt_v4(WHO_A, WHO_B, UDP(40001, 53)), PK_REASON_POLICY_DENIED);
	node_from("an address of the pool where nobody lives", 1,
		  pkt_v4(WHO_A, WHO_NOBODY, UDP(40000, 53)), PK_REASON_POLICY_DENIED);
}

static void ports(void)
{
	node_reset();
	port_rule(PK_CLASS_SAME_TENANT, 0, 6, PK_DENY, OPERATOR_DENY); /* 0..1023 */
	port_rule(PK_CLASS_SAME_TENANT, 1024, 16, PK_DENY, OPERATOR_DENY);
	node_from("a denied range, beside its allowed port", 1,
		  pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_POLICY_DENIED);
	node_from("its last port", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 1024, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("the next one passes", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 1025, SYN)),
		  PK_REASON_OK);
	node_from("so does UDP", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 80)), PK_REASON_OK);
}

/* P29: metadata addresses are denied by the baseline, TCP and UDP. P28: the node's own likewise. */
static void protect(void)
{
	union pk_addr imds = { .b = { 0xfd, 0, 0x0e, 0xc2, [14] = 2, 0x54 } };

	node_reset();
	node_from("169.254.169.254, TCP", 1, pkt_v4_to(WHO_A, 0xa9fea9fe, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("169.254.170.2, UDP", 1, pkt_v4_to(WHO_A, 0xa9feaa02, UDP(40000, 80)),
		  PK_REASON_POLICY_DENIED);
	node_from("fd00:ec2::254", 1, pkt_v6_to(WHO_A, &imds, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("10.1.2.3 inside a denied prefix", 1,
		  pkt_v4_to(WHO_A, 0x0a010203, TCP(40000, 80, SYN)), PK_REASON_POLICY_DENIED);
	node_from("the node's own address", 1, pkt_v4(WHO_A, WHO_HOST, TCP(40000, 4646, SYN)),
		  PK_REASON_POLICY_DENIED);
	node_from("the node's own address, IPv6", 1, pkt_v6(WHO_A, WHO_HOST, UDP(40000, 8600)),
		  PK_REASON_POLICY_DENIED);
	node_from("ping of the node", 1, pkt_v4(WHO_A, WHO_HOST, PING(7)), PK_REASON_POLICY_DENIED);
}

/* Keeps the last event. */
static int keep(void *arg, void *data, size_t size)
{
	if (size == sizeof(struct pk_event))
		memcpy(arg, data, size);
	return 0;
}

/* The endpoint hasn't spent any of its events. */
static void fill_events(__u32 slot)
{
	struct pk_bucket b;

	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	b.tokens[PK_BUCKET_EVENTS] = 0;
	b.tokens[PK_BUCKET_EVENTS_LOST] = b.tokens[PK_BUCKET_EVENTS_TOLD] = 0;
	bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
}

static void events(void)
{
	struct pk_event e = {};
	struct ring_buffer *ring = ring_buffer__new(node_map("events"), keep, &e, NULL);

	node_reset();
	ring_buffer__consume(ring);
	memset(&e, 0, sizeof(e));
	node_from("a denied packet", 1, pkt_v4_to(WHO_A, 0xa9fea9fe, TCP(40000, 80, SYN)),
		  PK_REASON_POLICY_DENIED);
	ring_buffer__consume(ring);
	check("its event", e.type == PK_EVENT_DENIED && e.reason == PK_REASON_POLICY_DENIED &&
				   e.slot == 1 && e.dir == PK_EGRESS && e.src_identity == 101);
	check("names the rule of protected addresses",
	      e.rule == PK_RULE_PROTECTED && e.party == PK_PARTY_WORLD && e.proto == 6);
	rule(1, PK_CLASS_OTHER_TENANT, PK_EGRESS, PK_ALLOW, TENANT_ALLOW);
	node_from_at("a denial at the peer", 1, pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN)), 3,
		     PK_REASON_POLICY_DENIED);
	ring_buffer__consume(ring);
	check("its event is the peer's", e.slot == 3 && e.dir == PK_INGRESS && e.peer_slot == 1 &&
						 e.src_identity == 101 && e.dst_identity == 103 &&
						 e.dst_tenant == 2);
	node_word(1, 1, PK_WORD_LOG_NEW, 5);
	node_from("a new flow, logged", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	ring_buffer__consume(ring);
	check("its event allows", e.type == PK_EVENT_ALLOWED && e.slot == 1 && e.peer_slot == 2);
	memset(&e, 0, sizeof(e));
	for (int i = 0; i < 300; i++) {
		struct pkt p = pkt_v4(WHO_C, WHO_A, UDP(40000, 53));

		node_run(NODE_FROM, 3, &p, NULL);
	}
	ring_buffer__consume(ring);
	node_from("C's denials are over its budget", 1, pkt_v4(WHO_A, WHO_NOBODY, UDP(1, 2)),
		  PK_REASON_POLICY_DENIED);
	ring_buffer__consume(ring);
	check("A's events go on", e.slot == 1 && e.lost == 0);
	fill_events(3);
	for (int i = 0; i < 300; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN));

		node_run(NODE_FROM, 1, &p, NULL);
	}
	ring_buffer__consume(ring);
	node_from("A's flood is denied at C, which has an event of its own", 3,
		  pkt_v4(WHO_C, WHO_NOBODY, UDP(1, 2)), PK_REASON_POLICY_DENIED);
	ring_buffer__consume(ring);
	check("C's budget isn't A's to spend", e.slot == 3 && e.dir == PK_EGRESS && e.lost == 0);
	ring_buffer__free(ring);
}

void cases_policy(void)
{
	isolation();
	types_and_ports();
	sides();
	classes();
	ports();
	protect();
	events();
}
