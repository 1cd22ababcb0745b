/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket check: is this node fit, before a job finds out. Each line ok, warn or fail, with its fix.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bpfobj.h"
#include "check.h"
#include "ctl.h"
#include "epstore.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "room.h"

void check_line(struct check *check, enum check_state state, const char *what, const char *fix,
		const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warn", "fail" };
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (state > check->worst)
		check->worst = state;
	pk_jw_open(&check->w, NULL, '{');
	pk_jw_string(&check->w, "state", names[state]);
	pk_jw_string(&check->w, "what", what);
	pk_jw_string(&check->w, "text", text);
	pk_jw_string(&check->w, "fix", state == CHECK_OK ? NULL : fix);
	pk_jw_close(&check->w, '}');
}

/*
 * Refuses to go on without root, as half of what follows can't be looked at then, and its fixes
 * would lead astray.
 */
static void check_user(struct check *c)
{
	if (geteuid() != 0)
		check_line(c, CHECK_FAIL, "user", "run picket check as root",
			   "not root: what is not permitted below says nothing about the node");
}

static void check_kernel(struct check *c)
{
	struct utsname uts;
	int major = 0, minor = 0, kfunc = pk_bpf_has_kfunc();

	uname(&uts);
	if (sscanf(uts.release, "%d.%d", &major, &minor) != 2 || major < 6 ||
	    (major == 6 && minor < 1))
		check_line(c, CHECK_FAIL, "kernel", "boot Linux 6.1 or later", "%s is too old",
			   uts.release);
	else
		check_line(c, CHECK_OK, "kernel", NULL, "%s, metadata by %s", uts.release,
			   kfunc > 0 ? "kfunc" : "probe reads");
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		check_line(c, CHECK_OK, "btf", NULL, "the kernel describes its types");
	else
		check_line(c, CHECK_FAIL, "btf", "a kernel with CONFIG_DEBUG_INFO_BTF",
			   "no /sys/kernel/btf/vmlinux");
}

static void check_jit(struct check *c)
{
	own_mem char *text = NULL;

	if (pk_fs_read("/proc/sys/net/core/bpf_jit_enable", 16, &text, NULL, NULL) < 0)
		return;
	if (text[0] == '0')
		check_line(c, CHECK_WARN, "jit", "sysctl net.core.bpf_jit_enable=1",
			   "BPF is interpreted: every packet costs several times as much");
	else
		check_line(c, CHECK_OK, "jit", NULL, "BPF programs are compiled");
}

static void check_bpffs(struct check *c)
{
	struct pk_err err = { 0 };

	if (pk_bpffs_check(&c->cli->paths, &err) < 0)
		check_line(c, CHECK_FAIL, "bpffs", err.fix, "%s", err.text);
	else
		check_line(c, CHECK_OK, "bpffs", NULL, "%s", c->cli->paths.bpffs);
}

static void check_tables(struct check *c)
{
	own_bpf *bpf = NULL;
	struct pk_err err = { 0 };
	int r = pk_bpf_open(&bpf, &c->cli->paths, PK_BPF_READ, NULL, pk_now_ns() + 2000000000ull,
			    &err);

	if (r == -ENOENT)
		check_line(c, CHECK_OK, "programs", NULL,
			   "not loaded yet: the first ADD loads them");
	else if (r < 0)
		check_line(c, CHECK_FAIL, "programs", err.fix, "%s", err.text);
	else
		check_line(c, strcmp(bpf->build, pk_bpf_own_build()) ? CHECK_WARN : CHECK_OK,
			   "programs", "restart picketd: it changes builds under traffic",
			   "build %s, layout %u, capacity %u", bpf->build, bpf->node.layout,
			   bpf->node.capacity);
}

static void check_source(struct check *c, const struct pk_json *source)
{
	const char *state = cli_text(source, "state"), *name = cli_text(source, "name"), *said;
	enum check_state s = CHECK_OK;

	if (!strcmp(name, "nomad") && !strcmp(state, "off")) /* check_nomad says so */
		return;
	if (!strcmp(state, "stale") || !strcmp(state, "refused") || !strcmp(state, "starting"))
		s = CHECK_WARN;
	said = *cli_text(source, "lastError") ? cli_text(source, "lastError")
					      : cli_text(source, "detail");
	check_line(c, s, name, "\"picket status -verbose\" and picketd's log say why", "%s%s%s",
		   state, *said ? ": " : "", said);
}

static void check_controller(struct check *c)
{
	own_json *doc = NULL;
	struct pk_err err = { 0 };
	const struct pk_json *list;

	if (cli_api(c->cli, "/v1/status", &doc, &err) < 0) {
		check_line(c, CHECK_WARN, "picketd", err.fix, "%s; what is pinned is enforced",
			   err.text);
		return;
	}
	check_line(c, CHECK_OK, "picketd", NULL, "version %s",
		   cli_text(pk_json_root(doc), "version"));
	check_version(c, "picketd", cli_text(pk_json_root(doc), "version"),
		      "install plugin, picketd and CLI of one release, then restart picketd");
	list = pk_json_get(pk_json_root(doc), "sources");
	for (const struct pk_json *s = list ? pk_json_first(list) : NULL; s; s = pk_json_next(s))
		check_source(c, s);
	list = pk_json_get(pk_json_root(doc), "reasons");
	for (const struct pk_json *s = list ? pk_json_first(list) : NULL; s; s = pk_json_next(s))
		check_line(c, CHECK_WARN, cli_text(s, "what"), cli_text(s, "fix"), "%s",
			   cli_text(s, "text"));
}

