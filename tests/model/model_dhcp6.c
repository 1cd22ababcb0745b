// SPDX-License-Identifier: Apache-2.0
/*
 * DHCPv6 (RFC 8415) with one address to give, in the first IA_NA that is asked for. The server is
 * at fe80::1; its DUID is of type 3, of Ethernet, and made of the gateway's MAC.
 */
#include <string.h>

#include "tests/model/paper.h"

#define REFUSED	  4  /* IAs beside the first that are told that there is nothing */
#define LOOKED_AT 48 /* options of a message; more are refused */

enum {
	SOLICIT = 1,
	ADVERTISE,
	REQUEST,
	CONFIRM,
	RENEW,
	REBIND,
	REPLY,
	RELEASE,
	DECLINE,
	RECONFIGURE,
	INFORMATION,
	RELAY_FORWARD,
	RELAY_REPLY
};
enum { CLIENT = 1, SERVER, IA_NA, IA_TA, ADDRESS, RAPID = 14, STATUS = 13, IA_PD = 25 };
enum { SUCCESS, NO_ADDRESS = 2, NO_BINDING, NOT_ON_LINK, USE_MULTICAST, NO_PREFIX, NONE = 255 };

struct ia {
	uint16_t code;
	const uint8_t *id; /* NULL: none */
};

struct question {
	const uint8_t *m;
	uint32_t len, options;
	uint8_t type;
	const uint8_t *client; /* the option as a whole */
	uint32_t client_len;
	bool server, ours, rapid, bad;
	struct ia first, others[REFUSED];
	uint32_t ias, n_others, addresses, own;
	const uint8_t *foreign; /* the first address of the first IA_NA that isn't the endpoint's */
};

static const uint8_t server_id[14] = { 0, 2, 0, 10, 0, 3, 0, 1, 0x02, 0x70, 0x6b, 0, 0, 1 };

/* The addresses in an IA; their own options are nobody's matter. */
static void inside(struct question *q, const uint8_t *at, const uint8_t *end, bool first,
		   const uint8_t *own)
{
	for (uint32_t n; at < end && !q->bad; at += 4 + n) {
		if (++q->options > LOOKED_AT || end - at < 4) {
			q->bad = true;
			return;
		}
		n = get16(at + 2);
		q->bad = n + 4 > end - at || get16(at) == IA_NA || get16(at) == IA_TA ||
			 get16(at) == IA_PD;
		if (q->bad || get16(at) != ADDRESS)
			continue;
		q->bad = n < 24;
		if (q->bad)
			return;
		q->addresses++;
		if (!memcmp(at + 4, own, 16))
			q->own++;
		else if (first && !q->foreign)
			q->foreign = at + 4;
	}
}

static void take_ia(struct question *q, const uint8_t *o, uint32_t len, const uint8_t *own)
{
	struct ia ia = { get16(o), o + 4 };
	uint32_t fixed = ia.code == IA_TA ? 4 : 12;
	bool first = ia.code == IA_NA && !q->first.id;

	q->ias++;
	if (len < fixed) {
		q->bad = true;
		return;
	}
	if (first)
		q->first = ia;
	else if (q->n_others < REFUSED)
		q->others[q->n_others++] = ia;
	if (ia.code != IA_PD) /* it has prefixes, not addresses */
		inside(q, o + 4 + fixed, o + 4 + len, first, own);
}

static void take(struct question *q, const uint8_t *o, uint32_t len, const uint8_t *own)
{
	switch (get16(o)) {
	case CLIENT:
		q->bad = q->client || len < 3 || len > 130;
		q->client = o;
		q->client_len = 4 + len;
		break;
	case SERVER:
		q->bad = q->server;
		q->server = true;
		q->ours = len == 10 && !memcmp(o, server_id, sizeof(server_id));
		break;
	case ADDRESS: /* of no IA */
		q->bad = true;
		break;
	case IA_NA:
	case IA_TA:
	case IA_PD:
		take_ia(q, o, len, own);
		break;
	case RAPID:
		q->rapid = true;
	}
}

static void options(struct question *q, const uint8_t *own)
{
	const uint8_t *at = q->m + 4, *end = q->m + q->len;

	for (uint32_t n; at < end && !q->bad; at += 4 + n) {
		if (++q->options > LOOKED_AT || end - at < 4 || get16(at + 2) + 4 > end - at) {
			q->bad = true;
			return;
		}
		n = get16(at + 2);
		take(q, at, n, own);
	}
}

static enum pk_reason ask(const struct walk *k, struct question *q)
{
	const struct seen *s = &k->seen;

	memset(q, 0, sizeof(*q));
	q->m = k->frame->b + s->l4 + 8;
	q->len = s->payload;
	if (s->sport != 546 || s->dport != 547)
		return PK_REASON_SPOOFED_DHCP;
	if (q->len < 4)
		return PK_REASON_TRUNCATED;
	q->type = q->m[0];
	if (!q->type || q->type > RELAY_REPLY)
		return PK_REASON_MULTICAST;
	if (q->type == ADVERTISE || q->type == REPLY || q->type == RECONFIGURE ||
	    q->type >= RELAY_FORWARD)
		return PK_REASON_SPOOFED_DHCP;
	options(q, k->m->w->ep[k->slot].ipv6.b);
	return q->bad ? PK_REASON_MALFORMED : PK_REASON_OK;
}

