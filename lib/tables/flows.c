/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "str.h"

#define KEY_OFFSET 14 /* as bpf/lib/reap.h has it */
#define PLACES	   64 /* places that are read at once */
#define GRACE_S	   60

/* The packet that pk_flow_reap is given, and in which it answers. */
struct reap_packet {
	uint8_t ethernet[KEY_OFFSET];
	struct pk_flow_key key;
	uint32_t ended, jiffies;
} __attribute__((packed));

static int reap(const struct pk_bpf *bpf, const struct pk_flow_key *key, struct reap_packet *answer)
{
	struct reap_packet ask = { .key = *key };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &ask, .data_size_in = sizeof(ask),
		    .data_out = answer, .data_size_out = sizeof(*answer), .repeat = 1);

	if (bpf_prog_test_run_opts(bpf->prog[PK_PROG_FLOW_REAP], &opts) < 0)
		return -errno;
	return opts.retval ? -EIO : 0;
}

int pk_flows_now(const struct pk_bpf *bpf, uint32_t *jiffies, struct pk_err *err)
{
	static const struct pk_flow_key nothing;
	struct reap_packet answer = { 0 };
	int r = reap(bpf, &nothing, &answer);

	*jiffies = answer.jiffies;
	return r < 0 ? pk_fail(err, -r, "ask for the clock of flows") : 0;
}

static bool is_gone(const struct pk_bpf *bpf, const struct pk_flow *flow, int side)
{
	uint32_t slot = flow->slot[side];

	return slot && (slot > bpf->node.capacity || !bpf->words[slot] ||
			bpf->endpoints[slot].opened != flow->opened[side]);
}

/*
 * Returns whether a copy of the flow looks as if the flow were over since that moment. The copy may
 * be old, so the program looks again at each such one. A copy of an alias tells nothing, so the
 * program is asked about every alias.
 */
static bool looks_over(const struct pk_bpf *bpf, const struct pk_flow *flow, uint32_t since,
		       uint32_t hz)
{
	if (flow->kind != PK_FLOW_PRIMARY)
		return true;
	return pk_flow_expired(flow, since, hz) || is_gone(bpf, flow, 0) || is_gone(bpf, flow, 1);
}

static int reap_copies(const struct pk_bpf *bpf, struct pk_flows_walk *walk,
		       const struct pk_flow_key *keys, const struct pk_flow *flows, uint32_t n)
{
	struct reap_packet answer = { 0 };
	uint32_t since, hz = pk_jiffies_a_second();
	int r = pk_flows_now(bpf, &since, NULL);

	if (!walk->at_once)
		since -= GRACE_S * hz;
	for (uint32_t i = 0; i < n && r == 0; i++) {
		walk->seen++;
		if (!looks_over(bpf, &flows[i], since, hz))
			continue;
		r = reap(bpf, &keys[i], &answer);
		walk->ended += answer.ended;
	}
	return r;
}

int pk_flows_reap(const struct pk_bpf *bpf, struct pk_flows_walk *walk, uint32_t n,
		  struct pk_err *err)
{
	own_mem struct pk_flow_key *keys = pk_alloc(n * sizeof(*keys));
	own_mem struct pk_flow *flows = pk_alloc(n * sizeof(*flows));
	uint32_t count = n, next;
	bool through;
	int r;

	if (!walk->under_way)
		walk->seen = walk->ended = 0;
	r = bpf_map_lookup_batch(bpf->map[PK_MAP_FLOWS], walk->under_way ? &walk->at : NULL, &next,
				 keys, flows, &count, NULL);
	through = r < 0 && errno == ENOENT;
	if (r < 0 && !through) /* -ENOSPC: one bucket holds more than n */
		return pk_fail(err, errno, "walk the table of flows");
	walk->at = next;
	walk->under_way = !through;
	r = reap_copies(bpf, walk, keys, flows, count);
	return r < 0 ? pk_fail(err, -r, "end a flow") : through;
}

/* Ends the flows of n places; *used is how many of these were ever taken. */
static int end_places(const struct pk_bpf *bpf, const struct pk_flow_key *places, size_t n,
		      size_t *used)
{
	struct reap_packet answer;
	int r = 0;

	*used = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct pk_flow_key key = places[i];

		if (!key.sport && !key.dport && !key.proto)
			continue;
		++*used;
		key.pad = 0;
		key.zone = 0;
		r = reap(bpf, &key, &answer);
	}
	return r;
}

/* Places are taken one after the other, so the first part that was never used is the last. */
int pk_flows_end_slot(const struct pk_bpf *bpf, uint32_t slot, struct pk_err *err)
{
	uint32_t budget = bpf->node.flow_budget, first = slot * budget;
	struct pk_flow_key places[PLACES];
	size_t used = 1;
	int r = 0;

	for (uint32_t at = 0; at < budget && used && r == 0; at += PLACES) {
		size_t n = budget - at < PLACES ? budget - at : PLACES;

		r = pk_map_get_range(bpf->map[PK_MAP_PLACES], first + at, n, places);
		if (r == 0)
			r = end_places(bpf, places, n, &used);
	}
	return r < 0 ? pk_fail(err, -r, "end the flows of slot %u", slot) : 0;
}
