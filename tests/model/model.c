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

/* Both ends by the connection's roles; the packet is its first, or its initiator's. */
static void ends(const struct walk *k, struct end end[2])
{
	const struct world *w = k->m->w;
	struct end *own = &end[!k->out], *other = &end[k->out];

	memset(end, 0, 2 * sizeof(*end));
	*own = (struct end){ k->slot,
			     w->ep[k->slot].identity,
			     w->ep[k->slot].tenant,
			     k->party == PK_PARTY_SELF ? PK_PARTY_SELF : PK_PARTY_ENDPOINT,
			     { .d = { 0 } } };
	*other = (struct end){ k->peer, k->identity, k->tenant, k->party, { .d = { 0 } } };
	if (k->peer) {
		other->identity = w->ep[k->peer].identity;
		other->tenant = w->ep[k->peer].tenant;
	}
	end[0].addr = k->seen.src;
	end[1].addr = k->seen.dst;
}

/* Policy knows the responder's own port, behind a published one too; of ICMP type and code. */
static uint16_t judged_port(const struct walk *k)
{
	if (k->translation & PK_FLOW_DESTINATION)
		return k->to_port;
	if (k->seen.ports)
		return k->seen.dport;
	return is_icmp(k->seen.proto) ? PK_PORT_ICMP(k->seen.type, k->seen.code) : 0;
}

/* The egress of a local initiator, then the ingress of a local responder. */
static enum pk_reason judge(struct walk *k, const struct end end[2])
{
	enum pk_reason reason;

	for (int dir = PK_EGRESS; dir <= PK_INGRESS; dir++) {
		if (!end[dir].slot)
			continue;
		k->o->slot = end[dir].slot;
		k->o->dir = dir;
		reason = policy_of(k->m->w, &end[dir], &end[!dir], dir, k->seen.proto,
				   judged_port(k));
		if (reason)
			return reason;
	}
	k->o->slot = k->slot;
	k->o->dir = k->out ? PK_EGRESS : PK_INGRESS;
	return PK_REASON_OK;
}

/* Of another node: an endpoint there, or the node itself. */
bool is_remote(const struct walk *k)
{
	return !k->peer && (k->party == PK_PARTY_ENDPOINT || k->party == PK_PARTY_REMOTE_NODE);
}

static bool is_routed(const struct walk *k)
{
	return is_remote(k) || (!k->peer && k->party == PK_PARTY_WORLD);
}

/* Behind an uplink, where the endpoint's word says so: with the node's address; not among endpoints. */
static enum pk_reason choose_masquerade(struct walk *k)
{
	const struct world *w = k->m->w;
	bool v4 = k->seen.kind == KIND_V4;
	uint32_t wanted = v4 ? PK_WORD_MASQUERADE : PK_WORD_MASQUERADE6;

	if (!k->out || !is_routed(k) || k->party == PK_PARTY_ENDPOINT ||
	    !(PK_WORD_FLAGS(w->word[k->slot]) & wanted))
		return PK_REASON_OK;
	if (!k->seen.request && k->seen.proto != 6 && k->seen.proto != 17)
		return PK_REASON_NOT_BUILT;
	k->to = v4 ? w->node.uplink[0].ipv4 : w->node.uplink[0].ipv6;
	k->translation = PK_FLOW_SOURCE;
	return PK_REASON_OK;
}

static bool is_routers_word(const struct seen *s)
{
	return s->proto == 1 && s->other && (s->type == 5 || s->type == 9);
}

/* A packet that may begin a connection, judged as the first of one. */
static enum pk_reason first(struct walk *k)
{
	struct end end[2];
	enum pk_reason reason;

	if (!may_begin(&k->seen))
		return k->seen.later ? PK_REASON_FRAGMENT : PK_REASON_NO_FLOW;
	if (is_routers_word(&k->seen))
		return PK_REASON_SPOOFED_ND;
	ends(k, end);
	reason = judge(k, end);
	if (!reason && !k->peer && k->party != PK_PARTY_HOST && !is_routed(k))
		reason = PK_REASON_NOT_BUILT;
	if (!reason)
		reason = choose_masquerade(k);
	/* ICMP that is neither echo nor error has no flow. */
	if (reason || k->seen.other)
		return reason;
	return flow_begin(k, end);
}

/* What policy says of the flow under the words of now; it is the flow's from here on. */
enum pk_reason judge_again(struct walk *k)
{
	struct model_flow *f = &k->m->flow[k->flow];
	int own = k->out ? k->role : !k->role;
	struct seen packet = k->seen;
	struct end end[2];

