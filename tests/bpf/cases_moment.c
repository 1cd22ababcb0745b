// SPDX-License-Identifier: Apache-2.0
/*
 * What one processor does between two steps of another one's packet. Each scene holds a packet at a
 * named moment, does the harm, lets it go on, and looks at what became of both.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/stall.h"
#include "tests/bpf/world.h"

#define ALL	1 /* rule set 1: the baseline, A may reach B */
#define NOTHING 3 /* B takes nothing from its tenant */
#define NOT_22	4 /* B takes everything but UDP port 22 */
#define DENIED	2

static void rule_sets(void)
{
	struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_DIR,
				      .rule_set = NOTHING,
				      .class = PK_CLASS_SAME_TENANT,
				      .dir = PK_INGRESS };
	const uint8_t deny = PK_RANK(PK_TIER_OPERATOR, PK_KIND_DENY);

	node_baseline(NOTHING);
	node_verdict(&key, PK_DENY, deny, 64);
	node_baseline(NOT_22);
	key.prefixlen = PK_VERDICT_BITS_PORT;
	key.rule_set = NOT_22;
	key.proto = 17;
	key.port = __builtin_bswap16(22);
	node_verdict(&key, PK_DENY, deny, 65);
}

static struct pkt to_b(uint16_t port)
{
	return pkt_v4(WHO_A, WHO_B, UDP(40000, port));
}

/* A's packet to B's port, now, on this processor. */
static int send(uint16_t port)
{
	struct pkt p = to_b(port);

	return node_run(NODE_FROM, 1, &p, NULL);
}

static bool denied(uint16_t port)
{
	return send(port) == DENIED;
}

static struct pk_flow_key key_of(uint16_t port)
{
	struct pk_flow_key key = { .src = pkt_ip4(WHO_A),
				   .dst = pkt_ip4(WHO_B),
				   .sport = __builtin_bswap16(40000),
				   .dport = __builtin_bswap16(port),
				   .proto = 17 };

	return key;
}

static bool seen; /* what an act found */

static void close_b(void)
{
	node_word(2, NOTHING, 0, 3);
	seen = denied(53);
}

static void still_denied(void)
{
	seen = denied(53) && seen;
}

/* A flow of A's that B's rule set of revision 2 lets pass anew, held where it was judged so. */
static bool older_judgement(enum pk_stall first)
{
	const struct hold holds[] = { { first, close_b },
				      { PK_STALL_REASON_KEPT, still_denied },
				      { PK_STALL_WORDS_KEPT, still_denied } };

	rule_sets();
	send(53);
	node_word(2, ALL, 0, 2);
	return stall_run(NODE_FROM, 1, to_b(53), holds, 3) != DENIED && seen && denied(53);
}

static bool judged_before(void)
{
	return older_judgement(PK_STALL_JUDGED);
}

static bool keeping_before(void)
{
	return older_judgement(PK_STALL_FRESH);
}

/* While a denial becomes the flow's, in whichever order its parts are written. */
static bool denial_by_parts(enum pk_stall at)
{
	const struct hold holds[] = { { at, still_denied } };

	rule_sets();
	send(53);
	node_word(2, NOTHING, 0, 2);
	seen = true;
	return stall_run(NODE_FROM, 1, to_b(53), holds, 1) == DENIED && seen && denied(53);
}

static bool denial_begins(void)
{
	return denial_by_parts(PK_STALL_FRESH);
}

static bool denial_after_reason(void)
{
	return denial_by_parts(PK_STALL_REASON_KEPT);
}

static bool denial_after_words(void)
{
	return denial_by_parts(PK_STALL_WORDS_KEPT);
}

/* Port 22's flow ends, and port 80's takes its memory: the same processor frees and takes. */
static void another_flow(void)
{
	struct pk_flow_key key = key_of(22);

	bpf_map_delete_elem(node_map("flows"), &key);
	seen = send(80) != DENIED;
}

/* The flow to port 22 was allowed and is denied now; that to port 80 is allowed. */
static bool another_in_its_place(enum pk_stall at)
{
	const struct hold holds[] = { { at, another_flow } };

	return stall_run(NODE_FROM, 1, to_b(22), holds, 1) == DENIED && seen && denied(22) &&
	       !denied(80);
}

