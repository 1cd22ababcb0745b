// SPDX-License-Identifier: Apache-2.0
/* What policy says of a packet: by its flow, or as the first of one. */
#include <string.h>

#include "tests/model/state.h"

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
		return PK_REASON_NO_MASQUERADE;
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
	if (f->reason)
		f->asked = false;
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
