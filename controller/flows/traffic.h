/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The endpoints' counters as sums that only grow: of the node by direction and reason, and of each
 * job. An endpoint's own counters go with its slot; what was read of them stays in the sums. A
 * job's sums go with its last endpoint here.
 *
 * At most PK_TRAFFIC_JOBS jobs have sums of their own, PK_TRAFFIC_TENANT_JOBS of one tenant. While
 * there is no room an endpoint is counted with its tenant's others, or with everybody's. What was
 * added to one sum never moves to another.
 */
#include "model.h"
#include "tables.h"

#define PK_TRAFFIC_JOBS	       256
#define PK_TRAFFIC_TENANT_JOBS 64
#define PK_TRAFFIC_NAME	       128 /* bytes of a name; the rest of a longer one is left out */
/* No namespace can be named so. A job of that name shares the sums of its tenant's others. */
#define PK_TRAFFIC_OTHER      "_other"
#define PK_TRAFFIC_QUARANTINE "_quarantine"
#define PK_TRAFFIC_UNKNOWN    "_unknown" /* the job, while only a claim says it */

struct pk_traffic;

struct pk_traffic_job {
	char tenant_name[PK_TRAFFIC_NAME + 1], job[PK_TRAFFIC_NAME + 1];
	struct pk_counter sum[2][2]; /* by enum pk_dir, and whether it was denied */
	uint64_t lost;		     /* events that the data path had no room for */
	unsigned int endpoints;	     /* 0: free */
	bool other;		     /* the sums are of several jobs */
};

/* For endpoints that were there before `since` only what comes counts, as for a new process. */
struct pk_traffic *pk_traffic_new(time_t since);
void pk_traffic_free(struct pk_traffic *traffic);

/* Reads a slot's counters, whoever has it by now; slot 0 is packets of no endpoint. */
void pk_traffic_read(struct pk_traffic *traffic, const struct pk_bpf *bpf, struct pk_model *model,
		     uint32_t slot);
/* Reads the counters of endpoints that went once more, and forgets them. */
void pk_traffic_settle(struct pk_traffic *traffic, const struct pk_bpf *bpf,
		       struct pk_model *model);
/* What was read of a slot: its counters, and how many events of it were lost. */
struct pk_traffic_read {
	struct pk_counter row[2][PK_REASON_SLOTS];
	uint64_t lost;
};
/* Adds what was read. ep NULL: the slot has no endpoint. */
void pk_traffic_take(struct pk_traffic *traffic, uint32_t slot, const struct pk_local_endpoint *ep,
		     const struct pk_traffic_read *read);

const struct pk_counter *pk_traffic_sum(const struct pk_traffic *traffic, enum pk_dir dir,
					unsigned int reason);
/* Returns the i-th job that has endpoints here; NULL after the last. */
const struct pk_traffic_job *pk_traffic_job(const struct pk_traffic *traffic, size_t i);
