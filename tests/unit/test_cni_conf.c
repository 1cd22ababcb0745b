/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conflist as the plugin reads it: what is taken, what is refused, and how it says
 * so.
 */
#include <netinet/in.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni/args.h"
#include "cni/verb.h"
#include "cni_conf.h"
#include "log.h"
#include "own.h"

#define HEAD "{\"cniVersion\":\"1.0.0\",\"name\":\"picket\",\"type\":\"picket\""

static int parse(const char *text, enum cni_verb verb, struct cni_conf *conf, struct pk_err *err)
{
	*err = (struct pk_err){ 0 };
	return cni_conf_parse(text, strlen(text), verb, conf, err);
}

static void defaults_are_those_of_the_documentation(void **state)
{
	PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
	struct pk_err err;

	(void)state;
	assert_int_equal(parse(HEAD ",\"pool\":\"10.40.7.0/24\"}", CNI_ADD, &c, &err), 0);
	assert_int_equal(c.version, CNI_1_0_0);
	assert_string_equal(c.name, "picket");
	assert_string_equal(c.root, "/");
	assert_int_equal(c.n_pools, 1);
	assert_false(c.process || c.tcx || c.strict_status || c.has_baseline || c.dns.given);
	assert_true(c.masquerade.ipv4);
	assert_false(c.masquerade.ipv6);
	assert_false(c.masquerade.given);
	assert_int_equal(c.uplinks.n, 0);
	assert_int_equal(c.owner, -1);
	assert_int_equal(c.group, -1);
	assert_int_equal(c.queues, 1);
	assert_int_equal(c.mtu, 0);
	assert_int_equal(c.wait_ms, 500);
	assert_int_equal(c.deadline_ms, 2000);
	assert_int_equal(cni_deadline_of_load(&c), 20000);
	assert_int_equal(c.job_args, 0);
	assert_int_equal(c.n_ports, 0);
	assert_null(c.prev_result);
	cni_conf_done(&c);
	assert_int_equal(parse(HEAD "}", CNI_DEL, &c, &err), 0);
	assert_int_equal(c.deadline_ms, 5000);
}

static void every_key_is_read(void **state)
{
	PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
	struct pk_err err;

	(void)state;
	assert_int_equal(
		parse(HEAD
		      ",\"pool\":[\"10.40.7.0/24\",\"fd00:40:7::/64\"],\"gateway\":\"10.40.7.254\","
		      "\"mode\":\"process\",\"attach\":\"netns-tap\",\"owner\":1001,\"group\":1002,"
		      "\"mtu\":1400,\"queues\":4,\"dns\":{\"servers\":[\"10.0.0.53\",\"fd00::53\"],"
		      "\"search\":[\"svc.test\"]},\"uplink\":\"up0\",\"baseline\":\"deny\","
		      "\"masquerade\":false,\"waitForController\":0,\"deadline\":\"1m\","
		      "\"limits\":{\"bytesPerSecond\":{\"in\":1000,\"out\":2000},"
		      "\"packetsPerSecond\":5,"
		      "\"newFlowsPerSecond\":7,\"flows\":9},\"allowJobArgs\":[\"picket.ip\"],"
		      "\"root\":\"/tmp/"
		      "x\",\"hook\":\"tcx\",\"strictStatus\":true,\"logLevel\":\"debug\","
		      "\"args\":{\"static\":\"kept\"},\"capabilities\":{\"portMappings\":true},"
		      "\"example.com/x\":1,\"a.b\":2}",
		      CNI_ADD, &c, &err),
		0);
	assert_int_equal(c.n_pools, 2);
	assert_true(c.pool[1].v6 && c.process && c.tcx && c.strict_status && c.has_baseline);
	assert_int_equal(c.baseline, PK_BASELINE_DENY);
	assert_int_equal(c.owner, 1001);
	assert_int_equal(c.group, 1002);
	assert_int_equal(c.mtu, 1400);
	assert_int_equal(c.queues, 4);
	assert_int_equal(c.dns.n_servers, 2);
	assert_int_equal(c.dns.n_search, 1);
	assert_string_equal(c.dns.search[0], "svc.test");
	assert_int_equal(c.uplinks.n, 1);
	assert_string_equal(c.uplinks.name[0], "up0");
	assert_false(c.masquerade.ipv4);
	assert_true(c.masquerade.given);
	assert_int_equal(c.wait_ms, 0);
	assert_int_equal(c.deadline_ms, 60000);
	assert_int_equal(cni_deadline_of_load(&c), 60000);
	assert_int_equal(c.limits.of[PK_LIMIT_BYTES + PK_INGRESS], 1000);
	assert_int_equal(c.limits.of[PK_LIMIT_BYTES + PK_EGRESS], 2000);
	assert_int_equal(c.limits.of[PK_LIMIT_PACKETS + PK_INGRESS], 5);
	assert_int_equal(c.limits.of[PK_LIMIT_PACKETS + PK_EGRESS], 5);
	assert_int_equal(c.limits.of[PK_LIMIT_NEW_FLOWS + PK_EGRESS], 7);
	assert_int_equal(c.limits.of[PK_LIMIT_NEW_FLOWS + PK_INGRESS], 7);
	assert_int_equal(c.limits.of[PK_LIMIT_FLOWS], 9);
	assert_int_equal(c.job_args, CNI_JOB_IP);
	assert_string_equal(c.root, "/tmp/x");
	assert_int_equal(c.log_level, PK_LOG_DEBUG);
}

