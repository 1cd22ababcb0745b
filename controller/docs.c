/* SPDX-License-Identifier: GPL-2.0-only */
#include "docs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "docstore.h"
#include "fs.h"
#include "own.h"
#include "str.h"

struct lost {
	char *source, *file;
	bool heard; /* its source was looked at whole since */
};

struct pk_docs {
	char *directory;	    /* NULL: nothing is kept on disk */
	struct pk_doc_entry **list; /* by source, path */
	size_t n, room;
	struct pk_document **force; /* what settle handed out */
	struct pk_doc_entry *
		*named; /* those with a document, by source, name, path at the last settle */
	size_t n_named, room_named;
	char **stale; /* "source\nname" of stored files to remove */
	size_t n_stale, room_stale;
	struct pk_document **retired;
	size_t n_retired, room_retired;
	struct lost *lost;
	size_t n_lost, room_lost;
};

struct pk_docs *pk_docs_new(const char *directory)
{
	struct pk_docs *docs = pk_alloc(sizeof(*docs));

	docs->directory = directory ? strdup(directory) : NULL;
	return docs;
}

static void entry_free(struct pk_doc_entry *e)
{
	free(e->source);
	free(e->path);
	free(e->namespace);
	free(e->refusal);
	free(e->namesake);
	free(e->text);
	free(e->stored);
	pk_doc_notes_done(&e->notes);
	pk_document_free(e->doc);
	free(e);
}

void pk_docs_retire(struct pk_docs *docs)
{
	for (size_t i = 0; i < docs->n_retired; i++)
		pk_document_free(docs->retired[i]);
	docs->n_retired = 0;
}

static void lost_drop(struct pk_docs *docs, size_t at)
{
	free(docs->lost[at].source);
	free(docs->lost[at].file);
	docs->lost[at] = docs->lost[--docs->n_lost];
}

void pk_docs_free(struct pk_docs *docs)
{
	if (!docs)
		return;
	for (size_t i = 0; i < docs->n; i++)
		entry_free(docs->list[i]);
	pk_docs_retire(docs);
	free(docs->directory);
	for (size_t i = 0; i < docs->n_stale; i++)
		free(docs->stale[i]);
	free(docs->stale);
	while (docs->n_lost)
		lost_drop(docs, docs->n_lost - 1);
	free(docs->lost);
	free(docs->list);
	free(docs->force);
	free(docs->named);
	free(docs->retired);
	free(docs);
}

static char *copy(const char *text)
{
	char *p = text ? strdup(text) : NULL;

	if (text && !p)
		abort();
	return p;
}

/* Makes room for one more element of any array. */
static void *room_for(void *list, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return list;
	*room = *room ? *room * 2 : 16;
	list = realloc(list, *room * size);
	if (!list)
		abort();
	return list;
}

static int order(const struct pk_doc_entry *e, const char *source, const char *path)
{
	int r = strcmp(e->source, source);

	return r ? r : strcmp(e->path, path);
}

/* Index of the place, or where it belongs. */
static size_t find(const struct pk_docs *docs, const char *source, const char *path, bool *found)
{
	size_t lo = 0, hi = docs->n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = order(docs->list[mid], source, path);

		if (r == 0)
			*found = true;
		if (r >= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static struct pk_doc_entry *entry_of(struct pk_docs *docs, const struct pk_doc_place *place)
{
	struct pk_doc_entry *e;
	bool found;
	size_t at = find(docs, place->source, place->path, &found);

	if (found)
		return docs->list[at];
	docs->list = room_for(docs->list, docs->n, &docs->room, sizeof(*docs->list));
	memmove(docs->list + at + 1, docs->list + at, (docs->n - at) * sizeof(*docs->list));
	docs->n++;
	e = pk_alloc(sizeof(*e));
	e->source = copy(place->source);
	e->path = copy(place->path);
	e->namespace = copy(place->namespace);
	docs->list[at] = e;
	return e;
}

static void retire(struct pk_docs *docs, struct pk_document *doc)
{
	if (!doc)
		return;
	docs->retired = room_for(docs->retired, docs->n_retired, &docs->room_retired,
				 sizeof(struct pk_document *));
	docs->retired[docs->n_retired++] = doc;
}

static struct pk_doc_source source_of(const struct pk_doc_place *place)
{
	return (struct pk_doc_source){ .source = place->source,
				       .path = place->path,
				       .namespace = place->namespace };
}

static void refuse(struct pk_doc_entry *e, const char *why)
{
	e->told &= e->refused && why && e->refusal && strcmp(why, e->refusal) == 0;
	free(e->refusal);
	e->refusal = copy(why);
	e->refused = true;
}

/* Until it is stored; without a store for as long as it is in force. */
static void keep_text(struct pk_doc_entry *e, const char *text, size_t len)
{
	free(e->text);
	e->text = malloc(len + 1);
	if (!e->text)
		abort();
	memcpy(e->text, text, len);
	e->text[len] = '\0';
	e->len = len;
}

static void take(struct pk_docs *docs, struct pk_doc_entry *e, struct pk_document *doc,
		 const uint64_t hash[2])
{
	retire(docs, e->doc);
	e->doc = doc;
	memcpy(e->hash, hash, sizeof(e->hash));
	free(PK_MOVE(e->refusal, NULL));
	free(PK_MOVE(e->namesake, NULL));
	e->refused = false;
	clock_gettime(CLOCK_REALTIME, &e->since);
}

/* Does another document in force still have the name that this one was refused for? */
static bool is_taken(const struct pk_docs *docs, const struct pk_doc_entry *e)
{
	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i]->doc && strcmp(docs->list[i]->source, e->source) == 0 &&
		    strcmp(docs->list[i]->doc->name, e->namesake) == 0)
			return true;
	return false;
}

