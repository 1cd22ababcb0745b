/* SPDX-License-Identifier: Apache-2.0 */
#include "service_call.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Returns what follows the scheme: a host, maybe a port and a path, or a socket's absolute path. */
static const char *behind_scheme(const char *text)
{
	static const char *const schemes[] = { "http://", "https://", "unix://" };

	for (size_t i = 0; i < PK_ARRAY_LEN(schemes); i++)
		if (has_prefix(text, schemes[i]))
			return text + strlen(schemes[i]);
	return "";
}

static bool is_address(const char *text)
{
	const char *host = behind_scheme(text);

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("@?#\"\\", *p))
			return false;
	if (has_prefix(text, "unix://"))
		return *host == '/' && host[1];
	return *host && *host != '/' && *host != ':';
}

int pk_service_put_address(char to[PK_SERVICE_NAME], const char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '/')
		n--;
	if (n >= PK_SERVICE_NAME || !is_address(text))
		return -EINVAL;
	memcpy(to, text, n);
	to[n] = '\0';
	return 0;
}

#define ROOM(member)			     sizeof(((struct pk_service *)0)->member)
#define MEMBER(member)			     offsetof(struct pk_service, member), ROOM(member)
#define TEXT(section, key, variable, member) { section, key, variable, false, MEMBER(member) }
#define PATH(section, key, variable, member) { section, key, variable, true, MEMBER(member) }
#define ADDRESS(section, variable)                                                                 \
	{ section, "address", variable, false, offsetof(struct pk_service, address), 0 }

const struct pk_service_variable pk_service_variables[] = {
	ADDRESS("nomad", "NOMAD_ADDR"),
	PATH("nomad", "caFile", "NOMAD_CACERT", ca_file),
	PATH("nomad", "certFile", "NOMAD_CLIENT_CERT", cert_file),
	PATH("nomad", "keyFile", "NOMAD_CLIENT_KEY", key_file),
	TEXT("nomad", "serverName", "NOMAD_TLS_SERVER_NAME", server_name),
	TEXT("nomad", "region", "NOMAD_REGION", region),
	ADDRESS("consul", "CONSUL_HTTP_ADDR"),
	PATH("consul", "tokenFile", "CONSUL_HTTP_TOKEN_FILE", token_file),
	PATH("consul", "caFile", "CONSUL_CACERT", ca_file),
	PATH("consul", "certFile", "CONSUL_CLIENT_CERT", cert_file),
	PATH("consul", "keyFile", "CONSUL_CLIENT_KEY", key_file),
	TEXT("consul", "serverName", "CONSUL_TLS_SERVER_NAME", server_name),
	TEXT("consul", "namespace", "CONSUL_NAMESPACE", namespace),
	TEXT("consul", "partition", "CONSUL_PARTITION", partition),
	{ 0 },
};

static bool is_true(const char *text)
{
	return strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0;
}

static const char *value_of(pk_service_env_fn *env, const char *name)
{
	const char *value = env ? env(name) : NULL;

	return value ?: "";
}

int pk_service_address_from(char to[PK_SERVICE_NAME], const struct pk_service_variable *variable,
			    pk_service_env_fn *env)
{
	const char *value = value_of(env, variable->name);
	bool tls = strcmp(variable->name, "CONSUL_HTTP_ADDR") == 0 &&
		   is_true(value_of(env, "CONSUL_HTTP_SSL"));
	own_str text = { 0 };

	if (!strstr(value, "://"))
		pk_str_add(&text, tls ? "https://" : "http://");
	pk_str_add(&text, value);
	return text.failed ? -ENOMEM : pk_service_put_address(to, text.text);
}

int pk_service_fail_variable(const struct pk_service_variable *variable, struct pk_err *err)
{
	bool url = !variable->room;

	return pk_fix(err,
		      pk_fail(err, 0, "%s in the environment is no %s", variable->name,
			      url ? "address" : "absolute path"),
		      url ? "set it to " PK_SERVICE_FORMS ", or unset it"
			  : "set it to one, or unset it");
}

void pk_service_token_from(struct pk_service *service, const char *name, pk_service_env_fn *env)
{
	const char *value = value_of(env, name);

	if (!*service->token_file && strlen(value) < sizeof(service->token))
		strcpy(service->token, value);
}

static int take_variable(struct pk_service *service, const struct pk_service_variable *variable,
			 pk_service_env_fn *env)
{
	const char *value = value_of(env, variable->name);

	if (!*value)
		return 0;
	if (!variable->room)
		return pk_service_address_from(service->address[0], variable, env);
	if (strlen(value) >= variable->room || (variable->is_path && *value != '/'))
		return -EINVAL;
	strcpy((char *)service + variable->at, value);
	return 0;
}

static int read_env(struct pk_service *service, const char *section, const char *upper,
		    pk_service_env_fn *env, struct pk_err *err)
{
	own_str token = { 0 };

	for (const struct pk_service_variable *v = pk_service_variables; v->name; v++)
		if (strcmp(v->section, section) == 0 && take_variable(service, v, env) < 0)
			return pk_service_fail_variable(v, err);
	pk_str_addf(&token, "%s_TOKEN", upper);
	pk_service_token_from(service, token.text, env);
	if (!*service->cert_file == !*service->key_file)
		return 0;
	upper = strcmp(section, "consul") == 0 ? "CONSUL" : "NOMAD";
	return pk_fix(
		err,
		pk_fail(err, 0, "one of %s_CLIENT_CERT and %s_CLIENT_KEY is not set", upper, upper),
		"a client's certificate and its key belong together: set both, or neither");
}

