/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by docs.c and docs_store.c. */
#include "docs.h"

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
	bool reorder; /* since the last settle a name came or changed */
	char **stale; /* "source\nname" of stored files to remove */
	size_t n_stale, room_stale;
	struct pk_document **retired;
	size_t n_retired, room_retired;
	size_t sync_at; /* where the last turn of syncing ended */
	struct lost *lost;
	size_t n_lost, room_lost;
	struct heard *heard; /* tenants, by name */
	bool each;	     /* see pk_docs_set_each */
	bool forgot;	     /* a tenant's directory is to go */
};

char *docs_copy(const char *text); /* NULL stays NULL */
/* Makes room for one more element of any array. */
void *docs_room_for(void *list, size_t n, size_t *room, size_t size);
struct pk_doc_entry *docs_entry_of(struct pk_docs *docs, const struct pk_doc_place *place);
struct pk_doc_source docs_source_of(const struct pk_doc_place *place);
void docs_refuse(struct pk_doc_entry *e, const char *why);
/* The stored file goes at the next pk_docs_store. */
void docs_stale(struct pk_docs *docs, const char *source, const char *name);
void docs_lost_drop(struct pk_docs *docs, size_t at);
void docs_heard_load(struct pk_docs *docs);
void docs_heard_free(struct pk_docs *docs);
/* Directories of tenants that are forgotten go. */
void docs_heard_store(struct pk_docs *docs);
