/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Checks expectations (docs/policy.md): whether the network does what the file says. */
#include "scenario.h"

struct pk_reach_options {
	enum pk_ask_engine engine;
	const struct pk_ask_kernel *kernel; /* for PK_ASK_KERNEL */
	bool json;			    /* a result a line */
	bool quiet;			    /* nothing for what holds and no summary */
	/*
	 * The live node's world (GET /v1/world), asked for where the file gives no endpoints;
	 * caller of pk_reach frees *text.
	 */
	int (*live)(void *arg, char **text, size_t *len, struct pk_err *err);
	void *live_arg;
};

struct pk_reach_tally {
	size_t held, failed;
};

/*
 * One file. out: results for stdout; said: notes for stderr. -EINVAL (and the like): the file can't
 * be used.
 */
int pk_reach(const char *path, const struct pk_reach_options *options, struct pk_str *out,
	     struct pk_str *said, struct pk_reach_tally *tally, struct pk_err *err);