static bool stale_flow_replaced(void)
{
	rule_sets();
	send(22);
	node_word(2, NOT_22, 0, 2);
	return another_in_its_place(PK_STALL_FLOW_FOUND);
}

static bool denied_flow_replaced(void)
{
	rule_sets();
	send(22);
	node_word(2, NOT_22, 0, 2);
	return denied(22) && another_in_its_place(PK_STALL_FLOW_CURRENT);
}

/* A datagram's first piece: judged as its own, it goes to B once. */
static bool piece_flow_replaced(void)
{
	const struct hold holds[] = { { PK_STALL_FLOW_CURRENT, another_flow } };
	struct pkt whole = to_b(22);
	struct pk_endpoint ep;
	int verdict;

	send(22);
	node_endpoint(2, &ep);
	ep.packets_per_s[PK_INGRESS] = 1;
	node_endpoint_set(2, &ep);
	node_bucket_set(2, PK_BUCKET_PACKETS + PK_INGRESS, 9, NODE_AHEAD);
	pkt_longer(&whole, 208);
	verdict = stall_run(NODE_FROM, 1, pkt_piece(&whole, 0, 104, 1), holds, 1);
	return verdict != DENIED && seen &&
	       node_bucket(2, PK_BUCKET_PACKETS + PK_INGRESS) == 9 - 2; /* with port 80's */
}

static bool judged_flow_replaced(void)
{
	rule_sets();
	send(22);
	node_word(2, NOT_22, 0, 2);
	return another_in_its_place(PK_STALL_JUDGED);
}

/* B's error about A's packet to port 22 of it, while that flow's memory becomes port 80's. */
static bool quoted_flow_replaced(void)
{
	const struct hold holds[] = { { PK_STALL_ERROR_FOUND, another_flow } };
	struct pkt about = to_b(22);

	send(22);
	return stall_run(NODE_FROM, 2, pkt_error(WHO_B, WHO_A, &about), holds, 1) == DENIED &&
	       seen && !denied(80);
}

/* B's slot is another endpoint's by now. */
static void another_receiver(void)
{
	struct pk_endpoint ep;

	node_endpoint(2, &ep);
	ep.ipv4 = pkt_ip4(WHO_NOBODY);
	node_endpoint_set(2, &ep);
}

static bool receiver_replaced(void)
{
	const struct hold holds[] = { { PK_STALL_DELIVERING, another_receiver } };

	send(53);
	return stall_run(NODE_FROM, 1, to_b(53), holds, 1) == DENIED;
}

static bool new_flow_revoked(void)
{
	const struct hold holds[] = { { PK_STALL_FLOW_INSERTED, close_b },
				      { PK_STALL_WORDS_KEPT, still_denied } };

	rule_sets();
	return stall_run(NODE_FROM, 1, to_b(53), holds, 2) != DENIED && seen && denied(53);
}

/* The table gets room again. */
static void room(void)
{
	struct pk_flow_key key;

	seen = !bpf_map_get_next_key(node_map("flows"), NULL, &key) &&
	       !bpf_map_delete_elem(node_map("flows"), &key);
}

/* A masqueraded flow whose alias found no room isn't made without it, though it would have some. */
static bool alias_refused(void)
{
	const struct hold holds[] = { { PK_STALL_ALIAS_TRIED, room } };
	struct pkt p = pkt_v4(WHO_C, WHO_WORLD, UDP(40000, 53));

	world_start();
	for (uint16_t i = 0; i < 2 * NODE_BUDGET; i++) {
		bool a = i < NODE_BUDGET;
		struct pkt one = pkt_v4(a ? WHO_A : WHO_B, a ? WHO_B : WHO_A, UDP(1000 + i, 9 + a));

		node_run(NODE_FROM, a ? 1 : 2, &one, NULL);
	}
	return stall_run(NODE_FROM, 3, p, holds, 1) == DENIED && seen &&
	       node_flows() == 2 * NODE_BUDGET - 1;
}

static void one_more(void)
{
	seen = send(1000) != DENIED;
}

/* New flows of A until its budget is spent. */
static void all_that_fit(void)
{
	for (uint16_t port = 1001; port < 1001 + 3 * NODE_BUDGET; port++)
		send(port);
}

