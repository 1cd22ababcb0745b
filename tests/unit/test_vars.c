/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as paths of Nomad's Variables, and what of its answers is read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "own.h"
#include "vars.h"

#define PREFIX "picket/v1/default/"

static void test_paths(void **state)
{
	static const struct {
		const char *key, *path;
	} rows[] = {
		{ PREFIX "policies/operator/web", PREFIX "policies/operator/web" },
		{ PREFIX "blocks/10.64.3.0_24", PREFIX "blocks/10~2e64~2e3~2e0_24" },
		{ PREFIX "nodes/a b~c", PREFIX "nodes/a~20b~7ec" },
		{ PREFIX "nodes/\xc3\xa4", PREFIX "nodes/~c3~a4" },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		own_str path = { 0 }, key = { 0 };

		assert_int_equal(pk_vars_path(rows[i].key, &path, NULL), 0);
		assert_string_equal(path.text, rows[i].path);
		assert_int_equal(pk_vars_key(path.text, &key), 0);
		assert_string_equal(key.text, rows[i].key);
	}
}

/* No two paths are one key, and what is written never reads as another. */
static void test_bad_paths(void **state)
{
	static const char *const bad[] = { "a~",   "a~2", "a~2E", "a~zz", "a~61",
					   "a~00", "a.b", "a~2f", "a b" };
	char long_key[200];
	own_str path = { 0 };
	struct pk_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		own_str key = { 0 };

		if (pk_vars_key(bad[i], &key) == 0)
			fail_msg("%s", bad[i]);
	}
	memset(long_key, 'a', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	assert_true(pk_vars_path(long_key, &path, &err) < 0);
	assert_non_null(strstr(err.fix, "shorten"));
	long_key[128] = '\0';
	pk_str_reset(&path);
	assert_int_equal(pk_vars_path(long_key, &path, NULL), 0);
}

static void test_namespaces(void **state)
{
	static const struct {
		const char *key, *namespace, *item;
	} rows[] = {
		{ PREFIX "policies/operator/x", "ops", "document" },
		{ PREFIX "policies/tenants/acme/x", "acme", "document" },
		{ PREFIX "policies/tenants/acme/", "acme", "document" },
		{ PREFIX "status/tenants/acme/x/n1", "acme", "value" },
		{ PREFIX "history/tenants/acme/log/x", "acme", "value" },
		{ PREFIX "history/operator/log/x", "ops", "value" },
		{ PREFIX "status/nodes/n1", "ops", "value" },
		{ PREFIX "tenants/acme/n1", "ops", "value" },
		{ PREFIX "policies/tenants/", "ops", "document" },
		{ "picket/v1/other/policies/tenants/acme/x", "ops", "value" },
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		own_str namespace = { 0 };

		pk_vars_namespace(PREFIX, rows[i].key, "ops", &namespace);
		assert_string_equal(namespace.text, rows[i].namespace);
		assert_string_equal(pk_vars_item(PREFIX, rows[i].key), rows[i].item);
	}
}

static void test_urls(void **state)
{
	own_str url = { 0 }, none = { 0 };
	char key[200] = PREFIX "policies/operator/";

	(void)state;
	assert_int_equal(pk_vars_url(PREFIX, PREFIX "policies/tenants/acme/x.y", "ops", &url, NULL),
			 0);
	assert_non_null(strstr(url.text, "/v1/var/"));
	assert_non_null(strstr(url.text, "policies/tenants/acme/x~2ey?namespace=acme"));
	memset(key + strlen(key), 'a', sizeof(key) - strlen(key) - 1);
	assert_int_equal(pk_vars_url(PREFIX, key, "ops", &none, NULL), -EINVAL);
}

static void count(void *arg, const struct pk_var_name *name)
{
	unsigned int *n = arg;

	assert_non_null(name->namespace);
	assert_true(name->modified > 0);
	(*n)++;
}

static int list(const char *text, unsigned int *n)
{
	struct pk_vars_reader *r = pk_vars_reader_new(count, n);
	int result = 0;

	*n = 0;
	for (size_t i = 0; text[i] && result == 0; i++)
		result = pk_vars_reader_feed(r, &text[i], 1, NULL);
	if (result == 0)
		result = pk_vars_reader_end(r, NULL);
	pk_vars_reader_free(r);
	return result;
}

