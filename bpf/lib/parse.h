/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Makes a struct pk_pkt of a frame's bytes. Everything is bounded, and what isn't understood has
 * its reason. The same file is compiled for user space by tests/bpf and tests/fuzz, so it knows
 * memory, no skb. The linear part (data to data_end) may be shorter than the frame: the caller has
 * pulled what a header chain can be long, or the frame is that short.
 */
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "lib/pkt.h"

#define PK_EXT_MAX	3      /* hop-by-hop, destination options, atomic fragment */
#define PK_EXT_BYTES	256    /* bytes of all extension headers together */
#define PK_IP_FRAGMENT	0x3fff /* not 0 in a fragment: its offset, or that more follow */
#define PK_IP_MORE	0x2000
#define PK_IP_OFFSET	0x1fff /* the offset, in units of 8 bytes */
#define PK_IP6_MORE	0x0001
#define PK_IP6_OFFSET	0xfff8 /* the offset, in bytes */
#define PK_PARSE_LINEAR (14 + 40 + PK_EXT_BYTES + 60)
#define PK_TH_FIN	0x01
#define PK_TH_SYN	0x02
#define PK_TH_RST	0x04
#define PK_TH_ACK	0x10

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* <linux/icmp.h> and <linux/if_arp.h> need a C library, which BPF has not. */
struct pk_icmp {
	__u8 type, code;
	__be16 checksum;
	__be16 id, sequence;
};
#define ICMP_ECHOREPLY	   0
#define ICMP_DEST_UNREACH  3
#define ICMP_FRAG_NEEDED   4 /* the code of an unreachable that is too long for the way */
#define ICMP_REDIRECT	   5
#define ICMP_ECHO	   8
#define ICMP_ROUTERADVERT  9
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ARPHRD_ETHER	   1
#define ARPOP_REQUEST	   1
#define ARPOP_REPLY	   2
#define DHCP_SERVER_PORT   67
#define DHCP_CLIENT_PORT   68
#define DHCP6_CLIENT_PORT  546
#define DHCP6_SERVER_PORT  547
#define PK_ND_RS	   133 /* neighbour discovery (RFC 4861) */
#define PK_ND_RA	   134
#define PK_ND_NS	   135
#define PK_ND_NA	   136
#define PK_ND_REDIRECT	   137
#define PK_MLD_QUERY	   130 /* multicast listener discovery (RFC 2710) */
#define PK_MLD_DONE	   132
#define PK_MLD_REPORT2	   143 /* its version 2's (RFC 3810) */
#define PK_IS_MLD(type)                                                                            \
	(((type) >= PK_MLD_QUERY && (type) <= PK_MLD_DONE) || (type) == PK_MLD_REPORT2)

/*
 * Only this function does pointer arithmetic on packets. It returns NULL where the header isn't
 * wholly there.
 */
struct pk_cursor {
	void *data, *end;
};

static __always_inline void *pk_take(const struct pk_cursor *c, __u32 off, __u32 size)
{
	void *at = c->data + off;

	return at + size > c->end ? NULL : at;
}

static __always_inline void parse_mapped(union pk_addr *addr, __be32 v4)
{
	addr->d[0] = 0;
	addr->w[2] = bpf_htonl(0xffff);
	addr->w[3] = v4;
}

struct pk_arp {
	__be16 htype, ptype;
	__u8 hlen, plen;
	__be16 op;
	__u8 smac[ETH_ALEN];
	__u8 sip[4];
	__u8 tmac[ETH_ALEN];
	__u8 tip[4];
} __attribute__((packed));

static __always_inline __be32 parse_be32(const __u8 *b)
{
	__be32 v;

	__builtin_memcpy(&v, b, sizeof(v));
	return v;
}

static __always_inline int parse_arp(const struct pk_cursor *c, struct pk_pkt *pkt)
{
	const struct pk_arp *arp = pk_take(c, ETH_HLEN, sizeof(*arp));

	pkt->flags |= PK_PKT_ARP;
	if (!arp)
		return PK_REASON_TRUNCATED;
	if (arp->htype != bpf_htons(ARPHRD_ETHER) || arp->ptype != bpf_htons(ETH_P_IP) ||
	    arp->hlen != ETH_ALEN || arp->plen != 4)
		return PK_REASON_MALFORMED;
	parse_mapped(&pkt->src, parse_be32(arp->sip));
	parse_mapped(&pkt->dst, parse_be32(arp->tip));
	return PK_REASON_OK;
}

