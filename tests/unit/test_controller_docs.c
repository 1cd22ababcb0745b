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
#include <time.h>
#include <unistd.h>

#include "controller/docs.h"
#include "docs_store.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

#define DENY "{\"endpointSelector\": {}, \"ingress\": [{}]}"

#define FQDN                                                                                       \
	"{\"endpointSelector\": {}, \"egress\": [{\"toFQDNs\": [{\"matchName\": "                  \
	"\"a.example\"}]}]}"

static bool offer(struct pk_docs *docs, const char *path, const char *text)
{
	const struct pk_doc_place place = { .source = "file", .path = path };

	return pk_docs_offer(docs, &place, text, strlen(text));
}

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

static bool only_a(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "a") == 0;
}

static bool every_path(void *arg, const char *path)
{
	(void)arg;
	return path != NULL;
}

/* A look that isn't the first one. */
static bool looked(struct pk_docs *docs, const char *of, bool (*has)(void *arg, const char *path))
{
	const struct pk_docs_look look = { .of = of, .has = has, .why = "gone" };

	return pk_docs_looked(docs, &look);
}

static void no_error(void *arg, const struct pk_err *err)
{
	(void)arg;
	fail_msg("%s", err->text);
}

static bool is_other(void *arg, const char *path)
{
	return strcmp(path, arg) != 0;
}

static bool gone(struct pk_docs *docs, const char *path)
{
	const struct pk_docs_look look = {
		.of = "file", .has = is_other, .arg = (void *)path, .why = "gone"
	};

	return pk_docs_looked(docs, &look);
}

static void test_docs(void **state)
{
	struct pk_docs *docs = pk_docs_new(NULL);
	const struct pk_doc_entry *e;

	(void)state;
	assert_null(pk_docs_at(docs, 0));
	assert_true(offer(docs, "/p/a.json", DENY));
	assert_int_equal(in_force(docs), 1);
	assert_false(offer(docs, "/p/a.json", DENY));

	/* Half written; the last good one stays, the error has its place. */
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
	const struct pk_doc_place place = { .source = "file", .path = "/p/u.json" };
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
	pk_docs_unreadable(docs, &place, "no");
	assert_ptr_equal(pk_docs_untold(docs), pk_docs_at(docs, 1));
	pk_docs_unreadable(docs, &place, "no");
	assert_null(pk_docs_untold(docs));
	pk_docs_unreadable(docs, &place, "never");
	assert_non_null(pk_docs_untold(docs));
	pk_docs_free(docs);
}

/* A restart: what was in force is, also while its source refuses it or doesn't answer. */
static void test_docs_kept(void **state)
{
	char dir[] = "/tmp/pk-docs-XXXXXX";
	struct pk_doc_place kv = { .source = "consul/tenant/acme",
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

static void count_error(void *arg, const struct pk_err *err)
{
	assert_true(strlen(err->text) > 0);
	++*(int *)arg;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What a stored file said that can't be read any more is unknown, until its source has spoken. */
static void test_docs_lost(void **state)
{
	static const struct pk_doc_place kept = { .source = "consul/operator", .path = "consul:b" };
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
		{ "consul/operator", "consul:a", NULL, 0 },
		{ "consul/tenant/acme", "consul:b", "acme", 0 },
		{ "other/operator", "other:a", NULL, 0 },
		{ "other/tenant/acme", "other:b", "acme", 0 },
		{ "file", "/p/a.json", NULL, 0 },
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
	const struct pk_doc_place new = { "consul/operator", "consul:p/operator/new", NULL, 0 };
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
	const struct pk_doc_place acme = { .source = "consul/tenant/acme",
					   .path = "consul:p/tenants/acme/a",
					   .tenant_name = "acme" };
	struct pk_docs *docs;

	(void)state;
	assert_non_null(mkdtemp(dir));
	docs = pk_docs_new(dir);
	pk_docs_load(docs, no_error, NULL);
	assert_false(pk_docs_awaits(docs, "acme")); /* nothing comes tenant by tenant */
	assert_false(pk_docs_hear(docs, "acme"));
	pk_docs_set_each(docs, true);
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
	pk_docs_set_each(docs, false);
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_int_equal(docs_store(docs, NULL), 0);
	run("test ! -e @/tenant/none -a ! -e @/tenant/.each", dir);
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
	const struct pk_doc_place evil = { .source = "consul/tenant/evil",
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
	pk_docs_set_each(docs, true);
	assert_true(pk_docs_awaits(docs, "acme"));
	assert_true(pk_docs_hear(docs, "acme"));
	assert_false(pk_docs_awaits(docs, "acme"));
	assert_true(docs_store(docs, &err) < 0);
	assert_non_null(strstr(err.text, "/proc/none"));
	pk_docs_free(docs);
}

#define MANY 30000

/* An operator's, each of a name of its own, which come first. */
static void offer_others(struct pk_docs *docs)
{
	for (int i = 0; i < MANY; i++) {
		struct pk_doc_place place = { .source = "consul/operator" };
		char path[64], text[128];

		snprintf(path, sizeof(path), "consul:o/%d", i);
		snprintf(text, sizeof(text), "{\"name\": \"n%d\", \"rules\": [" DENY "]}", i);
		place.path = path;
		assert_true(pk_docs_offer(docs, &place, text, strlen(text)));
	}
}

static void offer_many(struct pk_docs *docs, const char *text, bool want)
{
	for (int i = 0; i < MANY; i++) {
		struct pk_doc_place place = {
			.source = "consul/operator",
		};
		char path[64];

		snprintf(path, sizeof(path), "consul:p/%d", i * 7919 % MANY);
		place.path = path;
		assert_int_equal(pk_docs_offer(docs, &place, text, strlen(text)), want);
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
		cmocka_unit_test(test_awaited),
		cmocka_unit_test(test_awaited_without_a_disk),
		cmocka_unit_test(test_names_that_are_swapped),
		cmocka_unit_test(test_a_change_while_the_disk_is_at_it),
		cmocka_unit_test(test_what_the_disk_does_not_take),
		cmocka_unit_test(test_a_tenants_lost_document),
		cmocka_unit_test(test_many_of_one_name),
	};

	return cmocka_run_group_tests_name("controller: docs", tests, NULL, NULL);
}
