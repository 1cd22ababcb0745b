/* SPDX-License-Identifier: Apache-2.0 */
#include "out.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "own.h"

#define COLUMNS_MAX 24
#define GAP	    2
#define LEAST	    8  /* columns that no narrow terminal takes away */
#define LEAST_WIDE  26 /* the same with -o wide: a time, a MAC, most addresses and names */
#define LEAST_WRAP  16 /* the same of a column that goes on below itself */
#define GOOD_WRAP   40 /* columns that it is to have before times are told in full */
#define ROOM_WRAP   24 /* with less than this it goes on at the left */
#define HANG_WRAP   4

/* Returns whether the variable is set and not empty, as no-color.org has it. */
static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

void cli_color_init(struct cli *cli)
{
	bool force = is_set("CLICOLOR_FORCE") && strcmp(getenv("CLICOLOR_FORCE"), "0") != 0;

	const char *term = getenv("TERM");
	struct winsize size = { 0 };
	const char *codeset;

	setlocale(LC_CTYPE, "");
	codeset = nl_langinfo(CODESET);
	cli->utf8 = codeset && !strcmp(codeset, "UTF-8");
	cli->tty = isatty(STDOUT_FILENO);
	cli->color = cli->tty && term && strcmp(term, "dumb");
	if (is_set("NO_COLOR") || is_set("PICKET_NO_COLOR") || cli_has(cli, "no-color"))
		cli->color = false;
	if (cli_has(cli, "force-color") || (force && !cli_has(cli, "no-color")))
		cli->color = true;
	if (cli->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		cli->width = size.ws_col;
	else if (cli->tty)
		cli->width = 80;
}

const char *cli_color(const struct cli *cli, const char *sequence)
{
	return cli->color && sequence ? sequence : "";
}

const struct pk_json *cli_member(const struct pk_json *object, const char *path)
{
	char key[64];

	while (object && pk_json_type(object) == PK_JSON_OBJECT) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		object = pk_json_get(object, key);
		if (!path[n])
			return object;
		path += n + 1;
	}
	return NULL;
}

const char *cli_text(const struct pk_json *object, const char *path)
{
	const struct pk_json *v = cli_member(object, path);
	const char *text = v ? pk_json_string(v) : NULL;

	return text ? text : "";
}

void cli_value(struct pk_str *to, const struct pk_json *value)
{
	const char *gap = "";

	if (!value)
		return;
	switch (pk_json_type(value)) {
	case PK_JSON_NULL:
		return;
	case PK_JSON_BOOL:
		pk_str_add(to, pk_json_true(value) ? "true" : "false");
		return;
	case PK_JSON_NUMBER:
		pk_str_addf(to, "%.15g", pk_json_number(value));
		return;
	case PK_JSON_STRING:
		pk_str_add_escaped(to, pk_json_string(value));
		return;
	case PK_JSON_ARRAY:
	case PK_JSON_OBJECT:
		break;
	}
	for (const struct pk_json *v = pk_json_first(value); v; v = pk_json_next(v)) {
		pk_str_add(to, gap);
		if (pk_json_key(v)) {
			pk_str_add_escaped(to, pk_json_key(v));
			pk_str_add(to, "=");
		}
		cli_value(to, v);
		gap = ", ";
	}
}

/*
 * Writes a time, RFC 3339 in UTC as the API has it, in the local zone: to the second, or, brief,
 * from the month to the minute.
 */
static void put_time(struct pk_str *to, const char *text, bool brief)
{
	struct tm utc = { 0 }, tm;
	char day[32], zone[8];
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	size_t ms = end ? strcspn(end, "Z") : 0;
	time_t at;

	if (!end || end[ms] != 'Z') {
		pk_str_add_escaped(to, text);
		return;
	}
	at = timegm(&utc);
	localtime_r(&at, &tm);
	strftime(day, sizeof(day), brief ? "%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	if (brief)
		pk_str_add(to, day);
	else
		pk_str_addf(to, "%s%.3s:%s", day, zone, zone + 3);
}

void cli_json(const struct cli *cli, const struct pk_json *value)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = cli->jsonl ? 0 : 4 };

	pk_jw_value(&w, NULL, value);
	puts(out.text ? out.text : "null");
}

size_t cli_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

