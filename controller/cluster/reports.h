/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads, once, which documents the nodes say that they enforce (report.h). */
#include <uthash.h>

#include "store.h"

struct pk_reports;

/* kvs has no keys where they can't be read; it is good until fn returns. fn is called once. */
typedef void pk_reports_fn(void *arg, const struct pk_kvs *kvs);
/* NULL: they can't be asked for. */
struct pk_reports *pk_reports_ask(struct pk_store *store, pk_reports_fn *fn, void *arg);
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
 * Reads all reports, each once. What stands in Consul is what the newest of them says whose index
 * isn't past what this node itself has heard (0: it has heard nothing, and takes any); own, the
 * node's name as the last part of its key, is the first among equals. pk_node_policies_free takes
 * what it returns, which may be NULL.
 */
struct pk_node_policy *pk_node_policies(const struct pk_kvs *kvs, const char *own, uint64_t heard);
void pk_node_policies_free(struct pk_node_policy **policies);
/* Returns that of a node, or NULL: it says nothing that can be read. */
const struct pk_node_policy *pk_node_policy(struct pk_node_policy *policies, const char *node);
