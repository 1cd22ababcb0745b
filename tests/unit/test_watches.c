/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a watch asks a server that never waits, and what it makes of an outage that is said; on
 * a clock of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_watch.h"
#include "consul_watch.h"
#include "keys_watch.h"
#include "log.h"
#include "nomad_watch.h"
#include "own.h"
#include "store_vars.h"
#include "tests/unit/virtual_loop.h"
#include "token_watch.h"

#define NODES                                                                                      \
	"[{\"ID\":\"7a94ec5f-0000-4000-8000-000000000001\",\"Name\":\"n\",\"Datacenter\":\"dc1\"," \
	"\"NodePool\":\"default\",\"Version\":\"1.11.2\",\"Status\":\"ready\"}]"
#define PREFIX "picket/v1/default/"
#define KEY(k) "[{\"Key\":\"" PREFIX k "\",\"Value\":\"e30=\",\"ModifyIndex\":7}]"

typedef uint64_t index_fn(unsigned int n);

/* A question that is under way. */
struct pk_http_call {
	struct pk_timer *timer;
	pk_http_sink_fn *sink;
	pk_http_fn *fn;
	void *arg;
	char url[512];
};

static struct {
	struct pk_http_call *last; /* the last question, while it is under way; or NULL */
	const char *counted;	   /* a part of the URLs of the questions that are counted */
	unsigned int asked;
	index_fn *index; /* of the answer to that question; NULL: the test answers by hand */
} server;

static struct fixture {
	struct pk_loop *loop;
	struct pk_config config;
	struct pk_docs *docs;
	struct pk_store *store;
	unsigned int answers; /* that were told */
} f;

static const char *body(const char *url)
{
	if (strstr(url, "/v1/nodes"))
		return NODES;
	if (strstr(url, "/operator/?recurse"))
		return KEY("policies/operator/web");
	if (strstr(url, "/nodes/?recurse"))
		return KEY("nodes/n1");
	if (strstr(url, "/v1/acl/"))
		return "{}";
	return "[]";
}

static void end(struct pk_http_call *c)
{
	if (server.last == c)
		server.last = NULL;
	pk_timer_free(c->timer);
	free(c);
}

static void answer(struct pk_http_call *c, uint64_t index)
{
	const char *text = body(c->url);
	struct pk_http_reply reply = { .status = 200,
				       .body = text,
				       .len = strlen(text),
				       .index = index,
				       .streamed = strstr(c->url, "index=") != NULL,
				       .known_leader = 1 };
	pk_http_fn *fn = c->fn;
	void *arg = c->arg;

	if (c->sink) {
		assert_true(c->sink(arg, text, reply.len));
		reply.body = "";
		reply.len = 0;
	}
	end(c);
	fn(arg, &reply);
}

static void on_time(void *arg)
{
	answer(arg, server.index(server.asked));
}

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg)
{
	struct pk_http_call *c = pk_alloc(sizeof(*c));

	(void)http;
	*c = (struct pk_http_call){ .sink = request->sink, .fn = fn, .arg = arg };
	snprintf(c->url, sizeof(c->url), "%s", request->url);
	c->timer = pk_timer_new(f.loop, on_time, c);
	if (server.index)
		pk_timer_set(c->timer, 1);
	server.asked += server.counted && strstr(c->url, server.counted);
	server.last = c;
	return c;
}

void pk_http_cancel(struct pk_http_call *call)
{
	if (call)
		end(call);
}

