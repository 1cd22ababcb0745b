/* SPDX-License-Identifier: Apache-2.0 */
#include "http_curl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "own.h"

#define ERROR_MAX 4096 /* bytes that are kept of what another status than 200 says */

/* Appends what the operator can do about it, where that is known. */
static void add_fix(const struct pk_curl_call *c, CURLcode result, char *to, size_t room)
{
	const struct pk_curl *curl = c->curl;

	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
		if (strstr(c->error, "subject name"))
			snprintf(to, room, "; fix: name in %s what its certificate is for",
				 curl->server_name);
		else
			snprintf(to, room, "; fix: name in %s who signed its certificate",
				 curl->ca_file);
		return;
	case CURLE_SSL_CERTPROBLEM:
		snprintf(to, room, "; fix: %s are PEM, and of one another", curl->certificate);
		return;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		if (c->tls && !c->certified)
			snprintf(to, room,
				 ": does it ask for a client certificate?; fix: name one in %s",
				 curl->certificate);
		return;
	default:
		return;
	}
}

void pk_curl_take(struct pk_curl_call *c, CURLcode result, struct pk_curl_answer *answer)
{
	struct pk_http_reply *reply = &answer->reply;
	long status = 0;
	size_t n;

	c->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	*reply = (struct pk_http_reply){ .status = result == CURLE_OK ? (int)status : 0,
					 .over = c->got > c->cap,
					 .cut = result != CURLE_OK && status,
					 .late = result == CURLE_OPERATION_TIMEDOUT,
					 .len = c->body.len,
					 .index = c->index,
					 .filtered = c->filtered,
					 .denies = c->denies,
					 .streamed = c->streamed,
					 .known_leader = c->known_leader };
	snprintf(answer->error, sizeof(answer->error), "%.150s",
		 *c->error ? c->error : c->curl->easy_strerror(result));
	n = strlen(answer->error);
	add_fix(c, result, answer->error + n, sizeof(answer->error) - n);
	if (reply->over)
		snprintf(answer->error, sizeof(answer->error), "answer of more than %zu bytes",
			 c->cap);
	reply->error = result == CURLE_OK ? NULL : answer->error;
	answer->body = pk_str_take(&c->body);
	reply->body = answer->body ?: "";
}

void pk_curl_answer_done(struct pk_curl_answer *answer)
{
	free(PK_MOVE(answer->body, NULL));
}

void pk_curl_done(struct pk_curl_call *c)
{
	if (c->easy)
		c->curl->easy_cleanup(c->easy);
	c->curl->slist_free_all(c->headers);
	c->curl->slist_free_all(c->connect_to);
	pk_str_done(&c->body);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct pk_curl_call *c = arg;
	long status = 0;

	(void)size;
	c->curl->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
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
	struct pk_curl_call *c = arg;
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
	if (header_is(data, n, "X-Consul-Default-ACL-Policy", value))
		c->denies = strcmp(value, "deny") == 0;
	if (header_is(data, n, "X-Consul-Query-Backend", value))
		c->streamed = strcmp(value, "streaming") == 0;
	return n;
}

static bool is_said(const char *text)
{
	return text && *text;
}

static void set_token(struct pk_curl_call *c, const struct pk_http_request *q)
{
	own_str header = { 0 };

	if (!is_said(q->token))
		return;
	pk_str_addf(&header, "%s: %s", q->token_header, q->token);
	if (!header.failed)
		c->headers = c->curl->slist_append(c->headers, header.text);
	if (header.text)
		explicit_bzero(header.text, header.len);
}

/* The parts of an address, and the address with another host. */
struct renamed {
	CURLU *url;
	char *host, *port, *changed;
};

static bool rename_host(const struct pk_curl *curl, const struct pk_http_request *q,
			struct renamed *to)
{
	return !curl->url_set(to->url, CURLUPART_URL, q->url, 0) &&
	       !curl->url_get(to->url, CURLUPART_HOST, &to->host, 0) &&
	       !curl->url_get(to->url, CURLUPART_PORT, &to->port, CURLU_DEFAULT_PORT) &&
	       !curl->url_set(to->url, CURLUPART_HOST, q->server_name, 0) &&
	       !curl->url_get(to->url, CURLUPART_URL, &to->changed, 0);
}

