/* SPDX-License-Identifier: Apache-2.0 */
/* What a watch of documents does with one answer, on a clock of its own and a store that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/consul_strays.h"
#include "controller/sources/consul_watch.h"
#include "own.h"
#include "tests/unit/virtual_loop.h"

#define TEXT "[{\"endpointSelector\": {}, \"%s\": [{}]}]"
#define MANY 10000
#define FEW  60

static struct fixture {
	struct pk_loop *loop;
	struct pk_store store;
	struct pk_docs *docs;
	struct pk_consul *watch;
	pk_store_fn *fn; /* of the question that waits; NULL: none does */
	void *arg;
	struct pk_store_question asked; /* the last one */
	unsigned int histories;		/* questions for the leader's index */
	unsigned int changes;
	size_t in_force; /* at the last change */
} f;

static struct pk_store_call *on_ask(struct pk_store *store, const struct pk_store_question *q,
				    pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)err;
	assert_null(f.fn);
	f.asked = *q;
	f.fn = fn;
	f.arg = arg;
	return (struct pk_store_call *)store;
}

static struct pk_store_call *on_index(struct pk_store *store, const char *prefix, unsigned int turn,
				      pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)prefix;
	(void)turn;
	(void)err;
	assert_null(f.fn);
	f.histories++;
	f.fn = fn;
	f.arg = arg;
	return (struct pk_store_call *)store;
}

static void on_cancel(struct pk_store_call *call)
{
	(void)call;
	f.fn = NULL;
}

static size_t in_force(void)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(f.docs, &list);

	pk_docs_retire(f.docs);
	return n;
}

static void on_changed(void *arg)
{
	(void)arg;
	f.changes++;
	f.in_force = in_force();
}

static void never(void *arg)
{
	(void)arg;
	fail();
}

static void add_key(struct pk_kvs *kvs, const char *name, const char *text, uint64_t modified)
{
	own_str key = { 0 };

	pk_str_addf(&key, "picket/v1/default/policies/operator/%s", name);
	kvs->list[kvs->n++] = (struct pk_kv){ .key = pk_str_take(&key),
					      .value = pk_strdup(text),
					      .len = strlen(text),
					      .modified = modified };
}

/* What a store has: so many documents that open one direction, and the operators' generation. */
struct has {
	size_t n;
	const char *direction;
	uint64_t index, modified; /* of the store; of each document */
	const char *generation;	  /* NULL: there is none */
};

/* Answers the question that waits. */
static void answer_with(const struct has *has)
{
	struct pk_kvs kvs = { .list = pk_alloc((has->n + 1) * sizeof(struct pk_kv)) };
	const struct pk_store_answer said = { .kvs = &kvs, .index = has->index };
	pk_store_fn *fn = PK_MOVE(f.fn, NULL);

	assert_non_null(fn);
	if (has->generation)
		add_key(&kvs, ".generation", has->generation, has->modified);
	for (size_t i = 0; i < has->n; i++) {
		own_str name = { 0 }, text = { 0 };

		pk_str_addf(&name, "d%05zu", i);
		pk_str_addf(&text, TEXT, has->direction);
		add_key(&kvs, name.text, text.text, has->modified);
	}
	fn(f.arg, &said);
	pk_kvs_done(&kvs);
}

static void answer(size_t n, const char *direction, uint64_t index)
{
	answer_with(&(struct has){ n, direction, index, index, NULL });
}

static void watch(const char *of)
{
	f.watch = pk_consul_new(&(struct pk_consul_args){ .loop = f.loop,
							  .store = &f.store,
							  .docs = f.docs,
							  .of = of,
							  .changed = on_changed,
							  .confirmed = never,
							  .meant = never });
	pass(f.loop, 0);
}

static int setup(void **state)
{
	static const struct pk_store_ops ops = {
		.origin = "consul",
		.name = "Consul",
		.ask = on_ask,
		.index = on_index,
		.cancel = on_cancel,
	};

	static char prefix[] = "picket/v1/default/";

	(void)state;
	f = (struct fixture){ .loop = pk_loop_new() };
	f.store = (struct pk_store){ .ops = &ops, .prefix = prefix };
	f.docs = pk_docs_new(NULL);
	watch("consul/operator");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pk_consul_free(f.watch);
	pk_docs_free(f.docs);
	pk_loop_free(f.loop);
	return 0;
}

