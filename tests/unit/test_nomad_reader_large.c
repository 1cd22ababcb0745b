// SPDX-License-Identifier: Apache-2.0
/* Nomad's answers that are deep, long or many: none makes us keep more than the facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/nomad_reader.h"
#include "nomad_texts.h"
#include "own.h"
#include "unit/many.h"
#include "unit/nomad_tree.h"

/* Feeds `text` n times. */
static void feed(struct pk_alloc_reader *reader, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pk_alloc_reader_feed(reader, text, strlen(text), NULL), 0);
}

/*
 * P47, in what Picket asks in place of a stream: a listing with a line of any length costs no
 * memory. A configuration that is 100,000 deep and one of 80 MB, in an alloc among others: both are taken,
 * and what stays in memory is the facts.
 */
static void test_deep_and_huge(void **state)
{
	struct pk_alloc_reader *reader = pk_alloc_reader_new(PK_READ_ALLOCS);
	static char piece[1 << 20];
	struct pk_allocs out;
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

	(void)state;
	feed(reader, "[" ALLOC_HEAD_OK " \"TaskResources\":", 1);
	feed(reader, "[{\"x\":", 100000);
	feed(reader, "1", 1);
	feed(reader, "}]", 100000);
	feed(reader, "," ALLOC_JOB "," ALLOC_HEAD_OK "\"Huge\": {\"x\": \"", 1);
	memset(piece, 'x', sizeof(piece) - 1);
	feed(reader, piece, 80);
	feed(reader, "\"}, " ALLOC_JOB "," ALLOC "]", 1);
	assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd, 0, before + (256 << 10));
	assert_int_equal(pk_alloc_reader_end(reader, &out, NULL), 0);
	assert_int_equal(out.n, 3);
	assert_int_equal(out.n_refused, 0);
	assert_true(pk_alloc_equal(&out.list[0], &out.list[1]));
	pk_allocs_done(&out);
	pk_alloc_reader_free(reader);
}

/* A job of 20,000 groups, each with as many labels as may be: it is refused before it costs. */
static void test_many_groups(void **state)
{
	own_mem char *meta = many(40, "\"key%02u\": \"a value of some length, such as this one\"");
	struct pk_alloc_reader *reader = pk_alloc_reader_new(PK_READ_ALLOCS);
	struct pk_allocs out;
	own_mem char *group = NULL;
	size_t before = mallinfo2().uordblks;

	(void)state;
	if (asprintf(&group, "{\"Name\": \"a\", \"Meta\": {%s}},", meta) < 0)
		abort();
	feed(reader, "[{\"ID\": \"x\", \"Job\": {\"TaskGroups\": [", 1);
	feed(reader, group, 20000);
	assert_in_range(mallinfo2().uordblks, 0, before + (4 << 20));
	feed(reader,
	     "{\"Name\": \"g\"}]}, \"JobID\": \"j\", \"Namespace\": \"n\", \"TaskGroup\": "
	     "\"g\"}," ALLOC "]",
	     1);
	assert_int_equal(pk_alloc_reader_end(reader, &out, NULL), 0);
	assert_int_equal(out.n_refused, 1);
	assert_string_equal(out.list[0].id, "x");
	assert_null(out.list[1].refused);
	pk_allocs_done(&out);
	pk_alloc_reader_free(reader);
}

/* Three hundred groups are a large job, and no attack. */
static void test_groups(void **state)
{
	own_mem char *groups = many(300, "{\"Name\": \"g%u\", \"Meta\": {\"n\": \"x\"}}");
	own_mem char *text = NULL;
	struct pk_alloc a;

	(void)state;
	if (asprintf(&text,
		     "{\"ID\": \"x\", \"Job\": {\"TaskGroups\": [%s]}, \"JobID\": \"j\", "
		     "\"Namespace\": \"n\", \"TaskGroup\": \"g299\"}",
		     groups) < 0)
		abort();
	assert_int_equal(pk_alloc_decode(text, strlen(text), &a, NULL), 0);
	assert_int_equal(a.n_meta, 1);
	pk_alloc_done(&a);
}
int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deep_and_huge),
		cmocka_unit_test(test_many_groups),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
