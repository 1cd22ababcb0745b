/* SPDX-License-Identifier: Apache-2.0 */
/* picketd.json: what becomes of what it says, and where values come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"
#include "unit/conf_fixture.h"

static void test_values(void **state)
{
	struct pk_config c;

	(void)state;
	pk_config_init(&c);
	assert_true(c.settings.has_nomad);
	assert_false(c.consul.on);
	assert_int_equal(parse(&c,
			       "{\"baseline\": \"deny\", \"nomad\": null,"
			       " \"consul\": {\"prefix\": \"fence\"},"
			       " \"pools\": [\"10.40.0.0/16\", \"fd40::/48\"],"
			       " \"resolvers\": [\"host\", \"10.0.0.53\"],"
			       " \"limits\": {\"flowsPerEndpoint\": 100},"
			       " \"flows\": {\"maxSize\": \"2MB\"}}",
			       NULL),
			 0);
	assert_int_equal(c.settings.baseline, PK_BASELINE_DENY);
	assert_true(c.settings.baseline_given);
	assert_false(c.settings.has_nomad || c.nomad.on);
	assert_true(c.consul.on);
	assert_string_equal(c.consul_prefix, "fence");
	assert_int_equal(c.settings.n_pools, 2);
	assert_true(c.settings.resolver_host);
	assert_int_equal(c.settings.n_resolvers, 1);
	assert_int_equal(c.settings.flow_budget, 100);
	assert_int_equal(c.flows_max_size, 2000000);
	pk_config_done(&c);
}

static void test_way_out(void **state)
{
	struct pk_config c;

	(void)state;
	pk_config_init(&c);
	assert_false(c.settings.uplinks.given || c.settings.masquerade.given);
	assert_true(c.settings.masquerade.ipv4);
	assert_false(c.settings.masquerade.ipv6);
	assert_int_equal(parse(&c,
			       "{\"uplinks\": [\"wan0\", \"wan1\"],"
			       " \"masquerade\": {\"ipv6\": true, \"ports\": \"40000-49999\"}}",
			       NULL),
			 0);
	assert_int_equal(c.settings.uplinks.n, 2);
	assert_string_equal(c.settings.uplinks.name[1], "wan1");
	assert_true(c.settings.uplinks.given && c.settings.masquerade.given);
	assert_true(c.settings.masquerade.ipv4 && c.settings.masquerade.ipv6);
	assert_int_equal(c.settings.masquerade.low, 40000);
	assert_int_equal(c.settings.masquerade.high, 49999);
	/* A later file of the directory. What it doesn't say stays. */
	assert_int_equal(parse(&c, "{\"masquerade\": false}", NULL), 0);
	assert_false(c.settings.masquerade.ipv4 || c.settings.masquerade.ipv6);
	assert_int_equal(c.settings.masquerade.low, 40000);
	pk_config_done(&c);
}

/* A scratch directory of this test's own. */
static int make_dir(void **state)
{
	char dir[] = "/tmp/pk-conf-XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const files[] = { "a.json", "b.json",     ".c.json",
					     "d.txt",  "x.conflist", "node.json" };
	char path[256];

	for (size_t i = 0; i < PK_ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, files[i]);
		unlink(path);
	}
	rmdir(*state);
	free(*state);
	return 0;
}

static void put(void **state, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", (char *)*state, name);
	assert_int_equal(pk_fs_write_quick(path, text, strlen(text), 0600, NULL), 0);
}

static void test_directory(void **state)
{
	struct pk_config_args args = { .path = *state, .root = *state };
	struct pk_config c;
	own_str text = { 0 };
	char origin[256];

	put(state, "a.json", "{\"cluster\": \"one\", \"baseline\": \"open\"}");
	put(state, "b.json", "{\"cluster\": \"two\"}");
	put(state, ".c.json", "not read");
	put(state, "d.txt", "not read");
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	assert_string_equal(c.cluster, "two");
	assert_int_equal(c.settings.baseline, PK_BASELINE_OPEN);
	pk_config_print(&c, &text);
	snprintf(origin, sizeof(origin), "\"cluster\": \"two\"  /* %s/b.json */", (char *)*state);
	assert_non_null(strstr(text.text, origin));
	assert_non_null(strstr(text.text, "\"healthChecks\": true  /* default */"));
	pk_config_done(&c);

	put(state, "b.json", "{\"clutser\": \"two\"}");
	assert_true(pk_config_load(&c, &args, NULL) < 0);
}

