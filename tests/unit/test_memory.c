/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c: freed memory goes back after work, and amid work that doesn't end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <event2/event.h>
#include <malloc.h>

#include "controller/memory.h"
#include "fs.h"

#define NEVER 3600000 /* milliseconds */

static unsigned int trims;

/* Takes the place of libc's. */
int malloc_trim(size_t pad)
{
	(void)pad;
	trims++;
	return 1;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Turns the loop until so many were given back, with work in each turn; a bound on waiting alone. */
static void work_until(struct pk_loop *loop, struct pk_memory *memory, unsigned int wanted)
{
	uint64_t end = pk_now_ns() + 20000000000;
	struct pk_timer *tick = pk_timer_new(loop, nothing, NULL);

	while (trims < wanted && pk_now_ns() < end) {
		if (memory)
			pk_memory_worked(memory);
		pk_timer_set(tick, 1);
		event_base_loop(pk_loop_base(loop), EVLOOP_ONCE);
	}
	pk_timer_free(tick);
	assert_int_equal(trims, wanted);
}

static void test_after_work(void **state)
{
	struct pk_loop *loop = pk_loop_new();
	struct pk_memory *memory = pk_memory_new(loop, 1, NEVER);

	(void)state;
	trims = 0;
	pk_memory_worked(memory);
	work_until(loop, NULL, 1);
	pk_memory_worked(memory);
	work_until(loop, NULL, 2);
	pk_memory_free(memory);
	assert_int_equal(event_base_get_num_events(pk_loop_base(loop), EVENT_BASE_COUNT_ADDED), 0);
	pk_loop_free(loop);
}

/* Each piece of work puts off the rest after it, but not what was promised by the first. */
static void test_amid_work_without_an_end(void **state)
{
	struct pk_loop *loop = pk_loop_new();
	struct pk_memory *memory = pk_memory_new(loop, NEVER, 20);

	(void)state;
	trims = 0;
	work_until(loop, memory, 1);
	work_until(loop, memory, 2); /* and again */
	pk_memory_free(memory);
	pk_loop_free(loop);
}

/* Who gave memory back has no work left to do it for. */
static void test_once_for_what_was_done(void **state)
{
	struct pk_loop *loop = pk_loop_new();
	struct pk_memory *memory = pk_memory_new(loop, 1, 2);

	(void)state;
	trims = 0;
	pk_memory_worked(memory);
	work_until(loop, NULL, 1);
	assert_int_equal(event_base_get_num_events(pk_loop_base(loop), EVENT_BASE_COUNT_ADDED), 0);
	pk_memory_free(memory);
	pk_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_work),
		cmocka_unit_test(test_amid_work_without_an_end),
		cmocka_unit_test(test_once_for_what_was_done),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
