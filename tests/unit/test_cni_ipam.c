/* SPDX-License-Identifier: Apache-2.0 */
/* Address management: the arithmetic, and the lease files in a directory of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipam.h"
#include "lease.h"
#include "fs.h"
#include "own.h"

static const union pk_addr no_gateway;

static union pk_addr addr(const char *text)
{
	union pk_addr a;

	assert_int_equal(pk_addr_parse(text, &a), 0);
	return a;
}

static struct pk_prefix prefix(const char *text)
{
	struct pk_prefix p;

	assert_int_equal(pk_prefix_parse(text, &p), 0);
	return p;
}

static void assert_addr(const union pk_addr *a, const char *want)
{
	char text[PK_ADDR_TEXT];

	assert_string_equal(pk_addr_format(a, text), want);
}

static void a_block_leaves_out_network_gateway_and_broadcast(void **state)
{
	static const struct {
		const char *block, *gateway;
		uint64_t size;
		const char *first, *last;
	} rows[] = {
		{ "10.40.7.0/24", NULL, 253, "10.40.7.2", "10.40.7.254" },
		{ "10.40.7.0/30", NULL, 1, "10.40.7.2", "10.40.7.2" },
		{ "10.40.7.0/24", "10.40.7.254", 253, "10.40.7.1", "10.40.7.253" },
		{ "10.40.7.0/24", "10.40.8.254", 253, "10.40.7.2", "10.40.7.254" },
		{ "10.40.0.0/16", NULL, 65533, "10.40.0.2", "10.40.255.254" },
		{ "fd00:40:7::/120", NULL, 255, "fd00:40:7::1", "fd00:40:7::ff" },
		{ "fd00:40:7::/64", NULL, 4294967295, "fd00:40:7::1", "fd00:40:7::ffff:ffff" },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_prefix p = prefix(rows[i].block);
		union pk_addr g = rows[i].gateway ? addr(rows[i].gateway) : no_gateway, a;

		assert_int_equal(cni_block_size(&p, &g), rows[i].size);
		a = cni_block_addr(&p, &g, 0);
		assert_addr(&a, rows[i].first);
		a = cni_block_addr(&p, &g, rows[i].size - 1);
		assert_addr(&a, rows[i].last);
	}
}

static void every_address_of_a_block_comes_once(void **state)
{
	struct pk_prefix p = prefix("10.40.7.0/27");
	union pk_addr g = addr("10.40.7.9");
	struct pk_lease held[64] = { 0 };
	struct cni_ipam ipam = { .pool = &p, .n_pools = 1, .gateway = g, .leases = held };
	union pk_addr a;

	(void)state;
	while (cni_ipam_pick(&ipam, false, ipam.n_leases * 7, &a)) {
		assert_true(cni_block_of(&ipam, &a) == &p);
		for (size_t i = 0; i < ipam.n_leases; i++)
			assert_false(pk_addr_equal(&held[i].addr, &a));
		assert_true(ipam.n_leases < 29);
		held[ipam.n_leases++] = (struct pk_lease){ .addr = a, .state = PK_LEASE_HELD };
		pk_leases_sort(held, ipam.n_leases);
	}
	assert_int_equal(ipam.n_leases, 29);
}

static void a_resting_address_is_the_last_choice(void **state)
{
	struct pk_prefix p = prefix("10.40.7.0/29"); /* .2 to .6 */
	struct pk_lease l[8] = {
		{ .addr = addr("10.40.7.2"), .state = PK_LEASE_HELD },
		{ .addr = addr("10.40.7.3"), .state = PK_LEASE_RESTING, .freed_s = 20 },
		{ .addr = addr("10.40.7.4"), .state = PK_LEASE_RESTING, .freed_s = 10 },
		{ .addr = addr("10.40.7.5"), .state = PK_LEASE_HELD },
		{ .addr = addr("10.40.7.5"), .state = PK_LEASE_RESTING, .freed_s = 1 },
		{ .addr = addr("10.99.0.1"), .state = PK_LEASE_RESTING, .freed_s = 1 },
	};
	struct cni_ipam ipam = { .pool = &p, .n_pools = 1, .leases = l, .n_leases = 6 };
	union pk_addr a;

	(void)state;
	pk_leases_sort(l, 6);
	assert_true(cni_ipam_pick(&ipam, false, 1, &a));
	assert_addr(&a, "10.40.7.6");
	l[6] = (struct pk_lease){ .addr = a, .state = PK_LEASE_HELD };
	ipam.n_leases = 7;
	pk_leases_sort(l, 7);
	/* The one freed first; .5 is held again, and 10.99.0.1 is of no block of ours. */
	assert_true(cni_ipam_pick(&ipam, false, 0, &a));
	assert_addr(&a, "10.40.7.4");
	assert_false(cni_ipam_pick(&ipam, true, 0, &a));
	assert_false(cni_ipam_has_family(&ipam, true));
}

