/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by apply.c and all files whose names begin with apply_. */
#include "apply.h"

#define APPLY_RETRY_MS 5000  /* until the next try, after an error */
#define APPLY_HELD_MS  100   /* until the next try, while the node lock is held */
#define APPLY_PINS_MS  20000 /* between two looks at what is pinned */

struct pk_apply {
	struct pk_apply_args args;
	struct pk_apply_state state;
	struct pk_timer *pass, *acknowledge, *pins;
	struct pk_memory *memory;
	bool docs_changed, settings_changed;   /* changed since the last change that is in force */
	bool docs_untaken, settings_untaken;   /* changed since a pass took them in */
	bool docs_unstored, settings_unstored; /* changed since the disk was asked to keep them */
	struct store *store;		       /* what the disk is being asked for, or NULL */
	uint64_t store_ns;		       /* since when store is asked */
	uint64_t store_again_ms; /* when to ask again after an error; 0: there was none */
	bool unsynced;		 /* the disk refused to sync what was written, and has it not yet */
	bool served;		 /* the loop serves others: work in turns */
	bool look_whole;	 /* look at every pin, not at one alone */
	bool withdraw;		 /* the next pass takes away names that nobody uses */
	struct pk_sync_done done; /* since the last acknowledgement */
	bool under_way;		  /* a pass needs more turns */
	bool unacknowledged;	  /* packets may still be under way by what was before */
	unsigned int crowded;	  /* passes in a row that found no room */
	uint64_t held_ns;	  /* since when the node lock is not to be had; 0: it is */
	uint64_t change_ns; /* CLOCK_MONOTONIC of the oldest change not applied yet; 0 = none */
	uint64_t last_ns;   /* when the last pass began */
	size_t old_blocks;  /* blocks that only endpoints still need */
	uint64_t compiled;  /* number of the documents that the engine's images are made of */
	uint64_t passing,
		passed; /* of those that a pass without an error brought, and acknowledged */
};

/*
 * Asks the disk to keep documents and settings: one write at a time; a change meanwhile goes with
 * the next write. An acknowledgement waits a moment for it. After that nobody waits, but no name
 * goes before the disk has it.
 */
void apply_store(struct pk_apply *apply);
/* Returns how much longer an acknowledgement waits for the disk; 0: no longer. */
uint64_t apply_disk_ms(const struct pk_apply *apply);
/* Forgets documents that went, once neither a table nor the disk has them. */
void apply_let_go(struct pk_apply *apply);
/* Opens the tables as soon as they can be had, and anew where other tables are pinned by now. */
int apply_open_tables(struct pk_apply *apply);
/* Leaves the tables' events: nobody reads them any more. */
void apply_leave_tables(struct pk_apply *apply);
void apply_look_pins(void *apply);
/* Returns whether an old block's last endpoint is gone. */
bool apply_block_is_left(const struct pk_apply *apply);
/* Writes pools and masquerading. While somebody keeps the node lock, the next pass does it. */
void apply_set_node(struct pk_apply *apply);
