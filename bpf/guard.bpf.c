// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data path's programs. pk_from_endpoint stands at the host veth's ingress, pk_to_endpoint at
 * its egress, the forwarders at the ingress of tap0 and eth0 in the alloc's netns.
 */
#include "lib/guard.h"
#include "lib/finish.h"
#include "lib/forward.h"

SEC("tc")
int pk_miss(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();

	return s ? pk_finish(skb, &s->pkt, guard_miss(skb, s)) : TC_ACT_SHOT;
}

SEC("tc")
int pk_miss_to(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	int reason;

	if (!s)
		return TC_ACT_SHOT;
	reason = guard_miss_to(skb, s);
	return pk_finish(skb, &s->pkt, reason ? reason : guard_to_deliver(skb, &s->pkt));
}

SEC("tc")
int pk_answer(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();

	return s ? pk_finish(skb, &s->pkt, guard_answer(skb, s)) : TC_ACT_SHOT;
}

/* The slow path's targets, filled by libbpf at load. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PK_TAIL_COUNT);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[PK_TAIL_MISS] = (void *)&pk_miss,
		[PK_TAIL_MISS_TO] = (void *)&pk_miss_to,
		[PK_TAIL_ANSWER] = (void *)&pk_answer,
	},
};

/* Goes on in the slow path that pkt->tail names; returns only where it isn't loaded. */
static __always_inline int tail_call(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct pk_scratch *s = scratch_get();

	if (s) {
		s->pkt = *pkt;
		bpf_tail_call(skb, &programs, pkt->tail);
	}
	return PK_REASON_TAIL_CALL_MISSING;
}

SEC("tc")
int pk_from_endpoint(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_EGRESS, .at_dir = PK_EGRESS };
	int reason = guard_from(skb, &pkt);

	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

SEC("tc")
int pk_to_endpoint(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_INGRESS, .at_dir = PK_INGRESS };
	int reason = guard_to(skb, &pkt);

	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	else if (!reason)
		reason = guard_to_deliver(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

/* At an uplink's ingress. What isn't ours goes on to the host untouched. */
SEC("tc")
int pk_from_uplink(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

SEC("tc")
int pk_forward_tap(struct __sk_buff *skb)
{
	return pk_forward(skb, true);
}

SEC("tc")
int pk_forward_eth(struct __sk_buff *skb)
{
	return pk_forward(skb, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
