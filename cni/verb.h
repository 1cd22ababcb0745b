/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Each verb takes checked input and returns text for standard output, or an error. */
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
 * Starts the verb's time. Beyond it, and a grace for the verb's own checks, the process says so on
 * standard output and ends, whatever it waits for. The next ADD, DEL or sweep mends what is half
 * done, as after a kill.
 */
void cni_deadline_start(struct cni_call *call, uint32_t ms);
/* Returns the time for a node's first load in ms: 20 s, or the conflist's deadline if longer. */
uint32_t cni_deadline_of_load(const struct cni_conf *conf);
/* Says that the verb has its answer: from here on the timer prints none. */
void cni_deadline_end(void);
/* Returns 0, or an error of code 107 once the verb's time is over. */
int cni_in_time(const struct cni_call *call, const char *what, struct pk_err *err);

/* Counts the verb from here on. since_ns is CLOCK_MONOTONIC when the process began. */
void cni_count_begin(const struct cni_call *call, uint64_t since_ns);
/* Counts the end of the verb: -1 for success, else the code of the error. */
void cni_count_end(int code);
/* Does the same from a signal handler, right before the process ends. */
void cni_count_late(int code);

/* Writes the names of all kill points, one a line (test builds alone). */
void cni_list_faults(void);
