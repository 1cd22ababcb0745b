/* SPDX-License-Identifier: GPL-2.0-only */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api.h"
#include "bpfmap.h"
#include "fs.h"
#include "guard.h"
#include "log.h"
#include "own.h"
#include "sync_parts.h"

#define TOGETHER_MS 2		/* changes of one moment are applied as one */
#define QUIET_NS    20000000ull /* after so long without one, a change waits for no other */
#define AGAIN_MS    20		/* after a word changed under our hands */
#define RETRY_MS    5000	/* after an error */
#define FULL_MS                                                                                    \
	60000 /* what doesn't fit is tried again by a change, or when others may have gone */
#define SYNC_MS	     20 /* between two turns of making documents outlive a power cut */
#define SYNC_NS	     10000000
#define SYNC_STOP_NS 1000000000
#define TRIM_MS	     2000 /* quiet for so long: give memory back */

static void note(struct pk_err *kept, int r, const struct pk_err *err, const char *what)
{
	if (r == 0) {
		memset(kept, 0, sizeof(*kept));
		return;
	}
	if (strcmp(kept->text, err->text) != 0)
		log_error("op=%s err=\"%s\" fix=\"%s\"", what, err->text, err->fix);
	*kept = *err;
}

static void write_node_json(struct pk_daemon *d)
{
	const struct pk_settings *s = pk_model_get_settings(d->model);
	struct pk_err err = { 0 };
	own_str text = { 0 };

	pk_settings_json(s, &text);
	note(&d->store_error,
	     pk_fs_write(d->config.paths.node_json, text.text, text.len, 0644, &err), &err,
	     "store");
}

static void edit_node(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 1;
}

/* A new release's programs take the place of the old ones' under traffic. */
static void upgrade(struct pk_daemon *d)
{
	struct pk_bpf *bpf = pk_sync_bpf(d->sync);
	struct pk_err err = { 0 };
	int r = pk_guard_upgrade(bpf, d->model, &err);

	if (r < 0)
		log_error("op=upgrade err=\"%s\" ignoring: build %s goes on", err.text, bpf->build);
	else if (r)
		log_info("op=upgrade build=%s", bpf->build);
}

/* The kernel's side, as soon as it can be had; what needs it is told. */
static int open_tables(struct pk_daemon *d)
{
	const struct pk_settings *s = pk_model_get_settings(d->model);
	struct pk_err err = { 0 };
	own_str pin = { 0 };
	uint64_t epoch[2];
	int r;

	if (pk_sync_bpf(d->sync))
		return 0;
	r = pk_sync_open(d->sync, s, &err);
	note(&d->load_error, r, &err, "load");
	if (r < 0)
		return r;
	memcpy(epoch, pk_sync_bpf(d->sync)->node.epoch, sizeof(epoch));
	pk_records_set_epoch(d->records, epoch);
	pk_records_look(d->records);
	upgrade(d);
	pk_str_addf(&pin, "%s/%s", d->config.paths.maps, pk_map_name(PK_MAP_EVENTS));
	if (pk_events_open(d->events, pin.text, &err) < 0)
		log_warn("op=events err=\"%s\" ignoring: no flows are shown", err.text);
	else
		pk_node_update(pk_sync_bpf(d->sync), edit_node, NULL, sync_until(), NULL);
	return 0;
}

static void set_pools(struct pk_daemon *d)
{
	const struct pk_settings *s = pk_model_get_settings(d->model);
	struct pk_err err = { 0 };

	if (s->n_pools && pk_pools_set(pk_sync_bpf(d->sync), s->pools, s->n_pools, &err) < 0)
		log_warn("op=pools err=\"%s\" ignoring until the next change", err.text);
}

static void store_documents(struct pk_daemon *d)
{
	struct pk_err err = { 0 };

	note(&d->store_error, pk_docs_store(d->docs, &err), &err, "store");
}

/* A policy that isn't in force must be heard of. */
static void tell_refused(struct pk_daemon *d)
{
	const struct pk_doc_entry *e;

	while ((e = pk_docs_untold(d->docs))) {
		own_str why = { 0 };

		pk_doc_notes_line(&e->notes, &why);
		log_warn("op=policy source=%s path=\"%s\" err=\"%s\" refused, %s", e->source,
			 e->path, e->refusal ?: why.text ?: "",
			 e->doc ? "the last good version stays in force" : "nothing of it is in force");
	}
}

/* In turns, for it can take long: nobody's packets wait for the disk. */
static void sync_documents(void *arg)
{
	struct pk_daemon *d = arg;
	struct pk_err err = { 0 };
	int r;

	if (!pk_docs_sync(d->docs, pk_now_ns() + SYNC_NS, &r, &err))
		pk_timer_set(d->sync_docs, SYNC_MS);
	if (r < 0)
		note(&d->store_error, r, &err, "store");
}

