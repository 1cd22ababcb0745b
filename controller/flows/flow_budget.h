/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bounds how much of the flows file one endpoint may fill: a burst in full, then a trickle. Else
 * one endpoint that sends denied packets as fast as it can would drive everybody's history out of
 * the file within minutes. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PK_FLOW_BURST	     (1u << 20) /* bytes at once */
#define PK_FLOW_BYTES_PER_MS 8

struct pk_flow_budget;

struct pk_flow_budget *pk_flow_budget_new(void);
void pk_flow_budget_free(struct pk_flow_budget *budget);

/*
 * Returns whether a line of so many bytes about what slot sent may be written. *missed gets how
 * many weren't since the last one that was, and since when (ms); that is told before this line.
 */
struct pk_flow_missed {
	uint64_t lines, since_ms;
};
bool pk_flow_budget_take(struct pk_flow_budget *budget, uint32_t slot, size_t bytes,
			 uint64_t now_ms, struct pk_flow_missed *missed);