struct refusal {
	const char *why;
	const char *text;
	int code;
	const char *said; /* part of the message */
	const char *fix;  /* part of the fix; NULL = any, also none */
};

static const struct refusal refusals[] = {
	{ "empty", "", PK_CODE_DECODE, "conflist", NULL },
	{ "not JSON", "hello", PK_CODE_DECODE, "conflist:1:1", NULL },
	{ "an array", "[]", PK_CODE_CONFIG, "object", NULL },
	{ "wrong version", "{\"cniVersion\":\"9.9.9\",\"name\":\"p\"}", PK_CODE_VERSION, "9.9.9",
	  "1.0.0" },
	{ "0.3.0", "{\"cniVersion\":\"0.3.0\",\"name\":\"p\"}", PK_CODE_VERSION, "0.3.0", NULL },
	{ "version a number", "{\"cniVersion\":1.0,\"name\":\"p\"}", PK_CODE_VERSION, "", NULL },
	{ "no version", "{\"name\":\"p\"}", PK_CODE_VERSION, "absent", "1.0.0" },
	{ "missing name", "{\"cniVersion\":\"1.0.0\"}", PK_CODE_CONFIG, "\"name\" is missing",
	  "\"name\"" },
	{ "name with a slash", "{\"cniVersion\":\"1.0.0\",\"name\":\"../x\"}", PK_CODE_CONFIG,
	  "name", NULL },
	{ "unknown key", HEAD ",\"pol\":\"10.40.7.0/24\"}", PK_CODE_CONFIG, ".pol: unknown key",
	  "did you mean \"pool\"?" },
	{ "unknown key, nothing near", HEAD ",\"zzzzzzzzzz\":1}", PK_CODE_CONFIG, "unknown key",
	  "known here: " },
	{ "case matters", HEAD ",\"Pool\":\"10.40.7.0/24\"}", PK_CODE_CONFIG, "unknown key", NULL },
	{ "ipam", HEAD ",\"ipam\":{\"type\":\"host-local\"}}", PK_CODE_CONFIG, "ipam", "\"pool\"" },
	{ "a host tap of process mode", HEAD ",\"mode\":\"process\",\"attach\":\"host-tap\"}",
	  PK_CODE_CONFIG, "makes no tap", "drop \"attach\"" },
	{ "attach", HEAD ",\"attach\":\"host\"}", PK_CODE_CONFIG, "\"host-tap\"", NULL },
	{ "keys twice", HEAD ",\"mtu\":1400,\"mtu\":1500}", PK_CODE_DECODE, "mtu", NULL },
	{ "keys twice by escape", HEAD ",\"mtu\":1400,\"\\u006dtu\":1500}", PK_CODE_DECODE,
	  "conflist:1:", NULL },
	{ "bytes after the document", HEAD "}x", PK_CODE_DECODE, "conflist:1:", NULL },
	{ "\\u0000", HEAD ",\"uplink\":\"up\\u0000x\"}", PK_CODE_DECODE, "conflist:1:", NULL },
	{ "invalid UTF-8", HEAD ",\"uplink\":\"\xff\"}", PK_CODE_DECODE, "conflist:1:", NULL },
	{ "a BOM", "\xef\xbb\xbf" HEAD "}", PK_CODE_DECODE, "conflist:1:", NULL },
	{ "uplinks empty", HEAD ",\"uplinks\":[]}", PK_CODE_CONFIG, "empty", NULL },
	{ "an uplink is a name", HEAD ",\"uplinks\":[5]}", PK_CODE_CONFIG, "device's name", NULL },
	{ "masquerade is a bool or an object", HEAD ",\"masquerade\":\"no\"}", PK_CODE_CONFIG,
	  "true or false or an object", NULL },
	{ "masquerade.ports", HEAD ",\"masquerade\":{\"ports\":\"1-2\"}}", PK_CODE_CONFIG,
	  "64 ports", NULL },
	{ "mtu too small", HEAD ",\"mtu\":1279}", PK_CODE_CONFIG, "1280", NULL },
	{ "mtu 1400.5", HEAD ",\"mtu\":1400.5}", PK_CODE_CONFIG, "whole number", NULL },
	{ "mtu as text", HEAD ",\"mtu\":\"1400\"}", PK_CODE_CONFIG, "whole number", NULL },
	{ "negative owner", HEAD ",\"owner\":-1}", PK_CODE_CONFIG, "owner", NULL },
	{ "owner beyond 32 bits", HEAD ",\"owner\":4294967296}", PK_CODE_CONFIG, "owner", NULL },
	{ "mode", HEAD ",\"mode\":\"proces\"}", PK_CODE_CONFIG, "\"vm\" or \"process\"",
	  "did you mean \"process\"?" },
	{ "pool without length", HEAD ",\"pool\":\"10.40.7.0\"}", PK_CODE_CONFIG, "address block",
	  "10.40.7.0/24" },
	{ "pool with host bits", HEAD ",\"pool\":\"10.40.7.1/24\"}", PK_CODE_CONFIG, "bits",
	  "write \"10.40.7.0/24\"" },
	{ "pool too small", HEAD ",\"pool\":\"10.40.7.0/31\"}", PK_CODE_CONFIG, "too small", NULL },
	{ "pool of loopback", HEAD ",\"pool\":\"127.0.0.0/24\"}", PK_CODE_CONFIG, "no endpoint",
	  NULL },
	{ "pool of everything", HEAD ",\"pool\":\"0.0.0.0/0\"}", PK_CODE_CONFIG, "no endpoint",
	  NULL },
	{ "pool of link-local", HEAD ",\"pool\":\"fe80::/64\"}", PK_CODE_CONFIG, "no endpoint",
	  NULL },
	{ "overlap", HEAD ",\"pool\":[\"10.40.0.0/16\",\"10.40.7.0/24\"]}", PK_CODE_CONFIG,
	  "overlaps", NULL },
	{ "empty pool", HEAD ",\"pool\":[]}", PK_CODE_CONFIG, "empty", NULL },
	{ "gateway outside", HEAD ",\"pool\":\"10.40.7.0/24\",\"gateway\":\"10.40.8.1\"}",
	  PK_CODE_CONFIG, "not in the \"pool\"", "gateway" },
	{ "IPv6 gateway", HEAD ",\"pool\":\"fd00::/64\",\"gateway\":\"fd00::1\"}", PK_CODE_CONFIG,
	  "IPv4", NULL },
	{ "wait without unit", HEAD ",\"waitForController\":\"500\"}", PK_CODE_CONFIG, "duration",
	  NULL },
	{ "wait as number", HEAD ",\"waitForController\":500}", PK_CODE_CONFIG, "duration", NULL },
	{ "deadline too long", HEAD ",\"deadline\":\"2m\"}", PK_CODE_CONFIG, "60s", NULL },
	{ "deadline 0", HEAD ",\"deadline\":0}", PK_CODE_CONFIG, "deadline", NULL },
	{ "limits unknown", HEAD ",\"limits\":{\"bytesPerSec\":1}}", PK_CODE_CONFIG, "bytesPerSec",
	  NULL },
	{ "limits of 0", HEAD ",\"limits\":{\"flows\":0}}", PK_CODE_CONFIG, "1..65536", NULL },
	{ "flows in two directions", HEAD ",\"limits\":{\"flows\":{\"in\":1}}}", PK_CODE_CONFIG,
	  "whole number", NULL },
	{ "job args", HEAD ",\"allowJobArgs\":[\"picket.dns\"]}", PK_CODE_CONFIG, "picket.mac",
	  NULL },
	{ "dns server", HEAD ",\"dns\":{\"servers\":[\"localhost\"]}}", PK_CODE_CONFIG, "address",
	  NULL },
	{ "dns search with a newline", HEAD ",\"dns\":{\"search\":[\"a\\nb\"]}}", PK_CODE_CONFIG,
	  "domain", NULL },
	{ "relative root", HEAD ",\"root\":\"x\"}", PK_CODE_CONFIG, "absolute", NULL },
	{ "other runtime capability", HEAD ",\"runtimeConfig\":{\"ips\":[\"10.0.0.1/8\"]}}",
	  PK_CODE_UNSUPPORTED, "ips", "capabilities" },
	{ "a published port of SCTP",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,"
	       "\"containerPort\":80,\"protocol\":\"sctp\"}]}}",
	  PK_CODE_CONFIG, "expected \"tcp\" or \"udp\"", "publish TCP and UDP alone" },
	{ "port 80.9",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80.9,"
	       "\"containerPort\":80}]}}",
	  PK_CODE_CONFIG, "1 to 65535", NULL },
	{ "port 65616",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":65616,"
	       "\"containerPort\":80}]}}",
	  PK_CODE_CONFIG, "1 to 65535", NULL },
	{ "port 4294967376",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{"
	       "\"hostPort\":4294967376,\"containerPort\":80}]}}",
	  PK_CODE_CONFIG, "1 to 65535", NULL },
	{ "port -1",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,"
	       "\"containerPort\":-1}]}}",
	  PK_CODE_CONFIG, "1 to 65535", NULL },
	{ "port without container port",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{"
	       "\"hostPort\":80}]}}",
	  PK_CODE_CONFIG, "containerPort", NULL },
	{ "host port to two ports, on every address and on one",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,"
	       "\"containerPort\":80},{\"hostPort\":80,\"containerPort\":81,"
	       "\"hostIP\":\"10.0.0.1\"}]}}",
	  PK_CODE_CONFIG, "two ports", NULL },
	{ "and the other way round",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,"
	       "\"containerPort\":80,\"hostIP\":\"fd00::1\"},{\"hostPort\":80,"
	       "\"containerPort\":81,\"hostIP\":\"0.0.0.0\"}]}}",
	  PK_CODE_CONFIG, "two ports", NULL },
	{ "host port to two ports",
	  HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":80,"
	       "\"containerPort\":80},{\"hostPort\":80,\"containerPort\":81}]}}",
	  PK_CODE_CONFIG, "two ports", NULL },
};

static void refused_with_code_place_and_fix(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(refusals); i++) {
		const struct refusal *row = &refusals[i];
		PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
		struct pk_err err;

		if (parse(row->text, CNI_ADD, &c, &err) >= 0)
			fail_msg("accepted: %s", row->why);
		if (err.code != row->code || !strstr(err.text, row->said) ||
		    (row->fix && !strstr(err.fix, row->fix)))
			fail_msg("%s: code %d, \"%s\", fix \"%s\"", row->why, err.code, err.text,
				 err.fix);
	}
}

static void del_check_and_gc_ignore_what_add_refuses(void **state)
{
	static const enum cni_verb verbs[] = { CNI_DEL, CNI_CHECK, CNI_GC };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(verbs); i++) {
		PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
		struct pk_err err;

		if (parse("{\"cniVersion\":\"1.1.0\",\"name\":\"n\",\"pol\":1,\"ipam\":{},"
			  "\"mtu\":\"x\",\"deadline\":\"forever\",\"runtimeConfig\":{\"mac\":\"x\"}"
			  ","
			  "\"dns\":{\"search\":[\"a b\"]}}",
			  verbs[i], &c, &err) < 0)
			fail_msg("%s: %s", cni_verb_name(verbs[i]), err.text);
		assert_int_equal(c.deadline_ms, verbs[i] == CNI_DEL ? 5000 : 2000);
	}
}

