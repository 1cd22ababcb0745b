/* SPDX-License-Identifier: Apache-2.0 */
/* picket endpoint list|show, ip list, identity list. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "addr.h"
#include "cli.h"
#include "ctl.h"
#include "device.h"
#include "epstore.h"
#include "fs.h"
#include "out.h"
#include "own.h"

static void short_id(const struct pk_json *row, struct pk_str *cell)
{
	const bool declared = !strcmp(cli_text(row, "confirmed"), "declared");
	char head[PK_CNI_ID_MAX + 1];

	snprintf(head, declared ? sizeof(head) : 9, "%s", cli_text(row, "containerId"));
	pk_str_add_escaped(cell, head);
}

static void job_group(const struct pk_json *row, struct pk_str *cell)
{
	const char *job = cli_text(row, "job"), *group = cli_text(row, "group");

	pk_str_add_escaped(cell, *job ? job : "?");
	pk_str_add(cell, "/");
	pk_str_add_escaped(cell, *group ? group : "?");
}

static void first_address(const struct pk_json *row, struct pk_str *cell)
{
	const struct pk_json *list = pk_json_get(row, "addresses");

	cli_value(cell, list ? pk_json_first(list) : NULL);
}

static const char *state_color(const struct pk_json *row)
{
	if (pk_json_true(pk_json_get(row, "quarantined")))
		return CLI_YELLOW;
	return !strcmp(cli_text(row, "state"), "open") ? NULL : CLI_RED;
}

static const struct cli_column columns[] = {
	{ .name = "containerId", .title = "Endpoint", .format = short_id },
	{ .name = "namespace", .title = "Namespace" },
	{ .name = "job", .title = "Job/Group", .format = job_group },
	{ .name = "address", .title = "Address", .format = first_address },
	{ .name = "state", .title = "State", .color = state_color },
	{ .name = "confirmed", .title = "Confirmed" },
	{ .name = "hostDevice", .title = "Device" },
	{ .name = "addresses", .title = "Addresses", .wide = true },
	{ .name = "mode", .title = "Mode", .wide = true },
	{ .name = "mac", .title = "MAC", .wide = true },
	{ .name = "identity", .title = "Identity", .wide = true },
	{ .name = "ruleSet", .title = "Rule set", .wide = true },
	{ .name = "policies", .title = "Policies", .wide = true },
	{ .name = "unknown", .title = "Unknown", .wide = true },
	{ .name = "eventsLost", .title = "Events lost", .wide = true },
	{ 0 },
};

static void put_address(struct pk_jw *w, const union pk_addr *addr)
{
	char text[PK_ADDR_TEXT];

	if (!pk_addr_is_zero(addr))
		pk_jw_string(w, NULL, pk_addr_format(addr, text));
}

static const char *confirmed_of(const struct pk_record *r)
{
	if (r->declared)
		return "declared";
	return r->believed ? "believed" : "no";
}

/* Writes a record in the API's form, as far as it knows. */
static void put_record(struct pk_jw *w, const struct pk_record *r)
{
	char mac[PK_MAC_TEXT], device[PK_HOST_NAME_ROOM];

	pk_host_name(r->slot, device);
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "containerId", r->container_id);
	pk_jw_string(w, "ifname", r->ifname);
	pk_jw_uint(w, "slot", r->slot);
	pk_jw_string(w, "network", r->network);
	pk_jw_string(w, "state", r->closed ? "closed" : "open");
	pk_jw_bool(w, "quarantined", r->quarantined);
	pk_jw_string(w, "namespace", r->tenant_name);
	pk_jw_string(w, "job", r->job);
	pk_jw_string(w, "group", r->group);
	pk_jw_string(w, "confirmed", confirmed_of(r));
	pk_jw_open(w, "addresses", '[');
	put_address(w, &r->ipv4);
	put_address(w, &r->ipv6);
	pk_jw_close(w, ']');
	pk_jw_string(w, "mac", pk_mac_format(r->mac, mac));
	pk_jw_string(w, "mode", r->process ? "process" : "vm");
	pk_jw_bool(w, "hostTap", r->host_tap);
	pk_jw_string(w, "hostDevice", device);
	pk_jw_string(w, "netns", r->netns);
	pk_jw_close(w, '}');
}

