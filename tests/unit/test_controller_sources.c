/* SPDX-License-Identifier: Apache-2.0 */
/* Nomad's and Consul's bodies, what an endpoint is to the engine, documents in force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consul.h"
#include "controller/documents/docs.h"
#include "controller/sources/leader.h"
#include "controller/model/local_endpoint.h"
#include "declared.h"
#include "controller/loop.h"
#include "controller/sources/nomad.h"
#include "controller/sources/service.h"
#include "nomad_texts.h"
#include "own.h"
#include "str.h"

static void test_base64(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = { { "", "" },	   { "YQ==", "a" },	    { "YWI=", "ab" },
		     { "YWJj", "abc" },	   { "eyB9Cg==", "{ }\n" }, { "YQ", NULL },
		     { "YQ=", NULL },	   { "YR==", NULL },	    { "Y===", NULL },
		     { "YQ==YQ==", NULL }, { "Y Q=", NULL },	    { "====", NULL } };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		own_mem char *out = NULL;
		size_t len = 0;
		int r = pk_base64_decode(rows[i].text, &out, &len);

		if ((r == 0) != (rows[i].want != NULL) ||
		    (rows[i].want && (len != strlen(rows[i].want) || strcmp(out, rows[i].want))))
			fail_msg("\"%s\": %d", rows[i].text, r);
		if (r == 0) {
			own_str again = { 0 };

			pk_base64_add(&again, out, len);
			assert_string_equal(again.text ?: "", rows[i].text);
		}
	}
}

/* Consul answers without a leader, Nomad refuses to; either may be asked through a proxy. */
static void test_leader(void **state)
{
	static const struct {
		int status;
		const char *body;
		bool lost;
	} rows[] = {
		{ 200, "\"10.0.0.1:8300\"", false },
		{ 200, "\"\"", true },
		{ 200, "\"\"\n", true },
		{ 500, "No cluster leader", true },
		{ 500, "rpc error making call: No cluster leader", true },
		{ 500, "something else", false },
		{ 403, "Permission denied", false },
		{ 404, "", false },
		{ 0, "", false },
		{ 200, "", false },
		{ 200, "<html>", false },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_http_reply reply = { .status = rows[i].status,
					       .body = rows[i].body,
					       .error = rows[i].status ? NULL : "silence",
					       .known_leader = -1 };

		if (pk_leader_is_lost(&reply) != rows[i].lost)
			fail_msg("%d %s", rows[i].status, rows[i].body);
	}
}

static const char *variables[4][2];

static const char *variable(const char *name)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(variables) && variables[i][0]; i++)
		if (strcmp(variables[i][0], name) == 0)
			return variables[i][1];
	return NULL;
}

/* Consul as its own tool would reach it. */
static void test_consul_variables(void **state)
{
	static const struct {
		const char *env[4][2];
		const char *address, *token,
			*token_file; /* address NULL: refused, token says why */
	} rows[] = {
		{ { { 0 } }, "http://127.0.0.1:8500", "", "" },
		{ { { "CONSUL_HTTP_ADDR", "10.0.0.1:8501" }, { "CONSUL_HTTP_SSL", "1" } },
		  "https://10.0.0.1:8501",
		  "",
		  "" },
		{ { { "CONSUL_HTTP_ADDR", "https://c:1/" }, { "CONSUL_HTTP_TOKEN", "secret" } },
		  "https://c:1",
		  "secret",
		  "" },
		{ { { "CONSUL_HTTP_ADDR", "unix:///run/c" },
		    { "CONSUL_HTTP_TOKEN_FILE", "/t" },
		    { "CONSUL_HTTP_TOKEN", "other" } },
		  "unix:///run/c",
		  "",
		  "/t" },
		{ { { "CONSUL_HTTP_ADDR", "http://a:b@c" } }, NULL, "CONSUL_HTTP_ADDR", NULL },
		{ { { "CONSUL_CACERT", "relative.pem" } }, NULL, "CONSUL_CACERT", NULL },
		{ { { "CONSUL_CLIENT_KEY", "/k" } }, NULL, "CONSUL_CLIENT_CERT", NULL },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_service s;
		struct pk_err err = { 0 };
		int r;

		memcpy(variables, rows[i].env, sizeof(variables));
		r = pk_service_consul(&s, variable, &err);
		if ((r == 0) != (rows[i].address != NULL))
			fail_msg("row %zu: %d %s", i, r, err.text);
		if (r < 0) {
			assert_non_null(strstr(err.text, rows[i].token));
			assert_true(*err.fix);
			continue;
		}
		assert_string_equal(s.address[0], rows[i].address);
		assert_string_equal(s.token, rows[i].token);
		assert_string_equal(s.token_file, rows[i].token_file);
	}
}

