/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/health is what a probe asks. A degraded node does its work, and some reasons for that are
 * one tenant's doing, so it answers 200 and lists the reasons.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "api_answer.h"
#include "fs.h"
#include "parts.h"

static bool health_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	struct pk_api_counts *counts = arg;
	struct pk_jw *w = &answer->w;
	const char *state;

	if (!pk_api_counts_part(answer->parts, counts, deadline_ns))
		return false;
	pk_jw_open(w, NULL, '{');
	state = pk_api_reasons(answer->parts,
			       &(struct pk_api_reasons_args){ w, counts, NULL, NULL });
	pk_jw_string(w, "state", state);
	pk_jw_close(w, '}');
	answer->status = strcmp(state, PK_API_FAILING) == 0 ? 503 : 200;
	return true;
}

void pk_api_health(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(
		p, x,
		&(struct pk_answer_how){ .part = health_part,
					 .end = free,
					 .arg = pk_alloc(sizeof(struct pk_api_counts)) });
}
