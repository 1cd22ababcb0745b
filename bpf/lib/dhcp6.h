/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * DHCPv6 (RFC 8415) with one address to give: the endpoint's own, in the first IA_NA that is asked
 * for. dhcp6_read.h says what was asked, this file what is answered.
 */
#include "lib/answer.h"
#include "lib/dhcp6_read.h"

#define PK_DHCP6_OFF	   (PK_L3 + sizeof(struct ipv6hdr) + 8)
#define PK_DHCP6_PREFERRED 86400
#define PK_DHCP6_VALID	   86400
#define PK_DHCP6_T1	   43200
#define PK_DHCP6_T2	   69120
/* At most these bytes of options come behind the head and what user space has encoded there. */
#define PK_DHCP6_REST (14 + PK_DHCP6_CLIENT + PK_DHCP6_IAS * 22 + 2 * 28 + 6 + 4)
_Static_assert(PK_FRAME_PAD + PK_DHCP6_OFF + 4 + PK_TOLD_DHCP6 + PK_DHCP6_REST + 4 <=
		       PK_SCRATCH_BYTES,
	       "a DHCPv6 answer's room");

enum dhcp6_status {
	DHCP6_SUCCESS = 0,
	DHCP6_NO_ADDRESS = 2,
	DHCP6_NO_BINDING = 3,
	DHCP6_NOT_ON_LINK = 4,
	DHCP6_USE_MULTICAST = 5,
	DHCP6_NO_PREFIX = 6,
	DHCP6_NO_STATUS = 0xff,
};

/* The plan of an answer, made from what was asked. */
struct dhcp6_plan {
	__u8 type;
	__u8 status; /* enum dhcp6_status of the whole answer */
	bool lease;  /* the first IA_NA gets the address */
	bool others; /* the other IAs are told why they get nothing */
	bool none;   /* and the reason is that they have no binding */
	bool told;   /* resolvers and search list */
	bool rapid;
};

struct dhcp6_option {
	__be16 code, len;
} __attribute__((packed));

struct dhcp6_status_option {
	struct dhcp6_option option;
	__be16 status;
} __attribute__((packed));

struct dhcp6_ia_option {
	struct dhcp6_option option;
	__be32 iaid, t1, t2;
} __attribute__((packed));

struct dhcp6_address {
	struct dhcp6_option option;
	__u8 addr[16];
	__be32 preferred, valid;
} __attribute__((packed));

struct dhcp6_scratch {
	struct dhcp6_asked asked;
	struct dhcp6_plan plan;
};
_Static_assert(sizeof(struct dhcp6_scratch) <= PK_SCRATCH_ASKED, "what DHCPv6 is asked");

/*
 * Checks what RFC 8415 16 demands of a message: the client's identifier, and the server's where it
 * is due.
 */
static __always_inline int dhcp6_invalid(const struct dhcp6_asked *a)
{
	bool to_us = a->type == DHCP6_REQUEST || a->type == DHCP6_RENEW ||
		     a->type == DHCP6_RELEASE || a->type == DHCP6_DECLINE;

	if (a->type == DHCP6_INFORMATION)
		return a->n_ias ? PK_REASON_MALFORMED : PK_REASON_OK;
	if (!a->client_len || to_us != !!a->server)
		return PK_REASON_MALFORMED;
	return PK_REASON_OK;
}

static __always_inline void dhcp6_bound(const struct dhcp6_asked *a, struct dhcp6_plan *plan)
{
	plan->status = DHCP6_NO_STATUS;
	plan->others = a->type != DHCP6_INFORMATION;
	switch (a->type) {
	case DHCP6_SOLICIT:
		plan->rapid = a->rapid;
		plan->type = a->rapid ? DHCP6_REPLY : DHCP6_ADVERTISE;
		plan->lease = plan->told = true;
		break;
	case DHCP6_REQUEST:
		plan->lease = plan->told = true;
		break;
	case DHCP6_RENEW:
	case DHCP6_REBIND:
		plan->lease = plan->told = plan->none = true;
		break;
	case DHCP6_RELEASE:
	case DHCP6_DECLINE:
		plan->status = DHCP6_SUCCESS;
		plan->none = true;
		break;
	default: /* INFORMATION-REQUEST */
		plan->told = true;
	}
}

/* Makes the plan, or returns the reason why nothing is to be said. */
static __always_inline int dhcp6_decide(const struct pk_pkt *pkt, const struct dhcp6_asked *a,
					struct dhcp6_plan *plan)
{
	int reason = dhcp6_invalid(a);

