/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket ip list|show: the leases, from their files; who holds an address. Works without picketd.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "cli.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "picket/limits.h"

#define OWNER_CAP (PK_CNI_ID_MAX + PK_IFNAME_MAX + 3)

struct lease_name {
	union pk_addr addr;
	bool resting; /* "<address>.<seconds>.<epoch>" */
};

static int parse_name(const char *file, struct lease_name *name)
{
	char text[256], *dot;

	*name = (struct lease_name){ 0 };
	if (strlen(file) >= sizeof(text))
		return -EINVAL;
	strcpy(text, file);
	if (pk_addr_parse(text, &name->addr) == 0)
		return 0;
	for (int i = 0; i < 2; i++) {
		dot = strrchr(text, '.');
		if (!dot)
			return -EINVAL;
		*dot = '\0';
	}
	name->resting = true;
	return pk_addr_parse(text, &name->addr);
}

static void put_lease(const struct cli *cli, struct pk_jw *w, const char *file)
{
	char path[PK_PATH_ROOM + 300], addr[PK_ADDR_TEXT], *at;
	own_mem char *owner = NULL;
	struct lease_name name;

	if (parse_name(file, &name) < 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", cli->paths.leases, file);
	if (pk_fs_read_own(path, OWNER_CAP, &owner, NULL, NULL) < 0)
		return; /* somebody freed it since the listing */
	owner[strcspn(owner, "\n")] = '\0';
	at = strrchr(owner, '@');
	if (at)
		*at = '\0';
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "address", pk_addr_format(&name.addr, addr));
	pk_jw_string(w, "state", name.resting ? "resting" : "held");
	pk_jw_string(w, "containerId", owner);
	pk_jw_string(w, "ifname", at ? at + 1 : NULL);
	pk_jw_close(w, '}');
}

/* Orders the files by their addresses as numbers, not as text. */
static int by_address(const struct dirent **a, const struct dirent **b)
{
	struct lease_name x, y;
	int c;

	if (parse_name((*a)->d_name, &x) < 0 || parse_name((*b)->d_name, &y) < 0)
		return strcmp((*a)->d_name, (*b)->d_name);
	c = memcmp(&x.addr, &y.addr, sizeof(x.addr));
	return c ? c : (int)x.resting - (int)y.resting;
}

/* Reads the leases; only that of `only`, where it isn't NULL. */
static int load(const struct cli *cli, const union pk_addr *only, struct pk_json_doc **rows,
		struct pk_err *err)
{
	struct dirent **list = NULL;
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };
	struct lease_name name;
	int n = scandir(cli->paths.leases, &list, NULL, by_address);

	if (n < 0 && errno != ENOENT)
		return pk_fix(err, pk_fail(err, errno, "%s", cli->paths.leases), "run as root");
	pk_jw_open(&w, NULL, '[');
	for (int i = 0; i < n; i++) {
		if (!only ||
		    (parse_name(list[i]->d_name, &name) == 0 && pk_addr_equal(&name.addr, only)))
			put_lease(cli, &w, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	pk_jw_close(&w, ']');
	return pk_json_parse("leases", text.text, text.len, PK_JSON_RELAXED, rows, err);
}

static const struct cli_column columns[] = {
	{ .name = "address", .title = "Address" },
	{ .name = "state", .title = "State" },
	{ .name = "containerId", .title = "Endpoint" },
	{ .name = "ifname", .title = "Interface" },
	{ 0 },
};

static int ip_list(struct cli *cli)
{
	own_json *rows = NULL;
	struct pk_err err = { 0 };

	if (load(cli, NULL, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->quiet)
		return pk_json_count(pk_json_root(rows)) ? CLI_OK : CLI_NO;
	return cli_list(cli, pk_json_root(rows), columns);
}

static int ip_show(struct cli *cli)
{
	own_json *rows = NULL;
	struct pk_err err = { 0 };
	union pk_addr addr;

	if (pk_addr_parse(cli->argv[0], &addr) < 0)
		return cli_usage(cli, "\"%s\" is no address", cli->argv[0]);
	if (load(cli, &addr, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!pk_json_count(pk_json_root(rows))) {
		pk_fix(&err, pk_fail(&err, 0, "nobody on this node has %s", cli->argv[0]),
		       "\"picket ip list\" has what is leased here");
		return cli_fail(cli, &err, CLI_NO);
	}
	return cli_list(cli, pk_json_root(rows), columns);
}

const struct cli_command cli_ip_commands[] = {
	{ "ip", "list", NULL, "leased and resting addresses of this node", 0, 0, NULL, ip_list,
	  true },
	{ "ip", "show", "ADDR", "who has this address", 1, 1, NULL, ip_show, true },
	{ 0 },
};
