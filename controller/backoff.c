/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/random.h>

#include "loop.h"

#define BACKOFF_MS	1000ull
#define BACKOFF_DOUBLED 4 /* times at most */

uint64_t pk_backoff_ms(unsigned int failures)
{
	uint64_t wait = BACKOFF_MS << (failures < BACKOFF_DOUBLED ? failures : BACKOFF_DOUBLED);
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
		dice = 0;
	return wait / 2 + wait * (dice % 1024) / 1024;
}
