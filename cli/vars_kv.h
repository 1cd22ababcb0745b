/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The same of Nomad's Variables as consul_kv.h of Consul: where an operator or a tenant says
 * -nomad. Nomad is reached as its own tool reaches it (NOMAD_ADDR, NOMAD_TOKEN, …).
 */
#include "consul_kv.h"

int cli_vars_open(const struct cli *cli, struct cli_consul *consul, struct pk_err *err);
int cli_vars_read(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		  struct pk_err *err);
/* Nomad knows no transactions: one change is made, never several. */
enum cli_consul_end cli_vars_write(struct cli_consul *consul,
				   const struct cli_consul_change *change, struct pk_err *err);
