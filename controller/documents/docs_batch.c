/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of stored files: made from the documents, written by another thread; see docs.h. */
#include <errno.h>
#include <fcntl.h>
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

struct put {
	char *source, *path, *name, *text;
	char *before; /* the name under which it was stored; NULL: it wasn't */
	size_t len;
	uint64_t hash[2], index;
	bool failed;
	bool left; /* nobody is stored under that name any more */
};

struct pk_docs_batch {
	char *directory;
	const char *origin; /* of the tenants' directories */
	struct put *puts;
	size_t n_puts, room_puts;
	char **stale; /* as pk_docs' own */
	size_t n_stale, room_stale;
	char **doomed, **made;
	size_t n_doomed, n_made;
	char **kept; /* tenants whose directories stay; only where others' go */
	size_t n_kept, room_kept;
	bool forgot, each_due, each, each_failed;
	char *history; /* NULL: as it is */
	bool history_failed, failed;
	uint64_t number; /* of the settle that it brings to the disk */
};

static void first_error(int *r, int got, struct pk_err *err, const struct pk_err *e)
{
	if (got >= 0 || *r < 0)
		return;
	*r = got;
	if (err)
		*err = *e;
}

static void add_put(struct pk_docs_batch *b, struct pk_docs *docs, struct pk_doc_entry *e)
{
	const char *name = e->doc->name;
	struct put put = { .source = pk_strdup(e->source),
			   .path = pk_strdup(e->path),
			   .name = pk_strdup(name),
			   .before = pk_strdup(e->stored),
			   .text = pk_alloc(e->len + 1),
			   .len = e->len,
			   .index = e->text_index };

	memcpy(put.text, e->text, e->len);
	memcpy(put.hash, e->hash, sizeof(put.hash));
	docs_set_stored(docs, e, name);
	b->puts = docs_room_for(b->puts, b->n_puts, &b->room_puts, sizeof(*b->puts));
	b->puts[b->n_puts++] = put;
}

/* Collects stale files, but for a name that is stored again by now. */
static void add_stale(struct pk_docs_batch *b, struct pk_docs *docs)
{
	for (size_t i = 0; i < b->n_puts; i++)
		b->puts[i].left =
			b->puts[i].before &&
			!docs_name_is_taken(docs->stored, b->puts[i].source, b->puts[i].before);
	for (size_t i = 0; i < docs->n_stale; i++) {
		own_mem char *source = pk_strdup(docs->stale[i]);
		char *name = strchr(source, '\n');

		*name++ = '\0';
		if (!docs_name_is_taken(docs->stored, source, name))
			docs_text_add(&b->stale, &b->n_stale, &b->room_stale,
				      pk_strdup(docs->stale[i]));
	}
	docs_texts_free(&docs->stale, &docs->n_stale);
	docs->room_stale = 0;
}

static void add_chores(struct pk_docs_batch *b, struct pk_docs *docs)
{
	b->doomed = PK_MOVE(docs->doomed, NULL);
	b->n_doomed = PK_MOVE(docs->n_doomed, 0);
	b->made = PK_MOVE(docs->made, NULL);
	b->n_made = PK_MOVE(docs->n_made, 0);
	docs->room_doomed = docs->room_made = 0;
	b->each = docs->each;
	b->origin = docs->origin;
	b->each_due = PK_MOVE(docs->each_due, false);
	b->forgot = PK_MOVE(docs->forgot, false);
	for (const char *name = pk_docs_heard_next(docs, NULL); b->forgot && name;
	     name = pk_docs_heard_next(docs, name))
		docs_text_add(&b->kept, &b->n_kept, &b->room_kept, pk_strdup(name));
}

bool pk_docs_has_chores(const struct pk_docs *docs)
{
	return docs->directory &&
	       (docs->n_doomed || docs->n_made || docs->each_due || docs->forgot || docs->n_stale);
}

struct pk_docs_batch *pk_docs_batch_new(struct pk_docs *docs)
{
	struct pk_docs_batch *b;
	bool any = pk_docs_has_chores(docs);

	if (!docs->directory)
		return NULL;
	b = pk_alloc(sizeof(*b));
	b->directory = pk_strdup(docs->directory);
	b->number = docs->number;
	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i]->doc && docs->list[i]->text)
			add_put(b, docs, docs->list[i]);
	add_stale(b, docs);
	add_chores(b, docs);
	b->history = docs_history_text(docs);
	if (any || b->n_puts || b->history)
		return b;
	docs->stored_number = b->number;
	pk_docs_batch_free(b);
	return NULL;
}

