/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Notes which documents the tables have, endpoint by endpoint: a compiled image is in force for an
 * endpoint from when its word names a rule set of exactly that digest.
 */
#include "model.h"
#include "sync.h"

struct pk_enforced_count {
	size_t n, of;
};

/* Returns whether packets of the endpoint are judged by a rule set at all. */
bool pk_enforced_has_tables(struct pk_sync *sync, const struct pk_local_endpoint *ep);
/* Returns how the endpoint's rule set fits the image that was compiled last. */
enum pk_fit pk_enforced_fit(struct pk_sync *sync, struct pk_model *model,
			    const struct pk_local_endpoint *ep);
/* Notes for each endpoint in step that its image was compiled from the documents of that number. */
void pk_enforced_note(struct pk_sync *sync, struct pk_model *model, uint64_t number);
/*
 * Returns the number that was noted, of the operators' documents or of all; 0: not known any more.
 */
uint64_t pk_enforced_noted(struct pk_sync *sync, const struct pk_local_endpoint *ep,
			   bool operators);
