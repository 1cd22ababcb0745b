/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How far the documents of one source in Consul have come: which nodes enforce exactly what stands
 * there now, and which lag, with the reason.
 */
#include "policy_consul.h"

struct cli_rollout {
	struct pk_json_doc *json; /* docs/cli.md, "How far a change has come" */
	size_t current, lagging, stale;
	bool silent; /* no live node says what it enforces, of any source */
};
/* Reads what stands in Consul and what each node says of it. Returns an exit code. */
int cli_rollout_read(struct cli *cli, struct cli_consul_docs *docs, struct cli_rollout *out);
void cli_rollout_done(struct cli_rollout *rollout);
#define own_rollout PK_OWN(cli_rollout_done) struct cli_rollout

/* Takes -wait: 0 seconds where it isn't given. Returns false where it is no duration. */
bool cli_rollout_wait_given(struct cli *cli, double *seconds);
/* Waits until each live node has them, so long at most; prints who lags. Returns an exit code. */
int cli_rollout_wait(struct cli *cli, struct cli_consul_docs *docs, double seconds);

#define CLI_ROLLOUT_WAIT                                                                           \
	{ "wait", "TIME", "wait until every live node enforces it, at most this long", 0 }
