/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which documents the tables have, endpoint by endpoint: what was compiled is in force for an
 * endpoint from when its word names a rule set of exactly that digest.
 */
#include "model.h"
#include "sync.h"

struct pk_enforced_count {
	size_t n, of;
};

/* Whether packets of it are judged by a rule set at all. */
bool pk_enforced_has_tables(struct pk_sync *sync, const struct pk_local_endpoint *ep);
/* Under which documents it lives, of those that were compiled last. */
enum pk_fit pk_enforced_fit(struct pk_sync *sync, struct pk_model *model,
			    const struct pk_local_endpoint *ep);
/* What was compiled last came of the documents of that number: each endpoint in step has them. */
void pk_enforced_note(struct pk_sync *sync, struct pk_model *model, uint64_t number);
/* The number that was noted, of the operators' documents or of all; 0: not known any more. */
uint64_t pk_enforced_noted(struct pk_sync *sync, const struct pk_local_endpoint *ep,
			   bool operators);
