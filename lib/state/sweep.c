/* SPDX-License-Identifier: Apache-2.0 */
/* Records; what is left without a record: sweep_rest.c. */
#include "sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "device.h"
#include "epclear.h"
#include "epfind.h"
#include "eplease.h"
#include "eplock.h"
#include "netns.h"
#include "own.h"
#include "sweep_private.h"
#include "tables.h"

void pk_sweep_report(struct pk_sweep_run *run, struct pk_orphan *orphan,
		     int (*remove)(struct pk_sweep_run *run, void *arg, struct pk_err *err),
		     void *arg)
{
	struct pk_sweep *sweep = run->sweep;
	struct pk_err err = { 0 };

	sweep->n_found++;
	if (sweep->all)
		orphan->removable = true;
	if (orphan->removable && sweep->apply) {
		orphan->removed = remove(run, arg, &err) == 0;
		if (!orphan->removed)
			snprintf(orphan->why, sizeof(orphan->why), "%.*s",
				 (int)sizeof(orphan->why) - 1, err.text);
	}
	sweep->n_removed += orphan->removed;
	if (sweep->found)
		sweep->found(sweep->arg, orphan);
}

bool pk_sweep_device(const struct pk_sweep_run *run, uint32_t slot)
{
	const struct pk_bpf *bpf = run->sweep->bpf;
	const struct pk_host_end end = { .slot = slot };
	struct pk_nl_link link;

	if (!slot || slot > PK_CAPACITY_MAX || (run->host_end && !run->host_end[slot]))
		return false;
	/*
	 * The ifindex that the tables have is proof, and quicker than asking netlink for the rest.
	 */
	if (run->host_end && bpf && slot <= bpf->node.capacity &&
	    run->host_end[slot] == bpf->endpoints[slot].host_ifindex)
		return true;
	return pk_host_end_find(run->nl, &end, &link, NULL) != -ENODEV;
}

/* The witnesses of a record's endpoint. */
struct witness {
	bool device; /* the host end is there, and would go with its netns */
	bool tap;    /* it is a host tap, which would not */
	bool netns;  /* the recorded network namespace is there */
	enum pk_alloc_state alloc;
};

/* The device pk<slot> is this record's unless the tables give the slot to somebody else. */
static bool has_device(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	if (!pk_sweep_device(run, name->slot))
		return false;
	return !bpf || pk_endpoint_owns(bpf, name) || !pk_slot_taken(bpf, name->slot);
}

bool pk_sweep_is_tap(const struct pk_sweep_run *run, uint32_t slot, uint32_t ifindex)
{
	const struct pk_host_end end = { .slot = slot, .ifindex = ifindex };
	struct pk_nl_link link;

	return pk_host_end_find(run->nl, &end, &link, NULL) == 0 && pk_host_end_is_tap(&link);
}

/* Returns the device that the tables have for the record's slot; 0: none. */
static uint32_t ifindex_of(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	return pk_endpoint_owns(bpf, name) ? bpf->endpoints[name->slot].host_ifindex : 0;
}

/* A host tap stays when its netns goes, so it witnesses nothing. */
static bool has_host_tap(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	if (pk_endpoint_owns(bpf, name) && !(bpf->endpoints[name->slot].flags & PK_EP_HOST_TAP))
		return false;
	return name->slot && pk_sweep_is_tap(run, name->slot, ifindex_of(run, name));
}

static bool has_netns(const struct pk_record *record)
{
	ino_t inode;

	return record->netns && pk_netns_inode(record->netns, &inode) == 0 &&
	       inode == record->netns_inode;
}

/* A device is witness enough: nothing else is asked beside it. */
static struct witness ask(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_sweep *sweep = run->sweep;
	struct witness w = { .device = has_device(run, name), .alloc = PK_ALLOC_GONE };
	own_record record = { 0 };

	w.tap = w.device && has_host_tap(run, name);
	w.device &= !w.tap;
	if (w.device || name->closed)
		return w;
	w.netns = pk_record_read(sweep->paths, name, &record, NULL) < 0 || has_netns(&record);
	if (record.declared)
		w.alloc = PK_ALLOC_DECLARED;
	else if (!w.netns && sweep->alloc)
		w.alloc = sweep->alloc(sweep->arg, name->container_id);
	return w;
}

/*
 * A closed record (DEL is recorded) goes with its device. An open one needs device and netns gone
 * and Nomad's word.
 */