/* A file that was read before and is gone: one that this directory could have, not anybody's. */
static void test_a_file_that_is_gone(void **state)
{
	struct pk_config_args args = { .path = *state, .root = *state };
	struct pk_config c;
	char before[256], other[256];

	put(state, "b.json", "{}");
	put(state, "a.json", "{}");
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	assert_int_equal(pk_config_check_gone(&c, "", NULL), 0);
	snprintf(before, sizeof(before), "%s/a.json\n/elsewhere/z.json\n", (char *)*state);
	assert_int_equal(pk_config_check_gone(&c, before, NULL), 0);
	snprintf(before, sizeof(before), "%s/a.json\n%s/z.json\n", (char *)*state, (char *)*state);
	assert_int_equal(pk_config_check_gone(&c, before, NULL), -ENOENT);
	/* One whose name begins as it does is another one. */
	snprintf(before, sizeof(before), "%s/a.js\n", (char *)*state);
	assert_int_equal(pk_config_check_gone(&c, before, NULL), -ENOENT);
	pk_config_done(&c);

	/* Where one file is named its neighbours are none of it. */
	snprintf(before, sizeof(before), "%s/a.json", (char *)*state);
	args.path = before;
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	snprintf(other, sizeof(other), "%s/b.json\n", (char *)*state);
	assert_int_equal(pk_config_check_gone(&c, other, NULL), 0);
	pk_config_done(&c);
}

static const char *env(const char *name)
{
	if (strcmp(name, "NOMAD_ADDR") == 0)
		return "https://nomad.example:4646";
	if (strcmp(name, "NOMAD_TOKEN") == 0)
		return "t0ken";
	return strcmp(name, "CONSUL_HTTP_ADDR") == 0 ? "127.0.0.1:8501" : NULL;
}

static void test_environment(void **state)
{
	struct pk_config_args args = { .root = *state, .env = env };
	struct pk_config c;
	own_str text = { 0 };

	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	assert_string_equal(c.nomad.address[0], "https://nomad.example:4646");
	assert_string_equal(c.consul.address[0], "http://127.0.0.1:8501");
	assert_true(c.consul.on);
	assert_string_equal(c.nomad.token, "t0ken");
	pk_config_print(&c, &text);
	assert_null(strstr(text.text, "t0ken"));
	assert_non_null(strstr(text.text, "environment NOMAD_ADDR"));
	pk_config_done(&c);

	put(state, "a.json", "{\"nomad\": {\"address\": \"http://here:1\"}}");
	args.path = *state;
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	assert_string_equal(c.nomad.address[0], "http://here:1");
	pk_config_done(&c);
}

/* What is claimed lies in a range that holds it, and nothing beside it says whose addresses are whose. */
static void test_claimed_blocks(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: it is taken */
	} cases[] = {
		{ "{\"blocks\": {\"claim\": true}}", "without \"range\"" },
		{ "{\"blocks\": {\"claim\": true, \"range\": [\"10.64.0.0/25\"]}}",
		  "a block of /24 is larger than the range 10.64.0.0/25" },
		{ "{\"blocks\": {\"claim\": true, \"range\": [\"10.64.0.0/12\", \"fd64::/80\"]}}",
		  "a block of /64 is larger than the range fd64::/80" },
		{ "{\"blocks\": {\"claim\": true, \"range\": [\"10.64.0.0/12\"]}, "
		  "\"pools\": [\"10.64.0.0/24\"]}",
		  "\"pools\" beside" },
		{ "{\"blocks\": {\"claim\": true, \"range\": [\"10.64.0.0/25\"], \"size\": 26}}",
		  NULL },
	};
	struct pk_config_args args = { .path = *state, .root = *state };

	for (size_t i = 0; i < PK_ARRAY_LEN(cases); i++) {
		struct pk_err err = { 0 };
		struct pk_config c;
		int r;

		put(state, "a.json", cases[i].text);
		r = pk_config_load(&c, &args, &err);
		if ((r < 0) != (cases[i].want != NULL) ||
		    (cases[i].want && !strstr(err.text, cases[i].want)))
			fail_msg("%s: %s", cases[i].text, err.text);
		if (r < 0)
			continue;
		assert_true(c.settings.claimed && c.settings.pools_given);
		pk_config_done(&c);
	}
}

static void test_ports_of_the_overlay(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{\"fabric\": \"vxlan\", \"vxlan\": {\"port\": 33434}}", "another one is there" },
		{ "{\"fabric\": \"vxlan\", \"vxlan\": {\"port\": 12000}}", "masquerade.ports" },
	};
	struct pk_config_args args = { .path = *state, .root = *state };

	for (size_t i = 0; i < PK_ARRAY_LEN(cases); i++) {
		struct pk_err err = { 0 };
		struct pk_config c;

		put(state, "a.json", cases[i].text);
		assert_int_equal(pk_config_load(&c, &args, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].want));
		assert_non_null(strstr(err.fix, "\"port\" in \"vxlan\""));
	}
}