static int write_put(const struct pk_docs_batch *b, struct put *p, struct pk_err *err)
{
	const struct pk_stored_doc doc = { .source = p->source,
					   .path = p->path,
					   .name = p->name,
					   .index = p->index,
					   .text = p->text,
					   .len = p->len };
	int r = pk_docstore_put(b->directory, &doc, err);

	p->failed = r < 0;
	return r;
}

static int remove_stale(const struct pk_docs_batch *b, char *source, struct pk_err *err)
{
	char *name = strchr(source, '\n');
	int r;

	*name = '\0';
	r = pk_docstore_remove(b->directory, source, name + 1, err);
	*name = '\n';
	return r;
}

static int write_history(struct pk_docs_batch *b, struct pk_err *err)
{
	own_str path = { 0 };
	int r;

	if (!b->history)
		return 0;
	docs_history_path(b->directory, &path);
	r = pk_fs_mkdirs(b->directory, 0700, err);
	if (r == 0)
		r = pk_fs_write_quick(path.text, b->history, strlen(b->history), 0600, err);
	b->history_failed = r < 0;
	return r;
}

static int write_each(struct pk_docs_batch *b, bool each, struct pk_err *err)
{
	static const char *const origins[] = { PK_ORIGIN_CONSUL, PK_ORIGIN_NOMAD };
	int r = 0;

	for (size_t i = 0; i < PK_ARRAY_LEN(origins) && b->each_due && r == 0; i++) {
		bool has = b->each && strcmp(origins[i], b->origin) == 0;

		if (has == each)
			r = pk_docstore_set_each(b->directory, origins[i], each, err);
	}
	b->each_failed |= r < 0;
	return r;
}

static void unmake(void *arg, const char *tenant_name)
{
	const struct pk_docs_batch *b = arg;

	for (size_t i = 0; i < b->n_kept; i++)
		if (strcmp(b->kept[i], tenant_name) == 0)
			return;
	pk_docstore_unmake(b->directory, b->origin, tenant_name);
}

/* What is done is NULL from then on. */
static int remove_doomed(struct pk_docs_batch *b, size_t i, struct pk_err *err)
{
	const char *file = strchr(b->doomed[i], '\n') + 1;

	if (remove(file) < 0 && errno != ENOENT)
		return pk_fs_fix(err, pk_fail(err, errno, "remove %s", file));
	free(PK_MOVE(b->doomed[i], NULL));
	return 0;
}

/*
 * Writes documents. A tenant's directory is made after them, since it says that all of the tenant's
 * documents are known.
 */
static int write_documents(struct pk_docs_batch *b, struct pk_err *err)
{
	struct pk_err e = { 0 };
	int r = 0;

	for (size_t i = 0; i < b->n_puts; i++)
		first_error(&r, write_put(b, &b->puts[i], &e), err, &e);
	for (size_t i = 0; i < b->n_puts; i++)
		if (b->puts[i].left && !b->puts[i].failed)
			pk_docstore_remove(b->directory, b->puts[i].source, b->puts[i].before,
					   NULL);
	for (size_t i = 0; i < b->n_stale; i++)
		first_error(&r, remove_stale(b, b->stale[i], &e), err, &e);
	for (size_t i = 0; i < b->n_made && r == 0; i++)
		first_error(&r, pk_docstore_make(b->directory, b->origin, b->made[i], &e), err, &e);
	return r;
}

int pk_docs_batch_write(struct pk_docs_batch *b, struct pk_err *err)
{
	struct pk_err e = { 0 };
	int r = 0;

	first_error(&r, write_each(b, true, &e), err, &e);
	for (size_t i = 0; i < b->n_doomed; i++) /* whose name a document may have again */
		first_error(&r, remove_doomed(b, i, &e), err, &e);
	first_error(&r, write_documents(b, &e), err, &e);
	if (b->forgot)
		pk_docstore_tenants(b->directory, b->origin, unmake, b);
	first_error(&r, write_each(b, false, &e), err, &e);
	first_error(&r, write_history(b, &e), err, &e);
	b->failed = r < 0;
	return r;
}

