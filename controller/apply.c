/* SPDX-License-Identifier: Apache-2.0 */
#include "apply.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "bpfmap.h"
#include "fs.h"
#include "guard.h"
#include "log.h"
#include "own.h"
#include "rcu.h"
#include "tables.h"

#define TOGETHER_MS 2		/* changes of one moment are applied as one */
#define QUIET_NS    20000000ull /* after so long without one, a change waits for no other */
#define AGAIN_MS    20		/* after a word changed under our hands */
#define RETRY_MS    5000	/* after an error */
#define FULL_MS	    1000	/* a pass over a few is followed by one over all */
/* What doesn't fit is tried again by a change, or when others may have gone. */
#define NO_ROOM_MS   60000
#define SYNC_MS	     20 /* between two turns of making documents outlive a power cut */
#define SYNC_NS	     10000000
#define SYNC_STOP_NS 1000000000
#define PINS_MS	     20000 /* between two looks at what is pinned */
#define TRIM_MS	     2000  /* quiet for so long: give memory back */

struct pk_apply {
	struct pk_apply_args args;
	struct pk_apply_state state;
	struct pk_timer *pass, *sync_docs, *trim, *pins;
	bool docs_changed, settings_changed;
	bool look_whole;    /* at each pin, not at one alone */
	bool withdraw;	    /* names of others are to go at the next pass */
	uint64_t change_ns; /* CLOCK_MONOTONIC of the oldest change not applied yet; 0 = none */
	uint64_t last_ns;   /* of the last pass's begin */
	uint64_t compiled;  /* number of the documents that the engine's images are of */
	uint64_t passed;    /* of those that a pass without an error brought into the tables */
};

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

static void write_node_json(struct pk_apply *a)
{
	const struct pk_settings *s = pk_model_get_settings(a->args.model);
	struct pk_err err = { 0 };
	own_str text = { 0 };

	pk_settings_json(s, &text);
	pk_apply_note(&a->state.store_error,
		      pk_fs_write(a->args.config->paths.node_json, text.text, text.len, 0644, &err),
		      &err, "store");
}

static void edit_node(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 1;
}

/* A new release's programs take the place of the old ones' under traffic. */
static void upgrade(struct pk_apply *a)
{
	struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);
	struct pk_err err = { 0 };
	int r = pk_guard_upgrade(bpf, a->args.model, &err);

	if (r < 0)
		log_error("op=upgrade err=\"%s\" ignoring: build %s goes on", err.text, bpf->build);
	else if (r)
		log_info("op=upgrade build=%s", bpf->build);
}

/* Everything goes into the tables that were opened just now. */
static void begin_anew(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	own_str pin = { 0 };
	uint64_t epoch[2];

	a->settings_changed = true;
	a->look_whole = false;
	memcpy(epoch, pk_sync_bpf(a->args.sync)->node.epoch, sizeof(epoch));
	pk_records_set_epoch(a->args.records, epoch);
	pk_records_look(a->args.records);
	upgrade(a);
	pk_str_addf(&pin, "%s/%s", a->args.config->paths.maps, pk_map_name(PK_MAP_EVENTS));
	if (pk_events_open(a->args.events, pin.text, &err) < 0)
		log_warn("op=events err=\"%s\" ignoring: no flows are shown", err.text);
	else
		pk_node_update(pk_sync_bpf(a->args.sync), edit_node, NULL, pk_sync_until(), NULL);
}

/* Opened by now, or -errno; those that were open until now stay in use then. */
static int open_now(struct pk_apply *a)
{
	struct pk_err err = { 0 };
	int r = pk_sync_open(a->args.sync, pk_model_get_settings(a->args.model), &err);

	pk_apply_note(&a->state.load_error, r, &err, "load");
	if (r == 0)
		begin_anew(a);
	return r;
}

/*
 * The kernel's side, as soon as it can be had; what needs it is told. Where the pins are others by
 * now (bpffs was unmounted, everything was swept) an ADD takes those: so do we. What lives on the
 * old tables has only them.
 */
static int open_tables(struct pk_apply *a)
{
	const struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);

	if (!bpf)
		return open_now(a);
	if (pk_bpf_is_pinned(bpf, a->look_whole)) {
		a->look_whole = false;
		pk_apply_note(&a->state.load_error, 0, NULL, "load");
		return 0;
	}
	if (open_now(a) == 0)
		log_error("op=load err=\"the pins were replaced or removed\" opened again");
	else
		pk_timer_hurry(a->pass, RETRY_MS);
	return 0;
}

/* Also where nothing else changes. */
static void look_pins(void *arg)
{
	struct pk_apply *a = arg;
	const struct pk_bpf *bpf = pk_sync_bpf(a->args.sync);

	pk_timer_set(a->pins, PINS_MS);
	if (!bpf || pk_bpf_is_pinned(bpf, true))
		return;
	a->look_whole = true;
	pk_apply_soon(a);
}

