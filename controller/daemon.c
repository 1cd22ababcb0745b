/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api.h"
#include "docsource.h"
#include "fs.h"
#include "log.h"
#include "own.h"
#include "scrape.h"

static void on_documents(void *arg)
{
	struct pk_daemon *d = arg;

	pk_apply_documents(d->parts.apply);
}

static void on_records(void *arg)
{
	struct pk_daemon *d = arg;

	pk_apply_soon(d->parts.apply);
	if (d->parts.scrape)
		pk_scrape_settle(d->parts.scrape);
	if (d->parts.upkeep)
		pk_upkeep_records_changed(d->parts.upkeep);
}

/*
 * Takes the limits anew where the endpoint's ADD read a conflist that says others than are known of
 * its network.
 */
static void on_record(void *arg, const struct pk_record *record)
{
	struct pk_daemon *d = arg;
	const struct pk_network *n = pk_settings_network(&d->config.settings, record->network);

	if (n && memcmp(&n->limits, &record->limits, sizeof(n->limits)) == 0)
		return;
	pk_config_networks_again(&d->config);
	pk_model_networks(d->parts.model, &d->config.settings);
}

static enum pk_nomad_word nomad_word(void *arg)
{
	struct pk_daemon *d = arg;

	if (!d->parts.nomad)
		return PK_NOMAD_OFF;
	return pk_nomad_source(d->parts.nomad)->state == PK_SOURCE_OK ? PK_NOMAD_ANSWERS
								      : PK_NOMAD_SILENT;
}

static void on_allocs(void *arg, struct pk_allocs *allocs)
{
	struct pk_daemon *d = arg;

	if (pk_model_allocs(d->parts.model, allocs))
		pk_apply_soon(d->parts.apply);
}

/*
 * Takes the node's own labels, which are part of every endpoint's set from now on, as the
 * operator's word.
 */
static void on_node(void *arg, const struct pk_nomad_node *node)
{
	struct pk_daemon *d = arg;
	struct pk_settings *s = &d->config.settings;

	if (strcmp(s->node, node->name) == 0 && strcmp(s->datacenter, node->datacenter) == 0 &&
	    strcmp(s->node_pool, node->pool) == 0 && strcmp(s->nomad_version, node->version) == 0)
		return;
	snprintf(s->node, sizeof(s->node), "%s", node->name);
	snprintf(s->datacenter, sizeof(s->datacenter), "%s", node->datacenter);
	snprintf(s->node_pool, sizeof(s->node_pool), "%s", node->pool);
	snprintf(s->nomad_version, sizeof(s->nomad_version), "%s", node->version);
	pk_model_settings(d->parts.model, s);
	pk_apply_settings(d->parts.apply);
}

const char *pk_daemon_node_address(void *arg, const union pk_addr *addr)
{
	struct pk_daemon *d = arg;

	return d->parts.upkeep && pk_upkeep_is_local(d->parts.upkeep, addr) ? "host" : NULL;
}

/* Called after each pass: the tenants that this node has endpoints of may have changed. */
static void on_passed(void *arg)
{
	struct pk_daemon *d = arg;

	if (d->parts.consul)
		pk_consul_set_follow(d->parts.consul);
	if (d->told)
		pk_consul_told_soon(d->told);
	if (d->parts.cluster)
		pk_cluster_follow(d->parts.cluster);
	pk_api_confirm_passed();
}

/*
 * Takes new resolvers: endpoints are told, and the baseline lets them ask there. All else of the
 * settings stays.
 */
static void on_resolv(void *arg)
{
	struct pk_daemon *d = arg;
	bool others = pk_config_resolvers_again(&d->config);

	pk_sync_resolv(d->parts.sync);
	if (others)
		pk_model_settings(d->parts.model, &d->config.settings);
	pk_apply_settings(d->parts.apply);
	log_info("op=resolv resolvers=%s", others ? "others" : "same");
}

static int on_reload(void *arg, struct pk_err *err)
{
	return pk_daemon_reload(arg, err);
}

struct release {
	const struct pk_daemon *d;
	pk_release_fn *fn;
	void *arg;
};

static void on_released(void *arg, const struct pk_doc_entry *e)
{
	const struct release *r = arg;

	r->fn(r->arg, e);
}

static bool is_deleted(void *arg, const struct pk_doc_entry *e)
{
	const struct release *r = arg;
	const struct pk_source *s = pk_files_source(r->d->parts.files);

	return strcmp(e->source, PK_SOURCE_FILE) == 0 && s->state == PK_SOURCE_OK &&
	       !pk_files_has(r->d->parts.files, e->path);
}