/* Makes the list that picketd would have given, from the records alone. */
static int list_records(const struct cli *cli, struct pk_json_doc **doc, struct pk_err *err)
{
	own_mem struct pk_record_name *names = NULL;
	own_str out = { 0 };
	struct pk_jw w = { .out = &out };
	size_t n = 0;
	int r = pk_records_list(&cli->paths, &names, &n, err);

	if (r < 0)
		return r;
	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "endpoints", '[');
	for (size_t i = 0; i < n; i++) {
		own_record record = { 0 };

		r = pk_record_read(&cli->paths, &names[i], &record, err);
		if (r < 0)
			return r;
		put_record(&w, &record);
	}
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	fprintf(stderr, "picket: picketd doesn't answer; this is from the records (offline)\n");
	return pk_json_parse("records", out.text, out.len, PK_JSON_RELAXED, doc, err);
}

static int load(const struct cli *cli, struct pk_json_doc **doc, struct pk_err *err)
{
	int r = cli_api(cli, "/v1/endpoints", doc, err);

	return cli_no_daemon(r) ? list_records(cli, doc, err) : r;
}

static bool wanted(const struct cli *cli, const struct pk_json *row)
{
	static const char *const filters[] = { "namespace", "job", "group", "state" };

	for (size_t i = 0; i < PK_ARRAY_LEN(filters); i++)
		if (cli_has(cli, filters[i]) &&
		    strcmp(cli_get(cli, filters[i]), cli_text(row, filters[i])))
			return false;
	return true;
}

/* Copies the rows that pass the filters into a document of their own. */
static int filtered(const struct cli *cli, const struct pk_json *rows, struct pk_json_doc **out,
		    struct pk_err *err)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_open(&w, NULL, '[');
	for (const struct pk_json *row = rows ? pk_json_first(rows) : NULL; row;
	     row = pk_json_next(row))
		if (wanted(cli, row))
			pk_jw_value(&w, NULL, row);
	pk_jw_close(&w, ']');
	return pk_json_parse("list", text.text, text.len, PK_JSON_RELAXED, out, err);
}

static void print_note(const struct cli *cli, const struct pk_json *row, const char *what,
		       const char *const keys[2])
{
	own_str line = { 0 };

	if (!*cli_text(row, keys[0]))
		return;
	short_id(row, &line);
	pk_str_addf(&line, " %s: ", what);
	pk_str_add_escaped(&line, cli_text(row, keys[0]));
	pk_str_add(&line, "; fix: ");
	pk_str_add_escaped(&line, cli_text(row, keys[1]));
	printf("  %s!%s %s\n", cli_color(cli, CLI_YELLOW), cli_color(cli, CLI_PLAIN), line.text);
}

/* Prints below the table, uncut, why one reaches nothing, or hasn't the limits it asks for. */
static void print_notes(const struct cli *cli, const struct pk_json *rows)
{
	static const char *const quarantine[] = { "quarantineReason", "quarantineFix" };
	static const char *const limits[] = { "limitsRefused", "limitsFix" };

	for (const struct pk_json *row = pk_json_first(rows); row; row = pk_json_next(row)) {
		print_note(cli, row, "is in quarantine", quarantine);
		print_note(cli, row, "keeps its limits", limits);
	}
}

