/* SPDX-License-Identifier: Apache-2.0 */
/* The log's lines: what somebody else wrote is a value in them, and nothing more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static char taken[200];

static void take(const char *line, size_t len)
{
	snprintf(taken, sizeof(taken), "%.*s", (int)len, line);
}

/* Says something where $JOURNAL_STREAM names that device and inode. */
static void say_to(unsigned long device, unsigned long inode)
{
	char stream[64];

	snprintf(stream, sizeof(stream), "%lu:%lu", device, inode);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warn("op=x");
}

/* Nomad hands its environment to the plugin, whose standard error is a pipe. */
static void test_only_the_journal_itself_has_the_time(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	pk_log_set(take);
	say_to(st.st_dev, st.st_ino);
	assert_string_equal(taken, "<4>level=warn program=picket op=x\n");
	say_to(st.st_dev, st.st_ino + 1);
	assert_memory_equal(taken, "time=20", 7);
	say_to(st.st_dev + 1, st.st_ino);
	assert_memory_equal(taken, "time=20", 7);
	setenv("JOURNAL_STREAM", "", 1);
	log_warn("op=x");
	assert_memory_equal(taken, "time=20", 7);
	unsetenv("JOURNAL_STREAM");
	log_warn("op=x");
	assert_memory_equal(taken, "time=20", 7);
	pk_log_set(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nobody_writes_a_line_of_ours),
		cmocka_unit_test(test_a_long_value_is_cut),
		cmocka_unit_test(test_only_the_journal_itself_has_the_time),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
