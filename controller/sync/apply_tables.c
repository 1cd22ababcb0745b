/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the tables that everything is brought into, and writes the settings that tables have: see
 * apply.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply_private.h"
#include "bpfmap.h"
#include "fs.h"
#include "guard.h"
#include "log.h"
#include "own.h"
#include "picket/limits.h"
#include "tables.h"
#include "vxlan.h"

static void edit_node(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 1;
}

/* Replaces the programs of another release by this one's, under traffic. */
static void upgrade(struct pk_apply *a)
{
	struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);
	struct pk_err err = { 0 };
	int r = pk_guard_upgrade(bpf, a->args.model, &err);

	if (r < 0)
		log_error("op=upgrade err=\"%s\" ignoring: build %s goes on", err.text, bpf->build);
	else if (r)
		log_info("op=upgrade build=%s", bpf->build);
}

static size_t share_of(const struct pk_bpf *bpf, enum pk_map map, unsigned int parts)
{
	struct pk_map_info info;

	return pk_map_info(bpf->map[map], &info) < 0 ? 0 : info.max_entries / parts;
}

/* Sets how much of the tables one tenant's own documents may take. */
static void set_limits(struct pk_apply *a)
{
	const struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);
	const struct pk_engine_limits limits = {
		.tenant_verdicts = share_of(bpf, PK_MAP_VERDICTS, 4),
		.tenant_peers = share_of(bpf, PK_MAP_PEER_CLASS, 4),
		.tenant_cidrs = share_of(bpf, PK_MAP_CIDR, 4),
		.tenant_rule_set = PK_TENANT_RULE_SET_MAX,
	};

	pk_engine_set_limits(pk_model_engine(a->args.model), &limits);
}

/* Marks everything as to be written: these tables were just opened. */
static void begin_anew(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	own_str pin = { 0 };
	uint64_t epoch[2];

	a->settings_changed = a->settings_untaken = true;
	a->look_whole = false;
	set_limits(a);
	memcpy(epoch, pk_sync_bpf(a->args.sync)->node.epoch, sizeof(epoch));
	pk_records_set_epoch(a->args.records, epoch);
	pk_records_look(a->args.records);
	upgrade(a);
	pk_str_addf(&pin, "%s/%s", a->args.config->paths.maps, pk_map_name(PK_MAP_EVENTS));
	if (pk_events_open(a->args.events, pin.text, &err) < 0)
		log_warn("op=events err=\"%s\" ignoring: no flows are shown", err.text);
	else
		pk_node_update(pk_sync_bpf(a->args.sync), edit_node, NULL, pk_sync_until_long(),
			       NULL);
}

/* Opens the tables. On -errno the open ones stay in use. */
static int open_now(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	int r = pk_sync_open(a->args.sync, pk_model_get_settings(a->args.model), &err);

	pk_apply_note(&a->state.load_error, r, &err, "load");
	if (r < 0)
		return r;
	begin_anew(a);
	if (a->args.opened)
		a->args.opened(a->args.arg);
	return 0;
}

/* Pins the open tables again. Returns false where somebody has pinned others meanwhile. */
static bool pin_again(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	int r = pk_bpf_pin_again(pk_sync_bpf(a->args.sync), pk_sync_until(), &err);

	if (r == 0) {
		pk_apply_note(&a->state.load_error, 0, NULL, "load");
		log_error("op=load err=\"pins were removed\" pinned again");
	} else if (r != -ESTALE) {
		pk_apply_note(&a->state.load_error, r, &err, "load");
	}
	return r != -ESTALE;
}

/*
 * Opens the tables, if they are loaded, and calls args.opened. Where others are pinned by now,
 * since everything was swept and loaded again, it opens those, as ADD does. Endpoints that are
 * attached to the old tables stay with them.
 */
int apply_open_tables(struct pk_apply *a)
{
	const struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);

	if (!bpf)
		return open_now(a);
	if (pk_bpf_is_pinned(bpf, a->look_whole)) {
		a->look_whole = false;
		pk_apply_note(&a->state.load_error, 0, NULL, "load");
		return 0;
	}
	if (!pin_again(a) && open_now(a) == 0)
		log_error("op=load err=\"the pins were replaced or removed\" opened again");
	else if (*a->state.load_error.text)
		pk_timer_hurry(a->pass, APPLY_RETRY_MS);
	return 0;
}

