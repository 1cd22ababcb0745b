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
int cli_vars_names(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		   struct pk_err *err);
/* Nomad knows no transactions: changes are made one after the other, to the first that fails. */
enum cli_consul_end cli_vars_write(struct cli_consul *consul,
				   const struct cli_consul_change *changes, size_t n,
				   struct pk_err *err);
/* who is a claim already, which Nomad's word on the token takes the place of. */
int cli_vars_self(struct cli_consul *consul, struct cli_consul_who *who, struct pk_err *err);
