/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A plan tells what changed documents would change. It asks about every pair of workloads that one
 * of them selects, before and after: on every port that one of them speaks of, on one that none
 * does, and wherever else the compiled tables tell ports or addresses of the world apart. It also
 * tells how many of the connections that are live now the change would cut.
 */
#include "scenario.h"

struct pk_plan_change {
	const char *from,
		*to;	     /* first endpoint of each group, or host, remote-node, world:ADDRESS */
	size_t n_from, n_to; /* endpoints of the group; 1 for those that are none */
	char what[64];	     /* "5432/tcp", "6000-6100/tcp", "icmp 8/0", "other tcp ports" */
	uint8_t proto;
	uint16_t port, end;
	bool other; /* port stands for all that no document names */
	enum pk_verdict before, after;
	size_t cut; /* live connections of this kind */
};

struct pk_plan {
	struct pk_plan_change *changes;
	size_t n;
	size_t opened, closed;			/* pairs with a change of that kind */
	size_t verdicts_before, verdicts_after; /* entries in the tables */
	size_t cut;				/* live connections, exactly */
	bool partial; /* too many ways to tell the world apart: not each was compared */
};

/* A connection that is live, from its initiator to its responder. */
struct pk_plan_flow {
	union pk_addr addr[2];
	bool host[2]; /* that end is the node itself */
	uint8_t proto;
	uint16_t port; /* as a policy asks: ICMP's is type << 8 | code */
};

int pk_plan_flow_cmp(const struct pk_plan_flow *a, const struct pk_plan_flow *b);

struct pk_plan_ask {
	struct pk_scenario *before, *after;	  /* of the same endpoints */
	const struct pk_document *const *changed; /* the documents that differ, of both sides */
	size_t n_changed;
	struct pk_plan_flow *flows; /* sorted in place */
	size_t n_flows;
};
int pk_plan_make(const struct pk_plan_ask *ask, struct pk_plan *out, struct pk_err *err);
void pk_plan_done(struct pk_plan *plan);
