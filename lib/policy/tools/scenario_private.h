/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* scenario_read.c's half of scenario.c: the endpoints. */
#include "scenario.h"

/* live: GET /v1/world's keys too. Sets c->has_endpoints. */
int scenario_read_endpoints(struct pk_scenario *c, bool live, struct pk_err *err);
