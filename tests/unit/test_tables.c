/* SPDX-License-Identifier: Apache-2.0 */
/* The tables' only writer, on real maps: slots, numbers, words, endpoints. */
#include "kernel_room.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#define SETS 1000

static struct pk_bpf *b(void)
{
	return room.bpf;
}

static uint32_t take(const char *owner)
{
	uint32_t slot = 0;

	assert_ok(pk_slot_take(b(), owner, IN_A_WHILE, &slot, &e));
	return slot;
}

static void give_back(uint32_t slot)
{
	assert_ok(pk_endpoint_close(b(), slot, IN_A_WHILE, &e));
	assert_ok(pk_slot_free(b(), slot, IN_A_WHILE, &e));
}

static void test_slots(void **state)
{
	struct pk_endpoint ep = { .host_ifindex = 4001 };
	struct pk_err err = { 0 };
	uint32_t slot;

	(void)state;
	NEED_ROOM();
	assert_int_equal(take("a@eth0"), 1);
	assert_int_equal(take("b@eth0"), 2);
	/* killed before it made a device: the same owner is given the same place */
	assert_int_equal(take("a@eth0"), 1);
	ep.host_ifindex = 4001;
	assert_ok(pk_endpoint_write(b(), 1, &ep, &e));
	/* with a device it is another endpoint's life: a new place */
	assert_int_equal(take("a@eth0"), 3);
	assert_int_equal(pk_slot_of(b(), "a@eth0", 0), 1);
	assert_int_equal(pk_slot_of(b(), "a@eth0", 1), 3);
	assert_int_equal(pk_slot_of(b(), "a@eth0", 3), 0);
	give_back(2);
	assert_int_equal(take("c@eth0"), 2);
	for (int i = 4; i <= 16; i++) {
		char owner[16];

		snprintf(owner, sizeof(owner), "x%d@eth0", i);
		assert_int_equal(take(owner), i);
	}
	assert_int_equal(pk_slot_take(b(), "late@eth0", IN_A_WHILE, &slot, &err), -ENOSPC);
	assert_int_equal(err.code, PK_CODE_CAPACITY);
	for (uint32_t i = 1; i <= 16; i++)
		give_back(i);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_SLOTS], &ep.host_ifindex, &slot), -ENOENT);
}

/* Two owners whose hashes have the same lower half: neither's DEL may find the other's slot. */
static void test_owners_are_told_apart(void **state)
{
	uint32_t slot;

	(void)state;
	NEED_ROOM();
	slot = take("vm29866@eth0");
	assert_int_equal(pk_slot_of(b(), "vm29866@eth0", 0), slot);
	assert_int_equal(pk_slot_of(b(), "vm146968@eth0", 0), 0);
	assert_true(pk_slot_age(b(), slot) < 60);
	give_back(slot);
}

/*
 * P62: several processes take numbers of new label sets at once, two of them of the same ones, and
 * two of others: a set has one number, no number is two sets', and one that was forgotten is nobody's
 * again.
 */
static struct pk_labels (*numbers)[SETS];

static int take_sets(int who)
{
	struct pk_err err = { 0 };
	own_bpf *bpf = NULL;

	if (pk_bpf_open(&bpf, &room.paths, PK_BPF_READ, NULL, 0, &err) < 0)
		return 1;
	for (uint64_t nr = 0; nr < SETS; nr++) {
		const uint64_t i = who % 2 ? SETS - 1 - nr : nr;
		struct pk_labels_want want = { .hash = { 77, i }, .tenant = { 78, i % 7 } };

		if (pk_labels_take(bpf, &want, IN_A_WHILE, &numbers[who][i], &err) < 0)
			return 2;
	}
	return 0;
}

