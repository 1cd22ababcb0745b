/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The endpoints' records, as ADD and DEL leave them: looked at whenever inotify says so, when the
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
	pk_loop_fn *changed; /* after a look that changed something */
	/* One that is new, or another by now, since all were looked at first; NULL: nobody asks. */
	void (*came)(void *arg, const struct pk_record *record);
	void *arg;
};

struct pk_records *pk_records_new(const struct pk_records_args *args);
void pk_records_free(struct pk_records *records);
/* Looks at one record, as ADD tells of it. Whether its endpoint changed; changed isn't called. */
bool pk_records_look_at(struct pk_records *records, const struct pk_record_name *name);
/* Looks now; whether an endpoint changed. changed isn't called. */
bool pk_records_look(struct pk_records *records);
unsigned int
pk_records_closed(const struct pk_records *records);	       /* as the directory has them now */
unsigned int pk_records_bad(const struct pk_records *records); /* that can't be read */
/* epoch: of the loaded maps; decides which numbers count. */
void pk_records_set_epoch(struct pk_records *records, const uint64_t epoch[2]);
/* A record as an endpoint. Pure. */
struct pk_local_endpoint *pk_local_endpoint_of_record(const struct pk_record *record,
						      const uint64_t epoch[2]);
