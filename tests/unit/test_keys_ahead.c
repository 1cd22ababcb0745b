/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of many keys is looked at in turns of the loop, and told whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs.h"
#include "keys_watch.h"
#include "own.h"
#include "tests/unit/virtual_loop.h"

#define KEYS	999
#define LONG_NS 11000000 /* longer than a turn may take */

static struct {
	struct pk_loop *loop;
	pk_store_fn *fn;
	void *arg;
	unsigned int asked, told;
	size_t looked, told_n, served_at; /* served_at: keys looked at when another was served */
	bool first;
} f;

static struct pk_store_call *takes_question(struct pk_store *store,
					    const struct pk_store_question *q, pk_store_fn *fn,
					    void *arg, struct pk_err *err)
{
	(void)store, (void)q, (void)err;
	f.fn = fn;
	f.arg = arg;
	f.asked++;
	return (struct pk_store_call *)&f;
}

static void cancels(struct pk_store_call *call)
{
	(void)call;
	f.fn = NULL;
}

static const struct pk_store_ops ops = { .name = "it", .ask = takes_question, .cancel = cancels };
static struct pk_store store = { &ops, (char[]){ "p/" } };

/* Takes longer than a turn may for every hundredth key. */
static void on_key(void *arg, const struct pk_kv *kv)
{
	const uint64_t until = pk_now_ns() + LONG_NS;

	assert_ptr_equal(arg, &f);
	assert_int_equal(kv->len, 1);
	while (f.looked % 100 == 99 && pk_now_ns() < until)
		;
	f.looked++;
}

static void on_answer(void *arg, const struct pk_keys_answer *answer)
{
	assert_ptr_equal(arg, &f);
	f.told++;
	f.told_n = answer->kvs->n;
	f.first = answer->first;
	assert_int_equal(f.looked, f.told_n);
}

static void serve_another(void *arg)
{
	(void)arg;
	f.served_at = f.looked;
}

static void answer(size_t n, uint64_t index)
{
	struct pk_kvs kvs = { .list = pk_alloc((n + 1) * sizeof(struct pk_kv)), .n = n };
	const struct pk_store_answer said = { .kvs = &kvs, .index = index };

	for (size_t i = 0; i < n; i++) {
		if (asprintf(&kvs.list[i].key, "p/nodes/n%04zu", i) < 0)
			abort();
		kvs.list[i].value = pk_strdup("x");
		kvs.list[i].len = 1;
	}
	f.looked = 0;
	PK_MOVE(f.fn, NULL)(f.arg, &said);
	pk_kvs_done(&kvs);
}

static struct pk_keys_watch *start(void)
{
	const struct pk_keys_watch_args args = { .loop = f.loop,
						 .store = &store,
						 .prefix = "p/nodes/",
						 .fn = on_answer,
						 .ahead = on_key,
						 .arg = &f };
	struct pk_keys_watch *w = pk_keys_watch_new(&args);

	pass(f.loop, 0);
	assert_int_equal(f.asked, 1);
	return w;
}

static int begin(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.loop = pk_loop_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	pk_loop_free(f.loop);
	return 0;
}

/* Nothing is told, and nothing asked again, before all was looked at. */
static void test_in_turns(void **state)
{
	struct pk_keys_watch *w = start();

	(void)state;
	for (unsigned int i = 1; i <= 2; i++) {
		answer(KEYS, i);
		assert_true(f.looked && f.looked < KEYS);
		assert_int_equal(f.told, i - 1);
		assert_int_equal(pk_keys_watch_source(w)->state,
				 i == 1 ? PK_SOURCE_STARTING : PK_SOURCE_OK);
		pass(f.loop, 0);
		assert_int_equal(f.told, i);
		assert_int_equal(f.asked, i);
		assert_true(f.told_n == KEYS && f.first == (i == 1));
		assert_int_equal(pk_keys_watch_source(w)->state, PK_SOURCE_OK);
		pass(f.loop, 2000);
		assert_int_equal(f.asked, i + 1);
	}
	pk_keys_watch_free(w);
}

/* A timer that is due has its turn amid the keys. */
static void test_others_are_served(void **state)
{
	struct pk_timer *t = pk_timer_new(f.loop, serve_another, NULL);
	struct pk_keys_watch *w = start();

	(void)state;
	pk_timer_set(t, 0);
	answer(KEYS, 1);
	pass(f.loop, 0);
	assert_int_equal(f.told, 1);
	assert_true(f.served_at && f.served_at < KEYS);
	pk_timer_free(t);
	pk_keys_watch_free(w);
}

/* A watch that ends amid the keys tells nothing. */
static void test_an_end_amid_keys(void **state)
{
	struct pk_keys_watch *w = start();

	(void)state;
	answer(KEYS, 1);
	assert_true(f.looked && f.looked < KEYS);
	pk_keys_watch_free(w);
	pass(f.loop, 5000);
	assert_int_equal(f.told, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_turns, begin, end),
		cmocka_unit_test_setup_teardown(test_others_are_served, begin, end),
		cmocka_unit_test_setup_teardown(test_an_end_amid_keys, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
