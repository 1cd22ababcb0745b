/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the embedded object over the pinned maps, or makes them. The node lock is held. */
#include "bpf_private.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "eplease.h"
#include "fault.h"
#include "guard.skel.h"
#include "picket/reason.h"
#include "str.h"
#include "tables.h"
#include "uplink.h"
#include "vxlan.h"

#define ROOM	     (PK_PATH_ROOM + 64)
#define COUNTERS_MAX (512ull << 20)

static inline void close_skel(struct pk_guard **skel)
{
	pk_guard__destroy(*skel);
}

/* The last line that libbpf logged, for an error's text. One thread of a process loads. */
static char last_words[200];

static int keep_words(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(last_words, sizeof(last_words), fmt, ap);
		last_words[strcspn(last_words, "\n")] = '\0';
	}
	return 0;
}

static int fail_load(struct pk_err *err, int num, const char *what)
{
	return pk_code(err,
		       pk_fail(err, num, "%s%s%s", what, last_words[0] ? ": " : "", last_words),
		       PK_CODE_KERNEL);
}

const char *pk_bpf_own_build(void)
{
	static char build[24];
	uint64_t hash[2];
	size_t size;
	const void *bytes;

	if (!build[0]) {
		bytes = pk_guard__elf_bytes(&size);
		pk_hash128(bytes, size, hash);
		snprintf(build, sizeof(build), "g%016llx", (unsigned long long)hash[0]);
	}
	return build;
}

int pk_bpf_has_kfunc(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC);
	btf__free(btf);
	return id > 0;
}

/*
 * Checks that there is room for as many flows as the budgets promise, since flows are never
 * evicted.
 */
static int check_flows(const struct pk_node *node, struct pk_err *err)
{
	uint64_t flows = (uint64_t)node->capacity * node->flow_budget;
	int r;

	if (flows <= PK_FLOWS_MAX)
		return 0;
	r = pk_fail(
		err, EINVAL,
		"%u endpoints with %u live flows each are %llu flows; a node carries at most %u",
		node->capacity, node->flow_budget, (unsigned long long)flows, PK_FLOWS_MAX);
	pk_fix(err, r, "lower capacity.endpoints or limits.flowsPerEndpoint in picketd.json");
	return pk_code(err, r, PK_CODE_CONFIG);
}

/*
 * Checks what counters cost, one set a processor: a node that would spend gigabytes on them isn't
 * loaded.
 */
static int check_counters(const struct pk_node *node, struct pk_err *err)
{
	uint64_t bytes = (node->capacity + 1ull) * 2 * PK_REASON_SLOTS * sizeof(struct pk_counter) *
			 (uint64_t)pk_cpus();
	int r;

	if (bytes <= COUNTERS_MAX)
		return 0;
	r = pk_fail(err, EINVAL,
		    "counters of %u endpoints on %d processors take %llu MiB; the bound is %llu",
		    node->capacity, pk_cpus(), (unsigned long long)bytes >> 20, COUNTERS_MAX >> 20);
	pk_fix(err, r, "lower capacity.endpoints in picketd.json");
	return pk_code(err, r, PK_CODE_CONFIG);
}

/* Finds the devices that lead out. A named device that can never be one ends the load. */
static int fill_uplinks(const struct pk_settings *s, struct pk_node *node, struct pk_err *err)
{
	struct pk_uplinks found;
	own_nl *nl = NULL;
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_uplinks_find(nl, &s->uplinks, &found, err);
	if (r == 0)
		r = pk_uplinks_refused(&found, err);
	if (r == 0)
		pk_uplinks_put(&found, node);
	return r;
}

