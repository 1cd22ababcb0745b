/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The records of the `events` ring buffer: one event a decision, and one a flow that ended. Where
 * there is no room one is counted as lost; nothing waits for the ring.
 */
#include <linux/types.h>
#include "picket/types.h"

#define PK_EVENT_VERSION	1
#define PK_EVENT_CLOSED_VERSION 2 /* struct pk_event_closed */

enum pk_event_type {
	PK_EVENT_DENIED = 1,
	PK_EVENT_ALLOWED = 2, /* a new flow, where the word asks for it */
	PK_EVENT_AUDIT = 3,   /* the audit documents would have decided otherwise */
	PK_EVENT_REVOKED = 4, /* a live flow judged again and denied */
	PK_EVENT_CLOSED = 5,  /* a flow that ended, where the word asks for it */
};

struct pk_event {
	__u8 version;		/* PK_EVENT_VERSION */
	__u8 type;		/* enum pk_event_type */
	__u8 reason;		/* enum pk_reason */
	__u8 dir;		/* enum pk_dir: whose verdict, seen from slot */
	__u32 slot;		/* whose counter the decision raised; 0 = no endpoint's */
	__u64 ns;		/* CLOCK_BOOTTIME */
	union pk_addr src, dst; /* the packet's; of one that went on translated, the new ones */
	__be16 sport, dport;	/* ICMP: dport is type << 8 | code, sport an echo's id */
	__u8 proto;
	__u8 tcp_flags;
	__u16 ethertype; /* host order */
	__u32 src_identity, dst_identity;
	__u32 src_tenant, dst_tenant;
	__u32 peer_slot; /* local peer, else 0 */
	__u32 rule;	 /* deciding rule; PK_RULE_NONE where no policy decided */
	__u32 audit_rule;
	__u32 revision;
	__u32 length;	    /* bytes of the frame, its Ethernet header included (skb->len) */
	__u8 rank;	    /* of the deciding rule */
	__u8 audit_verdict; /* enum pk_verdict */
	__u8 audit_rank;
	__u8 party; /* enum pk_party (query.h): what the other side is to slot */
	__u32 lost; /* events of this endpoint that were lost since its last one */
	__u32 pad2;
};
_Static_assert(sizeof(struct pk_event) == 104, "event ABI: pk_event");

/* How a flow ended: the word of docs/api.md, and what is meant. */
#define PK_FLOW_ENDS(X)                                                                            \
	X(FIN, "fin", "both sides have closed")                                                    \
	X(RESET, "reset", "a side has reset it")                                                   \
	X(TIMEOUT, "timeout", "no packet came for as long as it may rest")                         \
	X(REVOKED, "revoked", "policy denied it while it lived")                                   \
	X(ENDPOINT, "endpoint", "an endpoint of it went, or was opened anew")                      \
	X(REPLACED, "replaced", "its place or its ports are another flow's")
#define PK_FLOW_END_ENUM_(sym, name, text) PK_FLOW_END_##sym,
enum pk_flow_end { PK_FLOW_ENDS(PK_FLOW_END_ENUM_) PK_FLOW_END_COUNT };

/*
 * A flow that ended. Of its event src and dst are as the responder has them, tcp_flags and length
 * are 0, and reason, rule and rank those of its last judgement.
 */
struct pk_event_closed {
	struct pk_event event;
	__u64 packets[2], bytes[2]; /* sent by the initiator, by the responder; whole frames */
	__u32 seconds;		    /* from its first packet to its last one, to within a second */
	__u8 how;		    /* enum pk_flow_end */
	__u8 pad[3];
};
_Static_assert(sizeof(struct pk_event_closed) == 144, "event ABI: pk_event_closed");
