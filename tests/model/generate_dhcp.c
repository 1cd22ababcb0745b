// SPDX-License-Identifier: Apache-2.0
/* Questions of DHCP clients: right ones, and such as have one thing wrong that DHCP alone can see. */
#include <string.h>

#include "tests/model/generate.h"
#include "tests/model/make.h"
#include "tests/model/paper.h"

#define CHOICE(d, list) ((list)[dice_below(d, sizeof(list) / sizeof(*(list)))])

/* Whom DHCP finds at an address: mostly oneself. */
static union pk_addr some_address(struct dice *d, uint32_t slot, bool v4)
{
	return cast_address(dice_below(d, 4) ? slot : dice_below(d, CAST), v4);
}

/* One in twelve: a byte of the message, or where it ends, is another. */
static void spoil(struct paper *p, struct dice *d, uint32_t from)
{
	if (!dice_one_in(d, 12))
		return;
	if (dice_one_in(d, 3))
		p->len = dice_below(d, p->len + 1);
	else
		p->b[from + dice_below(d, p->len - from)] ^= (uint8_t)(1 << dice_below(d, 8));
}

static void option4(struct paper *p, uint8_t code, const void *value, uint32_t n)
{
	paper_number(p, code, 1);
	paper_number(p, n, 1);
	paper_put(p, value, n);
}

static void any_option4(struct paper *p, struct dice *d, uint32_t slot)
{
	union pk_addr a = some_address(d, slot, true);
	uint8_t bytes[255];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(dice_next(d) | 1);
	switch (dice_below(d, 8)) {
	case 0:
	case 1:
		return option4(p, 50, a.b + 12, 4);
	case 2:
		a = cast_address(dice_below(d, 4) ? GATEWAY : NODE, true);
		return option4(p, 54, a.b + 12, 4);
	case 3:
	case 4:
		return option4(p, 61, bytes,
			       dice_one_in(d, 4) ? dice_below(d, 256) : 7 + dice_below(d, 20));
	case 5:
		return option4(p, 55, bytes, dice_below(d, 12));
	case 6:
		return paper_pad(p, p->len + (dice_one_in(d, 6) ? 30 : dice_below(d, 4)));
	default:
		return option4(p, bytes[0], bytes, dice_below(d, 9));
	}
}

static void head4(struct paper *p, struct dice *d, uint32_t slot)
{
	union pk_addr own = some_address(d, slot, true);
	uint8_t mac[6];

	cast_mac(slot, mac);
	paper_put(p, (uint8_t[4]){ 1, 1, 6, (uint8_t)dice_below(d, 2) }, 4);
	paper_number(p, dice_next(d), 4);
	paper_number(p, dice_below(d, 9), 2);
	paper_number(p, dice_one_in(d, 3) ? 0x8000 : 0, 2);
	paper_put(p, own.b + (dice_one_in(d, 2) ? 12 : 0), 4);	  /* ciaddr */
	paper_number(p, dice_one_in(d, 8) ? dice_next(d) : 0, 4); /* yiaddr: the server's to say */
	paper_number(p, dice_one_in(d, 8) ? dice_next(d) : 0, 4);
	paper_pad(p, p->len + 4);
	paper_put(p, mac, 6);
	paper_number(p, dice_one_in(d, 8) ? dice_next(d) : 0, 4);
	paper_pad(p, 236);
	paper_number(p, 0x63825363, 4);
}

/* The packet ends within the message, the frame doesn't. */
static void behind(struct frame *f, struct dice *d)
{
	uint32_t less = 1 + dice_below(d, 40);

	put16(f->b + L3 + 2, (uint16_t)(get16(f->b + L3 + 2) - less));
	put16(f->b + L3 + 24, (uint16_t)(get16(f->b + L3 + 24) - less));
	make_seal(f);
}

void asks_dhcp4(struct step *s, struct dice *d)
{
	static const uint8_t types[] = { 1, 1, 1, 3, 3, 3, 3, 8, 8, 4, 7, 2, 5, 6, 0, 200 };
	static uint8_t message[1400];
	struct paper p = { message, 0 };
	struct make m = { .proto = 17, .ttl = 64, .sport = 68, .dport = 67, .quote = message };
	uint8_t type = CHOICE(d, types), mac[6];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	head4(&p, d, s->slot);
	for (uint32_t n = dice_below(d, 3); n; n--)
		any_option4(&p, d, s->slot);
	option4(&p, 53, &type, 1);
	for (uint32_t n = dice_below(d, 4); n; n--)
		any_option4(&p, d, s->slot);
	if (dice_below(d, 6))
		paper_number(&p, 255, 1);
	if (dice_one_in(d, 4))
		paper_pad(&p, p.len + dice_below(d, 60));
	spoil(&p, d, 0);
	cast_mac(s->slot, mac);
	m.src = dice_one_in(d, 2) ? cast_address(s->slot, true) : addr_v4(0);
	m.dst = dice_one_in(d, 3) ? cast_address(GATEWAY, true) : addr_v4(0xffffffff);
	if (dice_one_in(d, 30))
		m.sport = 67, m.dport = 68;
	m.payload = p.len;
	make_frame(&s->frame, &m, mac);
	if (dice_one_in(d, 12))
		make_beside(&s->frame, &s->beside, 0);
	else if (dice_one_in(d, 20)) /* what the message lacks lies behind the packet */
		behind(&s->frame, d);
}

