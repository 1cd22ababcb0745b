/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Brings the tables to what is wanted. Each pass computes what the engine wants of this node's
 * endpoints, compares it with what the kernel has, and writes the difference in state.md's order:
 * numbers, rule sets built aside, names for the next ADD, then each endpoint by one exchange of its
 * word. A rule set that doesn't fit leaves the endpoint under its old one and is an error of the
 * pass.
 */
#include "bpfobj.h"
#include "model.h"

struct pk_sync;

struct pk_sync *pk_sync_new(const struct pk_paths *paths);
void pk_sync_free(struct pk_sync *sync);
/* Loads where nothing is loaded, else uses what is pinned. A second call is harmless. */
int pk_sync_open(struct pk_sync *sync, const struct pk_settings *settings, struct pk_err *err);
/* Returns NULL until open. */
struct pk_bpf *pk_sync_bpf(struct pk_sync *sync);
/* Returns whether flows that ended are told of. */
bool pk_sync_tells_of_ends(const struct pk_sync *sync);
/*
 * Bounds how long picketd's calls may wait for the node lock from now on (CLOCK_MONOTONIC): a
 * moment, since everybody else waits meanwhile. Whoever gets -ETIMEDOUT ends its work and comes
 * back.
 */
uint64_t pk_sync_until(void);
/* Sets no such bound: nobody is served yet, or any more. */
uint64_t pk_sync_until_long(void);

/* Says that resolv.conf changed: the next pass tells the endpoints that follow it. */
void pk_sync_resolv(struct pk_sync *sync);

struct pk_sync_want {
	struct pk_model *model; /* compiled */
	bool all; /* documents or settings changed or a tenant went: unused names go too */
	bool log_new, log_closed;     /* events of new allowed flows, of flows that ended */
	const struct pk_slice *slice; /* asked after each rule set that is made; NULL: all in one */
};
struct pk_sync_done {
	unsigned int switched, installed, amended, ports;
	bool again; /* something changed during the pass: come back soon */
	bool few;   /* only endpoints with something new in the model were looked at */
};
/*
 * Makes a pass. The first error is returned, the rest is still done. Where endpoints came or
 * changed that change nothing for the others, it looks at them alone, but once a second at all:
 * somebody else may have changed a table. -EAGAIN: rule sets are still to be made, and nothing is
 * switched: go on in another turn. -ETIMEDOUT: the node lock is held, which ends the pass.
 */
int pk_sync_pass(struct pk_sync *sync, const struct pk_sync_want *want, struct pk_sync_done *done,
		 struct pk_err *err);
/*
 * Finds the rule sets that no word named in this call and the one before, and forgets label sets
 * that nobody has.
 */
void pk_sync_tidy(struct pk_sync *sync, struct pk_model *model);
/* Frees one of those, which waits for RCU. Returns false where there was none. */
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
