/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside plan.c (what changes), plan_samples.c and plan_parties.c (what is asked), plan_tables.c
 * (where the tables differ) and plan_flows.c (which connections that cuts).
 */
#include "plan.h"

#define PLAN_UNNAMED 253 /* a protocol for those that no table names */

/* Ports to ask about by their first one: all of them have its verdict. */
struct plan_sample {
	uint8_t proto;
	uint16_t port, end;
	bool other; /* stands for the ports that no changed document names */
};

/* A group of endpoints with equal labels and ports, or what is no endpoint. */
struct plan_party {
	struct pk_peer peer[2]; /* in before, in after */
	struct pk_peer next[2]; /* another one of the group, where n > 1 */
	char *name;
	uint64_t hash[4]; /* its identity in before and in after */
	size_t n;
	bool role[2]; /* an address: asked as destination of egress, as source of ingress */
	bool remote;  /* on other nodes, which judge it */
	bool touched; /* a changed document may select it here */
};

struct plan_work {
	const struct pk_plan_ask *ask;
	struct pk_scenario *side[2]; /* before, after */
	size_t questions;
	struct plan_sample *samples;
	size_t n_samples;
	struct plan_party *parties;
	size_t n_parties, first_address; /* parties from there on are world:ADDRESS */
	struct pk_plan *out;
	struct pk_err *err;
};

/* Walks the entries of all changed documents, from an `at` of zeros on; NULL: there are no more. */
struct plan_entry_at {
	size_t doc, rule, entry;
	int dir;
};
const struct pk_entry *plan_next_entry(const struct plan_work *w, struct plan_entry_at *at);

/* Two parties, as they stand in before and in after. */
struct plan_ends {
	struct pk_peer from[2], to[2];
};
struct plan_pair {
	const struct plan_party *from, *to;
	struct plan_ends ends;
};
/* Returns whether a packet of that protocol can pass between them. */
bool plan_is_possible(const struct plan_pair *pair, uint8_t proto);
/* Asks both worlds: got is the verdict before and the one after. */
int plan_ask_pair(struct plan_work *w, const struct plan_pair *pair, const struct plan_sample *s,
		  enum pk_verdict got[2]);
void plan_add_pair_change(struct plan_work *w, const struct plan_pair *pair,
			  const struct plan_sample *s, const enum pk_verdict got[2]);
/* Adds the ports to ask about, and the parties: endpoints, and what is none. */
void plan_add_samples(struct plan_work *w);
int plan_add_endpoints(struct plan_work *w);
void plan_add_others(struct plan_work *w);
/*
 * Adds an end of connections in that direction. False: there are enough already, or no world
 * address is there.
 */
bool plan_add_address(struct plan_work *w, const union pk_addr *addr, enum pk_dir dir);

/*
 * Returns whether the tables may decide the pair otherwise than before (plan_tables.c). If not,
 * nothing of it has changed.
 */
bool plan_may_differ(const struct plan_work *w, const struct plan_pair *pair);
/* Adds what the lines from `first` on, this pair's, don't say yet. */
int plan_compare_tables(struct plan_work *w, const struct plan_pair *pair, size_t first);
/* Addresses of the world, one for each way in which the touched endpoints tell them apart. */
void plan_add_world(struct plan_work *w);

/* The party of an endpoint's identity; NULL: none. */
const struct plan_party *plan_party_of(const struct plan_work *w,
				       const struct pk_world_endpoint *ep);
struct pk_plan_change *plan_add_change(struct plan_work *w, const char *from, const char *to,
				       const struct plan_sample *s);
int plan_count_flows(struct plan_work *w);
