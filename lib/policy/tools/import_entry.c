/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_private.h"
#include "own.h"

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool pk_import_object(struct pk_importer *im, const char *key, const struct pk_json *v)
{
	if (pk_json_type(v) == PK_JSON_OBJECT)
		return true;
	pk_jw_value(&im->w, key, v);
	return false;
}

/* A label's key as we write it, NULL where there is no such label here. Caller frees. */
static char *map_key(const char *key)
{
	static const char namespace_label[] = "io.kubernetes.pod.namespace";
	const char *rest = starts(key, "k8s:") || starts(key, "any:") ? key + 4 : key;
	own_mem char *canonical = NULL;
	char *out = NULL;

	if (strcmp(rest, namespace_label) == 0)
		return pk_read_text("nomad:namespace");
	if (starts(rest, "io.cilium.k8s.") || starts(rest, "io.kubernetes."))
		return NULL;
	if (starts(key, "k8s:"))
		return asprintf(&out, "meta:%s", rest) < 0 ? NULL : out;
	if (strcmp(key, "nomad:service") == 0)
		return pk_read_text("meta:service");
	if (pk_doc_label_key(key, &canonical, NULL) < 0)
		return NULL;
	/* A bare key is ours too; of netreap's and Cilium's forms the plain one is written. */
	return strchr(key, ':') ? PK_MOVE(canonical, NULL) : pk_read_text(key);
}

const char *pk_import_selector_loss(const struct pk_json *selector)
{
	const struct pk_json *list = pk_json_get(selector, "matchLabels");

	if (pk_json_type(list) != PK_JSON_OBJECT)
		list = NULL;
	for (const struct pk_json *m = pk_json_first(list); m; m = pk_json_next(m)) {
		own_mem char *key = map_key(pk_json_key(m));

		if (!key)
			return pk_json_key(m);
	}
	list = pk_json_get(selector, "matchExpressions");
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		const char *text = pk_json_string(pk_json_get(e, "key"));
		own_mem char *key = text ? map_key(text) : NULL;

		if (text && !key)
			return text;
	}
	return NULL;
}

/* Notes what a key became or, for a pod's bare label, what it means from now on. */
static void say_key(struct pk_importer *im, const struct pk_json *at, bool key, const char *from,
		    const char *to)
{
	own_mem char *means = NULL;
	bool bare = strcmp(from, to) == 0;

	if (bare && (!im->kubernetes || strchr(from, ':')))
		return;
	pk_doc_label_key(to, &means, NULL);
	pk_read_warn(&im->r, at, key,
		     im->kubernetes && starts(means ? means : "", "meta:")
			     ? "give the jobs this meta key"
			     : NULL,
		     bare ? "means \"%s\" here" : "written as \"%s\"", bare ? means : to);
}

/* Two spellings of one label can't be two keys of one name. */
static bool is_written(const struct pk_json *labels, const struct pk_json *upto, const char *key)
{
	for (const struct pk_json *m = pk_json_first(labels); m != upto; m = pk_json_next(m)) {
		own_mem char *other = map_key(pk_json_key(m));

		if (other && strcmp(other, key) == 0)
			return true;
	}
	return false;
}

static void import_labels(struct pk_importer *im, const struct pk_json *labels)
{
	if (!pk_import_object(im, "matchLabels", labels))
		return;
	pk_jw_open(&im->w, "matchLabels", '{');
	for (const struct pk_json *m = pk_json_first(labels); m; m = pk_json_next(m)) {
		own_mem char *key = map_key(pk_json_key(m));

		if (!key || is_written(labels, m, key))
			continue;
		say_key(im, m, true, pk_json_key(m), key);
		pk_jw_value(&im->w, key, m);
	}
	pk_jw_close(&im->w, '}');
}

/* The second spelling of a label as an expression: both must hold, as before. */
static void import_doubles(struct pk_importer *im, const struct pk_json *labels)
{
	if (pk_json_type(labels) != PK_JSON_OBJECT)
		return;
	for (const struct pk_json *m = pk_json_first(labels); m; m = pk_json_next(m)) {
		own_mem char *key = map_key(pk_json_key(m));

		if (!key || !is_written(labels, m, key))
			continue;
		import_repair(im, m, true, "\"%s\" a second time: written as an expression", key);
		pk_jw_open(&im->w, NULL, '{');
		pk_jw_string(&im->w, "key", key);
		pk_jw_string(&im->w, "operator", "In");
		pk_jw_open(&im->w, "values", '[');
		pk_jw_value(&im->w, NULL, m);
		pk_jw_close(&im->w, ']');
		pk_jw_close(&im->w, '}');
	}
}

