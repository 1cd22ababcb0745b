/* SPDX-License-Identifier: Apache-2.0 */
/* Labels and selectors (docs/policy.md, "Labels"). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doc_read.h"
#include "own.h"
#include "selector.h"

static const struct {
	const char *name, *key;
	bool authors; /* the author's word, else the operator's */
} labels[] = {
	{ "namespace", "nomad:namespace", false },
	{ "region", "nomad:region", false },
	{ "node", "nomad:node", false },
	{ "nodepool", "nomad:nodepool", false },
	{ "datacenter", "nomad:datacenter", false },
	{ "job", "nomad:job", true },
	{ "group", "nomad:group", true },
	{ "service", "consul:service", true },
};

static const struct {
	const char *alias, *key;
} aliases[] = {
	{ "netreap:nomad.job_id", "nomad:job" },
	{ "netreap:nomad.namespace", "nomad:namespace" },
	{ "netreap:nomad.task_group_id", "nomad:group" },
};

static const char *label_named(const char *name)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(labels); i++)
		if (strcmp(labels[i].name, name) == 0)
			return labels[i].key;
	return NULL;
}

static int give(char **out, const char *source, const char *key)
{
	if (asprintf(out, "%s%s", source, key) < 0)
		abort();
	return 0;
}

static int bare_key(const char *name, char **out)
{
	const char *key = label_named(name);

	return key ? give(out, "", key) : give(out, "meta:", name);
}

static int nomad_key(const char *name, char **out, struct pk_err *why)
{
	const char *key = label_named(name);

	if (!key)
		return give(out, "meta:", name); /* netreap's way to write a meta key */
	if (strncmp(key, "nomad:", 6) == 0)
		return give(out, "", key);
	return pk_fix(why, pk_fail(why, 0, "\"nomad:%s\" may mean two things", name),
		      "write \"%s\" or \"meta:%s\"", key, name);
}

static bool is_reserved(const char *key)
{
	return strncmp(key, "reserved:", 9) == 0;
}

static int unknown_source(const char *text, struct pk_err *why)
{
	static const char *const known[] = { "nomad:namespace",
					     "nomad:job",
					     "nomad:group",
					     "nomad:region",
					     "nomad:node",
					     "nomad:nodepool",
					     "nomad:datacenter",
					     "consul:service",
					     "reserved:host",
					     "reserved:world",
					     "reserved:remote-node",
					     "reserved:init",
					     NULL };
	const char *near = pk_nearest(text, known);
	int r = pk_fail(why, 0, "no label is called that");

	if (near)
		return pk_fix(why, r, "did you mean \"%s\"?", near);
	if (strncmp(text, "k8s:", 4) == 0)
		return pk_fix(why, r, "Kubernetes' labels don't exist here");
	if (is_reserved(text))
		return pk_fix(why, r,
			      "of \"reserved:\" there are host, world, remote-node and init");
	return pk_fix(why, r, "a label starts with nomad:, consul:, meta: or reserved:");
}

int pk_doc_label_key(const char *text, char **out, struct pk_err *why)
{
	const char *colon = strchr(text, ':');

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return pk_fail(why, 0, "a control character in a label's key");
	if (!*text || (colon && !colon[1]))
		return pk_fail(why, 0, "a label's key is empty");
	if (!colon)
		return bare_key(text, out);
	if (strncmp(text, "any:", 4) == 0)
		return bare_key(colon + 1, out);
	if (strncmp(text, "nomad:", 6) == 0)
		return nomad_key(colon + 1, out, why);
	if (strncmp(text, "meta:", 5) == 0 || strcmp(text, "consul:service") == 0 ||
	    strcmp(text, "reserved:host") == 0 || strcmp(text, "reserved:world") == 0 ||
	    strcmp(text, "reserved:remote-node") == 0 || strcmp(text, "reserved:init") == 0)
		return give(out, "", text);
	for (size_t i = 0; i < PK_ARRAY_LEN(aliases); i++)
		if (strcmp(text, aliases[i].alias) == 0)
			return give(out, "", aliases[i].key);
	return unknown_source(text, why);
}

static const char *const entity_names[] = {
	[PK_ENTITY_NONE] = "none",	   [PK_ENTITY_ALL] = "all",
	[PK_ENTITY_WORLD] = "world",	   [PK_ENTITY_WORLD4] = "world-ipv4",
	[PK_ENTITY_WORLD6] = "world-ipv6", [PK_ENTITY_CLUSTER] = "cluster",
	[PK_ENTITY_HOST] = "host",	   [PK_ENTITY_REMOTE_NODE] = "remote-node",
	[PK_ENTITY_INIT] = "init",
};

