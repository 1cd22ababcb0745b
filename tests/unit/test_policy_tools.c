/* SPDX-License-Identifier: GPL-2.0-only */
/* picket policy plan and suggest, by their library. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plan.h"
#include "suggest.h"

static const char world[] =
	"{\"endpoints\":["
	"{\"name\":\"x/a 1\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"},"
	"\"addresses\":[\"10.0.0.1\"]},"
	"{\"name\":\"x/a 2\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"},"
	"\"addresses\":[\"10.0.0.2\"]},"
	"{\"name\":\"x/b\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"b\"},"
	"\"addresses\":[\"10.0.0.3\"]},"
	"{\"name\":\"y/c\",\"labels\":{\"nomad:namespace\":\"y\",\"nomad:job\":\"c\"},"
	"\"addresses\":[\"10.0.0.4\"]}]}";
static const char policy[] =
	"{\"name\":\"p\",\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":{"
	"\"job\":"
	"\"a\"}},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"b\"}}],\"toPorts\":[{"
	"\"ports\":[{\"port\":\"5432\",\"protocol\":\"TCP\"}]}]}]}]}";

static struct pk_case *read_case(void)
{
	struct pk_case *c = NULL;
	struct pk_str said = { 0 };
	struct pk_err err = { 0 };

	if (pk_case_read("world", world, strlen(world), &c, &said, &err) < 0)
		fail_msg("%s", err.text);
	pk_str_done(&said);
	return c;
}

static bool has_change(const struct pk_plan *plan, const char *from, const char *to,
		       const char *what)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		if (!strcmp(c->from, from) && !strcmp(c->to, to) && !strcmp(c->what, what))
			return true;
	}
	return false;
}

static size_t cut_of(const struct pk_plan *plan, const char *from, const char *to, const char *what)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		if (!strcmp(c->from, from) && !strcmp(c->to, to) && !strcmp(c->what, what))
			return c->cut;
	}
	return 0;
}

static struct pk_plan_flow flow(const char *from, const char *to, uint16_t port)
{
	struct pk_plan_flow f = { .proto = IPPROTO_TCP, .port = port };

	assert_int_equal(pk_addr_parse(from, &f.addr[0]), 0);
	assert_int_equal(pk_addr_parse(to, &f.addr[1]), 0);
	return f;
}

static void a_plan_says_what_changes_and_nothing_else(void **state)
{
	struct pk_case *before = read_case(), *after = read_case();
	char path[] = "/tmp/picket-plan-XXXXXX";
	struct pk_plan_flow flows[] = {
		flow("10.0.0.3", "10.0.0.1", 80),   flow("10.0.0.3", "10.0.0.1", 5432),
		flow("10.0.0.2", "10.0.0.1", 5432), flow("10.0.0.1", "10.0.0.3", 80),
		flow("10.0.0.4", "10.0.0.1", 80),   flow("10.0.0.3", "10.0.0.1", 80),
	};
	const struct pk_document *changed[1];
	struct pk_str said = { 0 };
	struct pk_err err = { 0 };
	struct pk_plan plan;
	size_t index;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, policy, strlen(policy)), strlen(policy));
	close(fd);
	assert_int_equal(pk_case_replace_file(after, path, &index, &said, &err), 0);
	unlink(path);
	changed[0] = after->docs[index];
	assert_int_equal(pk_plan_make(&(struct pk_plan_ask){ .before = before,
							     .after = after,
							     .changed = changed,
							     .n_changed = 1,
							     .flows = flows,
							     .n_flows = PK_ARRAY_LEN(flows) },
				      &plan, &err),
			 0);
	/* Not what stays (5432 from b, a's own to b), not what was denied before (from y). */
	assert_int_equal(plan.cut, 3);
	assert_int_equal(cut_of(&plan, "x/b", "x/a 1", "other tcp ports"), 2);
	assert_int_equal(cut_of(&plan, "x/a 1", "x/a 1", "5432/tcp"), 1);
	assert_true(has_change(&plan, "x/b", "x/a 1", "other tcp ports"));
	assert_true(has_change(&plan, "x/a 1", "x/a 1", "5432/tcp"));
	assert_false(has_change(&plan, "x/b", "x/a 1", "5432/tcp"));
	for (size_t i = 0; i < plan.n; i++) {
		assert_string_equal(plan.changes[i].to, "x/a 1");
		assert_int_equal(plan.changes[i].n_to, 2);
		assert_int_equal(plan.changes[i].before, PK_ALLOW);
		assert_int_equal(plan.changes[i].after, PK_DENY);
	}
	assert_int_equal(plan.closed, 2);
	assert_int_equal(plan.opened, 0);
	assert_true(plan.verdicts_after > plan.verdicts_before);
	pk_plan_done(&plan);
	/* Nothing differs from itself. */
	assert_int_equal(pk_plan_make(&(struct pk_plan_ask){ .before = after,
							     .after = after,
							     .changed = changed,
							     .n_changed = 1,
							     .flows = flows,
							     .n_flows = PK_ARRAY_LEN(flows) },
				      &plan, &err),
			 0);
	assert_int_equal(plan.n, 0);
	assert_int_equal(plan.cut, 0);
	pk_plan_done(&plan);
	pk_str_done(&said);
	pk_case_free(before);
	pk_case_free(after);
}

