/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by apply.c and all files whose names begin with apply_. */
#include "apply.h"

#define APPLY_RETRY_MS 5000  /* after an error */
#define APPLY_HELD_MS  100   /* after the node lock was held */
#define APPLY_PINS_MS  20000 /* between two looks at what is pinned */

struct pk_apply {
	struct pk_apply_args args;
	struct pk_apply_state state;
	struct pk_timer *pass, *acknowledge, *trim, *pins;
	bool docs_changed, settings_changed;   /* and not in force yet */
	bool docs_untaken, settings_untaken;   /* not even taken in by a pass */
	bool docs_unstored, settings_unstored; /* and the disk hasn't been asked to */
	struct store *store;		       /* what the disk is asked for, or NULL */
	uint64_t store_ns;		       /* since when */
	bool served;			       /* somebody waits while we work: in turns, then */
	bool look_whole;		       /* at each pin, not at one alone */
	bool withdraw;			       /* names of others are to go at the next pass */
	struct pk_sync_done done;	       /* since the last acknowledgement */
	bool under_way;			       /* a pass needs more turns */
	bool unacknowledged;  /* packets may still be under way by what was before */
	unsigned int crowded; /* passes in a row that found no room */
	uint64_t held_ns;     /* since when the node lock is not to be had; 0: it is */
	uint64_t change_ns;   /* CLOCK_MONOTONIC of the oldest change not applied yet; 0 = none */
	uint64_t last_ns;     /* of the last pass's begin */
	size_t old_blocks;    /* that the settings name no more, kept for endpoints' sake */
	uint64_t compiled;    /* number of the documents that the engine's images are of */
	uint64_t passing,
		passed; /* of those that a pass without an error brought, and acknowledged */
};

/*
 * What the disk is to have: one write at a time, and what changes meanwhile is the next one's. It has
 * a moment for it; after that nobody waits, but no name goes before it has it.
 */
void apply_store(struct pk_apply *apply);
/* How much longer an acknowledgement waits for the disk; 0: it doesn't. */
uint64_t apply_disk_ms(const struct pk_apply *apply);
/* As soon as they can be had, and again where the pins are others by now. */
int apply_open_tables(struct pk_apply *apply);
/* Nobody reads events any more. */
void apply_leave_tables(struct pk_apply *apply);
void apply_look_pins(void *apply);
/* An old block's last endpoint is gone. */
bool apply_block_is_left(const struct pk_apply *apply);
/* Pools, masquerading. While somebody keeps the node lock, the next pass does it. */
void apply_set_node(struct pk_apply *apply);
