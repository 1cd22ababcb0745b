/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by apply.c and all files whose names begin with apply_. */
#include "apply.h"

#define APPLY_RETRY_MS 5000  /* until the next try, after an error */
#define APPLY_HELD_MS  100   /* until the next try while somebody holds the node lock */
#define APPLY_PINS_MS  20000 /* between two looks at what is pinned */

struct pk_apply {
	struct pk_apply_args args;
	struct pk_apply_state state;
	struct pk_timer *pass, *acknowledge, *pins, *tell;
	struct pk_memory *memory;
	bool docs_changed, settings_changed;   /* changed since the last change that is in force */
	bool docs_untaken, settings_untaken;   /* changed since a pass took them in */
	bool docs_unstored, settings_unstored; /* changed since the disk was asked to keep them */
	struct store *store;		       /* the write that is under way, or NULL */
	uint64_t store_ns;		       /* since when store is asked */
	uint64_t store_again_ms;  /* when to ask again after an error; 0: there was none */
	bool unsynced;		  /* the disk refused to sync, and hasn't done so since */
	bool served;		  /* the loop serves others: work in turns */
	bool look_whole;	  /* look at every pin, not at one alone */
	bool withdraw;		  /* the next pass deletes names that nobody uses */
	struct pk_sync_done done; /* since the last acknowledgement */
	bool under_way;		  /* a pass needs more turns */
	bool unacknowledged;	  /* packets may still be judged by the old rule sets */
	unsigned int crowded;	  /* passes in a row that found no room */
	/* since when somebody else holds the node lock (CLOCK_MONOTONIC); 0: nobody */
	uint64_t held_ns;
	uint64_t change_ns; /* CLOCK_MONOTONIC of the oldest change not applied yet; 0 = none */
	uint64_t last_ns;   /* when the last pass began */
	size_t old_blocks;  /* blocks that are kept for endpoints alone */
	/* the number of the documents of which the engine's images were made */
	uint64_t compiled;
	uint64_t passing,
		/*
		 * passing: the number that the last good pass has written; passed: that was
		 * acknowledged, too
		 */
		passed;
};

/*
 * Has documents and settings written to disk, one write at a time; a change meanwhile goes with the
 * next one. An acknowledgement waits a moment for the disk, then no longer; names of rule sets
 * aren't deleted before the disk is done.
 */
void apply_store(struct pk_apply *apply);
/* Returns how much longer an acknowledgement waits for the disk; 0: no longer. */
uint64_t apply_disk_ms(const struct pk_apply *apply);
/* Forgets documents that went, once neither a table nor the disk has them. */
void apply_let_go(struct pk_apply *apply);
/* Opens the tables, or others where those are pinned by now. */
int apply_open_tables(struct pk_apply *apply);
/* Stops the tables' events: nobody reads them any more. */
void apply_leave_tables(struct pk_apply *apply);
void apply_look_pins(void *apply);
/* Returns whether an old block's last endpoint is gone. */
bool apply_block_is_left(const struct pk_apply *apply);
/* Writes pools and masquerading. While somebody keeps the node lock, the next pass does it. */
void apply_set_node(struct pk_apply *apply);
