/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "api.h"
#include "docsource.h"
#include "fs.h"
#include "own.h"

/* until the next report where no pass was made: a source may have fallen silent */
#define AGAIN_MS      15000
#define SLICE_MS      5
#define SLICE_NS      2000000
#define DOCUMENTS_MAX 64 /* the most documents that are named */
#define WHY_MAX	      300

/* The set of documents that one source has in force here. */
struct set {
	char *source;
	uint64_t digest[2]; /* the digest in the look that is under way */
	uint64_t told[2];   /* the digest in the look before */
	struct timespec since;
	bool here; /* its source is still asked for */
	UT_hash_handle hh;
};

struct pk_report {
	const struct pk_parts *parts;
	pk_report_fn *fn;
	void *arg;
	struct pk_timer *look;
	struct pk_api_enforced_walk walk;
	struct pk_api_moment moment;
	struct set *sets;
	struct pk_str text; /* the text of the look that is under way */
	struct pk_jw w;
	size_t named, more;
};

static struct set *set_of(struct pk_report *r, const char *source)
{
	struct set *s;

	HASH_FIND_STR(r->sets, source, s);
	if (s)
		return s;
	s = pk_alloc(sizeof(*s));
	s->source = pk_strdup(source);
	clock_gettime(CLOCK_REALTIME, &s->since);
	HASH_ADD_KEYPTR(hh, r->sets, s->source, strlen(s->source), s);
	return s;
}

static void set_free(struct pk_report *r, struct set *s)
{
	HASH_DEL(r->sets, s);
	free(s->source);
	free(s);
}

/* What the report calls a document that isn't in force as Consul has it. */
struct lag {
	const char *source, *path, *state, *why;
};

static void add_lag(struct pk_report *r, const struct lag *lag)
{
	const char *last = strrchr(lag->path, '/');
	own_str why = { 0 };

	if (r->named >= DOCUMENTS_MAX) {
		r->more++;
		return;
	}
	r->named++;
	pk_str_addf(&why, "%.*s", WHY_MAX, lag->why);
	pk_jw_open(&r->w, NULL, '{');
	pk_jw_string(&r->w, "source", lag->source);
	pk_jw_string(&r->w, "name", last ? last + 1 : lag->path);
	pk_jw_string(&r->w, "state", lag->state);
	pk_jw_string(&r->w, "why", why.text);
	pk_jw_close(&r->w, '}');
}

static void name_refused(struct pk_report *r, const struct pk_doc_entry *e)
{
	own_str why = { 0 };

	if (e->refusal)
		pk_str_add(&why, e->refusal);
	else
		pk_doc_notes_line(&e->notes, &why);
	add_lag(r, &(struct lag){ e->source, e->path, "refused", why.text ?: "" });
}

static const char *why_waits(const struct pk_report *r)
{
	const struct pk_apply_state *state = pk_apply_state(r->parts->apply);

	if (*state->load_error.text)
		return state->load_error.text;
	if (*state->apply_error.text)
		return state->apply_error.text;
	return "not every endpoint's tables have it yet";
}

static void on_document(void *arg, const struct pk_doc_entry *e, bool enforced)
{
	struct pk_report *r = arg;

	if (!pk_source_is_shared(e->source))
		return;
	if (enforced)
		pk_set_digest(set_of(r, e->source)->digest, e->path, e->hash);
	if (e->refused)
		name_refused(r, e);
	else if (e->held)
		add_lag(r, &(struct lag){ e->source, e->path, "held", e->held });
	else if (!enforced)
		add_lag(r, &(struct lag){ e->source, e->path, "waits", why_waits(r) });
}

/* Adds the documents that are gone from the store and that tables may still have. */
static void add_gone(struct pk_report *r)
{
	static const uint64_t none[2];
	const struct pk_doc_gone *g;

	for (size_t i = 0; (g = pk_docs_gone(r->parts->docs, i)); i++) {
		if (!pk_source_is_shared(g->source) ||
		    pk_apply_still_has(r->parts->apply, g).n == 0)
			continue;
		pk_set_digest(set_of(r, g->source)->digest, g->path, none);
		add_lag(r, &(struct lag){ g->source, g->path, "waits",
					  "it is deleted, and tables have it still" });
	}
}

