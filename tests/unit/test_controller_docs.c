/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and the stores that they come from: origins, what the release before stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/docs.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

#define DENY "{\"endpointSelector\": {}, \"ingress\": [{}]}"

static size_t in_force(struct pk_docs *docs)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(docs, &list);

	pk_docs_retire(docs);
	return n;
}

static bool no_path(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return false;
}

static void no_error(void *arg, const struct pk_err *err)
{
	(void)arg;
	fail_msg("%s", err->text);
}

static void run(const char *command, const char *dir)
{
	own_str text = { 0 };

	for (const char *p = command; *p; p++)
		if (*p == '@')
			pk_str_add(&text, dir);
		else
			pk_str_addn(&text, p, 1);
	assert_int_equal(system(text.text), 0);
}

static void test_sources(void **state)
{
	(void)state;
	assert_true(pk_source_in("consul/operator", "consul"));
	assert_true(pk_source_in("consul/tenant/acme", PK_SOURCE_TENANTS));
	assert_true(pk_source_in("file", "file"));
	assert_true(pk_source_in("file", ""));
	assert_false(pk_source_in("consul2/operator", "consul"));
	assert_false(pk_source_in("consul/tenant/acme", "consul/tenant/ac"));
	assert_string_equal(pk_source_namespace("consul/tenant/acme"), "acme");
	assert_string_equal(pk_source_namespace("tenant/acme"), "acme");
	assert_null(pk_source_namespace("consul/operator"));
	assert_null(pk_source_namespace("file"));
}

/* What one store says is no word about another's documents. */
static void test_a_second_store_prunes_its_own(void **state)
{
	static const struct pk_doc_place places[] = {
		{ "consul/operator", "consul:a", NULL },
		{ "consul/tenant/acme", "consul:b", "acme" },
		{ "other/operator", "other:a", NULL },
		{ "other/tenant/acme", "other:b", "acme" },
		{ "file", "/p/a.json", NULL },
	};
	struct pk_docs *docs = pk_docs_new(NULL);

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(places); i++)
		assert_true(pk_docs_offer(docs, &places[i], DENY, strlen(DENY)));
	assert_int_equal(in_force(docs), 5);
	assert_true(pk_docs_prune(docs, "other", no_path, NULL));
	assert_int_equal(in_force(docs), 3);
	assert_false(pk_docs_prune(docs, "other", no_path, NULL));
	assert_true(pk_docs_prune(docs, PK_ORIGIN_CONSUL, no_path, NULL));
	assert_int_equal(in_force(docs), 1);
	pk_docs_free(docs);
}

/* 0.1 stored Consul's documents under operator/ and tenant/NAMESPACE/, and looks for them there. */
static void test_the_release_before(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	const struct pk_doc_place new = { "consul/operator", "consul:p/operator/new", NULL };
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	run("mkdir -p @/file @/operator @/tenant/acme", dir);
	run("printf '%s\\n' '// picket: name=a path=%2Fp%2Fa.json' '" DENY "' > @/file/a", dir);
	run("printf '%s\\n' '// picket: name=o path=consul%3Ap%2Foperator%2Fo' '" DENY
	    "' > @/operator/o",
	    dir);
	run("printf '%s\\n' '// picket: name=t path=consul%3Ap%2Ftenants%2Facme%2Ft' '" DENY
	    "' > @/tenant/acme/t",
	    dir);
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_int_equal(in_force(docs), 3);
	assert_string_equal(pk_docs_at(docs, 0)->source, "consul/operator");
	assert_string_equal(pk_docs_at(docs, 1)->source, "consul/tenant/acme");
	assert_string_equal(pk_docs_at(docs, 1)->doc->tenant_name, "acme");
	assert_string_equal(pk_docs_at(docs, 2)->source, "file");
	/* On the way back it finds them all, and those that came since. */
	assert_true(pk_docs_offer(docs, &new, DENY, strlen(DENY)));
	assert_int_equal(in_force(docs), 4);
	assert_int_equal(pk_docs_store(docs, NULL), 0);
	pk_docs_free(docs);
	run("test -f @/file/a -a -f @/operator/o -a -f @/operator/new -a -f @/tenant/acme/t", dir);
	run("test ! -e @/consul", dir);
	run("rm -r @", dir);
}

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
	const struct pk_doc_place acme = { "consul/tenant/acme", "consul:p/tenants/acme/a",
					   "acme" };
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_false(pk_docs_awaits(docs, "acme")); /* nothing comes tenant by tenant */
	assert_false(pk_docs_hear(docs, "acme"));
	assert_int_equal(pk_docs_set_each(docs, true, NULL), 0);
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_false(pk_docs_awaits(docs, NULL));
	assert_true(pk_docs_offer(docs, &acme, DENY, strlen(DENY)));
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_false(pk_docs_hear(docs, "acme"));
	assert_true(pk_docs_hear(docs, "none"));
	assert_false(pk_docs_awaits(docs, "acme") || pk_docs_awaits(docs, "none"));
	in_force(docs);
	assert_int_equal(pk_docs_store(docs, NULL), 0);
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
	assert_int_equal(pk_docs_store(docs, NULL), 0);
	run("test ! -e @/tenant/acme -a -d @/tenant/none -a -f @/tenant/.each", dir);

	/* Switched off: no tenant is known when it is switched on again. */
	assert_int_equal(pk_docs_set_each(docs, false, NULL), 0);
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_int_equal(pk_docs_store(docs, NULL), 0);
	run("test ! -e @/tenant/none -a ! -e @/tenant/.each", dir);
	pk_docs_free(docs);
	run("rm -r @", dir);
}

static void count_error(void *arg, const struct pk_err *err)
{
	(void)err;
	++*(int *)arg;
}

static bool every_path(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return true;
}

/* A tenant's stored document that can't be read holds up that tenant, and nobody else. */
static void test_a_tenants_lost_document(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	const struct pk_doc_place evil = { "consul/tenant/evil", "consul:p/tenants/evil/a",
					   "evil" };
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
	pk_docs_prune(docs, evil.source, every_path, NULL);
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
	assert_true(pk_docs_set_each(docs, true, &err) < 0);
	assert_non_null(strstr(err.text, "/proc/none"));
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_false(pk_docs_awaits(docs, "acme"));
	pk_docs_free(docs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_a_second_store_prunes_its_own),
		cmocka_unit_test(test_the_release_before),
		cmocka_unit_test(test_awaited),
		cmocka_unit_test(test_awaited_without_a_disk),
		cmocka_unit_test(test_a_tenants_lost_document),
	};

	return cmocka_run_group_tests_name("controller: docs", tests, NULL, NULL);
}
