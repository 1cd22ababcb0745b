/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Reads what a DHCPv6 message asks for (RFC 8415 21). The walk over its options is flat: an IA's
 * own options are part of it.
 */
#include "lib/answer.h"

#define PK_DHCP6_IAS	 4   /* IAs beside the first IA_NA that are told why they get nothing */
#define PK_DHCP6_OPTIONS 48  /* options of a message that are looked at; one with more is refused */
#define PK_DHCP6_CLIENT	 134 /* bytes of a client's identifier option, code and length included */

enum dhcp6_type {
	DHCP6_SOLICIT = 1,
	DHCP6_ADVERTISE = 2,
	DHCP6_REQUEST = 3,
	DHCP6_CONFIRM = 4,
	DHCP6_RENEW = 5,
	DHCP6_REBIND = 6,
	DHCP6_REPLY = 7,
	DHCP6_RELEASE = 8,
	DHCP6_DECLINE = 9,
	DHCP6_RECONFIGURE = 10,
	DHCP6_INFORMATION = 11,
	DHCP6_RELAY_FORWARD = 12,
	DHCP6_RELAY_REPLY = 13,
};

enum dhcp6_code {
	DHCP6_CLIENT_ID = 1,
	DHCP6_SERVER_ID = 2,
	DHCP6_IA_NA = 3,
	DHCP6_IA_TA = 4,
	DHCP6_IA_ADDRESS = 5,
	DHCP6_RAPID_COMMIT = 14,
	DHCP6_IA_PD = 25,
};

enum dhcp6_server { DHCP6_SERVER_NONE, DHCP6_SERVER_OURS, DHCP6_SERVER_OTHER };

/* The gateway's DUID is made of its MAC, the same on every node. */
struct dhcp6_server_id {
	__u8 b[14];
};
#define PK_DHCP6_SERVER_ID { { 0, DHCP6_SERVER_ID, 0, 10, 0, 3, 0, 1, 0x02, 0x70, 0x6b, 0, 0, 1 } }

struct dhcp6_ia {
	__u32 code;
	__be32 iaid;
};

struct dhcp6_asked {
	__u8 head[4]; /* type and transaction */
	__u8 type;
	__u8 server; /* enum dhcp6_server */
	bool rapid, has_first, has_other;
	__u32 client_off, client_len; /* the client's identifier option as a whole; 0 = none */
	struct dhcp6_ia first;	      /* the IA_NA that gets the address */
	struct dhcp6_ia refused[PK_DHCP6_IAS];
	__u32 n_ias, n_refused;
	__u32 addresses, own; /* addresses in all IAs; those of them that are the endpoint's */
	union pk_addr other;  /* the first address of the first IA_NA that isn't */
	/* The state of the walk through the options. */
	__u32 off, end;
	__u32 ia_end;	/* end of the IA that the walk is in; 0 = in none */
	__u32 in_first; /* 1: that IA is the first IA_NA */
	__u32 bad;	/* not a bool: a callback returns 0 or 1, as the verifier can tell */
};

struct dhcp6_walk {
	struct __sk_buff *skb;
	struct dhcp6_asked *asked;
	const struct pk_endpoint *ep;
};

static __always_inline void dhcp6_take_server(struct dhcp6_walk *w, __u32 len)
{
	struct dhcp6_asked *a = w->asked;
	const struct dhcp6_server_id ours = PK_DHCP6_SERVER_ID;
	struct dhcp6_server_id id = {};
	bool same = len == sizeof(id) - 4 &&
		    bpf_skb_load_bytes(w->skb, a->off, &id, sizeof(id)) == 0 &&
		    !__builtin_memcmp(&id, &ours, sizeof(id));

	a->bad |= a->server != DHCP6_SERVER_NONE;
	a->server = same ? DHCP6_SERVER_OURS : DHCP6_SERVER_OTHER;
}

/* A DUID has 3 to 130 bytes (RFC 8415 11.1). */
static __always_inline void dhcp6_take_client(struct dhcp6_walk *w, __u32 len)
{
	struct dhcp6_asked *a = w->asked;
	a->bad |= a->client_len || len < 3 || len > PK_DHCP6_CLIENT - 4;
	a->client_off = a->off;
	a->client_len = 4 + len;
}

