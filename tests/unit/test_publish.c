// SPDX-License-Identifier: Apache-2.0
/* How a node's keys in Consul end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "own.h"
#include "publish_private.h"
#include "share.h"
#include "tests/unit/publish_fixture.h"

#define HOUR 3600000u

static void test_a_tenants_key_says_first_that_there_is_none(void **state)
{
	struct pk_publish p = { 0 };
	struct key *share = add(&p, "tenants/acme/n1", "{}"), *node = add(&p, "nodes/n1", "{}");

	(void)state;
	share->seen = node->seen = true;
	assert_int_equal(publish_want_ends(&p, 1000), 0);
	assert_true(share->written && node->written);
	assert_int_equal(publish_want_ends(&p, 2000), HOUR);
	assert_string_equal(share->body, NOBODYS);
	assert_false(share->written);
	assert_null(node->body); /* it goes at once */
	share->written = true;
	assert_int_equal(publish_want_ends(&p, 3000), HOUR - 1000);
	assert_true(share->written);
	assert_int_equal(publish_want_ends(&p, 2000 + HOUR), 0);
	assert_null(share->body);
	assert_false(share->written);
	assert_int_equal(publish_want_ends(&p, 3000 + HOUR), 0);
	assert_null(share->body);
	done(&p);
}

static void test_an_earlier_picketds_key(void **state)
{
	struct pk_publish p = { 0 }, alone = { .args.alone = true };
	struct key *share = add(&p, "tenants/acme/n1", NULL);

	(void)state;
	assert_int_equal(publish_want_ends(&p, 5), HOUR);
	assert_string_equal(share->body, NOBODYS);
	share = add(&alone, "tenants/acme/n1", NULL); /* of when there was a fabric */
	assert_int_equal(publish_want_ends(&alone, 5), 0);
	assert_null(share->body);
	done(&p);
	done(&alone);
}

static void add_many(struct pk_share *share, int n)
{
	for (int i = 0; i < n; i++) {
		struct pk_world_endpoint *ep;
		char key[20];

		snprintf(key, sizeof(key), "c%03d@eth0", i);
		ep = pk_world_endpoint_new(key);
		assert_int_equal(
			pk_label_set_parse("[\"nomad:namespace=acme\"]", &ep->labels, NULL), 0);
		pk_share_add(share, ep, 1);
	}
}

/* A share that a store doesn't take whole has those endpoints that fit, the first by their keys. */
static void test_a_share_with_too_many(void **state)
{
	struct pk_share share = { 0 }, back;
	struct pk_label_sets *sets = pk_label_sets_new();
	own_str text = { 0 }, again = { 0 };
	size_t n_left;

	(void)state;
	add_many(&share, 300);
	n_left = pk_share_encode_in(&share, 5000, &text);
	assert_int_equal(share.n, 300 - n_left);
	assert_true(n_left > 100 && share.n > 20);
	assert_true(text.len <= 5000 - 16);
	assert_int_equal(pk_share_decode(text.text, text.len, "acme", sets, &back, NULL), 0);
	assert_int_equal(back.n, share.n);
	assert_string_equal(back.list[0].ep->key, "c000@eth0");
	assert_int_equal(pk_share_encode_in(&share, 5000, &again), 0);
	assert_string_equal(again.text, text.text);
	pk_str_reset(&again);
	assert_int_equal(pk_share_encode_in(&share, 0, &again), 0);
	pk_str_reset(&again);
	pk_share_encode_in(&share, 10, &again); /* none fits */
	assert_int_equal(share.n, 0);
	pk_share_done(&share);
	pk_share_done(&back);
	pk_label_sets_free(sets);
}

static const struct pk_world_endpoint *find(const struct pk_share *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->list[i].ep->key, key) == 0)
			return s->list[i].ep;
	return NULL;
}

