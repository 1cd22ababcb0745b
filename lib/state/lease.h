/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Lease files: one for each address that is held, named by the address, its content the owner
 * ("<container id>@<ifname>"). A file is made by link(2), so that a lease never exists without its
 * owner in it and two ADDs never get one address. Leases aren't synced, since they can be made anew
 * from the records. An address at rest is marked (lease_marks.h). eplease.h has what concerns
 * leases and records together.
 */
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "lease_marks.h"

enum pk_lease_state { PK_LEASE_HELD, PK_LEASE_RESTING };

struct pk_lease {
	union pk_addr addr;
	enum pk_lease_state state;
	uint64_t freed_s; /* of a RESTING one: boot time in seconds */
};

/* Sorts by address; of one address the HELD lease comes first. */
void pk_leases_sort(struct pk_lease *leases, size_t n);

struct pk_lease_dir {
	const char *path;
	const char *marks; /* directory of the marks; NULL: nothing rests */
	uint64_t now_s;	   /* CLOCK_BOOTTIME */
};

/*
 * Reads and sorts all leases, held and resting; the caller frees them. Removes the files by which
 * the first release marked a resting address.
 */
int pk_leases_read(const struct pk_lease_dir *dir, struct pk_lease **out, size_t *n,
		   struct pk_err *err);
/* Takes the address. -EEXIST: another holds it, or this owner does already. */
int pk_lease_take(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		  struct pk_err *err);
/* Takes the address for an owner that holds the lease of another: one file serves both. */
int pk_lease_take_beside(const struct pk_lease_dir *dir, const union pk_addr *addr,
			 const union pk_addr *held, struct pk_err *err);
/* Returns 1 where owner holds it, 0 where another or nobody does, -errno. */
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