/* Looks at the pins, also where nothing else changes. */
void apply_look_pins(void *arg)
{
	struct pk_apply *a = arg;
	const struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);

	pk_timer_set(a->pins, APPLY_PINS_MS);
	if (!bpf || pk_bpf_is_pinned(bpf, true))
		return;
	a->look_whole = true;
	pk_apply_soon(a);
}

static void edit_settings(void *arg, struct pk_node *node)
{
	const struct pk_settings *s = arg;

	node->masquerade_low = s->masquerade.low;
	node->masquerade_high = s->masquerade.high;
	node->new_flows_per_s = s->new_flows_per_s;
	memcpy(node->timeout, s->timeout, sizeof(node->timeout));
	pk_vxlan_close(node, &s->vxlan);
}

/*
 * Writes the settings that stand in the node's table. A flow that has a masquerade port keeps it,
 * and gets a new time-out with its next packet.
 */
static int set_values(struct pk_apply *a, struct pk_err *err)
{
	struct pk_settings s = *pk_model_get_settings(a->args.model);

	return pk_node_update(pk_sync_bpf(a->args.sync), edit_settings, &s, pk_sync_until(), err);
}

struct pools {
	const struct pk_model *model;
	bool unread; /* a record can't be read: its endpoint may have an address of any block */
	const struct pk_far_block *others;
	size_t n_others;
	struct pk_prefix *list;
	size_t n;
};

static void add_pool(struct pools *p, const struct pk_prefix *pool)
{
	p->list = realloc(p->list, (p->n + 1) * sizeof(*pool));
	if (!p->list)
		abort();
	p->list[p->n++] = *pool;
}

static bool is_covered(const struct pools *p, const union pk_addr *addr)
{
	for (size_t i = 0; i < p->n; i++)
		if (pk_prefix_has(&p->list[i], addr))
			return true;
	return false;
}

static bool is_listed(const struct pools *p, const struct pk_prefix *pool)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].len == pool->len && p->list[i].v6 == pool->v6 &&
		    pk_prefix_has(&p->list[i], &pool->addr))
			return true;
	return false;
}

/*
 * Returns whether an endpoint may have an address of the block that none of the listed blocks
 * covers.
 */
static bool may_be_held(const struct pools *p, const struct pk_prefix *pool)
{
	if (p->unread)
		return !is_listed(p, pool);
	for (const struct pk_local_endpoint *m = pk_model_next(p->model, NULL); m;
	     m = pk_model_next(p->model, m))
		for (size_t i = 0; i < m->n_addresses; i++)
			if (pk_prefix_has(pool, &m->addresses[i]) &&
			    !is_covered(p, &m->addresses[i]))
				return true;
	return false;
}

/* Returns whether another node's block covers this one. */
static bool is_foreign(const struct pools *p, const struct pk_prefix *pool)
{
	for (size_t i = 0; i < p->n_others; i++)
		if (pk_prefix_covers(&p->others[i].prefix, pool))
			return true;
	return false;
}

/*
 * Keeps a block that the settings no longer name while an endpoint may have an address of it. Where
 * another node is believed to have it by now it isn't kept: it is that node's, and no longer
 * delivered here.
 */
static int keep_pool(void *arg, const void *at, const void *value)
{
	const struct pk_pool_key *key = at;
	struct pools *p = arg;
	struct pk_prefix pool = { .addr = key->addr };

	if (((const struct pk_pool *)value)->whose == PK_POOL_OTHERS)
		return 0;
	pool.v6 = !pk_addr_is4(&pool.addr);
	pool.len = (uint8_t)(key->prefixlen - (pool.v6 ? 0 : 96));
	if (may_be_held(p, &pool) && !is_foreign(p, &pool))
		add_pool(p, &pool);
	return 0;
}

/*
 * Returns the settings' blocks, and old ones that an endpoint has an address of. The caller frees
 * list.
 */
static struct pools want_pools(const struct pk_apply *a)
{
	const struct pk_settings *s = pk_model_get_settings(a->args.model);
	struct pools pools = { .model = a->args.model,
			       .unread = pk_records_bad(a->args.records) > 0 };