static CURLcode connect_as_before(struct pk_curl_call *c, const struct renamed *to)
{
	own_str target = { 0 };

	pk_str_addf(&target, "::%s:%s", to->host, to->port);
	if (target.failed)
		return CURLE_OUT_OF_MEMORY;
	c->connect_to = c->curl->slist_append(NULL, target.text);
	c->curl->easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
	return c->curl->easy_setopt(c->easy, CURLOPT_URL, to->changed);
}

/* Sets the name that TLS asks for and checks. The connection still goes to the URL's host. */
static CURLcode set_server_name(struct pk_curl_call *c, const struct pk_http_request *q)
{
	struct renamed to = { .url = c->curl->url() };
	CURLcode r = CURLE_URL_MALFORMAT;

	if (to.url && rename_host(c->curl, q, &to))
		r = connect_as_before(c, &to);
	c->curl->free(to.host);
	c->curl->free(to.port);
	c->curl->free(to.changed);
	c->curl->url_cleanup(to.url);
	return r;
}

static CURLcode set_target(struct pk_curl_call *c, const struct pk_http_request *q)
{
	if (is_said(q->socket_path))
		c->curl->easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, q->socket_path);
	if (is_said(q->server_name) && c->tls)
		return set_server_name(c, q);
	return c->curl->easy_setopt(c->easy, CURLOPT_URL, q->url);
}

/*
 * Reads the files for each connection, so files that Vault or an operator replaced count from then
 * on.
 */
static void set_tls(struct pk_curl_call *c, const struct pk_http_request *q)
{
	const struct pk_curl *curl = c->curl;

	curl->easy_setopt(c->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (is_said(q->ca_file))
		curl->easy_setopt(c->easy, CURLOPT_CAINFO, q->ca_file);
	if (!is_said(q->cert_file))
		return;
	curl->easy_setopt(c->easy, CURLOPT_SSLCERT, q->cert_file);
	curl->easy_setopt(c->easy, CURLOPT_SSLKEY, q->key_file);
}

static void set_bounds(struct pk_curl_call *c, const struct pk_http_request *q)
{
	const struct pk_curl *curl = c->curl;

	curl->easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl->easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl->easy_setopt(c->easy, CURLOPT_PROXY, "");
	curl->easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl->easy_setopt(c->easy, CURLOPT_USERAGENT, curl->agent);
	curl->easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
	curl->easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl->easy_setopt(c->easy, CURLOPT_BUFFERSIZE, 4096L);
	curl->easy_setopt(c->easy, CURLOPT_TCP_KEEPALIVE, 1L);
}

static CURLcode set_options(struct pk_curl_call *c, const struct pk_http_request *q)
{
	const struct pk_curl *curl = c->curl;
	CURLcode r = set_target(c, q);

	set_token(c, q);
	set_tls(c, q);
	set_bounds(c, q);
	curl->easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
	curl->easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	curl->easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl->easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	curl->easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	if (q->method)
		curl->easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->body)
		curl->easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS, q->body);
	return r;
}

int pk_curl_begin(struct pk_curl_call *c, const struct pk_curl *curl,
		  const struct pk_http_request *q, void *arg)
{
	*c = (struct pk_curl_call){ .curl = curl,
				    .tls = strncmp(q->url, "https:", 6) == 0,
				    .certified = is_said(q->cert_file),
				    .known_leader = -1,
				    .cap = q->cap,
				    .sink = q->sink,
				    .arg = arg };
	c->body.cap = (q->cap > ERROR_MAX ? q->cap : ERROR_MAX) + 1;
	c->easy = curl->easy_init();
	if (!c->easy)
		abort();
	return set_options(c, q) == CURLE_OK ? 0 : -EINVAL;
}
