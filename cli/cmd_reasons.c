/* SPDX-License-Identifier: Apache-2.0 */
/* picket reasons: why packets are denied, as the programs and the counters name it. */
#include "cli.h"
#include "out.h"
#include "own.h"
#include "reason.h"

static const struct cli_column columns[] = {
	{ .name = "number", .title = "Nr", .wide = true },
	{ .name = "name", .title = "Reason" },
	{ .name = "meaning", .title = "Meaning", .wrap = true },
	{ 0 },
};

static void write_reason(struct pk_jw *w, unsigned int reason)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_uint(w, "number", reason);
	pk_jw_string(w, "name", pk_reason_name(reason));
	pk_jw_string(w, "meaning", pk_reason_help(reason));
	pk_jw_bool(w, "built", pk_reason_built(reason));
	pk_jw_close(w, '}');
}

static int reasons(struct cli *cli)
{
	own_json *doc = NULL;
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct pk_err err = { 0 };
	int r;

	pk_jw_open(&w, NULL, '[');
	for (unsigned int i = 0; i < PK_REASON_COUNT && !cli->argc; i++)
		write_reason(&w, i);
	for (int i = 0; i < cli->argc; i++) {
		r = pk_reason_parse(cli->argv[i]);
		if (r < 0) {
			pk_fail(&err, 0, "no reason is called \"%.100s\"", cli->argv[i]);
			pk_fix(&err, 0, "picket reasons");
			return cli_fail(cli, &err, CLI_CANNOT);
		}
		write_reason(&w, (unsigned int)r);
	}
	pk_jw_close(&w, ']');
	r = pk_json_parse("reasons", text.text, text.len, 0, &doc, &err);
	return r < 0 ? cli_fail(cli, &err, CLI_CANNOT) : cli_list(cli, pk_json_root(doc), columns);
}

const struct cli_command cli_reasons_commands[] = {
	{ "reasons", NULL, "[NAME...]", "why packets are denied, each reason with its meaning", 0,
	  -1, NULL, reasons, true },
	{ 0 },
};
