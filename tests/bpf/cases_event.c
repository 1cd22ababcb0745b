// SPDX-License-Identifier: Apache-2.0
/* What is told of a decision, field by field, and to whom it is told how often. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <stdlib.h>

#include "picket/event.h"
#include "picket/query.h"
#include "tests/bpf/world.h"

static struct ring_buffer *ring;
static struct pk_event last;
static int n_events, n_lost; /* told, and said to be lost before one that is told */

static int heard(void *count, void *data, size_t size)
{
	++*(int *)count;
	if (size == sizeof(last))
		memcpy(&last, data, size);
	n_lost += last.lost;
	return 0;
}

/* How many events came since; the last one is in `last`. */
static int events(void)
{
	n_events = n_lost = 0;
	memset(&last, 0, sizeof(last));
	ring_buffer__consume(ring);
	return n_events;
}

static void forget_tenants(void)
{
	uint64_t nothing = 0;

	for (uint32_t i = 0; i < 1024; i++)
		bpf_map_update_elem(node_map("tenant_events"), &i, &nothing, BPF_ANY);
}

static void start(void)
{
	node_reset();
	forget_tenants();
	events();
}

static void deny(uint32_t rule_set, enum pk_dir dir, uint32_t rule)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = rule_set,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = dir };

	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), rule);
}

/* The addresses, ports and protocol of the packet. */
static bool is_about(const struct pk_event *e, const struct pkt *p, enum who from, enum who to)
{
	union pk_addr src = pkt_ip4(from), dst = pkt_ip4(to);

	return e->version == PK_EVENT_VERSION && !memcmp(&e->src, &src, sizeof(src)) &&
	       !memcmp(&e->dst, &dst, sizeof(dst)) && e->proto == p->b[23] &&
	       e->ethertype == 0x0800 && e->length == p->len && e->ns;
}

static bool is_at(const struct pk_event *e, uint32_t slot, enum pk_dir dir, uint32_t peer)
{
	return e->slot == slot && e->dir == dir && e->peer_slot == peer;
}

static bool between(const struct pk_event *e, uint32_t src, uint32_t src_tenant, uint32_t dst,
		    uint32_t dst_tenant)
{
	return e->src_identity == src && e->src_tenant == src_tenant && e->dst_identity == dst &&
	       e->dst_tenant == dst_tenant;
}

static void denied_at_egress(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_C, TCP(40000, 80, SYN));

	start();
	node_word(1, 1, 0, 77);
	node_from("A to another tenant", 1, p, PK_REASON_POLICY_DENIED);
	check("one event", events() == 1);
	check("denied by the default", last.type == PK_EVENT_DENIED &&
					       last.reason == PK_REASON_POLICY_DENIED &&
					       last.rule == PK_RULE_DEFAULT && !last.rank);
	check("of that packet", is_about(&last, &p, WHO_A, WHO_C) && last.sport == htons(40000) &&
					last.dport == htons(80) && last.tcp_flags == SYN);
	check("at A's egress, to C",
	      is_at(&last, 1, PK_EGRESS, 3) && between(&last, 101, 1, 103, 2));
	check("under A's word", last.revision == 77 && last.party == PK_PARTY_ENDPOINT);
	check("none was lost", !last.lost);
}

static void denied_at_ingress(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	start();
	node_baseline(3);
	deny(3, PK_INGRESS, 64);
	node_word(2, 3, 0, 5);
	node_from_at("A to B, which takes nothing", 1, p, 2, PK_REASON_POLICY_DENIED);
	check("one event", events() == 1);
	check("at B's ingress, from A",
	      is_at(&last, 2, PK_INGRESS, 1) && between(&last, 101, 1, 102, 1));
	check("by that rule", last.rule == 64 && !last.tcp_flags &&
				      last.rank == PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY));
}

static void denied_from_the_host(void)
{
	struct pkt p = pkt_v4(WHO_HOST, WHO_A, TCP(40000, 8080, SYN));

	start();
	node_to("the host to A", 1, p, PK_REASON_POLICY_DENIED);
	check("one event", events() == 1);
	check("at A's ingress, from no endpoint",
	      is_at(&last, 1, PK_INGRESS, 0) && between(&last, 0, 0, 101, 1));
	check("of the host's packet", is_about(&last, &p, WHO_HOST, WHO_A) &&
					      last.party == PK_PARTY_HOST &&
					      last.sport == htons(40000));
}

/* What has no ports has its type and code where a port would be. */
static void denied_ping(void)
{
	start();
	node_from("A pings another tenant", 1, pkt_v4(WHO_A, WHO_C, PING(7)),
		  PK_REASON_POLICY_DENIED);
	check("its type in the destination port",
	      events() == 1 && last.dport == htons(8 << 8) && last.sport == htons(7));
}

