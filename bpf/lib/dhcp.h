/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * DHCPv4 (RFC 2131) with one lease to give: the endpoint's own address. An answer has its own
 * options at fixed offsets, padded where one is not due, then resolvers and domains as user space
 * has encoded them, then the client's identifier.
 */
#include "lib/answer.h"

#define PK_DHCP_OFF	  (PK_L3 + 20 + 8)
#define PK_DHCP_FIXED	  240 /* bytes of the fixed part, cookie included */
#define PK_DHCP_BYTES	  300 /* an answer has at least these bytes: some clients refuse less */
#define PK_DHCP_MOST	  548 /* and at most these: no client need take more (RFC 2131 2) */
#define PK_DHCP_COOKIE	  0x63825363
#define PK_DHCP_LEASE	  86400
#define PK_DHCP_OPTIONS	  32 /* options of a request that are looked at */
#define PK_DHCP_BROADCAST 0x8000

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER = 2,
	DHCP_REQUEST = 3,
	DHCP_DECLINE = 4,
	DHCP_ACK = 5,
	DHCP_NAK = 6,
	DHCP_RELEASE = 7,
	DHCP_INFORM = 8,
};

struct dhcp_head {
	__u8 op, htype, hlen, hops;
	__be32 xid;
	__be16 secs, flags;
	__be32 ciaddr, yiaddr, siaddr, giaddr;
	__u8 chaddr[16];
} __attribute__((packed));

struct dhcp_asked {
	struct dhcp_head head;
	__be32 requested, server;
	__u32 client_off,
		client_len; /* the client's identifier option, code and length included; 0 = none */
	__u32 off, end;	    /* where the walk through the options is, and where it ends */
	__u8 type;
};
_Static_assert(sizeof(struct dhcp_asked) <= PK_SCRATCH_ASKED, "what DHCP is asked");

/* The options of an answer, at fixed offsets; an option that is not due is padding. */
struct dhcp_options {
	__be32 cookie;
	__u8 type_code, type_len, type;
	__u8 server_code, server_len;
	__u8 server[4];
	__u8 lease_code, lease_len;
	__u8 lease[4];
	__u8 mask_code, mask_len;
	__u8 mask[4];
	__u8 router_code, router_len;
	__u8 router[4];
	__u8 mtu_code, mtu_len;
	__u8 mtu[2];
	__u8 pad;
} __attribute__((packed));

/*
 * Behind the fixed options: resolvers, domains, and room for the client's identifier and the end.
 */
#define PK_DHCP_SERVERS (PK_DHCP_OFF + PK_DHCP_FIXED - 4 + sizeof(struct dhcp_options))
#define PK_DHCP_DOMAINS (PK_DHCP_SERVERS + PK_TOLD_SERVERS4)
#define PK_DHCP_REST	(PK_DHCP_OFF + PK_DHCP_MOST - PK_DHCP_DOMAINS)
/* The longest identifier leaves no room for domains, but fits without them. */
_Static_assert(2 + 255 + 1 <= PK_DHCP_REST, "a DHCP answer's room");

static __always_inline void dhcp_put32(__u8 *at, __be32 value)
{
	__builtin_memcpy(at, &value, 4);
}

struct dhcp_walk {
	struct __sk_buff *skb;
	struct dhcp_asked *asked;
};

/* Reads one option; returns 1 at the end of the walk. Verified once, not for each round. */
static int dhcp_option(__u32 i, struct dhcp_walk *w)
{
	__u8 option[2] = {};

	if (w->asked->off >= w->asked->end ||
	    bpf_skb_load_bytes(w->skb, w->asked->off, option, 1) < 0 || option[0] == 255)
		return 1;
	if (!option[0]) {
		w->asked->off++;
		return 0;
	}
	if (bpf_skb_load_bytes(w->skb, w->asked->off, option, 2) < 0 ||
	    w->asked->off + 2 + option[1] > w->asked->end)
		return 1;
	if (option[0] == 53 && option[1] == 1)
		bpf_skb_load_bytes(w->skb, w->asked->off + 2, &w->asked->type, 1);
	if (option[0] == 50 && option[1] == 4)
		bpf_skb_load_bytes(w->skb, w->asked->off + 2, &w->asked->requested, 4);
	if (option[0] == 54 && option[1] == 4)
		bpf_skb_load_bytes(w->skb, w->asked->off + 2, &w->asked->server, 4);
	if (option[0] == 61 && option[1]) {
		w->asked->client_off = w->asked->off;
		w->asked->client_len = 2 + option[1];
	}
	w->asked->off += 2 + option[1];
	return 0;
}

/*
 * Keeps the options that matter. One that is cut off, or too far behind, counts as not asked for.
 */
static __always_inline void dhcp_walk(struct __sk_buff *skb, __u32 off, __u32 end,
				      struct dhcp_asked *asked)
{
	struct dhcp_walk w = { .skb = skb, .asked = asked };

