/* SPDX-License-Identifier: Apache-2.0 */
#include "doc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "doc_read.h"
#include "string_forms.h"
#include "own.h"

/* Reads one direction: what is allowed, then what is denied. */
static void read_direction(struct pk_reader *r, const struct pk_json *v, enum pk_dir dir,
			   struct pk_rule *rule)
{
	const struct pk_json *allow = pk_json_get(v, dir == PK_INGRESS ? "ingress" : "egress");
	const struct pk_json *deny =
		pk_json_get(v, dir == PK_INGRESS ? "ingressDeny" : "egressDeny");
	struct pk_read_context in = { .dir = dir };

	rule->entries[dir] = pk_read_array(pk_json_count(allow) + pk_json_count(deny),
					   sizeof(*rule->entries[dir]));
	for (const struct pk_json *e = pk_json_first(allow); e; e = pk_json_next(e))
		pk_read_entry(r, e, &in, &rule->entries[dir][rule->n_entries[dir]++]);
	in.deny = true;
	for (const struct pk_json *e = pk_json_first(deny); e; e = pk_json_next(e))
		pk_read_entry(r, e, &in, &rule->entries[dir][rule->n_entries[dir]++]);
}

/*
 * Reads whether a rule asks for default deny: in the tenant tier unless it says no, in another one
 * only if it says so.
 */
static void read_default_deny(struct pk_reader *r, const struct pk_json *v, enum pk_dir dir,
			      struct pk_rule *rule)
{
	const char *name = dir == PK_INGRESS ? "ingress" : "egress";
	const struct pk_json *said = pk_json_get(pk_json_get(v, "enableDefaultDeny"), name);

	if (rule->n_entries[dir] == 0) {
		if (pk_json_true(said))
			pk_read_error(r, said, true, NULL,
				      "default deny without an entry in that direction; \"%s\": "
				      "[{}] is the entry that allows nothing",
				      name);
		return;
	}
	rule->default_deny[dir] = said ? pk_json_true(said) : r->doc->tier == PK_TIER_TENANT;
}

void pk_read_rule(struct pk_reader *r, const struct pk_json *v, struct pk_rule *rule)
{
	const char *description = pk_json_string(pk_json_get(v, "description"));
	const char *log = pk_json_string(pk_json_get(pk_json_get(v, "log"), "value"));
	struct pk_read_context in = { .subject = true };

	rule->line = pk_json_line(r->json, v);
	rule->description = description ? pk_read_text(description) : NULL;
	rule->log = log ? pk_read_text(log) : NULL;
	pk_read_selector(r, pk_json_get(v, "endpointSelector"), &in, &rule->subject);
	for (int dir = 0; dir < 2; dir++) {
		read_direction(r, v, (enum pk_dir)dir, rule);
		read_default_deny(r, v, (enum pk_dir)dir, rule);
	}
	if (rule->n_entries[PK_INGRESS] + rule->n_entries[PK_EGRESS] == 0)
		pk_read_error(r, v, false,
			      "\"ingress\": [{}] denies everything in, \"egress\": [{}] everything "
			      "out",
			      "a rule without any entry says nothing");
}

static void read_rules(struct pk_reader *r, const struct pk_json *first, size_t n)
{
	r->doc->rules = pk_read_array(n, sizeof(*r->doc->rules));
	for (const struct pk_json *v = first; v && r->doc->n_rules < n; v = pk_json_next(v))
		pk_read_rule(r, v, &r->doc->rules[r->doc->n_rules++]);
}

static void read_namespace(struct pk_reader *r, const struct pk_doc_source *src,
			   const struct pk_json *v)
{
	const char *given = pk_json_string(v);

	if (given && src->tenant_name && strcmp(given, src->tenant_name) != 0)
		pk_read_error(r, v, false, "remove it, or move the document",
			      "found \"%s\", but this location belongs to the namespace \"%s\"",
			      given, src->tenant_name);
	if (!given)
		given = src->tenant_name;
	if (given)
		r->doc->tenant_name = pk_read_text(given);
}

static void read_tier(struct pk_reader *r, const struct pk_json *v)
{
	const char *text = v ? pk_json_string(v) : "tenant";

	r->doc->tier = PK_TIER_TENANT;
	if (strcmp(text, "operator") == 0)
		r->doc->tier = PK_TIER_OPERATOR;
	else if (strcmp(text, "baseline") == 0)
		r->doc->tier = PK_TIER_BASELINE;
	if (r->doc->tier == PK_TIER_OPERATOR && r->doc->tenant_name)
		pk_read_error(r, v, false, NULL,
			      "a policy of the namespace \"%s\" can't be of the operator tier",
			      r->doc->tenant_name);
}

