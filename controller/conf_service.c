/* SPDX-License-Identifier: Apache-2.0 */
/* Reads from picketd.json and the environment where Nomad and Consul are, and as whom to ask. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_private.h"
#include "own.h"

static bool fits_address(const char *text)
{
	char to[PK_SERVICE_NAME];

	return pk_service_put_address(to, text) == 0;
}

/* Completes an address that lacks its scheme; one with "@" may have a password, and isn't said. */
static const char *address_hint(const char *text)
{
	static _Thread_local char hint[PK_SERVICE_NAME + 16];
	char whole[PK_SERVICE_NAME];

	if (strstr(text, "://") || strchr(text, '@') ||
	    (size_t)snprintf(whole, sizeof(whole), "http://%s", text) >= sizeof(whole) ||
	    !fits_address(whole))
		return NULL;
	snprintf(hint, sizeof(hint), "write \"%s\"", whole);
	return hint;
}
static const struct pk_format address_format = {
	.expected = PK_SERVICE_FORMS,
	.pattern = PK_SERVICE_PATTERN,
	.fits = fits_address,
	.hint = address_hint,
	.hidden = true,
};

static int read_addresses(const struct pk_schema *s, const struct pk_json_doc *doc,
			  const struct pk_json *v, void *at, struct pk_err *err)
{
	char(*to)[PK_SERVICE_NAME] = at;

	(void)s, (void)doc, (void)err;
	memset(to, 0, sizeof(char[PK_SERVICE_ADDRESSES][PK_SERVICE_NAME]));
	if (pk_json_string(v))
		return pk_service_put_address(*to, pk_json_string(v));
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		pk_service_put_address(*to++, pk_json_string(e));
	return 0;
}

/* Writes one address as a text, several as a list. */
static void write_addresses(const struct pk_schema *s, struct pk_jw *w, const char *key,
			    const void *at)
{
	const char(*addresses)[PK_SERVICE_NAME] = at;

	(void)s;
	if (!*addresses[1]) {
		pk_jw_string(w, key, addresses[0]);
		return;
	}
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < PK_SERVICE_ADDRESSES && *addresses[i]; i++)
		pk_jw_string(w, NULL, addresses[i]);
	pk_jw_close(w, ']');
}
static const struct pk_kept kept_addresses = { read_addresses, write_addresses };
static const struct pk_schema address = { .form = PK_FORM_STRING, .format = &address_format };
static const struct pk_schema addresses_list = {
	.form = PK_FORM_LIST, .item = &address, .not_empty = true, .most = PK_SERVICE_ADDRESSES
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

static int text_from(char *to, const struct pk_schema *form, const char *value)
{
	if (strlen(value) >= form->room || !pk_format_ok(form->format, value))
		return -EINVAL;
	strcpy(to, value);
	return 0;
}

static int from_env(struct pk_config *c, const struct pk_config_args *args,
		    const struct pk_service_variable *v, struct pk_err *err)
{
	struct conf_spot spot = conf_find(v->section, v->key);
	const char *value = variable(args, v->name);
	char *to = (char *)c + spot.key.at;
	int r;

	if (!*value || strcmp(c->origin[spot.i], "default") != 0)
		return 0;
	r = v->room ? text_from(to, spot.key.form, value)
		    : pk_service_address_from(to, v, args->env);
	if (r < 0)
		return pk_service_fail_variable(v, err);
	snprintf(c->origin[spot.i], sizeof(c->origin[0]), "environment %s", v->name);
	return 0;
}

int conf_environment(struct pk_config *c, const struct pk_config_args *args, struct pk_err *err)
{
	int r = 0;

	/* "consul": null in a file is the operator's word, whatever the environment says. */
	if (!c->consul.said && *variable(args, "CONSUL_HTTP_ADDR"))
		c->consul.on = true;
	for (const struct pk_service_variable *v = pk_service_variables; r == 0 && v->name; v++)
		if (strcmp(v->section, "nomad") == 0 ? c->nomad.on : c->consul.on)
			r = from_env(c, args, v, err);
	pk_service_token_from(&c->nomad, "NOMAD_TOKEN", args->env);
	pk_service_token_from(&c->consul, "CONSUL_HTTP_TOKEN", args->env);
	return r;
}

static int check_service(const char *name, const struct pk_service *s, struct pk_err *err)
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
