/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration while picketd runs: a reload, and what of it the next start must know. */
#include "daemon_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"

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
void daemon_remember_node(struct pk_daemon *d)
{
	struct pk_settings before;

	pk_settings_init(&before);
	if (pk_settings_read(&before, d->config.paths.node_json, NULL) == 0) {
		d->config.settings.blocks_until = before.blocks_until;
		pk_settings_keep_instances(&d->config.settings, &before);
		pk_config_keep_baseline(&d->config, before.baseline_before);
		if (d->config.nomad.on)
			keep_node(&d->config.settings, &before);
	}
	pk_settings_done(&before);
}

void daemon_warn_of_config(const struct pk_config *config)
{
	const struct pk_err *note = &config->no_resolver;

	if (*config->baselines.text)
		log_error("op=config err=\"%s\" fix=\"%s\"", config->baselines.text,
			  config->baselines.fix);
	if (*config->pool_beside.text)
		log_error("op=config err=\"%s\" fix=\"%s\"", config->pool_beside.text,
			  config->pool_beside.fix);
	if (*config->unread.text)
		log_error("op=config err=\"%s\" fix=\"%s\"", config->unread.text,
			  config->unread.fix);
	if (*note->text)
		log_warn("op=config err=\"%s\" fix=\"%s\" ignoring", note->text, note->fix);
}

static bool has_endpoints(const struct pk_model *model)
{
	for (const struct pk_local_endpoint *ep = pk_model_next(model, NULL); ep;
	     ep = pk_model_next(model, ep))
		if (ep->open)
			return true;
	return false;
}

/*
 * Refuses another fabric, or none any more, while endpoints live here: between the nodes' switches
 * none would reach another, and their MTU is that of the fabric that they began in, also while no
 * store is named. The first fabric of a node that had none takes nothing away.
 */
static int check_fabric(const struct pk_daemon *d, const struct pk_config *config,
			struct pk_err *err)
{
	const char *from = d->config.fabric, *to = config->fabric;
	bool same = strcmp(from, to) == 0 && pk_config_same(config, &d->config, "vxlan");

	if (same || strcmp(from, PK_FABRIC_NONE) == 0 || !has_endpoints(d->parts.model))
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0,
			      "the fabric can't change (%s to %s) while endpoints live here", from,
			      to),
		      "drain the node first; or restart picketd, and lose what is under way");
}

static int check_reload(const struct pk_daemon *d, const struct pk_config *config,
			struct pk_err *err)
{
	if (strcmp(config->root, d->config.root) != 0)
		return pk_fix(err, pk_fail(err, 0, "\"root\" cannot change while picketd runs"),
			      "restart picketd");
	if (pk_masquerade_check(&config->settings.masquerade, err) < 0)
		return -EINVAL;
	if (daemon_check_blocks(d, config, err) < 0 || check_fabric(d, config, err) < 0)
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

void daemon_remember_files(struct pk_daemon *d)
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

int pk_daemon_reload(struct pk_daemon *d, struct pk_err *err)
{
	struct pk_config config, before;
	struct pk_err own = { 0 };
	struct daemon_touched which;
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
	which = daemon_touched_by(&config, &d->config);
	daemon_stop_sources(d, &which);
	keep_node(&config.settings, &d->config.settings);
	pk_settings_keep_instances(&config.settings, &d->config.settings);
	pk_config_keep_networks(&config, &d->config);
	pk_config_keep_baseline(&config, d->config.settings.baseline);
	before = PK_MOVE(d->config, config);
	daemon_keep_blocks(d, &before.settings);
	pk_config_done(&before);
	daemon_remember_files(d);
	pk_model_settings(d->parts.model, &d->config.settings);
	pk_sync_resolv(d->parts.sync);
	daemon_start_sources(d, &which);
	pk_files_begin(d->parts.files);
	pk_upkeep_now(d->parts.upkeep);
	pk_uplink_watch_soon(d->parts.uplinks);
	pk_sockets_soon(d->parts.sockets);
	pk_apply_settings(d->parts.apply);
	daemon_warn_of_config(&d->config);
	log_info("op=reload");
	return 0;
}