static void option6(struct paper *p, uint16_t code, const void *value, uint32_t n)
{
	paper_number(p, code, 2);
	paper_number(p, n, 2);
	paper_put(p, value, n);
}

/* An IA and what is in it. */
static void ia(struct paper *p, struct dice *d, uint32_t slot)
{
	static const uint16_t codes[] = { 3, 3, 3, 3, 4, 25 };
	uint16_t code = CHOICE(d, codes);
	uint32_t at = p->len + 2, fixed = code == 4 ? 4 : 12;
	union pk_addr a;

	paper_number(p, code, 2);
	paper_number(p, 0, 2);
	paper_number(p, dice_next(d), fixed > 4 ? 8 : 4);
	paper_pad(p, at + 2 + fixed);
	for (uint32_t n = dice_below(d, 3); n; n--) {
		a = some_address(d, slot, false);
		if (dice_one_in(d, 6)) {
			option6(p, 13, a.b, 2 + dice_below(d, 4));
			continue;
		}
		paper_number(p, 5, 2);
		paper_number(p, 24 + (dice_one_in(d, 4) ? 6 : 0), 2);
		paper_put(p, a.b, 16);
		paper_number(p, 86400, 8);
		if (p->b[p->len - 25] != 24)
			option6(p, 13, a.b, 2);
	}
	put16(p->b + at, (uint16_t)(p->len - at - 2));
}

static void identifiers6(struct paper *p, struct dice *d, uint8_t type)
{
	static const uint8_t server[] = { 0, 3, 0, 1, 0x02, 0x70, 0x6b, 0, 0, 1 };
	bool due = type == 3 || type == 5 || type == 8 || type == 9;
	uint8_t client[131];

	for (uint32_t i = 0; i < sizeof(client); i++)
		client[i] = (uint8_t)dice_next(d);
	if (dice_below(d, 12))
		option6(p, 1, client,
			dice_one_in(d, 8) ? 1 + dice_below(d, 131) : 10 + dice_below(d, 5));
	if (due ? !dice_one_in(d, 12) : dice_one_in(d, 12))
		option6(p, 2, dice_one_in(d, 8) ? client : server, sizeof(server));
}

static void others6(struct paper *p, struct dice *d)
{
	uint8_t bytes[20];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)dice_next(d);
	if (dice_one_in(d, 3))
		option6(p, 14, bytes, 0);
	if (dice_one_in(d, 2))
		option6(p, 8, bytes, 2);
	if (dice_one_in(d, 3))
		option6(p, 6, bytes, 2 * dice_below(d, 5));
	for (uint32_t n = dice_one_in(d, 12) ? dice_below(d, 50) : 0; n; n--)
		option6(p, 16, bytes, dice_below(d, 6));
}

void asks_dhcp6(struct step *s, struct dice *d)
{
	static const union pk_addr servers = { .b = { 0xff, 2, [13] = 1, 0, 2 } };
	static const uint8_t types[] = { 1, 1, 1, 3, 3, 4, 5, 5, 6, 6, 8, 9, 11, 2, 7, 12, 0, 99 };
	static uint8_t message[1400];
	struct paper p = { message, 0 };
	struct make m = { .proto = 17, .ttl = 64, .sport = 546, .dport = 547, .quote = message };
	uint8_t type = CHOICE(d, types), mac[6];

	s->hook = AT_ENDPOINT;
	s->slot = (uint8_t)some_endpoint(d);
	paper_number(&p, type, 1);
	paper_number(&p, dice_next(d), 3);
	identifiers6(&p, d, type);
	for (uint32_t n = type == 11 ? dice_one_in(d, 6) : dice_below(d, 8); n; n -= 1 + n / 4)
		ia(&p, d, s->slot);
	others6(&p, d);
	spoil(&p, d, 0);
	cast_mac(s->slot, mac);
	m.src = cast_address(s->slot, false);
	if (dice_below(d, 4))
		m.src = (union pk_addr){ .b = { 0xfe, 0x80, [15] = (uint8_t)(s->slot + 10) } };
	m.dst = dice_one_in(d, 8) ? (union pk_addr){ .b = { 0xfe, 0x80, [15] = 1 } } : servers;
	if (dice_one_in(d, 30))
		m.sport = 547, m.dport = 546;
	m.payload = p.len;
	make_frame(&s->frame, &m, mac);
	if (dice_one_in(d, 12))
		make_beside(&s->frame, &s->beside, 0);
}
