/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Work that nobody asks for: the sweep of what endpoints left behind (at start, when a host device
 * goes, each minute), the audit (audit.h), tidying of tables.
 */
#include "audit.h"
#include "loop.h"
#include "model.h"
#include "sync.h"
#include "writer.h"

struct pk_upkeep;

enum pk_nomad_word { PK_NOMAD_OFF, PK_NOMAD_SILENT, PK_NOMAD_ANSWERS };

struct pk_upkeep_args {
	struct pk_loop *loop;
	const struct pk_paths *paths;
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_writer *sweeps;
	enum pk_nomad_word (*nomad)(void *arg); /* asked at each sweep: a reload may change it */
	void *arg;
};

struct pk_upkeep_stats {
	unsigned int orphans; /* orphans that the last sweep left */
	uint32_t stray;	      /* slot of an endpoint that is open and whose record is gone, or 0 */
	uint64_t removed;
};

struct pk_upkeep *pk_upkeep_new(const struct pk_upkeep_args *args);
void pk_upkeep_free(struct pk_upkeep *upkeep);
void pk_upkeep_now(struct pk_upkeep *upkeep);
/* Called after records came or went: looks whether an endpoint has lost its own. */
void pk_upkeep_records_changed(struct pk_upkeep *upkeep);
const struct pk_upkeep_stats *pk_upkeep_stats(const struct pk_upkeep *upkeep);
const struct pk_audit_stats *pk_upkeep_audit(const struct pk_upkeep *upkeep);
/* Returns whether it is an address of this node's own (read anew each minute). */
bool pk_upkeep_is_local(const struct pk_upkeep *upkeep, const union pk_addr *addr);