#define FLOW(verdict, from, to, rest)                                                              \
	"{\"verdict\":\"" verdict "\",\"source\":" from ",\"destination\":" to "," rest "}"
#define XB "{\"namespace\":\"x\",\"job\":\"b\",\"port\":4000}"
#define XA "{\"namespace\":\"x\",\"job\":\"a\",\"port\":5432}"

static size_t suggest(const char *const *flows, size_t n, bool denied, struct pk_str *out)
{
	struct pk_suggest *s = pk_suggest_new("x");
	struct pk_jw w = { .out = out };
	size_t count;

	for (size_t i = 0; i < n; i++) {
		own_json *doc = NULL;

		assert_int_equal(pk_json_parse("flow", flows[i], strlen(flows[i]), PK_JSON_RELAXED,
					       &doc, NULL),
				 0);
		pk_suggest_add(s, pk_json_root(doc), denied);
	}
	count = pk_suggest_write(s, &w);
	pk_suggest_free(s);
	return count;
}

static void flows_become_the_smallest_policies(void **state)
{
	static const char *const flows[] = {
		FLOW("allowed", XB, XA, "\"protocol\":\"tcp\""),
		FLOW("allowed", XB, XA, "\"protocol\":\"tcp\""),
		FLOW("denied", XB, "{\"name\":\"host\",\"port\":22}", "\"protocol\":\"tcp\""),
		FLOW("allowed", "{\"namespace\":\"y\",\"job\":\"q\"}", XA, "\"protocol\":\"tcp\""),
	};
	struct pk_str out = { 0 };

	(void)state;
	assert_int_equal(suggest(flows, PK_ARRAY_LEN(flows), false, &out), 2);
	assert_string_equal(out.text, "[{\"name\":\"x-a\",\"namespace\":\"x\",\"rules\":[{"
				      "\"description\":\"from the flows seen\","
				      "\"endpointSelector\":{\"matchLabels\":{\"nomad:job\":\"a\"}}"
				      ",\"ingress\":[{\"fromEndpoints\":"
				      "[{\"matchLabels\":{\"nomad:job\":\"b\"}}],\"toPorts\":[{"
				      "\"ports\":[{\"port\":\"5432\","
				      "\"protocol\":\"TCP\"}]}]},{\"fromEndpoints\":[{"
				      "\"matchLabels\":{\"nomad:namespace\":\"y\","
				      "\"nomad:job\":\"q\"}}],\"toPorts\":[{\"ports\":[{\"port\":"
				      "\"5432\",\"protocol\":\"TCP\"}]}]}]}]},"
				      "{\"name\":\"x-b\",\"namespace\":\"x\",\"rules\":[{"
				      "\"description\":\"from the flows seen\","
				      "\"endpointSelector\":{\"matchLabels\":{\"nomad:job\":\"b\"}}"
				      ",\"egress\":[{\"toEndpoints\":"
				      "[{\"matchLabels\":{\"nomad:job\":\"a\"}}],\"toPorts\":[{"
				      "\"ports\":[{\"port\":\"5432\","
				      "\"protocol\":\"TCP\"}]}]}]}]}]");
	pk_str_done(&out);
	assert_int_equal(suggest(flows, PK_ARRAY_LEN(flows), true, &out), 2);
	assert_non_null(strstr(out.text, "\"toEntities\":[\"host\"]"));
	pk_str_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_says_what_changes_and_nothing_else),
		cmocka_unit_test(flows_become_the_smallest_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
