// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data path's programs. pk_from_endpoint stands at the host veth's ingress, pk_to_endpoint at
 * its egress, the forwarders at the ingress of tap0 and eth0 in the alloc's netns.
 */
#include <linux/pkt_cls.h>
#include "lib/maps.h"
#include "lib/forward.h"

static __always_inline int deny(struct __sk_buff *skb, enum pk_dir dir)
{
	__u32 row = PK_COUNTER(0, dir, PK_REASON_NOT_BUILT);
	struct pk_counter *c = bpf_map_lookup_elem(&counters, &row);

	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
	return TC_ACT_SHOT;
}

SEC("tc")
int pk_from_endpoint(struct __sk_buff *skb)
{
	return deny(skb, PK_EGRESS);
}

SEC("tc")
int pk_to_endpoint(struct __sk_buff *skb)
{
	return deny(skb, PK_INGRESS);
}

SEC("tc")
int pk_miss(struct __sk_buff *skb)
{
	return deny(skb, PK_EGRESS);
}

SEC("tc")
int pk_miss_to(struct __sk_buff *skb)
{
	return deny(skb, PK_INGRESS);
}

SEC("tc")
int pk_answer(struct __sk_buff *skb)
{
	return deny(skb, PK_EGRESS);
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

SEC("tc")
int pk_forward_tap(struct __sk_buff *skb)
{
	return pk_forward(skb, true, pk_path == PK_PATH_KFUNC);
}

SEC("tc")
int pk_forward_eth(struct __sk_buff *skb)
{
	return pk_forward(skb, false, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