static void edit_masquerade(void *arg, struct pk_node *node)
{
	const struct pk_masquerade *m = arg;

	node->masquerade_low = m->low;
	node->masquerade_high = m->high;
}

/* Flows that have a port keep it. */
static void set_masquerade(struct pk_apply *a)
{
	struct pk_masquerade m = pk_model_get_settings(a->args.model)->masquerade;
	struct pk_err err = { 0 };

	if (pk_node_update(pk_sync_bpf(a->args.sync), edit_masquerade, &m, pk_sync_until(), &err) <
	    0)
		log_warn("op=masquerade err=\"%s\" ignoring until the next change", err.text);
}

static void set_pools(struct pk_apply *a)
{
	const struct pk_settings *s = pk_model_get_settings(a->args.model);
	struct pk_err err = { 0 };

	if (s->n_pools && pk_pools_set(pk_sync_bpf(a->args.sync), s->pools, s->n_pools,
				       pk_sync_until(), &err) < 0)
		log_warn("op=pools err=\"%s\" ignoring until the next change", err.text);
}

static void store_documents(struct pk_apply *a)
{
	struct pk_err err = { 0 };

	pk_apply_note(&a->state.store_error, pk_docs_store(a->args.docs, &err), &err, "store");
}

/* A policy that isn't in force must be heard of. */
static void tell_refused(struct pk_apply *a)
{
	const struct pk_doc_entry *e;

	while ((e = pk_docs_untold(a->args.docs))) {
		own_str why = { 0 };

		pk_doc_notes_line(&e->notes, &why);
		log_warn("op=policy source=%s path=\"%s\" err=\"%s\" refused, %s", e->source,
			 e->path, e->refusal ?: why.text ?: "",
			 e->doc ? "the last good version stays in force" : "nothing of it is in force");
	}
}

/* Who wants to know why something passes looks for what changed when. */
static void tell_changes(struct pk_apply *a)
{
	const struct pk_doc_change *c;

	while ((c = pk_docs_change(a->args.docs)))
		pk_journal_document(a->args.journal, c);
}

/* In turns, for it can take long: nobody's packets wait for the disk. */
static void sync_documents(void *arg)
{
	struct pk_apply *a = arg;
	struct pk_err err = { 0 };
	int r;

	if (!pk_docs_sync(a->args.docs, pk_now_ns() + SYNC_NS, &r, &err))
		pk_timer_set(a->sync_docs, SYNC_MS);
	if (r < 0)
		pk_apply_note(&a->state.store_error, r, &err, "store");
}

/* Acknowledged: no packet can be judged by the old rule sets any more. */
static void acknowledge(struct pk_apply *a, const struct pk_sync_done *done)
{
	struct pk_err err = { 0 };

	if ((done->switched || done->amended) && pk_rcu_wait(&err) < 0) {
		log_warn("op=policy err=\"%s\" not acknowledged", err.text);
		return;
	}
	a->state.revision++;
	clock_gettime(CLOCK_REALTIME, &a->state.applied);
	if (a->change_ns)
		a->state.seconds = (double)(pk_now_ns() - a->change_ns) / 1e9;
	log_info("op=policy revision=%lu switched=%u installed=%u amended=%u seconds=%.4f",
		 a->state.revision, done->switched, done->installed, done->amended,
		 a->state.seconds);
}

/* A document that was in force is unknown: what it denied must not open because of that. */
static int check_lost(struct pk_apply *a, struct pk_err *err)
{
	const char *lost = pk_docs_lost(a->args.docs);

	/* The operator may remove a tenant's, of which nothing else would tell. */
	if (pk_docs_lost_tenant(a->args.docs, 0))
		pk_timer_hurry(a->pass, RETRY_MS);
	if (!lost)
		return 0;
	pk_fail(err, 0, "stored policy %s can't be read: policy stays as it is", lost);
	return pk_fix(err, -EIO,
		      "wait for its source; mend what `picket policy list -refused` shows; or "
		      "remove that file if what it said may be forgotten");
}

static int pass(struct pk_apply *a, bool all)
{
	struct pk_sync_want want = { .model = a->args.model,
				     .log_new = strcmp(a->args.config->flows_allowed, "new") == 0 };
	struct pk_sync_done done = { 0 };
	struct pk_err err = { 0 };
	int r = check_lost(a, &err), fit = 0;

	if (r == 0)
		r = fit = pk_model_compile(a->args.model, &err);
	if (r == 0 || r == -EFBIG)
		a->compiled = pk_docs_number(a->args.docs);
	a->withdraw |= all || pk_model_tenant_dropped(a->args.model);
	want.all = a->withdraw;
	/* One tenant's rule set that is too large holds up nobody else's. */
	if (r == 0 || r == -EFBIG)
		r = pk_sync_pass(a->args.sync, &want, &done, r == 0 ? &err : NULL);
	pk_apply_note(&a->state.apply_error, r == 0 ? fit : r, &err, "apply");
	if (r < 0) {
		pk_timer_hurry(a->pass, r == -ENOSPC ? NO_ROOM_MS : RETRY_MS);
		return r;
	}
	a->withdraw = false;
	a->passed = a->compiled;
	if (done.again)
		pk_timer_hurry(a->pass, AGAIN_MS);
	else if (done.few)
		pk_timer_hurry(a->pass, FULL_MS);
	if (all)
		acknowledge(a, &done);
	return 0;
}