int pk_service_consul(struct pk_service *service, pk_service_env_fn *env, struct pk_err *err)
{
	*service = (struct pk_service){ .on = true, .address = { "http://127.0.0.1:8500" } };
	return read_env(service, "consul", "CONSUL_HTTP", env, err);
}

int pk_service_nomad(struct pk_service *service, pk_service_env_fn *env, struct pk_err *err)
{
	*service = (struct pk_service){ .on = true, .address = { "http://127.0.0.1:4646" } };
	return read_env(service, "nomad", "NOMAD", env, err);
}

/* Reads the first word of the token file, or takes the environment's token; "" for none. */
static int token_of(const struct pk_service *s, char token[PK_SERVICE_TOKEN + 1],
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
	r = pk_fs_read_own(s->token_file, PK_SERVICE_TOKEN, &text, &len, err);
	if (r < 0)
		return pk_wrap(err, r, "token file");
	len = strcspn(text, " \t\r\n");
	memcpy(token, text, len);
	token[len] = '\0';
	explicit_bzero(text, len);
	return 0;
}

unsigned int pk_service_addresses(const struct pk_service *s)
{
	unsigned int n = 0;

	while (n < PK_SERVICE_ADDRESSES && *s->address[n])
		n++;
	return n;
}

unsigned int pk_service_turn(const struct pk_service *s, unsigned int turn)
{
	unsigned int n = pk_service_addresses(s);

	return n ? turn % n : 0;
}

static int check_file(const char *path, struct pk_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		return pk_fail(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return pk_fail(err, EINVAL, "%s is no regular file", path);
	return 0;
}

/*
 * Checks that the files can be read: libcurl's own error names neither the file nor why, and it
 * would wait for a FIFO's writer.
 */
static int check_files(const struct pk_service *s, struct pk_err *err)
{
	const char *const files[] = { s->ca_file, s->cert_file, s->key_file };
	int r = 0;

	for (size_t i = 0; r == 0 && i < PK_ARRAY_LEN(files); i++)
		r = *files[i] ? check_file(files[i], err) : 0;
	return r;
}

static void add_scope(struct pk_str *url, const char *name, const char *value)
{
	if (!*value)
		return;
	pk_str_addf(url, "%c%s=", strchr(url->text ?: "", '?') ? '&' : '?', name);
	pk_url_add(url, value, NULL);
}

static void add_scopes(struct pk_str *url, const struct pk_service *s)
{
	add_scope(url, "region", s->region);
	add_scope(url, "ns", s->namespace);
	add_scope(url, "partition", s->partition);
}

int pk_service_request(const struct pk_service *s, const char *path, unsigned int turn,
		       struct pk_service_parts *parts, struct pk_http_request *request,
		       struct pk_err *err)
{
	const char *address = s->address[pk_service_turn(s, turn)];
	bool is_socket = has_prefix(address, "unix://");

	*parts = (struct pk_service_parts){ 0 };
	if (token_of(s, parts->token, err) < 0 || check_files(s, err) < 0)
		return -EINVAL;
	pk_str_addf(&parts->url, "%s%s", is_socket ? "http://localhost" : address, path);
	add_scopes(&parts->url, s);
	if (parts->url.failed)
		return pk_fail(err, ENOMEM, "%.200s", path);
	request->server = address;
	request->url = parts->url.text;
	request->token = parts->token;
	request->ca_file = s->ca_file;
	request->cert_file = s->cert_file;
	request->key_file = s->key_file;
	request->server_name = s->server_name;
	request->socket_path = is_socket ? address + strlen("unix://") : NULL;
	return 0;
}

void pk_service_parts_done(struct pk_service_parts *parts)
{
	explicit_bzero(parts->token, sizeof(parts->token));
	pk_str_done(&parts->url);
}

const char *pk_service_fix_at(const char *error)
{
	const char *last = NULL;

	for (const char *at = error; (at = strstr(at, PK_SERVICE_FIX));
	     at += strlen(PK_SERVICE_FIX))
		last = at;
	return last;
}

/*
 * Quotes a body's first line. What a peer says never looks like a fix of ours, which comes behind
 * the same mark.
 */
static void quote_body(const struct pk_http_reply *reply, char *to, size_t room)
{
	snprintf(to, room, "status %d: %.*s", reply->status, (int)strcspn(reply->body, "\r\n"),
		 reply->body);
	for (char *at = to; (at = strstr(at, PK_SERVICE_FIX));)
		*at = ',';
}

bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room)
{
	if (reply->status == 200 || (allow404 && reply->status == 404)) {
		if (reply->known_leader != 0)
			return false;
		snprintf(why, room, PK_SERVICE_NO_LEADER);
		return true;
	}
	if (reply->error)
		snprintf(why, room, "%s", reply->error);
	else if (reply->status == 500 && strstr(reply->body, "No cluster leader"))
		snprintf(why, room, PK_SERVICE_NO_LEADER);
	else if (reply->status == 400 && strstr(reply->body, "HTTP request to an HTTPS server"))
		snprintf(why, room, "it speaks TLS; fix: write https:// in its address");
	else if (reply->status >= 200 && reply->status < 400)
		snprintf(why, room, "status %d" PK_SERVICE_OTHER, reply->status);
	else
		quote_body(reply, why, room);
	return true;
}

void pk_url_add(struct pk_str *url, const char *text, const char *keep)
{
	own_str plain = { 0 };

	pk_str_addf(&plain, "-._~%s", keep ? keep : "");
	pk_str_add_percent(url, text, plain.text);
}