/* Acknowledged: no packet can be judged by the old rule sets any more. */
static void acknowledge(struct pk_daemon *d, const struct pk_sync_done *done)
{
	if (done->switched || done->amended)
		pk_rcu_wait();
	d->revision++;
	clock_gettime(CLOCK_REALTIME, &d->applied);
	if (d->change_ns)
		d->apply_s = (double)(pk_now_ns() - d->change_ns) / 1e9;
	log_info("op=policy revision=%lu switched=%u installed=%u amended=%u seconds=%.4f",
		 d->revision, done->switched, done->installed, done->amended, d->apply_s);
}

/* A document that was in force is unknown: what it denied must not open because of that. */
static int check_lost(struct pk_daemon *d, struct pk_err *err)
{
	const char *lost = pk_docs_lost(d->docs);

	if (!lost)
		return 0;
	pk_fail(err, 0, "stored policy %s can't be read: policy stays as it is", lost);
	return pk_fix(err, -EIO,
		      "wait for its source; mend what `picket policy list -refused` shows; or "
		      "remove that file if what it said may be forgotten");
}

static int pass(struct pk_daemon *d, bool all)
{
	struct pk_sync_want want = { .model = d->model,
				     .log_new = strcmp(d->config.flows_allowed, "new") == 0 };
	struct pk_sync_done done;
	struct pk_err err = { 0 };
	int r = check_lost(d, &err), fit = 0;

	if (r == 0)
		r = fit = pk_model_compile(d->model, &err);
	d->withdraw |= all || pk_model_tenant_dropped(d->model);
	want.all = d->withdraw;
	/* One tenant's rule set that is too large holds up nobody else's. */
	if (r == 0 || r == -EFBIG)
		r = pk_sync_pass(d->sync, &want, &done, r == 0 ? &err : NULL);
	note(&d->apply_error, r == 0 ? fit : r, &err, "apply");
	if (r < 0) {
		pk_timer_hurry(d->apply, r == -ENOSPC ? FULL_MS : RETRY_MS);
		return r;
	}
	d->withdraw = false;
	if (done.again)
		pk_timer_hurry(d->apply, AGAIN_MS);
	if (all)
		acknowledge(d, &done);
	return 0;
}

int pk_daemon_apply(struct pk_daemon *d)
{
	bool all = d->docs_changed || d->settings_changed;
	int r;

	pk_timer_clear(d->apply);
	pk_timer_set(d->trim, TRIM_MS);
	d->last_ns = pk_now_ns();
	if (d->docs_changed) {
		pk_model_documents(d->model);
		tell_refused(d);
		/* Before any name is withdrawn: an ADD that finds none compiles from these. */
		store_documents(d);
		pk_timer_set(d->sync_docs, 0);
	}
	if (d->settings_changed)
		write_node_json(d);
	r = open_tables(d);
	if (r < 0) {
		pk_timer_set(d->apply, RETRY_MS);
		return r;
	}
	if (d->settings_changed)
		set_pools(d);
	r = pass(d, all);
	if (r == 0) {
		d->docs_changed = d->settings_changed = false;
		d->change_ns = 0;
	}
	return r;
}

static void apply_now(void *arg)
{
	pk_daemon_apply(arg);
}

void pk_daemon_apply_soon(struct pk_daemon *d)
{
	uint64_t now = pk_now_ns();

	if (!d->change_ns)
		d->change_ns = now;
	pk_timer_hurry(d->apply, now - d->last_ns > QUIET_NS ? 0 : TOGETHER_MS);
}

bool pk_daemon_in_step(const struct pk_daemon *d, const struct pk_member *m)
{
	return !d->docs_changed && !d->settings_changed && pk_sync_in_step(d->sync, d->model, m);
}

static void on_documents(void *arg)
{
	struct pk_daemon *d = arg;

	d->docs_changed = true;
	pk_daemon_apply_soon(d);
}

static void on_records(void *arg)
{
	pk_daemon_apply_soon(arg);
}

static void on_swept(void *arg)
{
	struct pk_daemon *d = arg;

	if (pk_records_look(d->records))
		pk_daemon_apply_soon(d);
}

static void trim(void *arg)
{
	(void)arg;
	malloc_trim(0);
}

static enum pk_nomad_word nomad_word(void *arg)
{
	struct pk_daemon *d = arg;

	if (!d->nomad)
		return PK_NOMAD_OFF;
	return pk_nomad_source(d->nomad)->state == PK_SOURCE_OK ? PK_NOMAD_ANSWERS
								: PK_NOMAD_SILENT;
}

