/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and the stores that they come from: origins, what the release before stored. */
#include "tests/unit/docs_fixture.h"

#include <time.h>
#include <unistd.h>

#include "docs_store.h"
#include "docsource.h"

#define FQDN                                                                                       \
	"{\"endpointSelector\": {}, \"egress\": [{\"toFQDNs\": [{\"matchName\": "                  \
	"\"a.example\"}]}]}"

static void test_docs(void **state)
{
	struct pk_docs *docs = pk_docs_new(NULL);
	const struct pk_doc_entry *e;

	(void)state;
	assert_null(pk_docs_at(docs, 0));
	assert_true(offer(docs, "/p/a.json", DENY));
	assert_int_equal(in_force(docs), 1);
	assert_false(offer(docs, "/p/a.json", DENY));

	/* Half written; the last good one stays, the error has its origin. */
	assert_true(offer(docs, "/p/a.json", "{\"endpointSelector\": {}, \"ingr"));
	assert_int_equal(in_force(docs), 1);
	e = pk_docs_at(docs, 0);
	assert_true(e->refused && e->doc && e->notes.n_errors > 0);
	assert_int_equal(e->notes.list[0].where.line, 1);
	assert_true(offer(docs, "/p/a.json", "[" DENY "]"));
	assert_false(pk_docs_at(docs, 0)->refused);

	/* A name twice in one source: the later path is refused, and counts when the first goes. */
	assert_true(offer(docs, "/p/b.json", "{\"name\": \"a\", \"rules\": [" DENY "]}"));
	assert_int_equal(in_force(docs), 1);
	assert_true(pk_docs_at(docs, 1)->refused);
	assert_true(pk_docs_waits(docs, "file", "/p/b.json"));
	assert_true(pk_docs_any_waits(docs));
	assert_false(offer(docs, "/p/b.json", "{\"name\": \"a\", \"rules\": [" DENY "]}"));
	assert_true(gone(docs, "/p/a.json"));
	assert_true(offer(docs, "/p/b.json", "{\"name\": \"a\", \"rules\": [" DENY "]}"));
	assert_int_equal(in_force(docs), 1);

	assert_true(offer(docs, "/p/c.json", FQDN));
	assert_int_equal(in_force(docs), 1);
	assert_non_null(strstr(pk_docs_at(docs, 1)->refusal, "toFQDNs"));
	/* Nothing outside of its text can change that. */
	assert_false(pk_docs_any_waits(docs));
	assert_false(offer(docs, "/p/c.json", FQDN));
	assert_true(gone(docs, "/p/b.json"));
	assert_int_equal(in_force(docs), 0);
	pk_docs_free(docs);
}

/* Each refusal is told once, and again when it is another one. */
static void test_docs_told(void **state)
{
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/u.json" };
	struct pk_docs *docs = pk_docs_new(NULL);

	(void)state;
	offer(docs, "/p/a.json", DENY);
	assert_null(pk_docs_untold(docs));
	offer(docs, "/p/a.json", "{");
	assert_ptr_equal(pk_docs_untold(docs), pk_docs_at(docs, 0));
	assert_null(pk_docs_untold(docs));
	offer(docs, "/p/a.json", "{");
	assert_null(pk_docs_untold(docs));
	offer(docs, "/p/a.json", "[");
	assert_non_null(pk_docs_untold(docs));
	pk_docs_unreadable(docs, &origin, "no");
	assert_ptr_equal(pk_docs_untold(docs), pk_docs_at(docs, 1));
	pk_docs_unreadable(docs, &origin, "no");
	assert_null(pk_docs_untold(docs));
	pk_docs_unreadable(docs, &origin, "never");
	assert_non_null(pk_docs_untold(docs));
	pk_docs_free(docs);
}

