/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes an event of the data path as a JSON line (docs/api.md, "GET /v1/flows"), with the names of
 * now. Pure.
 */
#include <stdint.h>
#include <time.h>

#include "flow_who.h"
#include "model.h"
#include "picket/event.h"
#include "str.h"

struct pk_flow_names {
	const struct pk_model *model;
	const char *node;
	/*
	 * Returns "host" or "remote-node" for an address of this node or of another one, else NULL.
	 */
	const char *(*node_address)(void *arg, const union pk_addr *addr);
	void *arg;
};

/* most bytes of a line; the description is left out of a longer one, which gets "cut" */
#define PK_FLOW_LINE_MAX 4096

/*
 * A kept event, with its endpoints' names as they were. Of a flow that ended the counts follow the
 * event in memory.
 */
struct pk_flow_event {
	struct pk_event_closed closed;
	struct timespec when; /* wall clock */
	struct pk_flow_who *source, *destination;
};

void pk_flow_take(struct pk_flow_event *flow, const struct pk_event_closed *closed,
		  const struct timespec *when, const struct pk_flow_names *names,
		  struct pk_flow_who_set *held);
void pk_flow_done(struct pk_flow_event *flow);
/* Writes the line; the rule's name is the one that its number has now. */
void pk_flow_json(const struct pk_flow_event *flow, const struct pk_flow_names *names,
		  struct pk_str *out);
/* Writes a line about events that were lost: {"time", "lostEvents", "cause", "sinceSeconds"}. */
struct pk_flow_lost {
	struct timespec when; /* wall clock */
	uint64_t events;
	const char *cause; /* "ring", "subscriber", "file" */
	double since_s;
};
void pk_flow_lost_json(const struct pk_flow_lost *lost, struct pk_str *out);
/* Writes the time as RFC 3339, UTC, with milliseconds. */
void pk_time_text(const struct timespec *ts, char text[32]);
/* Writes "labels": ["key=value", "reserved:init"]; ep NULL: none. */
struct pk_jw;
void pk_flow_labels(struct pk_jw *w, const struct pk_world_endpoint *ep);
const char *pk_rank_kind_name(unsigned int rank);
