/* SPDX-License-Identifier: Apache-2.0 */
/* What a list of Nomad's Variables may cost a node, and what it is no word of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consul_told_keys.h"
#include "own.h"
#include "store_vars_private.h"

#define PREFIX "picket/v1/default/"

static char prefix[] = PREFIX, home[] = "ops", node[] = "n1";

static struct vars_store store(void)
{
	return (struct vars_store){
		.store.prefix = prefix, .home = home, .node = node, .answered = 1, .changes = 1
	};
}

static void name(struct vars_store *v, const char *namespace, const char *below, uint64_t index)
{
	own_str path = { 0 };

	pk_str_addf(&path, PREFIX "%s", below);
	vars_name(v, &(struct pk_var_name){ .namespace = namespace,
					    .path = path.text,
					    .created = index,
					    .modified = index });
}

static void names(struct vars_store *v, const char *namespace, const char *folder, size_t from,
		  size_t to)
{
	char below[100];

	for (size_t i = from; i < to; i++) {
		snprintf(below, sizeof(below), "%s/x%zu", folder, i);
		name(v, namespace, below, i + 1);
	}
}

static struct var *find(struct vars_store *v, const char *below)
{
	own_str key = { 0 };
	struct var *var;

	pk_str_addf(&key, PREFIX "%s", below);
	HASH_FIND_STR(v->vars, key.text, var);
	return var;
}

/* A tenant that makes ever new names has no more memory of a node, and operators' keys stay. */
static void test_a_tenant_who_makes_new_names(void **state)
{
	struct vars_store v = store();
	uint64_t index = 100;

	(void)state;
	for (size_t round = 0; round < 300; round++, index++) {
		vars_names_begin(&v);
		names(&v, "acme", "policies/tenants/acme", round * 300, round * 300 + 300);
		name(&v, "ops", "policies/operator/deny", 1);
		name(&v, "ops", "policies/operator/later", 1 + round / 299 * index);
		vars_names_end(&v, index, round);
		assert_false(find(&v, "policies/operator/deny")->gone);
		assert_true(HASH_COUNT(v.vars) <= 2 + 2 * (PK_TENANT_KEYS_MAX + 1));
	}
	assert_false(find(&v, "policies/operator/later")->gone);
	assert_int_equal(find(&v, "policies/operator/later")->touched, index - 1);
	/* Who asks for what is newer than something that was forgotten tries the token first. */
	assert_int_equal(v.forgot, index - 2);
	assert_int_equal(v.n_home, 2);
	vars_names_free(&v);
}

/* One more than the budget is taken, by which the tenant's documents are over. */
static void test_a_budget(void **state)
{
	struct vars_store v = store();

	(void)state;
	vars_names_begin(&v);
	names(&v, "acme", "policies/tenants/acme", 0, 1000);
	names(&v, "other", "policies/tenants/other", 0, 10);
	vars_names_end(&v, 2000, 1);
	assert_int_equal(HASH_COUNT(v.vars), PK_TENANT_KEYS_MAX + 1 + 10);
	assert_int_equal(v.n_strays, 0);
	vars_names_free(&v);
}

/* What this node tells has a budget, too; what is over it is ignored and told of. */
static void test_what_is_told(void **state)
{
	struct vars_store v = store();
	char below[100];

	(void)state;
	vars_names_begin(&v);
	for (int i = 0; i < VARS_TOLD_MAX + 5; i++) {
		snprintf(below, sizeof(below), "status/tenants/acme/x%d/n1", i);
		name(&v, "acme", below, 7);
		snprintf(below, sizeof(below), "status/tenants/acme/x%d/n2", i);
		name(&v, "acme", below, 7);
	}
	names(&v, "acme", "policies/tenants/acme", 0, 3);
	vars_names_end(&v, 9, 1);
	assert_int_equal(HASH_COUNT(v.vars), VARS_TOLD_MAX + 3);
	assert_int_equal(v.n_strays, 5);
	assert_non_null(strstr(v.strays.text, "of namespace acme"));
	assert_int_equal(vars_names_unnamed(&v, "n1"), 5);
	assert_int_equal(vars_names_unnamed(&v, "n2"), 0);
	/* What is being read counts once it is whole. */
	vars_names_begin(&v);
	assert_int_equal(vars_names_unnamed(&v, "n1"), 5);
	vars_names_end(&v, 10, 1);
	assert_int_equal(vars_names_unnamed(&v, "n1"), 0);
	vars_names_free(&v);
}

/*
 * What nodes that are removed at once told a tenant is kept for each of them, beside what this node
 * tells him; who asks for nothing of the kind is looked at for none of the names.
 */
