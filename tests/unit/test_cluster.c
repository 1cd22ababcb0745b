// SPDX-License-Identifier: Apache-2.0
/* What nodes say of themselves, and what of that another one believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "believed.h"
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
				      .live = true,
				      .doubt = doubt,
				      .now = 1000 };

	return pk_believed_say(b, &said);
}

static unsigned int settle(void)
{
	const struct pk_believed_world world = { range, pools, 1, 1 };

	return pk_believed_settle(b, &world, remotes);
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
	assert_int_equal(settle(), PK_BELIEVED_ENDPOINTS | PK_BELIEVED_BLOCKS);
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
	assert_int_equal(say("tenants/acme/two", SHARE("4", "9", "10.64.2.9"), 6, false), 1);
	settle();
	assert_non_null(at("10.64.2.9"));
	pk_believed_lack(b, "tenants/acme/two", "why", 2000);
	assert_int_equal(settle(), 0);
	assert_non_null(at("10.64.2.9"));
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
	settle();
	assert_int_equal(pk_believed_refused(b), 2);
}

static void test_owners(void **state)
{
	(void)state;
	say("nodes/two", NODE("1", "10.64.2.0/24"), 5, false);
	say("nodes/three", NODE("1", "10.64.3.0/24"), 6, false);
	say("tenants/acme/three", SHARE("1", "9", "10.64.2.7"), 6, false);
	settle();
	assert_null(at("10.64.2.7")); /* not in its block */
	say("tenants/acme/two", SHARE("1", "9", "10.64.2.7"), 7, false);
	say("tenants/other/two",
	    "{\"version\":1,\"number\":1,\"endpoints\":[{\"id\":\"d@eth0\",\"generation\":10,"
	    "\"labels\":\"[\\\"nomad:namespace=other\\\"]\",\"addresses\":[\"10.64.2.7\"]}]}",
	    8, false);
	settle();
	assert_string_equal(at("10.64.2.7")->key, "two/d@eth0"); /* the newer owner */
	assert_int_equal(pk_remotes_count(remotes), 1);
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
	assert_int_equal(pk_share_decode(text.text, text.len, "acme", &back, NULL), 0);
	assert_int_equal(back.n, 1);
	assert_string_equal(back.list[0].ep->labels->text, ep->labels->text);
	assert_int_equal(back.list[0].generation, 1795928487);
	assert_true(pk_addr_equal(&back.list[0].ep->addresses[0], &addr));
	assert_string_equal(back.list[0].ep->ports[0].name, "http");
	pk_share_done(&share);
	pk_share_done(&back);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, begin, end),
		cmocka_unit_test_setup_teardown(test_blocks, begin, end),
		cmocka_unit_test_setup_teardown(test_owners, begin, end),
		cmocka_unit_test_setup_teardown(test_no_words, begin, end),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
