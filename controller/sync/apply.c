/* SPDX-License-Identifier: Apache-2.0 */
#include "apply_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "log.h"
#include "memory.h"
#include "own.h"
#include "rcu.h"
#include "tables.h"

#define TOGETHER_MS 2 /* changes that come within it are applied as one */
/* after so long without a pass a change is applied at once */
#define QUIET_NS 20000000ull
/* after an endpoint's word was changed by somebody else meanwhile */
#define AGAIN_MS 20
#define HELD_NS	 2000000000ull /* a node lock held for longer is an error */
/* so many passes without room are tried soon, as unused rule sets go */
#define CROWDED	    4
#define FULL_MS	    1000     /* a pass over few endpoints is followed by one over all after this */
#define TOLD_A_TURN 1024     /* changes of documents; the next turn tells more */
#define NO_ROOM_MS  60000    /* until what doesn't fit is tried again */
#define SLICE_NS    10000000 /* most time of one turn; between two turns the loop serves others */
#define REST_MS	    2000     /* after so long without a pass memory is given back to the kernel */
#define BUSY_MS	    120000   /* the same while passes follow each other without an end */

void pk_apply_note(struct pk_err *kept, int r, const struct pk_err *err, const char *what)
{
	if (r == 0) {
		memset(kept, 0, sizeof(*kept));
		return;
	}
	if (strcmp(kept->text, err->text) != 0)
		log_error("op=%s err=\"%s\" fix=\"%s\"", what, err->text, err->fix);
	*kept = *err;
}

/* Logs each refused policy, once for each reason. */
static void tell_refused(struct pk_apply *a)
{
	const struct pk_doc_entry *e;

	while ((e = pk_docs_untold(a->args.docs))) {
		own_str why = { 0 };

		pk_doc_notes_line(&e->notes, &why);
		log_warn("op=policy source=%s path=\"%s\" err=\"%s\" refused, %s", e->source,
			 e->path, e->refusal ?: why.text ?: "",
			 e->doc ? "the last good version stays in force"
				: "nothing of it is in force");
	}
}

/* Writes into the journal which documents came, changed and went, at most so many. */
static bool tell_some(struct pk_apply *a, size_t most)
{
	const struct pk_doc_change *c = NULL;

	for (size_t i = 0; i < most && (c = pk_docs_change(a->args.docs)); i++)
		pk_journal_document(a->args.journal, c);
	return c;
}

void pk_apply_tell(struct pk_apply *a)
{
	tell_some(a, SIZE_MAX);
}

static void tell_changes(void *arg)
{
	struct pk_apply *a = arg;

	if (tell_some(a, TOLD_A_TURN))
		pk_timer_set(a->tell, 0);
}

/*
 * Clears the marks of changes that the pass has brought into force, but for those that came
 * meanwhile.
 */
static void settled(struct pk_apply *a)
{
	a->docs_changed &= a->docs_untaken || a->under_way;
	a->settings_changed &= a->settings_untaken || a->under_way;
	if (!a->docs_changed && !a->settings_changed)
		a->change_ns = 0;
}

/*
 * Fails while the stored text of a document that was in force can't be read: nothing that it denied
 * may open meanwhile.
 */
static int check_lost(struct pk_apply *a, struct pk_err *err)
{
	const char *lost = pk_docs_lost(a->args.docs);

	/* Looks again later: no event tells that an operator removed the stored file. */
	if (pk_docs_lost_tenant(a->args.docs, 0))
		pk_timer_hurry(a->pass, APPLY_RETRY_MS);
	if (!lost)
		return 0;
	pk_fail(err, 0, "stored policy %s can't be read: policy stays as it is", lost);
	return pk_fix(err, -EIO,
		      "wait for its source; mend what `picket policy list -refused` shows; or "
		      "remove that file if what it said may be forgotten");
}

static bool is_late(void *arg)
{
	return pk_now_ns() >= *(const uint64_t *)arg;
}

