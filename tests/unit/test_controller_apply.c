/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c: passes of several turns, and what comes between two of them. */
#include <malloc.h>

#include "apply_fixture.h"

static unsigned int trims;

/* Takes the place of libc's. */
int malloc_trim(size_t pad)
{
	(void)pad;
	trims++;
	return 1;
}

/* Five turns, and names went in the last one: a disk that was slow makes it a sixth. */
static void took_five_turns(struct fixture *f)
{
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	assert_true(fake.passes == 5 || fake.passes == 6);
	fake.passes = f->passed = 0;
	memset(fake.asked, 0, sizeof(fake.asked));
}

/* Each way in, with a pass that takes five turns. */
static void test_each_way_in_is_sliced(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.later = 4;
	offer(f, "/p/a");
	until_revision(f, 2);
	took_five_turns(f);
	assert_true(fake.sliced && fake.turns >= 4); /* others had theirs between */
	assert_int_equal(journal, 1);
	assert_true(has_file(f, "a"));
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));

	fake.later = 4;
	pk_apply_settings(f->apply);
	until_revision(f, 3);
	took_five_turns(f);
	assert_int_equal(access(f->config.paths.node_json, F_OK), 0);

	/* An endpoint came: no name of others goes, and no change is acknowledged. */
	fake.later = 4;
	pk_apply_soon(f->apply);
	while (!f->passed)
		turn(f);
	assert_string_equal(fake.asked, "fffff");
	assert_int_equal(pk_apply_state(f->apply)->revision, 3);

	/* Who can't wait for a turn begins one, and hears of its end. */
	fake.passes = f->passed = 0;
	memset(fake.asked, 0, sizeof(fake.asked));
	fake.later = 2;
	assert_int_equal(pk_apply_now(f->apply), -EAGAIN);
	assert_int_equal(f->passed, 0);
	while (!f->passed)
		turn(f);
	assert_string_equal(fake.asked, "fff");
}

#define MANY 1500

static void offer_many(struct fixture *f, char from)
{
	for (int i = 0; i < MANY; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/p/%c%d", from, i);
		offer(f, path);
	}
}

/* Thousands of changes are written down in several turns, each once, the last ones at the end. */
static void test_many_changes_are_told_in_turns(void **state)
{
	struct fixture *f = *state;

	start(f);
	offer_many(f, 'a');
	pk_apply_now(f->apply); /* -EAGAIN where compiling needs more turns */
	assert_in_range(journal, 1, MANY - 1);
	while (journal < MANY)
		turn(f);
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_int_equal(journal, MANY);
	offer_many(f, 'b');
	pk_apply_now(f->apply); /* -EAGAIN where compiling needs more turns */
	assert_in_range(journal, MANY + 1, 2 * MANY - 1);
	pk_apply_tell(f->apply);
	assert_int_equal(journal, 2 * MANY);
}

static void in_the_third(void)
{
	if (fake.passes != 3)
		return;
	offer(now, "/p/b");
	pk_apply_settings(now->apply);
}

/* What comes between two turns is in the same acknowledgement or in a later one, never in none. */
static void test_a_change_between_two_turns(void **state)
{
	struct fixture *f = *state;
	uint64_t number;

	start(f);
	fake.later = 5;
	fake.between = in_the_third;
	offer(f, "/p/a");
	until_revision(f, 2);
	number = pk_docs_number(f->docs);
	assert_int_equal(fake.numbers[0] + 1, fake.numbers[3]);
	assert_int_equal(fake.numbers[fake.passes - 1], number);
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), number);
	assert_int_equal(journal, 2);
	assert_false(pk_apply_is_pending(f->apply));
	while (!has_file(f, "b"))
		turn(f);
	assert_true(has_file(f, "a"));
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	/* And it was the last word: nothing is done again. */
	fake.passes = 0;
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_int_equal(fake.passes, 0);
	assert_int_equal(pk_apply_state(f->apply)->revision, 2);
}

