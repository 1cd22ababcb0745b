/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The limits of an endpoint, and by whose word each holds (docs/cni.md, "Limits"). This is pure,
 * and shared by the plugin, which writes them at ADD, and picketd, which keeps them true
 * afterwards.
 */
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "picket/types.h"
#include "schema.h"

enum pk_limit {
	PK_LIMIT_BYTES = 0,	/* a second; + enum pk_dir */
	PK_LIMIT_PACKETS = 2,	/* a second; + enum pk_dir */
	PK_LIMIT_NEW_FLOWS = 4, /* a second; + enum pk_dir: begun by the endpoint, from outside */
	PK_LIMIT_FLOWS = 6,
	PK_LIMIT_COUNT = 7,
};

struct pk_limits {
	uint32_t of[PK_LIMIT_COUNT]; /* 0 = not said */
};

enum pk_limit_source {
	PK_LIMIT_OF_NOBODY,
	PK_LIMIT_OF_DEFAULT,
	PK_LIMIT_OF_NODE, /* picketd.json */
	PK_LIMIT_OF_CONFLIST,
	PK_LIMIT_OF_BANDWIDTH, /* the runtime's */
	PK_LIMIT_OF_JOB,
};

struct pk_limit_words {
	struct pk_limits node, conflist; /* the operator's: the lower holds */
	struct pk_limits meta;	    /* the job's by its meta, in place of those; within its most */
	struct pk_limits bandwidth; /* bytes alone, and only lower */
	struct pk_limits args;	    /* the job's by its CNI arguments, and only lower */
	uint32_t burst[2];	    /* bandwidth's bursts in bytes, by enum pk_dir */
};

struct pk_limits_held {
	struct pk_limits limits;
	enum pk_limit_source source[PK_LIMIT_COUNT];
	uint32_t burst[2]; /* bytes; 0 = what a second gives */
};

void pk_limits_hold(const struct pk_limit_words *said, struct pk_limits_held *held);
const char *pk_limit_source_name(enum pk_limit_source source); /* NULL of nobody */
/* Returns the name that people read: "bytes in", "new flows". */
const char *pk_limit_name(enum pk_limit limit);
bool pk_limits_any(const struct pk_limits *limits);
/* Returns the first limit that `most` lacks or of which it has less; PK_LIMIT_COUNT: none. */
enum pk_limit pk_limits_beyond(const struct pk_limits *limits, const struct pk_limits *most);

/*
 * An object of bytesPerSecond, packetsPerSecond, newFlowsPerSecond (a number, or { "in", "out" } as
 * the endpoint sees it) and flows, of whichever file. What it lacks stays.
 */
int pk_limits_read(const struct pk_json_doc *doc, const struct pk_json *value,
		   struct pk_limits *limits, struct pk_err *err);
/* Writes the object, with what is said alone. */
void pk_limits_write(const struct pk_limits *limits, struct pk_jw *w, const char *key);
extern const struct pk_schema_key pk_limits_keys[]; /* at: struct pk_limits */
extern const struct pk_schema pk_form_both_or_null; /* at: uint32_t[2], by enum pk_dir */
