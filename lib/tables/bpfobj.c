/* SPDX-License-Identifier: Apache-2.0 */
#include "bpfobj.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf_private.h"
#include "fs.h"
#include "tables.h"
#include "uplink.h"

#define ROOM (PK_PATH_ROOM + 64)

static size_t words_size(const struct pk_bpf *bpf)
{
	return (bpf->node.capacity + 1) * sizeof(*bpf->words);
}

static size_t endpoints_size(const struct pk_bpf *bpf)
{
	return (bpf->node.capacity + 1) * sizeof(*bpf->endpoints);
}

static void unmap(void *at, size_t size)
{
	if (at)
		munmap(at, size);
}

void pk_bpf_close(struct pk_bpf *bpf)
{
	if (!bpf)
		return;
	unmap(bpf->words, words_size(bpf));
	unmap(bpf->endpoints, endpoints_size(bpf));
	unmap(bpf->numbers, PK_NUMBER_COUNT * sizeof(*bpf->numbers));
	for (int i = 0; i < PK_MAP_COUNT; i++)
		if (bpf->map[i] >= 0)
			close(bpf->map[i]);
	for (int i = 0; i < PK_PROG_COUNT; i++)
		if (bpf->prog[i] >= 0)
			close(bpf->prog[i]);
	if (bpf->slow >= 0)
		close(bpf->slow);
	pk_tables_memo_free(bpf->memo);
	free(bpf);
}

static int fail_layout(struct pk_err *err, int num, const char *what)
{
	int r = pk_code(err, pk_fail(err, num, "%s", what), PK_CODE_LAYOUT);

	return pk_fix(err, r,
		      "install the release that loaded it, or reboot the node, or stop its "
		      "allocations and `picket sweep -all -apply`");
}

int pk_bpf_fail_pin(struct pk_err *err, int num, const char *path)
{
	if (num != ENOENT)
		return fail_layout(err, num, path);
	return pk_fix(err, pk_code(err, pk_fail(err, num, "%s", path), PK_CODE_LAYOUT),
		      "stop this node's allocations and picketd, `picket sweep -all -apply`, start "
		      "picketd; or reboot the node");
}

int pk_bpf_read_node(int map, struct pk_node *node, struct pk_err *err)
{
	static const __u32 zero;
	struct pk_map_info info;
	own_mem void *value = NULL;
	int r = pk_map_info(map, &info);

	if (r == 0 && info.type != BPF_MAP_TYPE_ARRAY)
		r = -EINVAL;
	if (r == 0) {
		/* The value of a newer release may be longer than the one known here. */
		value = pk_alloc(info.value_size + sizeof(*node));
		r = pk_map_get(map, &zero, value);
	}
	if (r < 0)
		return fail_layout(err, -r, "map node");
	memcpy(node, value, sizeof(*node));
	if (node->layout == PK_LAYOUT)
		return 0;
	r = pk_code(err,
		    pk_fail(err, 0, "the node's maps have layout %u, this program has %d",
			    node->layout, PK_LAYOUT),
		    PK_CODE_LAYOUT);
	return pk_fix(err, r, "install the release that loaded them, or reboot the node");
}

