/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policy documents in Consul's KV, one source of them: <prefix>/v1/<cluster>/policies/operator/NAME
 * or …/tenants/NAMESPACE/NAME, by a blocking query on that prefix. A key that is new or changed
 * counts at once; one that is gone only after a second, consistent answer says so too (and, where
 * nothing at all is left, after the token has shown that it is still one). Anything else changes
 * nothing; nor does an answer that is over the budget of its tenant.
 */
#include "conf.h"
#include "docs.h"
#include "http.h"
#include "loop.h"
#include "source.h"

struct pk_consul;

struct pk_consul_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config; /* outlives it */
	struct pk_docs *docs;
	const char *of; /* PK_SOURCE_OPERATOR, or PK_SOURCE_TENANT and a namespace; copied */
	pk_loop_fn *changed;
	void *arg;
};

struct pk_consul *pk_consul_new(const struct pk_consul_args *args);
void pk_consul_free(struct pk_consul *consul);
const struct pk_source *pk_consul_source(const struct pk_consul *consul);
/* Why what its tenant wrote last isn't taken: over its budget; NULL: it is. */
const char *pk_consul_over(const struct pk_consul *consul);
/* It asks now and then from its next question on, and keeps no connection open meanwhile. */
void pk_consul_poll(struct pk_consul *consul, bool polls);
