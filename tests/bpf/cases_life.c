// SPDX-License-Identifier: Apache-2.0
/* How long flows live, as people use them; whom a denied packet's sender hears of it from. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/node.h"

#define HZ 250 /* the test's rodata */
#define L3 14

static struct pk_flow_key key_of(const struct pkt *p, enum who from, enum who to)
{
	struct pk_flow_key key = { .src = pkt_ip4(from), .dst = pkt_ip4(to), .proto = p->b[23] };

	memcpy(&key.sport, p->b + 34, 4);
	if (key.proto == 1) { /* an echo's id, on both sides */
		memcpy(&key.sport, p->b + 38, 2);
		key.dport = key.sport;
	}
	return key;
}

/* The flow of p is as if that many seconds had gone by. */
static struct pk_flow age(const struct pkt *p, enum who from, enum who to, uint32_t seconds)
{
	struct pk_flow_key key = key_of(p, from, to);
	struct pk_flow flow = { 0 };

	if (!check("the flow is there", !bpf_map_lookup_elem(node_map("flows"), &key, &flow)))
		return flow;
	flow.expires -= seconds * HZ;
	flow.begun -= seconds * HZ;
	if (flow.reason)
		flow.revoked -= seconds * HZ;
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	return flow;
}

/* Seconds that the flow of p would still live without a packet. */
static int left(const struct pkt *p, enum who from, enum who to)
{
	struct pk_flow_key key = key_of(p, from, to);
	struct pk_flow flow, clock;
	struct pkt tick = pkt_v4(WHO_C, WHO_C, UDP(7, 7));
	struct pk_flow_key tick_key = key_of(&tick, WHO_C, WHO_C);

	node_run(NODE_FROM, 3, &tick, NULL);
	if (bpf_map_lookup_elem(node_map("flows"), &key, &flow) ||
	    bpf_map_lookup_elem(node_map("flows"), &tick_key, &clock))
		return -1;
	bpf_map_delete_elem(node_map("flows"), &tick_key);
	return (int)(flow.expires - clock.begun + HZ / 2) / HZ;
}

static void deny_all(uint32_t revision)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = 1,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_EGRESS };

	node_verdict(&key, PK_DENY, PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY), 100);
	node_word(1, 1, 0, revision);
}

/* nc -N, ssh, a dump: one side has sent all that it has, the other goes on. */
static void half_closed(void)
{
	struct pkt data = pkt_v4(WHO_B, WHO_A, TCP(80, 40000, ACK));
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	node_reset();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_from("A has sent all", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)),
		  PK_REASON_OK);
	for (int minute = 0; minute < 5; minute++) {
		age(&ack, WHO_A, WHO_B, 100);
		node_from("B goes on for minutes", 2, data, PK_REASON_OK);
		node_from("and A acknowledges", 1, ack, PK_REASON_OK);
	}
	age(&ack, WHO_A, WHO_B, 121);
	node_from("two minutes without a packet end it", 2, data, PK_REASON_NO_FLOW);
}

static uint8_t state(const struct pkt *p, enum who from, enum who to)
{
	return age(p, from, to, 0).state;
}

/* Both FINs, or a RST: what is still on its way doesn't keep it. */
static void closed_runs_out(void)
{
	struct pkt ack = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	node_reset();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B resets", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, RST)), PK_REASON_OK);
	age(&ack, WHO_A, WHO_B, 6);
	node_from("a late ACK passes", 1, ack, PK_REASON_OK);
	age(&ack, WHO_A, WHO_B, 6);
	node_from("but keeps nothing", 1, ack, PK_REASON_NO_FLOW);
	node_from("A opens again", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B resets again", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, RST)), PK_REASON_OK);
	node_from("a late FIN passes", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)),
		  PK_REASON_OK);
	check("and opens nothing again",
	      state(&ack, WHO_A, WHO_B) == PK_FLOW_CLOSED && left(&ack, WHO_A, WHO_B) == 10);
}

/*
 * A RST from outside: anybody there can write its addresses. It closes where the endpoint falls
 * silent; where its stack goes on, since the sequence number was wrong, so does the flow.
 */
