/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What nobody asks for: the sweep of what endpoints left behind (at start, when a host device
 * goes, each minute), the audit of what is really attached (each minute, when a filter of a guard's
 * device changes), tidying of tables.
 */
#include "loop.h"
#include "model.h"
#include "sync.h"

struct pk_upkeep;

enum pk_nomad_word { PK_NOMAD_OFF, PK_NOMAD_SILENT, PK_NOMAD_ANSWERS };

struct pk_upkeep_args {
	struct pk_loop *loop;
	const struct pk_paths *paths;
	struct pk_model *model;
	struct pk_sync *sync;
	enum pk_nomad_word (*nomad)(void *arg); /* asked at each sweep: a reload may change it */
	void (*swept)(void *arg);		/* records may have gone */
	void *arg;
};

struct pk_upkeep_stats {
	unsigned int orphans; /* that the last sweep left */
	uint32_t stray;	      /* slot of an endpoint that is open and whose record is gone, or 0 */
	uint64_t removed;
	unsigned int hooks_bad; /* endpoints closed because their guard can't be first */
	uint64_t hooks_repaired;
	char hook_error[256]; /* why one can't be; "" */
};

struct pk_upkeep *pk_upkeep_new(const struct pk_upkeep_args *args);
void pk_upkeep_free(struct pk_upkeep *upkeep);
void pk_upkeep_now(struct pk_upkeep *upkeep);
const struct pk_upkeep_stats *pk_upkeep_stats(const struct pk_upkeep *upkeep);
/* An address of this node's own (getifaddrs, read anew each minute). */
bool pk_upkeep_is_local(const struct pk_upkeep *upkeep, const union pk_addr *addr);
