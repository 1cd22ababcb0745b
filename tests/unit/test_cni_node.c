/* SPDX-License-Identifier: Apache-2.0 */
/* What the node lives by at ADD: node.json over the conflist; resolv.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/node.h"
#include "fs.h"
#include "own.h"

#define CONF                                                                                       \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"p\",\"pool\":\"10.40.7.0/"                           \
	"24\",\"baseline\":\"deny\","                                                              \
	"\"dns\":{\"servers\":[\"10.0.0.53\"]}}"

static char root[64];

static int setup(void **state)
{
	char path[128];

	(void)state;
	strcpy(root, "/tmp/pk-node-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/var/lib/picket", root);
	return pk_fs_mkdirs(path, 0700, NULL);
}

static int teardown(void **state)
{
	static const char *const parts[] = { "/var/lib/picket/node.json", "/var/lib/picket",
					     "/var/lib", "/var", "" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", root, parts[i]);
		remove(path);
	}
	return 0;
}

static int settings(const char *node_json, struct pk_settings *s)
{
	PK_OWN(cni_conf_done) struct cni_conf conf = { 0 };
	struct cni_args args = { .region = "global" };
	struct pk_paths paths;
	struct pk_err err = { 0 };

	assert_int_equal(cni_conf_parse(CONF, strlen(CONF), CNI_ADD, &conf, &err), 0);
	assert_int_equal(pk_paths_init(&paths, root, &err), 0);
	if (node_json)
		assert_int_equal(pk_fs_write_quick(paths.node_json, node_json, strlen(node_json),
						   0600, &err),
				 0);
	return cni_settings(&conf, &args, &paths, s, &err);
}

static void without_a_controller_the_conflist_counts(void **state)
{
	PK_OWN(pk_settings_done) struct pk_settings s = { 0 };

	(void)state;
	assert_int_equal(settings(NULL, &s), 0);
	assert_int_equal(s.baseline, PK_BASELINE_DENY);
	assert_true(s.has_nomad); /* no file: job and group stay claims */
	assert_int_equal(s.n_pools, 1);
	assert_int_equal(s.n_resolvers, 1);
	assert_false(s.resolver_host);
	assert_string_equal(s.region, "global");
}

static void the_controllers_word_wins_where_it_has_one(void **state)
{
	PK_OWN(pk_settings_done) struct pk_settings s = { 0 };

	(void)state;
	assert_int_equal(settings("{\"baseline\":\"open\",\"nomad\":false}", &s), 0);
	assert_int_equal(s.baseline, PK_BASELINE_OPEN);
	assert_false(s.has_nomad);
	assert_int_equal(s.n_pools, 1); /* it says nothing of pools */
}

static void a_broken_file_is_an_error_and_changes_nothing(void **state)
{
	PK_OWN(pk_settings_done) struct pk_settings s = { 0 };

	(void)state;
	assert_true(settings("{\"baseline\":\"open\",\"nomad\":fal", &s) < 0);
	assert_int_equal(s.baseline, PK_BASELINE_DENY);
	assert_true(s.has_nomad);
}

/* Claimed blocks count for a day after they were confirmed, and no longer where a clock went back. */
static void claimed_blocks(void **state)
{
	PK_OWN(pk_settings_done) struct pk_settings s = { 0 }, none = { 0 }, back = { 0 };
	struct pk_err err = { 0 };
	own_str text = { 0 };
	const int64_t until = 1000000, first = until - PK_BLOCKS_KEEP_S;

	(void)state;
	assert_int_equal(settings("{\"pools\":[\"10.64.1.0/24\"],\"claimed\":{\"blocks\":["
				  "\"10.64.1.0/24\"],\"until\":1000000}}",
				  &s),
			 0);
	assert_true(s.claimed);
	assert_int_equal(s.n_blocks, 1);
	assert_int_equal(pk_settings_check_blocks(&s, first, &err), 0);
	assert_int_equal(pk_settings_check_blocks(&s, until - 1, &err), 0);
	assert_true(pk_settings_check_blocks(&s, until, &err) < 0);
	assert_int_equal(err.code, PK_CODE_TRY_LATER);
	assert_true(pk_settings_check_blocks(&s, first - 1, NULL) < 0);
	pk_settings_json(&s, &text);
	assert_int_equal(settings(text.text, &back), 0);
	assert_int_equal(back.blocks_until, until);
	assert_int_equal(back.n_blocks, 1);
	assert_int_equal(settings("{\"claimed\":{\"blocks\":[],\"until\":0}}", &none), 0);
	assert_true(pk_settings_check_blocks(&none, 1, NULL) < 0);
}

static void resolv_conf(void **state)
{
	char text[] = "# comment\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.53\n"
		      "search a.test b.test\nnameserver fd00::53\noptions ndots:2\n"
		      "nameserver not-an-address\n;nameserver 10.9.9.9\n"
		      "search\tc.test  -bad d.test\n";
	struct cni_conf conf = { 0 };

	(void)state;
	cni_resolv_conf_parse(text, &conf.dns);
	assert_int_equal(conf.dns.n_servers, 2);
	assert_true(pk_addr_is4(&conf.dns.server[0]));
	assert_int_equal(conf.dns.n_search, 2);
	assert_string_equal(conf.dns.search[0], "c.test");
	assert_string_equal(conf.dns.search[1], "d.test");
	cni_conf_done(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_controller_the_conflist_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_controllers_word_wins_where_it_has_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_broken_file_is_an_error_and_changes_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(claimed_blocks, setup, teardown),
		cmocka_unit_test(resolv_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