/* The same text again: does it still wait for what it waited for? */
static bool still_refused(const struct pk_docs *docs, const struct pk_doc_entry *e)
{
	return !e->namesake || is_taken(docs, e);
}

bool pk_docs_offer(struct pk_docs *docs, const struct pk_doc_place *place, const char *text,
		   size_t len)
{
	struct pk_doc_entry *e = entry_of(docs, place);
	struct pk_doc_source src = source_of(place);
	own_document *doc = NULL;
	bool first = !e->confirmed;
	uint64_t hash[2];

	pk_hash128(text, len, hash);
	if (!first && memcmp(hash, e->seen, sizeof(hash)) == 0 && still_refused(docs, e))
		return false;
	memcpy(e->seen, hash, sizeof(hash));
	e->confirmed = true;
	e->told = false;
	free(PK_MOVE(e->namesake, NULL));
	pk_doc_notes_done(&e->notes);
	memset(&e->notes, 0, sizeof(e->notes));
	if (pk_document_parse(&src, text, len, &doc, &e->notes) < 0) {
		refuse(e, NULL);
		return true;
	}
	if (doc->uses_fqdn) {
		refuse(e,
		       "toFQDNs: this release does not learn names from DNS answers yet, and "
		       "the document would be half obeyed; fix: use toCIDR, or leave the rule out");
		return true;
	}
	if (e->doc && memcmp(hash, e->hash, sizeof(hash)) == 0) {
		e->refused = false;
		free(PK_MOVE(e->refusal, NULL));
		return true;
	}
	take(docs, e, PK_MOVE(doc, NULL), hash);
	keep_text(e, text, len);
	return true;
}

bool pk_docs_unreadable(struct pk_docs *docs, const struct pk_doc_place *place, const char *why)
{
	struct pk_doc_entry *e = entry_of(docs, place);

	if (e->refused && e->refusal && strcmp(e->refusal, why) == 0)
		return false;
	e->confirmed = true;
	memset(e->seen, 0, sizeof(e->seen));
	free(PK_MOVE(e->namesake, NULL));
	refuse(e, why);
	return true;
}

/* The stored file goes at the next pk_docs_store. */
static void stale(struct pk_docs *docs, const char *source, const char *name)
{
	own_str both = { 0 };

	pk_str_addf(&both, "%s\n%s", source, name);
	docs->stale = room_for(docs->stale, docs->n_stale, &docs->room_stale, sizeof(char *));
	docs->stale[docs->n_stale++] = pk_str_take(&both);
}

static void unstore(struct pk_docs *docs, struct pk_doc_entry *e)
{
	if (e->stored)
		stale(docs, e->source, e->stored);
	free(PK_MOVE(e->stored, NULL));
}

static void unlist(struct pk_docs *docs, const struct pk_doc_entry *e)
{
	size_t n = 0;

	for (size_t i = 0; e->listed && i < docs->n_named; i++)
		if (docs->named[i] != e)
			docs->named[n++] = docs->named[i];
	docs->n_named -= e->listed;
}

static void drop(struct pk_docs *docs, size_t at)
{
	struct pk_doc_entry *e = docs->list[at];

	unstore(docs, e);
	retire(docs, PK_MOVE(e->doc, NULL));
	unlist(docs, e);
	entry_free(e);
	docs->n--;
	memmove(docs->list + at, docs->list + at + 1, (docs->n - at) * sizeof(*docs->list));
}

bool pk_docs_gone(struct pk_docs *docs, const char *source, const char *path)
{
	bool found;
	size_t at = find(docs, source, path, &found);

	if (found)
		drop(docs, at);
	return found;
}

