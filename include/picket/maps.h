/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Key and value of every pinned map (state.md, "Tables"); the pin's name is the table's name.
 * Host byte order unless the type says __be. No implicit padding: pad fields are zero.
 * A change here raises PK_LAYOUT.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include "picket/limits.h"
#include "picket/policy.h"
#include "picket/types.h"

#define PK_ABI(type, size) _Static_assert(sizeof(type) == (size), "map ABI: " #type)

/*
 * A device that leads out of the node. FROM_UPLINK stands at its ingress; a masqueraded packet
 * leaves with one of its addresses. Written by the loader and by picketd, which follows netlink.
 */
struct pk_uplink {
	__u32 ifindex;	    /* 0 = no uplink */
	__u32 mtu;	    /* bytes behind the Ethernet header */
	union pk_addr ipv4; /* the device's own, v4-mapped; all zero = none */
	union pk_addr ipv6; /* global unicast; all zero = none */
};
PK_ABI(struct pk_uplink, 40);

/* A block of this node's endpoint addresses: addr has no bit outside mask. */
struct pk_block {
	union pk_addr addr, mask; /* mask all zero = no block */
};
PK_ABI(struct pk_block, 32);

/*
 * This node's end of the overlay ("fabric": "vxlan"). As long as it has a port, nobody but the
 * guard sends to that port, also while the device is gone. Written by picketd.
 */
struct pk_overlay {
	__u32 ifindex; /* its device, where FROM_FABRIC is attached; 0 = there is none */
	__u32 vni;
	union pk_addr local; /* outer source; the whole overlay is of its family */
	__be16 port;	     /* UDP; 0 = this node is in no overlay */
	__u16 pad;
	__u32 direct; /* until then the device may be left out (limits.h); 0 = it may not */
};
PK_ABI(struct pk_overlay, 32);

/*
 * pk_node.flags. MORE_BLOCKS: `block` doesn't hold all blocks, so every destination is looked up.
 */
#define PK_NODE_MORE_BLOCKS (1u << 0)
/*
 * DEFAULT4, DEFAULT6: the node has a default route of that family, so what the FIB doesn't forward
 * is an address of the node. Without one it may as well be an address without a route; a mapping on
 * every address of the node then holds on its uplinks' addresses only.
 */
#define PK_NODE_DEFAULT4 (1u << 1)
#define PK_NODE_DEFAULT6 (1u << 2)

/*
 * How long a flow lives without a packet, by what it is: the key of picketd.json's "timeouts", the
 * default in seconds, and what is meant.
 */
#define PK_TIMEOUTS(X)                                                                             \
	X(TCP_OPENING, "tcpOpening", 60, "a TCP connection whose answer isn't acknowledged yet")   \
	X(TCP_OPEN, "tcpOpen", 21600, "one that is open")                                          \
	X(TCP_CLOSING, "tcpClosing", 120, "one that a side has closed")                            \
	X(TCP_CLOSED, "tcpClosed", 10, "one that is closed, whatever still comes")                 \
	X(TCP_RESET, "tcpReset", 10, "one that was reset from outside")                            \
	X(UDP, "udp", 30, "UDP")                                                                   \
	X(UDP_STREAM, "udpStream", 180, "UDP that goes on for two seconds")                        \
	X(DNS, "dns", 10, "a DNS question over UDP that is answered")                              \
	X(ICMP, "icmp", 30, "an echo")                                                             \
	X(OTHER, "other", 30, "any other protocol")                                                \
	X(OTHER_STREAM, "otherStream", 180, "that goes on for two seconds")
#define PK_TIMEOUT_ENUM_(sym, name, seconds, text) PK_TIMEOUT_##sym,
enum pk_timeout { PK_TIMEOUTS(PK_TIMEOUT_ENUM_) PK_TIMEOUT_COUNT };
#define PK_TIMEOUT_ROOM 16 /* a power of two */
#define PK_TIMEOUT_MIN	2
#define PK_TIMEOUT_MAX	(5 * 24 * 3600)