static void reset_from_outside(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, SYN));
	struct pkt ack = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK));
	struct pkt data = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, ACK));
	struct pkt rst = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, RST));
	struct node_meta world = { .ingress_ifindex = 1 };
	struct expect e = { "the world answers", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, SYN | ACK));

	node_reset();
	node_from("A opens to the world", 1, syn, PK_REASON_OK);
	node_expect(&e, NODE_TO, 1, &p, &world);
	e.text = "a RST from outside passes";
	p = rst;
	node_expect(&e, NODE_TO, 1, &p, &world);
	check("the flow is to end",
	      state(&ack, WHO_A, WHO_WORLD) == PK_FLOW_RESET && left(&ack, WHO_A, WHO_WORLD) == 10);
	e.text = "what else comes from there passes";
	p = data;
	node_expect(&e, NODE_TO, 1, &p, &world);
	check("and proves nothing", state(&ack, WHO_A, WHO_WORLD) == PK_FLOW_RESET);
	age(&ack, WHO_A, WHO_WORLD, 5);
	node_from("A's stack knows better and goes on", 1, ack, PK_REASON_OK);
	check("so does the flow", state(&ack, WHO_A, WHO_WORLD) == PK_FLOW_OPEN &&
					  left(&ack, WHO_A, WHO_WORLD) == 21600);
	p = rst;
	e.text = "another RST";
	node_expect(&e, NODE_TO, 1, &p, &world);
	age(&ack, WHO_A, WHO_WORLD, 11);
	node_from("A was silent for ten seconds", 1, ack, PK_REASON_NO_FLOW);
	node_reset();
	node_from("A opens again", 1, syn, PK_REASON_OK);
	p = rst;
	e.text = "is refused";
	node_expect(&e, NODE_TO, 1, &p, &world);
	node_from("and tries again at once", 1, syn, PK_REASON_OK);
	check("a new flow", state(&ack, WHO_A, WHO_WORLD) == PK_FLOW_NEW);
	node_from("A's own RST may answer a stranger", 1,
		  pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, RST)), PK_REASON_OK);
	check("the flow is to end, too",
	      state(&ack, WHO_A, WHO_WORLD) == PK_FLOW_RESET && left(&ack, WHO_A, WHO_WORLD) == 10);
}

/* A place whose flow was reset from outside is another's once its endpoint was silent for a second. */
static void reset_gives_its_place(void)
{
	struct node_meta world = { .ingress_ifindex = 1 };
	struct expect e = { "a RST from outside", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt ack = pkt_v4(WHO_A, WHO_WORLD, TCP(40000, 443, ACK)), p;

	node_reset();
	for (uint16_t i = 0; i < NODE_BUDGET; i++)
		node_from("a place of the budget", 1,
			  pkt_v4(WHO_A, WHO_WORLD, TCP(40000 + i, 443, SYN)), PK_REASON_OK);
	p = pkt_v4(WHO_WORLD, WHO_A, TCP(443, 40000, RST));
	node_expect(&e, NODE_TO, 1, &p, &world);
	node_from("it may still be contradicted", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(41000, 443, SYN)),
		  PK_REASON_FLOW_BUDGET);
	age(&ack, WHO_A, WHO_WORLD, 2);
	usleep(20000); /* the search for a place rests for a moment */
	node_from("its place is another's", 1, pkt_v4(WHO_A, WHO_WORLD, TCP(41000, 443, SYN)),
		  PK_REASON_OK);
}

/* A client that crashed takes the same port again: that connection is a new one. */
static void syn_on_closing(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_from("and closes its half", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, FIN | ACK)),
		  PK_REASON_OK);
	node_from("A begins anew", 1, syn, PK_REASON_OK);
	check("a flow of its own, with a SYN's time", left(&syn, WHO_A, WHO_B) == 60);
	deny_all(1); /* without a new revision: only a new judgement sees it */
	node_from("B closes its half of the second", 2,
		  pkt_v4(WHO_B, WHO_A, TCP(80, 40000, FIN | ACK)), PK_REASON_OK);
	node_from("a third one is judged as new", 1, syn, PK_REASON_POLICY_DENIED);
}

static void times(void)
{
	struct pkt udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 9));
	struct pkt dns = pkt_v4(WHO_A, WHO_B, UDP(40001, 53));

	node_reset();
	node_from("UDP", 1, udp, PK_REASON_OK);
	check("lives half a minute", left(&udp, WHO_A, WHO_B) == 30);
	node_from("its answer", 2, pkt_v4(WHO_B, WHO_A, UDP(9, 40000)), PK_REASON_OK);
	check("doesn't make it a stream", left(&udp, WHO_A, WHO_B) == 30);
	node_from("nor does more at once", 1, udp, PK_REASON_OK);
	check("it lives as long", left(&udp, WHO_A, WHO_B) == 30);
	age(&udp, WHO_A, WHO_B, 3);
	node_from("what goes on after two seconds is a stream", 1, udp, PK_REASON_OK);
	check("and lives three minutes", left(&udp, WHO_A, WHO_B) == 180);
	node_from("a DNS question", 1, dns, PK_REASON_OK);
	node_from("and its answer", 2, pkt_v4(WHO_B, WHO_A, UDP(53, 40001)), PK_REASON_OK);
	check("is over in ten seconds", left(&dns, WHO_A, WHO_B) == 10);
}

