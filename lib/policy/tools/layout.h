/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The layout of examples/policies: two blanks a level, what fits on a line of 100 stays on one, a
 * rule is always opened up. Comments and single blank lines are kept. Nothing else changes: the
 * result reads as the same JSON, and formatting it again changes nothing.
 */
#include "json.h"
#include "str.h"

/* Any JSON text with comments, a policy or not. -EINVAL: the fault says where it isn't JSON. */
int pk_layout(const char *name, const char *text, size_t len, struct pk_str *out,
	      struct pk_json_fault *fault);
