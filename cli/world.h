/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The world that policy commands ask about: files, or the live node through picketd. */
#include "case.h"
#include "cli.h"

/* What GET /v1/world answers, as text; the form of pk_reach_options.live with the cli as arg. */
int cli_world_text(void *cli, char **text, size_t *len, struct pk_err *err);
/* -world FILE where it is given, else the live node; the notes go to standard error. Not ready yet.
 */
int cli_world(const struct cli *cli, struct pk_case **out, struct pk_err *err);
/* Notes of documents, where there are any. */
void cli_notes(const struct pk_str *said);