static inline void pk_timeouts_init(__u32 timeout[PK_TIMEOUT_ROOM])
{
#define PK_TIMEOUT_SET_(sym, name, seconds, text) timeout[PK_TIMEOUT_##sym] = (seconds);
	PK_TIMEOUTS(PK_TIMEOUT_SET_)
}

#define PK_UPLINKS 4 /* a node has at most */
#define PK_BLOCKS  4 /* blocks that the uplink program compares without a lookup */

/* node: array[1]. What can change while the programs are loaded. Written by loader, picketd. */
struct pk_node {
	__u64 epoch[2];	   /* random, drawn at each load; a record's numbers count only under it */
	__u32 layout;	   /* PK_LAYOUT */
	__u32 capacity;	   /* slots are 1..capacity */
	__u32 flow_budget; /* places an endpoint owns in `places` */
	__u32 new_flows_per_s;		       /* default bucket of new flows; 0 = no limit */
	__u32 rule_sets;		       /* entries of `rule_sets` */
	__u32 events;			       /* 1: events are wanted (a reader is there) */
	__u16 masquerade_low, masquerade_high; /* ports, both included; 0,0 = not set */
	__u32 flags;			       /* PK_NODE_* */
	struct pk_uplink uplink[PK_UPLINKS];
	struct pk_block block[PK_BLOCKS];
	__u32 timeout[PK_TIMEOUT_ROOM]; /* by enum pk_timeout; seconds */
	struct pk_overlay overlay;
};
PK_ABI(struct pk_node, 432);

/*
 * numbers: array[4] of u64, mmap'ed. Counters: whoever needs a number takes the next by an atomic
 * add; 0 is never one.
 */
enum pk_number {
	PK_NUMBER_TENANT = 0,
	PK_NUMBER_IDENTITY = 1,
	PK_NUMBER_REVISION = 2,
	PK_NUMBER_LIST = 3, /* names a cidr list of rule sets */
	PK_NUMBER_COUNT = 4,
};

/* slots: hash, host ifindex (u32) -> slot (u32). Written by ADD, DEL and the sweep. */

/*
 * endpoints: array[capacity + 1], mmap'ed. An entry is written before its endpoint opens. While
 * that is open only identity, tenant and limits change, by aligned single stores; a new revision
 * follows a change of the first two. Written by ADD and picketd; the owner also by DEL and the
 * sweep.
 */
struct pk_endpoint {
	union pk_addr ipv4;	/* v4-mapped; all zero = none */
	union pk_addr ipv6;	/* all zero = none */
	union pk_addr gateway4; /* v4-mapped: the pool block's first address */
	__u8 mac[6];
	__u8 ipv4_prefix; /* length of the pool block's prefix: 24 = /24 */
	__u8 pad0;
	__u32 host_ifindex; /* host end of the veth; PK_EP_HOST_TAP: the tap */
	__u32 identity;
	__u32 tenant; /* 0 = quarantine ({reserved:init}) */
	__u32 mtu;
	__u32 flags;	      /* PK_EP_* */
	__u32 opened;	      /* revision at which this endpoint was opened */
	__u32 bytes_per_s[2]; /* by enum pk_dir; 0 = no limit */
	__u32 packets_per_s[2];
	__u32 new_flows_per_s[2]; /* by enum pk_dir; 0 = the node's */
	__u32 flow_budget;	  /* 0 = the node's; never more */
	__u32 burst[2];		  /* bytes, by enum pk_dir; 0 = what a second gives */
	__u32 pad1;
	/*
	 * The holder of the slot, 0 = free: 48 bits of a hash of "<container id>@<ifname>@<slot>"
	 * and, in the low 16, the boot time in seconds at which it was taken. Not read by the
	 * programs.
	 */
	__u64 owner;
};
PK_ABI(struct pk_endpoint, 128);
#define PK_EP_PROCESS  (1u << 0) /* process mode: no tap behind eth0 */
#define PK_EP_PORTS    (1u << 1) /* `published` or `open_ports` name this slot */
#define PK_EP_HOST_TAP (1u << 2) /* its device is the tap itself, in the node's namespace */

/*
 * answers: array[capacity + 1]: what the gateway tells an endpoint of resolvers and search list, as
 * options that user space has encoded (lib/tables/told.c) and the programs copy. Unused bytes are
 * zero. Written whole under the entry's lock (BPF_F_LOCK), by ADD and, while the endpoint lives, by
 * picketd.
 */
