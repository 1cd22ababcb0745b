// SPDX-License-Identifier: Apache-2.0
/* What an endpoint asks its gateway, or everybody. */
#include "tests/model/generate.h"
#include "tests/model/make.h"

/* A ping of the gateway, whole or in pieces. */
static void pings(struct step *s, struct dice *d)
{
	bool v4 = dice_one_in(d, 2);
	struct make m = { .proto = v4 ? 1 : 58, .type = v4 ? 8 : 128, .ttl = 64, .sport = 7 };
	uint8_t mac[6];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	cast_mac(s->slot, mac);
	m.src = cast_address(s->slot, v4);
	m.dst = cast_address(GATEWAY, v4);
	if (!v4 && dice_one_in(d, 2))
		m.src = (union pk_addr){ .b = { 0xfe, 0x80, [15] = s->slot } };
	m.payload = dice_below(d, 500);
	m.piece = m.payload > 200 && dice_one_in(d, 2);
	m.more = m.piece && dice_one_in(d, 2);
	m.offset = m.piece && !m.more ? 104 : 0;
	m.id = 9;
	make_frame(&s->frame, &m, mac);
}

static void asks(struct step *s, struct dice *d)
{
	static const uint8_t types[] = { 133, 135, 135, 135, 136, 134, 137, 143 };
	bool v4 = dice_one_in(d, 2);
	union pk_addr target = cast_address(dice_below(d, NODE + 1), v4);
	uint8_t type = types[dice_below(d, sizeof(types))];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	if (v4)
		make_arp(&s->frame, s->slot, dice_one_in(d, 5) ? 2 : 1, &target);
	else
		make_nd(&s->frame, s->slot, type, &target, dice_one_in(d, 2));
}

/* To a group. */
static void groups(struct step *s, struct dice *d)
{
	static const union pk_addr group6 = { .b = { 0xff, 2, [13] = 1, 0, 2 } };
	bool v4 = dice_one_in(d, 2);
	struct make m = { .proto = 17, .ttl = 1, .sport = 5353, .dport = 5353, .payload = 40 };
	uint8_t mac[6];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	cast_mac(s->slot, mac);
	m.src = cast_address(s->slot, v4);
	m.dst = v4 ? addr_v4(0xe00000fb) : group6;
	if (v4 && dice_one_in(d, 3))
		m.dst = addr_v4(0xffffffff);
	make_frame(&s->frame, &m, mac);
}

void asks_gateway(struct step *s, struct dice *d)
{
	uint32_t n = dice_below(d, 11);

	if (n < 4)
		asks(s, d);
	else if (n < 6)
		pings(s, d);
	else if (n < 7)
		groups(s, d);
	else if (n < 9)
		asks_dhcp4(s, d);
	else
		asks_dhcp6(s, d);
}
