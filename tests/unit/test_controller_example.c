/* SPDX-License-Identifier: Apache-2.0 */
/* examples/picketd.json shows every key with its default; the schema is what the table says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "controller/conf.h"
#include "fs.h"
#include "own.h"

/* The tests run in the source tree. */
static char *read_example(const char *name, size_t *len)
{
	own_str path = { 0 };
	char *text = NULL;

	pk_str_addf(&path, "examples/%s", name);
	assert_int_equal(pk_fs_read(path.text, PK_JSON_MAX, &text, len, NULL), 0);
	return text;
}

static void test_taken(void **state)
{
	struct pk_config c, plain;
	struct pk_err err = { 0 };
	own_mem char *text = NULL;
	own_str left = { 0 };
	own_str right = { 0 };
	size_t len;

	(void)state;
	text = read_example("picketd.json", &len);
	pk_config_init(&c);
	if (pk_config_parse(&c, "examples/picketd.json", text, len, &err) < 0)
		fail_msg("%s", err.text);
	pk_config_init(&plain);
	/* Its values are the defaults; only that a file said so differs. */
	c.settings.baseline_given = plain.settings.baseline_given;
	c.settings.masquerade.given = plain.settings.masquerade.given;
	c.settings.new_flows_given = plain.settings.new_flows_given;
	pk_settings_json(&c.settings, &left);
	pk_settings_json(&plain.settings, &right);
	assert_string_equal(left.text, right.text);
	assert_string_equal(c.nomad.address[0], plain.nomad.address[0]);
	assert_int_equal(c.flows_max_size, plain.flows_max_size);
	assert_string_equal(c.flows_allowed, plain.flows_allowed);
	assert_int_equal(c.flows_keep, plain.flows_keep);
	assert_int_equal(c.consul.on, plain.consul.on);
	pk_config_done(&c);
	pk_config_done(&plain);
}

static void test_every_key(void **state)
{
	own_mem char *example = NULL;
	own_str keys = { 0 };
	size_t len;
	char *rest;

	(void)state;
	example = read_example("picketd.json", &len);
	pk_config_keys(&keys);
	rest = keys.text;
	for (char *key; (key = strsep(&rest, "\n")) && *key;) {
		const char *dot = strchr(key, '.');
		own_str quoted = { 0 };

		pk_str_addf(&quoted, "\"%s\"", dot ? dot + 1 : key);
		if (!strstr(example, quoted.text))
			fail_msg("%s is missing in the example", key);
	}
}

static void test_schema_in_step(void **state)
{
	own_mem char *schema = NULL;
	own_str want = { 0 };
	size_t len;

	(void)state;
	schema = read_example("picketd.schema.json", &len);
	pk_config_schema(&want);
	if (strcmp(schema, want.text) != 0)
		fail_msg("fix: picketd -print-schema > examples/picketd.schema.json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_schema_in_step),
	};

	return cmocka_run_group_tests_name("controller: example", tests, NULL, NULL);
}
