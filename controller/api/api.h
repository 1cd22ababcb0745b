/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The handlers of docs/api.md. */
#include <time.h>

#include "httpd.h"
#include "json.h"

struct pk_parts;
struct pk_local_endpoint;

/* Answers a request on the unix socket; arg is the struct pk_parts. */
void pk_api_serve(void *arg, struct pk_exchange *x);
/* Answers a request on the network: GET /metrics and /v1/health, nothing else. */
void pk_api_serve_network(void *arg, struct pk_exchange *x);
/* Ends what waits (confirmations, questions to Nomad). Called before the parts go. */
void pk_api_stop(void);
/* Ends what waits for the store's answer. Called before the store goes. */
void pk_api_store_ends(void);

/* Reads a request's body: an object that has no other keys. */
int pk_api_read_body(struct pk_exchange *x, const char *const keys[], struct pk_json_doc **doc,
		     struct pk_err *err);

/* Called after each pass: answers whoever waited for what it brought. */
void pk_api_confirm_passed(void);

/* How the node is, and why: one source for status, health and metrics. */
#define PK_API_OK	"ok"
#define PK_API_DEGRADED "degraded"
#define PK_API_FAILING	"failing"
struct pk_api_documents {
	unsigned int foreign; /* refused documents of tenants without an endpoint here */
	unsigned int active, refused, unresolved, audit;
};
#define PK_API_SETTLED_S 10 /* what lasts longer than this is no passing state of an ADD */
struct pk_api_settled {
	unsigned int open, quarantined, unconfirmed, behind;
	unsigned int shut; /* by their word, though their record is open */
};
struct pk_api_endpoints {
	unsigned int open, closed, in_step, quarantined, unconfirmed, contradicted, orphans;
	struct pk_api_settled settled; /* of those that are older than that */
	/* Endpoints that may be a reason: their device is gone, their tables aren't ours, ... */
	unsigned int gone, elsewhere, of_before, troubled;
};
/*
 * An answer that is told in parts is begun anew where documents or endpoints change meanwhile, but
 * not for ever. Zero before the first part.
 */
struct pk_api_moment {
	uint64_t documents, endpoints;
	unsigned int begun;
};
/* Whether it is to be begun: the first time, and where they did change. */
bool pk_api_moved(const struct pk_parts *p, struct pk_api_moment *moment);
struct pk_api_counts { /* zero before the first part */
	struct pk_api_documents documents;
	struct pk_api_endpoints endpoints;
	size_t document, endpoint; /* the next one */
	struct pk_api_moment moment;
};
/* Was its ADD as long ago as that? One in the future is of before the clock was set back. */
bool pk_api_is_settled(const struct pk_local_endpoint *ep);
/* Returns whether its word is closed, though its record is open and its device is there. */
bool pk_api_is_shut(const struct pk_parts *parts, const struct pk_local_endpoint *ep);
/* Until about deadline_ns of CLOCK_MONOTONIC; true: all are counted. */
bool pk_api_counts_part(const struct pk_parts *p, struct pk_api_counts *counts,
			uint64_t deadline_ns);
typedef void pk_api_reason_fn(void *arg, const char *what);
struct pk_api_reasons_args {
	struct pk_jw *w; /* gets "reasons", a list */
	const struct pk_api_counts *counts;
	pk_api_reason_fn *said; /* for each of them; or NULL */
	void *arg;
};
/* Returns one of "ok", "degraded", "failing". */
const char *pk_api_reasons(const struct pk_parts *p, const struct pk_api_reasons_args *args);

const char *pk_api_version(void);
/*
 * Counts this node's endpoints that a document selects, in parts, for a tenant's rules may be asked
 * of a thousand endpoints; zero before the first.
 */
struct pk_api_count {
	size_t at; /* the next endpoint */
	uint64_t documents, endpoints;
	unsigned int selects;
	size_t of, n; /* that have tables, and the document in them */
};
/*
 * How many documents are enforced, and how many are held. Counted in parts; zero before the first.
 */
struct pk_doc_entry;
struct pk_api_enforced_walk {
	size_t at;
	struct pk_api_count count;
	uint64_t least; /* the number that all endpoints have reached */
	unsigned int enforced, held;
	/* Called for each document in turn; or NULL. */
	void (*fn)(void *arg, const struct pk_doc_entry *entry, bool enforced);
	void *arg;
};
/* Counts on until about deadline_ns of CLOCK_MONOTONIC; returns whether it is through. */
bool pk_api_enforced_part(const struct pk_parts *p, struct pk_api_enforced_walk *walk,
			  uint64_t deadline_ns);

/* Each noun has a file of its own. */
void pk_api_health(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_status(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_endpoints(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_endpoint(const struct pk_parts *p, struct pk_exchange *x, const char *id);
void pk_api_confirm(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_confirm_stop(void);
void pk_api_nomad(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_nomad_stop(void);
void pk_api_node_remove(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_node_remove_stop(void);
void pk_api_policies(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_release(const struct pk_parts *p, struct pk_exchange *x);
/* Called after each look at the policy directory: a release is judged by what it found. */
void pk_api_release_looked(const struct pk_parts *p);
/* Called before the directory's watch goes. */
void pk_api_release_stop(void);
void pk_api_policy(const struct pk_parts *p, struct pk_exchange *x, const char *id);
void pk_api_world(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_rules(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_identities(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_nodes(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_nodes_stop(void);
void pk_api_services(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_counters(const struct pk_parts *p, struct pk_exchange *x);
void pk_api_flows(const struct pk_parts *p, struct pk_exchange *x);

/*
 * Tells, for the author of each tenant's document of Consul's, what became of it, bounded in size.
 * Told in parts; at and count are zero before the first.
 */
struct pk_api_states_walk {
	size_t at;
	struct pk_api_count count;
	void (*fn)(void *arg, const struct pk_doc_entry *entry, const struct pk_str *text);
	void *arg;
};
/* Until about deadline_ns of CLOCK_MONOTONIC; true: all are told. */
bool pk_api_tenant_states(const struct pk_parts *p, struct pk_api_states_walk *walk,
			  uint64_t deadline_ns);

/* Writes "others" of the status: the cluster's other nodes. */
void pk_api_cluster(const struct pk_parts *p, struct pk_jw *w);

/* Shapes that several nouns share. */
void pk_api_time(struct pk_jw *w, const char *key,
		 const struct timespec *ts); /* null where it is 0 */
struct pk_world_endpoint;
/* Writes limits, limitsRefused, limitsFix; with counts also how often each limit was met. */
void pk_api_limits(const struct pk_parts *p, struct pk_jw *w, const struct pk_local_endpoint *m,
		   bool counts);
void pk_api_labels(struct pk_jw *w,
		   const struct pk_world_endpoint *ep); /* "labels", "unknown" as lists */
struct pk_document;
bool pk_api_selects(const struct pk_document *doc, const struct pk_world_endpoint *ep);
/* Does one of its selectors or services match nothing now? */
bool pk_api_is_unresolved(const struct pk_parts *p, const struct pk_document *doc);