static void verbs_need_their_version(void **state)
{
	static const struct {
		enum cni_verb verb;
		const char *version;
		int ok;
	} rows[] = {
		{ CNI_ADD, "0.3.1", 1 },    { CNI_DEL, "0.3.1", 1 },	{ CNI_CHECK, "0.3.1", 0 },
		{ CNI_CHECK, "0.4.0", 1 },  { CNI_GC, "1.0.0", 0 },	{ CNI_GC, "1.1.0", 1 },
		{ CNI_STATUS, "1.0.0", 0 }, { CNI_STATUS, "1.1.0", 1 },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
		char text[80];
		struct pk_err err;

		snprintf(text, sizeof(text), "{\"cniVersion\":\"%s\",\"name\":\"n\"}",
			 rows[i].version);
		if ((parse(text, rows[i].verb, &c, &err) == 0) != rows[i].ok)
			fail_msg("%s at %s", cni_verb_name(rows[i].verb), rows[i].version);
		if (!rows[i].ok)
			assert_int_equal(err.code, PK_CODE_VERSION);
	}
}

/* Edited since ADD: a version of tomorrow, no name. */
static void del_and_check_need_no_version_and_no_name(void **state)
{
	static const char *const texts[] = { "{\"cniVersion\":\"9.0.0\",\"name\":\"p\"}",
					     "{\"cniVersion\":\"1.0.0\"}", "{\"name\":\"\"}",
					     "{\"cniVersion\":1,\"name\":2}" };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++) {
		for (int verb = CNI_ADD; verb <= CNI_STATUS; verb++) {
			PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
			struct pk_err err = { 0 };
			bool ok = parse(texts[i], (enum cni_verb)verb, &c, &err) == 0;

			if (ok != (verb == CNI_DEL || verb == CNI_CHECK))
				fail_msg("%s: verb %d: %s", texts[i], verb, err.text);
		}
	}
}

