/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A world that fails becomes the smallest that still does: whatever it can do without goes. */
#include "random.h"

struct g_shrink {
	struct g_world *world;
	uint64_t seed;
	bool (*fails)(const struct g_world *world, uint64_t seed);
};

void g_world_shrink(const struct g_shrink *s);
