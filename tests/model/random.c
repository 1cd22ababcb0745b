// SPDX-License-Identifier: Apache-2.0
/* SplitMix64. */
#include "tests/model/model.h"

uint32_t dice_next(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z ^ z >> 31);
}

uint32_t dice_below(struct dice *d, uint32_t n)
{
	return dice_next(d) % n;
}

bool dice_one_in(struct dice *d, uint32_t n)
{
	return !dice_below(d, n);
}