static void test_what_removed_nodes_told(void **state)
{
	struct vars_store v = store();
	struct vars_call calls[100] = { 0 };
	static const char *const nodes[] = { "n1", "n2", "n3", "n4" };
	char below[100];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(calls); i++)
		LIST_INSERT_HEAD(&v.calls, &calls[i], link);
	for (size_t i = 0; i < 2; i++) {
		calls[i].told_by = (char *)nodes[2 + i];
		LIST_INSERT_HEAD(&v.ask_told, &calls[i], asks_told);
	}
	vars_names_begin(&v);
	for (size_t i = 0; i < PK_ARRAY_LEN(nodes) * VARS_TOLD_MAX; i++) {
		snprintf(below, sizeof(below), "status/tenants/acme/x%zu/%s", i / 4, nodes[i % 4]);
		name(&v, "acme", below, 7);
	}
	vars_names_end(&v, 9, 1);
	assert_int_equal(HASH_COUNT(v.vars), 3 * VARS_TOLD_MAX);
	assert_int_equal(v.n_strays, 0);
	assert_null(find(&v, "status/tenants/acme/x0/n2"));
	assert_true(v.compared <= 2 * 3 * VARS_TOLD_MAX);
	LIST_INIT(&v.calls);
	LIST_INIT(&v.ask_told);
	vars_names_free(&v);
}

/* The store fails a list that has too many of them: none is passed over. */
static void test_the_operators_keys_are_counted(void **state)
{
	struct vars_store v = store();

	(void)state;
	vars_names_begin(&v);
	names(&v, "ops", "tenants/acme", 0, VARS_HOME_MAX);
	assert_int_equal(v.n_home, VARS_HOME_MAX);
	name(&v, "ops", "tenants/acme/more", 1);
	assert_true(v.n_home > VARS_HOME_MAX);
	vars_names_broke_off(&v);
	assert_null(find(&v, "tenants/acme/more"));
	assert_false(find(&v, "tenants/acme/x0")->gone);
	vars_names_free(&v);
}

static void test_nothing_is_kept_of_what_went(void **state)
{
	struct vars_store v = store();
	struct var *var;

	(void)state;
	vars_names_begin(&v);
	name(&v, "ops", "nodes/n1", 3);
	vars_names_end(&v, 3, 1);
	var = find(&v, "nodes/n1");
	var->value = pk_strdup("{}");
	var->holder = pk_strdup("id");
	var->read = 3;
	vars_names_begin(&v);
	vars_names_end(&v, 4, 1);
	assert_true(var->gone && var->touched == 4 && !var->read);
	assert_null(var->value);
	assert_null(var->holder);
	vars_names_begin(&v);
	vars_names_end(&v, 5, 600001);
	assert_ptr_equal(find(&v, "nodes/n1"), var);
	vars_names_begin(&v);
	vars_names_end(&v, 5, 600002);
	assert_null(find(&v, "nodes/n1"));
	assert_int_equal(v.forgot, 4);
	vars_names_free(&v);
}

#define MANY 10000

static struct vars_call question(struct vars_store *v, const char *below)
{
	struct vars_call c = { .v = v, .kind = VARS_ASK, .what = PK_STORE_KEYS };
	own_str full = { 0 };

	pk_str_addf(&full, PREFIX "%s", below);
	c.prefix = pk_str_take(&full);
	c.budget = (struct pk_kv_budget){ 65536, 100 };
	return c;
}

/* Reads as long as a value lacks, one after another, and returns how many it were. */
static size_t read_all(struct vars_call *c)
{
	struct var *var;
	own_str why = { 0 };
	bool gone;
	size_t n = 0;

	while (vars_is_due(c, &gone) && (var = vars_unread(c)) && !vars_is_over(c, &why)) {
		var->read = var->modified;
		n++;
	}
	return n;
}

/* Of values that are read one by one each is looked at a few times in all, and not at each of them. */
static void test_many_values(void **state)
{
	struct vars_store v = store();
	struct vars_call all = question(&v, "policies/operator/"), none = question(&v, "nodes/");

	(void)state;
	vars_names_begin(&v);
	names(&v, "ops", "policies/operator", 0, MANY);
	vars_names_end(&v, MANY, 1);
	assert_int_equal(read_all(&all), MANY);
	assert_int_equal(read_all(&none), 0);
	/* One look of either question for what changed, and each reading goes on where it was. */
	assert_true(v.looked <= 5 * MANY);
	/* Another list has one variable changed: that one is read, and no other. */
	vars_names_begin(&v);
	names(&v, "ops", "policies/operator", 0, MANY - 1);
	name(&v, "ops", "policies/operator/x9999", MANY + 1);
	vars_names_end(&v, MANY + 1, 1);
	assert_int_equal(read_all(&all), 1);
	print_message("%lu\n", v.looked);
	assert_true(v.looked <= 8 * MANY);
	free(all.prefix);
	free(none.prefix);
	vars_names_free(&v);
}

