/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * An ICMP error passes where it quotes a packet of a live flow that its receiver sent, and never
 * makes or refreshes a flow. The quote is read wherever it lies, linear or not.
 */
#include "lib/miss.h"

struct icmp_error_quote {
	__be16 sport, dport;
	__u8 proto;
	__u8 type; /* ICMP type of a quoted echo */
	__u32 l4_off;
};

/* Returns the bytes of the message itself: padding behind it quotes nothing. */
static __always_inline int icmp_error_load(struct __sk_buff *skb, const struct pk_pkt *pkt,
					   __u32 off, void *to, __u32 size)
{
	if (off + size > ETH_HLEN + pkt->l3_len)
		return -1;
	return bpf_skb_load_bytes(skb, off, to, size);
}

static __always_inline int icmp_error_v4(struct __sk_buff *skb, struct pk_scratch *s,
					 struct icmp_error_quote *q)
{
	struct iphdr ip = {}; /* version 0 where nothing can be read */
	__u32 off = s->pkt.l4_off + 8;

	icmp_error_load(skb, &s->pkt, off, &ip, sizeof(ip));
	if (ip.version != 4 || ip.ihl < 5 || ip.frag_off & bpf_htons(0x1fff))
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
	struct ipv6hdr ip = {};
	__u32 off = s->pkt.l4_off + 8;

	icmp_error_load(skb, &s->pkt, off, &ip, sizeof(ip));
	if (ip.version != 6)
		return -1;
	__builtin_memcpy(&s->key.src, &ip.saddr, 16);
	__builtin_memcpy(&s->key.dst, &ip.daddr, 16);
	q->proto = ip.nexthdr;
	q->l4_off = off + sizeof(ip);
	return 0;
}

/* Writes the quoted tuple into s->key, as the quoted packet's sender wrote it. */
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
	case IPPROTO_SCTP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		break;
	default:
		s->key.sport = s->key.dport = 0;
		return 0;
	}
	if (icmp_error_load(skb, &s->pkt, q->l4_off, l4, sizeof(l4)) < 0)
		return -1;
	if (q->proto != IPPROTO_ICMP && q->proto != IPPROTO_ICMPV6) {
		s->key.sport = *(__be16 *)&l4[0];
		s->key.dport = *(__be16 *)&l4[2];
		return 0;
	}
	q->type = l4[0];
	s->key.sport = s->key.dport = *(__be16 *)&l4[4];
	return 0;
}

/* Returns the flow under s->key; sets *alias where an alias led to it. */
static __always_inline struct pk_flow *icmp_error_look(struct pk_scratch *s, bool *alias)
{
	struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->key);

	*alias = flow && flow->kind == PK_FLOW_ALIAS;
	return *alias ? flow_of_alias(flow, &s->key) : flow;
}

/* Returns the flow of the quote; sets *reply where the quoted packet was its responder's. */
static __always_inline struct pk_flow *
icmp_error_flow(struct pk_scratch *s, const struct icmp_error_quote *q, bool *reply)
{
	bool v4 = q->proto == IPPROTO_ICMP, v6 = q->proto == IPPROTO_ICMPV6, alias = false;
	bool request = (v4 && q->type == ICMP_ECHO) || (v6 && q->type == ICMPV6_ECHO_REQUEST);
	bool answer = (v4 && q->type == ICMP_ECHOREPLY) || (v6 && q->type == ICMPV6_ECHO_REPLY);
	struct pk_flow *flow = NULL;

	if ((v4 || v6) && !request && !answer)
		return NULL;
	if (!answer)
		flow = icmp_error_look(s, &alias);
	*reply = alias;
	if (flow)
		return flow;
	flow_key_mirror(&s->old, &s->key);
	s->key = s->old;
	flow = icmp_error_look(s, &alias);
	*reply = !alias;
	/* A quoted request was sent by its flow's initiator, a quoted reply by the responder. */
	return (request && !alias) || (answer && alias) ? NULL : flow;
}

/* At an uplink, the endpoint is the one that sent the quoted packet. */
static __always_inline void icmp_error_endpoint(struct pk_pkt *pkt, const struct pk_flow *flow)
{
	__u32 slot = READ_ONCE(flow->slot[flow_own(pkt)]);
	const struct pk_endpoint *ep = slot ? bpf_map_lookup_elem(&endpoints, &slot) : NULL;

	if (ep)
		peer_hook(pkt, ep, slot);
}

