/* SPDX-License-Identifier: Apache-2.0 */
/* picket identity list, node list, node remove, service list, counters. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "out.h"
#include "own.h"

#define REMOVE_WAIT "10m"

static int api_list(struct cli *cli, const char *path, const char *member,
		    const struct cli_column *columns)
{
	own_json *doc = NULL;
	struct pk_err err = { 0 };
	const struct pk_json *rows;

	if (cli_api(cli, path, &doc, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	rows = pk_json_get(pk_json_root(doc), member);
	return rows ? cli_list(cli, rows, columns) : CLI_NO;
}

static int identity_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "identity", .title = "Identity" },
		{ .name = "namespace", .title = "Namespace" },
		{ .name = "endpoints", .title = "Endpoints" },
		{ .name = "ruleSet", .title = "Rule set" },
		{ .name = "unknown", .title = "Unknown" },
		{ .name = "labels", .title = "Labels", .wrap = true },
		{ 0 },
	};

	return api_list(cli, "/v1/identities", "identities", columns);
}

/* Writes "0.41 ms", the median of those that answer, or "silent". */
static void format_reach(const struct pk_json *row, struct pk_str *cell)
{
	const char *reach = cli_text(row, "reach");

	if (strcmp(reach, "up") == 0)
		pk_str_addf(cell, "%.2f ms", pk_json_number(pk_json_get(row, "roundTripMs")));
	else
		pk_str_add_escaped(cell, reach);
}

static void format_lost(const struct pk_json *row, struct pk_str *cell)
{
	const double n = pk_json_number(pk_json_get(row, "probes"));

	if (n > 0)
		pk_str_addf(cell, "%.0f of %.0f", pk_json_number(pk_json_get(row, "probesLost")),
			    n);
}

static int node_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "name", .title = "Node" },
		{ .name = "state", .title = "State" },
		{ .name = "since", .title = "Since", .time = true },
		{ .name = "reach", .title = "Reach", .format = format_reach },
		{ .name = "reachSince", .title = "Reach since", .wide = true, .time = true },
		{ .name = "lastRoundTripMs", .title = "Last ms", .wide = true },
		{ .name = "probesLost", .title = "Lost", .format = format_lost, .wide = true },
		{ .name = "endpoints", .title = "Endpoints" },
		{ .name = "policy", .title = "Policy" },
		{ .name = "policySince", .title = "Policy since", .wide = true, .time = true },
		{ .name = "policyIndex", .title = "Index", .wide = true },
		{ .name = "blocks", .title = "Blocks", .wide = true },
		{ .name = "addresses", .title = "Addresses", .wide = true },
		{ .name = "refused", .title = "Refused", .wide = true },
		{ .name = "why", .title = "Why", .wrap = true },
		{ 0 },
	};

	return api_list(cli, "/v1/nodes", "nodes", columns);
}

/* Says that picketd is still at it, where it is and answers another question, and how to go on. */
static int failed_removal(const struct cli *cli, struct pk_err *err, int r)
{
	own_json *doc = NULL;

	if (r == -ETIMEDOUT && cli_api(cli, "/v1/nodes", &doc, NULL) == 0)
		pk_fix(err,
		       pk_fail(err, 0,
			       "not done yet: its keys go one by one, and picketd goes on with it"),
		       "picket node list: it isn't there any more once it is done; picketd's log "
		       "has the end (op=remove)");
	return cli_fail(cli, err, CLI_CANNOT);
}

