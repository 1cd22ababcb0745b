// SPDX-License-Identifier: Apache-2.0
/*
 * ICMP errors: they pass where what they quote is a packet of a live flow that their receiver sent,
 * and make or refresh none. Of a translated flow they come out as the receiver knows it.
 */
#include <string.h>

#include "tests/model/state.h"

/* What pads the frame behind the message quotes nothing. */
static uint32_t message_end(const struct walk *k)
{
	return L3 + k->seen.l3_len;
}

static bool quote_v4(const struct walk *k, struct quote *q)
{
	const uint8_t *ip = k->frame->b + q->at;

	if (message_end(k) < q->at + 20 || ip[0] >> 4 != 4 || (ip[0] & 15) < 5 ||
	    get16(ip + 6) & 0x1fff)
		return false;
	q->src = addr_v4(get32(ip + 12));
	q->dst = addr_v4(get32(ip + 16));
	q->proto = ip[9];
	q->l4 = q->at + (ip[0] & 15) * 4u;
	return true;
}

static bool quote_v6(const struct walk *k, struct quote *q)
{
	const uint8_t *ip = k->frame->b + q->at;

	if (message_end(k) < q->at + 40 || ip[0] >> 4 != 6)
		return false;
	memcpy(q->src.b, ip + 8, 16);
	memcpy(q->dst.b, ip + 24, 16);
	q->proto = ip[6];
	q->l4 = q->at + 40;
	return true;
}

/* What is quoted has the first eight bytes of its protocol, where that has ports or an id. */
static bool read_quote(const struct walk *k, struct quote *q)
{
	const uint8_t *l4;

	memset(q, 0, sizeof(*q));
	q->at = k->seen.l4 + 8;
	if (!(k->seen.kind == KIND_V4 ? quote_v4(k, q) : quote_v6(k, q)))
		return false;
	if (!is_icmp(q->proto) && q->proto != 6 && q->proto != 17 && q->proto != 132)
		return true;
	if (message_end(k) < q->l4 + 8)
		return false;
	l4 = k->frame->b + q->l4;
	q->sport = get16(l4);
	q->dport = get16(l4 + 2);
	if (!is_icmp(q->proto))
		return true;
	q->type = l4[0];
	q->sport = q->dport = get16(l4 + 4);
	return true;
}

/* The quoted packet in a frame of its own, so that it can be written as any other. */
static void unquote(const struct walk *k, const struct quote *q, struct frame *f, struct seen *s)
{
	memset(f, 0, sizeof(*f));
	memset(s, 0, sizeof(*s));
	f->len = message_end(k) - q->at + L3;
	memcpy(f->b + L3, k->frame->b + q->at, f->len - L3);
	s->kind = k->seen.kind;
	s->proto = q->proto;
	s->src = q->src;
	s->dst = q->dst;
	s->sport = q->sport;
	s->dport = q->dport;
	s->l4 = q->l4 - q->at + L3;
	s->unsummed = q->proto == 17 && !get16(f->b + s->l4 + 6);
}

/* Every checksum that follows may be either zero. */
static void error_sums(struct outcome *o, const struct seen *outer, const struct quote *q)
{
	static const uint8_t places[256] = { [6] = 16, [17] = 6, [1] = 2, [58] = 2 };
	bool v4 = outer->kind == KIND_V4;

	o->sums[0] = outer->l4 + 2;
	o->sums[1] = v4 ? L3 + 10 : 0;
	o->sums[2] = v4 ? q->at + 10 : 0;
	o->sums[3] = places[q->proto] ? q->l4 + places[q->proto] : 0;
}

/*
 * The receiver finds its own packet quoted as it sent it. Who reports may be a router: only where
 * it is the quoted packet's receiver its address is translated, too.
 */
