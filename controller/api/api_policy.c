/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/policies, /v1/policies/SOURCE/NAME, and what tenants are told of theirs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "api_answer.h"
#include "api_policy_private.h"
#include "docsource.h"
#include "fs.h"
#include "parts.h"
#include "own.h"
#include "service_call.h"

static void write_enforced(struct pk_jw *w, size_t n, size_t of)
{
	char text[64];

	snprintf(text, sizeof(text), "%zu of %zu endpoints", n, of);
	if (!n)
		pk_jw_string(w, "enforced", "no");
	else
		pk_jw_string(w, "enforced", n == of ? "yes" : text);
}

bool pk_api_is_unresolved(const struct pk_parts *p, const struct pk_document *doc)
{
	own_mem struct pk_unresolved *found = NULL;

	return pk_engine_unresolved_of(pk_model_engine(p->model), doc, &found) > 0;
}

static const char *state_of(const struct policy_view *v, const struct pk_doc_entry *e)
{
	if (e->refused)
		return "refused";
	if (e->held)
		return "held";
	if (e->doc && pk_api_is_unresolved(v->parts, e->doc))
		return "unresolved";
	return e->doc && e->doc->audit ? "audit" : "active";
}

static const char *tier_of(const struct pk_document *doc)
{
	return pk_tier_name(PK_RANK(doc->tier, 0));
}

static void write_note(struct pk_jw *w, const struct pk_doc_note *note)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_int(w, "line", note->where.line);
	pk_jw_int(w, "column", note->where.col);
	pk_jw_string(w, "path", note->where.path);
	pk_jw_string(w, "text", note->text);
	pk_jw_string(w, "fix", *note->fix ? note->fix : NULL);
	pk_jw_close(w, '}');
}

static void write_plain_note(struct pk_jw *w, int line, const char *text, const char *fix)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_int(w, "line", line);
	pk_jw_int(w, "column", 0);
	pk_jw_string(w, "path", NULL);
	pk_jw_string(w, "text", text);
	pk_jw_string(w, "fix", fix);
	pk_jw_close(w, '}');
}

/* Writes a refusal, at most `max` bytes of its text. */
static void write_refusal(struct pk_jw *w, const char *said, size_t max)
{
	const char *end = pk_service_fix_at(said);
	own_mem char *text = NULL;
	size_t n = end ? (size_t)(end - said) : strlen(said);

	text = pk_strndup(said, n < max ? n : max);
	write_plain_note(w, 0, text, end ? end + strlen(PK_SERVICE_FIX) : NULL);
}

static void write_notes(const struct policy_view *v, const struct pk_doc_entry *e)
{
	own_mem struct pk_unresolved *found = NULL;
	size_t n = pk_engine_unresolved_of(pk_model_engine(v->parts->model), e->doc, &found);
	struct pk_jw *w = v->w;

	pk_jw_open(w, "errors", '[');
	for (size_t i = 0; i < e->notes.n; i++)
		if (e->notes.list[i].error)
			write_note(w, &e->notes.list[i]);
	if (e->refusal)
		write_refusal(w, e->refusal, SIZE_MAX);
	pk_jw_close(w, ']');
	pk_jw_open(w, "warnings", '[');
	for (size_t i = 0; i < e->notes.n; i++)
		if (!e->notes.list[i].error)
			write_note(w, &e->notes.list[i]);
	for (size_t i = 0; i < n; i++)
		write_plain_note(w, found[i].entry ? found[i].entry->line : found[i].rule->line,
				 found[i].what, NULL);
	pk_jw_close(w, ']');
}

/*
 * Returns its name or, while no version is in force, the one that its file or key gives it. The
 * caller frees it.
 */
static char *name_of(const struct pk_doc_entry *e)
{
	char *name = e->doc ? strdup(e->doc->name) : pk_doc_name_of_path(e->path);

	if (!name)
		abort();
	return name;
}

static void write_document(const struct policy_view *v, const struct pk_doc_entry *e,
			   const struct pk_api_count *count, const char *text)
{
	struct pk_jw *w = v->w;
	own_mem char *name = name_of(e);
	char sha[PK_DOCS_SHA];

	pk_docs_sha(e->hash, sha);
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", e->source);
	pk_jw_string(w, "name", name);
	pk_jw_string(w, "path", e->path);
	pk_jw_string(w, "namespace", e->doc ? e->doc->tenant_name : e->tenant_name);
	pk_jw_string(w, "tier", e->doc ? tier_of(e->doc) : NULL);
	pk_jw_string(w, "state", state_of(v, e));
	pk_jw_bool(w, "inForce", e->doc && count->n);
	write_enforced(w, count->n, count->of);
	pk_jw_bool(w, "stored", pk_docs_is_stored(e));
	if (e->doc)
		pk_api_time(w, "since", &e->since);
	else
		pk_jw_null(w, "since");
	pk_jw_string(w, "sha", e->doc ? sha : NULL);
	pk_jw_uint(w, "rules", e->doc ? e->doc->n_rules : 0);
	pk_jw_uint(w, "selects", count->selects);
	pk_jw_string(w, "held", e->held);
	write_notes(v, e);
	if (text)
		pk_jw_string(w, "text", text);
	pk_jw_close(w, '}');
}

