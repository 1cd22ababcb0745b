/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin prints: the result by version, the driver file, the error object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni/report.h"
#include "cni/result.h"
#include "json.h"
#include "own.h"

static struct cni_dns dns;
static char search0[] = "svc.test";

static struct cni_attachment attachment(void)
{
	struct cni_attachment a = {
		.container_id = "vm-1",
		.ifname = "eth0",
		.netns = "/run/netns/vm-1",
		.host_name = "pk12",
		.tap_name = "tap0",
		.mac = { 2, 0x70, 1, 2, 3, 4 },
		.host_mac = { 2, 0x70, 0x6b, 0, 0, 1 },
		.prefix4 = 24,
		.mtu = 1500,
		.queues = 1,
		.dns = &dns,
	};

	dns = (struct cni_dns){ .n_servers = 3, .search = { search0 }, .n_search = 1 };
	pk_addr_parse("10.0.0.53", &dns.server[0]);
	pk_addr_parse("fd00::53", &dns.server[1]);
	pk_addr_parse("10.0.0.54", &dns.server[2]);
	pk_addr_parse("10.66.0.2", &a.ipv4);
	pk_addr_parse("10.66.0.1", &a.gateway4);
	pk_addr_parse("fd66::2", &a.ipv6);
	return a;
}

static char *result(const struct cni_attachment *a, enum cni_version version, const char *prev)
{
	own_str out = { 0 };
	own_json *doc = NULL;
	struct pk_err err = { 0 };

	if (prev)
		assert_int_equal(pk_json_parse("prev", prev, strlen(prev), 0, &doc, &err), 0);
	if (cni_result(a, version, doc ? pk_json_root(doc) : NULL, &out, &err) < 0)
		fail_msg("%s", err.text);
	return pk_str_take(&out);
}

static void shape_of_vm_mode(void **state)
{
	struct cni_attachment a = attachment();
	own_mem char *text = result(&a, CNI_1_0_0, NULL);

	(void)state;
	assert_string_equal(
		text,
		"{\"cniVersion\":\"1.0.0\",\"interfaces\":["
		"{\"name\":\"pk12\",\"mac\":\"02:70:6b:00:00:01\"},"
		"{\"name\":\"eth0\",\"mac\":\"02:70:01:02:03:04\",\"sandbox\":\"/run/netns/vm-1\"},"
		"{\"name\":\"tap0\",\"sandbox\":\"/run/netns/vm-1\"},"
		"{\"name\":\"tap0\",\"mac\":\"02:70:01:02:03:04\",\"sandbox\":\"vm-1\"}],"
		"\"ips\":[{\"interface\":1,\"address\":\"10.66.0.2/24\",\"gateway\":\"10.66.0.1\"},"
		"{\"interface\":3,\"address\":\"10.66.0.2/24\",\"gateway\":\"10.66.0.1\"},"
		"{\"interface\":1,\"address\":\"fd66::2/128\",\"gateway\":\"fe80::1\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.66.0.1\"},"
		"{\"dst\":\"::/0\",\"gw\":\"fe80::1\"}],"
		"\"dns\":{\"nameservers\":[\"10.0.0.53\",\"fd00::53\",\"10.0.0.54\"],"
		"\"search\":[\"svc.test\"]}}\n");
}

/* In the netns is none of the guest's: its sandbox is the container id, as of a hypervisor's. */
static void shape_of_a_host_tap(void **state)
{
	struct cni_attachment a = attachment();
	own_mem char *text = NULL;

	(void)state;
	a.tap_name = a.host_name;
	a.host_tap = true;
	dns.n_servers = 0;
	text = result(&a, CNI_1_0_0, NULL);
	assert_string_equal(
		text, "{\"cniVersion\":\"1.0.0\",\"interfaces\":["
		      "{\"name\":\"pk12\",\"mac\":\"02:70:6b:00:00:01\"},"
		      "{\"name\":\"eth0\",\"mac\":\"02:70:01:02:03:04\",\"sandbox\":\"vm-1\"}],"
		      "\"ips\":[{\"interface\":1,\"address\":\"10.66.0.2/24\","
		      "\"gateway\":\"10.66.0.1\"},"
		      "{\"interface\":1,\"address\":\"fd66::2/128\",\"gateway\":\"fe80::1\"}],"
		      "\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.66.0.1\"},"
		      "{\"dst\":\"::/0\",\"gw\":\"fe80::1\"}],\"dns\":{}}\n");
}

static void shape_of_process_mode(void **state)
{
	struct cni_attachment a = attachment();
	own_mem char *text = NULL;

	(void)state;
	a.tap_name = NULL;
	dns.n_servers = 0;
	a.ipv6 = (union pk_addr){ 0 };
	text = result(&a, CNI_1_0_0, NULL);
	assert_string_equal(
		text, "{\"cniVersion\":\"1.0.0\",\"interfaces\":["
		      "{\"name\":\"pk12\",\"mac\":\"02:70:6b:00:00:01\"},"
		      "{\"name\":\"eth0\",\"mac\":\"02:70:01:02:03:04\",\"sandbox\":\"/run/netns/"
		      "vm-1\"}],"
		      "\"ips\":[{\"interface\":1,\"address\":\"10.66.0.2/"
		      "24\",\"gateway\":\"10.66.0.1\"}],"
		      "\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.66.0.1\"}],\"dns\":{}}\n");
}

