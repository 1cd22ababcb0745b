/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors. In Cilium they match labels, and its entities have labels too: {} and a selector of
 * negations alone match the world and hosts as well. In Kubernetes a selector of a policy means
 * its own namespace, unless it names namespaces or entities.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_private.h"
#include "own.h"

#define NAMESPACE_LABELS "io.cilium.k8s.namespace.labels."

const char *const pk_import_entity_names[] = { "host", "remote-node", "world", "init", NULL };

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Returns the key without "k8s:" and "any:", which say the same of a pod's labels. */
static const char *bare(const char *key)
{
	return starts(key, "k8s:") || starts(key, "any:") ? key + 4 : key;
}

static bool is_namespace(const char *key)
{
	return strcmp(bare(key), "io.kubernetes.pod.namespace") == 0;
}

static bool is_namespace_name(const char *key)
{
	return strcmp(bare(key), NAMESPACE_LABELS "kubernetes.io/metadata.name") == 0;
}

/*
 * Returns a label's key as we write it, NULL where there is no such label here. The caller frees
 * it.
 */
static char *map_key(const struct pk_importer *im, const char *key)
{
	const char *rest = bare(key);
	own_mem char *canonical = NULL;
	char *out = NULL;

	if (starts(key, "k8s:") || (im->form == IMPORT_KUBERNETES && !strchr(rest, ':')))
		return asprintf(&out, "meta:%s", rest) < 0 ? NULL : out;
	if (strcmp(key, "nomad:service") == 0)
		return pk_read_text("meta:service");
	if (pk_doc_label_key(key, &canonical, NULL) < 0)
		return NULL;
	/* A bare key is ours too; of netreap's and Cilium's forms the plain one is written. */
	return strchr(key, ':') ? PK_MOVE(canonical, NULL) : pk_read_text(key);
}

static bool means(const char *key, const char *canonical)
{
	own_mem char *its = NULL;

	return pk_doc_label_key(key, &its, NULL) == 0 && strcmp(its, canonical) == 0;
}

static void classify(const struct pk_importer *im, struct import_requirement *req)
{
	const char *rest = bare(req->written);

	if (starts(req->written, "reserved:")) {
		req->label = IMPORT_RESERVED;
	} else if (is_namespace(req->written) || is_namespace_name(req->written)) {
		req->label = IMPORT_NAMESPACE;
		req->key = pk_read_text("nomad:namespace");
	} else if (strcmp(rest, "io.cilium.k8s.policy.cluster") == 0) {
		req->label = IMPORT_CLUSTER;
	} else if (starts(rest, "io.cilium.k8s.") || starts(rest, "io.kubernetes.")) {
		req->label = IMPORT_ALIEN;
	} else {
		req->key = map_key(im, req->written);
		req->label = req->key ? IMPORT_LABEL : IMPORT_ALIEN;
		if (req->key && means(req->key, "nomad:namespace"))
			req->label = IMPORT_NAMESPACE;
	}
}

static bool read_operator(const char *text, enum pk_op *op)
{
	static const struct {
		const char *text;
		enum pk_op op;
	} table[] = { { "In", PK_OP_IN },
		      { "NotIn", PK_OP_NOT_IN },
		      { "Exists", PK_OP_EXISTS },
		      { "DoesNotExist", PK_OP_NOT_EXISTS } };

	for (size_t i = 0; text && i < PK_ARRAY_LEN(table); i++)
		if (strcmp(table[i].text, text) == 0) {
			*op = table[i].op;
			return true;
		}
	return false;
}

static void read_pair(struct pk_importer *im, const struct pk_json *m, struct import_selector *sel)
{
	struct import_requirement *req = &sel->req[sel->n++];

	*req = (struct import_requirement){
		.at = m, .key_at = m, .values = m, .written = pk_json_key(m), .op = PK_OP_IN
	};
	classify(im, req);
	sel->unclear |= !pk_json_string(m);
}

