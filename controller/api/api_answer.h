/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers that grow with endpoints, documents or tables are made in parts of a turn each, and
 * others are served between two parts.
 */
#include "httpd.h"
#include "json.h"

struct pk_parts;

struct pk_answer {
	const struct pk_parts *parts;
	struct pk_exchange *x;
	struct pk_str json;
	struct pk_jw w; /* into json */
	int status;	/* 200, unless a part says otherwise */
};

#define PK_ANSWER_SOME_NS UINT64_C(4000000) /* less than that left of a part is a new one */

struct pk_answer_how {
	/*
	 * Writes on until about deadline_ns (CLOCK_MONOTONIC); returns whether the answer is whole.
	 * Pointers into model and documents are not valid in the next call, but those of endpoints
	 * while pk_model_changes stands still.
	 */
	bool (*part)(void *arg, struct pk_answer *answer, uint64_t deadline_ns);
	void (*end)(void *arg); /* the answer is sent, or nobody waits any more */
	void *arg;
};

void pk_answer_in_parts(const struct pk_parts *parts, struct pk_exchange *x,
			const struct pk_answer_how *how);
/* Drops what was written so far; the answer begins anew. */
void pk_answer_anew(struct pk_answer *answer);
/* Ends all answers that are under way, unanswered. */
void pk_answers_stop(void);
