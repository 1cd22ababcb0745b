/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what was gathered as Prometheus' text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api_room.h"
#include "err.h"
#include "fs.h"
#include "guard.h"
#include "logger.h"
#include "metrics.h"
#include "own.h"
#include "reason.h"
#include "scrape_private.h"

#define LABELS PK_METRIC_LABELS

static void one(struct pk_str *out, enum pk_metric m, const char *label, const char *value,
		uint64_t n)
{
	pk_metric_uint(out, m, "", LABELS({ label, value }), n);
}

static void plain(struct pk_str *out, enum pk_metric m, uint64_t n)
{
	pk_metric_head(out, m);
	pk_metric_uint(out, m, "", NULL, n);
}

static void plain_double(struct pk_str *out, enum pk_metric m, double n)
{
	pk_metric_head(out, m);
	pk_metric_double(out, m, "", NULL, n);
}

static double seconds(const struct timespec *ts)
{
	return (double)ts->tv_sec + (double)ts->tv_nsec / 1e9;
}

static uint64_t resident(void)
{
	own_mem char *text = NULL;
	unsigned long pages = 0;
	size_t len;

	if (pk_fs_read("/proc/self/statm", 4096, &text, &len, NULL) < 0 ||
	    sscanf(text, "%*u %lu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_process(const struct pk_parts *p, struct pk_str *out)
{
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);
	struct timespec cpu = { 0 };
	char layout[16] = "";

	if (bpf)
		snprintf(layout, sizeof(layout), "%u", bpf->node.layout);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	pk_metric_head(out, PK_METRIC_BUILD_INFO);
	pk_metric_uint(out, PK_METRIC_BUILD_INFO, "",
		       LABELS({ "version", pk_api_version() }, { "layout", layout },
			      { "build", bpf ? bpf->build : "" }),
		       1);
	plain_double(out, PK_METRIC_START, seconds(&p->started));
	plain_double(out, PK_METRIC_CPU, seconds(&cpu));
	plain(out, PK_METRIC_MEMORY, resident());
}

static void write_status(const struct pk_parts *p, const struct scrape_data *data,
			 struct pk_str *out)
{
	static const char *const states[] = { PK_API_OK, PK_API_DEGRADED, PK_API_FAILING };

	pk_metric_head(out, PK_METRIC_STATUS);
	for (size_t i = 0; i < PK_ARRAY_LEN(states); i++)
		one(out, PK_METRIC_STATUS, "state", states[i], strcmp(states[i], data->state) == 0);
	pk_metric_head(out, PK_METRIC_REASONS);
	for (size_t i = 0; i < data->n_topics; i++)
		one(out, PK_METRIC_REASONS, "what", data->topics[i].name, data->topics[i].n);
	plain(out, PK_METRIC_LOADED, pk_sync_bpf(p->sync) != NULL);
}

static const char *dir_name(unsigned int dir)
{
	return dir == PK_EGRESS ? "egress" : "ingress";
}

static void write_packets(const struct pk_traffic *t, enum pk_metric m, struct pk_str *out)
{
	pk_metric_head(out, m);
	for (unsigned int k = 0; k < 2 * PK_REASON_SLOTS; k++) {
		unsigned int dir = k / PK_REASON_SLOTS, reason = k % PK_REASON_SLOTS;
		const struct pk_counter *c = pk_traffic_sum(t, dir, reason);

		if (reason >= PK_REASON_COUNT || (!pk_reason_built(reason) && !c->packets))
			continue;
		pk_metric_uint(out, m, "",
			       LABELS({ "direction", dir_name(dir) },
				      { "reason", pk_reason_name(reason) }),
			       m == PK_METRIC_PACKETS ? c->packets : c->bytes);
	}
}

static void write_job(const struct pk_traffic_job *job, enum pk_metric m, struct pk_str *out)
{
	for (unsigned int k = 0; k < 4; k++) {
		const struct pk_counter *c = &job->sum[k / 2][k % 2];

		pk_metric_uint(out, m, "",
			       LABELS({ "namespace", job->tenant_name }, { "nomad_job", job->job },
				      { "direction", dir_name(k / 2) },
				      { "verdict", k % 2 ? "denied" : "allowed" }),
			       m == PK_METRIC_JOB_PACKETS ? c->packets : c->bytes);
	}
}

static void write_jobs(const struct pk_traffic *t, struct pk_str *out)
{
	static const enum pk_metric metrics[] = { PK_METRIC_JOB_PACKETS, PK_METRIC_JOB_BYTES };
	const struct pk_traffic_job *job;
	unsigned int other = 0;

	for (size_t m = 0; m < PK_ARRAY_LEN(metrics); m++) {
		pk_metric_head(out, metrics[m]);
		for (size_t i = 0; (job = pk_traffic_job(t, i)); i++)
			write_job(job, metrics[m], out);
	}
	pk_metric_head(out, PK_METRIC_JOB_EVENTS_LOST);
	for (size_t i = 0; (job = pk_traffic_job(t, i)); i++)
		pk_metric_uint(out, PK_METRIC_JOB_EVENTS_LOST, "",
			       LABELS({ "namespace", job->tenant_name }, { "nomad_job", job->job }),
			       job->lost);
	for (size_t i = 0; (job = pk_traffic_job(t, i)); i++)
		other += job->other ? job->endpoints : 0;
	plain(out, PK_METRIC_JOBS_OTHER, other);
}

static void write_endpoints(const struct pk_api_endpoints *n, struct pk_str *out)
{
	const struct {
		const char *state;
		unsigned int n;
	} rows[] = {
		{ "open", n->open },
		{ "closed", n->closed },
		{ "in-step", n->in_step },
		{ "quarantined", n->quarantined },
		{ "unconfirmed", n->unconfirmed },
		{ "contradicted", n->contradicted },
		{ "orphan", n->orphans },
	};

	pk_metric_head(out, PK_METRIC_ENDPOINTS);
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		one(out, PK_METRIC_ENDPOINTS, "state", rows[i].state, rows[i].n);
}

static void write_tables(const struct pk_tables_walk *walk, struct pk_str *out)
{
	pk_metric_head(out, PK_METRIC_TABLE_USED);
	for (size_t i = 0; i < walk->n; i++)
		one(out, PK_METRIC_TABLE_USED, "table", walk->use[i].name, walk->use[i].used);
	pk_metric_head(out, PK_METRIC_TABLE_SIZE);
	for (size_t i = 0; i < walk->n; i++)
		one(out, PK_METRIC_TABLE_SIZE, "table", walk->use[i].name, walk->use[i].size);
}

struct pool_lines {
	struct pk_str *out;
	enum pk_metric metric;
};

static void write_pool(void *arg, const struct pk_room_pool *pool)
{
	const struct pool_lines *lines = arg;
	char text[PK_ADDR_TEXT];

	if (pool->block->v6)
		return;
	pk_metric_uint(lines->out, lines->metric, "",
		       LABELS({ "network", pool->network },
			      { "pool", pk_prefix_format(pool->block, text) }),
		       lines->metric == PK_METRIC_POOL_SIZE ? pool->size : pool->held);
}

static void write_pools(const struct pk_parts *p, struct pk_str *out)
{
	static const enum pk_metric metrics[] = { PK_METRIC_POOL_SIZE, PK_METRIC_POOL_USED };

	for (size_t i = 0; i < PK_ARRAY_LEN(metrics); i++) {
		struct pool_lines lines = { out, metrics[i] };

		pk_metric_head(out, metrics[i]);
		pk_api_pools(p, write_pool, &lines);
	}
}

static void write_failed(const struct pk_counts *counts, struct pk_str *out)
{
	static const int codes[] = {
#define CODE_(nr, sym, help) nr,
		PK_CODES(CODE_)
	};

	pk_metric_head(out, PK_METRIC_CNI_FAILED);
	for (unsigned int k = 0; k < PK_COUNTED_COUNT * PK_ARRAY_LEN(codes); k++) {
		unsigned int verb = k / PK_ARRAY_LEN(codes);
		int nr = codes[k % PK_ARRAY_LEN(codes)];
		char code[12];

		snprintf(code, sizeof(code), "%d", nr);
		pk_metric_uint(out, PK_METRIC_CNI_FAILED, "",
			       LABELS({ "verb", pk_counted_name(verb) }, { "code", code }),
			       counts->verb[verb].failed[nr]);
	}
}

static void write_seconds(const struct pk_verb_counts *c, const char *verb, struct pk_str *out)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < PK_COUNTED_BUCKETS; i++) {
		char le[24] = "+Inf";

		if (i < PK_COUNTED_BUCKETS - 1)
			snprintf(le, sizeof(le), "%g", pk_counted_bounds_ms[i] / 1e3);
		sum += c->bucket[i];
		pk_metric_uint(out, PK_METRIC_CNI_SECONDS, "_bucket",
			       LABELS({ "verb", verb }, { "le", le }), sum);
	}
	pk_metric_double(out, PK_METRIC_CNI_SECONDS, "_sum", LABELS({ "verb", verb }),
			 (double)c->took_ns / 1e9);
	/* The count is the sum of the buckets, so that the two agree while verbs are counted. */
	pk_metric_uint(out, PK_METRIC_CNI_SECONDS, "_count", LABELS({ "verb", verb }), sum);
}

