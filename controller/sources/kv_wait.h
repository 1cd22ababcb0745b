/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Says how a watch waits for a change in a store, and judges how its waits ended. Pure. */
#include <stdbool.h>
#include <stdint.h>

#define PK_KV_WAIT_S 60
/* A question that waits may take this long: Consul adds up to a sixteenth. */
#define PK_KV_WAIT_MS ((PK_KV_WAIT_S + PK_KV_WAIT_S / 16 + 10) * 1000)

/* A watch's question, and how its waits ended. */
struct pk_kv_wait {
	uint64_t index; /* the question waits for a change past it; 0: it doesn't wait */
	uint64_t asked_ms;
	unsigned int seconds;
	unsigned int hasty; /* short waits in a row */
	bool woken;	    /* the last wait ended early without a newer index */
	/* kept by store_vars.c: which list it had seen, and after which restore */
	uint64_t told, restored;
};
/*
 * Begins a question that waits for a change past the index; 0: it doesn't wait. A hasty one, for
 * what is missing, waits for 1 or 2 s at first, then ever longer up to some 16 s.
 */
void pk_kv_wait_begin(struct pk_kv_wait *wait, uint64_t index, bool hasty, uint64_t now_ms);
/* Returns whether the question waited for all of its time. */
bool pk_kv_wait_ran_out(const struct pk_kv_wait *wait, uint64_t now_ms);
/*
 * Returns whether the wait ended as when a snapshot is restored: early, under the index that it
 * named, with the keys from before. That must be noticed here: the next write, maybe this node's
 * own, moves the store's index past the old one, and then what the store lost looks like what was
 * deleted. A server that ends every wait so is suspected only once.
 */
bool pk_kv_wait_suspects(struct pk_kv_wait *wait, uint64_t index, uint64_t now_ms);
