/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of an entry: selectors, entities, CIDRs, services. */
#include <stdio.h>
#include <string.h>

#include "import_private.h"
#include "own.h"
#include "world.h"

static bool has(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static bool is_protected(const char *text)
{
	struct pk_prefix prefix;

	if (!text || pk_prefix_parse(text, &prefix) < 0)
		return false;
	pk_prefix_mask(&prefix);
	for (size_t i = 0; i < pk_n_protected; i++)
		if (pk_prefix_covers(&pk_protected[i], &prefix) ||
		    pk_prefix_covers(&prefix, &pk_protected[i]))
			return true;
	return false;
}

/* An allow in a namespace's document means less than it meant to Cilium. */
void pk_import_say_narrower(struct pk_importer *im, const struct pk_json *at, const char *entity)
{
	bool all = strcmp(entity, "all") == 0;

	if (!im->tenant || im->deny)
		return;
	if (all || strcmp(entity, "cluster") == 0)
		import_loss(im, at, false, "name the others by their namespaces",
			    "\"%s\" means the namespace's own endpoints%s here", entity,
			    all ? " and the world" : "");
	else if (!im->ingress && strncmp(entity, "world", 5) == 0)
		import_loss(im, at, false, "the operator's \"tenantReach\" lists what it needs",
			    "\"%s\" leaves protected addresses out in a namespace's egress",
			    entity);
	else if (!im->ingress &&
		 (strcmp(entity, "host") == 0 || strcmp(entity, "remote-node") == 0))
		import_loss(im, at, false, "the operator's \"tenantReach\" must list it",
			    "a namespace's egress doesn't open the way to \"%s\" by itself",
			    entity);
}

static void say_protected(struct pk_importer *im, const struct pk_json *at, const char *cidr)
{
	if (im->tenant && !im->deny && !im->ingress && is_protected(cidr))
		import_loss(im, at, false, "the operator's \"tenantReach\" must list it",
			    "a namespace's egress doesn't open the way to protected addresses by "
			    "itself");
}

/* Notes an element of a list of peers that can't be written. */
static void lose_peer(struct pk_importer *im, const struct pk_json *e, const char *fix,
		      const char *what)
{
	if (im->deny)
		import_refuse(im, e, false, fix,
			      "\"%s\" doesn't exist here, and without this deny what it closes "
			      "would be open",
			      what);
	else
		import_loss(im, e, false, fix, "\"%s\" doesn't exist here: this peer is removed",
			    what);
}

static void write_entity(struct pk_importer *im, const struct pk_json *e)
{
	/* Nothing has the labels by which Cilium knows these, since there is no Kubernetes. */
	static const char *const never[] = { "health", "ingress", "kube-apiserver", "unmanaged",
					     NULL };
	/* Endpoints of netreap have no label of a cluster, which the entity goes by. */
	static const char *const cluster[] = { "host", "remote-node", "init", NULL };
	const char *text = pk_json_string(e);
	enum pk_entity entity;

	if (!text || (pk_entity_parse(text, &entity) < 0 && !has(never, text))) {
		pk_jw_value(&im->w, NULL, e); /* Cilium knows no such entity either */
	} else if (strcmp(text, "health") == 0 || (im->form == IMPORT_API && has(never, text))) {
		import_repair(
			im, e, false, NULL,
			"removed: \"%s\" was an entity of Cilium's own, and there is none here",
			text);
	} else if (has(never, text)) {
		lose_peer(im, e, "name its addresses by CIDR", text);
	} else if (im->form == IMPORT_API && !im->deny && strcmp(text, "cluster") == 0) {
		import_repair(im, e, false, NULL,
			      "written as what it is without Kubernetes: host, remote-node, init");
		for (size_t i = 0; cluster[i]; i++) {
			pk_jw_string(&im->w, NULL, cluster[i]);
			pk_import_say_narrower(im, e, cluster[i]);
		}
	} else {
		pk_jw_value(&im->w, NULL, e);
		pk_import_say_narrower(im, e, text);
	}
	if (im->form == IMPORT_API && im->deny && text && strcmp(text, "cluster") == 0)
		import_loss(im, e, false, "name host and remote-node, if no endpoint is meant",
			    "closes more than it did: without Kubernetes no endpoint is of "
			    "Cilium's \"cluster\"");
}

static void write_cidr_rule(struct pk_importer *im, const struct pk_json *e)
{
	static const char *const known[] = { "cidr", "except", "cidrGroupRef", "cidrGroupSelector",
					     NULL };
	const char *group = NULL;

	for (size_t i = 2; known[i] && !group; i++)
		if (pk_import_get(im, e, known[i]))
			group = known[i];
	if (!pk_import_object(im, NULL, e))
		return;
	if (group) {
		lose_peer(im, e, "write its addresses as \"cidr\"", group);
		return;
	}
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(e); m; m = pk_json_next(m)) {
		const char *key = pk_import_key(im, e, m, known);

		if (key && !(strcmp(key, "except") == 0 &&
			     (pk_json_type(m) == PK_JSON_ARRAY && !pk_json_first(m))))
			pk_jw_value(&im->w, key, m);
	}
	pk_jw_close(&im->w, '}');
	say_protected(im, e, pk_json_string(pk_import_get(im, e, "cidr")));
}

