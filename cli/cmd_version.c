/* SPDX-License-Identifier: Apache-2.0 */
/* picket version. */
#include <stdio.h>

#include "cli.h"
#include "picket/limits.h"

static int version(struct cli *cli)
{
	if (cli->json || cli->jsonl)
		printf("{\"version\": \"%s\", \"layout\": %d}\n", PK_VERSION, PK_LAYOUT);
	else
		printf("picket %s, layout %d\n", PK_VERSION, PK_LAYOUT);
	return CLI_OK;
}

const struct cli_command cli_version_commands[] = {
	{ "version", NULL, NULL, "version and layout of the tables", 0, 0, NULL, version, false },
	{ 0 },
};