static __always_inline void icmp_error_party(struct pk_pkt *pkt, const struct pk_flow *flow)
{
	if (pkt->peer_slot)
		pkt->party = PK_PARTY_ENDPOINT;
	else
		pkt->party = flow->flags & PK_FLOW_STACK ? PK_PARTY_HOST : PK_PARTY_WORLD;
}

/* Finds who the other side is to policy, where the flow is to be judged. */
static __always_inline void icmp_error_judged_party(struct pk_scratch *s)
{
	struct pk_pkt *pkt = &s->pkt;

	if (pkt->peer_slot == pkt->slot)
		pkt->party = PK_PARTY_SELF;
	else if (pkt->party == PK_PARTY_WORLD)
		peer_outside(pkt, flow_own(pkt) ? &s->key.src : &s->key.dst);
}

/*
 * Returns ok where the error may go the way of its flow; peer_slot, party and s->way are then set.
 * The receiver of the error is the sender of the quoted packet; an endpoint may only report a
 * packet that was sent to itself.
 */
static __always_inline int pk_icmp_error(struct __sk_buff *skb, struct pk_scratch *s,
					 struct icmp_error_quote *q)
{
	struct pk_pkt *pkt = &s->pkt;
	struct pk_flow *flow;
	bool reply = false;
	__u32 now = flow_now();
	__u64 last;
	int reason;

	if (icmp_error_quote(skb, s, q) < 0 || !pk_addr_same(&s->key.src, &pkt->dst))
		return PK_REASON_ICMP_UNRELATED;
	if (pkt->dir == PK_EGRESS && !pk_addr_same(&s->key.dst, &pkt->src))
		return PK_REASON_ICMP_UNRELATED;
	flow = icmp_error_flow(s, q, &reply);
	if (!flow || flow->kind != PK_FLOW_PRIMARY || pk_flow_expired(flow, now, pk_hz))
		return PK_REASON_ICMP_UNRELATED;
	/* The error goes against the quoted packet, so its sender has the other role. */
	pkt->role = reply ? 0 : 1;
	if (!pkt->slot)
		icmp_error_endpoint(pkt, flow);
	pkt->peer_slot = READ_ONCE(flow->slot[flow_other(pkt)]);
	if (!pkt->slot || READ_ONCE(flow->slot[flow_own(pkt)]) != pkt->slot)
		return PK_REASON_ICMP_UNRELATED;
	icmp_error_party(pkt, flow);
	PK_STALL(ERROR_FOUND);
	if (!flow_current(flow, pkt, now, &last)) {
		icmp_error_judged_party(s);
		reason = miss_quoted(skb, s, flow, now);
		if (reason)
			return reason;
	}
	flow_way(&s->way, flow, &s->key, pkt->role);
	if (READ_ONCE(flow->reason) || !flow_is_of(flow, &s->key, s->way.port))
		return PK_REASON_ICMP_UNRELATED;
	return PK_REASON_OK;
}

/* Replaces two bytes of the quote. */
static __always_inline int icmp_error_put16(struct __sk_buff *skb, __u32 off, __be16 value)
{
	return bpf_skb_store_bytes(skb, off, &value, sizeof(value), 0);
}

/* Replaces the quoted packet's address, and adds to *gain what its IPv4 header's sum gains. */
static __always_inline int icmp_error_put_address(struct __sk_buff *skb, const struct pk_pkt *pkt,
						  bool source, const union pk_addr *to, __u64 *gain)
{
	bool v4 = pkt->flags & PK_PKT_IPV4;
	__u32 ip = pkt->l4_off + 8, size = v4 ? 4 : 16, off;
	union pk_addr was = {};
	__be16 check;
	__u64 own = 0;

	off = ip + (v4 ? offsetof(struct iphdr, saddr) : offsetof(struct ipv6hdr, saddr));
	if (!source)
		off += size;
	if (v4) {
		if (bpf_skb_load_bytes(skb, off, &was.w[3], 4) < 0 ||
		    bpf_skb_load_bytes(skb, ip + offsetof(struct iphdr, check), &check, 2) < 0)
			return -1;
		own = rewrite_gain32(was.w[3], to->w[3]);
		*gain += own;
		if (bpf_skb_store_bytes(skb, off, &to->w[3], 4, 0) < 0)
			return -1;
		return icmp_error_put16(skb, ip + offsetof(struct iphdr, check),
					rewrite_check(check, own));
	}
	if (bpf_skb_load_bytes(skb, off, &was, 16) < 0)
		return -1;
	for (int i = 0; i < 4; i++)
		*gain += rewrite_gain32(was.w[i], to->w[i]);
	return bpf_skb_store_bytes(skb, off, to, 16, 0);
}