static void add_done(struct pk_sync_done *sum, const struct pk_sync_done *more)
{
	sum->switched += more->switched;
	sum->installed += more->installed;
	sum->amended += more->amended;
}

/* Frees a rule set that no endpoint uses any more, to make room for the one that didn't fit. */
static void make_room(struct pk_apply *a)
{
	pk_sync_tidy(a->args.sync, a->args.model);
	if (pk_sync_tidy_next(a->args.sync, a->args.model))
		a->crowded = 0;
	pk_timer_hurry(a->pass, ++a->crowded < CROWDED ? AGAIN_MS : NO_ROOM_MS);
}

/*
 * Returns whether somebody else holds the node lock, and not for too long yet: that is no error,
 * and is tried again.
 */
static bool is_held(struct pk_apply *a, int r)
{
	if (r != -ETIMEDOUT) {
		a->held_ns = 0;
		return false;
	}
	a->held_ns = a->held_ns ?: pk_now_ns();
	return pk_now_ns() - a->held_ns < HELD_NS;
}

static void try_again(struct pk_apply *a, int r)
{
	if (r == -ENOSPC)
		make_room(a);
	else
		pk_timer_hurry(a->pass, r == -ETIMEDOUT ? APPLY_HELD_MS : APPLY_RETRY_MS);
	if (r != -ENOSPC)
		a->crowded = 0;
}

static struct pk_sync_want wanted(const struct pk_apply *a, const struct pk_slice *slice)
{
	const struct pk_config *config = a->args.config;

	return (struct pk_sync_want){ .model = a->args.model,
				      .log_new = strcmp(config->flows_allowed, "new") == 0,
				      .log_closed = config->flows_closed,
				      .slice = slice };
}

/*
 * Makes one turn of a pass; returns -EAGAIN where more is to be compiled or written in the next
 * turn.
 */
static int pass(struct pk_apply *a, bool all)
{
	uint64_t until = pk_now_ns() + SLICE_NS;
	const struct pk_slice slice = { .late = is_late, .arg = &until };
	struct pk_sync_want want = wanted(a, a->served ? &slice : NULL);
	struct pk_sync_done done = { 0 };
	struct pk_err err = { 0 };
	int r = check_lost(a, &err), fit = 0;

	if (r == 0)
		r = fit = pk_model_compile(a->args.model, want.slice, &err);
	if (r == 0 || r == -EFBIG)
		a->compiled = pk_docs_number(a->args.docs);
	a->withdraw |= all || pk_model_tenant_dropped(a->args.model);
	/*
	 * Names of rule sets stay until the documents are stored: an ADD that finds no name
	 * compiles from those.
	 */
	want.all = a->withdraw && !a->store;
	/* One tenant's rule set that is too large (-EFBIG) doesn't hold up the others'. */
	if (r == 0 || r == -EFBIG)
		r = pk_sync_pass(a->args.sync, &want, &done, r == 0 ? &err : NULL);
	add_done(&a->done, &done);
	if (r == -EAGAIN) {
		pk_timer_set(a->pass, 0);
		return r;
	}
	if (!is_held(a, r))
		pk_apply_note(&a->state.apply_error, r == 0 ? fit : r, &err, "apply");
	if (r < 0) {
		try_again(a, r);
		return r;
	}
	a->withdraw = a->withdraw && a->store;
	a->passing = a->compiled;
	a->crowded = 0;
	if (done.again)
		pk_timer_hurry(a->pass, AGAIN_MS);
	else if (done.few)
		pk_timer_hurry(a->pass, FULL_MS);
	return 0;
}

/*
 * Notes which documents each endpoint's tables have, as long as the images are still those of these
 * documents.
 */
static void note_enforced(struct pk_apply *a)
{
	if (!a->unacknowledged && a->compiled == pk_docs_number(a->args.docs))
		pk_enforced_note(a->args.sync, a->args.model, a->compiled);
}

