/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policy documents: text or JSON -> struct pk_document, checked against docs/policy.md. A document
 * is taken whole or refused whole. schema.h's table drives the form (keys, types, patterns) and
 * the JSON Schema; doc*.c add what a schema can't say.
 */
#include "ast.h"
#include "json.h"
#include "own.h"
#include "str.h"

/* The origin of a document. Only path is needed; the pointers are copied. */
struct pk_doc_source {
	const char *source; /* docsource.h; NULL: "" (expectations) */
	const char *path;   /* file or key, for messages */
	/* The name where the document gives none; NULL: path's last part without ".json". */
	const char *name;
	/* The location belongs to this namespace, any other is refused. NULL: to the operator. */
	const char *tenant_name;
	/*
	 * The settings of the nodes that take it, where they are known: what tenantReach lists gets
	 * no warning.
	 */
	const struct pk_settings *settings;
};

struct pk_doc_note {
	bool error; /* else a warning: the document is taken */
	struct pk_json_where where;
	char text[320]; /* what was found, what was expected */
	char fix[200];	/* "" = not known */
};

#define PK_DOC_NOTES_MAX 50 /* kept, unless the caller sets max */

/*
 * The notes on one document, in the order of its text. The struct is zeroed before use; its owner
 * calls pk_doc_notes_done.
 */
struct pk_doc_notes {
	char *path;
	struct pk_doc_note *list;
	size_t n, room;
	size_t max;		     /* how many list may hold; 0 = PK_DOC_NOTES_MAX */
	size_t n_errors, n_warnings; /* all of them */
};
void pk_doc_notes_done(struct pk_doc_notes *notes);
#define own_notes PK_OWN(pk_doc_notes_done) struct pk_doc_notes

/*
 * Gives 0 and a document, maybe with warnings, or -EINVAL (-ENOMEM) and at least one error. The
 * text may have comments. A document that uses toFQDNs is taken here; who enforces asks uses_fqdn.
 */
int pk_document_parse(const struct pk_doc_source *src, const char *text, size_t len,
		      struct pk_document **out, struct pk_doc_notes *notes);
/* Reads a value inside a parsed text likewise: one of the documents of an expectations file. */
int pk_document_read(const struct pk_doc_source *src, const struct pk_json_doc *json,
		     const struct pk_json *value, struct pk_document **out,
		     struct pk_doc_notes *notes);
static inline void pk_document_freep(struct pk_document **doc)
{
	pk_document_free(*doc);
}
#define own_document PK_OWN(pk_document_freep) struct pk_document

/*
 * Writes them as compilers do, safe for a terminal: "path:line:col: error: .path: text", the line,
 * and below it the underline with the fix.
 */
void pk_doc_notes_text(const struct pk_doc_notes *notes, struct pk_str *out);
/* Writes "1 error, 2 warnings"; nothing where there is none. */
void pk_doc_notes_count(const struct pk_doc_notes *notes, struct pk_str *out);
/* Writes an array of {"severity", "file", "line", "column", "path", "text", "fix"}. */
void pk_doc_notes_json(const struct pk_doc_notes *notes, struct pk_jw *w, const char *key);
/*
 * Writes the first error in one line, for logs and the API: "path:line:col: error: .path: text;
 * fix: …".
 */
void pk_doc_notes_line(const struct pk_doc_notes *notes, struct pk_str *out);

/*
 * Makes the canonical "source:key" (docs/policy.md, "Labels") of a key as its author wrote it; the
 * caller frees it. -EINVAL: why says what is wrong.
 */
int pk_doc_label_key(const char *text, char **out, struct pk_err *why);
const char *pk_entity_name(enum pk_entity entity); /* "world-ipv4" */
int pk_entity_parse(const char *text, enum pk_entity *out);
/*
 * Returns the name of a document that gives itself none: the path's last part without ".json". The
 * caller frees it.
 */
char *pk_doc_name_of_path(const char *path);
