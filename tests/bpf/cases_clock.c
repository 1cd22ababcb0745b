// SPDX-License-Identifier: Apache-2.0
/*
 * To the jiffy: when a flow is over, when it is judged again, when its place may be taken. A scene
 * sets its moment from the clock and counts only where the clock stood still meanwhile.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>

#include "tests/bpf/node.h"

#define HZ     250 /* the test's rodata */
#define TRIES  10000
#define DENIED 2

static uint32_t now;	 /* of the scene */
static struct pk_flow f; /* what it found */

static struct pkt udp(uint16_t dport)
{
	return pkt_v4(WHO_A, WHO_B, UDP(40000, dport));
}

static struct pk_flow_key key_of(const struct pkt *p)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_A), .proto = p->b[23] };

	memcpy(&key.src.w[3], p->b + 26, 4);
	key.dst = pkt_destination(p);
	memcpy(&key.sport, p->b + 34, 4);
	return key;
}

static void get(const struct pkt *p)
{
	struct pk_flow_key key = key_of(p);

	memset(&f, 0, sizeof(f));
	bpf_map_lookup_elem(node_map("flows"), &key, &f);
}

static void put(const struct pkt *p)
{
	struct pk_flow_key key = key_of(p);

	bpf_map_update_elem(node_map("flows"), &key, &f, BPF_EXIST);
}

static bool passes(struct pkt p)
{
	return node_run(NODE_FROM, 1, &p, NULL) != DENIED;
}

/* Does the scene hold in a jiffy of its own? It begins with the tables as at first. */
static void at_once(const char *text, bool (*scene)(int), int jiffies)
{
	char line[96];
	bool holds = false;

	snprintf(line, sizeof(line), "%s: %d jiffies", text, jiffies);
	for (int i = 0; i < TRIES; i++) {
		node_reset();
		now = judge_clock();
		holds = scene(jiffies);
		if (judge_clock() == now)
			return (void)check(line, holds);
	}
	check(line, false);
}

/* A's flow ends so many jiffies from now. */
static bool lives(int jiffies)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	passes(p);
	get(&p);
	f.expires = now + (uint32_t)jiffies;
	put(&p);
	return passes(ack) == (jiffies >= 0 && jiffies <= (PK_FLOW_LONGEST + 60) * HZ);
}

static void rule(uint32_t class, uint8_t verdict)
{
	struct pk_verdict_key key = {
		.prefixlen = PK_VERDICT_BITS_DIR, .rule_set = 1, .class = class, .dir = PK_EGRESS
	};

	node_verdict(&key, verdict, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
}

/* A's flow to the host was judged so many jiffies ago, and is denied since. */
static bool judged(int jiffies)
{
	struct pkt p = pkt_v4(WHO_A, WHO_HOST, UDP(40000, 53));

	rule(PK_CLASS_HOST, PK_ALLOW);
	passes(p);
	get(&p);
	f.judged = now - (uint32_t)jiffies;
	put(&p);
	rule(PK_CLASS_HOST, PK_DENY);
	return passes(p) == (jiffies < HZ);
}

/* The same of a flow that the host began: its own packets don't have it judged sooner. */
static bool asked(int jiffies)
{
	struct pkt p = pkt_v4(WHO_HOST, WHO_A, UDP(40000, 53)), first = p, next = p;
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_HOST,
				      .dir = PK_INGRESS };
	const uint8_t rank = PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW);

	node_verdict(&key, PK_ALLOW, rank, 100);
	node_run(NODE_TO, 1, &first, NULL);
	get(&p);
	f.judged = now - (uint32_t)jiffies;
	put(&p);
	node_verdict(&key, PK_DENY, rank, 100);
	return (node_run(NODE_TO, 1, &next, NULL) != 2) == (jiffies < HZ);
}

/* An exchange that began so many jiffies ago goes on. */
static bool streams(int jiffies)
{
	struct pkt p = udp(9);
	struct pkt reply = pkt_v4(WHO_B, WHO_A, UDP(9, 40000));

	passes(p);
	node_run(NODE_FROM, 2, &reply, NULL);
	get(&p);
	f.begun = now - (uint32_t)jiffies;
	put(&p);
	passes(p);
	get(&p);
	return f.state == (jiffies > 2 * HZ ? PK_FLOW_STREAM : PK_FLOW_OPEN);
}

/* Who answers goes on, whoever began says nothing more: no stream. */
static void answers_alone(void)
{
	struct pkt p = udp(9), reply = pkt_v4(WHO_B, WHO_A, UDP(9, 40000));

	node_reset();
	passes(p);
	node_run(NODE_FROM, 2, &reply, NULL);
	get(&p);
	f.begun = now - 3 * HZ;
	put(&p);
	reply = pkt_v4(WHO_B, WHO_A, UDP(9, 40000));
	node_run(NODE_FROM, 2, &reply, NULL);
	get(&p);
	check("answers alone make no stream", f.state == PK_FLOW_OPEN && f.packets[1] == 2);
}

/* What isn't answered isn't open, however often it is sent. */
static void asks_alone(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));

	node_reset();
	passes(p);
	passes(pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)));
	get(&p);
	check("a connection that isn't answered isn't open",
	      f.state == PK_FLOW_NEW && f.packets[0] == 2);
}

