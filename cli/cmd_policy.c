/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy list: the documents that picketd knows. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ctl.h"
#include "out.h"
#include "own.h"
#include "policy_consul.h"

static void full_name(const struct pk_json *row, struct pk_str *cell)
{
	pk_str_add_escaped(cell, cli_text(row, "source"));
	pk_str_add(cell, "/");
	pk_str_add_escaped(cell, cli_text(row, "name"));
}

/* Writes the note without its fix; one on a whole document has no line. */
static void put_note(struct pk_str *to, const struct pk_json *note)
{
	double line = pk_json_number(pk_json_get(note, "line"));

	if (line > 0)
		pk_str_addf(to, "%.0f:%.0f: ", line, pk_json_number(pk_json_get(note, "column")));
	pk_str_add_escaped(to, cli_text(note, "text"));
}

static void first_error(const struct pk_json *row, struct pk_str *cell)
{
	const struct pk_json *list = pk_json_get(row, "errors");

	if (!list || !pk_json_first(list))
		list = pk_json_get(row, "warnings");
	if (!list || !pk_json_first(list))
		return;
	put_note(cell, pk_json_first(list));
	if (*cli_text(pk_json_first(list), "fix")) {
		pk_str_add(cell, "; ");
		pk_str_add_escaped(cell, cli_text(pk_json_first(list), "fix"));
	}
}

/*
 * Refused documents are shown below the table, uncut: each error with its line and column, and its
 * fix in a line of its own.
 */
static void print_errors(const struct cli *cli, const struct pk_json *rows)
{
	for (const struct pk_json *row = pk_json_first(rows); row; row = pk_json_next(row)) {
		const struct pk_json *errors = pk_json_get(row, "errors");

		for (const struct pk_json *e = errors ? pk_json_first(errors) : NULL; e;
		     e = pk_json_next(e)) {
			own_str line = { 0 }, fix = { 0 };

			pk_str_add_escaped(&fix, cli_text(e, "fix"));
			pk_str_add_escaped(&line, cli_text(row, "path"));
			pk_str_add(&line, pk_json_number(pk_json_get(e, "line")) > 0 ? ":" : ": ");
			put_note(&line, e);
			printf("  %s!%s ", cli_color(cli, CLI_RED), cli_color(cli, CLI_PLAIN));
			cli_wrap(stdout, line.text, 4, 4, (size_t)cli->width);
			putchar('\n');
			if (fix.len)
				cli_print_fix(4, fix.text);
		}
	}
}

static const char *state_color(const struct pk_json *row)
{
	const char *state = cli_text(row, "state");

	if (!strcmp(state, "refused"))
		return CLI_RED;
	return !strcmp(state, "active") ? NULL : CLI_YELLOW;
}

static const char *enforced_color(const struct pk_json *row)
{
	return !strcmp(cli_text(row, "enforced"), "yes") ? NULL : CLI_YELLOW;
}

static const struct cli_column columns[] = {
	{ .name = "name", .title = "Document", .format = full_name },
	{ .name = "namespace", .title = "Namespace" },
	{ .name = "tier", .title = "Tier" },
	{ .name = "state", .title = "State", .color = state_color },
	{ .name = "inForce", .title = "In force", .wide = true },
	{ .name = "enforced", .title = "Enforced", .color = enforced_color },
	{ .name = "rules", .title = "Rules" },
	{ .name = "selects", .title = "Selects" },
	{ .name = "since", .title = "Since", .wide = true, .time = true },
	{ .name = "path", .title = "Path", .wide = true },
	{ .name = "errors",
	  .title = "First note",
	  .wide = true,
	  .wrap = true,
	  .format = first_error },
	{ 0 },
};

static int list(struct cli *cli)
{
	own_json *doc = NULL, *rows = NULL;
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_err err = { 0 };
	const struct pk_json *all;

	if (!cli_consul_is_meant(cli))
		return CLI_CANNOT;
	if (cli_is_shared(cli))
		return cli_consul_list(cli);
	if (cli_api(cli, "/v1/policies", &doc, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	all = pk_json_get(pk_json_root(doc), "policies");
	pk_jw_open(&w, NULL, '[');
	for (const struct pk_json *row = all ? pk_json_first(all) : NULL; row;
	     row = pk_json_next(row))
		if (!cli_has(cli, "refused") || !strcmp(cli_text(row, "state"), "refused"))
			pk_jw_value(&w, NULL, row);
	pk_jw_close(&w, ']');
	if (pk_json_parse("list", text.text, text.len, PK_JSON_RELAXED, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->quiet)
		return pk_json_count(pk_json_root(rows)) ? CLI_OK : CLI_NO;
	if (!cli->json && !cli->jsonl && !cli->columns) {
		cli_list(cli, pk_json_root(rows), columns);
		print_errors(cli, pk_json_root(rows));
		return CLI_OK;
	}
	return cli_list(cli, pk_json_root(rows), columns);
}

static const struct cli_option list_options[] = {
	{ "refused", NULL, "only those that are refused", 0 },
	CLI_CONSUL,
	{ 0 },
};
const struct cli_command cli_policy_commands[] = {
	{ "policy", "list", NULL, "the documents: which are in force, and which are refused", 0, 0,
	  list_options, list, true },
	{ 0 },
};
