/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Checks what the tap's writer may have set beside the bytes: VLAN tag, checksum offset,
 * segmentation, linear length. A packet is delivered as it was judged, or not at all.
 */
#include <bpf/bpf_core_read.h>
#include "lib/maps.h"
#include "lib/pkt.h"

/* The kernel's own structs, as far as they are read; offsets are the running kernel's (CO-RE). */
struct net_device;
struct sk_buff {
	__u8 ip_summed : 2;
	__u16 csum_start, csum_offset;
	unsigned int end;
	unsigned char *head, *data;
	struct net_device *dev;
} __attribute__((preserve_access_index));

struct skb_shared_info {
	unsigned int gso_type;
} __attribute__((preserve_access_index));

/*
 * Both kfuncs are from 6.2. They are weak: without them pk_kfunc is false and the calls are dead
 * code.
 */
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
/*
 * The least segment sizes of an honest path. IPv4: the 552 bytes that a router may tell the kernel
 * of (net.ipv4.route.min_pmtu), less the overlay's 50, less headers and options of 80. IPv6: 1280,
 * less 100.
 */
#define PK_GSO_MIN_TCP4 422
#define PK_GSO_MIN_TCP6 1180
#define PK_GSO_MAX_UDP	128 /* segments that a UDP packet may be cut into */

/* The fields of the kernel's sk_buff that are needed. */
struct sanity_skb {
	bool partial;	    /* the checksum is finished later */
	__u32 csum_start;   /* from the Ethernet header */
	__u32 csum_offset;  /* from csum_start */
	const void *shared; /* struct skb_shared_info, the kernel's address */
};

/* Makes the headers linear. The packet's pointers are stale afterwards. */
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

/* Reads the fields by plain loads: the verifier knows the type of the kernel's sk_buff. */
static __always_inline void sanity_read_kfunc(struct __sk_buff *skb, struct sanity_skb *out)
{
	const struct sk_buff *k = bpf_cast_to_kern_ctx(skb);

	out->partial = BPF_CORE_READ_BITFIELD(k, ip_summed) == PK_CHECKSUM_PARTIAL;
	out->csum_start = k->csum_start - (__u32)(k->data - k->head);
	out->csum_offset = k->csum_offset;
	out->shared = k->head + k->end;
}

/*
 * Before Linux 6.2 a tc program's context still is the sk_buff, and a probe read copies from it
 * (tried on 6.1 and 6.18). One read brings all fields: they lie within 128 bytes of each other, the
 * checksum's first and data last. A kernel that laid them out otherwise fails the read, and so
 * everything is denied.
 */
static __always_inline int sanity_read_probe(struct __sk_buff *skb, struct sanity_skb *out)
{
	const struct sk_buff *k = (void *)skb;
	__u32 first = __CORE_RELO(k, ip_summed, BYTE_OFFSET);
	__u32 size = bpf_core_field_offset(k->data) + sizeof(k->data) - first;
	__u8 copy[128];
	__u64 bits;

	if (size > sizeof(copy) || bpf_probe_read_kernel(copy, size, (const __u8 *)k + first) < 0)
		return -1;
#define COPIED(type, field) (*(const type *)&copy[(bpf_core_field_offset(k->field) - first) & 127])
	bits = *(const __u64 *)copy;
	bits <<= __CORE_RELO(k, ip_summed, LSHIFT_U64);
	bits >>= __CORE_RELO(k, ip_summed, RSHIFT_U64);
	out->partial = bits == PK_CHECKSUM_PARTIAL;
	out->csum_start =
		COPIED(__u16, csum_start) - (__u32)(COPIED(__u64, data) - COPIED(__u64, head));
	out->csum_offset = COPIED(__u16, csum_offset);
	out->shared = (const void *)(COPIED(__u64, head) + COPIED(__u32, end));
#undef COPIED
	return 0;
}