struct pk_answers {
	struct bpf_spin_lock lock;
	__u16 domains4_len, dhcp6_len;
	__u16 ra_len; /* a multiple of 8 */
	__u16 pad;
	__u8 servers4[PK_TOLD_SERVERS4]; /* with padding, which DHCPv4 has */
	__u8 domains4[PK_TOLD_DOMAINS4];
	__u8 dhcp6[PK_TOLD_DHCP6];
	__u8 ra[PK_TOLD_RA];
};
PK_ABI(struct pk_answers, 764);

/*
 * words: array[capacity + 1] of u64, mmap'ed: slot -> word; 0 = closed. From the high bits down:
 * {rule set 24, flags 8, revision 32}. Changed by 64-bit compare-and-exchange only (state.md,
 * "Words"), by ADD, DEL, the sweep and picketd.
 */
#define PK_WORD(rule_set, flags, revision)                                                         \
	((__u64)(rule_set) << 40 | (__u64)((flags) & 0xff) << 32 | (__u32)(revision))
#define PK_WORD_RULE_SET(word) ((__u32)((word) >> 40))
#define PK_WORD_FLAGS(word)    ((__u32)((word) >> 32 & 0xff))
#define PK_WORD_REVISION(word) ((__u32)(word))
#define PK_WORD_AUDIT	       (1u << 0) /* the rule set's audit verdicts differ: report */
#define PK_WORD_MASQUERADE     (1u << 1) /* IPv4 to the world leaves with the node's address */
#define PK_WORD_LOG_NEW	       (1u << 2) /* an event for each new allowed flow */
#define PK_WORD_MASQUERADE6    (1u << 3) /* the same for IPv6 */
#define PK_WORD_LOG_CLOSED     (1u << 4) /* an event for each flow that ends */

/*
 * labels: hash, from the 128-bit digest (pk_hash128 of lib/base/str.h: SipHash-2-4 under two fixed
 * keys) of a label set's canonical text to its numbers. Written by picketd and, for a base, by ADD.
 */
struct pk_labels_key {
	__u64 hash[2];
};
struct pk_labels {
	__u32 identity;
	__u32 tenant;
	__u32 rule_set; /* 0 = use the tenant's base */
	__u32 pad;
};
PK_ABI(struct pk_labels, 16);

/*
 * bases: hash, tenant (u32; 0 = any other tenant) -> rule set (u32) of an endpoint whose other
 * labels are unknown. Written by ADD and picketd.
 */

/*
 * by_address: hash, union pk_addr -> local endpoint. Written by ADD, DEL and the sweep; its
 * identity and tenant also by picketd.
 */
struct pk_local {
	__u32 slot;
	__u32 identity;
	__u32 tenant;
	__u32 pad;
};
PK_ABI(struct pk_local, 16);

/*
 * remote: hash, union pk_addr -> an endpoint of another node, or another node's own address.
 * Written by picketd.
 */
struct pk_remote {
	__u32 identity;
	__u32 tenant;
	__u32 flags; /* PK_REMOTE_NODE */
	__u32 pad;
	__u64 owner; /* stamp: hash of node and container id */
	__u64 generation;
};
PK_ABI(struct pk_remote, 32);
#define PK_REMOTE_NODE (1u << 0)

/*
 * pools: LPM over the cluster's endpoint prefixes, which says whose each is. prefixlen counts the
 * 128 bits of addr. Written by the loader and picketd.
 */
#define PK_POOL_OWN    1u /* a block of this node */
#define PK_POOL_OTHERS 2u /* a block of another node */
struct pk_pool_key {
	__u32 prefixlen;
	union pk_addr addr;
} __attribute__((packed, aligned(4)));
PK_ABI(struct pk_pool_key, 20);
struct pk_pool {
	__u32 whose; /* PK_POOL_* */
	__u32 pad;
	/* PK_POOL_OTHERS: that node's end of the overlay; all zero = it has none. */
	union pk_addr node;
};
PK_ABI(struct pk_pool, 24);

