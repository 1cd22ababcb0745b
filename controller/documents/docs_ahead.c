/* SPDX-License-Identifier: Apache-2.0 */
/* Reads texts ahead of their offers: see docs.h. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "docs_private.h"
#include "docsource.h"
#include "own.h"

#define STEPS_A_TEXT 16	  /* a text that is read, beside one that is looked at */
#define HASHED	     8	  /* times as many bytes are compared in a step as are read */
#define STEP_BYTES   1024 /* and one more for so many bytes of it */

struct ahead {
	char *path;
	uint64_t hash[2];
	struct pk_document *doc;
	struct pk_doc_notes notes;
	int r;
	UT_hash_handle hh; /* by path */
};

struct pk_docs_ahead {
	struct ahead *all;
};

static struct ahead *find(const struct pk_docs_ahead *ahead, const char *path)
{
	struct ahead *a = NULL;

	if (ahead)
		HASH_FIND_STR(ahead->all, path, a);
	return a;
}

static void drop(struct pk_docs_ahead *ahead, struct ahead *a)
{
	HASH_DEL(ahead->all, a);
	pk_document_free(a->doc);
	pk_doc_notes_done(&a->notes);
	free(a->path);
	free(a);
}

/* Returns a place for the path's text, without what it had before. */
static struct ahead *place_of(struct pk_docs_ahead *ahead, const char *path)
{
	struct ahead *a = find(ahead, path);

	if (a)
		drop(ahead, a);
	a = pk_alloc(sizeof(*a));
	a->path = pk_strdup(path);
	HASH_ADD_KEYPTR(hh, ahead->all, a->path, strlen(a->path), a);
	return a;
}

static int parse(const struct pk_doc_origin *origin, const char *text, size_t len,
		 struct pk_document **doc, struct pk_doc_notes *notes)
{
	const struct pk_doc_source src = docs_source_of(origin);

	*notes = (struct pk_doc_notes){ .max = pk_source_namespace(origin->source)
						       ? PK_TENANT_NOTES_MAX
						       : 0 };
	return pk_document_parse(&src, text, len, doc, notes);
}

size_t pk_docs_read_ahead(const struct pk_docs *docs, struct pk_docs_ahead *ahead,
			  const struct pk_doc_origin *origin, const char *text, size_t len)
{
	const struct pk_doc_entry *e = docs_find(docs, origin->source, origin->path);
	struct ahead *a;
	uint64_t hash[2];

	pk_hash128(text, len, hash);
	if (e && e->confirmed && memcmp(hash, e->seen, sizeof(hash)) == 0)
		return 1 + len / STEP_BYTES / HASHED;
	a = place_of(ahead, origin->path);
	memcpy(a->hash, hash, sizeof(hash));
	a->r = parse(origin, text, len, &a->doc, &a->notes);
	return STEPS_A_TEXT + len / STEP_BYTES;
}

int docs_read(const struct pk_doc_origin *origin, const char *text, size_t len,
	      const uint64_t hash[2], struct pk_document **doc, struct pk_doc_notes *notes)
{
	struct ahead *a = find(origin->ahead, origin->path);
	int r;

	if (!a || memcmp(a->hash, hash, sizeof(a->hash)) != 0)
		return parse(origin, text, len, doc, notes);
	*doc = PK_MOVE(a->doc, NULL);
	*notes = PK_MOVE(a->notes, (struct pk_doc_notes){ 0 });
	r = a->r;
	drop(origin->ahead, a);
	return r;
}

struct pk_docs_ahead *pk_docs_ahead_new(void)
{
	return pk_alloc(sizeof(struct pk_docs_ahead));
}

size_t pk_docs_ahead_count(const struct pk_docs_ahead *ahead)
{
	return HASH_COUNT(ahead->all);
}

void pk_docs_ahead_clear(struct pk_docs_ahead *ahead)
{
	while (ahead->all)
		drop(ahead, ahead->all);
}

void pk_docs_ahead_free(struct pk_docs_ahead *ahead)
{
	if (!ahead)
		return;
	pk_docs_ahead_clear(ahead);
	free(ahead);
}