static void check_disk(struct check *c)
{
	struct pk_err why = { 0 };

	if (pk_room_disk_is_short(&c->cli->paths, &why))
		check_line(c, CHECK_FAIL, "disk", why.fix, "%s", why.text);
}

static const char *line_color(const struct pk_json *row)
{
	const char *state = cli_text(row, "state");

	if (!strcmp(state, "ok"))
		return CLI_GREEN;
	return !strcmp(state, "warn") ? CLI_YELLOW : CLI_RED;
}

#define INDENT 18 /* columns in front of what was found */
/* Prints one finding a line, its fix below it. */
static void print_findings(const struct cli *cli, const struct pk_json *rows)
{
	for (const struct pk_json *row = pk_json_first(rows); row; row = pk_json_next(row)) {
		own_str text = { 0 }, fix = { 0 };

		pk_str_add_escaped(&text, cli_text(row, "text"));
		pk_str_add_escaped(&fix, cli_text(row, "fix"));
		printf("%s%-4s%s  %-12s", cli_color(cli, line_color(row)), cli_text(row, "state"),
		       cli_color(cli, CLI_PLAIN), cli_text(row, "what"));
		cli_wrap(stdout, text.text ?: "", INDENT, INDENT, (size_t)cli->width);
		putchar('\n');
		if (fix.len)
			cli_print_fix(INDENT, fix.text);
	}
}

static void run_all(struct check *c)
{
	check_user(c);
	check_kernel(c);
	check_jit(c);
	check_bpffs(c);
	check_plugin(c);
	check_conflists(c);
	check_net(c);
	check_tables(c);
	check_status(c);
	check_hooks(c);
	check_uplinks(c);
	check_firewall(c);
	check_overlay(c);
	check_controller(c);
	check_settings(c);
	check_nomad(c);
	check_disk(c);
	check_leftovers(c);
}

/* Looks at everything once. */
static int look(struct cli *cli, struct pk_json_doc **rows, enum check_state *worst,
		struct pk_err *err)
{
	own_str text = { 0 };
	struct check c = { .cli = cli, .w = { .out = &text } };

	pk_jw_open(&c.w, NULL, '[');
	run_all(&c);
	check_conflists_done(&c);
	pk_jw_close(&c.w, ']');
	*worst = c.worst;
	return pk_json_parse("check", text.text, text.len, PK_JSON_RELAXED, rows, err);
}

/* Looks again and again until nothing fails: Nomad takes a minute to notice a network. */
static int look_until(struct cli *cli, double wait, struct pk_json_doc **rows,
		      enum check_state *worst, struct pk_err *err)
{
	uint64_t until = pk_now_ns() + (uint64_t)(wait * 1e9);
	const struct timespec pause = { .tv_sec = 1 };
	int r = look(cli, rows, worst, err);

	while (r == 0 && *worst == CHECK_FAIL && pk_now_ns() < until) {
		nanosleep(&pause, NULL);
		pk_json_free(PK_MOVE(*rows, NULL));
		r = look(cli, rows, worst, err);
	}
	return r;
}

static int check(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{ .name = "state", .title = "State", .color = line_color },
		{ .name = "what", .title = "What" },
		{ .name = "text", .title = "Finding" },
		{ .name = "fix", .title = "Fix" },
		{ 0 },
	};
	const char *wait = cli_get(cli, "wait");
	own_json *rows = NULL;
	struct pk_err err = { 0 };
	enum check_state worst;
	double seconds = 0;
	int r = CLI_OK;

	if (wait && cli_duration(wait, &seconds) < 0)
		return cli_usage(cli, "-wait \"%s\" is no duration like 90s", wait);
	if (look_until(cli, seconds, &rows, &worst, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->json || cli->jsonl || cli->columns)
		r = cli_list(cli, pk_json_root(rows), columns);
	else if (!cli->quiet)
		print_findings(cli, pk_json_root(rows));
	return r ? r : (int)worst;
}

static const struct cli_option options[] = {
	{ "wait", "TIME", "look again until nothing fails, at most this long", 0 },
	{ 0 },
};
const struct cli_command cli_check_commands[] = {
	{ "check", NULL, NULL,
	  "whether this node is fit: kernel, plugin, conflist, controller, leftovers", 0, 0,
	  options, check, true },
	{ "preflight", NULL, NULL, "the same as check", 0, 0, options, check, true },
	{ "doctor", NULL, NULL, "the same as check", 0, 0, options, check, true },
	{ 0 },
};
