/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The flow table as user space cleans it. A flow that is over is deleted by the next one that takes
 * its place. One whose place nobody takes costs memory alone, which is given back here.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpfobj.h"

/* Reads the clock that flows expire by: jiffies, low 32 bits. */
int pk_flows_now(const struct pk_bpf *bpf, uint32_t *jiffies, struct pk_err *err);

/* A walk over the table, a part at a time. Zero it before the first. */
struct pk_flows_walk {
	uint32_t at; /* the kernel's cursor */
	bool under_way;
	bool at_once;	      /* what is over goes now, not a minute later */
	uint64_t seen, ended; /* entries of the walk that is under way, or that ended last */
};

/*
 * Looks at about n more entries and deletes those that have been over for a minute (at_once: that
 * are over) and those whose endpoint is gone. Returns 1 where the walk is through, 0 where there is
 * more, or -errno.
 */
int pk_flows_reap(const struct pk_bpf *bpf, struct pk_flows_walk *walk, uint32_t n,
		  struct pk_err *err);
/*
 * Ends the flows that the slot owns. The slot's word must be 0, or belong to a later opening than
 * the flows do.
 */
int pk_flows_end_slot(const struct pk_bpf *bpf, uint32_t slot, struct pk_err *err);
