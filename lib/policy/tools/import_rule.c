/* SPDX-License-Identifier: Apache-2.0 */
/* One rule, and which keys Cilium reads in an object. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "import_private.h"
#include "own.h"
#include "str.h"

bool pk_import_object(struct pk_importer *im, const char *key, const struct pk_json *v)
{
	if (pk_json_type(v) == PK_JSON_OBJECT)
		return true;
	pk_jw_value(&im->w, key, v);
	return false;
}

/*
 * Returns whether a key as it is written is read as `key`. Go's JSON reader, behind Cilium's API,
 * takes a key in any case.
 */
static bool is_key(const struct pk_importer *im, const char *written, const char *key)
{
	return strcmp(written, key) == 0 ||
	       (im->form == IMPORT_API && strcasecmp(written, key) == 0);
}

const struct pk_json *pk_import_get(const struct pk_importer *im, const struct pk_json *object,
				    const char *key)
{
	if (pk_json_type(object) != PK_JSON_OBJECT)
		return NULL;
	for (const struct pk_json *m = pk_json_first(object); m; m = pk_json_next(m))
		if (is_key(im, pk_json_key(m), key))
			return pk_json_type(m) == PK_JSON_NULL ? NULL : m;
	return NULL;
}

static void refuse_key(struct pk_importer *im, const struct pk_json *m, const char *const *known)
{
	const char *near = pk_nearest(pk_json_key(m), known);
	char fix[100] = "remove it, if nothing was meant by it";

	if (near)
		snprintf(fix, sizeof(fix), "did you mean \"%s\"?", near);
	import_refuse(im, m, true, fix,
		      "Cilium reads no such key here and ignored it: what was meant is not for "
		      "this program to guess");
}

const char *pk_import_key(struct pk_importer *im, const struct pk_json *object,
			  const struct pk_json *m, const char *const *known)
{
	const char *key = NULL;

	for (size_t i = 0; known[i] && !key; i++)
		if (is_key(im, pk_json_key(m), known[i]))
			key = known[i];
	if (!key) {
		refuse_key(im, m, known);
		return NULL;
	}
	for (const struct pk_json *o = pk_json_first(object); o != m; o = pk_json_next(o))
		if (is_key(im, pk_json_key(o), key)) {
			import_refuse(im, m, true, NULL, "\"%s\" a second time, in another case",
				      key);
			return NULL;
		}
	if (pk_json_type(m) == PK_JSON_NULL) {
		import_repair(im, m, true, NULL, "removed: it says nothing");
		return NULL;
	}
	if (strcmp(pk_json_key(m), key) != 0)
		import_repair(im, m, true, NULL, "written as \"%s\"", key);
	return key;
}

static const char *const rule_keys[] = { "description",	 "endpointSelector",  "ingress", "egress",
					 "ingressDeny",	 "egressDeny",	      "log",	 "labels",
					 "nodeSelector", "enableDefaultDeny", NULL };

/*
 * Returns whether the rule has entries in that direction, allows or denies. What isn't a list is
 * the reader's to refuse.
 */
static bool has_entries(const struct pk_importer *im, const struct pk_json *rule,
			const char *direction)
{
	const struct pk_json *lists[2];
	char deny[16];

	snprintf(deny, sizeof(deny), "%sDeny", direction);
	lists[0] = pk_import_get(im, rule, direction);
	lists[1] = pk_import_get(im, rule, deny);
	for (size_t i = 0; i < 2; i++)
		if (lists[i] &&
		    (pk_json_type(lists[i]) != PK_JSON_ARRAY || pk_json_first(lists[i])))
			return true;
	return false;
}

/*
 * Writes enableDefaultDeny, but for a direction without entries: there Cilium takes it, and it does
 * nothing.
 */
