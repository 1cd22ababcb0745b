/* SPDX-License-Identifier: Apache-2.0 */
/* The selectors that aren't peers: a rule's endpointSelector, and requirements for peers. */
#include <stdio.h>
#include <string.h>

#include "import_private.h"
#include "own.h"

/*
 * Decides the requirements on namespaces: a policy of a namespace is about its endpoints, whatever
 * its selector says. False: it selects none of them.
 */
static bool decide_own(struct pk_importer *im, struct import_selector *sel)
{
	for (size_t i = 0; i < sel->n && im->form == IMPORT_KUBERNETES && im->tenant; i++) {
		struct import_requirement *req = &sel->req[i];
		bool overridden = req->values == req->at &&
				  strcmp(req->written, "k8s:io.kubernetes.pod.namespace") == 0;

		if (req->label != IMPORT_NAMESPACE)
			continue;
		if (!overridden && !pk_import_fulfils(req, im->tenant))
			return false;
		req->dropped = true;
	}
	return true;
}

static bool is_init_alone(const struct import_selector *sel)
{
	return sel->n == 1 && strcmp(sel->req[0].written, "reserved:init") == 0 &&
	       (sel->entities & IMPORT_INIT);
}

static bool says_why_not(struct pk_importer *im, const struct pk_json *rule,
			 const struct pk_json *v, struct import_selector *sel)
{
	if (!sel->endpoints && !(sel->entities & IMPORT_INIT)) {
		import_repair(
			im, rule, false, NULL,
			"removed: it is about an endpoint of Cilium's own (health, ingress, the "
			"host), and there is none here");
		return true;
	}
	if (!sel->endpoints && !is_init_alone(sel))
		import_refuse(im, v, false, NULL, "\"reserved:init\" beside other requirements");
	else if (sel->endpoints && sel->alien)
		import_refuse(im, v, false, "name its endpoints by labels that jobs have",
			      "nothing here has the label \"%s\": without this rule what it closes "
			      "would be open",
			      sel->alien);
	else if (sel->endpoints && sel->other)
		import_refuse(im, v, false, "give -cluster NAME, the cluster's name in Cilium",
			      "about endpoints of a cluster that isn't \"%s\"",
			      im->options->cluster ?: "default");
	else if (!decide_own(im, sel))
		import_repair(im, rule, false, NULL,
			      "removed: a policy of namespace \"%s\" selects nothing of others",
			      im->tenant);
	else
		return false;
	return true;
}

bool pk_import_subject(struct pk_importer *im, const struct pk_json *rule)
{
	const struct pk_json *v = pk_import_get(im, rule, "endpointSelector");
	own_selector sel = { 0 };

	im->about_init = false;
	if (!v || pk_json_type(v) != PK_JSON_OBJECT)
		return true;
	im->quiet = true; /* its keys are said when it is written */
	pk_import_selector_read(im, v, &sel);
	im->quiet = false;
	for (size_t i = 0; i < sel.n; i++)
		im->about_init |= strcmp(sel.req[i].written, "reserved:init") == 0;
	return sel.unclear || !says_why_not(im, rule, v, &sel);
}

void pk_import_subject_write(struct pk_importer *im, const char *key, const struct pk_json *v)
{
	own_selector sel = { 0 };

	if (pk_json_type(v) != PK_JSON_OBJECT) {
		pk_jw_value(&im->w, key, v);
		return;
	}
	pk_import_selector_read(im, v, &sel);
	if (sel.unclear || is_init_alone(&sel)) {
		pk_jw_value(&im->w, key, v);
		return;
	}
	decide_own(im, &sel);
	sel.but_init = false; /* nothing but a rule about init opens anything for it */
	pk_import_selector_write(im, key, v, &sel);
}

/*
 * Writes one opposite. A tenant's deny means its own namespace, unless an expression speaks of
 * namespaces.
 */
static void write_opposite(struct pk_importer *im, const struct import_requirement *req)
{
	static const enum pk_op opposite[] = { [PK_OP_IN] = PK_OP_NOT_IN,
					       [PK_OP_NOT_IN] = PK_OP_IN,
					       [PK_OP_EXISTS] = PK_OP_NOT_EXISTS,
					       [PK_OP_NOT_EXISTS] = PK_OP_EXISTS };

	pk_jw_open(&im->w, NULL, '{');
	pk_jw_open(&im->w, "matchExpressions", '[');
	pk_import_expression(im, req->key, opposite[req->op], req->values);
	if (im->tenant && req->label != IMPORT_NAMESPACE)
		pk_import_expression(im, "nomad:namespace", PK_OP_EXISTS, NULL);
	pk_jw_close(&im->w, ']');
	pk_jw_close(&im->w, '}');
}

static void write_not_in(struct pk_importer *im, const char *tenant)
{
	pk_jw_open(&im->w, NULL, '{');
	pk_jw_open(&im->w, "matchExpressions", '[');
	pk_jw_open(&im->w, NULL, '{');
	pk_jw_string(&im->w, "key", "nomad:namespace");
	pk_jw_string(&im->w, "operator", "NotIn");
	pk_jw_open(&im->w, "values", '[');
	pk_jw_string(&im->w, NULL, tenant);
	pk_jw_close(&im->w, ']');
	pk_jw_close(&im->w, '}');
	pk_jw_close(&im->w, ']');
	pk_jw_close(&im->w, '}');
}

static void write_opposites_of(struct pk_importer *im, const struct pk_json *v)
{
	own_selector sel = { 0 };
	bool named = false;

	if (pk_json_type(v) != PK_JSON_OBJECT) {
		import_refuse(im, v, false, NULL, "expected a selector");
		return;
	}
	pk_import_selector_read(im, v, &sel);
	for (size_t i = 0; i < sel.n; i++) {
		named |= pk_import_is_namespaced(&sel.req[i]);
		if (!sel.req[i].dropped && !sel.req[i].key)
			sel.alien = sel.req[i].written;
	}
	if (sel.unclear || sel.alien || sel.other || !sel.endpoints) {
		const char *why = sel.alien ?: sel.other;

		import_refuse(im, v, false, NULL, "a requirement that can't be carried over: %s",
			      why ?: "no endpoint fulfils it");
		return;
	}
	pk_import_check_meta(im, v, &sel);
	for (size_t i = 0; i < sel.n; i++)
		if (!sel.req[i].dropped)
			write_opposite(im, &sel.req[i]);
	if (im->form == IMPORT_KUBERNETES && im->tenant && !named)
		write_not_in(im, im->tenant);
}

void pk_import_write_opposites(struct pk_importer *im, const struct pk_json *requires)
{
	if (pk_json_type(requires) != PK_JSON_ARRAY) {
		import_refuse(im, requires, false, NULL, "expected a list of selectors");
		return;
	}
	for (const struct pk_json *v = pk_json_first(requires); v; v = pk_json_next(v))
		write_opposites_of(im, v);
}
