/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Policy documents in Consul's KV: <prefix>/v1/<cluster>/policies/operator/NAME and
 * …/tenants/NAMESPACE/NAME, by a blocking query on the prefix. A key that is new or changed counts
 * at once; one that is gone only after a second, consistent answer says so too (and, where nothing
 * at all is left, after the token has shown that it is still one). Anything else changes nothing.
 */
#include "conf.h"
#include "docs.h"
#include "http.h"
#include "loop.h"
#include "source.h"

struct pk_consul;

struct pk_consul *pk_consul_new(struct pk_loop *loop, struct pk_http *http,
				const struct pk_config *config, struct pk_docs *docs,
				pk_loop_fn *changed, void *arg);
void pk_consul_free(struct pk_consul *consul);
const struct pk_source *pk_consul_source(const struct pk_consul *consul);

/* Where a key's document belongs, below the prefix: "operator/x", "tenants/acme/x". False: nowhere.
 * source: room for 256 */
struct pk_kv_place {
	char source[256];	 /* "consul/operator", "consul/tenant/acme" */
	const char *tenant_name; /* points into source; NULL: the operator's */
};
bool pk_kv_place(const char *key, const char *prefix, struct pk_kv_place *out);