bool pk_docs_prune(struct pk_docs *docs, const char *prefix,
		   bool (*keep)(void *arg, const char *path), void *arg)
{
	bool changed = false;

	for (size_t i = 0; i < docs->n_lost; i++)
		if (strncmp(docs->lost[i].source, prefix, strlen(prefix)) == 0)
			docs->lost[i].heard = true;
	for (size_t i = docs->n; i-- > 0;) {
		struct pk_doc_entry *e = docs->list[i];

		if (strncmp(e->source, prefix, strlen(prefix)) != 0 || keep(arg, e->path))
			continue;
		drop(docs, i);
		changed = true;
	}
	return changed;
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
	e->namesake = copy(e->doc->name);
	retire(docs, PK_MOVE(e->doc, NULL));
	unstore(docs, e);
	memset(e->hash, 0, sizeof(e->hash));
	refuse(e, why);
}

/* Most settles find the order of the last one: a sort of what is sorted costs more than a look. */
static void sort_named(struct pk_docs *docs)
{
	size_t n = 0;

	for (size_t i = 0; i < docs->n_named; i++)
		if (docs->named[i]->doc)
			docs->named[n++] = docs->named[i];
		else
			docs->named[i]->listed = false;
	docs->n_named = n;
	for (size_t i = 0; i < docs->n; i++) {
		struct pk_doc_entry *e = docs->list[i];

		if (!e->doc || e->listed)
			continue;
		e->listed = true;
		docs->named = room_for(docs->named, docs->n_named, &docs->room_named,
				       sizeof(*docs->named));
		docs->named[docs->n_named++] = e;
	}
	for (size_t i = 1; i < docs->n_named; i++)
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
	sort_named(docs);
	for (size_t i = 0; i < docs->n_named; i++) {
		if (is_namesake(first, docs->named[i])) {
			refuse_namesake(docs, first, docs->named[i]);
			continue;
		}
		first = docs->named[i];
		docs->force[kept++] = first->doc;
	}
	*list = docs->force;
	return kept;
}

/* An unreadable one has no text that was seen. */
static bool waits(const struct pk_doc_entry *e)
{
	static const uint64_t none[2];

	return e->refused && (e->namesake || !memcmp(e->seen, none, sizeof(none)));
}