static void an_error_has_the_conflists_version(void **state)
{
	PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(
		parse("{\"cniVersion\":\"0.4.0\",\"name\":\"p\",\"pol\":1}", CNI_ADD, &c, &err),
		-EINVAL);
	assert_int_equal(c.version, CNI_0_4_0);
	assert_true(parse("{\"cniVersion\":\"7.0.0\",\"name\":\"p\"}", CNI_ADD, &c, &err) < 0);
	assert_int_equal(c.version, CNI_1_0_0);
}

static void nomads_port_mappings_are_read_whatever_their_case(void **state)
{
	PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
	struct pk_err err;

	(void)state;
	assert_int_equal(parse(HEAD
			       ",\"runtimeConfig\":{\"portMappings\":["
			       "{\"HostPort\":24722,\"ContainerPort\":22,\"Protocol\":\"tcp\","
			       "\"HostIP\":\"\"},"
			       "{\"HostPort\":24722,\"ContainerPort\":22,\"Protocol\":\"udp\","
			       "\"HostIP\":\"\"},"
			       "{\"hostPort\":24722,\"containerPort\":22,\"protocol\":\"TCP\"},"
			       "{\"hostport\":80,\"containerport\":8080,\"hostip\":\"10.0.0.1\"},"
			       "{\"hostPort\":81,\"containerPort\":8080,\"hostIP\":\"0.0.0.0\"},"
			       "{\"hostPort\":81,\"containerPort\":8080,\"hostIP\":\"::\"},"
			       "{\"hostPort\":81,\"containerPort\":8080,\"hostIP\":\"10.0.0.1\"}"
			       "]}}",
			       CNI_ADD, &c, &err),
			 0);
	assert_int_equal(c.n_ports, 4); /* the rest says one of them again */
	assert_int_equal(c.ports[0].proto, IPPROTO_TCP);
	assert_int_equal(c.ports[1].proto, IPPROTO_UDP);
	assert_int_equal(c.ports[1].host, 24722);
	assert_int_equal(c.ports[1].container, 22);
	assert_false(pk_addr_is_zero(&c.ports[2].host_addr));
	assert_true(pk_addr_is_zero(&c.ports[3].host_addr));
}

