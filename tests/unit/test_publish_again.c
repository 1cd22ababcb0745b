// SPDX-License-Identifier: Apache-2.0
/* What a node does with the keys in Consul that an earlier picketd of its wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "tests/unit/publish_fixture.h"

/* A clock that was set back meanwhile makes no older words: what is remembered has the last number. */
static void test_what_is_remembered(void **state)
{
	char path[] = "/tmp/picket-published-XXXXXX";
	struct pk_publish p = { .path = path, .node = (char[]){ "n1" } };
	int fd = mkstemp(path);
	struct key *k;

	(void)state;
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "{\"session\": \"s\", \"number\": 4102444800000, "
				"\"keys\": [\"tenants/acme/n1/1\", \"nodes/n1\"]}") > 0);
	publish_recall(&p);
	assert_true(p.number == 4102444800000ull && p.recalled_number == p.number);
	assert_string_equal(p.session, "s");
	HASH_FIND_STR(p.keys, "tenants/acme/n1/1", k);
	assert_true(k && k->known && k->recalled && !k->written);
	HASH_FIND_STR(p.keys, "nodes/n1", k);
	assert_true(k && k->known && !k->recalled); /* the word is written in any case */
	unlink(path);
	close(fd);
	done(&p);
}

#define OLD	"{\"version\":1,\"number\":41,\"endpoints\":[]}"
#define OLDER	"{\"version\":1,\"number\":40,\"endpoints\":[]}"
#define ANOTHER "{\"version\":1,\"number\":41,\"endpoints\":[7]}"
#define NEWER	"{\"version\":1,\"number\":42,\"endpoints\":[]}"
#define NONES	"{\"version\":1,\"number\":9007199254740991,\"endpoints\":[]}"

struct row {
	const char *text, *holder; /* in the store */
	bool taken;
};

/* wanted_first: the model has said what the share is to say before the store shows it. */
static void show(const struct row *row, bool wanted_first, struct pk_loop *loop)
{
	struct pk_publish p = { .node = (char[]){ "n1" },
				.session = "s",
				.number = 41,
				.recalled_number = 41,
				.shows_by_ms = 3000 };
	struct key *k = add(&p, "tenants/acme/n1", wanted_first ? NOBODYS : NULL);
	uint64_t wait;

	p.write = pk_timer_new(loop, nothing, NULL);
	p.renew = pk_timer_new(loop, nothing, NULL);
	k->written = false;
	k->known = k->recalled = true;
	/* It waits for what the store shows, and not for ever. */
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 2000);
	assert_ptr_equal(publish_next(&p, 3000, &wait), k);
	k->not_before_ms = 9000; /* the store refused it meanwhile */
	assert_null(publish_next(&p, 3000, &wait));
	assert_int_equal(wait, 6000);
	k->not_before_ms = 0;
	seen(&p, k->name, row->text, row->holder);
	if (!wanted_first)
		k->body = pk_strdup(NOBODYS);
	publish_take_shown(k);
	assert_int_equal(k->written, row->taken);
	assert_null(k->shown);
	if (row->taken)
		assert_string_equal(k->text, row->text);
	assert_ptr_equal(publish_next(&p, 1000, &wait), row->taken ? NULL : k);
	/* From then on it is as one that this picketd wrote. */
	seen(&p, k->name, OLDER "x", "s");
	assert_ptr_equal(publish_next(&p, 1000, &wait), k);
	pk_timer_free(p.write);
	pk_timer_free(p.renew);
	done(&p);
}

/*
 * After a restart a share is left as it is where the store shows that it says the same, as this
 * node wrote it, under its session. Any doubt has it written.
 */
static void test_what_an_earlier_picketd_wrote(void **state)
{
	static const struct row rows[] = {
		{ OLD, "s", true },	 { OLDER, "s", true },	{ ANOTHER, "s", false },
		{ NEWER, "s", false },	 { NONES, "s", false }, { NOBODYS, "s", false },
		{ OLD "x", "s", false }, { "", "s", false },	{ OLD, "another", false },
		{ OLD, NULL, false },	 { NULL, NULL, false },
	};
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	for (size_t i = 0; i < 2 * PK_ARRAY_LEN(rows); i++)
		show(&rows[i / 2], i % 2, loop);
	pk_loop_free(loop);
}

/* What is shown before the model has said what the share is to say counts as it was shown last. */
static void test_what_changes_before_it_is_taken(void **state)
{
	static const struct row rows[] = {
		{ ANOTHER, "s", false },
		{ OLD, NULL, false },
		{ NULL, NULL, false },
		{ OLDER, "s", true },
	};
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_publish p = { .node = (char[]){ "n1" },
					.session = "s",
					.number = 41,
					.recalled_number = 41 };
		struct key *k = add(&p, "tenants/acme/n1", NULL);

		p.write = pk_timer_new(loop, nothing, NULL);
		k->written = false;
		k->recalled = true;
		seen(&p, k->name, OLD, "s");
		assert_non_null(k->shown);
		seen(&p, k->name, rows[i].text, rows[i].holder);
		k->body = pk_strdup(NOBODYS);
		publish_take_shown(k);
		assert_int_equal(k->written, rows[i].taken);
		pk_timer_free(p.write);
		done(&p);
	}
	pk_loop_free(loop);
}

/* What this picketd wrote already is what counts. */
static void test_what_is_shown_late(void **state)
{
	struct pk_publish p = { .node = (char[]){ "n1" }, .session = "s", .recalled_number = 41 };
	struct key *k = add(&p, "tenants/acme/n1", NOBODYS);
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	p.write = pk_timer_new(loop, nothing, NULL);
	k->written = false;
	k->recalled = true;
	k->text = pk_strdup(NEWER);
	seen(&p, k->name, OLD, "s");
	assert_false(k->written);
	assert_string_equal(k->text, NEWER);
	pk_timer_free(p.write);
	pk_loop_free(loop);
	done(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_remembered),
		cmocka_unit_test(test_what_an_earlier_picketd_wrote),
		cmocka_unit_test(test_what_changes_before_it_is_taken),
		cmocka_unit_test(test_what_is_shown_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
