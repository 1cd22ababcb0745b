/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Prints the output of commands: one description of columns gives the table, the JSON lines and
 * -o's lines. Text that tenants wrote is escaped here, so that no command can forget it.
 */
#include <stdio.h>

#include "cli.h"

struct cli_column {
	const char *name;  /* the JSON member, also for -o; "a.b" goes inside */
	const char *title; /* the table's title of it */
	bool wide;	   /* shown with -o wide only */
	bool wrap;	   /* where it is the last: on a terminal it goes on below itself, uncut */
	/* RFC 3339, shown in the local zone; where the table is too wide, month to minute alone. */
	bool time;
	/* Writes a cell's text from its row; NULL: the member as it is. */
	void (*format)(const struct pk_json *row, struct pk_str *cell);
	const char *(*color)(const struct pk_json *row); /* returns an escape sequence or NULL */
};

#define CLI_RED	   "\x1b[31m"
#define CLI_YELLOW "\x1b[33m"
#define CLI_GREEN  "\x1b[32m"
#define CLI_BOLD   "\x1b[1m"
#define CLI_PLAIN  "\x1b[0m"

/*
 * Prints a list's array: as a table, with -json as an array, with -o jsonl, with -o NAMES. columns
 * ends with {0}.
 */
int cli_list(const struct cli *cli, const struct pk_json *array, const struct cli_column *columns);
/* Prints one value as indented JSON; as a line with -o jsonl. */
void cli_json(const struct cli *cli, const struct pk_json *value);

struct cli_pair {
	const char *name, *title;
	bool rare; /* left out where it is null or absent */
};
/*
 * Prints `Title = value`, aligned; lists with ", "; null and absent as "<none>". pairs ends with
 * {0}.
 */
void cli_pairs(const struct cli *cli, const struct pk_json *object, const struct cli_pair *pairs);

/*
 * Prints text that begins at column `at`; on a terminal of that width what doesn't fit goes on at
 * column `hang`. Lines break at blanks alone, so that paths can be copied. width 0: nothing breaks.
 */
void cli_wrap(FILE *to, const char *text, size_t at, size_t hang, size_t width);
/*
 * Prints "fix: text" at a column. No line of it breaks here: a command that is copied over a line's
 * end would run by halves, and what the terminal itself breaks is copied whole.
 */
void cli_print_fix(int at, const char *text);
/* Prints lines to stdout, each wrapped to the terminal four columns behind its own beginning. */
void cli_print(const struct cli *cli, const char *text);

/* Returns the member at "a.b"; NULL where absent. */
const struct pk_json *cli_member(const struct pk_json *object, const char *path);
const char *cli_text(const struct pk_json *object, const char *path); /* "" where absent */
/* Writes a value as people read it: escaped, lists with ", ". */
void cli_value(struct pk_str *to, const struct pk_json *value);
/*
 * Returns columns on the screen: characters, not bytes (East Asian width is left to the terminal).
 */
size_t cli_width(const char *text);
/* Adds at most room columns of text, cut in the middle: both ends tell ids apart. */
void cli_cut(const struct cli *cli, struct pk_str *to, const char *text, size_t room);
void cli_color_init(struct cli *cli);
const char *cli_color(const struct cli *cli, const char *sequence); /* "" without colour */
