// SPDX-License-Identifier: Apache-2.0
/* What goes of a node that is gone for good: in which order, where it is stopped, and begun again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cluster/removal.h"
#include "own.h"

#define PREFIX	  "p/"
#define KEYS	  10
#define ADDRESSES 3 /* of the store */

/* A store in which calls are answered one after the other. */
struct pk_store_call {
	pk_store_fn *fn;
	void *arg;
	char *prefix; /* of a question */
	char *key, *value;
	unsigned int turn;
};

static struct {
	const char *keys[KEYS]; /* below the prefix; NULL: gone */
	const char *unlisted;	/* what the token may not list below */
	const char *filtered;	/* of that folder it may not see all */
	const char *forbidden;	/* what it may not write below */
	const char *unread;	/* the list of that folder fails */
	size_t unnamed;		/* keys that the list of what tenants were told has no room for */
	const char *broken;	/* the store fails the write of that key */
	unsigned int answers;	/* the address that answers; ADDRESSES: none does */
	unsigned int asked;	/* of whichever */
	struct pk_store_call *call;
	struct pk_str did; /* what was written, in order */
} s;

static bool is_below(const char *key, const char *prefix)
{
	return prefix && strncmp(key, prefix, strlen(prefix)) == 0;
}

static struct pk_store_call *begin_call(pk_store_fn *fn, void *arg)
{
	assert_null(s.call);
	s.call = pk_alloc(sizeof(*s.call));
	s.call->fn = fn;
	s.call->arg = arg;
	return s.call;
}

static struct pk_store_call *ask(struct pk_store *store, const struct pk_store_question *q,
				 pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)store, (void)err;
	assert_true(q->what == PK_STORE_NAMES && q->leaders);
	assert_string_equal(q->told_by, "two");
	begin_call(fn, arg)->prefix = pk_strdup(q->prefix);
	s.call->turn = q->turn;
	return s.call;
}

static struct pk_store_call *write_key(struct pk_store *store, const struct pk_store_write *w,
				       pk_store_fn *fn, void *arg, struct pk_err *err)
{
	(void)store, (void)err;
	assert_true(w->compares == (w->value != NULL));
	begin_call(fn, arg)->key = pk_strdup(w->key + strlen(PREFIX));
	s.call->value = w->value ? pk_strdup(w->value) : NULL;
	s.call->turn = w->turn;
	return s.call;
}

static void call_free(struct pk_store_call *c)
{
	free(c->prefix);
	free(c->key);
	free(c->value);
	free(c);
}

static void cancel(struct pk_store_call *c)
{
	assert_ptr_equal(c, s.call);
	call_free(PK_MOVE(s.call, NULL));
}

static void rule(const struct pk_store *store, const char *prefix, bool writes, struct pk_str *out)
{
	(void)store;
	pk_str_addf(out, "the rule %s%s", prefix, writes ? " writes" : "");
}

static void answer_question(const struct pk_store_call *c)
{
	struct pk_kv list[KEYS];
	struct pk_kvs kvs = { .list = list };
	struct pk_store_answer answer = { .kvs = &kvs };

	for (size_t i = 0; i < KEYS; i++) {
		own_str key = { 0 };

		pk_str_addf(&key, PREFIX "%s", s.keys[i] ?: "");
		if (s.keys[i] && is_below(key.text, c->prefix))
			list[kvs.n++] = (struct pk_kv){ .key = pk_str_take(&key) };
	}
	answer.unnamed = is_below(c->prefix + strlen(PREFIX), "status/tenants/") ? s.unnamed : 0;
	answer.filtered = is_below(c->prefix + strlen(PREFIX), s.filtered);
	if (is_below(c->prefix + strlen(PREFIX), s.unlisted)) {
		answer.why = "403";
		answer.fault = PK_FAULT_ANSWER;
		answer.refused = true;
	} else if (is_below(c->prefix + strlen(PREFIX), s.unread)) {
		answer.why = "more than 64 MiB";
		answer.fault = PK_FAULT_ANSWER;
	}
	c->fn(c->arg, &answer);
	for (size_t i = 0; i < kvs.n; i++)
		free(list[i].key);
}

