// SPDX-License-Identifier: Apache-2.0
/*
 * What somebody outside may use up of an endpoint's limits through a published port: a rate of his
 * own, three quarters of its places, and none of them for long who doesn't show that he hears the
 * answer.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/world.h"

#define OUTSIDE (NODE_BUDGET - NODE_BUDGET / 4)

static void start(void)
{
	world_start();
	world_publish(0, 8080, 1, 80);
}

/* The world's packet to A's published port, denied, or passed to A. */
static void comes(const char *text, uint16_t sport, uint8_t flags, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };
	struct pkt p = world_to_node(WHO_WORLD, TCP(sport, 8080, flags));

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

static void answers(const char *text, uint16_t sport, uint8_t flags)
{
	node_from(text, 1, pkt_v4(WHO_A, WHO_WORLD, TCP(80, sport, flags)), PK_REASON_OK);
}

static void own(const char *text, uint16_t sport, enum pk_reason reason)
{
	node_from(text, 1, pkt_v4(WHO_A, WHO_B, UDP(sport, 53)), reason);
}

static bool flow_of(uint16_t sport, struct pk_flow_key *key, struct pk_flow *flow)
{
	*key = (struct pk_flow_key){ .src = pkt_ip4(WHO_WORLD),
				     .dst = pkt_ip4(WHO_HOST),
				     .sport = htons(sport),
				     .dport = htons(8080),
				     .proto = 6 };
	key->dst.w[3] = htonl(WORLD_NODE_V4);
	return check("the world's flow", !bpf_map_lookup_elem(node_map("flows"), key, flow));
}

/* So many seconds pass for the world's flow from that port. */
static void age(uint16_t sport, uint32_t seconds)
{
	struct pk_flow_key key;
	struct pk_flow flow;

	if (!flow_of(sport, &key, &flow))
		return;
	flow.begun -= seconds * node_hz();
	flow.expires -= seconds * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

static void is_in(const char *text, uint16_t sport, enum pk_flow_state state, uint32_t seconds)
{
	struct pk_flow_key key;
	struct pk_flow flow;
	uint32_t left;

	if (!flow_of(sport, &key, &flow))
		return;
	left = (flow.expires - judge_clock()) / node_hz();
	check(text, flow.state == state && left <= seconds && left + 2 >= seconds);
}

/* Whoever doesn't hear the answer may reset what he began, or not: neither opens it. */
static void resets(void)
{
	struct expect e = { "a reset from nowhere near", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pk_flow_key key;
	struct pk_flow flow;
	struct pkt p;

	start();
	comes("a connection from outside", 50000, SYN, PK_REASON_OK);
	node_from("its answer", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)), 7000, 1, 1000),
		  PK_REASON_OK);
	p = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST | ACK)), 900000, 7001, 1000);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	if (flow_of(50000, &key, &flow))
		check("opens nothing", flow.state == PK_FLOW_NEW);
	p = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST | ACK)), 1, 7001, 1000);
	e.text = "a reset";
	node_expect(&e, NODE_UP, 0, &p, NULL);
	if (flow_of(50000, &key, &flow))
		check("nor does that", flow.state == PK_FLOW_RESET);
}

static void fill(void)
{
	for (uint16_t i = 0; i < OUTSIDE; i++)
		comes("a connection from outside", 50000 + i, SYN, PK_REASON_OK);
	comes("one more than strangers have places", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* Strangers have three quarters; that these are full bars nobody else. */
static void places(void)
{
	start();
	fill();
	for (uint16_t i = OUTSIDE; i < NODE_BUDGET; i++)
		own("A still has places of its own", 1000 + i, PK_REASON_OK);
	own("and no more than those", 2000, PK_REASON_FLOW_BUDGET);
	node_from("A's reset gives one back", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, RST | ACK)), 0, 1, 0),
		  PK_REASON_OK);
	comes("which a stranger may have", 51000, SYN, PK_REASON_OK);
}

