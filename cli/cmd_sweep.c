/* SPDX-License-Identifier: Apache-2.0 */
/* picket sweep: what endpoints that are gone have left behind. A dry run unless -apply. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpfobj.h"
#include "check.h"
#include "cli.h"
#include "ctl.h"
#include "device.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "sweep.h"
#include "tables.h"

#define SWEEP_SECONDS 60
#define LOOK_SECONDS  5 /* of `picket check` */

struct found {
	const struct cli *cli;
	struct pk_jw w;
	size_t left;
};

static void note(void *arg, const struct pk_orphan *orphan)
{
	struct found *found = arg;
	const char *left = orphan->removable ? "removable" : "kept";

	pk_jw_open(&found->w, NULL, '{');
	pk_jw_string(&found->w, "what", orphan->what);
	pk_jw_string(&found->w, "why", orphan->why);
	pk_jw_string(&found->w, "state", orphan->removed ? "removed" : left);
	pk_jw_close(&found->w, '}');
	found->left += !orphan->removed;
}

/*
 * Says what is known of an alloc: nothing. A running picketd asks Nomad and sweeps by its word:
 * beside it an alloc is live until it says otherwise. Where none runs, device and netns are
 * witnesses enough for an operator who asks: nothing lives without them, and an allocation that
 * comes again only gets another address.
 */
static enum pk_alloc_state unknown(void *arg, const char *container_id)
{
	(void)arg, (void)container_id;
	return PK_ALLOC_UNKNOWN;
}

static bool has_nomad(const struct cli *cli)
{
	struct pk_settings settings;
	bool has;

	pk_settings_init(&settings);
	if (pk_settings_read(&settings, cli->paths.node_json, NULL) < 0) {
		pk_settings_done(&settings);
		return true;
	}
	has = settings.has_nomad;
	pk_settings_done(&settings);
	return has;
}

static bool has_device(struct pk_nl *nl, uint32_t slot)
{
	const struct pk_host_end end = { .slot = slot };
	struct pk_nl_link link;

	return pk_host_end_find(nl, &end, &link, NULL) == 0;
}

/* Counts endpoints with a device by their records, and those that are open without a record. */
static size_t count_live(const struct cli *cli, const struct pk_bpf *bpf, struct pk_nl *nl)
{
	own_mem struct pk_record_name *names = NULL;
	own_mem bool *counted = pk_alloc(PK_CAPACITY_MAX + 1);
	size_t n = 0, live = 0;

	if (pk_records_list(&cli->paths, &names, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (!names[i].closed && names[i].slot <= PK_CAPACITY_MAX &&
		    has_device(nl, names[i].slot))
			counted[names[i].slot] = true;
	for (uint32_t slot = 1; bpf && slot <= bpf->node.capacity; slot++)
		counted[slot] |= pk_word(bpf, slot) && has_device(nl, slot);
	for (uint32_t slot = 1; slot <= PK_CAPACITY_MAX; slot++)
		live += counted[slot];
	return live;
}

/* Refuses to take everything away from under whoever lives on it. */
static int refuse_all(struct cli *cli, const struct pk_bpf *bpf)
{
	struct pk_err err = { 0 };
	own_nl *nl = NULL;
	size_t live;

	if (cli_daemon_runs(cli)) {
		pk_fail(&err, 0, "picketd runs, and would go on with tables that are gone");
		pk_fix(&err, 0, "stop picketd first; -force takes everything all the same");
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	if (pk_nl_open(&nl, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	live = count_live(cli, bpf, nl);
	if (!live)
		return CLI_OK;
	pk_fail(&err, 0, "%zu endpoint%s still there", live, live == 1 ? " is" : "s are");
	pk_fix(&err, 0, "stop their allocations first; -force takes everything all the same");
	return cli_fail(cli, &err, CLI_CANNOT);
}

/* Makes a sweep that looks at everything, by what the CLI knows of allocations. */
static struct pk_sweep look_at_all(const struct cli *cli, unsigned int seconds)
{
	return (struct pk_sweep){ .paths = &cli->paths,
				  .alloc = has_nomad(cli) && cli_daemon_runs(cli) ? unknown : NULL,
				  .parts = PK_SWEEP_EVERYTHING,
				  .deadline_ns = pk_now_ns() + seconds * 1000000000ull };
}

static void count_removable(void *arg, const struct pk_orphan *orphan)
{
	*(unsigned int *)arg += orphan->removable;
}

void check_leftovers(struct check *c)
{
	struct pk_sweep s = look_at_all(c->cli, LOOK_SECONDS);
	unsigned int n = 0;
	own_bpf *bpf = NULL;
	struct pk_err err = { 0 };

	s.found = count_removable;
	s.arg = &n;
	if (pk_bpf_open(&bpf, &c->cli->paths, PK_BPF_READ, NULL, s.deadline_ns, NULL) == 0)
		s.bpf = bpf;
	if (pk_sweep(&s, &err) < 0)
		check_line(c, CHECK_WARN, "leftovers", err.fix, "%s", err.text);
	else if (n)
		check_line(c, CHECK_WARN, "leftovers", "picket sweep -apply removes them",
			   "%u of endpoints that are gone", n);
	else
		check_line(c, CHECK_OK, "leftovers", NULL, "none");
}

/* Sweeps, and makes a list of what was found. */
static int sweep_list(struct pk_sweep *s, struct found *found, struct pk_json_doc **rows,
		      struct pk_err *err)
{
	own_str text = { 0 };
	int r;

	found->w.out = &text;
	pk_jw_open(&found->w, NULL, '[');
	r = pk_sweep(s, err);
	pk_jw_close(&found->w, ']');
	if (r < 0)
		return r;
	return pk_json_parse("sweep", text.text, text.len, PK_JSON_RELAXED, rows, err);
}

static int sweep(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "state", .title = "State" },
		{ .name = "what", .title = "What" },
		{ .name = "why", .title = "Why", .wrap = true },
		{ 0 },
	};
	struct found found = { .cli = cli };
	struct pk_err err = { 0 };
	own_bpf *bpf = NULL;
	own_json *rows = NULL;
	struct pk_sweep s = look_at_all(cli, SWEEP_SECONDS);
	int r = pk_bpf_open(&bpf, &cli->paths, PK_BPF_READ, NULL, s.deadline_ns, &err);

	s.found = note;
	s.arg = &found;
	s.apply = cli_has(cli, "apply");
	s.all = cli_has(cli, "all");
	if (r < 0 && r != -ENOENT && !(s.all && s.apply))
		return cli_fail(cli, &err, CLI_CANNOT);
	s.bpf = r < 0 ? NULL : bpf;
	if (s.all && s.apply && !cli_has(cli, "force")) {
		r = refuse_all(cli, s.bpf);
		if (r != CLI_OK)
			return r;
	}
	if (sweep_list(&s, &found, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!pk_json_count(pk_json_root(rows)) && !cli->json && !cli->jsonl && !cli->quiet)
		puts("nothing is left behind");
	else
		cli_list(cli, pk_json_root(rows), columns);
	return found.left ? CLI_NO : CLI_OK;
}

static const struct cli_option options[] = {
	{ "apply", NULL, "remove it; without, only shown", 0 },
	{ "all", NULL, "everything of Picket on this node, live or not: devices, records, pins",
	  0 },
	{ "force", NULL, "with -all -apply: also while picketd runs or endpoints are there", 0 },
	{ 0 },
};
const struct cli_command cli_sweep_commands[] = {
	{ "sweep", NULL, NULL, "what endpoints that are gone left behind", 0, 0, options, sweep,
	  true },
	{ 0 },
};
