// SPDX-License-Identifier: Apache-2.0
/*
 * What opens a connection that somebody outside begins: an acknowledgement of the very number that
 * the endpoint's answer awaits, or what the endpoint sends beyond its SYN; and nothing else.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include "tests/bpf/stranger.h"

static void is_in(const char *text, uint16_t sport, enum pk_flow_state state, uint32_t seconds)
{
	struct pk_flow_key key;
	struct pk_flow flow;
	uint32_t left;

	if (!stranger_flow(sport, &key, &flow))
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

	stranger_start();
	stranger_comes("a connection from outside", 50000, SYN, PK_REASON_OK);
	node_from("its answer", 1,
		  world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)), 7000, 1, 1000),
		  PK_REASON_OK);
	p = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST | ACK)), 900000, 7001, 1000);
	node_expect(&e, NODE_UP, 0, &p, NULL);
	if (stranger_flow(50000, &key, &flow))
		check("opens nothing", flow.state == PK_FLOW_NEW);
	p = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST | ACK)), 1, 7001, 1000);
	e.text = "a reset";
	node_expect(&e, NODE_UP, 0, &p, NULL);
	if (stranger_flow(50000, &key, &flow))
		check("nor does that", flow.state == PK_FLOW_RESET);
}

/* A connection is open once its beginner has acknowledged the answer, and not by the answer. */
static void opening(void)
{
	stranger_start();
	stranger_comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	is_in("may wait for a minute", 50000, PK_FLOW_NEW, 60);
	stranger_answered("A answers", 50000, SYN | ACK);
	is_in("which opens nothing", 50000, PK_FLOW_NEW, 60);
	stranger_comes("nor does the SYN once more", 50000, SYN, PK_REASON_OK);
	is_in("as it may come twice", 50000, PK_FLOW_NEW, 60);
	stranger_comes("the acknowledgement", 50000, ACK, PK_REASON_OK);
	is_in("does", 50000, PK_FLOW_OPEN, 21600);
	stranger_start();
	stranger_comes("a SYN", 50000, SYN, PK_REASON_OK);
	stranger_comes("and an ACK, of what nobody said", 50000, ACK, PK_REASON_OK);
	is_in("opens nothing, either", 50000, PK_FLOW_NEW, 60);
}

/* A reset that the endpoint contradicts by its answer alone leaves the connection unopened. */
static void reset_before(void)
{
	struct expect e = { "a stranger's RST in the window", PK_REASON_OK, 1, PK_INGRESS, false };
	struct pkt rst = world_says(world_to_node(WHO_WORLD, TCP(50000, 8080, RST)), 9, 0, 0);
	struct pkt answer =
		world_says(pkt_v4(WHO_A, WHO_WORLD, TCP(80, 50000, SYN | ACK)), 1, 9, 5);

	stranger_start();
	stranger_comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
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
	stranger_start();
	stranger_comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
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

/* A denial forgets what is awaited: A's stack, whose answer isn't acknowledged, says it again. */
static void denied_meanwhile(void)
{
	const struct pk_open_port_key open = { .slot = 1, .proto = 6, .port = htons(80) };
	struct pk_flow_key key;
	struct pk_flow flow;

	answered();
	bpf_map_delete_elem(node_map("open_ports"), &open);
	node_word(1, 1, PK_WORD_MASQUERADE, 2);
	stranger_comes("the world is denied", 50000, ACK, PK_REASON_POLICY_DENIED);
	world_publish(0, 8080, 1, 80);
	node_word(1, 1, PK_WORD_MASQUERADE, 3);
	stranger("allowed again, an ACK of nothing", ACK, 1, 0);
	check("awaits nothing", stranger_flow(50000, &key, &flow) && !flow.awaited);
	is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
	asked("A answers again", SYN | ACK, 0, ISN);
	node_word(1, 1, PK_WORD_MASQUERADE, 4);
	stranger("the ACK, judged anew", ACK, 1, ISN + 1);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
}

/* A server of TCP Fast Open sends bytes with its SYN, and the client acknowledges them, too. */
static void early(void)
{
	stranger_start();
	stranger_comes("a stranger's SYN", 50000, SYN, PK_REASON_OK);
	asked("A answers with 100 bytes", SYN | ACK, 100, ISN);
	stranger("the SYN alone is acknowledged", ACK, 1, ISN + 1);
	is_in("opens nothing", 50000, PK_FLOW_NEW, 60);
	stranger("and its bytes", ACK, 1, ISN + 101);
	is_in("opens", 50000, PK_FLOW_OPEN, 21600);
}

/* The node's own connection and the VM's are their stacks' to open: nobody else writes their ACK. */
static void of_the_node(void)
{
	struct pk_flow_key key = {
		.src = pkt_ip4(WHO_HOST), .dst = pkt_ip4(WHO_A), .dport = htons(80), .proto = 6
	};
	struct pk_flow flow = { 0 };

	key.sport = htons(40000);
	stranger_start();
	node_to("the node asks A", 1, pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("A answers", 1, pkt_v4(WHO_A, WHO_HOST, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	node_to("the node acknowledges", 1,
		world_says(pkt_v4(WHO_HOST, WHO_A, TCP(40000, 80, ACK)), 1, 77, 500), PK_REASON_OK);
	check("which opens",
	      !bpf_map_lookup_elem(node_map("flows"), &key, &flow) && flow.state == PK_FLOW_OPEN);
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

	stranger_start();
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

/* B's SYN by the ports that it has answered A's by is no crossing of both: it is another flow. */
static void answered_is_no_crossing(void)
{
	stranger_start();
	node_from("A opens to B", 1, pkt_v4(WHO_A, WHO_B, TCP(40000, 80, SYN)), PK_REASON_OK);
	node_from("B answers", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN | ACK)), PK_REASON_OK);
	check("one flow", node_flows() == 1);
	node_from("B opens to A", 2, pkt_v4(WHO_B, WHO_A, TCP(80, 40000, SYN)), PK_REASON_OK);
	check("two", node_flows() == 2);
}

void cases_opening(void)
{
	resets();
	opening();
	reset_before();
	guessed();
	said_again();
	by_the_asked();
	challenged();
	denied_meanwhile();
	early();
	of_the_node();
	crossing();
	answered_is_no_crossing();
	node_reset();
}