static void error_translate(struct walk *k, const struct quote *q)
{
	const struct model_flow *f = &k->m->flow[k->flow];
	struct frame *out = &k->o->out, inner;
	const union pk_addr *src = k->role ? &f->dst : &f->seen_src;
	const union pk_addr *dst = k->role ? &f->src : &f->seen_dst;
	struct seen s;

	if (!f->translation)
		return;
	unquote(k, q, &inner, &s);
	frame_change_address(&inner, &s, true, dst);
	frame_change_address(&inner, &s, false, src);
	frame_change_port(&inner, &s, true, k->role ? f->sport : f->seen_dport);
	if (!is_icmp(q->proto))
		frame_change_port(&inner, &s, false, k->role ? f->dport : f->seen_sport);
	if (addr_same(&k->seen.src, &q->dst))
		frame_change_address(out, &k->seen, true, src);
	frame_change_address(out, &k->seen, false, dst);
	frame_change_bytes(out, k->seen.l4 + 2, q->at, inner.b + L3, inner.len - L3);
	error_sums(k->o, &k->seen, q);
	frame_rename(k->o, &k->seen);
}

/* Under words that the flow wasn't judged under it is judged for the error; other: the other side. */
static enum pk_reason error_judged(struct walk *k, const struct model_flow *f, int other)
{
	enum pk_reason reason = PK_REASON_OK;

	k->peer = f->slot[other];
	k->party = f->stack ? PK_PARTY_HOST : PK_PARTY_WORLD;
	if (is_stale(k->m, f)) {
		if (k->peer)
			k->party = k->peer == k->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
		else if (!f->stack)
			peer_outside(k, other ? &f->dst : &f->src);
		reason = judge_again(k);
	} else if (f->reason) {
		reason = PK_REASON_ICMP_UNRELATED;
	}
	k->peer = f->slot[other];
	return reason;
}

/* The flow that the error is about, where its receiver sent what is quoted. */
static enum pk_reason error_known(struct walk *k, struct quote *q)
{
	const struct model_flow *f;
	int quoted = 0;

	if (!read_quote(k, q) || !addr_same(&q->src, &k->seen.dst))
		return PK_REASON_ICMP_UNRELATED;
	/* An endpoint reports only of what was sent to itself. */
	if (k->out && !addr_same(&q->dst, &k->seen.src))
		return PK_REASON_ICMP_UNRELATED;
	k->flow = flow_of_quote(k->m, q, &quoted);
	if (k->flow == NO_ONE || flow_expired(k->m, &k->m->flow[k->flow]))
		return PK_REASON_ICMP_UNRELATED;
	f = &k->m->flow[k->flow];
	k->role = !quoted;
	if (k->step->hook == AT_UPLINK)
		k->slot = k->o->slot = f->slot[quoted];
	if (!k->slot || f->slot[k->out ? k->role : quoted] != k->slot)
		return PK_REASON_ICMP_UNRELATED;
	return error_judged(k, f, k->out ? quoted : k->role);
}

static enum pk_reason error_deliver(struct walk *k)
{
	uint32_t flow = k->flow;
	enum pk_reason reason;

	k->flow = NO_ONE; /* translated already: the error itself is no packet of it */
	if (k->step->hook == AT_UPLINK)
		reason = deliver_endpoint(k, k->slot);
	else if (k->peer)
		reason = deliver_endpoint(k, k->peer);
	else if (k->party != PK_PARTY_HOST)
		reason = deliver_world(k);
	else
		reason = PK_REASON_OK;
	if (!reason && !k->peer && k->party == PK_PARTY_HOST && k->out)
		k->o->where = GOES_TO_STACK;
	k->flow = flow;
	return reason;
}

enum pk_reason error_step(struct walk *k)
{
	struct quote q;
	enum pk_reason reason = error_known(k, &q);

	/* What is about no flow of ours is the host's. */
	if (reason && k->step->hook == AT_UPLINK && !k->slot) {
		k->o->where = GOES_ON;
		return PK_REASON_OK;
	}
	if (reason)
		return reason;
	if (k->step->hook == AT_STACK) {
		if (k->peer)
			return PK_REASON_NO_FLOW;
		k->o->where = GOES_TO_ENDPOINT;
		k->o->to = k->slot;
		frame_macs(&k->o->out, k->m->w->ep[k->slot].mac);
		return PK_REASON_OK;
	}
	error_translate(k, &q);
	k->seen.dst = k->role ? k->m->flow[k->flow].src : k->m->flow[k->flow].seen_dst;
	return error_deliver(k);
}
