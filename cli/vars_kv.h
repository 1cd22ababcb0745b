/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Does for Nomad's Variables, with -nomad, what consul_kv.h does for Consul. Nomad is found as its
 * own tool finds it (NOMAD_ADDR, NOMAD_TOKEN, …).
 */
#include "consul_kv.h"

int cli_vars_open(const struct cli *cli, struct cli_consul *consul, struct pk_err *err);
int cli_vars_read(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		  struct pk_err *err);
int cli_vars_names(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		   struct pk_err *err);
/* Makes the changes one after the other, to the first that fails: Nomad has no transactions. */
enum cli_consul_end cli_vars_write(struct cli_consul *consul,
				   const struct cli_consul_change *changes, size_t n,
				   struct pk_err *err);
/* Replaces the claim in *who by what Nomad says of the token. */
int cli_vars_self(struct cli_consul *consul, struct cli_consul_who *who, struct pk_err *err);
