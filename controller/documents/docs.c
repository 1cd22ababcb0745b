/* SPDX-License-Identifier: Apache-2.0 */
#include "docs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docs_private.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

struct pk_docs *pk_docs_new(const char *directory)
{
	struct pk_docs *docs = pk_alloc(sizeof(*docs));

	docs->directory = directory ? strdup(directory) : NULL;
	docs->origin = PK_ORIGIN_CONSUL;
	return docs;
}

static void entry_free(struct pk_doc_entry *e)
{
	free(e->source);
	free(e->path);
	free(e->tenant_name);
	free(e->refusal);
	free(e->namesake);
	free(e->held);
	free(e->text);
	free(e->stored);
	pk_doc_notes_done(&e->notes);
	pk_document_free(e->doc);
	free(e);
}

static void free_dropped(struct pk_docs *docs)
{
	while (docs->n_dropped)
		entry_free(docs->dropped[--docs->n_dropped]);
}

void pk_docs_retire(struct pk_docs *docs)
{
	for (size_t i = 0; i < docs->n_retired; i++)
		pk_document_free(docs->retired[i]);
	docs->n_retired = 0;
}

void docs_lost_drop(struct pk_docs *docs, size_t at)
{
	free(docs->lost[at].source);
	free(docs->lost[at].file);
	docs->lost[at] = docs->lost[--docs->n_lost];
}

void pk_docs_free(struct pk_docs *docs)
{
	if (!docs)
		return;
	for (size_t i = 0; i < docs->n; i++) {
		docs_origin_drop(docs, docs->list[i]);
		entry_free(docs->list[i]);
	}
	free_dropped(docs);
	free(docs->dropped);
	docs_names_free(&docs->in_force);
	docs_names_free(&docs->stored);
	docs_names_free(&docs->rules);
	pk_docs_retire(docs);
	docs_heard_free(docs);
	free(docs->directory);
	docs_texts_free(&docs->stale, &docs->n_stale);
	docs_texts_free(&docs->made, &docs->n_made);
	docs_texts_free(&docs->doomed, &docs->n_doomed);
	while (docs->n_lost)
		docs_lost_drop(docs, docs->n_lost - 1);
	free(docs->lost);
	for (size_t i = 0; i < docs->n_pasts; i++) {
		free(docs->pasts[i]->source);
		free(docs->pasts[i]);
	}
	free(docs->pasts);
	docs_changes_done(docs);
	while (docs->n_gone)
		pk_docs_gone_drop(docs, 0);
	free(docs->kept);
	free(docs->list);
	free(docs->force);
	free(docs->named);
	free(docs->retired);
	free(docs);
}

const char *docs_name_of(const struct pk_doc_entry *e)
{
	if (e->doc)
		return e->doc->name;
	return e->stored ? e->stored : "";
}

/* Makes room for one more element of any array. */
void *docs_room_for(void *list, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return list;
	*room = *room ? *room * 2 : 16;
	list = realloc(list, *room * size);
	if (!list)
		abort();
	return list;
}

void docs_text_add(char ***list, size_t *n, size_t *room, char *text)
{
	*list = docs_room_for(*list, *n, room, sizeof(**list));
	(*list)[(*n)++] = text;
}

void docs_texts_free(char ***list, size_t *n)
{
	while (*n)
		free((*list)[--*n]);
	free(PK_MOVE(*list, NULL));
}

struct pk_doc_entry *docs_entry_of(struct pk_docs *docs, const struct pk_doc_origin *origin)
{
	struct pk_doc_entry *e = docs_find(docs, origin->source, origin->path);

	docs->told_to = 0;
	if (e)
		return e;
	e = pk_alloc(sizeof(*e));
	e->source = pk_strdup(origin->source);
	e->path = pk_strdup(origin->path);
	e->tenant_name = pk_strdup(origin->tenant_name);
	docs->list = docs_room_for(docs->list, docs->n, &docs->room, sizeof(*docs->list));
	docs->list[docs->n++] = e;
	docs->unsorted = true;
	docs_origin_add(docs, e);
	return e;
}

static void retire(struct pk_docs *docs, struct pk_document *doc)
{
	docs->retired = docs_room_for(docs->retired, docs->n_retired, &docs->room_retired,
				      sizeof(struct pk_document *));
	docs->retired[docs->n_retired++] = doc;
}

void docs_set_document(struct pk_docs *docs, struct pk_doc_entry *e, struct pk_document *doc)
{
	if (doc) {
		docs_name_take(&docs->in_force, e->source, doc->name);
		docs_rules_add(&docs->rules, e->source, doc);
	}
	if (e->doc) {
		docs_rules_drop(&docs->rules, e->source, e->doc);
		docs_name_leave(&docs->in_force, e->source, e->doc->name);
		retire(docs, e->doc);
	}
	e->doc = doc;
}

void docs_set_stored(struct pk_docs *docs, struct pk_doc_entry *e, const char *name)
{
	char *copy = pk_strdup(name);

	if (copy)
		docs_name_take(&docs->stored, e->source, copy);
	if (e->stored)
		docs_name_leave(&docs->stored, e->source, e->stored);
	free(e->stored);
	e->stored = copy;
}

/* Has the stored file deleted with the next batch. */
void docs_stale(struct pk_docs *docs, const char *source, const char *name)
{
	own_str both = { 0 };

	pk_str_addf(&both, "%s\n%s", source, name);
	docs_text_add(&docs->stale, &docs->n_stale, &docs->room_stale, pk_str_take(&both));
}