/*
 * tunnels: hash, union pk_addr -> u32 1. The addresses of the other nodes' ends of the overlay.
 * Written by picketd.
 */

/*
 * open_ports: hash -> PK_OPEN_* (u32). Ports that are open to world, host and other nodes whatever
 * the verdict says. Written by ADD, DEL and the sweep (published), and by picketd (checked).
 */
struct pk_open_port_key {
	__u32 slot;
	__u8 proto;
	__u8 pad;
	__be16 port; /* the endpoint's own */
};
PK_ABI(struct pk_open_port_key, 8);
#define PK_OPEN_PUBLISHED (1u << 0)
#define PK_OPEN_CHECKED	  (1u << 1)

/*
 * published: hash, node address, protocol and port -> endpoint's port. Written by ADD, DEL and the
 * sweep. An entry with the address all zero is asked first: with a slot it is a mapping on every
 * address of the node; without one (slot 0) it says that mappings on single addresses exist.
 */
struct pk_published_key {
	union pk_addr addr;
	__u8 proto;
	__u8 pad;
	__be16 port; /* the node's */
	__u32 pad2;
};
struct pk_published {
	__u32 slot;
	__be16 port; /* the endpoint's */
	__u16 pad;
};
PK_ABI(struct pk_published_key, 24);

/*
 * published_ports: array of u64, a bit for each port that an entry of `published` has, of whatever
 * protocol and address. It is set before the first of them is written and cleared after the last is
 * deleted, under the node's lock. A bit that a killed process left set costs a lookup. Written by
 * ADD, DEL and the sweep.
 */
#define PK_PORT_WORDS	   (65536 / 64)
#define PK_PORT_WORD(port) ((__u32)(port) >> 6) /* port in host order */
#define PK_PORT_BIT(port)  (1ull << ((port) & 63))

/*
 * The lists of a rule set, each + enum pk_dir. Its own list divides the world into classes. The
 * others hold prefixes that the operator's rules name, and are shared by all rule sets that those
 * rules select alike. A class found in one of them is asked beside that of the own list.
 */
enum pk_list {
	PK_LIST_OWN = 0,
	PK_LIST_ALL = 2,  /* prefixes of rules that select every endpoint */
	PK_LIST_SOME = 4, /* prefixes of rules that select some */
	PK_LISTS = 6,
};

/*
 * rule_sets: array[node.rule_sets]; entry 0 is unused. Written by ADD and picketd under the node
 * lock.
 */
struct pk_rule_set {
	/* cidr lists by PK_LIST; 0 = none: the two world classes only, nothing beside them */
	__u32 list[PK_LISTS];
	__u32 entries; /* verdict entries; 0 = this entry is free; PK_RULE_SET_CLAIM: being built */
	__u32 flags;   /* PK_RULE_SET_* */
	/*
	 * A digest of the content, so that equal rule sets are shared. While the entry is claimed:
	 * the moment of the claim in CLOCK_BOOTTIME seconds, and 1.
	 */
	__u64 digest[2];
};
PK_ABI(struct pk_rule_set, 48);
#define PK_RULE_SET_ANY	  (1u << 0)  /* PK_CLASS_ANY has entries: read by BPF, set by nobody yet */
#define PK_RULE_SET_AUDIT (1u << 1)  /* audit differs: words that name it have PK_WORD_AUDIT */
#define PK_RULE_SET_CLAIM (1u << 31) /* in `entries`: somebody builds it, no word names it yet */

/*
 * cidr: LPM, {list, prefix} -> class (u32) of peers in the world. prefixlen counts the 32 bits of
 * list, then addr. Written as rule_sets.
 */
struct pk_cidr_key {
	__u32 prefixlen;
	__u32 list;
	union pk_addr addr;
} __attribute__((packed, aligned(4)));
PK_ABI(struct pk_cidr_key, 24);

/* peer_class: hash -> class (u32) of peers that are endpoints. Written as rule_sets. */
struct pk_peer_class_key {
	__u32 rule_set;
	__u32 peer; /* an identity; with PK_PEER_TENANT a tenant */
	__u32 dir;  /* enum pk_dir, of the endpoint whose rule set it is */
};
PK_ABI(struct pk_peer_class_key, 12);
#define PK_PEER_TENANT (1u << 31)