static void a_second_block_is_used_when_the_first_is_full(void **state)
{
	struct pk_prefix p[2] = { prefix("10.40.7.0/30"), prefix("10.40.8.0/30") };
	struct pk_lease l = { .addr = addr("10.40.7.2"), .state = PK_LEASE_HELD };
	struct cni_ipam ipam = { .pool = p, .n_pools = 2, .leases = &l, .n_leases = 1 };
	union pk_addr a;

	(void)state;
	assert_true(cni_ipam_pick(&ipam, false, 9, &a));
	assert_addr(&a, "10.40.8.2");
}

static bool first_three(const union pk_addr *a)
{
	return pk_addr_is4(a) && a->b[15] < 5;
}

static bool every_one(const union pk_addr *a)
{
	(void)a;
	return true;
}

static void the_node_s_own_addresses_are_no_endpoint_s(void **state)
{
	struct pk_prefix p = prefix("10.40.7.0/29");
	struct cni_ipam ipam = { .pool = &p, .n_pools = 1, .is_local = first_three };
	union pk_addr a;

	(void)state;
	assert_true(cni_ipam_pick(&ipam, false, 0, &a));
	assert_addr(&a, "10.40.7.5");
	ipam.is_local = every_one;
	assert_false(cni_ipam_pick(&ipam, false, 0, &a));
}

static void what_no_endpoint_may_have(void **state)
{
	struct pk_prefix p[2] = { prefix("10.40.7.0/24"), prefix("fd00:40:7::/64") };
	struct cni_ipam ipam = { .pool = p, .n_pools = 2 };
	static const char *const no[] = { "10.40.7.0",	 "10.40.7.1",	 "10.40.7.255", "10.40.8.2",
					  "fd00:40:7::", "fd00:40:8::2", "fe80::2" };
	static const char *const yes[] = { "10.40.7.2", "10.40.7.254", "fd00:40:7::1" };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(no); i++) {
		union pk_addr a = addr(no[i]);

		if (cni_block_of(&ipam, &a))
			fail_msg("%s may be an endpoint's", no[i]);
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(yes); i++) {
		union pk_addr a = addr(yes[i]);

		if (!cni_block_of(&ipam, &a))
			fail_msg("%s may not be an endpoint's", yes[i]);
	}
}

/* Lease files. */
static char directory[] = "/tmp/pk-lease-XXXXXX";
static char marks_directory[64];

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/pk-lease-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(marks_directory, sizeof(marks_directory), "%s/.pools", directory);
	return 0;
}

