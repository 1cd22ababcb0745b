// SPDX-License-Identifier: Apache-2.0
/*
 * Routes to many nodes' blocks are kept in turns, between which others are served. The kernel is one
 * in which each question and each change takes a millisecond, of a clock that is made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "virtual_loop.h"

#define pk_now_ns	    clock_ns
#define pk_nl_open	    kernel_open
#define pk_nl_close	    kernel_close
#define pk_nl_listen	    kernel_listen
#define pk_nl_routes	    kernel_routes
#define pk_nl_way	    kernel_way
#define pk_nl_route	    kernel_route
#define pk_nl_route_delete  kernel_route_delete
#define pk_nl_neigh_managed kernel_neigh_managed
#define pk_nl_send	    kernel_send
#define begin		    begin_pass /* the fixture has one of that name */
#include "controller/cluster/fabric.c"
#undef begin
#include "cluster_fixture.h"

#define NODES	250 /* each with a block of its own */
#define OLD	100 /* routes of ours that nobody wants any more */
#define MS	UINT64_C(1000000)
#define TURN_MS 10

struct pk_nl {
	char opened;
};

static struct {
	uint64_t ns; /* the clock */
	struct pk_nl_route_info routes[NODES + OLD];
	size_t n_routes, ways, neighbours;
	bool is_open;
} kernel;

uint64_t clock_ns(void)
{
	return kernel.ns;
}

int kernel_open(struct pk_nl **nl, struct pk_err *err)
{
	(void)err;
	assert_false(kernel.is_open);
	kernel.is_open = true;
	*nl = pk_alloc(sizeof(**nl));
	return 0;
}

void kernel_close(struct pk_nl *nl)
{
	kernel.is_open = false;
	free(nl);
}

int kernel_listen(const int *asked, struct pk_err *err)
{
	(void)asked, (void)err;
	return -1;
}

int kernel_routes(struct pk_nl *nl, struct pk_nl_route_info **list, size_t *n, struct pk_err *err)
{
	(void)nl, (void)err;
	*n = kernel.n_routes;
	*list = pk_alloc((*n + 1) * sizeof(**list));
	memcpy(*list, kernel.routes, *n * sizeof(**list));
	return 0;
}

int kernel_way(struct pk_nl *nl, const union pk_addr *to, uint32_t *ifindex, union pk_addr *via)
{
	(void)nl;
	kernel.ns += MS;
	kernel.ways++;
	*ifindex = 7;
	*via = *to;
	return 0;
}

void kernel_route(struct pk_nl *nl, const struct pk_nl_route *route)
{
	(void)nl;
	assert_true(kernel.n_routes < PK_ARRAY_LEN(kernel.routes));
	kernel.routes[kernel.n_routes++] = (struct pk_nl_route_info){ .to = route->to,
								      .via = route->via,
								      .ifindex = route->ifindex,
								      .protocol = route->protocol };
}

void kernel_route_delete(struct pk_nl *nl, const struct pk_nl_route *route)
{
	(void)nl;
	for (size_t i = 0; i < kernel.n_routes; i++) {
		if (compare(&kernel.routes[i].to, &route->to) != 0)
			continue;
		kernel.routes[i] = kernel.routes[--kernel.n_routes];
		return;
	}
	fail();
}

void kernel_neigh_managed(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr)
{
	(void)nl, (void)ifindex, (void)addr;
	kernel.neighbours++;
}

int kernel_send(struct pk_nl *nl, struct pk_err *err)
{
	(void)nl, (void)err;
	kernel.ns += MS;
	return 0;
}

static struct pk_loop *loop;
static struct pk_fabric *fabric;

/* Lets the loop make its next turn; returns how many milliseconds of the clock it took. */
static uint64_t turn(void)
{
	const uint64_t before = kernel.ns;
	struct pk_timer *t = loop->heap[1];

	assert_true(loop->n > 0);
	loop->now = t->due;
	pk_timer_clear(t);
	t->fn(t->arg);
	return (kernel.ns - before) / MS;
}

