/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "fs.h"
#include "links.h"
#include "log.h"
#include "nl.h"
#include "own.h"
#include "reaper.h"
#include "sweep_job.h"
#include "tables.h"

#define MINUTE_MS 60000
#define GONE_MS	  200  /* a device that goes takes its netns and its record's DEL along */
#define WHOLE_MS  1000 /* to the whole sweep, where a part of it found something amiss */
#define TIDY_MS	  5

struct pk_upkeep {
	struct pk_upkeep_args args;
	struct pk_upkeep_stats stats;
	struct pk_timer *timer, *gone_timer, *whole_timer, *tidy_timer;
	struct pk_reaper *reaper;
	struct pk_links *links;
	struct pk_audit *audit;
	union pk_addr *local;
	size_t n_local;
	bool gone[PK_CAPACITY_MAX + 1]; /* slots whose device went */
	bool sweeping;			/* one is under way */
	bool counts;			/* the one under way is whole, not a look at what went */
	unsigned int orphans;		/* orphans that it has found so far */
	uint32_t stray;
};

static void read_addresses(struct pk_upkeep *u)
{
	own_mem struct pk_nl_addr_info *list = NULL;
	own_nl *nl = NULL;
	size_t n;

	if (pk_nl_open(&nl, NULL) < 0 || pk_nl_addrs(nl, 0, &list, &n, NULL) < 0)
		return;
	free(u->local);
	u->local = pk_alloc((n + 1) * sizeof(*u->local));
	for (size_t i = 0; i < n; i++)
		u->local[i] = list[i].addr;
	u->n_local = n;
}

bool pk_upkeep_is_local(const struct pk_upkeep *u, const union pk_addr *addr)
{
	for (size_t i = 0; i < u->n_local; i++)
		if (pk_addr_equal(&u->local[i], addr))
			return true;
	return false;
}

/* Returns whether an open slot has lost its record: ADD writes the record before the word. */
static bool is_stray(const struct pk_upkeep *u, uint32_t slot)
{
	const struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;

	if (!bpf || !pk_word(bpf, slot) || pk_records_list(u->args.paths, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].slot == slot)
			return false;
	return true;
}

static void on_orphan(void *arg, const struct pk_orphan *orphan)
{
	struct pk_upkeep *u = arg;

	if (orphan->removed) {
		u->stats.removed++;
		log_info("op=sweep removed=\"%s\" why=\"%s\"", orphan->what, orphan->why);
		return;
	}
	if (!u->counts)
		return;
	u->orphans += !orphan->young;
	if (orphan->kind == PK_ORPHAN_DEVICE && is_stray(u, orphan->name.slot))
		u->stray = orphan->name.slot;
}

static struct pk_sweep_wish wish_of(struct pk_upkeep *u)
{
	return (struct pk_sweep_wish){ .paths = u->args.paths,
				       .model = u->args.model,
				       .sync = u->args.sync,
				       .nomad = u->args.nomad(u->args.arg),
				       .found = on_orphan,
				       .arg = u };
}

static void whole_ended(void *arg, unsigned int left)
{
	struct pk_upkeep *u = arg;

	(void)left;
	u->sweeping = u->counts = false;
	u->stats.orphans = u->orphans;
	u->stats.stray = u->stray;
}

/* Sweeps everything, one sweep at a time: while a disk hangs the next minute's does nothing. */
static void sweep_all(struct pk_upkeep *u)
{
	struct pk_sweep_wish wish = wish_of(u);

	if (u->sweeping)
		return;
	wish.whole = true;
	wish.ended = whole_ended;
	u->orphans = 0;
	u->stray = 0;
	u->sweeping = u->counts = true;
	pk_sweep_begin(u->args.sweeps, &wish);
}

static bool open_record(const struct pk_upkeep *u, uint32_t slot, struct pk_record_name *name)
{
	const struct pk_local_endpoint *m = pk_model_by_slot(u->args.model, slot);

	return m && m->open && pk_record_name_of(m->container_id, m->ifname, slot, name) == 0;
}

/*
 * Ends the sweep of what went. Anything left is to be counted by a whole sweep soon, and what that
 * counted last may be gone.
 */
static void gone_ended(void *arg, unsigned int left)
{
	struct pk_upkeep *u = arg;

	u->sweeping = false;
	if (left || u->stats.orphans || u->stats.stray)
		pk_timer_hurry(u->whole_timer, WHOLE_MS);
}