/*
 * verdicts: LPM -> verdict. prefixlen counts the 32 bits of rule set, then class, direction,
 * protocol, port (ICMP: type in the high byte, code in the low one). Written as rule_sets.
 */
struct pk_verdict_key {
	__u32 prefixlen;
	__u32 rule_set;
	__u32 class;
	__u8 dir;    /* enum pk_dir */
	__u8 proto;  /* IP protocol number */
	__be16 port; /* the responder's */
};
PK_ABI(struct pk_verdict_key, 16);
#define PK_VERDICT_BITS_DIR   72 /* any protocol */
#define PK_VERDICT_BITS_PROTO 80 /* any port */
#define PK_VERDICT_BITS_TYPE  88 /* an ICMP type, any code */
#define PK_VERDICT_BITS_PORT  96

struct pk_judgement {
	__u8 verdict; /* enum pk_verdict */
	__u8 rank;    /* PK_RANK */
	__u16 pad;
	__u32 rule; /* number of the deciding rule, PK_RULE_* */
};
struct pk_verdict_value {
	struct pk_judgement live;  /* without the audit documents */
	struct pk_judgement audit; /* with all of them */
};
PK_ABI(struct pk_verdict_value, 16);

/*
 * flows: hash, not preallocated. Who began is part of the key, which isn't sorted: a packet is
 * looked up as the initiator's, then as the responder's. Data path only; picketd deletes what is
 * over.
 */
struct pk_flow_key {
	union pk_addr src, dst; /* initiator, responder */
	__be16 sport, dport;	/* ICMP echo: the id in both */
	__u8 proto;
	__u8 pad;
	__u16 zone; /* 0, reserved */
};
PK_ABI(struct pk_flow_key, 40);

/* ALIAS: stands for the responder's packets where translation changed their tuple. */
enum pk_flow_kind {
	PK_FLOW_PRIMARY = 0,
	PK_FLOW_ALIAS = 1,
};

/* pk_flow.flags */
#define PK_FLOW_STACK	     (1u << 0)		  /* the other side is this node's own stack */
#define PK_FLOW_WORLD	     (1u << 1)		  /* the other side is reached by a route */
#define PK_FLOW_FIN(role)    (1u << (2 + (role))) /* that side has sent FIN */
#define PK_FLOW_AT_RESPONDER (1u << 4) /* `reason` is a denial at the responder's ingress */
/*
 * How a flow is translated. Its key is what the initiator sends; policy sees the endpoints. SOURCE:
 * the responder sees address:port in the initiator's place (masquerade). DESTINATION: the responder
 * is address:port, the initiator sees key.dst:key.dport (a published port). HAIRPIN, with
 * DESTINATION: initiator and responder are one endpoint, which sees key.dst as the initiator.
 */
#define PK_FLOW_SOURCE	    (1u << 5)
#define PK_FLOW_DESTINATION (1u << 6)
#define PK_FLOW_HAIRPIN	    (1u << 7)
/*
 * The packets of such a flow don't go to the local endpoint, or the stack, that their addresses
 * name.
 */
#define PK_FLOW_ELSEWHERE (PK_FLOW_WORLD | PK_FLOW_SOURCE | PK_FLOW_DESTINATION)

/* pk_flow.scale */
#define PK_FLOW_SHIFT	 0x0fu	   /* of the endpoint's windows, where both ends shift theirs */
#define PK_FLOW_UNSCALED (1u << 4) /* the outside end's SYN has no such option: neither does */
#define PK_FLOW_GOES_ON	 (1u << 5) /* the endpoint has acknowledged something behind its SYN */
#define PK_FLOW_OPENED	 (1u << 6) /* was PK_FLOW_OPEN, or had been but for a RST */

