/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a watch waits for what is newer in a store, and how its waits ended. Pure. */
#include <stdbool.h>
#include <stdint.h>

#define PK_KV_WAIT_S 60
/* A question that waits may take this long: Consul adds up to a sixteenth. */
#define PK_KV_WAIT_MS ((PK_KV_WAIT_S + PK_KV_WAIT_S / 16 + 10) * 1000)

/* A watch's question, and how its waits ended. */
struct pk_kv_wait {
	uint64_t index; /* the question is for what is newer; 0: for what there is */
	uint64_t asked_ms;
	unsigned int seconds;
	unsigned int hasty;	 /* short waits in a row */
	bool woken;		 /* the last wait ended early without a newer index */
	uint64_t told, restored; /* the store's own: what it had told, and after which restore */
};
/*
 * Begins a question, which waits for what is newer than the index; 0: it doesn't wait. A hasty one
 * is for what is lacking: it waits for 1 s or 2 at first, then ever longer up to some 16 s.
 */
void pk_kv_wait_begin(struct pk_kv_wait *wait, uint64_t index, bool hasty, uint64_t now_ms);
/* Returns whether the question waited for all of its time. */
bool pk_kv_wait_ran_out(const struct pk_kv_wait *wait, uint64_t now_ms);
/*
 * Returns whether the wait ended as a restored snapshot ends it: early, under the very index that
 * it named, and with what there was before. Whoever writes next, this node among them, moves the
 * store's index past the old one, and nothing else tells then what it lost from what was deleted. A
 * server that ends each wait so is suspected once.
 */
bool pk_kv_wait_suspects(struct pk_kv_wait *wait, uint64_t index, uint64_t now_ms);
