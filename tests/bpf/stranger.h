/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Somebody outside, who is WHO_WORLD, and A's port 80, published as the node's 8080. */
#include "tests/bpf/world.h"

/* The world's tables as at first, with that port. */
void stranger_start(void);
/* His TCP packet from sport to it: judged so, and passed to A where that is PK_REASON_OK. */
void stranger_comes(const char *text, uint16_t sport, uint8_t flags, enum pk_reason reason);
/* A's packet back to his sport, which passes. */
void stranger_answered(const char *text, uint16_t sport, uint8_t flags);
/* The flow of his connection from sport, and its key; false, and a failure, where there is none. */
bool stranger_flow(uint16_t sport, struct pk_flow_key *key, struct pk_flow *flow);
