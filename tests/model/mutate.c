// SPDX-License-Identifier: Apache-2.0
/* One thing in a frame becomes another: mostly such that one check alone can see it. */
#include <string.h>

#include "tests/model/generate.h"
#include "tests/model/make.h"

static void any_byte(struct step *s, struct dice *d)
{
	uint32_t reach = s->frame.len < 80 ? s->frame.len : 80;

	s->frame.b[dice_below(d, reach)] ^= (uint8_t)(1 << dice_below(d, 8));
}

static void truncated(struct step *s, struct dice *d)
{
	s->frame.len = dice_below(d, s->frame.len) + 1;
}

/* What is cut off lies in the headers. */
static void beheaded(struct step *s, struct dice *d)
{
	uint32_t reach = s->frame.len < 70 ? s->frame.len : 70;

	if (reach <= L3)
		return;
	s->frame.len = L3 + dice_below(d, reach - L3 + 1);
}

static void padded(struct step *s, struct dice *d)
{
	uint32_t more = dice_one_in(d, 3) ? 1500 : 1 + dice_below(d, 40);

	if (s->frame.len + more > FRAME_ROOM)
		return;
	memset(s->frame.b + s->frame.len, 0xa5, more);
	s->frame.len += more;
}

static void source_mac(struct step *s, struct dice *d)
{
	s->frame.b[6 + dice_below(d, 6)] ^= 1;
}

/* A neighbour's, the node's or one in the world. */
static void source(struct step *s, struct dice *d)
{
	bool v4 = s->frame.b[12] == 8;
	union pk_addr a = cast_address(dice_below(d, CAST), v4);

	if (!v4 && dice_one_in(d, 3))
		a = (union pk_addr){ .b = { 0xfe, 0x80, [15] = 9 } };
	if (get16(s->frame.b + 12) == 0x0806)
		memcpy(s->frame.b + L3 + 14, a.b + 12, 4);
	else if (v4)
		memcpy(s->frame.b + L3 + 12, a.b + 12, 4);
	else
		memcpy(s->frame.b + L3 + 8, a.b, 16);
	make_seal(&s->frame);
}

static void hops(struct step *s, struct dice *d)
{
	s->frame.b[L3 + (s->frame.b[12] == 8 ? 8 : 7)] = (uint8_t)dice_below(d, 3);
	make_seal(&s->frame);
}

static void length_field(struct step *s, struct dice *d)
{
	uint8_t *at = s->frame.b + L3 + (s->frame.b[12] == 8 ? 2 : 4);

	put16(at, (uint16_t)(get16(at) + dice_below(d, 41) - 20));
}

static void tagged(struct step *s, struct dice *d)
{
	if (dice_one_in(d, 3)) {
		s->beside.vlan = true;
		return;
	}
	if (s->frame.len + 4 > FRAME_ROOM || s->frame.len < L3)
		return;
	memmove(s->frame.b + 16, s->frame.b + 12, s->frame.len - 12);
	put16(s->frame.b + 12, dice_one_in(d, 2) ? 0x8100 : 0x88a8);
	put16(s->frame.b + 14, 5);
	s->frame.len += 4;
}

static void other_type(struct step *s, struct dice *d)
{
	put16(s->frame.b + 12, (uint16_t)(0x0600 + dice_below(d, 0x8000)));
}

/* Options before the protocol's header: padding or not. */
static void options(struct step *s, struct dice *d)
{
	static const uint8_t kinds4[] = { 0, 1, 1, 7, 68, 131, 148 };
	static const uint8_t kinds6[] = { 0, 60, 60, 43, 135, 51, 59, 44 };
	bool v4 = s->frame.b[12] == 8;
	uint32_t at = L3 + (v4 ? 20 : 40), more = v4 ? 4 : 8;
	uint8_t *b = s->frame.b;

	if (s->frame.len < at || s->frame.len + 8 > FRAME_ROOM || get16(b + 12) == 0x0806)
		return;
	memmove(b + at + more, b + at, s->frame.len - at);
	s->frame.len += more;
	if (v4) {
		b[L3]++;
		memset(b + at, kinds4[dice_below(d, sizeof(kinds4))], 4);
		put16(b + L3 + 2, (uint16_t)(get16(b + L3 + 2) + 4));
	} else {
		memset(b + at, 0, 8);
		b[at] = b[L3 + 6];
		b[L3 + 6] = kinds6[dice_below(d, sizeof(kinds6))];
		put16(b + L3 + 4, (uint16_t)(get16(b + L3 + 4) + 8));
	}
	make_seal(&s->frame);
}