/* Runs what is due now, one turn after the other; returns how many there were before the change. */
static size_t turns(void)
{
	const unsigned int before = f.changes;
	size_t n = 0;

	for (; f.changes == before && f.loop->n && f.loop->heap[1]->due <= f.loop->now; n++) {
		struct pk_timer *t = f.loop->heap[1];

		/* Nobody sees a part of the answer, whoever has the documents settled meanwhile. */
		assert_int_equal(in_force(), f.in_force);
		pk_timer_clear(t);
		t->fn(t->arg);
	}
	return n;
}

/* An operator's 10,000 documents are read in many turns, and in force in one. */
static void test_many_are_read_in_turns(void **state)
{
	/* A text that is read costs 16 of 1,024 that a turn has. */
	const size_t least = MANY / (PK_DOCS_TURN / 16) - 1;

	(void)state;
	answer(MANY, "ingress", 7);
	assert_int_equal(f.changes, 0);
	assert_in_range(turns(), least, 2 * least);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.in_force, MANY);
	/* It waits for the next answer, of which one whose texts are known needs no reading. */
	pass(f.loop, 2000);
	answer(MANY, "ingress", 8);
	assert_in_range(turns(), 1, MANY / PK_DOCS_TURN + 1);
	pass(f.loop, 2000);
	answer(MANY, "egress", 9);
	/* What a node says of its index is what it has read: others believe it. */
	assert_true(pk_consul_is_reading(f.watch));
	assert_int_equal(pk_consul_source(f.watch)->index, 8);
	assert_in_range(turns(), least, 2 * least);
	assert_false(pk_consul_is_reading(f.watch));
	assert_int_equal(pk_consul_source(f.watch)->index, 9);
	assert_int_equal(f.changes, 2);
}

static void test_few_are_read_at_once(void **state)
{
	(void)state;
	answer(FEW, "ingress", 7);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.in_force, FEW);
}

/* A watch that ends, or is told that older is right, leaves what it was reading. */
static void test_what_is_half_read_is_left(void **state)
{
	(void)state;
	answer(MANY, "ingress", 7);
	pk_docs_history(f.docs, "consul/operator")->behind = true;
	assert_true(pk_consul_release(f.watch));
	pass(f.loop, 0);
	answer(FEW, "egress", 8);
	assert_int_equal(f.in_force, FEW);
	pass(f.loop, 2000);
	answer(MANY, "ingress", 9);
	assert_int_equal(f.in_force, FEW);
}

/* What one tenant writes is received up to his budget, and no further; the operator's has its own. */
static void test_whose_budget_is_asked_for(void **state)
{
	(void)state;
	assert_true(f.asked.cap == PK_CONSUL_BODY_MAX && f.asked.budget.keys == PK_CONSUL_KEYS_MAX);
	pk_consul_free(f.watch);
	watch("consul/tenant/acme");
	assert_non_null(strstr(f.asked.prefix, "/tenants/acme/"));
	assert_int_equal(f.asked.cap, PK_TENANT_BODY_MAX);
	assert_int_equal(f.asked.budget.keys, PK_TENANT_KEYS_MAX);
	assert_int_equal(f.asked.budget.text, PK_TENANT_TEXT_MAX);
}

