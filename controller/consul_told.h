/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What became of a tenant's documents, written back beside them for a tenant who has a Consul key
 * and nothing else: <prefix>/v1/<cluster>/status/tenants/NAMESPACE/NAME/NODE, where NAME is that of
 * the document's key. Each node has keys of its own, so none writes over another's. Only what
 * changed is written: one key a second, and one and the same no oftener than every 10 s. A Consul
 * that refuses is said once, and asked again every 10 min.
 */
#include "conf.h"
#include "http.h"
#include "loop.h"
#include "parts.h"

struct pk_consul_told;

/* parts and config outlive it; node: the last part of its keys. */
struct pk_consul_told *pk_consul_told_new(const struct pk_parts *parts, struct pk_http *http);
void pk_consul_told_free(struct pk_consul_told *told);
/* Something may be other than what was told. */
void pk_consul_told_soon(struct pk_consul_told *told);
