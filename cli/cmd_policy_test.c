/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy test: expectations, judged by the evaluator, the compiled rule sets or the kernel.
 */
#include <stdio.h>

#include "cli.h"
#include "ask_kernel.h"
#include "own.h"
#include "policy_files.h"
#include "reach.h"
#include "cli_world.h"

static int test_file(struct cli *cli, const char *path, const struct pk_reach_options *options,
		     struct pk_reach_tally *total)
{
	struct pk_reach_tally tally = { 0 };
	struct pk_err err = { 0 };
	own_str out = { 0 }, said = { 0 };
	int r = cli_file_fix(&err, pk_reach(path, options, &out, &said, &tally, &err));

	if (!cli->quiet) {
		if (out.len)
			fputs(out.text, stdout);
		fflush(stdout);
		cli_notes(&said, &err);
	}
	total->held += tally.held;
	total->failed += tally.failed;
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	return tally.failed ? CLI_NO : CLI_OK;
}

static int test(struct cli *cli)
{
	const char *engine = cli_get(cli, "engine");
	struct pk_reach_options options = { .engine = PK_ASK_REFERENCE,
					    .kernel = &pk_kernel,
					    .json = cli->json || cli->jsonl,
					    .live = cli_world_text,
					    .live_arg = cli };
	struct pk_reach_tally total = { 0 };
	int worst = CLI_OK;

	if (engine && pk_ask_engine_parse(engine, &options.engine) < 0)
		return cli_usage(cli, "-engine \"%s\" is none of reference, compiled, kernel",
				 engine);
	for (int i = 0; i < cli->argc; i++) {
		int status = test_file(cli, cli->argv[i], &options, &total);

		worst = status > worst ? status : worst;
	}
	if (!cli->quiet && !options.json && worst != CLI_CANNOT)
		printf("%zu expectations hold, %zu don't\n", total.held, total.failed);
	return worst;
}

static const struct cli_option test_options[] = {
	{ "engine", "WHO", "reference (default), compiled, or kernel (needs root)", 0 },
	{ 0 },
};
const struct cli_command cli_policy_test_commands[] = {
	{ "policy", "test", "FILE...", "check files of expectations: who may reach whom", 1, -1,
	  test_options, test, false },
	{ 0 },
};