const char *pk_entity_name(enum pk_entity entity)
{
	return entity_names[entity];
}

int pk_entity_parse(const char *text, enum pk_entity *out)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(entity_names); i++)
		if (strcmp(entity_names[i], text) == 0) {
			*out = (enum pk_entity)i;
			return 0;
		}
	return -EINVAL;
}

/* Finds the pair of matchLabels that stands for an entity; NULL: there is none. */
static const struct pk_json *find_reserved(const struct pk_json *match_labels)
{
	for (const struct pk_json *m = pk_json_first(match_labels); m; m = pk_json_next(m))
		if (is_reserved(pk_json_key(m)))
			return m;
	return NULL;
}

static void read_entity(struct pk_reader *r, const struct pk_json *v, const struct pk_json *pair,
			const struct pk_read_context *in, struct pk_selector *sel)
{
	const char *name = pk_json_key(pair) + strlen("reserved:");

	if (pk_json_count(pk_json_get(v, "matchLabels")) > 1 ||
	    pk_json_first(pk_json_get(v, "matchExpressions"))) {
		pk_read_error(r, pair, true, "an entity stands alone in its selector",
			      "\"%s\" beside other requirements", pk_json_key(pair));
		return;
	}
	if (*pk_json_string(pair)) {
		pk_read_error(r, pair, false, "write \"\"", "an entity has no value");
		return;
	}
	pk_entity_parse(name, &sel->entity);
	sel->is_entity = true;
	if (!in->subject)
		return;
	if (sel->entity != PK_ENTITY_INIT)
		pk_read_error(r, pair, true, NULL,
			      "rules select endpoints: of the entities only \"reserved:init\"");
	else if (r->doc->tenant_name)
		pk_read_warn(r, pair, true, NULL,
			     "selects nothing: a tenant's policy is about its own namespace");
}

/*
 * Warns of "nomad:jbo", which reads as netreap's form of a meta key and is most likely a slip of
 * the pen.
 */
static void warn_near_miss(struct pk_reader *r, const struct pk_json *at, bool key,
			   const char *written, const char *canonical)
{
	static const char *const known[] = { "namespace",  "region", "node",  "nodepool",
					     "datacenter", "job",    "group", NULL };
	const char *near;
	char fix[80];

	if (strncmp(written, "nomad:", 6) != 0 || strncmp(canonical, "meta:", 5) != 0)
		return;
	near = pk_nearest(written + 6, known);
	if (!near)
		return;
	snprintf(fix, sizeof(fix), "did you mean \"nomad:%s\"?", near);
	pk_read_warn(r, at, key, fix, "means the job's meta key \"%s\"", canonical + 5);
}

static void read_pair(struct pk_reader *r, const struct pk_json *m, struct pk_requirement *req)
{
	pk_doc_label_key(pk_json_key(m), &req->key, NULL);
	warn_near_miss(r, m, true, pk_json_key(m), req->key);
	req->op = PK_OP_IN;
	req->from_labels = true;
	req->values = pk_read_array(1, sizeof(*req->values));
	req->values[req->n_values++] = pk_read_text(pk_json_string(m));
}

static enum pk_op operator_of(const char *text)
{
	if (strcmp(text, "In") == 0)
		return PK_OP_IN;
	if (strcmp(text, "NotIn") == 0)
		return PK_OP_NOT_IN;
	return strcmp(text, "Exists") == 0 ? PK_OP_EXISTS : PK_OP_NOT_EXISTS;
}

static void read_expression(struct pk_reader *r, const struct pk_json *v,
			    struct pk_requirement *req)
{
	const struct pk_json *key = pk_json_get(v, "key"), *values = pk_json_get(v, "values");
	const char *op = pk_json_string(pk_json_get(v, "operator"));
	bool takes_values;

	pk_doc_label_key(pk_json_string(key), &req->key, NULL);
	warn_near_miss(r, key, false, pk_json_string(key), req->key);
	req->op = operator_of(op);
	takes_values = req->op == PK_OP_IN || req->op == PK_OP_NOT_IN;
	if (takes_values && !pk_json_first(values))
		pk_read_error(r, values ? values : v, false, NULL, "%s needs \"values\"", op);
	if (!takes_values && pk_json_first(values))
		pk_read_error(r, values, true, "remove it", "%s takes no values", op);
	req->values = pk_read_array(pk_json_count(values), sizeof(*req->values));
	for (const struct pk_json *e = pk_json_first(values); e; e = pk_json_next(e))
		req->values[req->n_values++] = pk_read_text(pk_json_string(e));
}

