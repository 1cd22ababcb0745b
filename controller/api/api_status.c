/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/status: how the node is, what is wrong first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "api_answer.h"
#include "api_reasons.h"
#include "api_room.h"
#include "docsource.h"
#include "fs.h"
#include "guard.h"
#include "parts.h"
#include "own.h"
#include "service_call.h"
#include "tables.h"

static void kept_error(struct pk_reasons *r, bool failing, const char *what,
		       const struct pk_err *err)
{
	if (*err->text)
		pk_api_reason(r, failing, what, err->text, err->fix);
}

#define SEE_ADDRESS "see that its address is right and that a server answers there"

/* Says that a source neither answers nor refuses. */
static void silent_reason(struct pk_reasons *r, const char *name, const struct pk_source *s)
{
	uint64_t seconds = pk_boot_seconds() - s->since;
	char text[160];

	if (seconds < PK_SOURCE_SILENT_S)
		return;
	snprintf(text, sizeof(text),
		 "%s has not answered since it was asked first, %lu s ago; what was stored is in "
		 "force",
		 name, seconds);
	pk_api_reason(r, false, name, text, SEE_ADDRESS);
}

static bool is_refused(const struct pk_source *s)
{
	return strncmp(s->last_error, "status 401", 10) == 0 ||
	       strncmp(s->last_error, "status 403", 10) == 0;
}

static const char *fault_word(const struct pk_source *s)
{
	if (s->fault == PK_FAULT_UNASKED)
		return "can't be asked";
	if (s->fault == PK_FAULT_SILENT)
		return "does not answer";
	if (is_refused(s))
		return "refuses what it is asked";
	return strncmp(s->last_error, "status ", 7) == 0 ? "answers with an error"
							 : "answers what can't be used";
}

/* Returns what mends an error that doesn't say it itself. */
static const char *fix_of(const struct pk_source *s)
{
	if (is_refused(s))
		return "give picketd's token the rights that examples/acl lists";
	if (s->fault == PK_FAULT_SILENT)
		return SEE_ADDRESS;
	if (strncmp(s->last_error, "answer of more than", 19) == 0)
		return "delete what nobody needs there: nothing of it is taken";
	return "see the server's log, and what stands before it; it is asked again by itself";
}

static void source_reason(struct pk_reasons *r, const char *name, const struct pk_source *s)
{
	const char *fix;
	char text[512];

	if (!s || s->state == PK_SOURCE_OK)
		return;
	if (s->state == PK_SOURCE_STARTING && !s->failures) {
		silent_reason(r, name, s);
		return;
	}
	fix = pk_service_fix_at(s->last_error);
	snprintf(text, sizeof(text), "%s %s (%.*s); what it said last is in force", name,
		 fault_word(s), (int)(fix ? (size_t)(fix - s->last_error) : strlen(s->last_error)),
		 s->last_error);
	pk_api_reason(r, false, name, text, fix ? fix + strlen(PK_SERVICE_FIX) : fix_of(s));
}

static void say_room(void *arg, const char *what, const struct pk_err *why)
{
	kept_error(arg, false, what, why);
}

/* Returns the name of the source that is the store: Nomad itself is another one. */
static const char *store_name(const struct pk_parts *p)
{
	return pk_config_is_vars(p->config) ? "variables" : "consul";
}

static void document_reason(struct pk_reasons *r, const struct pk_api_documents *c)
{
	unsigned int n = c->refused - c->foreign;
	char text[128];

	if (!n)
		return;
	snprintf(text, sizeof(text),
		 "%u document%s refused, last good version in force if there was one", n,
		 n == 1 ? "" : "s");
	pk_api_reason(r, false, "policy", text, "picket policy list -refused");
}

/* Says why documents stay in force that their source lacks, and what to do where that is meant. */
static void held_reason(const struct pk_parts *p, struct pk_reasons *r, const char *origin)
{
	const char *why = NULL, *behind = pk_docs_behind(p->docs, origin);
	size_t n = pk_docs_held(p->docs, origin, &why);
	char text[320], fix[160];

	if (!n && !behind)
		return;
	if (n)
		snprintf(text, sizeof(text), "%zu document%s of %s %s in force though %s", n,
			 n == 1 ? "" : "s", origin, n == 1 ? "stays" : "stay", why);
	else
		snprintf(text, sizeof(text),
			 "the history of %.160s is older than what it said before: nothing of it "
			 "is taken",
			 behind);
	snprintf(fix, sizeof(fix), "%s; where it is meant so: picket policy release %s",
		 why && strcmp(why, PK_DOCS_NO_SOURCE) == 0
			 ? "set CONSUL_HTTP_ADDR or \"consul\" again, or say \"consul\": null"
			 : "bring back what is lacking",
		 origin);
	pk_api_reason(r, false, "policy", text, fix);
}

