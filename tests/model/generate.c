// SPDX-License-Identifier: Apache-2.0
/*
 * The next packet: an honest one of some kind, often of a flow that there is, and in one case of
 * three with one thing wrong.
 */
#include <string.h>

#include "tests/model/make.h"
#include "tests/model/generate.h"

static const uint16_t ports[] = PORTS;
static const uint16_t published[] = PUBLISHED;

static uint16_t some_port(struct dice *d)
{
	return ports[dice_below(d, sizeof(ports) / sizeof(*ports))];
}

uint32_t some_endpoint(struct dice *d)
{
	return 1 + dice_below(d, dice_one_in(d, 20) ? 4 : 3);
}

/* Where packets of a VM go. */
static union pk_addr some_destination(struct dice *d, bool v4)
{
	static const union pk_addr never[] = { { .b = { [15] = 1 } },
					       { .b = { 0xfe, 0x80, [15] = 9 } },
					       { .b = { [10] = 0xff, 0xff, 10, 20, 0, 12 } },
					       { .b = { 0xff, 2, [15] = 1 } } };
	uint32_t n = dice_below(d, 100);

	if (n < 45)
		return cast_address(some_endpoint(d), v4);
	if (n < 70)
		return cast_address(WORLD_FIRST + dice_below(d, WORLDS), v4);
	if (n < 83)
		return cast_address(NODE, v4);
	if (n < 90)
		return cast_address(UNROUTED, v4);
	if (n < 98)
		return cast_address(NOBODY + dice_below(d, 5), v4);
	return v4 ? addr_v4(dice_next(d)) : never[dice_below(d, 4)];
}

static uint8_t some_protocol(struct dice *d, bool v4)
{
	static const uint8_t protocols[] = { 6, 6, 6, 17, 17, 17, 1, 1, 132, 47 };
	uint8_t proto = protocols[dice_below(d, sizeof(protocols))];

	return proto == 1 && !v4 ? 58 : proto;
}

/* What ICMP and TCP say at a connection's begin. */
static void begin(struct make *m, struct dice *d, bool v4)
{
	static const uint8_t others4[] = { 13, 17, 5, 9, 40 }, others6[] = { 144, 200, 133, 137 };

	m->ttl = 64;
	m->atomic = dice_one_in(d, 2);
	m->tcp = dice_one_in(d, 3) ? TH_ACK | (uint8_t)dice_below(d, 8) : TH_SYN;
	if (m->proto == 132 && dice_one_in(d, 2))
		m->proto = 17;
	if (!is_icmp(m->proto))
		return;
	m->type = v4 ? 8 : 128;
	m->dport = m->sport;
	if (dice_one_in(d, 6))
		m->type = v4 ? others4[dice_below(d, 5)] : others6[dice_below(d, 4)];
	if (dice_one_in(d, 12)) /* of nobody's question */
		m->type = v4 ? 0 : 129;
}

static uint32_t some_payload(struct dice *d)
{
	return dice_one_in(d, 12) ? 900 + dice_below(d, 620) : dice_below(d, 64);
}

static void endpoint_begins(struct step *s, struct dice *d)
{
	bool v4 = dice_one_in(d, 2);
	struct make m = { .proto = some_protocol(d, v4),
			  .sport = (uint16_t)(1024 + dice_below(d, 200)),
			  .dport = some_port(d),
			  .payload = some_payload(d) };
	uint8_t mac[6];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	cast_mac(s->slot, mac);
	m.src = cast_address(s->slot, v4);
	m.dst = some_destination(d, v4);
	if (dice_one_in(d, 8))
		m.dport = published[dice_below(d, 4)];
	if (dice_one_in(d, 8))
		m.sport = some_port(d);
	begin(&m, d, v4);
	make_frame(&s->frame, &m, mac);
}

/* From outside: a client of a published port, somebody at an endpoint's address, a stranger. */
static void outside_begins(struct step *s, struct dice *d)
{
	bool v4 = dice_one_in(d, 2);
	struct make m = { .proto = some_protocol(d, v4),
			  .sport = (uint16_t)(1024 + dice_below(d, 200)),
			  .dport = published[dice_below(d, 4)],
			  .payload = some_payload(d) };

	s->hook = AT_UPLINK;
	s->slot = 0;
	m.src = cast_address(WORLD_FIRST + dice_below(d, WORLDS), v4);
	if (dice_one_in(d, 8))
		m.src = cast_address(1 + dice_below(d, CAST - 1), v4);
	m.dst = cast_address(NODE, v4);
	if (dice_one_in(d, 3)) {
		m.dst = cast_address(1 + dice_below(d, NOBODY), v4);
		m.dport = some_port(d);
	}
	begin(&m, d, v4);
	make_frame(&s->frame, &m, outside_mac);
}

