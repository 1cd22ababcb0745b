/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The policy documents of all sources: what each origin (a file, a KV key) says now, and what of it
 * is in force. An origin whose text is refused keeps its last good version, also over a restart.
 * One that is gone is out of force at once, unless too many are (absence.h): those are held.
 *
 * What is in force is stored as <policies>/<source>/<name>, with its origin in a comment on the
 * first line. ADD compiles a base from those files.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "absence.h"
#include "consul.h"
#include "doc.h"
#include "err.h"

#define PK_TENANT_NOTES_MAX 8 /* errors and warnings of a tenant's document that are kept */

struct pk_docs;
struct pk_docs_ahead;

/* Where a document is from: the entry of one lasts as long as its source names it. */
struct pk_doc_origin {
	const char *source;	 /* docsource.h */
	const char *path;	 /* absolute, or "consul:KEY", "nomad:KEY": unique in the source */
	const char *tenant_name; /* of the origin; NULL: the operator's */
	uint64_t index;		 /* index of its last change; 0: the source has none */
	struct pk_docs_ahead *ahead; /* what was read ahead of its source; NULL: nothing */
};

struct pk_doc_entry {
	char *source, *path, *tenant_name;
	struct pk_document *doc;   /* the document in force, or NULL */
	uint64_t hash[2];	   /* of the text in force */
	uint64_t seen[2];	   /* of the text that was offered last */
	struct timespec since;	   /* when it came in force; of a stored one, the file's time */
	struct pk_doc_notes notes; /* of the text that was offered last */
	char *refusal;	/* why the newest text, which parses or is unreadable, is refused */
	char *namesake; /* the name that another document has; NULL: no such refusal */
	char *text;	/* the text in force that isn't stored yet, or NULL */
	size_t len;
	char *stored;	     /* the name under which it is stored, or NULL */
	char *held;	     /* why it stays in force though its source lacks it; or NULL */
	uint64_t index;	     /* of its last change, or of the answer that lacked it */
	uint64_t text_index; /* of the change that brought the text in force; 0: not known */
	uint64_t noted[2];   /* of the text in force when pk_docs_change told of it last */
	uint64_t number;     /* of the settle that brought it; 0: it was stored before */
	bool has_noted;
	bool refused;	/* the newest text is not in force */
	bool over;	/* too many rules, counted with its tenant's others */
	bool listed;	/* in the order of names */
	bool told;	/* see pk_docs_untold */
	bool confirmed; /* offered since start; false: only its stored version is known */
};

/* directory: paths.policies; NULL keeps nothing on disk. */
struct pk_docs *pk_docs_new(const char *directory);
void pk_docs_free(struct pk_docs *docs);
/* Reads what was in force when the last controller ended. fn is told of what can't be read. */
void pk_docs_load(struct pk_docs *docs, void (*fn)(void *arg, const struct pk_err *err), void *arg);
/*
 * Returns a stored file that couldn't be read and may have been a denial, or NULL. While there is
 * one, nothing may be compiled from the rest. A tenant's holds up that tenant alone, which is
 * awaited (see below). It is settled when its document is in force again, when its source has been
 * looked at whole and no document of it is without a version in force, or when the operator removes
 * the file.
 */
const char *pk_docs_lost(struct pk_docs *docs);
const char *pk_docs_lost_of(const struct pk_docs *docs, const char *tenant_name);
/* Returns the i-th tenant with such a file; NULL after the last. */
const char *pk_docs_lost_tenant(const struct pk_docs *docs, size_t i);

/* Each returns whether anything changed that a settle must see. */
bool pk_docs_offer(struct pk_docs *docs, const struct pk_doc_origin *origin, const char *text,
		   size_t len);
bool pk_docs_unreadable(struct pk_docs *docs, const struct pk_doc_origin *origin, const char *why);

/*
 * Where a source has many documents at once, their texts are read ahead, some in each turn of the
 * loop, and offered together once all are read: nobody sees half of what a source says in one
 * answer. Reading ahead changes nothing that is in force. It returns what it took, of
 * PK_DOCS_TURN that a turn has. An offer of another text reads that one.
 */
