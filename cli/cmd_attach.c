/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket attach, picket detach: an endpoint for a VMM that no Nomad starts. Each step finds what a
 * killed one left: the file of the configuration is `begun` from before the first thing that is
 * made until after the last that is undone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "addr.h"
#include "attach.h"
#include "cni_conf.h"
#include "declared.h"
#include "epstore.h"
#include "fault.h"
#include "fs.h"
#include "netns.h"
#include "out.h"

#define LOCK_NS	 30000000000ull
#define CONF_MAX (1u << 20)

static void attach_done(struct attach *a)
{
	pk_label_set_free(a->declared);
	if (a->lock >= 0)
		close(a->lock);
}

static int check_name(const char *name, struct pk_err *err)
{
	if (cni_id_ok(name))
		return pk_declared_name(name, err);
	return pk_fix(err, pk_fail(err, 0, "\"%.80s\" is no name of an endpoint", name),
		      "1 to %d of a-z A-Z 0-9 _ . -, such as db-1", PK_CNI_ID_MAX);
}

/* Allows one attach or detach at a time, so that none sees what another is making. */
static int take_lock(struct attach *a, struct pk_err *err)
{
	char path[PK_PATH_ROOM + 16];
	int r = pk_fs_mkdirs(a->cli->paths.lock, 0700, err);

	snprintf(path, sizeof(path), "%s/attach", a->cli->paths.lock);
	return r == 0 ? pk_fs_lock(path, pk_now_ns() + LOCK_NS, &a->lock, err) : r;
}

static int begin(struct attach *a, struct pk_err *err)
{
	const char *run = a->cli->paths.run;
	char dir[PK_PATH_ROOM + 16];
	int r = check_name(a->name, err);

	if (r == 0 && geteuid() != 0)
		r = pk_fix(err, pk_fail(err, 0, "only root may make or end an endpoint"),
			   "run it as root");
	if (r < 0)
		return r;
	snprintf(a->netns, sizeof(a->netns), "/run/netns/%s", a->name);
	snprintf(dir, sizeof(dir), "%s/attach", run);
	snprintf(a->begun, sizeof(a->begun), "%s/%s.begun", dir, a->name);
	snprintf(a->kept, sizeof(a->kept), "%s/%s.json", dir, a->name);
	r = attach_plugin(a->cli, a->plugin, err);
	if (r == 0)
		r = pk_fs_mkdirs(dir, 0700, err);
	return r == 0 ? take_lock(a, err) : r;
}

/* What the node knows of the name. */
struct known {
	bool record, ours; /* there is a record; picket attach made it */
	bool netns;	   /* something of that name is there */
	bool same;	   /* and it is the record's netns */
	bool begun, kept;
	char *network; /* the record's network */
};

static void known_done(struct known *k)
{
	free(k->network);
}

