/* SPDX-License-Identifier: Apache-2.0 */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "layout.h"
#include "import_private.h"
#include "own.h"

#define IMPORT_NOTES_MAX 20000 /* every repair is listed */

void pk_import_done(struct pk_import *import)
{
	for (size_t i = 0; i < import->n; i++) {
		free(import->docs[i].name);
		free(import->docs[i].text);
	}
	free(import->docs);
	pk_doc_notes_done(&import->notes);
}

struct context {
	const struct pk_json_doc *json;
	const struct pk_import_options *options;
	struct pk_import *out;
};

static struct pk_importer importer(const struct context *c, enum import_form form,
				   const char *tenant, struct pk_str *text)
{
	return (struct pk_importer){ .r = { .json = c->json, .notes = &c->out->notes },
				     .options = c->options,
				     .form = form,
				     .tenant = tenant,
				     .w = { .out = text, .indent = 2 } };
}

/*
 * Returns whether our reader takes the result. If it doesn't, the original was no policy of
 * Cilium's either.
 */
static bool is_taken(struct context *c, const struct pk_json *from, const char *text)
{
	const struct pk_doc_source src = { .source = "file", .path = "imported" };
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };
	own_document *doc = NULL;
	own_notes notes = { 0 };

	if (pk_document_parse(&src, text, strlen(text), &doc, &notes) == 0)
		return true;
	for (size_t i = 0; i < notes.n; i++)
		if (notes.list[i].error)
			pk_read_error(&r, from, false, notes.list[i].fix, "%s of the result: %s",
				      notes.list[i].where.path, notes.list[i].text);
	return false;
}

/*
 * Lays out the document that was written. It is JSON, but it may be too large or too deep, or two
 * repairs may have met in one key.
 */
static bool lay_out(struct context *c, const struct pk_json *from, const struct pk_str *text,
		    struct pk_str *out)
{
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };
	struct pk_json_fault fault;

	if (pk_layout("import", text->text, text->len, out, &fault) == 0)
		return true;
	pk_read_error(&r, from, false, NULL, "the result is no document: %s: %s", fault.where.path,
		      fault.what);
	return false;
}

static void add_document(struct context *c, const struct pk_importer *im,
			 const struct pk_json *from, const char *name)
{
	struct pk_import *out = c->out;
	own_str formatted = { 0 };

	if (im->refused || !lay_out(c, from, im->w.out, &formatted) ||
	    !is_taken(c, from, formatted.text)) {
		out->n_refused++;
		return;
	}
	out->n_losses += im->n_losses;
	out->docs = reallocarray(out->docs, out->n + 1, sizeof(*out->docs));
	if (!out->docs)
		abort();
	out->docs[out->n].name = name ? pk_read_text(name) : NULL;
	out->docs[out->n++].text = pk_read_text(formatted.text);
}

static void import_rules(struct pk_importer *im, const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_ARRAY) {
		pk_import_rule(im, v);
		return;
	}
	for (const struct pk_json *rule = pk_json_first(v); rule; rule = pk_json_next(rule))
		pk_import_rule(im, rule);
}

/*
 * Imports netreap's key: a rule or an array of rules. With a namespace it needs a document around
 * it.
 */
static void import_bare(struct context *c, const struct pk_json *v)
{
	const char *tenant = c->options->tenant_name;
	own_str text = { 0 };
	struct pk_importer im = importer(c, IMPORT_API, tenant, &text);

	if (tenant) {
		pk_jw_open(&im.w, NULL, '{');
		pk_jw_string(&im.w, "namespace", tenant);
	}
	pk_jw_open(&im.w, tenant ? "rules" : NULL, '[');
	import_rules(&im, v);
	pk_jw_close(&im.w, ']');
	if (tenant)
		pk_jw_close(&im.w, '}');
	add_document(c, &im, v, NULL);
}

/* Imports a document of ours, which stays as it is. */
static void import_document(struct context *c, const struct pk_json *v)
{
	const char *tenant = c->options->tenant_name;
	own_str text = { 0 };
	struct pk_importer im = importer(c, IMPORT_API, NULL, &text);

	pk_jw_open(&im.w, NULL, '{');
	if (tenant && !pk_json_get(v, "namespace"))
		pk_jw_string(&im.w, "namespace", tenant);
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		pk_jw_value(&im.w, pk_json_key(m), m);
	pk_jw_close(&im.w, '}');
	add_document(c, &im, v, pk_json_string(pk_json_get(v, "name")));
}

#define LISTS_MAX   4 /* a List in a List */
#define CLUSTERWIDE "CiliumClusterwideNetworkPolicy"

/*
 * Returns whether the object is a policy of Cilium's. An object of another kind is passed over; a
 * policy of another sort (NetworkPolicy, AdminNetworkPolicy) and an object without kind are
 * refused, since they may say whom to let in as well.
 */
static bool is_policy(struct context *c, const struct pk_json *v)
{
	const char *kind = pk_json_string(pk_json_get(v, "kind"));
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };

	if (kind && (strcmp(kind, "CiliumNetworkPolicy") == 0 || strcmp(kind, CLUSTERWIDE) == 0))
		return true;
	if (kind && !strstr(kind, "Policy")) {
		pk_read_warn(&r, v, false, NULL, "\"%s\" is no policy: passed over", kind);
		return false;
	}
	pk_read_error(&r, v, false, NULL, "\"%s\" is no CiliumNetworkPolicy or " CLUSTERWIDE,
		      kind ? kind : "");
	c->out->n_refused++;
	return false;
}