#define PK_DOCS_TURN 1024
struct pk_docs_ahead *pk_docs_ahead_new(void);
size_t pk_docs_read_ahead(const struct pk_docs *docs, struct pk_docs_ahead *ahead,
			  const struct pk_doc_origin *origin, const char *text, size_t len);
/* Counts what was read and not offered. */
size_t pk_docs_ahead_count(const struct pk_docs_ahead *ahead);
/* Forgets that. */
void pk_docs_ahead_clear(struct pk_docs_ahead *ahead);
void pk_docs_ahead_free(struct pk_docs_ahead *ahead);

/* A whole look at a source. */
struct pk_docs_look {
	const char *of; /* the sources that the look is of (docsource.h) */
	bool (*has)(void *arg, const char *path);
	void *arg;
	const char *why;    /* "its file is gone": for the journal */
	uint64_t index;	    /* of the answer; 0: the source has none */
	uint64_t now_ms;    /* a clock that only goes forward */
	bool first, behind; /* absence.h */
	bool meant;	    /* the source says that whatever it lacks is meant to be gone */
	const char *held;   /* why all is held, whatever absence.h says; NULL */
};
/* Drops or holds every origin that the look lacks. Returns whether anything changed. */
bool pk_docs_looked(struct pk_docs *docs, const struct pk_docs_look *look);
/*
 * Counts what there is of these sources, for a judgement of several together; the caller sets
 * lacks.
 */
struct pk_absence pk_docs_absence(const struct pk_docs *docs, const char *of, uint64_t now_ms);
/* Counts the documents in force, and not held yet, that the look lacks. */
size_t pk_docs_lacking(const struct pk_docs *docs, const struct pk_docs_look *look);
#define PK_DOCS_NO_SOURCE "its source is not configured"
/* Holds what is in force of a source that can't be asked. */
bool pk_docs_hold(struct pk_docs *docs, const char *of, const char *why);
/* Ends a hold of exactly that reason: the source can be asked again. */
bool pk_docs_unhold(struct pk_docs *docs, const char *of, const char *why);
/* Counts the held documents; why gets the reason of one of them, and may be NULL. */
size_t pk_docs_held(const struct pk_docs *docs, const char *of, const char **why);
struct pk_docs_meant {
	const char *what; /* a source, or one document: "file/db" */
	/*
	 * Returns why a document is gone though nothing was judged yet, beside what is held; NULL:
	 * it isn't.
	 */
	bool (*gone)(void *arg, const struct pk_doc_entry *e);
	void (*told)(void *arg, const struct pk_doc_entry *e); /* told of each before it goes */
	void *arg;
};
/* Drops what is held, as the operator says. Returns how many there were. */
size_t pk_docs_release(struct pk_docs *docs, const struct pk_docs_meant *meant);
/* Drops a source and all its documents, as the operator says. */
bool pk_docs_withdraw(struct pk_docs *docs, const char *of, const char *why);

/* How far a source had come; this is kept beside the stored documents. */
struct pk_docs_history {
	uint64_t index, generation;
	bool behind; /* its answers are older than this, and nobody has released it */
};
struct pk_docs_history *pk_docs_history(struct pk_docs *docs, const char *source);
/* Returns one of these sources that is behind; NULL: none is. */
const char *pk_docs_behind(const struct pk_docs *docs, const char *of);

/* A document that came in force, changed, went, is held or is back; see pk_docs_settle. */
struct pk_doc_change {
	const char *event; /* came | changed | went | held | back */
	char *source, *name, *path, *why;
	uint64_t hash[2], before[2]; /* 0: none */
	uint64_t index;
};
/* Returns the next change since the last settle, valid until the next call; NULL after the last. */
const struct pk_doc_change *pk_docs_change(struct pk_docs *docs);

/*
 * Returns the number of settles. What came with one is in the tables compiled from it or a later
 * one.
 */
uint64_t pk_docs_number(const struct pk_docs *docs);
/* Returns the first number whose documents have its text in force; UINT64_MAX: none has yet. */
uint64_t pk_docs_number_of(const struct pk_doc_entry *entry);
/* A document that went: tables compiled before that number may still have it. */
struct pk_doc_gone {
	char *source, *name, *path, *tenant_name;
	uint64_t number;
};
const struct pk_doc_gone *pk_docs_gone(const struct pk_docs *docs, size_t i);
/* Forgets one that no table has any more. */
void pk_docs_gone_drop(struct pk_docs *docs, size_t i);

