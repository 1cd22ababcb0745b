/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "own.h"
#include "str.h"

#define AGENT	  "picketd/" PK_VERSION
#define ERROR_MAX 4096 /* bytes of what another status than 200 says */

struct pk_http {
	struct pk_loop *loop;
	CURLM *multi;
	struct event *timer;
	struct pk_http_call *calls;
};

struct pk_http_call {
	struct pk_http *http;
	struct pk_http_call *next, **at;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct pk_str body;
	bool tls, certified; /* by https; with a certificate of our own */
	size_t cap, got;
	uint64_t index;
	bool filtered;
	int known_leader;
	pk_http_fn *fn;
	pk_http_sink_fn *sink;
	void *arg;
	char error[CURL_ERROR_SIZE];
};

static void call_free(struct pk_http_call *c)
{
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	curl_multi_remove_handle(c->http->multi, c->easy);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->connect_to);
	pk_str_done(&c->body);
	free(c);
}

void pk_http_cancel(struct pk_http_call *call)
{
	if (call)
		call_free(call);
}

/* Returns what the operator can do about it; "" where that isn't known. */
static const char *fix_of(const struct pk_http_call *c, CURLcode result)
{
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return strstr(c->error, "subject name")
			       ? "; fix: name in serverName what its certificate is for"
			       : "; fix: name in caFile who signed its certificate";
	case CURLE_SSL_CERTPROBLEM:
		return "; fix: certFile and keyFile are PEM, and of one another";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return c->tls && !c->certified
			       ? ": does it ask for a client certificate?; fix: name one in certFile and keyFile"
			       : "";
	default:
		return "";
	}
}

static void finish(struct pk_http_call *c, CURLcode result)
{
	struct pk_http_reply reply = { .index = c->index,
				       .filtered = c->filtered,
				       .known_leader = c->known_leader };
	pk_http_fn *fn = c->fn;
	void *arg = c->arg;
	long status = 0;
	own_mem char *body = NULL;
	char error[CURL_ERROR_SIZE + 128];

	if (result == CURLE_OK)
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	reply.over = c->got > c->cap;
	reply.len = c->body.len;
	snprintf(error, sizeof(error), "%.150s%s",
		 *c->error ? c->error : curl_easy_strerror(result), fix_of(c, result));
	if (reply.over)
		snprintf(error, sizeof(error), "answer of more than %zu bytes", c->cap);
	reply.error = result == CURLE_OK ? NULL : error;
	body = pk_str_take(&c->body);
	reply.body = body ?: "";
	call_free(c);
	fn(arg, &reply);
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
	while (http->calls)
		call_free(http->calls);
	curl_multi_cleanup(http->multi);
	event_free(http->timer);
	free(http);
	curl_global_cleanup();
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct pk_http_call *c = arg;
	long status = 0;

	(void)size;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		size_t room = ERROR_MAX - c->body.len;

		pk_str_addn(&c->body, data, n < room ? n : room);
		return n;
	}
	c->got += n;
	if (c->got > c->cap)
		return 0;
	if (c->sink)
		return c->sink(c->arg, data, n) ? n : 0;
	pk_str_addn(&c->body, data, n);
	return c->body.failed ? 0 : n;
}

