/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * An ICMP error passes where what it quotes is a packet of a live flow that its receiver sent, and
 * never makes or refreshes one. The quote is read wherever it lies, linear or not.
 */
#include "lib/miss.h"

struct icmp_error_quote {
	__be16 sport, dport;
	__u8 proto;
	__u8 type; /* of a quoted echo */
	__u32 l4_off;
};

static __always_inline int icmp_error_v4(struct __sk_buff *skb, struct pk_scratch *s,
					 struct icmp_error_quote *q)
{
	struct iphdr ip;
	__u32 off = s->pkt.l4_off + 8;

	if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) < 0 || ip.version != 4 || ip.ihl < 5 ||
	    ip.frag_off & bpf_htons(0x1fff))
		return -1;
	parse_mapped(&s->key.src, ip.saddr);
	parse_mapped(&s->key.dst, ip.daddr);
	q->proto = ip.protocol;
	q->l4_off = off + ip.ihl * 4;
	return 0;
}

static __always_inline int icmp_error_v6(struct __sk_buff *skb, struct pk_scratch *s,
					 struct icmp_error_quote *q)
{
	struct ipv6hdr ip;
	__u32 off = s->pkt.l4_off + 8;

	if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)) < 0 || ip.version != 6)
		return -1;
	__builtin_memcpy(&s->key.src, &ip.saddr, 16);
	__builtin_memcpy(&s->key.dst, &ip.daddr, 16);
	q->proto = ip.nexthdr;
	q->l4_off = off + sizeof(ip);
	return 0;
}

/* The quoted tuple into s->key, as its sender wrote it. */
static __always_inline int icmp_error_quote(struct __sk_buff *skb, struct pk_scratch *s,
					    struct icmp_error_quote *q)
{
	__u8 l4[8];
	int r = s->pkt.flags & PK_PKT_IPV4 ? icmp_error_v4(skb, s, q) : icmp_error_v6(skb, s, q);

	if (r < 0)
		return -1;
	s->key.pad = 0;
	s->key.zone = 0;
	s->key.proto = q->proto;
	q->type = 0;
	switch (q->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		break;
	default:
		s->key.sport = s->key.dport = 0;
		return 0;
	}
	if (bpf_skb_load_bytes(skb, q->l4_off, l4, sizeof(l4)) < 0)
		return -1;
	if (q->proto == IPPROTO_TCP || q->proto == IPPROTO_UDP) {
		s->key.sport = *(__be16 *)&l4[0];
		s->key.dport = *(__be16 *)&l4[2];
		return 0;
	}
	q->type = l4[0];
	s->key.sport = s->key.dport = *(__be16 *)&l4[4];
	return 0;
}

static __always_inline void icmp_error_reverse(struct pk_flow_key *key)
{
	union pk_addr addr = key->src;
	__be16 port = key->sport;

	key->src = key->dst;
	key->dst = addr;
	key->sport = key->dport;
	key->dport = port;
}

/* The flow of the quote; *reply: the quoted packet was its responder's. */
static __always_inline struct pk_flow *
icmp_error_flow(struct pk_scratch *s, const struct icmp_error_quote *q, bool *reply)
{
	bool v4 = q->proto == IPPROTO_ICMP, v6 = q->proto == IPPROTO_ICMPV6;
	bool request = (v4 && q->type == ICMP_ECHO) || (v6 && q->type == ICMPV6_ECHO_REQUEST);
	bool answer = (v4 && q->type == ICMP_ECHOREPLY) || (v6 && q->type == ICMPV6_ECHO_REPLY);
	struct pk_flow *flow = NULL;

	if ((v4 || v6) && !request && !answer)
		return NULL;
	*reply = false;
	if (!answer)
		flow = bpf_map_lookup_elem(&flows, &s->key);
	if (flow || request)
		return flow;
	icmp_error_reverse(&s->key);
	*reply = true;
	return bpf_map_lookup_elem(&flows, &s->key);
}

/*
 * ok: the error may go the way of its flow: peer_slot and party are set. The receiver of the error
 * is who sent what it quotes; an endpoint reports only of what was sent to itself.
 */
static __always_inline int pk_icmp_error(struct __sk_buff *skb, struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;
	struct icmp_error_quote q = {};
	struct pk_flow *flow;
	bool reply = false;
	__u32 now = flow_now();
	__u64 last;

	if (icmp_error_quote(skb, s, &q) < 0 || !pk_addr_same(&s->key.src, &pkt->dst))
		return PK_REASON_ICMP_UNRELATED;
	if (pkt->dir == PK_EGRESS && !pk_addr_same(&s->key.dst, &pkt->src))
		return PK_REASON_ICMP_UNRELATED;
	flow = icmp_error_flow(s, &q, &reply);
	if (!flow || flow->kind != PK_FLOW_PRIMARY || pk_flow_expired(flow, now, pk_hz))
		return PK_REASON_ICMP_UNRELATED;
	/* The error goes against the quoted packet: its sender's role is the other one. */
	pkt->role = reply ? 0 : 1;
	pkt->peer_slot = READ_ONCE(flow->slot[flow_other(pkt)]);
	if (READ_ONCE(flow->slot[flow_own(pkt)]) != pkt->slot)
		return PK_REASON_ICMP_UNRELATED;
	pkt->party = pkt->peer_slot		   ? PK_PARTY_ENDPOINT
		     : flow->flags & PK_FLOW_STACK ? PK_PARTY_HOST
						   : PK_PARTY_WORLD;
	if (!flow_current(flow, pkt, now, &last))
		return miss_quoted(s, flow, now);
	flow = pk_after(flow, last);
	return READ_ONCE(flow->reason) || !flow_is_of(flow, &s->key, last)
		       ? PK_REASON_ICMP_UNRELATED
		       : PK_REASON_OK;
}