static int node_remove(struct cli *cli)
{
	const char *wait = cli_get(cli, "wait") ?: REMOVE_WAIT, *left;
	const struct pk_json *root;
	own_str body = { 0 };
	struct pk_jw w = { .out = &body };
	struct pk_err err = { 0 };
	own_json *doc = NULL;
	double seconds;
	int r;

	if (cli_duration(wait, &seconds) < 0)
		return cli_usage(cli, "-wait \"%s\" is no duration like 30s", wait);

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "name", cli->argv[0]);
	pk_jw_bool(&w, "force", cli_has(cli, "force"));
	pk_jw_close(&w, '}');
	r = cli_api_post_long(cli, "/v1/nodes/remove", body.text, seconds, &doc, &err);
	if (r < 0)
		return failed_removal(cli, &err, r);
	root = pk_json_root(doc);
	if (!cli->quiet)
		printf("%s is forgotten: %.0f keys are gone, %.0f blocks rest\n", cli->argv[0],
		       pk_json_number(pk_json_get(root, "keys")),
		       pk_json_number(pk_json_get(root, "blocks")));
	left = pk_json_string(pk_json_get(root, "left"));
	if (left)
		fprintf(stderr, "picket node: there may be left %s\n", left);
	return CLI_OK;
}

/* Writes "10.9.0.5:5432, 10.9.0.6:5432 (critical)". */
static void format_instances(const struct pk_json *row, struct pk_str *cell)
{
	const struct pk_json *list = pk_json_get(row, "instances");

	for (const struct pk_json *i = pk_json_first(list); i; i = pk_json_next(i)) {
		const char *state = cli_text(i, "state");

		pk_str_add(cell, cell->len ? ", " : "");
		pk_str_add_escaped(cell, cli_text(i, "address"));
		if (pk_json_type(pk_json_get(i, "port")) == PK_JSON_NUMBER)
			pk_str_addf(cell, ":%.0f", pk_json_number(pk_json_get(i, "port")));
		if (strcmp(state, "counts") != 0)
			pk_str_addf(cell, " (%s)", state);
	}
}

/* Writes the first reason why an instance doesn't count as it is. */
static void format_why(const struct pk_json *row, struct pk_str *cell)
{
	const struct pk_json *list = pk_json_get(row, "instances");

	pk_str_add_escaped(cell, cli_text(row, "lastError"));
	for (const struct pk_json *i = pk_json_first(list); i && !cell->len; i = pk_json_next(i))
		pk_str_add_escaped(cell, cli_text(i, "why"));
}

static int service_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "name", .title = "Service" },
		{ .name = "catalog", .title = "Catalogue" },
		{ .name = "namespace", .title = "Namespace" },
		{ .name = "state", .title = "State" },
		{ .name = "counts", .title = "Count" },
		{ .name = "instances", .title = "Instances", .format = format_instances },
		{ .name = "within", .title = "Within" },
		{ .name = "tenants", .title = "Tenants", .wide = true },
		{ .name = "why", .title = "Why", .format = format_why },
		{ 0 },
	};

	return api_list(cli, "/v1/services", "services", columns);
}

static int counters(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "name", .title = "Endpoint" },
		{ .name = "slot", .title = "Slot" },
		{ .name = "direction", .title = "Direction" },
		{ .name = "reason", .title = "Reason" },
		{ .name = "packets", .title = "Packets" },
		{ .name = "bytes", .title = "Bytes" },
		{ 0 },
	};

	return api_list(cli, "/v1/counters", "counters", columns);
}

static const struct cli_option remove_options[] = {
	{ "force", NULL, "also one whose session in Consul lives", 0 },
	{ "wait", "TIME",
	  "wait for its end, at most this long (" REMOVE_WAIT "); it goes on after that", 0 },
	{ 0 },
};

const struct cli_command cli_node_commands[] = {
	{ "identity", "list", NULL, "label sets and their numbers on this node", 0, 0, NULL,
	  identity_list, true },
	{ "node", "list", NULL, "the cluster's nodes, and which of them are stale since when", 0, 0,
	  NULL, node_list, true },
	{ "node", "remove", "NAME",
	  "take a node that is gone for good out of Consul: its keys go, its blocks are given back",
	  1, 1, remove_options, node_remove, false },
	{ "service", "list", NULL, "the services that the operator declared, and their instances",
	  0, 0, NULL, service_list, true },
	{ "counters", NULL, NULL, "packets and bytes of each endpoint, by direction and reason", 0,
	  0, NULL, counters, true },
	{ 0 },
};