static void write_plugin(const struct pk_parts *p, struct pk_str *out)
{
	struct pk_counts counts;

	pk_counts_read(&p->config->paths, &counts);
	pk_metric_head(out, PK_METRIC_CNI_BEGUN);
	for (unsigned int i = 0; i < PK_COUNTED_COUNT; i++)
		one(out, PK_METRIC_CNI_BEGUN, "verb", pk_counted_name(i), counts.verb[i].begun);
	write_failed(&counts, out);
	pk_metric_head(out, PK_METRIC_CNI_SECONDS);
	for (unsigned int i = 0; i < PK_COUNTED_COUNT; i++)
		write_seconds(&counts.verb[i], pk_counted_name(i), out);
}

static void write_source(const char *name, const struct pk_source *s, enum pk_metric m,
			 struct pk_str *out)
{
	if (!s)
		return;
	if (m == PK_METRIC_SOURCE_CONTACT)
		pk_metric_double(out, m, "", LABELS({ "source", name }), seconds(&s->contact));
	else
		one(out, m, "source", name,
		    m == PK_METRIC_SOURCE_UP ? s->state == PK_SOURCE_OK : s->errors);
}

/* Writes median and largest; both are 0 where no node answers. */
static void write_round_trip(uint32_t *us, size_t n, struct pk_str *out)
{
	const size_t half = n / 2;

	qsort(us, n, sizeof(*us), pk_u32_cmp);
	pk_metric_head(out, PK_METRIC_ROUND_TRIP);
	pk_metric_double(out, PK_METRIC_ROUND_TRIP, "", LABELS({ "of", "median" }),
			 n ? us[half] / 1e6 : 0);
	pk_metric_double(out, PK_METRIC_ROUND_TRIP, "", LABELS({ "of", "max" }),
			 n ? us[n - 1] / 1e6 : 0);
}

