/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of long JSON: what a table names is told, the rest is skipped, in pieces of any size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_stream.h"
#include "own.h"
#include "str.h"

enum node { ROOT, THING, NAME, PORT, TAGS, TAG, META, META_VALUE };

static const struct pk_stream_node nodes[] = {
	[ROOT] = { ROOT, NULL, PK_STREAM_ARRAY },
	[THING] = { ROOT, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[NAME] = { THING, "Name", PK_STREAM_TEXT },
	[PORT] = { THING, "Port", PK_STREAM_INT },
	[TAGS] = { THING, "Tags", PK_STREAM_ARRAY },
	[TAG] = { TAGS, PK_STREAM_EACH, PK_STREAM_TEXT },
	[META] = { THING, "Meta", PK_STREAM_OBJECT },
	[META_VALUE] = { META, PK_STREAM_EACH, PK_STREAM_TEXT },
};
static const struct pk_stream_table table = {
	.name = "things", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 64
};

/* "<THING" begins, "THING>" ends, "Name=x", "k:Meta=x", "!Name" is bad, "Name~99" is too long. */
static int write_event(void *arg, const struct pk_stream_event *e)
{
	static const char *const names[] = { "ROOT", "THING", "Name", "Port",
					     "Tags", "tag",   "Meta", "meta" };
	const char *name = names[e->node];
	struct pk_str *out = arg;

	if (e->key)
		pk_str_addf(out, "%s:", e->key);
	if (e->what == PK_STREAM_BEGIN)
		pk_str_addf(out, "<%s ", name);
	else if (e->what == PK_STREAM_END)
		pk_str_addf(out, "%s> ", name);
	else if (e->what == PK_STREAM_BAD)
		pk_str_addf(out, "!%s ", name);
	else if (e->node == PORT)
		pk_str_addf(out, "%s=%ld ", name, (long)e->number);
	else if (e->text)
		pk_str_addf(out, "%s=%s ", name, e->text);
	else
		pk_str_addf(out, "%s~%zu ", name, e->len);
	return e->text && strcmp(e->text, "stop") == 0 ? -ECANCELED : 0;
}

/* Fed in pieces of `piece` bytes. */
static int read_in(const char *text, size_t piece, struct pk_str *out, struct pk_err *err)
{
	struct pk_stream *s = pk_stream_new(&table, write_event, out);
	size_t n = strlen(text);
	int r = 0;

	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_stream_feed(s, text + at, n - at < piece ? n - at : piece, err);
	if (r == 0)
		r = pk_stream_end(s, err);
	pk_stream_free(s);
	return r;
}

struct row {
	const char *text, *want; /* NULL: refused */
};

static void check_row(const struct row *row, size_t piece)
{
	struct pk_err err = { 0 };
	own_str got = { 0 };
	int r = read_in(row->text, piece, &got, &err);

	if ((r == 0) != (row->want != NULL))
		fail_msg("%s: %d %s", row->text, r, err.text);
	if (!row->want)
		assert_true(*err.text != '\0');
	else if (strcmp(got.text ?: "", row->want) != 0)
		fail_msg("%s in %zus: %s", row->text, piece, got.text);
}

#define ONE(what) "<ROOT <THING " what "THING> ROOT> "

static const struct row rows[] = {
	{ "[]", "<ROOT ROOT> " },
	{ " [ ] \n", "<ROOT ROOT> " },
	{ "[{}]", ONE("") },
	{ "[{\"Name\":\"a\"}]", ONE("Name=a ") },
	{ "[{\"Name\" : \"a\" , \"Port\" : 80 }]", ONE("Name=a Port=80 ") },
	{ "[{\"Port\":-1}]", ONE("Port=-1 ") },
	/* what isn't named, of every kind, before and behind */
	{ "[{\"x\":1.5e3,\"Name\":\"a\",\"y\":[[],{}],\"z\":null,\"w\":true}]", ONE("Name=a ") },
	{ "[{\"x\":{\"Name\":\"b\",\"q\":\"]}\\\"\"},\"Name\":\"a\"}]", ONE("Name=a ") },
	{ "[{\"x\":\"\\\\\",\"Name\":\"a\"}]", ONE("Name=a ") },
	{ "[{\"name\":\"a\",\"Names\":\"b\",\"\":3}]", ONE("") },
	/* null is absent */
	{ "[{\"Name\":null,\"Tags\":null,\"Meta\":null,\"Port\":null}]", ONE("") },
	{ "[null,{}]", ONE("") },
	{ "[{\"Tags\":[\"a\",null,\"b\"]}]", ONE("<Tags tag=a tag=b Tags> ") },
	{ "[{\"Meta\":{\"k\":\"v\",\"Name\":\"w\"}}]", ONE("<Meta k:meta=v Name:meta=w Meta> ") },
	/* text */
	{ "[{\"Name\":\"\\u0041\\n\\/\\\"\\ud83d\\ude00\"}]", ONE("Name=A\n/\"\xf0\x9f\x98\x80 ") },
	{ "[{\"Name\":\"\xc3\xa4\"}]", ONE("Name=\xc3\xa4 ") },
	{ "[{\"Na\\u006de\":\"a\"}]", ONE("Name=a ") },
	{ "[{\"Name\":\"\\u0000\\ud800x\"}]", ONE("Name=\xef\xbf\xbd\xef\xbf\xbdx ") },
	{ "[{\"Name\":\"\"}]", ONE("Name= ") },
	/* a named value that is wrong is the thing's own matter */
	{ "[{\"Name\":5,\"Port\":\"x\"},{\"Name\":\"a\"}]",
	  "<ROOT <THING !Name !Port THING> <THING Name=a THING> ROOT> " },
	{ "[{\"Name\":{\"Name\":\"x\"},\"Tags\":{},\"Meta\":[]}]", ONE("!Name !Tags !Meta ") },
	{ "[{\"Port\":1.5},{\"Port\":01},{\"Port\":1e2},{\"Port\":99999999999999999999}]",
	  "<ROOT <THING !Port THING> <THING !Port THING> <THING !Port THING> <THING !Port THING> "
	  "ROOT> " },
	{ "[{\"Port\":true}]", ONE("!Port ") },
	/* a word that begins as null, whose first 26 bytes of text end there */
	{ "             [{\"Port\":nullnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn}]", ONE("!Port ") },
	{ "[{\"Name\":\"a\",\"Name\":\"b\"}]", ONE("Name=a !Name Name=b ") },
	{ "[{\"Name\":\"\xff\"}]", ONE("!Name ") },
	{ "[{\"Name\":\"\\x\"}]", ONE("!Name ") },
	{ "[{\"Name\":\"\\u12\"}]", ONE("!Name ") },
	{ "[{\"Name\":\"a\tb\"}]", ONE("!Name ") },
	{ "[5,\"x\",[]]", "<ROOT !THING !THING !THING ROOT> " },
	/* no JSON */
	{ "", NULL },
	{ " ", NULL },
	{ "[", NULL },
	{ "[{\"Name\":\"a\"}", NULL },
	{ "[{\"x\":[}]", NULL },
	{ "[{\"x\":]", NULL },
	{ "[{\"Name\" \"a\"}]", NULL },
	{ "[{\"Name\":}]", NULL },
	{ "[{\"Name\":\"a\",}]", NULL },
	{ "[{Name:1}]", NULL },
	{ "[{},]", NULL },
	{ "[{} {}]", NULL },
	{ "[{}}", NULL },
	{ "[{]", NULL },
	{ "[]x", NULL },
	{ "[][]", NULL },
	{ "{}", NULL },
	{ "null", NULL },
	{ "5", NULL },
	{ "\"x\"", NULL },
};

static void test_rows(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 26, 1000 };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < PK_ARRAY_LEN(pieces); k++)
			check_row(&rows[i], pieces[k]);
}

