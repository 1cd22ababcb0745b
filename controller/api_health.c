/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/health is what a probe asks. A degraded node does its work, and some reasons for that are
 * one tenant's doing, so it answers 200 and lists the reasons.
 */
#include <string.h>

#include "api.h"
#include "own.h"
#include "parts.h"

void pk_api_health(const struct pk_parts *p, struct pk_exchange *x)
{
	const struct pk_api_documents docs = pk_api_documents_count(p);
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	const char *state;

	pk_jw_open(&w, NULL, '{');
	state = pk_api_reasons(p, &(struct pk_api_reasons_args){ &w, &docs, NULL, NULL });
	pk_jw_string(&w, "state", state);
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, strcmp(state, PK_API_FAILING) == 0 ? 503 : 200, &json);
}
