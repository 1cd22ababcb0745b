/* SPDX-License-Identifier: Apache-2.0 */
/* Writes documents and settings to the disk, on a thread: see apply.h. */
#include <stdlib.h>
#include <string.h>

#include "apply_private.h"
#include "fs.h"
#include "own.h"

/* how long a pass waits for the disk, which nearly always is done by then */
#define AT_ONCE_NS 10000000
#define START_NS   1000000000ull /* the same while nobody is served yet */
#define DISK_NS	   100000000ull	 /* how long an acknowledgement waits for the disk */

struct store {
	struct pk_apply *apply;
	struct pk_docs_batch *batch; /* NULL: no documents */
	char *node_json;	     /* NULL: no settings */
	char path[PK_PATH_ROOM];     /* of node.json */
};

static void store_free(struct store *s)
{
	pk_docs_batch_free(s->batch);
	free(s->node_json);
	free(s);
}

static int run_sync(void *arg, struct pk_err *err)
{
	const struct store *s = arg;

	return pk_fs_fix(err, pk_docs_batch_sync(s->batch, err));
}

static void all_is_stored(struct pk_apply *a)
{
	a->unsynced = false;
	pk_apply_note(&a->state.store_error, 0, NULL, "store");
}

/* Asks again later: the disk is full or broken, and may be mended by then. */
static void again_later(struct pk_apply *a, const struct store *s)
{
	a->docs_unstored |= s->batch != NULL;
	a->settings_unstored |= s->node_json != NULL;
	a->store_again_ms = pk_loop_now(a->args.loop) + APPLY_RETRY_MS;
	pk_timer_hurry(a->pass, APPLY_RETRY_MS);
}

/*
 * Takes the result of a sync. After a failed sync the disk may have lost what was written, although
 * the next sync succeeds: so the documents are written again.
 */
static void on_synced(void *arg, int r, const struct pk_err *err)
{
	struct store *s = arg;
	struct pk_apply *a = s->apply;

	if (r < 0) {
		pk_apply_note(&a->state.store_error, r, err, "store");
		a->unsynced = true;
		pk_docs_unsynced(a->args.docs, s->batch);
		/* settings were synced when they were written */
		free(PK_MOVE(s->node_json, NULL));
		again_later(a, s);
	} else if (!a->store_again_ms) {
		all_is_stored(a);
	}
	store_free(s);
}

static void start_sync(struct store *s)
{
	const struct pk_work work = {
		.run = run_sync, .done = on_synced, .arg = s, .always = true
	};

	pk_writer_add(s->apply->args.fsync, &work);
}

/* Writes the settings first, since ADD compiles by them. */
static int run_store(void *arg, struct pk_err *err)
{
	struct store *s = arg;
	struct pk_err e = { 0 };
	int r = 0, d = 0;

	if (s->node_json)
		r = pk_fs_write(s->path, s->node_json, strlen(s->node_json), 0644, err);
	if (s->batch)
		d = pk_docs_batch_write(s->batch, &e);
	if (r == 0 && d < 0)
		*err = e;
	r = r < 0 ? r : d;
	return pk_fs_fix(err, r);
}

static void submit(struct pk_apply *a);

static void on_stored(void *arg, int r, const struct pk_err *err)
{
	struct store *s = arg;
	struct pk_apply *a = s->apply;

	a->store = NULL;
	if (r < 0 || !a->unsynced)
		pk_apply_note(&a->state.store_error, r, err, "store");
	a->store_again_ms = 0;
	if (r < 0)
		again_later(a, s);
	if (s->batch)
		pk_docs_stored(a->args.docs, s->batch);
	if (s->batch)
		start_sync(s);
	else
		store_free(s);
	if (a->withdraw)
		pk_timer_hurry(a->pass, 0);
	apply_let_go(a);
	submit(a);
}

static char *settings_text(const struct pk_apply *a)
{
	own_str text = { 0 };

	pk_settings_json(pk_model_get_settings(a->args.model), &text);
	return pk_str_take(&text);
}

static void submit(struct pk_apply *a)
{
	struct pk_work work = { .run = run_store, .done = on_stored, .always = true };
	bool docs = a->docs_unstored || pk_docs_has_chores(a->args.docs);
	uint64_t now = pk_loop_now(a->args.loop);
	struct store *s;

	if (a->store || (!docs && !a->settings_unstored))
		return;
	if (now < a->store_again_ms) {
		pk_timer_hurry(a->pass, a->store_again_ms - now); /* the pass cleared the timer */
		return;
	}
	s = pk_alloc(sizeof(*s));
	s->apply = a;
	strcpy(s->path, a->args.config->paths.node_json);
	if (docs)
		s->batch = pk_docs_batch_new(a->args.docs);
	if (a->settings_unstored)
		s->node_json = settings_text(a);
	a->docs_unstored = a->settings_unstored = false;
	if (!s->batch && !s->node_json) {
		store_free(s);
		a->store_again_ms = 0;
		all_is_stored(a);
		return;
	}
	a->store = s;
	a->store_ns = pk_now_ns();
	work.arg = s;
	pk_writer_add(a->args.disk, &work);
}

void apply_store(struct pk_apply *a)
{
	const struct store *before = a->store;

	submit(a);
	if (a->store && a->store != before)
		pk_writer_flush(a->args.disk, a->store_ns + (a->served ? AT_ONCE_NS : START_NS));
}

uint64_t apply_disk_ms(const struct pk_apply *a)
{
	uint64_t waited = a->store ? pk_now_ns() - a->store_ns : DISK_NS;

	return waited < DISK_NS ? (DISK_NS - waited) / 1000000 + 1 : 0;
}
