/* SPDX-License-Identifier: Apache-2.0 */
/* The node's own tables, asked by the judge program; and its connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "ask_kernel.h"
#include "ask_private.h"

struct pk_live {
	const struct pk_bpf *bpf;
	struct pk_judge *judge;
};

void pk_live_close(struct pk_live *live)
{
	if (!live)
		return;
	pk_judge_end(live->judge);
	free(live);
}

int pk_live_open(struct pk_live **out, const struct pk_bpf *bpf, struct pk_err *err)
{
	own_live *live = pk_alloc(sizeof(*live));

	live->bpf = bpf;
	live->judge = pk_judge_start(bpf->map, err);
	if (!live->judge)
		return -EIO;
	*out = PK_MOVE(live, NULL);
	return 0;
}

/* Finds a peer as the guard does, but for the route: who is the host is the caller's to say. */
uint32_t pk_live_who(const struct pk_bpf *bpf, const union pk_addr *addr, struct pk_query *q)
{
	const struct pk_pool_key pool = { .prefixlen = 128, .addr = *addr };
	struct pk_remote remote;
	struct pk_local local;
	struct pk_pool found;

	q->addr = *addr;
	q->identity = q->tenant = 0;
	if (pk_map_get(bpf->map[PK_MAP_BY_ADDRESS], addr, &local) == 0) {
		q->party = PK_PARTY_ENDPOINT;
		q->identity = local.identity;
		q->tenant = local.tenant;
		return local.slot;
	}
	if (pk_map_get(bpf->map[PK_MAP_REMOTE], addr, &remote) == 0) {
		q->party = remote.flags & PK_REMOTE_NODE ? PK_PARTY_REMOTE_NODE : PK_PARTY_ENDPOINT;
		q->identity = remote.identity;
		q->tenant = remote.tenant;
	} else {
		q->party = pk_map_get(bpf->map[PK_MAP_POOLS], &pool, &found) == 0 ? PK_PARTY_UNKNOWN
										  : PK_PARTY_WORLD;
	}
	return 0;
}

/* Returns the slot of a local peer, else 0. */
static uint32_t peer_by_tables(const struct pk_live *live, const struct pk_peer *peer,
			       struct pk_query *q)
{
	if (peer->party == PK_PARTY_ENDPOINT)
		return pk_live_who(live->bpf, &peer->endpoint->addresses[0], q);
	if (peer->party == PK_PARTY_WORLD)
		return pk_live_who(live->bpf, &peer->address, q);
	q->party = (uint8_t)peer->party;
	return 0;
}

int pk_live_ask(const struct pk_live *live, const struct pk_question *ask,
		struct pk_verdict_value *out, struct pk_err *err)
{
	const union pk_addr *subject = ask->subject->addresses;
	struct pk_query q = { 0 }, own = { 0 };
	char text[PK_ADDR_TEXT];
	uint32_t slot;
	int r;

	if (!ask->subject->n_addresses ||
	    (ask->peer.party == PK_PARTY_ENDPOINT && !ask->peer.endpoint->n_addresses))
		return pk_fail(err, EINVAL, "an end has no address");
	slot = pk_live_who(live->bpf, subject, &own);
	if (!slot || slot > live->bpf->node.capacity || !live->bpf->words[slot])
		return pk_fail(err, ENOENT, "the tables have no open endpoint at %s",
			       pk_addr_format(subject, text));
	if (peer_by_tables(live, &ask->peer, &q) == slot)
		q.party = PK_PARTY_SELF;
	q.rule_set = PK_WORD_RULE_SET(live->bpf->words[slot]);
	q.slot = slot;
	q.own_tenant = own.tenant;
	q.dir = (uint8_t)ask->dir;
	q.proto = ask->proto;
	q.port = htons(ask->port);
	r = pk_judge_run(live->judge, &q, err);
	if (r < 0)
		return r;
	if (!q.found)
		return pk_fail(err, ENOENT, "rule set %u is not in the tables", q.rule_set);
	*out = q.answer;
	return 0;
}

struct flow_walk {
	const struct pk_bpf *bpf;
	pk_live_flow_fn *each;
	void *arg;
	uint32_t now, hz;
};

/* Returns whether this side's endpoint is still the one of the flow (bpf/lib/miss.h, miss_same). */
static bool is_same(const struct pk_bpf *bpf, const struct pk_flow *flow, int side)
{
	uint32_t slot = flow->slot[side];

	return !slot || (slot <= bpf->node.capacity && bpf->words[slot] &&
			 bpf->endpoints[slot].opened == flow->opened[side]);
}

static int walk_flow(void *arg, const void *k, const void *v)
{
	const struct flow_walk *walk = arg;
	const struct pk_flow *flow = v;

	if (flow->kind != PK_FLOW_PRIMARY || flow->state == PK_FLOW_CLOSED ||
	    flow->state == PK_FLOW_RESET || flow->reason ||
	    pk_flow_expired(flow, walk->now, walk->hz) || !is_same(walk->bpf, flow, 0) ||
	    !is_same(walk->bpf, flow, 1))
		return 0;
	return walk->each(walk->arg, k, flow);
}

int pk_live_flows(const struct pk_live *live, pk_live_flow_fn *each, void *arg, struct pk_err *err)
{
	struct flow_walk walk = { .bpf = live->bpf, .each = each, .arg = arg };
	struct pk_query q = { 0 };
	int r = pk_judge_run(live->judge, &q, err); /* for its clock alone */

	if (r < 0)
		return r;
	walk.now = q.jiffies;
	walk.hz = pk_jiffies_a_second();
	r = pk_map_each(live->bpf->map[PK_MAP_FLOWS], walk_flow, &walk);
	return r < 0 ? pk_fail(err, -r, "read the table of flows") : r;
}
