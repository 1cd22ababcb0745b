/* SPDX-License-Identifier: GPL-2.0-only */
#include "opt.h"

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
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 0.001 }, { "m", 60 }, { "h", 3600 },
		      { "d", 86400 } };
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

static void print_options(const struct cli_option *options)
{
	for (; options && options->name; options++) {
		char left[64];

		snprintf(left, sizeof(left), "-%s%s%s", options->name, options->arg ? " " : "",
			 options->arg ? options->arg : "");
		printf("  %-22s %s\n", left, options->help);
	}
}

static void print_commands(void)
{
	char left[64];

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun; c++) {
			snprintf(left, sizeof(left), "%s%s%s%s%s", c->noun, c->verb ? " " : "",
				 c->verb ? c->verb : "", c->args ? " " : "", c->args ? c->args : "");
			printf("  %-30s %s\n", left, c->summary);
		}
}

void cli_help(const struct cli_command *command)
{
	if (!command) {
		puts("Usage: picket <noun> [verb] [options] [arguments]\n\nCommands:");
		print_commands();
	} else {
		printf("Usage: picket %s%s%s [options]%s%s\n\n  %s\n", command->noun,
		       command->verb ? " " : "", command->verb ? command->verb : "",
		       command->args ? " " : "", command->args ? command->args : "",
		       command->summary);
		if (command->options) {
			puts("\nOptions:");
			print_options(command->options);
		}
	}
	puts("\nCommon options:");
	print_options(cli_common);
	puts("\nExit status: 0 yes or ok, 1 no, denied, degraded or would change, 2 could not tell,\n"
	     "127 unknown command.");
}

static void print_nearest(const char *word, bool verbs_of)
{
	const char *names[128] = { 0 };
	size_t n = 0;

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun && n < 126; c++)
			names[n++] = verbs_of && c->verb ? c->verb : c->noun;
	word = pk_nearest(word, names);
	if (word)
		fprintf(stderr, "fix: did you mean \"%s\"? \"picket -help\" lists all\n", word);
	else
		fprintf(stderr, "fix: \"picket -help\" lists all\n");
}

/* A noun alone with verbs: list them, as an answer to half a command. */
static int unknown(const char *noun, const char *verb)
{
	own_str text = { 0 };
	bool known = false;

	for (const struct cli_command *const *table = cli_tables(); *table; table++)
		for (const struct cli_command *c = *table; c->noun; c++)
			known |= !strcmp(c->noun, noun);
	pk_str_add_escaped(&text, known && verb ? verb : noun);
	if (known && !verb) {
		fprintf(stderr, "picket %s: which of its verbs?\n", text.text);
		print_nearest("", true);
		return CLI_CANNOT;
	}
	fprintf(stderr, "picket: unknown command \"%s%s%s\"\n", known ? noun : "",
		known ? " " : "", text.text ? text.text : "");
	print_nearest(known ? verb : noun, known);
	return CLI_UNKNOWN;
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

/* One word that begins with a dash; *i is moved over its value. */
static int take_option(struct cli *cli, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *option = find(cli_common, name, n);

	if (!option && cli->command)
		option = find(cli->command->options, name, n);
	if (!option)
		return cli_usage(cli, "unknown option \"%s\"", argv[*i]);
	if (!option->arg)
		return equals ? cli_usage(cli, "-%s takes no value", option->name) :
				add_value(cli, option, "");
	if (equals)
		return add_value(cli, option, equals + 1);
	if (*i + 1 >= argc)
		return cli_usage(cli, "-%s needs a value: %s", option->name, option->arg);
	return add_value(cli, option, argv[++*i]);
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
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
				break;	/* a verb stands right behind its noun */
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
		return unknown(argv[noun], noun + 1 < argc && !is_option(argv[noun + 1]) ?
				argv[noun + 1] : NULL);
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
		line.text ? line.text : "", c ? " " : "", c ? c->noun : "",
		c && c->verb ? " " : "", c && c->verb ? c->verb : "");
	return CLI_CANNOT;
}
