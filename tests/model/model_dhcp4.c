// SPDX-License-Identifier: Apache-2.0
/* DHCPv4 (RFC 2131) with one lease to give: the endpoint's own address, for a day. */
#include <string.h>

#include "tests/model/paper.h"

#define HEAD	   236 /* before the cookie */
#define FIXED	   240
#define LEAST	   300 /* bytes of an answer: some clients refuse less */
#define MOST	   548 /* no client need take more (RFC 2131 2) */
#define LOOKED_AT  32  /* options of a question, padding among them */
#define CODES_ROOM 47  /* bytes of the options that have a place of their own */

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

struct question {
	const uint8_t *m; /* the message */
	uint32_t len;
	uint8_t type;
	uint32_t requested, server, ciaddr;
	const uint8_t *client; /* its identifier as it was given; NULL: none */
	uint32_t client_len;
};

static void option(struct question *q, const uint8_t *o)
{
	switch (o[0]) {
	case 50:
		if (o[1] == 4)
			q->requested = get32(o + 2);
		break;
	case 53:
		if (o[1] == 1)
			q->type = o[2];
		break;
	case 54:
		if (o[1] == 4)
			q->server = get32(o + 2);
		break;
	case 61:
		if (o[1])
			q->client = o, q->client_len = 2u + o[1];
	}
}

/* An option that is cut off, or too far behind, isn't there. */
static void options(struct question *q)
{
	uint32_t at = FIXED;

	for (int n = 0; n < LOOKED_AT && at < q->len && q->m[at] != 255; n++) {
		if (!q->m[at]) {
			at++;
			continue;
		}
		if (at + 2 > q->len || at + 2 + q->m[at + 1] > q->len)
			return;
		option(q, q->m + at);
		at += 2u + q->m[at + 1];
	}
}

static enum pk_reason ask(const struct walk *k, struct question *q)
{
	static const uint8_t cookie[] = { 99, 130, 83, 99 };
	const struct seen *s = &k->seen;

	*q = (struct question){ .m = k->frame->b + s->l4 + 8, .len = s->payload };
	if (s->sport != 68 || s->dport != 67)
		return PK_REASON_SPOOFED_DHCP;
	if (q->len < FIXED)
		return PK_REASON_TRUNCATED;
	if (memcmp(q->m + HEAD, cookie, 4))
		return PK_REASON_MALFORMED;
	/* A client's own: a request, by Ethernet, by no relay, for its own MAC. */
	if (q->m[0] != 1 || q->m[1] != 1 || q->m[2] != 6 || get32(q->m + 24) ||
	    memcmp(q->m + 28, k->m->w->ep[k->slot].mac, 6))
		return PK_REASON_SPOOFED_DHCP;
	q->ciaddr = get32(q->m + 12);
	options(q);
	return PK_REASON_OK;
}

/* The answer's type; 0: none is due. */
static uint8_t decide_type(const struct question *q, const struct pk_endpoint *ep)
{
	uint32_t wanted = q->requested ? q->requested : q->ciaddr;

	if (q->type == DISCOVER)
		return OFFER;
	if (q->type == INFORM)
		return ACK;
	if (q->type != REQUEST || (q->server && q->server != addr_number(&ep->gateway4)))
		return 0;
	return wanted == addr_number(&ep->ipv4) ? ACK : NAK;
}

static void put_option(struct paper *p, uint8_t code, uint32_t bytes, uint64_t value)
{
	paper_number(p, code, 1);
	paper_number(p, bytes, 1);
	paper_number(p, value, bytes);
}

/* Those of fixed lengths have their place, whether due or not. */
static void fixed_options(struct paper *p, const struct question *q, const struct pk_endpoint *ep,
			  uint8_t type)
{
	uint32_t begin = p->len, bits = ep->ipv4_prefix;

	put_option(p, 53, 1, type);
	put_option(p, 54, 4, addr_number(&ep->gateway4));
	if (type != NAK && q->type != INFORM)
		put_option(p, 51, 4, 86400);
	paper_pad(p, begin + 15);
	if (type != NAK) {
		put_option(p, 1, 4, bits ? 0xffffffffu << (32 - bits) : 0);
		put_option(p, 3, 4, addr_number(&ep->gateway4));
		put_option(p, 26, 2, ep->mtu);
	}
	paper_pad(p, begin + CODES_ROOM - 15);
}