static void other_times(struct pk_node *n)
{
	for (uint32_t i = 0; i < PK_TIMEOUT_COUNT; i++)
		n->timeout[i] = 1000 + i;
}

/* Does the flow of p live as long as its time-out says? */
static void lives(const char *text, const struct pkt *p, enum pk_timeout timeout)
{
	check(text, left(p, WHO_A, WHO_B) == 1000 + (int)timeout);
}

/* Each state has its own setting, which holds from the next packet on. */
static void settings(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt udp = pkt_v4(WHO_A, WHO_B, UDP(40000, 9));
	struct pkt dns = pkt_v4(WHO_A, WHO_B, UDP(40001, 53));
	struct pkt echo = pkt_v4(WHO_A, WHO_B, PING(7));
	struct pkt sctp = pkt_v4(WHO_A, WHO_B, (struct l4){ 132, 40000, 9, 0, 12 });

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	check("as long as ever", left(&syn, WHO_A, WHO_B) == 60);
	node_settings(other_times);
	node_from("the SYN again", 1, syn, PK_REASON_OK);
	lives("a connection that isn't answered", &syn, PK_TIMEOUT_TCP_OPENING);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	lives("an answer that isn't acknowledged", &syn, PK_TIMEOUT_TCP_OPENING);
	node_from("A acknowledges", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK)), PK_REASON_OK);
	lives("one that is open", &syn, PK_TIMEOUT_TCP_OPEN);
	node_from("A closes", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, FIN | ACK)), PK_REASON_OK);
	lives("one that a side has closed", &syn, PK_TIMEOUT_TCP_CLOSING);
	node_from("B closes", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, FIN | ACK)), PK_REASON_OK);
	lives("one that is closed", &syn, PK_TIMEOUT_TCP_CLOSED);
	node_from("UDP", 1, udp, PK_REASON_OK);
	lives("UDP", &udp, PK_TIMEOUT_UDP);
	node_from("its answer", 2, pkt_v4(WHO_B, WHO_A, UDP(9, 40000)), PK_REASON_OK);
	age(&udp, WHO_A, WHO_B, 3);
	node_from("it goes on", 1, udp, PK_REASON_OK);
	lives("UDP that goes on", &udp, PK_TIMEOUT_UDP_STREAM);
	node_from("a DNS question", 1, dns, PK_REASON_OK);
	lives("DNS is UDP", &dns, PK_TIMEOUT_UDP);
	node_from("its answer", 2, pkt_v4(WHO_B, WHO_A, UDP(53, 40001)), PK_REASON_OK);
	lives("until it is answered", &dns, PK_TIMEOUT_DNS);
	node_from("an echo", 1, echo, PK_REASON_OK);
	lives("an echo", &echo, PK_TIMEOUT_ICMP);
	node_from("SCTP", 1, sctp, PK_REASON_OK);
	lives("another protocol", &sctp, PK_TIMEOUT_OTHER);
	node_from("its answer", 2, pkt_v4(WHO_B, WHO_A, (struct l4){ 132, 9, 40000, 0, 12 }),
		  PK_REASON_OK);
	age(&sctp, WHO_A, WHO_B, 3);
	node_from("it goes on", 1, sctp, PK_REASON_OK);
	lives("another protocol that goes on", &sctp, PK_TIMEOUT_OTHER_STREAM);
}

/* A rule revoked under a busy endpoint: after ten seconds its dead flows hold no place. */
static void revoked_places(void)
{
	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("A's connections", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)),
			  PK_REASON_OK);
	deny_all(2);
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("are revoked", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, ACK)),
			  PK_REASON_POLICY_DENIED);
	node_from("their places are kept for a revert", 1, pkt_v4(WHO_A, WHO_A, UDP(9, 9)),
		  PK_REASON_FLOW_BUDGET);
	for (int i = 0; i < NODE_BUDGET; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, ACK));

		age(&p, WHO_A, WHO_B, 11);
		node_from("denied packets keep nothing", 1, p, PK_REASON_POLICY_DENIED);
	}
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("ten seconds later they are taken", 1,
			  pkt_v4(WHO_A, WHO_A, UDP(1000 + i, 9)), PK_REASON_OK);
}

