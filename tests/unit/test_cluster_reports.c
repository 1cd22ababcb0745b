// SPDX-License-Identifier: Apache-2.0
/* What nodes report of documents, and what they say where they get no session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cluster/publish_private.h"
#include "controller/cluster/reports.h"
#include "controller/sources/store_consul.h"
#include "own.h"

/* What an operator is told to do about it is what helps. */
static void test_no_session(void **state)
{
	static const struct {
		int status;
		const char *body, *says, *not;
	} rows[] = {
		{ 403, "Permission denied", "examples/acl", "restart" },
		{ 401, "ACL support disabled", "examples/acl", "restart" },
		{ 500, "apply failed: Missing node registration",
		  "registers it again within minutes; fix: wait", "acl" },
		{ 500, "No cluster leader", "no leader", "fix: " },
		{ 500, "x", "status 500: x", "fix: " },
	};
	char why[300];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_http_reply reply = { .status = rows[i].status,
						     .body = rows[i].body,
						     .known_leader = -1 };

		if (!pk_consul_no_session(&reply, why, sizeof(why)) || !strstr(why, rows[i].says) ||
		    strstr(why, rows[i].not))
			fail_msg("%s: %s", rows[i].body, why);
	}
	assert_false(pk_consul_no_session(
		&(struct pk_http_reply){ .status = 200, .body = "{}", .known_leader = -1 }, why,
		sizeof(why)));
}

#define REPORT(index, digest, documents, more)                                                     \
	"{\"version\":1,\"number\":0,\"documents\":[" documents                                    \
	"],\"more\":0,\"sets\":[{\"source\":\"consul/tenant/x\",\"index\":99,\"digest\":\"t\"},"   \
	"{\"source\":\"consul/operator\",\"index\":" index ",\"digest\":\"" digest                 \
	"\",\"since\":\"2026-01-01T00:00:00Z\"" more "}]}"
#define REFUSED                                                                                    \
	"{\"source\":\"consul/operator\",\"path\":\"p\",\"state\":\"refused\",\"why\":\"x\"}"

static struct pk_store_call *asks(struct pk_store *store, const struct pk_store_question *q,
				  pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)fn, (void)arg, (void)err;
	assert_string_equal(q->prefix, "p/status/nodes/");
	assert_int_equal(q->turn, 3);
	return (struct pk_store_call *)store;
}

static void cancels(struct pk_store_call *call)
{
	(void)call;
}

/* Whoever asks for reports asks the address that answers others. */
static void test_whom_reports_are_asked_of(void **state)
{
	static const struct pk_store_ops ops = { .ask = asks, .cancel = cancels };
	struct pk_store store = { &ops, (char[]){ "p/" } };
	struct pk_reports *r = pk_reports_ask(&store, 3, NULL, NULL);

	(void)state;
	assert_non_null(r);
	pk_reports_cancel(r);
}

/* The newest set of whoever lacks nothing of it is what stands in Consul, as far as is known. */
static void test_reports(void **state)
{
	static const struct {
		char *key, *report;
		bool known, current;
	} rows[] = {
		{ (char *)"s/a", (char *)REPORT("5", "old", "", ""), true, false },
		{ (char *)"s/b", (char *)REPORT("7", "new", "", ""), true, true },
		{ (char *)"s/c", (char *)REPORT("6", "new", "", ""), true, true },
		{ (char *)"s/d", (char *)REPORT("8", "x", REFUSED, ""), true, false },
		{ (char *)"s/e", (char *)REPORT("9", "y", "", ",\"why\":\"behind\""), true, false },
		{ (char *)"s/f", (char *)REPORT("-1", "new", "", ""), false, false },
		{ (char *)"s/g", (char *)"{\"sets\":[]}", false, false },
		{ (char *)"s/h", (char *)"nonsense", false, false },
		{ (char *)"nowhere", (char *)REPORT("10", "z", "", ""), false, false },
	};
	struct pk_kv list[PK_ARRAY_LEN(rows)] = { 0 };
	const struct pk_kvs kvs = { .list = list, .n = PK_ARRAY_LEN(rows) };
	struct pk_node_policy *all;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		list[i].key = rows[i].key;
		list[i].value = rows[i].report;
		list[i].len = strlen(rows[i].report);
	}
	all = pk_node_policies(&kvs, "c", 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const char *last = strrchr(rows[i].key, '/');
		const struct pk_node_policy *p = pk_node_policy(all, last ? last + 1 : rows[i].key);

		if (!p != !rows[i].known || (p && p->current != rows[i].current))
			fail_msg("%s", rows[i].key);
	}
	assert_int_equal(pk_node_policy(all, "b")->index, 7);
	assert_string_equal(pk_node_policy(all, "b")->digest, "new");
	assert_string_equal(pk_node_policy(all, "b")->since, "2026-01-01T00:00:00Z");
	assert_null(pk_node_policy(all, "stranger"));
	pk_node_policies_free(&all);
	/* What is past what was heard is nobody's, and of equals this node is right. */
	all = pk_node_policies(&kvs, "a", 6);
	assert_true(pk_node_policy(all, "c")->current);
	assert_false(pk_node_policy(all, "a")->current);
	pk_node_policies_free(&all);
	list[0].value = (char *)REPORT("6", "own", "", "");
	list[0].len = strlen(list[0].value);
	for (int i = 0; i < 2; i++) {
		all = pk_node_policies(&kvs, i ? "c" : "a", 6);
		assert_int_equal(pk_node_policy(all, "a")->current, !i);
		assert_int_equal(pk_node_policy(all, "c")->current, i);
		pk_node_policies_free(&all);
	}
}
int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_session),
		cmocka_unit_test(test_whom_reports_are_asked_of),
		cmocka_unit_test(test_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
