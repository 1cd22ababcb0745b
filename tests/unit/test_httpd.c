/* SPDX-License-Identifier: Apache-2.0 */
/* Who of those that are connected to picketd is idle, and who waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/api/clients.h"
#include "controller/api/httpd.h"
#include "own.h"
#include "str.h"

#define HOUR_MS UINT64_C(3600000)

struct connected {
	struct event_base *base;
	struct bufferevent *bev; /* picketd's end */
	int peer;
	struct pk_clients clients;
	uint64_t now_ms;
};

static int setup(void **state)
{
	struct connected *c = pk_alloc(sizeof(*c));
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			 0);
	c->base = event_base_new();
	c->bev = bufferevent_socket_new(c->base, ends[0], BEV_OPT_CLOSE_ON_FREE);
	c->peer = ends[1];
	c->clients.readers_max = 2;
	assert_true(pk_clients_add(&c->clients, c->bev, false));
	pk_clients_look(&c->clients, c->now_ms = HOUR_MS);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct connected *c = *state;

	if (c->bev)
		bufferevent_free(c->bev);
	event_base_loop(c->base, EVLOOP_NONBLOCK);
	event_base_free(c->base);
	close(c->peer);
	free(c);
	return 0;
}

/* Looks so many times, each so long after the one before. */
static void look(struct connected *c, unsigned int times, uint64_t after_ms)
{
	while (times--)
		pk_clients_look(&c->clients, c->now_ms += after_ms);
}

static bool is_cut(const struct connected *c)
{
	char byte;

	return recv(c->peer, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void test_idle(void **state)
{
	struct connected *c = *state;

	look(c, 8, PK_CLIENTS_LOOK_MS);
	assert_false(is_cut(c));
	look(c, 2, PK_CLIENTS_LOOK_MS);
	assert_true(is_cut(c));
}

/* A turn of the loop may last for minutes; who came before it has had no chance to be heard. */
static void test_a_long_turn(void **state)
{
	struct connected *c = *state;

	look(c, 5, HOUR_MS);
	assert_false(is_cut(c));
	look(c, 5, HOUR_MS);
	assert_true(is_cut(c));
}

/* Looks that come often count no more than the time that passes. */
static void test_many_looks(void **state)
{
	struct connected *c = *state;

	look(c, 100, 80);
	assert_false(is_cut(c));
}

static void test_who_waits(void **state)
{
	struct connected *c = *state;

	look(c, 8, PK_CLIENTS_LOOK_MS);
	pk_clients_wait(&c->clients, c->bev, true);
	look(c, 1000, PK_CLIENTS_LOOK_MS);
	assert_false(is_cut(c));
	/* Its answer is given: the next question has as long as the first one. */
	pk_clients_wait(&c->clients, c->bev, false);
	look(c, 8, PK_CLIENTS_LOOK_MS);
	assert_false(is_cut(c));
	look(c, 2, PK_CLIENTS_LOOK_MS);
	assert_true(is_cut(c));
}

/* An answer that goes out, however slowly, is no idleness; one that stands still is. */
static void test_a_slow_reader(void **state)
{
	struct connected *c = *state;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char some[1000];

	memset(some, 'x', sizeof(some));
	bufferevent_disable(c->bev, EV_WRITE);
	evbuffer_add(out, some, sizeof(some));
	for (int i = 0; i < 50; i++) {
		look(c, 8, PK_CLIENTS_LOOK_MS);
		evbuffer_unfreeze(out, 1);
		evbuffer_drain(out, 10);
		evbuffer_freeze(out, 1);
	}
	assert_false(is_cut(c));
	look(c, 11, PK_CLIENTS_LOOK_MS);
	assert_true(is_cut(c));
}

/* What went is counted no more, and its descriptor may be another's by now. */
static void test_one_that_went(void **state)
{
	struct connected *c = *state;
	struct bufferevent *others[2];
	int ends[2][2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]), 0);
		others[i] = bufferevent_socket_new(c->base, ends[i][0], BEV_OPT_CLOSE_ON_FREE);
	}
	assert_true(pk_clients_add(&c->clients, others[0], false));
	assert_false(pk_clients_add(&c->clients, others[1], false));
	assert_true(pk_clients_add(&c->clients, others[1], true)); /* root has its reserve */
	bufferevent_free(PK_MOVE(c->bev, NULL));
	event_base_loop(c->base, EVLOOP_NONBLOCK); /* libevent closes it there */
	look(c, 1, PK_CLIENTS_LOOK_MS);
	assert_int_equal(c->clients.n, 2);
	for (int i = 0; i < 2; i++) {
		bufferevent_free(others[i]);
		close(ends[i][1]);
	}
	event_base_loop(c->base, EVLOOP_NONBLOCK);
	look(c, 1, PK_CLIENTS_LOOK_MS);
	assert_int_equal(c->clients.n, 0);
}

struct asked {
	struct pk_loop *loop;
	struct pk_exchange *x;
};

static void on_question(void *arg, struct pk_exchange *x)
{
	struct asked *asked = arg;

	asked->x = x;
	pk_loop_stop(asked->loop);
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

struct clock {
	struct pk_loop *loop;
	uint64_t now_ms;
};

/* Each look is an hour after the one before, and ends the loop. */
static uint64_t by_hand(void *arg)
{
	struct clock *clock = arg;

	pk_loop_stop(clock->loop);
	return clock->now_ms += HOUR_MS;
}

/* A question that waits outlives every look, and the answer arrives. */
static void test_served(void **state)
{
	static const char question[] = "GET /v1/x HTTP/1.1\r\nHost: picket\r\n\r\n";
	char dir[] = "/tmp/pk-httpd-XXXXXX", answer[512];
	struct asked asked = { .loop = pk_loop_new() };
	struct clock clock = { .loop = asked.loop };
	own_str path = { 0 };
	own_str json = { 0 };
	struct pk_httpd *httpd;
	own_fd int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	pk_str_addf(&path, "%s/s", dir);
	pk_loop_set_clock(asked.loop, by_hand, &clock);
	httpd = pk_httpd_new(asked.loop, path.text, "no-such-group", NULL);
	assert_non_null(httpd);
	pk_httpd_serve(httpd, on_question, &asked);
	fd = connect_to(path.text);
	assert_int_equal(write(fd, question, sizeof(question) - 1), sizeof(question) - 1);
	pk_loop_run(asked.loop);
	assert_non_null(asked.x);
	for (int i = 0; i < 100; i++)
		pk_httpd_look(httpd);
	pk_str_add(&json, "{}");
	pk_exchange_reply(asked.x, 200, &json);
	event_base_loop(pk_loop_base(asked.loop), EVLOOP_NONBLOCK);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	assert_memory_equal(answer, "HTTP/1.1 200", 12);
	clock.now_ms = 0;
	pk_loop_run(asked.loop); /* until it looks by itself */
	assert_int_equal(clock.now_ms, HOUR_MS);
	for (int i = 0; i < 9; i++)
		pk_httpd_look(httpd);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), 0); /* it asks nothing more */
	pk_httpd_free(httpd);
	pk_loop_free(asked.loop);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_long_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_went, setup, teardown),
		cmocka_unit_test(test_served),
	};

	return cmocka_run_group_tests_name("httpd", tests, NULL, NULL);
}
