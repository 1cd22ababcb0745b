/* SPDX-License-Identifier: Apache-2.0 */
/* What Consul's answers about a session and to a write mean: only its own word counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "http.h"
#include "log.h"
#include "own.h"
#include "store_consul.h"

static struct {
	unsigned int asked;
	pk_http_fn *fn;
	void *arg;
	char url[256];
} server;

static struct {
	unsigned int n;
	bool done;
	enum pk_source_fault fault;
	char why[300];
} told;

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg)
{
	(void)http;
	server.asked++;
	server.fn = fn;
	server.arg = arg;
	snprintf(server.url, sizeof(server.url), "%s", request->url);
	return (struct pk_http_call *)&server;
}

void pk_http_cancel(struct pk_http_call *call)
{
	(void)call;
}

void pk_http_give_up(struct pk_http *http, const char *at, const char *why)
{
	(void)http, (void)at, (void)why;
}

static void on_told(void *arg, const struct pk_store_answer *answer)
{
	(void)arg;
	told.n++;
	told.done = answer->done;
	told.fault = answer->fault;
	snprintf(told.why, sizeof(told.why), "%s", answer->why ?: "");
}

static struct pk_store *store_new(struct pk_config *config)
{
	pk_config_init(config);
	config->consul.on = true;
	strcpy(config->consul.address[0], "http://192.0.2.1");
	memset(&told, 0, sizeof(told));
	return pk_store_consul_new(NULL, config);
}

static void answer(int status, const char *body)
{
	const struct pk_http_reply reply = {
		.status = status, .body = body, .len = strlen(body), .known_leader = 1
	};

	server.fn(server.arg, &reply);
}

enum meant { LIVES, OVER, FAILED };

static void test_a_session_that_is_looked_up(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum meant meant;
	} rows[] = {
		{ 200, "[{\"ID\":\"s\",\"Name\":\"picket n\"}]", LIVES },
		{ 200, "[]", OVER },
		{ 200, " [ ]\n", OVER },
		{ 403, "Permission denied", OVER }, /* the renewal's word stays */
		{ 200, "", FAILED },
		{ 200, "[", FAILED },
		{ 200, "[{\"ID\":", FAILED },
		{ 200, "<html>a proxy's page</html>", FAILED },
		{ 200, "{}", FAILED },
		{ 200, "{\"error\":\"backend\"}", FAILED },
		{ 200, "[1]", FAILED },
		{ 200, "[{\"error\":\"backend\"}]", FAILED },
		{ 200, "null", FAILED },
		{ 200, "false", FAILED },
		{ 200, "\"\"", FAILED },
		{ 200, "[] []", FAILED },
		{ 404, "no such page", FAILED },
		{ 500, "No cluster leader", FAILED },
	};
	struct pk_config config;
	struct pk_store *store;

	(void)state;
	store = store_new(&config);
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		memset(&told, 0, sizeof(told));
		assert_non_null(pk_store_hold(store, "s", "n", 0, on_told, NULL, NULL));
		assert_non_null(strstr(server.url, "/v1/session/renew/s"));
		answer(404, "Session id 's' not found");
		assert_non_null(strstr(server.url, "/v1/session/info/s?consistent=true"));
		assert_int_equal(told.n, 0);
		answer(rows[i].status, rows[i].body);
		assert_int_equal(told.n, 1);
		if (told.done != (rows[i].meant == LIVES) ||
		    (*told.why != '\0') != (rows[i].meant == FAILED))
			fail_msg("%d %s: done %d, \"%s\"", rows[i].status, rows[i].body, told.done,
				 told.why);
	}
	pk_store_free(store);
	pk_config_done(&config);
}

enum asked { WRITE, CREATE, RENEW };

/* An error that names the address: the asker goes to the next one. */
static void expect_error(const char *of)
{
	assert_int_equal(told.n, 1);
	if (told.done || !strstr(told.why, PK_SERVICE_OTHER) || told.fault != PK_FAULT_ANSWER)
		fail_msg("%s: done %d, \"%s\"", of, told.done, told.why);
}

