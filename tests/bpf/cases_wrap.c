// SPDX-License-Identifier: Apache-2.0
/* The overlay without its device: what the guard puts on and takes off itself, and what it leaves. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/overlay.h"

#define ETH OVERLAY_ETH
#define VNI OVERLAY_VNI

/* Neither a guest nor a counter hears of it: the stack or the device refuses it. */
static void refused(const char *text, struct pkt outer)
{
	struct pkt got;

	devices_drain();
	node_watch();
	devices_send(0, &outer);
	check(text, !overlay_comes_to(1, &got, 200));
}

/* What the stack and the device look at is left to them. */
static void looked_at(bool v6)
{
	struct pkt inner = overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), outer, p, got;

	overlay_start(1);
	outer = overlay_wrapped(WHO_WORLD, VNI, &inner);
	overlay_in("as nodes send it", outer, 1, PK_REASON_OK);
	p = outer;
	p.b[ETH + 8]--;
	refused("the outer sum is wrong", p);
	p = outer;
	overlay_put16(p.b + ETH + 26, 0x1234);
	refused("UDP's checksum is wrong", p);
	p = outer;
	overlay_put16(p.b + ETH + 24, p.len - ETH - 20 + 1);
	refused("UDP is longer than it is", p);
	p = outer;
	p.b[ETH + 28] |= 0x40;
	refused("VXLAN has a bit that nobody knows", p);
	p = outer;
	p.b[ETH + 35] = 1;
	refused("and one behind the identifier", p);
	p = outer;
	p.b[5] ^= 1;
	refused("the frame is for another host", p);
	p = outer;
	memset(p.b + p.len, 0xee, 4);
	p.len += 4;
	devices_drain();
	devices_send(0, &p);
	check("what stands behind the packet goes",
	      overlay_comes_to(1, &got, 10000) && got.len == inner.len);
}

/* One way for all of a flow: what the kernel may merge is the device's, a SYN alone too. */
static void one_way_for_a_flow(bool v6)
{
	const struct {
		const char *text;
		struct l4 l4;
		bool device;
	} kinds[] = {
		{ "TCP is the device's, with its proof", TCP(5000, 40000, SYN), true },
		{ "and on", TCP(5000, 40000, ACK), true },
		{ "UDP is not", UDP(5000, 40000), false },
		{ "nor an echo", v6 ? PING6(7) : PING(7), false },
	};

	overlay_start(1);
	if (!node_from("a flow to there", 1,
		       overlay_packet(v6, WHO_A, WHO_FAR, TCP(40000, 5000, SYN)), PK_REASON_OK))
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct pkt inner = overlay_packet(v6, WHO_FAR, WHO_A, kinds[i].l4), got;
		struct pkt outer = overlay_wrapped(WHO_WORLD, VNI, &inner);
		uint32_t before = overlay_stats().rx_packets;

		overlay_renew();
		devices_drain();
		devices_send(0, &outer);
		check(kinds[i].text,
		      overlay_comes_to(1, &got, 10000) &&
			      (overlay_stats().rx_packets != before) ==
				      (kinds[i].device || !overlay_guard_unwraps(&outer)));
	}
}

static void set_tos(struct pkt *p, bool v6, uint8_t tos)
{
	if (v6)
		overlay_put16(p->b + ETH, 0x6000 | tos << 4);
	else
		p->b[ETH + 1] = tos;
	pkt_seal(p);
}

/* A mark of congestion outside comes inside, where that takes marks; else the packet is lost. */
static void congested(bool v6)
{
	struct pkt inner = overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000)), p, got;

	overlay_start(1);
	p = overlay_wrapped(WHO_WORLD, VNI, &inner);
	p.b[ETH + 1] = 3;
	overlay_sum_up(&p);
	refused("a mark on what takes none", p);
	set_tos(&inner, v6, 2);
	p = overlay_wrapped(WHO_WORLD, VNI, &inner);
	p.b[ETH + 1] = 3;
	overlay_sum_up(&p);
	devices_drain();
	devices_send(0, &p);
	check("a mark on what takes it is there inside",
	      overlay_comes_to(1, &got, 10000) &&
		      ((v6 ? got.b[ETH + 1] >> 4 : got.b[ETH + 1]) & 3) == 3);
}

/* What A sends with these marks leaves under those, and the outer header is right. */
static void marked(bool v6, uint8_t inside, uint8_t outside)
{
	struct pkt out = overlay_packet(v6, WHO_A, WHO_FAR, UDP(40000, 5000)), as;
	struct expect e = { "with marks of congestion", PK_REASON_OK, 1, PK_EGRESS, false };
	uint32_t before;

	overlay_start(1);
	set_tos(&out, v6, inside);
	before = overlay_stats().tx_packets;
	if (!node_expect(&e, NODE_FROM, 1, &out, NULL))
		return;
	as = out;
	overlay_sum_up(&as);
	check("the outer header: marks, sum, lengths, don't fragment, TTL",
	      out.b[ETH + 1] == outside && !memcmp(&as, &out, sizeof(as)) &&
		      (size_t)(out.b[ETH + 2] << 8 | out.b[ETH + 3]) == out.len - ETH &&
		      (size_t)(out.b[ETH + 24] << 8 | out.b[ETH + 25]) == out.len - ETH - 20 &&
		      out.b[ETH + 6] == 0x40 && out.b[ETH + 8] == 64 && out.b[ETH] == 0x45);
	check("the device had no part in it", overlay_stats().tx_packets == before);
}

