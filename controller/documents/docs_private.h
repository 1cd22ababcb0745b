/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by docs.c and all files whose names begin with docs_. */
#include "docs.h"

struct lost {
	char *source, *file;
	bool heard; /* its source was looked at whole since */
};

#define PK_DOCS_GONE_MAX 256 /* of more that tables still have, the last ones are told */

struct past { /* What is remembered of a source. */
	char *source;
	struct pk_docs_history history;
	uint64_t gone_ms; /* when one of it went last */
	size_t gone;	  /* how many went in one window */
};

struct pk_docs {
	char *directory;	    /* NULL: nothing is kept on disk */
	struct pk_doc_entry **list; /* by source, path, once they are sorted */
	size_t n, room;
	bool unsorted;
	struct doc_at *origins;		    /* the same, by origin */
	struct name_use *in_force, *stored; /* names of documents, and of stored files */
	struct name_use *rules;		    /* how many each tenant's source has in force */
	struct pk_doc_entry **dropped;	    /* dropped entries that are still among `named` */
	size_t n_dropped, room_dropped;
	size_t told_to;		    /* up to here there is none untold */
	struct pk_document **force; /* what settle handed out */
	/* Entries with a document, sorted by source, name and path as of the last settle. */
	struct pk_doc_entry **named;
	size_t n_named, room_named;
	bool reorder; /* since the last settle a name came or changed */
	char **stale; /* "source\nname" of stored files to remove */
	size_t n_stale, room_stale;
	struct pk_document **retired;
	size_t n_retired, room_retired;
	struct lost *lost;
	size_t n_lost, room_lost;
	struct heard *heard; /* tenants, by name */
	bool each;	     /* see pk_docs_set_each */
	const char *origin;  /* of the store that has them so */
	bool each_due;	     /* and what is stored doesn't say so yet */
	bool forgot;	     /* a tenant's directory is to go */
	char **made;	     /* tenants whose directory is to be made */
	size_t n_made, room_made;
	char **doomed; /* "SOURCE\nFILE", stored files that are nobody's any more */
	size_t n_doomed, room_doomed;
	struct past **pasts;
	size_t n_pasts, room_pasts;
	struct pk_doc_change *changes;
	size_t n_changes, room_changes, at_change;
	uint64_t number;			   /* of the last settle */
	uint64_t stored_number;			   /* and of the last one that is on disk */
	struct pk_doc_gone gone[PK_DOCS_GONE_MAX]; /* oldest first */
	size_t n_gone;
	char *kept; /* history.json as it was written last */
};

/* Counts how often a source uses a name: two files may say the same one. */
void docs_name_take(struct name_use **names, const char *source, const char *name);
void docs_name_leave(struct name_use **names, const char *source, const char *name);
bool docs_name_is_taken(struct name_use *names, const char *source, const char *name);
/* Counts the rules of a tenant's source; other sources have no count. */
size_t docs_rules_of(struct name_use *rules, const char *source);
void docs_rules_add(struct name_use **rules, const char *source, const struct pk_document *doc);
void docs_rules_drop(struct name_use **rules, const char *source, const struct pk_document *doc);
void docs_names_free(struct name_use **names);
struct pk_doc_entry *docs_find(const struct pk_docs *docs, const char *source, const char *path);
void docs_origin_add(struct pk_docs *docs, struct pk_doc_entry *e);
void docs_origin_drop(struct pk_docs *docs, const struct pk_doc_entry *e);
void docs_sort(struct pk_docs *docs);
/* Sets or clears (NULL) an entry's document, or the name under which it is stored. */
void docs_set_document(struct pk_docs *docs, struct pk_doc_entry *e, struct pk_document *doc);
void docs_set_stored(struct pk_docs *docs, struct pk_doc_entry *e, const char *name);
/* Returns the name that the entry was known by last; "": none. */
const char *docs_name_of(const struct pk_doc_entry *e);
/* Makes room for one more element of any array. */
void *docs_room_for(void *list, size_t n, size_t *room, size_t size);
/* Adds to a list of texts, which takes the text. */
void docs_text_add(char ***list, size_t *n, size_t *room, char *text);
void docs_texts_free(char ***list, size_t *n);
struct pk_doc_entry *docs_entry_of(struct pk_docs *docs, const struct pk_doc_origin *origin);
struct pk_doc_source docs_source_of(const struct pk_doc_origin *origin);
/* Reads a text, or takes it as it was read ahead; returns as pk_document_parse does. */
int docs_read(const struct pk_doc_origin *origin, const char *text, size_t len,
	      const uint64_t hash[2], struct pk_document **doc, struct pk_doc_notes *notes);
void docs_refuse(struct pk_doc_entry *e, const char *why);
/* Has the stored file deleted with the next batch. */
void docs_stale(struct pk_docs *docs, const char *source, const char *name);
void docs_lost_add(struct pk_docs *docs, const char *source, const char *file, bool heard);
void docs_lost_drop(struct pk_docs *docs, size_t at);
void docs_heard_load(struct pk_docs *docs);
void docs_heard_free(struct pk_docs *docs);
/* Drops the entry and its document; the last entry takes its index. */
void docs_drop(struct pk_docs *docs, size_t at, const char *why);
struct past *docs_past(struct pk_docs *docs, const char *source);
/* Holds the entry, or with why NULL ends that. Returns whether that is new. */
bool docs_set_held(struct pk_docs *docs, struct pk_doc_entry *e, const char *why);
void docs_note(struct pk_docs *docs, const struct pk_doc_entry *e, const char *event,
	       const char *why);
/* Notes what came, changed or lost its name since the last settle. */
void docs_note_all(struct pk_docs *docs);
void docs_changes_done(struct pk_docs *docs);
void docs_gone_note(struct pk_docs *docs, const struct pk_doc_entry *e);
/* Reads history.json, beside the stored documents. */
int docs_history_read(struct pk_docs *docs, struct pk_err *err);
/* Returns the text that history.json is to have; NULL: the one that it has. The caller frees it. */
char *docs_history_text(const struct pk_docs *docs);
void docs_history_path(const char *directory, struct pk_str *path);