/* Some answers at once after a quiet time, then one a second, whoever it is that makes them come.
 */
static void test_pace(void **state)
{
	struct pk_pace pace = { 0 };
	uint64_t now = 1000000, asked = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_in_range(pk_pace_ms(&pace, now), 1, 50);
	for (; now < 1060000; asked++)
		now += pk_pace_ms(&pace, now);
	assert_in_range(asked, 59, 61);
	now += 60000;
	assert_in_range(pk_pace_ms(&pace, now), 1, 50);
}

/* Whoever is to be sure asks the leader; who knows an index waits behind it. */
static void test_history_query(void **state)
{
	const struct pk_history h[] = { { 0 }, { .index = 7 }, { .sure = true } };
	own_str path = { 0 };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(h); i++)
		pk_history_query(&h[i], 60, &path);
	assert_string_equal(path.text, "?stale=true?stale=true&index=7&wait=60s");
}

/* What is older than what was taken counts from the leader alone, also after a failure. */
static void test_history(void **state)
{
	struct pk_history h = { 0 };

	(void)state;
	assert_true(pk_history_takes(&h, 20));
	assert_true(pk_history_takes(&h, 20) && pk_history_takes(&h, 21));
	assert_int_equal(h.index, 21);
	h.index = 0; /* a failure */
	assert_false(pk_history_takes(&h, 5));
	assert_true(h.sure && !h.index);
	assert_true(pk_history_takes(&h, 22)); /* the other one lagged */
	assert_true(!h.sure && h.index == 22);
	assert_false(pk_history_takes(&h, 5));
	assert_true(pk_history_takes(&h, 5)); /* it is another history */
	assert_int_equal(h.index, 5);
	assert_true(pk_history_takes(&h, 6)); /* and goes on from there */
	assert_false(pk_history_takes(&h, 4));
}

/* Each failure doubles the wait, and chance spreads the nodes of a cluster over it. */
static void test_backoff(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (unsigned int failures = 0; failures < 40; failures++) {
		uint64_t want = 1000ull << (failures < 4 ? failures : 4);

		for (int i = 0; i < 20; i++)
			assert_in_range(pk_backoff_ms(failures), want / 2, want / 2 + want);
	}
	for (int i = 0; i < 200; i++) {
		uint64_t wait = pk_backoff_ms(0);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	assert_true(most - least > 500);
}

static int read_kvs(const char *text, const struct pk_kv_budget *budget, struct pk_kvs *out)
{
	struct pk_kv_reader *reader = pk_kv_reader_new("a/", budget);
	int r = 0;

	for (size_t at = 0; text[at] && r == 0; at++)
		r = pk_kv_reader_feed(reader, text + at, 1, NULL);
	if (r == 0)
		r = pk_kv_reader_end(reader, out, NULL);
	pk_kv_reader_free(reader);
	return r;
}

static void test_kvs(void **state)
{
	static const struct pk_kv_budget budget = { 3, 6 };
	static const char good[] = "[{\"Key\": \"a/c\", \"Value\": null},"
				   "{\"Flags\": 0, \"Value\": \"e30=\", \"Key\": \"a/b\", "
				   "\"ModifyIndex\": 34}]";
	static const struct {
		const char *text;
		int result;
	} bad[] = {
		{ "", -EINVAL },
		{ "{}", -EINVAL },
		{ "[1]", -EINVAL },
		{ "[{\"Value\": \"\"}]", -EINVAL },
		{ "[{\"Key\": 1, \"Value\": \"\"}]", -EINVAL },
		{ "[{\"Key\": \"b/a\", \"Value\": \"\"}]", -EINVAL },
		{ "[{\"Key\": \"a/a\", \"Value\": \"%%\"}]", -EINVAL },
		{ "[{\"Key\": \"a/a\", \"Value\": \"e30=\"}", -EINVAL },
		{ "[{\"Key\": \"a/1\"}, {\"Key\": \"a/2\"}, {\"Key\": \"a/3\"}, {\"Key\": \"a/4\"}",
		  -E2BIG },
		{ "[{\"Key\": \"a/1\", \"Value\": \"YWJjZGVmZw==\"", -E2BIG }
	};
	struct pk_kvs kvs;

	(void)state;
	assert_int_equal(read_kvs(good, &budget, &kvs), 0);
	assert_int_equal(kvs.n, 2);
	assert_string_equal(kvs.list[0].value, "{}");
	assert_int_equal(kvs.list[1].len, 0);
	assert_true(kvs.list[0].modified == 34 && kvs.list[1].modified == 0);
	assert_ptr_equal(pk_kvs_find(&kvs, "a/c"), &kvs.list[1]);
	assert_null(pk_kvs_find(&kvs, "a"));
	pk_kvs_done(&kvs);
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++)
		if (read_kvs(bad[i].text, &budget, &kvs) != bad[i].result)
			fail_msg("%s", bad[i].text);
}

