/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Directories, locks and leases that the verbs share. Errors: PK_CODE_STATE, PK_CODE_DEADLINE. */
#include <stdint.h>

#include "bpfobj.h"
#include "eplease.h"
#include "epstore.h"
#include "err.h"
#include "netns.h"
#include "paths.h"
#include "result.h"

/* Makes what is missing: endpoints, leases (0700), run (0755), lock (0700), vm (0751), pins (0700).
 */
int cni_state_make(const struct pk_paths *paths, struct pk_err *err);

/* One verb at a time for a container id: /run/picket/lock/<container id>, held until fd is closed.
 */
int cni_lock(const struct pk_paths *paths, const char *container_id, uint64_t deadline_ns, int *fd,
	     struct pk_err *err);
/* Removes the file of a lock that is held: whoever waits for it takes a new one. */
void cni_lock_remove(const struct pk_paths *paths, const char *container_id);

/* The lease directory as of now. bpf NULL: under no epoch. */
struct pk_lease_dir cni_leases(const struct pk_paths *paths, const struct pk_bpf *bpf);
/* 0640 for the tap's group, so that a VMM's driver may read it. */
int cni_driver_file_write(const struct pk_paths *paths, const struct pk_record *rec,
			  const struct cni_attachment *a, struct pk_err *err);
void cni_driver_file_remove(const struct pk_paths *paths, const char *container_id);
/* CNI_NETNS: a network namespace, not the node's own, and no symbolic link. Errors: PK_CODE_ENV. */
int cni_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err);