static void upkeep_reason(struct pk_reasons *r, const struct pk_upkeep *upkeep)
{
	const struct pk_audit_stats *audit = pk_upkeep_audit(upkeep);
	const struct pk_upkeep_stats *u = pk_upkeep_stats(upkeep);
	char text[96];

	if (*audit->error)
		pk_api_reason(r, true, "enforcement", audit->error, "picket check");
	if (audit->taps_over)
		pk_api_reason(
			r, false, "endpoints", audit->tap_error,
			"start its VMM with as many queues as \"queues\" of the conflist says");
	if (audit->netns_lost)
		pk_api_reason(
			r, false, "netns", audit->netns_error,
			"stop its allocation and start it anew: `nomad alloc stop` (one by picket "
			"attach: detach and attach it); from then "
			"on Nomad calls CHECK beside the reference plugin \"bridge\" of 1.3.0 or "
			"later in its cni_path");
	snprintf(text, sizeof(text),
		 "pk%u is open and its record is gone: it keeps its last policy", u->stray);
	if (u->stray)
		pk_api_reason(r, false, "records", text,
			      "stop its allocation: DEL needs no record");
}

/* Says whose keys are over their budget: that tenant's endpoints live under what it had before. */
static void tenant_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	const char *name, *over;

	for (size_t i = 0; p->consul && (name = pk_consul_set_tenant(p->consul, i, &over)); i++) {
		own_str text = { 0 };

		if (!over)
			continue;
		pk_str_addf(&text,
			    "documents of %.64s are not taken: %.300s; what it had stays in "
			    "force",
			    name, over);
		pk_api_reason(r, false, "tenant", text.text,
			      "that tenant must have fewer or shorter ones");
	}
}

/*
 * Says which tenants have a stored document that can't be read: nothing may open because of that.
 */
static void lost_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	const char *name;

	for (size_t i = 0; (name = pk_docs_lost_tenant(p->docs, i)); i++) {
		own_str text = { 0 };

		pk_str_addf(&text,
			    "stored policy %.200s can't be read: endpoints of %.64s stay as "
			    "they are",
			    pk_docs_lost_of(p->docs, name), name);
		pk_api_reason(
			r, false, "tenant", text.text,
			"wait for its source; mend what `picket policy list -refused` shows; or "
			"remove that file if what it said may be forgotten");
	}
}

static void stray_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	const char *strays = p->consul ? pk_consul_set_strays(p->consul) : "";
	own_str text = { 0 };

	if (!*strays)
		return;
	pk_str_addf(&text, "keys in no policy's place: %.300s", strays);
	pk_api_reason(r, false, store_name(p), text.text,
		      "below the prefix are operator/NAME and tenants/NAMESPACE/NAME");
}

static void records_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	const char *first = pk_records_first_bad(p->records);
	unsigned int n = pk_records_bad(p->records);
	char text[256];

	if (!first)
		return;
	snprintf(text, sizeof(text), "%u record%s cannot be read, %s as %s; the first: %.128s", n,
		 n == 1 ? "" : "s", n == 1 ? "its endpoint stays" : "their endpoints stay",
		 n == 1 ? "it is" : "they are", first);
	pk_api_reason(r, false, "records", text,
		      "install the release that wrote it; else stop its allocation, start it anew");
	kept_error(r, false, "records", &pk_apply_state(p->apply)->lost_block);
}

static void write_reasons(const struct pk_parts *p, struct pk_reasons *r,
			  const struct pk_api_counts *counts)
{
	pk_jw_open(r->w, "reasons", '[');
	kept_error(r, true, "load", &pk_apply_state(p->apply)->load_error);
	if (p->upkeep)
		upkeep_reason(r, p->upkeep);
	for (size_t i = 0; p->uplinks && pk_uplink_watch_error(p->uplinks, i); i++)
		kept_error(r, false, "uplink", pk_uplink_watch_error(p->uplinks, i));
	if (p->sockets)
		kept_error(r, false, "cgroup", pk_sockets_error(p->sockets));
	if (p->listener)
		kept_error(r, false, "http", pk_listener_error(p->listener));
	kept_error(r, false, "apply", &pk_apply_state(p->apply)->apply_error);
	document_reason(r, &counts->documents);
	held_reason(p, r, PK_ORIGIN_FILE);
	held_reason(p, r, p->config->store);
	kept_error(r, false, "config", p->config_error);
	kept_error(r, false, "config", &p->config->baselines);
	kept_error(r, false, "config", &p->config->pool_beside);
	kept_error(r, false, "config", &p->config->unread);
	kept_error(r, false, "store", &pk_apply_state(p->apply)->store_error);
	pk_api_write_reasons(p, r);
	source_reason(r, "nomad", p->nomad ? pk_nomad_source(p->nomad) : NULL);
	source_reason(r, store_name(p), p->consul ? pk_consul_set_source(p->consul) : NULL);
	source_reason(r, "files", pk_files_source(p->files));
	source_reason(r, "cluster", p->cluster ? pk_cluster_source(p->cluster) : NULL);
	pk_api_cluster_reasons(p, r);
	pk_api_service_reasons(p, r);
	tenant_reasons(p, r);
	lost_reasons(p, r);
	stray_reason(p, r);
	pk_api_endpoint_reasons(p, r, &counts->endpoints);
	pk_api_room(p, say_room, r);
	records_reason(p, r);
	pk_jw_close(r->w, ']');
}