/*
 * Sweeps what is known of the devices that went: closed records, and the endpoints that had them.
 */
static void sweep_gone(void *arg)
{
	struct pk_upkeep *u = arg;
	struct pk_sweep_wish wish = wish_of(u);
	own_mem struct pk_record_name *list = NULL;

	if (u->sweeping) {
		pk_timer_hurry(u->gone_timer, GONE_MS);
		return;
	}
	list = pk_alloc((PK_CAPACITY_MAX + 1) * sizeof(*list));
	for (uint32_t slot = 1; slot <= PK_CAPACITY_MAX; slot++)
		if (PK_MOVE(u->gone[slot], false) && open_record(u, slot, &list[wish.n_only]))
			wish.n_only++;
	wish.only = list;
	wish.ended = gone_ended;
	u->sweeping = true;
	pk_sweep_begin(u->args.sweeps, &wish);
}

static void on_gone(void *arg, uint32_t slot)
{
	struct pk_upkeep *u = arg;

	if (slot == 0)
		pk_timer_hurry(u->whole_timer, WHOLE_MS);
	else
		u->gone[slot] = true;
	pk_timer_hurry(u->gone_timer, GONE_MS);
}

static void on_changed(void *arg, uint32_t ifindex)
{
	struct pk_upkeep *u = arg;

	if (ifindex)
		pk_audit_device(u->audit, ifindex);
	else
		pk_audit_all(u->audit);
}

static void on_whole(void *arg)
{
	sweep_all(arg);
}

static void minute(void *arg)
{
	struct pk_upkeep *u = arg;

	pk_timer_set(u->timer, MINUTE_MS);
	read_addresses(u);
	sweep_all(u);
	pk_audit_all(u->audit);
	pk_sync_tidy(u->args.sync, u->args.model);
	pk_timer_set(u->tidy_timer, 0);
}

/* Frees one rule set a turn, since each waits for RCU. */
static void tidy(void *arg)
{
	struct pk_upkeep *u = arg;

	if (pk_sync_tidy_next(u->args.sync, u->args.model))
		pk_timer_set(u->tidy_timer, TIDY_MS);
}

void pk_upkeep_now(struct pk_upkeep *u)
{
	minute(u);
}

/* Looks for an endpoint that lost its record: ADD writes the record before the word. */
void pk_upkeep_records_changed(struct pk_upkeep *u)
{
	const struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);

	for (uint32_t slot = 1; bpf && slot <= bpf->node.capacity; slot++)
		if (pk_word(bpf, slot) && !pk_model_by_slot(u->args.model, slot)) {
			pk_timer_hurry(u->whole_timer, WHOLE_MS);
			return;
		}
}

struct pk_upkeep *pk_upkeep_new(const struct pk_upkeep_args *args)
{
	struct pk_upkeep *u = pk_alloc(sizeof(*u));
	const struct pk_links_args links = {
		.loop = args->loop, .gone = on_gone, .changed = on_changed, .arg = u
	};

	u->args = *args;
	u->timer = pk_timer_new(args->loop, minute, u);
	u->gone_timer = pk_timer_new(args->loop, sweep_gone, u);
	u->whole_timer = pk_timer_new(args->loop, on_whole, u);
	u->tidy_timer = pk_timer_new(args->loop, tidy, u);
	u->audit = pk_audit_new(args->loop, args->model, args->sync);
	u->links = pk_links_new(&links);
	read_addresses(u);
	u->reaper = pk_reaper_new(args->loop, args->sync);
	pk_timer_set(u->timer, 100); /* the first one just after start */
	return u;
}

void pk_upkeep_free(struct pk_upkeep *u)
{
	if (!u)
		return;
	pk_links_free(u->links);
	pk_audit_free(u->audit);
	pk_timer_free(u->timer);
	pk_timer_free(u->gone_timer);
	pk_timer_free(u->whole_timer);
	pk_timer_free(u->tidy_timer);
	pk_reaper_free(u->reaper);
	free(u->local);
	free(u);
}

const struct pk_upkeep_stats *pk_upkeep_stats(const struct pk_upkeep *u)
{
	return &u->stats;
}

const struct pk_audit_stats *pk_upkeep_audit(const struct pk_upkeep *u)
{
	return pk_audit_stats(u->audit);
}