/* Returns the value's text of "Name: value\r\n" with this name, else NULL. */
static const char *header_is(const char *line, size_t n, const char *name, char value[32])
{
	size_t len = strlen(name), at = len + 1, k = 0;

	if (n <= at || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	while (at < n && line[at] == ' ')
		at++;
	while (at < n && k < 31 && line[at] != '\r' && line[at] != '\n')
		value[k++] = line[at++];
	value[k] = '\0';
	return value;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char *const index_names[] = { "X-Nomad-Index", "X-Consul-Index" };
	static const char *const leader_names[] = { "X-Nomad-KnownLeader", "X-Consul-KnownLeader" };
	struct pk_http_call *c = arg;
	char value[32];
	uint64_t index;

	(void)size;
	for (int i = 0; i < 2; i++) {
		if (header_is(data, n, index_names[i], value) &&
		    pk_parse_u64(value, UINT64_MAX, &index) == 0)
			c->index = index;
		if (header_is(data, n, leader_names[i], value))
			c->known_leader = strcmp(value, "true") == 0;
	}
	if (header_is(data, n, "X-Consul-Results-Filtered-By-ACLs", value))
		c->filtered = strcmp(value, "true") == 0;
	return n;
}

static void url_freep(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void text_freep(char **text)
{
	curl_free(*text);
}

static bool is_said(const char *text)
{
	return text && *text;
}

static void set_token(struct pk_http_call *c, const struct pk_http_request *q)
{
	own_str header = { 0 };

	if (!q->token || !*q->token)
		return;
	pk_str_addf(&header, "%s: %s", q->token_header, q->token);
	if (!header.failed)
		c->headers = curl_slist_append(c->headers, header.text);
	if (header.text)
		explicit_bzero(header.text, header.len);
}

/* Sets the name that TLS asks for and checks. The connection still goes to the URL's host. */
static CURLcode set_server_name(struct pk_http_call *c, const struct pk_http_request *q)
{
	PK_OWN(url_freep) CURLU *url = curl_url();
	PK_OWN(text_freep) char *host = NULL, *port = NULL, *changed = NULL;
	own_str to = { 0 };

	if (!url || curl_url_set(url, CURLUPART_URL, q->url, 0) ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
	    curl_url_set(url, CURLUPART_HOST, q->server_name, 0) ||
	    curl_url_get(url, CURLUPART_URL, &changed, 0))
		return CURLE_URL_MALFORMAT;
	pk_str_addf(&to, "::%s:%s", host, port);
	if (to.failed)
		return CURLE_OUT_OF_MEMORY;
	c->connect_to = curl_slist_append(NULL, to.text);
	curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
	return curl_easy_setopt(c->easy, CURLOPT_URL, changed);
}

static CURLcode set_place(struct pk_http_call *c, const struct pk_http_request *q)
{
	if (is_said(q->socket_path))
		curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, q->socket_path);
	if (is_said(q->server_name) && c->tls)
		return set_server_name(c, q);
	return curl_easy_setopt(c->easy, CURLOPT_URL, q->url);
}

/*
 * Reads the files for each connection, so files that Vault or an operator replaced count from then
 * on.
 */
static void set_tls(struct pk_http_call *c, const struct pk_http_request *q)
{
	curl_easy_setopt(c->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (is_said(q->ca_file))
		curl_easy_setopt(c->easy, CURLOPT_CAINFO, q->ca_file);
	if (!is_said(q->cert_file))
		return;
	curl_easy_setopt(c->easy, CURLOPT_SSLCERT, q->cert_file);
	curl_easy_setopt(c->easy, CURLOPT_SSLKEY, q->key_file);
}

static CURLcode set_options(struct pk_http_call *c, const struct pk_http_request *q)
{
	CURLcode r = set_place(c, q);

	set_token(c, q);
	set_tls(c, q);
	curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->easy, CURLOPT_USERAGENT, AGENT);
	curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
	curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, 16384L);
	curl_easy_setopt(c->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	if (q->method)
		curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->body)
		curl_easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS, q->body);
	return r;
}

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *q,
				   pk_http_fn *fn, void *arg)
{
	struct pk_http_call *c = pk_alloc(sizeof(*c));

	*c = (struct pk_http_call){ .http = http,
				    .tls = strncmp(q->url, "https:", 6) == 0,
				    .certified = is_said(q->cert_file),
				    .known_leader = -1,
				    .cap = q->cap,
				    .fn = fn,
				    .sink = q->sink,
				    .arg = arg };
	c->body.cap = (q->cap > ERROR_MAX ? q->cap : ERROR_MAX) + 1;
	c->easy = curl_easy_init();
	if (!c->easy)
		abort();
	c->next = http->calls;
	c->at = &http->calls;
	if (c->next)
		c->next->at = &c->next;
	http->calls = c;
	if (set_options(c, q) == CURLE_OK &&
	    curl_multi_add_handle(http->multi, c->easy) == CURLM_OK)
		return c;
	call_free(c);
	return NULL;
}

void pk_url_add(struct pk_str *url, const char *text, const char *keep)
{
	own_str plain = { 0 };

	pk_str_addf(&plain, "-._~%s", keep ? keep : "");
	pk_str_add_percent(url, text, plain.text);
}