/* An outage that begins while no question waits, as while an answer is read, is that of the next. */
static void test_an_outage_while_reading(void **state)
{
	const struct pk_source *source = pk_consul_source(f.watch);

	(void)state;
	answer(MANY, "ingress", 7);
	assert_true(pk_consul_is_reading(f.watch));
	pk_consul_unserved(f.watch, "no leader");
	turns();
	assert_int_equal(f.in_force, MANY);
	assert_int_equal(source->state, PK_SOURCE_OK);
	pass(f.loop, 2000);
	assert_non_null(f.fn);
	assert_int_equal(source->state, PK_SOURCE_STALE);
	assert_string_equal(source->last_error, "no leader");
	pk_consul_served(f.watch, false);
	assert_int_equal(source->state, PK_SOURCE_OK);
	/* What an answer says counts more than what was said before it. */
	pk_consul_unserved(f.watch, "no leader");
	assert_int_equal(source->state, PK_SOURCE_STALE);
	answer(MANY, "ingress", 8);
	turns();
	pass(f.loop, 2000);
	assert_non_null(f.fn);
	assert_int_equal(source->state, PK_SOURCE_OK);
	/* One that is over before the next question is none. */
	answer(MANY, "egress", 9);
	pk_consul_unserved(f.watch, "no leader");
	pk_consul_served(f.watch, false);
	turns();
	pass(f.loop, 2000);
	assert_non_null(f.fn);
	assert_int_equal(source->state, PK_SOURCE_OK);
	assert_int_equal(source->errors, 2);
}

/* Ends the watch and begins another one, as a restart does that knows the documents. */
static void restart(void)
{
	pk_consul_free(f.watch);
	f.fn = NULL;
	watch("consul/operator");
	f.histories = 0;
}

/*
 * A start asks the leader only where the first answer says something else than what is in force, or
 * shows that the store may have been set back.
 */
static void test_a_start_that_knows_all(void **state)
{
	static const struct {
		struct has has;
		bool behind, held; /* before */
		bool asks;
	} rows[] = {
		{ { FEW, "ingress", 7, 7, "3" }, .asks = false },
		{ { FEW, "ingress", 20, 7, "3" }, .asks = false },
		{ { FEW, "ingress", 20, 20, "3" },
		  .asks = false }, /* the same text, written again */
		{ { FEW, "ingress", 6, 7, "3" }, .asks = true },
		{ { FEW, "ingress", 20, 6, "3" }, .asks = true }, /* changed before */
		{ { FEW, "egress", 20, 20, "3" }, .asks = true },
		{ { FEW, "egress", 20, 7, "3" }, .asks = true },
		{ { FEW - 1, "ingress", 20, 7, "3" }, .asks = true },
		{ { 0, "ingress", 20, 7, "3" }, .asks = true },
		{ { FEW, "ingress", 20, 7, "4" }, .asks = true },
		{ { FEW, "ingress", 20, 7, "2" }, .asks = true },
		{ { FEW, "ingress", 20, 7, NULL }, .asks = true },
		{ { FEW, "ingress", 20, 7, "3" }, .behind = true, .asks = true },
		{ { FEW, "ingress", 20, 7, "3" }, .held = true, .asks = false }, /* it is back */
		{ { FEW - 1, "ingress", 20, 7, "3" }, .held = true, .asks = true },
	};

	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct pk_docs_history *h;

		answer_with(&(struct has){ FEW, "ingress", 7, 7, "3" });
		assert_int_equal(f.in_force, FEW);
		h = pk_docs_history(f.docs, "consul/operator");
		assert_true(h->index == 7 && h->generation == 3);
		pk_docs_history(f.docs, "consul/operator")->behind = rows[i].behind;
		if (rows[i].held)
			pk_docs_hold(f.docs, "consul", "its data are lost");
		restart();
		answer_with(&rows[i].has);
		if (f.histories != rows[i].asks)
			print_message("row %zu\n", i);
		assert_int_equal(f.histories, rows[i].asks);
		/* What wasn't asked about is believed, with the index that it came with. */
		if (!rows[i].asks) {
			assert_int_equal(pk_consul_source(f.watch)->state, PK_SOURCE_OK);
			assert_int_equal(h->index, rows[i].has.index);
			assert_int_equal(h->generation, 3);
			assert_int_equal(pk_docs_held(f.docs, "consul", NULL), 0);
		}
		assert_int_equal(in_force(), FEW);
		teardown(state);
		setup(state);
	}
}

