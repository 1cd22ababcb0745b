/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Judges what a catalogue says of a declared service: which instances count, why another doesn't,
 * and which of those that counted are held though the catalogue lacks them (absence.h). Pure.
 */
#include "absence.h"
#include "catalog_reader.h"
#include "settings.h"

#define PK_INSTANCE_ROWS 128 /* the most rows, which are shown */

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
 * Says what a declared address is: PK_INSTANCE_COUNTS where it is outside of the cluster, else
 * another state with its reason in why.
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

/* Begins with the instances that counted before, until a catalogue says something. */
void pk_instance_table_init(struct pk_instance_table *table,
			    const struct pk_declared_service *declared);
void pk_instance_table_take(struct pk_instance_table *table, const struct pk_instance_look *look);
/* Judges the same rows again, as addresses may be others' by now. */
void pk_instance_table_again(struct pk_instance_table *table, const struct pk_instance_look *look);
/* Drops the held instances, as the operator asked for. Returns how many there were. */
size_t pk_instance_table_release(struct pk_instance_table *table);
size_t pk_instance_table_count(const struct pk_instance_table *table, enum pk_instance_state state);
/* Lists the addresses that count, sorted, each once; returns whether the list changed. */
bool pk_instance_table_fill(const struct pk_instance_table *table,
			    struct pk_declared_service *declared);
