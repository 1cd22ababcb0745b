/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers that grow with endpoints, documents or tables: they are made in parts of a turn each, and
 * others are served between two.
 */
#include "httpd.h"
#include "json.h"

struct pk_parts;

struct pk_answer {
	const struct pk_parts *parts;
	struct pk_exchange *x;
	struct pk_str json;
	struct pk_jw w; /* into json */
};

#define PK_ANSWER_SOME_NS UINT64_C(4000000) /* less than that left of a part is a new one */

struct pk_answer_how {
	/*
	 * Goes on until about deadline_ns (CLOCK_MONOTONIC); true: it is whole. Nothing of model and
	 * documents that it had before is valid in the next call.
	 */
	bool (*part)(void *arg, struct pk_answer *answer, uint64_t deadline_ns);
	void (*end)(void *arg); /* answered, or nobody waits any more */
	void *arg;
};

void pk_answer_in_parts(const struct pk_parts *parts, struct pk_exchange *x,
			const struct pk_answer_how *how);
/* What it says so far is said no more. */
void pk_answer_anew(struct pk_answer *answer);
/* Those that are under way end without an answer. */
void pk_answers_stop(void);
