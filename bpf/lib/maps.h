/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Every pinned map, by its table's name, beside maps_policy.h. For the loader:
 * - Set before load (bpf_map__set_max_entries), for capacity C, budget F, rule sets R:
 *   endpoints, answers, words, buckets C + 1; counters (C + 1) x 2 x 64; rule_sets R;
 *   fragments PK_FRAGMENTS_UPLINK + (C + 1) x PK_FRAGMENTS; places (C + 1) x F; flows
 *   2 x C x F, a primary and an alias for each place; the rest as sized below or larger.
 * - rodata: pk_hz (jiffies a second), pk_kfunc (the kernel has bpf_cast_to_kern_ctx).
 * - `programs` is filled by libbpf at load (its slow path's targets are named here). It is one a
 *   build: pin it with the build's programs, never share it between builds; without a pin or an
 *   open descriptor the kernel empties it and every miss is tail-call-missing.
 * - `scratch` is private to the programs and isn't pinned.
 */
#include "lib/maps_policy.h"
#include "lib/stall.h"
#include "picket/event.h"

/* A value of 0 would make every flow expire at once; the loader sets it. */
const volatile __u32 pk_hz = 250;
const volatile bool pk_kfunc = true;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pk_node);
} node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PK_NUMBER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * PK_CAPACITY_DEFAULT);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PK_CAPACITY_DEFAULT + 1);
	__type(key, __u32);
	__type(value, struct pk_endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PK_CAPACITY_DEFAULT + 1);
	__type(key, __u32);
	__type(value, struct pk_answers);
} answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PK_CAPACITY_DEFAULT + 1);
	__type(key, __u32);
	__type(value, __u64);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct pk_labels_key);
	__type(value, struct pk_labels);
} labels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} bases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * PK_CAPACITY_DEFAULT);
	__type(key, union pk_addr);
	__type(value, struct pk_local);
} by_address SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, union pk_addr);
	__type(value, struct pk_remote);
} remote SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct pk_pool_key);
	__type(value, struct pk_pool);
} pools SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, union pk_addr);
	__type(value, __u32);
} tunnels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct pk_published_key);
	__type(value, struct pk_published);
} published SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PK_PORT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} published_ports SEC(".maps");

/* The table isn't preallocated: that would take 232 MiB a million entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * (PK_CAPACITY_DEFAULT) * (PK_FLOW_BUDGET_DEFAULT));
	__type(key, struct pk_flow_key);
	__type(value, struct pk_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, (PK_CAPACITY_DEFAULT + 1) * PK_FLOW_BUDGET_DEFAULT);
	__type(key, __u32);
	__type(value, struct pk_flow_key);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PK_FRAGMENTS_UPLINK + (PK_CAPACITY_DEFAULT + 1) * PK_FRAGMENTS);
	__type(key, __u32);
	__type(value, struct pk_fragment_place);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PK_CAPACITY_DEFAULT + 1);
	__type(key, __u32);
	__type(value, struct pk_bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, (PK_CAPACITY_DEFAULT + 1) * 2 * PK_REASON_SLOTS);
	__type(key, __u32);
	__type(value, struct pk_counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries,
	       1 << 18); /* its one reader maps it twice; 1 MiB would cost it 2 of its 12 */
} events SEC(".maps");

/* Indexes of `programs`. */
enum pk_tail {
	PK_TAIL_NONE = 0, /* entry 0 stays empty */
	PK_TAIL_MISS = 1,
	PK_TAIL_MISS_TO = 2,
	PK_TAIL_ANSWER = 3,
	PK_TAIL_MISS_UP = 4,
	PK_TAIL_ERROR = 5,
	PK_TAIL_ERROR_TO = 6,
	PK_TAIL_ERROR_UP = 7,
	PK_TAIL_TELL = 8,
	PK_TAIL_FRAGMENT = 9,
	PK_TAIL_FRAGMENT_TO = 10,
	PK_TAIL_FRAGMENT_UP = 11,
	PK_TAIL_COUNT = 12,
};

static __always_inline const struct pk_node *node_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&node, &zero);
}