/* A's own flows may take all of them. */
static void all_own(void)
{
	start();
	for (uint16_t i = 0; i < NODE_BUDGET; i++)
		own("a flow of A's", 1000 + i, PK_REASON_OK);
	own("one more", 2000, PK_REASON_FLOW_BUDGET);
	comes("a stranger finds none", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* A budget of its own is divided likewise; the least there is is for whoever comes. */
static void small(void)
{
	struct pk_endpoint ep;

	start();
	node_endpoint(1, &ep);
	ep.flow_budget = 4;
	node_endpoint_set(1, &ep);
	for (uint16_t i = 0; i < 3; i++)
		comes("of four places three", 50000 + i, SYN, PK_REASON_OK);
	comes("and not the fourth", 51000, SYN, PK_REASON_FLOW_BUDGET);
	own("which is A's", 1000, PK_REASON_OK);
	start();
	ep.flow_budget = 1;
	node_endpoint_set(1, &ep);
	comes("the only place", 50000, SYN, PK_REASON_OK);
}

/* Who asks once and never again holds a place for five seconds where others want it. */
static void half_open(void)
{
	start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++)
		answers("A's answer, which the stranger may not hear", 50000 + i, SYN | ACK);
	comes("still none is free", 51000, SYN, PK_REASON_FLOW_BUDGET);
	comes("one acknowledges the answer", 50000, ACK, PK_REASON_OK);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age(50000 + i, 6);
	for (uint16_t i = 1; i < OUTSIDE; i++)
		comes("the others' places are free", 52000 + i, SYN, PK_REASON_OK);
	comes("but not that one's", 51000, SYN, PK_REASON_FLOW_BUDGET);
	comes("which goes on", 50000, ACK, PK_REASON_OK);
	start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age(50000 + i, 4);
	comes("after four seconds none is free", 51000, SYN, PK_REASON_FLOW_BUDGET);
}

/* A datagram of the world's to A's published port. */
static void datagram(const char *text, uint16_t sport, enum pk_reason reason)
{
	struct expect e = { text, reason, 1, PK_INGRESS, false };
	struct pkt p = world_to_node(WHO_WORLD, UDP(sport, 8080));

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

static void age_datagram(uint16_t sport, uint32_t seconds)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_WORLD),
				   .dst = pkt_ip4(WHO_HOST),
				   .sport = htons(sport),
				   .dport = htons(8080),
				   .proto = 17 };
	struct pk_flow flow;

	key.dst.w[3] = htonl(WORLD_NODE_V4);
	if (!check("the world's", !bpf_map_lookup_elem(node_map("flows"), &key, &flow)))
		return;
	flow.begun -= seconds * node_hz();
	bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
}

/* What A never answered gives way after five seconds, whatever it is; what it answered stays. */
static void unanswered(void)
{
	world_start();
	world_publish_udp(8080, 1, 80);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		datagram("a datagram from outside", 50000 + i, PK_REASON_OK);
	node_from("A answers one", 1, pkt_v4(WHO_A, WHO_WORLD, UDP(80, 50000)), PK_REASON_OK);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age_datagram(50000 + i, 4);
	datagram("after four seconds none is free", 51000, PK_REASON_FLOW_BUDGET);
	for (uint16_t i = 0; i < OUTSIDE; i++)
		age_datagram(50000 + i, 2);
	for (uint16_t i = 1; i < OUTSIDE; i++)
		datagram("after six the others' places are", 52000 + i, PK_REASON_OK);
	datagram("but not that one's", 51000, PK_REASON_FLOW_BUDGET);
	datagram("which goes on", 50000, PK_REASON_OK);
}

static void reset_own(uint16_t sport)
{
	node_from("A's connection", 1, pkt_v4(WHO_A, WHO_B, TCP(sport, 80, SYN)), PK_REASON_OK);
	node_from("ends", 1, pkt_v4(WHO_A, WHO_B, TCP(sport, 80, RST | ACK)), PK_REASON_OK);
}

/* A place of the last quarter that A's own connection leaves is none for strangers. */
static void left_behind(void)
{
	start();
	fill();
	check("strangers' search rests", node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
	reset_own(1000);
	check("and rests on", node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
	node_from("A ends a stranger's", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000 + OUTSIDE - 1, RST | ACK)), 0,
			     1, 0),
		  PK_REASON_OK);
	check("which has strangers look again", !node_bucket(1, PK_BUCKET_FULL + PK_INGRESS));
}

/* A's own connection that isn't answered stays: nobody outside made it begin. */
static void own_unanswered(void)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_A), .dst = pkt_ip4(WHO_B), .proto = 6 };
	struct pk_flow flow;

	start();
	for (uint16_t i = 0; i < NODE_BUDGET; i++) {
		node_from("a connection of A's", 1, pkt_v4(WHO_A, WHO_B, TCP(1000 + i, 80, SYN)),
			  PK_REASON_OK);
		key.sport = htons(1000 + i);
		key.dport = htons(80);
		bpf_map_lookup_elem(node_map("flows"), &key, &flow);
		flow.begun -= 6 * node_hz();
		bpf_map_update_elem(node_map("flows"), &key, &flow, BPF_EXIST);
	}
	own("its places are taken", 2000, PK_REASON_FLOW_BUDGET);
}

