// SPDX-License-Identifier: Apache-2.0
/* The model's decision, in the order of docs/datapath.md. */
#include <stdlib.h>
#include <string.h>

#include "tests/model/state.h"

struct model *model_new(const struct world *w)
{
	struct model *m = calloc(1, sizeof(*m));

	m->own = *w;
	m->w = &m->own;
	m->before = malloc(sizeof(*m));
	m->now = BEGIN;
	rate_begin(m);
	return m;
}

void model_undo(struct model *m)
{
	*m = *m->before;
}

void model_change(struct model *m, const struct step *s)
{
	if (s->hook == NEW_WORD)
		m->own.word[s->slot] = s->value;
	if (s->hook == NEW_BUDGET)
		m->own.ep[s->slot].flow_budget = (uint32_t)s->value;
	if (s->hook != TIME)
		return;
	m->now += (int64_t)s->value;
	m->passes++;
}

bool model_may_wait(const struct model *m)
{
	return m->passes < m->w->passes;
}

bool model_is_slow(const struct model *m)
{
	return m->w->limits == LIMITS_SLOW;
}

const struct pk_endpoint *model_endpoint(const struct model *m, uint32_t slot)
{
	return &m->w->ep[slot];
}

uint64_t model_word_of(const struct model *m, uint32_t slot)
{
	return m->own.word[slot];
}

void model_free(struct model *m)
{
	free(m->before);
	free(m);
}

/* Addresses that no policy opens. */
static bool never(const struct seen *s)
{
	if (s->kind == KIND_V4)
		return s->dst.b[12] == 0 || s->dst.b[12] == 127;
	/* What is left of a long ping of the gateway is judged by its first fragment. */
	if (is_gateway6(&s->dst) && s->later)
		return false;
	return s->dst.b[0] == 0 || is_link_local(&s->dst);
}

/* A flow that its first packet can't be delivered by is none. */
enum pk_reason delivered(struct walk *k, enum pk_reason reason)
{
	if (reason && k->made)
		flow_end(k->m, k->flow);
	if (!reason && k->seen.first)
		piece_keep(k);
	return reason;
}

static enum pk_reason deliver(struct walk *k)
{
	if (k->peer)
		return deliver_endpoint(k, k->peer);
	if (k->party == PK_PARTY_HOST) {
		k->o->where = GOES_TO_STACK;
		return PK_REASON_OK;
	}
	return deliver_world(k);
}

/* The overlay's port is the nodes' own, whoever is there; an endpoint's may have that number. */
static bool is_overlays(struct walk *k)
{
	const struct world *w = k->m->w;
	const struct seen *s = &k->seen;
	uint16_t port = get16((const uint8_t *)&w->node.overlay.port);

	return port && s->proto == 17 && s->dport == port && !s->later && !in_pools(w, &s->dst);
}

static enum pk_reason endpoint_judged(struct walk *k)
{
	struct seen *s = &k->seen;
	enum pk_reason reason = PK_REASON_OK;

	if (s->group)
		return PK_REASON_MULTICAST;
	if (s->error && is_gateway6(&s->dst))
		return PK_REASON_ICMP_UNRELATED; /* the gateway has no flow */
	if (never(s))
		return PK_REASON_POLICY_DENIED;
	if (is_overlays(k))
		return PK_REASON_OVERLAY_PORT;
	if (!rate_traffic(k->m, k->slot, PK_EGRESS, k->frame->len, rate_packets(k)))
		return PK_REASON_RATE_LIMIT;
	if (s->first || s->later)
		reason = piece_begin(k);
	if (reason)
		return reason;
	if (s->later && is_question(k)) {
		ping_back(k);
		return PK_REASON_OK;
	}
	if (s->error)
		return error_step(k);
	reason = decide(k);
	return reason ? reason : delivered(k, deliver(k));
}

/* A frame that leaves an endpoint. */
static enum pk_reason from_endpoint(struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	struct seen *s = &k->seen;
	enum pk_reason reason;

	k->out = true;
	if (!k->m->w->word[k->slot])
		return PK_REASON_ENDPOINT_CLOSED;
	if (k->step->beside.vlan)
		return PK_REASON_VLAN;
	reason = s->reason ? s->reason : beside_read(k);
	if (!reason)
		reason = beside_length(k, ep->mtu);
	if (!reason)
		reason = spoofs(k);
	if (reason)
		return reason;
	if (!is_question(k))
		return endpoint_judged(k);
	/* Of what is answered only a ping may come in fragments. */
	if (s->first && !s->request)
		return PK_REASON_FRAGMENT;
	reason = s->first ? piece_begin(k) : PK_REASON_OK;
	if (!reason)
		reason = answer(k);
	if (!reason && s->first)
		piece_keep(k);
	return reason;
}

/* What the node's stack sends to an endpoint, its own or forwarded. */
static enum pk_reason from_stack(struct walk *k)
{
	const struct pk_endpoint *ep = &k->m->w->ep[k->slot];
	const struct seen *s = &k->seen;
	enum pk_reason reason = PK_REASON_OK;

	k->o->dir = PK_INGRESS;
	if (!k->m->w->word[k->slot])
		return PK_REASON_ENDPOINT_CLOSED;
	if (k->step->beside.vlan)
		return PK_REASON_VLAN;
	if (s->reason)
		return s->reason;
	if (s->group || s->kind == KIND_ARP || is_nd(s))
		return PK_REASON_MULTICAST;
	if (!addr_same(&s->dst, s->kind == KIND_V4 ? &ep->ipv4 : &ep->ipv6))
		return PK_REASON_UNKNOWN_ENDPOINT;
	if (!rate_traffic(k->m, k->slot, PK_INGRESS, k->frame->len, rate_packets(k)))
		return PK_REASON_RATE_LIMIT;
	if (s->first || s->later)
		reason = piece_begin(k);
	if (reason)
		return reason;
	if (s->error)
		return error_step(k);
	reason = decide(k);
	if (reason)
		return reason;
	frame_macs(&k->o->out, ep->mac);
	k->o->where = GOES_TO_ENDPOINT;
	k->o->to = k->slot;
	return delivered(k, PK_REASON_OK);
}

void model_step(struct model *m, const struct step *s, struct outcome *out)
{
	struct walk k = { .m = m, .step = s, .frame = &s->frame, .slot = s->slot, .flow = NO_ONE };

	memset(out, 0, sizeof(*out));
	out->out = s->frame;
	out->slot = s->slot;
	k.o = out;
	see(&s->frame, &k.seen);
	k.seen.partial = s->beside.partial;
	if (s->hook == AT_ENDPOINT)
		out->reason = from_endpoint(&k);
	else if (s->hook == AT_STACK)
		out->reason = from_stack(&k);
	else
		out->reason = from_uplink(&k);
	if (out->new_id)
		out->ids = rate_packets(&k);
	if (out->reason && out->where != GOES_BACK)
		out->where = GOES_NOWHERE;
}

bool model_is_idle(const struct model *m, const struct step *s)
{
	static struct model trial;
	struct outcome o;

	trial = *m;
	trial.w = &trial.own;
	model_step(&trial, s, &o);
	trial.w = m->w;
	return !memcmp(&trial, m, sizeof(trial));
}