static void not_about_policy(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	start();
	p.b[11]++;
	node_from("a foreign MAC", 1, p, PK_REASON_SPOOFED_MAC);
	check("is told with no rule",
	      events() == 1 && last.reason == PK_REASON_SPOOFED_MAC && last.rule == PK_RULE_NONE);
}

static void audited(uint32_t flags, uint8_t audit, bool told)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_INGRESS };
	struct pk_verdict_value v = {
		.live = { PK_ALLOW, PK_RANK(PK_TIER_TENANT, PK_KIND_ALLOW), 0, 70 },
		.audit = { audit, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 0, 71 },
	};

	start();
	bpf_map_update_elem(node_map("verdicts"), &key, &v, BPF_ANY);
	node_word(2, 1, flags, 2);
	node_from("A to B, which an audited document judges too", 1,
		  pkt_v4(WHO_A, WHO_B, UDP(40000, 53)), PK_REASON_OK);
	check("is told where the two differ and somebody asks", events() == told);
	if (told)
		check("with both judgements",
		      last.type == PK_EVENT_AUDIT && !last.reason && last.audit_rule == 71 &&
			      last.audit_verdict == PK_DENY &&
			      last.audit_rank == PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY));
	node_word(2, 1, flags, 3);
	node_from("the same once more, judged again", 1, pkt_v4(WHO_A, WHO_B, UDP(40000, 53)),
		  PK_REASON_OK);
	check("is told as often", events() == told && (!told || last.type == PK_EVENT_AUDIT));
}

static void logged(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	start();
	node_from("a new flow that nobody asked for", 1, p, PK_REASON_OK);
	check("isn't told", !events());
	start();
	node_word(1, 1, PK_WORD_LOG_NEW, 2);
	node_from("a new flow where each is to be told", 1, p, PK_REASON_OK);
	check("is told, once for both ends", events() == 1 && last.type == PK_EVENT_ALLOWED &&
						     !last.reason && is_at(&last, 1, PK_EGRESS, 2));
	node_from("its next packet", 1, ack, PK_REASON_OK);
	node_word(1, 1, PK_WORD_LOG_NEW, 3);
	node_from("and one that is judged again", 1, ack, PK_REASON_OK);
	check("aren't", !events());
	start();
	node_word(2, 1, PK_WORD_LOG_NEW, 2);
	node_from("a new flow to who has it told", 1, p, PK_REASON_OK);
	check("is told", events() == 1 && last.type == PK_EVENT_ALLOWED);
}

/* Translated and not: who is on the other side of a flow. */
static void other_side(void)
{
	struct pkt p = world_to_node(WHO_A, TCP(50000, 8080, SYN));

	world_start();
	forget_tenants();
	world_publish(0, 8080, 2, 80);
	check("A by B's published port", node_run(NODE_FROM, 1, &p, NULL) == 7);
	p = world_to_node(WHO_A, TCP(50000, 8080, ACK));
	p.b[22] = 1;
	pkt_seal(&p);
	events();
	node_run(NODE_FROM, 1, &p, NULL);
	check("its last hop's end isn't the world's",
	      events() == 1 && last.reason == PK_REASON_TTL && last.party != PK_PARTY_WORLD);
	p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	check("A to the world", node_run(NODE_FROM, 1, &p, NULL) == 7);
	p = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK));
	p.b[22] = 1;
	pkt_seal(&p);
	node_run(NODE_FROM, 1, &p, NULL);
	check("this one is",
	      events() == 1 && last.reason == PK_REASON_TTL && last.party == PK_PARTY_WORLD);
}

static void revoked(void)
{
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	start();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	deny(1, PK_EGRESS, 66);
	node_word(1, 1, 0, 2);
	node_from("its flow is revoked", 1, ack, PK_REASON_POLICY_DENIED);
	check("which is told", events() == 1 && last.type == PK_EVENT_REVOKED &&
				       last.reason == PK_REASON_POLICY_DENIED && last.rule == 66);
	node_from("and stays denied", 1, ack, PK_REASON_POLICY_DENIED);
	check("as that", events() == 1 && last.type == PK_EVENT_DENIED && last.rule == 66);
	node_word(1, 1, 0, 3);
	node_from("judged again", 1, ack, PK_REASON_POLICY_DENIED);
	check("it isn't revoked twice", events() == 1 && last.type == PK_EVENT_DENIED);
}

static void deaf(struct pk_node *n)
{
	n->events = 0;
}

static void spoofed(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(40000, 53));

	p.b[11]++;
	node_run(NODE_FROM, 1, &p, NULL);
}

