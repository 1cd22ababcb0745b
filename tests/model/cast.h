/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who there is in every world, and the ports that its tables and packets name. */
#include "tests/model/seen.h"

enum cast {
	GATEWAY = 0,
	/* 1 to 4 are the endpoints' slots */
	NOBODY = 5, /* an address of the pool without an endpoint */
	NODE = 6,
	REMOTE_NODE = 7,
	REMOTE_ENDPOINT = 8,
	UNROUTED = 9,
	WORLD_FIRST = 10,
	WORLDS = 4,
	CAST = WORLD_FIRST + WORLDS,
};

#define PORTS		{ 53, 80, 443, 5353, 8080, 40000 }
#define PUBLISHED	{ 8080, 18080, 20000, 53 }
#define MASQUERADE_PORT 18080 /* the range is one port: so it is known beforehand which */

union pk_addr cast_address(uint32_t who, bool v4);
extern const uint8_t outside_mac[6]; /* of who leads from the uplink to everybody outside */
void cast_mac(uint32_t slot, uint8_t mac[6]);
uint32_t cast_device(uint32_t slot); /* its host veth's ifindex */
void cast_device_is(uint32_t slot, uint32_t ifindex);
uint32_t cast_masquerade(struct dice *d); /* flags of a word */