static void unstore(struct pk_docs *docs, struct pk_doc_entry *e)
{
	if (e->stored)
		docs_stale(docs, e->source, e->stored);
	docs_set_stored(docs, e, NULL);
}

void docs_drop(struct pk_docs *docs, size_t at, const char *why)
{
	struct pk_doc_entry *e = docs->list[at];

	if (e->has_noted)
		docs_note(docs, e, "went", why);
	unstore(docs, e);
	docs_set_document(docs, e, NULL);
	docs_origin_drop(docs, e);
	docs->list[at] = docs->list[--docs->n];
	docs->unsorted = true;
	docs->told_to = 0;
	if (!e->listed) {
		entry_free(e);
		return;
	}
	docs->dropped = docs_room_for(docs->dropped, docs->n_dropped, &docs->room_dropped,
				      sizeof(*docs->dropped));
	docs->dropped[docs->n_dropped++] = e;
}

static int by_name(const void *a, const void *b)
{
	const struct pk_doc_entry *x = *(struct pk_doc_entry *const *)a;
	const struct pk_doc_entry *y = *(struct pk_doc_entry *const *)b;
	int r = strcmp(x->source, y->source);

	if (r == 0)
		r = strcmp(x->doc->name, y->doc->name);
	return r ? r : strcmp(x->path, y->path);
}

static bool is_namesake(const struct pk_doc_entry *first, const struct pk_doc_entry *e)
{
	return first && strcmp(first->source, e->source) == 0 &&
	       strcmp(first->doc->name, e->doc->name) == 0;
}

static void refuse_namesake(struct pk_docs *docs, const struct pk_doc_entry *first,
			    struct pk_doc_entry *e)
{
	char why[PK_ADDR_TEXT + 512];

	snprintf(why, sizeof(why),
		 "the name \"%.120s\" is that of %.250s, which comes first; "
		 "fix: give it a \"name\" of its own",
		 e->doc->name, first->path);
	free(e->namesake);
	e->namesake = pk_strdup(e->doc->name);
	docs_set_document(docs, e, NULL);
	unstore(docs, e);
	memset(e->hash, 0, sizeof(e->hash));
	docs_refuse(e, why);
}

/*
 * Sorts documents by name, unless they are sorted: most settles find them so, and a look is
 * cheaper.
 */
static void sort_named(struct pk_docs *docs)
{
	size_t n = 0;

	for (size_t i = 0; i < docs->n_named; i++)
		if (docs->named[i]->doc)
			docs->named[n++] = docs->named[i];
		else
			docs->named[i]->listed = false;
	docs->n_named = n;
	free_dropped(docs);
	for (size_t i = 0; i < docs->n; i++) {
		struct pk_doc_entry *e = docs->list[i];

		if (!e->doc || e->listed)
			continue;
		e->listed = docs->reorder = true;
		docs->named = docs_room_for(docs->named, docs->n_named, &docs->room_named,
					    sizeof(*docs->named));
		docs->named[docs->n_named++] = e;
	}
	for (size_t i = 1; docs->reorder && i < docs->n_named; i++)
		if (by_name(&docs->named[i - 1], &docs->named[i]) > 0) {
			qsort(docs->named, docs->n_named, sizeof(*docs->named), by_name);
			return;
		}
}

size_t pk_docs_settle(struct pk_docs *docs, struct pk_document ***list)
{
	const struct pk_doc_entry *first = NULL;
	size_t kept = 0;

	free(docs->force);
	docs->force = calloc(docs->n + 1, sizeof(struct pk_document *));
	if (!docs->force)
		abort();
	docs_sort(docs);
	sort_named(docs);
	docs->told_to = 0;
	for (size_t i = 0; i < docs->n_named; i++) {
		if (docs->reorder && is_namesake(first, docs->named[i])) {
			refuse_namesake(docs, first, docs->named[i]);
			continue;
		}
		first = docs->named[i];
		docs->force[kept++] = first->doc;
	}
	docs->reorder = false;
	docs_note_all(docs);
	docs->number++;
	*list = docs->force;
	return kept;
}

/*
 * Returns whether a refused entry may be worth another offer. An unreadable one has no text that
 * was seen.
 */
static bool waits(const struct pk_doc_entry *e)
{
	static const uint64_t none[2];

	return e->refused && (e->over || e->namesake || !memcmp(e->seen, none, sizeof(none)));
}

bool pk_docs_waits(const struct pk_docs *docs, const char *source, const char *path)
{
	const struct pk_doc_entry *e = docs_find(docs, source, path);

	return e && waits(e);
}

bool pk_docs_any_waits(const struct pk_docs *docs)
{
	for (size_t i = 0; i < docs->n; i++)
		if (waits(docs->list[i]))
			return true;
	return false;
}

const struct pk_doc_entry *pk_docs_untold(struct pk_docs *docs)
{
	docs_sort(docs);
	while (docs->told_to < docs->n) {
		struct pk_doc_entry *e = docs->list[docs->told_to++];

		if (!e->refused || e->told)
			continue;
		e->told = true;
		return e;
	}
	return NULL;
}

size_t pk_docs_count(const struct pk_docs *docs)
{
	return docs->n;
}

const struct pk_doc_entry *pk_docs_at(const struct pk_docs *docs, size_t i)
{
	docs_sort((struct pk_docs *)docs); /* what it says stays as it is */
	return i < docs->n ? docs->list[i] : NULL;
}