/*
 * A flow, and how CPUs share one that is PRIMARY.
 *
 * `word` holds the words of the two endpoints under which the flow was judged. A packet is carried
 * at once only where both are still the endpoints' words.
 *
 * One CPU at a time writes a judgement (`judging`), in this order: rule, judged, flags and the
 * translation; then `reason`; then `word`. A release stands before each of the last two. A reader
 * takes them the other way round: each word once, then `reason`, then the rest.
 *
 * The kernel gives the memory of a deleted element to another key at once, even while a CPU reads
 * it. `tag` is written with the first copy and never changes; a reader compares it last, after
 * everything that it acts on.
 *
 * state and flags only go up in the life of a connection, but for a reset that turns out to be
 * none. Two CPUs that write them at once may lose one FIN; CLOSING then lasts its time-out.
 *
 * A packet of an established flow reads the first 32 bytes alone. They share a cache line with the
 * key's end, by the size of the element's header. The counters, which each packet writes, lie in
 * the last 64 bytes.
 */
struct pk_flow {
	__u64 tag;     /* pk_flow_tag of the key */
	__u64 word[2]; /* initiator's, responder's; 0 where that side is not local */
	__u16 slot[2]; /* local endpoints; 0 = not local */
	__u8 kind;     /* enum pk_flow_kind */
	__u8 state;    /* enum pk_flow_state */
	__u8 reason;   /* enum pk_reason under which it was judged last: OK or a denial */
	__u8 flags;    /* PK_FLOW_* */
	union {
		struct pk_flow_key primary; /* an alias': its flow's key */
		struct {
			__u32 expires; /* jiffies, low 32 bits */
			__u32 judged;  /* jiffies, low 32 bits: last judgement */
			__u32 rule;    /* deciding rule */
			__u32 target;  /* ifindex that leads to the world; 0 = not looked up */
			union pk_addr address;	/* PK_FLOW_SOURCE, PK_FLOW_DESTINATION */
			union pk_addr next_hop; /* on target; all zero = the destination */
			__be16 port;		/* of address; ICMP echo: the id */
			__u8 rank;		/* of the deciding rule */
			__u8 pad0;
			__u32 mtu;	   /* bytes, of the way to the world; 0 = not looked up */
			__u8 neighbour[6]; /* PK_FLOW_CAME: the MAC that its frames come from */
			__u8 remote;	   /* enum pk_flow_remote */
			__u8 scale;	   /* PK_FLOW_SHIFT and its neighbours, beside `window` */
			/* Sent by the initiator, by the responder; bytes are whole frames. */
			__u64 packets[2], bytes[2];
			__u32 opened[2]; /* pk_endpoint.opened of the slots at the begin */
			__u32 place;	 /* index of its key in `places` */
			__u32 judging;	 /* 1: a CPU writes its judgement */
			__u32 begun;	 /* jiffies, low 32 bits; of an alias, too */
			union {
				__u32 revoked; /* while reason is a denial: jiffies, since when */
				__u32 awaited; /* else, TCP from outside: its answer's SYN's ack */
			};
			/*
			 * TCP with somebody outside: the endpoint's last word on what it expects
			 * next (low) and on where its window ends (high); 0 = none yet.
			 */
			__u64 window;
		};
	};
};
PK_ABI(struct pk_flow, 160);
_Static_assert(__builtin_offsetof(struct pk_flow, expires) == 32, "map ABI: the hot line ends");
_Static_assert(__builtin_offsetof(struct pk_flow, packets) == 96, "map ABI: counters' own line");

/* The longest that a flow may live without a packet, in seconds. */
#define PK_FLOW_LONGEST PK_TIMEOUT_MAX
/*
 * Returns whether the flow's time is over. now is in jiffies, hz of them a second. Nothing sweeps
 * what is over, and at 1,000 a second 32 bits come round in 50 days: what seems to end later than
 * any flow could, ended long ago. A minute more is allowed, since another CPU's now may be later
 * than ours.
 */
static inline int pk_flow_expired(const struct pk_flow *flow, __u32 now, __u32 hz)
{
	return flow->expires - now > (PK_FLOW_LONGEST + 60) * hz;
}
enum pk_flow_state {
	PK_FLOW_NEW = 0,     /* not answered; TCP: the initiator hasn't acknowledged the answer */
	PK_FLOW_OPEN = 1,    /* answered */
	PK_FLOW_CLOSING = 2, /* FIN seen one way */
	PK_FLOW_CLOSED = 3,  /* RST of an endpoint or the node, or FIN both ways */
	PK_FLOW_STREAM = 4,  /* not TCP: answered, and still sending two seconds after its begin */
	PK_FLOW_RESET = 5,   /* RST from outside, which the local end hasn't contradicted yet */
};