/* Half of what a client shows is no word, wherever either comes from. */
static void test_halves(void **state)
{
	struct pk_config_args args = { .root = *state };
	struct pk_err err = { 0 };
	struct pk_config c;

	put(state, "a.json", "{\"nomad\": {\"keyFile\": \"/k.pem\"}}");
	args.path = *state;
	assert_true(pk_config_load(&c, &args, &err) < 0);
	assert_non_null(strstr(err.text, "nomad.keyFile is set without nomad.certFile"));
	put(state, "a.json", "{\"consul\": {\"certFile\": \"/c.pem\"}}");
	assert_true(pk_config_load(&c, &args, &err) < 0);
	assert_non_null(strstr(err.text, "consul.certFile is set without consul.keyFile"));
	put(state, "a.json", "{\"nomad\": {\"certFile\": \"/c.pem\", \"keyFile\": \"/k.pem\"}}");
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	pk_config_done(&c);
}

static const char *tls_env(const char *name)
{
	static const char *const values[][2] = {
		{ "NOMAD_ADDR", "unix:///run/nomad.sock" },
		{ "NOMAD_CACERT", "/ca.pem" },
		{ "NOMAD_CLIENT_CERT", "/c.pem" },
		{ "NOMAD_CLIENT_KEY", "/k.pem" },
		{ "NOMAD_TLS_SERVER_NAME", "client.global.nomad" },
		{ "NOMAD_REGION", "north" },
		{ "CONSUL_HTTP_ADDR", "127.0.0.1:8501" },
		{ "CONSUL_HTTP_SSL", "true" },
		{ "CONSUL_HTTP_TOKEN_FILE", "/t" },
		{ "CONSUL_NAMESPACE", "net" },
		{ "CONSUL_PARTITION", "edge" },
	};

	for (size_t i = 0; i < PK_ARRAY_LEN(values); i++)
		if (strcmp(values[i][0], name) == 0)
			return values[i][1];
	return NULL;
}

static const char *wrong_env(const char *name)
{
	return strcmp(name, "NOMAD_CACERT") == 0 ? "ca.pem" : NULL;
}

static void test_environment_of_tls(void **state)
{
	struct pk_config_args args = { .root = *state, .env = tls_env };
	struct pk_err err = { 0 };
	struct pk_config c;

	put(state, "a.json", "{\"nomad\": {\"region\": \"south\"}}");
	args.path = *state;
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	assert_string_equal(c.nomad.address[0], "unix:///run/nomad.sock");
	assert_string_equal(c.nomad.ca_file, "/ca.pem");
	assert_string_equal(c.nomad.cert_file, "/c.pem");
	assert_string_equal(c.nomad.key_file, "/k.pem");
	assert_string_equal(c.nomad.server_name, "client.global.nomad");
	assert_string_equal(c.nomad.region, "south");
	assert_string_equal(c.consul.address[0], "https://127.0.0.1:8501");
	assert_string_equal(c.consul.token_file, "/t");
	assert_string_equal(c.consul.namespace, "net");
	assert_string_equal(c.consul.partition, "edge");
	pk_config_done(&c);
	args.env = wrong_env;
	assert_true(pk_config_load(&c, &args, &err) < 0);
	assert_non_null(strstr(err.text, "NOMAD_CACERT in the environment is no absolute path"));
}

static void test_printed_is_read(void **state)
{
	struct pk_config_args args = { .root = *state };
	struct pk_config c, again;
	struct pk_err err = { 0 };
	own_str text = { 0 };

	put(state, "a.json",
	    "{\"baseline\": \"deny\", \"pools\": [\"10.0.0.0/8\"], \"nomad\": null,"
	    " \"consul\": {\"address\": [\"http://a:1\", \"unix:///b\"]}}");
	args.path = *state;
	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	pk_config_print(&c, &text);
	pk_config_init(&again);
	if (pk_config_parse(&again, "printed", text.text, text.len, &err) < 0)
		fail_msg("%s in\n%s", err.text, text.text);
	assert_int_equal(again.settings.baseline, PK_BASELINE_DENY);
	assert_int_equal(again.settings.n_pools, 1);
	assert_false(again.nomad.on);
	assert_string_equal(again.consul.address[0], "http://a:1");
	assert_string_equal(again.consul.address[1], "unix:///b");
	assert_string_equal(again.consul.address[2], "");
	pk_config_done(&c);
	pk_config_done(&again);
}

