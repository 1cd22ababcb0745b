/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, and how full the tables are. */
#include <errno.h>
#include <string.h>

#include "fs.h"
#include "own.h"
#include "tables.h"
#include "tables_private.h"

int pk_counter_read(const struct pk_bpf *bpf, uint32_t slot, enum pk_dir dir, unsigned int reason,
		    struct pk_counter *sum)
{
	int cpus = pk_cpus(), r;
	own_mem struct pk_counter *each = pk_alloc((size_t)cpus * sizeof(*each));
	uint32_t key = PK_COUNTER(slot, dir, reason);

	memset(sum, 0, sizeof(*sum));
	r = pk_map_get(bpf->map[PK_MAP_COUNTERS], &key, each);
	for (int i = 0; i < cpus && r == 0; i++) {
		sum->packets += each[i].packets;
		sum->bytes += each[i].bytes;
	}
	return r;
}

int pk_counter_row(const struct pk_bpf *bpf, uint32_t slot,
		   struct pk_counter row[2][PK_REASON_SLOTS], struct pk_err *err)
{
	size_t n = 2 * PK_REASON_SLOTS, cpus = (size_t)pk_cpus();
	own_mem struct pk_counter *each = pk_alloc(n * cpus * sizeof(*each));
	struct pk_counter *sum = &row[0][0];
	int r = slot > bpf->node.capacity ? -ENOENT
					  : pk_map_get_range(bpf->map[PK_MAP_COUNTERS],
							     PK_COUNTER(slot, 0, 0), n, each);

	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_COUNTERS, "read");
	memset(sum, 0, n * sizeof(*sum));
	for (size_t i = 0; i < n * cpus; i++) {
		sum[i / cpus].packets += each[i].packets;
		sum[i / cpus].bytes += each[i].bytes;
	}
	return 0;
}

uint64_t pk_events_lost(const struct pk_bpf *bpf, uint32_t slot)
{
	struct pk_bucket b = { 0 };

	if (slot > bpf->node.capacity || pk_map_get(bpf->map[PK_MAP_BUCKETS], &slot, &b) < 0)
		return 0;
	return b.tokens[PK_BUCKET_EVENTS_LOST];
}

static uint64_t used_slots(const struct pk_bpf *bpf)
{
	uint64_t n = 0;

	for (uint32_t slot = 1; slot <= bpf->node.capacity; slot++)
		n += pk_slot_taken(bpf, slot);
	return n;
}

/* Places taken, and the verdicts that they say they hold. */
static void used_rule_sets(const struct pk_bpf *bpf, uint64_t *sets, uint64_t *verdicts)
{
	own_mem struct pk_rule_set *all = pk_alloc(bpf->node.rule_sets * sizeof(*all));

	*sets = *verdicts = 0;
	if (pk_map_get_range(bpf->map[PK_MAP_RULE_SETS], 0, bpf->node.rule_sets, all) < 0)
		return;
	for (uint32_t i = 1; i < bpf->node.rule_sets; i++) {
		*sets += all[i].entries != 0;
		*verdicts += all[i].entries & ~PK_RULE_SET_CLAIM;
	}
}

static uint64_t size_of(const struct pk_bpf *bpf, enum pk_map map)
{
	struct pk_map_info info;

	return pk_map_info(bpf->map[map], &info) == 0 ? info.max_entries : 0;
}

static const enum pk_map walked[] = { PK_MAP_LABELS,	 PK_MAP_BASES,	   PK_MAP_BY_ADDRESS,
				      PK_MAP_REMOTE,	 PK_MAP_POOLS,	   PK_MAP_TUNNELS,
				      PK_MAP_OPEN_PORTS, PK_MAP_PUBLISHED, PK_MAP_CIDR,
				      PK_MAP_PEER_CLASS, PK_MAP_FLOWS };

static void put_known(const struct pk_bpf *bpf, struct pk_tables_walk *walk)
{
	uint64_t sets, verdicts;

	used_rule_sets(bpf, &sets, &verdicts);
	walk->use[walk->n++] =
		(struct pk_table_use){ "endpoints", used_slots(bpf), bpf->node.capacity };
	walk->use[walk->n++] = (struct pk_table_use){ "rule_sets", sets, bpf->node.rule_sets - 1 };
	walk->use[walk->n++] =
		(struct pk_table_use){ "verdicts", verdicts, size_of(bpf, PK_MAP_VERDICTS) };
}

bool pk_tables_use_part(const struct pk_bpf *bpf, struct pk_tables_walk *walk, uint64_t deadline_ns)
{
	if (!walk->n)
		put_known(bpf, walk);
	while (walk->walked < PK_ARRAY_LEN(walked)) {
		enum pk_map map = walked[walk->walked];

		if (pk_map_count_part(bpf->map[map], &walk->counting, deadline_ns) == 0)
			return false;
		walk->use[walk->n++] = (struct pk_table_use){ pk_map_name(map), walk->counting.n,
							      size_of(bpf, map) };
		walk->counting = (struct pk_map_counting){ 0 };
		walk->walked++;
		if (pk_now_ns() >= deadline_ns)
			break;
	}
	return walk->walked == PK_ARRAY_LEN(walked);
}

size_t pk_tables_use(const struct pk_bpf *bpf, struct pk_table_use use[PK_MAP_COUNT])
{
	struct pk_tables_walk walk = { 0 };

	pk_tables_use_part(bpf, &walk, UINT64_MAX);
	memcpy(use, walk.use, walk.n * sizeof(*use));
	return walk.n;
}
