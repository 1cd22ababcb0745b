/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What changed documents would change: every pair of workloads that one of them selects, on every
 * port that one of them speaks of and one that none does, before and after.
 */
#include "case.h"

struct pk_plan_change {
	const char *from,
		*to;	     /* first endpoint of each group, or host, remote-node, world:ADDRESS */
	size_t n_from, n_to; /* endpoints of the group; 1 for those that are none */
	char what[64];	     /* "5432/tcp", "icmp 8", "other tcp ports" */
	enum pk_verdict before, after;
};

struct pk_plan {
	struct pk_plan_change *changes;
	size_t n;
	size_t opened, closed;			/* pairs with a change of that kind */
	size_t verdicts_before, verdicts_after; /* entries in the tables */
};

/* before and after hold the same endpoints; changed: the documents that differ, of both sides. */
int pk_plan_make(struct pk_case *before, struct pk_case *after,
		 const struct pk_document *const *changed, size_t n_changed, struct pk_plan *out,
		 struct pk_err *err);
void pk_plan_done(struct pk_plan *plan);