static void test_numbers_at_once(void **state)
{
	static bool used[16 * SETS];
	size_t size = 4 * sizeof(*numbers);
	pid_t pid[4];

	(void)state;
	NEED_ROOM();
	numbers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 4; i++)
		pid[i] = spawn(take_sets, i);
	for (int i = 0; i < 4; i++) {
		int status;

		waitpid(pid[i], &status, 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_memory_equal(numbers[i], numbers[0], sizeof(*numbers));
	}
	for (int i = 0; i < SETS; i++) {
		assert_in_range(numbers[0][i].identity, 1, PK_ARRAY_LEN(used) - 1);
		assert_false(used[numbers[0][i].identity]);
		used[numbers[0][i].identity] = true;
		assert_int_equal(numbers[0][i].tenant, numbers[0][i % 7].tenant);
		assert_true(numbers[0][i].tenant);
	}
	for (uint64_t i = 0; i < SETS; i++) {
		struct pk_labels_want want = { .hash = { 77, i }, .tenant = { 78, i % 7 } };
		struct pk_labels again;

		assert_ok(pk_labels_forget(b(), want.hash, IN_A_WHILE, &e));
		assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &again, &e));
		assert_in_range(again.identity, 1, PK_ARRAY_LEN(used) - 1);
		assert_false(used[again.identity]);
		used[again.identity] = true;
	}
	munmap(numbers, size);
}

static void test_quarantine_has_no_tenant(void **state)
{
	struct pk_labels_want want = { .hash = { 5, 5 }, .no_tenant = true };
	struct pk_labels labels;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &labels, &e));
	assert_true(labels.identity);
	assert_int_equal(labels.tenant, 0);
}

static struct pk_image *room_image(uint64_t digest, size_t n);

static uint32_t base_for(uint32_t tenant)
{
	own_image *image = room_image(4711, 3);
	uint32_t rule_set = 0;

	assert_ok(pk_rule_set_install_base(b(), image, tenant, IN_A_WHILE, &rule_set, &e));
	return rule_set;
}

struct opened {
	struct pk_endpoint ep;
	struct pk_endpoint_open open;
};

static struct opened fill(uint32_t slot, const char *addr, const char *addr6)
{
	struct opened o = { .ep = { .host_ifindex = 5000 + slot, .mtu = 1500 },
			    .open = { .slot = slot, .labels = { .identity = 9, .tenant = 3 } } };

	assert_int_equal(pk_addr_parse(addr, &o.ep.ipv4), 0);
	assert_int_equal(pk_addr_parse(addr6, &o.ep.ipv6), 0);
	return o;
}

static int slot_at(const union pk_addr *addr)
{
	struct pk_local local;

	return pk_map_get(b()->map[PK_MAP_BY_ADDRESS], addr, &local) < 0 ? 0 : (int)local.slot;
}

static void test_endpoint_life(void **state)
{
	uint32_t base, slot, slot2, entry;
	struct pk_err err = { 0 };
	struct opened o, other;
	uint64_t word, now;

	(void)state;
	NEED_ROOM();
	slot = take("life@eth0");
	o = fill(slot, "10.40.0.7", "fd40::7");
	assert_ok(pk_endpoint_write(b(), slot, &o.ep, &e));
	assert_int_equal(pk_word(b(), slot), 0);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_SLOTS], &o.ep.host_ifindex, &entry), 0);
	assert_int_equal(entry, slot);
	/* no rule set anywhere: it stays closed, and nothing names it */
	assert_int_equal(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &err), -ENOENT);
	assert_int_equal(slot_at(&o.ep.ipv4), 0);
	base = base_for(3);
	assert_ok(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &e));
	word = pk_word(b(), slot);
	assert_int_equal(PK_WORD_RULE_SET(word), base);
	assert_int_equal(PK_WORD_REVISION(word), b()->endpoints[slot].opened);
	assert_int_equal(slot_at(&o.ep.ipv4), slot);
	assert_int_equal(slot_at(&o.ep.ipv6), slot);
	assert_int_equal(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &err), -EEXIST);
	assert_int_equal(pk_endpoint_write(b(), slot, &o.ep, &err), -EBUSY);
	assert_int_equal(pk_slot_free(b(), slot, IN_A_WHILE, &err), -EBUSY);
	/* an open endpoint's address is nobody else's */
	slot2 = take("thief@eth0");
	other = fill(slot2, "10.40.0.7", "fd40::8");
	assert_ok(pk_endpoint_write(b(), slot2, &other.ep, &e));
	assert_int_equal(pk_endpoint_open(b(), &other.open, IN_A_WHILE, &err), -EADDRINUSE);
	assert_int_equal(pk_word(b(), slot2), 0);
	assert_int_equal(slot_at(&o.ep.ipv4), slot);
	assert_int_equal(slot_at(&other.ep.ipv6), 0);
	/* closed: the address may move; the old owner's end does not take it away again */
	assert_ok(pk_endpoint_close(b(), slot, IN_A_WHILE, &e));
	assert_int_equal(slot_at(&o.ep.ipv4), 0);
	assert_ok(pk_endpoint_open(b(), &other.open, IN_A_WHILE, &e));
	assert_ok(pk_endpoint_close(b(), slot, IN_A_WHILE, &e));
	assert_ok(pk_slot_free(b(), slot, IN_A_WHILE, &e));
	assert_int_equal(slot_at(&o.ep.ipv4), slot2);
	/* a controller that is late neither opens nor switches what is closed */
	assert_int_equal(pk_word_switch(b(), slot, word, base, 0, &now, &err), -EAGAIN);
	assert_int_equal(pk_word_switch(b(), slot, 0, base, 0, &now, &err), -EPERM);
	assert_int_equal(pk_word(b(), slot), 0);
	give_back(slot2);
	assert_ok(pk_base_name(b(), 3, 0, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), base, NULL, IN_A_WHILE, &e));
}