static void write_service(struct pk_importer *im, const struct pk_json *e)
{
	const struct pk_json *k8s = pk_import_get(im, e, "k8sService");
	const struct pk_json *tenant_name = pk_import_get(im, k8s, "namespace");

	if (im->form == IMPORT_API) {
		import_repair(im, e, false, NULL,
			      "removed: without Kubernetes there was no service to match");
		return;
	}
	if (!k8s) {
		lose_peer(im, e, "name the service by k8sService", "k8sServiceSelector");
		return;
	}
	import_repair(im, e, false, NULL, "written as \"name\" and \"namespace\"");
	pk_jw_open(&im->w, NULL, '{');
	pk_jw_value(&im->w, "name", pk_import_get(im, k8s, "serviceName"));
	if (tenant_name)
		pk_jw_value(&im->w, "namespace", tenant_name);
	pk_jw_close(&im->w, '}');
}

/* Notes a selector of a namespace's allow that names others by anything but matchLabels or In. */
static void say_unnamed(struct pk_importer *im, const struct pk_json *e,
			const struct import_selector *sel)
{
	bool reads = false;

	if (!im->tenant || im->deny)
		return;
	for (size_t i = 0; i < sel->n; i++) {
		if (sel->req[i].label != IMPORT_NAMESPACE)
			continue;
		if (sel->req[i].op == PK_OP_IN)
			return;
		reads = true;
	}
	if (reads)
		import_loss(im, e, false, "name them by matchLabels or In",
			    "means the namespace's own endpoints alone here: a namespace's allow "
			    "must name the others");
}

/* Writes the endpoints that one selector means, if any; returns the entities that it matches. */
static unsigned int write_selector(struct pk_importer *im, const struct pk_json *e)
{
	own_selector sel = { 0 };
	bool all;

	if (pk_json_type(e) != PK_JSON_OBJECT) {
		pk_jw_value(&im->w, NULL, e);
		return 0;
	}
	pk_import_selector_read(im, e, &sel);
	all = sel.everyone && sel.entities == IMPORT_ENTITIES;
	if (sel.unclear) {
		pk_jw_value(&im->w, NULL, e);
		return 0;
	}
	if (!sel.endpoints && !sel.entities)
		import_repair(
			im, e, false, NULL,
			"removed: it matched an entity of Cilium's own, and there is none here");
	else if (sel.endpoints && sel.alien)
		lose_peer(im, e, NULL, sel.alien);
	else if (sel.endpoints && sel.other)
		lose_peer(im, e, "give -cluster NAME, if that is this cluster's name in Cilium",
			  sel.other);
	else if (sel.endpoints &&
		 (!all || (im->ingress ? im->options->requires_from : im->options->requires_to))) {
		pk_import_selector_write(im, NULL, e, &sel);
		say_unnamed(im, e, &sel);
	}
	return sel.entities | (all ? IMPORT_ALL : 0);
}

unsigned int pk_import_peers(struct pk_importer *im, const char *kind, const struct pk_json *list)
{
	unsigned int entities = 0;

	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		if (strcmp(kind, "Endpoints") == 0)
			entities |= write_selector(im, e);
		else if (strcmp(kind, "Entities") == 0)
			write_entity(im, e);
		else if (strcmp(kind, "CIDRSet") == 0)
			write_cidr_rule(im, e);
		else if (strcmp(kind, "Services") == 0)
			write_service(im, e);
		else
			pk_jw_value(&im->w, NULL, e);
		if (strcmp(kind, "CIDR") == 0)
			say_protected(im, e, pk_json_string(e));
	}
	return entities;
}
