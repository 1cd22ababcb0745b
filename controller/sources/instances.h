/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Judges what a catalogue says of a declared service: which of its instances count, why another
 * doesn't, and what of those that counted is held though the catalogue lacks it (absence.h). Pure.
 */
#include "absence.h"
#include "catalog_reader.h"
#include "settings.h"

#define PK_INSTANCE_ROWS 128 /* rows that are kept to be shown */

enum pk_instance_state {
	PK_INSTANCE_COUNTS,
	PK_INSTANCE_HELD,     /* counts though its catalogue lacks it, or calls it critical */
	PK_INSTANCE_CRITICAL, /* a check of it fails */
	PK_INSTANCE_ENDPOINT, /* an endpoint, which counts by what Nomad's record says of it */
	PK_INSTANCE_REFUSED,
};
const char *pk_instance_state_name(enum pk_instance_state state);

struct pk_instance_row {
	struct pk_instance said;
	union pk_addr addr; /* the address of one that counts */
	enum pk_instance_state state;
	char why[160]; /* "": it counts */
};

/*
 * Tells what an address is that lies within what is declared; PK_INSTANCE_COUNTS: outside of the
 * cluster. why gets the reason of another state.
 */
typedef enum pk_instance_state pk_instance_where_fn(void *arg, const struct pk_declared_service *d,
						    const struct pk_instance *said,
						    const union pk_addr *addr, char *why,
						    size_t room);

struct pk_instance_table {
	struct pk_instance_row row[PK_INSTANCE_ROWS];
	size_t n, left_out; /* instances that are not among the rows: none of them counts */
	size_t recent;	    /* how many went within the window before recent_ms */
	uint64_t recent_ms;
};

struct pk_instance_look {
	const struct pk_declared_service *declared;
	const struct pk_instances *instances;
	bool first, behind;
	uint64_t now_ms;
	pk_instance_where_fn *where;
	void *arg;
};

/* Begins with instances that counted before, of which no catalogue has said anything yet. */
void pk_instance_table_init(struct pk_instance_table *table,
			    const struct pk_declared_service *declared);
void pk_instance_table_take(struct pk_instance_table *table, const struct pk_instance_look *look);
/* Judges the same rows anew: addresses of the cluster may be others by now. */
void pk_instance_table_again(struct pk_instance_table *table, const struct pk_instance_look *look);
/* Drops what is held, as the operator says. Returns how many there were. */
size_t pk_instance_table_release(struct pk_instance_table *table);
size_t pk_instance_table_count(const struct pk_instance_table *table, enum pk_instance_state state);
/* Lists the addresses that count, in order, each once; returns whether they are others. */
bool pk_instance_table_fill(const struct pk_instance_table *table,
			    struct pk_declared_service *declared);
