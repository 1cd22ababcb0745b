/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Brings what the sources say into the tables: decides when changes are compiled, written and
 * acknowledged, which of them together, and what is tried again.
 */
#include <time.h>

#include "conf.h"
#include "docs.h"
#include "enforced.h"
#include "events.h"
#include "journal.h"
#include "loop.h"
#include "model.h"
#include "records.h"
#include "sync.h"
#include "writer.h"

struct pk_apply;

struct pk_apply_args {
	struct pk_loop *loop;
	const struct pk_config *config; /* its contents may change */
	struct pk_docs *docs;
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_records *records;
	struct pk_events *events;
	struct pk_journal *journal;
	struct pk_writer *disk;	 /* documents and settings */
	struct pk_writer *fsync; /* makes written files outlive a power cut */
	pk_loop_fn *passed;	 /* after each pass, whatever came of it; or NULL */
	/* called when tables were opened, the first or others than before; or NULL */
	pk_loop_fn *opened;
	void *arg;
};

struct pk_apply_state {
	uint64_t revision;	  /* number of policy changes in force since start */
	struct timespec applied;  /* when the last change was acknowledged; 0: none yet */
	double seconds;		  /* how long that change took, from source to acknowledged */
	struct pk_err load_error; /* these errors keep the node from "ok"; "" where there is none */
	struct pk_err apply_error, store_error;
	struct pk_err lost_block; /* set while a record can't be read (docs/troubleshooting.md) */
};

struct pk_apply *pk_apply_new(const struct pk_apply_args *args);
void pk_apply_free(struct pk_apply *apply);
/* Writes into the journal what of the documents' changes isn't there yet, before the end. */
void pk_apply_tell(struct pk_apply *apply);
const struct pk_apply_state *pk_apply_state(const struct pk_apply *apply);

/* Keeps an error while r < 0, clears it else, and logs it when it is a new one. */
void pk_apply_note(struct pk_err *kept, int r, const struct pk_err *err, const char *what);

/* Say that documents, or settings, changed since the last pass. A pass follows soon. */
void pk_apply_documents(struct pk_apply *apply);
void pk_apply_settings(struct pk_apply *apply);
/* Asks for a pass soon, for any other change. */
void pk_apply_soon(struct pk_apply *apply);
/*
 * Makes a pass now: compile, write, acknowledge. An error stays in the state. -EAGAIN means that
 * the compiler needs more turns of the loop; it takes them by itself.
 */
int pk_apply_now(struct pk_apply *apply);
/*
 * Returns the number (pk_docs_number) of the documents that an endpoint's tables have: of the
 * operators' documents, or of all. 0: not known. With ep NULL it is the last pass' number, for
 * documents that select nobody.
 */
uint64_t pk_apply_enforced(const struct pk_apply *apply, const struct pk_local_endpoint *ep,
			   bool operators);
/*
 * Counts the endpoints that a document that went may have selected, and those whose tables may
 * still have it.
 */
struct pk_enforced_count pk_apply_still_has(const struct pk_apply *apply,
					    const struct pk_doc_gone *gone);
/* Says that the loop serves others from now on: passes are made in short turns. */
void pk_apply_serve(struct pk_apply *apply);
/* Returns whether a change waits for its pass, or for the next try of one. */
bool pk_apply_is_pending(const struct pk_apply *apply);
/*
 * Returns whether the endpoint's rule set is exactly what its policies compile to now; false while
 * a change waits for its pass.
 */
bool pk_apply_in_step(const struct pk_apply *apply, const struct pk_local_endpoint *ep);
