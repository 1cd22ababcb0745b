/* SPDX-License-Identifier: Apache-2.0 */
/* picket sweep: what endpoints that are gone have left behind. A dry run unless -apply. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "bpfobj.h"
#include "cli.h"
#include "ctl.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "sweep.h"

#define SWEEP_SECONDS 60

struct found {
	const struct cli *cli;
	struct pk_str rows;
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

/* picketd holds this lock for as long as it runs. */
static bool picketd_runs(const struct cli *cli)
{
	char path[PK_PATH_ROOM + 16];
	own_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/picketd.lock", cli->paths.run);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

/*
 * A running picketd asks Nomad and sweeps by its word: beside it an alloc is live until it says
 * otherwise. Where none runs, device and netns are witnesses enough for an operator who asks:
 * nothing lives without them, and an allocation that comes again only gets another address.
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

static int sweep(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "state", .title = "State" },
		{ .name = "what", .title = "What" },
		{ .name = "why", .title = "Why" },
		{ 0 },
	};
	struct found found = { .cli = cli };
	struct pk_err err = { 0 };
	own_bpf *bpf = NULL;
	own_json *rows = NULL;
	struct pk_sweep s = { .paths = &cli->paths,
			      .found = note,
			      .arg = &found,
			      .alloc = has_nomad(cli) && picketd_runs(cli) ? unknown : NULL,
			      .apply = cli_has(cli, "apply"),
			      .all = cli_has(cli, "all"),
			      .parts = PK_SWEEP_EVERYTHING,
			      .deadline_ns = pk_now_ns() + SWEEP_SECONDS * 1000000000ull };
	int r = pk_bpf_open(&bpf, &cli->paths, PK_BPF_READ, NULL, s.deadline_ns, &err);

	if (r < 0 && r != -ENOENT && !(s.all && s.apply))
		return cli_fail(cli, &err, CLI_CANNOT);
	s.bpf = r < 0 ? NULL : bpf;
	found.w.out = &found.rows;
	pk_jw_open(&found.w, NULL, '[');
	r = pk_sweep(&s, &err);
	pk_jw_close(&found.w, ']');
	if (r == 0)
		r = pk_json_parse("sweep", found.rows.text, found.rows.len, PK_JSON_RELAXED, &rows,
				  &err);
	pk_str_done(&found.rows);
	if (r < 0)
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
	{ 0 },
};
const struct cli_command cli_sweep_commands[] = {
	{ "sweep", NULL, NULL, "what endpoints that are gone left behind", 0, 0, options, sweep,
	  true },
	{ 0 },
};
