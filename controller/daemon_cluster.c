/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the daemon one of several nodes. */
#include <string.h>

#include "daemon_private.h"

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

void daemon_join_cluster(struct pk_daemon *d)
{
	const struct pk_cluster_args args = { .loop = d->parts.loop,
					      .http = d->http,
					      .config = &d->config,
					      .model = d->parts.model,
					      .sync = d->parts.sync,
					      .writer = d->parts.disk,
					      .node = d->node,
					      .endpoints = on_remote_endpoints,
					      .blocks = on_remote_blocks,
					      .arg = d };

	if (strcmp(d->config.fabric, PK_FABRIC_NONE) == 0)
		pk_cluster_withdraw(d->parts.model);
	else if (d->config.consul.on)
		d->parts.cluster = pk_cluster_new(&args);
}
