/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The verbs. Each takes its checked input and answers with text for standard output, or an error.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cni_conf.h"
#include "env.h"
#include "err.h"
#include "paths.h"
#include "str.h"

struct cni_call {
	struct cni_env env;
	struct cni_conf conf;
	struct pk_paths paths;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; the whole verb */
};

int cni_verb_add(struct cni_call *call, struct pk_str *out, struct pk_err *err);
int cni_verb_del(struct cni_call *call, struct pk_str *out, struct pk_err *err);
int cni_verb_check(struct cni_call *call, struct pk_str *out, struct pk_err *err);
int cni_verb_gc(struct cni_call *call, struct pk_str *out, struct pk_err *err);
int cni_verb_status(struct cni_call *call, struct pk_str *out, struct pk_err *err);

/*
 * The verb's time starts now. Beyond it (and a grace for its own checks) the process says so on
 * standard output and ends, whatever it waits for: what is half done is mended by the next ADD, DEL
 * or sweep, as if it had been killed.
 */
void cni_deadline_start(struct cni_call *call, uint32_t ms);
/* The time of a node's first load, in ms: 20 s, or the conflist's deadline where that is longer. */
uint32_t cni_deadline_of_load(const struct cni_conf *conf);
/* The verb has its answer: exactly one goes to standard output. */
void cni_deadline_end(void);
/* 0, or code 107 once the verb's time is over. */
int cni_in_time(const struct cni_call *call, const char *what, struct pk_err *err);

/* The verb is counted from here on; since_ns: CLOCK_MONOTONIC as its process began. */
void cni_count_begin(const struct cni_call *call, uint64_t since_ns);
/* It ended: well with -1, else with the code of its error. */
void cni_count_end(int code);
/* The same from a signal handler, right before the process ends. */
void cni_count_late(int code);

/* Names of all kill points, one a line (test builds alone). */
void cni_list_faults(void);