static int parse_bandwidth(const char *bandwidth, struct cni_conf *c, struct pk_err *err)
{
	char text[512];

	snprintf(text, sizeof(text), HEAD ",\"runtimeConfig\":{\"bandwidth\":%s}}", bandwidth);
	*err = (struct pk_err){ 0 };
	return parse(text, CNI_ADD, c, err);
}

/* What the reference plugin means by them: into the container is ingress, and 0 is no limit. */
static void bandwidth_is_in_bits(void **state)
{
	PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
	struct pk_err err;

	(void)state;
	assert_int_equal(parse_bandwidth("{\"ingressRate\":8000000,\"ingressBurst\":1600000,"
					 "\"EgressRate\":1,\"EgressBurst\":9}",
					 &c, &err),
			 0);
	assert_int_equal(c.bandwidth.of[PK_LIMIT_BYTES + PK_INGRESS], 1000000);
	assert_int_equal(c.burst[PK_INGRESS], 200000);
	assert_int_equal(c.bandwidth.of[PK_LIMIT_BYTES + PK_EGRESS], 1); /* never none */
	assert_int_equal(c.burst[PK_EGRESS], 2);
	cni_conf_done(&c);
	assert_int_equal(parse_bandwidth("{\"ingressRate\":0,\"ingressBurst\":0,\"egressRate\":0,"
					 "\"egressBurst\":0}",
					 &c, &err),
			 0);
	assert_false(pk_limits_any(&c.bandwidth));
	cni_conf_done(&c);
	assert_int_equal(parse_bandwidth("null", &c, &err), 0);
	cni_conf_done(&c);
	assert_int_equal(parse_bandwidth("{\"egressRate\":34359738360,\"egressBurst\":34359738360}",
					 &c, &err),
			 0);
	assert_int_equal(c.bandwidth.of[PK_LIMIT_BYTES + PK_EGRESS], UINT32_MAX);
}