static bool is_of(const struct pk_local_endpoint *m, const char *tenant_name)
{
	const char *own = pk_local_endpoint_namespace(m);

	return !tenant_name || (own && strcmp(own, tenant_name) == 0);
}

struct pk_enforced_count pk_apply_still_has(const struct pk_apply *a, const struct pk_doc_gone *g)
{
	struct pk_enforced_count c = { 0 };

	for (const struct pk_local_endpoint *m = pk_model_next(a->args.model, NULL); m;
	     m = pk_model_next(a->args.model, m)) {
		if (!is_of(m, g->tenant_name) || !pk_enforced_has_tables(a->args.sync, m))
			continue;
		c.of++;
		c.n += pk_apply_enforced(a, m, !g->tenant_name) < g->number;
	}
	return c;
}

void apply_let_go(struct pk_apply *a)
{
	const struct pk_doc_gone *g;
	size_t i = 0;

	while ((g = pk_docs_gone(a->args.docs, i)))
		if (g->number <= a->passed && pk_docs_gone_is_stored(a->args.docs, g) &&
		    pk_apply_still_has(a, g).n == 0)
			pk_docs_gone_drop(a->args.docs, i);
		else
			i++;
}

static void tell_enforced(struct pk_apply *a, bool all)
{
	if (all)
		note_enforced(a);
	apply_let_go(a);
}

/* Tells whoever waits for a pass to look again. */
static void acknowledged(struct pk_apply *a)
{
	settled(a);
	a->passed = a->passing;
	tell_enforced(a, true);
	if (a->args.passed)
		a->args.passed(a->args.arg);
}

/* Ends the grace period: no packet can be judged by the old rule sets any more. */
static void acknowledge(void *arg)
{
	struct pk_apply *a = arg;
	struct pk_sync_done done = PK_MOVE(a->done, (struct pk_sync_done){ 0 });
	struct pk_err err = { 0 };

	a->unacknowledged = false;
	if ((done.switched || done.amended) && pk_rcu_wait(&err) < 0) {
		log_warn("op=policy err=\"%s\" not acknowledged", err.text);
		acknowledged(a);
		return;
	}
	a->state.revision++;
	clock_gettime(CLOCK_REALTIME, &a->state.applied);
	if (a->change_ns)
		a->state.seconds = (double)(pk_now_ns() - a->change_ns) / 1e9;
	log_info("op=policy revision=%lu switched=%u installed=%u amended=%u seconds=%.4f",
		 a->state.revision, done.switched, done.installed, done.amended, a->state.seconds);
	acknowledged(a);
}

static void take_documents(struct pk_apply *a)
{
	note_enforced(a);
	pk_model_documents(a->args.model);
	tell_changes(a);
	tell_refused(a);
	a->docs_unstored = true;
	a->docs_untaken = false;
}

/* Ends a pass. After an error all that changed is tried again. */
static void apply_ended(struct pk_apply *a, bool all, int r)
{
	a->docs_untaken |= r < 0 && a->docs_changed;
	a->settings_untaken |= r < 0 && a->settings_changed;
	if (r == 0 && all) {
		a->unacknowledged = true;
		/* it may wait for RCU: in a turn of its own */
		pk_timer_set(a->acknowledge, apply_disk_ms(a));
		return;
	}
	if (r == 0)
		settled(a);
	tell_enforced(a, all);
}

static int apply(struct pk_apply *a)
{
	bool all, settings;
	int r;

	pk_timer_clear(a->pass);
	pk_memory_worked(a->memory);
	a->last_ns = pk_now_ns();
	if (a->docs_untaken)
		take_documents(a);
	a->settings_unstored |= a->settings_untaken;
	apply_store(a);
	r = apply_open_tables(a);
	all = a->docs_changed || a->settings_changed;
	settings = PK_MOVE(a->settings_untaken, false);
	if (r == 0 && (settings || apply_block_is_left(a)))
		apply_set_node(a);
	if (r < 0)
		pk_timer_hurry(a->pass, APPLY_RETRY_MS);
	else
		r = pass(a, all);
	a->under_way = r == -EAGAIN;
	if (!a->under_way)
		apply_ended(a, all, r);
	return r;
}