static bool on_release(void *arg, const char *what, pk_release_fn *fn, void *fn_arg)
{
	struct pk_daemon *d = arg;
	struct release release = { d, fn, fn_arg };
	const struct pk_docs_meant meant = {
		.what = what, .gone = is_deleted, .told = on_released, .arg = &release
	};
	struct pk_docs *docs = d->parts.docs;
	bool behind = pk_source_in(what, PK_ORIGIN_CONSUL) && d->parts.consul &&
		      pk_consul_set_release(d->parts.consul, what);
	bool others = strcmp(what, PK_ORIGIN_CONSUL) == 0 && d->parts.cluster &&
		      pk_cluster_release(d->parts.cluster);
	size_t n;

	pk_files_look(d->parts.files);
	n = pk_docs_release(docs, &meant);
	log_info("op=release what=\"%s\" documents=%zu", what, n);
	if (n)
		on_documents(d);
	return n || behind || others;
}

static void ask_consul(struct pk_daemon *d)
{
	const struct pk_consul_args args = { .loop = d->parts.loop,
					     .http = d->http,
					     .config = &d->config,
					     .docs = d->parts.docs,
					     .changed = on_documents,
					     .arg = d };

	d->parts.consul = pk_consul_set_new(&args, d->parts.model);
	if (d->config.consul_status)
		d->told = pk_consul_told_new(&d->parts, d->http);
}

/*
 * Starts Consul's sources or ends them. Where a file switches Consul off, its documents are gone by
 * the operator's word. A variable of the environment that isn't there any more is no word at all:
 * the documents are held, and who was awaited still is.
 */
static void start_consul(struct pk_daemon *d)
{
	const struct pk_config *c = &d->config;
	struct pk_docs *docs = d->parts.docs;
	bool kv = c->consul.on && c->policies_kv, off = c->consul.said || !c->policies_kv;
	bool changed;

	if (kv || off)
		pk_docs_set_each(docs, kv);
	if (kv) {
		ask_consul(d);
		changed = pk_docs_unhold(docs, PK_ORIGIN_CONSUL, PK_DOCS_NO_SOURCE);
	} else if (off) {
		changed = pk_docs_withdraw(docs, PK_ORIGIN_CONSUL,
					   "the configuration says that there is no Consul");
	} else {
		changed = pk_docs_hold(docs, PK_ORIGIN_CONSUL, PK_DOCS_NO_SOURCE);
	}
	if (changed)
		on_documents(d);
}

/* The sources that a reload touches. The others go on, with what is known of them. */
struct touched {
	bool files, nomad, consul, cluster, flows, http;
};
static const struct touched all_sources = { true, true, true, true, true, true };

static struct touched touched_by(const struct pk_config *a, const struct pk_config *b)
{
	bool policies = !pk_config_same(a, b, "policies");
	bool consul = !pk_config_same(a, b, "consul") || strcmp(a->cluster, b->cluster) != 0;

	return (struct touched){ .files = policies,
				 .nomad = !pk_config_same(a, b, "nomad"),
				 .consul = policies || consul,
				 .cluster = consul || strcmp(a->fabric, b->fabric) != 0 ||
					    !pk_config_same(a, b, "blocks"),
				 .flows = !pk_config_same(a, b, "flows"),
				 .http = !pk_config_same(a, b, "http") };
}

/* Starts files, Nomad and Consul, as the configuration says now. */
static void start_sources(struct pk_daemon *d, const struct touched *which)
{
	const struct pk_nomad_fns fns = { .node = on_node, .allocs = on_allocs, .arg = d };

	if (which->files)
		d->parts.files = pk_files_new(d->parts.loop, d->parts.docs, d->config.policies_dir,
					      on_documents, d);
	if (which->nomad && d->config.nomad.on)
		d->parts.nomad = pk_nomad_new(d->parts.loop, d->http, &d->config, &fns);
	if (which->consul)
		start_consul(d);
	if (which->cluster)
		pk_daemon_join_cluster(d);
	if (which->flows && *d->config.flows_file)
		d->parts.flowlog = pk_flowlog_new(
			&(struct pk_flowlog_args){ .path = d->config.flows_file,
						   .max_size = d->config.flows_max_size,
						   .keep = (unsigned int)d->config.flows_keep,
						   .writer = d->parts.lines });
	pk_events_set_log(d->parts.events, d->parts.flowlog);
	if (which->http)
		d->parts.listener =
			pk_listener_new(d->parts.loop, &d->config, pk_api_serve_network, &d->parts);
}

