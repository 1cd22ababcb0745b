/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and the disk that keeps them: names that change, writes that wait or fail, tenants that are awaited. */
#include "tests/unit/docs_fixture.h"

#include <unistd.h>

#include "docs_store.h"
#include "docsource.h"

static size_t heard(const struct pk_docs *docs)
{
	const char *name = NULL;
	size_t n = 0;

	while ((name = pk_docs_heard_next(docs, name)))
		n++;
	return n;
}

/* A tenant is awaited until its source was looked at whole, and again once it is forgotten. */
static void test_awaited(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	const struct pk_doc_origin acme = { .source = "consul/tenant/acme",
					    .path = "consul:p/tenants/acme/a",
					    .tenant_name = "acme" };
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_false(pk_docs_awaits(docs, "acme")); /* nothing comes tenant by tenant */
	assert_false(pk_docs_hear(docs, "acme"));
	pk_docs_set_each(docs, PK_ORIGIN_CONSUL, true);
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_false(pk_docs_awaits(docs, NULL));
	assert_true(pk_docs_offer(docs, &acme, DENY, strlen(DENY)));
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_false(pk_docs_hear(docs, "acme"));
	assert_true(pk_docs_hear(docs, "none"));
	assert_false(pk_docs_awaits(docs, "acme") || pk_docs_awaits(docs, "none"));
	in_force(docs);
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_free(docs);

	/* Over a restart, also of one who has no documents. */
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_false(pk_docs_awaits(docs, "acme") || pk_docs_awaits(docs, "none"));
	assert_true(pk_docs_awaits(docs, "other"));
	assert_int_equal(heard(docs), 2);
	assert_true(pk_docs_forget(docs, "acme"));
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_int_equal(in_force(docs), 0);
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test ! -e @/tenant/acme -a -d @/tenant/none -a -f @/tenant/.each", dir);

	/* Switched off: no tenant is known when it is switched on again. */
	pk_docs_set_each(docs, PK_ORIGIN_CONSUL, false);
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test ! -e @/tenant/none -a ! -e @/tenant/.each", dir);
	pk_docs_free(docs);
	run("rm -r @", dir);
}

/* What one store said of a tenant is no word of another's, and lies beside it. */
static void test_another_store(void **state)
{
	const struct pk_doc_origin place = { .source = PK_ORIGIN_NOMAD PK_SOURCE_TENANT "acme",
					     .path = "nomad:k",
					     .tenant_name = "acme" };
	char dir[] = "/tmp/test_docs-XXXXXX";
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	pk_docs_set_each(docs, PK_ORIGIN_CONSUL, true);
	assert_true(pk_docs_hear(docs, "acme"));
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_set_each(docs, PK_ORIGIN_NOMAD, true);
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_offer(docs, &place, DENY, strlen(DENY)));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_int_equal(in_force(docs), 1);
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test -f @/nomad/tenant/.each -a -d @/nomad/tenant/acme -a ! -e @/tenant/.each", dir);
	pk_docs_free(docs);

	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_awaits(docs, "other"));
	assert_int_equal(in_force(docs), 1);
	assert_string_equal(pk_docs_at(docs, 0)->source, place.source);
	assert_true(pk_docs_forget(docs, "acme"));
	assert_int_equal(in_force(docs), 0);
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test ! -e @/nomad/tenant/acme", dir);
	pk_docs_free(docs);
	run("rm -r @", dir);
}

#define NAMED(name) "{\"name\": \"" name "\", \"rules\": [" DENY "]}"

static void look_for(const char *dir, const char *name, const char *path)
{
	own_str text = { 0 };

	pk_str_addf(&text, "head -n1 @/file/%s | grep -q 'path=%s$'", name, path);
	run(text.text, dir);
}

/* Whose name another takes over, and the other way round: both are stored. */
static void test_names_that_are_swapped(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	offer(docs, "a", NAMED("x"));
	offer(docs, "b", NAMED("y"));
	in_force(docs);
	assert_int_equal(docs_store(docs, NULL), 0);
	look_for(dir, "x", "a");
	offer(docs, "a", NAMED("y"));
	offer(docs, "b", NAMED("x"));
	assert_int_equal(in_force(docs), 2);
	assert_int_equal(docs_store(docs, NULL), 0);
	look_for(dir, "y", "a");
	look_for(dir, "x", "b");
	offer(docs, "a", NAMED("z"));
	in_force(docs);
	assert_int_equal(docs_store(docs, NULL), 0);
	look_for(dir, "z", "a");
	run("test ! -e @/file/y", dir);
	pk_docs_free(docs);
	run("rm -r @", dir);
}

