/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The engine `kernel` of expectations and property tests: everything that an engine compiled, in
 * maps of its own (nothing pinned, nothing attached), asked by bpf/judge.bpf.c through
 * BPF_PROG_TEST_RUN. Needs root.
 */
#include "ask.h"
#include "bpfobj.h"
#include "picket/query.h"

extern const struct pk_ask_kernel pk_kernel;

/*
 * The same program over the node's own pinned tables: what the guard is told, not what it should
 * be. Reads only. bpf is the caller's and outlives it.
 */
struct pk_live;
int pk_live_open(struct pk_live **out, const struct pk_bpf *bpf, struct pk_err *err);
void pk_live_close(struct pk_live *live);
static inline void pk_live_closep(struct pk_live **live)
{
	pk_live_close(*live);
}
#define own_live PK_OWN(pk_live_closep) struct pk_live

/*
 * Finds who the tables say is at an address, and fills party, identity, tenant and addr of q.
 * Returns the slot of a local endpoint, else 0. The host isn't in the tables.
 */
uint32_t pk_live_who(const struct pk_bpf *bpf, const union pk_addr *addr, struct pk_query *q);

/*
 * The endpoints' first addresses are what is asked about; whoever the tables say is at an address
 * of ENDPOINT or WORLD counts. -EINVAL: an end has no address. -ENOENT: no open endpoint at
 * it, or its rule set isn't there.
 */
int pk_live_ask(const struct pk_live *live, const struct pk_question *q,
		struct pk_verdict_value *out, struct pk_err *err);

/* Every tracked connection that packets still pass on: not closed, expired, or denied since. */
typedef int pk_live_flow_fn(void *arg, const struct pk_flow_key *key, const struct pk_flow *flow);
int pk_live_flows(const struct pk_live *live, pk_live_flow_fn *each, void *arg, struct pk_err *err);
