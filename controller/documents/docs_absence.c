/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deals with what a source's whole answer lacks: it is gone, moved or held. See docs.h and
 * absence.h.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "absence.h"
#include "docs_private.h"
#include "docsource.h"
#include "own.h"
#include "str.h"

struct past *docs_past(struct pk_docs *docs, const char *source)
{
	struct past *past;

	for (size_t i = 0; i < docs->n_pasts; i++)
		if (strcmp(docs->pasts[i]->source, source) == 0)
			return docs->pasts[i];
	docs->pasts =
		docs_room_for(docs->pasts, docs->n_pasts, &docs->room_pasts, sizeof(*docs->pasts));
	past = pk_alloc(sizeof(*past));
	past->source = pk_strdup(source);
	docs->pasts[docs->n_pasts++] = past;
	return past;
}

struct pk_docs_history *pk_docs_history(struct pk_docs *docs, const char *source)
{
	return &docs_past(docs, source)->history;
}

const char *pk_docs_behind(const struct pk_docs *docs, const char *of)
{
	for (size_t i = 0; i < docs->n_pasts; i++)
		if (docs->pasts[i]->history.behind && pk_source_in(docs->pasts[i]->source, of))
			return docs->pasts[i]->source;
	return NULL;
}

bool docs_set_held(struct pk_docs *docs, struct pk_doc_entry *e, const char *why)
{
	if (!why && !e->held)
		return false;
	if (why && e->held && strcmp(why, e->held) == 0)
		return false;
	if (!why != !e->held)
		docs_note(docs, e, why ? "held" : "back", why);
	free(e->held);
	e->held = pk_strdup(why);
	return true;
}

static bool lacks(const struct pk_docs_look *look, const struct pk_doc_entry *e)
{
	return pk_source_in(e->source, look->of) && !look->has(look->arg, e->path);
}

size_t pk_docs_lacking(const struct pk_docs *docs, const struct pk_docs_look *look)
{
	size_t n = 0;

	for (size_t i = 0; i < docs->n; i++)
		n += docs->list[i]->doc && !docs->list[i]->held && lacks(look, docs->list[i]);
	return n;
}

/* A name that an origin of the look has, or waits for, by source and name. */
struct present {
	char *key;
	const char *path;
	UT_hash_handle hh;
};

static const char *name_of(const struct pk_doc_entry *e)
{
	return e->doc ? e->doc->name : e->namesake;
}

static char *key_of(const struct pk_doc_entry *e)
{
	own_str key = { 0 };
	char *text;

	pk_str_addf(&key, "%s\n%s", e->source, name_of(e));
	text = pk_str_take(&key);
	if (!text)
		abort();
	return text;
}

static struct present *present_of(const struct pk_docs *docs, const struct pk_docs_look *look)
{
	struct present *all = NULL, *p;

	for (size_t i = 0; i < docs->n; i++) {
		const struct pk_doc_entry *e = docs->list[i];
		own_mem char *key = NULL;

		if (!name_of(e) || !pk_source_in(e->source, look->of) || lacks(look, e))
			continue;
		key = key_of(e);
		HASH_FIND_STR(all, key, p);
		if (p)
			continue;
		p = pk_alloc(sizeof(*p));
		*p = (struct present){ .key = PK_MOVE(key, NULL), .path = e->path };
		HASH_ADD_KEYPTR(hh, all, p->key, strlen(p->key), p);
	}
	return all;
}

static void present_free(struct present *all)
{
	struct present *p, *next;

	HASH_ITER (hh, all, p, next) {
		HASH_DEL(all, p);
		free(p->key);
		free(p);
	}
}

/*
 * Forgets an origin that is gone and whose name another one has now: its document was moved, not
 * lost.
 */
static bool forget_moved(struct pk_docs *docs, const struct pk_docs_look *look)
{
	struct present *all = present_of(docs, look), *p;
	bool any = false;

	for (size_t i = docs->n; i-- > 0;) {
		own_mem char *key = NULL;
		own_str why = { 0 };

		if (!docs->list[i]->doc || !lacks(look, docs->list[i]))
			continue;
		key = key_of(docs->list[i]);
		HASH_FIND_STR(all, key, p);
		if (!p)
			continue;
		pk_str_addf(&why, "its place is %s now", p->path);
		docs_drop(docs, i, why.text);
		any = true;
	}
	present_free(all);
	return any;
}

struct pk_absence pk_docs_absence(const struct pk_docs *docs, const char *of, uint64_t now_ms)
{
	struct pk_absence a = { 0 };

	for (size_t i = 0; i < docs->n; i++)
		a.had += docs->list[i]->doc && !docs->list[i]->held &&
			 pk_source_in(docs->list[i]->source, of);
	for (size_t i = 0; i < docs->n_pasts; i++)
		if (pk_source_in(docs->pasts[i]->source, of) &&
		    now_ms - docs->pasts[i]->gone_ms <= PK_ABSENCE_WINDOW_MS)
			a.recent += docs->pasts[i]->gone;
	return a;
}

/*
 * Settles stored documents that can't be read, once their source was looked at whole. A look that
 * is doubted doesn't count, nor one that finds nothing at all, which may be a missing mount.
 */