/* A share's parts are as many as it needs, each fits, and stay while they aren't half empty. */
static void test_parts(void **state)
{
	struct pk_share parts[PK_SHARE_PARTS] = { 0 }, share = { 0 };
	size_t n, all = 0;

	(void)state;
	add_many(&share, 300);
	assert_int_equal(pk_share_parts(&share, 60000, 1), 1);
	n = pk_share_parts(&share, 5000, 1);
	assert_int_equal(n, 8);
	assert_int_equal(pk_share_parts(&share, 5000, 32), 16); /* not 8 at once */
	assert_int_equal(pk_share_parts(&share, 60000, 32), 1);
	assert_int_equal(pk_share_parts(&share, 300, 1), PK_SHARE_PARTS); /* the rest is left out */
	pk_share_split(&share, parts, n);
	assert_int_equal(share.n, 0);
	for (size_t i = 0; i < PK_SHARE_PARTS; i++) {
		own_str text = { 0 };

		assert_int_equal(pk_share_encode_in(&parts[i], 5000, &text), 0);
		assert_true(i < n ? parts[i].n > 0 : !parts[i].n);
		all += find(&parts[i], "c007@eth0") != NULL;
		all += parts[i].n;
		pk_share_done(&parts[i]);
	}
	assert_int_equal(all, 301);
	pk_share_done(&share);
}

static void test_keys_of_parts(void **state)
{
	static const char *const none[] = {
		"tenants/acme",	      "tenants/acme/",		 "tenants//n1",
		"tenants/acme/n1/",   "tenants/acme/n1/0",	 "tenants/acme/n1/01",
		"tenants/acme/n1/32", "tenants/acme/n1/1/2",	 "tenants/acme/n1/x",
		"nodes/n1",	      "policies/tenants/acme/n1"
	};
	struct pk_share_key key;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(none); i++)
		assert_false(pk_share_key_read(none[i], &key));
	for (size_t part = 0; part < PK_SHARE_PARTS; part++) {
		own_str text = { 0 };

		pk_share_key_write("acme", "n1", part, &text);
		assert_true(pk_share_key_read(text.text, &key));
		assert_true(key.tenant_len == 4 && key.node_len == 2);
		assert_true(pk_share_key_is_of(text.text, "n1"));
		assert_false(pk_share_key_is_of(text.text, "n") ||
			     pk_share_key_is_of(text.text, "n12"));
	}
	assert_false(pk_share_key_is_of("tenants/acme/n1/1", "1"));
}

static uint64_t real_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* An older word's number is gone on from. One that nobody comes to is another's, who wrote this key to end it. */
static void test_numbers(void **state)
{
	const struct {
		uint64_t there, next; /* 0: the time */
	} rows[] = {
		{ 7, 0 },
		{ 4102444800000, 4102444800001 },
		{ 1ull << 52, (1ull << 52) + 1 },
		{ (1ull << 52) + 1, 0 },
		{ (1ull << 53) - 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pk_publish p = { .node = (char[]){ "n1" } };
		char text[80];
		uint64_t before, next[2];

		snprintf(text, sizeof(text), "{\"version\":1,\"number\":%llu,\"endpoints\":[]}",
			 (unsigned long long)rows[i].there);
		seen(&p, "nodes/n2", text, "s");
		before = real_ms();
		next[0] = pk_word_number_after(p.number);
		next[1] = pk_word_number_after(rows[i].there);
		for (int j = 0; j < 2; j++) {
			if (rows[i].next)
				assert_int_equal(next[j], rows[i].next);
			else
				assert_in_range(next[j], before, real_ms());
		}
		done(&p);
	}
}

/* Another's text in the place of one's own: that goes on from its number, for who kept that text. */
static void test_what_another_wrote(void **state)
{
	struct pk_publish p = { .node = (char[]){ "n1" } };
	struct key *k = add(&p, "tenants/acme/n1", NOBODYS);
	struct pk_loop *loop = pk_loop_new();

	(void)state;
	p.write = pk_timer_new(loop, nothing, NULL);
	k->text = pk_strdup(NOBODYS);
	seen(&p, k->name, NOBODYS, "s");
	assert_true(k->written && k->text);
	seen(&p, k->name, "{\"version\":1,\"number\":4102444800000,\"endpoints\":[]}", "s");
	assert_false(k->written);
	assert_null(k->text);
	assert_true(p.number == 4102444800000ull);
	pk_timer_free(p.write);
	pk_loop_free(loop);
	done(&p);
}

/* What is new is written first and what ends last, so that nobody is in no part meanwhile. */
static void test_whose_turn_it_is(void **state)
{
	struct pk_publish p = { 0 };
	struct key *first = add(&p, "tenants/acme/n1", "{}"),
		   *ends = add(&p, "tenants/acme/n1/2", "{}"),
		   *new = add(&p, "tenants/acme/n1/1", "{}");
	uint64_t wait;

	(void)state;
	first->written = ends->written = new->written = false;
	first->known = ends->known = true;
	first->parts = 2;
	ends->ends_ms = HOUR;
	assert_ptr_equal(publish_next(&p, 1000, &wait), new);
	new->not_before_ms = 61000;
	new->refusals = 3; /* it holds up nobody any more */
	assert_ptr_equal(publish_next(&p, 1000, &wait), first);
	new->refusals = 0;
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 60000);
	new->written = true;
	assert_ptr_equal(publish_next(&p, 1000, &wait), first);
	first->not_before_ms = 1500; /* it was written just now */
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 500);
	first->not_before_ms = 61000;
	first->stuck = true;
	assert_ptr_equal(publish_next(&p, 1000, &wait), ends);
	ends->written = true;
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 60000);
	done(&p);
}

