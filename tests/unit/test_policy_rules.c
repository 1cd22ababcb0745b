/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of rules: they stay, and are the same however one came to a set of documents. */
#include "tests/unit/policy_texts.h"

#include <errno.h>
#include <stdlib.h>

#include "own.h"
#include "rules.h"
#include "str.h"

static void rule_numbers_stay(void **state)
{
	static const char text[] =
		"[{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"host\"]},"
		"{\"fromEntities\":[\"world\"]}]}]";
	struct pk_document *docs[2] = { document("a.json", text), document("b.json", text) };
	struct pk_rules *rules;
	struct pk_rule_ref ref;
	uint32_t number;

	(void)state;
	rules = pk_rules_new(docs, 1);
	number = docs[0]->rules[0].entries[PK_INGRESS][1].number;
	assert_true(number >= PK_RULE_FIRST);
	pk_rules_free(rules);
	rules = pk_rules_new(docs, 2);
	assert_int_equal(docs[0]->rules[0].entries[PK_INGRESS][1].number, number);
	assert_int_not_equal(docs[1]->rules[0].entries[PK_INGRESS][1].number, number);
	assert_int_equal(pk_rules_find(rules, number, &ref), 0);
	assert_string_equal(ref.doc->name, "a");
	assert_int_equal(ref.entry_index, 1);
	assert_int_equal(pk_rules_find(rules, PK_RULE_PROTECTED, &ref), 0);
	assert_null(ref.doc);
	assert_int_equal(pk_rules_find(rules, 63, &ref), -ENOENT);
	pk_rules_free(rules);
	pk_document_free(docs[0]);
	pk_document_free(docs[1]);
}

/* A document whose entries say nothing, n of them. */
static struct pk_document *empty_entries(const char *path, size_t n)
{
	struct pk_document *doc;
	own_str text = { 0 };

	pk_str_add(&text, "[{\"endpointSelector\":{},\"ingress\":[{}");
	for (size_t i = 1; i < n; i++)
		pk_str_add(&text, ",{}");
	pk_str_add(&text, "]}]");
	doc = document(path, text.text);
	return doc;
}

static void assert_same_rules(struct pk_rules *got, struct pk_document *const *docs, size_t n)
{
	struct pk_rules *want;
	own_mem uint32_t *number = calloc(pk_rules_count(got) + 1, sizeof(*number));
	struct pk_rule_ref a, b;
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t e = 0; e < docs[i]->rules[0].n_entries[PK_INGRESS]; e++)
			number[k++] = docs[i]->rules[0].entries[PK_INGRESS][e].number;
	assert_int_equal(k, pk_rules_count(got));
	want = pk_rules_new(docs, n);
	assert_int_equal(pk_rules_count(want), k);
	for (size_t i = 0; i < k; i++) {
		assert_int_equal(pk_rules_at(got, i, &a), 0);
		assert_int_equal(pk_rules_at(want, i, &b), 0);
		assert_int_equal(a.number, b.number);
		assert_ptr_equal(a.entry, b.entry);
	}
	k = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t e = 0; e < docs[i]->rules[0].n_entries[PK_INGRESS]; e++)
			assert_int_equal(docs[i]->rules[0].entries[PK_INGRESS][e].number,
					 number[k++]);
	pk_rules_free(want);
}

/* Renewed from one set to the next, or made anew: the same numbers in the same places. */
static void rule_numbers_renewed(void **state)
{
	struct pk_document *all[24], *set[24], *old[24];
	struct pk_rules *rules = pk_rules_new(NULL, 0);
	unsigned int seed = 7;
	bool renumbered;
	char path[16];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
		snprintf(path, sizeof(path), "d%02zu.json", i);
		all[i] = empty_entries(path, 1 + i % 5);
	}
	for (int step = 0; step < 200; step++) {
		size_t n = 0, n_old = 0;

		for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
			if (rand_r(&seed) % 8 == 0) { /* edited */
				snprintf(path, sizeof(path), "d%02zu.json", i);
				old[n_old++] = all[i];
				all[i] = empty_entries(path, 1 + (size_t)rand_r(&seed) % 5);
			}
			if (rand_r(&seed) % 4)
				set[n++] = all[i];
		}
		rules = pk_rules_renew(rules, set, n, &renumbered);
		assert_false(renumbered);
		assert_same_rules(rules, set, n);
		for (size_t i = 0; i < n_old; i++)
			pk_document_free(old[i]);
	}
	pk_rules_free(rules);
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++)
		pk_document_free(all[i]);
}

/* So many that some hashes are equal: who comes and goes may renumber others. */
static void rule_numbers_collide(void **state)
{
	struct pk_document *docs[40];
	struct pk_rules *rules = NULL;
	bool renumbered, any = false;
	char path[16];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++) {
		snprintf(path, sizeof(path), "c%02zu.json", i);
		docs[i] = empty_entries(path, 5000);
	}
	/* From the last to the first, so that the one that must give way is there already. */
	for (size_t n = 1; n <= PK_ARRAY_LEN(docs); n++) {
		rules = pk_rules_renew(rules, docs + PK_ARRAY_LEN(docs) - n, n, &renumbered);
		any |= renumbered;
	}
	assert_true(any);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs));
	rules = pk_rules_renew(rules, docs, PK_ARRAY_LEN(docs) / 4, &renumbered);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs) / 4);
	rules = pk_rules_renew(rules, docs, PK_ARRAY_LEN(docs), &renumbered);
	assert_same_rules(rules, docs, PK_ARRAY_LEN(docs));
	pk_rules_free(rules);
	for (size_t i = 0; i < PK_ARRAY_LEN(docs); i++)
		pk_document_free(docs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_numbers_stay),
		cmocka_unit_test(rule_numbers_renewed),
		cmocka_unit_test(rule_numbers_collide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