static int look(const struct attach *a, struct known *k, struct pk_err *err)
{
	struct pk_record_name name;
	own_record record = { 0 };
	ino_t inode = 0;
	int r = pk_record_find(&a->cli->paths, a->name, ATTACH_IFNAME, &name, err);

	k->begun = access(a->begun, F_OK) == 0;
	k->kept = access(a->kept, F_OK) == 0;
	k->netns = faccessat(AT_FDCWD, a->netns, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (r == -ENOENT) {
		*err = (struct pk_err){ 0 };
		return 0;
	}
	if (r == 0)
		r = pk_record_read(&a->cli->paths, &name, &record, err);
	if (r < 0)
		return r;
	k->record = true;
	k->ours = record.declared != NULL;
	k->network = pk_strdup(record.network);
	k->same = pk_netns_inode(a->netns, &inode) == 0 && inode == record.netns_inode;
	return 0;
}

static int refuse_others(const struct attach *a, const struct known *k, struct pk_err *err)
{
	if (!k->record || k->ours)
		return 0;
	pk_fail(err, 0, "%s is an endpoint that picket attach didn't make", a->name);
	return pk_fix(err, -EEXIST, "choose another name; Nomad, or whoever runs it, ends it");
}

static int end_file(const struct attach *a, struct pk_err *err)
{
	if (unlink(a->begun) < 0 && errno != ENOENT)
		return pk_fail(err, errno, "delete %s", a->begun);
	return 0;
}

/* Undoes all that there may be of the name, in reverse order. */
static int undo(const struct attach *a, const struct known *k, struct pk_err *err)
{
	own_mem char *kept = NULL;
	own_str conf = { 0 };
	size_t len;
	int r = 0;

	if (k->kept && rename(a->kept, a->begun) < 0)
		return pk_fail(err, errno, "rename %s", a->kept);
	pk_fault("detach-begun");
	if (pk_fs_read(a->begun, CONF_MAX, &kept, &len, NULL) < 0)
		attach_conf_of_record(a->cli, k->network, &conf);
	r = attach_run(a, "DEL", kept ?: conf.text, err);
	pk_fault("detach-deleted");
	/* A netns that neither the file nor the record names is somebody else's. */
	if (r == 0 && (k->begun || k->kept || k->same))
		r = pk_netns_drop(a->netns, err);
	pk_fault("detach-dropped");
	return r == 0 ? end_file(a, err) : r;
}

/* Makes sure that nothing of the name is there: what a killed attach or detach left is cleared. */
static int make_way(const struct attach *a, struct pk_err *err)
{
	PK_OWN(known_done) struct known k = { 0 };
	int r = look(a, &k, err);

	if (r == 0)
		r = refuse_others(a, &k, err);
	if (r < 0)
		return r;
	if (k.begun)
		return undo(a, &k, err);
	if (k.record && k.same) {
		pk_fail(err, 0, "%s is attached already", a->name);
		return pk_fix(
			err, -EALREADY,
			"picket endpoint show %s -vmm json says how; picket detach %s ends it",
			a->name, a->name);
	}
	if (k.netns) {
		pk_fail(err, 0, "%s is there, and picket attach didn't make it", a->netns);
		return pk_fix(err, -EEXIST, "choose another name, or ip netns delete %s", a->name);
	}
	return k.kept && unlink(a->kept) < 0 ? pk_fail(err, errno, "delete %s", a->kept) : 0;
}

static int build(const struct attach *a, const char *conf, struct pk_err *err)
{
	int r = pk_netns_make(a->netns, err);

	pk_fault("attach-netns");
	if (r < 0)
		return r;
	r = attach_run(a, "ADD", conf, err);
	pk_fault("attach-added");
	if (r < 0)
		return r;
	if (rename(a->begun, a->kept) < 0)
		return pk_fail(err, errno, "rename %s", a->begun);
	pk_fault("attach-kept");
	return 0;
}

static int make(const struct attach *a, const char *conf, struct pk_err *err)
{
	const struct known all = { .begun = true };
	int r = make_way(a, err);

	if (r == 0)
		r = pk_fs_write(a->begun, conf, strlen(conf), 0600, err);
	pk_fault("attach-begun");
	if (r < 0)
		return r;
	r = build(a, conf, err);
	if (r == -EEXIST)
		end_file(a, NULL); /* somebody else's netns came meanwhile, and stays */
	else if (r < 0)
		undo(a, &all, NULL);
	return r;
}

/* Prints the driver file, which says all that a VMM's command line needs. */
static int show(const struct attach *a)
{
	static const struct cli_pair pairs[] = {
		{ "containerId", "Name", true },
		{ "netns", "Netns", true },
		{ "tap", "Tap", true },
		{ "attach", "Attach", true },
		{ "queues", "Queues", true },
		{ "mac", "MAC", true },
		{ "mtu", "MTU", true },
		{ "ipv4.address", "IPv4", true },
		{ "ipv4.prefixLength", "Prefix length", true },
		{ "ipv4.gateway", "Gateway", true },
		{ "ipv6.address", "IPv6", true },
		{ "ipv6.gateway", "IPv6 gateway", true },
		{ "dns.servers", "Resolvers", true },
		{ "dns.search", "Search", true },
		{ "kernelIp", "Kernel", true },
		{ 0 },
	};
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 8];
	own_mem char *text = NULL;
	own_json *doc = NULL;
	struct pk_err err = { 0 };
	size_t len;

	snprintf(path, sizeof(path), "%s/%s.json", a->cli->paths.vm, a->name);
	if (pk_fs_read(path, 65536, &text, &len, &err) < 0 ||
	    pk_json_parse(path, text, len, PK_JSON_RELAXED, &doc, &err) < 0)
		return cli_fail(a->cli, &err, CLI_CANNOT);
	if (a->cli->json || a->cli->jsonl)
		cli_json(a->cli, pk_json_root(doc));
	else
		cli_pairs(a->cli, pk_json_root(doc), pairs);
	return CLI_OK;
}