/* A first fragment must have the whole L4 header, or nobody could judge what follows. */
static __always_inline int parse_short(const struct pk_pkt *pkt)
{
	return pkt->flags & PK_PKT_FIRST ? PK_REASON_FRAGMENT : PK_REASON_TRUNCATED;
}

static __always_inline int parse_tcp(const struct pk_cursor *c, struct pk_pkt *pkt, __u32 l4_len)
{
	const struct tcphdr *tcp = pk_take(c, pkt->l4_off, sizeof(*tcp));
	__u32 doff;

	if (!tcp || l4_len < sizeof(*tcp))
		return parse_short(pkt);
	doff = tcp->doff * 4;
	if (doff < sizeof(*tcp) || doff > l4_len || !tcp->source || !tcp->dest)
		return PK_REASON_MALFORMED;
	pkt->sport = tcp->source;
	pkt->dport = pkt->judged_port = tcp->dest;
	pkt->tcp_flags = ((const __u8 *)tcp)[13];
	pkt->payload = l4_len - doff;
	pkt->flags |= PK_PKT_PORTS;
	return PK_REASON_OK;
}

static __always_inline int parse_udp(const struct pk_cursor *c, struct pk_pkt *pkt, __u32 l4_len)
{
	const struct udphdr *udp = pk_take(c, pkt->l4_off, sizeof(*udp));
	__u32 len;

	if (!udp || l4_len < sizeof(*udp))
		return parse_short(pkt);
	len = bpf_ntohs(udp->len);
	if (len < sizeof(*udp) || !udp->source || !udp->dest)
		return PK_REASON_MALFORMED;
	if (len > l4_len && !(pkt->flags & PK_PKT_FIRST))
		return PK_REASON_MALFORMED;
	pkt->sport = udp->source;
	pkt->dport = pkt->judged_port = udp->dest;
	pkt->payload = l4_len - sizeof(*udp);
	pkt->flags |= PK_PKT_PORTS;
	return PK_REASON_OK;
}

/* The first 12 bytes of SCTP: ports, tag, checksum. */
static __always_inline int parse_sctp(const struct pk_cursor *c, struct pk_pkt *pkt, __u32 l4_len)
{
	const __be16 *port = pk_take(c, pkt->l4_off, 12);

	if (!port || l4_len < 12)
		return parse_short(pkt);
	if (!port[0] || !port[1])
		return PK_REASON_MALFORMED;
	pkt->sport = port[0];
	pkt->dport = pkt->judged_port = port[1];
	pkt->payload = l4_len - 12;
	pkt->flags |= PK_PKT_PORTS;
	return PK_REASON_OK;
}

static __always_inline __u16 parse_icmp4_kind(__u8 type)
{
	switch (type) {
	case ICMP_ECHO:
		return PK_PKT_ECHO_REQUEST;
	case ICMP_ECHOREPLY:
		return PK_PKT_ECHO_REPLY;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return PK_PKT_ICMP_ERROR;
	default:
		return PK_PKT_ICMP_OTHER;
	}
}

static __always_inline __u16 parse_icmp6_kind(__u8 type)
{
	switch (type) {
	case ICMPV6_ECHO_REQUEST:
		return PK_PKT_ECHO_REQUEST;
	case ICMPV6_ECHO_REPLY:
		return PK_PKT_ECHO_REPLY;
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_PKT_TOOBIG:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		return PK_PKT_ICMP_ERROR;
	default:
		return PK_PKT_ICMP_OTHER;
	}
}

static __always_inline int parse_icmp(const struct pk_cursor *c, struct pk_pkt *pkt, __u32 l4_len)
{
	const struct pk_icmp *icmp = pk_take(c, pkt->l4_off, sizeof(*icmp));

	if (!icmp || l4_len < sizeof(*icmp))
		return parse_short(pkt);
	pkt->icmp_type = icmp->type;
	pkt->icmp_code = icmp->code;
	pkt->judged_port = bpf_htons(PK_PORT_ICMP(icmp->type, icmp->code));
	pkt->payload = l4_len - sizeof(*icmp);
	pkt->flags |= pkt->proto == IPPROTO_ICMP ? parse_icmp4_kind(icmp->type)
						 : parse_icmp6_kind(icmp->type);
	if (!(pkt->flags & (PK_PKT_ECHO_REQUEST | PK_PKT_ECHO_REPLY)))
		return PK_REASON_OK;
	if (icmp->code)
		return PK_REASON_MALFORMED;
	pkt->sport = pkt->dport = icmp->id;
	return PK_REASON_OK;
}

