// SPDX-License-Identifier: Apache-2.0
/* What is told of a flow that ended: how, who, and what each side sent; and of which nothing is. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "picket/event.h"
#include "picket/query.h"
#include "tests/bpf/world.h"

#define TOLD PK_WORD_LOG_CLOSED

struct reap_packet { /* bpf/lib/reap.h */
	uint8_t ethernet[14];
	struct pk_flow_key key;
	uint32_t gone, jiffies;
} __attribute__((packed));

static struct ring_buffer *ring;
static struct pk_event_closed last;
static int n_ends, n_others;

static int heard(void *arg, void *data, size_t size)
{
	(void)arg;
	if (size != sizeof(last)) {
		n_others++;
		return 0;
	}
	n_ends++;
	memcpy(&last, data, size);
	return 0;
}

/* How many ends were told since; the last one is in `last`. */
static int ends(void)
{
	n_ends = n_others = 0;
	memset(&last, 0, sizeof(last));
	ring_buffer__consume(ring);
	return n_ends;
}

static void forget_tenants(void)
{
	uint64_t nothing = 0;

	for (uint32_t i = 0; i < 1024; i++)
		bpf_map_update_elem(node_map("tenant_events"), &i, &nothing, BPF_ANY);
}

static void start(void)
{
	world_start();
	forget_tenants();
	for (uint32_t slot = 1; slot <= 2; slot++)
		node_word(slot, 1, TOLD | PK_WORD_MASQUERADE, 5);
	ends();
}

static bool reap(const struct pk_flow_key *key)
{
	struct reap_packet ask = { .key = *key }, answer = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &ask, .data_size_in = sizeof(ask),
		    .data_out = &answer, .data_size_out = sizeof(answer));
	int fd = bpf_program__fd(bpf_object__find_program_by_name(node_object(), "pk_flow_reap"));

	bpf_prog_test_run_opts(fd, &opts);
	return answer.gone;
}

/* The primary flow, of which there is one. */
static bool find(struct pk_flow_key *key, struct pk_flow *flow)
{
	int fd = node_map("flows");

	for (void *at = NULL; !bpf_map_get_next_key(fd, at, key); at = key)
		if (!bpf_map_lookup_elem(fd, key, flow) && flow->kind == PK_FLOW_PRIMARY)
			return true;
	return check("the flow is there", false);
}

/* The one flow has had no packet for so long, and user space ends it. */
static void pass(uint32_t seconds, bool gone)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	if (!find(&key, &flow))
		return;
	flow.expires -= seconds * node_hz();
	flow.begun -= seconds * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	check(gone ? "user space ends it" : "it isn't over", reap(&key) == gone);
}

static bool ended(enum pk_flow_end how, uint64_t packets, uint64_t back)
{
	return last.event.version == PK_EVENT_CLOSED_VERSION &&
	       last.event.type == PK_EVENT_CLOSED && last.how == how && last.event.ns &&
	       last.packets[0] == packets && last.packets[1] == back;
}

static bool between(enum who from, uint16_t sport, enum who to, uint16_t dport)
{
	union pk_addr src = pkt_ip4(from), dst = pkt_ip4(to);

	return !memcmp(&last.event.src, &src, sizeof(src)) &&
	       !memcmp(&last.event.dst, &dst, sizeof(dst)) && last.event.sport == htons(sport) &&
	       last.event.dport == htons(dport) && last.event.ethertype == 0x0800;
}

static void a(uint8_t flags)
{
	node_from("A to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, flags)), PK_REASON_OK);
}

static void b(uint8_t flags)
{
	node_from("B to A", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, flags)), PK_REASON_OK);
}

static void connection(void)
{
	a(SYN);
	b(SYN | ACK);
	a(ACK);
}

/* A whole connection, once with every field. */
static void both_closed(void)
{
	start();
	connection();
	a(FIN | ACK);
	b(FIN | ACK);
	a(ACK);
	check("a flow that lives isn't told", !ends());
	pass(9, false);
	check("nor is a closed one before it goes", !ends());
	pass(2, true);
	check("then it is, once", ends() == 1);
	check("with both sides' packets", ended(PK_FLOW_END_FIN, 4, 2));
	check("and bytes", last.bytes[0] == 4 * 54 && last.bytes[1] == 2 * 54);
	check("between these", between(WHO_A, 40000, WHO_B, 80) && last.event.proto == 6);
	check("who are these", last.event.src_identity == 101 && last.event.dst_identity == 102 &&
				       last.event.src_tenant == 1 && last.event.dst_tenant == 1);
	check("at A's egress, under its word",
	      last.event.slot == 1 && last.event.dir == PK_EGRESS && last.event.peer_slot == 2 &&
		      last.event.revision == 5 && last.event.party == PK_PARTY_ENDPOINT);
	check("by the rule that let it",
	      last.event.rule == PK_RULE_SAME_TENANT && !last.event.reason &&
		      last.event.rank == PK_RANK(PK_TIER_BUILTIN, PK_KIND_ALLOW));
	check("the table is empty", !node_flows());
}