static void on_allocs(void *arg, struct pk_allocs *allocs)
{
	struct pk_daemon *d = arg;

	if (pk_model_allocs(d->model, allocs))
		pk_daemon_apply_soon(d);
}

/* The node's own labels: the operator's word, part of every endpoint's set from now on. */
static void on_node(void *arg, const struct pk_nomad_node *node)
{
	struct pk_daemon *d = arg;
	struct pk_settings *s = &d->config.settings;

	if (strcmp(s->node, node->name) == 0 && strcmp(s->datacenter, node->datacenter) == 0 &&
	    strcmp(s->node_pool, node->pool) == 0)
		return;
	snprintf(s->node, sizeof(s->node), "%s", node->name);
	snprintf(s->datacenter, sizeof(s->datacenter), "%s", node->datacenter);
	snprintf(s->node_pool, sizeof(s->node_pool), "%s", node->pool);
	pk_model_settings(d->model, s);
	d->settings_changed = true;
	pk_daemon_apply_soon(d);
}

const char *pk_daemon_node_address(void *arg, const union pk_addr *addr)
{
	struct pk_daemon *d = arg;

	return d->upkeep && pk_upkeep_is_local(d->upkeep, addr) ? "host" : NULL;
}

static bool keeps_nothing(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return false;
}

/* Files, Nomad, Consul, as the configuration says now. */
static void start_sources(struct pk_daemon *d)
{
	const struct pk_nomad_fns fns = { .node = on_node, .allocs = on_allocs, .arg = d };
	bool kv = d->config.consul.on && d->config.policies_kv;

	d->files = pk_files_new(d->loop, d->docs, d->config.policies_dir, on_documents, d);
	if (d->config.nomad.on)
		d->nomad = pk_nomad_new(d->loop, d->http, &d->config, &fns);
	if (kv)
		d->consul = pk_consul_new(d->loop, d->http, &d->config, d->docs, on_documents, d);
	/* Switched off is the operator's word, other than silent: its documents are gone. */
	if (!kv && (pk_docs_prune(d->docs, "operator", keeps_nothing, NULL) |
		    pk_docs_prune(d->docs, "tenant/", keeps_nothing, NULL)))
		on_documents(d);
	if (*d->config.flows_file)
		d->flowlog = pk_flowlog_new(d->config.flows_file, d->config.flows_max_size,
					    (unsigned int)d->config.flows_keep);
	pk_events_set_log(d->events, d->flowlog);
}

static void stop_sources(struct pk_daemon *d)
{
	pk_files_free(PK_MOVE(d->files, NULL));
	pk_nomad_free(PK_MOVE(d->nomad, NULL));
	pk_consul_free(PK_MOVE(d->consul, NULL));
	pk_events_set_log(d->events, NULL);
	pk_flowlog_free(PK_MOVE(d->flowlog, NULL));
}

/* What Nomad said of this node stays said: its labels are part of every endpoint's identity. */
static void keep_node(struct pk_settings *to, const struct pk_settings *from)
{
	memcpy(to->node, from->node, sizeof(to->node));
	memcpy(to->datacenter, from->datacenter, sizeof(to->datacenter));
	memcpy(to->node_pool, from->node_pool, sizeof(to->node_pool));
}

/* Also over a restart: else every identity would change twice, before Nomad answers and after. */
static void remember_node(struct pk_daemon *d)
{
	struct pk_settings before;

	pk_settings_init(&before);
	if (d->config.nomad.on && pk_settings_read(&before, d->config.paths.node_json, NULL) == 0)
		keep_node(&d->config.settings, &before);
	pk_settings_done(&before);
}

int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err)
{
	struct pk_config config;
	struct pk_err own = { 0 };
	int r = pk_config_effective(&config, &d->args, &own);

	if (r == 0 && strcmp(config.root, d->config.root) != 0) {
		r = pk_fix(&own, pk_fail(&own, 0, "\"root\" cannot change while picketd runs"),
			   "restart picketd");
		pk_config_done(&config);
	}
	note(&d->config_error, r, &own, "reload");
	if (err)
		*err = own;
	if (r < 0)
		return r;
	stop_sources(d);
	keep_node(&config.settings, &d->config.settings);
	pk_config_done(&d->config);
	d->config = config;
	pk_model_settings(d->model, &d->config.settings);
	d->settings_changed = true;
	start_sources(d);
	pk_upkeep_now(d->upkeep);
	pk_daemon_apply_soon(d);
	log_info("op=reload");
	return 0;
}

static void stored_bad(void *arg, const struct pk_err *err)
{
	(void)arg;
	log_warn("op=policies err=\"%s\" waiting for its source", err->text);
}

