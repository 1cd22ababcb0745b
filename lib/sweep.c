/* SPDX-License-Identifier: GPL-2.0-only */
/* Records; what is left without a record: sweep_rest.c. */
#include "sweep.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "eplease.h"
#include "fault.h"
#include "fs.h"
#include "netns.h"
#include "own.h"
#include "sweep_parts.h"
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

const struct pk_nl_link *pk_sweep_device(const struct pk_sweep_run *run, uint32_t slot)
{
	char name[16];

	snprintf(name, sizeof(name), "pk%u", slot);
	for (size_t i = 0; i < run->n_links; i++)
		if (!strcmp(run->links[i].name, name) && !strcmp(run->links[i].kind, "veth"))
			return &run->links[i];
	return NULL;
}

const struct pk_record_name *pk_sweep_record_of(const struct pk_sweep_run *run, const char *owner)
{
	char text[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];

	for (size_t i = 0; i < run->n_records; i++)
		if (!strcmp(pk_record_owner(&run->records[i], text), owner))
			return &run->records[i];
	return NULL;
}

bool pk_sweep_owns_slot(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	const struct pk_bpf *bpf = run->sweep->bpf;

	return bpf && pk_slot_of(bpf, pk_record_owner(name, owner), name->slot - 1) == name->slot;
}

/* The witnesses of a record's endpoint. */
struct witness {
	bool device; /* the host end is there */
	bool netns;  /* the recorded network namespace is there */
	enum pk_alloc_state alloc;
};

/* The device pk<slot> is this record's unless the tables give the slot to somebody else. */
static bool has_device(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	if (!pk_sweep_device(run, name->slot))
		return false;
	return !bpf || pk_sweep_owns_slot(run, name) || !pk_slot_taken(bpf, name->slot);
}

static struct witness ask(const struct pk_sweep_run *run, const struct pk_record_name *name)
{
	const struct pk_sweep *sweep = run->sweep;
	struct witness w = { .device = has_device(run, name), .alloc = PK_ALLOC_GONE };
	own_record record = { 0 };
	ino_t inode;

	if (pk_record_read(sweep->paths, name, &record, NULL) < 0)
		w.netns = true;
	else
		w.netns = record.netns && pk_netns_inode(record.netns, &inode) == 0 &&
			  inode == record.netns_inode;
	if (!name->closed && sweep->alloc)
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
	if (name->closed)
		return w->device ? "deleted, its device is still there"
				 : "deleted, and its device is gone";
	if (w->device || w->netns)
		return w->device ? "its device is there" : "its device is gone, its netns is there";
	if (w->alloc == PK_ALLOC_GONE)
		return "device and netns are gone, and nothing runs it";
	return w->alloc == PK_ALLOC_LIVE ? "device and netns are gone, but Nomad says that it runs"
					 : "device and netns are gone, and Nomad gave no answer";
}

/*
 * Never waits: whoever holds it may be an ADD that waits for picketd, whose sweep this may be. A
 * lock file that was unlinked by its last holder counts as held.
 */
int pk_sweep_lock(const struct pk_sweep *sweep, const char *container_id, int *fd,
		  struct pk_err *err)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 2];
	struct stat held, named;
	own_fd int lock = -1;
	int r = pk_fs_mkdirs(sweep->paths->lock, 0700, err);

	snprintf(path, sizeof(path), "%s/%s", sweep->paths->lock, container_id);
	if (r == 0)
		r = pk_fs_lock(path, 0, &lock, err);
	if (r == -ETIMEDOUT)
		return pk_fail(err, EBUSY, "an ADD or DEL of it is under way");
	if (r < 0)
		return r;
	if (fstat(lock, &held) < 0 || stat(path, &named) < 0 || held.st_ino != named.st_ino)
		return pk_fail(err, EBUSY, "an ADD or DEL of it is under way");
	*fd = PK_MOVE(lock, -1);
	return 0;
}

/* Removes the container's lock file with its last record. The lock is held. */
static void drop_lock_file(const struct pk_sweep *sweep, const struct pk_record_name *name)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 2];
	struct pk_record_name open;

	if (pk_record_find(sweep->paths, name->container_id, name->ifname, &open, NULL) != -ENOENT)
		return;
	snprintf(path, sizeof(path), "%s/%s", sweep->paths->lock, name->container_id);
	unlink(path);
}

