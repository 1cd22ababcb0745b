/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy release: says that what is held, since its source lacks it, is meant to be gone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "out.h"
#include "own.h"
#include "policy_release.h"

static void say(const struct cli *cli, const struct pk_json *row)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out };

	if (cli->quiet)
		return;
	if (cli->json || cli->jsonl) {
		pk_jw_value(&w, NULL, row);
	} else {
		pk_str_add_escaped(&out, cli_text(row, "source"));
		pk_str_add(&out, "/");
		pk_str_add_escaped(&out, cli_text(row, "name"));
		pk_str_add(&out, ": released (");
		pk_str_add_escaped(&out, cli_text(row, "path"));
		pk_str_add(&out, ")");
	}
	puts(out.text);
}

int cli_policy_release(const struct cli *cli, const char *what, struct pk_json_doc **doc,
		       struct pk_err *err)
{
	own_str body = { 0 };
	struct pk_jw w = { .out = &body };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "what", what);
	pk_jw_close(&w, '}');
	return cli_api_post(cli, "/v1/policies/release", body.text, doc, err);
}

static int release_one(struct cli *cli, const char *what)
{
	struct pk_err err = { 0 };
	own_json *doc = NULL;
	const struct pk_json *list;
	int r = cli_policy_release(cli, what, &doc, &err);

	if (r == -ENODATA) {
		pk_fail(&err, 0, "nothing of \"%.200s\" is held", what);
		pk_fix(&err, 0, "picket policy list");
		return cli_fail(cli, &err, CLI_NO);
	}
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	list = pk_json_get(pk_json_root(doc), "released");
	for (const struct pk_json *row = pk_json_first(list); row; row = pk_json_next(row))
		say(cli, row);
	if (!pk_json_first(list) && !cli->quiet)
		fprintf(stderr, "picket policy release: %s is believed as it is now\n", what);
	return CLI_OK;
}

static int release(struct cli *cli)
{
	int worst = CLI_OK;

	for (int i = 0; i < cli->argc; i++) {
		int r = release_one(cli, cli->argv[i]);

		worst = r > worst ? r : worst;
	}
	return worst;
}

const struct cli_command cli_policy_release_commands[] = {
	{ "policy", "release", "SOURCE|SOURCE/NAME...",
	  "say that documents are meant to be gone that are held because their source lacks them",
	  1, -1, NULL, release, false },
	{ 0 },
};