/* A restart: what was in force is, also while its source refuses it or doesn't answer. */
static void test_docs_kept(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	struct pk_doc_origin kv = { .source = "consul/tenant/acme",
				    .path = "consul:x/tenants/acme/we ird%/a-1",
				    .tenant_name = "acme" };
	struct pk_docs *docs;
	own_mem char *text = NULL;
	own_str command = { 0 };
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	assert_true(offer(docs, "/p/a.json", "\n" DENY));
	assert_true(pk_docs_offer(docs, &kv, DENY, strlen(DENY)));
	assert_int_equal(in_force(docs), 2);
	assert_int_equal(docs_store(docs, NULL), 0);
	assert_null(pk_docs_batch_new(docs)); /* they are in step */
	pk_docs_free(docs);

	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_int_equal(in_force(docs), 2);
	assert_true(offer(docs, "/p/a.json", "nonsense"));
	assert_int_equal(in_force(docs), 2);
	assert_int_equal(pk_docs_text(docs, pk_docs_at(docs, 1), &text, &len, NULL), 0);
	assert_string_equal(text, "\n" DENY);
	assert_string_equal(pk_docs_at(docs, 0)->path, kv.path);
	assert_true(looked(docs, "file", no_path));
	assert_int_equal(in_force(docs), 1);
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_free(docs);

	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_int_equal(in_force(docs), 1);
	assert_string_equal(pk_docs_at(docs, 0)->doc->tenant_name, "acme");
	assert_true(looked(docs, "consul/tenant/acme", no_path));
	assert_int_equal(in_force(docs), 0);
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_free(docs);
	pk_str_addf(&command,
		    "find %s -type f ! -name history.json | grep -q . && exit 1; rm -r %s", dir,
		    dir);
	assert_int_equal(system(command.text), 0);
}

/* What a stored file said that can't be read any more is unknown, until its source has spoken. */
static void test_docs_lost(void **state)
{
	static const struct pk_doc_origin kept = { .source = "consul/operator",
						   .path = "consul:b" };
	char dir[] = "/tmp/pk-docs-XXXXXX", file[64], other[64];
	struct pk_docs *docs;
	own_str command = { 0 };
	int errors = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/file/a", dir);
	snprintf(other, sizeof(other), "%s/operator/gone", dir);
	docs = pk_docs_new(dir);
	assert_true(offer(docs, "/p/a.json", DENY));
	assert_int_equal(in_force(docs), 1);
	assert_int_equal(docs_store(docs, NULL), 0);
	assert_null(pk_docs_lost(docs));
	pk_docs_free(docs);

	write_text(file, "nonsense");
	docs = pk_docs_new(dir);
	pk_docs_load(docs, count_error, &errors);
	assert_int_equal(errors, 1);
	assert_string_equal(pk_docs_lost(docs), file);
	/* Its place is there, and refused: what it said before is still unknown. */
	assert_true(offer(docs, "/p/a.json", "{ half"));
	looked(docs, "file", every_path);
	assert_string_equal(pk_docs_lost(docs), file);
	assert_true(offer(docs, "/p/a.json", DENY));
	assert_null(pk_docs_lost(docs));
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_free(docs);

	/*
	 * Nobody's: gone once its source was looked at whole and its store isn't empty. Another
	 * store's word doesn't count.
	 */
	pk_str_addf(&command, "mkdir %s/operator", dir);
	assert_int_equal(system(command.text), 0);
	write_text(other, "");
	docs = pk_docs_new(dir);
	pk_docs_load(docs, count_error, &errors);
	assert_int_equal(errors, 2);
	looked(docs, "file", every_path);
	assert_string_equal(pk_docs_lost(docs), other);
	looked(docs, "consul", no_path);
	assert_string_equal(pk_docs_lost(docs), other);
	assert_true(pk_docs_offer(docs, &kept, DENY, strlen(DENY)));
	looked(docs, "consul", every_path);
	assert_null(pk_docs_lost(docs));
	assert_int_equal(docs_store(docs, NULL), 0);
	assert_int_equal(access(other, F_OK), -1);
	pk_docs_free(docs);

	/* The operator's own way out. */
	write_text(other, "");
	docs = pk_docs_new(dir);
	pk_docs_load(docs, count_error, &errors);
	assert_string_equal(pk_docs_lost(docs), other);
	assert_int_equal(unlink(other), 0);
	assert_null(pk_docs_lost(docs));
	pk_docs_free(docs);

	/* A whole source that can't be read. */
	pk_str_done(&command);
	pk_str_addf(&command, "rm -r %s/file && touch %s/file", dir, dir);
	assert_int_equal(system(command.text), 0);
	docs = pk_docs_new(dir);
	pk_docs_load(docs, count_error, &errors);
	assert_non_null(pk_docs_lost(docs));
	pk_docs_free(docs);
	pk_str_done(&command);
	pk_str_addf(&command, "rm -r %s", dir);
	assert_int_equal(system(command.text), 0);
}