static int make_node(const struct pk_settings *s, struct pk_node *node, struct pk_err *err)
{
	int r;

	memset(node, 0, sizeof(*node));
	node->layout = PK_LAYOUT;
	node->capacity = s->capacity ? s->capacity : PK_CAPACITY_DEFAULT;
	if (node->capacity > PK_CAPACITY_MAX)
		node->capacity = PK_CAPACITY_MAX;
	node->flow_budget = s->flow_budget ? s->flow_budget : PK_FLOW_BUDGET_DEFAULT;
	node->new_flows_per_s = s->new_flows_per_s;
	memcpy(node->timeout, s->timeout, sizeof(node->timeout));
	node->rule_sets = PK_RULE_SETS_PER_SLOT * node->capacity + 64;
	do {
		if (getrandom(node->epoch, sizeof(node->epoch), 0) != sizeof(node->epoch))
			return fail_load(err, errno, "random epoch");
	} while (!node->epoch[0]);
	node->masquerade_low = s->masquerade.low;
	node->masquerade_high = s->masquerade.high;
	pk_vxlan_close(node, &s->vxlan);
	for (size_t i = 0; i < s->n_pools; i++) {
		struct pk_pool_key key = pk_pool_key_of(&s->pools[i]);

		pk_node_add_block(node, &key);
	}
	r = check_flows(node, err);
	if (r == 0)
		r = check_counters(node, err);
	return r == 0 ? fill_uplinks(s, node, err) : r;
}

static uint32_t larger(uint64_t a, uint64_t b)
{
	uint64_t n = a > b ? a : b;

	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Returns the size of a map in this node; 0 = as the object says. */
static uint32_t size_of(enum pk_map map, const struct pk_node *node)
{
	uint64_t c = node->capacity;

	switch (map) {
	case PK_MAP_ENDPOINTS:
	case PK_MAP_ANSWERS:
	case PK_MAP_WORDS:
	case PK_MAP_BUCKETS:
		return node->capacity + 1;
	case PK_MAP_COUNTERS:
		return (node->capacity + 1) * 2 * PK_REASON_SLOTS;
	case PK_MAP_RULE_SETS:
		return node->rule_sets;
	case PK_MAP_SLOTS:
		return 2 * node->capacity;
	case PK_MAP_BY_ADDRESS:
		return 4 * node->capacity;
	case PK_MAP_VERDICTS:
		return larger(c * PK_VERDICTS_PER_SLOT, 65536);
	case PK_MAP_FRAGMENTS:
		return PK_FRAGMENTS_UPLINK + (node->capacity + 1) * PK_FRAGMENTS;
	case PK_MAP_PLACES:
		return larger((c + 1) * node->flow_budget, 1);
	case PK_MAP_FLOWS:
		return larger(2 * c * node->flow_budget,
			      1); /* a primary and an alias for each place */
	default:
		return 0;
	}
}

static struct bpf_map *map_of(const struct pk_guard *skel, enum pk_map map)
{
	return bpf_object__find_map_by_name(skel->obj, pk_map_name(map));
}

/* Uses a pinned map again. One of another shape is another layout's, whatever its number says. */
static int reuse_map(struct bpf_map *map, int fd, struct pk_err *err)
{
	struct pk_map_info info;
	int r = pk_map_info(fd, &info);

	if (r < 0)
		return fail_load(err, -r, bpf_map__name(map));
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map)) {
		r = pk_code(err,
			    pk_fail(err, 0, "pinned map %s has another layout", bpf_map__name(map)),
			    PK_CODE_LAYOUT);
		return pk_fix(err, r, "reboot the node, or picket sweep -all -apply");
	}
	r = bpf_map__reuse_fd(map, fd);
	return r < 0 ? fail_load(err, -r, bpf_map__name(map)) : 0;
}

/* fds: pinned maps to use, NULL = make them in the node's sizes. */
static int prepare_maps(struct pk_guard *skel, const struct pk_node *node, const int *fds,
			struct pk_err *err)
{
	for (int i = 0; i < PK_MAP_COUNT; i++) {
		struct bpf_map *map = map_of(skel, i);
		uint32_t size = size_of(i, node);
		int r = 0;

		if (!map)
			return fail_load(err, ENOENT, pk_map_name(i));
		if (fds)
			r = reuse_map(map, fds[i], err);
		else if (size && bpf_map__set_max_entries(map, size) < 0)
			r = fail_load(err, errno, pk_map_name(i));
		if (r < 0)
			return r;
	}
	return 0;
}

