/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Private to the sweep*.c files. */
#include "lease.h"
#include "nl.h"
#include "sweep.h"

/* A file younger than this may be that of an ADD which is still under way. */
#define PK_SWEEP_AGE_S 120

struct pk_sweep_run {
	struct pk_sweep *sweep;
	struct pk_nl *nl;
	struct pk_nl_link *links; /* of the node's netns, as the sweep began */
	size_t n_links;
	struct pk_record_name *records; /* open ones first */
	size_t n_records;
	struct pk_lease_dir leases;
};

/*
 * Counts it, does it if it may be done and is wanted (remove returns 0 or -errno), tells the
 * caller.
 */
void pk_sweep_report(struct pk_sweep_run *run, struct pk_orphan *orphan,
		     int (*remove)(struct pk_sweep_run *run, void *arg, struct pk_err *err),
		     void *arg);
/*
 * Is a veth of that name there? Another kind is somebody else's. By the list that the sweep began
 * with.
 */
const struct pk_nl_link *pk_sweep_device(const struct pk_sweep_run *run, uint32_t slot);
/* Some record, open or closed, of that slot (ifname NULL: of that container). */
const struct pk_record_name *pk_sweep_record_of(const struct pk_sweep_run *run, const char *owner);
bool pk_sweep_owns_slot(const struct pk_sweep_run *run, const struct pk_record_name *name);

void pk_sweep_slots(struct pk_sweep_run *run);
void pk_sweep_leases(struct pk_sweep_run *run);
void pk_sweep_driver_files(struct pk_sweep_run *run);
void pk_sweep_devices(struct pk_sweep_run *run);
void pk_sweep_files(struct pk_sweep_run *run);
/* The container's lock, without waiting; -EBUSY: an ADD or DEL of it is under way. */
int pk_sweep_lock(const struct pk_sweep *sweep, const char *container_id, int *fd,
		  struct pk_err *err);
void pk_sweep_drop_driver_file(const struct pk_paths *paths, const char *container_id);