static void read_expression(struct pk_importer *im, const struct pk_json *e,
			    struct import_selector *sel)
{
	static const char *const known[] = { "key", "operator", "values", NULL };
	struct import_requirement *req = &sel->req[sel->n];
	const struct pk_json *key = pk_import_get(im, e, "key");

	for (const struct pk_json *m = pk_json_first(e); m && pk_json_type(e) == PK_JSON_OBJECT;
	     m = pk_json_next(m))
		pk_import_key(im, e, m, known);
	*req = (struct import_requirement){ .at = e,
					    .key_at = key,
					    .written = pk_json_string(key),
					    .values = pk_import_get(im, e, "values") };
	if (!req->written ||
	    !read_operator(pk_json_string(pk_import_get(im, e, "operator")), &req->op)) {
		sel->unclear = true;
		return;
	}
	sel->n++;
	if (req->values && !pk_json_first(req->values))
		req->values = NULL;
	classify(im, req);
}

void pk_import_selector_done(struct import_selector *sel)
{
	for (size_t i = 0; i < sel->n; i++)
		free(sel->req[i].key);
	free(sel->req);
	*sel = (struct import_selector){ 0 };
}

static bool has_value(const struct import_requirement *req, const char *value)
{
	const struct pk_json *v = req->values;

	if (v && pk_json_type(v) == PK_JSON_ARRAY)
		v = pk_json_first(v);
	for (; v; v = req->values == v ? NULL : pk_json_next(v))
		if (pk_json_string(v) && strcmp(pk_json_string(v), value) == 0)
			return true;
	return false;
}

/* value: of the label, NULL = it isn't there. */
bool pk_import_fulfils(const struct import_requirement *req, const char *value)
{
	bool in = value && has_value(req, value);

	switch (req->op) {
	case PK_OP_IN:
		return in;
	case PK_OP_NOT_IN:
		return !in;
	case PK_OP_EXISTS:
		return value != NULL;
	case PK_OP_NOT_EXISTS:
		return value == NULL;
	}
	return false;
}

/*
 * Returns whether the selector matches an entity. Its only label is reserved:NAME without a value;
 * a key without source finds it too.
 */
static bool matches_entity(const struct import_selector *sel, const char *name)
{
	for (size_t i = 0; i < sel->n; i++) {
		const char *key = sel->req[i].written;
		const char *rest = starts(key, "any:") ? key + strlen("any:") : key;

		if (starts(key, "reserved:"))
			rest = key + strlen("reserved:");
		if (!pk_import_fulfils(&sel->req[i], strcmp(rest, name) == 0 ? "" : NULL))
			return false;
	}
	return true;
}

bool pk_import_is_namespaced(const struct import_requirement *req)
{
	return is_namespace(req->written) || starts(bare(req->written), NAMESPACE_LABELS);
}

/*
 * Returns whether Kubernetes confines this selector to endpoints of the policy's namespace, or of
 * any.
 */
static bool is_scoped(const struct pk_importer *im, const struct import_selector *sel)
{
	bool named = false, labelled = false;

	if (im->form != IMPORT_KUBERNETES)
		return false;
	for (size_t i = 0; i < sel->n; i++) {
		if (sel->req[i].label == IMPORT_RESERVED)
			return false;
		named |= is_namespace(sel->req[i].written);
		labelled |= starts(bare(sel->req[i].written), NAMESPACE_LABELS);
	}
	return !named && (im->tenant ? !labelled : !im->about_init);
}