#define ONE                                                                                        \
	"{\"CreateIndex\":9,\"CreateTime\":1795980957591620688,\"ModifyIndex\":9,"                 \
	"\"ModifyTime\":1795980957591620688,\"Namespace\":\"default\",\"Path\":\"a/b\"}"

static void test_lists(void **state)
{
	unsigned int n;

	(void)state;
	assert_int_equal(list("[]", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(list("[" ONE "," ONE "]", &n), 0);
	assert_int_equal(n, 2);
	assert_true(list("[" ONE, &n) < 0);
	assert_true(list("[{\"Path\":\"a\",\"ModifyIndex\":1}]", &n) < 0);
	assert_true(list("[{\"Path\":\"a\",\"Namespace\":\"b\"}]", &n) < 0);
	assert_true(list("[{\"Path\":7,\"Namespace\":\"b\",\"ModifyIndex\":1}]", &n) < 0);
	assert_true(list("{}", &n) < 0);
}

static void test_a_variable(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "{\"ModifyIndex\":0,\"CreateIndex\":0}",
					   "{\"ModifyIndex\":\"x\",\"CreateIndex\":0}" };
	static const char good[] =
		"{\"ModifyIndex\":12,\"CreateIndex\":3,\"Items\":{\"value\":\"x\\n\","
		"\"node\":\"id\"}}";
	PK_OWN(pk_var_done) struct pk_var var = { 0 };
	own_str body = { 0 };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++)
		if (pk_var_decode(bad[i], strlen(bad[i]), "value", &var, NULL) == 0)
			fail_msg("%s", bad[i]);
	assert_int_equal(pk_var_decode(good, strlen(good), "value", &var, NULL), 0);
	assert_string_equal(var.value, "x\n");
	assert_string_equal(var.node, "id");
	assert_true(var.modified == 12 && var.created == 3);
	pk_var_done(&var);
	assert_int_equal(pk_var_decode(good, strlen(good), "document", &var, NULL), 0);
	assert_null(var.value);
	pk_var_encode("value", "a\"b", "id", &body);
	assert_string_equal(body.text, "{\"Items\":{\"value\":\"a\\\"b\",\"node\":\"id\"}}");
}

static void on_node(void *arg, const char *id, bool ready)
{
	pk_str_addf(arg, "%s=%d ", id, ready);
}

static int read_nodes(const char *text, size_t len, size_t piece, struct pk_str *found)
{
	struct pk_vars_nodes *r = pk_vars_nodes_new(on_node, found);
	int result = 0;

	for (size_t at = 0; at < len && result == 0; at += piece)
		result =
			pk_vars_nodes_feed(r, text + at, piece < len - at ? piece : len - at, NULL);
	if (result == 0)
		result = pk_vars_nodes_end(r, NULL);
	pk_vars_nodes_free(r);
	return result;
}

static void test_nodes(void **state)
{
	static const char text[] =
		"[{\"ID\":\"a\",\"Status\":\"ready\"},{\"ID\":\"b\",\"Status\":\"down\"},"
		"{\"ID\":\"c\"},7]";
	own_str found = { 0 }, deep = { 0 };

	(void)state;
	pk_str_add(&deep, "[{\"Drivers\":");
	for (int i = 0; i < 500; i++)
		pk_str_add(&deep, "[");
	for (int i = 0; i < 500; i++)
		pk_str_add(&deep, "]");
	pk_str_add(&deep, ",\"ID\":\"z\",\"Status\":\"ready\"}]");
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		own_str told = { 0 };

		assert_int_equal(read_nodes(text, strlen(text), piece, &told), 0);
		assert_string_equal(told.text, "a=1 b=0 ");
	}
	assert_true(read_nodes("{}", 2, 2, &found) < 0);
	for (size_t len = 0; len < strlen(text); len++)
		assert_true(read_nodes(text, len, len + 1, &found) < 0);
	pk_str_reset(&found);
	assert_int_equal(read_nodes(deep.text, deep.len, 7, &found), 0);
	assert_string_equal(found.text, "z=1 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	   cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_urls),
		cmocka_unit_test(test_lists),	   cmocka_unit_test(test_a_variable),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