/* A share's end, and its change, are told whatever else there is to tell. */
static void test_shares_wait_for_no_other(void **state)
{
	struct pk_publish p = { 0 };
	struct key *busy = add(&p, "tenants/busy/n1", "{}"),
		   *part = add(&p, "tenants/busy/n1/1", "{}"),
		   *refused = add(&p, "tenants/new/n1", "{}"),
		   *ends = add(&p, "tenants/acme/n1", NOBODYS);
	uint64_t wait;

	(void)state;
	busy->written = part->written = refused->written = ends->written = false;
	busy->known = part->known = ends->known = true;
	busy->parts = 2;
	busy->not_before_ms = part->not_before_ms = 1500;
	refused->not_before_ms = 1700;
	ends->ends_ms = HOUR;
	assert_ptr_equal(publish_next(&p, 1000, &wait), ends);
	ends->written = true;
	assert_null(publish_next(&p, 1000, &wait));
	assert_int_equal(wait, 500);
	assert_ptr_equal(publish_next(&p, 1500, &wait), busy);
	done(&p);
}

static struct key *key_of(const struct pk_publish *p, const char *name)
{
	struct key *k;

	HASH_FIND_STR(p->keys, name, k);
	assert_non_null(k);
	return k;
}

static void share_of(struct pk_publish *p, int endpoints)
{
	struct pk_share share = { 0 };

	add_many(&share, endpoints);
	publish_want_share(p, "acme", &share);
	pk_share_done(&share);
	publish_want_ends(p, 1000);
}

/* A share that shrank and grows again takes a part anew before it leaves the other. */
static void test_a_share_that_grows_again(void **state)
{
	struct pk_config config = { .consul_prefix = "picket", .cluster = "c" };
	struct pk_store *consul = pk_store_consul_new(NULL, &config);
	struct pk_publish p = { .args.store = consul,
				.node = (char[]){ "n1" },
				.prefix = (char[]){ "p/" } };
	struct key *first, *part;
	uint64_t wait;

	(void)state;
	share_of(&p, 6000);
	first = key_of(&p, "tenants/acme/n1");
	part = key_of(&p, "tenants/acme/n1/1");
	assert_int_equal(first->parts, 2);
	first->written = part->written = first->known = part->known = true;
	share_of(&p, 10);
	assert_int_equal(first->parts, 1);
	assert_ptr_equal(publish_next(&p, 1000, &wait), first);
	first->written = true;
	assert_ptr_equal(publish_next(&p, 1000, &wait), part);
	part->written = true;
	share_of(&p, 6000);
	assert_false(first->written || part->written);
	assert_ptr_equal(publish_next(&p, 1000, &wait), part);
	done(&p);
	pk_store_free(consul);
}