/* Decides the requirements beforehand that are about a label which every endpoint has, or none. */
static void decide(const struct pk_importer *im, struct import_selector *sel)
{
	const char *cluster = im->options->cluster ?: "default";

	sel->endpoints = true;
	for (size_t i = 0; i < sel->n; i++) {
		struct import_requirement *req = &sel->req[i];

		if (req->label == IMPORT_RESERVED)
			req->dropped = pk_import_fulfils(req, NULL);
		else if (req->label == IMPORT_CLUSTER)
			req->dropped = pk_import_fulfils(req, cluster);
		if (req->label == IMPORT_RESERVED && !req->dropped)
			sel->endpoints = false;
		if (req->label == IMPORT_CLUSTER && !req->dropped)
			sel->other = req->written;
		if (req->label == IMPORT_ALIEN)
			sel->alien = req->written;
	}
}

static void find_entities(const struct pk_importer *im, struct import_selector *sel)
{
	bool scoped = is_scoped(im, sel), init = true;

	for (size_t i = 0; pk_import_entity_names[i] && !scoped; i++)
		if (matches_entity(sel, pk_import_entity_names[i]))
			sel->entities |= 1u << i;
	/* An endpoint in init has no labels: it fulfils negations alone. */
	for (size_t i = 0; i < sel->n; i++)
		init &= sel->req[i].dropped || pk_import_fulfils(&sel->req[i], NULL);
	sel->but_init = scoped && !im->tenant && init;
}

void pk_import_selector_read(struct pk_importer *im, const struct pk_json *v,
			     struct import_selector *sel)
{
	static const char *const known[] = { "matchLabels", "matchExpressions", NULL };
	const struct pk_json *labels = pk_import_get(im, v, "matchLabels");
	const struct pk_json *list = pk_import_get(im, v, "matchExpressions");

	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
		pk_import_key(im, v, m, known);
	sel->unclear = (labels && pk_json_type(labels) != PK_JSON_OBJECT) ||
		       (list && pk_json_type(list) != PK_JSON_ARRAY);
	sel->req =
		pk_read_array(pk_json_count(labels) + pk_json_count(list) + 1, sizeof(*sel->req));
	if (sel->unclear)
		return;
	for (const struct pk_json *m = pk_json_first(labels); m; m = pk_json_next(m))
		read_pair(im, m, sel);
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
		read_expression(im, e, sel);
	if (sel->unclear)
		return;
	decide(im, sel);
	find_entities(im, sel);
	sel->everyone = sel->endpoints && !sel->alien && !sel->other;
	for (size_t i = 0; i < sel->n && sel->everyone; i++)
		sel->everyone = sel->req[i].dropped;
}

/* Notes what a key became and, for a pod's label, what the jobs need. */
static void say_key(struct pk_importer *im, const struct import_requirement *req)
{
	bool at_key = req->key_at == req->at; /* the key of a pair, else an expression's value */

	if (strcmp(req->written, req->key) == 0)
		return;
	import_repair(im, req->key_at, at_key,
		      im->form == IMPORT_KUBERNETES && starts(req->key, "meta:")
			      ? "give the jobs this meta key"
			      : NULL,
		      "written as \"%s\"", req->key);
}

static void say_dropped(struct pk_importer *im, const struct import_requirement *req)
{
	import_repair(im, req->key_at, req->key_at == req->at, NULL, "removed: %s",
		      req->label == IMPORT_CLUSTER ? "every endpoint of the cluster fulfils it"
						   : "every endpoint fulfils it");
}

static const char *operator_name(enum pk_op op)
{
	static const char *const names[] = { [PK_OP_IN] = "In",
					     [PK_OP_NOT_IN] = "NotIn",
					     [PK_OP_EXISTS] = "Exists",
					     [PK_OP_NOT_EXISTS] = "DoesNotExist" };

	return names[op];
}

void pk_import_expression(struct pk_importer *im, const char *key, enum pk_op op,
			  const struct pk_json *values)
{
	bool list = values && pk_json_type(values) == PK_JSON_ARRAY;

	pk_jw_open(&im->w, NULL, '{');
	pk_jw_string(&im->w, "key", key);
	pk_jw_string(&im->w, "operator", operator_name(op));
	if (list)
		pk_jw_value(&im->w, "values", values);
	if (values && !list) {
		pk_jw_open(&im->w, "values", '[');
		pk_jw_value(&im->w, NULL, values);
		pk_jw_close(&im->w, ']');
	}
	pk_jw_close(&im->w, '}');
}

