/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Says how far a source's documents in Consul have come: which nodes enforce exactly what stands
 * there now, and which lag, and why.
 */
#include "policy_consul.h"

struct cli_rollout {
	struct pk_json_doc *json; /* docs/cli.md, "How far a change has come" */
	size_t current, lagging, stale;
	bool silent; /* no live node reports what it enforces, of any source */
};
/* Reads what stands in Consul and each node's report. Returns an exit status. */
int cli_rollout_read(struct cli *cli, struct cli_consul_docs *docs, struct cli_rollout *out);
void cli_rollout_done(struct cli_rollout *rollout);
#define own_rollout PK_OWN(cli_rollout_done) struct cli_rollout

/* Takes -wait: 0 seconds where it isn't given. Returns false where it is no duration. */
bool cli_rollout_wait_given(struct cli *cli, double *seconds);
/*
 * Waits, at most so long, until each live node enforces them; prints who lags. Returns an exit
 * status.
 */
int cli_rollout_wait(struct cli *cli, struct cli_consul_docs *docs, double seconds);

#define CLI_ROLLOUT_WAIT                                                                           \
	{ "wait", "TIME", "wait until every live node enforces it, at most this long", 0 }
