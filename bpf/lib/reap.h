/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Ends a flow that is over, or an alias whose flow is gone, for user space. User space finds such
 * entries by copies that may be old, so the entry is looked at again here: no flow goes that has
 * come back to life.
 */
#include "lib/place.h"

#define REAP_KEY_OFFSET 14 /* the key stands behind 14 bytes of Ethernet header */

static __always_inline bool reap_alias_is_over(struct pk_scratch *s, const struct pk_flow *alias)
{
	const struct pk_flow *flow;

	s->old = alias->primary;
	flow = bpf_map_lookup_elem(&flows, &s->old);
	if (!flow || flow->kind != PK_FLOW_PRIMARY ||
	    !(flow->flags & (PK_FLOW_SOURCE | PK_FLOW_DESTINATION)))
		return true;
	flow_alias_key(&s->alias, flow, &s->old);
	return !flow_key_same(&s->alias, &s->key);
}

static __always_inline bool pk_reap(struct pk_scratch *s, __u32 now)
{
	const struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->key);

	if (!flow)
		return false;
	if (flow->kind == PK_FLOW_ALIAS) {
		if (!reap_alias_is_over(s, flow))
			return false;
		bpf_map_delete_elem(&flows, &s->key);
		return true;
	}
	if (!pk_flow_expired(flow, now, pk_hz) && flow_alive(flow, 0) && flow_alive(flow, 1))
		return false;
	pk_flow_close(CLOSE_KEY);
	return true;
}