/*
 * The budget that is configured is the budget that works.
 * P58: with all of its places taken, ten budgets of connections that each close are not denied once.
 */
static void every_place(void)
{
	struct pkt gone = pkt_v4(WHO_A, WHO_B, TCP(1005, 80, RST));

	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++)
		node_from("A's connections, to the last place", 1,
			  pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)), PK_REASON_OK);
	for (int i = 0; i < 10 * NODE_BUDGET; i++) {
		node_from("one of them closes", 1, gone, PK_REASON_OK);
		gone = pkt_v4(WHO_A, WHO_B, TCP(2000 + i, 80, RST));
		node_from("the next one finds its place", 1,
			  pkt_v4(WHO_A, WHO_B, TCP(2000 + i, 80, SYN)), PK_REASON_OK);
	}
}

/* A resolver's answered questions hold nobody up, long before their time is over. */
static void answered_questions(void)
{
	node_reset();
	for (int i = 0; i < NODE_BUDGET; i++) {
		node_from("a question", 1, pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 53)), PK_REASON_OK);
		node_from("its answer", 2, pkt_v4(WHO_B, WHO_A, UDP(53, 1000 + i)), PK_REASON_OK);
	}
	node_from("one more at once", 1, pkt_v4(WHO_A, WHO_B, UDP(2000, 53)),
		  PK_REASON_FLOW_BUDGET);
	for (int i = 0; i < NODE_BUDGET; i++) {
		struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(1000 + i, 53));

		age(&p, WHO_A, WHO_B, 3);
	}
	node_from("a late answer still passes", 2, pkt_v4(WHO_B, WHO_A, UDP(53, 1000)),
		  PK_REASON_OK);
	for (int i = 1; i < NODE_BUDGET; i++)
		node_from("the others' places are taken", 1,
			  pkt_v4(WHO_A, WHO_B, UDP(3000 + i, 53)), PK_REASON_OK);
}

/* Both ends open at once. */
static void crossed(void)
{
	node_reset();
	node_from("A's SYN", 1, pkt_v4(WHO_A, WHO_B, TCP(500, 501, SYN)), PK_REASON_OK);
	node_from("B's SYN crosses it", 2, pkt_v4(WHO_B, WHO_A, TCP(501, 500, SYN)), PK_REASON_OK);
	check("one flow", node_flows() == 1);
	node_from("A answers", 1, pkt_v4(WHO_A, WHO_B, TCP(500, 501, SYN | ACK)), PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(501, 500, SYN | ACK)), PK_REASON_OK);
	check("still one", node_flows() == 1);
	node_from("another SYN of B's rides no reply's way", 2,
		  pkt_v4(WHO_B, WHO_A, TCP(501, 500, SYN)), PK_REASON_OK);
	check("it is B's own", node_flows() == 2);
}

/* A table that names the wrong receiver delivers nothing. */
static void wrong_receiver(void)
{
	union pk_addr b = pkt_ip4(WHO_B);
	struct pk_local wrong = { 3, 103, 2, 0 };
	struct pk_endpoint ep;

	node_reset();
	bpf_map_update_elem(node_map("by_address"), &b, &wrong, BPF_ANY);
	node_word(3, 1, 0, 2);
	node_endpoint(3, &ep);
	ep.tenant = 1;
	node_endpoint_set(3, &ep);
	node_from("B's address at C's slot", 1, pkt_v4(WHO_A, WHO_B, UDP(9, 9)),
		  PK_REASON_UNKNOWN_ENDPOINT);
	check("and no flow is left of it", node_flows() == 0);
}

/* A flow that its first packet couldn't be delivered by is none. */
static void undelivered(void)
{
	struct pk_endpoint ep;
	struct pkt p = pkt_v4(WHO_A, WHO_B, UDP(9, 9));

	node_reset();
	node_endpoint(2, &ep);
	ep.packets_per_s[PK_INGRESS] = 1;
	node_endpoint_set(2, &ep);
	node_run(NODE_FROM, 1, &p, NULL);
	node_bucket_set(2, PK_BUCKET_PACKETS + PK_INGRESS, 0, NODE_AHEAD);
	node_from_at("over the peer's bucket", 1, pkt_v4(WHO_A, WHO_B, UDP(10, 9)), 2,
		     PK_REASON_RATE_LIMIT);
	check("its flow went again", node_flows() == 1);
}

