/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy rollout: how far the documents in Consul have come. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs.h"
#include "out.h"
#include "own.h"
#include "policy_rollout.h"

#define PAUSE_NS  500000000
#define NAMED_MAX 8 /* nodes that lag and are named */

/* Writes the digest; a set without documents has none, since zeros would look like one. */
static void digest(const struct pk_json *row, struct pk_str *cell)
{
	const char *text = cli_text(row, "digest");

	if (text[strspn(text, "0")])
		pk_str_addf(cell, "%.*s", CLI_CONSUL_SHA, text);
	else
		pk_str_add(cell, "-");
}

static const char *state_color(const struct pk_json *row)
{
	return strcmp(cli_text(row, "state"), "current") ? CLI_YELLOW : NULL;
}

static const struct cli_column columns[] = {
	{ .name = "node", .title = "Node" },
	{ .name = "state", .title = "State", .color = state_color },
	{ .name = "index", .title = "Index" },
	{ .name = "digest", .title = "Digest", .format = digest },
	{ .name = "since", .title = "Since", .time = true },
	{ .name = "lagsSince", .title = "Lags since", .wide = true, .time = true },
	{ .name = "why", .title = "Why", .wrap = true },
	{ 0 },
};

/* Names those that lag, each with its reason. */
static void say_laggards(const struct cli *cli, const struct cli_rollout *rollout)
{
	const struct pk_json *rows = pk_json_get(pk_json_root(rollout->json), "nodes");
	size_t n = 0;

	if (cli->quiet)
		return;
	for (const struct pk_json *v = pk_json_first(rows); v; v = pk_json_next(v)) {
		own_str line = { 0 };

		if (strcmp(cli_text(v, "state"), "lags") != 0 || n++ >= NAMED_MAX)
			continue;
		pk_str_add_escaped(&line, cli_text(v, "node"));
		pk_str_add(&line, " lags: ");
		pk_str_add_escaped(&line, cli_text(v, "why"));
		fprintf(stderr, "%s\n", line.text);
	}
	if (n > NAMED_MAX)
		fprintf(stderr, "and %zu more: picket policy rollout lists all\n", n - NAMED_MAX);
}

static void say_count(const struct cli *cli, const struct cli_rollout *r)
{
	const struct pk_json *root = pk_json_root(r->json);
	own_str line = { 0 };

	if (cli->quiet)
		return;
	pk_str_add_escaped(&line, cli_text(root, "source"));
	pk_str_addf(&line, ", index %.0f, digest ", pk_json_number(pk_json_get(root, "index")));
	digest(root, &line);
	pk_str_addf(&line, ": %zu of %zu nodes enforce it", r->current, r->current + r->lagging);
	if (r->stale)
		pk_str_addf(&line, "; %zu stale, which do not count", r->stale);
	fprintf(stderr, "%s\n", line.text);
}

static int fail_silent(struct cli *cli, const struct cli_consul_docs *docs)
{
	struct pk_err err = { 0 };

	pk_fail(&err, 0, "no live node says below %sstatus/nodes/ what it enforces",
		docs->consul.prefix);
	pk_fix(&err, 0,
	       "give picketd's tokens and yours the rights of examples/acl; is picketd running, "
	       "without \"status\": false?");
	return cli_fail(cli, &err, CLI_CANNOT);
}

/* Looks again until none lags, so long at most. */
static int follow(struct cli *cli, struct cli_consul_docs *docs, double seconds,
		  struct cli_rollout *out)
{
	const uint64_t until = pk_now_ns() + (uint64_t)(seconds * 1e9);
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int r = cli_rollout_read(cli, docs, out);

	while (r == CLI_OK && (out->lagging || out->silent) && pk_now_ns() < until) {
		nanosleep(&pause, NULL);
		cli_rollout_done(out);
		*out = (struct cli_rollout){ 0 };
		r = cli_rollout_read(cli, docs, out);
	}
	return r == CLI_OK && out->silent ? fail_silent(cli, docs) : r;
}

bool cli_rollout_wait_given(struct cli *cli, double *seconds)
{
	const char *given = cli_get(cli, "wait");

	*seconds = 0;
	if (!given || (cli_duration(given, seconds) == 0 && *seconds >= 0))
		return true;
	cli_usage(cli, "-wait \"%s\" is no duration like 30s", given);
	return false;
}

int cli_rollout_wait(struct cli *cli, struct cli_consul_docs *docs, double seconds)
{
	own_rollout rollout = { 0 };
	int r = follow(cli, docs, seconds, &rollout);

	if (r != CLI_OK)
		return r;
	say_count(cli, &rollout);
	say_laggards(cli, &rollout);
	return rollout.lagging ? CLI_NO : CLI_OK;
}

static int print(struct cli *cli, const struct cli_rollout *rollout)
{
	const struct pk_json *root = pk_json_root(rollout->json);

	if (cli->quiet)
		return CLI_OK;
	if (cli->json) {
		cli_json(cli, root);
		return CLI_OK;
	}
	return cli_list(cli, pk_json_get(root, "nodes"), columns);
}

static int run(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	own_rollout rollout = { 0 };
	double seconds;
	int r;

	if (!cli_rollout_wait_given(cli, &seconds))
		return CLI_CANNOT;
	r = cli_consul_docs_open(cli, &docs);
	if (r == CLI_OK)
		r = follow(cli, &docs, seconds, &rollout);
	if (r == CLI_OK)
		r = print(cli, &rollout);
	if (r != CLI_OK)
		return r;
	say_count(cli, &rollout);
	if (cli_has(cli, "wait"))
		say_laggards(cli, &rollout);
	return rollout.lagging ? CLI_NO : CLI_OK;
}

static const struct cli_option options[] = {
	CLI_ROLLOUT_WAIT,
	CLI_CONSUL,
	{ 0 },
};
const struct cli_command cli_policy_rollout_commands[] = {
	{ "policy", "rollout", NULL,
	  "which nodes enforce what stands in Consul, which lag, and why", 0, 0, options, run,
	  true },
	{ 0 },
};