/* An error loses nothing: what wasn't brought is brought by the next try. */
static void test_an_error_between_two_turns(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.error = EBUSY;
	offer(f, "/p/a");
	while (!fake.passes)
		turn(f);
	assert_int_equal(pk_apply_state(f->apply)->revision, 1);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text,
			    "the tables say so: Device or resource busy");
	assert_true(pk_apply_enforced(f->apply, NULL, false) < pk_docs_number(f->docs));
	fake.error = 0;
	pk_apply_soon(f->apply);
	until_revision(f, 2);
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text, "");
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));
}

/* The node lock is held: the pass ends, is no error yet, and is made again. */
static void test_a_lock_that_is_held(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.error = ETIMEDOUT;
	offer(f, "/p/a");
	while (fake.passes < 2)
		turn(f);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text, "");
	fake.error = 0;
	until_revision(f, 2);
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
}

/* A bound on waiting alone. */
static void until_trimmed(struct fixture *f, unsigned int n)
{
	uint64_t end = pk_now_ns() + 20000000000;

	while (trims < n && pk_now_ns() < end)
		turn(f);
	assert_true(trims >= n);
}

/* What a pass took from the heap and left goes back after it, and after each that follows. */
static void test_memory_goes_back_after_a_pass(void **state)
{
	struct fixture *f = *state;
	unsigned int before = trims;

	/* Where a pass is slow, a trim comes before its revision, and another one after it. */
	start(f);
	pk_timer_clear(f->tick); /* nothing else to do */
	until_trimmed(f, before + 1);
	before = trims;
	offer(f, "/p/a");
	until_revision(f, 2);
	until_trimmed(f, before + 1);
}

static union pk_addr addr(const char *text)
{
	union pk_addr a;

	assert_int_equal(pk_addr_parse(text, &a), 0);
	return a;
}

/* Returns what is said of a lost block once the tables' blocks are as they are to be; "": nothing. */
static const char *lost(struct fixture *f)
{
	pk_apply_settings(f->apply);
	until_revision(f, pk_apply_state(f->apply)->revision + 1);
	return pk_apply_state(f->apply)->lost_block.text;
}

/* Another node has a block by now of which an endpoint here has an address. */
static void test_a_lost_block_is_that_of_an_open_endpoint(void **state)
{
	static struct pk_endpoint endpoints[3];
	static uint64_t words[3];
	const struct pk_far_block other = { .prefix = { addr("10.1.0.0"), 24, false } };
	struct pk_prefix own = { addr("10.2.0.0"), 24, false };
	struct pk_settings settings = { .pools = &own, .n_pools = 1 };
	struct fixture *f = *state;

	pk_model_settings(f->model, &settings);
	fake.bpf.node.capacity = 2;
	fake.bpf.endpoints = endpoints;
	fake.bpf.words = words;
	endpoints[1] = (struct pk_endpoint){ .owner = 1, .ipv4 = addr("10.2.0.5") };
	endpoints[2] = (struct pk_endpoint){ .owner = 2, .ipv4 = addr("10.1.0.5") };
	words[1] = words[2] = 1;
	pk_remotes_set_blocks(pk_model_remotes(f->model), &other, 1);
	start(f);
	assert_string_equal(lost(f), "");
	fake.unread = 1;
	assert_non_null(strstr(lost(f), "block 10.1.0.0/24 is another node's by now"));
	/* The endpoint goes: its slot is closed before it is free. */
	words[2] = 0;
	assert_string_equal(lost(f), "");
	words[2] = 1;
	assert_string_not_equal(lost(f), "");
	fake.unread = 0;
	assert_string_equal(lost(f), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_way_in_is_sliced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_changes_are_told_in_turns, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_change_between_two_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_error_between_two_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lock_that_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_goes_back_after_a_pass, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_lost_block_is_that_of_an_open_endpoint,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
