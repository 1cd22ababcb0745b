/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What is too large for the stack, and what a tail call carries over: one a CPU. Written and read
 * within one packet's run, which softirq context keeps from being interrupted by another.
 */
#include "lib/maps.h"
#include "lib/pkt.h"

#define PK_SCRATCH_BYTES 512

/* One end of a connection. */
struct pk_end {
	union pk_addr addr;
	__u64 word;
	__u32 slot; /* 0 = not a local endpoint */
	__u32 identity, tenant;
	__u32 party; /* enum pk_party: what it is to the other end */
};

struct pk_scratch {
	struct pk_pkt pkt;
	struct pk_end end[2]; /* initiator, responder */
	struct pk_flow_key key, old;
	struct pk_flow flow;
	struct pk_query query;
	__u8 buf[PK_SCRATCH_BYTES]; /* an answer's frame */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pk_scratch);
} scratch SEC(".maps");

static __always_inline struct pk_scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}
