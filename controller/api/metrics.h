/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Lists every metric of /metrics once, and writes their lines (Prometheus' text format 0.0.4).
 * Pure. docs/metrics.md, the dashboard and the alerts are held to this table.
 *
 * X(SYMBOL, name, type, labels, help): a name once given keeps its meaning.
 */
#include "str.h"

#define PK_METRICS(X)                                                                              \
	X(BUILD_INFO, "picket_build_info", gauge, "version, layout, build",                        \
	  "Always 1: this release, and layout and build of the loaded tables.")                    \
	X(START, "process_start_time_seconds", gauge, "", "When picketd started, in Unix time.")   \
	X(CPU, "process_cpu_seconds_total", counter, "", "Processor time that picketd used.")      \
	X(MEMORY, "process_resident_memory_bytes", gauge, "", "Memory that picketd holds.")        \
	X(STATUS, "picket_status", gauge, "state",                                                 \
	  "1 for the state that the node is in: ok, degraded or failing.")                         \
	X(REASONS, "picket_status_reasons", gauge, "what",                                         \
	  "Reasons why the node is not ok, by what they are about, as in picket status.")          \
	X(LOADED, "picket_enforcement_loaded", gauge, "",                                          \
	  "1 where programs and tables are loaded.")                                               \
	X(PACKETS, "picket_packets_total", counter, "direction, reason",                           \
	  "Packets judged at endpoints; reason ok is allowed, each other one denied.")             \
	X(BYTES, "picket_bytes_total", counter, "direction, reason", "Bytes of those packets.")    \
	X(JOB_PACKETS, "picket_job_packets_total", counter,                                        \
	  "namespace, nomad_job, direction, verdict",                                              \
	  "Packets judged at a job's endpoints of this node.")                                     \
	X(JOB_BYTES, "picket_job_bytes_total", counter,                                            \
	  "namespace, nomad_job, direction, verdict", "Bytes of those packets.")                   \
	X(JOB_EVENTS_LOST, "picket_job_events_lost_total", counter, "namespace, nomad_job",        \
	  "Events of a job's endpoints that the data path had no room for.")                       \
	X(JOBS_OTHER, "picket_job_other_endpoints", gauge, "",                                     \
	  "Endpoints that are counted under _other: there are too many jobs for a series each.")   \
	X(ENDPOINTS, "picket_endpoints", gauge, "state",                                           \
	  "Endpoints of this node by state; one can be in several.")                               \
	X(TABLE_USED, "picket_table_entries", gauge, "table", "Entries that a table has.")         \
	X(TABLE_SIZE, "picket_table_max_entries", gauge, "table",                                  \
	  "Entries that a table can have.")                                                        \
	X(POOL_SIZE, "picket_pool_addresses", gauge, "network, pool",                              \
	  "Addresses that endpoints can get of an IPv4 block.")                                    \
	X(POOL_USED, "picket_pool_used_addresses", gauge, "network, pool",                         \
	  "Addresses of an IPv4 block that endpoints have.")                                       \
	X(CNI_BEGUN, "picket_cni_begun_total", counter, "verb",                                    \
	  "Calls of picket-cni that began; one that was killed never ends.")                       \
	X(CNI_FAILED, "picket_cni_failed_total", counter, "verb, code",                            \
	  "Calls of picket-cni that failed, by the code of their error.")                          \
	X(CNI_SECONDS, "picket_cni_duration_seconds", histogram, "verb",                           \
	  "How long calls of picket-cni took that ended, well or not.")                            \
	X(SOURCE_UP, "picket_source_up", gauge, "source",                                          \
	  "1 where the source's last answer was a good one.")                                      \
	X(SOURCE_CONTACT, "picket_source_last_contact_timestamp_seconds", gauge, "source",         \
	  "When the source last gave a good answer, in Unix time; 0 never.")                       \
	X(SOURCE_ERRORS, "picket_source_errors_total", counter, "source",                          \
	  "Answers of the source that were none, or none that could be used.")                     \
	X(NODES, "picket_nodes", gauge, "state",                                                   \
	  "Other nodes of the cluster by state: live, stale, and silent to this one.")             \
	X(NODE_LOST, "picket_node_probes_lost_total", counter, "",                                 \
	  "Questions to other nodes that were not answered.")                                      \
	X(ROUND_TRIP, "picket_node_round_trip_seconds", gauge, "of",                               \
	  "Median and maximum of the round trips to the nodes that answer; 0 none.")               \
	X(INSTANCES, "picket_service_instances", gauge, "state",                                   \
	  "Instances of declared services that some policy names, by state.")                      \
	X(DOCUMENTS, "picket_policy_documents", gauge, "state",                                    \
	  "Policy documents by state; one can be in several.")                                     \
	X(REVISION, "picket_policy_revision", gauge, "",                                           \
	  "Changes of policy that took effect since picketd started.")                             \
	X(APPLIED, "picket_policy_applied_timestamp_seconds", gauge, "",                           \
	  "When the last change of policy was acknowledged, in Unix time; 0 none yet.")            \
	X(APPLY, "picket_policy_apply_seconds", gauge, "",                                         \
	  "How long the last change took, from its source to the acknowledgement.")                \
	X(RULE_SETS, "picket_rule_sets", gauge, "", "Rule sets that endpoints live under.")        \
	X(EVENTS, "picket_events_total", counter, "", "Events that the data path reported.")       \
	X(EVENTS_LOST, "picket_events_lost_total", counter, "cause",                               \
	  "Events that are in no answer or not in the flows file, by cause.")                      \
	X(LINES_LOST, "picket_lines_lost_total", counter, "file",                                  \
	  "Lines of the log or the journal that nobody took in time.")                             \
	X(SWEPT, "picket_swept_total", counter, "",                                                \
	  "Things that endpoints left behind and the sweep removed.")                              \
	X(GUARDS, "picket_guards_repaired_total", counter, "", "Guards that were attached anew.")  \
	X(LONGEST, "picket_loop_longest_turn_seconds", gauge, "",                                  \
	  "The longest that nobody was answered, since picketd started.")                          \
	X(SLOW, "picket_loop_slow_turns_total", counter, "",                                       \
	  "Turns of the loop that took longer than 50 ms.")                                        \
	X(SCRAPE, "picket_scrape_seconds", gauge, "",                                              \
	  "How long this answer was being gathered, others served meanwhile.")

#define PK_METRIC_ENUM_(sym, name, type, labels, help) PK_METRIC_##sym,
enum pk_metric { PK_METRICS(PK_METRIC_ENUM_) PK_METRIC_COUNT };

struct pk_metric_label {
	const char *name; /* NULL ends a list */
	const char *value;
};
#define PK_METRIC_LABELS(...) ((const struct pk_metric_label[]){ __VA_ARGS__, { NULL, NULL } })

const char *pk_metric_name(enum pk_metric metric);
/* Writes HELP and TYPE. All lines of one metric follow them. */
void pk_metric_head(struct pk_str *out, enum pk_metric metric);
/*
 * Writes one line. suffix is "" or a histogram's "_bucket", "_sum", "_count"; labels NULL: none. A
 * value may be any bytes: what would end it is escaped, and what is no UTF-8 becomes U+FFFD.
 */
void pk_metric_uint(struct pk_str *out, enum pk_metric metric, const char *suffix,
		    const struct pk_metric_label *labels, uint64_t value);
void pk_metric_double(struct pk_str *out, enum pk_metric metric, const char *suffix,
		      const struct pk_metric_label *labels, double value);
