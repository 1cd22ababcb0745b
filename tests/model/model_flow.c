// SPDX-License-Identifier: Apache-2.0
/* Flows as a plain array. */
#include <string.h>

#include "tests/model/state.h"

#define TH_FIN 1
#define TH_SYN 2
#define TH_RST 4
#define TH_ACK 16

bool is_opening(const struct seen *s)
{
	return s->proto == 6 && (s->tcp & (TH_SYN | TH_ACK)) == TH_SYN;
}

bool is_syn(const struct seen *s)
{
	return is_opening(s) && !(s->tcp & (TH_RST | TH_FIN));
}

bool may_begin(const struct seen *s)
{
	return !s->reply && !s->later && (s->proto != 6 || is_syn(s));
}

static bool same_tuple(const struct seen *s, const union pk_addr *src, uint16_t sport,
		       const union pk_addr *dst, uint16_t dport)
{
	return addr_same(&s->src, src) && addr_same(&s->dst, dst) && s->sport == sport &&
	       s->dport == dport;
}

/* As its initiator sends it. */
static bool as_sent(const struct model_flow *f, const struct seen *s)
{
	return f->live && f->proto == s->proto &&
	       same_tuple(s, &f->src, f->sport, &f->dst, f->dport);
}

/* As its responder sends it: the mirror of what it gets. */
static bool as_answered(const struct model_flow *f, const struct seen *s)
{
	return f->live && f->proto == s->proto &&
	       same_tuple(s, &f->seen_dst, f->seen_dport, &f->seen_src, f->seen_sport);
}

/* The mirror of what the initiator sends. */
static bool as_mirrored(const struct model_flow *f, const struct seen *s)
{
	return f->live && f->proto == s->proto &&
	       same_tuple(s, &f->dst, f->dport, &f->src, f->sport);
}

static uint32_t find(const struct model *m, const struct seen *s,
		     bool (*is)(const struct model_flow *f, const struct seen *s))
{
	for (uint32_t nr = 0; nr < m->flows; nr++)
		if (is(&m->flow[nr], s))
			return nr;
	return NO_ONE;
}

/*
 * As sent, then as its responder's. A SYN and an echo request are only ever an initiator's, an echo
 * reply only a responder's; other ICMP has no flow.
 */
uint32_t flow_of_packet(struct model *m, const struct seen *s, int *role)
{
	uint32_t nr = NO_ONE;

	*role = 0;
	if (s->other || s->error)
		return NO_ONE;
	if (!s->reply)
		nr = find(m, s, as_sent);
	if (nr != NO_ONE || s->request || is_opening(s))
		return nr;
	nr = find(m, s, as_answered);
	if (nr == NO_ONE)
		nr = find(m, s, as_mirrored);
	*role = nr != NO_ONE;
	return nr;
}

static bool is_unheard(const struct model_flow *f)
{
	return f->state == PK_FLOW_NEW && !f->answered;
}

/* Both ends' SYNs have crossed: the second one answers the first. */
uint32_t flow_crossed(struct model *m, const struct seen *s)
{
	uint32_t nr = is_syn(s) ? find(m, s, as_mirrored) : NO_ONE;

	if (nr == NO_ONE || !is_unheard(&m->flow[nr]) || flow_expired(m, &m->flow[nr]))
		return NO_ONE;
	return nr;
}

bool flow_begins_anew(const struct model_flow *f, const struct seen *s)
{
	return is_syn(s) && (f->state == PK_FLOW_CLOSING || f->state == PK_FLOW_CLOSED ||
			     f->state == PK_FLOW_RESET);
}

void flow_end(struct model *m, uint32_t nr)
{
	m->flow[nr].live = false;
}

/* Is the tuple that the responder would answer with another flow's? One that is over gives way. */
static bool is_taken(struct model *m, const struct model_flow *f)
{
	struct seen answer = { .proto = f->proto,
			       .src = f->seen_dst,
			       .dst = f->seen_src,
			       .sport = f->seen_dport,
			       .dport = f->seen_sport };

	if (find(m, &answer, as_sent) != NO_ONE)
		return true;
	for (uint32_t nr = 0; nr < m->flows; nr++) {
		struct model_flow *other = &m->flow[nr];

		if (!other->translation || !as_answered(other, &answer))
			continue;
		if (!flow_over(m, other))
			return true;
		other->live = false;
	}
	return false;
}

