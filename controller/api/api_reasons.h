/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes why the node is not ok, each reason with its fix, as /v1/status lists it. */
#include "api.h"
#include "json.h"
#include "parts.h"

struct pk_reasons {
	struct pk_jw *w;
	void (*said)(void *arg, const char *what); /* called for each; or NULL */
	void *arg;
	bool degraded, failing;
};

/* Says one reason. fix is NULL or "" where there is none to say. */
void pk_api_reason(struct pk_reasons *reasons, bool failing, const char *what, const char *text,
		   const char *fix);
/* Says the reasons that are of the cluster's other nodes. */
void pk_api_cluster_reasons(const struct pk_parts *parts, struct pk_reasons *reasons);
/* Says the reasons that are of declared services. */
void pk_api_service_reasons(const struct pk_parts *parts, struct pk_reasons *reasons);
/* Says the reasons of endpoints, of their allocations and of the agent that starts them. */
void pk_api_endpoint_reasons(const struct pk_parts *parts, struct pk_reasons *reasons,
			     const struct pk_api_endpoints *counts);
/* Returns why an endpoint has its base's labels though Nomad knows it; NULL: it hasn't. */
const char *pk_api_alloc_trouble(const struct pk_parts *parts, const struct pk_local_endpoint *ep);
/* Says which disks hang and whether nobody reads the log; the second writes the same as numbers. */
void pk_api_write_reasons(const struct pk_parts *parts, struct pk_reasons *reasons);
void pk_api_writes(const struct pk_parts *parts, struct pk_jw *w);