static int teardown(void **state)
{
	const char *const dirs[] = { marks_directory, directory };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(dirs); i++) {
		own_dir DIR *d = opendir(dirs[i]);
		const struct dirent *e;

		while (d && (e = readdir(d)))
			unlinkat(dirfd(d), e->d_name, 0);
		if (rmdir(dirs[i]) < 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}

static size_t leases(const struct pk_lease_dir *dir, struct pk_lease **out)
{
	struct pk_err err = { 0 };
	size_t n = 0;

	assert_int_equal(pk_leases_read(dir, out, &n, &err), 0);
	return n;
}

static bool exists(const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return lstat(path, &st) == 0;
}

static void a_lease_is_taken_once_freed_by_its_owner_and_rests(void **state)
{
	struct pk_lease_dir dir = { .path = directory, .marks = marks_directory, .now_s = 1000 };
	union pk_addr a = addr("10.40.7.2"), b = addr("fd00::2");
	struct pk_prefix block = prefix("10.40.7.0/24");
	own_lease_marks marks = { 0 };
	own_mem struct pk_lease *l = NULL;
	own_mem struct pk_lease *l2 = NULL;
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(pk_lease_take(&dir, &a, "x@eth0", &err), 0);
	assert_int_equal(pk_lease_take(&dir, &b, "x@eth0", &err), 0);
	assert_int_equal(pk_lease_marks_open(&dir, &block, &marks, &err), 0);
	assert_int_equal(*pk_lease_mark(&marks, &a), PK_MARK_HELD); /* made as the leases say */
	assert_int_equal(pk_lease_take(&dir, &a, "y@eth0", &err), -EEXIST);
	assert_int_equal(pk_lease_take(&dir, &a, "x@eth0", &err), -EEXIST);
	assert_int_equal(pk_lease_is(&dir, &a, "x@eth0", &err), 1);
	assert_int_equal(pk_lease_is(&dir, &a, "y@eth0", &err), 0);
	/* Another's is left alone. */
	assert_int_equal(pk_lease_free(&dir, &a, "y@eth0", &err), 0);
	assert_true(exists("10.40.7.2"));
	assert_int_equal(pk_lease_free(&dir, &a, "x@eth0", &err), 0);
	assert_false(exists("10.40.7.2"));
	assert_int_equal(*pk_lease_mark(&marks, &a), 1000);
	assert_int_equal(pk_lease_free(&dir, &a, "x@eth0", &err), 0); /* gone is fine */
	dir.now_s = 1059;
	assert_int_equal(leases(&dir, &l), 2);
	assert_int_equal(l[0].state, PK_LEASE_RESTING);
	assert_int_equal(l[0].freed_s, 1000);
	assert_addr(&l[1].addr, "fd00::2");
	assert_int_equal(l[1].state, PK_LEASE_HELD);
	dir.now_s = 1060;
	assert_int_equal(leases(&dir, &l2), 1);
	assert_addr(&l2[0].addr, "fd00::2");
}

static void set_mark(const struct pk_lease_marks *marks, const char *text, uint32_t mark)
{
	union pk_addr a = addr(text);

	*pk_lease_mark(marks, &a) = mark;
}

static void marks_name_a_free_address_without_any_list(void **state)
{
	static uint32_t words[PK_MARKS_MAX];
	struct pk_lease_marks marks = { .block = prefix("10.40.7.0/29"), .at = words };
	struct cni_ipam ipam = { .pool = &marks.block, .n_pools = 1 };
	union pk_addr a;

	(void)state;
	set_mark(&marks, "10.40.7.3", PK_MARK_HELD);
	set_mark(&marks, "10.40.7.4", 941);
	assert_true(cni_ipam_pick_marked(&ipam, &marks, 1, 1000, &a));
	assert_addr(&a, "10.40.7.5"); /* .3 is held, .4 rests */
	assert_true(cni_ipam_pick_marked(&ipam, &marks, 2, 1001, &a));
	assert_addr(&a, "10.40.7.4"); /* it has rested */
	ipam.is_local = first_three;
	assert_true(cni_ipam_pick_marked(&ipam, &marks, 0, 1000, &a));
	assert_addr(&a, "10.40.7.5");
	for (uint32_t i = 2; i < 7; i++)
		words[i] = i == 6 ? 999 : PK_MARK_HELD;
	/* One rests: the leases are to be asked, not the marks. */
	assert_false(cni_ipam_pick_marked(&ipam, &marks, 0, 1000, &a));
}

static void marks_end_where_a_large_block_goes_on(void **state)
{
	static uint32_t words[PK_MARKS_MAX];
	struct pk_lease_marks marks = { .block = prefix("fd00:40:7::/64"), .at = words };
	union pk_addr last = addr("fd00:40:7::3fff"), beyond = addr("fd00:40:7::4000");
	union pk_addr far = addr("fd00:40:7:0:1::1"), other = addr("fd00:40:8::1");

	(void)state;
	assert_true(pk_lease_mark(&marks, &last) == &words[PK_MARKS_MAX - 1]);
	assert_null(pk_lease_mark(&marks, &beyond));
	assert_null(pk_lease_mark(&marks, &far));
	assert_null(pk_lease_mark(&marks, &other));
}

static bool nobody(void *arg, const union pk_addr *a)
{
	(void)arg, (void)a;
	return false;
}

/* Whoever frees is killed between lease and mark; somebody puts a short file into its place. */
static void marks_are_mended_and_never_trusted(void **state)
{
	struct pk_lease_dir dir = { .path = directory, .marks = marks_directory, .now_s = 1000 };
	struct pk_prefix block = prefix("10.40.7.0/24"), none = prefix("10.40.8.0/24");
	union pk_addr a = addr("10.40.7.9");
	own_lease_marks marks = { 0 };
	struct pk_lease_marks bad;
	char path[600];

	(void)state;
	assert_int_equal(pk_lease_marks_open(&dir, &block, &marks, NULL), 0);
	*pk_lease_mark(&marks, &a) = PK_MARK_HELD;
	pk_lease_marks_settle(&dir, nobody, NULL);
	assert_int_equal(*pk_lease_mark(&marks, &a), 1000);
	snprintf(path, sizeof(path), "%s/10.40.8.0-24", marks_directory);
	assert_int_equal(pk_fs_write_quick(path, "x", 1, 0600, NULL), 0);
	assert_int_equal(pk_lease_marks_open(&dir, &none, &bad, NULL), -EINVAL);
	assert_null(bad.at);
	pk_lease_marks_set(&dir, &a, PK_MARK_FREE); /* passes over it */
	assert_int_equal(*pk_lease_mark(&marks, &a), PK_MARK_FREE);
}

static void foreign_names_in_the_directory_are_left_alone(void **state)
{
	static const char *const names[] = { "README", "10.40.7.2.x.y", "10.40.7.300",
					     "10.40.7.2.5", ".take.1.10.40.7.2" };
	static const char rested[] = "10.40.7.2.1000.00000000000000010000000000000002";
	struct pk_lease_dir dir = { .path = directory, .now_s = 1000 };
	own_mem struct pk_lease *l = NULL;
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/%s", directory, rested);
	assert_int_equal(pk_fs_write_quick(path, "x", 1, 0600, NULL), 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		assert_int_equal(pk_fs_write_quick(path, "x", 1, 0600, NULL), 0);
	}
	assert_int_equal(leases(&dir, &l), 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(names); i++)
		assert_true(exists(names[i]));
	assert_false(exists(rested)); /* the first release's */
}

static void pruning_keeps_only_the_owners_named(void **state)
{
	struct pk_lease_dir dir = { .path = directory, .now_s = 1000 };
	const char *keep[] = { "x@eth0", NULL };
	union pk_addr a = addr("10.40.7.2"), b = addr("10.40.7.3");
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(pk_lease_take(&dir, &a, "x@eth0", &err), 0);
	assert_int_equal(pk_lease_take(&dir, &b, "y@eth0", &err), 0);
	assert_int_equal(pk_leases_prune(&dir, keep, &err), 0);
	assert_true(exists("10.40.7.2"));
	assert_false(exists("10.40.7.3"));
}

static void processes_at_once_never_get_one_address_twice(void **state)
{
	struct pk_lease_dir dir = { .path = directory, .now_s = 1000 };
	struct pk_prefix p = prefix("10.40.7.0/28"); /* 13 addresses */
	int got = 0;
	own_mem struct pk_lease *l = NULL;

	(void)state;
	for (int i = 0; i < 20; i++) {
		if (fork())
			continue;
		for (;;) {
			struct cni_ipam ipam = { .pool = &p, .n_pools = 1 };
			struct pk_lease *held = NULL;
			char owner[32];
			union pk_addr a;
			int r;

			snprintf(owner, sizeof(owner), "c%d@eth0", i);
			if (pk_leases_read(&dir, &held, &ipam.n_leases, NULL) < 0)
				_exit(2);
			ipam.leases = held;
			if (!cni_ipam_pick(&ipam, false, 0, &a))
				_exit(1);
			free(held);
			r = pk_lease_take(&dir, &a, owner, NULL);
			if (r == 0)
				_exit(0);
			if (r != -EEXIST)
				_exit(2);
		}
	}
	for (int i = 0; i < 20; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		got += WEXITSTATUS(status) == 0;
	}
	assert_int_equal(got, 13);
	assert_int_equal(leases(&dir, &l), 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_leaves_out_network_gateway_and_broadcast),
		cmocka_unit_test(every_address_of_a_block_comes_once),
		cmocka_unit_test(a_resting_address_is_the_last_choice),
		cmocka_unit_test(a_second_block_is_used_when_the_first_is_full),
		cmocka_unit_test(what_no_endpoint_may_have),
		cmocka_unit_test(the_node_s_own_addresses_are_no_endpoint_s),
		cmocka_unit_test_setup_teardown(a_lease_is_taken_once_freed_by_its_owner_and_rests,
						setup, teardown),
		cmocka_unit_test(marks_name_a_free_address_without_any_list),
		cmocka_unit_test(marks_end_where_a_large_block_goes_on),
		cmocka_unit_test_setup_teardown(marks_are_mended_and_never_trusted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(foreign_names_in_the_directory_are_left_alone,
						setup, teardown),
		cmocka_unit_test_setup_teardown(pruning_keeps_only_the_owners_named, setup,
						teardown),
		cmocka_unit_test_setup_teardown(processes_at_once_never_get_one_address_twice,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
