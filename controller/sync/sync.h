/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Brings the tables in step with the model. Each pass computes what the engine wants for this
 * node's endpoints, compares it with the kernel's tables, and writes the difference in state.md's
 * order: identity numbers, rule sets built aside, names for the next ADD, then each endpoint by one
 * exchange of its word. Where a rule set doesn't fit its endpoints keep their old one, and the pass
 * returns an error.
 */
#include "bpfobj.h"
#include "model.h"

struct pk_sync;

struct pk_sync *pk_sync_new(const struct pk_paths *paths);
void pk_sync_free(struct pk_sync *sync);
/*
 * Loads the programs and tables where nothing is loaded, else opens what is pinned. A second call
 * does nothing.
 */
int pk_sync_open(struct pk_sync *sync, const struct pk_settings *settings, struct pk_err *err);
/* Returns NULL until open. */
struct pk_bpf *pk_sync_bpf(struct pk_sync *sync);
/* Returns whether the loaded programs report flows that end. */
bool pk_sync_tells_of_ends(const struct pk_sync *sync);
/*
 * Returns until when (CLOCK_MONOTONIC, ns) a call may wait for the node lock: a moment, since
 * everybody else waits meanwhile. On -ETIMEDOUT the caller ends its work and tries again later.
 */
uint64_t pk_sync_until(void);
/* Returns the same for when picketd serves nobody yet, or no longer: it may wait long. */
uint64_t pk_sync_until_long(void);

/* Says that resolv.conf changed: the next pass tells the endpoints that follow it. */
void pk_sync_resolv(struct pk_sync *sync);

struct pk_sync_want {
	struct pk_model *model; /* compiled */
	/* look at all, and delete unused names: documents or settings changed, or a tenant went */
	bool all;
	bool log_new, log_closed; /* events of new allowed flows, of flows that ended */
	/* tells after each rule set whether time is up; NULL: all in one turn */
	const struct pk_slice *slice;
};
struct pk_sync_done {
	unsigned int switched, installed, amended, ports;
	bool again; /* something changed during the pass: come back soon */
	bool few;   /* only endpoints with something new in the model were looked at */
};
/*
 * Makes a pass. It goes on after an error, and returns the first one. Where only some endpoints
 * changed and nothing for the others, it looks at those alone; once a second it looks at all, since
 * somebody else may have changed a table. -EAGAIN: rule sets are still to be made, and no endpoint
 * was switched; call again in another turn. -ETIMEDOUT: somebody holds the node lock; the pass
 * ended.
 */
int pk_sync_pass(struct pk_sync *sync, const struct pk_sync_want *want, struct pk_sync_done *done,
		 struct pk_err *err);
/*
 * Finds the rule sets that no endpoint used at this call and the one before, and forgets some
 * unused label sets.
 */
void pk_sync_tidy(struct pk_sync *sync, struct pk_model *model);
/* Frees one of those rule sets, which waits for RCU. Returns false where there was none. */
bool pk_sync_tidy_next(struct pk_sync *sync, struct pk_model *model);

/* The numbers that an endpoint lives under now. rule_set 0: closed, or another epoch's. */
struct pk_sync_state {
	uint32_t identity, tenant, rule_set, revision;
	bool audit;
};
void pk_sync_state(struct pk_sync *sync, const struct pk_local_endpoint *ep,
		   struct pk_sync_state *out);
unsigned int pk_sync_rule_sets(const struct pk_sync *sync);
/* Returns whether the endpoint runs under the rule set that its image asks for. */
bool pk_sync_in_step(struct pk_sync *sync, struct pk_model *model,
		     const struct pk_local_endpoint *ep);