/* The bytes of each map's keys and values. */
#define SHAPE(KEY, VALUE) { sizeof(KEY), sizeof(VALUE) }
static const struct shape {
	uint32_t key, value;
} shapes[PK_MAP_COUNT] = {
	[PK_MAP_NODE] = SHAPE(uint32_t, struct pk_node),
	[PK_MAP_NUMBERS] = SHAPE(uint32_t, uint64_t),
	[PK_MAP_SLOTS] = SHAPE(uint32_t, uint32_t),
	[PK_MAP_ENDPOINTS] = SHAPE(uint32_t, struct pk_endpoint),
	[PK_MAP_ANSWERS] = SHAPE(uint32_t, struct pk_answers),
	[PK_MAP_WORDS] = SHAPE(uint32_t, uint64_t),
	[PK_MAP_LABELS] = SHAPE(struct pk_labels_key, struct pk_labels),
	[PK_MAP_BASES] = SHAPE(uint32_t, uint32_t),
	[PK_MAP_BY_ADDRESS] = SHAPE(union pk_addr, struct pk_local),
	[PK_MAP_REMOTE] = SHAPE(union pk_addr, struct pk_remote),
	[PK_MAP_POOLS] = SHAPE(struct pk_pool_key, struct pk_pool),
	[PK_MAP_TUNNELS] = SHAPE(union pk_addr, uint32_t),
	[PK_MAP_OPEN_PORTS] = SHAPE(struct pk_open_port_key, uint32_t),
	[PK_MAP_PUBLISHED] = SHAPE(struct pk_published_key, struct pk_published),
	[PK_MAP_PUBLISHED_PORTS] = SHAPE(uint32_t, uint64_t),
	[PK_MAP_RULE_SETS] = SHAPE(uint32_t, struct pk_rule_set),
	[PK_MAP_CIDR] = SHAPE(struct pk_cidr_key, uint32_t),
	[PK_MAP_PEER_CLASS] = SHAPE(struct pk_peer_class_key, uint32_t),
	[PK_MAP_VERDICTS] = SHAPE(struct pk_verdict_key, struct pk_verdict_value),
	[PK_MAP_FLOWS] = SHAPE(struct pk_flow_key, struct pk_flow),
	[PK_MAP_PLACES] = SHAPE(uint32_t, struct pk_flow_key),
	[PK_MAP_FRAGMENTS] = SHAPE(uint32_t, struct pk_fragment_place),
	[PK_MAP_BUCKETS] = SHAPE(uint32_t, struct pk_bucket),
	[PK_MAP_COUNTERS] = SHAPE(uint32_t, struct pk_counter),
	[PK_MAP_EVENTS] = { 0, 0 },
};

/*
 * A map of another shape is another layout's, whatever its number says: a build between two
 * releases may have the next one's number before its structs.
 */
static int check_shape(enum pk_map map, int fd, struct pk_err *err)
{
	const struct shape *shape = &shapes[map];
	struct pk_map_info info;
	char said[128];
	int r = pk_map_info(fd, &info);

	if (r < 0)
		return fail_layout(err, -r, pk_map_name(map));
	if (info.key_size == shape->key && info.value_size == shape->value)
		return 0;
	snprintf(said, sizeof(said),
		 "map %s has keys of %u bytes and values of %u, this program's have %u and %u",
		 pk_map_name(map), info.key_size, info.value_size, shape->key, shape->value);
	return fail_layout(err, EINVAL, said);
}

/* Opens the maps, the node first: what another layout lacks says less than that it is one. */
static int open_maps(struct pk_bpf *bpf, struct pk_err *err)
{
	char path[ROOM];
	int r = 0;

	for (int i = 0; i < PK_MAP_COUNT && r == 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", bpf->paths->maps, pk_map_name(i));
		bpf->map[i] = bpf_obj_get(path);
		if (bpf->map[i] < 0)
			return pk_bpf_fail_pin(err, errno, path);
		if (i == PK_MAP_NODE)
			r = pk_bpf_read_node(bpf->map[i], &bpf->node, err);
		if (r == 0)
			r = check_shape(i, bpf->map[i], err);
	}
	return r;
}

static int map_memory(int fd, size_t size, void **out)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

static int map_pages(struct pk_bpf *bpf, struct pk_err *err)
{
	int r = map_memory(bpf->map[PK_MAP_WORDS], words_size(bpf), (void **)&bpf->words);

	if (r == 0)
		r = map_memory(bpf->map[PK_MAP_ENDPOINTS], endpoints_size(bpf),
			       (void **)&bpf->endpoints);
	if (r == 0)
		r = map_memory(bpf->map[PK_MAP_NUMBERS], PK_NUMBER_COUNT * sizeof(*bpf->numbers),
			       (void **)&bpf->numbers);
	return r < 0 ? fail_layout(err, -r, "map the tables' pages") : 0;
}

/* Opens the build's programs; prog: descriptors by enum pk_prog, -1 = none yet. */
static int open_set(const struct pk_paths *paths, const char *build, int *prog, struct pk_err *err)
{
	char path[ROOM];

	for (int i = 0; i < PK_PROG_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", paths->pins, build, pk_prog_name(i));
		if (prog[i] >= 0)
			close(prog[i]);
		prog[i] = bpf_obj_get(path);
		if (prog[i] < 0)
			return pk_bpf_fail_pin(err, errno, path);
	}
	return 0;
}

