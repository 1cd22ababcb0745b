/* SPDX-License-Identifier: Apache-2.0 */
/* Leftovers without a record: an ADD that was killed early, a file that outlived its endpoint. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "epclear.h"
#include "fs.h"
#include "own.h"
#include "str.h"
#include "sweep_private.h"
#include "tables.h"
#include "uplink.h"
#include "vxlan.h"

#define OWNER_ROOM (PK_CNI_ID_MAX + PK_IFNAME_MAX + 2)

/* Slots. */

static int free_slot(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	uint32_t slot = *(uint32_t *)arg;
	struct pk_sweep *sweep = run->sweep;
	int r = pk_endpoint_close(sweep->bpf, slot, sweep->deadline_ns, err);

	return r < 0 ? r : pk_slot_free(sweep->bpf, slot, sweep->deadline_ns, err);
}

/* Returns whether the slot may be that of an ADD that is under way. */
static bool is_young_slot(const struct pk_bpf *bpf, uint32_t slot)
{
	return pk_slot_taken(bpf, slot) && pk_slot_age(bpf, slot) <= PK_SWEEP_AGE_S;
}

void pk_sweep_slots(struct pk_sweep_run *run)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	for (uint32_t slot = 1; bpf && slot <= bpf->node.capacity; slot++) {
		struct pk_orphan orphan = { .kind = PK_ORPHAN_SLOT, .name.slot = slot };

		if (!pk_slot_taken(bpf, slot) || pk_sweep_device(run, slot) || run->slots[slot])
			continue;
		orphan.young = is_young_slot(bpf, slot);
		orphan.removable = !orphan.young;
		snprintf(orphan.what, sizeof(orphan.what), "slot %u", slot);
		snprintf(orphan.why, sizeof(orphan.why), "taken, without record and device%s",
			 orphan.removable ? "" : "; too young to tell");
		pk_sweep_report(run, &orphan, free_slot, &slot);
	}
}

/* Files with an owner in them or in their name. */

static bool is_young(const char *path)
{
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	/*
	 * A time in the future means that the clock was set back: nobody can tell the file's age.
	 */
	return stat(path, &st) == 0 && now.tv_sec - st.st_mtim.tv_sec <= PK_SWEEP_AGE_S;
}

struct lease {
	union pk_addr addr;
	char owner[OWNER_ROOM];
	char path[PK_PATH_ROOM + PK_ADDR_TEXT + 2];
};

static int free_lease(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	const struct lease *lease = arg;

	if (!run->sweep->all)
		return pk_lease_free(&run->leases, &lease->addr, lease->owner, err);
	return unlink(lease->path) < 0 && errno != ENOENT ? pk_fail(err, errno, "%s", lease->path)
							  : 0;
}

static int read_lease(const struct pk_sweep_run *run, const union pk_addr *addr,
		      struct lease *lease)
{
	char text[PK_ADDR_TEXT];
	own_mem char *owner = NULL;

	lease->addr = *addr;
	snprintf(lease->path, sizeof(lease->path), "%s/%s", run->sweep->paths->leases,
		 pk_addr_format(addr, text));
	if (pk_fs_read_own(lease->path, OWNER_ROOM - 1, &owner, NULL, NULL) < 0)
		return -ENOENT;
	snprintf(lease->owner, sizeof(lease->owner), "%s", owner);
	return 0;
}

static void sweep_lease(struct pk_sweep_run *run, const union pk_addr *addr)
{
	struct pk_orphan orphan = { .kind = PK_ORPHAN_LEASE };
	char text[PK_ADDR_TEXT];
	struct lease lease;

	if (read_lease(run, addr, &lease) < 0 ||
	    (pk_name_set_has(run->owners, lease.owner) && !run->sweep->all))
		return;
	orphan.young = is_young(lease.path);
	orphan.removable = !orphan.young;
	snprintf(orphan.what, sizeof(orphan.what), "lease %s", pk_addr_format(addr, text));
	snprintf(orphan.why, sizeof(orphan.why), "no record of its owner%s",
		 orphan.removable ? "" : "; too young to tell");
	pk_sweep_report(run, &orphan, free_lease, &lease);
}

/* A sweep of everything drops the marks: no address needs to rest after it. */
static void drop_marks(const struct pk_sweep_run *run)
{
	own_dir DIR *dir = opendir(run->sweep->paths->pools);
	const struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			unlinkat(dirfd(dir), d->d_name, 0);
	rmdir(run->sweep->paths->pools);
}