/* Every ips[].interface is below the number of interfaces; only the tap's name comes twice. */
static void check_indexes(const char *text)
{
	own_json *doc = NULL;
	const struct pk_json *interfaces, *ips;
	int64_t n, at;

	assert_int_equal(pk_json_parse("result", text, strlen(text), 0, &doc, NULL), 0);
	interfaces = pk_json_get(pk_json_root(doc), "interfaces");
	ips = pk_json_get(pk_json_root(doc), "ips");
	n = (int64_t)pk_json_count(interfaces);
	for (const struct pk_json *v = pk_json_first(ips); v; v = pk_json_next(v))
		if (pk_json_get(v, "interface"))
			assert_int_equal(pk_json_int(pk_json_get(v, "interface"), 0, n - 1, &at),
					 0);
	for (const struct pk_json *x = pk_json_first(interfaces); x; x = pk_json_next(x))
		for (const struct pk_json *y = pk_json_next(x); y; y = pk_json_next(y)) {
			const char *name = pk_json_string(pk_json_get(x, "name"));

			if (!strcmp(name, pk_json_string(pk_json_get(y, "name"))))
				assert_string_equal(name, "tap0");
		}
}

static void versions_differ_as_the_specification_says(void **state)
{
	struct cni_attachment a = attachment();

	(void)state;
	for (enum cni_version v = CNI_0_3_1; v <= CNI_1_1_0; v++) {
		own_mem char *text = result(&a, v, NULL);
		char want[40];

		snprintf(want, sizeof(want), "{\"cniVersion\":\"%s\"", cni_version_name(v));
		assert_memory_equal(text, want, strlen(want));
		assert_int_equal(strstr(text, "\"version\":\"4\"") != NULL, v <= CNI_0_4_0);
		assert_int_equal(strstr(text, "\"version\":\"6\"") != NULL, v <= CNI_0_4_0);
		assert_int_equal(strstr(text, "\"mtu\":1500") != NULL, v >= CNI_1_1_0);
		check_indexes(text);
	}
}

static void prev_result_is_passed_through(void **state)
{
	struct cni_attachment a = attachment();
	own_mem char *text = result(
		&a, CNI_1_0_0,
		"{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"lo\",\"sandbox\":\"/n\"}],"
		"\"ips\":[{\"interface\":0,\"address\":\"127.0.0.1/8\"}],\"dns\":{}}");

	(void)state;
	assert_non_null(strstr(text, "\"interfaces\":[{\"name\":\"lo\",\"sandbox\":\"/n\"},"
				     "{\"name\":\"pk12\""));
	assert_non_null(strstr(text, "\"ips\":[{\"interface\":0,\"address\":\"127.0.0.1/8\"},"
				     "{\"interface\":2,\"address\":\"10.66.0.2/24\""));
	assert_non_null(strstr(text, "{\"interface\":4,\"address\":\"10.66.0.2/24\""));
	check_indexes(text);
}

static void prev_result_that_would_break_ours_is_refused(void **state)
{
	static const char *const bad[] = {
		"{\"interfaces\":[{\"name\":\"eth0\"}]}",
		"{\"interfaces\":[{\"name\":\"tap0\"}]}",
		"{\"interfaces\":[{\"mac\":\"x\"}]}",
		"{\"interfaces\":{}}",
		"{\"interfaces\":[{\"name\":\"lo\"}],\"ips\":[{\"interface\":1}]}",
		"{\"ips\":[{\"interface\":0}]}",
	};
	struct cni_attachment a = attachment();

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		own_str out = { 0 };
		own_json *doc = NULL;
		struct pk_err err = { 0 };

		assert_int_equal(pk_json_parse("prev", bad[i], strlen(bad[i]), 0, &doc, &err), 0);
		if (cni_result(&a, CNI_1_0_0, pk_json_root(doc), &out, &err) >= 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(err.code, PK_CODE_CONFIG);
	}
}

static void kernel_argument(void **state)
{
	struct cni_attachment a = attachment();
	char text[256];

	(void)state;
	cni_kernel_ip(&a, text, sizeof(text));
	assert_string_equal(text,
			    "ip=10.66.0.2::10.66.0.1:255.255.255.0::eth0:off:10.0.0.53:10.0.0.54:");
	dns.n_servers = 0;
	cni_kernel_ip(&a, text, sizeof(text));
	assert_string_equal(text, "ip=10.66.0.2::10.66.0.1:255.255.255.0::eth0:off:::");
	a.ipv4 = (union pk_addr){ 0 };
	cni_kernel_ip(&a, text, sizeof(text));
	assert_string_equal(text, "");
}

