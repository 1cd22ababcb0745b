/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Removes what is left of endpoints that are gone. Something is removed only on two witnesses:
 * device and netns are gone, and (DEL recorded, or Nomad knows nothing live of the alloc, or there
 * is no Nomad); of what `picket attach` made, only on DEL. picketd, `picket sweep` and the plugin
 * share this.
 */
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "bpfobj.h"
#include "epstore.h"
#include "err.h"
#include "paths.h"

enum pk_alloc_state {
	PK_ALLOC_LIVE,
	PK_ALLOC_GONE,	   /* terminal, or unknown to a Nomad that answered; or there is no Nomad */
	PK_ALLOC_UNKNOWN,  /* Nomad didn't answer */
	PK_ALLOC_DECLARED, /* `picket attach` made it, and `picket detach` alone gives it up */
};

enum pk_orphan_kind {
	PK_ORPHAN_RECORD, /* with its slot, addresses, lease, driver file */
	PK_ORPHAN_SLOT,	  /* taken in the tables, in no record: an ADD that was killed early */
	PK_ORPHAN_LEASE,  /* no record of its owner */
	PK_ORPHAN_DRIVER_FILE,
	PK_ORPHAN_DEVICE, /* pk<n> that no record names: reported, removed by `all` only */
	PK_ORPHAN_UPLINK, /* the program at an uplink: shown and removed by `all` only */
	PK_ORPHAN_FILE,	  /* of a process that was killed: half-written */
};

struct pk_orphan {
	enum pk_orphan_kind kind;
	struct pk_record_name name; /* RECORD; else what is known of it */
	char what[192];		    /* a sentence's subject: "record 7f3a…@eth0 (slot 12)" */
	char why[128];		    /* the witnesses, or what keeps it */
	bool removable;		    /* both witnesses are there */
	bool young;		    /* may be an ADD's that is under way */
	bool removed;
};

/* Parts of a sweep: each may be done by itself, in this order. */
enum pk_sweep_part {
	PK_SWEEP_CLOSED = 1, /* closed records, found in their own directory */
	PK_SWEEP_OPEN = 2,   /* open records: reads the directory of them all */
	PK_SWEEP_RECORDS = PK_SWEEP_CLOSED | PK_SWEEP_OPEN,
	PK_SWEEP_DEVICES = 4,
	PK_SWEEP_SLOTS = 8,
	PK_SWEEP_LEASES = 16,
	PK_SWEEP_FILES = 32, /* driver files, and what was half written */
	PK_SWEEP_EVERYTHING = 63,
};

struct pk_sweep {
	const struct pk_paths *paths;
	struct pk_bpf *bpf; /* NULL: nothing is loaded; records and files alone */
	enum pk_alloc_state (*alloc)(void *arg,
				     const char *container_id);	  /* NULL: no Nomad: GONE */
	void (*found)(void *arg, const struct pk_orphan *orphan); /* may be NULL */
	void *arg;
	bool apply;
	bool all;	    /* everything of Picket, live or not: devices, records, leases, pins */
	unsigned int parts; /* enum pk_sweep_part; `all` takes EVERYTHING */
	/* LEASES: somebody who is known to hold the address; NULL: each lease is read. */
	bool (*holds)(void *arg, const union pk_addr *addr);
	const struct pk_record_name *only; /* instead of the directories' records; NULL: those */
	size_t n_only;
	/*
	 * The number of closed records that are removed at most, where parts is CLOSED alone. 0:
	 * all parts are swept, whatever is found.
	 */
	unsigned int most;
	uint64_t deadline_ns;
	unsigned int n_found, n_removed; /* out */
};
/*
 * Sweeps in the node's netns. A part that can't be removed is reported (removed = false) and the
 * rest goes on.
 */
int pk_sweep(struct pk_sweep *sweep, struct pk_err *err);