static __always_inline int sanity_read(struct __sk_buff *skb, struct sanity_skb *out)
{
	if (!pk_kfunc)
		return sanity_read_probe(skb, out);
	sanity_read_kfunc(skb, out);
	return 0;
}

/* A partial checksum is allowed only where the L4 header that was judged has its own. */
static __always_inline int sanity_checksum(const struct sanity_skb *k, struct pk_pkt *pkt)
{
	if (!k->partial)
		return PK_REASON_OK;
	pkt->flags |= PK_PKT_PARTIAL;
	if (k->csum_start != pkt->l4_off || !(pkt->flags & (PK_PKT_IPV4 | PK_PKT_IPV6)))
		return PK_REASON_CHECKSUM;
	if (pkt->proto == IPPROTO_TCP && k->csum_offset == offsetof(struct tcphdr, check))
		return PK_REASON_OK;
	if (pkt->proto == IPPROTO_UDP && k->csum_offset == offsetof(struct udphdr, check))
		return PK_REASON_OK;
	return PK_REASON_CHECKSUM;
}

/*
 * A packet that a device of the node received has metadata of that device's driver, which is
 * believed.
 */
static __always_inline void sanity_partial(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct sanity_skb k = {};

	if (!sanity_read(skb, &k) && k.partial)
		pkt->flags |= PK_PKT_PARTIAL;
}

static __always_inline __u32 sanity_gso_type_of(const struct sanity_skb *k)
{
	const struct skb_shared_info *info = k->shared;
	__u32 type = 0;

	if (pk_kfunc) {
		info = bpf_rdonly_cast((void *)k->shared,
				       bpf_core_type_id_kernel(struct skb_shared_info));
		return info->gso_type;
	}
	bpf_probe_read_kernel(&type, sizeof(type), &info->gso_type);
	return type;
}

static __always_inline bool sanity_gso_type(const struct sanity_skb *k, const struct pk_pkt *pkt)
{
	__u32 type = sanity_gso_type_of(k) & ~PK_GSO_ALSO;

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

/* Checks a frame from an endpoint's tap, after parsing. */
static __always_inline int sanity_metadata(struct __sk_buff *skb, struct pk_pkt *pkt)
{
	struct sanity_skb k = {};
	__u32 gso = skb->gso_size;
	int reason;

	if (sanity_read(skb, &k) < 0)
		return PK_REASON_CHECKSUM;
	if (unlikely(gso) && (!sanity_gso_size(pkt, gso) || !sanity_gso_type(&k, pkt)))
		return PK_REASON_GSO;
	reason = sanity_checksum(&k, pkt);
	if (reason || likely(!gso))
		return reason;
	return pkt->flags & PK_PKT_PARTIAL ? PK_REASON_OK : PK_REASON_GSO;
}

/* Returns the length of the longest packet that will be on the wire; padding counts. */
static __always_inline bool sanity_fits(struct __sk_buff *skb, const struct pk_pkt *pkt, __u32 mtu)
{
	if (unlikely(skb->gso_size))
		return pkt->l3_len - pkt->payload + skb->gso_size <= mtu;
	return skb->len <= mtu + ETH_HLEN;
}

/*
 * Compares the lengths of frame and IP header; trailing padding is the only difference that passes.
 */
static __always_inline int sanity_length(struct __sk_buff *skb, const struct pk_pkt *pkt, __u32 mtu)
{
	if (skb->gso_size && pkt->l3_len != skb->len - ETH_HLEN)
		return PK_REASON_LENGTH;
	return sanity_fits(skb, pkt, mtu) ? PK_REASON_OK : PK_REASON_LENGTH;
}

/* Returns the number of packets on the wire. gso_segs is what the writer said, and often 0. */
static __always_inline __u32 sanity_packets(struct __sk_buff *skb, const struct pk_pkt *pkt)
{
	__u32 gso = skb->gso_size;

	return likely(!gso) ? 1 : (pkt->payload + gso - 1) / gso;
}
