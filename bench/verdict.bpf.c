// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's own programs, and around them what a repeated BPF_PROG_TEST_RUN needs: each run
 * begins with the frame as it was, since a verdict changes it.
 */
#include "../bpf/guard.bpf.c"

#define FRAME_WORDS 12 /* of 8 bytes: every header of the frames that are measured */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[FRAME_WORDS]);
} frame SEC(".maps");

static __always_inline bool restore(struct __sk_buff *skb)
{
	__u64 *at = (void *)(long)skb->data;
	__u32 zero = 0;
	const __u64 *from = bpf_map_lookup_elem(&frame, &zero);

	if (!from || (void *)(at + FRAME_WORDS) > (void *)(long)skb->data_end)
		return false;
	for (int i = 0; i < FRAME_WORDS; i++)
		at[i] = from[i];
	return true;
}

/* What every measured run costs beside its verdict. */
SEC("tc")
int bench_empty(struct __sk_buff *skb)
{
	return restore(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

/* The least that a stateful verdict can be: headers parsed, one lookup in the flow table. */
static __always_inline int find_flow(struct __sk_buff *skb)
{
	struct pk_pkt pkt = {};
	struct pk_flow_key key;

	if (pk_guard_bytes(skb, &pkt))
		return TC_ACT_SHOT;
	flow_key(&key, &pkt, false);
	return bpf_map_lookup_elem(&flows, &key) ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("tc")
int bench_floor(struct __sk_buff *skb)
{
	return restore(skb) ? find_flow(skb) : TC_ACT_SHOT;
}

static __always_inline int judge(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_EGRESS, .count_dir = PK_EGRESS };
	int reason = guard_from(skb, &pkt);

	if (pkt.tail)
		reason = tail_call(skb, &pkt);
	return pk_finish(skb, &pkt, reason);
}

SEC("tc")
int bench_from(struct __sk_buff *skb)
{
	return restore(skb) ? judge(skb) : TC_ACT_SHOT;
}

int bench_first_miss(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} first SEC(".maps") = { .values = { (void *)&bench_first_miss } };

/* A flow's first packet. */
SEC("tc")
int bench_first(struct __sk_buff *skb)
{
	struct pk_pkt pkt = { .dir = PK_EGRESS, .count_dir = PK_EGRESS };
	struct pk_scratch *s = scratch_get();

	if (!s || !restore(skb))
		return TC_ACT_SHOT;
	guard_from(skb, &pkt);
	if (pkt.tail != PK_TAIL_MISS)
		return TC_ACT_SHOT;
	s->pkt = pkt;
	bpf_tail_call(skb, &first, 0);
	return TC_ACT_SHOT;
}

/* Its slow path. The flow goes again at once, so each run makes one: the figure has that too. */
SEC("tc")
int bench_first_miss(struct __sk_buff *skb)
{
	struct pk_scratch *s = scratch_get();
	int reason;

	if (!s)
		return TC_ACT_SHOT;
	reason = guard_miss(skb, s);
	pk_flow_close(CLOSE_KEY);
	return pk_finish(skb, &s->pkt, reason);
}

/* A run takes one of so many live flows, at random: by its source port. */
#define MANY 64000

static __always_inline bool set_port(struct __sk_buff *skb, __u32 nr)
{
	__be16 *port = (void *)(long)skb->data + ETH_HLEN + sizeof(struct iphdr);

	if ((void *)(port + 1) > (void *)(long)skb->data_end)
		return false;
	*port = bpf_htons(1 + nr);
	return true;
}

static __always_inline bool restore_any(struct __sk_buff *skb)
{
	return restore(skb) && set_port(skb, bpf_get_prandom_u32() % MANY);
}

SEC("tc")
int bench_any_empty(struct __sk_buff *skb)
{
	return restore_any(skb) ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("tc")
int bench_any(struct __sk_buff *skb)
{
	return restore_any(skb) ? judge(skb) : TC_ACT_SHOT;
}

/* The least at any of them. */
SEC("tc")
int bench_any_floor(struct __sk_buff *skb)
{
	return restore_any(skb) ? find_flow(skb) : TC_ACT_SHOT;
}

/* Makes those flows, one a run: the frame's own, under another source port. */
SEC("tc")
int bench_any_open(struct __sk_buff *skb)
{
	static __u32 opened;
	struct pk_scratch *s = scratch_get();
	const struct pk_flow *flow;
	struct pk_pkt pkt = {};

	if (!s || !restore(skb) || pk_guard_bytes(skb, &pkt))
		return TC_ACT_SHOT;
	flow_key(&s->key, &pkt, false);
	flow = bpf_map_lookup_elem(&flows, &s->key);
	if (!flow)
		return TC_ACT_SHOT;
	s->flow = *flow;
	s->key.sport = bpf_htons(1 + opened++ % MANY);
	s->flow.tag = flow_tag(&s->key);
	return bpf_map_update_elem(&flows, &s->key, &s->flow, BPF_ANY) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int bench_up(struct __sk_buff *skb)
{
	return restore(skb) ? from_uplink(skb) : TC_ACT_SHOT;
}
