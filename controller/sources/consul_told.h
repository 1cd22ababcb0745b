/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes into Consul, for a tenant who has a Consul token and nothing else, what became of his
 * documents: at <prefix>/v1/<cluster>/status/tenants/NAMESPACE/NAME/NODE, where NAME is the
 * document's. Each node has keys of its own. Only changed texts are written: one key a second, the
 * same key at most every 10 s. A refusal by Consul is logged once, and tried again after 10
 * minutes.
 */
#include "parts.h"
#include "store.h"

struct pk_consul_told;

/* parts and store outlive it. */
struct pk_consul_told *pk_consul_told_new(const struct pk_parts *parts, struct pk_store *store);
void pk_consul_told_free(struct pk_consul_told *told);
/* Says that there may be something new to write. */
void pk_consul_told_soon(struct pk_consul_told *told);
