// SPDX-License-Identifier: Apache-2.0
/* The loaded guard, by BPF_PROG_TEST_RUN: its tables, its programs, its counters. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bpf/node.h"
#include "tests/model/cast.h"

#define FLOWS 4096

static int programs[3], counters, cpus;
static struct pk_counter *values; /* of all rows, by processor */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int loaded_start(void)
{
	int r;

	node_flow_room(FLOWS);
	r = node_start();
	if (r)
		return r;
	programs[AT_ENDPOINT] = node_prog_fd(NODE_FROM);
	programs[AT_STACK] = node_prog_fd(NODE_TO);
	programs[AT_UPLINK] = node_prog_fd(NODE_UP);
	counters = node_map("counters");
	cpus = libbpf_num_possible_cpus();
	values = calloc((size_t)ROWS * (size_t)cpus, sizeof(*values));
	for (uint32_t slot = 1; slot < SLOTS; slot++)
		cast_device_is(slot, node_ifindex(slot));
	return 0;
}

void loaded_stop(void)
{
	free(values);
	node_stop();
}

static void put(const char *table, const void *key, const void *value)
{
	if (bpf_map_update_elem(node_map(table), key, value, BPF_ANY))
		die(table);
}

static void clear(const char *table)
{
	uint8_t key[64];
	int fd = node_map(table);

	while (!bpf_map_get_next_key(fd, NULL, key))
		bpf_map_delete_elem(fd, key);
}

/* Every element of an array becomes zero, in one call. */
static void zero(const char *table, uint32_t entries, size_t size)
{
	uint8_t *all = calloc(entries, size);
	uint32_t *keys = calloc(entries, sizeof(*keys)), count = entries;

	for (uint32_t i = 0; i < entries; i++)
		keys[i] = i;
	if (bpf_map_update_batch(node_map(table), keys, all, &count, NULL))
		die(table);
	free(keys);
	free(all);
}

static void begin(const struct world *w)
{
	static const char *const hashes[] = { "slots",	    "by_address", "remote",    "pools",
					      "tunnels",    "open_ports", "published", "cidr",
					      "peer_class", "verdicts",	  "flows" };
	static const uint64_t closed;
	struct timespec now;

	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		clear(hashes[i]);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		put("words", &slot, &closed);
	zero("published_ports", PK_PORT_WORDS, sizeof(uint64_t));
	zero("buckets", NODE_SLOTS, sizeof(struct pk_bucket));
	zero("places", SLOTS * BUDGET_ROOM, sizeof(struct pk_flow_key));
	zero("fragments", NODE_FRAGMENTS, sizeof(struct pk_fragment_place));
	clock_gettime(CLOCK_MONOTONIC, &now);
	world_fill(w, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, put);
}

static void get(const char *table, const void *key, void *value)
{
	if (bpf_map_lookup_elem(node_map(table), key, value))
		die(table);
}

/* A key that is written anew comes before the others of its bucket: they are all read first. */
static void age_flows(uint32_t jiffies)
{
	static struct pk_flow_key key[FLOWS];
	struct pk_flow f;
	uint32_t n = 0;

	while (n < FLOWS &&
	       !bpf_map_get_next_key(node_map("flows"), n ? &key[n - 1] : NULL, &key[n]))
		n++;
	while (n--) {
		get("flows", &key[n], &f);
		f.begun -= jiffies;
		if (f.kind == PK_FLOW_PRIMARY) {
			f.expires -= jiffies;
			f.judged -= jiffies;
			if (f.reason)
				f.revoked -= jiffies;
		}
		put("flows", &key[n], &f);
	}
}

static void age_buckets(uint64_t units)
{
	struct pk_bucket b;

	for (uint32_t slot = 1; slot < SLOTS; slot++) {
		get("buckets", &slot, &b);
		for (int kind = 0; kind < PK_BUCKET_EVENTS; kind++)
			if (b.tokens[kind])
				b.tokens[kind] -= units << 32;
		put("buckets", &slot, &b);
	}
}

static void age_fragments(uint32_t jiffies)
{
	static struct pk_fragment_place all[NODE_FRAGMENTS];
	static uint32_t keys[NODE_FRAGMENTS];
	uint32_t n = NODE_FRAGMENTS, next;
	int fd = node_map("fragments");

	if (bpf_map_lookup_batch(fd, NULL, &next, keys, all, &n, NULL) && errno != ENOENT)
		die("fragments");
	for (uint32_t i = 0; i < n; i++)
		all[i].first.seen -= jiffies;
	if (bpf_map_update_batch(fd, keys, all, &n, NULL))
		die("fragments");
}

/* The kernel's clock can't be set: what it stamped becomes older. */
static void age(uint64_t eighths)
{
	age_flows((uint32_t)(eighths * node_hz() / 8));
	age_buckets(eighths * EIGHTH_NS / 1024);
	age_fragments((uint32_t)(eighths * node_hz() / 8));
}

static void run(const struct step *s, struct result *r)
{
	struct __sk_buff ctx = {
		.ifindex = s->hook == AT_UPLINK ? UPLINK : cast_device(s->slot),
		.ingress_ifindex = s->forwarded ? UPLINK : 0,
		.gso_size = s->beside.gso,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->frame.b, .data_size_in = s->frame.len,
		    .data_out = r->out.b, .data_size_out = sizeof(r->out.b), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	r->verdict = bpf_prog_test_run_opts(programs[s->hook], &opts);
	if (r->verdict) {
		fprintf(stderr, "model-test: a test run of %u bytes: %s\n", s->frame.len,
			strerror(-r->verdict));
		exit(1);
	}
	r->verdict = (int)opts.retval;
	r->out.len = opts.data_size_out;
}

static void count(uint64_t rows[ROWS])
{
	static uint32_t keys[ROWS];
	uint32_t n = ROWS, next;

	bpf_map_lookup_batch(counters, NULL, &next, keys, values, &n, NULL);
	memset(rows, 0, ROWS * sizeof(*rows));
	for (uint32_t i = 0; i < n; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			rows[keys[i]] += values[i * (uint32_t)cpus + (uint32_t)cpu].packets;
}

static uint64_t counter(uint32_t row)
{
	uint64_t n = 0;

	if (bpf_map_lookup_elem(counters, &row, values))
		die("counters");
	for (int cpu = 0; cpu < cpus; cpu++)
		n += values[cpu].packets;
	return n;
}

const struct guard guard_loaded = { .name = "the loaded program",
				    .begin = begin,
				    .put = put,
				    .age = age,
				    .run = run,
				    .counters = count,
				    .counter = counter };