/* Writes a deleted document that tables still have. What only a document has is null. */
static void write_gone(const struct policy_view *v, const struct pk_doc_gone *g)
{
	const struct pk_enforced_count c = pk_apply_still_has(v->parts->apply, g);
	struct pk_jw *w = v->w;

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", g->source);
	pk_jw_string(w, "name", g->name);
	pk_jw_string(w, "path", g->path);
	pk_jw_string(w, "namespace", g->tenant_name);
	pk_jw_null(w, "tier");
	pk_jw_string(w, "state", "deleted");
	pk_jw_bool(w, "inForce", false);
	write_enforced(w, c.n, c.of);
	pk_jw_bool(w, "stored", pk_docs_gone_is_stored(v->parts->docs, g));
	pk_jw_null(w, "since");
	pk_jw_null(w, "sha");
	pk_jw_uint(w, "rules", 0);
	pk_jw_uint(w, "selects", 0);
	pk_jw_null(w, "held");
	pk_jw_open(w, "errors", '[');
	pk_jw_close(w, ']');
	pk_jw_open(w, "warnings", '[');
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
}

static bool is_id(const char *id, const char *source, const char *name)
{
	size_t n = strlen(source);

	return strncmp(id, source, n) == 0 && id[n] == '/' && strcmp(id + n + 1, name) == 0;
}

/*
 * Returns whether another document speaks for this one: one that has its name now, or one of its
 * name that went later.
 */
static bool is_told(const struct pk_docs *docs, size_t i)
{
	const struct pk_doc_gone *g = pk_docs_gone(docs, i), *next;

	while ((next = pk_docs_gone(docs, ++i)))
		if (strcmp(next->source, g->source) == 0 && strcmp(next->name, g->name) == 0)
			return true;
	for (size_t k = 0; k < pk_docs_count(docs); k++) {
		const struct pk_doc_entry *e = pk_docs_at(docs, k);

		if (e->doc && strcmp(e->source, g->source) == 0 &&
		    strcmp(e->doc->name, g->name) == 0)
			return true;
	}
	return false;
}

struct policies {
	size_t at;
	struct pk_api_count count;
	char *id; /* source and name that are asked for; NULL: all are */
	bool begun;
	struct pk_api_moment moment;
	struct policy_view view; /* its endpoints are listed once for all parts */
	uint64_t listed;	 /* pk_model_changes when they were listed */
};

static void policies_end(void *arg)
{
	struct policies *l = arg;

	policy_view_close(&l->view);
	free(l->id);
	free(l);
}

/* Lists the endpoints of this answer; those of a model that changed are other ones. */
static void list_members(struct policies *l, struct pk_answer *answer)
{
	uint64_t changes = pk_model_changes(answer->parts->model);

	if (l->view.endpoints && l->begun && l->listed == changes)
		return;
	policy_view_close(&l->view);
	l->view = (struct policy_view){ .parts = answer->parts, .w = &answer->w };
	l->listed = changes;
	policy_view_open(&l->view);
}

static void write_all_gone(const struct policy_view *v)
{
	const struct pk_docs *docs = v->parts->docs;

	for (size_t i = 0; pk_docs_gone(docs, i); i++)
		if (!is_told(docs, i))
			write_gone(v, pk_docs_gone(docs, i));
}

static bool policies_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	const struct pk_parts *p = answer->parts;
	struct policies *l = arg;
	struct policy_view *v = &l->view;

	if (pk_api_moved(p, &l->moment)) {
		pk_answer_anew(answer);
		l->at = 0;
		l->begun = false;
	}
	list_members(l, answer);
	if (!PK_MOVE(l->begun, true)) {
		pk_jw_open(v->w, NULL, '{');
		pk_jw_open(v->w, "policies", '[');
	}
	while (l->at < pk_docs_count(p->docs)) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, l->at);

		if (!policy_count(v, e, &l->count, deadline_ns))
			return false;
		write_document(v, e, &l->count, NULL);
		l->count = (struct pk_api_count){ 0 };
		l->at++;
		if (pk_now_ns() >= deadline_ns)
			return false;
	}
	write_all_gone(v);
	pk_jw_close(v->w, ']');
	pk_jw_close(v->w, '}');
	return true;
}

void pk_api_policies(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = policies_part,
						    .end = policies_end,
						    .arg = pk_alloc(sizeof(struct policies)) });
}

