/* SPDX-License-Identifier: GPL-2.0-only */
#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	const char *tenant_name;
	struct pk_import *out;
};

/*
 * What was written is JSON, but it may be too large or too deep, or two repairs may have met in one
 * key.
 */
static void add_document(struct context *c, const struct pk_json *from, const char *name,
			 const struct pk_str *text)
{
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };
	struct pk_import *out = c->out;
	struct pk_json_fault fault;
	own_str formatted = { 0 };

	if (pk_layout("import", text->text, text->len, &formatted, &fault) < 0) {
		pk_read_error(&r, from, false, NULL, "the result is no document: %s: %s",
			      fault.where.path, fault.what);
		return;
	}
	out->docs = reallocarray(out->docs, out->n + 1, sizeof(*out->docs));
	if (!out->docs)
		abort();
	out->docs[out->n].name = name ? pk_read_text(name) : NULL;
	out->docs[out->n++].text = pk_read_text(formatted.text);
}

static bool is_entries(const char *key)
{
	return strcmp(key, "ingress") == 0 || strcmp(key, "egress") == 0 ||
	       strcmp(key, "ingressDeny") == 0 || strcmp(key, "egressDeny") == 0;
}

static const char *rule_loss(const struct pk_json *rule)
{
	if (pk_json_get(rule, "nodeSelector"))
		return "a rule about nodes";
	return pk_import_selector_loss(pk_json_get(rule, "endpointSelector"));
}

/* Known keys as they are; a slip of the pen under its right name; the rest has no meaning here. */
static const char *rule_key(struct pk_importer *im, const struct pk_json *rule,
			    const struct pk_json *m)
{
	static const char *const known[] = {
		"description", "endpointSelector",  "ingress", "egress", "ingressDeny",
		"egressDeny",  "enableDefaultDeny", "log",     NULL
	};
	const char *key = pk_json_key(m), *near;

	if (pk_json_type(m) == PK_JSON_NULL) {
		import_repair(im, m, true, "removed: it says nothing");
		return NULL;
	}
	for (size_t i = 0; known[i]; i++)
		if (strcmp(known[i], key) == 0)
			return key;
	near = strcmp(key, "labels") == 0 ? NULL : pk_nearest(key, known);
	if (near && !pk_json_get(rule, near)) {
		import_repair(im, m, true, "written as \"%s\"", near);
		return near;
	}
	import_repair(im, m, true, "removed: it decides nothing");
	return NULL;
}

/* A list of entries that isn't one is the reader's to refuse. */
static bool has_entries(const struct pk_json *rule, const char *direction)
{
	const struct pk_json *lists[2];
	char deny[16];

	snprintf(deny, sizeof(deny), "%sDeny", direction);
	lists[0] = pk_json_get(rule, direction);
	lists[1] = pk_json_get(rule, deny);
	for (size_t i = 0; i < 2; i++)
		if (lists[i] && pk_json_type(lists[i]) != PK_JSON_NULL &&
		    (pk_json_type(lists[i]) != PK_JSON_ARRAY || pk_json_first(lists[i])))
			return true;
	return false;
}

/* Cilium takes it where the direction has no entry, and it does nothing there. */
static void import_default_deny(struct pk_importer *im, const struct pk_json *rule,
				const struct pk_json *v)
{
	if (!pk_import_object(im, "enableDefaultDeny", v))
		return;
	pk_jw_open(&im->w, "enableDefaultDeny", '{');
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		const char *key = pk_json_key(m);
		bool direction = strcmp(key, "ingress") == 0 || strcmp(key, "egress") == 0;

		if (pk_json_type(m) == PK_JSON_NULL)
			import_repair(im, m, true, "removed: it says nothing");
		else if (direction && pk_json_true(m) && !has_entries(rule, key))
			import_repair(im, m, true, "removed: without an entry it had no effect");
		else
			pk_jw_value(&im->w, key, m);
	}
	pk_jw_close(&im->w, '}');
}

