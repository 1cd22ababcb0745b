/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Sizes that the kernel side and user space must agree on. */
#include <linux/types.h>

#define PK_LAYOUT 7 /* the version of all tables: raise it with any change of maps.h */

#define PK_CAPACITY_DEFAULT    256 /* endpoints on a node; slots are 1..capacity */
#define PK_CAPACITY_MAX	       4096
#define PK_RULE_SETS_PER_SLOT  2    /* rule_sets holds 2 x capacity + 64 */
#define PK_FLOW_BUDGET_DEFAULT 4096 /* live flows an endpoint may own */
#define PK_FLOW_BUDGET_MAX     65536
#define PK_FLOWS_MAX	       (1u << 22) /* capacity x flow budget: more is refused at load */
#define PK_FRAGMENTS	       16   /* datagrams in pieces that an endpoint's area knows at once */
#define PK_FRAGMENTS_UPLINK    4096 /* and those that the area of all uplinks knows */
#define PK_NEW_FLOWS_DEFAULT   500  /* new flows a second; the burst is twice that */
/*
 * The overlay's UDP port. It is nobody else's: not IANA's 4789, nor 8472, which Linux, Cilium and
 * Flannel take for VXLAN.
 */
#define PK_VXLAN_PORT	   8479
#define PK_VXLAN_VNI	   112
#define PK_MASQUERADE_LOW  10000 /* ports, outside Nomad's 20000 to 32000 and the node's own */
#define PK_MASQUERADE_HIGH 19999

/* The most entries of one rule set: what would take more is refused while it is compiled. */
#define PK_RULE_SET_VERDICTS_MAX 65536
#define PK_TENANT_RULE_SET_MAX	 16384 /* entries of one that a tenant's documents shape */
#define PK_VERDICTS_PER_SLOT	 1024  /* entries of `verdicts` a slot; at least 65,536 in all */
#define PK_CIDR_DEFAULT		 131072
/* From so many prefixes of the operator's on, they have a list beside the rule sets' own. */
#define PK_CIDR_BESIDE_MIN 16
#define PK_CNI_ID_MAX	   128 /* container id, bytes; CNI sets no bound, we do */
#define PK_IFNAME_MAX	   15
#define PK_MTU_MIN	   1280 /* RFC 8200 5 */
#define PK_MTU_MAX	   9000
/* Frames, each of up to 64 KiB, that all queues of a tap hold for a VMM that doesn't read. */
#define PK_TAP_FRAMES 240

/* What the gateway tells an endpoint beside its address. Bytes are those of encoded options. */
#define PK_TOLD_SERVERS	 3    /* resolvers of each family: as many as resolv.conf(5) has */
#define PK_TOLD_HOST	 63   /* characters of a host name: one label's */
#define PK_TOLD_SERVERS4 16   /* DHCP's 6, and padding */
#define PK_TOLD_DOMAINS4 224  /* DHCP's 15, 119 and 12 */
#define PK_TOLD_DHCP6	 256  /* DHCPv6's 23 and 24 */
#define PK_TOLD_RA	 256  /* RDNSS and DNSSL */
#define PK_RA_LIFETIME	 1800 /* seconds, of router, prefix, resolvers and search list */

/* The gateway as every guest sees it: on no interface, answered by the guard. */
#define PK_GATEWAY_MAC { 0x02, 0x70, 0x6b, 0x00, 0x00, 0x01 }
/* The MAC of every node's overlay device. Frames inside the overlay are addressed to it. */
#define PK_OVERLAY_MAC	  { 0x02, 0x70, 0x6b, 0x00, 0x00, 0x02 }
#define PK_OVERLAY_SOURCE 49152 /* outer source ports: from here to 65535, whoever writes them */
#define PK_MAC_PREFIX0	  0x02	/* endpoint MACs: 02:70 and 32 bits of a hash */
#define PK_MAC_PREFIX1	  0x70

/* The tc preference of all our filters (state.md, "Life and death"). */
#define PK_TC_PREF   1
#define PK_TC_HANDLE 1

/*
 * pk_overlay.direct is a moment of CLOCK_MONOTONIC in units of 2^30 ns, 1.07 s. Whoever has just
 * seen that the node has no IPsec policy sets it so many units ahead; a moment that lies further
 * ahead than anybody sets it is none. The reader's clock is the coarse one, which is a tick behind:
 * it may be in the unit before.
 */
#define PK_DIRECT_UNITS 6

static inline __u32 pk_direct_until(__u64 now_ns)
{
	return (__u32)(now_ns >> 30) + PK_DIRECT_UNITS;
}

static inline int pk_direct_holds(__u32 until, __u64 now_ns)
{
	return until - (__u32)(now_ns >> 30) - 1 <= PK_DIRECT_UNITS;
}