static int delete_device(struct pk_sweep_run *run, uint32_t slot, struct pk_err *err)
{
	struct pk_nl_link link;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "pk%u", slot);
	r = pk_nl_link(run->nl, 0, name, &link, err);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	pk_nl_delete(run->nl, link.ifindex);
	r = pk_nl_send(run->nl, err);
	return r == -ENODEV ? 0 : r;
}

static int free_slot(struct pk_sweep_run *run, const struct pk_record_name *name,
		     struct pk_err *err)
{
	struct pk_sweep *sweep = run->sweep;
	int r = pk_endpoint_close(sweep->bpf, name->slot, sweep->deadline_ns, err);

	return r < 0 ? r : pk_slot_free(sweep->bpf, name->slot, sweep->deadline_ns, err);
}

/* The sweep's first look may be old by now: an ADD again may have made the device since. */
static bool is_back(const struct pk_sweep_run *run, const struct pk_record_name *name,
		    const struct pk_record *record)
{
	char host[16];
	ino_t inode;

	snprintf(host, sizeof(host), "pk%u", name->slot);
	if (pk_sweep_owns_slot(run, name) && if_nametoindex(host))
		return true;
	return !name->closed && record->netns && pk_netns_inode(record->netns, &inode) == 0 &&
	       inode == record->netns_inode;
}

/* Under the container's lock the witnesses are asked again: an ADD or a DEL may have come since. */
static int bury(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	const struct pk_record_name *name = arg;
	struct pk_sweep *sweep = run->sweep;
	own_fd int lock = -1;
	own_record record = { 0 };
	struct pk_record_name other;
	int r = pk_sweep_lock(sweep, name->container_id, &lock, err);

	if (r == 0 && sweep->all && has_device(run, name))
		r = delete_device(run, name->slot, err);
	if (r < 0)
		return r;
	if (pk_record_read(sweep->paths, name, &record, err) == -ENOENT)
		return 0;
	if (!sweep->all && is_back(run, name, &record))
		return pk_fail(err, EBUSY, "it is there again");
	if (pk_sweep_owns_slot(run, name))
		r = free_slot(run, name, err);
	pk_fault("sweep-slot-freed");
	if (r == 0)
		r = pk_leases_give_back(sweep->paths, &run->leases, name, err);
	if (r < 0)
		return r;
	r = pk_record_delete(sweep->paths, name, err);
	if (r < 0)
		return r;
	if (pk_record_find(sweep->paths, name->container_id, name->ifname, &other, NULL) == -ENOENT)
		pk_sweep_drop_driver_file(sweep->paths, name->container_id);
	drop_lock_file(sweep, name);
	return 0;
}

static void sweep_record(struct pk_sweep_run *run, struct pk_record_name *name)
{
	struct witness w = ask(run, name);
	struct pk_orphan orphan = { .kind = PK_ORPHAN_RECORD, .name = *name };

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
	free(run->links);
	free(run->records);
}

static int begin(struct pk_sweep_run *run, struct pk_err *err)
{
	struct pk_sweep *sweep = run->sweep;
	int r = pk_records_list(sweep->paths, &run->records, &run->n_records, err);

	if (r == 0)
		r = pk_nl_open(&run->nl, err);
	if (r == 0)
		r = pk_nl_links(run->nl, &run->links, &run->n_links, err);
	run->leases = pk_leases_now(sweep->paths, sweep->bpf ? &sweep->bpf->node : NULL);
	return r;
}

static bool any_closed(const struct pk_sweep *sweep)
{
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;

	return pk_records_list(sweep->paths, &list, &n, NULL) == 0 && n && list[n - 1].closed;
}

int pk_sweep(struct pk_sweep *sweep, struct pk_err *err)
{
	PK_OWN(run_done) struct pk_sweep_run run = { .sweep = sweep };
	int r;

	sweep->n_found = sweep->n_removed = 0;
	if (sweep->closed_only && !any_closed(sweep))
		return 0;
	r = begin(&run, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < run.n_records; i++)
		if (!sweep->closed_only || run.records[i].closed)
			sweep_record(&run, &run.records[i]);
	if (sweep->closed_only)
		return 0;
	pk_sweep_devices(&run);
	pk_sweep_slots(&run);
	pk_sweep_leases(&run);
	pk_sweep_driver_files(&run);
	pk_sweep_files(&run);
	if (sweep->all && sweep->apply)
		r = pk_bpf_unpin_all(sweep->paths, err);
	return r;
}
