/* SPDX-License-Identifier: Apache-2.0 */
/* Writes an endpoint's limits: whose word each is, and how often it was met. */
#include <string.h>

#include "api.h"
#include "own.h"
#include "parts.h"
#include "picket/limits.h"
#include "picket/reason.h"
#include "reason.h"
#include "tables.h"

static enum pk_reason reason_of(enum pk_limit limit)
{
	if (limit == PK_LIMIT_NEW_FLOWS + PK_EGRESS || limit == PK_LIMIT_NEW_FLOWS + PK_INGRESS)
		return PK_REASON_FLOW_RATE;
	return limit == PK_LIMIT_FLOWS ? PK_REASON_FLOW_BUDGET : PK_REASON_RATE_LIMIT;
}

/*
 * Fills in the node's own limits: new flows where the endpoint is given none, and never more live
 * flows than the endpoint has places.
 */
static void fill(const struct pk_parts *p, struct pk_limits_held *held)
{
	const struct pk_settings *s = pk_model_get_settings(p->model);
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);
	uint32_t *of = held->limits.of;

	for (int i = PK_LIMIT_NEW_FLOWS; i < PK_LIMIT_NEW_FLOWS + 2; i++) {
		if (of[i] || !s->new_flows_per_s)
			continue;
		of[i] = s->new_flows_per_s;
		held->source[i] = PK_LIMIT_OF_DEFAULT;
	}
	if (held->source[PK_LIMIT_FLOWS] == PK_LIMIT_OF_NODE &&
	    of[PK_LIMIT_FLOWS] == PK_FLOW_BUDGET_DEFAULT)
		held->source[PK_LIMIT_FLOWS] = PK_LIMIT_OF_DEFAULT;
	if (bpf && of[PK_LIMIT_FLOWS] > bpf->node.flow_budget)
		of[PK_LIMIT_FLOWS] = bpf->node.flow_budget;
}

static uint64_t denied(struct pk_counter row[2][PK_REASON_SLOTS], enum pk_limit limit)
{
	enum pk_reason reason = reason_of(limit);

	if (reason != PK_REASON_FLOW_BUDGET)
		return row[limit & 1][reason].packets;
	return row[PK_EGRESS][reason].packets + row[PK_INGRESS][reason].packets;
}

static void write_one(struct pk_jw *w, const struct pk_limits_held *held, enum pk_limit limit)
{
	pk_jw_string(w, "limit", pk_limit_name(limit));
	pk_jw_uint(w, "value", held->limits.of[limit]);
	pk_jw_string(w, "source", pk_limit_source_name(held->source[limit]));
	pk_jw_string(w, "reason", pk_reason_name(reason_of(limit)));
}

void pk_api_limits(const struct pk_parts *p, struct pk_jw *w, const struct pk_local_endpoint *m,
		   bool counts)
{
	struct pk_counter row[2][PK_REASON_SLOTS] = { 0 };
	struct pk_limits_held held;
	struct pk_err refused;

	pk_local_endpoint_limits(m, pk_model_get_settings(p->model), &held, &refused);
	fill(p, &held);
	counts = counts && m->epoch_matches && pk_sync_bpf(p->sync) &&
		 pk_counter_row(pk_sync_bpf(p->sync), m->slot, row, NULL) == 0;
	pk_jw_open(w, "limits", '[');
	for (int i = 0; i < PK_LIMIT_COUNT; i++) {
		if (!held.limits.of[i])
			continue;
		pk_jw_open(w, NULL, '{');
		write_one(w, &held, (enum pk_limit)i);
		if (counts)
			pk_jw_uint(w, "denied", denied(row, (enum pk_limit)i));
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_string(w, "limitsRefused", *refused.text ? refused.text : NULL);
	pk_jw_string(w, "limitsFix", *refused.text ? refused.fix : NULL);
}