static __always_inline void dhcp6_take_ia(struct dhcp6_walk *w, __u32 code, __u32 len)
{
	struct dhcp6_asked *a = w->asked;
	__u32 fixed = code == DHCP6_IA_TA ? 4 : 12, n = a->n_refused;
	struct dhcp6_ia ia = { .code = code };

	a->bad |= len < fixed || bpf_skb_load_bytes(w->skb, a->off + 4, &ia.iaid, 4) < 0;
	a->n_ias++;
	a->in_first = code == DHCP6_IA_NA && !a->has_first;
	if (a->in_first) {
		a->first = ia;
		a->has_first = true;
	} else if (n < PK_DHCP6_IAS) {
		a->refused[n & (PK_DHCP6_IAS - 1)] = ia;
		a->n_refused = n + 1;
	}
	if (code == DHCP6_IA_PD)
		return;
	a->ia_end = a->off + 4 + len;
	a->off += fixed - len; /* the walk goes on inside */
}

static __always_inline void dhcp6_take_address(struct dhcp6_walk *w, __u32 len)
{
	struct dhcp6_asked *a = w->asked;
	union pk_addr addr = {};

	a->bad |= !a->ia_end || len < 24 ||
		  bpf_skb_load_bytes(w->skb, a->off + 4, &addr, sizeof(addr)) < 0;
	a->addresses++;
	if (pk_addr_same(&addr, &w->ep->ipv6)) {
		a->own++;
	} else if (a->in_first && !a->has_other) {
		a->other = addr;
		a->has_other = true;
	}
}

/* Reads one option; returns 1 at the end of the walk. Verified once, not for each round. */
static int dhcp6_option(__u32 i, struct dhcp6_walk *w)
{
	struct dhcp6_asked *a = w->asked;
	__be16 option[2] = {};
	__u32 code, len;

	if (a->ia_end && a->off >= a->ia_end)
		a->ia_end = 0;
	if (a->off >= a->end)
		return 1;
	a->bad |= bpf_skb_load_bytes(w->skb, a->off, option, sizeof(option)) < 0;
	code = bpf_ntohs(option[0]);
	len = bpf_ntohs(option[1]);
	a->bad |= a->off + 4 + len > (a->ia_end ? a->ia_end : a->end);
	if (a->bad)
		return 1;
	if (code == DHCP6_IA_ADDRESS)
		dhcp6_take_address(w, len);
	else if (a->ia_end)
		a->bad |= code == DHCP6_IA_NA || code == DHCP6_IA_TA || code == DHCP6_IA_PD;
	else if (code == DHCP6_CLIENT_ID)
		dhcp6_take_client(w, len);
	else if (code == DHCP6_SERVER_ID)
		dhcp6_take_server(w, len);
	else if (code == DHCP6_IA_NA || code == DHCP6_IA_TA || code == DHCP6_IA_PD)
		dhcp6_take_ia(w, code, len);
	else if (code == DHCP6_RAPID_COMMIT)
		a->rapid = true;
	a->off += 4 + len;
	return a->bad != 0;
}

/*
 * Returns whether it is a message that a client sends: nobody here expects a server's or a relay's.
 */
static __always_inline int dhcp6_kind(const struct dhcp6_asked *a)
{
	switch (a->type) {
	case DHCP6_SOLICIT:
	case DHCP6_REQUEST:
	case DHCP6_CONFIRM:
	case DHCP6_RENEW:
	case DHCP6_REBIND:
	case DHCP6_RELEASE:
	case DHCP6_DECLINE:
	case DHCP6_INFORMATION:
		return PK_REASON_OK;
	case DHCP6_ADVERTISE:
	case DHCP6_REPLY:
	case DHCP6_RECONFIGURE:
	case DHCP6_RELAY_FORWARD:
	case DHCP6_RELAY_REPLY:
		return PK_REASON_SPOOFED_DHCP;
	default:
		return PK_REASON_MULTICAST;
	}
}

static __always_inline int dhcp6_read(struct __sk_buff *skb, const struct pk_pkt *pkt,
				      const struct pk_endpoint *ep, struct dhcp6_asked *asked)
{
	__u32 off = pkt->l4_off + 8;
	struct dhcp6_walk w = { .skb = skb, .asked = asked, .ep = ep };
	int reason;

	if (pkt->sport != bpf_htons(DHCP6_CLIENT_PORT) ||
	    pkt->dport != bpf_htons(DHCP6_SERVER_PORT))
		return PK_REASON_SPOOFED_DHCP;
	if (pkt->payload < 4 || bpf_skb_load_bytes(skb, off, asked->head, 4) < 0)
		return PK_REASON_TRUNCATED;
	asked->type = asked->head[0];
	reason = dhcp6_kind(asked);
	if (reason)
		return reason;
	asked->off = off + 4;
	asked->end = off + pkt->payload;
	bpf_loop(PK_DHCP6_OPTIONS, dhcp6_option, &w, 0);
	return asked->bad || asked->off != asked->end ? PK_REASON_MALFORMED : PK_REASON_OK;
}