static void reset(void)
{
	start();
	connection();
	b(RST | ACK);
	pass(11, true);
	check("a reset is one", ends() == 1 && ended(PK_FLOW_END_RESET, 2, 2));
}

/* From the first packet to the last: what it rested before it went isn't counted. */
static void timed_out(void)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	start();
	node_from("A asks", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 99)), PK_REASON_OK);
	if (!find(&key, &flow))
		return;
	flow.begun -= 20 * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	pass(29, false);
	pass(2, true);
	check("a flow that nobody answered", ends() == 1 && ended(PK_FLOW_END_TIMEOUT, 1, 0));
	check("lived for as long as it had packets", last.seconds >= 19 && last.seconds <= 21);
}

static void shorter(struct pk_node *n)
{
	n->timeout[PK_TIMEOUT_UDP] = 2;
}

/* Time-outs that were changed lead to no time before the flow, or behind its end. */
static void bounded(void)
{
	start();
	node_from("A asks", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 99)), PK_REASON_OK);
	node_settings(shorter);
	pass(31, true);
	check("no flow lives longer than it did", ends() == 1 && last.seconds <= 32);
}

/* Its place is taken before user space comes: the new flow's processor tells. */
static void places(void)
{
	struct pk_flow_key keys[NODE_BUDGET];
	int fd = node_map("flows"), n = 0;
	struct pk_flow flow;

	start();
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("A's flows", 1, pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 99)), PK_REASON_OK);
	for (void *at = NULL; n < NODE_BUDGET && !bpf_map_get_next_key(fd, at, &keys[n]); n++)
		at = &keys[n];
	for (int i = 0; i < n; i++) { /* an update moves an entry */
		bpf_map_lookup_elem(fd, &keys[i], &flow);
		flow.expires -= 31 * node_hz();
		bpf_map_update_elem(fd, &keys[i], &flow, BPF_EXIST);
	}
	check("none is told yet", !ends());
	for (int i = 0; i < NODE_BUDGET; i++) {
		node_from("another one", 1, pkt_v4(WHO_A, WHO_B, UDP(2000 + i, 99)), PK_REASON_OK);
		check("tells of whose place it takes",
		      ends() == 1 && ended(PK_FLOW_END_TIMEOUT, 1, 0));
	}
}

static void anew(void)
{
	start();
	connection();
	a(FIN | ACK);
	a(SYN);
	check("a SYN on a connection that closes ends that",
	      ends() == 1 && ended(PK_FLOW_END_REPLACED, 3, 1));
	start();
	node_from("A asks a resolver", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), PK_REASON_OK);
	node_from("which answers", 2, pkt_v4(WHO_B, WHO_A, UDP(53, 40000)), PK_REASON_OK);
	pass(11, true);
	check("an answered question", ends() == 1 && ended(PK_FLOW_END_TIMEOUT, 1, 1));
}

static void endpoint_gone(void)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	start();
	connection();
	if (!find(&key, &flow))
		return;
	node_word(2, 1, TOLD, 0);
	check("B closes", reap(&key));
	check("its flows end with it", ends() == 1 && ended(PK_FLOW_END_ENDPOINT, 2, 1));
}

/* Who has the slot by now has no part in it: no name, no counter, no budget. */
static void slot_of_another(void)
{
	struct pk_flow_key key;
	struct pk_flow flow;
	struct pk_endpoint ep;

	start();
	connection();
	if (!find(&key, &flow))
		return;
	node_endpoint(2, &ep);
	ep.opened++;
	ep.identity = 999;
	ep.tenant = 9;
	node_endpoint_set(2, &ep);
	check("B's slot is another's", reap(&key));
	check("who isn't named", ends() == 1 && last.event.slot == 1 && !last.event.peer_slot &&
					 last.event.src_identity == 101 &&
					 !last.event.dst_identity && !last.event.dst_tenant);
}

static void revoked(void)
{
	struct pk_verdict_key deny = { .prefixlen = PK_VERDICT_BITS_DIR,
				       .rule_set = 3,
				       .class = PK_CLASS_SAME_TENANT,
				       .dir = PK_INGRESS };
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	start();
	connection();
	node_baseline(3);
	node_verdict(&deny, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 66);
	node_word(2, 3, TOLD, 6);
	node_from_at("policy denies it", 1, p, 2, PK_REASON_POLICY_DENIED);
	check("which isn't its end", !ends() && n_others == 1);
	node_from_at("as often as it is tried", 1, p, 2, PK_REASON_POLICY_DENIED);
	pass(21700, true);
	check("its end says so", ends() == 1 && ended(PK_FLOW_END_REVOKED, 2, 1));
	check("at B's ingress", last.event.reason == PK_REASON_POLICY_DENIED &&
					last.event.slot == 2 && last.event.dir == PK_INGRESS &&
					last.event.peer_slot == 1 && last.event.revision == 6);
	check("by that rule",
	      last.event.rule == 66 && last.event.rank == PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY));
}