/*
 * Opens the build's programs and its slow path. -ENOENT: one isn't there; another build has become
 * current meanwhile.
 */
static int open_programs(struct pk_bpf *bpf, const char *build, struct pk_err *err)
{
	char path[ROOM];
	int r = open_set(bpf->paths, build, bpf->prog, err);

	if (r < 0)
		return r;
	/*
	 * Whoever has it open holds the slow path: without it every device denies what has no flow.
	 */
	snprintf(path, sizeof(path), "%s/%s/" PK_PIN_SLOW, bpf->paths->pins, build);
	if (bpf->slow >= 0)
		close(bpf->slow);
	bpf->slow = bpf_obj_get(path);
	if (bpf->slow < 0)
		return pk_bpf_fail_pin(err, errno, path);
	strcpy(bpf->build, build);
	return 0;
}

static struct pk_bpf *new_handle(const struct pk_paths *paths)
{
	struct pk_bpf *bpf = pk_alloc(sizeof(*bpf));

	bpf->paths = paths;
	memset(bpf->map, -1, sizeof(bpf->map));
	memset(bpf->prog, -1, sizeof(bpf->prog));
	bpf->slow = -1;
	return bpf;
}

static int read_current(const struct pk_paths *paths, char build[24], struct pk_err *err)
{
	int r = pk_pin_current(paths, build);

	if (r == 0)
		return 0;
	return pk_code(err, pk_fail(err, -r, "%s/current", paths->pins), PK_CODE_KERNEL);
}

/* Another build may become current meanwhile. */
static int open_build(struct pk_bpf *bpf, struct pk_err *err)
{
	char build[24];
	int r = -ENOENT;

	for (int tries = 0; tries < 3 && r == -ENOENT; tries++) {
		r = read_current(bpf->paths, build, err);
		if (r == 0)
			r = open_programs(bpf, build, err);
	}
	return r;
}

/*
 * Opens the current load; -ENOENT where nothing is loaded. The tables come first: those of another
 * layout are of a release whose programs may be others.
 */