/* Makes turns until the pass that is under way, or the next one, is done. */
static size_t turns_of_a_pass(void)
{
	size_t n = 0;

	do {
		const uint64_t took = turn();

		/* One question more may be under way as the time is over. */
		assert_in_range(took, 0, TURN_MS + 1);
		n++;
	} while (kernel.is_open);
	return n;
}

static void say_node(size_t nr, const char *address)
{
	own_str key = { 0 }, text = { 0 };

	pk_str_addf(&key, "nodes/n%zu", nr);
	pk_str_addf(&text,
		    "{\"version\":1,\"number\":1,\"blocks\":[\"10.64.%zu.0/24\"],"
		    "\"addresses\":[\"%s%zu\"]}",
		    nr + 2, address, nr % 100 + 1);
	assert_true(say(key.text, text.text, nr + 1, false) >= 0);
}

static bool has_route(size_t third)
{
	struct pk_prefix want;
	own_str text = { 0 };

	pk_str_addf(&text, "10.64.%zu.0/24", third);
	assert_int_equal(pk_prefix_parse(text.text, &want), 0);
	for (size_t i = 0; i < kernel.n_routes; i++)
		if (compare(&kernel.routes[i].to, &want) == 0)
			return true;
	return false;
}

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	begin(state);
	for (size_t i = 0; i < NODES; i++)
		say_node(i, "192.0.2.");
	settle();
	for (size_t i = 0; i < OLD; i++) {
		struct pk_nl_route_info *r = &kernel.routes[kernel.n_routes++];
		own_str text = { 0 };

		pk_str_addf(&text, "10.99.%zu.0/24", i);
		*r = (struct pk_nl_route_info){ .protocol = PK_FABRIC_PROTOCOL };
		assert_int_equal(pk_prefix_parse(text.text, &r->to), 0);
	}
	loop = pk_loop_new();
	fabric = pk_fabric_new(loop, b, NULL);
	return 0;
}

static int teardown(void **state)
{
	pk_fabric_free(fabric);
	pk_loop_free(loop);
	return end(state);
}

/* No turn of a pass takes longer than others can wait, whatever it does. */
static void test_a_pass_is_made_in_turns(void **state)
{
	(void)state;
	pass(loop, TOGETHER_MS - 1);
	assert_int_equal(kernel.ways, 0); /* what is said together is taken together */
	assert_in_range(turns_of_a_pass(), (NODES + OLD + NODES + 100) / (TURN_MS + 1), 1000);
	assert_int_equal(kernel.n_routes, NODES);
	for (size_t i = 0; i < NODES; i++)
		assert_true(has_route(i + 2));
	assert_int_equal(kernel.neighbours,
			 100); /* one for each address, however many are behind */
	/* There is nothing to change: each way is looked at. */
	kernel.ways = 0;
	turns_of_a_pass();
	assert_int_equal(kernel.ways, NODES);
	assert_int_equal(kernel.n_routes, NODES);
}

/* What is believed changes between two turns: the pass ends as it began, and another follows. */
static void test_what_changes_meanwhile(void **state)
{
	(void)state;
	turn();
	assert_true(kernel.is_open);
	for (size_t i = 10; i < 20; i++) {
		own_str key = { 0 };

		pk_str_addf(&key, "nodes/n%zu", i);
		pk_believed_lack(b, key.text, NULL, 0);
	}
	settle();
	pk_fabric_soon(fabric);
	turns_of_a_pass();
	assert_true(has_route(12));
	assert_int_equal(loop->heap[1]->due, loop->now + TOGETHER_MS);
	turns_of_a_pass();
	assert_int_equal(kernel.n_routes, NODES - 10);
	assert_false(has_route(12));
	assert_true(has_route(22));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_pass_is_made_in_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_changes_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
