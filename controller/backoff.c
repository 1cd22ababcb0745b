/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/random.h>

#include "loop.h"

#define BACKOFF_MS	1000ull
#define BACKOFF_DOUBLED 4	/* times at most */
#define SPREAD_MS	3	/* for each node */
#define SPREAD_MAX_MS	3000ull /* so that who waits for a start doesn't wait in vain */

/* Returns a time between half of it and half as much again. */
static uint64_t by_chance(uint64_t wait)
{
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
		dice = 0;
	return wait / 2 + wait * (dice % 1024) / 1024;
}

uint64_t pk_backoff_ms(unsigned int failures)
{
	return by_chance(BACKOFF_MS << (failures < BACKOFF_DOUBLED ? failures : BACKOFF_DOUBLED));
}

uint64_t pk_spread_ms(size_t nodes)
{
	const uint64_t wait = nodes * SPREAD_MS;

	return by_chance(wait < SPREAD_MAX_MS ? wait : SPREAD_MAX_MS);
}
