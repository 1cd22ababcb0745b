/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Inside plan.c (what changes) and plan_flows.c (which connections that cuts). */
#include "plan.h"

/* One port to ask about. */
struct plan_sample {
	uint8_t proto;
	uint16_t port;
	bool other; /* stands for the ports that no changed document names */
};

/* A group of endpoints with equal labels and ports, or what is no endpoint. */
struct plan_party {
	struct pk_judge_peer peer[2]; /* in before, in after */
	struct pk_judge_peer next[2]; /* another one of the group, where n > 1 */
	char *name;
	uint64_t hash[2];
	size_t n;
	bool touched; /* a changed document may select it */
};

struct plan_work {
	const struct pk_plan_ask *ask;
	struct pk_case *side[2]; /* before, after */
	struct plan_sample *samples;
	size_t n_samples;
	struct plan_party *parties;
	size_t n_parties, first_address; /* parties from there on are world:ADDRESS */
	struct pk_plan *out;
	struct pk_err *err;
};

/* The party of an endpoint's identity; NULL: none. */
const struct plan_party *plan_party_of(const struct plan_work *w, const char *key);
struct pk_plan_change *plan_add_change(struct plan_work *w, const char *from, const char *to,
				       const struct plan_sample *s);
int plan_count_flows(struct plan_work *w);
