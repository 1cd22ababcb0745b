// SPDX-License-Identifier: Apache-2.0
/* What nodes say of themselves, and what of that another one believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "believed.h"
#include "own.h"
#include "share.h"

static struct pk_believed *b;
static struct pk_engine *engine;
static struct pk_remotes *remotes;
static struct pk_prefix range[1], pools[1];

static int begin(void **state)
{
	struct pk_settings settings;

	(void)state;
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	pk_settings_done(&settings);
	pk_engine_set_documents(engine, NULL, 0);
	remotes = pk_remotes_new(engine);
	b = pk_believed_new("me");
	assert_int_equal(pk_prefix_parse("10.64.0.0/16", &range[0]), 0);
	assert_int_equal(pk_prefix_parse("10.64.1.0/24", &pools[0]), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	pk_believed_free(b);
	pk_remotes_free(remotes);
	pk_engine_free(engine);
	return 0;
}

static int say(const char *key, const char *text, uint64_t created, bool doubt)
{
	const struct pk_said said = { .key = key,
				      .text = text,
				      .len = strlen(text),
				      .created = created,
				      .modified = created,
				      .live = true,
				      .doubt = doubt,
				      .now = 1000 };

	return pk_believed_say(b, &said);
}

static unsigned int settle(void)
{
	const struct pk_believed_world world = {
		.range = range, .pools = pools, .n_range = 1, .n_pools = 1
	};

	return pk_believed_settle(b, &world, remotes);
}

static enum pk_hosting placed(void *arg, const char *tenant_name, const char *node)
{
	assert_string_equal(tenant_name, "acme");
	assert_string_equal(node, "two");
	return *(enum pk_hosting *)arg;
}

/* Settles under Nomad's word on that pair; returns how many endpoints are believed. */
static size_t settle_placed(enum pk_hosting word)
{
	const struct pk_believed_world world = { .range = range,
						 .pools = pools,
						 .n_range = 1,
						 .n_pools = 1,
						 .placed = placed,
						 .arg = &word };
	struct pk_believed_node n;

	pk_believed_settle(b, &world, remotes);
	assert_true(pk_believed_node(b, 0, &n));
	return n.endpoints;
}

#define NODE(number, block)                                                                        \
	"{\"version\":1,\"number\":" number ",\"blocks\":[\"" block                                \
	"\"],\"addresses\":[\"192.0.2.9\"]}"
#define SHARE(number, generation, address)                                                                 \
	"{\"version\":1,\"number\":" number                                                                \
	",\"endpoints\":[{\"id\":\"c@eth0\",\"generation\":" generation                                    \
	",\"labels\":\"[\\\"nomad:namespace=acme\\\"]\",\"ports\":{\"http\":80},\"addresses\":[\"" address \
	"\"]}]}"

static const struct pk_remote_endpoint *at(const char *text)
{
	union pk_addr addr;

	assert_int_equal(pk_addr_parse(text, &addr), 0);
	return pk_remotes_by_address(remotes, &addr);
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(say("nodes/two", NODE("1", "10.64.2.0/24"), 5, false), 1);
	assert_int_equal(say("tenants/acme/two", SHARE("1", "9", "10.64.2.7"), 6, false), 1);
	assert_int_equal(settle(), PK_BELIEVED_ENDPOINTS | PK_BELIEVED_BLOCKS | PK_BELIEVED_WAYS);
	assert_string_equal(at("10.64.2.7")->key, "two/c@eth0");
	assert_int_equal(at("10.64.2.7")->ep->ports[0].port, 80);
	assert_int_equal(say("tenants/acme/two", SHARE("1", "9", "10.64.2.7"), 6, false), 0);
	assert_int_equal(settle(), 0);
	/* A restored store has an older word; its owner's own newer one may have any number. */
	assert_int_equal(say("tenants/acme/two", SHARE("5", "9", "10.64.2.8"), 6, false), 1);
	assert_int_equal(say("tenants/acme/two", SHARE("4", "9", "10.64.2.9"), 6, true), 0);
	settle();
	assert_null(at("10.64.2.9"));
	assert_non_null(at("10.64.2.8"));
	/* What nobody has written again is as old as it was, whatever the next answer is. */
	assert_int_equal(say("tenants/acme/two", SHARE("4", "9", "10.64.2.9"), 6, false), 0);
	settle();
	assert_null(at("10.64.2.9"));
	assert_int_equal(say("tenants/acme/two", SHARE("4", "9", "10.64.2.9"), 7, false), 1);
	assert_true(settle() && at("10.64.2.9"));
	/* Its writer never comes to that number: who wrote it meant to end its words. */
	say("tenants/acme/two", SHARE("9007199254740991", "9", "10.64.2.8"), 8, false);
	settle();
	assert_int_equal(say("tenants/acme/two", SHARE("6", "9", "10.64.2.9"), 9, true), 1);
	assert_true(settle() && at("10.64.2.9"));
	pk_believed_lack(b, "tenants/acme/two", "why", 2000);
	assert_true(!settle() && at("10.64.2.9"));
	pk_believed_lack(b, "tenants/acme/two", NULL, 2000);
	assert_int_equal(settle(), PK_BELIEVED_ENDPOINTS);
	assert_null(at("10.64.2.9"));
}

