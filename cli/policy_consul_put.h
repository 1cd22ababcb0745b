/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes a document into Consul, or deletes it, with its history. Both return an exit status, and
 * have printed what came of it.
 */
#include "policy_candidate.h"
#include "policy_consul.h"

/* verb: apply, delete or rollback. docs have just been read. */
int cli_consul_put(struct cli *cli, struct cli_consul_docs *docs, const struct cli_candidate *c,
		   const char *verb);
int cli_consul_take_out(struct cli *cli, struct cli_consul_docs *docs, const char *name,
			const char *verb);
