/* SPDX-License-Identifier: Apache-2.0 */
/* picketd.json: what is taken, what is refused and with which words, where values come from. */
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

#include "controller/conf.h"
#include "fs.h"
#include "own.h"

static int parse(struct pk_config *c, const char *text, struct pk_err *err)
{
	return pk_config_parse(c, "test.json", text, strlen(text), err);
}

static const struct {
	const char *what, *text;
	const char *error; /* part of it; NULL: taken */
} rows[] = {
	{ "an empty object is all defaults", "{}", NULL },
	{ "comments are allowed", "{ // x\n \"cluster\": /* y */ \"a\" }", NULL },
	{ "a schema reference is allowed", "{\"$schema\": \"picketd.schema.json\"}", NULL },
	{ "an unknown key is refused with the nearest", "{\"baselin\": \"deny\"}", "baseline" },
	{ "an unknown key of a section too", "{\"nomad\": {\"adress\": \"x\"}}", "address" },
	{ "a key twice", "{\"cluster\": \"a\", \"cluster\": \"b\"}", "twice" },
	{ "a token has no place here", "{\"nomad\": {\"token\": \"s3cret\"}}", "secret" },
	{ "baseline is one of three", "{\"baseline\": \"none\"}", "tenant, deny, open" },
	{ "a section must be an object", "{\"flows\": []}", "expected an object" },
	{ "a pool with host bits", "{\"pools\": [\"10.1.2.3/16\"]}", "10.1.0.0/16" },
	{ "a pool that is none", "{\"pools\": [\"10.1.0.0\\/99\"]}", "expected a prefix" },
	{ "null pools are the conflist's", "{\"pools\": null}", NULL },
	{ "a resolver may be host", "{\"resolvers\": [\"host\", \"10.0.0.53\", \"fd00::1\"]}",
	  NULL },
	{ "a resolver is no name", "{\"resolvers\": [\"dns.local\"]}", "an address or \"host\"" },
	{ "a service is declared with a prefix",
	  "{\"services\": [{\"name\": \"pg\", \"within\": [\"10.9.0.0/24\"], \"tenants\": [\"acme\"]}]}",
	  NULL },
	{ "a service of all tenants",
	  "{\"services\": [{\"name\": \"pg\", \"within\": [\"fd09::/64\"], \"tenants\": [\"*\"]}]}",
	  NULL },
	{ "a service lies somewhere", "{\"services\": [{\"name\": \"pg\"}]}", "within" },
	{ "a service lies in one prefix at least",
	  "{\"services\": [{\"name\": \"pg\", \"within\": []}]}", "within" },
	{ "a prefix of a service has no host bits",
	  "{\"services\": [{\"name\": \"pg\", \"within\": [\"10.9.0.1/24\"]}]}", "host bits" },
	{ "Nomad's service has a namespace",
	  "{\"services\": [{\"name\": \"pg\", \"catalog\": \"nomad\", \"within\": [\"10.9.0.0/24\"]}]}",
	  "has a namespace" },
	{ "a service is declared once",
	  "{\"services\": [{\"name\": \"pg\", \"within\": [\"10.9.0.0/24\"]}, {\"name\": \"pg\", \"within\": [\"10.8.0.0/24\"]}]}",
	  "declared twice" },
	{ "a service has no instances in a configuration",
	  "{\"services\": [{\"name\": \"pg\", \"within\": [\"10.9.0.0/24\"], \"instances\": [\"10.9.0.5\"]}]}",
	  "instances" },
	{ "tenantReach takes prefixes and two entities",
	  "{\"tenantReach\": [\"10.1.0.0/16\", \"host\", \"remote-node\"]}", NULL },
	{ "tenantReach takes no other entity", "{\"tenantReach\": [\"world\"]}",
	  "\"remote-node\"" },
	{ "capacity has a limit", "{\"capacity\": {\"endpoints\": 100000}}", "endpoints" },
	{ "capacity is a whole number", "{\"capacity\": {\"endpoints\": 1.5}}", "endpoints" },
	{ "flows.maxSize in words", "{\"flows\": {\"maxSize\": \"1MiB\"}}", NULL },
	{ "flows.maxSize is no nonsense", "{\"flows\": {\"maxSize\": \"1 parsec\"}}", "256MiB" },
	{ "flows.maxSize is not tiny", "{\"flows\": {\"maxSize\": 10}}", "maxSize" },
	{ "flows.allowed is one of two", "{\"flows\": {\"allowed\": \"sampled\"}}", "\"none\"" },
	{ "no flows file", "{\"flows\": {\"file\": null}}", NULL },
	{ "paths are absolute", "{\"policies\": {\"directory\": \"policies\"}}", "absolute" },
	{ "an address is a URL", "{\"nomad\": {\"address\": \"127.0.0.1:4646\"}}", "http://HOST" },
	{ "an address has a host", "{\"nomad\": {\"address\": \"http:///v1\"}}", "http://HOST" },
	{ "an address has no password", "{\"consul\": {\"address\": \"http://u:p@h:1\"}}",
	  "without a password" },
	{ "an address may have a path", "{\"consul\": {\"address\": \"https://[::1]:1/consul/\"}}",
	  NULL },
	{ "a prefix is a path of keys", "{\"consul\": {\"prefix\": \"ops/picket-1\"}}", NULL },
	{ "a prefix has no empty parts", "{\"consul\": {\"prefix\": \"picket/\"}}", "between" },
	{ "a cluster is part of a key", "{\"cluster\": \"a b\"}", "letters" },
	{ "addresses have turns", "{\"nomad\": {\"address\": [\"http://a:1\", \"https://b:2\"]}}",
	  NULL },
	{ "no list without one", "{\"nomad\": {\"address\": []}}", "an empty list" },
	{ "five of them at most",
	  "{\"nomad\": {\"address\": [\"http://a\",\"http://b\",\"http://c\",\"http://d\",\"http://e\","
	  "\"http://f\"]}}",
	  "expected 5 at most" },
	{ "each is one", "{\"nomad\": {\"address\": [\"http://a\", 5]}}", "unix:///PATH" },
	{ "a socket", "{\"consul\": {\"address\": \"unix:///run/consul.sock\"}}", NULL },
	{ "by an absolute path", "{\"consul\": {\"address\": \"unix://run\"}}", "unix:///PATH" },
	{ "that is one", "{\"consul\": {\"address\": \"unix:///\"}}", "unix:///PATH" },
	{ "a client's certificate",
	  "{\"nomad\": {\"certFile\": \"/c.pem\", \"keyFile\": \"/k.pem\", \"serverName\": \"a\"}}",
	  NULL },
	{ "by absolute paths", "{\"nomad\": {\"certFile\": \"c.pem\", \"keyFile\": \"k\"}}",
	  "absolute" },
	{ "Consul's scopes",
	  "{\"consul\": {\"namespace\": \"n\", \"partition\": \"p\"}, \"nomad\": {\"region\": \"r\"}}",
	  NULL },
	{ "are Consul's", "{\"nomad\": {\"partition\": \"p\"}}", "unknown key" },
	{ "nomad null switches it off", "{\"nomad\": null}", NULL },
	{ "the cluster's range is a list", "{\"blocks\": {\"range\": \"10.0.0.0/8\"}}",
	  "expected an array" },
	{ "of prefixes", "{\"blocks\": {\"range\": [\"10.64.0.0/12\", \"fd64::/16\"]}}", NULL },
	{ "without host bits", "{\"blocks\": {\"range\": [\"10.64.0.1/12\"]}}",
	  "expected a prefix" },
	{ "that aren't all there is", "{\"blocks\": {\"range\": [\"0.0.0.0/0\"]}}",
	  "all there is" },
	{ "or null", "{\"blocks\": {\"range\": null, \"size\": 24}}", NULL },
	{ "a block's size is a prefix length", "{\"blocks\": {\"size\": 30}}",
	  "expected a whole number of 8..29" },
	{ "of IPv6 too", "{\"blocks\": {\"size6\": 65}}", "expected a whole number of 32..64" },
	{ "a fabric", "{\"fabric\": \"routed\", \"node\": \"client-1\"}", NULL },
	{ "an overlay", "{\"fabric\": \"vxlan\", \"vxlan\": {\"underlay\": \"ipv6\"}}", NULL },
	{ "of a family", "{\"vxlan\": {\"underlay\": \"ipv5\"}}", "\"ipv4\" or \"ipv6\"" },
	{ "of a port that anybody may have", "{\"vxlan\": {\"port\": 8479}}", NULL },
	{ "of no other", "{\"vxlan\": {\"port\": 80}}", "1024" },
	{ "that there is", "{\"fabric\": \"geneve\"}", "\"routed\" or \"vxlan\"" },
	{ "a listener", "{\"http\": {\"listen\": \"127.0.0.1:4680\"}}", NULL },
	{ "on IPv6", "{\"http\": {\"listen\": \"[::1]:4680\"}}", NULL },
	{ "or none", "{\"http\": {\"listen\": null, \"ui\": true}}", NULL },
	{ "a listener has a port", "{\"http\": {\"listen\": \"127.0.0.1\"}}", "ADDRESS:PORT" },
	{ "and not 0", "{\"http\": {\"listen\": \"127.0.0.1:0\"}}", "ADDRESS:PORT" },
	{ "nor beyond 16 bits", "{\"http\": {\"listen\": \"127.0.0.1:65536\"}}", "ADDRESS:PORT" },
	{ "and an address", "{\"http\": {\"listen\": \":4680\"}}", "ADDRESS:PORT" },
	{ "not a name", "{\"http\": {\"listen\": \"localhost:4680\"}}", "ADDRESS:PORT" },
	{ "IPv6 in brackets", "{\"http\": {\"listen\": \"::1:4680\"}}", "ADDRESS:PORT" },
	{ "and only that", "{\"http\": {\"listen\": \"[127.0.0.1]:4680\"}}", "ADDRESS:PORT" },
	{ "closed ones", "{\"http\": {\"listen\": \"[::1:4680\"}}", "ADDRESS:PORT" },
	{ "uplinks are names", "{\"uplinks\": [\"eth0\", \"bond0.5\"]}", NULL },
	{ "or one name", "{\"uplinks\": \"eth0\"}", NULL },
	{ "or the default routes'", "{\"uplinks\": null}", NULL },
	{ "an uplink is a device's name", "{\"uplinks\": [\"eth0/1\"]}", "device's name" },
	{ "no list without a name", "{\"uplinks\": []}", "empty" },
	{ "four of them at most", "{\"uplinks\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}",
	  "expected 4 at most" },
	{ "masquerade off", "{\"masquerade\": false}", NULL },
	{ "masquerade is no word", "{\"masquerade\": \"no\"}", "expected" },
	{ "masquerade.ipv6", "{\"masquerade\": {\"ipv6\": true}}", NULL },
	{ "masquerade.ipv5", "{\"masquerade\": {\"ipv5\": true}}", "ipv4" },
	{ "ports are a range", "{\"masquerade\": {\"ports\": \"10000\"}}", "10000-19999" },
	{ "and not backwards", "{\"masquerade\": {\"ports\": \"19999-10000\"}}", "10000-19999" },
	{ "nor a handful", "{\"masquerade\": {\"ports\": \"10000-10062\"}}", "64 ports" },
	{ "64 are enough", "{\"masquerade\": {\"ports\": \"10000-10063\"}}", NULL },
	{ "nor privileged", "{\"masquerade\": {\"ports\": \"1023-10000\"}}", "1024" },
	{ "nor beyond 16 bits", "{\"masquerade\": {\"ports\": \"60000-65536\"}}", "65535" },
	{ "nor with more behind", "{\"masquerade\": {\"ports\": \"10000-19999-\"}}", "expected" },
	{ "time-outs in seconds", "{\"timeouts\": {\"tcpOpen\": 432000, \"dns\": 2}}", NULL },
	{ "a time-out has a least", "{\"timeouts\": {\"dns\": 1}}", "2..432000" },
	{ "and a most", "{\"timeouts\": {\"tcpOpen\": 432001}}", "timeouts.tcpOpen" },
	{ "a time-out is no text", "{\"timeouts\": {\"udp\": \"30s\"}}", "timeouts.udp" },
	{ "a state that isn't there", "{\"timeouts\": {\"tcpClose\": 5}}", "tcpClosed" },
	{ "a key of the wrong type", "{\"cluster\": 5}", "found a number (5), expected letters" },
	{ "nothing behind the document", "{} {}", "after" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_err err = { 0 };
		struct pk_config c;
		int r;

		pk_config_init(&c);
		r = parse(&c, rows[i].text, &err);
		if ((r == 0) != !rows[i].error ||
		    (rows[i].error && !strstr(err.text, rows[i].error) &&
		     !strstr(err.fix, rows[i].error)))
			fail_msg("%s: %d \"%s\" fix \"%s\"", rows[i].what, r, err.text, err.fix);
		if (r < 0 && !strstr(err.text, "test.json:"))
			fail_msg("%s: no place in \"%s\"", rows[i].what, err.text);
		pk_config_done(&c);
	}
}

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
	assert_null(strstr(text.text, "baseline"));
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
		cmocka_unit_test(test_rows),
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