/* Between an ADD's taking of the numbers and its opening: the set's rule set was switched. */
static void test_the_label_set_is_read_anew(void **state)
{
	struct pk_labels_want want = { .hash = { 31, 1 }, .tenant = { 32, 1 } };
	own_image *old_image = NULL, *new_image = NULL;
	uint32_t slot, old, new;
	struct pk_err err = { 0 };
	struct opened o;

	(void)state;
	NEED_ROOM();
	old_image = room_image(100, 2);
	new_image = room_image(200, 2);
	slot = take("anew@eth0");
	o = fill(slot, "10.40.0.21", "fd40::21");
	assert_ok(pk_endpoint_write(b(), slot, &o.ep, &e));
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &o.open.labels, &e));
	assert_ok(pk_rule_set_install(b(), old_image, IN_A_WHILE, &old, &e));
	assert_ok(pk_labels_name(b(), want.hash, old, IN_A_WHILE, &e));
	assert_ok(pk_labels_get(b(), want.hash, &o.open.labels));
	memcpy(o.open.hash, want.hash, sizeof(want.hash));
	assert_int_equal(o.open.labels.rule_set, old);
	assert_ok(pk_rule_set_install(b(), new_image, IN_A_WHILE, &new, &e));
	assert_ok(pk_labels_name(b(), want.hash, new, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), old, NULL, IN_A_WHILE, &e));
	assert_ok(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &e));
	assert_int_equal(PK_WORD_RULE_SET(pk_word(b(), slot)), new);
	/* forgotten meanwhile, and perhaps numbered anew: the old numbers open nothing */
	assert_ok(pk_endpoint_close(b(), slot, IN_A_WHILE, &e));
	assert_ok(pk_labels_name(b(), want.hash, 0, IN_A_WHILE, &e));
	assert_ok(pk_labels_forget(b(), want.hash, IN_A_WHILE, &e));
	assert_int_equal(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &err), -ESTALE);
	assert_ok(pk_rule_set_install_base(b(), new_image, o.open.labels.tenant, IN_A_WHILE, &new,
					   &e));
	assert_ok(pk_labels_take(b(), &want, IN_A_WHILE, &(struct pk_labels){ 0 }, &e));
	assert_int_equal(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &err), -ESTALE);
	assert_int_equal(pk_word(b(), slot), 0);
	give_back(slot);
	assert_ok(pk_base_name(b(), o.open.labels.tenant, 0, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), new, NULL, IN_A_WHILE, &e));
}

