/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Parses the command line into a struct cli. */
#include "cli.h"

extern const struct cli_option cli_common[];
/* Reads argv, without the program's name. Returns 0 or an exit status; *done: help was printed. */
int cli_parse(struct cli *cli, int argc, char **argv, bool *done);
void cli_help(const struct cli_command *command); /* of one command; NULL: of all */