void cli_wrap(FILE *to, const char *text, size_t at, size_t hang, size_t width)
{
	while (*text) {
		size_t blanks = strspn(text, " "), n = strcspn(text + blanks, " "), columns;
		own_mem char *word = strndup(text + blanks, n);

		if (!word)
			abort();
		columns = cli_width(word);
		if (width && at + blanks + columns > width && at > hang) {
			fprintf(to, "\n%*s%s", (int)hang, "", word);
			at = hang + columns;
		} else {
			fprintf(to, "%*s%s", (int)blanks, "", word);
			at += blanks + columns;
		}
		text += blanks + n;
	}
}

void cli_print_fix(int at, const char *text)
{
	printf("%*sfix: %s\n", at, "", text);
}

void cli_print(const struct cli *cli, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		own_mem char *line = strndup(text, n);

		if (!line)
			abort();
		cli_wrap(stdout, line, 0, strspn(line, " ") + 4, (size_t)cli->width);
		putchar('\n');
		text += n + (text[n] == '\n');
	}
}

struct table {
	const struct cli *cli;
	const struct cli_column *column[COLUMNS_MAX];
	size_t n, width[COLUMNS_MAX], least[COLUMNS_MAX];
	bool header, brief; /* brief: of times */
};

static void cell_text(const struct table *t, size_t i, const struct pk_json *row,
		      struct pk_str *cell)
{
	const struct cli_column *c = t->column[i];

	if (c->time)
		put_time(cell, cli_text(row, c->name), t->brief);
	else if (c->format)
		c->format(row, cell);
	else
		cli_value(cell, cli_member(row, c->name));
	if (!cell->len)
		pk_str_add(cell, "-");
}

static int no_column(const struct table *t, const struct cli_column *columns, const char *name)
{
	own_str names = { 0 };

	for (; columns->name; columns++)
		pk_str_addf(&names, "%s%s", names.len ? ", " : "", columns->name);
	return cli_usage(t->cli, "there is no column \"%s\"; there are %s", name, names.text);
}

/* Chooses the columns of `-o a,b`: exactly these, in this order, without header. */
static int choose_named(struct table *t, const struct cli_column *columns)
{
	char names[256], *save = NULL;

	snprintf(names, sizeof(names), "%s", t->cli->columns);
	for (char *name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		const struct cli_column *c = columns;

		while (c->name && strcmp(c->name, name))
			c++;
		if (!c->name || t->n == COLUMNS_MAX)
			return no_column(t, columns, name);
		t->column[t->n++] = c;
	}
	t->header = false;
	return CLI_OK;
}

static int choose(struct table *t, const struct cli_column *columns)
{
	t->header = true;
	if (t->cli->columns)
		return choose_named(t, columns);
	for (const struct cli_column *c = columns; c->name && t->n < COLUMNS_MAX; c++)
		if (!c->wide || t->cli->wide)
			t->column[t->n++] = c;
	return CLI_OK;
}

/* Returns whether the cells of a column go on below themselves: only the last one's can. */
static bool goes_on(const struct table *t, size_t i)
{
	return t->column[i]->wrap && i + 1 == t->n;
}

/*
 * Returns what no narrow terminal takes of a column: its title, and enough to tell cells apart; of
 * a time all.
 */
static size_t least_of(const struct table *t, size_t i)
{
	size_t least = t->cli->wide ? LEAST_WIDE : LEAST, title = cli_width(t->column[i]->title);

	if (t->column[i]->time)
		return t->width[i];
	if (goes_on(t, i))
		least = LEAST_WRAP;
	return t->header && title > least ? title : least;
}

/* wrap_room: what a column that goes on below itself takes at most. */
static void measure(struct table *t, const struct pk_json *array, size_t wrap_room)
{
	for (size_t i = 0; i < t->n; i++) {
		t->width[i] = t->header ? cli_width(t->column[i]->title) : 0;
		for (const struct pk_json *row = pk_json_first(array); row;
		     row = pk_json_next(row)) {
			own_str cell = { 0 };
			size_t width;

			cell_text(t, i, row, &cell);
			width = cli_width(cell.text);
			if (t->cli->width && goes_on(t, i) && width > wrap_room)
				width = wrap_room;
			if (width > t->width[i])
				t->width[i] = width;
		}
		t->least[i] = least_of(t, i);
	}
}

static size_t line_width(const struct table *t)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n; i++)
		total += t->width[i] + (i + 1 < t->n ? GAP : 0);
	return total;
}

/* Returns the widest column that can give way, n: none can. */
static size_t widest(const struct table *t)
{
	size_t at = t->n;

	for (size_t i = 0; i < t->n; i++)
		if (t->width[i] > t->least[i] && (at == t->n || t->width[i] > t->width[at]))
			at = i;
	return at;
}