/* Nothing but empty lists beside what every rule may have. */
static bool says_nothing(const struct pk_json *rule)
{
	static const char *const beside[] = { "endpointSelector",  "description", "labels", "log",
					      "enableDefaultDeny", NULL };

	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m)) {
		bool empty = pk_json_type(m) == PK_JSON_NULL ||
			     (pk_json_type(m) == PK_JSON_ARRAY && !pk_json_first(m));

		for (size_t i = 0; beside[i] && !empty; i++)
			empty = strcmp(beside[i], pk_json_key(m)) == 0;
		if (!empty)
			return false;
	}
	return pk_json_first(rule);
}

static void import_rule(struct pk_importer *im, const struct pk_json *rule)
{
	const char *loss = rule_loss(rule);

	if (!pk_import_object(im, NULL, rule))
		return;
	if (loss) {
		import_loss(im, rule, false,
			    "%s can't be carried over: the rule is lost, and what it closed is "
			    "open",
			    loss);
		return;
	}
	if (says_nothing(rule)) {
		import_repair(im, rule, false, "removed: a rule without an entry says nothing");
		return;
	}
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m)) {
		const char *key = rule_key(im, rule, m);

		if (!key)
			continue;
		if (strcmp(key, "endpointSelector") == 0 && pk_json_type(m) == PK_JSON_OBJECT)
			pk_import_selector(im, key, m);
		else if (strcmp(key, "enableDefaultDeny") == 0)
			import_default_deny(im, rule, m);
		else if (is_entries(pk_json_key(m)) && pk_json_type(m) == PK_JSON_ARRAY)
			pk_import_entries(im, m);
		else
			pk_jw_value(&im->w, key, m);
	}
	pk_jw_close(&im->w, '}');
}

static void import_rules(struct pk_importer *im, const struct pk_json *v)
{
	if (pk_json_type(v) != PK_JSON_ARRAY) {
		import_rule(im, v);
		return;
	}
	for (const struct pk_json *rule = pk_json_first(v); rule; rule = pk_json_next(rule))
		import_rule(im, rule);
}

/* A rule or an array of rules: netreap's key. With a namespace it needs a document around it. */
static void import_bare(struct context *c, const struct pk_json *v)
{
	own_str text = { 0 };
	struct pk_importer im = { .r = { .json = c->json, .notes = &c->out->notes },
				  .tenant = c->tenant_name,
				  .w = { .out = &text, .indent = 2 } };

	if (c->tenant_name) {
		pk_jw_open(&im.w, NULL, '{');
		pk_jw_string(&im.w, "namespace", c->tenant_name);
	}
	pk_jw_open(&im.w, c->tenant_name ? "rules" : NULL, '[');
	import_rules(&im, v);
	pk_jw_close(&im.w, ']');
	if (c->tenant_name)
		pk_jw_close(&im.w, '}');
	add_document(c, v, NULL, &text);
}

/* One of ours, maybe with slips in its rules. */
static void import_document(struct context *c, const struct pk_json *v)
{
	own_str text = { 0 };
	struct pk_importer im = { .r = { .json = c->json, .notes = &c->out->notes },
				  .w = { .out = &text, .indent = 2 } };

	pk_jw_open(&im.w, NULL, '{');
	if (c->tenant_name && !pk_json_get(v, "namespace"))
		pk_jw_string(&im.w, "namespace", c->tenant_name);
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		if (strcmp(pk_json_key(m), "rules") != 0 || pk_json_type(m) != PK_JSON_ARRAY) {
			pk_jw_value(&im.w, pk_json_key(m), m);
			continue;
		}
		pk_jw_open(&im.w, "rules", '[');
		import_rules(&im, m);
		pk_jw_close(&im.w, ']');
	}
	pk_jw_close(&im.w, '}');
	add_document(c, v, pk_json_string(pk_json_get(v, "name")), &text);
}

/*
 * CiliumNetworkPolicy: its Kubernetes namespace is the Nomad namespace; the clusterwide one has
 * none.
 */
