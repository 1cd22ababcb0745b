// SPDX-License-Identifier: Apache-2.0
/*
 * The last packet of a connection that both ends have closed acknowledges the second FIN. Until it
 * came the place is nobody else's, for a second.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "tests/bpf/world.h"

#define ACK_A 701 /* what A acknowledges before B's FIN, and where that stands */
#define ACK_B 101 /* likewise of B */

static struct pkt a_says(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return world_says(pkt_v4(WHO_A, WHO_B, TCP(40000, 80, flags)), seq, ack, 1000);
}

static struct pkt b_says(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return world_says(pkt_v4(WHO_B, WHO_A, TCP(80, 40000, flags)), seq, ack, 1000);
}

static void a(const char *text, uint8_t flags, uint32_t seq, uint32_t ack)
{
	node_from(text, 1, a_says(flags, seq, ack), PK_REASON_OK);
}

static void b(const char *text, uint8_t flags, uint32_t seq, uint32_t ack)
{
	node_from(text, 2, b_says(flags, seq, ack), PK_REASON_OK);
}

static void opened(void)
{
	node_reset();
	a("A opens to B", SYN, ACK_B - 1, 0);
	b("B answers", SYN | ACK, ACK_A - 1, ACK_B);
	a("and is acknowledged", ACK, ACK_B, ACK_A);
}

/* A closes first, B as it has heard of that. */
static void closed(void)
{
	opened();
	a("A closes", FIN | ACK, ACK_B, ACK_A);
	b("B closes", FIN | ACK, ACK_A, ACK_B + 1);
}

static void next(const char *text, uint16_t port, enum pk_reason reason)
{
	node_bucket_set(1, PK_BUCKET_FULL + PK_EGRESS, 0, 0); /* no search rests */
	node_from(text, 1, pkt_v4(WHO_A, WHO_B, TCP(port, 80, SYN)), reason);
}

/* The others of A's places have connections of their own. */
static void full(void)
{
	for (uint16_t i = 1; i < NODE_BUDGET; i++)
		next("a connection in another place", 1000 + i, PK_REASON_OK);
}

static void gone_by(uint32_t seconds)
{
	int fd = node_map("flows");
	struct pk_flow_key key;
	struct pk_flow flow;

	for (void *at = NULL; !bpf_map_get_next_key(fd, at, &key); at = &key) {
		if (key.sport != htons(40000) || bpf_map_lookup_elem(fd, &key, &flow))
			continue;
		flow.expires -= seconds * node_hz();
		bpf_map_update_elem(fd, &key, &flow, BPF_EXIST);
		return;
	}
	check("the flow is there", false);
}

/* However many begin meanwhile, the last packet isn't a stranger's. */
static void others_begin(void)
{
	closed();
	for (uint16_t i = 0; i < 4; i++)
		next("another connection begins", 2000 + i, PK_REASON_OK);
	a("the last packet passes", ACK, ACK_B + 1, ACK_A + 1);
}

/* With every place taken: what acknowledges the second FIN gives its place, and nothing else does. */
static void gives(void)
{
	closed();
	full();
	next("both have closed, the last packet isn't there", 3000, PK_REASON_FLOW_BUDGET);
	a("an acknowledgement that was on its way", ACK, ACK_B + 1, ACK_A);
	next("isn't the last", 3000, PK_REASON_FLOW_BUDGET);
	b("the second FIN once more", FIN | ACK, ACK_A, ACK_B + 1);
	a("and the first", FIN | ACK, ACK_B, ACK_A);
	next("change nothing", 3000, PK_REASON_FLOW_BUDGET);
	a("the last packet", ACK, ACK_B + 1, ACK_A + 1);
	next("gives the place", 3000, PK_REASON_OK);
	node_from("of which the connection knows", 1, a_says(ACK, ACK_B + 1, ACK_A + 1),
		  PK_REASON_NO_FLOW);
}

/* It is looked at first. */
static void is_next(void)
{
	closed();
	node_bucket_set(1, PK_BUCKET_PLACE, 77, 0);
	a("an acknowledgement that was on its way", ACK, ACK_B + 1, ACK_A);
	check("its place isn't looked at", node_bucket(1, PK_BUCKET_PLACE) == 77);
	a("the last packet", ACK, ACK_B + 1, ACK_A + 1);
	check("it is", node_bucket(1, PK_BUCKET_PLACE) < NODE_BUDGET);
	node_bucket_set(1, PK_BUCKET_PLACE, 77, 0);
	a("once more", ACK, ACK_B + 1, ACK_A + 1);
	check("once", node_bucket(1, PK_BUCKET_PLACE) == 77);
}

/* A last packet that is lost, or never was, holds nobody up for longer. */
static void a_second(void)
{
	closed();
	full();
	gone_by(2);
	b("the second FIN once more", FIN | ACK, ACK_A, ACK_B + 1);
	next("is waited for anew", 3000, PK_REASON_FLOW_BUDGET);
	gone_by(2);
	next("for a second", 3000, PK_REASON_OK);
}

/* Both close before they hear of each other: two acknowledgements are on their way. */
static void at_once(void)
{
	opened();
	a("A closes", FIN | ACK, ACK_B, ACK_A);
	b("B closes at the same time", FIN | ACK, ACK_A, ACK_B);
	full();
	a("A acknowledges", ACK, ACK_B + 1, ACK_A + 1);
	next("B's may be on its way", 3000, PK_REASON_FLOW_BUDGET);
	b("so it is", ACK, ACK_A + 1, ACK_B + 1);
	gone_by(2);
	next("a second is long enough", 3000, PK_REASON_OK);
}

/* A FIN stands behind its segment's bytes. */
static void with_bytes(void)
{
	struct pkt last = a_says(FIN | ACK, ACK_B, ACK_A);

	opened();
	pkt_longer(&last, 8);
	node_from("A closes with eight bytes", 1, last, PK_REASON_OK);
	last = b_says(FIN | ACK, ACK_A, ACK_B + 9);
	pkt_longer(&last, 4);
	node_from("B with four", 2, last, PK_REASON_OK);
	full();
	a("the FIN isn't acknowledged yet", ACK, ACK_B + 9, ACK_A + 4);
	next("nobody's place", 3000, PK_REASON_FLOW_BUDGET);
	a("the last packet", ACK, ACK_B + 9, ACK_A + 5);
	next("gives the place", 3000, PK_REASON_OK);
}

/* B closes first. */
static void other_end(void)
{
	opened();
	b("B closes", FIN | ACK, ACK_A, ACK_B);
	a("A acknowledges", ACK, ACK_B, ACK_A + 1);
	a("A closes", FIN | ACK, ACK_B, ACK_A + 1);
	full();
	next("B's last packet isn't there", 3000, PK_REASON_FLOW_BUDGET);
	b("the last packet", ACK, ACK_A + 1, ACK_B + 1);
	next("gives the place", 3000, PK_REASON_OK);
}

/* A reset awaits nothing, but a RST of what both have closed takes nothing away. */
static void reset(void)
{
	opened();
	full();
	b("B resets", RST | ACK, ACK_A, ACK_B);
	next("the place is free", 3000, PK_REASON_OK);
	closed();
	full();
	b("B's stack forgets", RST, ACK_A + 1, 0);
	next("the last packet may be on its way", 3000, PK_REASON_FLOW_BUDGET);
	a("so it is", ACK, ACK_B + 1, ACK_A + 1);
}

void cases_last(void)
{
	others_begin();
	gives();
	is_next();
	a_second();
	at_once();
	with_bytes();
	other_end();
	reset();
}
