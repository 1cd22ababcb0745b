/* SPDX-License-Identifier: Apache-2.0 */
/* Label sets, what is unknown of them, and what a requirement and a name pattern match. */
#include "tests/unit/policy_texts.h"

#include <errno.h>
#include <stdlib.h>

#include "own.h"
#include "selector.h"

static void a_label_set_has_one_text(void **state)
{
	struct pk_label_set *set = pk_label_set_new(), *again;

	(void)state;
	pk_label_set_add(set, "nomad:namespace", "acme");
	pk_label_set_add(set, "meta:a=b", "c=\"d\"\n");
	pk_label_set_add(set, "consul:service", "pg-ro");
	pk_label_set_add(set, "consul:service", "pg");
	pk_label_set_add(set, "consul:service", "pg");
	pk_label_set_add_unknown(set, "port:*");
	pk_label_set_add_unknown(set, "meta:*");
	assert_int_equal(pk_label_set_finish(set, NULL), 0);
	assert_string_equal(set->text,
			    "[\"consul:service=pg\",\"consul:service=pg-ro\","
			    "\"meta:a\\u003db=c=\\\"d\\\"\\u000a\",\"nomad:namespace=acme\","
			    "[\"meta:*\",\"port:*\"]]");
	assert_string_equal(set->tenant_name, "acme");
	again = labels(set->text);
	assert_string_equal(again->text, set->text);
	assert_string_equal(pk_label_set_get(again, "meta:a=b")->value, "c=\"d\"\n");
	assert_memory_equal(again->hash, set->hash, sizeof(set->hash));
	pk_label_set_free(set);
	pk_label_set_free(again);
}

static void a_text_that_is_not_canonical_is_refused(void **state)
{
	static const char *const bad[] = { "[\"b:x=1\",\"a:x=1\"]",
					   "{}",
					   "[1]",
					   "[\"nokey\"]",
					   "[\"nomad:namespace=a\",\"nomad:namespace=b\"]",
					   "[\"nomad:job=a\"]",
					   "[" };
	struct pk_label_set *set = NULL;
	struct pk_err err;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		err = (struct pk_err){ 0 };
		assert_int_equal(pk_label_set_parse(bad[i], &set, &err), -EINVAL);
		assert_true(err.text[0]);
	}
}

static void without_a_namespace_there_is_only_quarantine(void **state)
{
	const struct pk_claims nobody = { .job = "a", .believed = true };
	struct pk_label_set *set = pk_label_set_new(), *claims, *init = pk_label_set_init();
	struct pk_settings settings;

	(void)state;
	pk_settings_init(&settings);
	claims = pk_label_set_from_claims(&nobody, &settings);
	pk_label_set_add(set, "nomad:job", "api");
	assert_int_equal(pk_label_set_finish(set, NULL), 0);
	assert_true(set->init && claims->init);
	assert_string_equal(set->text, init->text);
	assert_string_equal(claims->text, init->text);
	assert_true(pk_label_set_is_unknown(set, "nomad:job"));
	pk_label_set_add(init, "nomad:namespace", "acme");
	assert_int_equal(pk_label_set_finish(init, NULL), -EINVAL);
	pk_label_set_free(set);
	pk_label_set_free(claims);
	pk_label_set_free(init);
	pk_settings_done(&settings);
}

static void a_claim_is_unknown_until_it_is_believed(void **state)
{
	struct pk_claims claims = { .tenant_name = "acme", .job = "api", .group = "web" };
	struct pk_settings settings;
	struct pk_label_set *set;

	(void)state;
	pk_settings_init(&settings);
	snprintf(settings.region, sizeof(settings.region), "eu");
	set = pk_label_set_from_claims(&claims, &settings);
	assert_string_equal(set->text,
			    "[\"nomad:namespace=acme\",\"nomad:region=eu\",[\"consul:service\","
			    "\"meta:*\",\"nomad:datacenter\",\"nomad:group\",\"nomad:job\","
			    "\"nomad:node\",\"nomad:nodepool\",\"port:*\"]]");
	pk_label_set_free(set);
	claims.believed = true;
	set = pk_label_set_from_claims(&claims, &settings);
	assert_string_equal(set->text,
			    "[\"nomad:group=web\",\"nomad:job=api\",\"nomad:namespace=acme\","
			    "\"nomad:region=eu\"]");
	pk_label_set_free(set);
	pk_settings_done(&settings);
}

