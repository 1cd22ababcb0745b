/* SPDX-License-Identifier: Apache-2.0 */
/* picket status: one screen, what is wrong first. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "epstore.h"
#include "fs.h"
#include "out.h"
#include "own.h"

static const struct cli_column source_columns[] = {
	{ .name = "name", .title = "Source" },
	{ .name = "state", .title = "State" },
	{ .name = "lastContact", .title = "Last word", .time = true },
	{ .name = "detail", .title = "Detail", .wrap = true },
	{ .name = "lastError", .title = "Last error", .wide = true, .wrap = true },
	{ 0 },
};

static void used_share(const struct pk_json *row, struct pk_str *cell)
{
	double used = pk_json_number(pk_json_get(row, "used"));
	double size = pk_json_number(pk_json_get(row, "size"));

	if (size > 0)
		pk_str_addf(cell, "%.0f%%", 100 * used / size);
}

static const struct cli_column table_columns[] = {
	{ .name = "name", .title = "Table" },
	{ .name = "used", .title = "Used" },
	{ .name = "size", .title = "Size" },
	{ .name = "full", .title = "Full", .format = used_share },
	{ 0 },
};

static const char *state_color(const char *state)
{
	if (!strcmp(state, "ok"))
		return CLI_GREEN;
	return !strcmp(state, "degraded") ? CLI_YELLOW : CLI_RED;
}

static int exit_of(const char *state)
{
	if (!strcmp(state, "ok"))
		return CLI_OK;
	return !strcmp(state, "degraded") ? CLI_NO : CLI_CANNOT;
}

static void print_reasons(const struct cli *cli, const struct pk_json *reasons)
{
	for (const struct pk_json *r = reasons ? pk_json_first(reasons) : NULL; r;
	     r = pk_json_next(r)) {
		own_str line = { 0 }, fix = { 0 };

		pk_str_add_escaped(&line, cli_text(r, "what"));
		pk_str_add(&line, "  ");
		pk_str_add_escaped(&line, cli_text(r, "text"));
		pk_str_add_escaped(&fix, cli_text(r, "fix"));
		printf("  %s!%s ", cli_color(cli, CLI_YELLOW), cli_color(cli, CLI_PLAIN));
		cli_wrap(stdout, line.text, 4, 4, (size_t)cli->width);
		putchar('\n');
		if (fix.len)
			cli_print_fix(4, fix.text);
	}
}

/* Writes "inStep" as "in step". */
static void add_words(struct pk_str *line, const char *name)
{
	for (; *name; name++)
		if (*name >= 'A' && *name <= 'Z')
			pk_str_addf(line, " %c", *name | 0x20);
		else
			pk_str_addn(line, name, 1);
}

/* Prints the first count, and the others that aren't zero. */
static void print_counts(const struct cli *cli, const struct pk_json *root, const char *title,
			 const char *member)
{
	const struct pk_json *counts = pk_json_get(root, member);
	own_str line = { 0 };

	for (const struct pk_json *v = counts ? pk_json_first(counts) : NULL; v;
	     v = pk_json_next(v)) {
		if (line.len && !pk_json_number(v))
			continue;
		pk_str_addf(&line, "%s%.0f ", line.len ? ", " : "", pk_json_number(v));
		add_words(&line, pk_json_key(v));
		if (pk_json_number(v) == 1 && strcmp(pk_json_key(v), "orphans") == 0)
			line.text[--line.len] = '\0';
	}
	printf("%-10s ", title);
	cli_wrap(stdout, line.len ? line.text : "-", 11, 11, (size_t)cli->width);
	putchar('\n');
}

/* Writes the two largest units: "6d 4h", "3m 10s". */
static void span_text(double seconds, char *text, size_t room)
{
	static const struct {
		const char *unit;
		long seconds;
	} units[] = { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 } };
	long left = seconds < 0 ? 0 : (long)seconds;
	size_t i = 0;

	while (i + 1 < PK_ARRAY_LEN(units) && left < units[i].seconds)
		i++;
	if (i + 1 == PK_ARRAY_LEN(units))
		snprintf(text, room, "%lds", left);
	else
		snprintf(text, room, "%ld%s %ld%s", left / units[i].seconds, units[i].unit,
			 left % units[i].seconds / units[i + 1].seconds, units[i + 1].unit);
}