/* A value that is longer than any document is that key's matter. */
static void feed(struct pk_kv_reader *reader, const char *text)
{
	assert_int_equal(pk_kv_reader_feed(reader, text, strlen(text), NULL), 0);
}

static void test_long_value(void **state)
{
	static const struct pk_kv_budget budget = { 10, 64 << 20 };
	struct pk_kv_reader *reader = pk_kv_reader_new("a/", &budget);
	static char piece[(1 << 16) + 1];
	struct pk_kvs kvs;

	(void)state;
	memset(piece, 'A', sizeof(piece) - 1);
	feed(reader, "[{\"Key\": \"a/x\", \"Value\": \"");
	for (int i = 0; i < 23; i++)
		feed(reader, piece);
	feed(reader, "\"}, {\"Key\": \"a/y\"}]");
	assert_int_equal(pk_kv_reader_end(reader, &kvs, NULL), 0);
	assert_int_equal(kvs.n, 2);
	assert_true(kvs.list[0].unreadable && !*kvs.list[0].value);
	assert_null(kvs.list[1].unreadable);
	pk_kvs_done(&kvs);
	pk_kv_reader_free(reader);
}

static struct pk_local_endpoint *member(const char *tenant_name, const char *job, const char *group)
{
	struct pk_local_endpoint *m = pk_alloc(sizeof(*m));

	m->key = strdup(ALLOC_ID "@eth0");
	m->container_id = strdup(ALLOC_ID);
	m->tenant_name = tenant_name ? strdup(tenant_name) : NULL;
	m->job = job ? strdup(job) : NULL;
	m->group = group ? strdup(group) : NULL;
	m->open = true;
	return m;
}