static void the_same(void)
{
	seen = send(53) != DENIED;
}

/* However two new flows meet at a place, A has its budget, neither less nor more. */
static bool budget_kept(enum pk_stall at, void (*act)(void))
{
	const struct hold holds[] = { { at, act } };
	bool passed;

	seen = true;
	passed = stall_run(NODE_FROM, 1, to_b(53), holds, 1) != DENIED;
	all_that_fit();
	return passed && seen && !denied(53) && node_flows() == NODE_BUDGET;
}

static bool place_taken_meanwhile(void)
{
	return budget_kept(PK_STALL_PLACE_LOOKED, one_more);
}

static bool place_busy(void)
{
	return budget_kept(PK_STALL_PLACE_TAKEN, all_that_fit);
}

static bool same_flow_twice(void)
{
	return budget_kept(PK_STALL_PLACE_TAKEN, the_same);
}

/* B opens to A, with the ports of A's packet to port 53. */
static void b_opens(void)
{
	struct pkt p = pkt_v4(WHO_B, WHO_A, UDP(53, 40000));

	seen = node_run(NODE_FROM, 2, &p, NULL) != DENIED;
}

/* Of two flows of both ends the one stays whose initiator has the lower address. */
static bool only_flow_is_of(const union pk_addr *initiator)
{
	struct pk_flow_key key;

	return node_flows() == 1 && !bpf_map_get_next_key(node_map("flows"), NULL, &key) &&
	       !memcmp(&key.src, initiator, sizeof(*initiator));
}

static bool both_open(void)
{
	const struct hold holds[] = { { PK_STALL_PLACE_TAKEN, b_opens } };
	union pk_addr a = pkt_ip4(WHO_A);

	return stall_run(NODE_FROM, 1, to_b(53), holds, 1) != DENIED && seen && only_flow_is_of(&a);
}

static void a_opens(void)
{
	seen = send(53) != DENIED;
}

static bool both_open_the_other_way(void)
{
	const struct hold holds[] = { { PK_STALL_PLACE_TAKEN, a_opens } };
	struct pkt p = pkt_v4(WHO_B, WHO_A, UDP(53, 40000));
	union pk_addr a = pkt_ip4(WHO_A);

	return stall_run(NODE_FROM, 2, p, holds, 1) != DENIED && seen && only_flow_is_of(&a);
}

/* B's address in another pool, which differs from A's in its first half alone, and is higher. */
static union pk_addr elsewhere(void)
{
	union pk_addr addr = pkt_ip6(WHO_A);

	addr.b[3]++;
	return addr;
}

static void elsewhere_opens(void)
{
	struct pkt p = pkt_v6(WHO_B, WHO_A, UDP(53, 40000));
	union pk_addr from = elsewhere();

	memcpy(p.b + 14 + 8, &from, sizeof(from));
	pkt_seal(&p);
	seen = node_run(NODE_FROM, 2, &p, NULL) != DENIED;
}

static bool both_open_in_two_pools(void)
{
	const struct hold holds[] = { { PK_STALL_PLACE_TAKEN, elsewhere_opens } };
	union pk_addr a = pkt_ip6(WHO_A), b = elsewhere();
	struct pk_local local = { .slot = 2 };
	struct pk_endpoint ep;
	struct pkt p = pkt_v6_to(WHO_A, &b, UDP(40000, 53));

	world_start(); /* everything has a route */
	node_endpoint(2, &ep);
	ep.ipv6 = b;
	node_endpoint_set(2, &ep);
	bpf_map_update_elem(node_map("by_address"), &b, &local, BPF_ANY);
	return stall_run(NODE_FROM, 1, p, holds, 1) != DENIED && seen && only_flow_is_of(&a);
}

static struct pkt to_world(void)
{
	return pkt_v4(WHO_A, WHO_WORLD, UDP(40000, 53));
}

static void the_same_to_world(void)
{
	struct pkt p = to_world();

	seen = node_run(NODE_FROM, 1, &p, NULL) != DENIED;
}