	pools.others = pk_remotes_blocks(pk_model_remotes(a->args.model), &pools.n_others);
	for (size_t i = 0; i < s->n_pools; i++)
		add_pool(&pools, &s->pools[i]);
	pk_map_each(pk_sync_bpf(a->args.sync)->map[PK_MAP_POOLS], keep_pool, &pools);
	return pools;
}

bool apply_block_is_left(const struct pk_apply *a)
{
	struct pools pools;

	if (!a->old_blocks)
		return false;
	pools = want_pools(a);
	free(pools.list);
	return pools.n < pk_model_get_settings(a->args.model)->n_pools + a->old_blocks;
}

/* Returns another node's block that has the address, where none of this node's blocks covers it. */
static const struct pk_prefix *foreign_with(const struct pools *p, const union pk_addr *addr)
{
	if (pk_addr_is_zero(addr) || is_covered(p, addr))
		return NULL;
	for (size_t i = 0; i < p->n_others; i++)
		if (pk_prefix_has(&p->others[i].prefix, addr))
			return &p->others[i].prefix;
	return NULL;
}

/*
 * Returns another node's block that an open endpoint without a record that can be read has an
 * address of, by the tables; NULL: there is none. Once such a block is the other's in the tables
 * nothing else there says that it was this node's. A closed slot is of an endpoint that goes.
 */
static const struct pk_prefix *find_lost(const struct pools *p, const struct pk_bpf *bpf)
{
	const struct pk_prefix *lost = NULL;

	for (uint32_t slot = 1; !lost && slot <= bpf->node.capacity; slot++) {
		const struct pk_endpoint *ep = &bpf->endpoints[slot];

		if (!pk_word(bpf, slot) || pk_model_by_slot(p->model, slot))
			continue;
		lost = foreign_with(p, &ep->ipv4) ?: foreign_with(p, &ep->ipv6);
	}
	return lost;
}

/*
 * Notes a block that another node has by now although an endpoint here has an address of it, which
 * nobody can move since its record can't be read. The note goes with that endpoint, or once all
 * records can be read.
 */
static void note_lost(struct pk_apply *a, const struct pools *pools)
{
	const struct pk_prefix *lost = NULL;
	struct pk_err err = { 0 };
	char text[PK_ADDR_TEXT];

	if (pools->unread)
		lost = find_lost(pools, pk_sync_bpf(a->args.sync));
	if (lost)
		pk_fix(&err,
		       pk_fail(&err, 0,
			       "block %s is another node's by now, and an endpoint whose record "
			       "can't be read has an address of it",
			       pk_prefix_format(lost, text)),
		       "stop the allocation whose record can't be read and start it anew");
	pk_apply_note(&a->state.lost_block, lost ? -EADDRNOTAVAIL : 0, &err, "settings");
}

static int set_pools(struct pk_apply *a, struct pk_err *err)
{
	const struct pk_settings *s = pk_model_get_settings(a->args.model);
	struct pk_pools_want want = { 0 };
	struct pools pools;
	int r;

	if (!s->n_pools && !s->claimed)
		return 0;
	pools = want_pools(a);
	note_lost(a, &pools);
	a->old_blocks = pools.n - s->n_pools;
	want.own = pools.list;
	want.n_own = pools.n;
	want.others = pools.others;
	want.n_others = pools.n_others;
	r = pk_pools_set(pk_sync_bpf(a->args.sync), &want, pk_sync_until(), err);
	free(pools.list);
	return r;
}

void apply_set_node(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	int r = set_pools(a, &err), m = 0;

	if (r != -ETIMEDOUT)
		m = set_values(a, &err);
	if (r == -ETIMEDOUT || m == -ETIMEDOUT) {
		a->settings_untaken = true;
		pk_timer_hurry(a->pass, APPLY_HELD_MS);
	} else if (r < 0 || m < 0) {
		log_warn("op=settings err=\"%s\" ignoring until the next change", err.text);
	}
}

static void edit_node_quiet(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 0;
}

void apply_leave_tables(struct pk_apply *a)
{
	if (pk_sync_bpf(a->args.sync))
		pk_node_update(pk_sync_bpf(a->args.sync), edit_node_quiet, NULL,
			       pk_sync_until_long(), NULL);
}
