/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD, step by step. Each step is undone when a later one fails. A process may be killed after any
 * step: the next ADD or DEL of the container id, or the sweep, mends that (state.md, "Life and
 * death"). No packet of the endpoint reaches anything before cni_endpoint_open.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "add.h"
#include "epclear.h"
#include "epfind.h"
#include "fault.h"
#include "fs.h"
#include "log.h"
#include "node.h"
#include "own.h"
#include "state.h"
#include "sweep.h"
#include "txn.h"

#define FREE_SOME 16

static void add_done(struct cni_add *add)
{
	cni_plumb_close(&add->plumb);
	pk_record_done(&add->rec);
	pk_label_set_free(add->set);
	pk_bpf_close(add->bpf);
	if (add->lock >= 0)
		close(add->lock);
	pk_netns_close(&add->ns);
	pk_settings_done(&add->settings);
	cni_args_done(&add->args);
}

static int job_limits(struct cni_add *add, struct pk_err *err)
{
	own_json *doc = NULL;
	int r;

	if (!add->args.limits)
		return 0;
	r = pk_json_parse("picket.limits", add->args.limits, strlen(add->args.limits), 0, &doc,
			  err);
	if (r == 0)
		r = pk_limits_read(doc, pk_json_root(doc), &add->job_limits, err);
	if (r < 0) {
		err->code = PK_CODE_ARGS;
		return pk_fix(err, r, "write it as {\"bytesPerSecond\":1000000}");
	}
	return 0;
}

/* Of a network with a pool of its own endpoints get none of the claimed blocks, nor of its pool. */
static int choose_claimed(struct cni_add *add, struct pk_err *err)
{
	int r;

	if (add->call->conf.n_pools) {
		r = pk_fail(err, EINVAL,
			    "the conflist names a \"pool\", and this node claims its blocks");
		pk_fix(err, r, "drop \"pool\", or \"claim\" from \"blocks\" of picketd.json");
		return pk_code(err, r, PK_CODE_CONFIG);
	}
	add->pool = add->settings.blocks;
	add->n_pools = add->settings.n_blocks;
	return pk_settings_check_blocks(&add->settings, time(NULL), err);
}

static int choose_pool(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	int r;

	if (add->settings.claimed)
		return choose_claimed(add, err);
	add->pool = conf->pool;
	add->n_pools = conf->n_pools;
	if (conf->n_pools)
		return 0;
	if (add->no_policy) {
		r = pk_fail(err, 0,
			    "no \"pool\", and node.json, which may name blocks, can't be read");
		return pk_fix(err, pk_code(err, r, PK_CODE_TRY_LATER),
			      "restart picketd, which writes it");
	}
	pk_fail(err, 0, "the conflist names no \"pool\" and this node has no block");
	pk_fix(err, 0,
	       "say \"pool\": \"10.40.7.0/24\", another block on each node, or let picketd claim "
	       "one (\"blocks\" of picketd.json)");
	return pk_code(err, -EINVAL, PK_CODE_CONFIG);
}

/* A node has one baseline; status of picketd says where networks' conflists differ. */
static int check_baseline(const struct cni_call *call, const struct pk_settings *s,
			  struct pk_err *err)
{
	int r;

	if (!s->baseline_differs || call->conf.baseline == s->baseline)
		return 0;
	r = pk_fail(err, EINVAL,
		    "this network's baseline is \"%s\", another one's of this node is \"%s\"",
		    pk_baseline_name(call->conf.baseline), pk_baseline_name(s->baseline));
	pk_fix(err, r, "say the same \"baseline\" in both conflists, or say it in picketd.json");
	return pk_code(err, r, PK_CODE_CONFIG);
}

/* Nomad below 1.9.4 names no namespace, and on 1.8.2 to 1.9.3 a job's own args could name one. */
static void judge_args(struct cni_add *add)
{
	const enum pk_args_word word = pk_settings_args_word(&add->settings);
	const char *version = add->settings.nomad_version;

	add->unproven = word != PK_ARGS_BELIEVED;
	if (!add->unproven)
		return;
	log_warn("op=add container=%s err=\"Nomad's agent is %s: CNI_ARGS are not believed\" "
		 "starting in quarantine until Nomad's record says the namespace",
		 add->call->env.container_id,
		 word == PK_ARGS_UNKNOWN ? "of a version that picketd doesn't know" : version);
}

/* Reads all input, before anything is made. */
static int gather(struct cni_add *add, struct pk_err *err)
{
	struct cni_call *call = add->call;
	struct pk_err seen = { 0 }, note = { 0 };
	int r = cni_args_parse(call->env.args, call->env.container_id, call->conf.job_args,
			       &add->args, err);

	if (r == 0)
		r = job_limits(add, err);
	if (r == 0)
		r = cni_netns_open(call->env.netns, &add->ns, err);
	if (r < 0)
		return pk_code(err, r, PK_CODE_ENV);
	if (!cni_dns_fill(&call->conf, &call->paths, &note))
		log_warn("op=add container=%s err=\"%s\" fix=\"%s\"", call->env.container_id,
			 note.text, note.fix);
	if (cni_settings(&call->conf, &add->args, &call->paths, &add->settings, &seen) < 0) {
		log_warn("op=add container=%s err=\"%s\" starting in quarantine",
			 call->env.container_id, seen.text);
		add->no_policy = true;
	}
	judge_args(add);
	r = choose_pool(add, err);
	if (r == 0)
		r = check_baseline(call, &add->settings, err);
	if (r < 0)
		return r;
	if (add->settings.baseline == PK_BASELINE_OPEN)
		log_warn("op=add container=%s baseline=open: nothing is fenced but spoofing",
			 call->env.container_id);
	return 0;
}

/*
 * Adds the ADD's blocks to the tables: the first load may have known another conflist, and picketd
 * tells the plugin of a claimed block before it tells the tables. Pools of picketd.json come before
 * the conflist's.
 */
static int add_pools(struct cni_add *add, struct pk_err *err)
{
	int r = 0;

	if ((add->settings.pools_given && !add->settings.claimed) || add->bpf->loaded)
		return 0;
	for (size_t i = 0; i < add->n_pools && r == 0; i++)
		r = pk_pool_add(add->bpf, &add->pool[i], add->call->deadline_ns, err);
	return r;
}

/*
 * The first ADD of a node loads the programs, and gets more time for it: were a slow verifier's
 * work thrown away at the usual deadline, no retry would ever succeed. Other ADDs wait for the
 * loader until their own deadline.
 */
static int load(struct cni_add *add, struct pk_err *err)
{
	struct cni_call *call = add->call;
	uint64_t wait_until = call->deadline_ns;
	int r = pk_bpf_open(&add->bpf, &call->paths, PK_BPF_READ, NULL, wait_until, err);

	if (r != -ENOENT)
		return r;
	*err = (struct pk_err){ 0 };
	cni_deadline_start(call, cni_deadline_of_load(&call->conf));
	r = pk_bpf_open(&add->bpf, &call->paths, PK_BPF_LOAD, &add->settings, wait_until, err);
	if (r == 0)
		cni_deadline_start(call, call->conf.deadline_ms);
	return r;
}

static int open_plumb(struct cni_add *add, struct pk_err *err)
{
	add->plumb.bpf = add->bpf;
	add->plumb.ns = &add->ns;
	add->plumb.record = &add->rec;
	return cni_plumb_open(&add->plumb, err);
}

/* Makes directories, takes the lock, opens programs and maps. */
static int enter(struct cni_add *add, struct pk_err *err)
{
	struct cni_call *call = add->call;
	int r = cni_state_make(&call->paths, err);

	if (r == 0)
		r = pk_endpoint_lock(&call->paths, call->env.container_id, call->deadline_ns,
				     &add->lock, err);
	pk_fault("add-locked");
	if (r == 0)
		r = load(add, err);
	pk_fault("add-loaded");
	if (r == 0)
		r = add_pools(add, err);
	if (r == 0)
		r = open_plumb(add, err);
	if (r == 0)
		r = cni_add_uplinks(add, err);
	pk_fault("add-uplinks");
	if (r == 0)
		r = cni_in_time(call, "load or wait for the programs", err);
	return r;
}

/*
 * Where no picketd sweeps, each ADD frees a few closed endpoints whose device is gone: more than
 * the one that it makes, and few enough to take no time.
 */
static int free_some(struct cni_add *add, struct pk_err *err)
{
	struct pk_sweep sweep = { .paths = &add->call->paths,
				  .bpf = add->bpf,
				  .apply = true,
				  .parts = PK_SWEEP_CLOSED,
				  .most = FREE_SOME,
				  .deadline_ns = add->call->deadline_ns };

	return pk_sweep(&sweep, err);
}

int cni_add_make_room(struct cni_add *add, struct pk_err *err)
{
	struct pk_sweep sweep = { .paths = &add->call->paths,
				  .bpf = add->bpf,
				  .apply = true,
				  .parts = PK_SWEEP_RECORDS,
				  .deadline_ns = add->call->deadline_ns };
	int r;

	if (add->made_room)
		return -ENOSPC;
	add->made_room = true;
	r = pk_sweep(&sweep, err);
	return r < 0 ? r : 0;
}

/* Returns whether the record's endpoint is open in this netns, with or without its devices. */
static bool is_alive(const struct cni_add *add, const struct pk_record *rec)
{
	return rec->netns_inode == add->ns.inode && cni_endpoint_owns(add->bpf, rec) &&
	       pk_word(add->bpf, rec->slot);
}

/* ADD again in the same netns mends the endpoint and gives the answer of the first time. */
static int repeat(struct cni_add *add, struct pk_record *rec, struct pk_str *out,
		  struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	struct cni_attachment attachment;
	own_plumb plumb = CNI_PLUMB_NONE;
	char host[16];
	int r;

	plumb.bpf = add->bpf;
	plumb.ns = &add->ns;
	plumb.record = rec;
	r = cni_plumb_open(&plumb, err);
	if (r == 0)
		r = cni_endpoint_repair(add->bpf, &plumb, &add->settings, add->call->deadline_ns,
					err);
	/* The driver file may be missing: an ADD was killed after opening, or /run was cleared. */
	cni_attachment_of(rec, &conf->dns, host, &attachment);
	if (r == 0)
		r = cni_driver_file_write(&add->call->paths, rec, &attachment, err);
	if (r < 0)
		return r;
	if (rec->version && rec->result && !strcmp(rec->version, cni_version_name(conf->version))) {
		pk_str_add(out, rec->result);
		pk_str_add(out, "\n");
		return 0;
	}
	return cni_result(&attachment, conf->version, conf->prev_result, out, err);
}

/*
 * Closes an old endpoint that is half-built (killed before its word) or in an earlier netns, and
 * deletes devices that never opened, so that eth0's name is free.
 */
static int replace(struct cni_add *add, const struct pk_record_name *name, struct pk_record *rec,
		   struct pk_err *err)
{
	const struct cni_call *call = add->call;
	bool never_opened = cni_endpoint_owns(add->bpf, rec) && !pk_word(add->bpf, rec->slot);
	own_plumb plumb = CNI_PLUMB_NONE;

	add->keep4 = rec->ipv4;
	add->keep6 = rec->ipv6;
	/* A reboot has ended the old endpoint: its device and numbers are gone. */
	add->has_stale = !name->slot || !pk_bpf_same_epoch(add->bpf, rec->epoch);
	add->stale = *name;
	if (add->has_stale)
		return 0;
	plumb.bpf = add->bpf;
	plumb.record = rec;
	plumb.ns = rec->netns_inode == add->ns.inode ? &add->ns : NULL;
	if (never_opened && cni_plumb_open(&plumb, err) == 0)
		cni_plumb_drop(&plumb);
	return cni_endpoint_del(&call->paths, add->bpf, name, call->deadline_ns, err);
}

/*
 * Clears what an ADD left that was killed before its record: Nomad tries again in the same netns,
 * where the tap may still be.
 */
static int forget(struct cni_add *add, struct pk_err *err)
{
	char tap[PK_IFNAME_MAX + 1];
	struct cni_leftover left = { .paths = &add->call->paths,
				     .bpf = add->bpf,
				     .who = &add->name,
				     .ns = &add->ns,
				     .in_the_way = true,
				     .deadline_ns = add->call->deadline_ns };

	if (!pk_slot_of(add->bpf, add->owner, 0))
		return 0;
	snprintf(tap, sizeof(tap), "%s", cni_tap_name(&add->args));
	if (!add->call->conf.process && !add->call->conf.host_tap)
		left.tap = tap;
	return cni_endpoint_forget(&left, err);
}

/*
 * Deals with what an earlier ADD of this container id left. Sets *answered where that endpoint
 * lives; out then has the answer.
 */
static int previous(struct cni_add *add, bool *answered, struct pk_str *out, struct pk_err *err)
{
	const struct cni_call *call = add->call;
	struct pk_record_name name;
	own_record rec = { 0 };
	int r = pk_endpoint_find(&call->paths, add->bpf, call->env.container_id, call->env.ifname,
				 &name, err);

	if (r == -ENOENT) {
		*err = (struct pk_err){ 0 };
		return forget(add, err);
	}
	if (r == 0)
		r = pk_record_read(&call->paths, &name, &rec, err);
	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	*answered = is_alive(add, &rec);
	if (*answered)
		return repeat(add, &rec, out, err);
	r = replace(add, &name, &rec, err);
	pk_fault("add-replaced");
	/* A killed ADD since the reboot may have left slot and leases beside the old record. */
	return r < 0 ? r : forget(add, err);
}

static void undo_slot(void *arg)
{
	struct cni_add *add = arg;

	pk_slot_free(add->bpf, add->name.slot, pk_now_ns() + 100000000, NULL);
}

static void undo_addresses(void *arg)
{
	cni_add_addresses_undo(arg);
}

static void undo_devices(void *arg)
{
	struct cni_add *add = arg;

	cni_plumb_drop(&add->plumb);
}

static void undo_record(void *arg)
{
	struct cni_add *add = arg;

	pk_record_delete(&add->call->paths, &add->name, NULL);
}

static void undo_open(void *arg)
{
	struct cni_add *add = arg;

	pk_endpoint_close(add->bpf, add->name.slot, pk_now_ns() + 100000000, NULL);
	pk_driver_file_remove(&add->call->paths, add->rec.container_id);
}

static int take_slot(struct cni_add *add, struct pk_err *err)
{
	const uint64_t until_ns = add->call->deadline_ns;
	int r = pk_slot_take(add->bpf, add->owner, until_ns, &add->name.slot, err);

	if (r == -ENOSPC && cni_add_make_room(add, NULL) == 0) {
		*err = (struct pk_err){ 0 };
		r = pk_slot_take(add->bpf, add->owner, until_ns, &add->name.slot, err);
	}
	if (r < 0)
		return pk_fix(err, pk_code(err, r, PK_CODE_CAPACITY),
			      "raise picketd's \"capacity\" and reboot, or stop something here");
	return 0;
}

/* Takes slot, numbers, rule set and addresses: everything but devices. */
static int allot(struct cni_add *add, struct pk_txn *txn, struct pk_err *err)
{
	int r = take_slot(add, err);

	if (r < 0)
		return r;
	pk_txn_add(txn, undo_slot, add);
	pk_fault("add-slot");
	r = cni_add_policy(add, err);
	pk_fault("add-policy");
	if (r == 0)
		r = cni_add_record(add, err);
	if (r < 0)
		return r;
	pk_txn_add(txn, undo_addresses, add);
	r = cni_add_addresses(add, err);
	return r == 0 ? cni_in_time(add->call, "make the policy and choose addresses", err) : r;
}

/* Makes devices in state.md's order: maps with the word closed, programs, up, one packet. */
static int build(struct cni_add *add, struct pk_txn *txn, struct pk_err *err)
{
	int r;

	r = cni_plumb_names_free(&add->plumb, err);
	if (r < 0)
		return r;
	pk_txn_add(txn, undo_devices, add);
	r = cni_plumb_make(&add->plumb, err);
	pk_fault("add-made");
	if (r == 0)
		r = cni_endpoint_write(add->bpf, &add->rec, &add->settings, err);
	pk_fault("add-written");
	if (r == 0)
		r = cni_plumb_guard(&add->plumb, err);
	pk_fault("add-guarded");
	if (r == 0)
		r = cni_in_time(add->call, "make the devices", err);
	if (r == 0)
		r = cni_plumb_up(&add->plumb, err);
	pk_fault("add-up");
	if (r == 0)
		r = cni_plumb_test(&add->plumb, err);
	pk_fault("add-tested");
	return r;
}

/*
 * Drops the record from before a reboot, which keeps the address for the next try if this ADD
 * fails. It goes when the new endpoint lacks only its record: should this ADD be killed then, the
 * next one finds everything by slot and leases.
 */
static int write_record(struct cni_add *add, struct pk_err *err)
{
	const struct pk_paths *paths = &add->call->paths;
	int r = 0;

	if (add->has_stale)
		r = pk_record_delete(paths, &add->stale, err);
	pk_fault("add-stale-gone");
	if (r == 0)
		r = pk_record_write(paths, &add->rec, err);
	pk_fault("add-recorded");
	return pk_code(err, r, PK_CODE_STATE);
}

/* Writes the record, from which on DEL knows the endpoint, and then the word. */
static int commit(struct cni_add *add, struct pk_txn *txn, struct pk_str *out, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	struct cni_attachment attachment;
	char host[16];
	int r;

	cni_attachment_of(&add->rec, &conf->dns, host, &attachment);
	r = cni_result(&attachment, conf->version, conf->prev_result, out, err);
	if (r < 0)
		return r;
	add->rec.result = strndup(out->text, out->len - 1);
	pk_txn_add(txn, undo_record, add);
	r = write_record(add, err);
	if (r < 0)
		return r;
	pk_txn_add(txn, undo_open, add);
	r = cni_add_open(add, err);
	pk_fault("add-opened");
	if (r == 0)
		r = cni_driver_file_write(&add->call->paths, &add->rec, &attachment, err);
	pk_fault("add-driver-file");
	return r;
}

static int make(struct cni_add *add, struct pk_str *out, struct pk_err *err)
{
	PK_OWN(pk_txn_end) struct pk_txn txn = { 0 };
	int r = free_some(add, err);

	pk_fault("add-swept");
	if (r == 0)
		r = allot(add, &txn, err);
	if (r == 0)
		r = build(add, &txn, err);
	if (r == 0)
		r = commit(add, &txn, out, err);
	txn.keep = r == 0;
	return r;
}

int cni_verb_add(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	PK_OWN(add_done)
	struct cni_add add = {
		.call = call, .lock = -1, .ns = PK_NETNS_NONE, .plumb = CNI_PLUMB_NONE
	};
	bool answered = false;
	int r = gather(&add, err);

	if (r < 0)
		return r;
	strcpy(add.name.container_id, call->env.container_id);
	strcpy(add.name.ifname, call->env.ifname);
	pk_record_owner(&add.name, add.owner);
	r = enter(&add, err);
	if (r == 0)
		r = previous(&add, &answered, out, err);
	if (r < 0 || answered)
		return r;
	add.plumb.deadline_ns = call->deadline_ns;
	r = make(&add, out, err);
	if (r == 0)
		cni_add_confirm(&add);
	pk_fault("add-confirmed");
	return r;
}
