/* SPDX-License-Identifier: Apache-2.0 */
/* How often a token is asked for, and what each answer makes of it; on a clock of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "controller/sources/token_watch.h"
#include "tests/unit/virtual_loop.h"

/* The service: what it answers the next question with, and after how long. */
static struct {
	int status;
	uint64_t index, after_ms;
	unsigned int asked;
	struct pk_timer *timer;
	pk_http_fn *fn;
	void *arg;
} service;

static struct fixture {
	struct pk_loop *loop;
	struct pk_service to;
	struct pk_token_watch *watch;
	unsigned int told;
} f;

static void answer(void *arg)
{
	const struct pk_http_reply reply = { .status = service.status, .index = service.index };

	(void)arg;
	service.fn(service.arg, &reply);
}

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg)
{
	(void)http;
	assert_non_null(strstr(request->url, "/v1/acl/token/self"));
	service.asked++;
	service.fn = fn;
	service.arg = arg;
	pk_timer_set(service.timer, service.after_ms);
	return (struct pk_http_call *)&service;
}

void pk_http_cancel(struct pk_http_call *call)
{
	if (call)
		pk_timer_clear(service.timer);
}

void pk_http_give_up(struct pk_http *http, const char *server, const char *why)
{
	(void)http, (void)server, (void)why;
}

static void on_told(void *arg)
{
	(void)arg;
	f.told++;
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture){ .loop = pk_loop_new(), .to = { .on = true } };
	memset(&service, 0, sizeof(service));
	service.timer = pk_timer_new(f.loop, answer, NULL);
	strcpy(f.to.address[0], "http://127.0.0.1:1");
	strcpy(f.to.token, "secret");
	f.watch = pk_token_watch_new(&(struct pk_token_watch_args){
		.loop = f.loop, .service = &f.to, .header = "X-Nomad-Token", .told = on_told });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pk_token_watch_free(f.watch);
	pk_timer_free(service.timer);
	pk_loop_free(f.loop);
	return 0;
}

/* Lets time go by in which each question is answered so; returns how many there were. */
static unsigned int answered(int status, uint64_t index, uint64_t after_ms, uint64_t for_ms)
{
	const unsigned int before = service.asked;

	service.status = status;
	service.index = index;
	service.after_ms = after_ms;
	pass(f.loop, for_ms);
	return service.asked - before;
}

/* Nomad answers at once, whatever index is named. */
static void test_one_that_never_waits(void **state)
{
	(void)state;
	assert_in_range(answered(200, 9, 1, 600000), 600 / 17, 600 / 15 + 2);
	/* The token goes: that is known by the next question. */
	answered(403, 0, 1, 17500);
	assert_non_null(strstr(pk_token_watch_why(f.watch), "in picketd's environment"));
	strcpy(f.to.token_file, "/run/token");
	assert_non_null(strstr(pk_token_watch_why(f.watch), "that tokenFile names"));
}

/* Consul's wait ends with no news, and the next one begins. */
static void test_one_that_waits(void **state)
{
	(void)state;
	answered(200, 9, 1, 10);
	assert_in_range(answered(200, 9, 60000, 600000), 9, 11);
	assert_null(pk_token_watch_why(f.watch));
	assert_int_equal(f.told, 0);
}

/* One that was revoked is followed by one that the service has no word on: a workload's own. */
static void test_one_without_a_word(void **state)
{
	static const struct {
		int status;
		uint64_t index;
	} rows[] = { { 404, 0 }, { 401, 0 }, { 200, 0 } };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		answered(200, 9, 1, 60000);
		answered(403, 0, 1, 30000);
		assert_non_null(pk_token_watch_why(f.watch));
		f.told = 0;
		answered(rows[i].status, rows[i].index, 1, 30000);
		assert_null(pk_token_watch_why(f.watch));
		assert_int_equal(f.told, 1);
		/* It is asked for now and then, and a refusal is no news of it. */
		assert_in_range(answered(rows[i].status, rows[i].index, 1, 600000), 9, 11);
		answered(403, 0, 1, 60000);
		assert_null(pk_token_watch_why(f.watch));
	}
}

/* A wait's answer is about the token that it was asked with. */
static void test_one_that_replaced_it(void **state)
{
	(void)state;
	answered(200, 9, 1, 10);
	answered(200, 9, 60000, 100);
	answered(403, 0, 500, 59950);
	answered(200, 12, 60000, 1000);
	assert_null(pk_token_watch_why(f.watch));
	assert_int_equal(f.told, 0);
	assert_int_equal(service.asked, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_that_never_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_without_a_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_replaced_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
