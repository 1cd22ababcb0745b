/* SPDX-License-Identifier: Apache-2.0 */
/* Stores the documents in force, and reads them back: see docs.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "docs_private.h"
#include "docsource.h"
#include "docstore.h"
#include "fs.h"
#include "own.h"
#include "str.h"

void docs_lost_add(struct pk_docs *docs, const char *source, const char *file, bool heard)
{
	docs->lost = docs_room_for(docs->lost, docs->n_lost, &docs->room_lost, sizeof(*docs->lost));
	docs->lost[docs->n_lost++] = (struct lost){ .source = pk_strdup(source),
						    .file = pk_strdup(file),
						    .heard = heard };
}

/* The file is nobody's any more, and an ADD would start in quarantine because of it. */
static void doom(struct pk_docs *docs, const struct lost *lost)
{
	own_str text = { 0 };

	pk_str_addf(&text, "%s\n%s", lost->source, lost->file);
	docs_text_add(&docs->doomed, &docs->n_doomed, &docs->room_doomed, pk_strdup(text.text));
}

static bool is_back(const struct pk_docs *docs, const struct lost *lost)
{
	for (size_t i = 0; i < docs->n; i++) {
		const struct pk_doc_entry *e = docs->list[i];

		if (e->doc && strcmp(e->source, lost->source) == 0 &&
		    pk_docstore_is(docs->directory, e->source, e->doc->name, lost->file))
			return true;
	}
	return false;
}

/*
 * Returns whether a document of the source has no version in force: the lost file may be that
 * one's.
 */
static bool has_gap(const struct pk_docs *docs, const char *source)
{
	for (size_t i = 0; i < docs->n; i++)
		if (!docs->list[i]->doc && pk_source_in(docs->list[i]->source, source))
			return true;
	return false;
}

const char *pk_docs_lost(struct pk_docs *docs)
{
	for (size_t i = docs->n_lost; i-- > 0;) {
		const struct lost *lost = &docs->lost[i];

		if (is_back(docs, lost) || (access(lost->file, F_OK) < 0 && errno == ENOENT)) {
			docs_lost_drop(docs, i);
		} else if (lost->heard && !has_gap(docs, lost->source)) {
			doom(docs, lost);
			docs_lost_drop(docs, i);
		}
	}
	for (size_t i = 0; i < docs->n_lost; i++)
		if (!pk_source_namespace(docs->lost[i].source))
			return docs->lost[i].file;
	return NULL;
}

const char *pk_docs_lost_of(const struct pk_docs *docs, const char *tenant_name)
{
	for (size_t i = 0; i < docs->n_lost; i++) {
		const char *of = pk_source_namespace(docs->lost[i].source);

		if (of && strcmp(of, tenant_name) == 0)
			return docs->lost[i].file;
	}
	return NULL;
}

const char *pk_docs_lost_tenant(const struct pk_docs *docs, size_t i)
{
	for (size_t k = 0; k < docs->n_lost; k++) {
		const char *of = pk_source_namespace(docs->lost[k].source);

		if (of && pk_docs_lost_of(docs, of) == docs->lost[k].file && i-- == 0)
			return of;
	}
	return NULL;
}

/* Takes a stored document, which is in force until its source speaks. */
static int on_stored(void *arg, const struct pk_stored_doc *s, struct pk_err *err)
{
	struct pk_docs *docs = arg;
	const struct pk_doc_origin origin = { .source = s->source,
					      .path = s->path,
					      .tenant_name = s->tenant_name };
	struct pk_doc_source src = docs_source_of(&origin);
	struct pk_doc_entry *e = docs_entry_of(docs, &origin);
	own_document *doc = NULL;

	(void)err;
	src.name = s->name;
	/*
	 * A second file of one origin is left where a document was renamed and the removal was cut
	 * short.
	 */
	if (e->doc && strcmp(e->stored, s->name) != 0)
		docs_stale(docs, s->source, s->name);
	if (e->doc)
		return 0;
	if (pk_document_parse(&src, s->text, s->len, &doc, &e->notes) < 0) {
		docs_refuse(e, "the stored version cannot be read by this release");
		docs_lost_add(docs, s->source, s->file, false);
		return 0;
	}
	pk_hash128(s->text, s->len, e->hash);
	memcpy(e->noted, e->hash, sizeof(e->noted));
	e->has_noted = true;
	docs_set_document(docs, e, PK_MOVE(doc, NULL));
	docs_set_stored(docs, e, s->name);
	e->since = s->time;
	e->index = e->text_index = s->index;
	return 0;
}

struct both {
	struct pk_docs *docs;
	void (*fn)(void *arg, const struct pk_err *err);
	void *arg;
};

static int on_stored_both(void *arg, const struct pk_stored_doc *s, struct pk_err *err)
{
	struct both *both = arg;

	return on_stored(both->docs, s, err);
}

static void on_bad(void *arg, const struct pk_stored_doc *doc, const struct pk_err *err)
{
	struct both *both = arg;

	docs_lost_add(both->docs, doc->source, doc->file, false);
	both->fn(both->arg, err);
}

void pk_docs_load(struct pk_docs *docs, void (*fn)(void *arg, const struct pk_err *err), void *arg)
{
	struct both both = { docs, fn, arg };
	struct pk_err err = { 0 };

	docs_heard_load(docs);
	if (!docs->directory)
		return;
	if (pk_docstore_walk(docs->directory, on_stored_both, on_bad, &both, &err) < 0)
		fn(arg, &err);
	if (docs_history_read(docs, &err) < 0)
		fn(arg, &err);
}

int pk_docs_text(const struct pk_docs *docs, const struct pk_doc_entry *e, char **text, size_t *len,
		 struct pk_err *err)
{
	if (!e->text && e->stored)
		return pk_docstore_text(docs->directory, e->source, e->stored, text, len, err);
	*text = pk_strdup(e->text ?: "");
	*len = e->text ? e->len : 0;
	return 0;
}