struct held {
	const struct pk_lease *list;
	size_t n;
};

static int by_addr(const void *key, const void *lease)
{
	return memcmp(key, &((const struct pk_lease *)lease)->addr, sizeof(union pk_addr));
}

/*
 * Returns whether a lease holds the address. The list is sorted, and of one address the held entry
 * comes first.
 */
static bool is_held(void *arg, const union pk_addr *addr)
{
	const struct held *held = arg;
	const struct pk_lease *l =
		held->n ? bsearch(addr, held->list, held->n, sizeof(*l), by_addr) : NULL;

	return l && l->state == PK_LEASE_HELD;
}

static bool is_known(const struct pk_sweep *sweep, const union pk_addr *addr)
{
	return !sweep->all && sweep->holds && sweep->holds(sweep->arg, addr);
}

void pk_sweep_leases(struct pk_sweep_run *run)
{
	own_mem struct pk_lease *list = NULL;
	struct held held;
	size_t n = 0;

	if (pk_leases_read(&run->leases, &list, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (list[i].state == PK_LEASE_HELD && !is_known(run->sweep, &list[i].addr))
			sweep_lease(run, &list[i].addr);
	held = (struct held){ list, n };
	if (run->sweep->apply)
		pk_lease_marks_settle(&run->leases, is_held, &held);
	if (run->sweep->all && run->sweep->apply)
		drop_marks(run);
}

static void driver_path(const struct pk_paths *paths, const char *container_id,
			char path[PK_PATH_ROOM + 256])
{
	snprintf(path, PK_PATH_ROOM + 256, "%s/%.128s.json", paths->vm, container_id);
}

static int drop_driver_file(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	(void)err;
	pk_driver_file_remove(run->sweep->paths, arg);
	return 0;
}

static void sweep_driver_file(struct pk_sweep_run *run, const char *file)
{
	struct pk_orphan orphan = { .kind = PK_ORPHAN_DRIVER_FILE };
	char id[PK_CNI_ID_MAX + 1], path[PK_PATH_ROOM + 256];
	size_t n = strlen(file), tail = strlen(".json");

	if (file[0] == '.' || n <= tail || n - tail > PK_CNI_ID_MAX ||
	    strcmp(file + n - tail, ".json"))
		return;
	memcpy(id, file, n - tail);
	id[n - tail] = '\0';
	if (pk_name_set_has(run->containers, id) && !run->sweep->all)
		return;
	driver_path(run->sweep->paths, id, path);
	orphan.young = is_young(path);
	orphan.removable = !orphan.young;
	snprintf(orphan.what, sizeof(orphan.what), "driver file %s", file);
	snprintf(orphan.why, sizeof(orphan.why), "no record of its container%s",
		 orphan.removable ? "" : "; too young to tell");
	pk_sweep_report(run, &orphan, drop_driver_file, id);
}

void pk_sweep_driver_files(struct pk_sweep_run *run)
{
	own_dir DIR *dir = opendir(run->sweep->paths->vm);
	const struct dirent *d;

	while (dir && (d = readdir(dir)))
		sweep_driver_file(run, d->d_name);
}

/* Files that a killed process was writing. */

static int drop_temp(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	const char *path = arg;

	(void)run;
	return unlink(path) < 0 && errno != ENOENT ? pk_fail(err, errno, "%s", path) : 0;
}

static bool is_temp(const char *name)
{
	return name[0] == '.' && strcmp(name, ".") && strcmp(name, "..");
}

/* A young file belongs to somebody who is at work: it is no leftover. */
static void sweep_temps(struct pk_sweep_run *run, const char *directory)
{
	own_dir DIR *dir = opendir(directory);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct pk_orphan orphan = { .kind = PK_ORPHAN_FILE, .removable = true };
		char path[PK_PATH_ROOM + 256];

		if (!is_temp(d->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, d->d_name);
		if (is_young(path) && !run->sweep->all)
			continue;
		snprintf(orphan.what, sizeof(orphan.what), "file %.180s", d->d_name);
		snprintf(orphan.why, sizeof(orphan.why), "its writing was cut short");
		pk_sweep_report(run, &orphan, drop_temp, path);
	}
}

/* The first release had a lock file for each container, and left some. */
static void sweep_old_locks(struct pk_sweep_run *run)
{
	own_dir DIR *dir = opendir(run->sweep->paths->lock);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct pk_orphan orphan = { .kind = PK_ORPHAN_FILE, .removable = true };
		char path[PK_PATH_ROOM + 256];

		if (d->d_name[0] == '.' || !strcmp(d->d_name, PK_LOCK_NODE) ||
		    !strcmp(d->d_name, PK_LOCK_ENDPOINTS))
			continue;
		snprintf(path, sizeof(path), "%s/%s", run->sweep->paths->lock, d->d_name);
		if (is_young(path) && !run->sweep->all)
			continue;
		snprintf(orphan.what, sizeof(orphan.what), "lock %.180s", d->d_name);
		snprintf(orphan.why, sizeof(orphan.why), "no lock has a file of its own any more");
		pk_sweep_report(run, &orphan, drop_temp, path);
	}
}

void pk_sweep_files(struct pk_sweep_run *run)
{
	const struct pk_paths *paths = run->sweep->paths;

	sweep_temps(run, paths->endpoints);
	sweep_temps(run, paths->leases);
	sweep_temps(run, paths->vm);
	sweep_temps(run, paths->pools);
	sweep_old_locks(run);
}

/* Devices. */

static int delete_device(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	return pk_host_end_delete(run->nl, arg, err);
}

/* Some record names that slot, whoever has it now. */
static void mark_named(const struct pk_sweep_run *run, bool named[PK_CAPACITY_MAX + 1])
{
	for (size_t i = 0; i < run->n_records; i++)
		named[run->records[i].slot] = true;
}

/*
 * A host tap without a record was handed to nobody. The slot of an ADD that is under way is young.
 */
static bool is_left_tap(const struct pk_sweep_run *run, uint32_t slot)
{
	const struct pk_bpf *bpf = run->sweep->bpf;

	if (!bpf || slot > bpf->node.capacity || !pk_sweep_is_tap(run, slot, 0))
		return false;
	return !is_young_slot(bpf, slot);
}

void pk_sweep_devices(struct pk_sweep_run *run)
{
	const struct pk_bpf *bpf = run->sweep->bpf;
	bool named[PK_CAPACITY_MAX + 1] = { 0 };

	mark_named(run, named);
	for (uint32_t slot = 1; slot <= PK_CAPACITY_MAX; slot++) {
		struct pk_host_end end = { .slot = slot, .ifindex = run->host_end[slot] };
		struct pk_orphan orphan = { .kind = PK_ORPHAN_DEVICE, .name.slot = slot };

		if (!end.ifindex || (named[slot] && !run->sweep->all) ||
		    !pk_sweep_device(run, slot))
			continue;
		orphan.young = bpf && slot <= bpf->node.capacity && is_young_slot(bpf, slot);
		orphan.removable = is_left_tap(run, slot);
		snprintf(orphan.what, sizeof(orphan.what), "device pk%u", slot);
		snprintf(orphan.why, sizeof(orphan.why), "%s",
			 orphan.removable
				 ? "no record names it, a host tap"
				 : "no record names it; it goes with its netns, or with -all");
		pk_sweep_report(run, &orphan, delete_device, &end);
	}
}

static int clear_uplink(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	return pk_uplink_clear(run->nl, arg, err);
}

static int clear_overlay(struct pk_sweep_run *run, void *arg, struct pk_err *err)
{
	(void)arg;
	return pk_vxlan_delete(run->nl, err);
}

static void sweep_overlay(struct pk_sweep_run *run)
{
	struct pk_orphan orphan = { .kind = PK_ORPHAN_UPLINK };
	struct pk_nl_link link;

	if (pk_vxlan_find(run->nl, &link, NULL) < 0)
		return;
	snprintf(orphan.what, sizeof(orphan.what), "overlay device %s", link.name);
	snprintf(orphan.why, sizeof(orphan.why), "the node's own; it goes with -all");
	pk_sweep_report(run, &orphan, clear_overlay, NULL);
}

void pk_sweep_uplinks(struct pk_sweep_run *run)
{
	own_mem struct pk_nl_link *links = NULL;
	size_t n = 0;

	if (pk_other_links(run->nl, &links, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct pk_orphan orphan = { .kind = PK_ORPHAN_UPLINK };

		if (!pk_uplink_has_program(run->nl, &links[i]))
			continue;
		snprintf(orphan.what, sizeof(orphan.what), "program at uplink %s", links[i].name);
		snprintf(orphan.why, sizeof(orphan.why), "the node's own; it goes with -all");
		pk_sweep_report(run, &orphan, clear_uplink, &links[i]);
	}
	sweep_overlay(run);
}
