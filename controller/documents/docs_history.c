/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.json, beside the stored documents, says how far each source had come, and what is held
 * though its source lacks it. A source that is behind this is not believed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "docs_private.h"
#include "fs.h"
#include "json.h"
#include "own.h"
#include "str.h"

void docs_history_path(const char *directory, struct pk_str *path)
{
	pk_str_addf(path, "%s/history.json", directory);
}

static void write_sources(const struct pk_docs *docs, struct pk_jw *w)
{
	pk_jw_open(w, "sources", '[');
	for (size_t i = 0; i < docs->n_pasts; i++) {
		const struct past *past = docs->pasts[i];

		if (!past->history.index)
			continue;
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "source", past->source);
		pk_jw_uint(w, "index", past->history.index);
		pk_jw_uint(w, "generation", past->history.generation);
		pk_jw_bool(w, "behind", past->history.behind);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

static char *text_of(const struct pk_docs *docs)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_open(&w, NULL, '{');
	write_sources(docs, &w);
	pk_jw_open(&w, "held", '[');
	for (size_t i = 0; i < docs->n; i++) {
		const struct pk_doc_entry *e = docs->list[i];

		if (!e->held || !e->doc)
			continue;
		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "source", e->source);
		pk_jw_string(&w, "path", e->path);
		pk_jw_string(&w, "why", e->held);
		pk_jw_close(&w, '}');
	}
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	return pk_str_take(&text);
}

char *docs_history_text(const struct pk_docs *docs)
{
	char *text = text_of(docs);

	if (!text)
		abort();
	if (docs->kept && strcmp(docs->kept, text) == 0)
		free(PK_MOVE(text, NULL));
	return text;
}

/*
 * Reads a source. Keys that this release doesn't know are passed over: a newer one may have written
 * them.
 */
static int read_source(struct pk_docs *docs, const struct pk_json_doc *doc, const struct pk_json *v,
		       struct pk_err *err)
{
	const struct pk_json_range any = { 0, INT64_MAX };
	const char *name = NULL;
	int64_t index = 0, generation = 0;
	bool behind = false;
	int r = pk_json_get_string(doc, v, "source", &name, err);

	if (r == 0)
		r = pk_json_get_int(doc, v, "index", any, &index, err);
	if (r == 0)
		r = pk_json_get_int(doc, v, "generation", any, &generation, err);
	if (r == 0)
		r = pk_json_get_bool(doc, v, "behind", &behind, err);
	if (r == 0 && name && *name)
		docs_past(docs, name)->history =
			(struct pk_docs_history){ .index = (uint64_t)index,
						  .generation = (uint64_t)generation,
						  .behind = behind };
	return r;
}

static int read_held(struct pk_docs *docs, const struct pk_json_doc *doc, const struct pk_json *v,
		     struct pk_err *err)
{
	const char *source = NULL, *path = NULL, *why = NULL;
	int r = pk_json_get_string(doc, v, "source", &source, err);

	if (r == 0)
		r = pk_json_get_string(doc, v, "path", &path, err);
	if (r == 0)
		r = pk_json_get_string(doc, v, "why", &why, err);
	for (size_t i = 0; r == 0 && source && path && why && i < docs->n; i++) {
		struct pk_doc_entry *e = docs->list[i];

		if (e->doc && !strcmp(e->source, source) && !strcmp(e->path, path) && !e->held)
			e->held = pk_strdup(why);
	}
	return r;
}

static int read_all(struct pk_docs *docs, const struct pk_json_doc *doc, struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(doc);
	int r = 0;

	if (pk_json_type(root) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, root, false, "expected an object");
	for (const struct pk_json *v = pk_json_first(pk_json_get(root, "sources")); v && r == 0;
	     v = pk_json_next(v))
		r = read_source(docs, doc, v, err);
	for (const struct pk_json *v = pk_json_first(pk_json_get(root, "held")); v && r == 0;
	     v = pk_json_next(v))
		r = read_held(docs, doc, v, err);
	return r;
}

int docs_history_read(struct pk_docs *docs, struct pk_err *err)
{
	own_str path = { 0 };
	own_mem char *text = NULL;
	own_json *doc = NULL;
	size_t len;
	int r;

	docs_history_path(docs->directory, &path);
	if (access(path.text, F_OK) < 0)
		return 0;
	r = pk_fs_read_own(path.text, 64u << 20, &text, &len, err);
	if (r == 0)
		r = pk_json_parse(path.text, text, len, PK_JSON_RELAXED, &doc, err);
	return r < 0 ? r : read_all(docs, doc, err);
}
