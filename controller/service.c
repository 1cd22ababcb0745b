/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"

#define TOKEN_MAX 4096
#define PAUSE_MS  20   /* at least so long between two queries */
#define EACH_MS	  1000 /* an answer uses up so much of the allowance */
#define BURST	  3    /* answers that it holds */

/* Reads the first word of the token file, or takes the environment's token; "" for none. */
static int token_of(const struct pk_config_service *s, char token[TOKEN_MAX + 1],
		    struct pk_err *err)
{
	own_mem char *text = NULL;
	size_t len;
	int r;

	token[0] = '\0';
	if (!*s->token_file) {
		strcpy(token, s->token);
		return 0;
	}
	r = pk_fs_read(s->token_file, TOKEN_MAX, &text, &len, err);
	if (r < 0)
		return pk_wrap(err, r, "token file");
	len = strcspn(text, " \t\r\n");
	memcpy(token, text, len);
	token[len] = '\0';
	explicit_bzero(text, len);
	return 0;
}

/* Returns the address whose turn it is, by the number of failures. */
static const char *address_of(const struct pk_config_service *s, unsigned int turn)
{
	unsigned int n = 0;

	while (n < PK_CONFIG_ADDRESSES && *s->address[n])
		n++;
	return s->address[n ? turn % n : 0];
}

/* Checks that the files can be read: libcurl's own error names neither the file nor why. */
static int check_files(const struct pk_config_service *s, struct pk_err *err)
{
	const char *const files[] = { s->ca_file, s->cert_file, s->key_file };

	for (size_t i = 0; i < PK_ARRAY_LEN(files); i++)
		if (*files[i] && access(files[i], R_OK) < 0)
			return pk_fail(err, errno, "%s", files[i]);
	return 0;
}

static void add_scope(struct pk_str *url, const char *name, const char *value)
{
	if (!*value)
		return;
	pk_str_addf(url, "%c%s=", strchr(url->text ?: "", '?') ? '&' : '?', name);
	pk_url_add(url, value, NULL);
}

static void add_scopes(struct pk_str *url, const struct pk_config_service *s)
{
	add_scope(url, "region", s->region);
	add_scope(url, "ns", s->namespace);
	add_scope(url, "partition", s->partition);
}

struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err)
{
	const struct pk_config_service *s = call->service;
	const char *address = address_of(s, call->turn);
	bool is_socket = strncmp(address, "unix://", 7) == 0;
	char token[TOKEN_MAX + 1];
	own_str url = { 0 };
	struct pk_http_request request = { .method = call->method,
					   .body = call->body,
					   .token_header = call->header,
					   .token = token,
					   .ca_file = s->ca_file,
					   .cert_file = s->cert_file,
					   .key_file = s->key_file,
					   .server_name = s->server_name,
					   .socket_path = is_socket ? address + 7 : NULL,
					   .timeout_ms = call->timeout_ms,
					   .cap = call->cap,
					   .sink = call->sink };
	struct pk_http_call *started;

	if (token_of(s, token, err) < 0 || check_files(s, err) < 0)
		return NULL;
	pk_str_addf(&url, "%s%s", is_socket ? "http://localhost" : address, call->path);
	add_scopes(&url, s);
	request.url = url.text;
	started = url.failed ? NULL : pk_http_start(http, &request, fn, arg);
	explicit_bzero(token, sizeof(token));
	if (!started)
		pk_fail(err, 0, "no usable address: \"%s\"", address);
	return started;
}

bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room)
{
	if (reply->status == 200 || (allow404 && reply->status == 404)) {
		if (reply->known_leader != 0)
			return false;
		snprintf(why, room, "the servers have no leader");
		return true;
	}
	if (reply->error)
		snprintf(why, room, "%s", reply->error);
	else if (reply->status == 400 && strstr(reply->body, "HTTP request to an HTTPS server"))
		snprintf(why, room, "it speaks TLS; fix: write https:// in its address");
	else
		snprintf(why, room, "status %d: %.*s", reply->status,
			 (int)strcspn(reply->body, "\r\n"), reply->body);
	return true;
}

unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms)
{
	uint64_t from = pace->full_ms > now_ms ? pace->full_ms : now_ms;

	pace->full_ms = from + EACH_MS;
	if (pace->full_ms <= now_ms + BURST * EACH_MS)
		return PAUSE_MS;
	return (unsigned int)(pace->full_ms - now_ms - BURST * EACH_MS);
}
