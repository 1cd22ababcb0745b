/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes back beside a tenant's documents what became of them, for a tenant who has a Consul token
 * and nothing else: <prefix>/v1/<cluster>/status/tenants/NAMESPACE/NAME/NODE, where NAME is that of
 * the document's key. Each node has keys of its own, so none writes over another's. Only what
 * changed is written: one key a second, and the same key at most every 10 s. The log says once that
 * Consul refuses it, which is tried again every 10 min.
 */
#include "parts.h"
#include "store.h"

struct pk_consul_told;

/* parts and store outlive it. */
struct pk_consul_told *pk_consul_told_new(const struct pk_parts *parts, struct pk_store *store);
void pk_consul_told_free(struct pk_consul_told *told);
/* Says that there may be something new to tell. */
void pk_consul_told_soon(struct pk_consul_told *told);
