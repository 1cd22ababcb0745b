/* SPDX-License-Identifier: Apache-2.0 */
/* The first load of a node: once, whole, by whoever comes first; what was left half is removed. */
#include "kernel_room.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PROCESSES 20

struct seen {
	uint64_t epoch[2];
	bool loaded, ok;
};
static struct seen *seen; /* shared */

static int open_once(int i)
{
	struct pk_err err = { 0 };
	own_bpf *bpf = NULL;
	int r = pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err);

	if (r < 0) {
		fprintf(stderr, "process %d: %s\n", i, err.text);
		return 1;
	}
	memcpy(seen[i].epoch, bpf->node.epoch, sizeof(seen[i].epoch));
	seen[i].loaded = bpf->loaded;
	seen[i].ok = true;
	return 0;
}

static void unload(void)
{
	assert_ok(pk_bpf_unpin_all(&room.paths, &e));
}

static bool is_there(const char *below)
{
	char path[PK_PATH_ROOM + 64];

	snprintf(path, sizeof(path), "%s/%s", room.paths.pins, below);
	return access(path, F_OK) == 0;
}

static void test_no_bpffs(void **state)
{
	struct pk_err err = { 0 };
	struct pk_paths elsewhere;
	struct pk_bpf *bpf;
	char root[128];

	(void)state;
	NEED_ROOM();
	snprintf(root, sizeof(root), "%s/elsewhere", room.dir);
	assert_ok(pk_paths_init(&elsewhere, root, &e));
	assert_int_equal(
		pk_bpf_open(&bpf, &elsewhere, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err),
		-EINVAL);
	assert_int_equal(err.code, PK_CODE_KERNEL);
	assert_non_null(strstr(err.fix, "mount -t bpf"));
}

static void test_nothing_loaded(void **state)
{
	struct pk_err err = { 0 };
	struct pk_bpf *bpf;

	(void)state;
	NEED_ROOM();
	assert_int_equal(pk_bpf_open(&bpf, &room.paths, PK_BPF_READ, NULL, 0, &err), -ENOENT);
	assert_false(is_there(""));
}

/* Twenty ADDs of a fresh node at once: one loads, all use the same maps. */
static void test_first_load_at_once(void **state)
{
	int loaded = 0, failed = 0;
	pid_t pid[PROCESSES];

	(void)state;
	NEED_ROOM();
	seen = mmap(NULL, PROCESSES * sizeof(*seen), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	for (int i = 0; i < PROCESSES; i++)
		pid[i] = spawn(open_once, i);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		failed += !WIFEXITED(status) || WEXITSTATUS(status);
		loaded += seen[i].loaded;
	}
	assert_int_equal(failed, 0);
	assert_int_equal(loaded, 1);
	for (int i = 1; i < PROCESSES; i++)
		assert_memory_equal(seen[i].epoch, seen[0].epoch, sizeof(seen[0].epoch));
	munmap(seen, PROCESSES * sizeof(*seen));
	unload();
}

static void make_dir(const char *below)
{
	char path[PK_PATH_ROOM + 64];

	snprintf(path, sizeof(path), "%s/%s", room.paths.pins, below);
	mkdir(room.paths.pins, 0700);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* A loader was killed: build directory not renamed; or pins there and no `current`. */
static void test_leftovers(void **state)
{
	char fresh[64], current[PK_PATH_ROOM + 64];
	struct pk_node node;
	struct pk_bpf *bpf;

	(void)state;
	NEED_ROOM();
	snprintf(fresh, sizeof(fresh), "%snew", pk_bpf_own_build());
	make_dir(fresh);
	make_dir("maps");
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	assert_false(is_there(fresh));
	node = bpf->node;
	pk_bpf_close(bpf);
	/* whole maps, no current: they are used, epoch and all, even with other sizes asked for */
	snprintf(current, sizeof(current), "%s/current", room.paths.pins);
	assert_int_equal(unlink(current), 0);
	room.settings.capacity = 32;
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	room.settings.capacity = 16;
	assert_true(bpf->loaded);
	assert_memory_equal(&bpf->node, &node, sizeof(node));
	pk_bpf_close(bpf);
	/* maps without `node` are a load that was cut short: a new epoch */
	assert_int_equal(unlink(current), 0);
	snprintf(current, sizeof(current), "%s/node", room.paths.maps);
	assert_int_equal(unlink(current), 0);
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	assert_memory_not_equal(bpf->node.epoch, node.epoch, sizeof(node.epoch));
	pk_bpf_close(bpf);
	unload();
}

/*
 * An ADD loads too, long before picketd may come: the port that nodes alone send to is closed to
 * endpoints from the first one on.
 */
static void test_the_overlays_port(void **state)
{
	struct pk_settings settings = room.settings;
	struct pk_bpf *bpf;

	(void)state;
	NEED_ROOM();
	settings.vxlan.on = true;
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &settings, IN_A_WHILE, &e));
	assert_int_equal(bpf->node.overlay.port, htons((uint16_t)settings.vxlan.port));
	assert_int_equal(bpf->node.overlay.ifindex, 0);
	pk_bpf_close(bpf);
	unload();
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	assert_int_equal(bpf->node.overlay.port, 0);
	pk_bpf_close(bpf);
	unload();
}