static void write_nodes(const struct pk_parts *p, struct pk_str *out)
{
	const struct pk_probe *probe = p->cluster ? pk_cluster_probe(p->cluster) : NULL;
	size_t live = 0, stale = 0, silent = 0, n = 0;
	uint32_t us[PK_PROBE_NODES];
	struct pk_believed_node node;

	for (size_t i = 0; probe && pk_believed_node(pk_cluster_believed(p->cluster), i, &node);
	     i++) {
		const struct pk_probe_tally *t = pk_probe_of(probe, node.name);

		live += node.live;
		stale += !node.live;
		silent += t && t->silent;
		if (t && !t->silent && pk_probe_tally_median(t))
			us[n++] = pk_probe_tally_median(t);
	}
	pk_metric_head(out, PK_METRIC_NODES);
	one(out, PK_METRIC_NODES, "state", "live", live);
	one(out, PK_METRIC_NODES, "state", "stale", stale);
	one(out, PK_METRIC_NODES, "state", "silent", silent);
	plain(out, PK_METRIC_NODE_LOST, probe ? pk_probe_lost(probe) : 0);
	write_round_trip(us, n, out);
}

static void write_instances(const struct pk_parts *p, struct pk_str *out)
{
	pk_metric_head(out, PK_METRIC_INSTANCES);
	for (int state = PK_INSTANCE_COUNTS; state <= PK_INSTANCE_REFUSED; state++) {
		struct pk_service_view v;
		size_t n = 0;

		for (size_t i = 0; p->services && pk_services_view(p->services, i, &v); i++)
			if (v.table)
				n += pk_instance_table_count(v.table,
							     (enum pk_instance_state)state);
		one(out, PK_METRIC_INSTANCES, "state",
		    pk_instance_state_name((enum pk_instance_state)state), n);
	}
}