static __always_inline int parse_l4(const struct pk_cursor *c, struct pk_pkt *pkt)
{
	__u32 l4_len = pkt->l3_len - (pkt->l4_off - ETH_HLEN);

	switch (pkt->proto) {
	case IPPROTO_TCP:
		return parse_tcp(c, pkt, l4_len);
	case IPPROTO_UDP:
		return parse_udp(c, pkt, l4_len);
	case IPPROTO_SCTP:
		return parse_sctp(c, pkt, l4_len);
	case IPPROTO_ICMP:
		return pkt->flags & PK_PKT_IPV4 ? parse_icmp(c, pkt, l4_len) : PK_REASON_MALFORMED;
	case IPPROTO_ICMPV6:
		return pkt->flags & PK_PKT_IPV6 ? parse_icmp(c, pkt, l4_len) : PK_REASON_MALFORMED;
	case 0: /* hop-by-hop, in IPv4 */
		return PK_REASON_MALFORMED;
	default:
		pkt->payload = l4_len;
		return PK_REASON_OK;
	}
}

/*
 * Checks a fragment of a datagram that is cut at `offset`: all but the last are cut at multiples of
 * 8 bytes, and none ends beyond the longest datagram.
 */
static __always_inline int parse_fragment(struct pk_pkt *pkt, __u32 offset, bool more)
{
	__u32 len = pkt->l3_len - (pkt->l4_off - ETH_HLEN);

	if (!len || (more && len & 7) || offset + pkt->l3_len > 0xffff || !pkt->proto)
		return PK_REASON_FRAGMENT;
	pkt->flags |= offset ? PK_PKT_LATER : PK_PKT_FIRST;
	pkt->payload = len;
	return PK_REASON_OK;
}

/* Takes padding alone: any other option may route, record or stamp. */
static __always_inline int parse_ipv4_options(const struct pk_cursor *c, __u32 header)
{
	for (__u32 i = sizeof(struct iphdr); i < 60; i++) {
		const __u8 *option;

		if (i >= header)
			return PK_REASON_OK;
		option = pk_take(c, ETH_HLEN + i, 1);
		if (!option)
			return PK_REASON_MALFORMED;
		if (*option == 0)
			return PK_REASON_OK;
		if (*option != 1)
			return PK_REASON_IP_OPTION;
	}
	return PK_REASON_OK;
}

static __always_inline int parse_ipv4(const struct pk_cursor *c, struct pk_pkt *pkt)
{
	const struct iphdr *ip = pk_take(c, ETH_HLEN, sizeof(*ip));
	__u32 header;
	int reason;

	if (!ip)
		return PK_REASON_TRUNCATED;
	pkt->flags |= PK_PKT_IPV4;
	header = ip->ihl * 4;
	pkt->l3_len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || pkt->l3_len < header)
		return PK_REASON_MALFORMED;
	parse_mapped(&pkt->src, ip->saddr);
	parse_mapped(&pkt->dst, ip->daddr);
	pkt->proto = ip->protocol;
	pkt->ttl = ip->ttl;
	pkt->l4_off = ETH_HLEN + header;
	if (header > sizeof(*ip)) {
		reason = parse_ipv4_options(c, header);
		if (reason)
			return reason;
	}
	/* A group's address is in 224/4; 240/4 has the broadcast address, and nobody else's. */
	if ((bpf_ntohl(ip->daddr) & 0xe0000000) == 0xe0000000)
		pkt->flags |= PK_PKT_GROUP;
	if (ip->frag_off & bpf_htons(PK_IP_FRAGMENT)) {
		reason = parse_fragment(pkt, (bpf_ntohs(ip->frag_off) & PK_IP_OFFSET) * 8,
					ip->frag_off & bpf_htons(PK_IP_MORE));
		if (reason || pkt->flags & PK_PKT_LATER)
			return reason;
	}
	return parse_l4(c, pkt);
}

