/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The budget of live flows: an endpoint owns node.flow_budget places in `places`. Nothing is
 * evicted: a place is taken where it is free, or where its flow is closed, expired or of an earlier
 * opening.
 *
 * The last 8 bytes of a place, {ports, protocol, zone}, are its lock: they are exchanged for the
 * new flow's with zone PK_PLACE_BUSY, and written clean once the flow is in the table. Nobody takes
 * a busy place; a clean one whose flow is missing is free.
 */
#include "lib/close.h"
#include "lib/scratch.h"
#include "lib/touch.h"

/*
 * How many places a new flow looks at, each some 60 ns: first those near where the last search
 * ended, so it is short while some are free. Where none is, all of them, up to this many, beginning
 * with the one whose connection closed last. A search that found none bars the next ones for
 * PK_PLACE_REST_US for each place that it looked at: a full endpoint's new flows cost nobody more
 * than a four-hundredth of a processor.
 */
#define PK_PLACE_TRIES	 16384
#define PK_PLACE_NEAR	 32
#define PK_PLACE_REST_US 25
#define PK_PLACE_REVOKED 10 /* seconds that a revoked flow is kept for a revert */
#define PK_PLACE_RESET	 1  /* seconds that a RST from outside may be contradicted */
#define PK_PLACE_CLOSED	 1  /* seconds that a closed connection's last packet may take */
#define PK_PLACE_ANSWERED                                                                          \
	2 /* seconds that an answered DNS question is kept where places are needed */
#define PK_PLACE_OPENING                                                                           \
	5 /* seconds that a flow from outside may take to open where places are needed */

static __always_inline __u64 place_tail(const struct pk_flow_key *key, bool busy)
{
	struct pk_flow_key tail = { .sport = key->sport, .dport = key->dport, .proto = key->proto };

	tail.zone = busy ? PK_PLACE_BUSY : 0;
	return *(__u64 *)&tail.sport;
}

static __always_inline __u64 *place_word(struct pk_flow_key *place)
{
	return (__u64 *)&place->sport;
}
_Static_assert(offsetof(struct pk_flow_key, sport) == 32, "places: the lock is one aligned word");

/*
 * Returns whether the flow is in that state, and its time-out has run for more than so many
 * seconds. Another CPU may have begun it behind now.
 */
static __always_inline bool place_rested(const struct pk_flow_key *key, const struct pk_flow *flow,
					 __u8 state, __u32 seconds, __u32 now)
{
	__u32 left = flow->expires - now;

	return flow->state == state &&
	       (__s32)(flow_seconds(key, state) * pk_hz - left) > (__s32)(seconds * pk_hz);
}

/*
 * Returns whether the flow is an answered DNS question: it stays for a late answer, but gives way
 * where places are needed.
 */
static __always_inline bool place_is_answered(const struct pk_flow_key *key,
					      const struct pk_flow *flow, __u32 now)
{
	return flow_is_dns(key) && place_rested(key, flow, PK_FLOW_OPEN, PK_PLACE_ANSWERED, now);
}

/*
 * Returns whether a reset from outside is old enough: the endpoint has had time to say that it goes
 * on.
 */
static __always_inline bool place_is_reset(const struct pk_flow_key *key,
					   const struct pk_flow *flow, __u32 now)
{
	return place_rested(key, flow, PK_FLOW_RESET, PK_PLACE_RESET, now);
}

/*
 * Returns whether somebody outside began what the endpoint never answered, or, of TCP, hasn't
 * acknowledged its answer: he may have written another's address. Another CPU may have begun it
 * behind now.
 */
static __always_inline bool place_is_half_open(const struct pk_flow *flow, __u32 now)
{
	return flow_is_unopened(flow) && !flow->slot[0] &&
	       (__s32)(now - flow->begun) > (__s32)(PK_PLACE_OPENING * pk_hz);
}

static __always_inline bool place_is_over(const struct pk_flow_key *key, const struct pk_flow *flow,
					  __u32 now)
{
	if (pk_flow_expired(flow, now, pk_hz) || flow->state == PK_FLOW_CLOSED ||
	    place_is_answered(key, flow, now) || place_is_reset(key, flow, now) ||
	    place_is_half_open(flow, now))
		return true;
	/* The reason is read again, since one that is allowed anew has no such moment any more. */
	if (flow->reason && now - READ_ONCE(flow->revoked) > PK_PLACE_REVOKED * pk_hz &&
	    READ_ONCE(flow->reason))
		return true;
	return !flow_alive(flow, 0) || !flow_alive(flow, 1);
}

/*
 * Returns whether the connection closed so lately that its last packet, which acknowledges the
 * second FIN, may be on its way: without its flow that is a stranger's.
 */
