/* SPDX-License-Identifier: Apache-2.0 */
/* What catalogues say of a service is read in any pieces, judged, and held where it was no act. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "controller/sources/catalog_reader.h"
#include "controller/sources/instances.h"
#include "own.h"

#define CONSUL(id, address, status)                                                                \
	"{\"Node\":{\"Node\":\"n\",\"Address\":\"192.0.2.9\"},\"Service\":{\"ID\":\"" id           \
	"\",\"Address\":" address ",\"Port\":5432,\"Tags\":[{\"ID\":\"no\"}]},"                    \
	"\"Checks\":[{\"Status\":\"passing\"},{\"Status\":\"" status "\"}]}"

static int read_pieces(bool nomad, const char *text, size_t piece, struct pk_instances *out)
{
	struct pk_catalog_reader *reader = pk_catalog_reader_new(nomad);
	struct pk_err err = { 0 };
	size_t n = strlen(text);
	int r = 0;

	*out = (struct pk_instances){ 0 };
	for (size_t at = 0; at < n && r == 0; at += piece)
		r = pk_catalog_reader_feed(reader, text + at, n - at < piece ? n - at : piece,
					   &err);
	if (r == 0)
		r = pk_catalog_reader_end(reader, out, &err);
	assert_true(r == 0 || *err.text);
	pk_catalog_reader_free(reader);
	return r;
}

static void a_list_is_read_in_any_pieces(void **state)
{
	static const char text[] = "[" CONSUL("a", "\"10.9.0.5\"", "passing") "," CONSUL(
		"b", "\"\"",
		"warning") "," CONSUL("c", "null",
				      "critical") "," CONSUL("d", "7",
							     "passing") "," CONSUL("e",
										   "\"10.9.0.6\"",
										   "maintenance") "]";
	static const struct {
		const char *id, *address;
		enum pk_health health;
	} want[] = { { "a", "10.9.0.5", PK_HEALTH_PASSING },
		     { "b", "192.0.2.9", PK_HEALTH_WARNING },
		     { "c", "192.0.2.9", PK_HEALTH_CRITICAL },
		     { "d", "", PK_HEALTH_PASSING },
		     { "e", "10.9.0.6", PK_HEALTH_CRITICAL } };

	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		PK_OWN(pk_instances_done) struct pk_instances got = { 0 };

		assert_int_equal(read_pieces(false, text, piece, &got), 0);
		assert_int_equal(got.n, PK_ARRAY_LEN(want));
		for (size_t i = 0; i < got.n; i++) {
			assert_string_equal(got.list[i].id, want[i].id);
			assert_string_equal(got.list[i].address, want[i].address);
			assert_int_equal(got.list[i].health, want[i].health);
			assert_int_equal(got.list[i].port, 5432);
		}
	}
}

static void nomads_list_has_no_health(void **state)
{
	PK_OWN(pk_instances_done) struct pk_instances got = { 0 };

	(void)state;
	assert_int_equal(read_pieces(true,
				     "[{\"ID\":\"x\",\"AllocID\":\"y\",\"Address\":\"10.9.0.5\","
				     "\"Port\":70000}]",
				     7, &got),
			 0);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.list[0].address, "10.9.0.5");
	assert_int_equal(got.list[0].health, PK_HEALTH_UNKNOWN);
	assert_int_equal(got.list[0].port, 0);
}

static void what_is_no_list_is_an_error(void **state)
{
	static const char *const bad[] = { "{}", "[1]", "[{]", "[", "[[]]", "\"x\"", "[]]" };
	struct pk_instances got;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		assert_true(read_pieces(false, bad[i], 1, &got) < 0);
		assert_true(read_pieces(true, bad[i], 100, &got) < 0);
		assert_int_equal(got.n, 0);
	}
}

static void a_long_text_is_no_address(void **state)
{
	PK_OWN(pk_instances_done) struct pk_instances got = { 0 };
	char text[600];

	(void)state;
	snprintf(text, sizeof(text),
		 "[{\"ID\":\"%0400d\",\"Address\":\"10.9.0.5%0100d\"},"
		 "{\"Address\":\"10.9.0.5\",\"Address\":\"10.9.0.6\"}]",
		 1, 1);
	assert_int_equal(read_pieces(true, text, 9, &got), 0);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.list[0].id, "");
	assert_true(strlen(got.list[0].address) < PK_INSTANCE_TEXT);
	assert_string_equal(got.list[1].address, ""); /* which one of two is meant nobody knows */
}

static void there_are_not_too_many(void **state)
{
	PK_OWN(pk_str_done) struct pk_str text = { .cap = 1u << 20 };
	struct pk_instances got;

	(void)state;
	pk_str_add(&text, "[{}");
	for (int i = 1; i < PK_INSTANCES_MAX; i++)
		pk_str_add(&text, ",{}");
	pk_str_add(&text, "]");
	assert_int_equal(read_pieces(true, text.text, 1000, &got), 0);
	assert_int_equal(got.n, PK_INSTANCES_MAX);
	pk_instances_done(&got);
	text.text[text.len - 1] = ',';
	pk_str_add(&text, "{}]");
	assert_int_equal(read_pieces(true, text.text, 1000, &got), -E2BIG);
}