/*
 * What is known of a flow's other side where that is on another node: whether its packet was seen
 * to come by the way back to it.
 */
enum pk_flow_remote {
	PK_FLOW_NOT_REMOTE = 0,
	PK_FLOW_UNASKED = 1, /* the last judged packet went to it, or was an error */
	PK_FLOW_CAME = 2,    /* it came by the device `target`, from `neighbour` */
};

/*
 * places: array[(capacity + 1) x flow_budget]: slot x flow_budget + n -> key of a live flow (zero =
 * free). Data path only.
 */

/*
 * counters: per-CPU array[(capacity + 1) x 2 x 64], at (slot x 2 + dir) x 64 + reason. Slot 0:
 * packets of no endpoint. bytes are whole frames, the Ethernet header included. Written by the data
 * path; ADD zeroes a slot's.
 */
struct pk_counter {
	__u64 packets;
	__u64 bytes;
};
#define PK_COUNTER(slot, dir, reason) (((slot) * 2u + (dir)) * PK_REASON_SLOTS + (reason))

/*
 * programs: prog array, one a build: the targets of the slow path's tail calls. Written by the
 * loader.
 */

/*
 * fragments: array[PK_FRAGMENTS_UPLINK + (capacity + 1) x PK_FRAGMENTS]: what the first fragment of
 * a datagram says. Its index is a hash of what all its fragments share, in the area of the uplinks
 * or of the endpoint at whose device they arrive. Another datagram with that index replaces it.
 * Data path only.
 */
struct pk_fragment {
	union pk_addr src, dst; /* as the fragments have them at that device */
	__u32 id;
	__u32 seen; /* jiffies, low 32 bits */
	__be16 sport, dport;
	__be16 judged_port;
	__u16 flags; /* enum pk_pkt_flag of the first fragment */
	__u16 end;   /* bytes of the datagram up to the end of its first fragment */
	__u8 proto;  /* 0 = nothing stands here */
	__u8 ipv4;
	__be16 wire_id; /* IPv4: the id under which a first with a translated source went on */
	__u16 pad;
};
struct pk_fragment_place {
	struct pk_fragment first;
	struct bpf_spin_lock lock;
	__u32 pad;
};
PK_ABI(struct pk_fragment_place, 64);

/* buckets: array[capacity + 1]: an endpoint's buckets, cursors; zero = full. Data path only. */
enum pk_bucket_kind {
	PK_BUCKET_BYTES = 0,   /* + enum pk_dir */
	PK_BUCKET_PACKETS = 2, /* + enum pk_dir */
	PK_BUCKET_ANSWERS = 4,
	PK_BUCKET_NEW_FLOWS = 5, /* + enum pk_dir: begun by the endpoint, from outside */
	PK_BUCKET_EVENTS = 7,
	PK_BUCKET_FULL = 8,	    /* + enum pk_dir, likewise: when no place was free */
	PK_BUCKET_PLACE = 10,	    /* a cursor: where the next new flow looks in `places` */
	PK_BUCKET_TOP = 11,	    /* no flow is from here on; above the budget: that shrank */
	PK_BUCKET_EVENTS_LOST = 12, /* a count: events that were lost since ADD */
	PK_BUCKET_EVENTS_TOLD = 13, /* a count: how many of these an event has told of */
	PK_BUCKET_CLOSED = 14,	    /* a cursor: whose connection closed last */
	PK_BUCKET_COUNT = 16,
};
struct pk_bucket {
	__u64 tokens[PK_BUCKET_COUNT]; /* {stamp of ns/1024 in the high, tokens in the low 32} */
};
PK_ABI(struct pk_bucket, 128);
#define PK_PLACES_FULL (1ull << 32) /* in PK_BUCKET_FULL, beside the jiffies */

/*
 * In `places`, never in `flows`, pk_flow_key.pad and zone hold this while an entry is being made.
 */
#define PK_PLACE_BUSY 0xffff