static bool has_doubles(const struct pk_json *labels)
{
	if (pk_json_type(labels) != PK_JSON_OBJECT)
		return false;
	for (const struct pk_json *m = pk_json_first(labels); m; m = pk_json_next(m)) {
		own_mem char *key = map_key(pk_json_key(m));

		if (key && is_written(labels, m, key))
			return true;
	}
	return false;
}

static void import_expression(struct pk_importer *im, const struct pk_json *e)
{
	if (!pk_import_object(im, NULL, e))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(e); m; m = pk_json_next(m)) {
		const char *text = pk_json_string(m);
		own_mem char *key = NULL;

		if (strcmp(pk_json_key(m), "values") == 0 && !pk_json_first(m))
			continue;
		if (strcmp(pk_json_key(m), "key") == 0 && text)
			key = map_key(text);
		if (!key) {
			pk_jw_value(&im->w, pk_json_key(m), m);
			continue;
		}
		say_key(im, m, false, text, key);
		pk_jw_string(&im->w, "key", key);
	}
	pk_jw_close(&im->w, '}');
}

static void import_expressions(struct pk_importer *im, const struct pk_json *list,
			       const struct pk_json *labels)
{
	pk_jw_open(&im->w, "matchExpressions", '[');
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
		import_expression(im, e);
	import_doubles(im, labels);
	pk_jw_close(&im->w, ']');
}

void pk_import_selector(struct pk_importer *im, const char *key, const struct pk_json *selector)
{
	const struct pk_json *labels = pk_json_get(selector, "matchLabels");
	const struct pk_json *expressions = pk_json_get(selector, "matchExpressions");

	if (!pk_import_object(im, key, selector))
		return;
	pk_jw_open(&im->w, key, '{');
	for (const struct pk_json *m = pk_json_first(selector); m; m = pk_json_next(m)) {
		if (pk_json_type(m) == PK_JSON_NULL)
			continue;
		if (m == labels)
			import_labels(im, m);
		else if (m == expressions)
			import_expressions(im, m, labels);
		else
			pk_jw_value(&im->w, pk_json_key(m), m);
	}
	if (has_doubles(labels) && (!expressions || pk_json_type(expressions) == PK_JSON_NULL))
		import_expressions(im, NULL, labels);
	pk_jw_close(&im->w, '}');
}

static const char *first_key(const struct pk_json *v, const char *a, const char *b)
{
	if (pk_json_get(v, a))
		return a;
	return pk_json_get(v, b) ? b : NULL;
}

/* Elements of a peer list that exist here; the others are dropped: the list matches less. */
static const char *element_loss(const char *kind, const struct pk_json *e)
{
	enum pk_entity entity;

	if (strcmp(kind, "Endpoints") == 0)
		return pk_import_selector_loss(e);
	if (strcmp(kind, "Entities") == 0)
		return pk_json_string(e) && pk_entity_parse(pk_json_string(e), &entity) < 0
			       ? pk_json_string(e)
			       : NULL;
	if (strcmp(kind, "CIDRSet") == 0)
		return first_key(e, "cidrGroupRef", "cidrGroupSelector");
	if (strcmp(kind, "Services") == 0 && pk_json_get(e, "k8sServiceSelector"))
		return "k8sServiceSelector";
	return NULL;
}

static void import_service(struct pk_importer *im, const struct pk_json *e)
{
	const struct pk_json *k8s = pk_json_get(e, "k8sService");
	const struct pk_json *k8s_namespace = pk_json_get(k8s, "namespace");

	if (!k8s) {
		pk_jw_value(&im->w, NULL, e);
		return;
	}
	import_repair(im, e, false, "written as \"name\" and \"namespace\"");
	pk_jw_open(&im->w, NULL, '{');
	pk_jw_value(&im->w, "name", pk_json_get(k8s, "serviceName"));
	if (k8s_namespace)
		pk_jw_value(&im->w, "namespace", k8s_namespace);
	pk_jw_close(&im->w, '}');
}

