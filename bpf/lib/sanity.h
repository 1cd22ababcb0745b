/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the tap's writer may have set beside the bytes: VLAN tag, checksum place, segmentation,
 * linear length. A packet is delivered as it was judged, or not at all.
 */
#include <bpf/bpf_core_read.h>
#include "lib/maps.h"
#include "lib/pkt.h"

/* The kernel's own, as far as they are read; offsets are the running kernel's (CO-RE). */
struct sk_buff {
	unsigned char *head, *data;
	unsigned int end;
	__u8 ip_summed : 2;
	__u16 csum_start, csum_offset;
} __attribute__((preserve_access_index));

struct skb_shared_info {
	unsigned int gso_type;
} __attribute__((preserve_access_index));

/* Both from 6.2. Weak: without them the segmented path is chosen and the calls are dead code. */
extern void *bpf_cast_to_kern_ctx(void *) __ksym __weak;
extern void *bpf_rdonly_cast(void *, __u32)
__ksym __weak;

#define PK_CHECKSUM_PARTIAL 3
#define PK_GSO_TCPV4	    (1u << 0)
#define PK_GSO_DODGY	    (1u << 1)
#define PK_GSO_TCP_ECN	    (1u << 2)
#define PK_GSO_TCPV6	    (1u << 4)
#define PK_GSO_UDP_L4	    (1u << 17)
#define PK_GSO_ALSO	    (PK_GSO_DODGY | PK_GSO_TCP_ECN)
/* What an honest path can have: IPv4 576 - 40, less options; IPv6 1280 - 60, less options. */
#define PK_GSO_MIN_TCP4 496
#define PK_GSO_MIN_TCP6 1180
#define PK_GSO_MAX_UDP	128 /* segments */
/*
 * For local use (IEEE 802). In the segmented path, what is left of a frame that the kernel must
 * neither segment nor drop unseen (forward.h).
 */
#define PK_ETH_P_CUT_GSO    0x88b5
#define PK_ETH_P_CUT_LENGTH 0x88b6

/* The reason of a frame that can't be parsed: the forwarder may have said it. */
static __always_inline int sanity_cut(const struct pk_pkt *pkt, int reason)
{
	if (pk_path == PK_PATH_KFUNC)
		return reason;
	return pkt->ethertype == PK_ETH_P_CUT_GSO      ? PK_REASON_GSO
	       : pkt->ethertype == PK_ETH_P_CUT_LENGTH ? PK_REASON_LENGTH
						       : reason;
}

/* Makes the headers linear. The packet's pointers are stale after it. */
static __always_inline int sanity_linear(struct __sk_buff *skb)
{
	__u32 linear = skb->data_end - skb->data, want = skb->len;

	if (likely(linear == want))
		return PK_REASON_OK;
	if (want > PK_PARSE_LINEAR)
		want = PK_PARSE_LINEAR;
	if (linear < want && bpf_skb_pull_data(skb, want) < 0)
		return PK_REASON_MALFORMED;
	return PK_REASON_OK;
}

/* A partial checksum only where the L4 header that was judged has its own. */
static __always_inline int sanity_checksum(const struct sk_buff *kskb, struct pk_pkt *pkt)
{
	__u32 start;

	if (BPF_CORE_READ_BITFIELD(kskb, ip_summed) != PK_CHECKSUM_PARTIAL)
		return PK_REASON_OK;
	pkt->flags |= PK_PKT_PARTIAL;
	start = kskb->csum_start - (__u32)(kskb->data - kskb->head);
	if (start != pkt->l4_off || !(pkt->flags & (PK_PKT_IPV4 | PK_PKT_IPV6)))
		return PK_REASON_CHECKSUM;
	if (pkt->proto == IPPROTO_TCP && kskb->csum_offset == offsetof(struct tcphdr, check))
		return PK_REASON_OK;
	if (pkt->proto == IPPROTO_UDP && kskb->csum_offset == offsetof(struct udphdr, check))
		return PK_REASON_OK;
	return PK_REASON_CHECKSUM;
}

static __always_inline bool sanity_gso_type(const struct sk_buff *kskb, const struct pk_pkt *pkt)
{
	const struct skb_shared_info *info = bpf_rdonly_cast(
		kskb->head + kskb->end, bpf_core_type_id_kernel(struct skb_shared_info));
	__u32 type = info->gso_type & ~PK_GSO_ALSO;

	if (pkt->proto == IPPROTO_UDP)
		return type == PK_GSO_UDP_L4;
	return type == (pkt->flags & PK_PKT_IPV4 ? PK_GSO_TCPV4 : PK_GSO_TCPV6);
}

static __always_inline bool sanity_gso_size(const struct pk_pkt *pkt, __u32 size)
{
	if (pkt->proto == IPPROTO_TCP)
		return size >= (pkt->flags & PK_PKT_IPV4 ? PK_GSO_MIN_TCP4 : PK_GSO_MIN_TCP6);
	return pkt->proto == IPPROTO_UDP && pkt->payload <= size * PK_GSO_MAX_UDP;
}

/* After parsing, of a frame from an endpoint's tap. */
static __always_inline int sanity_metadata(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	__u32 gso = skb->gso_size;
	const struct sk_buff *kskb;
	int reason;

	if (pk_path != PK_PATH_KFUNC) /* the kernel has finished both */
		return gso ? PK_REASON_GSO : PK_REASON_OK;
	kskb = bpf_cast_to_kern_ctx(skb);
	if (unlikely(gso) && (!sanity_gso_size(pkt, gso) || !sanity_gso_type(kskb, pkt)))
		return PK_REASON_GSO;
	reason = sanity_checksum(kskb, pkt);
	if (reason || likely(!gso))
		return reason;
	return pkt->flags & PK_PKT_PARTIAL ? PK_REASON_OK : PK_REASON_GSO;
}

/* The longest packet that will be on the wire; padding counts. */
static __always_inline bool sanity_fits(struct __sk_buff *skb, const struct pk_pkt *pkt, __u32 mtu)
{
	if (unlikely(skb->gso_size))
		return pkt->l3_len - pkt->payload + skb->gso_size <= mtu;
	return skb->len <= mtu + ETH_HLEN;
}

/* Trailing padding is the only disagreement that passes. */
static __always_inline int sanity_length(struct __sk_buff *skb, const struct pk_pkt *pkt, __u32 mtu)
{
	if (skb->gso_size && pkt->l3_len != skb->len - ETH_HLEN)
		return PK_REASON_LENGTH;
	return sanity_fits(skb, pkt, mtu) ? PK_REASON_OK : PK_REASON_LENGTH;
}

/* Packets on the wire: gso_segs is what the writer said, often 0. */
static __always_inline __u32 sanity_packets(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	__u32 gso = skb->gso_size;

	return likely(!gso) ? 1 : (pkt->payload + gso - 1) / gso;
}