static void bad_bandwidth_is_refused(void **state)
{
	static const char *const bad[] = {
		"1",
		"{\"ingressRate\":-1,\"ingressBurst\":1}",
		"{\"ingressRate\":1.5,\"ingressBurst\":1}",
		"{\"ingressRate\":\"1M\",\"ingressBurst\":1}",
		"{\"ingressRate\":8}",
		"{\"egressBurst\":8}",
		"{\"egressRate\":8,\"egressBurst\":0}",
		"{\"ingressRate\":8,\"egressBurst\":8}",
		"{\"ingressRate\":34359738361,\"ingressBurst\":8}",
		"{\"ingressRate\":8,\"ingressBurst\":34359738361}",
		"{\"ingressRate\":8,\"ingressBurst\":8,\"unshapedSubnets\":[\"10.0.0.0/8\"]}",
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		PK_OWN(cni_conf_done) struct cni_conf c = { 0 };
		struct pk_err err;

		assert_true(parse_bandwidth(bad[i], &c, &err) < 0);
		assert_int_equal(err.code, PK_CODE_CONFIG);
		assert_non_null(strstr(err.text, "bandwidth"));
		assert_non_null(strstr(err.fix, "bits"));
	}
}

static void durations(void **state)
{
	uint32_t ms = 0;

	(void)state;
	assert_int_equal(cni_duration_parse("500ms", &ms), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(cni_duration_parse("2s", &ms), 0);
	assert_int_equal(ms, 2000);
	assert_int_equal(cni_duration_parse("1m", &ms), 0);
	assert_int_equal(ms, 60000);
	assert_true(cni_duration_parse("", &ms) < 0);
	assert_true(cni_duration_parse("s", &ms) < 0);
	assert_true(cni_duration_parse("-1s", &ms) < 0);
	assert_true(cni_duration_parse("1.5s", &ms) < 0);
	assert_true(cni_duration_parse("99999999999999s", &ms) < 0);
	assert_true(cni_duration_parse("1h", &ms) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_documentation),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(refused_with_code_place_and_fix),
		cmocka_unit_test(del_check_and_gc_ignore_what_add_refuses),
		cmocka_unit_test(verbs_need_their_version),
		cmocka_unit_test(del_and_check_need_no_version_and_no_name),
		cmocka_unit_test(an_error_has_the_conflists_version),
		cmocka_unit_test(nomads_port_mappings_are_read_whatever_their_case),
		cmocka_unit_test(bandwidth_is_in_bits),
		cmocka_unit_test(bad_bandwidth_is_refused),
		cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