static int sync_history(const struct pk_docs_batch *b, struct pk_err *err)
{
	own_str path = { 0 };
	own_fd int fd = -1;

	if (!b->history || b->history_failed)
		return 0;
	docs_history_path(b->directory, &path);
	fd = open(path.text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 || fsync(fd) < 0 ? pk_fail(err, errno, "sync %s", path.text) : 0;
}

/* Removes the file of a document that went, or was renamed, after it was written. */
static int sync_put(const struct pk_docs_batch *b, const struct put *p, bool last,
		    struct pk_err *err)
{
	int r = p->failed ? 0 : pk_docstore_sync(b->directory, p->source, p->name, err);

	if (r == 0 || r == -ENOENT)
		r = last ? pk_docstore_sync(b->directory, p->source, NULL, err) : 0;
	return r == -ENOENT ? 0 : r;
}

int pk_docs_batch_sync(const struct pk_docs_batch *b, struct pk_err *err)
{
	struct pk_err e = { 0 };
	int r = 0;

	for (size_t i = 0; i < b->n_puts; i++) {
		bool last =
			i + 1 == b->n_puts || strcmp(b->puts[i].source, b->puts[i + 1].source) != 0;

		first_error(&r, sync_put(b, &b->puts[i], last, &e), err, &e);
	}
	first_error(&r, sync_history(b, &e), err, &e);
	return r;
}

/* Keeps an entry's old file as its stored one; it goes with the next batch, or with the entry. */
static void put_failed(struct pk_docs *docs, struct pk_doc_entry *e, const struct put *p)
{
	if (e && e->stored && strcmp(e->stored, p->name) == 0)
		docs_set_stored(docs, e, p->before);
	else if (p->before && strcmp(p->before, p->name) != 0)
		docs_stale(docs, p->source, p->before);
}

static void told_of_put(struct pk_docs *docs, const struct put *p)
{
	struct pk_doc_entry *e = docs_find(docs, p->source, p->path);

	if (p->failed)
		put_failed(docs, e, p);
	else if (e && e->stored && memcmp(e->hash, p->hash, sizeof(p->hash)) == 0)
		free(PK_MOVE(e->text, NULL));
}

/*
 * All are done again: what is done already is no error. A file that could not be removed is lost
 * again, since a document of its name may have been written over it meanwhile.
 */
static void chores_failed(struct pk_docs *docs, const struct pk_docs_batch *b)
{
	for (size_t i = 0; i < b->n_doomed; i++) {
		char *file = b->doomed[i] ? strchr(b->doomed[i], '\n') : NULL;

		if (file) {
			*file = '\0';
			docs_lost_add(docs, b->doomed[i], file + 1, true);
		}
	}
	docs->forgot |= b->forgot;
	for (size_t i = 0; i < b->n_stale; i++)
		docs_text_add(&docs->stale, &docs->n_stale, &docs->room_stale,
			      pk_strdup(b->stale[i]));
	for (size_t i = 0; i < b->n_made; i++)
		docs_text_add(&docs->made, &docs->n_made, &docs->room_made, pk_strdup(b->made[i]));
}

bool pk_docs_is_stored(const struct pk_doc_entry *e)
{
	return e->doc && !e->text;
}

bool pk_docs_gone_is_stored(const struct pk_docs *docs, const struct pk_doc_gone *gone)
{
	return !docs->directory || gone->number <= docs->stored_number;
}

void pk_docs_stored(struct pk_docs *docs, const struct pk_docs_batch *b)
{
	for (size_t i = 0; i < b->n_puts; i++)
		told_of_put(docs, &b->puts[i]);
	docs->each_due |= b->each_failed;
	if (b->failed)
		chores_failed(docs, b);
	else
		docs->stored_number = b->number;
	if (!b->history || b->history_failed)
		return;
	free(docs->kept);
	docs->kept = pk_strdup(b->history);
}

void pk_docs_unsynced(struct pk_docs *docs, struct pk_docs_batch *b)
{
	for (size_t i = 0; i < b->n_puts; i++) {
		struct put *p = &b->puts[i];
		struct pk_doc_entry *e = docs_find(docs, p->source, p->path);

		if (e && !p->failed && pk_docs_is_stored(e) &&
		    memcmp(e->hash, p->hash, sizeof(p->hash)) == 0) {
			e->text = PK_MOVE(p->text, NULL);
			e->len = p->len;
		}
	}
	if (b->history && docs->kept && strcmp(docs->kept, b->history) == 0)
		free(PK_MOVE(docs->kept, NULL));
}

void pk_docs_batch_free(struct pk_docs_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_puts; i++) {
		free(b->puts[i].source);
		free(b->puts[i].path);
		free(b->puts[i].name);
		free(b->puts[i].text);
		free(b->puts[i].before);
	}
	free(b->puts);
	docs_texts_free(&b->stale, &b->n_stale);
	docs_texts_free(&b->doomed, &b->n_doomed);
	docs_texts_free(&b->made, &b->n_made);
	docs_texts_free(&b->kept, &b->n_kept);
	free(b->history);
	free(b->directory);
	free(b);
}
