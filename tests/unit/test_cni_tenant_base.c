/* SPDX-License-Identifier: Apache-2.0 */
/* The base that ADD makes by itself: from the stored documents, in time, or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/tenant_base.h"
#include "docsource.h"
#include "docstore.h"
#include "fs.h"
#include "own.h"

#define SECOND	   1000000000ull
#define IN_A_WHILE (pk_now_ns() + 30 * SECOND)

static struct pk_paths paths;
static char root[] = "/tmp/pk-base-XXXXXX";

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	return pk_paths_init(&paths, root, NULL);
}

static void drop_from(const char *source, const char *name)
{
	pk_docstore_remove(paths.policies, source, name, NULL);
}

static void drop(const char *name)
{
	drop_from("file", name);
}

static int teardown(void **state)
{
	static const char *const parts[] = { "/var/lib/picket/policies/file",
					     "/var/lib/picket/policies/operator",
					     "/var/lib/picket/policies/tenant",
					     "/var/lib/picket/policies",
					     "/var/lib/picket",
					     "/var/lib",
					     "/var",
					     "" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", root, parts[i]);
		rmdir(path);
	}
	return 0;
}

static void store_in(const char *source, const char *name, const char *text)
{
	const struct pk_stored_doc doc = {
		.source = source, .path = name, .name = name, .text = text, .len = strlen(text)
	};
	struct pk_err err = { 0 };

	assert_int_equal(pk_docstore_put(paths.policies, &doc, &err), 0);
}

static void store(const char *name, const char *text)
{
	store_in("file", name, text);
}

static int compile(uint64_t until_ns, struct pk_image **image, struct pk_err *err)
{
	PK_OWN(pk_settings_done) struct pk_settings settings = { 0 };

	pk_settings_init(&settings);
	return cni_tenant_base_compile(&paths, &settings, "acme", until_ns, image, err);
}

static void the_documents_decide(void **state)
{
	own_image *plain = NULL, *with = NULL;
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(compile(IN_A_WHILE, &plain, &err), 0);
	store("all.json", "{\"name\":\"all\",\"rules\":[{\"endpointSelector\":{},"
			  "\"ingress\":[{\"fromCIDR\":[\"192.0.2.0/24\"]}]}]}");
	assert_int_equal(compile(IN_A_WHILE, &with, &err), 0);
	assert_memory_not_equal(plain->digest, with->digest, sizeof(plain->digest));
	drop("all.json");
}

static void one_that_cannot_be_read_is_an_error(void **state)
{
	own_image *image = NULL;
	struct pk_err err = { 0 };

	(void)state;
	store("bad.json", "{\"name\":\"bad\",\"rules\":[{\"endpointSelektor\":{}}]}");
	assert_true(compile(IN_A_WHILE, &image, &err) < 0);
	assert_non_null(strstr(err.text, "bad.json"));
	assert_null(image);
	drop("bad.json");
}

/* state.md: what doesn't compile in time is quarantine, not a guess. */
static void what_takes_too_long_is_an_error(void **state)
{
	own_image *image = NULL;
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(compile(pk_now_ns() - 1, &image, &err), -ETIMEDOUT);
	store("all.json", "{\"name\":\"all\",\"rules\":[{\"endpointSelector\":{}}]}");
	assert_int_equal(compile(pk_now_ns() - 1, &image, &err), -ETIMEDOUT);
	assert_null(image);
	drop("all.json");
}

#define BAD "{\"name\":\"bad\",\"rules\":[{\"endpointSelektor\":{}}]}"
#define GOOD                                                                                       \
	"{\"name\":\"good\",\"rules\":[{\"endpointSelector\":{},"                                  \
	"\"ingress\":[{\"fromEndpoints\":[{}]}]}]}"

/* What another tenant left there, read or not, is none of its business; its own and the operator's
 * are. */
static void only_its_own_tenants_documents_count(void **state)
{
	static const char *const others[] = { "consul/tenant/evil", "consul/tenant/acme2" };
	static const char *const own[] = { "consul/tenant/acme", "consul/operator", "file" };
	own_image *before = NULL, *after = NULL;
	struct pk_err err = { 0 };

	(void)state;
	store_in("consul/tenant/acme", "good", GOOD);
	assert_int_equal(compile(IN_A_WHILE, &before, &err), 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(others); i++)
		store_in(others[i], "bad", BAD);
	assert_int_equal(compile(IN_A_WHILE, &after, &err), 0);
	assert_memory_equal(before->digest, after->digest, sizeof(before->digest));
	for (size_t i = 0; i < PK_ARRAY_LEN(own); i++) {
		own_image *image = NULL;

		store_in(own[i], "bad", BAD);
		assert_true(compile(IN_A_WHILE, &image, &err) < 0);
		drop_from(own[i], "bad");
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(others); i++)
		drop_from(others[i], "bad");
	drop_from("consul/tenant/acme", "good");
	for (size_t i = 0; i < PK_ARRAY_LEN(others); i++)
		pk_docstore_unmake(paths.policies, PK_ORIGIN_CONSUL, strrchr(others[i], '/') + 1);
	pk_docstore_unmake(paths.policies, PK_ORIGIN_CONSUL, "acme");
}

/* Documents come tenant by tenant here, and those of this one haven't come: what they deny isn't
 * known. */
static void a_tenant_that_is_not_known_is_an_error(void **state)
{
	own_image *image = NULL;
	struct pk_err err = { 0 };

	(void)state;
	assert_int_equal(pk_docstore_set_each(paths.policies, PK_ORIGIN_CONSUL, true, NULL), 0);
	assert_true(compile(IN_A_WHILE, &image, &err) < 0);
	assert_non_null(strstr(err.text, "acme"));
	assert_int_equal(pk_docstore_make(paths.policies, PK_ORIGIN_CONSUL, "acme", NULL), 0);
	assert_int_equal(compile(IN_A_WHILE, &image, &err), 0);
	pk_docstore_unmake(paths.policies, PK_ORIGIN_CONSUL, "acme");
	assert_int_equal(pk_docstore_set_each(paths.policies, PK_ORIGIN_CONSUL, false, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documents_decide),
		cmocka_unit_test(one_that_cannot_be_read_is_an_error),
		cmocka_unit_test(what_takes_too_long_is_an_error),
		cmocka_unit_test(only_its_own_tenants_documents_count),
		cmocka_unit_test(a_tenant_that_is_not_known_is_an_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
