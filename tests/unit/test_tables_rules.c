/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets in real maps: shared, built aside, changed in place, freed; nothing left of a failure.
 */
#include "kernel_room.h"

#include <errno.h>

static struct pk_bpf *b(void)
{
	return room.bpf;
}

static struct pk_cidr_list *list_of(uint64_t digest, size_t n)
{
	struct pk_cidr_list *list = pk_alloc(sizeof(*list));

	list->refs = 1;
	list->digest[0] = list->digest[1] = digest;
	list->n = n;
	list->entries = pk_alloc(n * sizeof(*list->entries));
	for (size_t i = 0; i < n; i++) {
		list->entries[i].addr = pk_addr_from4(__builtin_bswap32((__u32)i + 1));
		list->entries[i].bits = 128;
		list->entries[i].class_nr = PK_CLASS_FIRST;
	}
	return list;
}

/* n classes that are allowed; the first peer is a tenant, the second an identity. */
static struct pk_image *image_of(uint64_t digest, size_t n)
{
	struct pk_image *image = room_image(digest, n);

	image->peers = pk_alloc(2 * sizeof(*image->peers));
	image->n_peers = 2;
	image->peers[0] = (struct pk_peer_entry){ .hash = { 8, 1 },
						  .class_nr = PK_CLASS_FIRST,
						  .tenant = true };
	image->peers[1] =
		(struct pk_peer_entry){ .hash = { 9, 1 }, .class_nr = PK_CLASS_FIRST + 1 };
	return image;
}

struct use {
	size_t verdicts, peers, cidrs;
};

static struct use use(void)
{
	struct use u;

	assert_int_equal(pk_map_count(b()->map[PK_MAP_VERDICTS], &u.verdicts), 0);
	assert_int_equal(pk_map_count(b()->map[PK_MAP_PEER_CLASS], &u.peers), 0);
	assert_int_equal(pk_map_count(b()->map[PK_MAP_CIDR], &u.cidrs), 0);
	return u;
}

static void assert_use(size_t verdicts, size_t peers, size_t cidrs)
{
	struct use u = use();

	assert_int_equal(u.verdicts, verdicts);
	assert_int_equal(u.peers, peers);
	assert_int_equal(u.cidrs, cidrs);
}

static uint32_t install(struct pk_image *image)
{
	uint32_t rule_set = 0;

	assert_ok(pk_rule_set_install(b(), image, IN_A_WHILE, &rule_set, &e));
	assert_true(rule_set);
	return rule_set;
}

