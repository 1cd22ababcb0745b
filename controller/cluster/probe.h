/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks other nodes, every ten seconds or so, whether they can be reached from here and how long
 * that takes, by a datagram to a closed port of theirs: their kernel refuses it, and that is the
 * answer. It needs no open port there and no right here. The result is reported, and changes no
 * verdict and no route.
 */
#include <stdint.h>
#include <time.h>

#include "believed.h"
#include "loop.h"

#define PK_PROBE_PORT	33434
#define PK_PROBE_NODES	256 /* nodes that are asked, at most */
#define PK_PROBE_KEPT	32  /* the last questions to each node that are kept */
#define PK_PROBE_SILENT 3   /* questions unanswered in a row that are silence */

/* What the last questions to one node came to. Pure. */
struct pk_probe_tally {
	uint32_t us[PK_PROBE_KEPT]; /* how long the answer took; 0: there was none */
	unsigned int n, next; /* how many are kept; the oldest one's index once PK_PROBE_KEPT are */
	unsigned int lost;    /* unanswered in a row */
	bool silent;
	time_t since; /* silent or answering since then; 0: nothing is known yet */
	time_t lost_since;
};
/* Takes the outcome of a question: microseconds until its answer, 0: there was none. */
void pk_probe_tally_take(struct pk_probe_tally *tally, uint32_t us, time_t now);
uint32_t pk_probe_tally_last(const struct pk_probe_tally *tally); /* the last answer, us; 0: none */
uint32_t pk_probe_tally_median(const struct pk_probe_tally *tally);   /* the median; 0: none */
unsigned int pk_probe_tally_lost(const struct pk_probe_tally *tally); /* unanswered of those kept */

struct pk_probe;

struct pk_probe *pk_probe_new(struct pk_loop *loop, const struct pk_believed *believed);
void pk_probe_free(struct pk_probe *probe);
/* Says that what is believed may have changed. */
void pk_probe_follow(struct pk_probe *probe);
/* Returns what is known of the node; NULL: it isn't asked. */
const struct pk_probe_tally *pk_probe_of(const struct pk_probe *probe, const char *node);
uint64_t
pk_probe_lost(const struct pk_probe *probe); /* questions without an answer, of all nodes */
