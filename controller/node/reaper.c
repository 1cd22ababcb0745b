/* SPDX-License-Identifier: Apache-2.0 */
#include "reaper.h"

#include "flows.h"
#include "log.h"
#include "str.h"

#define REST_MS 60000 /* between two walks over the table */
#define SOON_MS 5000  /* the same, where somebody is told of each flow that ended */
#define PART_MS 100   /* between two parts of one */
#define PART	4096  /* entries of one part: some 2 ms */

struct pk_reaper {
	struct pk_timer *timer;
	struct pk_sync *sync;
	struct pk_flows_walk walk;
};

static void part(void *arg)
{
	struct pk_reaper *reaper = arg;
	const struct pk_bpf *bpf = pk_sync_bpf(reaper->sync);
	struct pk_err err = { 0 };
	bool told = pk_sync_tells_of_ends(reaper->sync);
	int r;

	reaper->walk.at_once = told;
	r = bpf ? pk_flows_reap(bpf, &reaper->walk, PART, &err) : 1;
	if (r < 0) {
		log_warn("op=reap err=\"%s\" ignoring until the next walk", err.text);
		reaper->walk.under_way = false;
	}
	if (r == 0)
		pk_timer_set(reaper->timer, PART_MS);
	else
		pk_timer_set(reaper->timer, told ? SOON_MS : REST_MS);
}

struct pk_reaper *pk_reaper_new(struct pk_loop *loop, struct pk_sync *sync)
{
	struct pk_reaper *reaper = pk_alloc(sizeof(*reaper));

	reaper->sync = sync;
	reaper->timer = pk_timer_new(loop, part, reaper);
	pk_timer_set(reaper->timer, SOON_MS);
	return reaper;
}

void pk_reaper_free(struct pk_reaper *reaper)
{
	if (!reaper)
		return;
	pk_timer_free(reaper->timer);
	free(reaper);
}
