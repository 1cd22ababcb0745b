/* SPDX-License-Identifier: Apache-2.0 */
/* What one tenant's documents may cost: rules, and what is said of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "controller/documents/docs.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

#define RULE "{\"endpointSelector\": {}, \"ingress\": [{}]}"

static size_t in_force(struct pk_docs *docs)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(docs, &list);

	pk_docs_retire(docs);
	return n;
}

static bool offer_rules(struct pk_docs *docs, const char *of, const char *path, size_t n)
{
	const struct pk_doc_origin origin = { .source = of, .path = path, .tenant_name = "t" };
	own_str text = { 0 };

	pk_str_add(&text, "[");
	for (size_t i = 0; i < n; i++)
		pk_str_addf(&text, "%s" RULE, i ? "," : "");
	pk_str_add(&text, "]");
	return pk_docs_offer(docs, &origin, text.text, text.len);
}

static bool all_but_a(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "consul:a") != 0;
}

/* What is too much is refused alone, for that tenant alone, and taken when others have fewer. */
static void test_a_tenants_rules(void **state)
{
	static const char t[] = PK_ORIGIN_CONSUL PK_SOURCE_TENANT "t",
			  other[] = PK_ORIGIN_CONSUL PK_SOURCE_TENANT "t2";
	const struct pk_docs_look look = { .of = t, .has = all_but_a, .why = "gone" };
	struct pk_docs *docs = pk_docs_new(NULL);
	const struct pk_doc_entry *e;

	(void)state;
	offer_rules(docs, t, "consul:a", PK_TENANT_RULES_MAX - 10);
	offer_rules(docs, t, "consul:b", 10);
	offer_rules(docs, t, "consul:c", 1);
	offer_rules(docs, other, "consul:d", 1);
	offer_rules(docs, "file", "/e", PK_TENANT_RULES_MAX + 1);
	assert_int_equal(in_force(docs), 4);
	e = pk_docs_untold(docs);
	assert_string_equal(e->path, "consul:c");
	assert_non_null(strstr(e->refusal, "more than 2048"));
	offer_rules(docs, t, "consul:b", 11);
	assert_int_equal(in_force(docs), 4);
	assert_true(pk_docs_any_waits(docs));
	assert_true(pk_docs_looked(docs, &look));
	assert_true(offer_rules(docs, t, "consul:c", 1));
	assert_true(offer_rules(docs, t, "consul:b", 11));
	assert_int_equal(in_force(docs), 4);
	assert_null(pk_docs_untold(docs));
	pk_docs_free(docs);
}

/* Nobody's memory is filled with what was wrong with his text. */
static void test_a_tenants_notes(void **state)
{
	const struct pk_doc_origin origin = { .source = PK_ORIGIN_CONSUL PK_SOURCE_TENANT "t",
					      .path = "consul:a",
					      .tenant_name = "t" };
	struct pk_docs *docs = pk_docs_new(NULL);
	own_str text = { 0 };
	const struct pk_doc_entry *e;

	(void)state;
	pk_str_add(&text, "{\"endpointSelector\": {}");
	for (int i = 0; i < 100; i++)
		pk_str_addf(&text, ", \"wrong%d\": 1", i);
	pk_str_add(&text, "}");
	pk_docs_offer(docs, &origin, text.text, text.len);
	e = pk_docs_untold(docs);
	assert_int_equal(e->notes.n, PK_TENANT_NOTES_MAX);
	assert_true(e->notes.n_errors >= 100);
	pk_docs_free(docs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tenants_rules),
		cmocka_unit_test(test_a_tenants_notes),
	};

	return cmocka_run_group_tests_name("controller: documents' budgets", tests, NULL, NULL);
}
