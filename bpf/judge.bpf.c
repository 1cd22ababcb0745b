// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Asks the tables what the guard would be told, for `picket policy test --engine kernel`, `picket
 * policy explain` and the property tests: one struct pk_query in, the same with its answer out
 * (picket/query.h).
 */
#include "lib/policy.h"

SEC("tc")
int pk_judge_query(struct __sk_buff *skb)
{
	struct pk_query q;

	if (bpf_skb_load_bytes(skb, PK_QUERY_OFFSET, &q, sizeof(q)) < 0)
		return 2;
	pk_policy_judge(&q);
	q.jiffies = bpf_jiffies64();
	if (bpf_skb_store_bytes(skb, PK_QUERY_OFFSET, &q, sizeof(q), 0) < 0)
		return 2;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