/* One that is listed anew while others are read is read again: no old text has the new index. */
static void test_a_value_that_changes_meanwhile(void **state)
{
	struct vars_store v = store();
	struct vars_call c = question(&v, "policies/operator/");

	(void)state;
	vars_names_begin(&v);
	names(&v, "ops", "policies/operator", 0, 3);
	vars_names_end(&v, 3, 1);
	for (int i = 0; i < 2; i++) {
		struct var *var = vars_unread(&c);

		var->read = var->modified;
	}
	vars_names_begin(&v);
	name(&v, "ops", "policies/operator/x0", 9);
	assert_string_equal(vars_unread(&c)->key, PREFIX "policies/operator/x0");
	vars_names_broke_off(&v);
	assert_int_equal(read_all(&c), 2);
	free(c.prefix);
	vars_names_free(&v);
}

/* Texts are counted as they are read: no more is asked for once they are too many. */
static void test_too_long_texts(void **state)
{
	struct vars_store v = store();
	struct vars_call c = question(&v, "policies/operator/");
	own_str why = { 0 };
	struct var *var;
	size_t n = 0;

	(void)state;
	vars_names_begin(&v);
	names(&v, "ops", "policies/operator", 0, 50);
	vars_names_end(&v, 50, 1);
	while ((var = vars_unread(&c)) && !vars_is_over(&c, &why)) {
		var->read = var->modified;
		var->value = pk_strdup("0123456789");
		n++;
	}
	assert_int_equal(n, 11);
	assert_non_null(strstr(why.text, "more than 100 bytes"));
	free(c.prefix);
	vars_names_free(&v);
}

/* One key that can't be written, or a tenant that can't be listed, keeps no other waiting. */
static void test_who_cannot_be_told(void **state)
{
	struct pk_told_keys *k = pk_told_keys_new("n1");
	const struct pk_kvs none = { 0 };
	const char *first, *key, *text;
	uint64_t wait;

	(void)state;
	pk_told_keys_tenant(k, "a");
	pk_told_keys_tenant(k, "b");
	pk_told_keys_want(k, "a/x/n1", "{}");
	pk_told_keys_want(k, "b/x/n1", "{}");
	pk_told_keys_looked(k);
	assert_string_equal(pk_told_keys_unlisted(k, 10), "a");
	pk_told_keys_failed(k, 500, true);
	assert_string_equal(pk_told_keys_unlisted(k, 10), "b");
	pk_told_keys_listed(k, &none);
	assert_null(pk_told_keys_unlisted(k, 10));
	assert_true(pk_told_keys_next(k, 10, 1, &wait, &first, &text));
	pk_told_keys_failed(k, 600, true);
	assert_true(pk_told_keys_next(k, 10, 1, &wait, &key, &text));
	assert_string_not_equal(key, first);
	pk_told_keys_written(k, 10);
	assert_false(pk_told_keys_next(k, 10, 1, &wait, &key, &text));
	assert_int_equal(wait, 490);
	assert_string_equal(pk_told_keys_unlisted(k, 500), "a");
	pk_told_keys_listed(k, &none);
	assert_false(pk_told_keys_next(k, 500, 1, &wait, &key, &text));
	assert_int_equal(wait, 100);
	assert_true(pk_told_keys_next(k, 600, 1, &wait, &key, &text));
	assert_string_equal(key, first);
	pk_told_keys_free(k);
}

/* What changes all the time is written once in each_ms, and as it is then; other keys don't wait. */
static void test_how_often_one_is_told(void **state)
{
	struct pk_told_keys *k = pk_told_keys_new("n1");
	const char *key, *text;
	uint64_t wait;

	(void)state;
	for (uint64_t now = 1000; now <= 3000; now += 100) {
		char said[16];

		snprintf(said, sizeof(said), "%lu", now);
		pk_told_keys_want(k, "a/x/n1", said);
		if (now == 2000)
			pk_told_keys_want(k, "a/y/n1", "{}");
		if (!pk_told_keys_next(k, now, 10000, &wait, &key, &text)) {
			assert_int_equal(wait, 11000 - now);
			continue;
		}
		assert_true(now == 1000 || now == 2000);
		assert_string_equal(key, now == 1000 ? "a/x/n1" : "a/y/n1");
		pk_told_keys_written(k, now);
	}
	assert_true(pk_told_keys_next(k, 11000, 10000, &wait, &key, &text));
	assert_string_equal(text, "3000");
	pk_told_keys_written(k, 11000);
	assert_false(pk_told_keys_next(k, 30000, 10000, &wait, &key, &text));
	assert_int_equal(wait, 0);
	pk_told_keys_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tenant_who_makes_new_names),
		cmocka_unit_test(test_a_budget),
		cmocka_unit_test(test_what_is_told),
		cmocka_unit_test(test_what_removed_nodes_told),
		cmocka_unit_test(test_the_operators_keys_are_counted),
		cmocka_unit_test(test_nothing_is_kept_of_what_went),
		cmocka_unit_test(test_many_values),
		cmocka_unit_test(test_a_value_that_changes_meanwhile),
		cmocka_unit_test(test_too_long_texts),
		cmocka_unit_test(test_who_cannot_be_told),
		cmocka_unit_test(test_how_often_one_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
