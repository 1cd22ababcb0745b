/* SPDX-License-Identifier: Apache-2.0 */
#include "opt.h"
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

const struct cli_option cli_common[] = {
	{ "root", "DIR", "prefix of state, pins, socket and configuration (default /)", 0 },
	{ "socket", "PATH", "picketd's socket (default PICKET_SOCKET, or below the root)", 0 },
	{ "json", NULL, "the answer as JSON", 0 },
	{ "o", "FORM", "wide, json, jsonl, or column names with commas (no header)", 0 },
	{ "no-color", NULL, "no colours, also NO_COLOR and PICKET_NO_COLOR", 0 },
	{ "force-color", NULL, "colours also into a pipe, also CLICOLOR_FORCE", 0 },
	{ "q", NULL, "print nothing: the exit status is the answer", 0 },
	{ "help", NULL, "this text", 'h' },
	{ 0 },
};

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

static const struct cli_option *find(const struct cli_option *options, const char *name, size_t n)
{
	for (; options && options->name; options++)
		if ((strlen(options->name) == n && !strncmp(options->name, name, n)) ||
		    (n == 1 && options->letter && options->letter == name[0]))
			return options;
	return NULL;
}

const char *cli_nth(const struct cli *cli, const char *name, size_t n)
{
	for (size_t i = 0; i < cli->n_values; i++)
		if (!strcmp(cli->values[i].option->name, name) && n-- == 0)
			return cli->values[i].value;
	return NULL;
}

const char *cli_get(const struct cli *cli, const char *name)
{
	const char *value = NULL, *next;

	for (size_t n = 0; (next = cli_nth(cli, name, n)); n++)
		value = next;
	return value;
}

bool cli_has(const struct cli *cli, const char *name)
{
	return cli_get(cli, name) != NULL;
}

int cli_duration(const char *text, double *seconds)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "", 1 },   { "s", 1 },	  { "ms", 0.001 },
		      { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value >= 0) || value > 1e9)
		return -EINVAL;
	for (size_t i = 0; i < PK_ARRAY_LEN(units); i++)
		if (!strcmp(end, units[i].unit)) {
			*seconds = value * units[i].seconds;
			return 0;
		}
	return -EINVAL;
}

#define HELP_WIDTH 80

/* Prints left, then text beside it in its own column, wrapped at words. */
static void print_item(FILE *to, int column, const char *left, const char *text)
{
	int at = fprintf(to, "  %-*s", column - 3, left);

	if (at >= column) {
		fputc('\n', to);
		at = 0;
	}
	fprintf(to, "%*s", column - at, "");
	cli_wrap(to, text, (size_t)column, (size_t)column, HELP_WIDTH);
	fputc('\n', to);
}

static void print_options(const struct cli_option *options)
{
	for (; options && options->name; options++) {
		char left[64], letter[8] = "";

		if (options->letter)
			snprintf(letter, sizeof(letter), "-%c, ", options->letter);
		snprintf(left, sizeof(left), "%s-%s%s%s", letter, options->name,
			 options->arg ? " " : "", options->arg ? options->arg : "");
		print_item(stdout, 25, left, options->help);
	}
}

/* Prints the commands of noun (NULL: all of them). */
static void print_commands(FILE *to, const char *noun)
{
	char left[64];

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun; c++) {
			if (noun && strcmp(c->noun, noun))
				continue;
			snprintf(left, sizeof(left), "%s%s%s%s%s", c->noun, c->verb ? " " : "",
				 c->verb ? c->verb : "", c->args ? " " : "",
				 c->args ? c->args : "");
			print_item(to, 29, left, c->summary);
		}
}

void cli_help(const struct cli_command *command)
{
	if (!command) {
		puts("Usage: picket <noun> [verb] [options] [arguments]\n\nCommands:");
		print_commands(stdout, NULL);
	} else {
		printf("Usage: picket %s%s%s [options]%s%s\n\n  ", command->noun,
		       command->verb ? " " : "", command->verb ? command->verb : "",
		       command->args ? " " : "", command->args ? command->args : "");
		cli_wrap(stdout, command->summary, 2, 2, HELP_WIDTH);
		putchar('\n');
		if (command->options) {
			puts("\nOptions:");
			print_options(command->options);
		}
	}
	puts("\nCommon options:");
	print_options(cli_common);
	puts("\nExit status: 0 yes or ok, 1 no, denied, degraded or would change, 2 could not\n"
	     "tell, 3 done or shown in part, 127 unknown command.");
}

