/* SPDX-License-Identifier: Apache-2.0 */
/* picket completion: scripts for shells, from the table that parses. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "opt.h"
#include "own.h"

static void bash_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		printf(" -%s", o->name);
}

static void bash_nouns(void)
{
	printf(" nouns=\"");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			printf("%s ", c->noun);
	puts("\"");
}

static void bash(void)
{
	printf("_picket() {\n\tlocal words=");
	bash_nouns();
	puts("\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++) {
			printf("\t\"%s %s\"*) words=\"", c->noun, c->verb ? c->verb : "");
			bash_options(c->options);
			bash_options(cli_common);
			puts("\" ;;");
		}
	puts("\tesac");
	puts("\tcase $COMP_CWORD in\n\t1) words=$nouns ;;\n\t2) case ${COMP_WORDS[1]} in\n"
	     "\t\thelp) words+=\" $nouns\" ;;&");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			if (c->verb)
				printf("\t\t%s) words+=\" %s\" ;;&\n", c->noun, c->verb);
	puts("\t\tesac ;;\n\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- "
	     "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
	     "}\ncomplete -o default -F _picket picket");
}

/* Prints one 'word:what it does' of zsh's _describe, within single quotes. */
static void zsh_word(const char *dash, const char *word, const char *what)
{
	printf(" '%s%s:", dash, word);
	for (; *what; what++)
		if (*what == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*what);
	putchar('\'');
}

static void zsh_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		zsh_word("-", o->name, o->help);
}

/* Returns whether the command is its noun's first: a noun with verbs is listed once. */
static bool is_first(const struct cli_command *command)
{
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			if (!strcmp(c->noun, command->noun))
				return c == command;
	return true;
}

static void zsh_nouns(void)
{
	printf("\tnouns=(");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			if (is_first(c))
				zsh_word("", c->noun, c->summary);
	puts(")");
}

static void zsh(void)
{
	puts("#compdef picket\n_picket() {\n\tlocal -a nouns verbs options");
	zsh_nouns();
	puts("\tcase \"$words[2]\" in\n\thelp) verbs+=($nouns) ;|");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++)
			if (c->verb) {
				printf("\t%s) verbs+=(", c->noun);
				zsh_word("", c->verb, c->summary);
				puts(") ;|");
			}
	puts("\tesac\n\tcase \"$words[2] $words[3]\" in");
	for (const struct cli_command *const *t = cli_tables(); *t; t++)
		for (const struct cli_command *c = *t; c->noun; c++) {
			printf("\t\"%s %s\"*) options=(", c->noun, c->verb ? c->verb : "");
			zsh_options(c->options);
			zsh_options(cli_common);
			puts(") ;;");
		}
	puts("\tesac\n"
	     "\tif (( CURRENT == 2 )); then\n\t\t_describe noun nouns\n"
	     "\telif (( CURRENT == 3 && $#verbs )); then\n\t\t_describe verb verbs\n"
	     "\telif [[ $PREFIX == -* ]]; then\n\t\t_describe -o option options\n"
	     "\telse\n\t\t_files\n\tfi\n}\n"
	     "if [[ $funcstack[1] == _picket ]]; then\n\t_picket \"$@\"\nelse\n"
	     "\tcompdef _picket picket\nfi");
}

static int completion(struct cli *cli)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = { { "bash", bash }, { "zsh", zsh } };

	for (size_t i = 0; i < PK_ARRAY_LEN(shells); i++)
		if (!strcmp(cli->argv[0], shells[i].shell)) {
			shells[i].print();
			return CLI_OK;
		}
	return cli_usage(cli, "\"%s\" is none of bash, zsh", cli->argv[0]);
}

const struct cli_command cli_completion_commands[] = {
	{ "completion", NULL, "bash|zsh", "a script for that shell to source", 1, 1, NULL,
	  completion, false },
	{ 0 },
};