static void stop_sources(struct pk_daemon *d, const struct touched *which)
{
	if (which->files)
		pk_files_free(PK_MOVE(d->parts.files, NULL));
	if (which->nomad)
		pk_nomad_free(PK_MOVE(d->parts.nomad, NULL));
	if (which->cluster)
		pk_cluster_free(PK_MOVE(d->parts.cluster, NULL));
	if (which->consul)
		pk_consul_told_free(PK_MOVE(d->told, NULL));
	if (which->consul)
		pk_consul_set_free(PK_MOVE(d->parts.consul, NULL));
	if (which->http)
		pk_listener_free(PK_MOVE(d->parts.listener, NULL));
	if (!which->flows)
		return;
	pk_events_set_log(d->parts.events, NULL);
	pk_flowlog_free(PK_MOVE(d->parts.flowlog, NULL));
}

/*
 * Keeps what Nomad said of this node over a reload: its labels are part of every endpoint's
 * identity.
 */
static void keep_node(struct pk_settings *to, const struct pk_settings *from)
{
	memcpy(to->node, from->node, sizeof(to->node));
	memcpy(to->datacenter, from->datacenter, sizeof(to->datacenter));
	memcpy(to->node_pool, from->node_pool, sizeof(to->node_pool));
	memcpy(to->nomad_version, from->nomad_version, sizeof(to->nomad_version));
}

/*
 * Keeps it over a restart, too: otherwise every identity would change before Nomad answers, and
 * again afterwards.
 */
static void remember_node(struct pk_daemon *d)
{
	struct pk_settings before;

	pk_settings_init(&before);
	if (d->config.nomad.on && pk_settings_read(&before, d->config.paths.node_json, NULL) == 0)
		keep_node(&d->config.settings, &before);
	pk_settings_done(&before);
}

static void warn_of_config(const struct pk_config *config)
{
	const struct pk_err *note = &config->no_resolver;

	if (*config->baselines.text)
		log_error("op=config err=\"%s\" fix=\"%s\"", config->baselines.text,
			  config->baselines.fix);
	if (*note->text)
		log_warn("op=config err=\"%s\" fix=\"%s\" ignoring", note->text, note->fix);
}

static int check_reload(const struct pk_daemon *d, const struct pk_config *config,
			struct pk_err *err)
{
	if (strcmp(config->root, d->config.root) != 0)
		return pk_fix(err, pk_fail(err, 0, "\"root\" cannot change while picketd runs"),
			      "restart picketd");
	if (pk_masquerade_check(&config->settings.masquerade, err) < 0)
		return -EINVAL;
	return pk_config_check_gone(config, d->config.files, err);
}

struct remember {
	char root[PK_PATH_ROOM];
	char files[];
};

static int run_remember(void *arg, struct pk_err *err)
{
	const struct remember *r = arg;

	return pk_config_remember(r->root, r->files, err);
}

/* Logs a failed write. A full disk must not stop picketd: the next start then knows less. */
static void remembered(void *arg, int r, const struct pk_err *err)
{
	if (r < 0)
		log_warn("op=config err=\"%s\" ignoring", err->text);
	free(arg);
}

static void remember_files(struct pk_daemon *d)
{
	const char *files = d->config.files ?: "";
	struct remember *r = pk_alloc(sizeof(*r) + strlen(files) + 1);
	const struct pk_work work = { .run = run_remember, .done = remembered, .arg = r };

	snprintf(r->root, sizeof(r->root), "%s", d->config.paths.root);
	strcpy(r->files, files);
	if (pk_writer_add(d->parts.disk, &work))
		return;
	log_warn("op=config err=\"the disk does not answer\" ignoring");
	free(r);
}

static bool has_answered(const struct pk_source *s)
{
	return s->state != PK_SOURCE_STARTING;
}

bool pk_daemon_is_ready(const struct pk_daemon *d)
{
	const struct pk_parts *p = &d->parts;

	return has_answered(pk_files_source(p->files)) &&
	       (!p->nomad || has_answered(pk_nomad_source(p->nomad))) &&
	       (!p->consul || has_answered(pk_consul_set_source(p->consul)));
}