static const struct member_row {
	const char *what;
	const char *tenant_name, *job, *group;
	bool nomad, facts;
	enum pk_confirmed want;
	const char *name;
	const char *has, *lacks; /* in the canonical text */
	const char *version;	 /* of Nomad's agent; NULL: one that is believed */
	bool unproven;
} member_rows[] = {
	{ "no namespace is quarantine", NULL, "api", "web", true, false, PK_UNCONFIRMED, "?/?/?",
	  "reserved:init", "api", NULL, false },
	{ "claims alone leave job and group unknown", "acme", "api/dispatch-1", "web", true, false,
	  PK_UNCONFIRMED, "acme/?/?", "nomad:namespace=acme", "nomad:job=", NULL, false },
	{ "confirmed: the parent's job, group, meta, services", "acme", "api/dispatch-1", "web",
	  true, true, PK_CONFIRMED, "acme/api/web", "\"meta:tier=web\"", "dispatch", NULL, false },
	{ "confirmed: an interpolated meta is unknown", "acme", "api/dispatch-1", "web", true, true,
	  PK_CONFIRMED, "acme/api/web", "\"meta:host\"", "${", NULL, false },
	{ "a claim that was absent is filled in", "acme", NULL, NULL, true, true, PK_CONFIRMED,
	  "acme/api/web", "\"nomad:job=api\"", "port:*", NULL, false },
	{ "another job is Nomad's", "acme", "bank", "web", true, true, PK_CONTRADICTED,
	  "acme/api/web", "\"nomad:job=api\"", "bank", NULL, false },
	{ "another namespace is quarantine", "beta", "api/dispatch-1", "web", true, true,
	  PK_CONTRADICTED, "?/?/?", "reserved:init", "acme", NULL, false },
	{ "no Nomad on this node: believed", "acme", "api", "web", false, false, PK_BELIEVED,
	  "acme/api/web", "\"nomad:job=api\"", "meta:*", NULL, false },
	{ "no Nomad: facts kept from before don't count", "acme", "bank", "web", false, true,
	  PK_BELIEVED, "acme/bank/web", "\"nomad:job=bank\"", "meta", NULL, false },
	{ "an old agent: claims alone are nobody's", "acme", "api", "web", true, false,
	  PK_UNCONFIRMED, "?/?/?", "reserved:init", "acme", "1.9.3", false },
	{ "an old agent: Nomad's record alone counts", "beta", "bank", "x", true, true,
	  PK_CONFIRMED, "acme/api/web", "\"nomad:namespace=acme\"", "beta", "1.8.2", false },
	{ "an old agent: no claims are needed", NULL, NULL, NULL, true, true, PK_CONFIRMED,
	  "acme/api/web", "\"nomad:job=api\"", "init", "1.8.0", false },
	{ "its ADD didn't know the version: claims count for nothing later on either", "beta",
	  "bank", "x", true, true, PK_CONFIRMED, "acme/api/web", "\"nomad:namespace=acme\"", "beta",
	  NULL, true },
	{ "its ADD didn't know the version, and Nomad has not spoken", "acme", "api", "web", true,
	  false, PK_UNCONFIRMED, "?/?/?", "reserved:init", "acme", NULL, true },
	{ "a version that nobody knows now closes nothing that was believed at its ADD", "acme",
	  "api", "web", true, false, PK_UNCONFIRMED, "acme/?/?", "nomad:namespace=acme",
	  "nomad:job=", "", false },
};

static const struct version_row {
	const char *version;
	enum pk_args_word want;
} version_rows[] = {
	{ "1.9.4", PK_ARGS_BELIEVED },
	{ "1.11.2", PK_ARGS_BELIEVED },
	{ "2.0.0", PK_ARGS_BELIEVED },
	{ "1.9.4+ent", PK_ARGS_BELIEVED },
	{ "1.10.0-beta.1", PK_ARGS_BELIEVED },
	{ "1.9.4-beta.1", PK_ARGS_OF_AUTHOR },
	{ "1.9.3", PK_ARGS_OF_AUTHOR },
	{ "1.9.3+ent", PK_ARGS_OF_AUTHOR },
	{ "1.8.2", PK_ARGS_OF_AUTHOR },
	{ "0.12.0", PK_ARGS_OF_AUTHOR },
	{ "", PK_ARGS_UNKNOWN },
	{ "1.11", PK_ARGS_UNKNOWN },
	{ "v1.11.2", PK_ARGS_UNKNOWN },
	{ "1.11.2x", PK_ARGS_UNKNOWN },
	{ "1.-1.2", PK_ARGS_UNKNOWN },
	{ "1.99999999999999999999.2", PK_ARGS_UNKNOWN },
};

/* From which version on Nomad itself sets the namespace in CNI_ARGS. */
static void test_versions(void **state)
{
	struct pk_settings s;

	(void)state;
	pk_settings_init(&s);
	for (size_t i = 0; i < PK_ARRAY_LEN(version_rows); i++) {
		strcpy(s.nomad_version, version_rows[i].version);
		if (pk_settings_args_word(&s) != version_rows[i].want)
			fail_msg("\"%s\"", s.nomad_version);
	}
	strcpy(s.nomad_version, "1.9.3");
	s.nomad_unasked = true;
	assert_int_equal(pk_settings_args_word(&s), PK_ARGS_BELIEVED);
	s.nomad_unasked = false;
	s.has_nomad = false;
	assert_int_equal(pk_settings_args_word(&s), PK_ARGS_BELIEVED);
	pk_settings_done(&s);
}