/*
 * Imports a CiliumNetworkPolicy, whose Kubernetes namespace becomes the Nomad namespace, or a
 * clusterwide one, which has none.
 */
static void import_kubernetes(struct context *c, const struct pk_json *v)
{
	const struct pk_json *meta = pk_json_get(v, "metadata");
	const char *name = pk_json_string(pk_json_get(meta, "name"));
	const char *tenant = pk_json_string(pk_json_get(meta, "namespace"));
	const char *kind = pk_json_string(pk_json_get(v, "kind"));
	own_str text = { 0 }, full = { 0 };
	struct pk_importer im;

	if (!is_policy(c, v))
		return;
	if (strcmp(kind, CLUSTERWIDE) == 0)
		tenant = NULL;
	else if (!tenant)
		tenant = c->options->tenant_name ?: "default";
	im = importer(c, IMPORT_KUBERNETES, tenant, &text);
	pk_jw_open(&im.w, NULL, '{');
	/* One directory holds them all, and names are often the same in every namespace. */
	pk_str_addf(&full, "%s%s%s", tenant ? tenant : "", tenant ? "-" : "",
		    name ? name : "policy");
	pk_jw_string(&im.w, "name", full.text);
	if (tenant)
		pk_jw_string(&im.w, "namespace", tenant);
	pk_jw_open(&im.w, "rules", '[');
	if (pk_import_get(&im, v, "spec"))
		import_rules(&im, pk_json_get(v, "spec"));
	if (pk_import_get(&im, v, "specs"))
		import_rules(&im, pk_json_get(v, "specs"));
	pk_jw_close(&im.w, ']');
	pk_jw_close(&im.w, '}');
	import_repair(&im, v, false, NULL, "%s \"%s\" becomes a document", kind, name ? name : "");
	add_document(c, &im, v, full.text);
}

static bool is_object(const struct pk_json *v)
{
	return pk_json_get(v, "kind") || pk_json_get(v, "spec") || pk_json_get(v, "specs");
}

/* Imports an object, a List of them, or a list: several documents of one text are an array. */
static void import_objects(struct context *c, const struct pk_json *v, int depth)
{
	const struct pk_json *items = pk_json_get(v, "items");
	const struct pk_json *list = items ? items : v;

	if (pk_json_type(list) != PK_JSON_ARRAY || depth > LISTS_MAX) {
		import_kubernetes(c, v);
		return;
	}
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
		import_objects(c, e, depth + 1);
}

static void import_any(struct context *c, const struct pk_json *v)
{
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };

	if (is_object(v) || pk_json_get(v, "items") ||
	    (pk_json_type(v) == PK_JSON_ARRAY && is_object(pk_json_first(v))))
		import_objects(c, v, 0);
	else if ((pk_json_type(v) == PK_JSON_ARRAY && pk_json_first(v)) ||
		 pk_json_get_nocase(v, "endpointSelector") || pk_json_get_nocase(v, "nodeSelector"))
		import_bare(c, v);
	else if (pk_json_get(v, "rules"))
		import_document(c, v);
	if (c->out->n == 0 && c->out->n_refused == 0) {
		c->out->n_refused++;
		pk_read_error(&r, v, false, NULL,
			      "found neither rules nor Cilium's policies: nothing to import");
	}
}

/* The scan is conservative: a requirement that an allow list doesn't hold counts too. */
static void scan(const struct pk_json *v, struct pk_import_options *options)
{
	const char *key = pk_json_key(v);
	bool some = pk_json_type(v) == PK_JSON_ARRAY && pk_json_first(v);

	if (key && some)
		options->requires_from |= strcasecmp(key, "fromRequires") == 0;
	if (key && some)
		options->requires_to |= strcasecmp(key, "toRequires") == 0;
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		scan(m, options);
}

void pk_import_scan(const char *text, size_t len, struct pk_import_options *options)
{
	own_json *json = NULL;

	if (pk_json_parse("", text, len, PK_JSON_COMMENTS | PK_JSON_RELAXED, &json, NULL) == 0)
		scan(pk_json_root(json), options);
}

int pk_import_text(const char *path, const char *text, size_t len,
		   const struct pk_import_options *given, struct pk_import *out)
{
	struct pk_import_options options = *given;
	struct context c = { .options = &options, .out = out };
	struct pk_json_fault fault;
	own_json *json = NULL;

	out->notes.path = pk_read_text(path);
	out->notes.max = IMPORT_NOTES_MAX;
	if (pk_json_parse_fault(path, text, len, PK_JSON_COMMENTS | PK_JSON_RELAXED, &json,
				&fault) < 0) {
		pk_read_fault(&out->notes, &fault);
		out->n_refused++;
		return -EINVAL;
	}
	c.json = json;
	scan(pk_json_root(json), &options);
	import_any(&c, pk_json_root(json));
	pk_read_sort(&out->notes, 0);
	return out->n ? 0 : -EINVAL;
}