/* The place of what has closed is looked at next; one that closes still has its own. */
static void hint(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));

	node_reset();
	passes(p);
	get(&p);
	node_bucket_set(1, PK_BUCKET_CLOSED, 77, 0);
	passes(pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)));
	check("a half-closed connection isn't looked at", node_bucket(1, PK_BUCKET_CLOSED) == 77);
	passes(pkt_v4(WHO_A, WHO_B, TCP(40000, 80, RST)));
	check("the place of a closed one is",
	      node_bucket(1, PK_BUCKET_CLOSED) == f.place - NODE_BUDGET);
}

/* The time-out was written so many jiffies ago. */
static bool refreshed(int jiffies)
{
	struct pkt p = udp(9);
	uint32_t was;

	passes(p);
	get(&p);
	was = f.expires = now + 30 * HZ - (uint32_t)jiffies;
	put(&p);
	passes(p);
	get(&p);
	return f.expires == (jiffies >= HZ ? now + 30 * HZ : was);
}

static void one_place(void)
{
	struct pk_endpoint ep;

	node_endpoint(1, &ep);
	ep.flow_budget = 1;
	node_endpoint_set(1, &ep);
}

/* A's only place has a flow that was revoked so many jiffies ago. */
static bool revoked(int jiffies)
{
	struct pkt p = udp(9);

	one_place();
	passes(p);
	get(&p);
	f.reason = PK_REASON_POLICY_DENIED;
	f.revoked = now - (uint32_t)jiffies;
	put(&p);
	return passes(udp(10)) == (jiffies > 10 * HZ);
}

/* A's only place has the flow of this packet, in that state, for so many jiffies more. */
static bool place_is_free(struct pkt p, enum pk_flow_state state, int jiffies)
{
	one_place();
	passes(p);
	get(&p);
	f.state = state;
	f.expires = now + (uint32_t)jiffies;
	put(&p);
	return passes(udp(10));
}

/* An answered DNS question gives its place up once it has less than 8 s. */
static bool answered(int jiffies)
{
	return place_is_free(udp(53), PK_FLOW_OPEN, jiffies) == (jiffies < 8 * HZ);
}

/* The same, but no question, or none that was answered: it keeps its place to the end. */
static bool other_port(int jiffies)
{
	return !place_is_free(udp(54), PK_FLOW_OPEN, jiffies);
}

static bool unanswered(int jiffies)
{
	return !place_is_free(udp(53), PK_FLOW_NEW, jiffies);
}

static bool stream_of_dns(int jiffies)
{
	return !place_is_free(udp(53), PK_FLOW_STREAM, jiffies);
}

static bool dns_over_tcp(int jiffies)
{
	return !place_is_free(pkt_v4(WHO_A, WHO_B, TCP(40000, 53, SYN)), PK_FLOW_OPEN, jiffies);
}

static void many_places(struct pk_node *n)
{
	n->flow_budget = NODE_PLACES;
}

/* A's many places are all being taken; it found so so many jiffies ago, and one is free again. */
static bool rested(int jiffies)
{
	struct pk_flow_key busy = { .zone = PK_PLACE_BUSY }, free = { .zone = 0 };
	uint32_t slot = 1, at = NODE_PLACES + 5;
	struct pk_bucket b;

	node_settings(many_places);
	for (uint32_t i = NODE_PLACES; i < 2 * NODE_PLACES; i++)
		bpf_map_update_elem(node_map("places"), &i, &busy, BPF_ANY);
	if (passes(udp(9)))
		return false;
	bpf_map_lookup_elem(node_map("buckets"), &slot, &b);
	if (b.tokens[PK_BUCKET_FULL + PK_EGRESS] != (now | PK_PLACES_FULL))
		return false;
	b.tokens[PK_BUCKET_FULL + PK_EGRESS] = (now - (uint32_t)jiffies) | PK_PLACES_FULL;
	bpf_map_update_elem(node_map("buckets"), &slot, &b, BPF_ANY);
	bpf_map_update_elem(node_map("places"), &at, &free, BPF_ANY);
	return passes(udp(9)) == (jiffies >= NODE_PLACES * 25 / 4000);
}

void cases_clock(void)
{
	hint();
	answers_alone();
	asks_alone();
	const int longest = (PK_FLOW_LONGEST + 60) * HZ;

	at_once("a flow that ends now", lives, 0);
	at_once("a flow that has ended", lives, -1);
	at_once("a flow with as much time as any", lives, longest);
	at_once("a flow with more time than any", lives, longest + 1);
	for (int i = -1; i <= 1; i++) {
		at_once("a judgement that is old", judged, HZ + i);
		at_once("a judgement of what the host began", asked, HZ + i);
		at_once("an exchange that goes on", streams, 2 * HZ + i);
		at_once("a time-out that was written", refreshed, HZ + i);
		at_once("a revoked flow's place", revoked, 10 * HZ + i);
		at_once("an answered question's place", answered, 8 * HZ + i);
		at_once("a full endpoint's rest", rested, NODE_PLACES * 25 / 4000 + i);
	}
	at_once("another answered flow's place", other_port, 1);
	at_once("an open question's place", unanswered, 1);
	at_once("a stream's place, whatever its port", stream_of_dns, 1);
	at_once("a connection's place, whatever its port", dns_over_tcp, 1);
	node_reset();
}
