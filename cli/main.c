/* SPDX-License-Identifier: Apache-2.0 */
/* picket: what an operator asks. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "opt.h"
#include "out.h"

static const struct cli_command *const tables[] = {
	cli_status_commands,
	cli_check_commands,
	cli_endpoint_commands,
	cli_policy_commands,
	cli_policy_file_commands,
	cli_policy_apply_commands,
	cli_policy_release_commands,
	cli_policy_history_commands,
	cli_policy_rollout_commands,
	cli_policy_import_commands,
	cli_policy_test_commands,
	cli_policy_plan_commands,
	cli_flows_commands,
	cli_sweep_commands,
	cli_node_commands,
	cli_ip_commands,
	cli_reasons_commands,
	cli_attach_commands,
	cli_tap_commands,
	cli_version_commands,
	cli_completion_commands,
	cli_help_commands,
	NULL,
};

const struct cli_command *const *cli_tables(void)
{
	return tables;
}

static int read_form(struct cli *cli)
{
	const char *form = cli_get(cli, "o");

	cli->json = cli_has(cli, "json");
	cli->quiet = cli_has(cli, "q");
	if (!form)
		return 0;
	if (!strcmp(form, "json"))
		cli->json = true;
	else if (!strcmp(form, "jsonl"))
		cli->jsonl = true;
	else if (!strcmp(form, "wide"))
		cli->wide = true;
	else if (!cli->command->rows)
		return cli_usage(cli, "-o \"%s\" is none of wide, json, jsonl", form);
	else
		cli->columns = form;
	return 0;
}

static int find_paths(struct cli *cli)
{
	const char *root = cli_get(cli, "root"), *env = getenv("PICKET_ROOT");
	struct pk_err err = { 0 };

	if (!root)
		root = env ? env : "/";
	if (pk_paths_init(&cli->paths, root, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	cli->socket = cli_get(cli, "socket");
	if (!cli->socket)
		cli->socket = getenv("PICKET_SOCKET");
	if (!cli->socket)
		cli->socket = cli->paths.socket;
	return 0;
}

/* The errno of a write before the last flush is lost: the pipe is asked whether it is broken. */
static bool reader_is_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&out, 1, 0) == 1 && out.revents & POLLERR;
}

/* A reader that went away (head, less) is no failure. */
static int finish(int code)
{
	if ((fflush(stdout) == EOF || ferror(stdout)) && !reader_is_gone()) {
		fprintf(stderr, "picket: standard output can't be written\n");
		return CLI_CANNOT;
	}
	return code;
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };
	bool done;
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = cli_parse(&cli, argc - 1, argv + 1, &done);
	if (!r && !done) {
		cli_color_init(&cli);
		r = read_form(&cli);
		if (!r)
			r = find_paths(&cli);
		if (!r)
			r = cli.command->run(&cli);
	}
	free(cli.argv);
	return finish(r);
}
