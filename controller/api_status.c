/* SPDX-License-Identifier: GPL-2.0-only */
/* GET /v1/status: how the node is, what is wrong first. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "daemon.h"
#include "own.h"
#include "sync_parts.h"

struct reasons {
	struct pk_jw *w;
	bool degraded, failing;
};

static void reason(struct reasons *r, bool failing, const char *what, const char *text,
		   const char *fix)
{
	r->degraded = true;
	r->failing |= failing;
	pk_jw_open(r->w, NULL, '{');
	pk_jw_string(r->w, "what", what);
	pk_jw_string(r->w, "text", text);
	pk_jw_string(r->w, "fix", fix && *fix ? fix : NULL);
	pk_jw_close(r->w, '}');
}

static void kept_error(struct reasons *r, bool failing, const char *what, const struct pk_err *err)
{
	if (*err->text)
		reason(r, failing, what, err->text, err->fix);
}

struct doc_count {
	unsigned int active, refused, unresolved, audit;
};

static struct doc_count count_documents(struct pk_daemon *d)
{
	own_unresolved unresolved = { 0 };
	struct doc_count c = { 0 };
	size_t n;

	pk_api_unresolved_read(d, &unresolved);

	for (size_t i = 0; i < pk_docs_count(d->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(d->docs, i);

		c.refused += e->refused;
		if (!e->doc)
			continue;
		c.audit += e->doc->audit;
		c.unresolved += pk_api_unresolved_of(&unresolved, e->doc, &n) != NULL;
		c.active += !e->doc->audit;
	}
	return c;
}

static void source_reason(struct reasons *r, const char *name, const struct pk_source *s)
{
	char text[512];

	if (!s || s->state == PK_SOURCE_OK || (s->state == PK_SOURCE_STARTING && !s->errors))
		return;
	snprintf(text, sizeof(text), "%s does not answer (%s); what it said last is in force", name,
		 s->last_error);
	reason(r, false, name, text, NULL);
}

static void document_reason(struct reasons *r, const struct doc_count *c)
{
	char text[128];

	if (!c->refused)
		return;
	snprintf(text, sizeof(text),
		 "%u document%s refused, last good version in force if there was one", c->refused,
		 c->refused == 1 ? "" : "s");
	reason(r, false, "policy", text, "picket policy list -refused");
}

static void upkeep_reason(struct reasons *r, const struct pk_upkeep_stats *u)
{
	char text[96];

	if (*u->hook_error)
		reason(r, true, "enforcement", u->hook_error, "picket check");
	snprintf(text, sizeof(text),
		 "pk%u is open and its record is gone: it keeps its last policy", u->stray);
	if (u->stray)
		reason(r, false, "records", text, "stop its allocation: DEL needs no record");
}

static void write_reasons(struct pk_daemon *d, struct reasons *r, const struct doc_count *docs)
{
	pk_jw_open(r->w, "reasons", '[');
	kept_error(r, true, "load", &d->load_error);
	if (d->upkeep)
		upkeep_reason(r, pk_upkeep_stats(d->upkeep));
	kept_error(r, false, "apply", &d->apply_error);
	document_reason(r, docs);
	kept_error(r, false, "config", &d->config_error);
	kept_error(r, false, "store", &d->store_error);
	source_reason(r, "nomad", d->nomad ? pk_nomad_source(d->nomad) : NULL);
	source_reason(r, "consul", d->consul ? pk_consul_source(d->consul) : NULL);
	source_reason(r, "files", pk_files_source(d->files));
	if (pk_records_bad(d->records))
		reason(r, false, "records", "a record cannot be read, its endpoint stays as it is",
		       "see the log for its name");
	pk_jw_close(r->w, ']');
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

static void write_sources(struct pk_daemon *d, struct pk_jw *w)
{
	pk_jw_open(w, "sources", '[');
	write_source(w, "nomad", d->nomad ? pk_nomad_source(d->nomad) : NULL);
	write_source(w, "consul", d->consul ? pk_consul_source(d->consul) : NULL);
	write_source(w, "files", pk_files_source(d->files));
	pk_jw_close(w, ']');
}

static void write_enforcement(struct pk_daemon *d, struct pk_jw *w)
{
	const struct pk_bpf *bpf = pk_sync_bpf(d->sync);
	char epoch[40];

	pk_jw_open(w, "enforcement", '{');
	pk_jw_bool(w, "loaded", bpf != NULL);
	if (bpf) {
		snprintf(epoch, sizeof(epoch), "%016llx%016llx",
			 (unsigned long long)bpf->node.epoch[0],
			 (unsigned long long)bpf->node.epoch[1]);
		pk_jw_string(w, "epoch", epoch);
		pk_jw_uint(w, "layout", bpf->node.layout);
		pk_jw_string(w, "path", bpf->node.path == PK_PATH_KFUNC ? "kfunc" : "segmented");
		pk_jw_string(w, "build", bpf->build);
	} else {
		pk_jw_null(w, "epoch");
		pk_jw_null(w, "layout");
		pk_jw_null(w, "path");
		pk_jw_null(w, "build");
	}
	pk_jw_string(w, "error", *d->load_error.text ? d->load_error.text : NULL);
	pk_jw_close(w, '}');
}

static void write_endpoints(struct pk_daemon *d, struct pk_jw *w)
{
	unsigned int open = 0, quarantined = 0, unconfirmed = 0, contradicted = 0, in_step = 0;

	for (const struct pk_member *m = pk_model_next(d->model, NULL); m;
	     m = pk_model_next(d->model, m)) {
		open += m->open;
		quarantined += pk_member_quarantined(m);
		unconfirmed += m->confirmed == PK_UNCONFIRMED;
		contradicted += m->confirmed == PK_CONTRADICTED;
		in_step += pk_daemon_in_step(d, m);
	}
	pk_jw_open(w, "endpoints", '{');
	pk_jw_uint(w, "open", open);
	pk_jw_uint(w, "closed", pk_records_closed(d->records));
	pk_jw_uint(w, "inStep", in_step);
	pk_jw_uint(w, "quarantined", quarantined);
	pk_jw_uint(w, "unconfirmed", unconfirmed);
	pk_jw_uint(w, "contradicted", contradicted);
	pk_jw_uint(w, "orphans", d->upkeep ? pk_upkeep_stats(d->upkeep)->orphans : 0);
	pk_jw_close(w, '}');
}

static void write_documents(struct pk_jw *w, const struct doc_count *c)
{
	pk_jw_open(w, "documents", '{');
	pk_jw_uint(w, "active", c->active);
	pk_jw_uint(w, "refused", c->refused);
	pk_jw_uint(w, "unresolved", c->unresolved);
	pk_jw_uint(w, "audit", c->audit);
	pk_jw_close(w, '}');
}

static void write_tables(struct pk_daemon *d, struct pk_jw *w)
{
	struct pk_table_use use[PK_MAP_COUNT];
	size_t n = pk_sync_bpf(d->sync) ? pk_tables_use(pk_sync_bpf(d->sync), use) : 0;

	pk_jw_open(w, "tables", '[');
	for (size_t i = 0; i < n; i++) {
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "name", use[i].name);
		pk_jw_uint(w, "used", use[i].used);
		pk_jw_uint(w, "size", use[i].size);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static void write_events(struct pk_daemon *d, struct pk_jw *w)
{
	struct pk_events_stats stats;

	pk_events_stats(d->events, &stats);
	pk_jw_open(w, "events", '{');
	pk_jw_uint(w, "seen", stats.seen);
	pk_jw_uint(w, "lost", stats.lost);
	pk_jw_uint(w, "fileLost", d->flowlog ? pk_flowlog_lost(d->flowlog) : 0);
	pk_jw_uint(w, "subscribers", stats.subscribers);
	pk_jw_close(w, '}');
}

static void write_audit(struct pk_daemon *d, struct pk_jw *w)
{
	static const struct pk_upkeep_stats none;
	const struct pk_upkeep_stats *u = d->upkeep ? pk_upkeep_stats(d->upkeep) : &none;

	pk_jw_open(w, "upkeep", '{');
	pk_jw_uint(w, "swept", u->removed);
	pk_jw_uint(w, "guardsRepaired", u->hooks_repaired);
	pk_jw_uint(w, "guardsBad", u->hooks_bad);
	pk_jw_close(w, '}');
}

void pk_api_status(struct pk_daemon *d, struct pk_exchange *x)
{
	const struct doc_count docs = count_documents(d);
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	struct reasons r = { .w = &w };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "version", PK_VERSION);
	pk_jw_string(&w, "node", d->node);
	pk_jw_string(&w, "cluster", d->config.cluster);
	pk_jw_uint(&w, "pid", (uint64_t)getpid());
	write_reasons(d, &r, &docs);
	pk_jw_string(&w, "state", r.failing ? "failing" : r.degraded ? "degraded" : "ok");
	pk_api_time(&w, "startedAt", &d->started);
	pk_jw_uint(&w, "uptimeSeconds", (pk_loop_now(d->loop) - d->started_ms) / 1000);
	pk_jw_string(&w, "baseline", pk_baseline_name(d->config.settings.baseline));
	write_enforcement(d, &w);
	pk_jw_uint(&w, "policyRevision", d->revision);
	pk_api_time(&w, "policyAppliedAt", &d->applied);
	pk_jw_double(&w, "applySeconds", d->apply_s);
	write_sources(d, &w);
	write_documents(&w, &docs);
	write_endpoints(d, &w);
	pk_jw_uint(&w, "ruleSets", pk_sync_rule_sets(d->sync));
	write_tables(d, &w);
	write_events(d, &w);
	write_audit(d, &w);
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}
