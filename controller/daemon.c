/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api.h"
#include "fs.h"
#include "log.h"
#include "own.h"
#include "scrape.h"

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

static const char *node_address(void *arg, const union pk_addr *addr)
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
	if (d->report)
		pk_report_soon(d->report);
	if (d->parts.cluster)
		pk_cluster_follow(d->parts.cluster);
	if (d->parts.services)
		pk_services_follow(d->parts.services);
	pk_api_confirm_passed();
}

/*
 * Called with new tables: parts that keep something in them look at once what they must write.
 * When the first tables are opened none of these parts exists yet.
 */
static void on_opened(void *arg)
{
	struct pk_daemon *d = arg;

	if (d->parts.uplinks)
		pk_uplink_watch_soon(d->parts.uplinks);
	if (d->parts.sockets)
		pk_sockets_soon(d->parts.sockets);
	if (d->parts.cluster)
		pk_cluster_uplinks(d->parts.cluster);
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

static enum pk_nomad_word nomad_word(void *arg)
{
	struct pk_daemon *d = arg;

	if (!d->parts.nomad)
		return PK_NOMAD_OFF;
	return pk_nomad_source(d->parts.nomad)->state == PK_SOURCE_OK ? PK_NOMAD_ANSWERS
								      : PK_NOMAD_SILENT;
}

static int on_reload(void *arg, struct pk_err *err)
{
	return pk_daemon_reload(arg, err);
}

static void stored_bad(void *arg, const struct pk_err *err)
{
	(void)arg;
	log_warn("op=policies err=\"%s\" fix=\"%s\" waiting for its source", err->text, err->fix);
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
	struct pk_flow_names names = { .node = d->node, .node_address = node_address, .arg = d };

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
	d->journal = pk_journal_new(paths, d->node, d->parts.loop, d->parts.lines);
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
							       .opened = on_opened,
							       .arg = d });
}

static void name_node(struct pk_daemon *d)
{
	if (*d->config.node)
		snprintf(d->node, sizeof(d->node), "%s", d->config.node);
	else if (*d->config.nomad_node)
		snprintf(d->node, sizeof(d->node), "%s", d->config.nomad_node);
	else if (gethostname(d->node, sizeof(d->node) - 1) < 0)
		strcpy(d->node, "localhost");
}

/* Reads the configuration, and makes sure that no other picketd runs. */
static int read_config(struct pk_daemon *d, struct pk_err *err)
{
	int r = pk_config_effective(&d->config, &d->args, err);

	if (r == 0)
		r = pk_masquerade_check(&d->config.settings.masquerade, err);
	if (r == 0)
		r = take_lock(d, err);
	if (r == 0 && !d->args.accept_missing)
		r = pk_config_check_last(&d->config, err);
	return r;
}

/* Answers on the socket, and hands host taps over. */
static int serve(struct pk_daemon *d, struct pk_err *err)
{
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
	return 0;
}

static void on_uplinks(void *arg)
{
	struct pk_daemon *d = arg;

	if (d->parts.cluster)
		pk_cluster_uplinks(d->parts.cluster);
}

static void start_upkeep(struct pk_daemon *d)
{
	d->parts.upkeep = pk_upkeep_new(&(struct pk_upkeep_args){ .loop = d->parts.loop,
								  .paths = &d->config.paths,
								  .model = d->parts.model,
								  .sync = d->parts.sync,
								  .sweeps = d->parts.sweeps,
								  .nomad = nomad_word,
								  .arg = d });
	d->parts.uplinks =
		pk_uplink_watch_new(&(struct pk_uplink_watch_args){ .loop = d->parts.loop,
								    .config = &d->config,
								    .sync = d->parts.sync,
								    .changed = on_uplinks,
								    .arg = d });
	d->resolv = pk_resolv_watch_new(d->parts.loop, &d->config.paths, on_resolv, d);
	d->parts.sockets = pk_sockets_new(&(struct pk_sockets_args){
		.loop = d->parts.loop, .config = &d->config, .sync = d->parts.sync });
}

int pk_daemon_start(struct pk_daemon *d, const struct pk_config_args *args, struct pk_err *err)
{
	int r;

	*d = (struct pk_daemon){ .args = *args, .lock = -1 };
	d->parts.config = &d->config;
	d->parts.config_error = &d->config_error;
	d->parts.node = d->node;
	d->parts.reload = on_reload;
	d->parts.release = daemon_release;
	d->parts.arg = d;
	clock_gettime(CLOCK_REALTIME, &d->parts.started);
	r = read_config(d, err);
	if (r < 0)
		return r;
	d->parts.loop = pk_loop_new();
	if (!d->parts.loop)
		return pk_fail(err, ENOMEM, "event loop");
	start_writers(d);
	daemon_warn_of_config(&d->config);
	daemon_remember_files(d);
	daemon_remember_node(d);
	d->parts.started_ms = pk_loop_now(d->parts.loop);
	name_node(d);
	make_parts(d);
	daemon_start_sources(d, &daemon_all_sources);
	pk_files_look(d->parts.files); /* whole, so that the first pass has the directory */
	pk_records_look(d->parts.records);
	pk_apply_now(d->parts.apply); /* what is wrong shows in status; it is tried again */
	r = serve(d, err);
	if (r == 0)
		start_upkeep(d);
	return r;
}

void pk_daemon_stop(struct pk_daemon *d)
{
	if (d->parts.events)
		daemon_stop_sources(d, &daemon_all_sources);
	if (d->parts.apply) {
		pk_apply_tell(d->parts.apply);
		flush_writers(d);
	}
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