/* The node's own processes, and what the node forwards for others. */
static void stack_begins(struct step *s, struct dice *d)
{
	bool v4 = dice_one_in(d, 2);
	struct make m = { .proto = some_protocol(d, v4),
			  .sport = (uint16_t)(1024 + dice_below(d, 200)),
			  .dport = some_port(d),
			  .payload = some_payload(d) };

	s->hook = AT_STACK;
	s->slot = (uint8_t)some_endpoint(d);
	s->forwarded = dice_one_in(d, 3);
	m.src = cast_address(NODE, v4);
	if (s->forwarded || dice_one_in(d, 10))
		m.src = cast_address(1 + dice_below(d, CAST - 1), v4);
	m.dst = cast_address(s->slot, v4);
	begin(&m, d, v4);
	make_frame(&s->frame, &m, outside_mac);
}

/* Whose packet of the flow it is tells where it is seen; false: nowhere here. */
static bool sender(const struct model_flow *f, int role, struct step *s, uint8_t mac[6])
{
	memcpy(mac, outside_mac, 6);
	s->slot = (uint8_t)f->slot[role];
	s->hook = AT_ENDPOINT;
	if (s->slot) {
		cast_mac(s->slot, mac);
		return true;
	}
	s->hook = f->stack ? AT_STACK : AT_UPLINK;
	s->slot = f->stack ? (uint8_t)f->slot[!role] : 0;
	return true;
}

/* A packet of the flow as that end sends it. */
static void of_flow(struct make *m, const struct model_flow *f, int role)
{
	*m = (struct make){ .src = role ? f->seen_dst : f->src,
			    .dst = role ? f->seen_src : f->dst,
			    .sport = role ? f->seen_dport : f->sport,
			    .dport = role ? f->seen_sport : f->dport,
			    .proto = f->proto,
			    .ttl = 64 };
	if (f->proto == 1)
		m->type = role ? 0 : 8;
	if (f->proto == 58)
		m->type = role ? 129 : 128;
}

static const struct model_flow *some_flow(const struct model *m, struct dice *d)
{
	uint32_t n = model_flows(m), recent = n < 24 ? n : 24;
	const struct model_flow *f;

	for (int tries = 0; n && tries < 8; tries++) {
		f = model_flow(m, n - 1 - dice_below(d, dice_one_in(d, 3) ? n : recent));
		if (f->live)
			return f;
	}
	return NULL;
}

static bool goes_on(struct step *s, const struct model *m, struct dice *d)
{
	static const uint8_t said[] = { TH_ACK, TH_ACK,		 TH_ACK | 8,	  TH_SYN | TH_ACK,
					TH_ACK, TH_FIN | TH_ACK, TH_RST | TH_ACK, TH_SYN };
	static const uint32_t numbers[] = { 0, 400, 1000, 0xffffff00 };
	const struct model_flow *f = some_flow(m, d);
	int role = (int)dice_below(d, 2);
	struct make make;
	uint8_t mac[6];

	if (!f || !sender(f, role, s, mac))
		return false;
	of_flow(&make, f, role);
	make.tcp = said[dice_below(d, sizeof(said))];
	make.seq = numbers[dice_below(d, 4)];
	make.ack = f->asked && !role && dice_below(d, 4) ? f->awaits : numbers[dice_below(d, 4)];
	make.window = (uint16_t)dice_below(d, 3) * 500;
	make.scale = (uint8_t)(dice_below(d, 2) * dice_below(d, 17));
	make.atomic = dice_one_in(d, 2);
	make.payload = some_payload(d);
	if (dice_one_in(d, 24)) /* the initiator's address, as if it weren't translated */
		make.dst = role ? f->src : f->dst;
	make_frame(&s->frame, &make, mac);
	return true;
}

/* An error about a packet of the flow, as its receiver got it; from there or from a router. */
static bool reports(struct step *s, const struct model *m, struct dice *d)
{
	const struct model_flow *f = some_flow(m, d);
	int role = (int)dice_below(d, 2);
	struct make quoted, error = { .ttl = 64 };
	struct frame inner;
	uint8_t mac[6];

	if (!f || !sender(f, role, s, mac))
		return false;
	of_flow(&quoted, f, !role);
	quoted.src = role ? f->seen_src : f->dst;
	quoted.sport = role ? f->seen_sport : f->dport;
	quoted.dst = role ? f->seen_dst : f->src;
	quoted.dport = role ? f->seen_dport : f->sport;
	quoted.payload = dice_below(d, 40);
	if (dice_one_in(d, 8))
		quoted.type ^= 8;
	if (dice_one_in(d, 4))
		quoted.sport++;
	make_frame(&inner, &quoted, mac);
	error.src = quoted.dst;
	error.dst = quoted.src;
	error.proto = addr_is_v4(&error.dst) ? 1 : 58;
	error.type = (uint8_t)(error.proto == 1 ? 3 + 8 * dice_below(d, 2) : 1 + dice_below(d, 3));
	error.code = error.proto == 1 && error.type == 3 ? 4 : 0;
	error.sport = 0;
	if (s->hook == AT_UPLINK && dice_one_in(d, 2))
		error.src = cast_address(WORLD_FIRST + dice_below(d, WORLDS), error.proto == 1);
	error.quote = inner.b + L3;
	error.payload = inner.len - L3;
	if (dice_one_in(d, 3) && error.payload > 28)
		error.payload = (error.proto == 1 ? 28 : 48);
	make_frame(&s->frame, &error, mac);
	return true;
}