static void test_members(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(member_rows); i++) {
		const struct member_row *row = &member_rows[i];
		struct pk_local_endpoint *m = member(row->tenant_name, row->job, row->group);
		struct pk_world_endpoint *ep;
		struct pk_settings s;
		own_str name = { 0 };

		pk_settings_init(&s);
		s.has_nomad = row->nomad;
		strcpy(s.nomad_version, row->version ?: "1.9.4");
		m->unproven = row->unproven;
		if (row->facts) {
			m->facts = pk_alloc(sizeof(*m->facts));
			assert_int_equal(pk_alloc_decode(ALLOC, strlen(ALLOC), m->facts, NULL), 0);
		}
		pk_local_endpoint_judge(m, &s);
		pk_local_endpoint_name(m, &name);
		ep = pk_local_endpoint_world(m, &s);
		if (m->confirmed != row->want || strcmp(name.text, row->name) != 0 ||
		    !strstr(ep->labels->text, row->has) || strstr(ep->labels->text, row->lacks))
			fail_msg("%s: %d %s %s", row->what, m->confirmed, name.text,
				 ep->labels->text);
		pk_world_endpoint_free(ep);
		pk_local_endpoint_free(m);
		pk_settings_done(&s);
	}
}

/* What `picket attach` declared counts beside any Nomad, and Nomad's word counts for nothing. */
static void test_declared(void **state)
{
	static const char text[] = "[\"meta:tier=db\",\"nomad:job=api\",\"nomad:namespace=acme\"]";

	(void)state;
	for (int row = 0; row < 4; row++) {
		struct pk_local_endpoint *m = member("acme", "api", NULL);
		struct pk_world_endpoint *ep;
		struct pk_settings s;

		pk_settings_init(&s);
		s.has_nomad = row != 0;
		strcpy(s.nomad_version, row == 2 ? "1.8.2" : "1.9.4");
		assert_int_equal(pk_declared_parse(text, &m->declared, NULL), 0);
		if (row == 3) {
			m->facts = pk_alloc(sizeof(*m->facts));
			assert_int_equal(pk_alloc_decode(ALLOC, strlen(ALLOC), m->facts, NULL), 0);
		}
		pk_local_endpoint_judge(m, &s);
		ep = pk_local_endpoint_world(m, &s);
		assert_int_equal(m->confirmed, PK_DECLARED);
		assert_false(pk_local_endpoint_quarantined(m));
		assert_string_equal(ep->labels->text, text);
		assert_string_equal(pk_local_endpoint_job(m), "api");
		assert_null(pk_local_endpoint_group(m));
		pk_world_endpoint_free(ep);
		pk_local_endpoint_free(m);
		pk_settings_done(&s);
	}
}

static void test_what_may_be_declared(void **state)
{
	static const char *const refused[] = {
		"[\"consul:service=db\",\"nomad:namespace=acme\"]",
		"[\"nomad:namespace=acme\",\"nomad:node=n2\"]",
		"[\"nomad:job=a\",\"nomad:job=b\",\"nomad:namespace=acme\"]",
		"[\"nomad:namespace=acme\",[\"meta:*\"]]",
		"[\"nomad:namespace=a_b\"]",
		"[\"reserved:host=\"]",
		"nonsense",
	};
	struct pk_label_set *set = NULL;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(refused); i++)
		if (pk_declared_parse(refused[i], &set, NULL) == 0)
			fail_msg("%s", refused[i]);
	assert_int_equal(pk_declared_parse("[\"reserved:init=\"]", &set, NULL), 0);
	assert_true(set->init);
	pk_label_set_free(set);
	assert_int_equal(pk_declared_name("db-1", NULL), 0);
	assert_int_equal(pk_declared_name("4e975ed8-3e04-254e-11a3-5c29b1507321", NULL), -EINVAL);
	assert_int_equal(pk_declared_name("4e975ed8-3e04-254e-11a3-5c29b150732x", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_consul_variables),
		cmocka_unit_test(test_kvs),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_history_query),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_long_value),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_leader),
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_what_may_be_declared),
	};

	return cmocka_run_group_tests_name("controller: sources", tests, NULL, NULL);
}
