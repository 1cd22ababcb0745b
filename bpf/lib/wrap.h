/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Puts a packet into its tunnel and takes it out without the overlay's device, which costs the
 * stack's way on both nodes. What isn't the plain case is left to the device, which reads what is
 * written here, and writes what is read here: an overlay over IPv6, a neighbour that isn't known
 * yet, a way that is narrower than the device; on the way in TCP, what is to be cut or was merged,
 * and what the stack has to look at; and all while the node has an IPsec policy, which the stack
 * alone asks, or nobody looks whether it has.
 */
#include "lib/overlay.h"
#include "lib/peer.h"
#include "lib/rewrite.h"

#define WRAP_PORT_MASK 0x3fff
#define WRAP_DF	       0x4000
#define WRAP_LONGEST   65535 /* of an IPv4 packet */
#define WRAP_VNI_FLAG  0x08000000
#define WRAP_SUM_RIGHT 0xffff
#define WRAP_ECN       3
#define WRAP_ECN_CE    3 /* congestion was met */
#define WRAP_ECN_ECT0  2
#define WRAP_ECN_ODD   1 /* the bit that only ECT(1) and CE have */

/* From Linux 6.3 on. Older kernels refuse the flag, and the device takes such a packet out. */
#define WRAP_INNER_IPV6 (1ULL << 8)

struct wrap_heads {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__be32 vxlan_flags, vni; /* the identifier is in the upper 24 bits */
	struct ethhdr inner;
} __attribute__((packed));

#define WRAP_BYTES (sizeof(struct wrap_heads) - ETH_HLEN)
_Static_assert(WRAP_BYTES == OVERLAY_TAKES, "what the overlay takes of a packet over IPv4");

/* Returns whether somebody has seen of late that the node has no IPsec policy. */
static __always_inline bool wrap_may(const struct pk_node *n)
{
	return pk_direct_holds(n->overlay.direct, bpf_ktime_get_coarse_ns());
}

/* Sums up the outer IPv4 header, its checksum included. */
static __always_inline __u16 wrap_sum(const struct wrap_heads *h)
{
	const __u16 *word = (const void *)h + ETH_HLEN;
	__u32 sum = 0;

	for (int i = 0; i < (int)(sizeof(h->ip) / 2); i++)
		sum += word[i];
	return rewrite_fold(sum);
}

/*
 * Finds the way to the node that s->way leads to. The packet fits s->way.mtu, the device's; the way
 * to that node may have become narrower since the device got it.
 */
static __always_inline bool wrap_way(struct __sk_buff *skb, struct pk_scratch *s,
				     const struct pk_node *n)
{
	struct peer_ask ask = { .src = n->overlay.local,
				.dst = s->way.next_hop,
				.ifindex = n->overlay.ifindex };

	if (!pk_addr_is_v4(&n->overlay.local) || skb->len > WRAP_LONGEST - WRAP_BYTES ||
	    !wrap_may(n))
		return false;
	peer_fib_ask(&s->fib, &ask);
	return bpf_fib_lookup(skb, &s->fib, sizeof(s->fib), 0) == BPF_FIB_LKUP_RET_SUCCESS &&
	       s->fib.mtu_result >= s->way.mtu + WRAP_BYTES;
}

/* Returns what the outer header says of congestion (RFC 6040): as inside, but that CE is ECT(0). */
static __always_inline __u8 wrap_ecn(struct __sk_buff *skb)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	const __u8 *ip = pk_take(&c, ETH_HLEN, 2);
	__u8 ecn;

	if (!ip)
		return 0;
	ecn = (ip[0] >> 4 == 4 ? ip[1] : ip[1] >> 4) & WRAP_ECN;
	return ecn == WRAP_ECN_CE ? WRAP_ECN_ECT0 : ecn;
}

/* Writes the headers. The Ethernet header in front is the packet's own; the neighbour's follows. */
static __always_inline void wrap_write(struct wrap_heads *h, const struct pk_scratch *s,
				       const struct pk_node *n, __u32 len, __u32 hash, __u8 ecn)
{
	h->inner.h_proto = h->eth.h_proto;
	__builtin_memcpy(h->inner.h_dest, pk_overlay_mac, ETH_ALEN);
	__builtin_memcpy(h->inner.h_source, pk_gateway_mac, ETH_ALEN);
	h->eth.h_proto = bpf_htons(ETH_P_IP);
	h->ip = (struct iphdr){ .version = 4,
				.ihl = sizeof(h->ip) / 4,
				.tos = ecn,
				.tot_len = bpf_htons(len - ETH_HLEN),
				.frag_off = bpf_htons(WRAP_DF),
				.ttl = OVERLAY_TTL,
				.protocol = IPPROTO_UDP,
				.saddr = n->overlay.local.w[3],
				.daddr = s->way.next_hop.w[3] };
	h->ip.check = ~wrap_sum(h);
	h->udp = (struct udphdr){ .source = bpf_htons(PK_OVERLAY_SOURCE | (hash & WRAP_PORT_MASK)),
				  .dest = n->overlay.port,
				  .len = bpf_htons(len - ETH_HLEN - sizeof(h->ip)) };
	h->vxlan_flags = bpf_htonl(WRAP_VNI_FLAG);
	h->vni = bpf_htonl(n->overlay.vni << 8);
}