/* Collects the verbs of a noun, or (NULL) all nouns; names ends with NULL. */
static void collect(const char *noun, const char **names, size_t room)
{
	size_t n = 0;

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun && n + 1 < room; c++)
			if (!noun)
				names[n++] = c->noun;
			else if (c->verb && !strcmp(c->noun, noun))
				names[n++] = c->verb;
	names[n] = NULL;
}

static int unknown(const char *noun, const char *verb)
{
	const char *names[128], *near;
	own_str text = { 0 };

	collect(verb ? noun : NULL, names, PK_ARRAY_LEN(names));
	near = pk_nearest(verb ? verb : noun, names);
	pk_str_add_escaped(&text, verb ? verb : noun);
	fprintf(stderr, "picket: unknown command \"%s%s%s\"\nfix: ", verb ? noun : "",
		verb ? " " : "", text.text ? text.text : "");
	if (near)
		fprintf(stderr, "did you mean \"%s\"? ", near);
	fprintf(stderr, "\"picket %s%s-help\" lists all\n", verb ? noun : "", verb ? " " : "");
	return CLI_UNKNOWN;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (is_option(argv[i]) && find(cli_common, argv[i] + (argv[i][1] == '-' ? 2 : 1),
					       strlen(argv[i]) - (argv[i][1] == '-' ? 2 : 1)) ==
						  find(cli_common, "help", 4))
			return true;
	return false;
}

/* Shows the commands of a noun that stands without a verb of its own; refuses an unknown one. */
static int help_of_noun(const char *noun, const char *verb)
{
	const char *verbs[64];

	collect(noun, verbs, PK_ARRAY_LEN(verbs));
	if (!verbs[0] || verb)
		return unknown(noun, verbs[0] ? verb : NULL);
	printf("Usage: picket %s <verb> [options] [arguments]\n\nCommands:\n", noun);
	print_commands(stdout, noun);
	return CLI_OK;
}

/* The noun stands without a verb of its own: help is asked for, or the command is half or wrong. */
static int only_noun(int argc, char **argv, int noun)
{
	const char *verb = noun + 1 < argc && !is_option(argv[noun + 1]) ? argv[noun + 1] : NULL;
	const char *verbs[64];

	collect(argv[noun], verbs, PK_ARRAY_LEN(verbs));
	if (!verbs[0] || verb || asks_help(argc, argv))
		return help_of_noun(argv[noun], verb);
	fprintf(stderr, "picket %s: a verb is missing\n", argv[noun]);
	print_commands(stderr, argv[noun]);
	fprintf(stderr, "fix: picket %s -help\n", argv[noun]);
	return CLI_CANNOT;
}

static const struct cli_command *find_command(const char *noun, const char *verb)
{
	const struct cli_command *alone = NULL;

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun; c++) {
			if (strcmp(c->noun, noun))
				continue;
			if (!c->verb)
				alone = c;
			else if (verb && !strcmp(c->verb, verb))
				return c;
		}
	return alone;
}

static int add_value(struct cli *cli, const struct cli_option *option, const char *value)
{
	if (cli->n_values == CLI_VALUES_MAX)
		return cli_usage(cli, "more than %d options", CLI_VALUES_MAX);
	cli->values[cli->n_values].option = option;
	cli->values[cli->n_values++].value = value;
	return 0;
}

static int unknown_option(const struct cli *cli, const char *word, const char *name, size_t n)
{
	const char *names[128], *near;
	own_mem char *text = strndup(name, n);
	size_t count = 0;

	for (const struct cli_option *o = cli_common; o->name; o++)
		names[count++] = o->name;
	for (const struct cli_option *o = cli->command ? cli->command->options : NULL;
	     o && o->name && count + 1 < PK_ARRAY_LEN(names); o++)
		names[count++] = o->name;
	names[count] = NULL;
	near = text ? pk_nearest(text, names) : NULL;
	return near ? cli_usage(cli, "unknown option \"%s\", did you mean \"-%s\"?", word, near)
		    : cli_usage(cli, "unknown option \"%s\"", word);
}

