/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells picketd that what is held of a source, or of one document, is gone on purpose. -ENODATA:
 * nothing is held.
 */
#include "cli.h"

int cli_policy_release(const struct cli *cli, const char *what, struct pk_json_doc **doc,
		       struct pk_err *err);
