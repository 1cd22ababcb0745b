/* SPDX-License-Identifier: Apache-2.0 */
/* CNI_ARGS and the CNI environment: what is refused, and what is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cni/args.h"
#include "cni/env.h"
#include "own.h"
#include "str.h"

#define ID "4e975ed8-3e04-254e-11a3-5c29b1507321"

static void nomad_args_are_split_at_the_first_equals(void **state)
{
	PK_OWN(cni_args_done) struct cni_args a = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(cni_args_parse("NOMAD_REGION=global;NOMAD_NAMESPACE=default;"
					"NOMAD_JOB_ID=cx-demo;NOMAD_GROUP_NAME=web;"
					"IgnoreUnknown=true;eq=a=b;policy=web-acme;"
					"NOMAD_ALLOC_ID=" ID,
					ID, 0, &a, &err),
			 0);
	assert_string_equal(a.region, "global");
	assert_string_equal(a.tenant_name, "default");
	assert_string_equal(a.job, "cx-demo");
	assert_string_equal(a.group, "web");
	assert_string_equal(a.alloc, ID);
	assert_int_equal(a.tap_uid, -1);
	assert_false(a.has_mac || a.has_ip || a.limits);
}

static void absent_words_stay_absent(void **state)
{
	static const char *const texts[] = { "", ";;", "IgnoreUnknown=true", "nomad_namespace=x",
					     "NOMAD_NAMESPACE_=x" };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++) {
		PK_OWN(cni_args_done) struct cni_args a = { 0 };
		struct pk_err err = { 0 };

		assert_int_equal(cni_args_parse(texts[i], ID, 0, &a, &err), 0);
		assert_null(a.tenant_name);
		assert_null(a.job);
		assert_null(a.group);
	}
}

struct refusal {
	const char *why;
	const char *text;
	const char *said; /* part of the message */
};

static const struct refusal refusals[] = {
	{ "a second namespace", "NOMAD_NAMESPACE=a;x=1;NOMAD_NAMESPACE=b", "given twice" },
	{ "the same value twice", "NOMAD_NAMESPACE=a;NOMAD_NAMESPACE=a", "given twice" },
	{ "any key twice", "foo=1;foo=2", "given twice" },
	{ "a key with = in it makes a second key", "NOMAD_NAMESPACE=evil=1;NOMAD_NAMESPACE=a",
	  "NOMAD_NAMESPACE" },
	{ "newline in a value", "NOMAD_JOB_ID=a\nb", "control character" },
	{ "control character in a key", "a\x01=b", "control character" },
	{ "a terminal's escape", "x=\x1b[31m", "control character" },
	{ "right-to-left override",
	  "NOMAD_JOB_ID=\xe2\x80\xae"
	  "a",
	  "control character" },
	{ "invalid UTF-8", "NOMAD_JOB_ID=\xff\xfe", "UTF-8" },
	{ "no =", "NOMAD_NAMESPACE", "KEY=VALUE" },
	{ "empty key", "=x", "KEY=VALUE" },
	{ "empty namespace", "NOMAD_NAMESPACE=", "NOMAD_NAMESPACE" },
	{ "namespace with a dot", "NOMAD_NAMESPACE=a.b", "NOMAD_NAMESPACE" },
	{ "namespace with a blank at its end", "NOMAD_NAMESPACE=a ", "NOMAD_NAMESPACE" },
	{ "namespace with a slash", "NOMAD_NAMESPACE=../a", "NOMAD_NAMESPACE" },
	{ "empty job", "NOMAD_JOB_ID=", "NOMAD_JOB_ID" },
	{ "another alloc", "NOMAD_ALLOC_ID=4e975ed8", "not the container id" },
	{ "picket.mac not allowed", "picket.mac=02:70:00:00:00:09", "not allowed" },
	{ "picket.ip not allowed", "picket.ip=10.0.0.9", "not allowed" },
	{ "unknown picket key", "picket.ips=10.0.0.9", "no argument of Picket" },
	{ "tap uid by a job", "NOMAD_NAMESPACE=a;TC_REDIRECT_TAP_UID=0", "not a job's" },
	{ "tap uid that is no number", "TC_REDIRECT_TAP_UID=root", "numeric id" },
	{ "tap uid of -1", "TC_REDIRECT_TAP_UID=4294967295", "numeric id" },
	{ "tap name too long", "TC_REDIRECT_TAP_NAME=tap0123456789012", "tap's name" },
	{ "tap name with a slash", "TC_REDIRECT_TAP_NAME=a/b", "tap's name" },
	{ "tap name pattern", "TC_REDIRECT_TAP_NAME=tap%d", "tap's name" },
};

