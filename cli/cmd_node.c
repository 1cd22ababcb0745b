/* SPDX-License-Identifier: Apache-2.0 */
/* picket identity list, node list, counters. */
#include "cli.h"
#include "out.h"
#include "own.h"

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
		{ .name = "labels", .title = "Labels" },
		{ .name = "unknown", .title = "Unknown" },
		{ 0 },
	};

	return api_list(cli, "/v1/identities", "identities", columns);
}

static int node_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "name", .title = "Node" },
		{ .name = "state", .title = "State" },
		{ .name = "since", .title = "Since" },
		{ .name = "endpoints", .title = "Endpoints" },
		{ .name = "blocks", .title = "Blocks" },
		{ .name = "addresses", .title = "Addresses" },
		{ .name = "refused", .title = "Refused" },
		{ .name = "why", .title = "Why" },
		{ 0 },
	};

	return api_list(cli, "/v1/nodes", "nodes", columns);
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

const struct cli_command cli_node_commands[] = {
	{ "identity", "list", NULL, "label sets and their numbers on this node", 0, 0, NULL,
	  identity_list, true },
	{ "node", "list", NULL, "the cluster's nodes, and which of them are stale since when", 0, 0,
	  NULL, node_list, true },
	{ "counters", NULL, NULL, "packets by endpoint and reason", 0, 0, NULL, counters, true },
	{ 0 },
};