/* A connection is open once its beginner has acknowledged the answer, and not by the answer. */
static void opening(void)
{
	start();
	comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	is_in("may wait for a minute", 50000, PK_FLOW_NEW, 60);
	answers("A answers", 50000, SYN | ACK);
	is_in("which opens nothing", 50000, PK_FLOW_NEW, 60);
	comes("nor does the SYN once more", 50000, SYN, PK_REASON_OK);
	is_in("as it may come twice", 50000, PK_FLOW_NEW, 60);
	comes("the acknowledgement", 50000, ACK, PK_REASON_OK);
	is_in("does", 50000, PK_FLOW_OPEN, 21600);
	start();
	comes("a SYN", 50000, SYN, PK_REASON_OK);
	comes("and an ACK, of what nobody said", 50000, ACK, PK_REASON_OK);
	is_in("opens nothing, either", 50000, PK_FLOW_NEW, 60);
}

/* A reset that the endpoint contradicts by its answer alone leaves the connection unopened. */
static void reset_before(void)
{
	struct expect e = { "a stranger's RST in the window", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt rst = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST)), 9, 0, 0);
	struct pkt answer =
		world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)), 1, 9, 5);

	start();
	comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	node_from("A answers", 1, answer, PK_REASON_OK);
	node_expect(&e, NODE_UP, 0, &rst, NULL);
	is_in("ends it in ten seconds", 50000, PK_FLOW_RESET, 10);
	node_from("A answers again", 1, answer, PK_REASON_OK);
	is_in("and it waits for a minute, not for hours", 50000, PK_FLOW_NEW, 60);
}

#define ISN 7000 /* what A's stack begins by */

/* The world's packet of that connection, and A's. */
static void stranger(const char *text, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct expect e = { text, PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt p = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, flags)), seq, ack, 500);

	node_expect(&e, NODE_UP, 0, &p, NULL);
}

static void asked(const char *text, uint8_t flags, size_t payload, uint32_t seq)
{
	const struct l4 l4 = { 6, 80, 50000, flags, payload };

	node_from(text, 1, world_says(pkt_v4(WHO_A, WHO_WORLD, l4), seq, 1, 1000), PK_REASON_OK);
}

static void answered(void)
{
	start();
	comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	asked("A answers", SYN | ACK, 0, ISN);
}

/* Only who hears the answer knows its number: no other ACK, whatever its checksum, opens. */
static void guessed(void)
{
	const uint32_t wrong[] = { 0, 1, ISN, ISN + 2, ISN + 1000, ISN + 1 + 0x80000000u };

	answered();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		stranger("an ACK of another number", ACK, 1, wrong[i]);
		is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
		stranger("nor does a FIN with it", FIN | ACK, 1, wrong[i]);
		is_in("or close", 50000, PK_FLOW_NEW, 60);
	}
	stranger("the right number without ACK is none", 0, 1, ISN + 1);
	is_in("so it waits", 50000, PK_FLOW_NEW, 60);
	stranger("the client's own ACK", ACK, 1, ISN + 1);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
	answered();
	stranger("one that ends at once", FIN | ACK, 1, ISN + 1);
	is_in("was open before", 50000, PK_FLOW_CLOSING, 120);
}

/* What A answers again is the same number; by another one (a SYN cookie's) that counts. */
static void said_again(void)
{
	answered();
	asked("A answers again", SYN | ACK, 0, ISN);
	stranger("the client's ACK", ACK, 1, ISN + 1);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
	answered();
	asked("A answers by another number", SYN | ACK, 0, 9000);
	stranger("the ACK of the first", ACK, 1, ISN + 1);
	is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
	stranger("the ACK of the second", ACK, 1, 9001);
	is_in("does", 50000, PK_FLOW_OPEN, 21600);
	answered();
	asked("A's last number", SYN | ACK, 0, ~0u);
	stranger("is none that is known", ACK, 1, 0);
	is_in("so it waits for A to go on", 50000, PK_FLOW_NEW, 60);
}