static void answer_write(const struct pk_store_call *c)
{
	struct pk_store_answer answer = { .done = true, .fault = PK_FAULT_ANSWER };

	if (is_below(c->key, s.forbidden)) {
		answer.why = "403";
		answer.refused = true;
	} else if (is_below(c->key, s.broken)) {
		answer.why = "500";
	} else {
		pk_str_addf(&s.did, "%s%s ", c->key, c->value ? "=" : "");
		for (size_t i = 0; i < KEYS; i++)
			if (s.keys[i] && !c->value && strcmp(s.keys[i], c->key) == 0)
				s.keys[i] = NULL;
	}
	c->fn(c->arg, &answer);
}

static void answer_call(const struct pk_store_call *c)
{
	static const struct pk_store_answer none = { .why = "timeout", .fault = PK_FAULT_SILENT };

	s.asked++;
	if (c->turn % ADDRESSES != s.answers)
		c->fn(c->arg, &none);
	else if (c->prefix)
		answer_question(c);
	else
		answer_write(c);
}

static char prefix[] = PREFIX;
static const struct pk_store_ops ops = {
	.name = "it", .ask = ask, .write = write_key, .cancel = cancel, .rule = rule
};
static struct pk_store store = { &ops, prefix };
static struct pk_removed ended;
static char left[400];

static void on_end(void *arg, const struct pk_removed *removed)
{
	(void)arg;
	ended = *removed;
	strcpy(left, removed->left ?: "");
}

/* Starts it, and answers what it asks. */
static void run(void)
{
	struct pk_claim_word two = { .node = "two", .machine = "m" };
	struct pk_claim_word one = { .node = "one", .machine = "m" };
	struct pk_claim_word rests = { .node = "two", .machine = "m", .returned = 5 };
	struct pk_block_claim list[] = { { .key = "blocks/1", .word = &one, .modified = 1 },
					 { .key = "blocks/2", .word = &two, .modified = 2 },
					 { .key = "blocks/3", .word = &rests, .modified = 3 },
					 { .key = "blocks/4", .word = &two } };
	const struct pk_block_claims claims = { list, PK_ARRAY_LEN(list) };
	const struct pk_removal_args args = {
		.store = &store, .node = "two", .addresses = ADDRESSES, .claims = &claims
	};

	pk_str_reset(&s.did);
	assert_non_null(pk_removal_start(&args, on_end, NULL, NULL));
	while (s.call) {
		struct pk_store_call *c = PK_MOVE(s.call, NULL);

		answer_call(c);
		call_free(c);
	}
}

static int setup(void **state)
{
	static const char *const keys[KEYS] = {
		"nodes/one",
		"nodes/two",
		"status/nodes/one",
		"status/nodes/two",
		"status/tenants/acme/.all/two",
		"status/tenants/acme/two/one",
		"status/tenants/beta/db/two",
		"tenants/acme/two",
		"tenants/acme/two/1",
		"tenants/two/one",
	};

	(void)state;
	memset(&s, 0, sizeof(s));
	memcpy(s.keys, keys, sizeof(keys));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pk_str_done(&s.did);
	return 0;
}

#define TOLD  "status/nodes/two status/tenants/acme/.all/two status/tenants/beta/db/two "
#define WORDS "nodes/two tenants/acme/two tenants/acme/two/1 "

/* That by which the node is known comes after the rest, and its blocks come last. */
static void test_the_order(void **state)
{
	(void)state;
	run();
	assert_string_equal(s.did.text, TOLD WORDS "blocks/2= ");
	assert_null(ended.why);
	assert_string_equal(left, "");
	assert_int_equal(ended.keys, 6);
	assert_int_equal(ended.blocks, 1);
}

