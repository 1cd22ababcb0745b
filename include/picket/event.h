/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The records of the `events` ring buffer: one event a decision. One that finds no room is counted
 * as lost; nothing waits for the ring.
 */
#include <linux/types.h>
#include "picket/types.h"

#define PK_EVENT_VERSION 1

enum pk_event_type {
	PK_EVENT_DENIED = 1,
	PK_EVENT_ALLOWED = 2, /* a new flow, where the word asks for it */
	PK_EVENT_AUDIT = 3,   /* the audit documents would have decided otherwise */
	PK_EVENT_REVOKED = 4, /* a live flow judged again and denied */
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