/* An allow in a namespace's document means less than it meant to Cilium. */
static void say_narrower(struct pk_importer *im, const struct pk_json *at, const char *what)
{
	bool all = strcmp(what, "cluster") != 0;

	if (!im->tenant || im->deny || (all && strcmp(what, "all") != 0 && *what))
		return;
	import_repair(im, at, !*what,
		      "%s%s%s means the namespace's own endpoints%s here: others must be named",
		      *what ? "\"" : "no peer", what, *what ? "\"" : "",
		      all ? " and the world" : "");
}

/* kind: the key without its direction. */
static void import_peers(struct pk_importer *im, const char *key, const char *kind,
			 const struct pk_json *list)
{
	pk_jw_open(&im->w, key, '[');
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		const char *loss = element_loss(kind, e);

		if (loss)
			import_loss(im, e, false, "\"%s\" doesn't exist here: %s", loss,
				    im->deny ? "this DENY is lost" : "this peer is removed");
		else if (strcmp(kind, "Endpoints") == 0)
			pk_import_selector(im, NULL, e);
		else if (strcmp(kind, "Services") == 0)
			import_service(im, e);
		else
			pk_jw_value(&im->w, NULL, e);
		if (strcmp(kind, "Entities") == 0 && pk_json_string(e))
			say_narrower(im, e, pk_json_string(e));
	}
	pk_jw_close(&im->w, ']');
}

static int protocol_number(const char *name)
{
	if (name && strcmp(name, "VRRP") == 0)
		return 112;
	return name && strcmp(name, "IGMP") == 0 ? 2 : 0;
}

static void import_port(struct pk_importer *im, const struct pk_json *port)
{
	if (!pk_import_object(im, NULL, port))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(port); m; m = pk_json_next(m)) {
		int number = strcmp(pk_json_key(m), "protocol") == 0
				     ? protocol_number(pk_json_string(m))
				     : 0;

		if (strcmp(pk_json_key(m), "endPort") == 0 && pk_json_number(m) == 0 &&
		    pk_json_type(m) == PK_JSON_NUMBER) {
			import_repair(im, m, true, "0 removed: it is no range");
		} else if (number) {
			import_repair(im, m, false, "written as %d", number);
			pk_jw_int(&im->w, "protocol", number);
		} else {
			pk_jw_value(&im->w, pk_json_key(m), m);
		}
	}
	pk_jw_close(&im->w, '}');
}

static void import_port_rule(struct pk_importer *im, const struct pk_json *rule)
{
	if (!pk_import_object(im, NULL, rule))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m)) {
		if (strcmp(pk_json_key(m), "rules") == 0) {
			import_repair(im, m, true, "removed: DNS isn't looked into for a rule");
		} else if (strcmp(pk_json_key(m), "ports") == 0) {
			pk_jw_open(&im->w, "ports", '[');
			for (const struct pk_json *p = pk_json_first(m); p; p = pk_json_next(p))
				import_port(im, p);
			pk_jw_close(&im->w, ']');
		} else {
			pk_jw_value(&im->w, pk_json_key(m), m);
		}
	}
	pk_jw_close(&im->w, '}');
}

/* {"dns": [{"matchPattern": "*"}]} lets every query through: without it nothing more is allowed. */
static bool is_open_dns(const struct pk_json *rules)
{
	const struct pk_json *dns = pk_json_get(rules, "dns"), *first = pk_json_first(dns);
	const char *pattern = pk_json_string(pk_json_get(first, "matchPattern"));

	return pk_json_count(rules) == 1 && pk_json_count(dns) == 1 && pattern &&
	       strcmp(pattern, "*") == 0;
}

static const char *ports_loss(const struct pk_json *to_ports)
{
	static const char *const keys[] = { "serverNames", "terminatingTLS", "originatingTLS",
					    "listener" };

	for (const struct pk_json *p = pk_json_first(to_ports); p; p = pk_json_next(p)) {
		const struct pk_json *rules = pk_json_get(p, "rules");

		if (pk_json_first(rules) && !is_open_dns(rules))
			return "L7 rules";
		for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++)
			if (pk_json_get(p, keys[i]))
				return keys[i];
	}
	return NULL;
}