/* Returns whether this header may stand before the protocol's own; each may at most once. */
static __always_inline bool parse_ext_passes(__u8 next, __u32 place)
{
	return (next == IPPROTO_HOPOPTS && !place) || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

static __always_inline bool parse_ext_refused(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT || next == IPPROTO_NONE || next == IPPROTO_MH ||
	       next == 139 || next == 140 || next >= 253;
}

/* Parses a fragment behind the first, which has no L4 header. */
#define PARSE_NO_L4 (-1)

/*
 * Reads h, at off: the header of a fragment that isn't atomic. The protocol's own header is next.
 */
static __always_inline int parse_ipv6_fragment(struct pk_pkt *pkt, const __u8 *h, __u32 off)
{
	__u16 cut = bpf_ntohs(((const __be16 *)h)[1]);
	int reason;

	pkt->proto = h[0];
	pkt->l4_off = off + 8;
	if (pkt->l4_off > ETH_HLEN + pkt->l3_len || parse_ext_refused(pkt->proto))
		return PK_REASON_EXT_HEADER;
	reason = parse_fragment(pkt, cut & PK_IP6_OFFSET, cut & PK_IP6_MORE);
	return pkt->flags & PK_PKT_LATER ? PARSE_NO_L4 : reason;
}

/*
 * Walks the extension headers: hop-by-hop first, destination options and a fragment's header, each
 * at most once, then the protocol. Nothing may stand between the header of a fragment that isn't
 * atomic and the protocol.
 */
static __always_inline int parse_ipv6_ext(const struct pk_cursor *c, struct pk_pkt *pkt, __u8 next)
{
	__u32 off = ETH_HLEN + sizeof(struct ipv6hdr);
	bool options = false, fragment = false;

	for (__u32 i = 0; i < PK_EXT_MAX; i++) {
		const __u8 *h;

		if (!parse_ext_passes(next, i))
			break;
		if ((next == IPPROTO_DSTOPTS && options) || (next == IPPROTO_FRAGMENT && fragment))
			return PK_REASON_EXT_HEADER;
		options |= next == IPPROTO_DSTOPTS;
		h = pk_take(c, off, 8);
		if (!h)
			return PK_REASON_TRUNCATED;
		if (next == IPPROTO_FRAGMENT) {
			if (((const __be16 *)h)[1] & bpf_htons(PK_IP6_OFFSET | PK_IP6_MORE))
				return parse_ipv6_fragment(pkt, h, off);
			fragment = true;
			off += 8;
		} else {
			off += (h[1] + 1) * 8;
		}
		if (off > ETH_HLEN + sizeof(struct ipv6hdr) + PK_EXT_BYTES ||
		    off > ETH_HLEN + pkt->l3_len)
			return PK_REASON_EXT_HEADER;
		next = h[0];
	}
	if (parse_ext_refused(next))
		return PK_REASON_EXT_HEADER;
	pkt->proto = next;
	pkt->l4_off = off;
	return PK_REASON_OK;
}

static __always_inline int parse_ipv6(const struct pk_cursor *c, struct pk_pkt *pkt)
{
	const struct ipv6hdr *ip = pk_take(c, ETH_HLEN, sizeof(*ip));
	int reason;

	if (!ip)
		return PK_REASON_TRUNCATED;
	pkt->flags |= PK_PKT_IPV6;
	/* A payload length of zero means a jumbogram, which is refused. */
	pkt->l3_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6)
		return PK_REASON_MALFORMED;
	__builtin_memcpy(&pkt->src, &ip->saddr, 16);
	__builtin_memcpy(&pkt->dst, &ip->daddr, 16);
	pkt->ttl = ip->hop_limit;
	if (pkt->dst.b[0] == 0xff)
		pkt->flags |= PK_PKT_GROUP;
	reason = parse_ipv6_ext(c, pkt, ip->nexthdr);
	if (reason)
		return reason == PARSE_NO_L4 ? PK_REASON_OK : reason;
	return parse_l4(c, pkt);
}

/* frame is the whole length, linear or not. The caller has zeroed pkt. */
static __always_inline int pk_parse(const struct pk_cursor *c, __u32 frame, struct pk_pkt *pkt)
{
	const struct ethhdr *eth = pk_take(c, 0, sizeof(*eth));
	int reason;

	if (!eth)
		return PK_REASON_TRUNCATED;
	pkt->ethertype = bpf_ntohs(eth->h_proto);
	__builtin_memcpy(pkt->dmac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(pkt->smac, eth->h_source, ETH_ALEN);
	if (pkt->dmac[0] & 1)
		pkt->flags |= PK_PKT_GROUP;
	switch (pkt->ethertype) {
	case ETH_P_ARP:
		return parse_arp(c, pkt);
	case ETH_P_IP:
		reason = parse_ipv4(c, pkt);
		break;
	case ETH_P_IPV6:
		reason = parse_ipv6(c, pkt);
		break;
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return PK_REASON_VLAN;
	default:
		return PK_REASON_ETHERTYPE;
	}
	if (reason)
		return reason;
	/* A frame that ends inside a header, TCP's options among them, is truncated. */
	if (pkt->l3_len - pkt->payload > frame - ETH_HLEN)
		return PK_REASON_TRUNCATED;
	return pkt->l3_len > frame - ETH_HLEN ? PK_REASON_MALFORMED : PK_REASON_OK;
}