/*
 * On a terminal times become brief where the line is too wide; then the widest column gives way
 * until it fits. Titles aren't cut.
 */
static void fit(struct table *t, const struct pk_json *array)
{
	const size_t room = (size_t)t->cli->width;
	size_t total, i;

	measure(t, array, GOOD_WRAP);
	if (!room)
		return;
	t->brief = line_width(t) > room && !t->cli->wide;
	measure(t, array, LEAST_WRAP);
	for (total = line_width(t); total > room && (i = widest(t)) < t->n; total--)
		t->width[i]--;
}

void cli_cut(const struct cli *cli, struct pk_str *to, const char *text, size_t room)
{
	size_t n = cli_width(text), head = (room - 1) / 2, tail = room - 1 - head, at = 0;

	if (n <= room) {
		pk_str_add(to, text);
		return;
	}
	for (const char *p = text; *p; p++) {
		bool start = (*p & 0xc0) != 0x80;

		if (start && at++ == head)
			pk_str_add(to, cli->utf8 ? "\xe2\x80\xa6" : "~");
		if (at <= head || at > n - tail)
			pk_str_addn(to, p, 1);
	}
}

/* Prints the last cell of a row, which goes on in the next line where it doesn't fit. */
static void print_wrapped(const struct table *t, size_t i, const char *text)
{
	size_t at = 0, width = (size_t)t->cli->width;

	for (size_t k = 0; k < i; k++)
		at += t->width[k] + GAP;
	if (at >= width)
		width = 0; /* the terminal breaks such a line anyhow */
	cli_wrap(stdout, text, at, at + ROOM_WRAP > width ? HANG_WRAP : at, width);
}

static void print_cell(const struct table *t, size_t i, const char *text, const char *color)
{
	size_t n = cli_width(text), room = t->width[i];
	own_str cut = { 0 };

	fputs(cli_color(t->cli, color), stdout);
	if (goes_on(t, i)) {
		print_wrapped(t, i, text);
	} else {
		cli_cut(t->cli, &cut, text, room);
		fputs(cut.text, stdout);
	}
	if (color)
		fputs(cli_color(t->cli, CLI_PLAIN), stdout);
	if (i + 1 < t->n)
		printf("%*s", (int)(room - (n < room ? n : room) + GAP), "");
	else
		putchar('\n');
}

static void print_table(const struct table *t, const struct pk_json *array)
{
	for (size_t i = 0; i < t->n && t->header; i++)
		print_cell(t, i, t->column[i]->title, CLI_BOLD);
	for (const struct pk_json *row = pk_json_first(array); row; row = pk_json_next(row))
		for (size_t i = 0; i < t->n; i++) {
			const struct cli_column *c = t->column[i];
			own_str cell = { 0 };

			cell_text(t, i, row, &cell);
			print_cell(t, i, cell.text, c->color ? c->color(row) : NULL);
		}
}

static void print_lines(const struct pk_json *array)
{
	for (const struct pk_json *row = pk_json_first(array); row; row = pk_json_next(row)) {
		own_str out = { 0 };
		struct pk_jw w = { .out = &out };

		pk_jw_value(&w, NULL, row);
		puts(out.text);
	}
}

int cli_list(const struct cli *cli, const struct pk_json *array, const struct cli_column *columns)
{
	struct table t = { .cli = cli };
	int r;

	if (cli->quiet)
		return CLI_OK;
	if (cli->jsonl) {
		print_lines(array);
		return CLI_OK;
	}
	if (cli->json) {
		cli_json(cli, array);
		return CLI_OK;
	}
	r = choose(&t, columns);
	if (r)
		return r;
	if (t.header && !pk_json_first(array)) {
		fputs("nothing to show\n", stderr);
		return CLI_OK;
	}
	fit(&t, array);
	print_table(&t, array);
	return CLI_OK;
}

void cli_pairs(const struct cli *cli, const struct pk_json *object, const struct cli_pair *pairs)
{
	size_t width = 0;

	if (cli->quiet)
		return;
	for (const struct cli_pair *p = pairs; p->name; p++)
		if (strlen(p->title) > width)
			width = strlen(p->title);
	for (const struct cli_pair *p = pairs; p->name; p++) {
		own_str value = { 0 };

		cli_value(&value, cli_member(object, p->name));
		if (p->rare && !value.len)
			continue;
		printf("%-*s = ", (int)width, p->title);
		cli_wrap(stdout, value.len ? value.text : "<none>", width + 3, width + 3,
			 (size_t)cli->width);
		putchar('\n');
	}
}
