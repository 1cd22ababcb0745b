/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what this node really runs against its records and its settings. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "bpfobj.h"
#include "check.h"
#include "epstore.h"
#include "fs.h"
#include "hook.h"
#include "netns.h"
#include "out.h"
#include "own.h"
#include "settings.h"

struct audit {
	struct check *check;
	struct pk_bpf *bpf;
	struct pk_nl *nl;
	unsigned int first, bad;
};

static void audit_hook(struct audit *a, const struct pk_record *record, bool egress)
{
	enum pk_prog prog = egress ? PK_PROG_TO_ENDPOINT : PK_PROG_FROM_ENDPOINT;
	const struct pk_hook hook = { .ifindex = record->host_ifindex,
				      .egress = egress,
				      .tcx = record->tcx,
				      .prog = a->bpf->prog[prog],
				      .name = pk_prog_name(prog) };
	struct pk_hook_seen seen = { 0 };

	if (pk_hook_read(a->nl, &hook, &seen, NULL) < 0)
		return; /* the sweep clears up after a device that is gone */
	if (seen.state == PK_HOOK_OURS_FIRST) {
		a->first++;
		return;
	}
	a->bad++;
	if (seen.state == PK_HOOK_MISSING)
		check_line(a->check, CHECK_FAIL, "guard",
			   cli_daemon_runs(a->check->cli)
				   ? "picketd runs and puts it back at once, or closes the "
				     "endpoint: look again, and into its log"
				   : "start picketd: it puts the guard back or closes the endpoint",
			   "pk%u: %s is not attached", record->slot, hook.name);
	else
		check_line(
			a->check, CHECK_FAIL, "guard",
			"find out who put it there, remove it; picketd puts the guard first again",
			"pk%u: \"%s\" (program id %u) stands before %s", record->slot, seen.before,
			seen.before_id, hook.name);
}

/* Finds taps of a driver's own in the netns: its guest would be sent past the prepared one. */
static void audit_taps(struct audit *a, const struct pk_record *record)
{
	own_netns ns = PK_NETNS_NONE;
	own_visit visit = PK_NETNS_VISIT_NONE;
	own_nl *nl = NULL;
	own_mem struct pk_nl_link *links = NULL;
	size_t n = 0;

	if (!record->tap_ifindex || !record->tap || !record->netns ||
	    pk_netns_open(record->netns, &ns, NULL) < 0 || ns.inode != record->netns_inode ||
	    pk_netns_enter(&ns, &visit, NULL) < 0 || pk_nl_open(&nl, NULL) < 0 ||
	    pk_nl_links(nl, &links, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(links[i].kind, "tun") && strcmp(links[i].name, record->tap) != 0)
			check_line(
				a->check, CHECK_WARN, "tap",
				"say \"mode\": \"process\" in the conflist for drivers that make "
				"their own tap",
				"pk%u: \"%s\" beside %s in the netns: the driver made a tap of its "
				"own",
				record->slot, links[i].name, record->tap);
}

static void audit_records(struct audit *a)
{
	own_mem struct pk_record_name *names = NULL;
	size_t n = 0;

	if (pk_records_list(&a->check->cli->paths, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		own_record record = { 0 };
		struct pk_err err = { 0 };

		if (pk_record_read(&a->check->cli->paths, &names[i], &record, &err) < 0) {
			a->bad++;
			check_line(
				a->check, CHECK_FAIL, "record",
				"stop the allocation; \"picket sweep -apply\" removes what is left",
				"%s", err.text);
			continue;
		}
		if (record.closed || !pk_bpf_same_epoch(a->bpf, record.epoch))
			continue;
		audit_hook(a, &record, false);
		audit_hook(a, &record, true);
		audit_taps(a, &record);
	}
}

void check_hooks(struct check *c)
{
	own_bpf *bpf = NULL;
	own_nl *nl = NULL;
	struct audit a = { .check = c };
	struct pk_err err = { 0 };

	if (pk_bpf_open(&bpf, &c->cli->paths, PK_BPF_READ, NULL, pk_now_ns() + 2000000000ull,
			NULL) < 0)
		return; /* check_tables has said it */
	if (pk_nl_open(&nl, &err) < 0) {
		check_line(c, CHECK_WARN, "guard", "run as root", "%s", err.text);
		return;
	}
	a.bpf = bpf;
	a.nl = nl;
	audit_records(&a);
	if (!a.bad)
		check_line(c, CHECK_OK, "guard", NULL, "first at all %u hooks", a.first);
}

static bool covered(const struct pk_settings *s, const struct pk_prefix *pool)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (pk_prefix_covers(&s->pools[i], pool))
			return true;
	return false;
}

static void compare_pools(struct check *c, const struct pk_settings *s,
			  const struct check_network *n)
{
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < n->conf.n_pools && s->pools_given && !s->claimed; i++)
		if (!covered(s, &n->conf.pool[i]))
			check_line(c, CHECK_FAIL, "settings",
				   "add it to \"pools\" of picketd.json: its endpoints are unknown "
				   "else",
				   "%s: pool %s is in none of picketd's pools", n->path,
				   pk_prefix_format(&n->conf.pool[i], text));
}

static void compare(struct check *c, const struct pk_settings *s, const struct check_network *n)
{
	if (n->conf.has_baseline && s->baseline_given && n->conf.baseline != s->baseline)
		check_line(c, CHECK_WARN, "settings",
			   "make them the same; the node lives by picketd's",
			   "%s: baseline \"%s\", picketd's is \"%s\"", n->path,
			   pk_baseline_name(n->conf.baseline), pk_baseline_name(s->baseline));
	compare_pools(c, s, n);
}

static void compare_capacity(struct check *c, const struct pk_settings *s)
{
	own_bpf *bpf = NULL;

	if (pk_bpf_open(&bpf, &c->cli->paths, PK_BPF_READ, NULL, pk_now_ns() + 2000000000ull,
			NULL) < 0)
		return;
	if (bpf->node.capacity != s->capacity)
		check_line(c, CHECK_WARN, "settings", "reboot the node when it suits",
			   "capacity %u is configured, the loaded tables have %u: it takes effect "
			   "at the next boot",
			   s->capacity, bpf->node.capacity);
}

void check_settings(struct check *c)
{
	struct pk_settings s;
	struct pk_err err = { 0 };
	enum check_state before = c->worst;
	int r;

	pk_settings_init(&s);
	r = pk_settings_read(&s, c->cli->paths.node_json, &err);
	if (r == 0) {
		c->worst = CHECK_OK;
		for (size_t i = 0; i < c->n_networks; i++)
			if (c->networks[i].taken)
				compare(c, &s, &c->networks[i]);
		compare_capacity(c, &s);
		if (c->worst == CHECK_OK)
			check_line(c, CHECK_OK, "settings", NULL,
				   "conflist and tables agree with picketd's");
		c->worst = before > c->worst ? before : c->worst;
	} else if (r != -ENOENT) {
		check_line(c, CHECK_FAIL, "settings",
			   r == -EACCES ? "run picket check as root"
					: "restart picketd: it writes the file anew",
			   "%s", err.text);
	}
	pk_settings_done(&s);
}