/* What a store that was set back lacks later is held, though the start had nothing to ask for. */
static void test_a_loss_after_a_start_that_knew_all(void **state)
{
	const struct pk_docs_history *h;

	(void)state;
	answer(FEW, "ingress", 7);
	restart();
	answer_with(&(struct has){ FEW, "ingress", 20, 7, NULL });
	assert_int_equal(f.histories, 0);
	pass(f.loop, 2000);
	assert_int_equal(f.asked.wait->index, 20);
	answer(1, "egress", 21);
	assert_int_equal(f.histories, 1);
	answer(0, "", 19); /* the leader's store is behind what the answer at the start said */
	pass(f.loop, 2000);
	assert_int_equal(f.asked.wait->index, 0); /* a restore ends a wait with what was before */
	answer(1, "egress", 19);
	assert_int_equal(f.histories, 2);
	answer(0, "", 19);
	assert_true(f.asked.leaders);
	answer(1, "egress", 19);
	h = pk_docs_history(f.docs, "consul/operator");
	assert_true(h->behind && h->index == 20);
	assert_int_equal(pk_docs_held(f.docs, "consul", NULL), FEW - 1);
	assert_int_equal(in_force(), FEW);
}

/* An offer takes the text as it was read, and reads another one itself. */
static void test_an_offer_takes_what_was_read(void **state)
{
	struct pk_docs_ahead *ahead = pk_docs_ahead_new();
	const struct pk_doc_origin at = { .source = "file", .path = "/a", .ahead = ahead };
	static const char *const texts[] = { "[{\"endpointSelector\": {}, \"ingress\": [{}]}]",
					     "[{\"endpointSelector\": {}, \"egress\": [{}]}]",
					     "[{\"endpointSelector\": 7}]" };
	uint64_t hash[2];

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++) {
		assert_true(pk_docs_read_ahead(f.docs, ahead, &at, texts[i], strlen(texts[i])) > 1);
		assert_int_equal(pk_docs_ahead_count(ahead), 1);
		assert_int_equal(pk_docs_at(f.docs, 0) != NULL, i > 0);
		assert_true(pk_docs_offer(f.docs, &at, texts[i], strlen(texts[i])));
		assert_int_equal(pk_docs_ahead_count(ahead), 0);
		assert_int_equal(in_force(), 1);
		assert_int_equal(pk_docs_at(f.docs, 0)->refused, i == 2);
		assert_int_equal(pk_docs_read_ahead(f.docs, ahead, &at, texts[i], strlen(texts[i])),
				 1);
	}
	assert_int_equal(pk_docs_at(f.docs, 0)->notes.n, 1);
	pk_docs_read_ahead(f.docs, ahead, &at, texts[0], strlen(texts[0]));
	assert_true(pk_docs_offer(f.docs, &at, texts[1], strlen(texts[1])));
	assert_false(pk_docs_at(f.docs, 0)->refused);
	pk_hash128(texts[1], strlen(texts[1]), hash);
	assert_memory_equal(pk_docs_at(f.docs, 0)->hash, hash, sizeof(hash));
	pk_docs_ahead_free(ahead);
}

/* An address that doesn't answer is asked for stray keys once: the next look asks the next one. */
static void test_whom_stray_keys_are_asked_of(void **state)
{
	static const struct pk_store_answer none = { .why = "timeout" };
	struct pk_consul_strays *strays;

	(void)state;
	pk_consul_free(PK_MOVE(f.watch, NULL));
	strays =
		pk_consul_strays_new(&(struct pk_consul_args){ .loop = f.loop, .store = &f.store });
	for (unsigned int i = 0; i < 3; i++) {
		pass(f.loop, 120000);
		assert_non_null(f.fn);
		assert_int_equal(f.asked.turn, i);
		PK_MOVE(f.fn, NULL)(f.arg, &none);
	}
	pk_consul_strays_free(strays);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_many_are_read_in_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_are_read_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_half_read_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whose_budget_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_outage_while_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_start_that_knows_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_loss_after_a_start_that_knew_all, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_an_offer_takes_what_was_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whom_stray_keys_are_asked_of, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