int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err)
{
	struct pk_config config;
	struct pk_err own = { 0 };
	struct touched which;
	int r = pk_config_effective(&config, &d->args, &own);

	if (r == 0) {
		r = check_reload(d, &config, &own);
		if (r < 0)
			pk_config_done(&config);
	}
	pk_apply_note(&d->config_error, r, &own, "reload");
	if (err)
		*err = own;
	if (r < 0)
		return r;
	which = touched_by(&config, &d->config);
	stop_sources(d, &which);
	keep_node(&config.settings, &d->config.settings);
	pk_config_keep_networks(&config, &d->config);
	pk_config_done(&d->config);
	d->config = config;
	remember_files(d);
	pk_model_settings(d->parts.model, &d->config.settings);
	pk_sync_resolv(d->parts.sync);
	start_sources(d, &which);
	pk_files_look(d->parts.files);
	pk_upkeep_now(d->parts.upkeep);
	pk_uplink_watch_soon(d->parts.uplinks);
	pk_sockets_soon(d->parts.sockets);
	pk_apply_settings(d->parts.apply);
	warn_of_config(&d->config);
	log_info("op=reload");
	return 0;
}

static void stored_bad(void *arg, const struct pk_err *err)
{
	(void)arg;
	log_warn("op=policies err=\"%s\" waiting for its source", err->text);
}

/* Takes the lock, for one picketd a root; it goes with the process. */
static int take_lock(struct pk_daemon *d, struct pk_err *err)
{
	own_str path = { 0 };

	if (pk_fs_mkdirs(d->config.paths.run, 0751, err) < 0)
		return -EIO;
	pk_str_addf(&path, "%s/" PK_LOCK_DAEMON, d->config.paths.run);
	d->lock = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock < 0)
		return pk_fail(err, errno, "open %s", path.text);
	if (flock(d->lock, LOCK_EX | LOCK_NB) < 0)
		return pk_fix(err, pk_fail(err, errno, "%s is locked", path.text),
			      "another picketd runs with this root: stop it first");
	return 0;
}

#define WAITING_MAX (16u << 20) /* bytes that wait for a disk */
#define STOP_NS	    1000000000

static void start_writers(struct pk_daemon *d)
{
	d->parts.disk = pk_writer_new(d->parts.loop, WAITING_MAX);
	d->parts.fsync = pk_writer_new(d->parts.loop, WAITING_MAX);
	d->parts.lines = pk_writer_new(d->parts.loop, WAITING_MAX);
	d->parts.sweeps = pk_writer_new(d->parts.loop, WAITING_MAX);
}

/*
 * Waits a moment for the writers. What a hanging disk doesn't take by then is unknown at the next
 * start.
 */
static void flush_writers(struct pk_daemon *d)
{
	struct pk_writer *const all[] = { d->parts.disk, d->parts.fsync, d->parts.lines,
					  d->parts.sweeps };
	uint64_t until = pk_now_ns() + STOP_NS;

	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++)
		if (all[i] && !pk_writer_flush(all[i], until))
			log_error("op=stop err=\"the disk does not answer\" what it was to have is "
				  "left");
}

static void stop_writers(struct pk_daemon *d)
{
	pk_writer_free(d->parts.disk);
	pk_writer_free(d->parts.fsync);
	pk_writer_free(d->parts.lines);
	pk_writer_free(d->parts.sweeps);
}

static void make_parts(struct pk_daemon *d)
{
	const struct pk_paths *paths = &d->config.paths;
	own_str facts = { 0 };
	struct pk_model_args model = { .settings = &d->config.settings };
	struct pk_records_args records = { .loop = d->parts.loop,
					   .paths = paths,
					   .changed = on_records,
					   .came = on_record,
					   .arg = d };
	struct pk_flow_names names = { .node = d->node,
				       .node_address = pk_daemon_node_address,
				       .arg = d };

	pk_str_addf(&facts, "%s/var/lib/picket/facts", paths->root);
	d->parts.docs = pk_docs_new(paths->policies);
	pk_docs_load(d->parts.docs, stored_bad, d);
	model.docs = d->parts.docs;
	model.facts = facts.text;
	model.writer = d->parts.disk;
	d->parts.model = pk_model_new(&model);
	d->parts.sync = pk_sync_new(paths);
	records.model = d->parts.model;
	d->parts.records = pk_records_new(&records);
	names.model = d->parts.model;
	d->parts.events = pk_events_new(d->parts.loop, &names, NULL);
	d->journal = pk_journal_new(paths, d->node, d->parts.lines);
	d->parts.journal = d->journal;
	d->http = pk_http_new(d->parts.loop);
	d->parts.apply = pk_apply_new(&(struct pk_apply_args){ .loop = d->parts.loop,
							       .config = &d->config,
							       .docs = d->parts.docs,
							       .model = d->parts.model,
							       .sync = d->parts.sync,
							       .records = d->parts.records,
							       .events = d->parts.events,
							       .journal = d->journal,
							       .disk = d->parts.disk,
							       .fsync = d->parts.fsync,
							       .passed = on_passed,
							       .arg = d });
}

