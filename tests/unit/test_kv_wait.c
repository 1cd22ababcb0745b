/* SPDX-License-Identifier: Apache-2.0 */
/* How long a watch of a store waits, and which end of a wait is a restore's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "controller/sources/kv_wait.h"
#include "own.h"

/* What is lacking is asked for every few seconds, and for ever at a bounded rate. */
static void test_waits(void **state)
{
	uint64_t now = 1000000, asked = 0;
	struct pk_kv_wait w = { 0 };

	(void)state;
	for (const uint64_t end = now + 600000; now < end; asked++) {
		pk_kv_wait_begin(&w, 7, true, now);
		assert_in_range(w.seconds, 1, asked < 3 ? 7 : 25);
		now += w.seconds * 1000;
		assert_true(pk_kv_wait_ran_out(&w, now));
	}
	assert_in_range(asked, 25, 90);
	for (int i = 0; i < 3; i++) {
		pk_kv_wait_begin(&w, 7, false, now);
		assert_int_equal(w.seconds, 60);
	}
	/* It begins anew with short ones. */
	pk_kv_wait_begin(&w, 0, true, now);
	assert_in_range(w.seconds, 1, 2);
}

/* A restored snapshot ends a wait early, under the index that it named. */
static void test_suspects(void **state)
{
	static const struct {
		uint64_t asked, told, after_ms;
		bool suspects;
	} rows[] = {
		{ 7, 8, 10, false },			     /* news */
		{ 7, 7, 60000, false },			     /* none came */
		{ 7, 7, 59000, true },	{ 7, 7, 10, false }, /* a server that ends each wait so */
		{ 7, 7, 60000, false }, { 7, 7, 10, true },
		{ 0, 7, 10, false }, /* it didn't wait */
		{ 7, 6, 10, false }, /* this is told otherwise */
	};
	struct pk_kv_wait w = { 0 };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		pk_kv_wait_begin(&w, rows[i].asked, false, 5000);
		if (pk_kv_wait_suspects(&w, rows[i].told, 5000 + rows[i].after_ms) !=
		    rows[i].suspects)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_suspects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