static void import_kubernetes(struct context *c, const struct pk_json *v)
{
	const struct pk_json *meta = pk_json_get(v, "metadata");
	const char *name = pk_json_string(pk_json_get(meta, "name"));
	const char *tenant_name = pk_json_string(pk_json_get(meta, "namespace"));
	const char *kind = pk_json_string(pk_json_get(v, "kind"));
	own_str text = { 0 }, full = { 0 };
	struct pk_importer im = { .r = { .json = c->json, .notes = &c->out->notes },
				  .kubernetes = true,
				  .w = { .out = &text, .indent = 2 } };

	if (!kind || (strcmp(kind, "CiliumNetworkPolicy") != 0 &&
		      strcmp(kind, "CiliumClusterwideNetworkPolicy") != 0)) {
		import_loss(&im, v, false,
			    "\"%s\" is no CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy",
			    kind ? kind : "");
		return;
	}
	if (strcmp(kind, "CiliumNetworkPolicy") != 0)
		tenant_name = NULL;
	else if (!tenant_name)
		tenant_name = c->tenant_name ? c->tenant_name : "default";
	im.tenant = tenant_name;
	pk_jw_open(&im.w, NULL, '{');
	/* One directory holds them all, and names are often the same in every namespace. */
	pk_str_addf(&full, "%s%s%s", tenant_name ? tenant_name : "", tenant_name ? "-" : "",
		    name ? name : "policy");
	pk_jw_string(&im.w, "name", full.text);
	if (tenant_name)
		pk_jw_string(&im.w, "namespace", tenant_name);
	pk_jw_open(&im.w, "rules", '[');
	if (pk_json_get(v, "spec"))
		import_rules(&im, pk_json_get(v, "spec"));
	if (pk_json_get(v, "specs"))
		import_rules(&im, pk_json_get(v, "specs"));
	pk_jw_close(&im.w, ']');
	pk_jw_close(&im.w, '}');
	import_repair(&im, v, false, "%s \"%s\" becomes a document", kind, name ? name : "");
	add_document(c, v, full.text, &text);
}

static bool is_object(const struct pk_json *v)
{
	return pk_json_get(v, "kind") || pk_json_get(v, "spec") || pk_json_get(v, "specs");
}

static void import_any(struct context *c, const struct pk_json *v)
{
	const struct pk_json *items = pk_json_get(v, "items");
	const struct pk_json *list = items ? items : v;
	struct pk_reader r = { .json = c->json, .notes = &c->out->notes };

	if (pk_json_type(list) == PK_JSON_ARRAY && (items || is_object(pk_json_first(list)))) {
		for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
			import_kubernetes(c, e);
	} else if (pk_json_type(v) == PK_JSON_ARRAY || pk_json_get(v, "endpointSelector") ||
		   pk_json_get(v, "nodeSelector")) {
		import_bare(c, v);
	} else if (is_object(v)) {
		import_kubernetes(c, v);
	} else if (pk_json_get(v, "rules")) {
		import_document(c, v);
	}
	if (c->out->n == 0 && c->out->notes.n_errors == 0)
		pk_read_error(&r, v, false, NULL,
			      "found neither rules nor Cilium's policies: nothing to import");
}

int pk_import_text(const char *path, const char *text, size_t len, const char *tenant_name,
		   struct pk_import *out)
{
	struct context c = { .tenant_name = tenant_name, .out = out };
	struct pk_json_fault fault;
	own_json *json = NULL;

	out->notes.path = pk_read_text(path);
	out->notes.max = IMPORT_NOTES_MAX;
	if (pk_json_parse_fault(path, text, len, PK_JSON_COMMENTS | PK_JSON_RELAXED, &json,
				&fault) < 0) {
		pk_read_fault(&out->notes, &fault);
		return -EINVAL;
	}
	c.json = json;
	import_any(&c, pk_json_root(json));
	pk_read_sort(&out->notes, 0);
	return out->n ? 0 : -EINVAL;
}
