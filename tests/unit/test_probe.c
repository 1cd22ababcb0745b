/* SPDX-License-Identifier: Apache-2.0 */
/* What questions to other nodes come to, and that a kernel refuses them without anything there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <event2/event.h>

#include "compile.h"
#include "controller/cluster/probe.h"
#include "own.h"

static void three_in_a_row_are_silence(void **state)
{
	struct pk_probe_tally t = { 0 };

	(void)state;
	assert_int_equal(pk_probe_tally_median(&t), 0);
	pk_probe_tally_take(&t, 300, 100);
	assert_int_equal(t.since, 100);
	pk_probe_tally_take(&t, 0, 110);
	pk_probe_tally_take(&t, 0, 120);
	assert_false(t.silent);
	pk_probe_tally_take(&t, 200, 130);
	for (int i = 0; i < 5; i++)
		pk_probe_tally_take(&t, 0, 140 + i);
	assert_true(t.silent);
	assert_int_equal(t.since, 140); /* the first that was lost */
	assert_int_equal(pk_probe_tally_lost(&t), 7);
	assert_int_equal(pk_probe_tally_last(&t), 0);
	pk_probe_tally_take(&t, 100, 150);
	assert_false(t.silent);
	assert_int_equal(t.since, 150);
	assert_int_equal(pk_probe_tally_last(&t), 100);
	assert_int_equal(pk_probe_tally_median(&t), 200);
}

static void one_that_never_answered_is_silent(void **state)
{
	struct pk_probe_tally t = { 0 };

	(void)state;
	for (int i = 0; i < PK_PROBE_SILENT; i++) {
		assert_false(t.silent);
		pk_probe_tally_take(&t, 0, 10 + i);
	}
	assert_true(t.silent);
	assert_int_equal(t.since, 10);
}

static void the_last_ones_count(void **state)
{
	struct pk_probe_tally t = { 0 };

	(void)state;
	for (uint32_t i = 1; i <= 10 * PK_PROBE_KEPT; i++)
		pk_probe_tally_take(&t, i, 1);
	assert_int_equal(t.n, PK_PROBE_KEPT);
	assert_int_equal(pk_probe_tally_last(&t), 10 * PK_PROBE_KEPT);
	assert_int_equal(pk_probe_tally_median(&t), 10 * PK_PROBE_KEPT - PK_PROBE_KEPT / 2 + 1);
	assert_int_equal(pk_probe_tally_lost(&t), 0);
}

static void say(struct pk_believed *b, const char *key, const char *addresses)
{
	own_str text = { 0 };
	struct pk_said said = { .key = key, .created = 1, .modified = 1, .live = true, .now = 1 };

	pk_str_addf(&text, "{\"version\":1,\"number\":1,\"blocks\":[],\"addresses\":[%s]}",
		    addresses);
	said.text = text.text;
	said.len = text.len;
	assert_int_equal(pk_believed_say(b, &said), 1);
}

static const char *const nodes[] = { "four", "six", "both" };

static void on_timer(void *arg)
{
	(void)arg;
}

/*
 * Of a node with two addresses the first can't be asked: nothing leads there. The others are of this
 * process' own network, where nobody opens the port.
 */
static void a_port_that_nobody_opened_answers(void **state)
{
	struct pk_loop *loop = pk_loop_new();
	struct pk_settings settings;
	struct pk_engine *engine;
	struct pk_remotes *remotes;
	struct pk_believed *b = pk_believed_new("own");
	const struct pk_believed_world world = { 0 };
	struct pk_timer *timer = pk_timer_new(loop, on_timer, NULL);
	struct pk_probe *probe;
	size_t up = 0;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link set lo up && ip addr add 192.0.2.1/32 dev lo && "
				"ip addr add 192.0.2.2/32 dev lo && "
				"ip addr add 2001:db8::1/128 dev lo nodad"),
			 0);
	pk_settings_init(&settings);
	engine = pk_engine_new(&settings);
	remotes = pk_remotes_new(engine);
	say(b, "nodes/four", "\"192.0.2.1\"");
	say(b, "nodes/six", "\"2001:db8::1\"");
	say(b, "nodes/both", "\"2001:db8:9::1\",\"192.0.2.2\"");
	say(b, "nodes/none", "");
	pk_believed_claims(b);
	pk_believed_settle(b, &world, remotes);
	probe = pk_probe_new(loop, b);
	for (int turns = 0; up < PK_ARRAY_LEN(nodes) && turns < 600; turns++) {
		pk_timer_set(timer, 100);
		event_base_loop(pk_loop_base(loop), EVLOOP_ONCE);
		up = 0;
		for (size_t i = 0; i < PK_ARRAY_LEN(nodes); i++) {
			const struct pk_probe_tally *t = pk_probe_of(probe, nodes[i]);

			up += t && pk_probe_tally_last(t) && !t->silent;
		}
	}
	assert_int_equal(up, PK_ARRAY_LEN(nodes));
	assert_null(pk_probe_of(probe, "none"));
	pk_believed_lack(b, "nodes/six", NULL, 2);
	pk_believed_claims(b);
	pk_believed_settle(b, &world, remotes);
	pk_probe_follow(probe);
	assert_null(pk_probe_of(probe, "six"));
	assert_non_null(pk_probe_of(probe, "four"));
	pk_probe_free(probe);
	pk_timer_free(timer);
	pk_believed_free(b);
	pk_remotes_free(remotes);
	pk_engine_free(engine);
	pk_settings_done(&settings);
	pk_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_in_a_row_are_silence),
		cmocka_unit_test(one_that_never_answered_is_silent),
		cmocka_unit_test(the_last_ones_count),
		cmocka_unit_test(a_port_that_nobody_opened_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