/* What a store still has of this node, and nobody remembers, ends. */
static void test_a_part_that_nobody_remembers(void **state)
{
	struct pk_publish p = { .args.loop = pk_loop_new(), .node = (char[]){ "n1" } };
	struct key *part;

	(void)state;
	p.look = pk_timer_new(p.args.loop, nothing, NULL);
	seen(&p, "tenants/acme/n2/1", NOBODYS, "s");
	seen(&p, "tenants/acme/n1/1", NULL, "s");
	assert_null(p.keys);
	seen(&p, "tenants/acme/n1/1", NOBODYS, NULL);
	part = key_of(&p, "tenants/acme/n1/1");
	assert_int_equal(publish_want_ends(&p, 1000), HOUR);
	assert_string_equal(part->body, NOBODYS);
	assert_false(part->written);
	pk_timer_free(p.look);
	pk_loop_free(p.args.loop);
	done(&p);
}

/* Whose a key is: a part's number is no node's name. */
static void test_whose_word_a_key_is(void **state)
{
	(void)state;
	assert_true(pk_word_is_of("tenants/acme/n1", "n1"));
	assert_true(pk_word_is_of("tenants/acme/n1/3", "n1"));
	assert_true(pk_word_is_of("nodes/n1", "n1") && pk_word_is_of("status/nodes/n1", "n1"));
	assert_false(pk_word_is_of("tenants/acme/n2/1", "1"));
	assert_true(pk_word_is_of("tenants/acme/1/1", "1") && pk_word_is_of("tenants/acme/1", "1"));
	assert_false(pk_word_is_of("nodes/n2", "n1") || pk_word_is_of("nodes", "nodes"));
	assert_int_equal(pk_share_key_len("tenants/acme/n1/3"), strlen("tenants/acme/n1"));
	assert_int_equal(pk_share_key_len("nodes/n1"), 0);
}

/* Status says of a share that the store didn't take whole, until it does. */
static void test_a_share_that_was_cut(void **state)
{
	struct pk_config config = { .consul_prefix = "picket", .cluster = "c" };
	struct pk_store *consul = pk_store_consul_new(NULL, &config);
	struct pk_publish p = { .args.store = consul, .prefix = (char[]){ "picket/" } };
	struct key *share = add(&p, "tenants/acme/n1", "{}");

	(void)state;
	publish_good(&p);
	assert_int_equal(p.source.state, PK_SOURCE_OK);
	share->n_left = 3;
	publish_good(&p);
	assert_int_equal(p.source.state, PK_SOURCE_STALE);
	assert_non_null(strstr(p.source.last_error, "no room for 3 endpoints"));
	assert_non_null(strstr(p.source.last_error, "fix: spread"));
	assert_null(strstr(p.source.last_error, "use Consul"));
	share->n_left = 0;
	publish_good(&p);
	assert_int_equal(p.source.state, PK_SOURCE_OK);
	done(&p);
	pk_store_free(consul);
}

/* Consul refuses what is longer, and keeps the text of before, which others would go on believing. */
static void test_what_consul_takes(void **state)
{
	struct pk_config config = { .consul_prefix = "picket", .cluster = "c" };
	struct pk_store *consul = pk_store_consul_new(NULL, &config);
	own_mem char *text = pk_alloc((512u << 10) + 2);
	struct pk_err err = { 0 };

	(void)state;
	memset(text, 'x', 512u << 10);
	assert_int_equal(consul->ops->text_max, 512u << 10);
	assert_int_equal(pk_store_fits(consul, "picket/v1/c/status/nodes/n1", text, &err), 0);
	assert_int_equal(pk_store_fits(consul, "picket/v1/c/status/nodes/n1", NULL, &err), 0);
	text[512u << 10] = 'x';
	assert_int_equal(pk_store_fits(consul, "picket/v1/c/status/nodes/n1", text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "status/nodes/n1 would have 524289 bytes"));
	pk_store_free(consul);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tenants_key_says_first_that_there_is_none),
		cmocka_unit_test(test_an_earlier_picketds_key),
		cmocka_unit_test(test_a_share_that_was_cut),
		cmocka_unit_test(test_a_share_with_too_many),
		cmocka_unit_test(test_keys_of_parts),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_what_another_wrote),
		cmocka_unit_test(test_whose_turn_it_is),
		cmocka_unit_test(test_shares_wait_for_no_other),
		cmocka_unit_test(test_a_share_that_grows_again),
		cmocka_unit_test(test_a_part_that_nobody_remembers),
		cmocka_unit_test(test_whose_word_a_key_is),
		cmocka_unit_test(test_what_consul_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