/* Whoever gets a published port's packet is reached under that tuple by a flow of its own. */
static bool is_answered(const struct model *m, const struct model_flow *f)
{
	struct seen same = { .proto = f->proto,
			     .src = f->seen_src,
			     .dst = f->seen_dst,
			     .sport = f->seen_sport,
			     .dport = f->seen_dport };
	uint32_t nr = find(m, &same, as_sent);

	return nr != NO_ONE && !flow_over(m, &m->flow[nr]);
}

/* Any mapping of the port, on whatever address, has an entry with no address. */
static bool is_published(const struct world *w, uint8_t proto, uint16_t port)
{
	for (int i = 0; i < w->publisheds; i++)
		if (addr_none(&w->published[i].key.addr) && w->published[i].key.proto == proto &&
		    get16((const uint8_t *)&w->published[i].key.port) == port)
			return true;
	return false;
}

/* One port of the range is free, or masquerade is full. The tests' ranges have one port. */
static enum pk_reason masquerade(const struct walk *k, struct model_flow *f)
{
	const struct pk_node *n = &k->m->w->node;

	f->seen_src = k->to;
	for (uint32_t port = n->masquerade_low; port && port <= n->masquerade_high; port++) {
		f->seen_sport = (uint16_t)port;
		if (is_icmp(f->proto))
			f->seen_dport = (uint16_t)port;
		if ((is_icmp(f->proto) || !is_published(k->m->w, f->proto, f->seen_sport)) &&
		    !is_taken(k->m, f))
			return PK_REASON_OK;
	}
	return PK_REASON_MASQUERADE_FULL;
}

static enum pk_reason translate(const struct walk *k, struct model_flow *f)
{
	f->translation = k->translation;
	if (k->translation & PK_FLOW_SOURCE)
		return masquerade(k, f);
	f->seen_dst = k->to;
	f->seen_dport = k->to_port;
	if (k->translation & PK_FLOW_HAIRPIN)
		f->seen_src = f->dst;
	if (is_answered(k->m, f) || is_taken(k->m, f))
		return PK_REASON_TUPLE_TAKEN;
	/* An endpoint at its own published port: nobody could tell its question from its answer. */
	return as_answered(f, &k->seen) ? PK_REASON_TUPLE_TAKEN : PK_REASON_OK;
}

/* Is the tuple that the initiator sends the wire's tuple of a translated flow's answers? One that is over gives way. */
static bool is_an_answers(struct model *m, const struct seen *s, bool mirrored)
{
	for (uint32_t nr = 0; nr < m->flows; nr++) {
		struct model_flow *f = &m->flow[nr];
		bool same = mirrored ? same_tuple(s, &f->seen_src, f->seen_sport, &f->seen_dst,
						  f->seen_dport)
				     : as_answered(f, s);

		if (!f->live || !f->translation || f->proto != s->proto || !same)
			continue;
		if (!flow_over(m, f))
			return true;
		flow_end(m, nr);
	}
	return false;
}

/* Both ends have opened: the flow whose initiator has the lower address stays. */
static void one_of_two(struct model *m, uint32_t nr)
{
	struct model_flow *f = &m->flow[nr], *other;
	struct seen s = { .src = f->src,
			  .dst = f->dst,
			  .sport = f->sport,
			  .dport = f->dport,
			  .proto = f->proto };
	uint32_t mirror = find(m, &s, as_mirrored);

	other = mirror == NO_ONE ? f : &m->flow[mirror];
	if (other == f || !is_unheard(other) || other->translation || flow_expired(m, other))
		return;
	if (memcmp(&f->src, &f->dst, sizeof(f->src)) < 0)
		other->live = false;
	else
		f->live = false;
}

/* The owner pays: the initiator where it is local, else the target. */
/* Did somebody outside send it, under an address that anybody there can write? */
static bool is_foreign(const struct model_flow *f, int role)
{
	return !f->slot[role] && !f->stack;
}

/* Both ends' SYNs say whether windows are shifted; the outside one's until the endpoint goes on. */
static void hear_syn(struct model_flow *f, const struct seen *s, int role)
{
	if (!is_foreign(f, role)) {
		f->shift = s->shift;
		f->unshifted &= !!(s->tcp & TH_ACK);
		f->spoke = false;
		f->asked = role;
		f->awaits = s->seq + 1 + s->payload;
	} else if (!f->heard) {
		f->unshifted = !s->shifts;
	}
}