	if (reason)
		return reason;
	if (a->server == DHCP6_SERVER_OTHER)
		return PK_REASON_MULTICAST;
	plan->type = DHCP6_REPLY;
	if (pkt->dst.b[0] != 0xff) {
		/* A message that names a server may have been sent to it alone (RFC 8415 18.4). */
		plan->status = DHCP6_USE_MULTICAST;
		return a->server && a->type != DHCP6_INFORMATION ? PK_REASON_OK
								 : PK_REASON_MULTICAST;
	}
	if (a->type == DHCP6_CONFIRM) { /* only the endpoint's own address is on the link */
		plan->status = a->own == a->addresses ? DHCP6_SUCCESS : DHCP6_NOT_ON_LINK;
		return a->addresses ? PK_REASON_OK : PK_REASON_MULTICAST;
	}
	dhcp6_bound(a, plan);
	return PK_REASON_OK;
}

/*
 * Writes resolvers and search list, which come first, where a copy is made of words. Returns their
 * bytes.
 */
static __always_inline __u32 dhcp6_told(struct pk_scratch *s, const struct dhcp6_plan *plan)
{
	struct pk_answers *told = answer_told(s);
	__u32 len;

	if (!told || !plan->told)
		return 0;
	bpf_spin_lock(&told->lock);
	len = told->dhcp6_len;
	__builtin_memcpy(answer_words(s, PK_DHCP6_OFF + 4), told->dhcp6, sizeof(told->dhcp6));
	bpf_spin_unlock(&told->lock);
	return len > sizeof(told->dhcp6) ? 0 : len;
}

/*
 * Returns the end of what is written so far. It is kept in memory, since 6.1 forgets the bounds of
 * a value that the compiler keeps on the stack. The mask changes nothing (the room is asserted
 * above).
 */
static __always_inline __u32 dhcp6_at(const struct pk_scratch *s)
{
	return READ_ONCE(s->filled) & (PK_SCRATCH_BYTES - 1);
}

/* Appends `from`, of a constant size. */
#define dhcp6_put(s, from)                                                                         \
	do {                                                                                       \
		__u32 at_ = dhcp6_at(s);                                                           \
                                                                                                   \
		__builtin_memcpy(answer_at(s, at_), &(from), sizeof(from));                        \
		WRITE_ONCE((s)->filled, at_ + sizeof(from));                                       \
	} while (0)

static __always_inline void dhcp6_put_status(struct pk_scratch *s, __u8 status)
{
	struct dhcp6_status_option o = { { bpf_htons(13), bpf_htons(2) }, bpf_htons(status) };

	dhcp6_put(s, o);
}

static __always_inline void dhcp6_put_address(struct pk_scratch *s, const union pk_addr *addr,
					      __u32 seconds)
{
	struct dhcp6_address o = { .option = { bpf_htons(DHCP6_IA_ADDRESS), bpf_htons(24) } };

	__builtin_memcpy(o.addr, addr, 16);
	o.preferred = o.valid = bpf_htonl(seconds);
	dhcp6_put(s, o);
}

/* Writes the lease. Another address that the client had is told to be at its end. */
static __always_inline void dhcp6_put_lease(struct pk_scratch *s, const struct pk_endpoint *ep,
					    const struct dhcp6_asked *a,
					    const struct dhcp6_plan *plan)
{
	bool ends = plan->none && a->has_other;
	struct dhcp6_ia_option o = { { bpf_htons(DHCP6_IA_NA), bpf_htons(ends ? 68 : 40) },
				     a->first.iaid,
				     bpf_htonl(PK_DHCP6_T1),
				     bpf_htonl(PK_DHCP6_T2) };

	dhcp6_put(s, o);
	dhcp6_put_address(s, &ep->ipv6, PK_DHCP6_VALID);
	if (ends)
		dhcp6_put_address(s, &a->other, 0);
}

/* Writes an IA that gets nothing. */
static __always_inline void dhcp6_put_refusal(struct pk_scratch *s, const struct dhcp6_ia *ia,
					      bool none)
{
	struct dhcp6_ia_option o = { { bpf_htons(ia->code), bpf_htons(18) }, ia->iaid, 0, 0 };
	struct {
		struct dhcp6_option option;
		__be32 iaid;
	} __attribute__((packed)) ta = { { bpf_htons(DHCP6_IA_TA), bpf_htons(10) }, ia->iaid };
	__u8 status = ia->code == DHCP6_IA_PD ? DHCP6_NO_PREFIX : DHCP6_NO_ADDRESS;

	if (ia->code == DHCP6_IA_TA)
		dhcp6_put(s, ta);
	else
		dhcp6_put(s, o);
	dhcp6_put_status(s, none ? DHCP6_NO_BINDING : status);
}

static __always_inline void dhcp6_put_ias(struct pk_scratch *s, const struct pk_endpoint *ep,
					  const struct dhcp6_asked *a,
					  const struct dhcp6_plan *plan)
{
	if (plan->lease && a->has_first)
		dhcp6_put_lease(s, ep, a, plan);
	for (__u32 i = 0; plan->others && i < PK_DHCP6_IAS; i++)
		if (i < a->n_refused)
			dhcp6_put_refusal(s, &a->refused[i], plan->none);
}

