/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Prints a plan. Pairs that change alike are one line: all sources of one destination, or all
 * destinations of one source. With -o wide each pair and port has a line.
 */
#include "cli.h"
#include "plan.h"

void plan_show_changes(const struct cli *cli, const struct pk_plan *plan, struct pk_str *out);
