/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by api_policy.c, which tells of documents, and api_policy_view.c: who has them. */
#include "api.h"
#include "docs.h"
#include "enforced.h"
#include "json.h"
#include "world.h"

struct pk_parts;

struct policy_member {
	const struct pk_world_endpoint *ep;
	bool has_tables;
	uint64_t operators, all; /* pk_apply_enforced */
};

struct policy_view {
	const struct pk_parts *parts;
	struct pk_jw *w;
	struct policy_member *endpoints; /* this node's endpoints */
	size_t n_endpoints;
};

/* Lists this node's endpoints. Pointers are valid while the model stays as it is. */
void policy_view_open(struct policy_view *v);
void policy_view_close(struct policy_view *v);
/*
 * Counts the endpoints that the document selects and that have it, until about deadline_ns. Of one
 * that selects nobody, the last pass must have brought it. Returns whether all are counted.
 */
bool policy_count(const struct policy_view *v, const struct pk_doc_entry *e, struct pk_api_count *c,
		  uint64_t deadline_ns);
