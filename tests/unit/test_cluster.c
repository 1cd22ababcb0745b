// SPDX-License-Identifier: Apache-2.0
/* What nodes say of themselves, and what of that another one believes. */
#include "cluster_fixture.h"

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

/* Reads a text ahead, and says nothing. */
static void read_ahead(const char *key, const char *text)
{
	const struct pk_said said = { .key = key, .text = text, .len = strlen(text) };

	pk_believed_read_ahead(b, &said);
}

/* What is read ahead is nobody's word until it is said, whatever was read of its key. */
static void test_read_ahead(void **state)
{
	own_mem struct pk_prefix *taken = NULL;
	struct pk_believed_node node;

	(void)state;
	settle();
	read_ahead("nodes/two", NODE("1", "10.64.2.0/24"));
	read_ahead("tenants/acme/two", SHARE("1", "9", "10.64.2.7"));
	read_ahead("blocks/10.64.3.0_24", "no claim");
	read_ahead("elsewhere", "{}");
	assert_int_equal(settle(), 0);
	assert_false(pk_believed_node(b, 0, &node));
	assert_int_equal(pk_believed_taken(b, &taken), 0);
	/* Another text is said than was read. */
	assert_int_equal(say("nodes/two", NODE("2", "10.64.4.0/24"), 5, false), 1);
	assert_int_equal(say("tenants/acme/two", SHARE("1", "9", "10.64.4.7"), 6, false), 1);
	assert_true(settle() && at("10.64.4.7"));
	read_ahead("tenants/acme/two", "{}");
	pk_believed_drop_ahead(b, "tenants/");
	assert_int_equal(say("tenants/acme/two", SHARE("1", "9", "10.64.4.7"), 6, false), 0);
	assert_true(!settle() && at("10.64.4.7"));
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
		cmocka_unit_test_setup_teardown(test_read_ahead, begin, end),
		cmocka_unit_test(test_round_trip),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	ahead = true;
	return failed + cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
