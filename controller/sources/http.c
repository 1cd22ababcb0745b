/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "http_curl.h"
#include "own.h"
#include "str.h"

struct pk_http {
	struct pk_loop *loop;
	CURLM *multi;
	struct event *timer;
	LIST_HEAD(calls, pk_http_call) calls;
};

struct pk_http_call {
	struct pk_http *http;
	LIST_ENTRY(pk_http_call) link;
	struct pk_curl_call curl;
	char *server;
	bool given_up;
	pk_http_fn *fn;
};

#define LINKED(function) .function = curl_##function,
static const struct pk_curl linked = { .agent = "picketd/" PK_VERSION,
				       .ca_file = "caFile",
				       .certificate = "certFile and keyFile",
				       .server_name = "serverName",
				       PK_CURL_FUNCTIONS(LINKED) };

static void call_free(struct pk_http_call *c)
{
	LIST_REMOVE(c, link);
	curl_multi_remove_handle(c->http->multi, c->curl.easy);
	pk_curl_done(&c->curl);
	free(c->server);
	free(c);
}

void pk_http_cancel(struct pk_http_call *call)
{
	if (call)
		call_free(call);
}

static void finish(struct pk_http_call *c, CURLcode result)
{
	struct pk_curl_answer answer;
	pk_http_fn *fn = c->fn;
	void *arg = c->curl.arg;

	pk_curl_take(&c->curl, result, &answer);
	call_free(c);
	fn(arg, &answer.reply);
	pk_curl_answer_done(&answer);
}

static void reap(struct pk_http *http)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(http->multi, &left))) {
		struct pk_http_call *c;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		finish(c, m->data.result);
	}
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct pk_http *http = arg;
	int action = (what & EV_READ ? CURL_CSELECT_IN : 0) |
		     (what & EV_WRITE ? CURL_CSELECT_OUT : 0),
	    running;

	pk_loop_begin(http->loop);
	curl_multi_socket_action(http->multi, fd, action, &running);
	reap(http);
	pk_loop_end(http->loop);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pk_http *http = arg;
	int running;

	(void)fd;
	(void)what;
	pk_loop_begin(http->loop);
	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(http);
	pk_loop_end(http->loop);
}

static struct pk_http_call *next_given_up(const struct pk_http *http)
{
	struct pk_http_call *c;

	LIST_FOREACH (c, &http->calls, link)
		if (c->given_up)
			return c;
	return NULL;
}

void pk_http_give_up(struct pk_http *http, const char *server, const char *why)
{
	struct pk_http_call *c;

	/* Their functions may cancel others of these, and start new ones, which go on. */
	LIST_FOREACH (c, &http->calls, link)
		c->given_up = strcmp(c->server, server) == 0;
	while ((c = next_given_up(http))) {
		snprintf(c->curl.error, sizeof(c->curl.error), "%s", why);
		finish(c, CURLE_OPERATION_TIMEDOUT);
	}
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct pk_http *http = arg;
	struct event *event = socket;
	short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
			       (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

	(void)easy;
	if (event)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE) {
		event = event_new(pk_loop_base(http->loop), fd, events, on_socket, http);
		if (!event || event_add(event, NULL) < 0)
			abort();
	}
	curl_multi_assign(http->multi, fd, event);
	return 0;
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct pk_http *http = arg;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)multi;
	if (ms < 0)
		evtimer_del(http->timer);
	else
		evtimer_add(http->timer, &tv);
	return 0;
}

struct pk_http *pk_http_new(struct pk_loop *loop)
{
	struct pk_http *http = pk_alloc(sizeof(*http));

	http->loop = loop;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	http->multi = curl_multi_init();
	http->timer = evtimer_new(pk_loop_base(loop), on_timer, http);
	if (!http->multi || !http->timer)
		abort();
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 4L);
	return http;
}

void pk_http_free(struct pk_http *http)
{
	if (!http)
		return;
	while (!LIST_EMPTY(&http->calls))
		call_free(LIST_FIRST(&http->calls));
	curl_multi_cleanup(http->multi);
	event_free(http->timer);
	free(http);
	curl_global_cleanup();
}

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *q,
				   pk_http_fn *fn, void *arg)
{
	struct pk_http_call *c = pk_alloc(sizeof(*c));
	int r = pk_curl_begin(&c->curl, &linked, q, arg);

	c->http = http;
	c->server = pk_strdup(q->server ?: "");
	c->fn = fn;
	LIST_INSERT_HEAD(&http->calls, c, link);
	curl_easy_setopt(c->curl.easy, CURLOPT_PRIVATE, c);
	if (r == 0 && curl_multi_add_handle(http->multi, c->curl.easy) == CURLM_OK)
		return c;
	call_free(c);
	return NULL;
}