bool pk_docs_waits(const struct pk_docs *docs, const char *source, const char *path)
{
	bool found;
	size_t at = find(docs, source, path, &found);

	return found && waits(docs->list[at]);
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
	for (size_t i = 0; i < docs->n; i++) {
		struct pk_doc_entry *e = docs->list[i];

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
	return i < docs->n ? docs->list[i] : NULL;
}

const struct pk_doc_entry *pk_docs_of(const struct pk_docs *docs, const struct pk_document *doc)
{
	for (size_t i = 0; doc && i < docs->n; i++)
		if (docs->list[i]->doc == doc)
			return docs->list[i];
	return NULL;
}

static void lost_add(struct pk_docs *docs, const struct pk_stored_doc *s)
{
	docs->lost = room_for(docs->lost, docs->n_lost, &docs->room_lost, sizeof(*docs->lost));
	docs->lost[docs->n_lost++] =
		(struct lost){ .source = copy(s->source), .file = copy(s->file) };
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

/* Is a document there that has no version in force? It may be the one. */
static bool has_gap(const struct pk_docs *docs, const char *source)
{
	for (size_t i = 0; i < docs->n; i++)
		if (!docs->list[i]->doc &&
		    strncmp(docs->list[i]->source, source, strlen(source)) == 0)
			return true;
	return false;
}

const char *pk_docs_lost(struct pk_docs *docs)
{
	for (size_t i = docs->n_lost; i-- > 0;) {
		const struct lost *lost = &docs->lost[i];

		if (is_back(docs, lost)) {
			lost_drop(docs, i);
		} else if (access(lost->file, F_OK) < 0 && errno == ENOENT) {
			lost_drop(docs, i);
		} else if (lost->heard && !has_gap(docs, lost->source)) {
			/* Nobody's any more; ADD would start in quarantine because of it. */
			remove(lost->file);
			lost_drop(docs, i);
		}
	}
	return docs->n_lost ? docs->lost[0].file : NULL;
}

/* A stored document is in force until its source speaks. */
static int on_stored(void *arg, const struct pk_stored_doc *s, struct pk_err *err)
{
	struct pk_docs *docs = arg;
	const struct pk_doc_place place = { s->source, s->path, s->namespace };
	struct pk_doc_source src = source_of(&place);
	struct pk_doc_entry *e = entry_of(docs, &place);
	own_document *doc = NULL;

	(void)err;
	src.name = s->name;
	/* A second file of one place: its name changed and the old file's removal was cut short. */
	if (e->doc && strcmp(e->stored, s->name) != 0)
		stale(docs, s->source, s->name);
	if (e->doc)
		return 0;
	if (pk_document_parse(&src, s->text, s->len, &doc, &e->notes) < 0) {
		refuse(e, "the stored version cannot be read by this release");
		lost_add(docs, s);
		return 0;
	}
	pk_hash128(s->text, s->len, e->hash);
	e->doc = PK_MOVE(doc, NULL);
	e->stored = copy(s->name);
	e->since = s->time;
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

	lost_add(both->docs, doc);
	both->fn(both->arg, err);
}

void pk_docs_load(struct pk_docs *docs, void (*fn)(void *arg, const struct pk_err *err), void *arg)
{
	struct both both = { docs, fn, arg };
	struct pk_err err = { 0 };

	if (docs->directory &&
	    pk_docstore_walk(docs->directory, on_stored_both, on_bad, &both, &err) < 0)
		fn(arg, &err);
}

static void first_error(int *r, int got, struct pk_err *err, const struct pk_err *e)
{
	if (got >= 0 || *r < 0)
		return;
	*r = got;
	if (err)
		*err = *e;
}

static int store_entry(struct pk_docs *docs, struct pk_doc_entry *e, struct pk_err *err)
{
	struct pk_stored_doc doc = { .source = e->source, .path = e->path };
	int r;

	if (!e->doc || !e->text)
		return 0;
	doc.name = e->doc->name;
	doc.text = e->text;
	doc.len = e->len;
	r = pk_docstore_put(docs->directory, &doc, err);
	if (r < 0)
		return r;
	if (e->stored && strcmp(e->stored, doc.name) != 0)
		pk_docstore_remove(docs->directory, e->source, e->stored, NULL);
	free(e->stored);
	e->stored = copy(doc.name);
	e->unsynced = true;
	free(PK_MOVE(e->text, NULL));
	return 0;
}

/* A name that is stored again by now isn't stale. */
static bool is_stored(const struct pk_docs *docs, const char *source, const char *name)
{
	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i]->stored && strcmp(docs->list[i]->source, source) == 0 &&
		    strcmp(docs->list[i]->stored, name) == 0)
			return true;
	return false;
}

int pk_docs_store(struct pk_docs *docs, struct pk_err *err)
{
	int r = 0;

	if (!docs->directory)
		return 0;
	for (size_t i = 0; i < docs->n; i++) {
		struct pk_err e = { 0 };

		first_error(&r, store_entry(docs, docs->list[i], &e), err, &e);
	}
	for (size_t i = 0; i < docs->n_stale; i++) {
		own_mem char *source = docs->stale[i];
		char *name = strchr(source, '\n');
		struct pk_err e = { 0 };

		*name++ = '\0';
		if (!is_stored(docs, source, name))
			first_error(&r, pk_docstore_remove(docs->directory, source, name, &e), err,
				    &e);
	}
	docs->n_stale = 0;
	return r;
}

/* The entries of one source from *i on; true: all of them are done. */
static bool sync_source(struct pk_docs *docs, size_t *i, uint64_t until_ns, int *r,
			struct pk_err *err)
{
	const char *source = docs->list[*i]->source;
	struct pk_err e = { 0 };
	bool any = false, late = false;

	for (; *i < docs->n && strcmp(docs->list[*i]->source, source) == 0 && !late; ++*i) {
		struct pk_doc_entry *at = docs->list[*i];

		if (!at->unsynced)
			continue;
		at->unsynced = false;
		any = true;
		if (at->stored)
			first_error(r, pk_docstore_sync(docs->directory, source, at->stored, &e),
				    err, &e);
		late = pk_now_ns() > until_ns;
	}
	if (any)
		first_error(r, pk_docstore_sync(docs->directory, source, NULL, &e), err, &e);
	return !late;
}

bool pk_docs_sync(struct pk_docs *docs, uint64_t until_ns, int *r, struct pk_err *err)
{
	*r = 0;
	for (size_t i = 0; docs->directory && i < docs->n;)
		if (!sync_source(docs, &i, until_ns, r, err))
			return false;
	return true;
}

int pk_docs_text(const struct pk_docs *docs, const struct pk_doc_entry *e, char **text, size_t *len,
		 struct pk_err *err)
{
	if (!e->text && e->stored)
		return pk_docstore_text(docs->directory, e->source, e->stored, text, len, err);
	*text = copy(e->text ?: "");
	*len = e->text ? e->len : 0;
	return 0;
}
