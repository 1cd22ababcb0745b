/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "scenario_private.h"
#include "docsource.h"
#include "fs.h"
#include "rules.h"

#define POLICY_MAX PK_JSON_MAX

void pk_scenario_free(struct pk_scenario *c)
{
	if (!c)
		return;
	pk_asker_free(c->asker);
	for (size_t i = 0; i < c->n_docs; i++)
		pk_document_free(c->docs[i]);
	free(c->docs);
	free(c->path);
	pk_settings_done(&c->settings);
	pk_json_free(c->json);
	free(c);
}

static struct pk_scenario *case_new(const char *path)
{
	struct pk_scenario *c = pk_alloc(sizeof(*c));

	c->path = pk_strdup(path);
	pk_settings_init(&c->settings);
	c->asker = pk_asker_new(&c->settings, NULL, 0);
	return c;
}

static void push_doc(struct pk_scenario *c, struct pk_document *doc, struct pk_str *said)
{
	for (size_t i = 0; i < c->n_docs && !c->replacing; i++)
		if (strcmp(c->docs[i]->name, doc->name) == 0 &&
		    strcmp(c->docs[i]->source, doc->source) == 0) {
			pk_str_add(said, c->path);
			pk_str_add(said, ": warning: two documents are called '");
			pk_str_add_escaped(said, doc->name);
			pk_str_add(said, "'\n");
		}
	c->docs = realloc(c->docs, (c->n_docs + 1) * sizeof(*c->docs));
	if (!c->docs)
		abort();
	c->docs[c->n_docs++] = doc;
}

/* Takes the document, or tells what was wrong with it. */
static int took(struct pk_scenario *c, int r, struct pk_document *doc,
		const struct pk_doc_notes *notes, struct pk_str *said, struct pk_err *err)
{
	pk_doc_notes_text(notes, said);
	if (r < 0) {
		own_str line = { 0 };

		pk_doc_notes_line(notes, &line);
		return pk_fail(err, 0, "%s", line.text ? line.text : "document refused");
	}
	push_doc(c, doc, said);
	return 0;
}

int pk_scenario_add_file(struct pk_scenario *c, const char *path, struct pk_str *said,
			 struct pk_err *err)
{
	const char *source = c->file_source ? c->file_source : "file";
	const struct pk_doc_source src = { .source = source,
					   .path = path,
					   .tenant_name = pk_source_namespace(source),
					   .settings = &c->settings };
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_mem char *text = NULL;
	size_t len;
	int r;

	r = pk_fs_read(path, POLICY_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = pk_document_parse(&src, text, len, &doc, &notes);
	return took(c, r, doc, &notes, said, err);
}

int pk_scenario_replace_file(struct pk_scenario *c, const char *path, size_t *index,
			     struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc;
	int r;

	c->replacing = true;
	r = pk_scenario_add_file(c, path, said, err);
	c->replacing = false;
	if (r < 0)
		return r;
	doc = c->docs[c->n_docs - 1];
	for (size_t i = 0; i + 1 < c->n_docs; i++) {
		if (strcmp(c->docs[i]->name, doc->name) != 0 ||
		    strcmp(c->docs[i]->source, doc->source) != 0)
			continue;
		pk_document_free(c->docs[i]);
		c->docs[i] = doc;
		c->n_docs--;
		*index = i;
		return 0;
	}
	*index = c->n_docs - 1;
	return 0;
}

void pk_scenario_drop(struct pk_scenario *c, size_t index)
{
	pk_document_free(c->docs[index]);
	memmove(&c->docs[index], &c->docs[index + 1], (--c->n_docs - index) * sizeof(*c->docs));
}

static int case_add_text(struct pk_scenario *c, const struct pk_doc_source *src, const char *text,
			 struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	int r = pk_document_parse(src, text, strlen(text), &doc, &notes);

	return took(c, r, doc, &notes, said, err);
}

/* "A policy file's name is relative to the file." */
static int add_relative(struct pk_scenario *c, const char *name, struct pk_str *said,
			struct pk_err *err)
{
	own_mem char *copy = pk_strdup(c->path);
	own_str path = { 0 };

	if (name[0] != '/')
		pk_str_addf(&path, "%s/", dirname(copy));
	pk_str_add(&path, name);
	return pk_scenario_add_file(c, path.text, said, err);
}

static int add_inline(struct pk_scenario *c, const struct pk_json *v, size_t index,
		      struct pk_str *said, struct pk_err *err)
{
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	char name[32];
	const struct pk_doc_source src = { .path = c->path,
					   .name = name,
					   .settings = &c->settings };
	int r;

	snprintf(name, sizeof(name), "policies[%zu]", index);
	r = pk_document_read(&src, c->json, v, &doc, &notes);
	return took(c, r, doc, &notes, said, err);
}

static int read_policies(struct pk_scenario *c, struct pk_str *said, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(pk_json_root(c->json), "policies");
	size_t index = 0;
	int r = 0;

	if (!list)
		return 0;
	if (pk_json_type(list) != PK_JSON_ARRAY)
		return pk_json_fail(err, c->json, list, false, "%s found, expected an array",
				    pk_json_type_name(pk_json_type(list)));
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v)) {
		const char *name = pk_json_string(v);

		r = name ? add_relative(c, name, said, err) : add_inline(c, v, index, said, err);
		if (name && r < 0) {
			struct pk_json_where where;

			pk_json_where(c->json, v, false, &where);
			return pk_wrap(err, r, "%s:%d: %s", c->path, where.line, where.path);
		}
		index++;
	}
	return r;
}

