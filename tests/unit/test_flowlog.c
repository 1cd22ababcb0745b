/* SPDX-License-Identifier: Apache-2.0 */
/* The flows file and the journal, where the disk does not do what is asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/flows/flowlog.h"
#include "fs.h"
#include "log.h"
#include "own.h"

#define LINE 1024
#define FULL 4 /* lines of a file */

/* A writer that works when it is told to, and a timer that rings then. */
static struct {
	struct pk_work works[8];
	size_t n;
	bool works_late; /* all that waits is done in the moment in which one asks for that */
	void (*fn)(void *arg);
	void *arg;
	bool set;
} fake;

static void work(void)
{
	for (size_t i = 0; i < fake.n; i++) {
		fake.works[i].run(fake.works[i].arg, NULL);
		free(fake.works[i].arg);
	}
	fake.n = 0;
}

bool pk_writer_add(struct pk_writer *writer, const struct pk_work *work)
{
	(void)writer;
	assert_in_range(fake.n, 0, PK_ARRAY_LEN(fake.works) - 1);
	fake.works[fake.n++] = *work;
	return true;
}

size_t pk_writer_waiting(struct pk_writer *writer)
{
	(void)writer;
	if (fake.works_late)
		work();
	return fake.n;
}

struct pk_timer *pk_timer_new(struct pk_loop *loop, void (*fn)(void *arg), void *arg)
{
	(void)loop;
	fake.fn = fn;
	fake.arg = arg;
	return (struct pk_timer *)&fake;
}

void pk_timer_free(struct pk_timer *timer)
{
	(void)timer;
}

void pk_timer_set(struct pk_timer *timer, uint64_t ms)
{
	(void)timer, (void)ms;
	fake.set = true;
}

void pk_timer_hurry(struct pk_timer *timer, uint64_t ms)
{
	pk_timer_set(timer, ms);
}

/* Rings as often as the timer is set, which ends. */
static void ring(void)
{
	for (int i = 0; fake.set; i++) {
		assert_in_range(i, 0, 10);
		fake.set = false;
		fake.fn(fake.arg);
		work();
	}
}

static char dir[] = "/tmp/picket-flowlog.XXXXXX";
static char path[64], kept[80];

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	strcpy(strrchr(dir, '.'), ".XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f.jsonl", dir);
	snprintf(kept, sizeof(kept), "%s.1", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(kept);
	return rmdir(dir);
}

static struct pk_flowlog *file_new(bool late)
{
	return pk_flowlog_new(
		&(struct pk_flowlog_args){ .of = "flows",
					   .path = path,
					   .max_size = (uint64_t)FULL * LINE,
					   .keep = 1,
					   .loop = late ? (struct pk_loop *)&fake : NULL,
					   .writer = late ? (struct pk_writer *)&fake : NULL });
}

static void file_done(struct pk_flowlog *log)
{
	pk_flowlog_free(log);
	work();
}

static void lines(struct pk_flowlog *log, int n)
{
	char text[LINE - 1];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < n; i++) {
		pk_flowlog_line(log, text, sizeof(text));
		work();
	}
}

static long lines_of(const char *of)
{
	struct stat st;

	return stat(of, &st) < 0 ? -1 : st.st_size / LINE;
}

static void expect_error(struct pk_flowlog *log, int error, unsigned int to)
{
	unsigned int at = 99;

	assert_int_equal(pk_flowlog_error(log, &at), error);
	assert_int_equal(at, to);
}

static void test_a_file_that_can_t_be_rotated(void **state)
{
	struct pk_flowlog *log = file_new(false);

	(void)state;
	assert_int_equal(mkdir(kept, 0700), 0);
	lines(log, FULL);
	expect_error(log, 0, 0);
	/* It goes on in the file, and not for ever. */
	lines(log, FULL);
	assert_int_equal(pk_flowlog_lost(log), 0);
	expect_error(log, -EISDIR, 1);
	lines(log, 3);
	assert_int_equal(pk_flowlog_lost(log), 3);
	assert_int_equal(lines_of(path), 2 * FULL);
	expect_error(log, -EISDIR, 1);
	/* A picketd that starts meanwhile adds no more. */
	file_done(log);
	log = file_new(false);
	lines(log, 2);
	assert_int_equal(pk_flowlog_lost(log), 2);
	assert_int_equal(lines_of(path), 2 * FULL);
	assert_int_equal(rmdir(kept), 0);
	lines(log, 1);
	expect_error(log, 0, 0);
	assert_int_equal(pk_flowlog_lost(log), 2);
	assert_int_equal(lines_of(kept), 2 * FULL);
	assert_int_equal(lines_of(path), 1);
	file_done(log);
}

static void test_a_rotation_is_tried_without_a_line(void **state)
{
	struct pk_flowlog *log = file_new(true);

	(void)state;
	assert_int_equal(mkdir(kept, 0700), 0);
	lines(log, FULL + 1);
	assert_true(fake.set);
	fake.set = false;
	fake.fn(fake.arg);
	work();
	assert_true(fake.set);
	assert_int_equal(lines_of(path), FULL + 1);
	assert_int_equal(rmdir(kept), 0);
	ring();
	expect_error(log, 0, 0);
	assert_int_equal(lines_of(kept), FULL + 1);
	assert_int_equal(lines_of(path), 0);
	lines(log, 1);
	assert_int_equal(pk_flowlog_lost(log), 0);
	assert_int_equal(lines_of(path), 1);
	file_done(log);
}

/* The line fails between the two looks, at its error and at what waits. */
static void test_a_line_that_fails_while_one_looks(void **state)
{
	struct pk_flowlog *log = file_new(true);

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	pk_flowlog_line(log, "x", 1);
	fake.works_late = true;
	fake.set = false;
	fake.fn(fake.arg);
	assert_int_equal(pk_flowlog_lost(log), 1);
	assert_true(fake.set);
	fake.works_late = false;
	file_done(log);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file_that_can_t_be_rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_rotation_is_tried_without_a_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_line_that_fails_while_one_looks, setup,
						teardown),
	};

	pk_log_init("test", PK_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