/*
 * Returns whether it is refused for a reason outside its text (a namesake, unreadable): it is then
 * worth another offer though unchanged.
 */
bool pk_docs_waits(const struct pk_docs *docs, const char *source, const char *path);
bool pk_docs_any_waits(const struct pk_docs *docs);
/*
 * Returns the next document that is refused for a reason that this call hasn't given yet; NULL
 * after the last.
 */
const struct pk_doc_entry *pk_docs_untold(struct pk_docs *docs);
/*
 * Returns the documents in force, ordered by source and name; valid until the next change. Of two
 * documents of one name in one source, the one with the later path is refused. Those that went out
 * of force since the last call live until pk_docs_retire.
 */
size_t pk_docs_settle(struct pk_docs *docs, struct pk_document ***list);
void pk_docs_retire(struct pk_docs *docs);
/*
 * A batch brings the stored files in step with what is in force. It is made from the documents,
 * written by any thread, and then told to the documents again; NULL: they are in step. There is one
 * at a time: what changes meanwhile goes with the next.
 */
struct pk_docs_batch;
struct pk_docs_batch *pk_docs_batch_new(struct pk_docs *docs);
/*
 * Writes for every process that reads the files from now on. The first error is returned, the rest
 * is still written.
 */
int pk_docs_batch_write(struct pk_docs_batch *batch, struct pk_err *err);
/* Makes what was written outlive a power cut. */
int pk_docs_batch_sync(const struct pk_docs_batch *batch, struct pk_err *err);
/* Has the documents written again that a batch wrote and the disk refused to keep. */
void pk_docs_unsynced(struct pk_docs *docs, struct pk_docs_batch *batch);
/* Tells the documents of a batch; what couldn't be written waits for the next one. */
void pk_docs_stored(struct pk_docs *docs, const struct pk_docs_batch *batch);
void pk_docs_batch_free(struct pk_docs_batch *batch);
/* Returns whether there is something to store besides documents that came, changed or went. */
bool pk_docs_has_chores(const struct pk_docs *docs);
/* Whether a picketd that starts now, or an ADD without one, knows this text; that it is gone. */
bool pk_docs_is_stored(const struct pk_doc_entry *entry);
bool pk_docs_gone_is_stored(const struct pk_docs *docs, const struct pk_doc_gone *gone);

#define PK_DOCS_SHA 13 /* the first 12 digits of a digest, and the NUL */
void pk_docs_sha(const uint64_t hash[2], char text[PK_DOCS_SHA]);

size_t pk_docs_count(const struct pk_docs *docs);
const struct pk_doc_entry *pk_docs_at(const struct pk_docs *docs,
				      size_t i); /* the i-th by source and path */
/* Returns the text in force, from the store; the caller frees it. */
int pk_docs_text(const struct pk_docs *docs, const struct pk_doc_entry *entry, char **text,
		 size_t *len, struct pk_err *err);

/*
 * Documents that come tenant by tenant count once their tenant's source has been looked at whole.
 * Until then, or while one of them is lost, the tenant is awaited: nothing is compiled for its
 * endpoints, since what its documents deny isn't known. After a restart the store says whose are
 * known. origin is a constant.
 */
void pk_docs_set_each(struct pk_docs *docs, const char *origin, bool each);
/* Says that the tenant's source has been looked at whole; returns whether that is new. */
bool pk_docs_hear(struct pk_docs *docs, const char *tenant_name);
bool pk_docs_awaits(const struct pk_docs *docs, const char *tenant_name);
/*
 * Says that this node has no endpoint of the tenant any more. Its documents go, and it is awaited
 * when it comes back.
 */
bool pk_docs_forget(struct pk_docs *docs, const char *tenant_name);
/* Lists the known tenants, in no order: NULL begins and ends. */
const char *pk_docs_heard_next(const struct pk_docs *docs, const char *tenant_name);