	if (f->translation && f->slot[!own]) {
		k->peer = f->slot[!own];
		k->party = k->peer == k->slot ? PK_PARTY_SELF : PK_PARTY_ENDPOINT;
	}
	k->translation = f->translation;
	k->to_port = f->seen_dport;
	ends(k, end);
	if (own != !k->out) {
		struct end swap = end[0];

		end[0] = end[1];
		end[1] = swap;
	}
	end[0].addr = f->src;
	end[1].addr = f->dst;
	k->seen.proto = f->proto; /* an error asks for its flow */
	k->seen.ports = !is_icmp(f->proto);
	k->seen.dport = f->dport;
	if (is_icmp(f->proto))
		k->seen.type = f->proto == 1 ? 8 : 128;
	k->seen.code = 0;
	f->judged = k->m->now;
	if (!f->reason)
		f->revoked = f->judged;
	f->reason = judge(k, end);
	k->seen = packet;
	if (!f->reason && !k->peer && k->party != PK_PARTY_HOST && !is_routed(k))
		f->reason = PK_REASON_NOT_BUILT;
	/* Counted from now on for the local end whose denial it is. */
	f->reason_dir = !f->slot[0] || (f->slot[1] && k->o->dir == PK_INGRESS);
	f->reason_slot = f->slot[f->reason_dir];
	/* A masqueraded flow goes its way, whoever sends in its responder's name. */
	f->stack = !k->peer && k->party == PK_PARTY_HOST && !f->translation;
	f->remote = is_remote(k);
	for (int side = 0; side < 2; side++)
		f->word[side] = k->m->w->word[f->slot[side]];
	return f->reason;
}

/* Under other words, or, where a side isn't local, judged a second ago. */
bool is_stale(const struct model *m, const struct model_flow *f)
{
	if ((!f->slot[0] || !f->slot[1]) && m->now - f->judged >= SECONDS(1))
		return true;
	return f->word[0] != m->w->word[f->slot[0]] || f->word[1] != m->w->word[f->slot[1]];
}

/* Another endpoint's flow isn't the stack's nor the outside's to carry. */
static bool is_anothers(const struct walk *k)
{
	return !k->out && k->m->flow[k->flow].slot[k->role];
}

/* The hook's endpoint is the flow's. */
static bool is_own(const struct walk *k)
{
	return k->m->flow[k->flow].slot[k->out ? k->role : !k->role] == k->slot;
}

/* Who is at the other side now is who was there when the flow began. */
static bool is_same_ends(const struct walk *k)
{
	const struct model_flow *f = &k->m->flow[k->flow];
	uint32_t other = f->slot[k->out ? !k->role : k->role];

	return is_own(k) && ((f->translation && other) || other == k->peer);
}

/* Its flow decides at once. */
static enum pk_reason follow_flow(struct walk *k)
{
	const struct model_flow *f = &k->m->flow[k->flow];
	uint32_t other = f->slot[k->out ? !k->role : k->role];

	if (is_anothers(k))
		return PK_REASON_NO_FLOW;
	k->peer = other;
	k->party = f->stack ? PK_PARTY_HOST : PK_PARTY_WORLD;
	if (f->reason) {
		k->o->slot = f->reason_slot;
		k->o->dir = f->reason_dir;
		return f->reason;
	}
	flow_touch(k->m, k->flow, &k->seen, k->role);
	return PK_REASON_OK;
}

/* Who comes in from outside as the node itself rides no flow with the node. */
static bool is_forged(const struct walk *k)
{
	bool outside =
		k->step->hook == AT_UPLINK || (k->step->hook == AT_STACK && k->step->forwarded);

	return k->flow != NO_ONE && outside && k->m->flow[k->flow].stack;
}

/* Whose packets must come by the way back is asked of each of them. */
static bool is_from_remote(const struct walk *k)
{
	return !k->out && k->m->flow[k->flow].remote;
}

static uint32_t crossed(struct walk *k)
{
	uint32_t nr = flow_crossed(k->m, &k->seen);

	k->role = nr != NO_ONE;
	return nr;
}

/* The flow of the packet, found or made; and who is at its other side. */
enum pk_reason decide(struct walk *k)
{
	struct model *m = k->m;
	enum pk_reason reason;
	bool anew;

	k->flow = flow_of_packet(m, &k->seen, &k->role);
	if (k->flow == NO_ONE && !may_begin(&k->seen))
		return k->seen.later ? PK_REASON_FRAGMENT : PK_REASON_NO_FLOW;
	anew = k->flow != NO_ONE && (flow_expired(m, &m->flow[k->flow]) ||
				     flow_begins_anew(&m->flow[k->flow], &k->seen));
	if (k->flow != NO_ONE && !anew && !is_forged(k) && !is_from_remote(k) && is_own(k) &&
	    !is_stale(m, &m->flow[k->flow]))
		return follow_flow(k);
	if (k->flow != NO_ONE && is_anothers(k))
		return PK_REASON_NO_FLOW;
	reason = k->out ? peer_of_destination(k) : PK_REASON_OK;
	if (k->step->hook == AT_UPLINK || (k->step->hook == AT_STACK && k->step->forwarded))
		reason = peer_of_source(k);
	else if (!k->out)
		k->party = PK_PARTY_HOST;
	if (reason)
		return reason;
	if (k->flow == NO_ONE)
		k->flow = crossed(k);
	if (k->flow != NO_ONE && !anew && is_anothers(k))
		return PK_REASON_NO_FLOW;
	if (k->flow != NO_ONE && !anew && is_same_ends(k)) {
		reason = judge_again(k);
		return reason ? reason : follow_flow(k);
	}
	if (k->flow == NO_ONE)
		return first(k);
	/* What is over goes, and the packet is looked at once more as if it had never been. */
	flow_end(m, k->flow);
	return decide(k);
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

	if (is_dhcp6(s)) { /* its own tests say what is answered */
		k->o->loose = true;
		return PK_REASON_OK;
	}
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
