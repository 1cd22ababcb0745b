// SPDX-License-Identifier: Apache-2.0
/* How long flows live, and the places of their owners' budgets as plain arrays. */
#include "tests/model/state.h"

bool flow_expired(const struct model *m, const struct model_flow *f)
{
	return m->now > f->expires;
}

static bool is_dns(const struct model_flow *f)
{
	return f->proto == 17 && f->dport == 53;
}

static enum pk_timeout timeout_tcp(const struct model_flow *f)
{
	static const enum pk_timeout of[] = { [PK_FLOW_NEW] = PK_TIMEOUT_TCP_OPENING,
					      [PK_FLOW_OPEN] = PK_TIMEOUT_TCP_OPEN,
					      [PK_FLOW_CLOSING] = PK_TIMEOUT_TCP_CLOSING,
					      [PK_FLOW_CLOSED] = PK_TIMEOUT_TCP_CLOSED,
					      [PK_FLOW_RESET] = PK_TIMEOUT_TCP_RESET };

	return of[f->state];
}

/* The table of time-outs in docs/datapath.md. */
static enum pk_timeout timeout(const struct model_flow *f)
{
	bool stream = f->state == PK_FLOW_STREAM;

	if (f->proto == 6)
		return timeout_tcp(f);
	if (is_icmp(f->proto))
		return PK_TIMEOUT_ICMP;
	if (is_dns(f) && f->state == PK_FLOW_OPEN)
		return PK_TIMEOUT_DNS;
	if (f->proto == 17)
		return stream ? PK_TIMEOUT_UDP_STREAM : PK_TIMEOUT_UDP;
	return stream ? PK_TIMEOUT_OTHER_STREAM : PK_TIMEOUT_OTHER;
}

int64_t flow_lifetime(const struct model *m, const struct model_flow *f)
{
	return SECONDS(m->w->node.timeout[timeout(f)]);
}

/* Nobody has shown yet that he hears its answers. */
bool is_unopened(const struct model_flow *f)
{
	return f->state == PK_FLOW_NEW || (f->state == PK_FLOW_RESET && !f->open);
}

/* Its place may be another's: it is closed or over, or is so for whoever needs a place. */
bool flow_over(const struct model *m, const struct model_flow *f)
{
	int64_t idle = flow_lifetime(m, f) - (f->expires - m->now);

	if (flow_expired(m, f) || f->state == PK_FLOW_CLOSED)
		return true;
	if (f->state == PK_FLOW_RESET && idle > SECONDS(1))
		return true;
	if (f->state == PK_FLOW_OPEN && is_dns(f) && idle > SECONDS(2))
		return true;
	if (is_unopened(f) && !f->slot[0] && m->now - f->begun > SECONDS(5))
		return true;
	return f->reason && m->now - f->revoked > SECONDS(10);
}

static uint32_t budget_of(const struct world *w, uint32_t owner)
{
	uint32_t own = w->ep[owner].flow_budget, all = w->node.flow_budget;

	return own && own < all ? own : all;
}

/* The flow that still holds a place; NULL: it may be taken. */
static struct model_flow *holder_of(struct model *m, uint32_t owner, uint32_t place)
{
	uint32_t nr = m->place[owner][place];
	struct model_flow *f = nr ? &m->flow[nr - 1] : NULL;

	return f && f->live && f->place == place && !flow_over(m, f) ? f : NULL;
}

/* What was over there goes. */
static void place_give(struct model *m, uint32_t owner, uint32_t place, uint32_t nr)
{
	uint32_t was = m->place[owner][place];

	if (was && m->flow[was - 1].place == place)
		m->flow[was - 1].live = false;
	m->place[owner][place] = nr;
}

/*
 * A budget that was lowered: flows in places above it move into those below that may be taken, the
 * highest first. As long as one is left above, nothing new begins.
 */
static bool places_fit(struct model *m, uint32_t owner, uint32_t budget)
{
	uint32_t low = 0, *top = &m->top[owner];
	struct model_flow *f;

	for (; *top > budget; --*top) {
		f = holder_of(m, owner, *top - 1);
		while (f && low < budget && holder_of(m, owner, low))
			low++;
		if (f && low == budget)
			return false;
		if (!f)
			continue;
		place_give(m, owner, low, m->place[owner][*top - 1]);
		m->place[owner][*top - 1] = 0;
		f->place = low++;
	}
	*top = budget;
	return true;
}

/* A connection whose last packet may be on its way. */
static bool closes(const struct model *m, const struct model_flow *f)
{
	return f->state == PK_FLOW_CLOSED && !flow_expired(m, f) &&
	       flow_lifetime(m, f) - (f->expires - m->now) <= SECONDS(1);
}

/* One of so many places from there on that is free, or whose flow is over; that one goes. */
static bool take_from(struct model *m, uint32_t owner, uint32_t start, uint32_t near,
		      uint32_t budget, bool any, uint32_t *place)
{
	uint32_t nr, at;

	for (uint32_t i = 0; i < near; i++) {
		at = (start + i) % budget;
		nr = m->place[owner][at];
		if (holder_of(m, owner, at) ||
		    (any && nr && m->flow[nr - 1].live && m->flow[nr - 1].place == at &&
		     closes(m, &m->flow[nr - 1])))
			continue;
		place_give(m, owner, at, 0);
		m->cursor[owner] = at + 1;
		*place = at;
		return true;
	}
	return false;
}

/*
 * Whoever begins from outside gets none of the last quarter. What closed a moment ago goes where
 * there is nothing else near, and of all places the one that closed last is looked at first.
 */
bool place_take(struct model *m, uint32_t owner, bool outside, uint32_t *place)
{
	uint32_t budget = budget_of(m->w, owner), near;
	bool taken;

	if (!places_fit(m, owner, budget))
		return false;
	if (outside)
		budget -= budget / 4;
	near = budget < 32 ? budget : 32;
	taken = take_from(m, owner, m->cursor[owner], near, budget, true, place) ||
		take_from(m, owner, m->cursor[owner], near, budget, false, place) ||
		take_from(m, owner, m->closed[owner], budget, budget, false, place);
	if (!taken)
		m->closed[owner] %= budget;
	return taken;
}