static void test_identity_switch(void **state)
{
	struct pk_endpoint_switch to = { .identity = 21, .tenant = 3 };
	struct pk_err err = { 0 };
	struct pk_local local;
	struct opened o;
	uint32_t slot;
	uint64_t now;

	(void)state;
	NEED_ROOM();
	to.rule_set = base_for(3);
	slot = to.slot = take("who@eth0");
	o = fill(slot, "10.40.0.9", "fd40::9");
	assert_ok(pk_endpoint_write(b(), slot, &o.ep, &e));
	assert_ok(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &e));
	to.from = pk_word(b(), slot);
	assert_ok(pk_endpoint_switch(b(), &to, IN_A_WHILE, &now, &e));
	assert_int_equal(pk_word(b(), slot), now);
	assert_true(PK_WORD_REVISION(now) != PK_WORD_REVISION(to.from));
	assert_int_equal(b()->endpoints[slot].identity, 21);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_BY_ADDRESS], &o.ep.ipv6, &local), 0);
	assert_int_equal(local.identity, 21);
	/* what was read before is stale: nothing changes */
	to.identity = 22;
	assert_int_equal(pk_endpoint_switch(b(), &to, IN_A_WHILE, &now, &err), -EAGAIN);
	assert_int_equal(b()->endpoints[slot].identity, 21);
	give_back(slot);
	assert_ok(pk_base_name(b(), 3, 0, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), to.rule_set, NULL, IN_A_WHILE, &e));
}

static void test_ports(void **state)
{
	static const struct pk_open_port first[] = { { 6, 80, PK_OPEN_PUBLISHED },
						     { 6, 443, PK_OPEN_PUBLISHED } };
	static const struct pk_open_port then[] = { { 6, 443, PK_OPEN_PUBLISHED },
						    { 6, 8080, PK_OPEN_CHECKED } };
	struct pk_publish publish = { .from = { .proto = 6, .port = 0x5000 },
				      .to = { .port = 0x5000 } };
	struct pk_open_port_key key = { .proto = 6, .port = __builtin_bswap16(80) };
	uint32_t slot, slot2, flags, base;
	struct pk_err err = { 0 };
	struct opened o, other;
	uint64_t word;

	(void)state;
	NEED_ROOM();
	base = base_for(3);
	slot = take("ports@eth0");
	o = fill(slot, "10.40.0.11", "fd40::11");
	o.open.published = &publish;
	o.open.n_published = 1;
	o.open.open = first;
	o.open.n_open = 2;
	assert_ok(pk_endpoint_write(b(), slot, &o.ep, &e));
	assert_ok(pk_endpoint_open(b(), &o.open, IN_A_WHILE, &e));
	key.slot = slot;
	assert_int_equal(pk_map_get(b()->map[PK_MAP_OPEN_PORTS], &key, &flags), 0);
	word = pk_word(b(), slot);
	assert_ok(pk_endpoint_open_ports(b(), slot, then, 2, IN_A_WHILE, &e));
	assert_true(pk_word(b(), slot) != word);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_OPEN_PORTS], &key, &flags), -ENOENT);
	word = pk_word(b(), slot);
	assert_ok(pk_endpoint_open_ports(b(), slot, then, 2, IN_A_WHILE, &e));
	assert_true(pk_word(b(), slot) == word);
	/* a host port has one owner */
	slot2 = take("ports2@eth0");
	other = fill(slot2, "10.40.0.12", "fd40::12");
	other.open.published = &publish;
	other.open.n_published = 1;
	assert_ok(pk_endpoint_write(b(), slot2, &other.ep, &e));
	assert_int_equal(pk_endpoint_open(b(), &other.open, IN_A_WHILE, &err), -EADDRINUSE);
	assert_int_equal(slot_at(&other.ep.ipv4), 0);
	give_back(slot);
	assert_ok(pk_endpoint_open(b(), &other.open, IN_A_WHILE, &e));
	give_back(slot2);
	key.port = __builtin_bswap16(8080);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_OPEN_PORTS], &key, &flags), -ENOENT);
	assert_int_equal(pk_map_get(b()->map[PK_MAP_PUBLISHED], &publish.from, &publish.to),
			 -ENOENT);
	assert_ok(pk_base_name(b(), 3, 0, IN_A_WHILE, &e));
	assert_ok(pk_rule_set_free(b(), base, NULL, IN_A_WHILE, &e));
}