static const struct pk_doc_entry *find_document(const struct pk_docs *docs, const char *id)
{
	for (size_t i = 0; i < pk_docs_count(docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(docs, i);
		own_mem char *name = name_of(e);

		if (is_id(id, e->source, name))
			return e;
	}
	return NULL;
}

static const struct pk_doc_gone *find_gone(const struct pk_docs *docs, const char *id)
{
	for (size_t i = 0; pk_docs_gone(docs, i); i++) {
		const struct pk_doc_gone *g = pk_docs_gone(docs, i);

		if (is_id(id, g->source, g->name) && !is_told(docs, i))
			return g;
	}
	return NULL;
}

static void write_nobody(struct pk_answer *answer)
{
	answer->status = 404;
	pk_exchange_write_error(&answer->w, "no such document", "picket policy list");
}

static bool policy_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	struct policies *l = arg;
	const struct pk_docs *docs = answer->parts->docs;
	const struct pk_doc_entry *e = find_document(docs, l->id);
	const struct pk_doc_gone *g = e ? NULL : find_gone(docs, l->id);
	own_mem char *text = NULL;
	size_t len;

	list_members(l, answer);
	l->begun = true;
	if (e && !policy_count(&l->view, e, &l->count, deadline_ns))
		return false;
	if (e && e->doc)
		pk_docs_text(docs, e, &text, &len, NULL);
	if (e)
		write_document(&l->view, e, &l->count, text ?: "");
	else if (g)
		write_gone(&l->view, g);
	else
		write_nobody(answer);
	return true;
}

void pk_api_policy(const struct pk_parts *p, struct pk_exchange *x, const char *id)
{
	struct policies *l = pk_alloc(sizeof(*l));

	l->id = pk_strdup(id);
	pk_answer_in_parts(
		p, x,
		&(struct pk_answer_how){ .part = policy_part, .end = policies_end, .arg = l });
}

/* The author's key has limited room: the first notes are written, and how many more there are. */
#define STATE_NOTES   8
#define STATE_REFUSAL 500

static void write_first(struct pk_jw *w, const char *key, const struct pk_doc_entry *e, bool error)
{
	const size_t all = error ? e->notes.n_errors : e->notes.n_warnings;
	size_t n = 0;

	pk_jw_open(w, key, '[');
	if (error && e->refusal)
		write_refusal(w, e->refusal, STATE_REFUSAL);
	for (size_t i = 0; i < e->notes.n; i++)
		if (e->notes.list[i].error == error && n < STATE_NOTES) {
			write_note(w, &e->notes.list[i]);
			n++;
		}
	pk_jw_close(w, ']');
	if (all > n)
		pk_jw_uint(w, error ? "moreErrors" : "moreWarnings", all - n);
}

static void write_unmatched(const struct policy_view *v, const struct pk_doc_entry *e)
{
	own_mem struct pk_unresolved *found = NULL;
	size_t n = pk_engine_unresolved_of(pk_model_engine(v->parts->model), e->doc, &found);

	pk_jw_open(v->w, "unresolved", '[');
	for (size_t i = 0; i < n && i < STATE_NOTES; i++)
		write_plain_note(v->w, found[i].entry ? found[i].entry->line : found[i].rule->line,
				 found[i].what, NULL);
	pk_jw_close(v->w, ']');
}

static void write_state(const struct policy_view *v, const struct pk_doc_entry *e,
			const struct pk_api_count *count)
{
	char sha[PK_DOCS_SHA];

	pk_docs_sha(e->hash, sha);
	pk_jw_open(v->w, NULL, '{');
	pk_jw_string(v->w, "node", v->parts->node);
	pk_jw_string(v->w, "state", state_of(v, e));
	pk_jw_bool(v->w, "inForce", e->doc && count->n);
	write_enforced(v->w, count->n, count->of);
	pk_jw_string(v->w, "sha", e->doc ? sha : NULL);
	pk_jw_string(v->w, "held", e->held);
	write_first(v->w, "errors", e, true);
	write_first(v->w, "warnings", e, false);
	write_unmatched(v, e);
	pk_jw_close(v->w, '}');
}

static void tell_state(struct policy_view *v, const struct pk_doc_entry *e,
		       struct pk_api_states_walk *walk)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	v->w = &w;
	write_state(v, e, &walk->count);
	walk->count = (struct pk_api_count){ 0 };
	walk->fn(walk->arg, e, &text);
}

bool pk_api_tenant_states(const struct pk_parts *p, struct pk_api_states_walk *walk,
			  uint64_t deadline_ns)
{
	PK_OWN(policy_view_close) struct policy_view v = { .parts = p };

	policy_view_open(&v);
	while (walk->at < pk_docs_count(p->docs)) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, walk->at);

		if (pk_source_namespace(e->source)) {
			if (!policy_count(&v, e, &walk->count, deadline_ns))
				return false;
			tell_state(&v, e, walk);
		}
		walk->at++;
		if (pk_now_ns() >= deadline_ns)
			return false;
	}
	return true;
}