static bool is_authors_word(const char *key)
{
	if (strncmp(key, "meta:", 5) == 0)
		return true;
	for (size_t i = 0; i < PK_ARRAY_LEN(labels); i++)
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].authors;
	return false;
}

/*
 * Refuses or warns of an operator's selector that rests on words of a job's author: who writes jobs
 * decides whom it selects.
 */
static void check_authors_words(struct pk_reader *r, const struct pk_json *v,
				const struct pk_read_context *in, const struct pk_selector *sel)
{
	bool all = sel->n_req > 0, named = pk_selector_names_namespace(sel);

	if (r->doc->tenant_name)
		return;
	for (size_t i = 0; i < sel->n_req; i++) {
		if (strncmp(sel->req[i].key, "meta:", 5) == 0 && !named) {
			pk_read_error(r, v, false, "add \"nomad:namespace\" to its matchLabels",
				      "an operator's selector that reads \"%s\" must name the "
				      "namespace: meta is written by the job's author",
				      sel->req[i].key);
			return;
		}
		all = all && is_authors_word(sel->req[i].key);
	}
	if (all && !in->subject)
		pk_read_warn(r, v, false, "add \"nomad:namespace\"",
			     "rests on the job author's words alone: any tenant can call a job so");
}

/* Warns of two values of a label that has one: nothing has both. Services may be several. */
static void check_contradiction(struct pk_reader *r, const struct pk_json *v,
				const struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req && i < 64; i++)
		for (size_t j = 0; j < i; j++) {
			const struct pk_requirement *a = &sel->req[i], *b = &sel->req[j];

			if (a->from_labels && b->from_labels && strcmp(a->key, b->key) == 0 &&
			    strcmp(a->key, "consul:service") != 0 &&
			    strcmp(a->values[0], b->values[0]) != 0) {
				pk_read_warn(r, v, false, NULL,
					     "matches nothing: \"%s\" can't have two values",
					     a->key);
				return;
			}
		}
}

/* Returns whether the requirement leaves out the endpoints of this namespace. */
static bool excludes(const struct pk_requirement *req, const char *tenant_name)
{
	bool named = false;

	if (strcmp(req->key, "nomad:namespace") != 0)
		return false;
	for (size_t i = 0; i < req->n_values; i++)
		named |= strcmp(req->values[i], tenant_name) == 0;
	if (req->op == PK_OP_IN)
		return !named;
	return req->op == PK_OP_NOT_IN ? named : req->op == PK_OP_NOT_EXISTS;
}

/* Warns of selectors that a tenant's policy can never match, however they are written. */
static void check_namespace(struct pk_reader *r, const struct pk_json *v,
			    const struct pk_read_context *in, const struct pk_selector *sel)
{
	const char *own = r->doc->tenant_name;

	for (size_t i = 0; i < sel->n_req && own && in->subject; i++)
		if (excludes(&sel->req[i], own)) {
			pk_read_warn(r, v, false, NULL,
				     "selects nothing: a policy of the namespace \"%s\" is about "
				     "its own endpoints",
				     own);
			return;
		}
	if (own && !in->subject && !in->deny && pk_selector_reads_namespace(sel) &&
	    !pk_selector_names_namespace(sel))
		pk_read_warn(r, v, false, "name them by matchLabels or In",
			     "no namespace but \"%s\" is allowed by this: a tenant's allow must "
			     "name the others",
			     own);
}

void pk_read_selector(struct pk_reader *r, const struct pk_json *v,
		      const struct pk_read_context *in, struct pk_selector *sel)
{
	const struct pk_json *match_labels = pk_json_get(v, "matchLabels");
	const struct pk_json *expressions = pk_json_get(v, "matchExpressions");
	const struct pk_json *reserved = find_reserved(match_labels);

	if (reserved) {
		read_entity(r, v, reserved, in, sel);
		return;
	}
	sel->req = pk_read_array(pk_json_count(match_labels) + pk_json_count(expressions),
				 sizeof(*sel->req));
	for (const struct pk_json *m = pk_json_first(match_labels); m; m = pk_json_next(m))
		read_pair(r, m, &sel->req[sel->n_req++]);
	for (const struct pk_json *e = pk_json_first(expressions); e; e = pk_json_next(e))
		read_expression(r, e, &sel->req[sel->n_req++]);
	check_authors_words(r, v, in, sel);
	check_namespace(r, v, in, sel);
	check_contradiction(r, v, sel);
}