int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err)
{
	struct pk_upkeep_args upkeep = { .arg = d };
	int r;

	*d = (struct pk_daemon){ .args = *args, .lock = -1 };
	d->parts.config = &d->config;
	d->parts.config_error = &d->config_error;
	d->parts.node = d->node;
	d->parts.reload = on_reload;
	d->parts.release = on_release;
	d->parts.arg = d;
	clock_gettime(CLOCK_REALTIME, &d->parts.started);
	r = pk_config_effective(&d->config, args, err);
	if (r == 0)
		r = pk_masquerade_check(&d->config.settings.masquerade, err);
	if (r == 0)
		r = take_lock(d, err);
	if (r < 0)
		return r;
	if (!args->accept_missing)
		r = pk_config_check_last(&d->config, err);
	if (r < 0)
		return r;
	d->parts.loop = pk_loop_new();
	if (!d->parts.loop)
		return pk_fail(err, ENOMEM, "event loop");
	start_writers(d);
	warn_of_config(&d->config);
	remember_files(d);
	remember_node(d);
	d->parts.started_ms = pk_loop_now(d->parts.loop);
	if (*d->config.node)
		snprintf(d->node, sizeof(d->node), "%s", d->config.node);
	else if (*d->config.nomad_node)
		snprintf(d->node, sizeof(d->node), "%s", d->config.nomad_node);
	else if (gethostname(d->node, sizeof(d->node) - 1) < 0)
		strcpy(d->node, "localhost");
	make_parts(d);
	start_sources(d, &all_sources);
	pk_records_look(d->parts.records);
	pk_apply_now(d->parts.apply); /* what is wrong shows in status; it is tried again */
	d->httpd = pk_httpd_new(d->parts.loop, d->config.paths.socket, "picket", err);
	if (!d->httpd)
		return -EIO;
	d->handover =
		pk_handover_new(&(struct pk_handover_args){ .loop = d->parts.loop,
							    .path = d->config.paths.tap_socket,
							    .model = d->parts.model,
							    .sync = d->parts.sync },
				err);
	if (!d->handover)
		return -EIO;
	d->parts.scrape = pk_scrape_new(&d->parts);
	pk_httpd_serve(d->httpd, pk_api_serve, &d->parts);
	pk_apply_serve(d->parts.apply);
	upkeep.loop = d->parts.loop;
	upkeep.paths = &d->config.paths;
	upkeep.model = d->parts.model;
	upkeep.sync = d->parts.sync;
	upkeep.sweeps = d->parts.sweeps;
	upkeep.nomad = nomad_word;
	d->parts.upkeep = pk_upkeep_new(&upkeep);
	d->parts.uplinks = pk_uplink_watch_new(&(struct pk_uplink_watch_args){
		.loop = d->parts.loop, .config = &d->config, .sync = d->parts.sync });
	d->resolv = pk_resolv_watch_new(d->parts.loop, &d->config.paths, on_resolv, d);
	d->parts.sockets = pk_sockets_new(&(struct pk_sockets_args){
		.loop = d->parts.loop, .config = &d->config, .sync = d->parts.sync });
	return 0;
}

void pk_daemon_stop(struct pk_daemon *d)
{
	if (d->parts.events)
		stop_sources(d, &all_sources);
	if (d->parts.apply)
		flush_writers(d);
	pk_api_stop();
	pk_scrape_free(PK_MOVE(d->parts.scrape, NULL));
	pk_apply_free(d->parts.apply);
	pk_journal_free(d->journal);
	pk_events_free(d->parts.events);
	pk_httpd_free(d->httpd);
	pk_handover_free(d->handover);
	pk_upkeep_free(d->parts.upkeep);
	pk_uplink_watch_free(d->parts.uplinks);
	pk_sockets_free(d->parts.sockets);
	pk_resolv_watch_free(d->resolv);
	pk_records_free(d->parts.records);
	pk_http_free(d->http);
	pk_sync_free(d->parts.sync);
	pk_model_free(d->parts.model);
	pk_docs_free(d->parts.docs);
	stop_writers(d);
	pk_loop_free(d->parts.loop);
	if (d->lock >= 0)
		close(d->lock);
	pk_config_done(&d->config);
}
