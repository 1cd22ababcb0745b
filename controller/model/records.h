/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads the endpoints' records, as ADD and DEL leave them: whenever inotify tells of one, when the
 * plugin asks about one, and every 30 seconds. Only open records are endpoints.
 */
#include "epstore.h"
#include "loop.h"
#include "model.h"

struct pk_records;

struct pk_records_args {
	struct pk_loop *loop;
	const struct pk_paths *paths;
	struct pk_model *model;
	pk_loop_fn *changed; /* called after a look that changed something */
	/* told of each record that is new or changed since the first look; NULL: nobody */
	void (*came)(void *arg, const struct pk_record *record);
	void *arg;
};

struct pk_records *pk_records_new(const struct pk_records_args *args);
void pk_records_free(struct pk_records *records);
/*
 * Looks at one record, as ADD tells of it. Returns whether its endpoint changed; changed isn't
 * called.
 */
bool pk_records_look_at(struct pk_records *records, const struct pk_record_name *name);
/* Looks at all now. Returns whether an endpoint changed; changed isn't called. */
bool pk_records_look(struct pk_records *records);
unsigned int
pk_records_closed(const struct pk_records *records); /* closed records that the directory has now */
unsigned int pk_records_bad(const struct pk_records *records); /* records that can't be read */
/* Returns whose record it is, "CONTAINER@INTERFACE", of the first that can't be read; or NULL. */
const char *pk_records_first_bad(const struct pk_records *records);
/* epoch is that of the loaded maps; it decides which numbers count. */
void pk_records_set_epoch(struct pk_records *records, const uint64_t epoch[2]);
/* Makes an endpoint of a record. Pure. */
struct pk_local_endpoint *pk_local_endpoint_of_record(const struct pk_record *record,
						      const uint64_t epoch[2]);
