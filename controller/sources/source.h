/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The state of a source, as /v1/status shows it. */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum pk_source_state {
	PK_SOURCE_OFF,
	PK_SOURCE_STARTING, /* no answer yet */
	PK_SOURCE_OK,
	PK_SOURCE_STALE, /* it answered before; its last good answer stays in force */
};

/* A source that failed has one of these. */
enum pk_source_fault {
	PK_FAULT_SILENT,
	PK_FAULT_UNASKED, /* it couldn't be asked: an unreadable token or certificate */
	PK_FAULT_ANSWER,  /* it answered, and the answer is no good */
};

struct pk_source {
	enum pk_source_state state;
	enum pk_source_fault fault; /* whose fault the last failure was */
	struct timespec contact;    /* CLOCK_REALTIME of the last good answer; 0 = never */
	uint64_t index;
	unsigned int errors;   /* failures since start */
	unsigned int turn;     /* failures of answers: which of several addresses is asked */
	unsigned int failures; /* failures in a row */
	uint64_t since;	       /* when it was asked first, in seconds of pk_boot_seconds */
	const char *outage;    /* said since the last answer: why nobody answers; or NULL */
	bool unserved;	       /* its last failure is that outage: its question waits on */
	char last_error[320];
	char detail[160];
};

const char *pk_source_state_name(enum pk_source_state state);

#define PK_SOURCE_SILENT_S 10 /* an answer that takes longer counts as none */

/* Notes that the source is about to be asked for the first time. */
void pk_source_start(struct pk_source *s);
/* Notes a good answer. */
void pk_source_good(struct pk_source *s);
/* Notes a failure; what the last good answer said stays in force. */
void pk_source_bad(struct pk_source *s, enum pk_source_fault fault, const char *why);
/*
 * Notes the outage that was said as a failure of the question that waits now. Returns false where
 * none was said, or the source fails already.
 */
bool pk_source_note_outage(struct pk_source *s);
/*
 * Notes that the outage is over. Returns whether it was noted as a failure; the source is then what
 * it was before: one that never answered is starting again.
 */
bool pk_source_served(struct pk_source *s);