	asked->off = off;
	asked->end = end;
	bpf_loop(PK_DHCP_OPTIONS, dhcp_option, &w, 0);
}

static __always_inline int dhcp_read(struct __sk_buff *skb, const struct pk_pkt *pkt,
				     const struct pk_endpoint *ep, struct dhcp_asked *asked)
{
	__u32 off = pkt->l4_off + 8;
	__be32 cookie;

	if (pkt->sport != bpf_htons(DHCP_CLIENT_PORT) || pkt->dport != bpf_htons(DHCP_SERVER_PORT))
		return PK_REASON_SPOOFED_DHCP;
	if (pkt->payload < PK_DHCP_FIXED ||
	    bpf_skb_load_bytes(skb, off, &asked->head, sizeof(asked->head)) < 0 ||
	    bpf_skb_load_bytes(skb, off + PK_DHCP_FIXED - 4, &cookie, 4) < 0)
		return PK_REASON_TRUNCATED;
	if (cookie != bpf_htonl(PK_DHCP_COOKIE))
		return PK_REASON_MALFORMED;
	if (asked->head.op != 1 || asked->head.htype != 1 || asked->head.hlen != ETH_ALEN ||
	    asked->head.giaddr || __builtin_memcmp(asked->head.chaddr, ep->mac, ETH_ALEN))
		return PK_REASON_SPOOFED_DHCP;
	dhcp_walk(skb, off + PK_DHCP_FIXED, off + pkt->payload, asked);
	return PK_REASON_OK;
}

/* Returns the answer's type, or 0 where none is due. */
static __always_inline __u8 dhcp_decide(const struct dhcp_asked *asked,
					const struct pk_endpoint *ep)
{
	__be32 wanted = asked->requested ? asked->requested : asked->head.ciaddr;

	switch (asked->type) {
	case DHCP_DISCOVER:
		return DHCP_OFFER;
	case DHCP_REQUEST:
		if (asked->server && asked->server != ep->gateway4.w[3])
			return 0; /* another server's offer was taken */
		return wanted == ep->ipv4.w[3] ? DHCP_ACK : DHCP_NAK;
	case DHCP_INFORM:
		return DHCP_ACK;
	default:
		return 0;
	}
}

/* Fills in what only a lease has: the sender of an INFORM has its address from elsewhere. */
static __always_inline void dhcp_lease(struct dhcp_options *o)
{
	o->lease_code = 51, o->lease_len = 4;
	dhcp_put32(o->lease, bpf_htonl(PK_DHCP_LEASE));
}

static __always_inline void dhcp_options(struct pk_scratch *s, const struct pk_endpoint *ep,
					 __u8 asked, __u8 type)
{
	struct dhcp_options *o = answer_at(s, PK_DHCP_OFF + PK_DHCP_FIXED - 4);
	__u32 bits = ep->ipv4_prefix & 63;
	__be16 mtu = bpf_htons(ep->mtu);

	__builtin_memset(o, 0, sizeof(*o));
	o->cookie = bpf_htonl(PK_DHCP_COOKIE);
	o->type_code = 53, o->type_len = 1, o->type = type;
	o->server_code = 54, o->server_len = 4;
	dhcp_put32(o->server, ep->gateway4.w[3]);
	if (type == DHCP_NAK)
		return;
	if (asked != DHCP_INFORM)
		dhcp_lease(o);
	o->mask_code = 1, o->mask_len = 4;
	dhcp_put32(o->mask, bits && bits <= 32 ? bpf_htonl(~0u << (32 - bits)) : 0);
	o->router_code = 3, o->router_len = 4;
	dhcp_put32(o->router, ep->gateway4.w[3]);
	o->mtu_code = 26, o->mtu_len = 2;
	__builtin_memcpy(o->mtu, &mtu, 2);
}

/*
 * Writes resolvers and domains, and returns how many bytes of domains there are. The domains stay
 * out where they and the client's identifier are more than a client need take.
 */
static __always_inline __u32 dhcp_told(struct pk_scratch *s, __u8 type, __u32 client_len)
{
	__u32 *servers = answer_words(s, PK_DHCP_SERVERS),
	      *domains = answer_words(s, PK_DHCP_DOMAINS);
	struct pk_answers *told = answer_told(s);
	__u32 len;

	__builtin_memset(servers, 0, PK_TOLD_SERVERS4);
	__builtin_memset(domains, 0, PK_DHCP_REST);
	if (!told || type == DHCP_NAK)
		return 0;
	bpf_spin_lock(&told->lock);
	len = told->domains4_len;
	__builtin_memcpy(servers, told->servers4, sizeof(told->servers4));
	if (len + client_len + 1 <= PK_DHCP_REST)
		__builtin_memcpy(domains, told->domains4, sizeof(told->domains4));
	else
		len = 0;
	bpf_spin_unlock(&told->lock);
	return len;
}

/*
 * Writes the client's identifier as it gave it (RFC 6842), and the end. Returns the message's
 * length, 0 where there can be none.
 */
