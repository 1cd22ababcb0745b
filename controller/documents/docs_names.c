/* SPDX-License-Identifier: Apache-2.0 */
/* Finds origins and names of documents without a walk over all of them: see docs_private.h. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "docs_private.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

struct name_use {
	char *key;
	size_t n;
	UT_hash_handle hh;
};

struct doc_at {
	char *key;
	struct pk_doc_entry *entry;
	UT_hash_handle hh;
};

static char *key_of(const char *source, const char *name)
{
	own_str key = { 0 };
	char *text;

	pk_str_addf(&key, "%s\n%s", source, name);
	text = pk_str_take(&key);
	if (!text)
		abort();
	return text;
}

static struct name_use *find_name(struct name_use *names, const char *source, const char *name)
{
	own_mem char *key = key_of(source, name);
	struct name_use *use;

	HASH_FIND_STR(names, key, use);
	return use;
}

void docs_name_take(struct name_use **names, const char *source, const char *name)
{
	struct name_use *use = find_name(*names, source, name);

	if (!use) {
		use = pk_alloc(sizeof(*use));
		use->key = key_of(source, name);
		HASH_ADD_KEYPTR(hh, *names, use->key, strlen(use->key), use);
	}
	use->n++;
}

void docs_name_leave(struct name_use **names, const char *source, const char *name)
{
	struct name_use *use = find_name(*names, source, name);

	if (!use || --use->n)
		return;
	HASH_DEL(*names, use);
	free(use->key);
	free(use);
}

bool docs_name_is_taken(struct name_use *names, const char *source, const char *name)
{
	return find_name(names, source, name) != NULL;
}

size_t docs_rules_of(struct name_use *rules, const char *source)
{
	struct name_use *use = find_name(rules, source, "");

	return use ? use->n : 0;
}

void docs_rules_add(struct name_use **rules, const char *source, const struct pk_document *doc)
{
	if (!pk_source_namespace(source))
		return;
	for (size_t i = 0; i < doc->n_rules; i++)
		docs_name_take(rules, source, "");
}

void docs_rules_drop(struct name_use **rules, const char *source, const struct pk_document *doc)
{
	if (!pk_source_namespace(source))
		return;
	for (size_t i = 0; i < doc->n_rules; i++)
		docs_name_leave(rules, source, "");
}

void docs_names_free(struct name_use **names)
{
	struct name_use *use, *next;

	HASH_ITER (hh, *names, use, next) {
		HASH_DEL(*names, use);
		free(use->key);
		free(use);
	}
}

static struct doc_at *find_origin(const struct pk_docs *docs, const char *source, const char *path)
{
	own_mem char *key = key_of(source, path);
	struct doc_at *at;

	HASH_FIND_STR(docs->origins, key, at);
	return at;
}

struct pk_doc_entry *docs_find(const struct pk_docs *docs, const char *source, const char *path)
{
	struct doc_at *at = find_origin(docs, source, path);

	return at ? at->entry : NULL;
}

void docs_origin_add(struct pk_docs *docs, struct pk_doc_entry *e)
{
	struct doc_at *at = pk_alloc(sizeof(*at));

	at->key = key_of(e->source, e->path);
	at->entry = e;
	HASH_ADD_KEYPTR(hh, docs->origins, at->key, strlen(at->key), at);
}

void docs_origin_drop(struct pk_docs *docs, const struct pk_doc_entry *e)
{
	struct doc_at *at = find_origin(docs, e->source, e->path);

	HASH_DEL(docs->origins, at);
	free(at->key);
	free(at);
}

static int by_origin(const void *a, const void *b)
{
	const struct pk_doc_entry *x = *(struct pk_doc_entry *const *)a;
	const struct pk_doc_entry *y = *(struct pk_doc_entry *const *)b;
	int r = strcmp(x->source, y->source);

	return r ? r : strcmp(x->path, y->path);
}

void docs_sort(struct pk_docs *docs)
{
	if (docs->unsorted && docs->n)
		qsort(docs->list, docs->n, sizeof(*docs->list), by_origin);
	docs->unsorted = false;
}