/* Returns whether a packet of A's to WHO_FAR goes by the device; wait: it should. */
static bool by_device(bool wait)
{
	struct pkt out = overlay_packet(false, WHO_A, WHO_FAR, UDP(40000, 5000));
	uint32_t before = overlay_stats().tx_packets;

	overlay_renew();
	devices_send(1, &out);
	for (int i = 0; i < 100 && wait && overlay_stats().tx_packets == before; i++)
		usleep(10000);
	return overlay_stats().tx_packets != before;
}

static void through_device(const char *text, bool there)
{
	check(text, by_device(there) == there);
}

static bool way_to_node(const char *mtu)
{
	char command[128];

	snprintf(command, sizeof(command), "ip %s route change default via %s dev up0 %s",
		 overlay_over6 ? "-6" : "", overlay_over6 ? "fd00:2::fe" : "192.0.2.254", mtu);
	return system(command) == 0;
}

/* A flow is judged anew each second; what comes before that goes by the device. */
static bool narrower_than_judged(void)
{
	for (int i = 0; i < 20; i++) {
		overlay_start(1);
		if (!way_to_node("") || by_device(false) || !way_to_node("mtu lock 1499"))
			return false;
		if (by_device(true))
			return true;
	}
	return false;
}

/* What the way to the node takes now is said to whoever sends more, though the device took it. */
static void too_long_for_the_way(size_t takes)
{
	struct l4 udp = UDP(40000, 5001);

	udp.payload = takes - 20 - 8;
	node_from("what fits the way to the node goes", 1,
		  overlay_packet(false, WHO_A, WHO_FAR, udp), PK_REASON_OK);
	udp.payload++;
	node_from_told("what doesn't is told", 1, overlay_packet(false, WHO_A, WHO_FAR, udp), 1,
		       PK_EGRESS, PK_REASON_LENGTH);
}

/* An overlay over IPv6 takes 20 bytes more of it. */
static void too_long_over_ipv6(void)
{
	overlay_over6 = true;
	overlay_start(1);
	check("the way over IPv6 gets narrower", way_to_node("mtu lock 1499"));
	too_long_for_the_way(1429);
	check("and wide again, too", way_to_node(""));
	overlay_over6 = false;
}

/* What the guard can't send itself the device does. */
static void left_to_the_device(void)
{
	struct pk_pool_key key = { .prefixlen = 120, .addr = pkt_ip4(WHO_FAR) };
	struct pk_pool pool = { .whose = PK_POOL_OTHERS, .node = pkt_ip4(WHO_HOST) };
	struct l4 longer = UDP(40000, 5002);

	longer.payload = 1451 - 20 - 8;
	overlay_start(1);
	through_device("the guard sends it", false);
	check("the way is narrower than when the flow was judged", narrower_than_judged());
	too_long_for_the_way(1449);
	check("and wide again", way_to_node(""));
	through_device("as wide as before", false);
	overlay_start(1);
	pool.node.b[15] = 0x4d; /* a neighbour that nobody knows */
	key.addr.b[15] = 0;
	bpf_map_update_elem(node_map("pools"), &key, &pool, BPF_ANY);
	through_device("the neighbour isn't known", true);
	node_from_told("what the device doesn't take is told", 1,
		       overlay_packet(false, WHO_A, WHO_FAR, longer), 1, PK_EGRESS,
		       PK_REASON_LENGTH);
	too_long_over_ipv6();
}

/* The stack asks IPsec's policies, and the guard none: neither way without the device. */
static void with_ipsec(bool v6)
{
	static const char *const texts[][2] = {
		[OVERLAY_LEASE_NONE] = { "with IPsec the device takes it out", "and puts it in" },
		[OVERLAY_LEASE_OVER] = { "nobody looks any more: the device takes it out",
					 "and puts it in, where nobody looks" },
		[OVERLAY_LEASE_AHEAD] = { "a time that nobody says: the device takes it out",
					  "and puts it in, whatever time it is" },
	};
	struct pkt inner = overlay_packet(v6, WHO_FAR, WHO_A, UDP(5000, 40000));

	overlay_start(1);
	for (overlay_lease = OVERLAY_LEASE_NONE; overlay_lease <= OVERLAY_LEASE_AHEAD;
	     overlay_lease++) {
		overlay_in(texts[overlay_lease][0], overlay_wrapped(WHO_WORLD, VNI, &inner), 1,
			   PK_REASON_OK);
		through_device(texts[overlay_lease][1], true);
	}
	overlay_lease = OVERLAY_LEASE_FRESH;
	through_device("and not while somebody does", false);
}

/* The ways of an overlay over IPv4 that the device has a part in, and those that it has none in. */
void cases_wrap(void)
{
	overlay_plain = true;
	for (int v6 = 0; v6 < 2; v6++) {
		looked_at(v6);
		one_way_for_a_flow(v6);
		with_ipsec(v6);
		congested(v6);
		marked(v6, 0, 0);
		marked(v6, 1, 1);
		marked(v6, 2, 2);
		marked(v6, 3, 2);
	}
	left_to_the_device();
	overlay_plain = false;
}