static int attach(struct cli *cli)
{
	PK_OWN(attach_done) struct attach a = { .cli = cli, .name = cli->argv[0], .lock = -1 };
	own_str conf = { 0 };
	struct pk_err err = { 0 };
	int r = attach_declared(cli, &a.declared, &err);

	if (r == 0)
		r = attach_conf(cli, &conf, &err);
	if (r == 0)
		r = begin(&a, &err);
	if (r == 0)
		r = make(&a, conf.text, &err);
	if (r < 0)
		return cli_fail(cli, &err, r == -EALREADY ? CLI_NO : CLI_CANNOT);
	if (a.declared->init)
		fprintf(stderr, "picket: without -tenant %s is in quarantine\n", a.name);
	return show(&a);
}

static int end(const struct attach *a, bool *was_there, struct pk_err *err)
{
	PK_OWN(known_done) struct known k = { 0 };
	int r = look(a, &k, err);

	if (r == 0)
		r = refuse_others(a, &k, err);
	*was_there = k.record || k.begun || k.kept;
	return r == 0 && *was_there ? undo(a, &k, err) : r;
}

static int detach(struct cli *cli)
{
	PK_OWN(attach_done) struct attach a = { .cli = cli, .name = cli->argv[0], .lock = -1 };
	struct pk_err err = { 0 };
	bool was_there = false;
	int r = begin(&a, &err);

	if (r == 0)
		r = end(&a, &was_there, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!cli->quiet)
		printf("%s %s\n", a.name, was_there ? "is detached" : "was not attached");
	return CLI_OK;
}

#define PLUGIN                                                                                     \
	{ "plugin", "FILE",                                                                        \
	  "the plugin; default: picket in /opt/cni/bin, /usr/libexec/cni or "                      \
	  "/usr/lib/cni",                                                                          \
	  0 }
static const struct cli_option attach_options[] = {
	{ "network", "NAME", "which network of /opt/cni/config; needed where there are several",
	  0 },
	{ "conflist", "FILE", "a conflist elsewhere", 0 },
	{ "tenant", "NAME", "its namespace; without one it is in quarantine", 0 },
	{ "label", "KEY=VALUE", "job, group, or a key of your own (meta); may come again", 0 },
	{ "publish", "HOST:GUEST",
	  "publish a port of the node, with /udp behind for other than TCP; may come again", 0 },
	{ "address", "ADDRESS", "this one of the pool", 0 },
	{ "mode", "MODE", "vm, process or host-tap, in place of the conflist's", 0 },
	{ "mtu", "BYTES", "in place of the conflist's", 0 },
	PLUGIN,
	{ 0 },
};
static const struct cli_option detach_options[] = { PLUGIN, { 0 } };

const struct cli_command cli_attach_commands[] = {
	{ "attach", NULL, "NAME", "make an endpoint for a VMM or process that no Nomad starts", 1,
	  1, attach_options, attach, false },
	{ "detach", NULL, "NAME", "end it, and all that attach made", 1, 1, detach_options, detach,
	  false },
	{ 0 },
};
