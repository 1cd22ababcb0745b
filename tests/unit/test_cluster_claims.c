/* SPDX-License-Identifier: Apache-2.0 */
/* Whose blocks are by the claims, and which are free. */
#include "cluster_fixture.h"

#define CLAIM(number, node, more)                                                                  \
	"{\"version\":1,\"number\":" number ",\"node\":\"" node "\",\"machine\":\"m\"" more "}"

static const struct pk_block_claim *claim_of(const char *text)
{
	struct pk_prefix block;

	assert_int_equal(pk_prefix_parse(text, &block), 0);
	return pk_block_claim_of(pk_believed_claims(b), &block);
}

/* Blocks of different sizes may overlap: who was first has it, whatever comes and goes meanwhile. */
static void test_claims(void **state)
{
	(void)state;
	assert_int_equal(say("blocks/10.64.4.0_24", CLAIM("1", "late", ""), 9, false), 1);
	assert_int_equal(say("blocks/10.64.0.0_20", CLAIM("1", "early", ""), 5, false), 1);
	assert_int_equal(say("blocks/10.64.5.0_24", CLAIM("1", "first", ""), 3, false), 1);
	assert_int_equal(say("blocks/10.64.32.0_24", CLAIM("1", "alone", ""), 8, false), 1);
	assert_string_equal(claim_of("10.64.5.0/24")->word->node, "first");
	assert_null(claim_of("10.64.4.0/22")->before);
	assert_string_equal(claim_of("10.64.4.0/24")->word->node, "late"); /* "early" was second */
	assert_string_equal(claim_of("10.64.32.9/32")->word->node, "alone");
	assert_null(claim_of("10.64.64.0/24"));
	pk_believed_lack(b, "blocks/10.64.5.0_24", NULL, 0);
	assert_string_equal(claim_of("10.64.4.0/24")->word->node, "early");
	settle();
	assert_int_equal(pk_believed_refused(b), 1); /* late's */
}

/* What a node says to have and another claims is not believed, nor what it gave back. */
static void test_words_and_claims(void **state)
{
	(void)state;
	say("blocks/10.64.2.0_24", CLAIM("1", "two", ""), 9, false);
	say("nodes/two", NODE("1", "10.64.2.0/24"), 10, false);
	say("nodes/liar", NODE("1", "10.64.2.0/25"), 1, false);
	say("tenants/acme/two", SHARE("1", "9", "10.64.2.7"), 10, false);
	say("tenants/acme/liar", SHARE("1", "10", "10.64.2.7"), 1, false);
	pk_believed_claims(b);
	settle();
	assert_string_equal(at("10.64.2.7")->node, "two");
	assert_int_equal(pk_believed_refused(b), 2);
	say("blocks/10.64.2.0_24", CLAIM("2", "two", ",\"returned\":1000"), 9, false);
	pk_believed_claims(b);
	settle();
	assert_null(at("10.64.2.7"));
	/* A restored store has the claim of before: it isn't what is known, and is written again. */
	assert_int_equal(say("blocks/10.64.2.0_24", CLAIM("1", "two", ""), 9, true), 0);
	assert_true(claim_of("10.64.2.0/24")->kept);
	assert_int_equal(claim_of("10.64.2.0/24")->word->returned, 1000);
}

static void test_no_claims(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"version\":1,\"number\":1}",
		CLAIM("1", "", ""),
		CLAIM("1", "a/b", ""),
		CLAIM("1", "two", ",\"returned\":-1"),
		"{\"version\":2,\"number\":1,\"node\":\"two\",\"machine\":\"m\"}",
		"{\"version\":1,\"number\":1,\"node\":\"two\"}",
	};
	static const char *const keys[] = { "blocks/10.64.2.0",	   "blocks/10.64.2.1_24",
					    "blocks/10.0.0.0_7",   "blocks/x_24",
					    "blocks/10.64.2.0_33", "blocks/a/10.64.2.0_24" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (say("blocks/10.64.2.0_24", bad[i], 1, false) >= 0)
			fail_msg("%s", bad[i]);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (say(keys[i], CLAIM("1", "two", ""), 1, false) >= 0)
			fail_msg("%s", keys[i]);
	assert_int_equal(pk_believed_claims(b)->n, 0);
}

static bool is_taken(const char *text)
{
	own_mem struct pk_prefix *taken = NULL;
	size_t n = pk_believed_taken(b, &taken);
	struct pk_prefix block;

	assert_int_equal(pk_prefix_parse(text, &block), 0);
	for (size_t i = 0; i < n; i++)
		if (pk_prefix_overlap(&taken[i], &block))
			return true;
	return false;
}

