/* SPDX-License-Identifier: Apache-2.0 */
/* What Consul's answers about a session mean: only its word ends one. */
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

static void on_held(void *arg, const struct pk_store_answer *answer)
{
	(void)arg;
	told.n++;
	told.done = answer->done;
	snprintf(told.why, sizeof(told.why), "%s", answer->why ?: "");
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
	pk_config_init(&config);
	config.consul.on = true;
	strcpy(config.consul.address[0], "http://192.0.2.1");
	store = pk_store_consul_new(NULL, &config);
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		memset(&told, 0, sizeof(told));
		assert_non_null(pk_store_hold(store, "s", "n", 0, on_held, NULL, NULL));
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_that_is_looked_up),
	};

	pk_log_init("test", PK_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