/* As long as an honest path has segments. */
static uint32_t some_segment(struct dice *d, const struct model_flow *f)
{
	if (dice_one_in(d, 4))
		return 0; /* one packet */
	if (f->proto == 17)
		return 20 + dice_below(d, 1400);
	return addr_is_v4(&f->dst) ? 422 + dice_below(d, 1054) : 1180 + dice_below(d, 280);
}

/* A packet of a flow that others are to cut up, or to finish, as an honest driver says it. */
static bool segments(struct step *s, const struct model *m, struct dice *d)
{
	const struct model_flow *f = some_flow(m, d);
	uint32_t size = f ? some_segment(d, f) : 0;
	struct make make;
	uint8_t mac[6];
	int role;

	if (!f || (f->proto != 6 && f->proto != 17))
		return false;
	role = f->slot[0] && f->slot[1] ? (int)dice_below(d, 2) : !f->slot[0];
	sender(f, role, s, mac);
	of_flow(&make, f, role);
	make.tcp = TH_ACK;
	make.atomic = dice_one_in(d, 2);
	make.payload = size ? 500 + dice_below(d, 1450) : dice_below(d, 900);
	make_frame(&s->frame, &make, mac);
	make_beside(&s->frame, &s->beside, size);
	if (size && dice_one_in(d, 4))
		s->beside.gso_type |= GSO_DODGY | (f->proto == 6 ? GSO_ECN : 0);
	return true;
}

/* A piece of a datagram, of a flow that there is or not. */
static bool pieces(struct step *s, const struct model *m, struct dice *d)
{
	const struct model_flow *f = some_flow(m, d);
	int role = (int)dice_below(d, 2);
	struct make make;
	uint8_t mac[6];

	if (!f || !sender(f, role, s, mac))
		return false;
	of_flow(&make, f, role);
	make.tcp = TH_ACK;
	make.piece = true;
	make.payload = 200 + dice_below(d, 300);
	make.id = dice_below(d, 3);
	if (dice_one_in(d, 2)) {
		make.offset = 8 * (dice_below(d, 4) * 16);
		make.more = dice_one_in(d, 2);
	}
	if (!make.offset)
		make.more = true;
	make_frame(&s->frame, &make, mac);
	return true;
}

static void noise(struct step *s, struct dice *d)
{
	s->hook = (uint8_t)dice_below(d, 3);
	s->slot = s->hook == AT_UPLINK ? 0 : (uint8_t)some_endpoint(d);
	s->frame.len = 14 + dice_below(d, 100);
	for (uint32_t i = 0; i < s->frame.len; i++)
		s->frame.b[i] = (uint8_t)dice_next(d);
	if (dice_below(d, 4))
		put16(s->frame.b + 12, dice_one_in(d, 2) ? 0x0800 : 0x86dd);
	if (dice_below(d, 4) && s->frame.len > 15)
		s->frame.b[L3] = s->frame.b[12] == 8 ? 0x45 : 0x60;
}

static void honest(struct step *s, const struct model *m, struct dice *d)
{
	uint32_t n = dice_below(d, 100);
	bool done = false;

	if (n < 34)
		done = goes_on(s, m, d);
	else if (n < 36)
		done = segments(s, m, d);
	else if (n < 45)
		done = reports(s, m, d);
	else if (n < 54)
		done = pieces(s, m, d);
	else if (n < 60)
		return outside_begins(s, d);
	else if (n < 64)
		return stack_begins(s, d);
	else if (n < 75)
		return asks_gateway(s, d);
	if (!done)
		endpoint_begins(s, d);
}

/*
 * By a link-local source the kernel's FIB calls local what it routes otherwise; so whether a
 * published port was asked for can't be foretold where the destination is nobody's.
 */
static bool is_unforeseen(const struct step *s)
{
	struct seen seen;

	see(&s->frame, &seen);
	return s->hook == AT_UPLINK && seen.kind == KIND_V6 && seen.src.b[0] == 0xfe && s->mutated;
}

/* A test run takes no shorter frames; such are never ours at an uplink, and denied elsewhere. */
static bool only_user_space(const struct step *s)
{
	const struct frame *f = &s->frame;
	uint16_t type = f->len < L3 ? 0 : get16(f->b + 12);

	if (s->beside.vlan || s->beside.partial || f->len < L3 + 1)
		return true;
	return (type == 0x0800 && f->len < L3 + 20) || (type == 0x86dd && f->len < L3 + 40);
}

void generate_step(const struct model *m, struct dice *d, struct step *s)
{
	memset(s, 0, offsetof(struct step, frame));
	if (change(m, d, s))
		return;
	memset(s, 0, offsetof(struct step, frame));
	if (dice_one_in(d, 50))
		noise(s, d);
	else
		honest(s, m, d);
	s->honest = s->frame;
	if (dice_below(d, 5) < 2)
		mutate(s, d);
	if (is_unforeseen(s))
		s->frame = s->honest;
	if (only_user_space(s) && !model_is_idle(m, s))
		memset(&s->beside, 0, sizeof(s->beside));
	s->user_only = only_user_space(s);
}