static void wrong_sum(struct step *s, struct dice *d)
{
	struct seen seen;

	see(&s->frame, &seen);
	if (seen.reason || seen.kind == KIND_ARP)
		return;
	if (seen.kind == KIND_V4 && dice_one_in(d, 2))
		s->frame.b[L3 + 10] ^= 0x10;
	else if (seen.l4 + 18 < s->frame.len)
		s->frame.b[seen.l4 + (seen.proto == 6 ? 16 : 6)] ^= 0x10;
}

/* UDP may go without a checksum. */
static void no_sum(struct step *s, struct dice *d)
{
	struct seen seen;

	(void)d;
	see(&s->frame, &seen);
	if (!seen.reason && seen.proto == 17 && !seen.later && seen.l4 + 8 <= s->frame.len)
		put16(s->frame.b + seen.l4 + 6, 0);
}

/* One thing of what was honest. */
static void lie(struct beside *b, struct dice *d)
{
	static const uint32_t types[] = { 0, GSO_TCP4, GSO_TCP6, GSO_UDP, 1u << 6 };

	switch (dice_below(d, 6)) {
	case 0:
		b->gso = (uint16_t)(1 + dice_below(d, dice_one_in(d, 3) ? 12 : 1600));
		break;
	case 1:
		b->gso_type = types[dice_below(d, sizeof(types) / sizeof(*types))];
		break;
	case 2:
		b->partial = false;
		break;
	case 3:
		b->sum_start = (uint16_t)(b->sum_start + 2);
		break;
	case 4:
		b->sum_offset = b->sum_offset == 16 ? 6 : 16;
		break;
	default:
		b->gso = 0;
	}
}

/* What a tap's writer says beside the bytes, and lies. */
static void beside(struct step *s, struct dice *d)
{
	if (s->hook != AT_ENDPOINT)
		return;
	if (s->beside.honest) {
		lie(&s->beside, d);
		return;
	}
	if (dice_one_in(d, 3)) { /* as if it were TCP */
		s->beside = (struct beside){ .partial = true,
					     .sum_start = L3 + 20,
					     .sum_offset = 16,
					     .gso = 600,
					     .gso_type = GSO_TCP4 };
		return;
	}
	if (dice_one_in(d, 2)) {
		s->beside.gso = (uint16_t)(100 + dice_below(d, 1400));
		return;
	}
	s->beside.partial = true;
	s->beside.sum_start = (uint16_t)(15 + 2 * dice_below(d, 40));
	s->beside.sum_offset = (uint16_t)dice_below(d, 30);
}

void mutate(struct step *s, struct dice *d)
{
	static void (*const ways[])(struct step *, struct dice *) = {
		any_byte, truncated, padded,	   any_byte,	 any_byte,   truncated,	 beheaded,
		padded,	  source,    source,	   source,	 source_mac, source_mac, hops,
		hops,	  options,   options,	   options,	 wrong_sum,  no_sum,	 tagged,
		tagged,	  beside,    length_field, length_field, other_type,
	};

	s->mutated = true;
	if (s->beside.honest && dice_one_in(d, 2)) {
		beside(s, d);
		return;
	}
	ways[dice_below(d, sizeof(ways) / sizeof(*ways))](s, d);
	if (dice_one_in(d, 20))
		ways[dice_below(d, sizeof(ways) / sizeof(*ways))](s, d);
}
