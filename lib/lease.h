/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Lease files: one an address, named by it, its content the owner ("<container id>@<ifname>").
 * Made by link(2), so that a lease never exists without its owner in it and two ADDs never get
 * one address. Not synced: rebuilt from the records. Freed = renamed to
 * "<address>.<boot time, s>.<epoch>", which rests PK_LEASE_REST_S and counts under its epoch only.
 * With the records beside them: eplease.h.
 */
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"

#define PK_LEASE_REST_S 60 /* a freed address rests this long while others are free */

enum pk_lease_state { PK_LEASE_FREE, PK_LEASE_HELD, PK_LEASE_RESTING };

/* One line of the lease directory. */
struct pk_lease {
	union pk_addr addr;
	enum pk_lease_state state;
	uint64_t freed_s; /* RESTING: boot time, seconds */
};

/* By address; the one that is HELD first. */
void pk_leases_sort(struct pk_lease *leases, size_t n);

struct pk_lease_dir {
	const char *path;
	uint64_t now_s;	   /* CLOCK_BOOTTIME */
	uint64_t epoch[2]; /* of the node; a rest under another one is over */
};

/* Reads and sorts all leases (caller frees); removes the names whose rest is over. */
int pk_leases_read(const struct pk_lease_dir *dir, struct pk_lease **out, size_t *n,
		   struct pk_err *err);
/* -EEXIST: held by another, or already by this owner. */
int pk_lease_take(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		  struct pk_err *err);
/* The same for an owner that holds the lease of another address: one file serves both. */
int pk_lease_take_beside(const struct pk_lease_dir *dir, const union pk_addr *addr,
			 const union pk_addr *held, struct pk_err *err);
/* 1 held by owner, 0 by another or nobody, -errno. */
int pk_lease_is(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		struct pk_err *err);
/* Puts the address to rest if owner holds it; nobody's or another's stays as it is. */
int pk_lease_free(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		  struct pk_err *err);
/*
 * Removes every lease whose owner is not in keep (ends with NULL): what a power loss left. Nobody
 * may be taking one.
 */
int pk_leases_prune(const struct pk_lease_dir *dir, const char *const *keep, struct pk_err *err);