static int endpoint_list(struct cli *cli)
{
	own_json *doc = NULL, *rows = NULL;
	struct pk_err err = { 0 };

	if (load(cli, &doc, &err) < 0 ||
	    filtered(cli, pk_json_get(pk_json_root(doc), "endpoints"), &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->quiet)
		return pk_json_count(pk_json_root(rows)) ? CLI_OK : CLI_NO;
	if (cli->json || cli->jsonl || cli->columns)
		return cli_list(cli, pk_json_root(rows), columns);
	cli_list(cli, pk_json_root(rows), columns);
	print_notes(cli, pk_json_root(rows));
	return CLI_OK;
}

/* Returns whether prefix is whole parts of path from the left: "acme/api" of "acme/api/web". */
static bool is_path_prefix(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return len && strncmp(path, prefix, len) == 0 && (path[len] == '/' || !path[len]);
}

static bool names_it(const struct pk_json *row, const char *id)
{
	const struct pk_json *addresses = pk_json_get(row, "addresses");
	const char *fields[] = { "hostDevice", "name" };
	union pk_addr wanted, has;
	bool is_address = pk_addr_parse(id, &wanted) == 0;
	char path[512];

	if (strlen(id) >= 4 && !strncmp(cli_text(row, "containerId"), id, strlen(id)))
		return true;
	for (size_t i = 0; i < PK_ARRAY_LEN(fields); i++)
		if (!strcmp(cli_text(row, fields[i]), id))
			return true;
	if (!strcasecmp(cli_text(row, "mac"), id))
		return true;
	for (const struct pk_json *a = addresses ? pk_json_first(addresses) : NULL; a && is_address;
	     a = pk_json_next(a))
		if (pk_json_string(a) && pk_addr_parse(pk_json_string(a), &has) == 0 &&
		    pk_addr_equal(&has, &wanted))
			return true;
	/* The id may be whole parts of the workload's path from the left, such as "acme/api". */
	snprintf(path, sizeof(path), "%s/%s/%s", cli_text(row, "namespace"), cli_text(row, "job"),
		 cli_text(row, "group"));
	return is_path_prefix(path, id);
}

static int find(const struct pk_json *rows, const char *id, const struct pk_json **found,
		struct pk_err *err)
{
	*found = NULL;
	for (const struct pk_json *row = rows ? pk_json_first(rows) : NULL; row;
	     row = pk_json_next(row))
		if (!strcmp(cli_text(row, "containerId"), id)) {
			*found = row; /* no other endpoint is named by a whole id */
			return 0;
		}
	for (const struct pk_json *row = rows ? pk_json_first(rows) : NULL; row;
	     row = pk_json_next(row)) {
		if (!names_it(row, id))
			continue;
		if (*found)
			return pk_fix(err,
				      pk_fail(err, 0, "\"%s\" names %.8s and %.8s, at least", id,
					      cli_text(*found, "containerId"),
					      cli_text(row, "containerId")),
				      "give one's id; \"picket endpoint list\" has them all");
		*found = row;
	}
	if (!*found) {
		pk_fail(err, 0, "no endpoint is called \"%.120s\"", id);
		return pk_fix(err, -ENOENT, "\"picket endpoint list\" has what there is");
	}
	return 0;
}

/* Prints the driver file as it stands, or as a fragment of Firecracker's configuration. */
static int print_vmm(const struct cli *cli, const struct pk_json *row, const char *vmm)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 8];
	own_mem char *text = NULL;
	own_json *doc = NULL;
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = 2 };
	struct pk_err err = { 0 };
	size_t len;

	if (strcmp(vmm, "firecracker") && strcmp(vmm, "json"))
		return cli_usage(cli, "-vmm knows firecracker and json");
	snprintf(path, sizeof(path), "%s/%s.json", cli->paths.vm, cli_text(row, "containerId"));
	if (pk_fs_read(path, 65536, &text, &len, &err) < 0 ||
	    pk_json_parse(path, text, len, PK_JSON_RELAXED, &doc, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!strcmp(vmm, "json")) {
		cli_json(cli, pk_json_root(doc));
		return CLI_OK;
	}
	if (!*cli_text(pk_json_root(doc), "tap")) {
		pk_fail(&err, 0, "this endpoint has no tap: its mode is process");
		pk_fix(&err, 0, "say \"mode\": \"vm\" in the conflist");
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "boot-source", '{');
	pk_jw_string(&w, "boot_args", cli_text(pk_json_root(doc), "kernelIp"));
	pk_jw_close(&w, '}');
	pk_jw_open(&w, "network-interfaces", '[');
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "iface_id", "eth0");
	pk_jw_string(&w, "host_dev_name", cli_text(pk_json_root(doc), "tap"));
	pk_jw_string(&w, "guest_mac", cli_text(pk_json_root(doc), "mac"));
	pk_jw_close(&w, '}');
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	puts(out.text);
	return CLI_OK;
}

