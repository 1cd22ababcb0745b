/* SPDX-License-Identifier: Apache-2.0 */
/* The services that an operator declares: what runs outside of the cluster, and where. */
#include <stdlib.h>
#include <string.h>

#include "addr_json.h"
#include "json.h"
#include "own.h"
#include "settings.h"
#include "settings_forms.h"

bool pk_declared_service_same(const struct pk_declared_service *a,
			      const struct pk_declared_service *b)
{
	return a->nomad == b->nomad && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->tenant_name, b->tenant_name) == 0;
}

bool pk_declared_service_has(const struct pk_declared_service *d, const union pk_addr *addr)
{
	for (size_t i = 0; i < d->n_within; i++)
		if (pk_prefix_has(&d->within[i], addr))
			return true;
	return false;
}

static void keep_instances(struct pk_declared_service *d, const struct pk_declared_service *from)
{
	d->n_instances = 0;
	for (size_t i = 0; i < from->n_instances; i++)
		if (pk_declared_service_has(d, &from->instances[i]))
			d->instances[d->n_instances++] = from->instances[i];
}

void pk_settings_keep_instances(struct pk_settings *s, const struct pk_settings *from)
{
	for (size_t i = 0; i < s->n_services; i++)
		for (size_t j = 0; j < from->n_services; j++)
			if (pk_declared_service_same(&s->services[i], &from->services[j]))
				keep_instances(&s->services[i], &from->services[j]);
}

static void put(char to[PK_DECLARED_SERVICE_NAME], const struct pk_json *text)
{
	strcpy(to, pk_json_string(text) ?: "");
}

static void read_tenants(struct pk_declared_service *d, const struct pk_json *list)
{
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		d->all_tenants |= strcmp(pk_json_string(e), "*") == 0;
		put(d->tenants[d->n_tenants++], e);
	}
}

static void read_one(struct pk_declared_service *d, const struct pk_json *v)
{
	const struct pk_json *catalog = pk_json_get(v, "catalog");

	put(d->name, pk_json_get(v, "name"));
	put(d->tenant_name, pk_json_get(v, "namespace"));
	d->nomad = catalog && strcmp(pk_json_string(catalog), "nomad") == 0;
	for (const struct pk_json *e = pk_json_first(pk_json_get(v, "within")); e;
	     e = pk_json_next(e))
		pk_prefix_parse(pk_json_string(e), &d->within[d->n_within++]);
	read_tenants(d, pk_json_get(v, "tenants"));
	for (const struct pk_json *e = pk_json_first(pk_json_get(v, "instances")); e;
	     e = pk_json_next(e))
		pk_addr_parse(pk_json_string(e), &d->instances[d->n_instances++]);
}

static bool is_twice(const struct pk_settings *s)
{
	const struct pk_declared_service *last = &s->services[s->n_services - 1];

	for (size_t i = 0; i + 1 < s->n_services; i++)
		if (pk_declared_service_same(&s->services[i], last))
			return true;
	return false;
}

static int read_services(const struct pk_schema *form, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_settings *s = at;

	(void)form;
	free(s->services);
	s->services = pk_alloc((pk_json_count(v) + 1) * sizeof(*s->services));
	s->n_services = 0;
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e)) {
		struct pk_declared_service *d = &s->services[s->n_services++];

		read_one(d, e);
		if (d->nomad && !*d->tenant_name)
			return pk_fix(
				err,
				pk_json_fail(err, doc, e, false,
					     "a service of Nomad's catalogue has a namespace"),
				"\"namespace\": \"default\", or that of the job that "
				"registers it");
		if (is_twice(s))
			return pk_fix(err, pk_json_fail(err, doc, e, false, "it is declared twice"),
				      "write one entry with all its prefixes and tenants");
	}
	return 0;
}

const char *pk_declared_service_catalog(const struct pk_declared_service *d)
{
	return d->nomad ? "nomad" : "consul";
}

void pk_declared_service_write(const struct pk_declared_service *d, struct pk_jw *w)
{
	pk_jw_string(w, "name", d->name);
	pk_jw_string(w, "catalog", pk_declared_service_catalog(d));
	pk_jw_string(w, "namespace", *d->tenant_name ? d->tenant_name : NULL);
	pk_prefixes_write(w, "within", d->within, d->n_within);
	pk_jw_open(w, "tenants", '[');
	for (size_t i = 0; i < d->n_tenants; i++)
		pk_jw_string(w, NULL, d->tenants[i]);
	pk_jw_close(w, ']');
}