uint32_t pk_jiffies_a_second(void)
{
	struct timespec ts = { .tv_nsec = 4000000 };

	clock_getres(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_nsec > 0 ? (uint32_t)(1000000000 / ts.tv_nsec) : 250;
}

/* Chooses how the guard reads the kernel's sk_buff (bpf/lib/sanity.h). */
static int choose_read(struct pk_guard *skel, struct pk_err *err)
{
	int has = pk_bpf_has_kfunc();

	if (has < 0)
		return fail_load(err, -has, "read the kernel's types (BTF)");
	skel->rodata->pk_kfunc = has && !pk_fault_asked("no-kfunc");
	return 0;
}

/* Kernel lockdown refuses probe reads, which is all that there is before Linux 6.2. */
static int fail_programs(const struct pk_guard *skel, int r, struct pk_err *err)
{
	r = fail_load(err, -r, "load the programs");
	if (!skel->rodata->pk_kfunc)
		pk_fix(err, r,
		       "boot Linux 6.2 or later, or without lockdown=confidentiality: before 6.2 "
		       "the "
		       "guard reads checksum and segmentation by bpf_probe_read_kernel");
	return r;
}

static int load(const struct pk_node *node, const int *fds, struct pk_guard **out,
		struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_guard *skel = NULL;
	int r;

	last_words[0] = '\0';
	libbpf_set_print(keep_words);
	skel = pk_guard__open();
	if (!skel)
		return fail_load(err, errno, "open the programs");
	skel->rodata->pk_hz = pk_jiffies_a_second();
	r = choose_read(skel, err);
	if (r < 0)
		return r;
	r = prepare_maps(skel, node, fds, err);
	if (r < 0)
		return r;
	r = pk_guard__load(skel);
	if (r < 0)
		return fail_programs(skel, r, err);
	*out = PK_MOVE(skel, NULL);
	return 0;
}

static int pin_programs(const struct pk_paths *paths, const struct pk_guard *skel,
			struct pk_err *err)
{
	char fresh[ROOM], dir[ROOM];
	int r;

	snprintf(dir, sizeof(dir), "%s/%s", paths->pins, pk_bpf_own_build());
	snprintf(fresh, sizeof(fresh), "%s/%snew", paths->pins, pk_bpf_own_build());
	if (mkdir(fresh, 0700) < 0)
		return pk_code(err, pk_fail(err, errno, "make directory %s", fresh),
			       PK_CODE_KERNEL);
	r = pk_pin_object(bpf_map__fd(skel->maps.programs), fresh, PK_PIN_SLOW, err);
	for (int i = 0; i < PK_PROG_COUNT && r == 0; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(skel->obj, pk_prog_name(i));

		r = prog ? pk_pin_object(bpf_program__fd(prog), fresh, pk_prog_name(i), err)
			 : fail_load(err, ENOENT, pk_prog_name(i));
	}
	pk_fault("programs-pinned");
	if (r == 0 && rename(fresh, dir) < 0)
		r = pk_code(err, pk_fail(err, errno, "rename to %s", dir), PK_CODE_KERNEL);
	return r;
}

static int fill_first(const struct pk_guard *skel, const struct pk_node *node,
		      const struct pk_settings *s, struct pk_err *err)
{
	static const struct pk_pool own = { .whose = PK_POOL_OWN };
	static const __u32 zero;
	int r = pk_map_set(bpf_map__fd(skel->maps.node), &zero, node, 0);

	for (size_t i = 0; i < s->n_pools && r == 0; i++) {
		struct pk_pool_key key = pk_pool_key_of(&s->pools[i]);

		r = pk_map_set(bpf_map__fd(skel->maps.pools), &key, &own, 0);
	}
	return r < 0 ? fail_load(err, -r, "fill the first maps") : 0;
}

/* `node` is pinned last: where its pin is, all maps are. */
static int pin_maps(const struct pk_paths *paths, const struct pk_guard *skel, struct pk_err *err)
{
	for (int i = PK_MAP_COUNT - 1; i >= 0; i--) {
		int r = pk_pin_object(bpf_map__fd(map_of(skel, i)), paths->maps, pk_map_name(i),
				      err);

		if (r < 0)
			return r;
		pk_fault("map-pinned");
	}
	return 0;
}
_Static_assert(PK_MAP_NODE == 0, "node is pinned last");

static void close_fds(int (*fds)[PK_MAP_COUNT])
{
	for (int i = 0; i < PK_MAP_COUNT; i++)
		if ((*fds)[i] >= 0)
			close((*fds)[i]);
}

/* Returns 1 where a whole set of maps is pinned, and node says its sizes; 0 where none is. */
static int find_maps(const struct pk_paths *paths, int fds[PK_MAP_COUNT], struct pk_node *node,
		     struct pk_err *err)
{
	char path[ROOM];
	int r = 0;

	for (int i = 0; i < PK_MAP_COUNT && r == 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", paths->maps, pk_map_name(i));
		fds[i] = bpf_obj_get(path);
		if (fds[i] < 0 && i == PK_MAP_NODE && errno == ENOENT)
			return 0;
		if (fds[i] < 0)
			return pk_bpf_fail_pin(err, errno, path);
		if (i == PK_MAP_NODE)
			r = pk_bpf_read_node(fds[i], node, err);
	}
	return r < 0 ? r : 1;
}
_Static_assert(PK_MAP_NODE == 0, "node is looked at first");

int pk_bpf_load_first(const struct pk_paths *paths, const struct pk_settings *settings,
		      struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_guard *skel = NULL;
	PK_OWN(close_fds) int fds[PK_MAP_COUNT] = { [0 ... PK_MAP_COUNT - 1] = -1 };
	struct pk_node node;
	int found, r;

	r = pk_pin_dirs(paths, err);
	if (r == 0)
		r = pk_pin_remove_builds(paths, "", err);
	if (r < 0)
		return r;
	found = find_maps(paths, fds, &node, err);
	if (found < 0)
		return found;
	if (!found) {
		r = pk_pin_remove(paths->maps, err);
		r = r == 0 ? pk_pin_dirs(paths, err) : r;
		r = r == 0 ? make_node(settings, &node, err) : r;
	}
	if (r == 0)
		r = load(&node, found ? fds : NULL, &skel, err);
	if (r == 0 && !found)
		r = fill_first(skel, &node, settings, err);
	pk_fault("programs-loaded");
	if (r == 0 && !found)
		r = pin_maps(paths, skel, err);
	if (r == 0)
		r = pin_programs(paths, skel, err);
	/*
	 * Whoever loads does this before anybody can find the tables, and so take a lease. It is
	 * done anew after a loader that was killed.
	 */
	if (r == 0)
		r = pk_records_outlive(paths, &node, err);
	pk_fault("leases-rebuilt");
	return r == 0 ? pk_pin_make_current(paths, pk_bpf_own_build(), err) : r;
}

/* Pins of a build appear whole, by rename. */
static bool is_pinned(const struct pk_paths *paths, const char *build)
{
	char path[PK_PATH_ROOM + 64];

	snprintf(path, sizeof(path), "%s/%s/programs", paths->pins, build);
	return access(path, F_OK) == 0;
}

int pk_bpf_load_beside(const struct pk_bpf *bpf, struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_guard *skel = NULL;
	int r;

	/* A controller was killed between loading and making it current: devices may run it. */
	if (is_pinned(bpf->paths, pk_bpf_own_build()))
		return 0;
	r = pk_pin_remove_builds(bpf->paths, bpf->build, err);
	if (r == 0)
		r = load(&bpf->node, bpf->map, &skel, err);
	return r == 0 ? pin_programs(bpf->paths, skel, err) : r;
}

int pk_bpf_rehearse(const struct pk_paths *paths, const struct pk_settings *settings, bool *pinned,
		    struct pk_err *err)
{
	PK_OWN(close_skel) struct pk_guard *skel = NULL;
	PK_OWN(close_fds) int fds[PK_MAP_COUNT] = { [0 ... PK_MAP_COUNT - 1] = -1 };
	struct pk_node node;
	int r;

	r = find_maps(paths, fds, &node, err);
	if (r < 0)
		return r;
	*pinned = r > 0;
	if (!*pinned)
		r = make_node(settings, &node, err);
	if (r < 0)
		return r;
	return load(&node, *pinned ? fds : NULL, &skel, err);
}
