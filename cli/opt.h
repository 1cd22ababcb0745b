/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Command line -> struct cli. */
#include "cli.h"

extern const struct cli_option cli_common[];
/* argv without the program's name. 0, or an exit code (help printed: CLI_OK with *done). */
int cli_parse(struct cli *cli, int argc, char **argv, bool *done);
void cli_help(const struct cli_command *command); /* NULL: all of it */