/* Both open at once: A's SYN answers the stranger's, who must acknowledge that one. */
static void crossing(void)
{
	struct pk_verdict_key rule = { .prefixlen = PK_VERDICT_BITS_DIR,
				       .rule_set = 1,
				       .class = PK_CLASS_WORLD4,
				       .dir = PK_INGRESS };
	struct pk_flow_key key = { .src = pkt_ip4(WHO_WORLD),
				   .dst = pkt_ip4(WHO_A),
				   .sport = htons(50000),
				   .dport = htons(80),
				   .proto = 6 };
	struct expect e = { "a SYN to A's address", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, SYN));
	const uint32_t acks[] = { ISN, ISN + 1 };
	struct pk_flow flow = { 0 };

	start();
	node_verdict(&rule, PK_ALLOW, PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW), 100);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	asked("A's own SYN crosses it", SYN, 0, ISN);
	for (size_t i = 0; i < 2; i++) {
		p = world_says(pkt_v4(WHO_WORLD, WHO_A, TCP(50000, 80, SYN | ACK)), 0, acks[i], 9);
		e.text = i ? "the answer to that" : "one to another number";
		node_expect(&e, NODE_UP, 0, &p, NULL);
		check("opens by the number alone",
		      !bpf_map_lookup_elem(node_map("flows"), &key, &flow) && flow.state == i);
	}
}

/* The node's own connection and the VM's are their stacks' to open: nobody else writes their ACK. */
static void of_the_node(void)
{
	struct pk_flow_key key = {
		.src = pkt_ip4(WHO_HOST), .dst = pkt_ip4(WHO_A), .dport = htons(80), .proto = 6
	};
	struct pk_flow flow = { 0 };

	key.sport = htons(40000);
	start();
	node_to("the node asks A", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("A answers", 1, pkt_v4(WHO_A, WHO_HOST, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_to("the node acknowledges", 1,
		world_says(pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, ACK)), 1, 77, 500), PK_REASON_OK);
	check("which opens",
	      !bpf_map_lookup_elem(node_map("flows"), &key, &flow) && flow.state == PK_FLOW_OPEN);
}

/* What A sends beyond its SYN it sends to whom it knows; its ACK and RST may answer anything. */
static void by_the_asked(void)
{
	answered();
	asked("A acknowledges, as a challenge does", ACK, 0, ISN + 1);
	is_in("which opens nothing", 50000, PK_FLOW_NEW, 60);
	asked("nor does what its SYN carries", SYN | ACK, 8, ISN);
	is_in("which opens nothing", 50000, PK_FLOW_NEW, 60);
	asked("A sends data", ACK, 8, ISN + 1);
	is_in("which opens", 50000, PK_FLOW_OPEN, 21600);
	answered();
	asked("A ends it, to whom it knows", FIN | ACK, 0, ISN + 1);
	is_in("which closes", 50000, PK_FLOW_CLOSING, 120);
}

/* A RST in A's window draws an ACK from A, which takes it back: nothing is open by that. */
static void challenged(void)
{
	answered();
	stranger("a RST beside the number that A awaits", RST, 9, 0);
	is_in("may end it", 50000, PK_FLOW_RESET, 10);
	stranger("a FIN in the window, too", FIN | ACK, 1, 77);
	is_in("keeps nothing longer", 50000, PK_FLOW_RESET, 10);
	asked("A challenges it", ACK, 0, ISN + 1);
	is_in("and it is what it was", 50000, PK_FLOW_NEW, 60);
	stranger("the RST again", RST, 9, 0);
	stranger("the client's ACK, meanwhile", ACK, 1, ISN + 1);
	is_in("takes no RST back", 50000, PK_FLOW_RESET, 10);
	asked("A challenges that one", ACK, 0, ISN + 1);
	is_in("and the client's ACK counts", 50000, PK_FLOW_OPEN, 21600);
	asked("A answers once more", SYN | ACK, 0, ISN);
	stranger("a RST of an open one", RST, 9, 0);
	asked("A challenges it", ACK, 0, ISN + 1);
	is_in("which is open", 50000, PK_FLOW_OPEN, 21600);
}

/* Resets that come again and again hold no place for who never heard an answer. */
static void reset_again(void)
{
	start();
	fill();
	for (uint16_t i = 0; i < OUTSIDE; i++) {
		comes("a RST follows", 50000 + i, RST, PK_REASON_OK);
		age(50000 + i, 6);
		comes("and one more", 50000 + i, RST, PK_REASON_OK);
	}
	for (uint16_t i = 0; i < OUTSIDE; i++)
		comes("their places are free", 52000 + i, SYN, PK_REASON_OK);
}

/* A denial forgets what is awaited: A's stack, whose answer isn't acknowledged, says it again. */
static void denied_meanwhile(void)
{
	const struct pk_open_port_key open = { .slot = 1, .proto = 6, .port = htons(80) };
	struct pk_flow_key key;
	struct pk_flow flow;

	answered();
	bpf_map_delete_elem(node_map("open_ports"), &open);
	node_word(1, 1, PK_WORD_MASQUERADE, 2);
	comes("the world is denied", 50000, ACK, PK_REASON_POLICY_DENIED);
	world_publish(0, 8080, 1, 80);
	node_word(1, 1, PK_WORD_MASQUERADE, 3);
	stranger("allowed again, an ACK of nothing", ACK, 1, 0);
	check("awaits nothing", flow_of(50000, &key, &flow) && !flow.awaited);
	is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
	asked("A answers again", SYN | ACK, 0, ISN);
	node_word(1, 1, PK_WORD_MASQUERADE, 4);
	stranger("the ACK, judged anew", ACK, 1, ISN + 1);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
}

/* A server of TCP Fast Open sends bytes with its SYN, and the client acknowledges them, too. */
static void early(void)
{
	start();
	comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	asked("A answers with 100 bytes", SYN | ACK, 100, ISN);
	stranger("the SYN alone is acknowledged", ACK, 1, ISN + 1);
	is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
	stranger("and its bytes", ACK, 1, ISN + 101);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
}

/* B's SYN by the ports that it has answered A's by is no crossing of both: it is another flow. */
static void answered_is_no_crossing(void)
{
	start();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	check("one flow", node_flows() == 1);
	node_from("B opens to A", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN)), PK_REASON_OK);
	check("two", node_flows() == 2);
}