static void read_document(struct pk_reader *r, const struct pk_doc_source *src,
			  const struct pk_json *v)
{
	const struct pk_json *rules = pk_json_get(v, "rules");
	const char *name = pk_json_string(pk_json_get(v, "name"));

	if (name) {
		free(r->doc->name);
		r->doc->name = pk_read_text(name);
	}
	read_namespace(r, src, pk_json_get(v, "namespace"));
	read_tier(r, pk_json_get(v, "tier"));
	r->doc->audit = pk_json_true(pk_json_get(v, "audit"));
	if (!pk_json_first(rules))
		pk_read_warn(r, rules, true, NULL, "no rules: the document says nothing");
	read_rules(r, pk_json_first(rules), pk_json_count(rules));
}

/* Finds a document as kubectl prints it, which gets one error in place of one for each key. */
static const struct pk_json *find_kubernetes(const struct pk_json *v)
{
	static const char *const keys[] = { "apiVersion", "kind", "spec", "specs" };
	const struct pk_json *found = NULL;

	if (pk_json_type(v) == PK_JSON_ARRAY)
		v = pk_json_first(v);
	if (pk_json_get(v, "rules") || pk_json_get(v, "endpointSelector"))
		return NULL;
	for (size_t i = 0; i < PK_ARRAY_LEN(keys) && !found; i++)
		found = pk_json_get(v, keys[i]);
	return found;
}

/* Reads an array of rules, a rule, or a document that wraps them. */
static void read_any(struct pk_reader *r, const struct pk_doc_source *src, const struct pk_json *v)
{
	bool list = pk_json_type(v) == PK_JSON_ARRAY;
	bool document = pk_json_get(v, "rules") || !pk_json_get(v, "endpointSelector");
	const struct pk_schema *one = document ? &pk_schema_document : &pk_schema_rule;
	const struct pk_schema *schema = list ? &pk_schema_rules : one;
	const struct pk_json *kubernetes;

	if (!list && pk_json_type(v) != PK_JSON_OBJECT) {
		pk_read_error(r, v, false, NULL,
			      "found %s, expected a rule, an array of rules or a document",
			      pk_json_type_name(pk_json_type(v)));
		return;
	}
	kubernetes = find_kubernetes(v);
	if (kubernetes) {
		pk_read_error(r, kubernetes, true, "picket policy import FILE carries it over",
			      "an object of Kubernetes is no document here");
		return;
	}
	pk_read_check(r, schema, v);
	if (r->notes->n_errors > r->errors_before)
		return;
	if (!list && document) {
		read_document(r, src, v);
		return;
	}
	read_namespace(r, src, NULL);
	read_tier(r, NULL);
	if (list && !pk_json_first(v))
		pk_read_warn(r, v, false, NULL, "no rules: the document says nothing");
	read_rules(r, list ? pk_json_first(v) : v, list ? pk_json_count(v) : 1);
}

char *pk_doc_name_of_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = pk_read_text(slash ? slash + 1 : path);
	size_t n = strlen(name);

	if (n > 5 && strcmp(name + n - 5, ".json") == 0)
		name[n - 5] = '\0';
	return name;
}

int pk_document_read(const struct pk_doc_source *src, const struct pk_json_doc *json,
		     const struct pk_json *value, struct pk_document **out,
		     struct pk_doc_notes *notes)
{
	own_document *doc = pk_alloc(sizeof(*doc));
	size_t first = notes->n;
	struct pk_reader r = { .json = json,
			       .notes = notes,
			       .doc = doc,
			       .settings = src->settings,
			       .errors_before = notes->n_errors };

	if (!notes->path)
		notes->path = pk_read_text(src->path ? src->path : "");
	doc->source = pk_read_text(src->source ? src->source : "");
	doc->path = pk_read_text(src->path ? src->path : "");
	doc->name = src->name ? pk_read_text(src->name) : pk_doc_name_of_path(doc->path);
	read_any(&r, src, value);
	if (!src->name && src->path && !pk_format_ok(&pk_format_name, doc->name))
		pk_read_error(&r, value, false, "give it a \"name\"",
			      "the file's name can't serve as the document's: expected %s",
			      pk_format_name.expected);
	pk_read_sort(notes, first);
	if (notes->n_errors > r.errors_before)
		return -EINVAL;
	*out = PK_MOVE(doc, NULL);
	return 0;
}

int pk_document_parse(const struct pk_doc_source *src, const char *text, size_t len,
		      struct pk_document **out, struct pk_doc_notes *notes)
{
	const char *path = src->path ? src->path : "";
	struct pk_json_fault fault;
	own_json *json = NULL;

	notes->path = notes->path ? notes->path : pk_read_text(path);
	if (pk_json_parse_fault(path, text, len, PK_JSON_COMMENTS, &json, &fault) < 0) {
		pk_read_fault(notes, &fault);
		return -EINVAL;
	}
	return pk_document_read(src, json, pk_json_root(json), out, notes);
}
