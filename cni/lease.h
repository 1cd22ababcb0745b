/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Lease files: one an address, named by it, its content the owner ("<container id>@<ifname>").
 * Made by link(2), so that a lease never exists without its owner in it and two ADDs never get
 * one address. Not synced: rebuilt from the records. Freed = renamed to
 * "<address>.<boot time, s>.<epoch>", which rests CNI_REST_S and counts under its epoch only.
 */
#include <stdint.h>

#include "err.h"
#include "ipam.h"

struct cni_lease_dir {
	const char *path;
	uint64_t now_s;		/* CLOCK_BOOTTIME */
	uint64_t epoch[2];	/* of the node; a rest under another one is over */
};

/* Reads and sorts all leases (caller frees); removes the names whose rest is over. */
int cni_leases_read(const struct cni_lease_dir *dir, struct cni_lease **out, size_t *n,
		    struct pk_err *err);
/* -EEXIST: held by another, or already by this owner. */
int cni_lease_take(const struct cni_lease_dir *dir, const union pk_addr *addr, const char *owner,
		   struct pk_err *err);
/* 1 held by owner, 0 by another or nobody, -errno. */
int cni_lease_is(const struct cni_lease_dir *dir, const union pk_addr *addr, const char *owner,
		 struct pk_err *err);
/* Puts the address to rest if owner holds it; nobody's or another's stays as it is. */
int cni_lease_free(const struct cni_lease_dir *dir, const union pk_addr *addr, const char *owner,
		   struct pk_err *err);
/* Removes every lease whose owner is not in keep (ends with NULL): what a power loss left. */
int cni_leases_prune(const struct cni_lease_dir *dir, const char *const *keep, struct pk_err *err);
