/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The judge program, for ask_kernel.c and ask_live.c. */
#include "bpfmap.h"
#include "own.h"
#include "picket/query.h"

struct pk_judge;

/* Loaded over these tables, by enum pk_map. NULL: err says why. */
struct pk_judge *pk_judge_start(const int *fds, struct pk_err *err);
void pk_judge_end(struct pk_judge *skel); /* NULL is fine */
static inline void pk_judge_endp(struct pk_judge **skel)
{
	pk_judge_end(*skel);
}
int pk_judge_run(const struct pk_judge *skel, struct pk_query *q, struct pk_err *err);
