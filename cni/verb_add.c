/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD, step by step. Each step is undone when a later one fails. A process may be killed after any
 * step: the next ADD or DEL of the container id, or the sweep, mends that (state.md, "Life and
 * death"). No packet of the endpoint reaches anything before cni_endpoint_open.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "add.h"
#include "epclear.h"
#include "fault.h"
#include "fs.h"
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
	pk_label_set_free(add->declared);
	pk_bpf_close(add->bpf);
	if (add->lock >= 0)
		close(add->lock);
	pk_netns_close(&add->ns);
	pk_settings_done(&add->settings);
	cni_args_done(&add->args);
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
	int r = cni_add_gather(&add, err);

	if (r < 0)
		return r;
	strcpy(add.name.container_id, call->env.container_id);
	strcpy(add.name.ifname, call->env.ifname);
	pk_record_owner(&add.name, add.owner);
	r = enter(&add, err);
	if (r == 0)
		r = cni_add_previous(&add, &answered, out, err);
	if (r < 0 || answered)
		return r;
	add.plumb.deadline_ns = call->deadline_ns;
	r = make(&add, out, err);
	if (r == 0)
		cni_add_confirm(&add);
	pk_fault("add-confirmed");
	return r;
}