/*
 * Puts the packet, which s->way leads through the overlay, into its tunnel. Returns the ifindex
 * that it leaves by, and s->way names the neighbour there; 0: it is as it was, and the device's;
 * negative: it can't be sent. This is a function that is verified on its own, as pk_guard_bytes is.
 */
__noinline int pk_wrap_on(struct __sk_buff *skb)
{
	const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
			    BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
			    BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN);
	struct pk_scratch *s = scratch_get();
	const struct pk_node *n = node_get();
	struct wrap_heads *h;
	struct pk_cursor c;
	__u32 hash;
	__u8 ecn;

	if (!s || !n || !wrap_way(skb, s, n))
		return 0;
	ecn = wrap_ecn(skb);
	hash = bpf_get_hash_recalc(skb);
	if (bpf_skb_adjust_room(skb, WRAP_BYTES, BPF_ADJ_ROOM_MAC, flags))
		return 0;
	c = (struct pk_cursor){ (void *)(long)skb->data, (void *)(long)skb->data_end };
	h = pk_take(&c, 0, sizeof(*h));
	if (!h)
		return -1;
	wrap_write(h, s, n, skb->len, hash, ecn);
	peer_fib_next(&s->fib, &s->way.next_hop);
	return s->fib.ifindex;
}

/*
 * Returns whether there is nothing for the stack or the device to look at: lengths and sum are
 * right, UDP has no checksum, no mark is to be carried over, it is VXLAN of this overlay and
 * nothing beside it. The glance has seen that there are no options, and no fragment.
 */
static __always_inline bool wrap_is_plain(const struct wrap_heads *h, const struct pk_node *n,
					  __u32 len)
{
	return h->eth.h_proto == bpf_htons(ETH_P_IP) && !(h->ip.tos & WRAP_ECN_ODD) &&
	       bpf_ntohs(h->ip.tot_len) + ETH_HLEN == len && wrap_sum(h) == WRAP_SUM_RIGHT &&
	       bpf_ntohs(h->udp.len) + ETH_HLEN + sizeof(h->ip) == len && !h->udp.check &&
	       h->vxlan_flags == bpf_htonl(WRAP_VNI_FLAG) &&
	       h->vni == bpf_htonl(n->overlay.vni << 8) &&
	       !__builtin_memcmp(h->inner.h_dest, pk_overlay_mac, ETH_ALEN);
}

/*
 * Returns whether the kernel merges none of that kind (GRO), whatever the flow. Of what it merges
 * the device must get all, for a flow that came by both ways would be reordered: TCP first of all.
 */
static __always_inline bool wrap_is_never_merged(const struct pk_cursor *c, __be16 proto)
{
	const __u8 *ip = pk_take(c, sizeof(struct wrap_heads), sizeof(struct iphdr));
	__u8 kind;

	if (!ip || (proto != bpf_htons(ETH_P_IP) && proto != bpf_htons(ETH_P_IPV6)))
		return false;
	kind = proto == bpf_htons(ETH_P_IP) ? ((const struct iphdr *)ip)->protocol
					    : ((const struct ipv6hdr *)ip)->nexthdr;
	return kind == IPPROTO_UDP || kind == IPPROTO_ICMP || kind == IPPROTO_ICMPV6 ||
	       kind == IPPROTO_FRAGMENT;
}

/* Writes what kind of packet stands behind the Ethernet header. */
static __always_inline void wrap_off_kind(struct __sk_buff *skb, __be16 proto)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ethhdr *eth = pk_take(&c, 0, sizeof(*eth));

	if (eth)
		eth->h_proto = proto;
}

/*
 * Takes a packet that a node sent out of its tunnel; s->tunnel is then that node's end. Returns
 * false where it is as it was, and the device's. A segmented frame's marks of its tunnel could not
 * be taken off: the tap behind would refuse it.
 */
static __always_inline bool wrap_off(struct __sk_buff *skb)
{
	struct pk_cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	const struct wrap_heads *h = pk_take(&c, 0, sizeof(*h));
	struct pk_scratch *s = scratch_get();
	const struct pk_node *n = node_get();
	__be16 proto;
	__be32 from;

	if (!s || !n || !h || skb->gso_size || skb->pkt_type || !wrap_is_plain(h, n, skb->len) ||
	    !wrap_may(n))
		return false;
	from = h->ip.saddr;
	proto = h->inner.h_proto;
	if (!wrap_is_never_merged(&c, proto))
		return false;
	if (bpf_skb_adjust_room(skb, -(__s32)WRAP_BYTES, BPF_ADJ_ROOM_MAC,
				proto == bpf_htons(ETH_P_IPV6) ? WRAP_INNER_IPV6 : 0))
		return false;
	wrap_off_kind(skb, proto);
	parse_mapped(&s->tunnel, from);
	return true;
}