enum pk_reason flow_begin(struct walk *k, const struct end end[2])
{
	struct model *m = k->m;
	const struct seen *s = &k->seen;
	struct model_flow f = {
		.live = true,
		.src = s->src,
		.dst = s->dst,
		.sport = s->sport,
		.dport = s->dport,
		.proto = s->proto,
		.seen_src = s->src,
		.seen_dst = s->dst,
		.seen_sport = s->sport,
		.seen_dport = s->dport,
		.slot = { end[0].slot, end[1].slot },
		.word = { m->w->word[end[0].slot], m->w->word[end[1].slot] },
		.stack = !k->peer && k->party == PK_PARTY_HOST,
		.remote = is_remote(k),
		.owner = end[0].slot ? end[0].slot : end[1].slot,
		.begun = m->now,
		.judged = m->now,
	};
	enum pk_reason reason = PK_REASON_OK;

	if (s->proto == 6)
		hear_syn(&f, s, 0);
	f.expires = m->now + flow_lifetime(m, &f);
	if (!rate_new_flow(m, f.owner, !end[0].slot))
		return PK_REASON_FLOW_RATE;
	if (!place_take(m, f.owner, !end[0].slot, &f.place))
		return PK_REASON_FLOW_BUDGET;
	if (k->translation)
		reason = translate(k, &f);
	if (reason)
		return reason;
	if (is_an_answers(m, s, false) ||
	    (!k->translation && !s->request && is_an_answers(m, s, true)))
		return PK_REASON_TUPLE_TAKEN;
	k->flow = m->flows;
	k->made = true;
	k->role = 0;
	m->flow[m->flows++] = f;
	m->place[f.owner][f.place] = m->flows;
	if (!k->translation && !s->request)
		one_of_two(m, k->flow);
	return PK_REASON_OK;
}

/* What its initiator carries on two seconds after it began is a stream; an echo is none. */
static bool is_stream(const struct model *m, const struct model_flow *f, const struct seen *s,
		      int role)
{
	return f->state == PK_FLOW_OPEN && !role && s->proto != 6 && !s->request &&
	       m->now - f->begun > SECONDS(2);
}

/* A time-out that is less than a second longer isn't worth a store. */
static void flow_lives_on(const struct model *m, struct model_flow *f)
{
	int64_t more = m->now + flow_lifetime(m, f) - f->expires;

	if (more < 0 || more >= SECONDS(1))
		f->expires += more;
}

/* Follows what the endpoint says of its window in a connection with somebody outside. */
static void hear_window(struct model_flow *f, const struct seen *s)
{
	uint8_t shift = s->tcp & TH_SYN || f->unshifted ? 0 : f->shift;

	if (!(s->tcp & TH_ACK)) {
		if (s->tcp & TH_SYN)
			f->heard = false;
		return;
	}
	f->spoke |= !(s->tcp & TH_SYN);
	f->expects = s->ack;
	f->edge = s->ack + (s->window << shift);
	f->heard = f->expects || f->edge;
}

/* Does a RST or a FIN from outside lie where the endpoint doesn't take it? */
static bool is_stray(const struct model_flow *f, const struct seen *s)
{
	uint32_t at = s->tcp & TH_RST ? s->seq : s->seq + s->payload;

	return f->heard && at - f->expects > f->edge - f->expects;
}

/*
 * An answer opens a flow. A TCP connection its initiator's ACK does: any of an endpoint's or the
 * node's own stack, from outside that of the very number. What the endpoint that was asked sends
 * behind its SYN does, too.
 */
static bool opens(const struct model_flow *f, const struct seen *s, int role)
{
	if (s->proto != 6)
		return role;
	if (!(s->tcp & TH_ACK) || s->tcp & TH_RST)
		return false;
	if (!is_foreign(f, 0))
		return !role && f->answered;
	if (role)
		return !(s->tcp & TH_SYN) && (s->payload || s->tcp & TH_FIN);
	return f->asked && f->awaits && s->ack == f->awaits;
}

/* What an open connection is by its FINs. */
static uint8_t state_of_fins(const struct model_flow *f)
{
	static const uint8_t of[] = { PK_FLOW_OPEN, PK_FLOW_CLOSING, PK_FLOW_CLOSING,
				      PK_FLOW_CLOSED };

	return of[f->fins];
}