/* Asks picketd for one endpoint, with what takes too long to gather for a list of all. */
static int whole(const struct cli *cli, const struct pk_json *row, struct pk_json_doc **doc)
{
	own_str path = { 0 };

	pk_str_addf(&path, "/v1/endpoints/%s@%s", cli_text(row, "containerId"),
		    cli_text(row, "ifname"));
	return cli_api(cli, path.text, doc, NULL);
}

static void print_limits(const struct cli *cli, const struct pk_json *row)
{
	static const struct cli_column limit_columns[] = {
		{ .name = "limit", .title = "Limit" },	 { .name = "value", .title = "At most" },
		{ .name = "source", .title = "Source" }, { .name = "reason", .title = "Reason" },
		{ .name = "denied", .title = "Denied" }, { 0 },
	};
	const struct pk_json *limits = pk_json_get(row, "limits");

	if (cli->quiet || !limits || !pk_json_first(limits))
		return;
	putchar('\n');
	cli_list(cli, limits, limit_columns);
}

static const struct cli_pair show_pairs[] = {
	{ "containerId", "ID", false },
	{ "name", "Name", false },
	{ "namespace", "Namespace", false },
	{ "job", "Job", false },
	{ "group", "Group", false },
	{ "state", "State", false },
	{ "quarantined", "Quarantined", false },
	{ "quarantineReason", "Quarantine reason", true },
	{ "quarantineFix", "Quarantine fix", true },
	{ "confirmed", "Confirmed", false },
	{ "labels", "Labels", false },
	{ "unknown", "Unknown", false },
	{ "addresses", "Addresses", false },
	{ "mac", "MAC", false },
	{ "mode", "Mode", false },
	{ "hostDevice", "Device", false },
	{ "netns", "Netns", false },
	{ "slot", "Slot", false },
	{ "tenant", "Tenant", false },
	{ "identity", "Identity", false },
	{ "ruleSet", "Rule set", false },
	{ "revision", "Revision", false },
	{ "policies", "Policies", false },
	{ "ports", "Ports", false },
	{ "checks", "Checks", false },
	{ "published", "Published", false },
	{ "services", "Services", false },
	{ "eventsLost", "Events lost", false },
	{ "eventsUnfiled", "Not in flows file", false },
	{ "limitsRefused", "Limits refused", true },
	{ "limitsFix", "Limits fix", true },
	{ 0 },
};

static int endpoint_show(struct cli *cli)
{
	own_json *doc = NULL, *one = NULL;
	const struct pk_json *row;
	struct pk_err err = { 0 };
	int r = load(cli, &doc, &err);

	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	r = find(pk_json_get(pk_json_root(doc), "endpoints"), cli->argv[0], &row, &err);
	if (r < 0)
		return cli_fail(cli, &err, r == -ENOENT ? CLI_NO : CLI_CANNOT);
	if (cli_get(cli, "vmm"))
		return print_vmm(cli, row, cli_get(cli, "vmm"));
	if (whole(cli, row, &one) == 0)
		row = pk_json_root(one);
	if (cli->json || cli->jsonl) {
		cli_json(cli, row);
		return CLI_OK;
	}
	cli_pairs(cli, row, show_pairs);
	print_limits(cli, row);
	return CLI_OK;
}

static const struct cli_option list_options[] = {
	{ "namespace", "NAME", "of this Nomad namespace only", 0 },
	{ "job", "NAME", "of this job only", 0 },
	{ "group", "NAME", "of this group only", 0 },
	{ "state", "STATE", "open or closed", 0 },
	{ 0 },
};
static const struct cli_option show_options[] = {
	{ "vmm", "KIND", "what a VMM needs to know: firecracker, or json for the driver file", 0 },
	{ 0 },
};
const struct cli_command cli_endpoint_commands[] = {
	{ "endpoint", "list", NULL, "the endpoints of this node", 0, 0, list_options, endpoint_list,
	  true },
	{ "endpoint", "show", "ID",
	  "one endpoint: alloc prefix, address, MAC, device, ns/job/group", 1, 1, show_options,
	  endpoint_show, false },
	{ 0 },
};