/* Whose a block is that has a claim nobody can read isn't known: nobody takes it, and it is said. */
static void test_a_claim_that_cannot_be_read(void **state)
{
	const char *key = "", *why = "";

	(void)state;
	assert_false(is_taken("10.64.2.0/24"));
	assert_true(say("blocks/10.64.2.0_24", "{\"version\":2,\"number\":1}", 1, false) < 0);
	say("blocks/10.64.3.0_24", CLAIM("1", "two", ""), 2, false);
	pk_believed_claims(b);
	assert_true(is_taken("10.64.2.0/24"));
	assert_int_equal(pk_believed_unread_claims(b, &key, &why), 1);
	assert_string_equal(key, "blocks/10.64.2.0_24");
	assert_non_null(strstr(why, "version"));
	/* One that could be read before is still that node's. */
	assert_true(say("blocks/10.64.3.0_24", "{", 2, false) < 0);
	assert_string_equal(claim_of("10.64.3.0/24")->word->node, "two");
	assert_int_equal(pk_believed_unread_claims(b, &key, &why), 2);
	pk_believed_lack(b, "blocks/10.64.2.0_24", NULL, 0);
	pk_believed_lack(b, "blocks/10.64.3.0_24", NULL, 0);
	pk_believed_claims(b);
	assert_false(is_taken("10.64.2.0/24") || is_taken("10.64.3.0/24"));
	assert_int_equal(pk_believed_unread_claims(b, &key, &why), 0);
}

static const char *free_block(struct pk_block_want *want)
{
	static char text[PK_ADDR_TEXT];
	struct pk_prefix block;

	return pk_block_free(want, &block) ? pk_prefix_format(&block, text) : "none";
}

static void test_free_blocks(void **state)
{
	struct pk_prefix ranges[2], taken[4];
	struct pk_block_want want = {
		.range = ranges, .n_range = 2, .taken = taken, .len = 24, .start = 5
	};

	(void)state;
	pk_prefix_parse("10.64.0.0/21", &ranges[0]); /* eight of them */
	pk_prefix_parse("fd00::/40", &ranges[1]);
	pk_prefix_parse("10.64.5.128/25", &taken[0]);
	pk_prefix_parse("10.64.6.0/23", &taken[1]);
	pk_prefix_parse("10.64.0.0/24", &taken[2]);
	pk_prefix_parse("10.64.0.0/16", &taken[3]);
	assert_string_equal(free_block(&want), "10.64.5.0/24");
	want.n_taken = 1;
	assert_string_equal(free_block(&want), "10.64.6.0/24");
	want.n_taken = 3;
	assert_string_equal(free_block(&want), "10.64.1.0/24"); /* on from the begin */
	want.n_taken = 4;
	assert_string_equal(free_block(&want), "none");
	want.v6 = true;
	want.len = 64;
	want.start = 0x1234567;
	assert_string_equal(free_block(&want), "fd00:0:23:4567::/64");
}

static void test_rested(void **state)
{
	struct pk_prefix ranges[1];
	struct pk_block_want want = { .range = ranges, .n_range = 1, .len = 24 };
	const struct pk_block_claims *claims;

	(void)state;
	pk_prefix_parse("10.64.0.0/16", &ranges[0]);
	say("blocks/10.64.2.0_24", CLAIM("1", "two", ",\"returned\":1000"), 1, false);
	say("blocks/10.64.3.0_24", CLAIM("1", "me", ",\"returned\":2000"), 1, false);
	say("blocks/10.64.4.0_24", CLAIM("1", "four", ""), 1, false);
	claims = pk_believed_claims(b);
	assert_null(pk_block_rested(claims, &want, "new", 1000 + PK_CLAIM_REST_S - 1));
	assert_string_equal(pk_block_rested(claims, &want, "new", 1000 + PK_CLAIM_REST_S)->key,
			    "blocks/10.64.2.0_24");
	assert_string_equal(pk_block_rested(claims, &want, "me", 2001)->key, "blocks/10.64.3.0_24");
	assert_true(PK_CLAIM_REST_S > PK_BLOCKS_KEEP_S);
	pk_believed_lack(b, "blocks/10.64.2.0_24", "why", 0);
	assert_string_equal(pk_block_rested(pk_believed_claims(b), &want, "new", 1 << 30)->key,
			    "blocks/10.64.3.0_24");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claims, begin, end),
		cmocka_unit_test_setup_teardown(test_words_and_claims, begin, end),
		cmocka_unit_test_setup_teardown(test_no_claims, begin, end),
		cmocka_unit_test_setup_teardown(test_a_claim_that_cannot_be_read, begin, end),
		cmocka_unit_test(test_free_blocks),
		cmocka_unit_test_setup_teardown(test_rested, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
