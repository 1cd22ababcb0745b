/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the daemon one of several nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "daemon_private.h"
#include "own.h"

static void on_remote_endpoints(void *arg)
{
	struct pk_daemon *d = arg;

	pk_apply_soon(d->parts.apply);
}

static void on_remote_blocks(void *arg)
{
	struct pk_daemon *d = arg;

	pk_apply_settings(d->parts.apply);
}

/* Takes the blocks that are this node's; node.json tells the plugin of them. */
static void on_own_blocks(void *arg, const struct pk_blocks *blocks)
{
	struct pk_daemon *d = arg;

	pk_blocks_fill(blocks, &d->config.settings);
	pk_model_settings(d->parts.model, &d->config.settings);
	pk_apply_settings(d->parts.apply);
}

static const struct pk_blocks *blocks_of(const struct pk_daemon *d)
{
	return d->parts.cluster ? pk_cluster_blocks(d->parts.cluster) : NULL;
}

void daemon_keep_blocks(struct pk_daemon *d, const struct pk_settings *before)
{
	d->config.settings.blocks_until = before->blocks_until;
	if (blocks_of(d))
		pk_blocks_fill(blocks_of(d), &d->config.settings);
}

int daemon_check_blocks(const struct pk_daemon *d, const struct pk_config *config,
			struct pk_err *err)
{
	return blocks_of(d) ? pk_blocks_check_range(blocks_of(d), config, err) : 0;
}

/*
 * Publishes the report of a node without a cluster. Whatever it said while it was in one goes: it
 * would seem to live.
 */
static void stay_alone(struct pk_daemon *d)
{
	own_mem char *node = pk_consul_part(d->node);
	struct pk_publish_args args = { .loop = d->parts.loop,
					.store = d->store,
					.config = &d->config,
					.model = d->parts.model,
					.sync = d->parts.sync,
					.writer = d->parts.disk,
					.alone = true,
					.reports = true };

	if (!d->report)
		return;
	args.node = node;
	args.prefix = d->store->prefix;
	d->alone = pk_publish_new(&args);
}

void daemon_join_cluster(struct pk_daemon *d)
{
	const struct pk_cluster_args args = { .loop = d->parts.loop,
					      .http = d->http,
					      .store = d->store,
					      .config = &d->config,
					      .model = d->parts.model,
					      .sync = d->parts.sync,
					      .writer = d->parts.disk,
					      .node = d->node,
					      .reports = d->report != NULL,
					      .endpoints = on_remote_endpoints,
					      .blocks = on_remote_blocks,
					      .own = on_own_blocks,
					      .arg = d };

	if (strcmp(d->config.fabric, PK_FABRIC_NONE) == 0) {
		pk_cluster_withdraw(d->parts.model);
		stay_alone(d);
	} else if (d->store) {
		d->parts.cluster = pk_cluster_new(&args);
	}
	if (d->report)
		pk_report_soon(d->report);
}

void daemon_leave_cluster(struct pk_daemon *d)
{
	pk_cluster_free(PK_MOVE(d->parts.cluster, NULL));
	pk_publish_free(PK_MOVE(d->alone, NULL));
}
