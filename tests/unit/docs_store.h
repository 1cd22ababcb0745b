/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Documents to the disk as picketd brings them there, but in one go. */
#include "controller/documents/docs.h"

static inline int docs_store(struct pk_docs *docs, struct pk_err *err)
{
	struct pk_docs_batch *batch = pk_docs_batch_new(docs);
	int r;

	if (!batch)
		return 0;
	r = pk_docs_batch_write(batch, err);
	pk_docs_stored(docs, batch);
	if (r == 0)
		r = pk_docs_batch_sync(batch, err);
	pk_docs_batch_free(batch);
	return r;
}