static void budget(void)
{
	uint32_t slot = 1;
	struct pk_bucket b;

	start();
	node_settings(deaf);
	spoofed();
	check("a node that nobody listens to tells nothing", !events());
	start();
	spoofed();
	check("an endpoint's event", events() == 1);
	check("of a burst of 200", node_bucket(1, PK_BUCKET_EVENTS) == 199);
	node_bucket_set(1, PK_BUCKET_EVENTS, 3, NODE_AHEAD);
	for (int i = 0; i < 5; i++)
		spoofed();
	check("an endpoint tells as many as its bucket holds", events() == 3);
	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	check("what was over it is counted", b.tokens[PK_BUCKET_EVENTS_LOST] == 2);
	b.tokens[PK_BUCKET_EVENTS] = 0;
	bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
	spoofed();
	check("and said with the next one", events() == 1 && n_lost == 2);
	spoofed();
	check("once", events() == 1 && !n_lost);
}

/* No time passes for the tenant's share of the events. */
static void hold_tenant(uint32_t tenant)
{
	uint64_t share;

	bpf_map_lookup_elem(node_map("tenant_events"), &tenant, &share);
	if (share) /* 0 is a whole burst */
		share = node_tokens((uint32_t)share, NODE_AHEAD);
	bpf_map_update_elem(node_map("tenant_events"), &tenant, &share, BPF_ANY);
}

/* Of the unread ring, as many events as the sender gets in; its own budget is none. */
static int fill(uint32_t slot, enum who from, uint32_t tenant)
{
	uint64_t told = 0, lost;
	struct pk_bucket b = { 0 };

	for (int i = 0; i < 3000; i++) {
		struct pkt p = pkt_v4(from, WHO_NOBODY, UDP(40000, 53));

		bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
		p.b[11]++;
		hold_tenant(tenant);
		node_run(NODE_FROM, slot, &p, NULL);
		bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
		lost = b.tokens[PK_BUCKET_EVENTS_LOST];
		b = (struct pk_bucket){ 0 };
		told += !lost;
	}
	return (int)told;
}

/*
 * 2,340 events are in the ring, which nobody reads now. Of its burst of 1,000 a tenant must keep
 * the part of it that the ring is full, its own events counted.
 */
static int share_of(int filled)
{
	return (1000 - filled * 1000 / 2340) * 2340 / 3340;
}

static void fair(void)
{
	int first, second, other;

	start();
	first = fill(1, WHO_A, 1);
	check("one tenant takes less than a third of the ring at once",
	      abs(first - share_of(0)) < 20);
	second = fill(2, WHO_B, 1);
	check("its other endpoint takes no more", second < 10);
	other = fill(3, WHO_C, 2);
	check("another tenant finds room", abs(other - share_of(first + second)) < 20);
	check("all of them are there", events() == first + second + other);
}

/* A translated packet is told as its receiver gets it, or as the world sees it. */
static void translated(void)
{
	struct pkt in = world_to_node(WHO_WORLD, TCP(50000, 8080, SYN));
	struct pkt out = pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));

	world_start();
	world_publish(0, 8080, 1, 80);
	node_word(1, 1, PK_WORD_LOG_NEW | PK_WORD_MASQUERADE, 2);
	events();
	check("a published port is reached", node_run(NODE_UP, 0, &in, NULL) == 7);
	check("told at the endpoint's own port",
	      events() == 1 && last.type == PK_EVENT_ALLOWED && last.sport == htons(50000) &&
		      last.dport == htons(80) && is_about(&last, &in, WHO_WORLD, WHO_A));
	check("the world is reached", node_run(NODE_FROM, 1, &out, NULL) == 7);
	check("told from the node's port",
	      events() == 1 && last.sport == htons(world_port(&out, 34)) &&
		      last.dport == htons(53) && is_about(&last, &out, WHO_HOST, WHO_WORLD));
}

/* Strangers have an endpoint answer what gave way: that is counted, and told of nobody. */
static void of_strangers(void)
{
	struct node_meta world = { .ingress_ifindex = 1 };
	struct expect e = { "the world's answer to nothing", PK_REASON_NO_FLOW, 1, PK_INGRESS,
			    false };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, SYN | ACK));

	start();
	node_from("A's answer to nobody", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)),
		  PK_REASON_NO_FLOW);
	check("isn't told", !events());
	node_from("its ACK", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, ACK)), PK_REASON_NO_FLOW);
	check("is", events() == 1 && last.reason == PK_REASON_NO_FLOW);
	node_expect(&e, NODE_TO, 1, &p, &world);
	check("is told", events() == 1 && last.reason == PK_REASON_NO_FLOW);
}

void cases_event(void)
{
	ring = ring_buffer__new(node_map("events"), heard, &n_events, NULL);
	if (!check("the ring of events", ring))
		return;
	denied_at_egress();
	denied_at_ingress();
	denied_from_the_host();
	denied_ping();
	not_about_policy();
	other_side();
	of_strangers();
	audited(PK_WORD_AUDIT, PK_DENY, true);
	audited(PK_WORD_AUDIT | PK_WORD_LOG_NEW, PK_DENY, true);
	audited(PK_WORD_AUDIT, PK_ALLOW, false);
	audited(0, PK_DENY, false);
	logged();
	translated();
	revoked();
	budget();
	fair();
	ring_buffer__free(ring);
}