/* Where it was stopped it is asked for again, and does what is left. */
static void test_a_store_that_fails(void **state)
{
	(void)state;
	s.broken = "status/tenants/beta";
	run();
	assert_string_equal(ended.why, "500");
	assert_string_equal(s.did.text, "status/nodes/two status/tenants/acme/.all/two ");
	s.broken = "tenants/acme/two/1";
	run();
	assert_string_equal(ended.why, "500");
	assert_string_equal(s.did.text, "status/tenants/beta/db/two nodes/two tenants/acme/two ");
	s.broken = NULL;
	run();
	assert_null(ended.why);
	assert_string_equal(s.did.text, "nodes/two tenants/acme/two/1 blocks/2= ");
}

#define MAY_NOT(folder)                                                                            \
	"what it told below p/status/" folder                                                      \
	"; fix: give picketd's token the rule p/status/" folder " writes"

/* A token without the right to what was told takes out all else, and it is said. */
static void test_a_token_that_may_not(void **state)
{
	(void)state;
	s.forbidden = "status/";
	run();
	assert_null(ended.why);
	assert_string_equal(s.did.text, WORDS "blocks/2= ");
	assert_string_equal(left, MAY_NOT("nodes/") ", and " MAY_NOT("tenants/"));
	s.unlisted = "status/";
	run();
	assert_null(ended.why);
	assert_string_equal(left, MAY_NOT("nodes/") ", and " MAY_NOT("tenants/"));
	/* It sees some, and not all: what it sees goes. */
	s.unlisted = s.forbidden = NULL;
	s.filtered = "status/tenants/";
	run();
	assert_null(ended.why);
	assert_string_equal(s.did.text, TOLD "nodes/two blocks/2= ");
	assert_string_equal(left, MAY_NOT("tenants/"));
	s.filtered = NULL;
	/* Of its shares nothing is left in silence. */
	s.unlisted = "tenants/";
	run();
	assert_string_equal(ended.why, "403");
	s.unlisted = NULL;
	s.forbidden = "nodes/";
	run();
	assert_string_equal(ended.why, "403");
}

/* Tenants' many documents keep no node in the cluster. */
static void test_a_list_that_fails(void **state)
{
	(void)state;
	s.unread = "status/";
	run();
	assert_null(ended.why);
	assert_string_equal(s.did.text, WORDS "blocks/2= ");
	assert_string_equal(left, "what it told below p/status/nodes/, which harms nobody: "
				  "more than 64 MiB, and what it told below p/status/tenants/, "
				  "which harms nobody: more than 64 MiB");
	s.unread = "tenants/";
	run();
	assert_string_equal(ended.why, "more than 64 MiB");
}

/* Those that the list has no room for are counted; all that it names goes. */
static void test_more_than_is_listed(void **state)
{
	(void)state;
	s.unnamed = 3;
	run();
	assert_null(ended.why);
	assert_string_equal(s.did.text, TOLD WORDS "blocks/2= ");
	assert_string_equal(left, "what it told below p/status/tenants/, which harms nobody: 3 "
				  "more of its keys there than one tenant's are listed; fix: "
				  "delete those that end in its name");
}

/* What one address leaves unanswered the next is asked, each once; who answered is asked on. */
static void test_an_address_that_is_silent(void **state)
{
	(void)state;
	s.answers = 2;
	run();
	assert_null(ended.why);
	assert_string_equal(left, "");
	assert_string_equal(s.did.text, TOLD WORDS "blocks/2= ");
	assert_int_equal(s.asked, 2 + 3 + 7);
	s.answers = ADDRESSES;
	s.asked = 0;
	run();
	assert_string_equal(ended.why, "timeout");
	assert_int_equal(s.asked, 3 * ADDRESSES);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_store_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_token_that_may_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_list_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_is_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_address_that_is_silent, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
