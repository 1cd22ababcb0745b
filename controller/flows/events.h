/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads the `events` ring; nobody else does. Each event gets its names at once, and goes to the
 * flows file, the kept last lines, and whoever follows. It never waits for a reader: events for
 * which there is no room are counted.
 */
#include "event_lost.h"
#include "flow.h"
#include "flowlog.h"
#include "httpd.h"
#include "loop.h"

#define PK_EVENTS_LAST 1024 /* events kept for ?last= */

struct pk_events;

struct pk_events_stats {
	uint64_t seen,
		lost;  /* lost: over a share here (event_share.h), and what endpoints reported */
	uint64_t over; /* lines left out of the file: past their endpoint's share */
	unsigned int subscribers;
};

/* names and log (NULL: no file) outlive it. */
struct pk_events *pk_events_new(struct pk_loop *loop, const struct pk_flow_names *names,
				struct pk_flowlog *log);
void pk_events_free(struct pk_events *events);
void pk_events_set_log(struct pk_events *events, struct pk_flowlog *log);
/*
 * Begins to read the pinned ring, again after the tables were loaded anew. Returns -errno where
 * there is none.
 */
int pk_events_open(struct pk_events *events, const char *pin, struct pk_err *err);
/* Takes one record as from the ring; one that is malformed counts as lost. */
void pk_events_take(struct pk_events *events, const void *data, size_t size);
/* Answers GET /v1/flows with the last lines and then, with follow, with new ones as they come. */
void pk_events_serve(struct pk_events *events, struct pk_exchange *x, unsigned int last,
		     bool follow);
/* Returns how many events of the endpoint in that slot picketd itself had no room for. */
struct pk_event_lost pk_events_lost_of(const struct pk_events *events,
				       const struct pk_local_endpoint *m);
void pk_events_stats(const struct pk_events *events, struct pk_events_stats *out);