static void refused_with_code_105_and_a_fix(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(refusals); i++) {
		PK_OWN(cni_args_done) struct cni_args a = { 0 };
		struct pk_err err = { 0 };

		if (cni_args_parse(refusals[i].text, ID, 0, &a, &err) >= 0)
			fail_msg("accepted: %s", refusals[i].why);
		if (err.code != PK_CODE_ARGS || !strstr(err.text, refusals[i].said) || !err.fix[0])
			fail_msg("%s: code %d, \"%s\", fix \"%s\"", refusals[i].why, err.code,
				 err.text, err.fix);
	}
}

static void a_namespace_of_129_is_refused_and_of_128_is_not(void **state)
{
	char text[160] = "NOMAD_NAMESPACE=";
	size_t n = strlen(text);
	struct pk_err err = { 0 };

	(void)state;
	for (size_t len = 128; len <= 129; len++) {
		PK_OWN(cni_args_done) struct cni_args a = { 0 };

		memset(text + n, 'a', len);
		text[n + len] = '\0';
		assert_int_equal(cni_args_parse(text, ID, 0, &a, &err) < 0, len == 129);
	}
}

static void sizes_are_bounded(void **state)
{
	own_str many = { 0 };
	own_str large = { 0 };
	PK_OWN(cni_args_done) struct cni_args a = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	for (int i = 0; i <= CNI_ARGS_KEYS; i++)
		pk_str_addf(&many, "k%d=v;", i);
	assert_true(cni_args_parse(many.text, ID, 0, &a, &err) < 0);
	pk_str_add(&large, "k=");
	while (large.len <= CNI_ARGS_MAX)
		pk_str_add(&large, "0123456789");
	assert_true(cni_args_parse(large.text, ID, 0, &a, &err) < 0);
}

