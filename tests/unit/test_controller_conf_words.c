// SPDX-License-Identifier: Apache-2.0
/* picketd.json: what is taken and what is refused, each with its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <string.h>

#include "own.h"
#include "unit/conf_fixture.h"

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
int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
