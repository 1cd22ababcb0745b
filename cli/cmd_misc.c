/* SPDX-License-Identifier: Apache-2.0 */
/* picket version, completion. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "opt.h"
#include "picket/limits.h"

static int version(struct cli *cli)
{
	if (cli->json || cli->jsonl)
		printf("{\"version\": \"%s\", \"layout\": %d}\n", PK_VERSION, PK_LAYOUT);
	else
		printf("picket %s, layout %d\n", PK_VERSION, PK_LAYOUT);
	return CLI_OK;
}

static void complete_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		printf(" -%s", o->name);
}

/* The same table that parses: what is listed here exists. */
static int completion(struct cli *cli)
{
	if (strcmp(cli->argv[0], "bash"))
		return cli_usage(cli, "only bash is known");
	puts("_picket() {\n\tlocal words=\n\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++) {
			printf("\t\"%s %s\"*) words=\"", c->noun, c->verb ? c->verb : "");
			complete_options(c->options);
			complete_options(cli_common);
			puts("\" ;;");
		}
	puts("\tesac");
	puts("\tcase $COMP_CWORD in");
	printf("\t1) words=\"");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			printf("%s ", c->noun);
	puts("\" ;;\n\t2) case ${COMP_WORDS[1]} in");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			if (c->verb)
				printf("\t\t%s) words+=\" %s\" ;;&\n", c->noun, c->verb);
	puts("\t\tesac ;;\n\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- "
	     "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
	     "}\ncomplete -o default -F _picket picket");
	return CLI_OK;
}

const struct cli_command cli_misc_commands[] = {
	{ "version", NULL, NULL, "version and layout of the tables", 0, 0, NULL, version, false },
	{ "completion", NULL, "bash", "a script for bash to source", 1, 1, NULL, completion,
	  false },
	{ 0 },
};