/* Switched between two rule sets while another CPU reads. */
#define SWITCHES 100000
static uint32_t switched;

static void *read_words(void *arg)
{
	size_t *torn = arg;
	uint32_t last = 0;

	for (;;) {
		uint64_t word = pk_word(b(), switched);
		uint32_t set = PK_WORD_RULE_SET(word), revision = PK_WORD_REVISION(word);

		if (!word)
			return NULL;
		/* even revisions were written with 11, odd ones with 12 */
		*torn += (set != 11 && set != 12) || (revision & 1) != (set == 12) ||
			 revision < last;
		last = revision;
	}
}

static void test_switching(void **state)
{
	struct pk_err err = { 0 };
	pthread_t reader;
	size_t torn = 0;
	uint64_t word;

	(void)state;
	NEED_ROOM();
	switched = take("switch@eth0");
	if (b()->numbers[PK_NUMBER_REVISION] & 1)
		b()->numbers[PK_NUMBER_REVISION]++;
	word = PK_WORD(11, 0, b()->numbers[PK_NUMBER_REVISION]);
	b()->words[switched] = word;
	assert_int_equal(pthread_create(&reader, NULL, read_words, &torn), 0);
	for (int i = 0; i < SWITCHES; i++) {
		bool odd = (b()->numbers[PK_NUMBER_REVISION] + 1) & 1;

		assert_ok(pk_word_switch(b(), switched, word, odd ? 12 : 11, 0, &word, &e));
	}
	assert_true(pk_word(b(), switched) == word);
	assert_ok(pk_endpoint_close(b(), switched, IN_A_WHILE, &e));
	pthread_join(reader, NULL);
	assert_int_equal(torn, 0);
	/* the last writer before DEL lost: closed stays closed */
	assert_int_equal(pk_word_switch(b(), switched, word, 11, 0, NULL, &err), -EAGAIN);
	assert_int_equal(pk_word(b(), switched), 0);
	assert_ok(pk_slot_free(b(), switched, IN_A_WHILE, &e));
}

static void test_counts_are_a_new_owners(void **state)
{
	size_t cpus = (size_t)pk_cpus();
	own_mem struct pk_counter *each = NULL;
	struct pk_counter row[2][PK_REASON_SLOTS], sum;
	uint32_t slot, key;

	(void)state;
	NEED_ROOM();
	each = pk_alloc(cpus * sizeof(*each));
	slot = take("count@eth0");
	key = PK_COUNTER(slot, PK_INGRESS, PK_REASON_POLICY_DENIED);
	for (size_t i = 0; i < cpus; i++)
		each[i] = (struct pk_counter){ .packets = i + 1, .bytes = 100 };
	assert_int_equal(pk_map_set(b()->map[PK_MAP_COUNTERS], &key, each, 0), 0);
	assert_ok(pk_counter_row(b(), slot, row, &e));
	assert_int_equal(row[PK_INGRESS][PK_REASON_POLICY_DENIED].packets, cpus * (cpus + 1) / 2);
	assert_int_equal(row[PK_EGRESS][PK_REASON_POLICY_DENIED].packets, 0);
	assert_int_equal(pk_counter_read(b(), slot, PK_INGRESS, PK_REASON_POLICY_DENIED, &sum), 0);
	assert_int_equal(sum.bytes, 100 * cpus);
	give_back(slot);
	assert_ok(pk_counter_row(b(), slot, row, &e));
	assert_int_equal(row[PK_INGRESS][PK_REASON_POLICY_DENIED].packets, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_owners_are_told_apart),
		cmocka_unit_test(test_numbers_at_once),
		cmocka_unit_test(test_quarantine_has_no_tenant),
		cmocka_unit_test(test_endpoint_life),
		cmocka_unit_test(test_the_label_set_is_read_anew),
		cmocka_unit_test(test_identity_switch),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_switching),
		cmocka_unit_test(test_counts_are_a_new_owners),
	};

	return cmocka_run_group_tests(tests, room_load, room_leave);
}