/* Takes one word that begins with a dash; *i is moved over its value. */
static int take_option(struct cli *cli, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *option = find(cli_common, name, n);

	if (!option && cli->command)
		option = find(cli->command->options, name, n);
	if (!option)
		return unknown_option(cli, argv[*i], name, n);
	if (!option->arg)
		return equals ? cli_usage(cli, "-%s takes no value", option->name)
			      : add_value(cli, option, "");
	if (equals)
		return add_value(cli, option, equals + 1);
	if (*i + 1 >= argc)
		return cli_usage(cli, "-%s needs a value: %s", option->name, option->arg);
	return add_value(cli, option, argv[++*i]);
}

/* Words before the noun are common options; the noun and verb are the first two other words. */
static int find_words(struct cli *cli, int argc, char **argv, int *noun, int *verb)
{
	*noun = *verb = -1;
	for (int i = 0; i < argc && *verb < 0; i++) {
		if (is_option(argv[i])) {
			const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1);
			const struct cli_option *o = find(cli_common, name, strcspn(name, "="));

			if (*noun >= 0)
				break; /* a verb stands right behind its noun */
			if (o && o->arg && !strchr(name, '='))
				i++;
		} else if (*noun < 0) {
			*noun = i;
		} else {
			*verb = i;
		}
	}
	if (*noun < 0)
		return 0;
	cli->command = find_command(argv[*noun], *verb >= 0 ? argv[*verb] : NULL);
	if (cli->command && !cli->command->verb)
		*verb = -1;
	return 0;
}

/* `picket help`, and what stands behind it: the same as `picket ... -help`. */
static int help(struct cli *cli)
{
	const char *noun = cli->argv[0], *verb = noun ? cli->argv[1] : NULL;
	const struct cli_command *command = noun ? find_command(noun, verb) : NULL;

	if (noun && !command)
		return help_of_noun(noun, verb);
	cli_help(command);
	return CLI_OK;
}

const struct cli_command cli_help_commands[] = {
	{ "help", NULL, "[NOUN [VERB]]", "the commands, a noun's verbs, or a command's options", 0,
	  2, NULL, help, false },
	{ 0 },
};

static int check_count(const struct cli *cli)
{
	const struct cli_command *c = cli->command;

	if (cli->argc < c->min_args)
		return cli_usage(cli, "%s is missing", c->args ? c->args : "an argument");
	if (c->max_args >= 0 && cli->argc > c->max_args)
		return cli_usage(cli, "too many arguments");
	return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv, bool *done)
{
	int noun, verb, r;
	bool literal = false;

	*done = true;
	find_words(cli, argc, argv, &noun, &verb);
	if (noun >= 0 && !cli->command)
		return only_noun(argc, argv, noun);
	cli->argv = pk_alloc(((size_t)argc + 1) * sizeof(char *));
	for (int i = 0; i < argc; i++) {
		if (i == noun || i == verb)
			continue;
		if (!literal && !strcmp(argv[i], "--")) {
			literal = true;
			continue;
		}
		if (literal || !is_option(argv[i])) {
			cli->argv[cli->argc++] = argv[i];
			continue;
		}
		r = take_option(cli, argc, argv, &i);
		if (r)
			return r;
	}
	if (cli_has(cli, "help") || !cli->command) {
		cli_help(cli->command);
		return cli_has(cli, "help") ? CLI_OK : CLI_CANNOT;
	}
	*done = false;
	return check_count(cli);
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	const struct cli_command *c = cli->command;
	own_str line = { 0 };
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pk_str_add_escaped(&line, text);
	fprintf(stderr, "picket%s%s%s%s: %s\nfix: picket%s%s%s%s -help\n", c ? " " : "",
		c ? c->noun : "", c && c->verb ? " " : "", c && c->verb ? c->verb : "",
		line.text ? line.text : "", c ? " " : "", c ? c->noun : "", c && c->verb ? " " : "",
		c && c->verb ? c->verb : "");
	return CLI_CANNOT;
}
