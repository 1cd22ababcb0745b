// SPDX-License-Identifier: Apache-2.0
/* The least that can lead from one veth pair to another: no verdict, the pair's neighbour by number. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int bench_peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(skb->ifindex ^ 1, 0);
}

char LICENSE[] SEC("license") = "GPL";
