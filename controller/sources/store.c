/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

void pk_store_free(struct pk_store *store)
{
	if (store)
		store->ops->free(store);
}

void pk_store_cancel(struct pk_store *store, struct pk_store_call *call)
{
	if (call)
		store->ops->cancel(call);
}

void pk_store_rule(const struct pk_store *store, const char *prefix, bool writes,
		   struct pk_str *out)
{
	store->ops->rule(store, prefix, writes, out);
}