static void write_default_deny(struct pk_importer *im, const struct pk_json *rule,
			       const struct pk_json *v)
{
	static const char *const known[] = { "ingress", "egress", NULL };

	if (!pk_import_object(im, "enableDefaultDeny", v))
		return;
	pk_jw_open(&im->w, "enableDefaultDeny", '{');
	for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m)) {
		const char *key = pk_import_key(im, v, m, known);

		if (!key)
			continue;
		if (pk_json_true(m) && !has_entries(im, rule, key))
			import_repair(im, m, true, NULL,
				      "removed: without an entry it had no effect");
		else
			pk_jw_value(&im->w, key, m);
	}
	pk_jw_close(&im->w, '}');
}

/*
 * Returns the list whose requirements become denies of this one: those of "ingress" go into
 * "ingressDeny", there or after everything else.
 */
static const struct pk_json *requirements_for(const struct pk_importer *im,
					      const struct pk_json *rule, const char *deny_key)
{
	bool ingress = strncmp(deny_key, "ingress", 7) == 0;
	const struct pk_json *list = pk_import_get(im, rule, ingress ? "ingress" : "egress");

	if (!list || pk_json_type(list) != PK_JSON_ARRAY || !strstr(deny_key, "Deny"))
		return NULL;
	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e)) {
		const struct pk_json *r =
			pk_import_get(im, e, ingress ? "fromRequires" : "toRequires");

		if (r && (pk_json_type(r) != PK_JSON_ARRAY || pk_json_first(r)))
			return list;
	}
	return NULL;
}

static void write_member(struct pk_importer *im, const struct pk_json *rule,
			 const struct pk_json *m)
{
	const char *key = pk_import_key(im, rule, m, rule_keys);

	if (!key)
		return;
	if (strcmp(key, "labels") == 0)
		import_repair(im, m, true, NULL, "removed: it decides nothing");
	else if (strcmp(key, "endpointSelector") == 0)
		pk_import_subject_write(im, key, m);
	else if (strcmp(key, "enableDefaultDeny") == 0)
		write_default_deny(im, rule, m);
	else if (pk_json_type(m) == PK_JSON_ARRAY)
		pk_import_entries(im, key, m, requirements_for(im, rule, key));
	else
		pk_jw_value(&im->w, key, m);
}

static void write_requirements(struct pk_importer *im, const struct pk_json *rule)
{
	static const char *const keys[] = { "ingressDeny", "egressDeny" };

	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++)
		if (!pk_import_get(im, rule, keys[i]) && requirements_for(im, rule, keys[i]))
			pk_import_entries(im, keys[i], NULL, requirements_for(im, rule, keys[i]));
}

/* Returns whether the rule has no effect, since all its lists are empty. */
static bool says_nothing(const struct pk_importer *im, const struct pk_json *rule)
{
	static const char *const lists[] = { "ingress", "egress", "ingressDeny", "egressDeny",
					     "nodeSelector" };

	for (size_t i = 0; i < PK_ARRAY_LEN(lists); i++) {
		const struct pk_json *v = pk_import_get(im, rule, lists[i]);

		if (v && (pk_json_type(v) != PK_JSON_ARRAY || pk_json_first(v)))
			return false;
	}
	return true;
}

/*
 * Returns whether Cilium reads all keys of the rule. One that it ignored may be a list that was
 * meant: then the rule is written, and so refused.
 */
static bool knows_keys(struct pk_importer *im, const struct pk_json *rule)
{
	bool all = true;

	im->quiet = true;
	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m))
		all &= pk_import_key(im, rule, m, rule_keys) || pk_json_type(m) == PK_JSON_NULL;
	im->quiet = false;
	return all;
}

void pk_import_rule(struct pk_importer *im, const struct pk_json *rule)
{
	if (!pk_import_object(im, NULL, rule))
		return;
	if (pk_import_get(im, rule, "nodeSelector")) {
		import_refuse(im, rule, false, "keep the host's firewall for what it closes",
			      "a rule about nodes: without it what it closes would be open");
		return;
	}
	if (says_nothing(im, rule) && knows_keys(im, rule)) {
		import_repair(im, rule, false, NULL,
			      "removed: a rule without an entry says nothing");
		return;
	}
	if (!pk_import_subject(im, rule))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m))
		write_member(im, rule, m);
	write_requirements(im, rule);
	pk_jw_close(&im->w, '}');
}