static void test_blocks(void **state)
{
	struct pk_believed_node n;

	(void)state;
	say("nodes/late", NODE("1", "10.64.2.0/25"), 9, false);
	say("nodes/early", NODE("1", "10.64.2.0/24"), 5, false);
	say("nodes/ours", NODE("1", "10.64.0.0/20"), 1, false);
	say("nodes/beyond", NODE("1", "10.65.0.0/24"), 1, false);
	settle();
	for (size_t i = 0; pk_believed_node(b, i, &n); i++)
		assert_int_equal(n.n_blocks, strcmp(n.name, "early") == 0);
	assert_int_equal(pk_believed_refused(b), 3);
	/* What the first one gives up is the next one's. */
	say("nodes/early", NODE("2", "10.64.3.0/24"), 5, false);
	assert_true(settle() & PK_BELIEVED_WAYS);
	assert_int_equal(pk_believed_refused(b), 2);
	/* Two change places: another way leads to each. */
	say("nodes/early", NODE("3", "10.64.2.0/25"), 5, false);
	say("nodes/late", NODE("2", "10.64.3.0/24"), 9, false);
	assert_true(settle() & PK_BELIEVED_WAYS);
	assert_int_equal(settle(), 0);
	/* Of three that overlap the first one has it, wherever the others' begin. */
	say("nodes/wide", NODE("1", "10.64.2.0/23"), 4, false);
	settle();
	for (size_t i = 0; pk_believed_node(b, i, &n); i++)
		assert_int_equal(n.n_blocks, strcmp(n.name, "wide") == 0);
}

#define OTHERS(number, generation)                                                                 \
	"{\"version\":1,\"number\":" number                                                        \
	",\"endpoints\":[{\"id\":\"d@eth0\",\"generation\":" generation                            \
	",\"labels\":\"[\\\"nomad:namespace=other\\\"]\",\"addresses\":[\"10.64.2.7\"]}]}"

static void test_owners(void **state)
{
	(void)state;
	say("nodes/two", NODE("1", "10.64.2.0/24"), 5, false);
	say("nodes/three", NODE("1", "10.64.3.0/24"), 6, false);
	say("tenants/acme/three", SHARE("1", "9", "10.64.2.7"), 6, false);
	settle();
	assert_null(at("10.64.2.7")); /* not in its block */
	say("tenants/acme/two", SHARE("1", "9", "10.64.2.7"), 7, false);
	say("tenants/other/two", OTHERS("1", "10"), 8, false);
	settle();
	assert_string_equal(at("10.64.2.7")->key, "two/d@eth0"); /* the newer owner */
	assert_int_equal(pk_remotes_count(remotes), 1);
	/* Of two of an age the first keeps it, and an older one gets nothing. */
	for (int i = 0; i < 2; i++) {
		say("tenants/other/two", i ? OTHERS("3", "8") : OTHERS("2", "9"), 8, false);
		settle();
		assert_string_equal(at("10.64.2.7")->ep->labels->tenant_name, "acme");
		assert_int_equal(pk_believed_refused(b), 2);
	}
}

