/* SPDX-License-Identifier: Apache-2.0 */
/* Reads from picketd.json and the environment where Nomad and Consul are, and as whom to ask. */
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

static bool fits_address(const char *text)
{
	char to[PK_CONFIG_NAME];

	return conf_put_address(to, text) == 0;
}
static const struct pk_format address_format = {
	.expected = ADDRESS_FORMS,
	.pattern = "^(https?://[^/:@?#\\\\\"\\s][^@?#\\\\\"\\s]*|unix:///[^@?#\\\\\"\\s]+)$",
	.fits = fits_address,
	.hidden = true,
};

static int read_addresses(const struct pk_schema *s, const struct pk_json_doc *doc,
			  const struct pk_json *v, void *at, struct pk_err *err)
{
	char(*to)[PK_CONFIG_NAME] = at;

	(void)s, (void)doc, (void)err;
	memset(to, 0, sizeof(char[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME]));
	if (pk_json_string(v))
		return conf_put_address(*to, pk_json_string(v));
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		conf_put_address(*to++, pk_json_string(e));
	return 0;
}

/* Writes one address as a text, several as a list. */
static void write_addresses(const struct pk_schema *s, struct pk_jw *w, const char *key,
			    const void *at)
{
	const char(*addresses)[PK_CONFIG_NAME] = at;

	(void)s;
	if (!*addresses[1]) {
		pk_jw_string(w, key, addresses[0]);
		return;
	}
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < PK_CONFIG_ADDRESSES && *addresses[i]; i++)
		pk_jw_string(w, NULL, addresses[i]);
	pk_jw_close(w, ']');
}
static const struct pk_kept kept_addresses = { read_addresses, write_addresses };
static const struct pk_schema address = { .form = PK_FORM_STRING, .format = &address_format };
static const struct pk_schema addresses_list = {
	.form = PK_FORM_LIST, .item = &address, .not_empty = true, .most = PK_CONFIG_ADDRESSES
};
const struct pk_schema conf_form_addresses = {
	.form = PK_FORM_EITHER,
	.item = &address,
	.other = &addresses_list,
	.kept = &kept_addresses,
};

/* Returns the variable's value, "" where it isn't set. */
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

/*
 * Reads an address. CONSUL_HTTP_ADDR is usually written without a scheme; CONSUL_HTTP_SSL says
 * which.
 */
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

static int text_from(char *to, const struct pk_schema *form, const char *value)
{
	if (strlen(value) >= form->room || !pk_format_ok(form->format, value))
		return -EINVAL;
	strcpy(to, value);
	return 0;
}

static int from_env(struct pk_config *c, const struct pk_config_args *args, size_t env,
		    struct pk_err *err)
{
	struct conf_spot spot = conf_find(env_keys[env].section, env_keys[env].key);
	const char *name = env_keys[env].variable, *value = variable(args, name);
	bool url = spot.key.form == &conf_form_addresses;
	char *to = (char *)c + spot.key.at;
	int r;

	if (!*value || strcmp(c->origin[spot.i], "default") != 0)
		return 0;
	r = url ? address_from(to, name, value, args) : text_from(to, spot.key.form, value);
	if (r < 0)
		return pk_fix(err,
			      pk_fail(err, 0, "%s in the environment is no %s", name,
				      url ? "address" : "absolute path"),
			      url ? "set it to " ADDRESS_FORMS ", or unset it"
				  : "set it to one, or unset it");
	snprintf(c->origin[spot.i], sizeof(c->origin[0]), "environment %s", name);
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

	/* "consul": null in a file is the operator's word, whatever the environment says. */
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