static void a_requirement_has_three_answers(void **state)
{
	static const struct {
		enum pk_op op;
		const char *set;
		enum pk_tri want;
	} rows[] = {
		{ PK_OP_IN, "[\"meta:t=db\",\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_IN, "[\"meta:t=no\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_IN, "[\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_IN, "[\"nomad:namespace=x\",[\"meta:*\"]]", PK_MAYBE },
		{ PK_OP_IN, "[\"nomad:namespace=x\",[\"*\"]]", PK_MAYBE },
		{ PK_OP_IN, "[\"meta:t=no\",\"nomad:namespace=x\",[\"meta:*\"]]", PK_NO },
		{ PK_OP_NOT_IN, "[\"meta:t=db\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_NOT_IN, "[\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_NOT_IN, "[\"nomad:namespace=x\",[\"meta:t\"]]", PK_MAYBE },
		{ PK_OP_EXISTS, "[\"meta:t=\",\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_EXISTS, "[\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_EXISTS, "[\"nomad:namespace=x\",[\"meta:*\"]]", PK_MAYBE },
		{ PK_OP_NOT_EXISTS, "[\"meta:t=1\",\"nomad:namespace=x\"]", PK_NO },
		{ PK_OP_NOT_EXISTS, "[\"nomad:namespace=x\"]", PK_YES },
		{ PK_OP_NOT_EXISTS, "[\"reserved:init=\"]", PK_MAYBE },
	};
	char *values[] = { (char *)"db" };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_requirement req = {
			.key = (char *)"meta:t", .op = rows[i].op, .values = values, .n_values = 1
		};
		struct pk_label_set *set = labels(rows[i].set);

		if (pk_requirement_match(&req, set) != rows[i].want)
			fail_msg("operator %d on %s", rows[i].op, rows[i].set);
		pk_label_set_free(set);
	}
}

static void a_name_pattern_is_ciliums(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool want;
	} rows[] = {
		{ "*", "a.b.c", true },
		{ "*.example.com", "api.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "a.b.example.com", false },
		{ "api*.example.com", "api-7.example.com", true },
		{ "api*.example.com", "xapi.example.com", false },
		{ "**.example.com", "a.b.example.com", true },
		{ "**.example.com", "example.com", false },
		{ "*.example.com", "api.example.com.evil.net", false },
		{ "API.example.com", "api.EXAMPLE.com", true },
		{ "**", "a.b.c", true },
		{ "***.example.com", "a.b.example.com", true },
		{ "***.example.com", "example.com", false },
		{ "**.*.example.com", "a.b.example.com", true },
		{ "**.*.example.com", "b.example.com", false },
		{ "a**c.example.com", "abbc.example.com", true },
		{ "**example.com", "my-example.com", true },
		{ "**example.com", "a.example.com", false },
		{ "*a*b*.example.com", "xaybz.example.com", true },
		{ "*a*b*.example.com", "xbya.example.com", false },
		{ "*.com", "a.com.net", false },
		{ "a.*", "a.b.c", false },
		{ "a.*", "a", false },
		{ "*a", "aba", true },
		{ "*-", "a.-", false },
		{ "*.", "a", true },
		{ "*.", "a.b", false },
		{ "**.", "a.b", true },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_fqdn f = { .pattern = (char *)rows[i].pattern };

		if (pk_fqdn_match(&f, rows[i].name) != rows[i].want)
			fail_msg("%s on %s", rows[i].pattern, rows[i].name);
	}
}

/*
 * Whoever writes the pattern doesn't decide how long it takes: by trying out every way to divide
 * the name between the stars this one would never end.
 */
static void a_name_pattern_of_many_stars_ends(void **state)
{
	char pattern[256], name[256];
	const struct pk_fqdn f = { .pattern = pattern };

	(void)state;
	for (size_t i = 0; i < 254; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + 252, "*b", 3);
	memset(name, 'a', 255);
	name[255] = '\0';
	assert_false(pk_fqdn_match(&f, name));
}

/* Who says the same has the same set, which is there as long as anybody has it. */
static void equal_texts_are_one_set(void **state)
{
	static const char text[] = "[\"nomad:job=a\",\"nomad:namespace=acme\"]";
	struct pk_label_sets *sets = pk_label_sets_new();
	struct pk_label_set *a, *b, *other;

	(void)state;
	assert_int_equal(pk_label_sets_parse(sets, text, &a, NULL), 0);
	assert_int_equal(pk_label_sets_parse(sets, text, &b, NULL), 0);
	assert_int_equal(pk_label_sets_parse(sets, "[\"nomad:namespace=acme\"]", &other, NULL), 0);
	assert_true(pk_label_sets_parse(sets, "[\"b=c\",\"a=b\"]", &other, NULL) < 0);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, other);
	pk_label_set_free(other);
	pk_label_set_free(a);
	pk_label_sets_tidy(sets);
	assert_int_equal(pk_label_sets_count(sets), 1);
	assert_string_equal(b->text, text);
	pk_label_sets_free(sets);
	assert_string_equal(b->text, text);
	pk_label_set_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_set_has_one_text),
		cmocka_unit_test(equal_texts_are_one_set),
		cmocka_unit_test(a_text_that_is_not_canonical_is_refused),
		cmocka_unit_test(without_a_namespace_there_is_only_quarantine),
		cmocka_unit_test(a_claim_is_unknown_until_it_is_believed),
		cmocka_unit_test(a_requirement_has_three_answers),
		cmocka_unit_test(a_name_pattern_is_ciliums),
		cmocka_unit_test(a_name_pattern_of_many_stars_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