static bool may_go(const struct pk_record_name *name, const struct witness *w)
{
	if (w->device)
		return false;
	return name->closed || (!w->netns && w->alloc == PK_ALLOC_GONE);
}

static const char *explain(const struct pk_record_name *name, const struct witness *w)
{
	if (w->tap && !w->netns)
		return name->closed ? "deleted, and its host tap is left"
				    : "its netns is gone, and its host tap is left";
	if (name->closed)
		return w->device ? "deleted, its device is still there"
				 : "deleted, and its device is gone";
	if (w->device || w->netns)
		return w->device ? "its device is there" : "its device is gone, its netns is there";
	if (w->alloc == PK_ALLOC_DECLARED)
		return "device and netns are gone: picket detach gives up what picket attach made";
	if (w->alloc == PK_ALLOC_GONE)
		return "device and netns are gone, and nothing runs it";
	return w->alloc == PK_ALLOC_LIVE ? "device and netns are gone, but Nomad says that it runs"
					 : "device and netns are gone, and Nomad gave no answer";
}

/* Tries the lock without waiting: its holder may be an ADD that waits for this very picketd. */
static int try_lock(const struct pk_sweep *sweep, const char *container_id, int *fd,
		    struct pk_err *err)
{
	int r = pk_endpoint_lock(sweep->paths, container_id, 0, fd, err);

	return r == -ETIMEDOUT ? pk_fail(err, EBUSY, "an ADD or DEL of it is under way") : r;
}

/* The sweep's first look may be old by now: an ADD again may have made the device since. */
static bool is_back(const struct pk_sweep_run *run, const struct pk_record_name *name,
		    const struct pk_record *record)
{
	const struct pk_host_end end = { .slot = name->slot };
	struct pk_nl_link link;

	if (pk_endpoint_owns(run->sweep->bpf, name) && !record->host_tap &&
	    pk_host_end_find(run->nl, &end, &link, NULL) != -ENODEV)
		return true;
	return !name->closed && has_netns(record);
}

static int delete_host_end(const struct pk_sweep_run *run, const struct pk_record_name *name,
			   struct pk_err *err)
{
	const struct pk_host_end end = { .slot = name->slot, .ifindex = ifindex_of(run, name) };

	return has_device(run, name) ? pk_host_end_delete(run->nl, &end, err) : 0;
}

/* The witnesses are asked again under the container's lock: an ADD or a DEL may have come since. */
static int bury(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	const struct pk_record_name *name = arg;
	struct pk_sweep *sweep = run->sweep;
	const struct pk_clear clear = { sweep->paths, sweep->bpf, sweep->deadline_ns };
	own_fd int lock = -1;
	own_record record = { 0 };
	int r = try_lock(sweep, name->container_id, &lock, err);

	if (r == 0 && sweep->all)
		r = delete_host_end(run, name, err);
	if (r < 0)
		return r;
	if (pk_record_read(sweep->paths, name, &record, err) == -ENOENT)
		return 0;
	if (!sweep->all && is_back(run, name, &record))
		return pk_fail(err, EBUSY, "it is there again");
	if (record.host_tap && pk_endpoint_owns(sweep->bpf, name))
		r = delete_host_end(run, name, err);
	return r < 0 ? r : pk_endpoint_clear(&clear, name, err);
}

/* The loader of the tables could not write: the record still has the number of a slot that these
 * tables don't give it. */
static void outlive(struct pk_sweep_run *run, struct pk_record_name *name)
{
	const struct pk_sweep *sweep = run->sweep;
	own_record record = { 0 };
	own_fd int lock = -1;

	if (!sweep->bpf || !sweep->apply || name->closed || !name->slot ||
	    pk_endpoint_owns(sweep->bpf, name) ||
	    try_lock(sweep, name->container_id, &lock, NULL) < 0 ||
	    pk_record_read(sweep->paths, name, &record, NULL) < 0 ||
	    pk_bpf_same_epoch(sweep->bpf, record.epoch))
		return;
	if (pk_record_outlive(sweep->paths, name, NULL) == 0)
		name->slot = 0;
}

static void sweep_record(struct pk_sweep_run *run, struct pk_record_name *name)
{
	struct pk_orphan orphan = { .kind = PK_ORPHAN_RECORD };
	struct witness w;

	outlive(run, name);
	orphan.name = *name;
	w = ask(run, name);

	/* A live endpoint is no orphan. */
	if (!name->closed && (w.device || w.netns) && !run->sweep->all)
		return;
	orphan.removable = may_go(name, &w);
	snprintf(orphan.what, sizeof(orphan.what), "record %s@%s (slot %u)", name->container_id,
		 name->ifname, name->slot);
	snprintf(orphan.why, sizeof(orphan.why), "%s", explain(name, &w));
	pk_sweep_report(run, &orphan, bury, name);
}

