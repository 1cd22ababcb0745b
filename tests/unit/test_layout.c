/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout: what it makes of a text, that it keeps every comment, and that it changes nothing
 * else.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "layout.h"
#include "fs.h"
#include "own.h"

static const struct {
	const char *sentence, *in, *out;
} rows[] = {
	{ "a scalar", " 1 ", "1\n" },
	{ "empty containers", "[ {} , [ ] ]", "[\n  {},\n  []\n]\n" },
	{ "the root is opened up, what fits below is not", "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
	  "{\n  \"a\": { \"b\": [1, 2, { \"c\": null }] }\n}\n" },
	{ "a rule is opened up", "{\"rules\":[{\"endpointSelector\":{},\"ingress\":[{}]}]}",
	  "{\n  \"rules\": [\n    {\n      \"endpointSelector\": {},\n      \"ingress\": [{}]\n    "
	  "}\n  ]\n}\n" },
	{ "a long line is opened up",
	  "{\"a\":[\"1111111111111111111111111111111111111111\","
	  "\"2222222222222222222222222222222222222222222222\"]}",
	  "{\n  \"a\": [\n    \"1111111111111111111111111111111111111111\",\n"
	  "    \"2222222222222222222222222222222222222222222222\"\n  ]\n}\n" },
	{ "comments around", "// a\n\n\n/* b */\n[1]\n// c", "// a\n\n/* b */\n[\n  1\n]\n// c\n" },
	{ "comments inside", "[ // a\n\n // b\n 1, // c\n\n 2 // d\n // e\n]",
	  "[ // a\n\n  // b\n  1, // c\n\n  2 // d\n  // e\n]\n" },
	{ "comments between key and value", "{\"a\" // x\n : /* y */ 1}",
	  "{\n  // x\n  /* y */\n  \"a\": 1\n}\n" },
	{ "comments before the comma", "[1 // a\n , 2 /* b */ , 3]",
	  "[\n  1, // a\n  2, /* b */\n  3\n]\n" },
	{ "what looks like a comment", "[\"//\", \"/* \\\" */\"]",
	  "[\n  \"//\",\n  \"/* \\\" */\"\n]\n" },
	{ "numbers and strings as they were written", "[1.50e+3, \"\\u0061\"]",
	  "[\n  1.50e+3,\n  \"\\u0061\"\n]\n" },
	{ "carriage returns", "[\r\n  1 // a\r\n]\r\n", "[\n  1 // a\n]\n" },
};

static void fmt(const char *name, const char *in, struct pk_str *out)
{
	struct pk_json_fault fault;

	if (pk_layout(name, in, strlen(in), out, &fault) < 0)
		fail_msg("%s: %d:%d %s", name, fault.where.line, fault.where.col, fault.what);
}

static void rows_come_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		own_str out = { 0 }, again = { 0 };

		fmt(rows[i].sentence, rows[i].in, &out);
		if (strcmp(out.text, rows[i].out) != 0)
			fail_msg("%s:\n%s", rows[i].sentence, out.text);
		fmt(rows[i].sentence, out.text, &again);
		assert_string_equal(again.text, out.text);
	}
}

static void what_is_no_json_is_refused(void **state)
{
	struct pk_json_fault fault;
	own_str out = { 0 };

	(void)state;
	assert_true(pk_layout("t", "[1", 2, &out, &fault) < 0);
	assert_int_equal(fault.where.col, 3);
	assert_true(out.len == 0);
}

static void add_flat(const char *name, const char *text, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	own_json *doc = NULL;
	struct pk_err err = { 0 };

	if (pk_json_parse(name, text, strlen(text), PK_JSON_COMMENTS, &doc, &err) < 0)
		fail_msg("%s", err.text);
	pk_jw_value(&w, NULL, pk_json_root(doc));
}

static size_t count_slashes(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '/';
	return n;
}

static void check_file(const char *path, bool formatted)
{
	own_str out = { 0 }, again = { 0 }, before = { 0 }, after = { 0 };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	size_t len;

	if (pk_fs_read(path, 1 << 20, &text, &len, &err) < 0)
		fail_msg("%s", err.text);
	fmt(path, text, &out);
	fmt(path, out.text, &again);
	add_flat(path, text, &before);
	add_flat(path, out.text, &after);
	assert_string_equal(again.text, out.text);
	assert_string_equal(after.text, before.text);
	assert_int_equal(count_slashes(out.text), count_slashes(text));
	if (formatted && strcmp(text, out.text) != 0)
		fail_msg("%s; fix: picket policy fmt -w %s", path, path);
}

static void check_files(const char *pattern, bool formatted)
{
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++)
		check_file(g.gl_pathv[i], formatted);
	globfree(&g);
}

/* Run in the checkout. */
static void files_keep_what_they_say(void **state)
{
	(void)state;
	check_files("tests/policy/*.json", false);
	check_files("examples/reach.json", false);
	check_files("examples/addresses.json", false);
	check_files("tests/golden/policy/taken/*.json", false);
	check_files("examples/policies/*.json", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_out),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(files_keep_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