/* What changes while the disk is at it is the next batch's, and nothing is left behind. */
static void test_a_change_while_the_disk_is_at_it(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	struct pk_docs_batch *batch;
	struct pk_docs *docs;
	own_mem char *text = NULL;
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	offer(docs, "a", NAMED("x"));
	offer(docs, "b", NAMED("y"));
	in_force(docs);
	batch = pk_docs_batch_new(docs);
	offer(docs, "a", NAMED("x") "\n");
	assert_true(looked(docs, "file", only_a));
	assert_int_equal(in_force(docs), 1);
	assert_int_equal(pk_docs_batch_write(batch, NULL), 0);
	pk_docs_stored(docs, batch);
	assert_int_equal(pk_docs_batch_sync(batch, NULL), 0);
	pk_docs_batch_free(batch);
	assert_int_equal(pk_docs_text(docs, pk_docs_at(docs, 0), &text, &len, NULL), 0);
	assert_string_equal(text, NAMED("x") "\n");
	run("test -e @/file/y -a $(wc -l <@/file/x) = 1", dir);
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test ! -e @/file/y -a $(wc -l <@/file/x) = 2", dir);
	assert_null(pk_docs_batch_new(docs));
	pk_docs_free(docs);
	run("rm -r @", dir);
}

/* A disk that takes nothing: the text stays at hand, the old file stays known, and it is tried again. */
static void test_what_the_disk_does_not_take(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	offer(docs, "a", NAMED("x"));
	in_force(docs);
	assert_int_equal(docs_store(docs, NULL), 0);
	/* A directory in the place of the file that is to be written. */
	run("mkdir @/file/y @/file/y/in", dir);
	offer(docs, "a", NAMED("y"));
	in_force(docs);
	assert_true(docs_store(docs, NULL) < 0);
	look_for(dir, "x", "a");
	assert_true(docs_store(docs, NULL) < 0);
	run("rm -r @/file/y", dir);
	assert_int_equal(docs_store(docs, NULL), 0);
	look_for(dir, "y", "a");
	run("test ! -e @/file/x", dir);
	pk_docs_free(docs);
	run("rm -r @", dir);
}

/* A tenant's stored document that can't be read holds up that tenant, and nobody else. */
static void test_a_tenants_lost_document(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	const struct pk_doc_origin evil = { .source = "consul/tenant/evil",
					    .path = "consul:p/tenants/evil/a",
					    .tenant_name = "evil" };
	struct pk_docs *docs;
	int errors = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	run("mkdir -p @/tenant/evil @/tenant/bank && echo nonsense > @/tenant/evil/a", dir);
	docs = pk_docs_new(dir);
	pk_docs_load(docs, count_error, &errors);
	assert_int_equal(errors, 1);
	assert_null(pk_docs_lost(docs));
	assert_string_equal(pk_docs_lost_tenant(docs, 0), "evil");
	assert_null(pk_docs_lost_tenant(docs, 1));
	assert_non_null(strstr(pk_docs_lost_of(docs, "evil"), "/tenant/evil/a"));
	assert_true(pk_docs_awaits(docs, "evil"));
	assert_false(pk_docs_awaits(docs, "bank"));
	/* What Consul has now is refused: what it said before is still unknown. */
	assert_true(pk_docs_offer(docs, &evil, "{ half", 6));
	looked(docs, evil.source, every_path);
	assert_null(pk_docs_lost(docs));
	assert_true(pk_docs_awaits(docs, "evil"));
	assert_true(pk_docs_offer(docs, &evil, DENY, strlen(DENY)));
	assert_null(pk_docs_lost(docs));
	assert_false(pk_docs_awaits(docs, "evil"));
	pk_docs_free(docs);
	run("rm -r @", dir);
}

/* A disk that can't be written: what is heard counts all the same. */
static void test_awaited_without_a_disk(void **state)
{
	struct pk_docs *docs = pk_docs_new("/proc/none");
	struct pk_err err = { 0 };

	(void)state;
	pk_docs_set_each(docs, PK_ORIGIN_CONSUL, true);
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_true(docs_store(docs, &err) < 0);
	assert_non_null(strstr(err.text, "/proc/none"));
	pk_docs_free(docs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_awaited),
		cmocka_unit_test(test_another_store),
		cmocka_unit_test(test_awaited_without_a_disk),
		cmocka_unit_test(test_names_that_are_swapped),
		cmocka_unit_test(test_a_change_while_the_disk_is_at_it),
		cmocka_unit_test(test_what_the_disk_does_not_take),
		cmocka_unit_test(test_a_tenants_lost_document),
	};

	return cmocka_run_group_tests_name("controller: docs", tests, NULL, NULL);
}
