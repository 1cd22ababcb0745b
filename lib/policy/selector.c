/* SPDX-License-Identifier: Apache-2.0 */
#include "selector.h"

#include <ctype.h>
#include <string.h>

#define NAMESPACE "nomad:namespace"

static bool has_value(const struct pk_requirement *req, const char *value)
{
	for (size_t i = 0; i < req->n_values; i++)
		if (strcmp(req->values[i], value) == 0)
			return true;
	return false;
}

/*
 * Returns whether the key may have values that aren't known. A key with a value has no others, but
 * for consul:service and for a key that is itself listed as unknown.
 */
static bool is_open(const struct pk_label_set *set, const char *key, bool known)
{
	if (!known)
		return pk_label_set_is_unknown(set, key);
	if (strcmp(key, "consul:service") == 0)
		return pk_label_set_is_unknown(set, key);
	for (size_t i = 0; i < set->n_unknown; i++)
		if (strcmp(set->unknown[i], key) == 0)
			return true;
	return false;
}

enum pk_tri pk_requirement_match(const struct pk_requirement *req, const struct pk_label_set *set)
{
	bool known = false, hit = false, open;
	bool negative = req->op == PK_OP_NOT_IN || req->op == PK_OP_NOT_EXISTS;
	bool any = req->op == PK_OP_EXISTS || req->op == PK_OP_NOT_EXISTS;

	for (size_t i = 0; i < set->n_known && !hit; i++) {
		if (strcmp(set->known[i].key, req->key) != 0)
			continue;
		known = true;
		hit = any || has_value(req, set->known[i].value);
	}
	if (hit)
		return negative ? PK_NO : PK_YES;
	open = is_open(set, req->key, known);
	if (open)
		return PK_MAYBE;
	return negative ? PK_YES : PK_NO;
}

enum pk_tri pk_selector_match(const struct pk_selector *sel, const struct pk_label_set *set)
{
	enum pk_tri tri = PK_YES;

	if (sel->is_entity)
		return PK_NO;
	for (size_t i = 0; i < sel->n_req && tri != PK_NO; i++)
		tri = pk_tri_and(tri, pk_requirement_match(&sel->req[i], set));
	return tri;
}

bool pk_selector_names_namespace(const struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req; i++)
		if (sel->req[i].op == PK_OP_IN && strcmp(sel->req[i].key, NAMESPACE) == 0)
			return true;
	return false;
}

bool pk_selector_reads_namespace(const struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req; i++)
		if (strcmp(sel->req[i].key, NAMESPACE) == 0)
			return true;
	return false;
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/*
 * '*': any number of the characters of one label. Dots stand against dots, so only the last star is
 * ever tried again.
 */
static bool glob(const char *pattern, const char *name)
{
	const char *behind_star = NULL, *taken = NULL;

	for (;;) {
		if (*pattern == '*') {
			behind_star = ++pattern;
			taken = name;
		} else if (tolower((unsigned char)*pattern) == tolower((unsigned char)*name)) {
			if (!*name)
				return true;
			pattern++;
			name++;
		} else if (behind_star && is_name_char(*taken)) {
			pattern = behind_star;
			name = ++taken;
		} else {
			return false;
		}
	}
}

/*
 * Cilium's rules decide: stars alone match every name; two or more with a dot behind them, at the
 * front of a pattern, stand for one label or more.
 */
bool pk_fqdn_match(const struct pk_fqdn *fqdn, const char *name)
{
	size_t stars;

	if (fqdn->name)
		return strcasecmp(fqdn->name, name) == 0;
	stars = strspn(fqdn->pattern, "*");
	if (stars && !fqdn->pattern[stars])
		return true;
	if (stars && strcmp(fqdn->pattern + stars, ".") == 0)
		return stars > 1 || !strchr(name, '.');
	if (stars < 2 || fqdn->pattern[stars] != '.')
		return glob(fqdn->pattern, name);
	for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
		if (dot > name && glob(fqdn->pattern + stars + 1, dot + 1))
			return true;
	return false;
}