/* Something took a pin away: no load anew, which would cut the devices that run; a clear error. */
static void test_a_pin_is_gone(void **state)
{
	const char *const gone[] = { "maps/flows", "maps/node", "%s/pk_from_endpoint",
				     "%s/programs" };

	(void)state;
	NEED_ROOM();
	for (size_t i = 0; i < PK_ARRAY_LEN(gone); i++) {
		char pin[64], path[PK_PATH_ROOM + 80];
		struct pk_err err = { 0 };
		struct pk_bpf *bpf;

		assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE,
				      &e));
		pk_bpf_close(bpf);
		snprintf(pin, sizeof(pin), gone[i], pk_bpf_own_build());
		snprintf(path, sizeof(path), "%s/%s", room.paths.pins, pin);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings,
					     IN_A_WHILE, &err),
				 -ESTALE);
		assert_int_equal(err.code, PK_CODE_LAYOUT);
		assert_non_null(strstr(err.text, pin));
		assert_non_null(strstr(err.fix, "reboot"));
		assert_true(is_there("current"));
		assert_true(is_there("maps/words"));
		assert_ok(pk_bpf_unpin_all(&room.paths, &e));
	}
	unload();
}

static void test_layout(void **state)
{
	static const uint32_t zero;
	struct pk_err err = { 0 };
	struct pk_bpf *bpf;
	struct pk_node node;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	node = bpf->node;
	node.layout = PK_LAYOUT + 1;
	assert_int_equal(pk_map_set(bpf->map[PK_MAP_NODE], &zero, &node, 0), 0);
	pk_bpf_close(bpf);
	assert_int_equal(
		pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err),
		-EINVAL);
	assert_int_equal(err.code, PK_CODE_LAYOUT);
	assert_non_null(strstr(err.text, "layout"));
	unload();
}

/* What a newer release pinned: its node is longer, and it may lack what this one has. */
static void pin_newer_node(void)
{
	static const uint32_t zero;
	uint8_t value[8192] = { 0 };
	struct pk_node *node = (struct pk_node *)value;
	char path[PK_PATH_ROOM + 64];
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "node", sizeof(zero), sizeof(value), 1, NULL);

	memset(value, 0xff, sizeof(value));
	node->layout = PK_LAYOUT + 1;
	assert_int_equal(pk_map_set(map, &zero, value, 0), 0);
	snprintf(path, sizeof(path), "%s/fragments", room.paths.maps);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/node", room.paths.maps);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	close(map);
}

/* A build of the same layout's number whose endpoints were shorter: its tables are refused. */
static void test_another_shape(void **state)
{
	char path[PK_PATH_ROOM + 64];
	struct pk_err err = { 0 };
	struct pk_bpf *bpf;
	int map;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	pk_bpf_close(bpf);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "endpoints", 4, sizeof(struct pk_endpoint) - 8, 4,
			     NULL);
	snprintf(path, sizeof(path), "%s/endpoints", room.paths.maps);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	close(map);
	assert_int_equal(
		pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err),
		-EINVAL);
	assert_int_equal(err.code, PK_CODE_LAYOUT);
	assert_non_null(strstr(err.text, "map endpoints has keys of 4 bytes and values of"));
	assert_non_null(strstr(err.fix, "install the release that loaded it"));
	assert_ok(pk_bpf_unpin_all(&room.paths, &e));
	unload();
}

static void test_a_newer_layout(void **state)
{
	char current[PK_PATH_ROOM + 64];
	struct pk_err err = { 0 };
	struct pk_bpf *bpf;
	bool pinned;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_bpf_rehearse(&room.paths, &room.settings, &pinned, &e));
	assert_false(pinned);
	assert_false(is_there("maps/node"));
	assert_ok(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &e));
	pk_bpf_close(bpf);
	assert_ok(pk_bpf_rehearse(&room.paths, &room.settings, &pinned, &e));
	assert_true(pinned);
	pin_newer_node();
	snprintf(current, sizeof(current), "%s/current", room.paths.pins);
	for (int without = 0; without < 2; without++) {
		assert_int_equal(pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings,
					     IN_A_WHILE, &err),
				 -EINVAL);
		assert_int_equal(err.code, PK_CODE_LAYOUT);
		assert_non_null(strstr(err.text, "maps have layout"));
		unlink(current);
	}
	assert_int_equal(pk_bpf_rehearse(&room.paths, &room.settings, &pinned, &err), -EINVAL);
	assert_non_null(strstr(err.text, "maps have layout"));
	assert_ok(pk_bpf_unpin_all(&room.paths, &e));
	unload();
}

/* Room for every flow that the settings promise, or no load. */
static void test_too_many_flows(void **state)
{
	struct pk_err err = { 0 };
	struct pk_bpf *bpf;

	(void)state;
	NEED_ROOM();
	room.settings.capacity = PK_CAPACITY_MAX;
	room.settings.flow_budget = 2 * PK_FLOWS_MAX / PK_CAPACITY_MAX;
	assert_int_equal(
		pk_bpf_open(&bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err),
		-EINVAL);
	assert_non_null(strstr(err.fix, "flowsPerEndpoint"));
	room.settings.capacity = room.settings.flow_budget = 0;
	unload();
}

/* Everything that a loader pins is gone afterwards. */
static void test_unpin(void **state)
{
	(void)state;
	NEED_ROOM();
	assert_false(is_there(""));
	unload();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_bpffs),
		cmocka_unit_test(test_nothing_loaded),
		cmocka_unit_test(test_first_load_at_once),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_the_overlays_port),
		cmocka_unit_test(test_a_pin_is_gone),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_another_shape),
		cmocka_unit_test(test_a_newer_layout),
		cmocka_unit_test(test_too_many_flows),
		cmocka_unit_test(test_unpin),
	};

	return cmocka_run_group_tests(tests, room_enter, room_leave);
}
