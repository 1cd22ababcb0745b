/* SPDX-License-Identifier: Apache-2.0 */
/* A request and its answer. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "clients.h"
#include "httpd_private.h"
#include "json.h"
#include "own.h"

#define STREAM_ROOM (1u << 20) /* unread bytes of a stream before lines are refused */

static void exchange_free(struct pk_exchange *x)
{
	evhttp_clear_headers(&x->query);
	free(x->path);
	free(x);
}

/* Called where the connection goes while an exchange is open; evhttp frees the request. */
static void gone(struct evhttp_connection *con, void *arg)
{
	struct pk_exchange *x = arg;
	pk_loop_fn *fn = x->on_close;
	void *fn_arg = x->on_close_arg;

	(void)con;
	exchange_free(x);
	if (fn)
		fn(fn_arg);
}

static struct bufferevent *bev_of(const struct pk_exchange *x)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(x->req));
}

static void take_uri(struct pk_exchange *x)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(x->req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;

	x->path = evhttp_uridecode(path ?: "", 0, NULL);
	if (!query || evhttp_parse_query_str(query, &x->query) < 0)
		TAILQ_INIT(&x->query);
}

struct pk_exchange *httpd_exchange_new(struct evhttp_request *req, struct pk_clients *clients)
{
	struct pk_exchange *x = pk_alloc(sizeof(*x));

	*x = (struct pk_exchange){ .clients = clients, .req = req };
	TAILQ_INIT(&x->query);
	take_uri(x);
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), gone, x);
	pk_clients_wait(clients, bev_of(x), true);
	return x;
}

int httpd_exchange_fd(const struct pk_exchange *x)
{
	return bufferevent_getfd(bev_of(x));
}

const char *pk_exchange_method(const struct pk_exchange *x)
{
	switch (evhttp_request_get_command(x->req)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	default:
		return "";
	}
}

const char *pk_exchange_path(const struct pk_exchange *x)
{
	return x->path ?: "";
}

const char *pk_exchange_query(const struct pk_exchange *x, const char *name)
{
	return evhttp_find_header(&x->query, name);
}

const char *pk_exchange_body(struct pk_exchange *x, size_t *len)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(x->req);

	*len = evbuffer_get_length(in);
	return *len ? (const char *)evbuffer_pullup(in, -1) : "";
}

bool pk_exchange_admin(const struct pk_exchange *x)
{
	return x->admin;
}

void pk_exchange_on_close(struct pk_exchange *x, pk_loop_fn *fn, void *arg)
{
	x->on_close = fn;
	x->on_close_arg = arg;
}

/* Gives the request up: evhttp frees it once it is sent. */
static struct evhttp_request *let_go(struct pk_exchange *x)
{
	struct evhttp_request *req = x->req;

	pk_clients_wait(x->clients, bev_of(x), false);
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	exchange_free(x);
	return req;
}

static void add_headers(struct evhttp_request *req, const char *type)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);

	evhttp_add_header(out, "Content-Type", type);
	evhttp_add_header(out, "Picket-Version", PK_VERSION);
	evhttp_add_header(out, "Cache-Control", "no-store");
}

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 503:
		return "Service Unavailable";
	default:
		return "Error";
	}
}

static void reply(struct pk_exchange *x, int status, const char *type, const struct pk_str *text)
{
	struct evhttp_request *req;
	struct evbuffer *body = evbuffer_new();

	if (!body)
		abort();
	if (text->failed) {
		evbuffer_free(body);
		pk_exchange_error(x, 503, "the answer is too long", NULL);
		return;
	}
	req = let_go(x);
	add_headers(req, type);
	evbuffer_add(body, text->text ?: "", text->len);
	evbuffer_add(body, "\n", 1);
	evhttp_send_reply(req, status, status_text(status), body);
	evbuffer_free(body);
}

void pk_exchange_reply(struct pk_exchange *x, int status, const struct pk_str *json)
{
	reply(x, status, "application/json", json);
}

void pk_exchange_reply_text(struct pk_exchange *x, const char *type, const struct pk_str *text)
{
	reply(x, 200, type, text);
}

void pk_exchange_write_error(struct pk_jw *w, const char *error, const char *fix)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "error", error);
	pk_jw_string(w, "fix", fix && *fix ? fix : NULL);
	pk_jw_close(w, '}');
}

void pk_exchange_error(struct pk_exchange *x, int status, const char *error, const char *fix)
{
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_exchange_write_error(&w, error, fix);
	pk_exchange_reply(x, status, &json);
}

void pk_exchange_stream(struct pk_exchange *x)
{
	add_headers(x->req, "application/x-ndjson");
	evhttp_send_reply_start(x->req, 200, "OK");
	x->streams = true;
	bufferevent_enable(bev_of(x), EV_READ); /* so that the peer's end is seen */
}

bool pk_exchange_line(struct pk_exchange *x, const char *line, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(bev_of(x)), *chunk;

	if (evbuffer_get_length(out) > STREAM_ROOM)
		return false;
	chunk = evbuffer_new();
	if (!chunk)
		abort();
	evbuffer_add(chunk, line, len);
	evbuffer_add(chunk, "\n", 1);
	evhttp_send_reply_chunk(x->req, chunk);
	evbuffer_free(chunk);
	return true;
}

void pk_exchange_end(struct pk_exchange *x)
{
	evhttp_send_reply_end(let_go(x));
}