static void what_the_operator_allows_a_job_may_set(void **state)
{
	PK_OWN(cni_args_done) struct cni_args a = { 0 };
	struct pk_err err = { 0 };
	static const uint8_t mac[6] = { 0x02, 0x70, 0, 0, 0, 9 };

	(void)state;
	assert_int_equal(cni_args_parse("picket.mac=02:70:00:00:00:09;picket.ip=10.0.0.9", ID,
					CNI_JOB_MAC | CNI_JOB_IP, &a, &err),
			 0);
	assert_true(a.has_mac && a.has_ip);
	assert_memory_equal(a.mac, mac, 6);
	cni_args_done(&a);
	/* multicast, the gateway's, and nothing */
	assert_true(cni_args_parse("picket.mac=01:70:00:00:00:09", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.mac=02:70:6b:00:00:01", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.mac=00:00:00:00:00:00", ID, CNI_JOB_MAC, &a, &err) < 0);
	/* what scanf would read as digits */
	assert_true(cni_args_parse("picket.mac=02:70:00:00:00:-9", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.mac=02:70:00: 0:00:09", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.mac=02:70:00:+0:00:09", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.mac=02-70-00-00-00-09", ID, CNI_JOB_MAC, &a, &err) < 0);
	assert_true(cni_args_parse("picket.ip=10.0.0.256", ID, CNI_JOB_IP, &a, &err) < 0);
}

static void tc_redirect_tap_arguments_are_taken_without_nomad(void **state)
{
	PK_OWN(cni_args_done) struct cni_args a = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(cni_args_parse("IgnoreUnknown=1;TC_REDIRECT_TAP_NAME=vm0;"
					"TC_REDIRECT_TAP_UID=1001;TC_REDIRECT_TAP_GID=1002",
					"vm-1", 0, &a, &err),
			 0);
	assert_string_equal(a.tap_name, "vm0");
	assert_int_equal(a.tap_uid, 1001);
	assert_int_equal(a.tap_gid, 1002);
}

/* The environment: a table of variables a case. */
static const char *const *environment;

static const char *fake_getenv(const char *name)
{
	for (const char *const *p = environment; *p; p += 2)
		if (!strcmp(p[0], name))
			return p[1];
	return NULL;
}

#define LONG300                                                                                    \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaa"                                                                                     \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaa"                                                                                     \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaa"                                                                                     \
	"aaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *why, *command, *id, *ifname, *netns, *named;
} bad_env[] = {
	{ "no verb", NULL, ID, "eth0", "/n", "CNI_COMMAND" },
	{ "unknown verb", "add", ID, "eth0", "/n", "CNI_COMMAND" },
	{ "no id", "ADD", NULL, "eth0", "/n", "CNI_CONTAINERID" },
	{ "id with a slash", "ADD", "a/b", "eth0", "/n", "CNI_CONTAINERID" },
	{ "id ..", "ADD", "..", "eth0", "/n", "CNI_CONTAINERID" },
	{ "id of 300", "ADD", LONG300, "eth0", "/n", "CNI_CONTAINERID" },
	{ "id with @", "DEL", "a@eth0", "eth0", "/n", "CNI_CONTAINERID" },
	{ "interface of 16", "ADD", ID, "eth0123456789012", "/n", "CNI_IFNAME" },
	{ "interface with a slash", "ADD", ID, "et/h0", "/n", "CNI_IFNAME" },
	{ "interface ..", "DEL", ID, "..", "/n", "CNI_IFNAME" },
	{ "interface with a blank", "ADD", ID, "eth 0", "/n", "CNI_IFNAME" },
	{ "no interface", "CHECK", ID, "", "/n", "CNI_IFNAME" },
	{ "lo", "ADD", ID, "lo", "/n", "CNI_IFNAME" },
	{ "no netns at ADD", "ADD", ID, "eth0", "", "CNI_NETNS" },
	{ "relative netns", "ADD", ID, "eth0", "run/netns/x", "CNI_NETNS" },
};

static void bad_variables_are_named_with_code_4(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad_env); i++) {
		const char *vars[] = { "CNI_COMMAND", bad_env[i].command, "CNI_CONTAINERID",
				       bad_env[i].id, "CNI_IFNAME",	  bad_env[i].ifname,
				       "CNI_NETNS",   bad_env[i].netns,	  NULL };
		struct cni_env env;
		struct pk_err err = { 0 };

		environment = vars;
		if (cni_env_read(fake_getenv, &env, &err) >= 0)
			fail_msg("accepted: %s", bad_env[i].why);
		if (err.code != PK_CODE_ENV || !strstr(err.text, bad_env[i].named) || !err.fix[0])
			fail_msg("%s: code %d, \"%s\"", bad_env[i].why, err.code, err.text);
	}
}

static void del_needs_no_netns_and_status_nothing(void **state)
{
	const char *del[] = { "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "vm1", "CNI_IFNAME",
			      "eth0",	     NULL };
	const char *status[] = { "CNI_COMMAND", "STATUS", "CNI_CONTAINERID", "", "CNI_IFNAME", "",
				 NULL };
	struct cni_env env;
	struct pk_err err = { 0 };

	(void)state;
	environment = del;
	assert_int_equal(cni_env_read(fake_getenv, &env, &err), 0);
	assert_int_equal(env.verb, CNI_DEL);
	assert_string_equal(env.netns, "");
	environment = status;
	assert_int_equal(cni_env_read(fake_getenv, &env, &err), 0);
	assert_int_equal(env.verb, CNI_STATUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nomad_args_are_split_at_the_first_equals),
		cmocka_unit_test(absent_words_stay_absent),
		cmocka_unit_test(refused_with_code_105_and_a_fix),
		cmocka_unit_test(a_namespace_of_129_is_refused_and_of_128_is_not),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(what_the_operator_allows_a_job_may_set),
		cmocka_unit_test(tc_redirect_tap_arguments_are_taken_without_nomad),
		cmocka_unit_test(bad_variables_are_named_with_code_4),
		cmocka_unit_test(del_needs_no_netns_and_status_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
