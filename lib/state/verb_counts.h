/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counts the verbs of picket-cni in one small file below run/, which every call of a boot adds to
 * and picketd reads. Each number is added to by one instruction in shared memory, so a call that is
 * killed leaves no half of anything; it has begun then and never ended.
 */
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "paths.h"

/* The verbs that are counted, by their names in CNI_COMMAND. Only appended to. */
#define PK_COUNTED_VERBS(X)    X(ADD) X(DEL) X(CHECK)
#define PK_COUNTED_ENUM_(name) PK_COUNTED_##name,
enum pk_counted_verb { PK_COUNTED_VERBS(PK_COUNTED_ENUM_) PK_COUNTED_COUNT };

#define PK_COUNTED_ROOM	   8   /* verbs that the file has room for */
#define PK_COUNTED_CODES   128 /* codes of pk_err; a higher one is counted as 0 */
#define PK_COUNTED_BUCKETS 12
/* Upper bounds of the first buckets, in milliseconds; the last one has none. */
extern const unsigned int pk_counted_bounds_ms[PK_COUNTED_BUCKETS - 1];

struct pk_verb_counts {
	uint64_t begun;
	uint64_t ended; /* well or not */
	uint64_t failed[PK_COUNTED_CODES];
	uint64_t bucket[PK_COUNTED_BUCKETS]; /* of those that ended, by how long they took */
	uint64_t took_ns;
};

struct pk_counts {
	struct pk_verb_counts verb[PK_COUNTED_ROOM];
};

const char *pk_counted_name(enum pk_counted_verb verb);
/* -ENOENT: that verb isn't counted. */
int pk_counted_parse(const char *name);

/*
 * Opens the shared file, which it makes if need be. NULL: its directory isn't there yet, or the
 * disk is full.
 */
struct pk_counts *pk_counts_open(const struct pk_paths *paths);
void pk_counts_close(struct pk_counts *counts);
/*
 * Count a verb's beginning and its end (code: -1 for success, else of enum pk_code). A signal
 * handler may call both.
 */
void pk_counts_begin(struct pk_counts *counts, enum pk_counted_verb verb);
void pk_counts_end(struct pk_counts *counts, enum pk_counted_verb verb, int code, uint64_t took_ns);
/* Copies the counts; all zero where no verb has run since the boot. */
void pk_counts_read(const struct pk_paths *paths, struct pk_counts *out);