static void write_head(struct paper *p, const struct question *q, const struct pk_endpoint *ep,
		       uint8_t type)
{
	paper_put(p, (uint8_t[]){ 2, 1, 6, 0 }, 4);
	paper_put(p, q->m + 4, 4); /* xid */
	paper_number(p, 0, 2);
	paper_put(p, q->m + 10, 2); /* flags */
	paper_number(p, type == ACK ? q->ciaddr : 0, 4);
	paper_number(p, type == NAK || q->type == INFORM ? 0 : addr_number(&ep->ipv4), 4);
	paper_number(p, 0, 8);	     /* siaddr, giaddr */
	paper_put(p, q->m + 28, 16); /* chaddr */
	paper_pad(p, p->len + 192);  /* sname, file */
	paper_put(p, q->m + HEAD, 4);
}

static void write_told(struct paper *p, const struct walk *k, const struct question *q,
		       uint32_t begin)
{
	const struct told *t = &k->m->w->told[k->slot];
	uint32_t domains;

	told_servers4(p, t);
	domains = p->len;
	told_domains4(p, t);
	/* Where the domains don't fit beside the client's identifier they stay out. */
	if (p->len + q->client_len + 1 > begin + MOST)
		p->len = domains;
}

static uint32_t write_message(struct paper *p, const struct walk *k, const struct question *q,
			      uint8_t type)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	uint32_t begin = p->len;

	write_head(p, q, ep, type);
	fixed_options(p, q, ep, type);
	if (type == NAK)
		paper_pad(p, p->len + PK_TOLD_SERVERS4);
	else
		write_told(p, k, q, begin);
	if (q->client)
		paper_put(p, q->client, q->client_len);
	paper_number(p, 255, 1);
	while ((p->len - begin) % 4)
		paper_number(p, 0, 1);
	paper_pad(p, begin + LEAST);
	return p->len - begin;
}

/* RFC 2131 4.1: who has an address hears it there; a refusal is for everybody. */
static uint32_t receiver(const struct question *q, const struct pk_endpoint *ep, uint8_t type)
{
	bool everybody = type == NAK || (!q->ciaddr && q->m[10] & 0x80);

	return everybody ? 0xffffffff : addr_number(&ep->ipv4);
}

static void write_answer(struct walk *k, const struct question *q, uint8_t type)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	struct frame *f = &k->o->out;
	struct paper p = { f->b, L3 };
	uint32_t len;

	answer_back(k);
	put16(f->b + 12, 0x0800);
	paper_put(&p, (uint8_t[20]){ 0x45, [8] = 64, 17 }, 20);
	memcpy(f->b + L3 + 12, ep->gateway4.b + 12, 4);
	put32(f->b + L3 + 16, receiver(q, ep, type));
	paper_put(&p, (uint8_t[8]){ 0, 67, 0, 68 }, 8);
	len = write_message(&p, k, q, type);
	put16(f->b + L3 + 2, (uint16_t)(28 + len));
	put16(f->b + L3 + 24, (uint16_t)(8 + len));
	f->len = p.len;
	answer_seal(k, &(struct seen){
			       .kind = KIND_V4, .proto = 17, .l4 = L3 + 20, .l3_len = 28 + len });
}

enum pk_reason answer_dhcp4(struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	struct question q;
	enum pk_reason reason = ask(k, &q);
	uint8_t type;

	if (!reason)
		reason = answer_fits(k, L3 + 20);
	if (reason)
		return reason;
	type = decide_type(&q, ep);
	if (!type || addr_none(&ep->ipv4))
		return PK_REASON_MULTICAST;
	write_answer(k, &q, type);
	return PK_REASON_OK;
}