/* How far each endpoint's tables are, as long as the images are those of these documents. */
static void note_enforced(struct pk_apply *a)
{
	if (a->compiled == pk_docs_number(a->args.docs))
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

/* What went is told until no table of an endpoint that it may have selected has it. */
static void let_go(struct pk_apply *a)
{
	const struct pk_doc_gone *g;
	size_t i = 0;

	while ((g = pk_docs_gone(a->args.docs, i)))
		if (g->number <= a->passed && pk_apply_still_has(a, g).n == 0)
			pk_docs_gone_drop(a->args.docs, i);
		else
			i++;
}

static int apply(struct pk_apply *a)
{
	bool all;
	int r;

	pk_timer_clear(a->pass);
	pk_timer_set(a->trim, TRIM_MS);
	a->last_ns = pk_now_ns();
	if (a->docs_changed) {
		note_enforced(a);
		pk_model_documents(a->args.model);
		tell_changes(a);
		tell_refused(a);
		/* Before any name is withdrawn: an ADD that finds none compiles from these. */
		store_documents(a);
		pk_timer_set(a->sync_docs, 0);
	}
	if (a->settings_changed)
		write_node_json(a);
	r = open_tables(a);
	if (r < 0) {
		pk_timer_set(a->pass, RETRY_MS);
		return r;
	}
	all = a->docs_changed || a->settings_changed;
	if (a->settings_changed) {
		set_pools(a);
		set_masquerade(a);
	}
	r = pass(a, all);
	if (r == 0) {
		a->docs_changed = a->settings_changed = false;
		a->change_ns = 0;
	}
	if (all)
		note_enforced(a);
	if (pk_docs_gone(a->args.docs, 0))
		let_go(a);
	return r;
}

int pk_apply_now(struct pk_apply *a)
{
	int r = apply(a);

	if (a->args.passed)
		a->args.passed(a->args.arg);
	return r;
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

uint64_t pk_apply_enforced(const struct pk_apply *a, const struct pk_local_endpoint *m,
			   bool operators)
{
	enum pk_fit fit = PK_FIT_NONE;

	if (!m)
		return a->passed;
	if (a->compiled == pk_docs_number(a->args.docs))
		fit = pk_enforced_fit(a->args.sync, a->args.model, m);
	if (fit == PK_FIT_ALL || (fit == PK_FIT_OPERATORS && operators))
		return a->compiled;
	return pk_enforced_noted(a->args.sync, m, operators);
}

bool pk_apply_in_step(const struct pk_apply *a, const struct pk_local_endpoint *m)
{
	return !a->docs_changed && !a->settings_changed &&
	       pk_enforced_fit(a->args.sync, a->args.model, m) == PK_FIT_ALL;
}

static void trim(void *arg)
{
	(void)arg;
	malloc_trim(0);
}

void pk_apply_documents(struct pk_apply *a)
{
	a->docs_changed = true;
	pk_apply_soon(a);
}

void pk_apply_settings(struct pk_apply *a)
{
	a->settings_changed = true;
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
	a->pass = pk_timer_new(args->loop, on_pass, a);
	a->sync_docs = pk_timer_new(args->loop, sync_documents, a);
	a->trim = pk_timer_new(args->loop, trim, a);
	a->pins = pk_timer_new(args->loop, look_pins, a);
	pk_timer_set(a->pins, PINS_MS);
	pk_timer_set(a->trim, TRIM_MS);
	return a;
}

static void edit_node_quiet(void *arg, struct pk_node *node)
{
	(void)arg;
	node->events = 0;
}

void pk_apply_free(struct pk_apply *a)
{
	int r;

	if (!a)
		return;
	if (pk_sync_bpf(a->args.sync))
		pk_node_update(pk_sync_bpf(a->args.sync), edit_node_quiet, NULL, pk_sync_until(),
			       NULL);
	pk_docs_sync(a->args.docs, pk_now_ns() + SYNC_STOP_NS, &r, NULL);
	pk_timer_free(a->pass);
	pk_timer_free(a->sync_docs);
	pk_timer_free(a->trim);
	pk_timer_free(a->pins);
	free(a);
}
