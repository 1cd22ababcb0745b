/* SPDX-License-Identifier: Apache-2.0 */
/* lib/json/json.h's contract, row by row. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "own.h"

#define TEXT(s) s, sizeof(s) - 1

struct row {
	const char *sentence;
	const char *text;
	size_t len;
	unsigned int flags;
	const char *want; /* the error's end; NULL: accepted */
};

static const struct row rows[] = {
	{ "a document", TEXT("{\"a\":[1,true,null,\"x\"]}"), 0, NULL },
	{ "a bare word", TEXT("null"), 0, NULL },
	{ "blanks around", TEXT(" \t\r\n{} \n"), 0, NULL },
	{ "empty", TEXT(""), 0, "t:1:1: error: .: the text is empty" },
	{ "blanks alone", TEXT(" \n "), 0, "t:2:2: error: .: the text is empty" },
	{ "a comment alone", TEXT("// x"), PK_JSON_COMMENTS, "t:1:5: error: .: the text is empty" },
	{ "two documents", TEXT("{} {}"), 0,
	  "t:1:4: error: .: found '{', expected the end: text after the document" },
	{ "NUL behind the document", TEXT("{}\0"), 0,
	  "t:1:3: error: .: found byte 0x00, expected the end: text after the document" },
	{ "a key twice", TEXT("{\"a\":1,\n \"a\":2}"), 0,
	  "t:2:2: error: .a: this key appears twice" },
	{ "a key twice, escaped", TEXT("{\"ab\":1,\"\\u0061b\":2}"), 0, "this key appears twice" },
	{ "a key twice, a pair of surrogates",
	  TEXT("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"), 0, "this key appears twice" },
	{ "a key twice in the middle of others",
	  TEXT("[{\"c\":1,\"b\":2,\"a\":3,\"b\":4,\"d\":5}]"), 0,
	  "t:1:21: error: .[0].b: this key appears twice" },
	{ "a key once in each of two objects", TEXT("[{\"a\":1},{\"a\":1,\"b\":{\"a\":2}}]"), 0,
	  NULL },
	{ "keys that differ in case", TEXT("{\"a\":1,\"A\":2}"), 0, NULL },
	{ "NUL in a string", TEXT("{\"a\":\"acme\\u0000evil\"}"), 0,
	  "t:1:11: error: .a: NUL in a string" },
	{ "NUL in a key", TEXT("{\"a\\u0000b\":1}"), 0, "NUL in a string" },
	{ "NUL in a relaxed string", TEXT("{\"a\":\"acme\\u0000evil\"}"), PK_JSON_RELAXED, NULL },
	{ "a control character", TEXT("\"a\tb\""), 0, "control character 0x09 in a string" },
	{ "a newline in a string", TEXT("\"a\nb\""), 0,
	  "t:1:1: error: .: this string has no end on its line" },
	{ "a raw NUL in a string", TEXT("\"a\0b\""), 0, "control character 0x00 in a string" },
	{ "half a surrogate pair", TEXT("[\"\\ud800\"]"), 0,
	  "half of a surrogate pair in a string" },
	{ "the other half first", TEXT("[\"\\udc00\\ud800\"]"), 0,
	  "half of a surrogate pair in a string" },
	{ "half and an ordinary escape", TEXT("[\"\\ud800\\u0041\"]"), 0,
	  "half of a surrogate pair in a string" },
	{ "a surrogate pair", TEXT("[\"\\ud83d\\ude00\"]"), 0, NULL },
	{ "an escape that isn't", TEXT("[\"\\x41\"]"), 0, "an escape that JSON doesn't have" },
	{ "too few digits", TEXT("[\"\\u12g4\"]"), 0, "\\u needs four hexadecimal digits" },
	{ "bytes that aren't UTF-8", TEXT("[\"\xff\"]"), 0, "byte 0xff is not UTF-8" },
	{ "an overlong form", TEXT("[\"\xc0\xaf\"]"), 0, "byte 0xc0 is not UTF-8" },
	{ "an overlong form of three", TEXT("[\"\xe0\x80\xaf\"]"), 0, "byte 0xe0 is not UTF-8" },
	{ "a surrogate in UTF-8", TEXT("[\"\xed\xa0\x80\"]"), 0, "byte 0xed is not UTF-8" },
	{ "beyond U+10FFFF", TEXT("[\"\xf4\x90\x80\x80\"]"), 0, "byte 0xf4 is not UTF-8" },
	{ "a cut sequence", TEXT("[\"\xe2\x82\"]"), 0, "byte 0xe2 is not UTF-8" },
	{ "a cut sequence at the end", TEXT("\"\xf0\x9f"), 0, "byte 0xf0 is not UTF-8" },
	{ "bad UTF-8 in relaxed text", TEXT("[\"\xff\"]"), PK_JSON_RELAXED,
	  "byte 0xff is not UTF-8" },
	{ "a byte order mark", TEXT("\xef\xbb\xbf{}"), 0, "t:1:1: error: .: a byte order mark" },
	{ "a leading zero", TEXT("{\"port\":080}"), 0,
	  "t:1:9: error: .port: number with a leading zero" },
	{ "a leading zero behind a sign", TEXT("[-01]"), 0, "number with a leading zero" },
	{ "zero", TEXT("[0,-0,0.5,0e1]"), 0, NULL },
	{ "2^53-1", TEXT("[9007199254740991,-9007199254740991]"), 0, NULL },
	{ "2^53", TEXT("[9007199254740992]"), 0, "number beyond 2^53-1" },
	{ "-2^53", TEXT("[-9007199254740992]"), 0, "number beyond 2^53-1" },
	{ "2^53 in relaxed text", TEXT("[9007199254740992,1e99]"), PK_JSON_RELAXED, NULL },
	{ "1e99", TEXT("[1e99]"), 0, "number beyond 2^53-1" },
	{ "1e999", TEXT("[1e999]"), 0, "number beyond 2^53-1" },
	{ "no digit before the point", TEXT("[.5]"), 0, "found '.', expected a value" },
	{ "no digit behind the point", TEXT("[5.]"), 0, "a number needs a digit behind '.'" },
	{ "no exponent", TEXT("[5e+]"), 0, "a number needs a digit in its exponent" },
	{ "a plus", TEXT("[+5]"), 0, "found '+', expected a value" },
	{ "hexadecimal", TEXT("[0x50]"), 0, "found 'x', expected ',' or ']'" },
	{ "a long number",
	  TEXT("[0.0000000000000000000000000000000000000000000000000000000000000000001]"), 0,
	  "a number of more than 60 characters" },
	{ "NaN", TEXT("[NaN]"), 0, "found 'N', expected a value" },
	{ "a word and more", TEXT("[truex]"), 0, "found 'x', expected ',' or ']'" },
	{ "a comma before ]", TEXT("{\"a\":[1,\n2,]}"), 0,
	  "t:2:3: error: .a[1]: a comma before ']'" },
	{ "a comma before }", TEXT("{\"a\":1,}"), 0, "a comma before '}'" },
	{ "a comma first", TEXT("[,1]"), 0, "found ',', expected a value" },
	{ "no comma", TEXT("{\"a\":{\"b\":[1,2 3]}}"), 0,
	  "t:1:16: error: .a.b[1]: found '3', expected ',' or ']'" },
	{ "no colon", TEXT("{\"a\" 1}"), 0, "found '1', expected ':'" },
	{ "a key without quotes", TEXT("{a:1}"), 0, "found 'a', expected a key in double quotes" },
	{ "single quotes", TEXT("{'a':1}"), 0, "found ''', expected a key in double quotes" },
	{ "cut off", TEXT("{\"a\":[1"), 0, "found the end, expected ',' or ']'" },
	{ "a string cut off", TEXT("{\"a\":\"x"), 0, "this string has no end on its line" },
	{ "a string cut in an escape", TEXT("\"\\"), 0, "an escape that JSON doesn't have" },
	{ "a key that needs quotes in a path", TEXT("{\"nomad:job\":[x]}"), 0,
	  "error: .[\"nomad:job\"][0]: found 'x', expected a value" },
	{ "comments where they are allowed", TEXT("// a\n{ /* b\n */ \"a\": \"//x/*y*/\" } // c"),
	  PK_JSON_COMMENTS, NULL },
	{ "comments where they aren't", TEXT("// a\n{}"), 0,
	  "t:1:1: error: .: comments are not allowed here" },
	{ "a comment without end", TEXT("{} /* a"), PK_JSON_COMMENTS, "this comment has no end" },
	{ "/*/ is no whole comment", TEXT("/*/{}"), PK_JSON_COMMENTS, "this comment has no end" },
	{ "NUL in a comment", TEXT("// a\0b\n1"), PK_JSON_COMMENTS,
	  "t:1:5: error: .: control character 0x00 in a comment" },
	{ "a comment that isn't UTF-8", TEXT("/* \xff */1"), PK_JSON_COMMENTS,
	  "byte 0xff is not UTF-8" },
	{ "half a comment", TEXT("/ {}"), PK_JSON_COMMENTS, "found '/', expected a comment" },
	{ "places behind comments hold", TEXT("/* \xc3\xa9\n */ {\"a\": 01}"), PK_JSON_COMMENTS,
	  "t:2:11: error: .a: number with a leading zero" },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		own_json *doc = NULL;
		struct pk_err err = { 0 };
		int r = pk_json_parse("t", row->text, row->len, row->flags, &doc, &err);
		bool ok = row->want ? r == -EINVAL && !doc && strstr(err.text, row->want) &&
					      err.code == PK_CODE_DECODE
				    : r == 0 && doc;

		if (!ok)
			fail_msg("%s: returned %d, '%s'", row->sentence, r, err.text);
	}
}

