/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The tables that a verdict is looked up in (include/picket/maps.h has their contracts). Shared
 * by the guard and by judge.bpf.c. Sizes are defaults: the loader sets them before load.
 */
#include "lib/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * PK_CAPACITY_DEFAULT + 64);
	__type(key, __u32);
	__type(value, struct pk_rule_set);
} rule_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PK_CIDR_DEFAULT);
	__type(key, struct pk_cidr_key);
	__type(value, __u32);
} cidr SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct pk_peer_class_key);
	__type(value, __u32);
} peer_class SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, (PK_CAPACITY_DEFAULT) * (PK_VERDICTS_PER_SLOT));
	__type(key, struct pk_verdict_key);
	__type(value, struct pk_verdict_value);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct pk_open_port_key);
	__type(value, __u32);
} open_ports SEC(".maps");
