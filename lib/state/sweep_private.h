/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the sweep*.c files. */
#include "lease.h"
#include "name_set.h"
#include "nl.h"
#include "picket/limits.h"
#include "sweep.h"

/* A file younger than this may be that of an ADD which is still under way. */
#define PK_SWEEP_AGE_S 120

struct pk_sweep_run {
	struct pk_sweep *sweep;
	struct pk_nl *nl;
	uint32_t *host_end; /* its ifindex by slot, as the sweep began; NULL: asked one by one */
	struct pk_record_name *records; /* open ones first */
	size_t n_records;
	struct pk_name_set *owners;	 /* of the records: "<container id>@<ifname>" */
	struct pk_name_set *containers;	 /* of the records */
	bool slots[PK_CAPACITY_MAX + 1]; /* a record has it */
	struct pk_lease_dir leases;
};

/*
 * Counts a finding, removes it if it may be removed and that is wanted (remove returns 0 or
 * -errno), and tells the caller.
 */
void pk_sweep_report(struct pk_sweep_run *run, struct pk_orphan *orphan,
		     int (*remove)(struct pk_sweep_run *run, void *arg, struct pk_err *err),
		     void *arg);
/* Returns whether the host end of that slot is there, and proven to be one. */
bool pk_sweep_device(const struct pk_sweep_run *run, uint32_t slot);
/* Returns whether it is a host tap. ifindex 0: not known. */
bool pk_sweep_is_tap(const struct pk_sweep_run *run, uint32_t slot, uint32_t ifindex);

void pk_sweep_slots(struct pk_sweep_run *run);
void pk_sweep_leases(struct pk_sweep_run *run);
void pk_sweep_driver_files(struct pk_sweep_run *run);
void pk_sweep_devices(struct pk_sweep_run *run);
void pk_sweep_files(struct pk_sweep_run *run);
void pk_sweep_uplinks(struct pk_sweep_run *run); /* for `all` alone */