/*
 * Returns whether an earlier requirement wrote this key: two spellings of one label can't be two
 * keys of one name.
 */
static bool is_written(const struct import_selector *sel, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sel->req[i].values == sel->req[i].at && sel->req[i].key && sel->req[n].key &&
		    strcmp(sel->req[i].key, sel->req[n].key) == 0)
			return true;
	return false;
}

static bool is_pair(const struct import_selector *sel, size_t i)
{
	return sel->req[i].values == sel->req[i].at && !is_written(sel, i);
}

static void write_pairs(struct pk_importer *im, const struct import_selector *sel)
{
	pk_jw_open(&im->w, "matchLabels", '{');
	for (size_t i = 0; i < sel->n; i++)
		if (!sel->req[i].dropped && sel->req[i].key && is_pair(sel, i)) {
			say_key(im, &sel->req[i]);
			pk_jw_value(&im->w, sel->req[i].key, sel->req[i].values);
		}
	pk_jw_close(&im->w, '}');
}

static void write_expressions(struct pk_importer *im, const struct import_selector *sel)
{
	pk_jw_open(&im->w, "matchExpressions", '[');
	if (sel->but_init)
		pk_import_expression(im, "nomad:namespace", PK_OP_EXISTS, NULL);
	for (size_t i = 0; i < sel->n; i++) {
		const struct import_requirement *req = &sel->req[i];

		if (req->dropped || !req->key || is_pair(sel, i))
			continue;
		if (req->values == req->at)
			import_repair(im, req->at, true, NULL,
				      "\"%s\" a second time: written as an expression", req->key);
		else
			say_key(im, req);
		pk_import_expression(im, req->key, req->op, req->values);
	}
	pk_jw_close(&im->w, ']');
}

/* A job's author writes its meta: an operator's document must name whose jobs it means. */
void pk_import_check_meta(struct pk_importer *im, const struct pk_json *at,
			  const struct import_selector *sel)
{
	const char *meta = NULL;

	for (size_t i = 0; i < sel->n; i++) {
		const struct import_requirement *req = &sel->req[i];
		own_mem char *key = NULL;

		if (req->dropped || !req->key)
			continue;
		if (req->label == IMPORT_NAMESPACE && req->op == PK_OP_IN)
			return;
		if (pk_doc_label_key(req->key, &key, NULL) == 0 && starts(key, "meta:"))
			meta = req->written;
	}
	if (meta && !im->tenant)
		import_refuse(
			im, at, false,
			im->form == IMPORT_API
				? "give -namespace NAME, if these are one namespace's policies"
				: "name the namespace in its matchLabels",
			"\"%s\" is the job author's word: an operator's document must name "
			"the namespace beside it",
			meta);
}

void pk_import_selector_write(struct pk_importer *im, const char *key, const struct pk_json *at,
			      const struct import_selector *sel)
{
	bool pairs = false, expressions = sel->but_init;

	pk_import_check_meta(im, at, sel);
	if (sel->but_init)
		import_repair(im, at, false, NULL,
			      "written with \"nomad:namespace\": a clusterwide policy doesn't mean "
			      "endpoints without a namespace");
	for (size_t i = 0; i < sel->n; i++) {
		if (sel->req[i].dropped)
			say_dropped(im, &sel->req[i]);
		else if (is_pair(sel, i))
			pairs |= sel->req[i].key != NULL;
		else
			expressions |= sel->req[i].key != NULL;
	}
	pk_jw_open(&im->w, key, '{');
	if (pairs)
		write_pairs(im, sel);
	if (expressions)
		write_expressions(im, sel);
	pk_jw_close(&im->w, '}');
}