static void test_long_texts(void **state)
{
	own_str text = { 0 };
	own_str got = { 0 };

	(void)state;
	pk_str_add(&text, "[{\"Name\":\"");
	for (int i = 0; i < 100000; i++)
		pk_str_add(&text, "a");
	pk_str_add(&text, "\",\"Meta\":{\"");
	for (int i = 0; i < 65; i++)
		pk_str_add(&text, "k");
	pk_str_add(&text, "\":\"v\"},\"Tags\":[\"b\"]}]");
	assert_int_equal(read_in(text.text, 13, &got, NULL), 0);
	assert_string_equal(got.text, ONE("Name~100000 <Meta meta=v Meta> <Tags tag=b Tags> "));
}

/* Neither a million brackets nor 30 MB of what nobody wants leave anything in memory. */
static void test_deep_and_long(void **state)
{
	static char piece[1 << 16];
	own_str got = { 0 };
	struct pk_stream *s = pk_stream_new(&table, write_event, &got);
	size_t before = mallinfo2().uordblks;

	(void)state;
	assert_int_equal(pk_stream_feed(s, "[{\"x\":", 6, NULL), 0);
	memset(piece, '[', sizeof(piece));
	for (int i = 0; i < 16; i++)
		assert_int_equal(pk_stream_feed(s, piece, sizeof(piece), NULL), 0);
	memset(piece, '7', sizeof(piece));
	for (int i = 0; i < 480; i++)
		assert_int_equal(pk_stream_feed(s, piece, sizeof(piece), NULL), 0);
	memset(piece, ']', sizeof(piece));
	for (int i = 0; i < 16; i++)
		assert_int_equal(pk_stream_feed(s, piece, sizeof(piece), NULL), 0);
	assert_in_range(mallinfo2().uordblks, 0, before + 4096);
	assert_int_equal(pk_stream_feed(s, ",\"Name\":\"a\"}]", 13, NULL), 0);
	assert_int_equal(pk_stream_end(s, NULL), 0);
	assert_string_equal(got.text, ONE("Name=a "));
	pk_stream_free(s);
}

static void test_places(void **state)
{
	struct pk_err err = { 0 };
	own_str got = { 0 };

	(void)state;
	assert_true(read_in("[{\"Name\": }]", 4, &got, &err) < 0);
	assert_string_equal(err.text, "things: byte 11: a value was expected");
	assert_true(read_in("[{\"Name\"", 4, &got, &err) < 0);
	assert_string_equal(err.text, "things: the text ends after 8 bytes");
}

/* Its owner wants no more: that is the end, and its reason is the owner's. */
static void test_stop(void **state)
{
	struct pk_err err = { 0 };
	own_str got = { 0 };
	struct pk_stream *s = pk_stream_new(&table, write_event, &got);

	(void)state;
	assert_int_equal(pk_stream_feed(s, "[{\"Name\":\"stop\"},", 17, &err), -ECANCELED);
	assert_string_equal(err.text, "");
	assert_int_equal(pk_stream_feed(s, "{}]", 3, &err), -ECANCELED);
	assert_int_equal(pk_stream_end(s, &err), -ECANCELED);
	assert_string_equal(got.text, "<ROOT <THING Name=stop ");
	pk_stream_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	      cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_deep_and_long), cmocka_unit_test(test_places),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
