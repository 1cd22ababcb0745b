// SPDX-License-Identifier: Apache-2.0
/* Datagrams in pieces: what the first fragment said, for those behind it. */
#include "tests/model/state.h"

#define KEPT SECONDS(15) /* as long a first fragment is remembered */

static bool is_same(const struct piece *p, const struct walk *k)
{
	const struct seen *s = &k->seen;

	return p->owner == (k->step->hook == AT_UPLINK ? 0 : k->slot) && p->id == s->id &&
	       addr_same(&p->src, &s->src) && addr_same(&p->dst, &s->dst) &&
	       p->v4 == (s->kind == KIND_V4) && (!p->v4 || p->proto == s->proto);
}

static struct piece *recall(struct walk *k)
{
	struct model *m = k->m;

	for (uint32_t i = 0; i < m->pieces; i++)
		if (!m->piece[i].gone && is_same(&m->piece[i], k))
			return &m->piece[i];
	return NULL;
}

/*
 * A first fragment ends what another one with its id had opened; a later one goes by what is kept,
 * from its end on. Where a place may be another datagram's by now, both outcomes are right.
 */
enum pk_reason piece_begin(struct walk *k)
{
	struct seen *s = &k->seen;
	struct piece *p = recall(k);

	if (k->step->beside.gso || k->step->beside.partial || s->error || s->other)
		return PK_REASON_FRAGMENT;
	if (s->first) {
		if (p)
			p->gone = true;
		return PK_REASON_OK;
	}
	if (!p || s->offset < p->end || k->m->now - p->seen_at > KEPT)
		return PK_REASON_FRAGMENT;
	k->o->later = (uint32_t)(p - k->m->piece) + 1;
	if (p->unsure) {
		k->o->maybe = PK_REASON_FRAGMENT;
		*k->m->before = *k->m;
	}
	s->proto = p->proto;
	s->ports = p->ports;
	s->sport = p->sport;
	s->dport = p->dport;
	s->request = p->request;
	s->reply = p->reply;
	return PK_REASON_OK;
}

/* The first fragment has passed: the later ones may. k->seen is as it was at that device. */
void piece_keep(struct walk *k)
{
	struct model *m = k->m;
	const struct seen *s = &k->seen;
	struct piece p = {
		.owner = k->step->hook == AT_UPLINK ? 0 : k->slot,
		.seen_at = k->m->now,
		.src = s->src,
		.dst = s->dst,
		.id = s->id,
		.proto = s->proto,
		.v4 = s->kind == KIND_V4,
		.ports = s->ports,
		.request = s->request,
		.reply = s->reply,
		.sport = s->sport,
		.dport = s->dport,
		.end = s->l3_len - (s->l4 - L3),
	};

	for (uint32_t i = 0; i < m->pieces; i++)
		if (m->piece[i].owner == p.owner)
			m->piece[i].unsure = true;
	if (m->pieces < PIECES) {
		m->piece[m->pieces++] = p;
		k->o->first = m->pieces;
	}
}