static __always_inline __u32 dhcp_end(struct __sk_buff *skb, struct pk_scratch *s, __u32 domains,
				      const struct dhcp_asked *asked)
{
	__u32 len = asked->client_len & 0x1ff, at = domains & 0xff;
	__u8 *end = answer_at(s, PK_DHCP_DOMAINS + at);

	/*
	 * An absent identifier has length 0; the odd comparison is for 6.1, which learns no lower
	 * bound from one with zero.
	 */
	if (len > 2 && bpf_skb_load_bytes(skb, asked->client_off, end, len) < 0)
		return 0;
	at = (at + len) & 0x1ff; /* both are less than PK_DHCP_REST together */
	end = answer_at(s, PK_DHCP_DOMAINS + at);
	*end = 255;
	at += PK_DHCP_DOMAINS;
	at = (at + 1 - PK_DHCP_OFF + 3) & ~3u;
	return at < PK_DHCP_BYTES ? PK_DHCP_BYTES : at;
}

static __always_inline void dhcp_ip(struct pk_scratch *s, const struct pk_endpoint *ep, __u32 len,
				    __be32 to)
{
	struct iphdr *ip = answer_at(s, PK_L3);
	struct udphdr *udp = answer_at(s, PK_L3 + 20);
	__u64 sum;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(20 + 8 + len);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = ep->gateway4.w[3];
	ip->daddr = to;
	ip->check = ~rewrite_fold(answer_sum(s, PK_L3, 20, 0));
	udp->source = bpf_htons(DHCP_SERVER_PORT);
	udp->dest = bpf_htons(DHCP_CLIENT_PORT);
	udp->len = bpf_htons(8 + len);
	udp->check = 0;
	sum = answer_sum(s, PK_L3 + 12, 8, 0);
	sum += bpf_htons(IPPROTO_UDP) + (__u64)udp->len;
	if (s->pkt.flags & PK_PKT_PARTIAL) { /* the pseudo-header's: the rest is added later */
		udp->check = rewrite_fold(sum);
		return;
	}
	udp->check = ~rewrite_fold(answer_sum_long(s, PK_L3 + 20, 8 + len, sum));
	if (!udp->check)
		udp->check = 0xffff;
}

/*
 * Chooses the receiver (RFC 2131 4.1): a client that has an address hears the answer there,
 * whatever it asks for.
 */
static __always_inline __be32 dhcp_target(const struct dhcp_asked *asked,
					  const struct pk_endpoint *ep, __u8 type)
{
	bool everybody = !asked->head.ciaddr && asked->head.flags & bpf_htons(PK_DHCP_BROADCAST);

	return type == DHCP_NAK || everybody ? ~0u : ep->ipv4.w[3];
}

static __always_inline int dhcp_answer(struct __sk_buff *skb, struct pk_scratch *s,
				       const struct pk_endpoint *ep, const struct dhcp_asked *asked,
				       __u8 type)
{
	struct dhcp_head *head = answer_at(s, PK_DHCP_OFF);
	__u32 len;

	answer_eth(s, ETH_P_IP);
	__builtin_memset(head, 0, PK_DHCP_FIXED);
	*head = asked->head;
	head->op = 2;
	head->hops = 0;
	head->secs = 0;
	head->siaddr = 0;
	if (type != DHCP_ACK)
		head->ciaddr = 0;
	head->yiaddr = type == DHCP_NAK || asked->type == DHCP_INFORM ? 0 : ep->ipv4.w[3];
	dhcp_options(s, ep, asked->type, type);
	len = dhcp_end(skb, s, dhcp_told(s, type, asked->client_len), asked);
	if (!len)
		return PK_REASON_MALFORMED;
	dhcp_ip(s, ep, len, dhcp_target(asked, ep, type));
	return answer_send(skb, s, PK_DHCP_OFF + len);
}

static __always_inline int pk_dhcp_answer(struct __sk_buff *skb, struct pk_scratch *s,
					  const struct pk_endpoint *ep)
{
	struct dhcp_asked *asked = (void *)s->asked;
	int reason;
	__u8 type;

	__builtin_memset(asked, 0, sizeof(*asked));
	reason = dhcp_read(skb, &s->pkt, ep, asked);
	if (reason)
		return reason;
	/* A partial checksum would be finished at an offset that isn't the answer's. */
	if (s->pkt.flags & PK_PKT_PARTIAL && s->pkt.l4_off != PK_L3 + 20)
		return PK_REASON_CHECKSUM;
	if (skb->gso_size)
		return PK_REASON_GSO;
	type = dhcp_decide(asked, ep);
	if (!type || pk_addr_zero(&ep->ipv4))
		return PK_REASON_MULTICAST;
	if (!bucket_answer(s->pkt.slot))
		return PK_REASON_RATE_LIMIT;
	return dhcp_answer(skb, s, ep, asked, type);
}