int pk_apply_now(struct pk_apply *a)
{
	int r = apply(a);

	/* Nobody is answered while a pass needs more turns. */
	if (r != -EAGAIN && a->args.passed)
		a->args.passed(a->args.arg);
	return r;
}

void pk_apply_serve(struct pk_apply *a)
{
	a->served = true;
}

static void on_pass(void *arg)
{
	pk_apply_now(arg);
}

void pk_apply_soon(struct pk_apply *a)
{
	uint64_t now = pk_now_ns();

	if (!a->change_ns)
		a->change_ns = now;
	pk_timer_hurry(a->pass, now - a->last_ns > QUIET_NS ? 0 : TOGETHER_MS);
}

/* Returns whether no packet is judged by anything older than the newest documents. */
static bool is_acknowledged(const struct pk_apply *a)
{
	return !a->unacknowledged && !(a->under_way && (a->docs_changed || a->settings_changed));
}

/*
 * Until a switch is acknowledged a packet may still be judged by the old rule set, so only what
 * both have is certainly in force: that is what the old one had.
 */
uint64_t pk_apply_enforced(const struct pk_apply *a, const struct pk_local_endpoint *m,
			   bool operators)
{
	enum pk_fit fit = PK_FIT_NONE;

	if (!m)
		return a->passed;
	if (a->compiled == pk_docs_number(a->args.docs))
		fit = pk_enforced_fit(a->args.sync, a->args.model, m);
	if (fit != PK_FIT_ALL && !(fit == PK_FIT_OPERATORS && operators))
		return pk_enforced_noted(a->args.sync, m, operators);
	if (is_acknowledged(a))
		return a->compiled;
	return operators ? m->enforced.operators : m->enforced.all;
}

bool pk_apply_is_pending(const struct pk_apply *a)
{
	return (a->docs_changed || a->settings_changed) && !*a->state.apply_error.text;
}

bool pk_apply_in_step(const struct pk_apply *a, const struct pk_local_endpoint *m)
{
	return !a->docs_changed && !a->settings_changed &&
	       pk_enforced_fit(a->args.sync, a->args.model, m) == PK_FIT_ALL;
}

void pk_apply_documents(struct pk_apply *a)
{
	a->docs_changed = a->docs_untaken = true;
	pk_apply_soon(a);
}

void pk_apply_settings(struct pk_apply *a)
{
	a->settings_changed = a->settings_untaken = true;
	pk_apply_soon(a);
}

const struct pk_apply_state *pk_apply_state(const struct pk_apply *a)
{
	return &a->state;
}

struct pk_apply *pk_apply_new(const struct pk_apply_args *args)
{
	struct pk_apply *a = pk_alloc(sizeof(*a));

	a->args = *args;
	a->change_ns = pk_now_ns();
	a->docs_changed = a->settings_changed = true;
	a->docs_untaken = a->settings_untaken = true;
	a->acknowledge = pk_timer_new(args->loop, acknowledge, a);
	a->pass = pk_timer_new(args->loop, on_pass, a);
	a->tell = pk_timer_new(args->loop, tell_changes, a);
	a->memory = pk_memory_new(args->loop, REST_MS, BUSY_MS);
	a->pins = pk_timer_new(args->loop, apply_look_pins, a);
	pk_timer_set(a->pins, APPLY_PINS_MS);
	pk_memory_worked(a->memory);
	return a;
}

void pk_apply_free(struct pk_apply *a)
{
	if (!a)
		return;
	apply_leave_tables(a);
	pk_timer_free(a->tell);
	pk_timer_free(a->pass);
	pk_timer_free(a->acknowledge);
	pk_memory_free(a->memory);
	pk_timer_free(a->pins);
	free(a);
}
