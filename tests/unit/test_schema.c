/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/policy.schema.json is what the reader's table says (tests/netns/test_policy_files.py:
 * and both agree).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "string_forms.h"
#include "fs.h"
#include "json.h"
#include "own.h"
#include "doc_schema.h"
#include "doc_schema_json.h"

static void the_file_is_in_step(void **state)
{
	own_str want = { 0 };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	size_t len;

	(void)state;
	if (pk_fs_read("examples/policy.schema.json", 1 << 20, &text, &len, &err) < 0)
		fail_msg("%s; fix: run it in the checkout", err.text);
	pk_doc_schema_json(&want);
	if (strcmp(text, want.text) != 0)
		fail_msg("fix: picket policy schema > examples/policy.schema.json");
}

static const struct pk_json *follow(const struct pk_json *v, const char *path)
{
	char part[64];
	size_t n;

	while (v && *path) {
		n = strcspn(path, "/");
		assert_true(n < sizeof(part));
		memcpy(part, path, n);
		part[n] = '\0';
		v = pk_json_get(v, part);
		path += n + (path[n] == '/');
	}
	return v;
}

/* Every key of the table is there, every list of words whole. */
static void it_names_what_the_table_names(void **state)
{
	static const char *const paths[] = {
		"$defs/document/properties/namespace/pattern",
		"$defs/rule/properties/egressDeny/items/$ref",
		"$defs/egress/properties/toFQDNs/items/$ref",
		"$defs/ingress/properties/fromRequires/not",
		"$defs/selector/properties/matchLabels/propertyNames/pattern",
		"$defs/port/properties/endPort/maximum",
		"$defs/icmpField/properties/code/maximum",
	};
	own_str text = { 0 };
	own_json *doc = NULL;
	const struct pk_json *words;
	size_t n = 0;

	(void)state;
	pk_doc_schema_json(&text);
	assert_int_equal(pk_json_parse("schema", text.text, text.len, 0, &doc, NULL), 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(paths); i++)
		if (!follow(pk_json_root(doc), paths[i]))
			fail_msg("%s is missing", paths[i]);
	words = follow(pk_json_root(doc), "$defs/ingress/properties/fromEntities/items/enum");
	while (pk_format_entity.words[n])
		n++;
	assert_int_equal(pk_json_count(words), n);
	assert_null(follow(pk_json_root(doc), "$defs/egress_deny/properties/toFQDNs/items"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_in_step),
		cmocka_unit_test(it_names_what_the_table_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
