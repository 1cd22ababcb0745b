/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives endpoints new identities without losing a packet. Labels change when Nomad confirms them,
 * meta is edited, or a node gets a name; then an endpoint gets another identity, which every rule
 * set must know. Whichever were changed first, a packet in between would carry an identity that its
 * judge doesn't know, and be denied though both policies allow it. So: first the new identity gets
 * the old one's verdicts, as a stand-in for it, in every rule set that knows the old one; then the
 * endpoint gets it; then rule sets and words change; then the stand-ins are taken back, and the
 * endpoint's flows are judged again.
 */
#include <errno.h>
#include <stdlib.h>

#include "own.h"
#include "sync_private.h"

bool sync_moves(const struct sync_pass *p, const struct target *t)
{
	const struct pk_endpoint *ep = &p->sync->bpf->endpoints[t->ep->slot];

	return ep->identity != t->labels.identity || ep->tenant != t->labels.tenant;
}

/*
 * Returns whether the new identity may be a stand-in for the old one: no other endpoint has it, or
 * gets it from another old one.
 */
static bool stands_for_one(const struct sync_pass *p, const struct target *t)
{
	const struct pk_endpoint *endpoints = p->sync->bpf->endpoints;
	uint32_t before = endpoints[t->ep->slot].identity;

	if (endpoints[t->ep->slot].tenant != t->labels.tenant)
		return false;
	for (size_t i = 0; i < p->n_targets; i++)
		if (p->targets[i].labels.identity == t->labels.identity &&
		    endpoints[p->targets[i].ep->slot].identity != before)
			return false;
	for (uint32_t slot = 1; slot <= p->sync->bpf->node.capacity; slot++)
		if (pk_word(p->sync->bpf, slot) && endpoints[slot].identity == t->labels.identity)
			return false;
	return true;
}

static void carry(struct sync_pass *p, const struct target *t, const bool *in_force)
{
	uint32_t before = p->sync->bpf->endpoints[t->ep->slot].identity;
	struct pk_sync *s = p->sync;

	for (uint32_t number = 1; number < s->n_sets; number++) {
		struct pk_err err = { 0 };
		int r = in_force[number] ? pk_rule_set_carry(s->bpf, number, before,
							     t->labels.identity, &err)
					 : 0;

		sync_error(p, r, &err);
		if (r <= 0)
			continue;
		s->carried = realloc(s->carried, (s->n_carried + 1) * sizeof(*s->carried));
		if (!s->carried)
			abort();
		s->carried[s->n_carried++] = (struct carried){ number, t->labels.identity };
	}
}

/* Marks the rule sets that endpoints use. */
static void mark_in_force(const struct pk_sync *s, bool *in_force)
{
	for (uint32_t slot = 1; slot <= s->bpf->node.capacity; slot++) {
		uint32_t rule_set = PK_WORD_RULE_SET(pk_word(s->bpf, slot));

		if (rule_set < s->n_sets)
			in_force[rule_set] = true;
	}
}

static void move(struct sync_pass *p, const struct target *t)
{
	uint64_t word = pk_word(p->sync->bpf, t->ep->slot);
	const struct pk_endpoint_switch to = { .slot = t->ep->slot,
					       .from = word,
					       .identity = t->labels.identity,
					       .tenant = t->labels.tenant,
					       .rule_set = PK_WORD_RULE_SET(word),
					       .flags = PK_WORD_FLAGS(word) };
	struct pk_err err = { 0 };
	int r = word ? pk_endpoint_switch(p->sync->bpf, &to, pk_sync_until(), NULL, &err) : 0;

	if (r == -EAGAIN || r == -EPERM)
		p->done->again |= r == -EAGAIN;
	else
		sync_error(p, r, &err);
}

void sync_move_identities(struct sync_pass *p)
{
	own_mem bool *in_force = NULL;

	for (size_t i = 0; i < p->n_targets; i++) {
		const struct target *t = &p->targets[i];

		if (!sync_moves(p, t))
			continue;
		if (!in_force) {
			in_force = pk_alloc((p->sync->n_sets + 1) * sizeof(*in_force));
			mark_in_force(p->sync, in_force);
		}
		if (stands_for_one(p, t))
			carry(p, t, in_force);
	}
	for (size_t i = 0; in_force && i < p->n_targets && !p->held; i++)
		if (sync_moves(p, &p->targets[i]))
			move(p, &p->targets[i]);
}

static void renew(struct sync_pass *p, uint32_t slot)
{
	struct pk_err err = { 0 };
	int r = pk_word(p->sync->bpf, slot) ? pk_word_renew(p->sync->bpf, slot, &err) : 0;

	if (r != -EPERM) /* closed meanwhile */
		sync_error(p, r, &err);
}

/* Takes back the stand-ins that a killed picketd left. */
static void strip(struct sync_pass *p)
{
	struct pk_sync *s = p->sync;
	own_mem struct pk_placed *placed = pk_alloc((s->n_sets + 1) * sizeof(*placed));
	size_t n = 0, gone;

	for (uint32_t i = 1; i < s->n_sets; i++)
		if (s->sets[i].image)
			placed[n++] = (struct pk_placed){ i, s->sets[i].image };
	gone = pk_rule_sets_strip(s->bpf, placed, n);
	for (size_t i = 0; gone && i < p->n_targets; i++)
		renew(p, p->targets[i].ep->slot);
	s->stripped = true;
}

static bool was_carried(const struct pk_sync *s, uint32_t identity)
{
	for (size_t i = 0; i < s->n_carried; i++)
		if (s->carried[i].identity == identity)
			return true;
	return false;
}

void sync_settle_identities(struct sync_pass *p)
{
	struct pk_sync *s = p->sync;

	if (p->result < 0) /* the old rule sets stay in force, and need their stand-ins */
		return;
	for (size_t i = 0; i < s->n_carried; i++)
		pk_rule_set_uncarry(s->bpf, s->carried[i].rule_set, s->carried[i].identity,
				    s->sets[s->carried[i].rule_set].image);
	for (size_t i = 0; i < p->n_targets; i++)
		if (was_carried(s, p->targets[i].labels.identity))
			renew(p, p->targets[i].ep->slot);
	s->n_carried = 0;
	if (!s->stripped)
		strip(p);
}