/* --- judgement --- */

struct scene {
	struct pk_declared_service declared;
	struct pk_instance_table table;
	struct pk_instance said[PK_INSTANCES_MAX];
	size_t n;
	uint64_t now_ms;
	bool first, behind;
};

/* 10.9.0.9 is an endpoint's. */
static enum pk_instance_state where(void *arg, const struct pk_declared_service *d,
				    const struct pk_instance *said, const union pk_addr *addr,
				    char *why, size_t room)
{
	char text[PK_ADDR_TEXT];

	(void)arg, (void)d, (void)said;
	if (strcmp(pk_addr_format(addr, text), "10.9.0.9") != 0)
		return PK_INSTANCE_COUNTS;
	snprintf(why, room, "an endpoint's");
	return PK_INSTANCE_REFUSED;
}

static struct scene *scene(void)
{
	struct scene *s = pk_alloc(sizeof(*s));

	pk_prefix_parse("10.9.0.0/24", &s->declared.within[0]);
	s->declared.n_within = 1;
	s->now_ms = 1000000;
	return s;
}

static void say(struct scene *s, const char *address, enum pk_health health)
{
	struct pk_instance *one = &s->said[s->n++];

	*one = (struct pk_instance){ .health = health };
	snprintf(one->address, sizeof(one->address), "%s", address);
}

/* Takes what was said; returns how many addresses count. */
static size_t take(struct scene *s)
{
	const struct pk_instances all = { s->said, s->n };
	const struct pk_instance_look look = { .declared = &s->declared,
					       .instances = &all,
					       .first = s->first,
					       .behind = s->behind,
					       .now_ms = s->now_ms,
					       .where = where };

	pk_instance_table_take(&s->table, &look);
	pk_instance_table_fill(&s->table, &s->declared);
	s->n = 0;
	s->now_ms += 100000;
	return s->declared.n_instances;
}

static size_t count(const struct scene *s, enum pk_instance_state state)
{
	return pk_instance_table_count(&s->table, state);
}

static size_t take_some(struct scene *s, int from, int to)
{
	char text[PK_ADDR_TEXT];

	for (int i = from; i < to; i++) {
		snprintf(text, sizeof(text), "10.9.0.%d", i + 10);
		say(s, text, PK_HEALTH_PASSING);
	}
	return take(s);
}

static void what_is_said_is_judged(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	say(s, "10.9.0.5", PK_HEALTH_PASSING);
	say(s, "10.9.0.5", PK_HEALTH_CRITICAL); /* another port of it */
	say(s, "10.9.0.6", PK_HEALTH_WARNING);
	say(s, "10.9.0.7", PK_HEALTH_CRITICAL);
	say(s, "10.9.0.8", PK_HEALTH_UNKNOWN);
	say(s, "10.9.0.9", PK_HEALTH_PASSING);
	say(s, "10.9.1.5", PK_HEALTH_PASSING);
	say(s, "db.example.com", PK_HEALTH_PASSING);
	say(s, "", PK_HEALTH_PASSING);
	assert_int_equal(take(s), 3);
	assert_int_equal(count(s, PK_INSTANCE_REFUSED), 4);
	assert_int_equal(count(s, PK_INSTANCE_CRITICAL), 2);
}

static void one_goes_and_many_are_held(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	assert_int_equal(take_some(s, 0, 5), 5);
	assert_int_equal(take_some(s, 0, 4), 4); /* one goes */
	assert_int_equal(take_some(s, 0, 2), 2); /* half of four may go */
	assert_int_equal(take_some(s, 0, 1), 1);
	assert_int_equal(take_some(s, 0, 0), 0); /* the last one, by itself */
	assert_int_equal(take_some(s, 0, 5), 5);
	assert_int_equal(take_some(s, 0, 2), 5); /* three of five */
	assert_int_equal(count(s, PK_INSTANCE_HELD), 3);
	assert_int_equal(take_some(s, 0, 2), 5); /* they stay, whatever comes */
	assert_int_equal(take_some(s, 0, 4), 5);
	assert_int_equal(count(s, PK_INSTANCE_HELD), 1);
	assert_int_equal(pk_instance_table_release(&s->table), 1);
	assert_true(pk_instance_table_fill(&s->table, &s->declared));
	assert_int_equal(s->declared.n_instances, 4);
	say(s, "10.9.0.5", PK_HEALTH_PASSING);
	assert_int_equal(take(s), 5); /* the four are held */
	assert_int_equal(pk_instance_table_release(&s->table), 4);
	say(s, "10.9.0.5", PK_HEALTH_PASSING);
	say(s, "10.9.0.5", PK_HEALTH_PASSING); /* two ports of one address are one */
	assert_int_equal(take(s), 1);
	assert_int_equal(take(s), 0);
}