static void test_share(void **state)
{
	own_image *image = NULL, *same = NULL, *other = NULL;
	struct pk_rule_set entry;
	uint32_t set, set2;

	(void)state;
	NEED_ROOM();
	image = image_of(1, 5);
	same = image_of(1, 5);
	other = image_of(2, 3);
	image->audit = true;
	image->list[PK_EGRESS] = list_of(50, 4);
	other->list[PK_EGRESS] = list_of(50, 4);
	other->list[PK_INGRESS] = list_of(51, 2);
	set = install(image);
	/* the tenant got a number, the identity that nobody has yet was left out */
	assert_use(5, 1, 4);
	assert_int_equal(install(same), set);
	assert_use(5, 1, 4);
	assert_int_equal(pk_rule_set_find(b(), image->digest), set);
	assert_int_equal(pk_rule_set_get(b(), set, &entry), 0);
	assert_true(entry.flags & PK_RULE_SET_AUDIT);
	assert_int_equal(entry.entries, 5);
	/* a list of equal content is kept once, and outlives the rule set that brought it */
	set2 = install(other);
	assert_int_not_equal(set2, set);
	assert_use(8, 2, 6);
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_int_equal(pk_rule_set_get(b(), set, &entry), -ENOENT);
	assert_use(3, 1, 6);
	/* without its image: found by walking */
	assert_ok(pk_rule_set_free(b(), set2, NULL, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
	/* the place is free again, and the list is written again */
	assert_int_equal(install(image), set);
	assert_use(5, 1, 4);
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* Lists beside, too: shared by two rule sets and by both directions, gone with the last. */
static void test_share_beside(void **state)
{
	own_image *image = NULL, *other = NULL;
	struct pk_rule_set entry, entry2;
	uint32_t set, set2;

	(void)state;
	NEED_ROOM();
	image = image_of(1, 5);
	other = image_of(2, 3);
	image->list[PK_EGRESS] = list_of(50, 4);
	image->list[PK_LIST_ALL + PK_EGRESS] = list_of(52, 7);
	image->list[PK_LIST_ALL + PK_INGRESS] = list_of(52, 7);
	image->list[PK_LIST_SOME + PK_EGRESS] = list_of(53, 6);
	other->list[PK_LIST_ALL + PK_EGRESS] = list_of(52, 7);
	set = install(image);
	set2 = install(other);
	assert_use(8, 2, 17);
	assert_int_equal(pk_rule_set_get(b(), set, &entry), 0);
	assert_int_equal(pk_rule_set_get(b(), set2, &entry2), 0);
	assert_true(entry.list[PK_LIST_ALL]);
	assert_int_equal(entry.list[PK_LIST_ALL], entry2.list[PK_LIST_ALL]);
	assert_int_equal(entry.list[PK_LIST_ALL + PK_INGRESS], entry.list[PK_LIST_ALL]);
	assert_true(entry.list[PK_LIST_SOME]);
	assert_int_equal(entry2.list[PK_EGRESS], 0);
	assert_int_equal(entry2.list[PK_LIST_SOME], 0);
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(3, 1, 7);
	assert_ok(pk_rule_set_free(b(), set2, other, IN_A_WHILE, &e));
}

static void test_named_is_kept(void **state)
{
	own_image *image = NULL;
	struct pk_labels_want want = { .hash = { 40, 1 }, .tenant = { 41, 1 } };
	struct pk_labels labels;
	struct pk_err err = { 0 };
	uint32_t set, found;

	(void)state;
	NEED_ROOM();
	image = image_of(3, 2);
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &labels, &e));
	assert_int_equal(pk_rule_set_of(b(), &labels, &found), -ENOENT);
	assert_ok(pk_rule_set_install_base(b(), image, labels.tenant, IN_A_WHILE, &set, &e));
	assert_int_equal(pk_rule_set_of(b(), &labels, &found), 0);
	assert_int_equal(found, set);
	assert_int_equal(pk_rule_set_free(b(), set, image, IN_A_WHILE, &err), -EBUSY);
	assert_ok(pk_labels_name(b(), want.hash, set, IN_A_WHILE, &e));
	assert_ok(pk_base_name(b(), labels.tenant, 0, IN_A_WHILE, &e));
	assert_int_equal(pk_rule_set_free(b(), set, image, IN_A_WHILE, &err), -EBUSY);
	assert_ok(pk_labels_name(b(), want.hash, 0, IN_A_WHILE, &e));
	b()->words[4] = PK_WORD(set, 0, 1);
	assert_int_equal(pk_rule_set_free(b(), set, image, IN_A_WHILE, &err), -EBUSY);
	b()->words[4] = 0;
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* The table of label sets is walked without the node lock, which somebody else has here. */
static void test_label_sets_are_read_without_the_lock(void **state)
{
	struct pk_labels_want want = { .hash = { 50, 1 }, .tenant = { 51, 1 } };
	own_image *image = NULL;
	struct pk_labels labels;
	struct pk_err err = { 0 };
	own_fd int lock = -1;
	uint32_t set;

	(void)state;
	NEED_ROOM();
	image = image_of(5, 2);
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &labels, &e));
	assert_ok(pk_rule_set_install(b(), image, IN_A_WHILE, &set, &e));
	assert_ok(pk_labels_name(b(), want.hash, set, IN_A_WHILE, &e));
	assert_ok(pk_node_lock(b()->paths, IN_A_WHILE, &lock, &e));
	assert_int_equal(pk_rule_set_free(b(), set, image, pk_now_ns(), &err), -EBUSY);
	close(PK_MOVE(lock, -1));
	assert_ok(pk_labels_name(b(), want.hash, 0, IN_A_WHILE, &e));
	assert_ok(pk_node_lock(b()->paths, IN_A_WHILE, &lock, &e));
	assert_int_equal(pk_rule_set_free(b(), set, image, pk_now_ns(), &err), -ETIMEDOUT);
	close(PK_MOVE(lock, -1));
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* Larger than what is left: refused before anything is written. */
static void test_capacity(void **state)
{
	own_image *small = NULL, *large = NULL;
	struct pk_err err = { 0 };
	uint32_t set, none = 0;

	(void)state;
	NEED_ROOM();
	small = image_of(4, 40000);
	large = image_of(5, 40000);
	set = install(small);
	assert_int_equal(pk_rule_set_install(b(), large, IN_A_WHILE, &none, &err), -ENOSPC);
	assert_int_equal(err.code, PK_CODE_CAPACITY);
	assert_int_equal(none, 0);
	assert_use(40000, 1, 0);
	assert_ok(pk_rule_set_free(b(), set, small, IN_A_WHILE, &e));
	set = install(large);
	assert_ok(pk_rule_set_free(b(), set, large, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* A table that fills up half-way: all that was written is taken back. */
static void test_rollback(void **state)
{
	own_image *image = NULL;
	struct pk_err err = { 0 };
	struct pk_rule_set entry;
	struct pk_map_info info;
	uint32_t none = 0;

	(void)state;
	NEED_ROOM();
	assert_int_equal(pk_map_info(b()->map[PK_MAP_CIDR], &info), 0);
	image = image_of(6, 10);
	image->list[PK_EGRESS] = list_of(60, 5);
	image->list[PK_INGRESS] = list_of(61, info.max_entries);
	assert_int_equal(pk_rule_set_install(b(), image, IN_A_WHILE, &none, &err), -ENOSPC);
	assert_int_equal(err.code, PK_CODE_CAPACITY);
	assert_use(0, 0, 0);
	assert_int_equal(pk_rule_set_find(b(), image->digest), 0);
	for (uint32_t i = 1; i < b()->node.rule_sets; i++)
		assert_int_equal(pk_rule_set_get(b(), i, &entry), -ENOENT);
	/* and what was taken back isn't remembered as written */
	pk_cidr_list_unref(image->list[PK_INGRESS]);
	image->list[PK_INGRESS] = NULL;
	none = install(image);
	assert_use(10, 1, 5);
	assert_ok(pk_rule_set_free(b(), none, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

static void test_late_identity(void **state)
{
	struct pk_labels_want want = { .hash = { 9, 1 }, .tenant = { 8, 1 } };
	struct pk_peer_class_key key = { .dir = PK_EGRESS };
	own_image *image = NULL;
	struct pk_labels labels;
	uint32_t set, class_nr;

	(void)state;
	NEED_ROOM();
	image = image_of(7, 2);
	set = install(image);
	assert_use(2, 1, 0);
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &labels, &e));
	assert_ok(pk_rule_set_peers(b(), set, image, &e));
	key.rule_set = set;
	key.peer = labels.identity;
	assert_int_equal(pk_map_get(b()->map[PK_MAP_PEER_CLASS], &key, &class_nr), 0);
	assert_int_equal(class_nr, PK_CLASS_FIRST + 1);
	key.peer = labels.tenant | PK_PEER_TENANT;
	assert_int_equal(pk_map_get(b()->map[PK_MAP_PEER_CLASS], &key, &class_nr), 0);
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* The class of an identity as a peer of set, 0 = it has none of its own. */
static uint32_t class_of(uint32_t set, uint32_t identity)
{
	struct pk_peer_class_key key = { .rule_set = set, .peer = identity, .dir = PK_EGRESS };
	uint32_t class_nr = 0;

	pk_map_get(b()->map[PK_MAP_PEER_CLASS], &key, &class_nr);
	return class_nr;
}

static void test_carried_identity(void **state)
{
	struct pk_labels_want old = { .hash = { 9, 1 }, .tenant = { 8, 1 } };
	struct pk_labels_want new = { .hash = { 9, 3 }, .tenant = { 8, 1 } };
	own_image *image = NULL, *next = NULL;
	struct pk_labels was, is;
	struct pk_placed placed;
	uint32_t set;

	(void)state;
	NEED_ROOM();
	image = image_of(30, 2);
	next = image_of(31, 2);
	next->peers[1].hash[1] = 3;
	assert_ok(pk_labels_take(b(), &old, IN_A_WHILE, &was, &e));
	assert_ok(pk_labels_take(b(), &new, IN_A_WHILE, &is, &e));
	set = install(image);
	/* an identity of which the rule set says nothing carries nothing */
	assert_int_equal(pk_rule_set_carry(b(), set, is.identity + 100, is.identity, NULL), 0);
	assert_int_equal(class_of(set, is.identity), 0);
	assert_int_equal(pk_rule_set_carry(b(), set, was.identity, is.identity, NULL), 1);
	assert_int_equal(class_of(set, is.identity), PK_CLASS_FIRST + 1);
	assert_int_equal(class_of(set, was.identity), PK_CLASS_FIRST + 1);
	/* what is said of the new one already stays as it is */
	assert_int_equal(pk_rule_set_carry(b(), set, was.identity, is.identity, NULL), 0);
	pk_rule_set_uncarry(b(), set, is.identity, image);
	assert_int_equal(class_of(set, is.identity), 0);
	/* a rule set that speaks of it by then keeps it */
	assert_int_equal(pk_rule_set_carry(b(), set, was.identity, is.identity, NULL), 1);
	pk_rule_set_uncarry(b(), set, is.identity, next);
	assert_int_equal(class_of(set, is.identity), PK_CLASS_FIRST + 1);
	/* a controller was killed before it took it back: only what the image has stays */
	placed = (struct pk_placed){ set, image };
	assert_int_equal(pk_rule_sets_strip(b(), &placed, 1), 1);
	assert_int_equal(class_of(set, is.identity), 0);
	assert_int_equal(class_of(set, was.identity), PK_CLASS_FIRST + 1);
	assert_int_equal(pk_rule_sets_strip(b(), &placed, 1), 0);
	assert_ok(pk_rule_set_free(b(), set, image, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

static void test_amend(void **state)
{
	struct pk_labels_want want = { .hash = { 9, 2 }, .tenant = { 8, 1 } };
	own_image *from = NULL, *to = NULL, *other = NULL;
	struct pk_peer_class_key key = { .dir = PK_EGRESS };
	struct pk_labels labels;
	struct pk_err err = { 0 };
	uint32_t set, class_nr;

	(void)state;
	NEED_ROOM();
	from = image_of(10, 2);
	to = image_of(11, 3);
	to->peers[1] = (struct pk_peer_entry){ .hash = { 9, 2 }, .class_nr = PK_CLASS_FIRST + 2 };
	set = install(from);
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &labels, &e));
	assert_ok(pk_rule_set_amend(b(), set, from, to, &e));
	assert_int_equal(pk_rule_set_find(b(), to->digest), set);
	assert_int_equal(pk_rule_set_find(b(), from->digest), 0);
	key.rule_set = set;
	key.peer = labels.identity;
	assert_int_equal(pk_map_get(b()->map[PK_MAP_PEER_CLASS], &key, &class_nr), 0);
	assert_int_equal(class_nr, PK_CLASS_FIRST + 2);
	assert_use(3, 2, 0);
	/* a live class that would change is not for this place */
	other = image_of(12, 3);
	other->verdicts[0].value.live.verdict = PK_DENY;
	assert_int_equal(pk_rule_set_amend(b(), set, to, other, &err), -EINVAL);
	assert_int_equal(pk_rule_set_find(b(), to->digest), set);
	/* freed with the image of another time: nothing of an older one stays */
	assert_ok(pk_rule_set_free(b(), set, from, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

/* Two processes install the same image at once; one place, whole. */
static int install_same(int i)
{
	own_image *image = image_of(20, 2000);
	struct pk_err err = { 0 };
	own_bpf *bpf = NULL;
	uint32_t set = 0;

	(void)i;
	if (pk_bpf_open(&bpf, &room.paths, PK_BPF_READ, NULL, 0, &err) < 0 ||
	    pk_rule_set_install_base(bpf, image, 77, IN_A_WHILE, &set, &err) < 0)
		return 0;
	return (int)set;
}

static void test_install_at_once(void **state)
{
	int status[4];
	uint32_t set;
	pid_t pid[4];

	(void)state;
	NEED_ROOM();
	for (int i = 0; i < 4; i++)
		pid[i] = spawn(install_same, i);
	for (int i = 0; i < 4; i++)
		waitpid(pid[i], &status[i], 0);
	for (int i = 0; i < 4; i++) {
		assert_true(WIFEXITED(status[i]));
		assert_int_equal(WEXITSTATUS(status[i]), WEXITSTATUS(status[0]));
	}
	set = (uint32_t)WEXITSTATUS(status[0]);
	assert_true(set);
	assert_use(2000, 2, 0); /* the identity has its number by now */
	assert_ok(pk_base_name(b(), 77, 0, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), set, NULL, IN_A_WHILE, &e));
	assert_use(0, 0, 0);
}

static void test_pools(void **state)
{
	struct pk_prefix pools[3];
	struct pk_far_block far = { .node = { .b = { [10] = 0xff, 0xff, 192, 0, 2, 2 } } };
	uint32_t one = 0;
	size_t n;

	(void)state;
	NEED_ROOM();
	assert_int_equal(pk_prefix_parse("10.40.0.0/16", &pools[0]), 0);
	assert_int_equal(pk_prefix_parse("fd40::/64", &pools[1]), 0);
	assert_int_equal(pk_prefix_parse("10.41.0.0/16", &pools[2]), 0);
	assert_ok(pk_pools_set(b(), &(struct pk_pools_want){ .own = pools, .n_own = 2 }, IN_A_WHILE,
			       &e));
	far.prefix = pools[2];
	assert_ok(pk_pools_set(b(), &(struct pk_pools_want){ pools + 1, &far, 1, 1 }, IN_A_WHILE,
			       &e));
	assert_int_equal(pk_map_get(b()->map[PK_MAP_TUNNELS], &far.node, &one), 0);
	assert_int_equal(one, 1);
	assert_int_equal(pk_map_count(b()->map[PK_MAP_POOLS], &n), 0);
	assert_int_equal(n, 2);
	/* Another node's isn't where packets to this node's endpoints go. */
	assert_true(pk_addr_equal(&b()->node.block[0].addr, &pools[1].addr) ||
		    pk_addr_equal(&b()->node.block[1].addr, &pools[1].addr));
	for (size_t i = 0; i < PK_BLOCKS; i++)
		assert_false(pk_addr_equal(&b()->node.block[i].addr, &pools[2].addr));
	assert_ok(pk_pools_set(b(), &(struct pk_pools_want){ 0 }, IN_A_WHILE, &e));
	assert_int_equal(pk_map_count(b()->map[PK_MAP_POOLS], &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(pk_map_count(b()->map[PK_MAP_TUNNELS], &n), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_named_is_kept),
		cmocka_unit_test(test_label_sets_are_read_without_the_lock),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_share_beside),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_late_identity),
		cmocka_unit_test(test_amend),
		cmocka_unit_test(test_install_at_once),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_carried_identity),
	};

	return cmocka_run_group_tests(tests, room_load, room_leave);
}