/* As the world sees it, and as the endpoint behind a published port does. */
static void translated(void)
{
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 99));
	struct pkt in = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	struct pkt ping = pkt_v4(WHO_A, WHO_WORLD, PING(7));
	uint16_t port;

	start();
	check("A to the world", node_run(NODE_FROM, 1, &out, NULL) == 7 && node_flows() == 2);
	port = world_port(&out, 34);
	pass(31, true);
	check("is told from the node's port", ends() == 1 && ended(PK_FLOW_END_TIMEOUT, 1, 0) &&
						      between(WHO_HOST, port, WHO_WORLD, 99));
	check("to the world", last.event.party == PK_PARTY_WORLD && !last.event.dst_identity &&
				      last.event.src_identity == 101);
	check("its alias is gone", !node_flows());
	start();
	world_publish(0, 8080, 1, 80);
	check("the world to A", node_run(NODE_UP, 0, &in, NULL) == 7 && node_flows() == 2);
	pass(61, true);
	check("is told at A's own port, at its ingress",
	      ends() == 1 && between(WHO_WORLD, 50000, WHO_A, 80) && last.event.slot == 1 &&
		      last.event.dir == PK_INGRESS && !last.event.peer_slot);
	check("its alias is gone, too", !node_flows());
	start();
	check("A pings the world", node_run(NODE_FROM, 1, &ping, NULL) == 7);
	pass(31, true);
	check("which has a type in place of a port",
	      ends() == 1 && last.event.proto == 1 && last.event.dport == htons(8 << 8));
}

static void hosts(void)
{
	start();
	world_publish(0, 8080, 1, 80);
	node_to("the node to A", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)), PK_REASON_OK);
	pass(61, true);
	check("the node's own", ends() == 1 && last.event.party == PK_PARTY_HOST &&
					last.event.slot == 1 && last.event.dir == PK_INGRESS);
}

static void of_another_node(void)
{
	struct pk_remote peer = { .identity = 500, .tenant = 1 };
	union pk_addr v4 = pkt_ip4(WHO_WORLD);
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 99));

	start();
	bpf_map_update_elem(node_map("remote"), &v4, &peer, BPF_ANY);
	check("A to another node", node_run(NODE_FROM, 1, &out, NULL) == 7);
	pass(31, true);
	check("has that one's identity", ends() == 1 && last.event.dst_identity == 500 &&
						 last.event.dst_tenant == 1 &&
						 last.event.party == PK_PARTY_ENDPOINT);
	bpf_map_delete_elem(node_map("remote"), &v4);
}

static void deaf(struct pk_node *n)
{
	n->events = 0;
}

static void not_told(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 99));

	start();
	node_word(1, 1, 0, 6);
	node_word(2, 1, 0, 6);
	node_from("where no word asks for it", 1, p, PK_REASON_OK);
	pass(31, true);
	check("nothing is told", !ends());
	start();
	node_word(1, 1, 0, 6);
	node_from("where one end's does", 1, p, PK_REASON_OK);
	pass(31, true);
	check("it is", ends() == 1);
	start();
	node_from("where nobody listens", 1, p, PK_REASON_OK);
	node_settings(deaf);
	pass(31, true);
	check("nothing is", !ends() && !node_bucket(1, PK_BUCKET_EVENTS_LOST));
	start();
	p.b[22] = 1;
	pkt_seal(&p);
	node_from_told("a first packet that ends at the gateway", 1, p, 1, PK_EGRESS,
		       PK_REASON_TTL);
	check("was no flow", !ends() && !node_flows());
}

/* On the account of its owner; what it has no room for is counted, and said with the next one. */
static void budget(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 99));

	start();
	node_from("a flow of A's", 1, p, PK_REASON_OK);
	node_bucket_set(1, PK_BUCKET_EVENTS, 0, NODE_AHEAD);
	pass(31, true);
	check("without a budget nothing is told", !ends());
	check("it is counted", node_bucket(1, PK_BUCKET_EVENTS_LOST) == 1 && !node_flows());
	node_bucket_set(1, PK_BUCKET_EVENTS, 9, NODE_AHEAD);
	node_from("another", 1, p, PK_REASON_OK);
	pass(31, true);
	check("and said with the next", ends() == 1 && last.event.lost == 1);
	check("of nine tokens one is spent", node_bucket(1, PK_BUCKET_EVENTS) == 8);
	node_from("and another", 1, p, PK_REASON_OK);
	pass(31, true);
	check("once", ends() == 1 && !last.event.lost);
	check("the count of all stays", node_bucket(1, PK_BUCKET_EVENTS_LOST) == 1);
}

void cases_close(void)
{
	ring = ring_buffer__new(node_map("events"), heard, NULL, NULL);
	if (!check("the ring of events", ring))
		return;
	both_closed();
	reset();
	timed_out();
	bounded();
	places();
	anew();
	endpoint_gone();
	slot_of_another();
	revoked();
	translated();
	hosts();
	of_another_node();
	not_told();
	budget();
	ring_buffer__free(ring);
	node_reset();
}