/* A text that needs its errors' places right, whatever stands around it. */
static struct pk_json_doc *parse(const char *text, unsigned int flags)
{
	struct pk_json_doc *doc = NULL;
	struct pk_err err = { 0 };

	if (pk_json_parse("t", text, strlen(text), flags, &doc, &err) < 0)
		fail_msg("'%s': %s", text, err.text);
	return doc;
}

static void test_caps(void **state)
{
	static char text[PK_JSON_MAX + 2];
	struct pk_err err = { 0 };
	own_json *doc = NULL, *relaxed = NULL;

	(void)state;
	memset(text, ' ', sizeof(text));
	text[0] = '1';
	assert_int_equal(pk_json_parse("t", text, PK_JSON_MAX, 0, &doc, &err), 0);
	assert_int_equal(pk_json_parse("t", text, PK_JSON_MAX + 1, 0, &relaxed, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1048577 bytes, more than 1048576"));
	assert_int_equal(pk_json_parse("t", text, PK_JSON_MAX + 1, PK_JSON_RELAXED, &relaxed, &err),
			 0);
}

static int parse_nested(size_t depth, unsigned int flags)
{
	char text[5000] = "";
	own_json *doc = NULL;

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return pk_json_parse("t", text, 2 * depth, flags, &doc, NULL);
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(parse_nested(PK_JSON_DEPTH, 0), 0);
	assert_int_equal(parse_nested(PK_JSON_DEPTH + 1, 0), -EINVAL);
	assert_int_equal(parse_nested(128, PK_JSON_RELAXED), 0);
	assert_int_equal(parse_nested(129, PK_JSON_RELAXED), -EINVAL);
	assert_int_equal(parse_nested(2000, PK_JSON_RELAXED), -EINVAL);
}

/*
 * 100,000 keys, all different, then one of them again: found, and not by comparing each with each.
 */
static void test_many_keys(void **state)
{
	own_str text = { 0 };
	own_json *doc = NULL, *none = NULL;
	struct pk_err err = { 0 };

	(void)state;
	pk_str_add(&text, "{");
	for (int i = 0; i < 100000; i++)
		pk_str_addf(&text, "%s\"k%d\":0", i ? "," : "", i);
	pk_str_add(&text, "}");
	assert_int_equal(pk_json_parse("t", text.text, text.len, PK_JSON_RELAXED, &doc, &err), 0);
	assert_int_equal(pk_json_count(pk_json_root(doc)), 100000);
	text.len--;
	pk_str_add(&text, ",\"k7\":0}");
	assert_int_equal(pk_json_parse("t", text.text, text.len, PK_JSON_RELAXED, &none, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, ".k7: this key appears twice"));
}

static void test_relaxed_strings(void **state)
{
	own_json *doc =
		parse("{\"Meta\":{\"a\":\"prod\\u0000x\",\"b\":\"\\ud800\",\"c\\u0000\":\"1\","
		      "\"c\\ufffd\":\"2\"},\"n\":null}",
		      PK_JSON_RELAXED);
	const struct pk_json *meta = pk_json_get(pk_json_root(doc), "Meta");
	const char *text = "kept";

	(void)state;
	assert_string_equal(pk_json_string(pk_json_get(meta, "a")), "prod\xef\xbf\xbdx");
	assert_string_equal(pk_json_string(pk_json_get(meta, "b")), "\xef\xbf\xbd");
	assert_int_equal(pk_json_get_string(doc, pk_json_root(doc), "n", &text, NULL), 0);
	assert_string_equal(text, "kept");
}

static void test_tree(void **state)
{
	own_json *doc =
		parse("{\"Ab\": \"x\", \"n\": 42, \"f\": 80.9, \"t\": true, \"l\": [1, {}]}", 0);
	const struct pk_json *root = pk_json_root(doc), *list = pk_json_get(root, "l");
	int64_t n = 7;

	(void)state;
	assert_null(pk_json_get(root, "ab"));
	assert_string_equal(pk_json_string(pk_json_get_nocase(root, "aB")), "x");
	assert_string_equal(pk_json_key(pk_json_first(root)), "Ab");
	assert_null(pk_json_key(pk_json_first(list)));
	assert_int_equal(pk_json_count(list), 2);
	assert_int_equal(pk_json_count(pk_json_first(list)), 0);
	assert_int_equal(pk_json_type(pk_json_next(pk_json_first(list))), PK_JSON_OBJECT);
	assert_true(pk_json_true(pk_json_get(root, "t")));
	assert_null(pk_json_get(NULL, "a"));
	assert_null(pk_json_string(list));
	assert_int_equal(pk_json_int(pk_json_get(root, "n"), 0, 42, &n), 0);
	assert_int_equal(n, 42);
	assert_int_equal(pk_json_int(pk_json_get(root, "n"), 0, 41, &n), -EINVAL);
	assert_int_equal(pk_json_int(pk_json_get(root, "f"), 0, 65535, &n), -EINVAL);
	assert_int_equal(pk_json_int(pk_json_get(root, "Ab"), 0, 65535, &n), -EINVAL);
}

/* Numbers that a cast would wrap or saturate. */
static void test_int_edges(void **state)
{
	own_json *doc =
		parse("[4294967376, 65616, -1, 9223372036854775807, 1e300, -9223372036854775808]",
		      PK_JSON_RELAXED);
	const struct pk_json *v = pk_json_first(pk_json_root(doc));
	int64_t n;

	(void)state;
	for (int i = 0; i < 5; i++, v = pk_json_next(v))
		assert_int_equal(pk_json_int(v, 0, 65535, &n), -EINVAL);
	assert_int_equal(pk_json_int(v, INT64_MIN, INT64_MAX, &n), 0);
	assert_true(n == INT64_MIN);
}

static void test_where(void **state)
{
	own_json *doc =
		parse("{ /* \xc3\xa9 */ \"rules\": [\n  {},\n\t{\"nomad:job\": \"x\\\"y\"}]}",
		      PK_JSON_COMMENTS);
	const struct pk_json *second =
		pk_json_next(pk_json_first(pk_json_get(pk_json_root(doc), "rules")));
	const struct pk_json *job = pk_json_get(second, "nomad:job");
	struct pk_json_where w;

	(void)state;
	pk_json_where(doc, job, true, &w);
	assert_int_equal(w.line, 3);
	assert_int_equal(w.col, 3);
	assert_int_equal(w.width, 11);
	assert_int_equal(w.source_col, 3);
	assert_string_equal(w.path, ".rules[1][\"nomad:job\"]");
	assert_string_equal(w.source, " {\"nomad:job\": \"x\\\"y\"}]}");
	pk_json_where(doc, job, false, &w);
	assert_int_equal(w.col, 16);
	assert_int_equal(w.width, 6);
	pk_json_where(doc, second, false, &w);
	assert_int_equal(w.width, 1);
	pk_json_where(doc, pk_json_root(doc), true, &w);
	assert_string_equal(w.path, ".");
	assert_string_equal(w.source, "{ /* \xc3\xa9 */ \"rules\": [");
	pk_json_where(doc, pk_json_get(pk_json_root(doc), "rules"), true, &w);
	assert_int_equal(w.col, 11);
	assert_int_equal(pk_json_line(doc, job), 3);
}

static void test_where_in_a_long_line(void **state)
{
	own_str text = { 0 };
	own_json *doc = NULL;
	struct pk_json_where w;
	struct pk_err err = { 0 };

	(void)state;
	pk_str_add(&text, "{");
	for (int i = 0; i < 500; i++)
		pk_str_addf(&text, "\"k%d\":\"\xc3\xa9\",", i);
	pk_str_add(&text, "\"last\":1}");
	assert_int_equal(pk_json_parse("t", text.text, text.len, 0, &doc, &err), 0);
	pk_json_where(doc, pk_json_get(pk_json_root(doc), "last"), true, &w);
	assert_int_equal(strncmp(w.source + strlen(w.source) - 9, "\"last\":1}", 9), 0);
	assert_true(w.source_col > 0 && w.source_col < 128);
	assert_true((size_t)w.col > sizeof(w.source));
	assert_int_equal(w.source[0], '"'); /* the window begins with a word */
}

static void test_errors(void **state)
{
	static const char *const names[] = { "pool", "mode", NULL };
	own_json *doc =
		parse("{\"pol\": \"x\", \"port\": 65616, \"mode\": 1, \"deep\": {\"q\": true}}", 0);
	const struct pk_json *root = pk_json_root(doc);
	struct pk_err err = { 0 };
	const char *text = NULL;
	bool flag = false;
	int64_t n = 0;

	(void)state;
	assert_int_equal(pk_json_only(doc, root, names, &err), -EINVAL);
	assert_string_equal(err.text, "t:1:2: error: .pol: unknown key");
	assert_string_equal(err.fix, "did you mean \"pool\"?");
	assert_int_equal(pk_json_only(doc, pk_json_get(root, "deep"), names, &err), -EINVAL);
	assert_string_equal(err.fix, "use one of: pool, mode");
	assert_int_equal(pk_json_get_string(doc, root, "mode", &text, &err), -EINVAL);
	assert_string_equal(err.text, "t:1:37: error: .mode: found a number, expected a string");
	assert_int_equal(
		pk_json_get_int(doc, root, "port", (struct pk_json_range){ 0, 65535 }, &n, &err),
		-EINVAL);
	assert_string_equal(
		err.text, "t:1:22: error: .port: found 65616, expected a whole number of 0..65535");
	assert_int_equal(pk_json_get_bool(doc, root, "absent", &flag, &err), 0);
	assert_int_equal(pk_json_get_bool(doc, pk_json_get(root, "deep"), "q", &flag, &err), 0);
	assert_true(flag);
	assert_int_equal(pk_json_get_bool(doc, root, "mode", &flag, NULL), -EINVAL);
}

static void write_sample(struct pk_jw *w)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "s", "a\"b\\c\n\x01\xff\xc3\xa9");
	pk_jw_string(w, "null", NULL);
	pk_jw_open(w, "list", '[');
	pk_jw_int(w, NULL, INT64_MIN);
	pk_jw_uint(w, NULL, UINT64_MAX);
	pk_jw_double(w, NULL, 0.1);
	pk_jw_double(w, NULL, 1.0 / 0.0);
	pk_jw_bool(w, NULL, true);
	pk_jw_close(w, ']');
	pk_jw_open(w, "empty", '{');
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

static void test_writer(void **state)
{
	own_str flat = { 0 }, tall = { 0 }, again = { 0 };
	struct pk_jw w = { .out = &flat }, w2 = { .out = &tall, .indent = 2 },
		     w3 = { .out = &again };
	own_json *doc = NULL;

	(void)state;
	write_sample(&w);
	assert_string_equal(
		flat.text,
		"{\"s\":\"a\\\"b\\\\c\\n\\u0001\\ufffd\xc3\xa9\",\"null\":null,\"list\":"
		"[-9223372036854775808,18446744073709551615,0.1,null,true],\"empty\":{}}");
	write_sample(&w2);
	assert_non_null(strstr(tall.text, "\n  \"list\": [\n    -9223372036854775808,\n"));
	assert_non_null(strstr(tall.text, "\n  \"empty\": {}\n}"));
	doc = parse("{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\\u00e9\"}", 0);
	pk_jw_value(&w3, NULL, pk_json_root(doc));
	assert_string_equal(again.text, "{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\xc3\xa9\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	  cmocka_unit_test(test_caps),
		cmocka_unit_test(test_depth),	  cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_tree),	  cmocka_unit_test(test_relaxed_strings),
		cmocka_unit_test(test_int_edges), cmocka_unit_test(test_where),
		cmocka_unit_test(test_errors),	  cmocka_unit_test(test_where_in_a_long_line),
		cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