static __always_inline bool place_closes(const struct pk_flow_key *key, const struct pk_flow *flow,
					 __u32 now)
{
	return flow->state == PK_FLOW_CLOSED && !pk_flow_expired(flow, now, pk_hz) &&
	       !place_rested(key, flow, PK_FLOW_CLOSED, PK_PLACE_CLOSED, now);
}

/* Says how needed a place is. */
enum place_need {
	PLACE_ANY,    /* there may be a better one than what closed a moment ago */
	PLACE_NEEDED, /* what is over will do */
};

/* Returns whether the flow of this place, whose key is in s->old, still holds it. */
static __always_inline bool place_held(struct pk_scratch *s, __u32 index, enum place_need need,
				       __u32 now)
{
	const struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->old);

	return flow && flow->kind == PK_FLOW_PRIMARY && flow->place == index &&
	       (!place_is_over(&s->old, flow, now) ||
		(need == PLACE_ANY && place_closes(&s->old, flow, now)));
}

/* Deletes a flow that came to its end, if it still is this place's. */
static __always_inline void place_clear(struct pk_scratch *s, __u32 index)
{
	const struct pk_flow *flow = bpf_map_lookup_elem(&flows, &s->old);

	if (flow && flow->kind == PK_FLOW_PRIMARY && flow->place == index)
		pk_flow_close(CLOSE_OLD);
}

/* Claims a place for the flow of key, where the place is free or its flow is over. */
static __always_inline bool place_try(struct pk_scratch *s, const struct pk_flow_key *key,
				      __u32 index, enum place_need need, __u32 now)
{
	struct pk_flow_key *place = bpf_map_lookup_elem(&places, &index);
	__u64 seen;

	if (!place)
		return false;
	seen = READ_ONCE(*place_word(place));
	if (seen) {
		s->old = *place;
		if (s->old.zone || place_held(s, index, need, now))
			return false;
	}
	PK_STALL(PLACE_LOOKED);
	/*
	 * Between the look and this exchange another CPU may have put a flow of the same ports
	 * here; then that flow lives on without a place until it expires unseen: one too many.
	 */
	if (__sync_val_compare_and_swap(place_word(place), seen, place_tail(key, true)) != seen)
		return false;
	if (seen)
		place_clear(s, index);
	place->src = key->src;
	place->dst = key->dst;
	return true;
}

/* Settles a claimed place: the flow is in the table (keep), or won't be. */
static __always_inline void place_settle(const struct pk_flow_key *key, __u32 index, bool keep)
{
	struct pk_flow_key *place = bpf_map_lookup_elem(&places, &index);

	if (place) /* atomic, so that it comes after the addresses */
		__sync_lock_test_and_set(place_word(place), keep ? place_tail(key, false) : 0);
}

/* The state of a search for a place, kept from step to step. */
struct place_search {
	struct pk_scratch *s;
	__u32 first;  /* index of the owner's first place */
	__u32 budget; /* of its places, how many it may use */
	__u32 start;  /* the first place that is looked at, below budget */
	__u32 now;
	__u32 found; /* index + 1 */
	enum place_need need;
};

static int place_step(__u32 i, struct place_search *search)
{
	__u32 index = search->first + (search->start + i) % search->budget;

	if (!place_try(search->s, &search->s->key, index, search->need, search->now))
		return 0;
	search->found = index + 1;
	return 1;
}

static __always_inline __u32 place_budget(const struct pk_node *n, const struct pk_endpoint *ep)
{
	__u32 own = READ_ONCE(ep->flow_budget);

	return own && own < n->flow_budget ? own : n->flow_budget;
}

static __always_inline __u32 place_tries(__u32 places_)
{
	return places_ < PK_PLACE_TRIES ? places_ : PK_PLACE_TRIES;
}

/* Returns whether a search for a flow begun on that side found no free place a moment ago. */
static __always_inline bool place_rests(const struct pk_bucket *b, enum pk_dir begun, __u32 now)
{
	__u32 rest = place_tries(b->tokens[PK_BUCKET_TOP]) * PK_PLACE_REST_US / (1000000 / pk_hz);
	__u64 full = b->tokens[PK_BUCKET_FULL + begun];

	return full && now - (__u32)full < rest;
}

/*
 * After a budget shrank, its owner's flows in places above it live on. Each moves into a place
 * below that is free or whose flow is over, the highest first, so that what is left above is too
 * much.
 */
struct place_drain {
	struct pk_scratch *s;
	struct pk_bucket *b;
	__u32 first;
	__u32 budget;
	__u32 low; /* the place below the budget that is looked at next */
	__u32 now;
};