static void write_set(struct pk_report *r, const struct pk_source *s, struct set *set)
{
	const char *store = pk_config_store_name(r->parts->config);
	struct pk_jw *w = &r->w;
	char digest[PK_DIGEST_TEXT], why[80] = "";

	if (memcmp(set->digest, set->told, sizeof(set->digest)) != 0) {
		memcpy(set->told, set->digest, sizeof(set->told));
		clock_gettime(CLOCK_REALTIME, &set->since);
	}
	pk_hash_hex(set->digest, digest, sizeof(digest));
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", set->source);
	pk_jw_uint(w, "index", s->index);
	pk_jw_string(w, "digest", digest);
	pk_api_time(w, "since", &set->since);
	if (pk_docs_behind(r->parts->docs, set->source))
		snprintf(why, sizeof(why), "%s's history is older than what is in force", store);
	else if (s->state == PK_SOURCE_STARTING)
		snprintf(why, sizeof(why), "%s has not answered yet", store);
	if (*why || s->state != PK_SOURCE_OK)
		pk_jw_string(w, "why", *why ? why : s->last_error);
	if (s->state == PK_SOURCE_STALE)
		pk_api_time(w, "heard", &s->contact);
	pk_jw_close(w, '}');
}

/* Writes the sets of all sources that are asked for, and forgets the sets of the others. */
static void write_sets(struct pk_report *r)
{
	const struct pk_source *s;
	struct set *set, *next;
	const char *source;

	pk_jw_open(&r->w, "sets", '[');
	for (size_t i = 0; (s = pk_consul_set_at(r->parts->consul, i, &source)); i++) {
		set = set_of(r, source);
		set->here = true;
		write_set(r, s, set);
	}
	pk_jw_close(&r->w, ']');
	HASH_ITER (hh, r->sets, set, next) {
		if (!set->here)
			set_free(r, set);
		else
			set->here = false;
	}
}

static void begin(struct pk_report *r)
{
	r->walk = (struct pk_api_enforced_walk){ .fn = on_document, .arg = r };
	r->named = r->more = 0;
	for (struct set *s = r->sets; s; s = s->hh.next)
		memset(s->digest, 0, sizeof(s->digest));
	pk_str_reset(&r->text);
	r->w = (struct pk_jw){ .out = &r->text };
	pk_jw_open(&r->w, NULL, '{');
	pk_jw_int(&r->w, "version", 1);
	pk_jw_int(&r->w, "number", 0);
	pk_jw_open(&r->w, "documents", '[');
}

static void end(struct pk_report *r)
{
	add_gone(r);
	pk_jw_close(&r->w, ']');
	pk_jw_uint(&r->w, "more", r->more);
	write_sets(r);
	pk_jw_close(&r->w, '}');
	if (!r->text.failed)
		r->fn(r->arg, r->text.text);
}

static void look(void *arg)
{
	struct pk_report *r = arg;

	if (pk_api_moved(r->parts, &r->moment))
		begin(r);
	if (!pk_api_enforced_part(r->parts, &r->walk, pk_now_ns() + SLICE_NS)) {
		pk_timer_set(r->look, SLICE_MS);
		return;
	}
	end(r);
	r->moment = (struct pk_api_moment){ 0 };
	pk_timer_set(r->look, AGAIN_MS);
}

/* Waits for a random moment: all nodes hear of a change at once. */
void pk_report_soon(struct pk_report *r)
{
	pk_timer_hurry(r->look, pk_backoff_ms(0));
}

struct pk_report *pk_report_new(const struct pk_parts *parts, pk_report_fn *fn, void *arg)
{
	struct pk_report *r = pk_alloc(sizeof(*r));

	r->parts = parts;
	r->fn = fn;
	r->arg = arg;
	r->look = pk_timer_new(parts->loop, look, r);
	pk_report_soon(r);
	return r;
}

void pk_report_free(struct pk_report *r)
{
	if (!r)
		return;
	while (r->sets)
		set_free(r, r->sets);
	pk_str_done(&r->text);
	pk_timer_free(r->look);
	free(r);
}
