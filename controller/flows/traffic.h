/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Adds the endpoints' counters to sums that only grow: of the node by direction and reason, and of
 * each job. An endpoint's counters go with its slot; what was read of them stays in the sums. A
 * job's sums go with its last endpoint here. At most PK_TRAFFIC_JOBS jobs have sums of their own,
 * at most PK_TRAFFIC_TENANT_JOBS of one tenant; further ones are counted as their tenant's
 * "_other", or as everybody's. What was added to a sum never moves to another one.
 */
#include "model.h"
#include "tables.h"

#define PK_TRAFFIC_JOBS	       256
#define PK_TRAFFIC_TENANT_JOBS 64
#define PK_TRAFFIC_NAME	       128 /* bytes of a name; the rest of a longer one is left out */
/* No namespace can be named so; a job that is shares the sums of its tenant's others. */
#define PK_TRAFFIC_OTHER      "_other"
#define PK_TRAFFIC_QUARANTINE "_quarantine"
#define PK_TRAFFIC_UNKNOWN    "_unknown" /* the job, while only a claim says it */

struct pk_traffic;

struct pk_traffic_job {
	char tenant_name[PK_TRAFFIC_NAME + 1], job[PK_TRAFFIC_NAME + 1];
	struct pk_counter sum[2][2]; /* by enum pk_dir, and whether it was denied */
	uint64_t lost;		     /* events for which the data path had no room */
	unsigned int endpoints;	     /* 0: free */
	bool other;		     /* the sums are of several jobs */
};

/*
 * For endpoints that are older than `since` (seconds since 1970) only what is counted from now on
 * counts, as for a new process.
 */
struct pk_traffic *pk_traffic_new(time_t since);
void pk_traffic_free(struct pk_traffic *traffic);

/*
 * Reads a slot's counters and adds them to the sums of the endpoint that has it; slot 0 counts
 * packets of no endpoint.
 */
void pk_traffic_read(struct pk_traffic *traffic, const struct pk_bpf *bpf, struct pk_model *model,
		     uint32_t slot);
/* Reads the counters of endpoints that went one last time, and forgets those endpoints. */
void pk_traffic_settle(struct pk_traffic *traffic, const struct pk_bpf *bpf,
		       struct pk_model *model);
/* A reading of a slot: its counters, and how many of its events were lost. */
struct pk_traffic_read {
	struct pk_counter row[2][PK_REASON_SLOTS];
	uint64_t lost;
};
/* Adds a reading to the sums. ep NULL: the slot has no endpoint. */
void pk_traffic_take(struct pk_traffic *traffic, uint32_t slot, const struct pk_local_endpoint *ep,
		     const struct pk_traffic_read *read);

const struct pk_counter *pk_traffic_sum(const struct pk_traffic *traffic, enum pk_dir dir,
					unsigned int reason);
/* Returns the i-th job with endpoints here; NULL after the last. */
const struct pk_traffic_job *pk_traffic_job(const struct pk_traffic *traffic, size_t i);