static int read_settings(struct pk_scenario *c, struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(c->json);
	int r = pk_settings_get(&c->settings, c->json, root, "baseline", err);

	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, root, "resolvers", err);
	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, root, "tenantReach", err);
	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, root, "services", err);
	if (r == 0)
		r = pk_json_get_bool(c->json, root, "healthChecks", &c->settings.health_checks,
				     err);
	return r;
}

/* Suites that a program wrote may be larger than what people write. */
static int parse(struct pk_scenario *c, const char *text, size_t len, struct pk_err *err)
{
	unsigned int flags = PK_JSON_COMMENTS | (len > PK_JSON_MAX ? PK_JSON_RELAXED : 0);
	int r = pk_json_parse(c->path, text, len, flags, &c->json, err);

	if (r < 0)
		return r;
	if (pk_json_type(pk_json_root(c->json)) != PK_JSON_OBJECT)
		return pk_json_fail(err, c->json, pk_json_root(c->json), false,
				    "%s found, expected an object",
				    pk_json_type_name(pk_json_type(pk_json_root(c->json))));
	return 0;
}

int pk_scenario_read(const char *path, const char *text, size_t len, struct pk_scenario **out,
		     struct pk_str *said, struct pk_err *err)
{
	static const char *const keys[] = {
		"baseline",	"resolvers",   "tenantReach", "services",
		"healthChecks", "endpoints",   "policies",    "expect",
		"$schema",	"description", NULL
	};
	own_scenario *c = case_new(path);
	int r = parse(c, text, len, err);

	if (r == 0)
		r = pk_json_only(c->json, pk_json_root(c->json), keys, err);
	if (r == 0)
		r = read_settings(c, err);
	if (r == 0)
		r = scenario_read_endpoints(c, false, err);
	if (r == 0)
		r = read_policies(c, said, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(c, NULL);
	return 0;
}

static int read_live_policies(struct pk_scenario *c, struct pk_str *said, struct pk_err *err)
{
	const struct pk_json *list = pk_json_get(pk_json_root(c->json), "policies");
	int r = 0;

	for (const struct pk_json *v = list ? pk_json_first(list) : NULL; v && r == 0;
	     v = pk_json_next(v)) {
		struct pk_doc_source src = { .settings = &c->settings };
		const char *text = NULL;

		r = pk_json_get_string(c->json, v, "source", &src.source, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "name", &src.name, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "path", &src.path, err);
		if (r == 0)
			r = pk_json_get_string(c->json, v, "text", &text, err);
		if (r < 0 || !text)
			continue;
		if (src.source)
			src.tenant_name = pk_source_namespace(src.source);
		r = case_add_text(c, &src, text, said, err);
	}
	return r;
}

int pk_scenario_live(const char *text, size_t len, struct pk_scenario **out, struct pk_str *said,
		     struct pk_err *err)
{
	own_scenario *c = case_new("the live node");
	int r = parse(c, text, len, err);

	c->live = true;
	if (r == 0)
		r = read_settings(c, err);
	if (r == 0)
		r = pk_settings_get(&c->settings, c->json, pk_json_root(c->json), "pools", err);
	if (r == 0)
		r = scenario_read_endpoints(c, true, err);
	if (r == 0)
		r = read_live_policies(c, said, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(c, NULL);
	return 0;
}

int pk_scenario_adopt(struct pk_scenario *c, struct pk_scenario *live, struct pk_err *err)
{
	struct pk_document **docs;

	/* The live settings first, then whatever the file says. */
	pk_settings_done(&c->settings);
	c->settings = live->settings;
	pk_settings_init(&live->settings);
	if (read_settings(c, err) < 0)
		return -EINVAL;
	docs = calloc(c->n_docs + live->n_docs + 1, sizeof(*docs));
	if (!docs)
		abort();
	for (size_t i = 0; i < live->n_docs; i++)
		docs[i] = live->docs[i];
	for (size_t i = 0; i < c->n_docs; i++)
		docs[live->n_docs + i] = c->docs[i];
	free(c->docs);
	c->docs = docs;
	c->n_docs += live->n_docs;
	c->live = true;
	live->n_docs = 0;
	pk_asker_free(c->asker);
	c->asker = PK_MOVE(live->asker, NULL);
	pk_asker_set_settings(c->asker, &c->settings);
	return 0;
}

int pk_scenario_ready(struct pk_scenario *c, struct pk_err *err)
{
	pk_asker_set_settings(c->asker, &c->settings);
	pk_asker_set_documents(c->asker, c->docs, c->n_docs);
	return pk_asker_compile(c->asker, err);
}

void pk_scenario_side_text(const struct pk_scenario *c, const struct pk_judgement *j,
			   struct pk_str *out)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(c->asker));
	struct pk_rule_ref ref;

	pk_str_add(out, j->verdict == PK_ALLOW ? "allow, " : "deny, ");
	if (pk_rules_find(rules, j->rule, &ref) < 0)
		ref = (struct pk_rule_ref){ .number = j->rule };
	pk_rule_text(&ref, j->rank, out);
}