void pk_http_give_up(struct pk_http *http, const char *at, const char *why)
{
	(void)http, (void)at, (void)why;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void on_keys(void *arg, const struct pk_keys_answer *said)
{
	(void)arg, (void)said;
	f.answers++;
}

static void on_instances(void *arg, const struct pk_catalog_answer *said)
{
	(void)arg, (void)said;
}

static void on_node(void *arg, const struct pk_nomad_node *node)
{
	(void)arg, (void)node;
}

static void on_allocs(void *arg, struct pk_allocs *allocs)
{
	(void)arg, (void)allocs;
	f.answers++;
}

static struct pk_keys_watch *keys_watch(bool many)
{
	return pk_keys_watch_new(&(struct pk_keys_watch_args){ .loop = f.loop,
							       .store = f.store,
							       .prefix = PREFIX "nodes/",
							       .budget = { 4096, 1u << 20 },
							       .cap = 1u << 20,
							       .many = many,
							       .fn = on_keys });
}

static struct pk_nomad *nomad_watch(void)
{
	const struct pk_nomad_fns fns = { on_node, on_allocs, NULL };

	return pk_nomad_new(f.loop, NULL, &f.config, &fns);
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture){ .loop = pk_loop_new() };
	memset(&server, 0, sizeof(server));
	pk_log_init("test", PK_LOG_ERROR);
	pk_config_init(&f.config);
	f.config.consul.on = f.config.nomad.on = true;
	strcpy(f.config.consul.address[0], "http://192.0.2.1");
	strcpy(f.config.nomad.address[0], "http://192.0.2.2");
	strcpy(f.config.nomad.token, "secret");
	strcpy(f.config.nomad_node, "n");
	f.docs = pk_docs_new(NULL);
	f.store = pk_store_consul_new(NULL, &f.config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pk_store_free(f.store);
	pk_docs_free(f.docs);
	pk_config_done(&f.config);
	assert_null(server.last);
	pk_loop_free(f.loop);
	return 0;
}

/* -- how often */

static uint64_t rising(unsigned int n)
{
	return 20 + n;
}

static uint64_t the_same(unsigned int n)
{
	(void)n;
	return 20;
}

static uint64_t to_and_fro(unsigned int n)
{
	return n % 2 ? 20 : 10;
}

static uint64_t every_third(unsigned int n)
{
	return 20 + n / 3;
}

/* Returns how often a server was asked in a minute, once the first few questions went at once. */
static unsigned int a_minute(index_fn *index, const char *counted)
{
	unsigned int before;

	server.index = index;
	server.counted = counted;
	pass(f.loop, 20000);
	before = server.asked;
	pass(f.loop, 60000);
	return server.asked - before;
}

/* One a second, and not much less: what changes is to be heard. */
#define IS_PACED(n) assert_in_range(n, 20, 66)

static struct pk_consul *documents_watch(void)
{
	return pk_consul_new(&(struct pk_consul_args){ .loop = f.loop,
						       .store = f.store,
						       .docs = f.docs,
						       .of = "consul/operator",
						       .changed = nothing,
						       .confirmed = nothing,
						       .meant = nothing });
}

static void test_documents_are_asked_for_at_a_pace(void **state)
{
	static const struct {
		index_fn *index;
		const char *counted; /* the documents, or with the store's history */
	} rows[] = { { rising, "/v1/kv/" },
		     { the_same, "/v1/kv/" },
		     { to_and_fro, "/v1/kv/" },
		     { every_third, "recurse" } };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		struct pk_consul *c = documents_watch();

		IS_PACED(a_minute(rows[i].index, rows[i].counted));
		pk_consul_free(c);
	}
}

static void test_keys_are_asked_for_at_a_pace(void **state)
{
	static index_fn *const all[] = { rising, the_same, to_and_fro, every_third };

	(void)state;
	for (size_t i = 0; i < 2 * PK_ARRAY_LEN(all); i++) {
		struct pk_keys_watch *w = keys_watch(i % 2);

		IS_PACED(a_minute(all[i / 2], "/v1/kv/"));
		pk_keys_watch_free(w);
	}
}

static void test_allocs_are_asked_for_at_a_pace(void **state)
{
	static index_fn *const all[] = { rising, the_same, to_and_fro, every_third };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
		struct pk_nomad *n = nomad_watch();

		IS_PACED(a_minute(all[i], "/allocations"));
		pk_nomad_free(n);
	}
}

static void test_services_are_asked_for_at_a_pace(void **state)
{
	static index_fn *const all[] = { rising, the_same, to_and_fro, every_third };

	(void)state;
	for (size_t i = 0; i < 2 * PK_ARRAY_LEN(all); i++) {
		const bool nomad = i % 2;
		struct pk_catalog_watch *w = pk_catalog_watch_new(&(struct pk_catalog_watch_args){
			.loop = f.loop,
			.service = nomad ? &f.config.nomad : &f.config.consul,
			.nomad = nomad,
			.name = "web",
			.tenant_name = "acme",
			.fn = on_instances });

		IS_PACED(a_minute(all[i / 2], "/service/"));
		pk_catalog_watch_free(w);
	}
}

static void test_variables_are_asked_for_at_a_pace(void **state)
{
	static index_fn *const all[] = { rising, the_same, to_and_fro, every_third };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(all); i++) {
		struct pk_store *store = pk_store_vars_new(f.loop, NULL, &f.config, "n");

		IS_PACED(a_minute(all[i], "/v1/vars"));
		pk_store_free(store);
	}
}

static void test_a_token_is_asked_for_at_a_pace(void **state)
{
	struct pk_token_watch *w =
		pk_token_watch_new(&(struct pk_token_watch_args){ .loop = f.loop,
								  .service = &f.config.nomad,
								  .header = "X-Nomad-Token",
								  .told = nothing });

	(void)state;
	IS_PACED(a_minute(rising, "/v1/acl/"));
	pk_token_watch_free(w);
}

/* -- outages */

#define IS(source, is, n_errors)                                                                   \
	do {                                                                                       \
		assert_int_equal((source)->state, is);                                             \
		assert_int_equal((source)->errors, n_errors);                                      \
	} while (0)

/* Goes on to the next question. */
static void next(void)
{
	assert_null(server.last);
	pass(f.loop, 2000);
	assert_non_null(server.last);
}