static void test_conflist(void **state)
{
	struct pk_config_args args = { .root = *state };
	struct pk_config c;
	own_str conflist = { 0 };
	own_str print = { 0 };
	static const char *const keys[] = { "\"pools\"",   "\"resolvers\"", "\"baseline\"",
					    "\"uplinks\"", "\"ipv6\"",	    "\"ports\"" };

	assert_int_equal(pk_config_load(&c, &args, NULL), 0);
	pk_str_addf(&conflist,
		    "{\"cniVersion\": \"1.0.0\", \"name\": \"picket\", \"plugins\": [{\"type\": "
		    "\"picket\","
		    " \"root\": \"%s\", \"pool\": [\"10.9.0.0/24\"], \"baseline\": \"deny\","
		    " \"uplinks\": \"wan0\", \"masquerade\": {\"ipv6\": true, \"ports\": "
		    "\"40000-40999\"},"
		    " \"dns\": {\"servers\": [\"10.9.0.53\"]}}]}",
		    (char *)*state);
	put(state, "x.conflist", conflist.text);
	assert_int_equal(pk_conflist_apply(&c, *state, NULL), 0);
	assert_int_equal(c.settings.n_pools, 1);
	assert_false(c.settings.pools_given);
	assert_int_equal(c.settings.n_resolvers, 1);
	assert_int_equal(c.settings.baseline, PK_BASELINE_DENY);
	assert_string_equal(c.settings.uplinks.name[0], "wan0");
	assert_true(c.settings.masquerade.ipv6);
	assert_int_equal(c.settings.masquerade.low, 40000);
	/* They stay the conflist's: node.json says none of it but the ports, which are the node's. */
	assert_false(c.settings.uplinks.given || c.settings.masquerade.given);
	pk_config_print(&c, &print);
	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++) {
		const char *at = strstr(print.text, keys[i]);

		if (!at || !strstr(at, "x.conflist") || strstr(at, "x.conflist") > strchr(at, '\n'))
			fail_msg("%s isn't shown as the conflist's: %s", keys[i], print.text);
	}
	pk_config_done(&c);
}

/* node.json and back; what no file said stays out of it, for the conflist to say. */
static void test_node_json(void **state)
{
	struct pk_settings s, t;
	own_str text = { 0 };
	char path[256];

	pk_settings_init(&s);
	s.has_nomad = false;
	strcpy(s.node, "vm-17");
	pk_settings_json(&s, &text);
	assert_null(strstr(text.text, "\"baseline\":"));
	assert_null(strstr(text.text, "pools"));
	assert_null(strstr(text.text, "uplinks"));
	assert_null(strstr(text.text, "ipv4"));
	put(state, "node.json", text.text);
	snprintf(path, sizeof(path), "%s/node.json", (char *)*state);
	pk_settings_init(&t);
	t.baseline = PK_BASELINE_DENY;
	assert_int_equal(pk_settings_read(&t, path, NULL), 0);
	assert_int_equal(t.baseline, PK_BASELINE_DENY);
	assert_false(t.has_nomad);
	assert_string_equal(t.node, "vm-17");
	/* What an endpoint's conflist says of masquerading stays, whatever release 0.1 wrote. */
	t.masquerade.ipv4 = false;
	put(state, "node.json", "{\"masquerade\": true}");
	assert_int_equal(pk_settings_read(&t, path, NULL), 0);
	assert_false(t.masquerade.ipv4);
	put(state, "node.json", "{\"masquerade\": {\"ipv4\": true}, \"uplinks\": [\"wan0\"]}");
	assert_int_equal(pk_settings_read(&t, path, NULL), 0);
	assert_true(t.masquerade.ipv4 && t.masquerade.given && t.uplinks.given);
	put(state, "node.json", "{\"nomad\": 1}");
	assert_true(pk_settings_read(&t, path, NULL) < 0);
	pk_settings_done(&s);
	pk_settings_done(&t);
}

static void test_sizes(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(pk_config_size("256MiB", &n), 0);
	assert_int_equal(n, 256u << 20);
	assert_int_equal(pk_config_size("10", &n), 0);
	assert_int_equal(n, 10);
	assert_true(pk_config_size("", &n) < 0);
	assert_true(pk_config_size("MiB", &n) < 0);
	assert_true(pk_config_size("99999999999999999999", &n) < 0);
	assert_true(pk_config_size("99999999999999999GiB", &n) < 0);
	assert_true(pk_config_size("-1", &n) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_way_out),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test_setup_teardown(test_directory, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_gone, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_environment, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_environment_of_tls, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_halves, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_claimed_blocks, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_ports_of_the_overlay, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_printed_is_read, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_conflist, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_node_json, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("controller: configuration", tests, NULL, NULL);
}