static void write_sources(const struct pk_parts *p, struct pk_str *out)
{
	static const enum pk_metric metrics[] = { PK_METRIC_SOURCE_UP, PK_METRIC_SOURCE_CONTACT,
						  PK_METRIC_SOURCE_ERRORS };

	for (size_t i = 0; i < PK_ARRAY_LEN(metrics); i++) {
		pk_metric_head(out, metrics[i]);
		write_source("nomad", p->nomad ? pk_nomad_source(p->nomad) : NULL, metrics[i], out);
		write_source(pk_config_is_vars(p->config) ? "variables" : "consul",
			     p->consul ? pk_consul_set_source(p->consul) : NULL, metrics[i], out);
		write_source("files", pk_files_source(p->files), metrics[i], out);
	}
}

static void write_policy(const struct pk_parts *p, const struct scrape_data *data,
			 struct pk_str *out)
{
	const struct pk_apply_state *state = pk_apply_state(p->apply);
	const struct {
		const char *state;
		unsigned int n;
	} rows[] = {
		{ "active", data->counts.documents.active },
		{ "audit", data->counts.documents.audit },
		{ "enforced", data->documents.enforced },
		{ "held", data->documents.held },
		{ "refused", data->counts.documents.refused },
		{ "unresolved", data->counts.documents.unresolved },
	};

	pk_metric_head(out, PK_METRIC_DOCUMENTS);
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		one(out, PK_METRIC_DOCUMENTS, "state", rows[i].state, rows[i].n);
	plain(out, PK_METRIC_REVISION, state->revision);
	plain_double(out, PK_METRIC_APPLIED, seconds(&state->applied));
	plain_double(out, PK_METRIC_APPLY, state->seconds);
	plain(out, PK_METRIC_RULE_SETS, pk_sync_rule_sets(p->sync));
}

static void write_events(const struct pk_parts *p, struct pk_str *out)
{
	struct pk_events_stats stats;

	pk_events_stats(p->events, &stats);
	plain(out, PK_METRIC_EVENTS, stats.seen);
	pk_metric_head(out, PK_METRIC_EVENTS_LOST);
	one(out, PK_METRIC_EVENTS_LOST, "cause", "ring", stats.lost);
	one(out, PK_METRIC_EVENTS_LOST, "cause", "file",
	    p->flowlog ? pk_flowlog_lost(p->flowlog) : 0);
	one(out, PK_METRIC_EVENTS_LOST, "cause", "share", stats.over);
	pk_metric_head(out, PK_METRIC_LINES_LOST);
	one(out, PK_METRIC_LINES_LOST, "file", "log", pk_logger_lost());
	one(out, PK_METRIC_LINES_LOST, "file", "journal", pk_journal_lost(p->journal));
}

static void write_picketd(const struct pk_parts *p, const struct scrape_data *data,
			  struct pk_str *out)
{
	const struct pk_loop_turns *turns = pk_loop_turns(p->loop);

	plain(out, PK_METRIC_SWEPT, p->upkeep ? pk_upkeep_stats(p->upkeep)->removed : 0);
	plain(out, PK_METRIC_GUARDS, p->upkeep ? pk_upkeep_audit(p->upkeep)->repaired : 0);
	plain_double(out, PK_METRIC_LONGEST, (double)turns->longest_ns / 1e9);
	plain(out, PK_METRIC_SLOW, turns->over);
	plain_double(out, PK_METRIC_SCRAPE, (double)data->took_ns / 1e9);
}

void pk_scrape_write(const struct pk_parts *p, const struct pk_traffic *traffic,
		     const struct scrape_data *data, struct pk_str *out)
{
	write_process(p, out);
	write_status(p, data, out);
	write_packets(traffic, PK_METRIC_PACKETS, out);
	write_packets(traffic, PK_METRIC_BYTES, out);
	write_jobs(traffic, out);
	write_endpoints(&data->counts.endpoints, out);
	write_tables(&data->tables, out);
	write_pools(p, out);
	write_plugin(p, out);
	write_sources(p, out);
	write_nodes(p, out);
	write_instances(p, out);
	write_policy(p, data, out);
	write_events(p, out);
	write_picketd(p, data, out);
}