static void one_after_another_is_many(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	assert_int_equal(take_some(s, 0, 6), 6);
	s->now_ms -= 100000;
	assert_int_equal(take_some(s, 0, 5), 5);
	s->now_ms -= 99990;
	assert_int_equal(take_some(s, 0, 3), 3); /* three of six: half */
	s->now_ms -= 99990;
	assert_int_equal(take_some(s, 0, 1), 3); /* with those before it is more than half */
}

static void an_older_history_takes_nothing_away(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	assert_int_equal(take_some(s, 0, 2), 2);
	s->behind = true;
	assert_int_equal(take_some(s, 0, 1), 2);
	assert_int_equal(count(s, PK_INSTANCE_HELD), 1);
}

static void an_empty_first_answer_takes_nothing_away(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	pk_addr_parse("10.9.0.5", &s->declared.instances[0]);
	s->declared.n_instances = 1;
	pk_instance_table_init(&s->table, &s->declared);
	s->first = true;
	assert_int_equal(take(s), 1);
	assert_int_equal(count(s, PK_INSTANCE_HELD), 1);
	say(s, "10.9.0.5", PK_HEALTH_PASSING);
	assert_int_equal(take(s), 1);
	assert_int_equal(count(s, PK_INSTANCE_HELD), 0);
}

/* An address that is the cluster's by now is out at once, held or not. */
static void what_an_address_is_may_change(void **state)
{
	own_mem struct scene *s = scene();
	const struct pk_instance_look look = { .declared = &s->declared, .where = where };

	(void)state;
	assert_int_equal(take_some(s, 0, 3), 3);
	assert_int_equal(take(s), 3);
	pk_prefix_parse("10.9.0.10/32", &s->declared.within[0]);
	pk_instance_table_again(&s->table, &look);
	assert_true(pk_instance_table_fill(&s->table, &s->declared));
	assert_int_equal(s->declared.n_instances, 1);
}

/* Nothing is held whose address the operator, or the cluster, has meanwhile for something else. */
static void what_is_no_instance_any_more_is_not_held(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	assert_int_equal(take_some(s, 0, 3), 3);
	pk_prefix_parse("10.9.0.10/31", &s->declared.within[0]);
	assert_int_equal(take_some(s, 0, 3), 2); /* the third is refused */
	assert_int_equal(take(s), 2);
	pk_prefix_parse("10.9.0.10/32", &s->declared.within[0]);
	assert_int_equal(take(s), 1); /* one of those held isn't declared any more */
}

static void more_than_count_at_once_are_refused(void **state)
{
	own_mem struct scene *s = scene();
	const struct pk_instance_look look = { .declared = &s->declared, .where = where };

	(void)state;
	assert_int_equal(take_some(s, 0, 100), PK_DECLARED_SERVICE_INSTANCES);
	assert_int_equal(count(s, PK_INSTANCE_REFUSED), 100 - PK_DECLARED_SERVICE_INSTANCES);
	pk_instance_table_again(&s->table, &look); /* the same ones, whatever their addresses */
	assert_int_equal(count(s, PK_INSTANCE_REFUSED), 100 - PK_DECLARED_SERVICE_INSTANCES);
	assert_int_equal(take_some(s, 0, 200), PK_DECLARED_SERVICE_INSTANCES);
	assert_int_equal(s->table.left_out, 200 - PK_INSTANCE_ROWS);
	assert_int_equal(take(s), PK_DECLARED_SERVICE_INSTANCES); /* all held, none without a row */
	assert_int_equal(count(s, PK_INSTANCE_HELD), PK_DECLARED_SERVICE_INSTANCES);
}

static void many_refused_shut_nothing_out(void **state)
{
	own_mem struct scene *s = scene();

	(void)state;
	assert_int_equal(take_some(s, 0, 1), 1);
	for (int i = 0; i < PK_INSTANCE_ROWS; i++)
		say(s, "10.8.0.1", PK_HEALTH_PASSING);
	assert_int_equal(take_some(s, 0, 2), 2);
	assert_int_equal(count(s, PK_INSTANCE_COUNTS), 2);
	assert_int_equal(s->table.left_out, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read_in_any_pieces),
		cmocka_unit_test(nomads_list_has_no_health),
		cmocka_unit_test(what_is_no_list_is_an_error),
		cmocka_unit_test(a_long_text_is_no_address),
		cmocka_unit_test(there_are_not_too_many),
		cmocka_unit_test(what_is_said_is_judged),
		cmocka_unit_test(one_goes_and_many_are_held),
		cmocka_unit_test(one_after_another_is_many),
		cmocka_unit_test(an_older_history_takes_nothing_away),
		cmocka_unit_test(an_empty_first_answer_takes_nothing_away),
		cmocka_unit_test(what_an_address_is_may_change),
		cmocka_unit_test(what_is_no_instance_any_more_is_not_held),
		cmocka_unit_test(more_than_count_at_once_are_refused),
		cmocka_unit_test(many_refused_shut_nothing_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