static void test_what_answers_is_not_consul(void **state)
{
	static const struct {
		enum asked asked;
		const char *body;
		enum meant meant;
	} rows[] = {
		{ WRITE, "true", LIVES },
		{ WRITE, "true\n", LIVES },
		{ WRITE, "false", OVER },
		{ WRITE, "false\n", OVER },
		{ WRITE, "<html>under maintenance</html>", FAILED },
		{ WRITE, "", FAILED },
		{ WRITE, "tru", FAILED },
		{ WRITE, "trueish", FAILED },
		{ WRITE, "\"true\"", FAILED },
		{ WRITE, "{\"ok\":true}", FAILED },
		{ CREATE, "{\"ID\":\"s\"}", LIVES },
		{ CREATE, "<html>under maintenance</html>", FAILED },
		{ CREATE, "", FAILED },
		{ CREATE, "{}", FAILED },
		{ CREATE, "[]", FAILED },
		{ CREATE, "{\"ID\":\"\"}", FAILED },
		{ CREATE, "{\"ID\":1}", FAILED },
		{ RENEW, "[{\"ID\":\"s\"}]", LIVES },
		{ RENEW, "<html>under maintenance</html>", FAILED },
		{ RENEW, "", FAILED },
		{ RENEW, "{\"ID\":\"s\"}", FAILED },
		{ RENEW, "[{}]", FAILED },
		{ RENEW, "true", FAILED },
	};
	const struct pk_store_write write = { .key = "k", .value = "v", .holder = "s" };
	struct pk_config config;
	struct pk_store *store = store_new(&config);

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		memset(&told, 0, sizeof(told));
		if (rows[i].asked == WRITE)
			pk_store_write(store, &write, on_told, NULL, NULL);
		else
			pk_store_hold(store, rows[i].asked == RENEW ? "s" : "", "n", 0, on_told,
				      NULL, NULL);
		answer(200, rows[i].body);
		if (rows[i].meant == FAILED)
			expect_error(rows[i].body);
		else if (told.n != 1 || told.done != (rows[i].meant == LIVES) || *told.why)
			fail_msg("%s: done %d, \"%s\"", rows[i].body, told.done, told.why);
	}
	pk_store_free(store);
	pk_config_done(&config);
}

/* No renewal ever names no session; that is asked about, too, as a session that isn't found is. */
static void test_a_renewal_of_nothing_is_looked_up(void **state)
{
	struct pk_config config;
	struct pk_store *store = store_new(&config);

	(void)state;
	pk_store_hold(store, "s", "n", 0, on_told, NULL, NULL);
	answer(200, "[]");
	assert_int_equal(told.n, 0);
	assert_non_null(strstr(server.url, "/v1/session/info/s?consistent=true"));
	answer(200, "[]");
	assert_int_equal(told.n, 1);
	assert_false(told.done);
	assert_string_equal(told.why, "");
	pk_store_free(store);
	pk_config_done(&config);
}

/* That picketd can't ask is no fault of the server, which answered before. */
static void test_a_look_up_that_can_t_be_asked(void **state)
{
	struct pk_config config;
	struct pk_store *store = store_new(&config);
	const unsigned int asked = server.asked;

	(void)state;
	pk_store_hold(store, "s", "n", 0, on_told, NULL, NULL);
	strcpy(config.consul.token_file, "/nowhere/token");
	answer(404, "Session id 's' not found");
	assert_int_equal(server.asked, asked + 1);
	assert_int_equal(told.n, 1);
	assert_false(told.done);
	assert_non_null(strstr(told.why, "/nowhere/token"));
	assert_int_equal(told.fault, PK_FAULT_UNASKED);
	pk_store_free(store);
	pk_config_done(&config);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_that_is_looked_up),
		cmocka_unit_test(test_what_answers_is_not_consul),
		cmocka_unit_test(test_a_renewal_of_nothing_is_looked_up),
		cmocka_unit_test(test_a_look_up_that_can_t_be_asked),
	};

	pk_log_init("test", PK_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