/* A share counts where Nomad has placed its tenant; what is new waits for the word, what is kept doesn't. */
static void test_placed(void **state)
{
	struct pk_believed_node n;

	(void)state;
	say("nodes/two", NODE("1", "10.64.2.0/24"), 1, false);
	say("tenants/acme/two", SHARE("1", "5", "10.64.2.5"), 2, false);
	assert_int_equal(settle_placed(PK_HOSTING_ASKED), 0);
	assert_int_equal(pk_believed_refused(b), 0);
	assert_int_equal(settle_placed(PK_HOSTING_SILENT), 1);
	assert_int_equal(settle_placed(PK_HOSTING_YES), 1);
	assert_int_equal(settle_placed(PK_HOSTING_NO), 0);
	assert_int_equal(pk_believed_refused(b), 1);
	assert_true(pk_believed_node(b, 0, &n));
	assert_string_equal(n.why, "Nomad has no allocation of acme on it");
	say("tenants/acme/two", SHARE("2", "5", "10.64.2.5"), 0,
	    false); /* as what is kept is said */
	assert_int_equal(settle_placed(PK_HOSTING_ASKED), 1);
	assert_int_equal(settle_placed(PK_HOSTING_NO), 0);
}

static void test_no_words(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"version\":1}",
		"{\"version\":2,\"number\":1,\"endpoints\":[]}",
		SHARE("-1", "9", "10.64.2.7"),
		SHARE("1", "\"9\"", "10.64.2.7"),
		SHARE("1", "9", "0.0.0.0"),
		SHARE("1", "9", "10.64.2"),
		"{\"version\":1,\"number\":1,\"endpoints\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (say("tenants/acme/two", bad[i], 1, false) >= 0)
			fail_msg("%s", bad[i]);
	assert_true(say("tenants/other/two", SHARE("1", "9", "10.64.2.7"), 1, false) < 0);
	assert_true(say("nodes/two", NODE("1", "10.0.0.0/7"), 1, false) < 0);
	assert_true(say("nodes/a/b", NODE("1", "10.64.2.0/24"), 1, false) < 0);
	assert_true(say("tenants/acme/a/b", SHARE("1", "9", "10.64.2.7"), 1, false) < 0);
	assert_true(say("elsewhere/two", "{}", 1, false) < 0);
	settle();
	assert_int_equal(pk_remotes_count(remotes), 0);
}

/* What is written is read as it was. */
static void test_round_trip(void **state)
{
	struct pk_share share = { .number = 7 }, back;
	struct pk_label_sets *sets = pk_label_sets_new();
	struct pk_world_endpoint *ep = pk_world_endpoint_new("c@eth0");
	union pk_addr addr;
	own_str text = { 0 };

	(void)state;
	assert_int_equal(
		pk_label_set_parse("[\"meta:a\\u003db=c\",\"nomad:namespace=acme\",[\"port:*\"]]",
				   &ep->labels, NULL),
		0);
	assert_int_equal(pk_addr_parse("fd64:2::7", &addr), 0);
	pk_world_endpoint_add_address(ep, &addr);
	pk_world_endpoint_add_port(ep, "http", PK_PROTO_ANY, 8080);
	pk_share_add(&share, ep, 1795928487);
	pk_share_encode(&share, &text);
	assert_int_equal(pk_share_decode(text.text, text.len, "acme", sets, &back, NULL), 0);
	assert_int_equal(back.n, 1);
	assert_string_equal(back.list[0].ep->labels->text, ep->labels->text);
	assert_int_equal(back.list[0].generation, 1795928487);
	assert_true(pk_addr_equal(&back.list[0].ep->addresses[0], &addr));
	assert_string_equal(back.list[0].ep->ports[0].name, "http");
	pk_share_done(&share);
	pk_share_done(&back);
	pk_label_sets_free(sets);
}

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

#define ENDS(number, addresses)                                                                    \
	"{\"version\":1,\"number\":" number                                                        \
	",\"blocks\":[\"10.64.2.0/24\"],\"addresses\":[" addresses "]}"

