/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Leases as the records have them: rebuilt at the first load, given back with an endpoint. */
#include "epstore.h"
#include "err.h"
#include "lease.h"
#include "paths.h"
#include "picket/maps.h"

/* Returns the lease directory as of now. */
struct pk_lease_dir pk_leases_now(const struct pk_paths *paths);
/*
 * Brings records and leases in step with tables that were loaded anew: open records get slot 0,
 * closed ones are deleted, and leases become what the records say, since a power loss may have
 * taken them (leases aren't synced). The caller holds the node lock and nothing is current yet, so
 * no ADD takes a lease meanwhile. Without records nothing is made.
 */
int pk_records_outlive(const struct pk_paths *paths, const struct pk_node *node,
		       struct pk_err *err);
/*
 * Gives back the addresses of the named record. Those that `another`, an open record of the same
 * endpoint, has taken over stay (NULL: there is none). Where the record can't be read, all that its
 * owner holds is given back.
 */
int pk_leases_give_back(const struct pk_paths *paths, const struct pk_record_name *name,
			const struct pk_record_name *another, struct pk_err *err);
/*
 * Gives back the leases of a container id and interface that none of their records names: a killed
 * ADD left them. Reads every lease. Gives nothing back where one of the records can't be read.
 */
int pk_leases_drop_unrecorded(const struct pk_paths *paths, const struct pk_record_name *who,
			      struct pk_err *err);