static void run_done(struct pk_sweep_run *run)
{
	pk_nl_close(run->nl);
	pk_name_set_free(run->owners);
	pk_name_set_free(run->containers);
	free(run->host_end);
	free(run->records);
}

static int read_devices(struct pk_sweep_run *run, struct pk_err *err)
{
	run->host_end = pk_alloc((PK_CAPACITY_MAX + 1) * sizeof(*run->host_end));
	return pk_host_ends_read(PK_CAPACITY_MAX, run->host_end, err);
}

/* Indexes the owners of records: what is in their names is kept. */
static void index_records(struct pk_sweep_run *run)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];

	for (size_t i = 0; i < run->n_records; i++) {
		const struct pk_record_name *name = &run->records[i];

		pk_name_set_add(&run->owners, pk_record_owner(name, owner));
		pk_name_set_add(&run->containers, name->container_id);
		if (pk_endpoint_owns(run->sweep->bpf, name))
			run->slots[name->slot] = true;
	}
}

static int begin(struct pk_sweep_run *run, struct pk_err *err)
{
	struct pk_sweep *sweep = run->sweep;
	int r = pk_records_list(sweep->paths, &run->records, &run->n_records, err);

	if (r == 0)
		r = read_devices(run, err);
	if (r == 0)
		index_records(run);
	run->leases = pk_leases_now(sweep->paths);
	return r;
}

/*
 * A sweep of closed records alone looks at this many for each one that it may remove, so that
 * records whose device is still there don't hide those whose device is gone.
 */
#define SEEN 4

/* Closed records alone, and few of them: no list of devices and records is made. */
static int sweep_closed(struct pk_sweep_run *run, struct pk_err *err)
{
	struct pk_sweep *sweep = run->sweep;
	own_mem struct pk_record_name *list = pk_alloc(SEEN * sweep->most * sizeof(*list));
	size_t n = pk_records_list_closed(sweep->paths, list, SEEN * (size_t)sweep->most);
	int r = n ? pk_nl_open(&run->nl, err) : 0;

	for (size_t i = 0; r == 0 && i < n && sweep->n_removed < sweep->most; i++)
		sweep_record(run, &list[i]);
	return r;
}

static void sweep_only(struct pk_sweep_run *run)
{
	for (size_t i = 0; i < run->sweep->n_only; i++) {
		struct pk_record_name name = run->sweep->only[i];

		sweep_record(run, &name);
	}
}

static void sweep_parts(struct pk_sweep_run *run, unsigned int parts)
{
	for (size_t i = 0; i < run->n_records; i++)
		if (parts & (run->records[i].closed ? PK_SWEEP_CLOSED : PK_SWEEP_OPEN))
			sweep_record(run, &run->records[i]);
	if (parts & PK_SWEEP_DEVICES)
		pk_sweep_devices(run);
	if (parts & PK_SWEEP_SLOTS)
		pk_sweep_slots(run);
	if (parts & PK_SWEEP_LEASES)
		pk_sweep_leases(run);
	if (!(parts & PK_SWEEP_FILES))
		return;
	pk_sweep_driver_files(run);
	pk_sweep_files(run);
}

static int sweep_whole(struct pk_sweep_run *run, struct pk_err *err)
{
	struct pk_sweep *sweep = run->sweep;
	int r = begin(run, err);

	if (r < 0)
		return r;
	sweep_parts(run, sweep->all ? PK_SWEEP_EVERYTHING : sweep->parts);
	if (sweep->all)
		pk_sweep_uplinks(run);
	if (!sweep->all || !sweep->apply)
		return 0;
	pk_records_unmake(sweep->paths);
	return pk_bpf_unpin_all(sweep->paths, err);
}

int pk_sweep(struct pk_sweep *sweep, struct pk_err *err)
{
	PK_OWN(run_done) struct pk_sweep_run run = { .sweep = sweep };
	int r;

	sweep->n_found = sweep->n_removed = 0;
	if (sweep->most && !sweep->only)
		return sweep_closed(&run, err);
	r = pk_nl_open(&run.nl, err);
	if (r < 0)
		return r;
	if (!sweep->only)
		return sweep_whole(&run, err);
	sweep_only(&run);
	return 0;
}