static void two_a_second(struct pk_node *n)
{
	n->new_flows_per_s = 2;
}

/* Of new flows each direction has its own rate: a stranger's take none of A's. */
static void rates(void)
{
	struct pk_endpoint ep;

	start();
	node_settings(two_a_second);
	comes("a new flow from outside", 50000, SYN, PK_REASON_OK);
	check("of a burst of twice the rate",
	      node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS) == 3 &&
		      !node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS));
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS, 0, NODE_AHEAD);
	comes("over it", 50001, SYN, PK_REASON_FLOW_RATE);
	comes("the one that is there goes on", 50000, ACK, PK_REASON_OK);
	own("A's own are none of them", 1000, PK_REASON_OK);
	check("they have a burst, too", node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS) == 3);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS, 0, NODE_AHEAD);
	own("of their own", 1001, PK_REASON_FLOW_RATE);
	start();
	node_endpoint(1, &ep);
	ep.new_flows_per_s[PK_INGRESS] = 1;
	node_endpoint_set(1, &ep);
	comes("where the endpoint has a rate for strangers", 50000, SYN, PK_REASON_OK);
	check("theirs alone has it", node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS) == 1);
	own("A has none of its own", 1000, PK_REASON_OK);
	check("and no bucket", !node_bucket(1, PK_BUCKET_NEW_FLOWS + PK_EGRESS));
}

/* What the node itself begins is from outside, too; another endpoint's flow is that one's. */
static void others(void)
{
	struct pk_endpoint ep;

	start();
	node_endpoint(1, &ep);
	ep.new_flows_per_s[PK_INGRESS] = 1;
	node_endpoint_set(1, &ep);
	node_bucket_set(1, PK_BUCKET_NEW_FLOWS + PK_INGRESS, 0, NODE_AHEAD);
	node_to("the node's connection to A", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)),
		PK_REASON_FLOW_RATE);
	node_from("B's to A", 2, pkt_v4(WHO_B, WHO_A, TCP(40000, 80, SYN)), PK_REASON_OK);
}

void cases_stranger(void)
{
	resets();
	places();
	all_own();
	small();
	half_open();
	own_unanswered();
	unanswered();
	left_behind();
	opening();
	reset_before();
	guessed();
	said_again();
	by_the_asked();
	challenged();
	reset_again();
	denied_meanwhile();
	early();
	of_the_node();
	crossing();
	answered_is_no_crossing();
	rates();
	others();
	node_reset();
}