/*
 * Another state than the packet's end would have, and whether its RST or FIN ends anything. A FIN
 * from outside behind a RST is noted for when that is taken back.
 */
static void flow_ends(struct model_flow *f, const struct seen *s, int role, bool followed)
{
	if (s->tcp & TH_RST && f->state != PK_FLOW_CLOSED)
		f->state = is_foreign(f, role) || (followed && !f->spoke) ? PK_FLOW_RESET
									  : PK_FLOW_CLOSED;
	if (s->tcp & TH_RST || (is_foreign(f, role) && is_unopened(f)))
		return;
	f->fins |= 1 << role;
	if (f->state != PK_FLOW_CLOSED && !(f->state == PK_FLOW_RESET && is_foreign(f, role)))
		f->state = state_of_fins(f);
}

void flow_touch(struct model *m, uint32_t nr, const struct seen *s, int role)
{
	struct model_flow *f = &m->flow[nr];
	bool followed = s->proto == 6 && !s->later && !f->stack && (!f->slot[0] || !f->slot[1]);
	bool stray = followed && is_foreign(f, role) && is_stray(f, s);
	uint8_t was;

	f->answered |= role;
	if (f->state == PK_FLOW_NEW && opens(f, s, role)) {
		f->state = PK_FLOW_OPEN;
		f->open = true;
	} else if (is_stream(m, f, s, role)) {
		f->state = PK_FLOW_STREAM;
	}
	if (followed && s->tcp & TH_SYN)
		hear_syn(f, s, role);
	if (followed && !is_foreign(f, role))
		hear_window(f, s);
	if (s->proto != 6 || s->later || stray || !(s->tcp & (TH_RST | TH_FIN))) {
		if (f->state == PK_FLOW_RESET)
			f->open |= opens(f, s, role);
		if (f->state == PK_FLOW_RESET && !is_foreign(f, role))
			f->state = f->open ? state_of_fins(f) : PK_FLOW_NEW;
		/* What is closed runs out, whatever is still on its way. */
		if (f->state != PK_FLOW_CLOSED && f->state != PK_FLOW_RESET)
			flow_lives_on(m, f);
		return;
	}
	was = f->state;
	flow_ends(f, s, role, followed);
	if (f->state == was && (was == PK_FLOW_CLOSED || was == PK_FLOW_RESET))
		return;
	if (f->state == PK_FLOW_CLOSED)
		m->closed[f->owner] = f->place;
	f->expires = m->now + flow_lifetime(m, f);
}

/* As its responder gets it. */
static bool as_got(const struct model_flow *f, const struct seen *s)
{
	return f->live && f->proto == s->proto &&
	       same_tuple(s, &f->seen_src, f->seen_sport, &f->seen_dst, f->seen_dport);
}

/* As its responder sends it, where translation makes that another tuple than the mirrored one. */
static bool as_answered_otherwise(const struct model_flow *f, const struct seen *s)
{
	return f->translation && as_answered(f, s);
}

/*
 * A packet of the flow, as either end sends it or gets it; an echo's kind says whose it is. One
 * that was sent so comes before one that was got so.
 */
uint32_t flow_of_quote(const struct model *m, const struct quote *q, int *role)
{
	struct seen s = { .src = q->src, .dst = q->dst, .sport = q->sport, .dport = q->dport };
	bool echo = is_icmp(q->proto), request = q->type == (q->proto == 1 ? 8 : 128);
	bool reply = q->type == (q->proto == 1 ? 0 : 129);
	uint32_t nr = NO_ONE;

	s.proto = q->proto;
	if (echo && !request && !reply)
		return NO_ONE;
	*role = 0;
	if (!echo || request)
		nr = find(m, &s, as_sent);
	*role = nr == NO_ONE && (!echo || !request);
	if (*role)
		nr = find(m, &s, as_answered_otherwise);
	if (*role && nr == NO_ONE)
		nr = find(m, &s, as_mirrored);
	if (nr != NO_ONE || (echo && !request))
		return nr;
	*role = 0;
	return find(m, &s, as_got);
}

const struct model_flow *model_flow(const struct model *m, uint32_t nr)
{
	return nr < m->flows ? &m->flow[nr] : NULL;
}

uint32_t model_flows(const struct model *m)
{
	return m->flows;
}
