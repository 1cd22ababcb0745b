/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Directories and leases that the verbs share. Errors: PK_CODE_STATE, PK_CODE_DEADLINE. */
#include <stdint.h>

#include "bpfobj.h"
#include "eplease.h"
#include "eplock.h"
#include "epstore.h"
#include "err.h"
#include "netns.h"
#include "paths.h"
#include "result.h"

/*
 * Makes the directories that are missing: endpoints, leases (0700), run (0755), lock (0700), vm
 * (0751), pins (0700).
 */
int cni_state_make(const struct pk_paths *paths, struct pk_err *err);

/* Writes the driver file with mode 0640 and the tap's group, so that a VMM's driver may read it. */
int cni_driver_file_write(const struct pk_paths *paths, const struct pk_record *rec,
			  const struct cni_attachment *a, struct pk_err *err);
/*
 * Opens CNI_NETNS, which must be a network namespace, not the node's own, and no symbolic link.
 * Errors: PK_CODE_ENV.
 */
int cni_netns_open(const char *path, struct pk_netns *ns, struct pk_err *err);
