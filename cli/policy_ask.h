/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Commands that cmd_policy_plan.c's table has, and that have files of their own. */
#include "cli.h"

int cli_explain(struct cli *cli);
int cli_suggest(struct cli *cli);
int cli_policy_show(struct cli *cli);

/* NAME, or SOURCE/NAME as picket policy list has it. */
struct pk_document;
bool cli_names_document(const struct pk_document *doc, const char *name);
