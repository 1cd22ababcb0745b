/* SPDX-License-Identifier: Apache-2.0 */
/* The ports and ICMP types of an entry. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "import_private.h"
#include "own.h"

static int protocol_number(const char *name)
{
	if (name && strcasecmp(name, "VRRP") == 0)
		return 112;
	return name && strcasecmp(name, "IGMP") == 0 ? 2 : 0;
}

/*
 * Writes a port. Cilium compares port names without case, and reads a number with a leading zero as
 * octal.
 */
static void write_port_number(struct pk_importer *im, const struct pk_json *m)
{
	const char *text = pk_json_string(m);
	own_str lower = { 0 };

	if (!text) {
		pk_jw_value(&im->w, "port", m);
		return;
	}
	if (text[0] == '0' && text[1] && strspn(text, "0123456789_") == strlen(text))
		import_refuse(im, m, false, "write it without leading zeros",
			      "Cilium reads \"%.20s\" as an octal number", text);
	for (const char *p = text; *p; p++)
		pk_str_addf(&lower, "%c", *p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
	if (lower.text && strcmp(lower.text, text) != 0)
		import_repair(im, m, false, "call the jobs' port so",
			      "written as \"%s\": Cilium's port names have no case", lower.text);
	pk_jw_string(&im->w, "port", lower.text ?: "");
}

static void write_port(struct pk_importer *im, const struct pk_json *port)
{
	static const char *const known[] = { "port", "endPort", "protocol", NULL };

	if (!pk_import_object(im, NULL, port))
		return;
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(port); m; m = pk_json_next(m)) {
		const char *key = pk_import_key(im, port, m, known);
		int number = key && strcmp(key, "protocol") == 0
				     ? protocol_number(pk_json_string(m))
				     : 0;

		if (!key)
			continue;
		if (strcmp(key, "endPort") == 0 && pk_json_number(m) == 0 &&
		    pk_json_type(m) == PK_JSON_NUMBER) {
			import_repair(im, m, true, NULL, "0 removed: it is no range");
		} else if (number) {
			import_repair(im, m, false, NULL, "written as %d", number);
			pk_jw_int(&im->w, "protocol", number);
		} else if (strcmp(key, "port") == 0) {
			write_port_number(im, m);
		} else {
			pk_jw_value(&im->w, key, m);
		}
	}
	pk_jw_close(&im->w, '}');
}

/*
 * Returns whether the rules are {"dns": [{"matchPattern": "*"}]}, which lets every query through:
 * without it nothing more is allowed.
 */
static bool is_open_dns(const struct pk_json *rules)
{
	const struct pk_json *dns = pk_json_get(rules, "dns"), *first = pk_json_first(dns);
	const char *pattern = pk_json_string(pk_json_get(first, "matchPattern"));

	return pk_json_count(rules) == 1 && pk_json_count(dns) == 1 && pattern &&
	       strcmp(pattern, "*") == 0;
}

static const char *const port_rule_keys[] = {
	"ports", "rules", "serverNames", "terminatingTLS", "originatingTLS", "listener", NULL
};

/* Returns a condition that an element of toPorts puts beside the ports, or NULL. */
static const char *port_rule_condition(struct pk_importer *im, const struct pk_json *rule)
{
	const struct pk_json *rules = pk_import_get(im, rule, "rules");

	if (pk_json_first(rules) && !is_open_dns(rules))
		return "L7 rules";
	for (size_t i = 2; port_rule_keys[i]; i++)
		if (pk_import_get(im, rule, port_rule_keys[i]))
			return port_rule_keys[i];
	return NULL;
}

static void say_port_rule_key(struct pk_importer *im, const struct pk_json *m, const char *key)
{
	if (im->deny)
		import_repair(im, m, true, NULL,
			      "removed: Cilium denies the ports, whatever else stands here");
	else if (strcmp(key, "rules") == 0)
		import_repair(im, m, true, NULL, "removed: DNS isn't looked into for a rule");
}

static void write_port_rule(struct pk_importer *im, const struct pk_json *rule)
{
	pk_jw_open(&im->w, NULL, '{');
	for (const struct pk_json *m = pk_json_first(rule); m; m = pk_json_next(m)) {
		const char *key = pk_import_key(im, rule, m, port_rule_keys);

		if (key && strcmp(key, "ports") != 0)
			say_port_rule_key(im, m, key);
		if (!key || strcmp(key, "ports") != 0)
			continue;
		if (pk_json_type(m) != PK_JSON_ARRAY) {
			pk_jw_value(&im->w, key, m);
			continue;
		}
		pk_jw_open(&im->w, "ports", '[');
		for (const struct pk_json *p = pk_json_first(m); p; p = pk_json_next(p))
			write_port(im, p);
		pk_jw_close(&im->w, ']');
	}
	pk_jw_close(&im->w, '}');
}

/* false: it opens (or denies) nothing here, and what else stands in the list may. */
static bool keeps_port_rule(struct pk_importer *im, const struct pk_json *rule)
{
	const char *condition;

	if (pk_json_type(rule) != PK_JSON_OBJECT)
		return true;
	condition = im->deny ? NULL : port_rule_condition(im, rule);
	if (condition) {
		import_loss(im, rule, false, NULL,
			    "%s can't be carried over: these ports are removed", condition);
		return false;
	}
	if (!pk_json_first(pk_import_get(im, rule, "ports"))) {
		import_repair(im, rule, false, NULL, "removed: without ports it matched nothing");
		return false;
	}
	return true;
}

size_t pk_import_kept_ports(struct pk_importer *im, const struct pk_json *list)
{
	size_t n = 0;

	for (const struct pk_json *p = pk_json_first(list); p; p = pk_json_next(p))
		n += keeps_port_rule(im, p);
	return n;
}

void pk_import_ports(struct pk_importer *im, const struct pk_json *list)
{
	bool said = im->quiet;

	if (pk_json_type(list) != PK_JSON_ARRAY) {
		pk_jw_value(&im->w, "toPorts", list);
		return;
	}
	pk_jw_open(&im->w, "toPorts", '[');
	for (const struct pk_json *p = pk_json_first(list); p; p = pk_json_next(p)) {
		bool kept;

		im->quiet = true; /* pk_import_kept_ports has said it */
		kept = keeps_port_rule(im, p);
		im->quiet = said;
		if (kept && pk_import_object(im, NULL, p))
			write_port_rule(im, p);
	}
	pk_jw_close(&im->w, ']');
}

void pk_import_icmps(struct pk_importer *im, const struct pk_json *list)
{
	static const char *const rule_known[] = { "fields", NULL };
	static const char *const known[] = { "family", "type", NULL };

	for (const struct pk_json *e = pk_json_first(list); e; e = pk_json_next(e))
		for (const struct pk_json *m = pk_json_first(e); m; m = pk_json_next(m)) {
			if (!pk_json_key(m) || !pk_import_key(im, e, m, rule_known))
				continue;
			for (const struct pk_json *f = pk_json_first(m); f; f = pk_json_next(f))
				for (const struct pk_json *k = pk_json_first(f); k;
				     k = pk_json_next(k))
					if (pk_json_key(k))
						pk_import_key(im, f, k, known);
		}
	pk_jw_value(&im->w, "icmps", list);
}
