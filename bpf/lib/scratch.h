/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Room for what is too large for the stack, and for what a tail call carries over. There is one a
 * CPU. It is written and read within one packet's run, which softirq context keeps from being
 * interrupted by another.
 */
#include "picket/event.h"
#include "lib/maps.h"
#include "lib/pkt.h"

#define PK_SCRATCH_BYTES 1024 /* bytes of an answer's frame */
#define PK_SCRATCH_BEHIND                                                                          \
	264 /* room behind it, so that what is put at any masked offset stays inside */

#define PK_SCRATCH_ASKED 160

/* One end of a connection. */
struct pk_end {
	union pk_addr addr;
	__u64 word;
	__u32 slot; /* 0 = not a local endpoint */
	__u32 identity, tenant;
	__u32 party; /* enum pk_party: what it is to the other end */
};

/*
 * How a packet of a translated or routed flow goes on. address:port replaces the packet's source or
 * destination; hairpin replaces the other address.
 */
struct pk_way {
	union pk_addr address, hairpin, next_hop;
	__u32 target; /* ifindex */
	__u32 mtu;
	__be16 port;
	__u8 rewrite; /* enum pk_rewrite */
	__u8 pad;
};

enum pk_rewrite {
	PK_REWRITE_NONE = 0,
	PK_REWRITE_SOURCE = 1 << 0,
	PK_REWRITE_DESTINATION = 1 << 1,
	PK_REWRITE_HAIRPIN = 1 << 2,
};

struct pk_scratch {
	struct pk_pkt pkt;
	struct pk_end end[2]; /* initiator, responder */
	struct pk_way way;
	__u8 translation;     /* PK_FLOW_SOURCE, _DESTINATION, _HAIRPIN of the flow to be made */
	__u8 neighbour[6];    /* whose frame brought another node's packet, if `came` */
	__u16 came;	      /* 1: the packet came by the way back to its source */
	union pk_addr tunnel; /* for a packet out of the overlay: the outer source */
	union pk_addr source; /* the node's address on the way out; all zero = not known */
	union pk_addr translated; /* with translated_port: as in struct pk_flow */
	__be16 translated_port;
	bool made; /* this packet has made the flow of s->key */
	struct pk_flow_key key, old, alias, moved, answer;
	struct pk_flow flow;
	struct pk_event_closed closed;
	struct pk_fragment fragment; /* what a first fragment says: kept once that has passed */
	__u32 fragment_owner;
	struct pk_query query;
	struct bpf_fib_lookup fib;
	/*
	 * A question and its answer, in its protocol's own structs. On the stack the verifier would
	 * follow each value that they may have. Before Linux 6.6 it also looks at one round of a
	 * loop only, and removes as dead whatever no first round can reach.
	 */
	__u8 asked[PK_SCRATCH_ASKED] __attribute__((aligned(8)));
	__u32 filled; /* bytes of an answer's options so far, in its frame */
	__u8 buf[PK_SCRATCH_BYTES + PK_SCRATCH_BEHIND]
		__attribute__((aligned(8))); /* an answer's frame */
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
