/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The verbs of docs/api.md. */
#include <time.h>

#include "httpd.h"
#include "json.h"

struct pk_parts;
struct pk_local_endpoint;

/* arg: the struct pk_parts. */
void pk_api_serve(void *arg, struct pk_exchange *x);
/* Ends what waits (confirmations, questions to Nomad). Before the parts go. */
void pk_api_stop(void);

/* A pass was made: who waited for what it brought is answered. */
void pk_api_confirm_passed(void);

/* One file each. */
void pk_api_status(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_endpoints(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_endpoint(const struct pk_parts *p, struct pk_exchange *x, const char *id);
void pk_api_confirm(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_confirm_stop(void);
void pk_api_nomad(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_nomad_stop(void);
void pk_api_policies(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_release(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_policy(const struct pk_parts *p, struct pk_exchange *x, const char *id);
void pk_api_world(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_rules(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_identities(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_counters(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_flows(const struct pk_parts *p, struct pk_exchange *x);

/* What selectors and services match nothing now, found by document. */
struct pk_document;
struct pk_unresolved;
struct pk_api_unresolved {
	struct pk_unresolved *list;  /* those of a document stand together */
	struct pk_api_group *groups; /* by document */
	size_t n_groups;
};
void pk_api_unresolved_read(const struct pk_parts *p, struct pk_api_unresolved *out);
void pk_api_unresolved_done(struct pk_api_unresolved *u);
/* NULL, *n 0: nothing of doc. doc may be NULL. */
const struct pk_unresolved *pk_api_unresolved_of(const struct pk_api_unresolved *u,
						 const struct pk_document *doc, size_t *n);
#define own_unresolved PK_OWN(pk_api_unresolved_done) struct pk_api_unresolved

/* Shared shapes. */
void pk_api_time(struct pk_jw *w, const char *key,
		 const struct timespec *ts); /* null where it is 0 */
struct pk_world_endpoint;
void pk_api_labels(struct pk_jw *w,
		   const struct pk_world_endpoint *ep); /* "labels", "unknown" as lists */
bool pk_api_selects(const struct pk_document *doc, const struct pk_world_endpoint *ep);
