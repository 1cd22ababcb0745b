/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What is known of the packet in hand. parse.h fills the first part from the bytes, the guard the
 * rest as it decides; finish.h alone acts on it. User space can use it, too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/if_ether.h>
#include "picket/maps.h"
#include "picket/query.h"
#include "picket/reason.h"

enum pk_pkt_flag {
	PK_PKT_ARP = 1 << 0,
	PK_PKT_IPV4 = 1 << 1,
	PK_PKT_IPV6 = 1 << 2,
	PK_PKT_PORTS = 1 << 3, /* sport, dport are the L4 header's */
	PK_PKT_ECHO_REQUEST = 1 << 4,
	PK_PKT_ECHO_REPLY = 1 << 5,
	PK_PKT_ICMP_ERROR = 1 << 6,
	PK_PKT_ICMP_OTHER = 1 << 7, /* neither echo nor error: no flow */
	PK_PKT_GROUP = 1 << 8,	    /* destination MAC or address is broadcast or multicast */
	PK_PKT_PARTIAL = 1 << 9,    /* checksum is finished later */
	PK_PKT_WAY = 1 << 10,	    /* its flow is translated or routed; scratch has its way */
	PK_PKT_FIRST = 1 << 11,	    /* a fragment: the first, which has the L4 header */
	PK_PKT_LATER = 1 << 12,	    /* a fragment behind it: no L4 header */
	PK_PKT_FRAGMENT = PK_PKT_FIRST | PK_PKT_LATER,
	PK_PKT_NEW = 1 << 13,	/* no flow was found: the slow path needn't look again */
	PK_PKT_STRAY = 1 << 14, /* a RST or a FIN beside the endpoint's window: closes nothing */
	PK_PKT_UNWRAPPED = 1 << 15, /* out of the overlay, taken out of its tunnel at the uplink */
};

/* What finish.h does with a packet whose reason is ok (DROP and TELL: with a denied one). */
enum pk_action {
	PK_ACT_DROP = 0, /* denied, or swallowed */
	PK_ACT_PEER = 1, /* redirect_peer to `target`: another endpoint, or back to its own */
	PK_ACT_STACK = 2,
	PK_ACT_NEIGH = 3,  /* redirect_neigh to `target` */
	PK_ACT_PASS = 4,   /* on its way already: to_endpoint */
	PK_ACT_TELL = 5,   /* denied, and turned into an ICMP error to its sender at `target` */
	PK_ACT_BACK = 7,   /* the same to one outside: back by the uplink `target` */
	PK_ACT_TUNNEL = 6, /* in a tunnel: by the guard, or by the device `target` */
};

struct pk_pkt {
	/*
	 * This part is read from the bytes. In ARP src and dst are sender's and target's protocol
	 * address.
	 */
	union pk_addr src, dst;
	__be16 sport, dport; /* ICMP echo: the id in both; no ports: 0 */
	__be16 judged_port;  /* as in struct pk_verdict_key: dport, or ICMP type << 8 | code */
	__u16 ethertype;     /* host order */
	__u16 flags;	     /* enum pk_pkt_flag */
	__u16 l4_off;	     /* offset from the Ethernet header */
	__u32 l3_len;	     /* length of the IP packet, as its header says */
	__u32 payload;	     /* bytes behind the L4 header */
	__u8 dmac[ETH_ALEN], smac[ETH_ALEN]; /* on even places: compared by 16 bits */
	__u8 proto;
	__u8 tcp_flags;
	__u8 ttl;
	__u8 icmp_type, icmp_code;

	/* This part is filled in as the guard decides. */
	__u8 dir;	/* enum pk_dir: the hook's */
	__u8 count_dir; /* with count_slot: whose counter the decision raises */
	__u8 tail;	/* enum pk_tail: the decision goes on there */
	__u8 action;	/* enum pk_action */
	__u8 role;	/* 0: the flow's initiator sent it, 1: its responder */
	__u8 party;	/* enum pk_party: the peer */
	__u8 event;	/* enum pk_event_type beside the reason's own; 0 = none */
	__u8 denied;	/* enum pk_reason of a denial that its sender is told of (tell.h) */
	bool to_tap;	/* target is a host tap: no veth lies between (tap.h) */
	__u32 slot;	/* the hook's endpoint; 0 = none */
	__u32 count_slot;
	__u32 peer_slot;
	__u32 identity, tenant; /* of the endpoint at slot */
	__u32 peer_identity, peer_tenant;
	__u32 target;
	__u32 tell_mtu; /* MTU of the way that the packet is too long for; 0 = none */
	__be16 wire_id; /* IPv4: the id under which a datagram with a translated source leaves */
	__u64 word;	/* of the endpoint at slot, loaded once */
	struct pk_verdict_value verdict;
};