const char *pk_api_reasons(const struct pk_parts *p, const struct pk_api_reasons_args *args)
{
	struct pk_reasons r = { .w = args->w, .said = args->said, .arg = args->arg };

	write_reasons(p, &r, args->counts);
	if (r.failing)
		return PK_API_FAILING;
	return r.degraded ? PK_API_DEGRADED : PK_API_OK;
}

static void write_source(struct pk_jw *w, const char *name, const struct pk_source *s)
{
	static const struct pk_source off = { .state = PK_SOURCE_OFF };

	s = s ?: &off;
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", name);
	pk_jw_string(w, "state", pk_source_state_name(s->state));
	pk_api_time(w, "lastContact", &s->contact);
	pk_jw_uint(w, "index", s->index);
	pk_jw_string(w, "detail", s->detail);
	pk_jw_uint(w, "errors", s->errors);
	pk_jw_string(w, "lastError", *s->last_error ? s->last_error : NULL);
	pk_jw_close(w, '}');
}

static void write_sources(const struct pk_parts *p, struct pk_jw *w)
{
	pk_jw_open(w, "sources", '[');
	write_source(w, "nomad", p->nomad ? pk_nomad_source(p->nomad) : NULL);
	write_source(w, store_name(p), p->consul ? pk_consul_set_source(p->consul) : NULL);
	write_source(w, "files", pk_files_source(p->files));
	pk_jw_close(w, ']');
}

static void write_enforcement(const struct pk_parts *p, struct pk_jw *w)
{
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);
	char epoch[40];

	pk_jw_open(w, "enforcement", '{');
	pk_jw_bool(w, "loaded", bpf != NULL);
	if (bpf) {
		snprintf(epoch, sizeof(epoch), "%016llx%016llx",
			 (unsigned long long)bpf->node.epoch[0],
			 (unsigned long long)bpf->node.epoch[1]);
		pk_jw_string(w, "epoch", epoch);
		pk_jw_uint(w, "layout", bpf->node.layout);
		pk_jw_string(w, "build", bpf->build);
	} else {
		pk_jw_null(w, "epoch");
		pk_jw_null(w, "layout");
		pk_jw_null(w, "build");
	}
	pk_jw_string(w, "error",
		     *pk_apply_state(p->apply)->load_error.text
			     ? pk_apply_state(p->apply)->load_error.text
			     : NULL);
	pk_jw_close(w, '}');
}

static void write_endpoints(struct pk_jw *w, const struct pk_api_endpoints *n)
{
	pk_jw_open(w, "endpoints", '{');
	pk_jw_uint(w, "open", n->open);
	pk_jw_uint(w, "closed", n->closed);
	pk_jw_uint(w, "inStep", n->in_step);
	pk_jw_uint(w, "quarantined", n->quarantined);
	pk_jw_uint(w, "unconfirmed", n->unconfirmed);
	pk_jw_uint(w, "contradicted", n->contradicted);
	pk_jw_uint(w, "orphans", n->orphans);
	pk_jw_close(w, '}');
}

static void write_documents(struct pk_jw *w, const struct pk_api_documents *c)
{
	pk_jw_open(w, "documents", '{');
	pk_jw_uint(w, "active", c->active);
	pk_jw_uint(w, "refused", c->refused);
	pk_jw_uint(w, "unresolved", c->unresolved);
	pk_jw_uint(w, "audit", c->audit);
	pk_jw_close(w, '}');
}