/* Where another node says that it is reached: an address that a node can have, and has. */
static void test_ends(void **state)
{
	static const char *const nobodys[] = {
		"0.0.0.0",	   "0.0.0.7", "127.0.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1",
		"255.255.255.255", "::",      "::1",	   "ff02::1",	"fe80::9",
	};
	struct pk_believed_node node;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(nobodys) / sizeof(*nobodys); i++) {
		snprintf(text, sizeof(text), ENDS("1", "\"%s\""), nobodys[i]);
		if (say("nodes/two", text, 5, false) >= 0)
			fail_msg("%s", nobodys[i]);
		settle();
		assert_true(pk_believed_node(b, 0, &node));
		if (pk_believed_refused(b) != 1 || node.n_blocks)
			fail_msg("%s is believed", nobodys[i]);
	}
	assert_int_equal(say("nodes/two", ENDS("2", "\"192.0.2.9\",\"10.64.9.1\""), 5, false), 1);
	settle();
	assert_true(pk_believed_node(b, 0, &node));
	assert_int_equal(node.n_blocks, 0);
	assert_int_equal(node.refused, 1);
	assert_string_equal(node.why,
			    "its address 10.64.9.1 is an endpoint's, of \"blocks\": { \"range\" }");
	say("nodes/me", ENDS("1", "\"192.0.2.1\",\"2001:db8::1\""), 1, false);
	say("nodes/two", ENDS("3", "\"192.0.2.9\",\"2001:db8::1\""), 5, false);
	settle();
	assert_true(pk_believed_node(b, 0, &node));
	assert_int_equal(node.n_blocks, 0);
	assert_string_equal(node.why, "its address 2001:db8::1 is me's");
	say("nodes/two", ENDS("4", "\"192.0.2.9\",\"2001:db8::9\",\"169.254.7.9\""), 5, false);
	settle();
	assert_true(pk_believed_node(b, 0, &node));
	assert_int_equal(node.n_blocks, 1);
	assert_int_equal(node.refused, 0);
}

/* A later release of this version may say more; what means something else is another version. */
static void test_later_releases(void **state)
{
	(void)state;
	say("nodes/two",
	    "{\"version\":1,\"number\":1,\"more\":[1,{}],\"blocks\":[\"10.64.2.0/24\"],"
	    "\"addresses\":[\"192.0.2.9\"]}",
	    5, false);
	assert_int_equal(say("tenants/acme/two",
			     "{\"version\":1,\"number\":1,\"more\":{\"a\":null},\"endpoints\":[{"
			     "\"id\":\"c@eth0\",\"generation\":9,\"mood\":\"good\",\"labels\":"
			     "\"[\\\"nomad:namespace=acme\\\"]\",\"addresses\":[\"10.64.2.7\"]}]}",
			     6, false),
			 1);
	assert_true(settle() && at("10.64.2.7"));
	assert_true(say("tenants/acme/two", "{\"version\":2,\"number\":2,\"endpoints\":[]}", 6,
			false) < 0);
	assert_true(say("nodes/two", "{\"version\":2,\"number\":2,\"blocks\":[],\"addresses\":[]}",
			5, false) < 0);
	settle();
	assert_non_null(at("10.64.2.7")); /* what was believed stays */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, begin, end),
		cmocka_unit_test_setup_teardown(test_later_releases, begin, end),
		cmocka_unit_test_setup_teardown(test_ends, begin, end),
		cmocka_unit_test_setup_teardown(test_blocks, begin, end),
		cmocka_unit_test_setup_teardown(test_owners, begin, end),
		cmocka_unit_test_setup_teardown(test_placed, begin, end),
		cmocka_unit_test_setup_teardown(test_no_words, begin, end),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test_setup_teardown(test_claims, begin, end),
		cmocka_unit_test_setup_teardown(test_words_and_claims, begin, end),
		cmocka_unit_test_setup_teardown(test_no_claims, begin, end),
		cmocka_unit_test(test_free_blocks),
		cmocka_unit_test_setup_teardown(test_rested, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
