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
 * Is called once the tables were loaded anew. Records of before get slot 0 or, where they are
 * closed, go. Leases aren't synced: after a power loss they are made what the records say. The node
 * lock is held and nothing is current yet, so no ADD is taking one. Without records nothing is
 * made.
 */
int pk_records_outlive(const struct pk_paths *paths, const struct pk_node *node,
		       struct pk_err *err);
/*
 * Gives back what the record of name holds, but for what another, open record of the same endpoint
 * (NULL: there is none) has taken over. A record that can't be read: all that its owner holds.
 */
int pk_leases_give_back(const struct pk_paths *paths, const struct pk_record_name *name,
			const struct pk_record_name *another, struct pk_err *err);
/* Gives back what a container id and interface hold and no record of theirs names: a killed ADD's.
 * Reads every lease. Nothing where one of the records can't be read. */
int pk_leases_drop_unrecorded(const struct pk_paths *paths, const struct pk_record_name *who,
			      struct pk_err *err);