static void driver_file(void **state)
{
	struct cni_attachment a = attachment();
	own_str out = { 0 };
	own_json *doc = NULL;
	const struct pk_json *root, *v4;

	(void)state;
	cni_driver_file(&a, &out);
	assert_int_equal(pk_json_parse("driver", out.text, out.len, 0, &doc, NULL), 0);
	root = pk_json_root(doc);
	v4 = pk_json_get(root, "ipv4");
	assert_string_equal(pk_json_string(pk_json_get(root, "tap")), "tap0");
	assert_string_equal(pk_json_string(pk_json_get(root, "mac")), "02:70:01:02:03:04");
	assert_string_equal(pk_json_string(pk_json_get(v4, "address")), "10.66.0.2");
	assert_string_equal(pk_json_string(pk_json_get(v4, "netmask")), "255.255.255.0");
	assert_string_equal(pk_json_string(pk_json_get(v4, "gateway")), "10.66.0.1");
	assert_string_equal(pk_json_string(pk_json_get(pk_json_get(root, "ipv6"), "gateway")),
			    "fe80::1");
	assert_non_null(pk_json_get(pk_json_get(root, "dns"), "servers"));
	assert_non_null(strstr(out.text, "ip=10.66.0.2::10.66.0.1"));
}

/* The error object. */
static void report(const struct pk_err *err, char *msg, char *details)
{
	own_str out = { 0 };
	own_json *doc = NULL;
	const char *d;

	cni_report(CNI_1_0_0, err, &out);
	assert_int_equal(pk_json_parse("error", out.text, out.len, 0, &doc, NULL), 0);
	strcpy(msg, pk_json_string(pk_json_get(pk_json_root(doc), "msg")));
	d = pk_json_string(pk_json_get(pk_json_root(doc), "details"));
	strcpy(details, d ? d : "");
}

static void an_error_is_short_whole_and_ends_in_its_fix(void **state)
{
	char msg[1024], details[1024];
	struct pk_err err = { .code = 102,
			      .text = "no free address in 10.0.0.0/30",
			      .fix = "give the node a larger \"pool\"" };

	(void)state;
	report(&err, msg, details);
	assert_string_equal(msg, "no free address in 10.0.0.0/30");
	assert_string_equal(details, "fix: give the node a larger \"pool\"");
	err.fix[0] = '\0';
	report(&err, msg, details);
	assert_string_equal(details, "");
}

static void a_long_error_runs_on_into_the_details(void **state)
{
	char msg[1024], details[1024];
	struct pk_err err = { .code = 103, .fix = "do the thing" };

	(void)state;
	for (int i = 0; i < 20; i++)
		strcat(err.text, "word-of-15-byte ");
	report(&err, msg, details);
	assert_true(strlen(msg) <= CNI_MSG_MAX && strlen(details) <= CNI_DETAILS_MAX);
	assert_non_null(strstr(msg, "byte\xe2\x80\xa6"));
	assert_memory_equal(details, "\xe2\x80\xa6word-of", 10);
	assert_non_null(strstr(details, "; fix: do the thing"));
	/* One word, three bytes a character, a fix that fills everything. */
	err.text[0] = '\0';
	for (int i = 0; i < 120; i++)
		strcat(err.text, "\xe2\x82\xac");
	memset(err.fix, 'x', sizeof(err.fix) - 1);
	report(&err, msg, details); /* parses: no character was cut in two */
	assert_true(strlen(msg) <= CNI_MSG_MAX && strlen(details) <= CNI_DETAILS_MAX);
}

static void what_a_tenant_wrote_is_escaped(void **state)
{
	char msg[1024], details[1024];
	struct pk_err err = { .code = 105, .text = "bad \x1b[31mred\n", .fix = "no \x07" };

	(void)state;
	report(&err, msg, details);
	assert_string_equal(msg, "bad \\x1b[31mred\\x0a");
	assert_string_equal(details, "fix: no \\x07");
}

static void versions_answer(void **state)
{
	own_str out = { 0 };

	(void)state;
	cni_report_versions(&out);
	assert_string_equal(out.text, "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":"
				      "[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shape_of_vm_mode),
		cmocka_unit_test(shape_of_a_host_tap),
		cmocka_unit_test(shape_of_process_mode),
		cmocka_unit_test(versions_differ_as_the_specification_says),
		cmocka_unit_test(prev_result_is_passed_through),
		cmocka_unit_test(prev_result_that_would_break_ours_is_refused),
		cmocka_unit_test(kernel_argument),
		cmocka_unit_test(driver_file),
		cmocka_unit_test(an_error_is_short_whole_and_ends_in_its_fix),
		cmocka_unit_test(a_long_error_runs_on_into_the_details),
		cmocka_unit_test(what_a_tenant_wrote_is_escaped),
		cmocka_unit_test(versions_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
