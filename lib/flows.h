/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The flow table, from outside the data path. Flows that are over are deleted by the next flow that
 * takes their place; what nobody takes is memory only, and is given back here.
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
	uint64_t seen, ended; /* entries of the walk that is under way, or that ended last */
};

/*
 * Looks at about n more entries and ends those that are over for a minute, or whose endpoint is
 * gone. 1: the walk is through; 0: there is more; -errno.
 */
int pk_flows_reap(const struct pk_bpf *bpf, struct pk_flows_walk *walk, uint32_t n,
		  struct pk_err *err);
/* Ends the flows that slot owns. The slot's word is 0, or of another opening than the flows'. */
int pk_flows_end_slot(const struct pk_bpf *bpf, uint32_t slot, struct pk_err *err);
