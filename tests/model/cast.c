// SPDX-License-Identifier: Apache-2.0
#include "tests/model/cast.h"
#include "tests/bpf/pkt.h"

const uint8_t outside_mac[6] = { 2, 0, 0, 0, 0, 0xfe };
static uint32_t devices[SLOTS];

static enum who who_is(uint32_t who)
{
	static const enum who names[] = { WHO_GATEWAY, WHO_A,
					  WHO_B,       WHO_C,
					  WHO_CLOSED,  WHO_NOBODY,
					  WHO_HOST,    [UNROUTED] = WHO_NOROUTE };

	return names[who];
}

union pk_addr cast_address(uint32_t who, bool v4)
{
	union pk_addr a = { .b = { 0x20, 0x01, 0x0d, 0xb8, 0, 9, [15] = (uint8_t)who } };

	if (who < REMOTE_NODE || who == UNROUTED)
		return v4 ? pkt_ip4(who_is(who)) : pkt_ip6(who_is(who));
	return v4 ? addr_v4(0xc6336400 + who) : a; /* 198.51.100.0/24 */
}

void cast_mac(uint32_t slot, uint8_t mac[6])
{
	pkt_mac(who_is(slot), mac);
}

uint32_t cast_device(uint32_t slot)
{
	return devices[slot];
}

void cast_device_is(uint32_t slot, uint32_t ifindex)
{
	devices[slot] = ifindex;
}

uint32_t cast_masquerade(struct dice *d)
{
	static const uint32_t flags[] = { PK_WORD_MASQUERADE | PK_WORD_MASQUERADE6,
					  PK_WORD_MASQUERADE, 0 };

	return flags[dice_below(d, 3)];
}