/* An outage that is said while no question waits is that of the next one. */
static void test_an_outage_between_two_questions_for_keys(void **state)
{
	(void)state;
	for (int many = 0; many < 2; many++) {
		struct pk_keys_watch *w = keys_watch(many);
		const struct pk_source *source = pk_keys_watch_source(w);

		next();
		answer(server.last, 7);
		pk_keys_watch_unserved(w, "no leader");
		IS(source, PK_SOURCE_OK, 0);
		next();
		IS(source, PK_SOURCE_STALE, 1);
		assert_string_equal(source->last_error, "no leader");
		assert_int_equal(source->turn, 0); /* its question goes on where it is */
		pk_keys_watch_served(w, false);
		IS(source, PK_SOURCE_OK, 1);
		/* What an answer says counts more than what was said before it. */
		pk_keys_watch_unserved(w, "no leader");
		IS(source, PK_SOURCE_STALE, 2);
		answer(server.last, 7);
		next();
		IS(source, PK_SOURCE_OK, 2);
		/* One that is over before the next question is none. */
		answer(server.last, 7);
		pk_keys_watch_unserved(w, "no leader");
		pk_keys_watch_served(w, false);
		next();
		IS(source, PK_SOURCE_OK, 2);
		pk_keys_watch_free(w);
	}
}

static void test_an_outage_between_two_questions_for_allocs(void **state)
{
	struct pk_nomad *n = nomad_watch();
	const struct pk_source *source = pk_nomad_source(n);

	(void)state;
	next();
	answer(server.last, 7); /* which node this is */
	next();
	answer(server.last, 7);
	pk_nomad_unserved(n, "no leader");
	IS(source, PK_SOURCE_OK, 0);
	next();
	IS(source, PK_SOURCE_STALE, 1);
	assert_string_equal(source->last_error, "no leader");
	pk_nomad_served(n, false);
	IS(source, PK_SOURCE_OK, 1);
	pk_nomad_unserved(n, "no leader");
	IS(source, PK_SOURCE_STALE, 2);
	answer(server.last, 8);
	next();
	IS(source, PK_SOURCE_OK, 2);
	answer(server.last, 9);
	pk_nomad_unserved(n, "no leader");
	pk_nomad_served(n, false);
	next();
	IS(source, PK_SOURCE_OK, 2);
	pk_nomad_free(n);
}

/* A source that never answered is still starting when an outage ends, and was never in contact. */
static void test_an_outage_before_the_first_answer(void **state)
{
	struct pk_keys_watch *w = keys_watch(false);
	const struct pk_source *source = pk_keys_watch_source(w);
	struct pk_nomad *n;

	(void)state;
	next();
	pk_keys_watch_unserved(w, "no leader");
	IS(source, PK_SOURCE_STARTING, 1);
	pk_keys_watch_served(w, false);
	IS(source, PK_SOURCE_STARTING, 1);
	assert_int_equal(source->failures, 0);
	assert_int_equal(source->contact.tv_sec, 0);
	answer(server.last, 7);
	IS(source, PK_SOURCE_OK, 1);
	pk_keys_watch_free(w);

	n = nomad_watch();
	source = pk_nomad_source(n);
	next();
	pk_nomad_unserved(n, "no leader");
	answer(server.last, 7);
	next();
	IS(source, PK_SOURCE_STARTING, 1);
	pk_nomad_served(n, false);
	IS(source, PK_SOURCE_STARTING, 1);
	answer(server.last, 7);
	IS(source, PK_SOURCE_OK, 1);
	pk_nomad_free(n);
}

/* The first answer, of an older index, isn't believed yet: the leader is asked for the history. */
static void test_an_outage_before_the_first_answer_is_believed(void **state)
{
	struct pk_consul *c = documents_watch();
	const struct pk_source *source = pk_consul_source(c);

	(void)state;
	pk_docs_history(f.docs, "consul/operator")->index = 8;
	next();
	pk_consul_unserved(c, "no leader");
	IS(source, PK_SOURCE_STARTING, 1);
	answer(server.last, 7);
	assert_non_null(strstr(server.last->url, ".history"));
	pk_consul_served(c, false);
	IS(source, PK_SOURCE_STARTING, 1);
	answer(server.last, 9);
	IS(source, PK_SOURCE_OK, 1);
	pk_consul_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_documents_are_asked_for_at_a_pace),
		TEST(test_keys_are_asked_for_at_a_pace),
		TEST(test_allocs_are_asked_for_at_a_pace),
		TEST(test_services_are_asked_for_at_a_pace),
		TEST(test_variables_are_asked_for_at_a_pace),
		TEST(test_a_token_is_asked_for_at_a_pace),
		TEST(test_an_outage_between_two_questions_for_keys),
		TEST(test_an_outage_between_two_questions_for_allocs),
		TEST(test_an_outage_before_the_first_answer),
		TEST(test_an_outage_before_the_first_answer_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
