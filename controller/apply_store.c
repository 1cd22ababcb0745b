/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and settings to the disk, behind the loop: see apply.h. */
#include <stdlib.h>
#include <string.h>

#include "apply_private.h"
#include "fs.h"
#include "own.h"

#define DISK_NS 100000000ull /* a change waits for so long for its file, and then for its file alone */

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

	return pk_docs_batch_sync(s->batch, err);
}

static void on_synced(void *arg, int r, const struct pk_err *err)
{
	struct store *s = arg;

	if (r < 0)
		pk_apply_note(&s->apply->state.store_error, r, err, "store");
	store_free(s);
}

/* The settings first: ADD compiles by them. */
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
	return r < 0 ? r : d;
}

static void on_stored(void *arg, int r, const struct pk_err *err)
{
	struct store *s = arg;
	struct pk_apply *a = s->apply;
	const struct pk_work sync = {
		.run = run_sync, .done = on_synced, .arg = s, .always = true
	};

	a->store = NULL;
	pk_apply_note(&a->state.store_error, r, err, "store");
	if (s->batch)
		pk_docs_stored(a->args.docs, s->batch);
	if (s->batch)
		pk_writer_add(a->args.fsync, &sync);
	else
		store_free(s);
	apply_store(a);
	pk_timer_hurry(a->pass, 0); /* what waited for it: a change, or names that are to go */
}

static char *settings_text(const struct pk_apply *a)
{
	own_str text = { 0 };

	pk_settings_json(pk_model_get_settings(a->args.model), &text);
	return pk_str_take(&text);
}

void apply_store(struct pk_apply *a)
{
	struct pk_work work = { .run = run_store, .done = on_stored, .always = true };
	bool docs = a->docs_unstored || pk_docs_has_chores(a->args.docs);
	struct store *s;

	if (a->store || (!docs && !a->settings_unstored))
		return;
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
		return;
	}
	a->store = s;
	a->store_ns = pk_now_ns();
	work.arg = s;
	pk_writer_add(a->args.disk, &work);
}

bool apply_waits_for_disk(struct pk_apply *a)
{
	uint64_t waited;

	if (a->store && !a->served)
		pk_writer_flush(a->args.disk, a->store_ns + DISK_NS);
	if (!a->store)
		return false;
	waited = pk_now_ns() - a->store_ns;
	if (waited >= DISK_NS)
		return false;
	pk_timer_set(a->pass, (DISK_NS - waited) / 1000000 + 1);
	return a->served;
}