/* One picketd a root; the lock goes with the process. */
static int take_lock(struct pk_daemon *d, struct pk_err *err)
{
	own_str path = { 0 };

	if (pk_fs_mkdirs(d->config.paths.run, 0751, err) < 0)
		return -EIO;
	pk_str_addf(&path, "%s/picketd.lock", d->config.paths.run);
	d->lock = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock < 0)
		return pk_fail(err, errno, "open %s", path.text);
	if (flock(d->lock, LOCK_EX | LOCK_NB) < 0)
		return pk_fix(err, pk_fail(err, errno, "%s is locked", path.text),
			      "another picketd runs with this root: stop it first");
	return 0;
}

static void make_parts(struct pk_daemon *d)
{
	const struct pk_paths *paths = &d->config.paths;
	own_str facts = { 0 };
	struct pk_model_args model = { .settings = &d->config.settings };
	struct pk_records_args records = {
		.loop = d->loop, .paths = paths, .changed = on_records, .arg = d
	};
	struct pk_flow_names names = { .node = d->node,
				       .node_address = pk_daemon_node_address,
				       .arg = d };

	pk_str_addf(&facts, "%s/var/lib/picket/facts", paths->root);
	d->docs = pk_docs_new(paths->policies);
	pk_docs_load(d->docs, stored_bad, d);
	model.docs = d->docs;
	model.facts = facts.text;
	d->model = pk_model_new(&model);
	d->sync = pk_sync_new(paths);
	records.model = d->model;
	d->records = pk_records_new(&records);
	names.model = d->model;
	d->events = pk_events_new(d->loop, &names, NULL);
	d->http = pk_http_new(d->loop);
	d->apply = pk_timer_new(d->loop, apply_now, d);
	d->sync_docs = pk_timer_new(d->loop, sync_documents, d);
	d->trim = pk_timer_new(d->loop, trim, d);
}

int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err)
{
	struct pk_upkeep_args upkeep = { .swept = on_swept, .arg = d };
	int r;

	*d = (struct pk_daemon){ .args = *args, .lock = -1 };
	clock_gettime(CLOCK_REALTIME, &d->started);
	d->change_ns = pk_now_ns();
	r = pk_config_effective(&d->config, args, err);
	if (r < 0)
		return r;
	r = take_lock(d, err);
	if (r < 0)
		return r;
	remember_node(d);
	d->loop = pk_loop_new();
	if (!d->loop)
		return pk_fail(err, ENOMEM, "event loop");
	d->started_ms = pk_loop_now(d->loop);
	if (*d->config.nomad_node)
		snprintf(d->node, sizeof(d->node), "%s", d->config.nomad_node);
	else if (gethostname(d->node, sizeof(d->node) - 1) < 0)
		strcpy(d->node, "localhost");
	make_parts(d);
	start_sources(d);
	pk_records_look(d->records);
	d->docs_changed = d->settings_changed = true;
	pk_daemon_apply(d); /* what is wrong shows in status; it is tried again */
	d->httpd = pk_httpd_new(d->loop, d->config.paths.socket, "picket", err);
	if (!d->httpd)
		return -EIO;
	pk_httpd_serve(d->httpd, pk_api_serve, d);
	upkeep.loop = d->loop;
	upkeep.paths = &d->config.paths;
	upkeep.model = d->model;
	upkeep.sync = d->sync;
	upkeep.nomad = nomad_word;
	d->upkeep = pk_upkeep_new(&upkeep);
	pk_timer_set(d->trim, TRIM_MS);
	return 0;
}

static void edit_node_quiet(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 0;
}

void pk_daemon_stop(struct pk_daemon *d)
{
	int r;

	if (d->sync && pk_sync_bpf(d->sync))
		pk_node_update(pk_sync_bpf(d->sync), edit_node_quiet, NULL, sync_until(), NULL);
	if (d->events)
		stop_sources(d);
	if (d->docs)
		pk_docs_sync(d->docs, pk_now_ns() + SYNC_STOP_NS, &r, NULL);
	pk_api_stop(d);
	pk_events_free(d->events);
	pk_httpd_free(d->httpd);
	pk_upkeep_free(d->upkeep);
	pk_records_free(d->records);
	pk_http_free(d->http);
	pk_sync_free(d->sync);
	pk_model_free(d->model);
	pk_docs_free(d->docs);
	if (d->apply) {
		pk_timer_free(d->apply);
		pk_timer_free(d->sync_docs);
		pk_timer_free(d->trim);
	}
	pk_loop_free(d->loop);
	if (d->lock >= 0)
		close(d->lock);
	pk_config_done(&d->config);
}