static void hear(struct pk_docs *docs, const struct pk_docs_look *look)
{
	own_mem char *origin = strndup(look->of, strcspn(look->of, "/"));
	bool found = false;

	if (!origin)
		abort();

	for (size_t i = 0; i < docs->n && !found; i++)
		found = pk_source_in(docs->list[i]->source, origin) && !docs->list[i]->held;
	for (size_t i = 0; i < docs->n_lost && found; i++)
		if (pk_source_in(docs->lost[i].source, look->of))
			docs->lost[i].heard = true;
}

/* Returns whether an entry that the look lacks stays, held. */
static bool is_kept(struct pk_docs *docs, const struct pk_docs_look *look, struct pk_doc_entry *e,
		    const char *held, bool *any)
{
	if (!e->doc || look->meant)
		return false;
	if (e->held)
		return true;
	if (held) {
		e->index = look->index;
		*any |= docs_set_held(docs, e, held);
	}
	return held != NULL;
}

/* Removes or holds what the look lacks. Of documents in force it lacks so many. */
static size_t remove_lacking(struct pk_docs *docs, const struct pk_docs_look *look, size_t lacking,
			     const char *held, bool *any)
{
	size_t gone = 0;

	for (size_t i = docs->n; i-- > 0;) {
		struct pk_doc_entry *e = docs->list[i];

		/* Where none is lacking nobody is asked for each of thousands. */
		if (!pk_source_in(e->source, look->of) || (!lacking && e->doc && !e->held))
			continue;
		if (look->has(look->arg, e->path)) {
			*any |= docs_set_held(docs, e, NULL);
			continue;
		}
		if (is_kept(docs, look, e, held, any))
			continue;
		gone += e->doc != NULL;
		e->index = look->index;
		docs_drop(docs, i, look->why);
		*any = true;
	}
	return gone;
}

static const char *why_held(const struct pk_docs_look *look, struct pk_absence *a)
{
	a->first = look->first;
	a->behind = look->behind;
	if (look->meant)
		return NULL;
	return look->held ?: pk_absence_held(a);
}

bool pk_docs_looked(struct pk_docs *docs, const struct pk_docs_look *look)
{
	struct past *past = docs_past(docs, look->of);
	size_t lacking = pk_docs_lacking(docs, look), gone;
	bool any = lacking && forget_moved(docs, look);
	struct pk_absence a = pk_docs_absence(docs, look->of, look->now_ms);
	const char *held;

	a.lacks = any ? pk_docs_lacking(docs, look) : lacking;
	held = why_held(look, &a);
	gone = remove_lacking(docs, look, a.lacks, held, &any);
	if (!held && !look->behind)
		hear(docs, look);
	past->gone = a.recent + gone;
	if (gone)
		past->gone_ms = look->now_ms;
	return any;
}

bool pk_docs_hold(struct pk_docs *docs, const char *of, const char *why)
{
	bool any = false;

	for (size_t i = 0; i < docs->n; i++)
		if (docs->list[i]->doc && pk_source_in(docs->list[i]->source, of))
			any |= docs_set_held(docs, docs->list[i], why);
	return any;
}

bool pk_docs_unhold(struct pk_docs *docs, const char *of, const char *why)
{
	bool any = false;

	for (size_t i = 0; i < docs->n; i++) {
		struct pk_doc_entry *e = docs->list[i];

		if (pk_source_in(e->source, of) && e->held && strcmp(e->held, why) == 0)
			any |= docs_set_held(docs, e, NULL);
	}
	return any;
}

size_t pk_docs_held(const struct pk_docs *docs, const char *of, const char **why)
{
	size_t n = 0;

	for (size_t i = 0; i < docs->n; i++) {
		if (!docs->list[i]->held || !pk_source_in(docs->list[i]->source, of))
			continue;
		if (why)
			*why = docs->list[i]->held;
		n++;
	}
	return n;
}

static bool is_meant(const struct pk_doc_entry *e, const char *what)
{
	size_t n = strlen(e->source);

	if (pk_source_in(e->source, what))
		return true;
	return strncmp(what, e->source, n) == 0 && what[n] == '/' &&
	       strcmp(what + n + 1, e->doc->name) == 0;
}

size_t pk_docs_release(struct pk_docs *docs, const struct pk_docs_meant *meant)
{
	size_t n = 0;

	for (size_t i = docs->n; i-- > 0;) {
		struct pk_doc_entry *e = docs->list[i];

		if (!e->doc || !is_meant(e, meant->what) ||
		    !(e->held || (meant->gone && meant->gone(meant->arg, e))))
			continue;
		meant->told(meant->arg, e);
		docs_drop(docs, i, "the operator says so");
		n++;
	}
	return n;
}

bool pk_docs_withdraw(struct pk_docs *docs, const char *of, const char *why)
{
	bool any = false;

	for (size_t i = docs->n_lost; i-- > 0;)
		if (pk_source_in(docs->lost[i].source, of))
			docs->lost[i].heard = true;
	for (size_t i = docs->n_pasts; i-- > 0;) {
		if (!pk_source_in(docs->pasts[i]->source, of))
			continue;
		free(docs->pasts[i]->source);
		free(docs->pasts[i]);
		docs->pasts[i] = docs->pasts[--docs->n_pasts];
	}
	for (size_t i = docs->n; i-- > 0;)
		if (pk_source_in(docs->list[i]->source, of)) {
			docs_drop(docs, i, why);
			any = true;
		}
	return any;
}