/* Mends the quoted L4 checksum, where the quote is long enough to have it. */
static __always_inline bool icmp_error_put_check(struct __sk_buff *skb, const struct pk_pkt *pkt,
						 const struct icmp_error_quote *q,
						 const struct rewrite_gains *g)
{
	__u32 off = q->l4_off + rewrite_check_at(q->proto);
	__u64 gain = g->ports + (q->proto == IPPROTO_ICMP ? 0 : g->addresses);
	__be16 check;

	if (icmp_error_load(skb, pkt, off, &check, 2) < 0 || (q->proto == IPPROTO_UDP && !check))
		return false;
	return !icmp_error_put16(skb, off, rewrite_check(check, gain));
}

/* Returns what the sum of the quote, all its own checksums included, gains. */
static __always_inline __u64 icmp_error_gain(const struct pk_pkt *pkt,
					     const struct icmp_error_quote *q,
					     const struct rewrite_gains *g, bool checked)
{
	__u64 gain = pkt->flags & PK_PKT_IPV4 ? 0 : g->addresses;

	if (!checked)
		return gain + g->ports;
	if (q->proto == IPPROTO_ICMP)
		return gain;
	return gain + (__u16)~rewrite_fold(g->addresses);
}

/*
 * Rewrites the quoted packet to what its sender knows, and sets *gain for the sum of the message.
 */
static __always_inline int icmp_error_translate(struct __sk_buff *skb, const struct pk_pkt *pkt,
						const struct pk_way *way,
						const struct icmp_error_quote *q, __u64 *gain)
{
	/* The error's own new address is the other address of the quoted packet. */
	bool source = !(way->rewrite & PK_REWRITE_SOURCE);
	__u32 off = source ? 0 : 2;
	struct rewrite_gains g = {};
	__be16 port;

	if (q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6) /* an echo's id */
		off = offsetof(struct pk_icmp, id);
	if (icmp_error_put_address(skb, pkt, source, &way->address, &g.addresses) < 0)
		return -1;
	if (way->rewrite & PK_REWRITE_HAIRPIN &&
	    icmp_error_put_address(skb, pkt, !source, &way->hairpin, &g.addresses) < 0)
		return -1;
	if (bpf_skb_load_bytes(skb, q->l4_off + off, &port, 2) < 0)
		return -1;
	g.ports = rewrite_gain16(port, way->port);
	if (icmp_error_put16(skb, q->l4_off + off, way->port) < 0)
		return -1;
	*gain = icmp_error_gain(pkt, q, &g, icmp_error_put_check(skb, pkt, q, &g));
	return 0;
}

/* Rewrites an error about a translated flow: its own addresses, and the packet that it quotes. */
static __always_inline int pk_icmp_error_rewrite(struct __sk_buff *skb, struct pk_scratch *s,
						 const struct icmp_error_quote *q)
{
	const struct pk_way *way = &s->way;
	__u64 gain = 0, outer = 0;
	__be16 *check;
	int reason;

	if (!way->rewrite)
		return PK_REASON_OK;
	if (icmp_error_translate(skb, &s->pkt, way, q, &gain) < 0)
		return PK_REASON_TRUNCATED;
	reason = rewrite_addresses(skb, &s->pkt, way, &outer);
	check = rewrite_at(skb, s->pkt.l4_off + offsetof(struct pk_icmp, checksum));
	if (reason || !check)
		return PK_REASON_TRUNCATED;
	*check = rewrite_check(*check, gain + (s->pkt.flags & PK_PKT_IPV4 ? 0 : outer));
	return PK_REASON_OK;
}
