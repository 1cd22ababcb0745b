/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* case_read.c's half of case.c: the endpoints. */
#include "case.h"

/* live: GET /v1/world's keys too. Sets c->has_endpoints. */
int case_read_endpoints(struct pk_case *c, bool live, struct pk_err *err);
