/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bounds how much of the flows file one endpoint may fill: a burst, then a trickle. Without that
 * one endpoint that sends denied packets would push everybody's history out of the file within
 * minutes. Pure.
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
 * Returns whether a line of so many bytes about the slot's endpoint may be written. Where lines
 * were refused since the last one that was written, *missed says how many and since when (ms of
 * now_ms's clock): the caller writes that first.
 */
struct pk_flow_missed {
	uint64_t lines, since_ms;
};
bool pk_flow_budget_take(struct pk_flow_budget *budget, uint32_t slot, size_t bytes,
			 uint64_t now_ms, struct pk_flow_missed *missed);
