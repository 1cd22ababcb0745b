/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Prints commands' output: one description of columns makes the table, the JSON lines, and the
 * lines of -o. Text that tenants wrote is escaped here, so no command can forget it.
 */
#include <stdio.h>

#include "cli.h"

struct cli_column {
	/* the JSON member's name, and the column's for -o; "a.b" is a member of a member */
	const char *name;
	const char *title; /* the table's title of it */
	bool wide;	   /* shown with -o wide only */
	/* as the last column on a terminal it isn't cut: it goes on below itself */
	bool wrap;
	/*
	 * the cell is an RFC 3339 time, shown in local time; month to minute alone where the table
	 * is too wide
	 */
	bool time;
	/* Writes a cell's text from its row; NULL: the member as it is */
	void (*format)(const struct pk_json *row, struct pk_str *cell);
	const char *(*color)(const struct pk_json *row); /* returns an escape sequence or NULL */
};

#define CLI_RED	   "\x1b[31m"
#define CLI_YELLOW "\x1b[33m"
#define CLI_GREEN  "\x1b[32m"
#define CLI_BOLD   "\x1b[1m"
#define CLI_PLAIN  "\x1b[0m"

/*
 * Prints an array: as a table, with -json as an array, with -o jsonl as lines, with -o NAMES these
 * columns alone. columns ends with {0}.
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
 * Prints text from column `at` on. On a terminal of that width it goes on at column `hang`, broken
 * only at blanks, so that paths can be copied. width 0: it isn't broken.
 */
void cli_wrap(FILE *to, const char *text, size_t at, size_t hang, size_t width);
/*
 * Prints "fix: text" at a column, in one line: a broken command, copied, would run by halves. Where
 * the terminal breaks the line it is copied whole.
 */
void cli_print_fix(int at, const char *text);
/*
 * Prints lines to stdout, each wrapped to the terminal; what goes on is indented by four columns.
 */
void cli_print(const struct cli *cli, const char *text);

/* Returns the member at "a.b"; NULL where absent. */
const struct pk_json *cli_member(const struct pk_json *object, const char *path);
const char *cli_text(const struct pk_json *object, const char *path); /* "" where absent */
/* Writes a value as people read it: escaped, lists with ", ". */
void cli_value(struct pk_str *to, const struct pk_json *value);
/*
 * Returns the columns that text takes: its characters, not bytes. Wide East Asian ones count as
 * one.
 */
size_t cli_width(const char *text);
/* Adds at most `room` columns of text, cut in the middle, since ids differ at either end. */
void cli_cut(const struct cli *cli, struct pk_str *to, const char *text, size_t room);
void cli_color_init(struct cli *cli);
const char *cli_color(const struct cli *cli, const char *sequence); /* "" without colour */
