/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Finds keys below <prefix>/v1/<cluster>/policies/ at which no document can be, once a minute, by
 * names alone. Nobody else reads them, and a misspelt "operators/x" must not pass for a policy in
 * force.
 */
#include "consul_watch.h"

struct pk_consul_strays;

struct pk_consul_strays *pk_consul_strays_new(const struct pk_consul_args *args);
void pk_consul_strays_free(struct pk_consul_strays *strays);
/* Returns the first of them, "" where there are none. */
const char *pk_consul_strays_text(const struct pk_consul_strays *strays);