static int open_current(const struct pk_paths *paths, struct pk_bpf **out, struct pk_err *err)
{
	own_bpf *bpf = new_handle(paths);
	char build[24];
	int r = read_current(paths, build, err);

	if (r < 0)
		return r;
	r = open_maps(bpf, err);
	if (r == 0)
		r = open_build(bpf, err);
	/*
	 * `current` with a part missing would read as "not loaded", and the loader would take the
	 * slow path from the devices that run: what is left goes on until somebody decides.
	 */
	if (r == -ENOENT)
		r = -ESTALE;
	if (r == 0)
		r = map_pages(bpf, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(bpf, NULL);
	return 0;
}

int pk_node_lock(const struct pk_paths *paths, uint64_t deadline_ns, int *fd, struct pk_err *err)
{
	char path[ROOM];
	int r = pk_fs_mkdirs(paths->lock, 0700, err);

	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	snprintf(path, sizeof(path), "%s/" PK_LOCK_NODE, paths->lock);
	return pk_fs_lock(path, deadline_ns, fd, err);
}

/*
 * Attaches to the uplinks. Somebody before us there may still pass on what is ours: each ADD says
 * so.
 */
static int attach_uplinks(const struct pk_bpf *bpf, struct pk_err *err)
{
	own_nl *nl = NULL;
	struct pk_err seen = { 0 };
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_uplinks_attach(bpf, bpf->node.uplink, nl, &seen);
	if (r < 0 && r != -EPERM && err)
		*err = seen;
	return r == -EPERM ? 0 : r;
}

static int load_and_open(const struct pk_paths *paths, const struct pk_settings *settings,
			 uint64_t deadline_ns, struct pk_bpf **out, struct pk_err *err)
{
	own_fd int lock = -1;
	int r = pk_node_lock(paths, deadline_ns, &lock, err);

	if (r < 0)
		return r;
	r = open_current(paths, out, NULL);
	if (r != -ENOENT)
		return r == 0 ? 0 : open_current(paths, out, err);
	r = pk_bpf_load_first(paths, settings, err);
	if (r == 0)
		r = open_current(paths, out, err);
	if (r < 0)
		return r;
	(*out)->loaded = true;
	return attach_uplinks(*out, err);
}

int pk_bpf_open(struct pk_bpf **bpf, const struct pk_paths *paths, enum pk_bpf_mode mode,
		const struct pk_settings *settings, uint64_t deadline_ns, struct pk_err *err)
{
	int r = pk_bpffs_check(paths, err);

	if (r < 0)
		return r;
	r = open_current(paths, bpf, err);
	if (r != -ENOENT || mode == PK_BPF_READ)
		return r;
	if (err)
		*err = (struct pk_err){ 0 };
	return load_and_open(paths, settings, deadline_ns, bpf, err);
}

static void close_programs(int (*prog)[PK_PROG_COUNT])
{
	for (int i = 0; i < PK_PROG_COUNT; i++)
		if ((*prog)[i] >= 0)
			close((*prog)[i]);
}

/* Switches all devices, or none: what a failed switch left is switched back. */
static int switch_or_back(struct pk_bpf *bpf, const int *old, pk_bpf_switch_fn *switch_devices,
			  void *arg, struct pk_err *err)
{
	int r = switch_devices(arg, bpf->prog, old, err);

	if (r == 0)
		r = pk_pin_make_current(bpf->paths, bpf->build, err);
	if (r < 0)
		switch_devices(arg, old, bpf->prog, NULL);
	return r;
}

/*
 * Ends another build that is pinned beside the current one. Devices may still run it; one that
 * lacks a program was never pinned whole, and runs nowhere.
 */
static int end_build(const struct pk_bpf *bpf, const char *build, pk_bpf_switch_fn *switch_devices,
		     void *arg, struct pk_err *err)
{
	PK_OWN(close_programs) int old[PK_PROG_COUNT] = { [0 ... PK_PROG_COUNT - 1] = -1 };
	char dir[ROOM];
	int r;

	snprintf(dir, sizeof(dir), "%s/%s", bpf->paths->pins, build);
	r = open_set(bpf->paths, build, old, err);
	if (r == -ENOENT)
		return pk_pin_remove(dir, err);
	if (r == 0)
		r = switch_devices(arg, bpf->prog, old, err);
	return r == 0 ? pk_pin_remove(dir, err) : r;
}

/*
 * Finishes what a kill cut short: the switch to this build after it had become current, or the one
 * to another build that was given up. Returns -EALREADY where nothing is left to do.
 */
static int finish_switch(const struct pk_bpf *bpf, pk_bpf_switch_fn *switch_devices, void *arg,
			 uint64_t deadline_ns, struct pk_err *err)
{
	own_fd int lock = -1;
	char build[24];
	int r;

	if (!pk_pin_other_build(bpf->paths, bpf->build, build))
		return -EALREADY;
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r == 0)
		r = read_current(bpf->paths, build, err);
	if (r == 0 && strcmp(build, bpf->build))
		r = -EALREADY; /* somebody else has switched meanwhile: the next look sees it */
	while (r == 0 && pk_pin_other_build(bpf->paths, bpf->build, build))
		r = end_build(bpf, build, switch_devices, arg, err);
	return r == 0 ? -EALREADY : r;
}

int pk_bpf_upgrade(struct pk_bpf *bpf, pk_bpf_switch_fn *switch_devices, void *arg,
		   uint64_t deadline_ns, struct pk_err *err)
{
	PK_OWN(close_programs) int old[PK_PROG_COUNT] = { [0 ... PK_PROG_COUNT - 1] = -1 };
	char was[sizeof(bpf->build)];
	own_fd int lock = -1;
	int r;

	if (!strcmp(bpf->build, pk_bpf_own_build()))
		return finish_switch(bpf, switch_devices, arg, deadline_ns, err);
	strcpy(was, bpf->build);
	r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r == 0)
		r = pk_bpf_load_beside(bpf, err);
	if (r < 0)
		return r;
	memcpy(old, bpf->prog, sizeof(old));
	memset(bpf->prog, -1, sizeof(bpf->prog));
	r = open_programs(bpf, pk_bpf_own_build(), err);
	if (r == 0)
		r = switch_or_back(bpf, old, switch_devices, arg, err);
	/* The array of the old build's slow path goes with its pin: only when no device runs it. */
	if (r == 0)
		pk_pin_remove_builds(bpf->paths, bpf->build, NULL);
	else
		open_programs(bpf, was, NULL);
	return r;
}
