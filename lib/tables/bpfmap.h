/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The pinned maps and programs, by name, and raw access to a map. Only tables.c and its splits
 * write; everyone may read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "picket/maps.h"

/* X(SYMBOL, "pin name"): every map of include/picket/maps.h that outlives a build. */
#define PK_MAPS(X)                                                                                 \
	X(NODE, "node")                                                                            \
	X(NUMBERS, "numbers")                                                                      \
	X(SLOTS, "slots")                                                                          \
	X(ENDPOINTS, "endpoints")                                                                  \
	X(ANSWERS, "answers")                                                                      \
	X(WORDS, "words")                                                                          \
	X(LABELS, "labels")                                                                        \
	X(BASES, "bases")                                                                          \
	X(BY_ADDRESS, "by_address")                                                                \
	X(REMOTE, "remote")                                                                        \
	X(POOLS, "pools")                                                                          \
	X(TUNNELS, "tunnels")                                                                      \
	X(OPEN_PORTS, "open_ports")                                                                \
	X(PUBLISHED, "published")                                                                  \
	X(PUBLISHED_PORTS, "published_ports")                                                      \
	X(RULE_SETS, "rule_sets")                                                                  \
	X(CIDR, "cidr")                                                                            \
	X(PEER_CLASS, "peer_class")                                                                \
	X(VERDICTS, "verdicts")                                                                    \
	X(FLOWS, "flows")                                                                          \
	X(PLACES, "places")                                                                        \
	X(FRAGMENTS, "fragments")                                                                  \
	X(BUCKETS, "buckets")                                                                      \
	X(COUNTERS, "counters")                                                                    \
	X(EVENTS, "events")
#define PK_MAP_ENUM_(sym, name) PK_MAP_##sym,
enum pk_map { PK_MAPS(PK_MAP_ENUM_) PK_MAP_COUNT };
const char *pk_map_name(enum pk_map map);

/* The programs that are attached to devices; pin name = program name. */
#define PK_PROGS(X)                                                                                \
	X(FROM_ENDPOINT, "pk_from_endpoint")                                                       \
	X(TO_ENDPOINT, "pk_to_endpoint")                                                           \
	X(FORWARD_TAP, "pk_forward_tap")                                                           \
	X(FORWARD_ETH, "pk_forward_eth")                                                           \
	X(BOUND_TAP, "pk_bound_tap")                                                               \
	X(FROM_UPLINK, "pk_from_uplink")                                                           \
	X(FROM_FABRIC, "pk_from_fabric")                                                           \
	X(FLOW_REAP, "pk_flow_reap")
#define PK_PROG_ENUM_(sym, name) PK_PROG_##sym,
enum pk_prog { PK_PROGS(PK_PROG_ENUM_) PK_PROG_COUNT };
const char *pk_prog_name(enum pk_prog prog);

/* Raw access by descriptor: 0 or -errno, no text. flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
int pk_map_get(int map, const void *key, void *value);
int pk_map_set(int map, const void *key, const void *value, uint64_t flags);
int pk_map_delete(int map, const void *key);
int pk_map_next(int map, const void *key,
		void *next); /* key NULL = the first; -ENOENT at the end */
/*
 * Writes many at once, or by single calls where the kernel has no batch for this map. *done counts
 * those written, also on failure.
 */
int pk_map_set_many(int map, const void *keys, const void *values, size_t n, size_t *done);

/*
 * Reads entries of an array from index `first` on (per CPU: as the kernel lays them out, pk_cpus()
 * values each).
 */
int pk_map_get_range(int map, uint32_t first, size_t n, void *values);
/* Counts the keys that are there, by walking them. */
int pk_map_count(int map, size_t *n);
/* The state of a count that is done in parts; zeroed before the first part. */
struct pk_map_counting {
	size_t n;
	bool under_way;
	uint32_t at;  /* the cursor in a hash */
	char key[64]; /* the last key in another kind of map */
};
/*
 * Counts on until deadline_ns of CLOCK_MONOTONIC. Returns 1 when every entry is counted, 0 where
 * there are more, or -errno. An entry that comes or goes between two parts may be counted or not.
 */
int pk_map_count_part(int map, struct pk_map_counting *counting, uint64_t deadline_ns);
int pk_cpus(void); /* the number of values of a per-CPU entry */

struct pk_map_info {
	uint32_t type, key_size, value_size, max_entries, flags, id;
};
int pk_map_info(int map, struct pk_map_info *info);
int pk_prog_id(int prog, uint32_t *id);
/*
 * Calls each(arg, key, value) for all entries; entries that come or go meanwhile may be missed or
 * met. Non-zero ends it.
 */
int pk_map_each(int map, int (*each)(void *arg, const void *key, const void *value), void *arg);