static bool names_server(const struct question *q)
{
	return q->type == REQUEST || q->type == RENEW || q->type == RELEASE || q->type == DECLINE;
}

/* RFC 8415 16: what a message must have, and may not. */
static bool is_valid(const struct question *q)
{
	if (q->type == INFORMATION)
		return !q->ias;
	return q->client && names_server(q) == q->server;
}

static void put_option(struct paper *p, uint16_t code, uint32_t len)
{
	paper_number(p, code, 2);
	paper_number(p, len, 2);
}

static void put_status(struct paper *p, uint8_t status)
{
	put_option(p, STATUS, 2);
	paper_number(p, status, 2);
}

static void put_address(struct paper *p, const uint8_t *a, uint32_t seconds)
{
	put_option(p, ADDRESS, 24);
	paper_put(p, a, 16);
	paper_number(p, seconds, 4);
	paper_number(p, seconds, 4);
}

/* Who renews another address is told that it is over. */
static void put_lease(struct paper *p, const struct question *q, const uint8_t *own)
{
	bool ends = (q->type == RENEW || q->type == REBIND) && q->foreign;

	put_option(p, IA_NA, ends ? 68 : 40);
	paper_put(p, q->first.id, 4);
	paper_number(p, 43200, 4);
	paper_number(p, 69120, 4);
	put_address(p, own, 86400);
	if (ends)
		put_address(p, q->foreign, 0);
}

/* There is nothing to give, or there never was. */
static void put_refusal(struct paper *p, const struct question *q, const struct ia *ia)
{
	uint8_t status = ia->code == IA_PD ? NO_PREFIX : NO_ADDRESS;

	if (q->type != SOLICIT && q->type != REQUEST)
		status = NO_BINDING;
	put_option(p, ia->code, ia->code == IA_TA ? 10 : 18);
	paper_put(p, ia->id, 4);
	if (ia->code != IA_TA)
		paper_number(p, 0, 8);
	put_status(p, status);
}

struct reply {
	uint8_t type, status;
	bool bindings, told; /* what the IAs get; resolvers and search list */
};

static void put_bindings(struct paper *p, const struct question *q, const uint8_t *own)
{
	if (q->first.id && q->type != RELEASE && q->type != DECLINE)
		put_lease(p, q, own);
	for (uint32_t i = 0; i < q->n_others; i++)
		put_refusal(p, q, &q->others[i]);
	if (q->type == SOLICIT && q->rapid)
		put_option(p, RAPID, 0);
}

static void write_answer(struct walk *k, const struct question *q, const struct reply *r)
{
	struct frame *f = &k->o->out;
	struct paper p = { f->b, L3 };
	uint32_t len;

	answer_back(k);
	put16(f->b + 12, 0x86dd);
	paper_put(&p, (uint8_t[24]){ 0x60, [6] = 17, 255, 0xfe, 0x80, [23] = 1 }, 24);
	paper_put(&p, k->seen.src.b, 16);
	paper_put(&p, (uint8_t[8]){ 2, 35, 2, 34 }, 8);
	paper_number(&p, r->type, 1);
	paper_put(&p, q->m + 1, 3);
	if (r->told)
		told_dhcp6(&p, &k->m->w->told[k->slot]);
	paper_put(&p, server_id, sizeof(server_id));
	if (q->client)
		paper_put(&p, q->client, q->client_len);
	if (r->bindings)
		put_bindings(&p, q, k->m->w->ep[k->slot].ipv6.b);
	if (r->status != NONE)
		put_status(&p, r->status);
	f->len = p.len;
	len = p.len - L3 - 40;
	put16(f->b + L3 + 4, (uint16_t)len);
	put16(f->b + L3 + 44, (uint16_t)len);
	answer_seal(k, &(struct seen){
			       .kind = KIND_V6, .proto = 17, .l4 = L3 + 40, .l3_len = 40 + len });
}

/* PK_REASON_OK: r is what to say. */
static enum pk_reason decide_reply(const struct walk *k, const struct question *q, struct reply *r)
{
	*r = (struct reply){ .type = REPLY, .status = NONE };
	if (!is_valid(q))
		return PK_REASON_MALFORMED;
	if (q->server && !q->ours) /* another server was chosen */
		return PK_REASON_MULTICAST;
	if (k->seen.dst.b[0] != 0xff) {
		r->status = USE_MULTICAST;
		return names_server(q) ? PK_REASON_OK : PK_REASON_MULTICAST;
	}
	if (q->type == CONFIRM) {
		r->status = q->own == q->addresses ? SUCCESS : NOT_ON_LINK;
		return q->addresses ? PK_REASON_OK : PK_REASON_MULTICAST;
	}
	r->bindings = q->type != INFORMATION;
	r->told = q->type != RELEASE && q->type != DECLINE;
	if (!r->told)
		r->status = SUCCESS;
	if (q->type == SOLICIT && !q->rapid)
		r->type = ADVERTISE;
	return PK_REASON_OK;
}

enum pk_reason answer_dhcp6(struct walk *k)
{
	struct question q;
	struct reply r;
	enum pk_reason reason = ask(k, &q);

	if (!reason)
		reason = answer_fits(k, L3 + 40);
	if (!reason)
		reason = decide_reply(k, &q, &r);
	if (reason)
		return reason;
	if (addr_none(&k->m->w->ep[k->slot].ipv6))
		return PK_REASON_MULTICAST;
	write_answer(k, &q, &r);
	return PK_REASON_OK;
}