/* A flow that was there stays, whatever becomes of a packet that has it judged again. */
static void undelivered_again(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt last = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, ACK));

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_word(1, 1, 0, 2);
	last.b[22] = 1;
	pkt_seal(&last);
	node_from_told("a packet at its last hop, judged again", 1, last, 1, PK_EGRESS,
		       PK_REASON_TTL);
	check("ends no flow", node_flows() == 1);
	node_from("which B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)),
		  PK_REASON_OK);
}

/* Errors about a flow whose words are stale: judged, and refused where it is revoked. */
static void errors_after_a_change(void)
{
	struct pkt syn = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN));
	struct pkt p = pkt_error(WHO_B, WHO_A, &syn);
	struct expect e = { "and after one that revokes it", PK_REASON_POLICY_DENIED, 1, PK_EGRESS,
			    false };

	node_reset();
	node_from("A opens to B", 1, syn, PK_REASON_OK);
	node_word(1, 1, 0, 2);
	node_from("an error after a change that leaves the flow", 2, pkt_error(WHO_B, WHO_A, &syn),
		  PK_REASON_OK);
	deny_all(3);
	node_expect(&e, NODE_FROM, 2, &p, NULL);
	node_from("also once the flow says so", 2, pkt_error(WHO_B, WHO_A, &syn),
		  PK_REASON_ICMP_UNRELATED);
}

/* The frame is an ICMP error of that kind to A, from its gateway, and quotes was. */
static bool tells(const struct pkt *is, const struct pkt *was, bool v4, uint8_t type, uint32_t mtu)
{
	size_t icmp = v4 ? L3 + 20 : L3 + 40, n = is->len - icmp - 8, had = was->len - L3;
	size_t more = v4 ? 68 : 128, less = v4 ? 28 : 48;
	union pk_addr gateway = pkt_ip4(WHO_GATEWAY), a6 = pkt_ip6(WHO_A);

	if (is->b[icmp] != type || is->b[icmp + 1] != (v4 && mtu ? 4 : 0) ||
	    pkt_l4_sum(is) != 0xffff || n != (had >= more ? more : less))
		return false;
	if (v4 ? pkt_ip_sum(is) != 0xffff || memcmp(is->b + L3 + 12, &gateway.w[3], 4)
	       : is->b[L3 + 8] != 0xfe || memcmp(is->b + L3 + 24, &a6, 16))
		return false;
	return !memcmp(is->b + icmp + 8, was->b + L3, n) &&
	       (is->b[icmp + 6] << 8 | is->b[icmp + 7]) == (int)mtu;
}

static void told(void)
{
	struct pkt p = pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), was;
	struct pk_endpoint ep;

	node_reset();
	p.b[L3 + 8] = 1;
	pkt_seal(&p);
	was = p;
	check("traceroute hears of TTL 1",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && tells(&p, &was, true, 11, 0));
	p = pkt_v6(WHO_A, WHO_B, UDP(40000, 33434));
	p.b[L3 + 7] = 1;
	was = p;
	check("and in IPv6", node_run(NODE_FROM, 1, &p, NULL) == 7 && tells(&p, &was, false, 3, 0));
	check("no flow is left of either", node_flows() == 0);
	node_endpoint(2, &ep);
	ep.mtu = 1280;
	node_endpoint_set(2, &ep);
	p = pkt_v4(WHO_A, WHO_B, (struct l4){ 17, 40000, 9, 0, 1400 });
	was = p;
	check("a packet too long for its receiver",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && tells(&p, &was, true, 3, 1280));
	p = pkt_v6(WHO_A, WHO_B, (struct l4){ 17, 40000, 9, 0, 1400 });
	was = p;
	check("and in IPv6",
	      node_run(NODE_FROM, 1, &p, NULL) == 7 && tells(&p, &was, false, 2, 1280));
	p = pkt_error(WHO_A, WHO_B, &was);
	p.b[L3 + 7] = 1;
	check("nobody is told of an error", node_run(NODE_FROM, 1, &p, NULL) == 2);
	node_bucket_set(1, PK_BUCKET_ANSWERS, 0, NODE_AHEAD);
	p = was;
	check("the answers' bucket bounds it", node_run(NODE_FROM, 1, &p, NULL) == 2);
}

void cases_life(void)
{
	half_closed();
	closed_runs_out();
	reset_from_outside();
	reset_gives_its_place();
	syn_on_closing();
	times();
	settings();
	revoked_places();
	every_place();
	answered_questions();
	crossed();
	wrong_receiver();
	undelivered();
	undelivered_again();
	errors_after_a_change();
	told();
}
