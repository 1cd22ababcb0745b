/* SPDX-License-Identifier: Apache-2.0 */
/* How often what became of tenants' documents is written, taken or refused; on a clock of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "consul_told.h"
#include "log.h"
#include "own.h"
#include "tests/unit/virtual_loop.h"

#define MANY 40

/* The store, which answers each call after a millisecond. */
static struct {
	struct pk_timer *timer;
	pk_store_fn *fn;
	void *arg;
	bool refuses;
	unsigned int asked, written;
} server;

static struct fixture {
	struct pk_loop *loop;
	struct pk_store store;
	struct pk_consul_told *told;
	size_t tenants, documents; /* of the first tenant */
} f;

/* What it is told from: these tenants, and these documents. */
bool pk_apply_is_pending(const struct pk_apply *apply)
{
	(void)apply;
	return false;
}

const char *pk_consul_set_tenant(const struct pk_consul_set *set, size_t i, const char **over)
{
	static char name[16];

	(void)set;
	*over = NULL;
	snprintf(name, sizeof(name), "t%zu", i);
	return i < f.tenants ? name : NULL;
}

bool pk_api_tenant_states(const struct pk_parts *p, struct pk_api_states_walk *walk,
			  uint64_t deadline_ns)
{
	(void)p, (void)deadline_ns;
	for (size_t i = 0; i < f.documents; i++) {
		struct pk_doc_entry e = { 0 };
		own_str path = { 0 }, text = { 0 };

		pk_str_addf(&path, "picket/v1/default/policies/tenants/t0/d%zu", i);
		pk_str_addf(&text, "{\"state\":\"active\",\"n\":%zu}", i);
		e.path = path.text;
		walk->fn(walk->arg, &e, &text);
	}
	return true;
}

static void answer(void *arg)
{
	struct pk_kvs none = { 0 };
	const struct pk_store_answer good = { .kvs = &none, .done = true };
	const struct pk_store_answer bad = { .why = "Permission denied", .refused = true };

	(void)arg;
	server.fn(server.arg, server.refuses ? &bad : &good);
}

static struct pk_store_call *call(pk_store_fn *fn, void *arg)
{
	server.fn = fn;
	server.arg = arg;
	pk_timer_set(server.timer, 1);
	return (struct pk_store_call *)&server;
}

static struct pk_store_call *ask(struct pk_store *store, const struct pk_store_question *q,
				 pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)store, (void)q, (void)err;
	server.asked++;
	return call(fn, arg);
}

static struct pk_store_call *write_one(struct pk_store *store, const struct pk_store_write *w,
				       pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)store, (void)w, (void)err;
	server.written++;
	return call(fn, arg);
}

static int fits(const struct pk_store *store, const char *key, const char *value,
		struct pk_err *err)
{
	(void)store, (void)key, (void)value, (void)err;
	return 0;
}

static void rule(const struct pk_store *store, const char *prefix, bool writes, struct pk_str *out)
{
	(void)store, (void)prefix, (void)writes;
	pk_str_add(out, "a rule");
}

static void cancel(struct pk_store_call *c)
{
	(void)c;
}

static const struct pk_store_ops ops = { .origin = "consul",
					 .fits = fits,
					 .ask = ask,
					 .write = write_one,
					 .cancel = cancel,
					 .rule = rule };

static void begin(size_t tenants, size_t documents, bool refuses)
{
	static char prefix[] = "picket/v1/default/";
	static struct pk_parts parts;

	memset(&server, 0, sizeof(server));
	f = (struct fixture){ .loop = pk_loop_new(),
			      .store = { .ops = &ops, .prefix = prefix },
			      .tenants = tenants,
			      .documents = documents };
	server.refuses = refuses;
	server.timer = pk_timer_new(f.loop, answer, NULL);
	parts = (struct pk_parts){ .loop = f.loop, .node = "n1" };
	f.told = pk_consul_told_new(&parts, &f.store);
}

static void end(void)
{
	pk_consul_told_free(f.told);
	pk_timer_free(server.timer);
	pk_loop_free(f.loop);
}

/* One a second after the first few, and not much less: each is to be told. */
#define IS_PACED(n) assert_in_range(n, 20, 34)

static void test_what_is_written_is_paced(void **state)
{
	(void)state;
	begin(1, MANY, false);
	pass(f.loop, 30000);
	assert_int_equal(server.asked, 1);
	IS_PACED(server.written);
	pass(f.loop, 30000);
	assert_int_equal(server.written, MANY);
	end();
}

static void test_what_is_listed_is_paced(void **state)
{
	(void)state;
	begin(MANY, 0, false);
	pass(f.loop, 30000);
	IS_PACED(server.asked);
	pass(f.loop, 30000);
	assert_int_equal(server.asked, MANY);
	assert_int_equal(server.written, 0);
	end();
}

/* Each tenant's refusal puts off that tenant alone, and the next one isn't asked for at once. */
static void test_what_is_refused_is_paced(void **state)
{
	(void)state;
	begin(MANY, 0, true);
	pass(f.loop, 30000);
	IS_PACED(server.asked);
	pass(f.loop, 30000);
	assert_int_equal(server.asked, MANY);
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_paced),
		cmocka_unit_test(test_what_is_listed_is_paced),
		cmocka_unit_test(test_what_is_refused_is_paced),
	};

	pk_log_init("test", PK_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