/* Writes the client's identifier, as it gave it. */
static __always_inline bool dhcp6_put_client(struct __sk_buff *skb, struct pk_scratch *s,
					     const struct dhcp6_asked *a)
{
	__u32 len = a->client_len & 0xff, at = dhcp6_at(s);

	if (len < 4) /* none; 6.1 learns no lower bound from a comparison with zero */
		return true;
	if (bpf_skb_load_bytes(skb, a->client_off, answer_at(s, at), len) < 0)
		return false;
	WRITE_ONCE(s->filled, at + len);
	return true;
}

/* Writes the options; returns false where they can't be made. */
static __always_inline bool dhcp6_options(struct __sk_buff *skb, struct pk_scratch *s,
					  const struct pk_endpoint *ep, const struct dhcp6_asked *a,
					  const struct dhcp6_plan *plan)
{
	const struct dhcp6_server_id id = PK_DHCP6_SERVER_ID;
	const struct dhcp6_option rapid = { bpf_htons(DHCP6_RAPID_COMMIT), 0 };

	s->filled = PK_DHCP6_OFF + 4 + dhcp6_told(s, plan);
	dhcp6_put(s, id);
	if (!dhcp6_put_client(skb, s, a))
		return false;
	dhcp6_put_ias(s, ep, a, plan);
	if (plan->rapid)
		dhcp6_put(s, rapid);
	if (plan->status != DHCP6_NO_STATUS)
		dhcp6_put_status(s, plan->status);
	return true;
}

static __always_inline void dhcp6_udp(struct pk_scratch *s, __u32 len)
{
	struct udphdr *udp = answer_at(s, PK_L3 + sizeof(struct ipv6hdr));
	__u64 sum;

	udp->source = bpf_htons(DHCP6_SERVER_PORT);
	udp->dest = bpf_htons(DHCP6_CLIENT_PORT);
	udp->len = bpf_htons(len);
	udp->check = 0;
	sum = answer_sum(s, PK_L3 + 8, 32, 0); /* both addresses */
	sum += bpf_htons(IPPROTO_UDP) + (__u64)udp->len;
	if (s->pkt.flags & PK_PKT_PARTIAL) { /* the pseudo-header's: the rest is added later */
		udp->check = rewrite_fold(sum);
		return;
	}
	udp->check = ~rewrite_fold(
		answer_sum_long(s, PK_L3 + sizeof(struct ipv6hdr), (len + 3) & ~3u, sum));
	if (!udp->check)
		udp->check = 0xffff;
}

static __always_inline int dhcp6_answer(struct __sk_buff *skb, struct pk_scratch *s,
					const struct pk_endpoint *ep, const struct dhcp6_asked *a,
					const struct dhcp6_plan *plan)
{
	__u8 *head = answer_at(s, PK_DHCP6_OFF);
	__u32 end, len;

	__builtin_memcpy(head, a->head, 4);
	head[0] = plan->type;
	if (!dhcp6_options(skb, s, ep, a, plan))
		return PK_REASON_MALFORMED;
	end = dhcp6_at(s);
	if (end <= PK_DHCP6_OFF)
		return PK_REASON_MALFORMED;
	__builtin_memset(answer_at(s, end), 0, 4); /* a sum is made of words */
	len = end - (PK_DHCP6_OFF - 8);
	answer_eth(s, ETH_P_IPV6);
	answer_ipv6(s, len, IPPROTO_UDP, &s->pkt.src);
	dhcp6_udp(s, len);
	return answer_send(skb, s, end);
}

static __always_inline int pk_dhcp6_answer(struct __sk_buff *skb, struct pk_scratch *s,
					   const struct pk_endpoint *ep)
{
	struct dhcp6_scratch *d = (void *)s->asked;
	int reason;

	__builtin_memset(d, 0, sizeof(*d));
	reason = dhcp6_read(skb, &s->pkt, ep, &d->asked);
	if (reason)
		return reason;
	/* A partial checksum would be finished at an offset that isn't the answer's. */
	if (s->pkt.flags & PK_PKT_PARTIAL && s->pkt.l4_off != PK_L3 + sizeof(struct ipv6hdr))
		return PK_REASON_CHECKSUM;
	if (skb->gso_size)
		return PK_REASON_GSO;
	reason = dhcp6_decide(&s->pkt, &d->asked, &d->plan);
	if (reason)
		return reason;
	if (pk_addr_zero(&ep->ipv6))
		return PK_REASON_MULTICAST;
	if (!bucket_answer(s->pkt.slot))
		return PK_REASON_RATE_LIMIT;
	return dhcp6_answer(skb, s, ep, &d->asked, &d->plan);
}
