/* SPDX-License-Identifier: Apache-2.0 */
/* How picketd.json and the environment say where Nomad and Consul are, and as whom to ask. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf_private.h"
#include "own.h"

#define ADDRESS_FORMS "http://HOST:PORT, https://HOST:PORT or unix:///PATH, without a password"

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What stands behind the scheme: a host, maybe a port and a path; a socket's absolute path. */
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

int conf_put_address(char to[PK_CONFIG_NAME], const char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '/')
		n--;
	if (n >= PK_CONFIG_NAME || !is_address(text))
		return -EINVAL;
	memcpy(to, text, n);
	to[n] = '\0';
	return 0;
}

/* What was found isn't shown: it may hold a password. */
static int put_one(char to[PK_CONFIG_NAME], const struct pk_json *value,
		   const struct conf_place *at)
{
	const char *text = pk_json_string(value);

	if (text && conf_put_address(to, text) == 0)
		return 0;
	return pk_json_fail(at->err, at->doc, value, false, "expected " ADDRESS_FORMS);
}

int conf_put_addresses(char to[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME], const struct conf_place *at)
{
	const struct pk_json *one = NULL;
	size_t n = 0;
	int r = 0;

	memset(to, 0, sizeof(char[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME]));
	if (pk_json_type(at->value) != PK_JSON_ARRAY)
		return put_one(to[0], at->value, at);
	for (one = pk_json_first(at->value); one && r == 0; one = pk_json_next(one), n++) {
		if (n == PK_CONFIG_ADDRESSES)
			return pk_json_fail(at->err, at->doc, one, false, "more than %d addresses",
					    PK_CONFIG_ADDRESSES);
		r = put_one(to[n], one, at);
	}
	return n ? r : pk_json_fail(at->err, at->doc, at->value, false, "an empty list");
}

size_t conf_key_at(const char *section, const char *name)
{
	size_t i = 0;

	while (strcmp(conf_keys[i].section, section) != 0 || strcmp(conf_keys[i].name, name) != 0)
		i++;
	return i;
}

/* "" where it isn't set. */
static const char *variable(const struct pk_config_args *args, const char *name)
{
	const char *value = args->env ? args->env(name) : NULL;

	return value ?: "";
}

/* The variables of both tools, by the keys that they stand for. */
static const struct {
	const char *section, *key, *variable;
} env_keys[] = {
	{ "nomad", "address", "NOMAD_ADDR" },
	{ "nomad", "caFile", "NOMAD_CACERT" },
	{ "nomad", "certFile", "NOMAD_CLIENT_CERT" },
	{ "nomad", "keyFile", "NOMAD_CLIENT_KEY" },
	{ "nomad", "serverName", "NOMAD_TLS_SERVER_NAME" },
	{ "nomad", "region", "NOMAD_REGION" },
	{ "consul", "address", "CONSUL_HTTP_ADDR" },
	{ "consul", "tokenFile", "CONSUL_HTTP_TOKEN_FILE" },
	{ "consul", "caFile", "CONSUL_CACERT" },
	{ "consul", "certFile", "CONSUL_CLIENT_CERT" },
	{ "consul", "keyFile", "CONSUL_CLIENT_KEY" },
	{ "consul", "serverName", "CONSUL_TLS_SERVER_NAME" },
	{ "consul", "namespace", "CONSUL_NAMESPACE" },
	{ "consul", "partition", "CONSUL_PARTITION" },
};

static bool is_true(const char *text)
{
	return strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0;
}

/* CONSUL_HTTP_ADDR is usually written without a scheme; CONSUL_HTTP_SSL says which. */
static int address_from(char to[PK_CONFIG_NAME], const char *name, const char *value,
			const struct pk_config_args *args)
{
	bool tls =
		strcmp(name, "CONSUL_HTTP_ADDR") == 0 && is_true(variable(args, "CONSUL_HTTP_SSL"));
	own_str text = { 0 };

	if (!strstr(value, "://"))
		pk_str_add(&text, tls ? "https://" : "http://");
	pk_str_add(&text, value);
	return text.failed ? -ENOMEM : conf_put_address(to, text.text);
}

static int text_from(char *to, const struct conf_key *k, const char *value)
{
	if (strlen(value) >= k->room || (k->kind == PATH && *value != '/'))
		return -EINVAL;
	strcpy(to, value);
	return 0;
}

static int from_env(struct pk_config *c, const struct pk_config_args *args, size_t env,
		    struct pk_err *err)
{
	size_t i = conf_key_at(env_keys[env].section, env_keys[env].key);
	const char *name = env_keys[env].variable, *value = variable(args, name);
	const struct conf_key *k = &conf_keys[i];
	void *to = (char *)c + k->offset;
	int r;

	if (!*value || strcmp(c->origin[i], "default") != 0)
		return 0;
	r = k->kind == ADDRESS ? address_from(to, name, value, args) : text_from(to, k, value);
	if (r < 0)
		return pk_fix(err,
			      pk_fail(err, 0, "%s in the environment is no %s", name,
				      k->kind == ADDRESS ? "address" : "absolute path"),
			      k->kind == ADDRESS ? "set it to " ADDRESS_FORMS ", or unset it"
						 : "set it to one, or unset it");
	snprintf(c->origin[i], sizeof(c->origin[i]), "environment %s", name);
	return 0;
}

static void token_from(const struct pk_config_args *args, const char *name,
		       struct pk_config_service *service)
{
	const char *value = variable(args, name);

	if (!*service->token_file && strlen(value) < sizeof(service->token))
		strcpy(service->token, value);
}

int conf_environment(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	int r = 0;

	/* "consul": null in a file is the operator's word, whatever the environment has. */
	if (!c->consul.said && *variable(args, "CONSUL_HTTP_ADDR"))
		c->consul.on = true;
	for (size_t i = 0; r == 0 && i < PK_ARRAY_LEN(env_keys); i++)
		if (strcmp(env_keys[i].section, "nomad") == 0 ? c->nomad.on : c->consul.on)
			r = from_env(c, args, i, err);
	token_from(args, "NOMAD_TOKEN", &c->nomad);
	token_from(args, "CONSUL_HTTP_TOKEN", &c->consul);
	return r;
}

static int check_service(const char *name, const struct pk_config_service *s, struct pk_err *err)
{
	if (!s->on || !*s->cert_file == !*s->key_file)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0, "%s.%s is set without %s.%s", name,
			      *s->cert_file ? "certFile" : "keyFile", name,
			      *s->cert_file ? "keyFile" : "certFile"),
		      "a client's certificate and its key belong together: name both, or neither");
}

int conf_check_services(const struct pk_config *c, struct pk_err *err)
{
	int r = check_service("nomad", &c->nomad, err);

	return r < 0 ? r : check_service("consul", &c->consul, err);
}
