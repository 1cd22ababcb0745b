/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads, once, which documents the nodes say that they enforce (report.h). */
#include "consul.h"
#include "http.h"
#include "service.h"

struct pk_reports;

struct pk_reports_args {
	struct pk_http *http;
	const struct pk_service *consul;
	const char *prefix; /* ends with "/" */
};
/* kvs has no keys where they can't be read; it is good until fn returns. fn is called once. */
typedef void pk_reports_fn(void *arg, const struct pk_kvs *kvs);
/* NULL: they can't be asked for. */
struct pk_reports *pk_reports_ask(const struct pk_reports_args *args, pk_reports_fn *fn, void *arg);
void pk_reports_cancel(struct pk_reports *reports);

/* One node's word on the operator's documents, by the reports. */
struct pk_node_policy {
	bool known;
	bool current; /* it enforces all that is known to stand in Consul */
	uint64_t index;
	const char *digest, *since; /* good for as long as doc is; NULL: they can't be read */
	struct pk_json_doc *doc;
};
/* Returns the digest of the newest set that a node enforces without a document that lacks; "". */
void pk_reports_newest(const struct pk_kvs *kvs, char digest[PK_DIGEST_TEXT]);
/* Reads the report of a node, its name as the last part of a key. The caller frees doc. */
void pk_reports_of(const struct pk_kvs *kvs, const char *node, const char *newest,
		   struct pk_node_policy *out);
