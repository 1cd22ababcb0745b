// SPDX-License-Identifier: Apache-2.0
/* Drops every packet at its hook: what a flood costs that nothing of ours sees. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int pk_drop(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

char pk_license[] SEC("license") = "Dual BSD/GPL";