/* The port of the one that came second is free again. */
static bool same_masqueraded_twice(void)
{
	const struct hold holds[] = { { PK_STALL_ALIAS_TRIED, the_same_to_world } };

	world_start();
	return stall_run(NODE_FROM, 1, to_world(), holds, 1) != DENIED && seen && node_flows() == 2;
}

static void one_port(struct pk_node *n)
{
	n->masquerade_high = n->masquerade_low;
}

static void b_to_world(void)
{
	struct pkt p = pkt_v4(WHO_B, WHO_WORLD, UDP(40000, 53));

	seen = node_run(NODE_FROM, 2, &p, NULL) == DENIED;
}

/* The one port, taken for a flow that isn't there yet, is its own: so are the answers to it. */
static bool port_of_a_flow_to_be(void)
{
	const struct hold holds[] = { { PK_STALL_ALIAS_TRIED, b_to_world } };

	world_start();
	node_settings(one_port);
	return stall_run(NODE_FROM, 1, to_world(), holds, 1) != DENIED && seen && node_flows() == 2;
}

static void from_world(void)
{
	struct pkt p = pkt_v4(WHO_WORLD, WHO_A, UDP(53, 40000));

	seen = node_run(NODE_UP, 0, &p, NULL) != DENIED;
}

/* Both ends opening at once make one flow where each is what the other one sees: not behind NAT. */
static bool masqueraded_and_met(void)
{
	const struct hold holds[] = { { PK_STALL_PLACE_TAKEN, from_world } };
	struct pk_open_port_key open = { .slot = 1, .proto = 17, .port = __builtin_bswap16(40000) };
	uint32_t published = PK_OPEN_PUBLISHED;

	world_start();
	bpf_map_update_elem(node_map("open_ports"), &open, &published, BPF_ANY);
	return stall_run(NODE_FROM, 1, to_world(), holds, 1) != DENIED && seen && node_flows() == 3;
}

/* The same connection's packet passes, and then B has no device any more. */
static void the_same_and_then_none(void)
{
	struct pk_endpoint ep;

	the_same();
	node_endpoint(2, &ep);
	ep.host_ifindex = 0;
	node_endpoint_set(2, &ep);
}

/* A packet that can't be delivered ends the flow that it made, not another one's. */
static bool same_flow_undelivered(void)
{
	const struct hold holds[] = { { PK_STALL_PLACE_TAKEN, the_same_and_then_none } };
	bool passed = stall_run(NODE_FROM, 1, to_b(53), holds, 1) != DENIED;

	return !passed && seen && node_flows() == 1;
}

void cases_moment(void)
{
	stall_scene("an older judgement isn't kept over a newer one", judged_before);
	stall_scene("a judgement that is being kept isn't mixed with a newer one", keeping_before);
	stall_scene("a denial is in force before any of it is written", denial_begins);
	stall_scene("a denial is in force once its reason is written", denial_after_reason);
	stall_scene("a denial is in force once its words are written", denial_after_words);
	stall_scene("a flow that was found is another's: judged as its own", stale_flow_replaced);
	stall_scene("a denied flow is another's: still denied", denied_flow_replaced);
	stall_scene("a piece whose flow is another's is delivered once", piece_flow_replaced);
	stall_scene("a judgement isn't kept in another's flow", judged_flow_replaced);
	stall_scene("an error about a flow that is another's", quoted_flow_replaced);
	stall_scene("an allowed packet isn't another receiver's", receiver_replaced);
	stall_scene("a flow is new while its endpoint is closed to it", new_flow_revoked);
	stall_scene("a place that looked free is taken by another flow", place_taken_meanwhile);
	stall_scene("a place that is being taken is nobody else's", place_busy);
	stall_scene("an alias that found no room", alias_refused);
	stall_scene("one connection's first packet on two processors", same_flow_twice);
	stall_scene("the same, masqueraded", same_masqueraded_twice);
	stall_scene("the only port is that of a flow that is being made", port_of_a_flow_to_be);
	stall_scene("the same, and the second one isn't delivered", same_flow_undelivered);
	stall_scene("both ends open at once", both_open);
	stall_scene("both ends open at once, the other one first", both_open_the_other_way);
	stall_scene("both ends open at once in two pools", both_open_in_two_pools);
	stall_scene("both ends open at once, one of them behind the node", masqueraded_and_met);
}