static void test_sources(void **state)
{
	(void)state;
	assert_true(pk_source_in("consul/operator", "consul"));
	assert_true(pk_source_in("consul/tenant/acme", "consul/tenant"));
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
	static const struct pk_doc_origin places[] = {
		{ .source = "consul/operator", .path = "consul:a" },
		{ .source = "consul/tenant/acme", .path = "consul:b", .tenant_name = "acme" },
		{ .source = "other/operator", .path = "other:a" },
		{ .source = "other/tenant/acme", .path = "other:b", .tenant_name = "acme" },
		{ .source = "file", .path = "/p/a.json" },
	};
	struct pk_docs *docs = pk_docs_new(NULL);

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(places); i++)
		assert_true(pk_docs_offer(docs, &places[i], DENY, strlen(DENY)));
	assert_int_equal(in_force(docs), 5);
	assert_true(looked(docs, "other/operator", no_path));
	assert_int_equal(in_force(docs), 4);
	assert_true(looked(docs, "other", no_path));
	assert_int_equal(in_force(docs), 3);
	assert_false(looked(docs, "other", no_path));
	assert_true(pk_docs_withdraw(docs, PK_ORIGIN_CONSUL, "no more"));
	assert_int_equal(in_force(docs), 1);
	pk_docs_free(docs);
}

/* 0.1 stored Consul's documents under operator/ and tenant/NAMESPACE/, and looks for them there. */
static void test_the_release_before(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	const struct pk_doc_origin new = { .source = "consul/operator",
					   .path = "consul:p/operator/new" };
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
	assert_int_equal(docs_store(docs, NULL), 0);
	pk_docs_free(docs);
	run("test -f @/file/a -a -f @/operator/o -a -f @/operator/new -a -f @/tenant/acme/t", dir);
	run("test ! -e @/consul", dir);
	run("rm -r @", dir);
}

#define MANY 30000

/* An operator's, each of a name of its own, which come first. */
static void offer_others(struct pk_docs *docs)
{
	for (int i = 0; i < MANY; i++) {
		struct pk_doc_origin origin = { .source = "consul/operator" };
		char path[64], text[128];

		snprintf(path, sizeof(path), "consul:o/%d", i);
		snprintf(text, sizeof(text), "{\"name\": \"n%d\", \"rules\": [" DENY "]}", i);
		origin.path = path;
		assert_true(pk_docs_offer(docs, &origin, text, strlen(text)));
	}
}

static void offer_many(struct pk_docs *docs, const char *text, bool want)
{
	for (int i = 0; i < MANY; i++) {
		struct pk_doc_origin origin = {
			.source = "consul/operator",
		};
		char path[64];

		snprintf(path, sizeof(path), "consul:p/%d", i * 7919 % MANY);
		origin.path = path;
		assert_int_equal(pk_docs_offer(docs, &origin, text, strlen(text)), want);
	}
}

/*
 * Each step costs its documents, not their square: offered in any order, refused for one name,
 * offered again, told and gone. It took half a minute of processor time.
 */
static void test_many_of_one_name(void **state)
{
	static const char text[] = "{\"name\": \"same\", \"rules\": [" DENY "]}";
	const struct pk_docs_look look = { .of = "consul", .has = no_path, .meant = true };
	struct pk_docs *docs = pk_docs_new(NULL);
	clock_t start = clock();
	size_t told = 0;

	(void)state;
	offer_others(docs);
	offer_many(docs, text, true);
	assert_int_equal(in_force(docs), MANY + 1);
	offer_many(docs, text, false);
	while (pk_docs_untold(docs))
		told++;
	assert_int_equal(told, MANY - 1);
	assert_true(pk_docs_looked(docs, &look));
	assert_int_equal(in_force(docs), 0);
	assert_int_equal(pk_docs_count(docs), 0);
	assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
	pk_docs_free(docs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docs),
		cmocka_unit_test(test_docs_told),
		cmocka_unit_test(test_docs_kept),
		cmocka_unit_test(test_docs_lost),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_a_second_store_prunes_its_own),
		cmocka_unit_test(test_the_release_before),
		cmocka_unit_test(test_many_of_one_name),
	};

	return cmocka_run_group_tests_name("controller: docs", tests, NULL, NULL);
}