static void print_status(const struct cli *cli, const struct pk_json *root)
{
	const char *state = cli_text(root, "state");
	own_str node = { 0 };
	char up[64];

	pk_str_add_escaped(&node, cli_text(root, "node"));
	span_text(pk_json_number(pk_json_get(root, "uptimeSeconds")), up, sizeof(up));
	printf("picketd %s   %s%s%s   up %s   node %s   policy revision %.0f\n",
	       cli_text(root, "version"), cli_color(cli, state_color(state)), state,
	       cli_color(cli, CLI_PLAIN), up, node.text ? node.text : "-",
	       pk_json_number(pk_json_get(root, "policyRevision")));
	print_reasons(cli, pk_json_get(root, "reasons"));
	if (pk_json_get(root, "sources"))
		cli_list(cli, pk_json_get(root, "sources"), source_columns);
	if (cli_has(cli, "verbose") && pk_json_get(root, "tables"))
		cli_list(cli, pk_json_get(root, "tables"), table_columns);
	print_counts(cli, root, "Endpoints", "endpoints");
	if (pk_json_type(pk_json_get(root, "others")) == PK_JSON_OBJECT)
		print_counts(cli, root, "Others", "others");
	print_counts(cli, root, "Documents", "documents");
	print_counts(cli, root, "Events", "events");
}

/*
 * Shows what records and pins tell where picketd can't be asked. Enforcement goes on, so this is
 * degraded, not failing.
 */
static int offline(const struct cli *cli, const struct pk_err *why)
{
	struct pk_record_name *list = NULL;
	size_t n = 0, open = 0;
	struct pk_err err = { 0 };
	bool loaded = access(cli->paths.maps, F_OK) == 0;

	if (pk_records_list(&cli->paths, &list, &n, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	for (size_t i = 0; i < n; i++)
		open += !list[i].closed;
	free(list);
	if (cli->quiet)
		return loaded ? CLI_NO : CLI_CANNOT;
	if (cli->json || cli->jsonl) {
		own_str out = { 0 };
		struct pk_jw w = { .out = &out, .indent = cli->jsonl ? 0 : 4 };

		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "state", loaded ? "degraded" : "failing");
		pk_jw_bool(&w, "offline", true);
		pk_jw_string(&w, "error", why->text);
		pk_jw_uint(&w, "openEndpoints", open);
		pk_jw_close(&w, '}');
		puts(out.text);
	} else {
		printf("picketd offline   %s%s%s   %zu endpoints open, from records and pins\n",
		       cli_color(cli, CLI_YELLOW), loaded ? "degraded" : "failing",
		       cli_color(cli, CLI_PLAIN), open);
		printf("  ! ");
		cli_wrap(stdout, why->text, 4, 4, (size_t)cli->width);
		printf("\n    %s\n",
		       loaded ? "what is pinned goes on being enforced; policy stays as it was"
			      : "no programs are loaded: the first ADD loads them");
		if (why->fix[0])
			cli_print_fix(4, why->fix);
	}
	return loaded ? CLI_NO : CLI_CANNOT;
}

static int ask(const struct cli *cli, double wait, struct pk_json_doc **doc, struct pk_err *err)
{
	uint64_t until = pk_now_ns() + (uint64_t)(wait * 1e9);
	struct timespec pause = { .tv_nsec = 50000000 };

	for (;;) {
		int r = cli_api(cli, "/v1/status", doc, err);

		if (r == 0 && (wait <= 0 || !strcmp(cli_text(pk_json_root(*doc), "state"), "ok")))
			return 0;
		if (pk_now_ns() >= until)
			return r;
		if (r == 0)
			pk_json_free(PK_MOVE(*doc, NULL));
		nanosleep(&pause, NULL);
	}
}

static int status(struct cli *cli)
{
	own_json *doc = NULL;
	struct pk_err err = { 0 };
	double wait = 0;
	int r;

	if (cli_get(cli, "wait") && cli_duration(cli_get(cli, "wait"), &wait) < 0)
		return cli_usage(cli, "-wait \"%s\" is no duration like 30s", cli_get(cli, "wait"));
	r = ask(cli, wait, &doc, &err);
	if (cli_no_daemon(r))
		return offline(cli, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->json || cli->jsonl)
		cli_json(cli, pk_json_root(doc));
	else if (!cli->quiet)
		print_status(cli, pk_json_root(doc));
	return exit_of(cli_text(pk_json_root(doc), "state"));
}

static const struct cli_option options[] = {
	{ "verbose", NULL, "tables and how full they are, too", 'v' },
	{ "wait", "TIME", "wait until picketd is ok, at most this long", 0 },
	{ 0 },
};
const struct cli_command cli_status_commands[] = {
	{ "status", NULL, NULL, "how the node is, what is wrong first", 0, 0, options, status,
	  false },
	{ 0 },
};