static __always_inline bool place_move(struct place_drain *d, struct pk_flow_key *place,
				       __u32 index)
{
	__u32 low = d->first + d->low;
	struct pk_scratch *s = d->s;
	struct pk_flow *flow;
	bool moved;

	d->low++;
	if (!place_try(s, &s->moved, low, PLACE_NEEDED, d->now))
		return false;
	flow = bpf_map_lookup_elem(&flows, &s->moved);
	moved = flow && flow->kind == PK_FLOW_PRIMARY &&
		__sync_val_compare_and_swap(&flow->place, index, low) == index;
	place_settle(&s->moved, low, moved);
	if (moved)
		*place_word(place) = 0;
	return moved;
}

/* Moves one step on: past a place above the budget that is free, or one below that isn't. */
static int place_drain_step(__u32 i, struct place_drain *d)
{
	__u64 top = READ_ONCE(d->b->tokens[PK_BUCKET_TOP]);
	__u32 index = d->first + top - 1;
	struct pk_flow_key *place = bpf_map_lookup_elem(&places, &index);

	if (top <= d->budget || d->low >= d->budget || !place)
		return 1;
	d->s->moved = *place;
	d->s->old = d->s->moved;
	if (*place_word(place) &&
	    (d->s->moved.zone || place_held(d->s, index, PLACE_NEEDED, d->now)) &&
	    !place_move(d, place, index))
		return 0;
	__sync_val_compare_and_swap(&d->b->tokens[PK_BUCKET_TOP], top, top - 1);
	return 0;
}

/* Returns whether the owner has no more flows than its budget, the new one included. */
static __always_inline bool place_fits(struct pk_bucket *b, const struct place_search *search)
{
	struct place_drain d = { .s = search->s,
				 .b = b,
				 .first = search->first,
				 .budget = search->budget,
				 .now = search->now };

	if (likely(b->tokens[PK_BUCKET_TOP] <= search->budget)) {
		b->tokens[PK_BUCKET_TOP] = search->budget;
		return true;
	}
	bpf_loop(place_tries(b->tokens[PK_BUCKET_TOP]), place_drain_step, &d, 0);
	return b->tokens[PK_BUCKET_TOP] <= search->budget;
}

/* Looks at so many places from one on, unless one is found. */
static __always_inline void place_walk(struct place_search *search, __u64 start, __u32 places_,
				       enum place_need need)
{
	if (search->found)
		return;
	search->start = (__u32)start % search->budget;
	search->need = need;
	bpf_loop(places_, place_step, search, 0);
}

/*
 * The next search starts where this one ended: flows that began one after another also end so, and
 * what closed a moment ago is looked at last.
 */
static __always_inline __u32 place_search(struct pk_bucket *b, struct place_search *search,
					  enum pk_dir begun)
{
	__u32 near, all;

	if (begun == PK_INGRESS)
		search->budget = PK_PLACES_OUTSIDE(search->budget);
	near = search->budget < PK_PLACE_NEAR ? search->budget : PK_PLACE_NEAR;
	all = place_tries(search->budget);
	place_walk(search, b->tokens[PK_BUCKET_PLACE], near, PLACE_ANY);
	place_walk(search, b->tokens[PK_BUCKET_PLACE], near, PLACE_NEEDED);
	place_walk(search, b->tokens[PK_BUCKET_CLOSED], all, PLACE_NEEDED);
	if (search->found)
		b->tokens[PK_BUCKET_PLACE] = search->found - search->first;
	else
		b->tokens[PK_BUCKET_CLOSED] = (search->start + all) % search->budget;
	return search->found;
}

/*
 * Takes a place of owner's for s->key, which the owner begins (PK_EGRESS), or somebody outside.
 * Returns its index + 1, or 0 where the budget is spent.
 */
static __always_inline __u32 place_take(struct pk_scratch *s, __u32 owner, enum pk_dir begun,
					__u32 now)
{
	const struct pk_endpoint *ep = bpf_map_lookup_elem(&endpoints, &owner);
	struct pk_bucket *b = bpf_map_lookup_elem(&buckets, &owner);
	struct place_search search = { .s = s, .now = now };
	const struct pk_node *n;

	n = node_get();
	begun &= 1;
	if (!n || !ep || !b || !owner || place_rests(b, begun, now))
		return 0;
	search.first = owner * n->flow_budget;
	search.budget = place_budget(n, ep);
	if (search.budget && place_fits(b, &search) && place_search(b, &search, begun)) {
		b->tokens[PK_BUCKET_FULL + begun] = 0;
		return search.found;
	}
	b->tokens[PK_BUCKET_FULL + begun] = now | PK_PLACES_FULL;
	return 0;
}