static void write_tables(const struct pk_tables_walk *tables, struct pk_jw *w)
{
	pk_jw_open(w, "tables", '[');
	for (size_t i = 0; i < tables->n; i++) {
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "name", tables->use[i].name);
		pk_jw_uint(w, "used", tables->use[i].used);
		pk_jw_uint(w, "size", tables->use[i].size);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static void write_events(const struct pk_parts *p, struct pk_jw *w)
{
	struct pk_events_stats stats;

	pk_events_stats(p->events, &stats);
	pk_jw_open(w, "events", '{');
	pk_jw_uint(w, "seen", stats.seen);
	pk_jw_uint(w, "lost", stats.lost);
	pk_jw_uint(w, "fileLost", p->flowlog ? pk_flowlog_lost(p->flowlog) : 0);
	pk_jw_uint(w, "fileOver", stats.over);
	pk_jw_uint(w, "subscribers", stats.subscribers);
	pk_jw_close(w, '}');
}

static void write_audit(const struct pk_parts *p, struct pk_jw *w)
{
	static const struct pk_upkeep_stats none;
	static const struct pk_audit_stats no_audit;
	const struct pk_upkeep_stats *u = p->upkeep ? pk_upkeep_stats(p->upkeep) : &none;
	const struct pk_audit_stats *audit = p->upkeep ? pk_upkeep_audit(p->upkeep) : &no_audit;

	pk_jw_open(w, "upkeep", '{');
	pk_jw_uint(w, "swept", u->removed);
	pk_jw_uint(w, "guardsRepaired", audit->repaired);
	pk_jw_uint(w, "guardsBad", audit->bad);
	pk_jw_uint(w, "tapsOver", audit->taps_over);
	pk_jw_close(w, '}');
}

/*
 * Writes for how long nobody was answered: the longest turn since start, and how many were too
 * long.
 */
static void write_loop(const struct pk_parts *p, struct pk_jw *w)
{
	const struct pk_loop_turns *turns = pk_loop_turns(p->loop);

	pk_jw_open(w, "loop", '{');
	pk_jw_double(w, "longestTurnMs", (double)turns->longest_ns / 1e6);
	pk_jw_double(w, "longestTurnCpuMs", (double)turns->longest_cpu_ns / 1e6);
	pk_jw_uint(w, "turnsOver50Ms", turns->over);
	pk_jw_close(w, '}');
}

const char *pk_api_version(void)
{
	return PK_VERSION;
}

struct status {
	struct pk_tables_walk tables;
	struct pk_api_counts counts;
	bool walked, counted;
};

static void write_status(const struct pk_parts *p, const struct status *s, struct pk_jw *w)
{
	const char *state;

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "version", pk_api_version());
	pk_jw_string(w, "node", p->node);
	pk_jw_string(w, "cluster", p->config->cluster);
	pk_jw_uint(w, "pid", (uint64_t)getpid());
	state = pk_api_reasons(p, &(struct pk_api_reasons_args){ w, &s->counts, NULL, NULL });
	pk_jw_string(w, "state", state);
	pk_api_time(w, "startedAt", &p->started);
	pk_jw_uint(w, "uptimeSeconds", (pk_loop_now(p->loop) - p->started_ms) / 1000);
	pk_jw_string(w, "baseline", pk_baseline_name(p->config->settings.baseline));
	write_enforcement(p, w);
	pk_jw_uint(w, "policyRevision", pk_apply_state(p->apply)->revision);
	pk_api_time(w, "policyAppliedAt", &pk_apply_state(p->apply)->applied);
	pk_jw_double(w, "applySeconds", pk_apply_state(p->apply)->seconds);
	write_sources(p, w);
	write_documents(w, &s->counts.documents);
	write_endpoints(w, &s->counts.endpoints);
	pk_api_cluster(p, w);
	pk_jw_uint(w, "ruleSets", pk_sync_rule_sets(p->sync));
	write_tables(&s->tables, w);
	write_loop(p, w);
	write_events(p, w);
	pk_api_writes(p, w);
	write_audit(p, w);
	pk_jw_close(w, '}');
}

/* Counts in turns what grows with the node; the rest is then written in one. */
static bool status_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	struct status *s = arg;
	const struct pk_parts *p = answer->parts;
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);

	if (bpf && !s->walked && !pk_tables_use_part(bpf, &s->tables, deadline_ns))
		return false;
	s->walked = true;
	if (!s->counted && !pk_api_counts_part(p, &s->counts, deadline_ns))
		return false;
	if (!PK_MOVE(s->counted, true) && pk_now_ns() + PK_ANSWER_SOME_NS >= deadline_ns)
		return false;
	write_status(p, s, &answer->w);
	return true;
}

void pk_api_status(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = status_part,
						    .end = free,
						    .arg = pk_alloc(sizeof(struct status)) });
}