static void write_all(struct pk_jw *w, const char *key, const struct pk_settings *s, bool instances)
{
	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < s->n_services; i++) {
		const struct pk_declared_service *d = &s->services[i];

		pk_jw_open(w, NULL, '{');
		pk_declared_service_write(d, w);
		if (instances)
			pk_addrs_write(w, "instances", d->instances, d->n_instances);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static void write_declared(const struct pk_schema *form, struct pk_jw *w, const char *key,
			   const void *at)
{
	(void)form;
	write_all(w, key, at, false);
}

static void write_kept(const struct pk_schema *form, struct pk_jw *w, const char *key,
		       const void *at)
{
	(void)form;
	write_all(w, key, at, true);
}
static const struct pk_kept kept_declared = { read_services, write_declared };
static const struct pk_kept kept_instances = { read_services, write_kept };

static bool fits_name(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *text;
}
static const struct pk_format name_format = {
	.expected = "the name of a service",
	.pattern = "^[^\\u0000-\\u001f\\u007f]+$",
	.fits = fits_name,
};

static bool is_namespace(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-";

	return *text && strspn(text, plain) == strlen(text);
}
static const struct pk_format namespace_format = {
	.expected = "a namespace of Nomad's",
	.pattern = "^[A-Za-z0-9-]{1,128}$",
	.fits = is_namespace,
};

static bool fits_tenant(const char *text)
{
	return strcmp(text, "*") == 0 || is_namespace(text);
}
static const struct pk_format tenant_format = {
	.expected = "a namespace of Nomad's, or \"*\" for all",
	.pattern = "^([A-Za-z0-9-]{1,128}|\\*)$",
	.fits = fits_tenant,
};

static bool fits_address(const char *text)
{
	union pk_addr addr;

	return pk_addr_parse(text, &addr) == 0;
}
static const struct pk_format address_format = { .expected = "an address",
						 .pattern = "^[0-9a-fA-F.:]+$",
						 .fits = fits_address };

static const char *const catalog_words[] = { "consul", "nomad", NULL };
static const struct pk_format catalog_format = { .expected = "\"consul\" or \"nomad\"",
						 .words = catalog_words };

#define NAME(name_, format_, null_)                                                                \
	static const struct pk_schema name_ = { .form = PK_FORM_STRING,                            \
						.format = &(format_),                              \
						.null_ok = (null_),                                \
						.room = PK_DECLARED_SERVICE_NAME }
NAME(name, name_format, false);
NAME(namespace, namespace_format, true);
NAME(tenant, tenant_format, false);
static const struct pk_schema catalog = { .form = PK_FORM_STRING,
					  .format = &catalog_format,
					  .usual = "\"consul\"" };
static const struct pk_schema prefix = { .form = PK_FORM_STRING, .format = &pk_format_prefix };
static const struct pk_schema within = {
	.form = PK_FORM_LIST, .item = &prefix, .most = PK_DECLARED_SERVICE_WITHIN, .not_empty = true
};
static const struct pk_schema tenants = { .form = PK_FORM_LIST,
					  .item = &tenant,
					  .most = PK_DECLARED_SERVICE_TENANTS };
static const struct pk_schema address = { .form = PK_FORM_STRING, .format = &address_format };
static const struct pk_schema instances = { .form = PK_FORM_LIST,
					    .item = &address,
					    .most = PK_DECLARED_SERVICE_INSTANCES };

#define DECLARED                                                                                   \
	{ "name", &name, "as toServices and the catalogue call it", true, 0 },                     \
		{ "catalog", &catalog, "that lists its instances", false, 0 },                     \
		{ "namespace", &namespace, "of the service; Nomad's must have one", false, 0 },    \
		{ "within", &within, "the prefixes in which its instances may lie", true, 0 },     \
		{ "tenants", &tenants,                                                             \
		  "namespaces whose own documents may open it, or \"*\"; absent: none", false, 0 }
static const struct pk_schema_key declared_keys[] = { DECLARED, { .name = NULL } };
static const struct pk_schema_key kept_keys[] = {
	DECLARED,
	{ "instances", &instances, "that count now", false, 0 },
	{ .name = NULL },
};
static const struct pk_schema declared = { .form = PK_FORM_OBJECT, .keys = declared_keys };
static const struct pk_schema kept = { .form = PK_FORM_OBJECT, .keys = kept_keys };

const struct pk_schema pk_form_services = {
	.form = PK_FORM_LIST,
	.item = &declared,
	.most = PK_DECLARED_SERVICE_MAX,
	.kept = &kept_declared,
};
const struct pk_schema pk_form_services_kept = {
	.form = PK_FORM_LIST,
	.item = &kept,
	.most = PK_DECLARED_SERVICE_MAX,
	.kept = &kept_instances,
};