/* A condition without which the entry would match more. */
static const char *entry_loss(const struct pk_json *entry)
{
	static const char *const keys[] = { "fromRequires", "toRequires", "fromGroups",
					    "toGroups",	    "fromNodes",  "toNodes" };
	const struct pk_json *auth = pk_json_get(entry, "authentication");
	const char *mode = pk_json_string(pk_json_get(auth, "mode"));

	/*
	 * An empty list of them matches nothing: without the key the entry would match everything.
	 */
	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++) {
		const struct pk_json *v = pk_json_get(entry, keys[i]);

		if (v && pk_json_type(v) != PK_JSON_NULL)
			return keys[i];
	}
	if (auth && (!mode || strcmp(mode, "disabled") != 0))
		return "authentication";
	return ports_loss(pk_json_get(entry, "toPorts"));
}

/* The key under which a member is written, NULL: it is dropped, and said to be. */
static const char *entry_key(struct pk_importer *im, const struct pk_json *entry,
			     const struct pk_json *m, bool ingress)
{
	static const char *const from[] = { "fromEndpoints", "fromCIDR", "fromCIDRSet",
					    "fromEntities",  "toPorts",	 "icmps",
					    "pass",	     NULL };
	static const char *const to[] = { "toEndpoints", "toCIDR",  "toCIDRSet", "toEntities",
					  "toServices",	 "toFQDNs", "toPorts",	 "icmps",
					  "pass",	 NULL };
	const char *const *known = ingress ? from : to;
	const char *key = pk_json_key(m), *near;
	bool list = strcmp(key, "toPorts") == 0 || strcmp(key, "icmps") == 0;

	if (pk_json_type(m) == PK_JSON_NULL || (list && !pk_json_first(m))) {
		import_repair(im, m, true, "removed: it says nothing");
		return NULL;
	}
	for (size_t i = 0; known[i]; i++)
		if (strcmp(known[i], key) == 0)
			return key;
	near = starts(key, ingress ? "to" : "from") ? NULL : pk_nearest(key, known);
	if (near && !pk_json_get(entry, near)) {
		import_repair(im, m, true, "written as \"%s\"", near);
		return near;
	}
	import_repair(im, m, true, "removed: it had no effect");
	return NULL;
}

static void import_entry(struct pk_importer *im, const struct pk_json *entry, bool ingress)
{
	const struct pk_json *ports = NULL;
	bool peers = false;

	if (!pk_import_object(im, NULL, entry))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(entry); m; m = pk_json_next(m)) {
		const char *key = entry_key(im, entry, m, ingress);
		const char *way = ingress ? "from" : "to";
		const char *kind = key && starts(key, way) ? key + strlen(way) : "";

		if (!key)
			continue;
		peers |= *kind && strcmp(kind, "Ports") != 0;
		if (strcmp(key, "toPorts") == 0 || strcmp(key, "icmps") == 0)
			ports = m;
		if (strcmp(key, "toPorts") == 0) {
			pk_jw_open(&im->w, key, '[');
			for (const struct pk_json *p = pk_json_first(m); p; p = pk_json_next(p))
				import_port_rule(im, p);
			pk_jw_close(&im->w, ']');
		} else if (*kind && pk_json_type(m) == PK_JSON_ARRAY) {
			import_peers(im, key, kind, m);
		} else {
			pk_jw_value(&im->w, key, m);
		}
	}
	if (ports && !peers)
		say_narrower(im, ports, "");
	pk_jw_close(&im->w, '}');
}

void pk_import_entries(struct pk_importer *im, const struct pk_json *list)
{
	bool ingress = starts(pk_json_key(list), "ingress");

	im->deny = strstr(pk_json_key(list), "Deny") != NULL;
	pk_jw_open(&im->w, pk_json_key(list), '[');
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		const char *loss = entry_loss(e);

		if (!loss) {
			import_entry(im, e, ingress);
			continue;
		}
		import_loss(im, e, false, "%s can't be carried over: %s", loss,
			    im->deny ? "this DENY is lost"
				     : "the entry became {}, which allows nothing");
		pk_jw_open(&im->w, NULL, '{');
		pk_jw_close(&im->w, '}');
	}
	pk_jw_close(&im->w, ']');
}
