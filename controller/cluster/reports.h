/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads, once, the reports of which documents each node enforces (report.h). */
#include <uthash.h>

#include "store.h"

struct pk_reports;

/* Is called once. kvs has no keys where the store didn't answer; it is good until fn returns. */
typedef void pk_reports_fn(void *arg, const struct pk_kvs *kvs);
/*
 * turn: how many answers of the store failed, which says whom to ask. Returns NULL where the store
 * can't be asked.
 */
struct pk_reports *pk_reports_ask(struct pk_store *store, unsigned int turn, pk_reports_fn *fn,
				  void *arg);
void pk_reports_cancel(struct pk_reports *reports);

/* A node's report on the operator's documents. */
struct pk_node_policy {
	uint64_t index;
	bool current;		     /* it enforces all that is known to stand in Consul */
	char digest[PK_DIGEST_TEXT]; /* "": it says none */
	char since[40];
	char *node; /* as the last part of its key */
	UT_hash_handle hh;
};
/*
 * Reads all reports. The newest of them says what stands in Consul; one with an index past `heard`,
 * this node's own, doesn't count (heard 0: this node has heard nothing, and all count). Of equals
 * the one of `own` is first. Both names are the last part of a node's key. The caller frees what is
 * returned, which may be NULL, by pk_node_policies_free.
 */
struct pk_node_policy *pk_node_policies(const struct pk_kvs *kvs, const char *own, uint64_t heard);
void pk_node_policies_free(struct pk_node_policy **policies);
/* Returns a node's report; NULL: it has none that can be read. */
const struct pk_node_policy *pk_node_policy(struct pk_node_policy *policies, const char *node);
