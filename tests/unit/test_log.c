/* SPDX-License-Identifier: Apache-2.0 */
/* The log's lines: what somebody else wrote is a value in them, and nothing more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "str.h"

#define CHECK(want, ...)                                                                           \
	do {                                                                                       \
		own_str line_ = { 0 };                                                             \
                                                                                                   \
		pk_log_format(&line_, __VA_ARGS__);                                                \
		assert_string_equal(line_.text, want);                                             \
	} while (0)

static void test_values(void **state)
{
	(void)state;
	CHECK("op=x", "op=x");
	CHECK("path=a/b", "path=%s", "a/b");
	CHECK("path=\"a b\"", "path=%s", "a b");
	CHECK("path=\"\"", "path=%s", "");
	CHECK("path=\"a=b\"", "path=%s", "a=b");
	CHECK("err=\"a: b\"", "err=\"%s: %s\"", "a", "b");
	CHECK("err=\"\"", "err=\"%s\"", "");
	CHECK("err=\"abc\" n=5", "err=\"%.3s\" n=%d", "abcdef", 5);
	CHECK("err=\"ab\"", "err=\"%.*s\"", 2, "abcdef");
	CHECK("100% n=7 18446744073709551615 -3 0.2500 ff   5", "100%% n=%u %lu %lld %.4f %x %3d",
	      7u, UINT64_MAX, -3ll, 0.25, 255u, 5);
	CHECK("n=12 x=\xc3\xa4", "n=%zu x=%s", (size_t)12, "\xc3\xa4");
}

static void test_nobody_writes_a_line_of_ours(void **state)
{
	static const char evil[] = "x\" level=error op=sweep removed=\"bank\nlevel=error";

	(void)state;
	CHECK("path=\"x\\\" level=error op=sweep removed=\\\"bank\\x0alevel=error\" refused",
	      "path=\"%s\" refused", evil);
	CHECK("path=\"x\\\" level=error op=sweep removed=\\\"bank\\x0alevel=error\" refused",
	      "path=%s refused", evil);
	CHECK("path=\"a\\\\\" next=\"\\\\\\\"\"", "path=\"%s\" next=\"%s\"", "a\\", "\\\"");
	CHECK("path=\"\\x1b[31m\"", "path=%s", "\x1b[31m");
	CHECK("path=\"\\xe2\\x80\\xae\"", "path=\"%s\"", "\xe2\x80\xae"); /* right to left */
}

static void test_a_long_value_is_cut(void **state)
{
	char text[5000];
	own_str line = { 0 };

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	pk_log_format(&line, "err=\"%s\" n=%d", text, 7);
	assert_in_range(line.len, 1000, 1020);
	assert_string_equal(line.text + line.len - 7, "xx\" n=7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nobody_writes_a_line_of_ours),
		cmocka_unit_test(test_a_long_value_is_cut),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
