/* SPDX-License-Identifier: Apache-2.0 */
/* The words of other nodes, key by key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "believed_private.h"
#include "own.h"

#define NODES  "nodes/"
#define BLOCKS "blocks/"

static void self_free(struct pk_node_word *self)
{
	if (self)
		pk_node_word_done(self);
	free(self);
}

/* Marks the claims as to be judged again, where the word is one. */
static void note_claim(struct pk_believed *b, const struct word *w)
{
	b->claims_old |= w->kind == WORD_CLAIM;
}

static void word_done(struct word *w)
{
	pk_share_done(&w->share);
	self_free(w->self);
	free(w->claim);
	free(w->bad);
	free(w->key);
	free(w->node);
	free(w->tenant_name);
	free(w);
}

static void word_free(struct pk_believed *b, struct word *w)
{
	note_claim(b, w);
	HASH_DEL(b->words, w);
	word_done(w);
}

void words_free(struct pk_believed *b)
{
	struct word *w, *next;

	pk_believed_drop_ahead(b, "");
	HASH_ITER (hh, b->words, w, next)
		word_free(b, w);
}

/* Returns whether the key is PREFIX and one part behind it. */
static bool is_below(const char *key, const char *prefix, const char *last)
{
	return strncmp(key, prefix, strlen(prefix)) == 0 && last == key + strlen(prefix) - 1;
}

/* Makes a word of a share's key, of "nodes/NODE" or of "blocks/BLOCK", else NULL. */
static struct word *word_new(const char *key)
{
	const char *last = strrchr(key, '/');
	struct pk_prefix block = { 0 };
	struct pk_share_key share;
	enum word_kind kind;
	struct word *w;

	if (!last || !last[1])
		return NULL;
	if (pk_share_key_read(key, &share))
		kind = WORD_SHARE;
	else if (is_below(key, NODES, last))
		kind = WORD_NODE;
	else if (is_below(key, BLOCKS, last) && pk_claim_block(last + 1, &block))
		kind = WORD_CLAIM;
	else
		return NULL;
	w = pk_alloc(sizeof(*w));
	w->kind = kind;
	w->block = block;
	w->key = pk_strdup(key);
	if (kind == WORD_SHARE) {
		w->node = pk_strndup(share.node, share.node_len);
		w->tenant_name = pk_strndup(share.tenant_name, share.tenant_len);
	} else {
		w->node = pk_strdup(kind == WORD_CLAIM ? "" : last + 1);
	}
	return w;
}

/* A text that was read; the members of its kind are set. */
struct text {
	struct pk_share share;
	struct pk_node_word *self;
	struct pk_claim_word *claim;
	uint64_t number;
};

static void text_done(struct text *t)
{
	pk_share_done(&t->share);
	self_free(t->self);
	free(t->claim);
}

static int read_text(struct pk_believed *b, const struct word *w, const struct pk_said *said,
		     struct text *t, struct pk_err *err)
{
	int r;

	switch (w->kind) {
	case WORD_NODE:
		t->self = pk_alloc(sizeof(*t->self));
		r = pk_node_word_decode(said->text, said->len, t->self, err);
		t->number = t->self->number;
		return r;
	case WORD_CLAIM:
		t->claim = pk_alloc(sizeof(*t->claim));
		r = pk_claim_word_decode(said->text, said->len, t->claim, err);
		t->number = t->claim->number;
		return r;
	case WORD_SHARE:
		r = pk_share_decode(said->text, said->len, w->tenant_name, b->labels, &t->share,
				    err);
		t->number = t->share.number;
		return r;
	}
	return -EINVAL;
}

static void take_text(struct word *w, struct text *t)
{
	struct text before = { w->share, w->self, w->claim, 0 };

	w->said = true;
	w->number = t->number;
	w->share = t->share;
	w->self = t->self;
	w->claim = t->claim;
	*t = before;
	if (w->kind != WORD_CLAIM)
		return;
	free(w->node);
	w->node = pk_strdup(w->claim->node);
}

/* A key's text that was read before the answer that has it was taken. */
struct ahead {
	struct word *w; /* made of the key; it is none of the words */
	uint64_t hash[2];
	struct text text;
	struct pk_err err;
	int r;
	UT_hash_handle hh;
};

static bool was_read(const struct word *w, const uint64_t hash[2])
{
	return w->read && memcmp(w->read_hash, hash, sizeof(w->read_hash)) == 0;
}

void pk_believed_read_ahead(struct pk_believed *b, const struct pk_said *said)
{
	uint64_t hash[2];
	struct word *w;
	struct ahead *a;

	pk_hash128(said->text, said->len, hash);
	HASH_FIND_STR(b->words, said->key, w);
	HASH_FIND_STR(b->ahead, said->key, a);
	if (a || (w && was_read(w, hash)) || !(w = word_new(said->key)))
		return;
	a = pk_alloc(sizeof(*a));
	a->w = w;
	memcpy(a->hash, hash, sizeof(hash));
	a->r = read_text(b, w, said, &a->text, &a->err);
	HASH_ADD_KEYPTR(hh, b->ahead, w->key, strlen(w->key), a);
}

void pk_believed_drop_ahead(struct pk_believed *b, const char *below)
{
	struct ahead *a, *next;

	HASH_ITER (hh, b->ahead, a, next) {
		if (strncmp(a->w->key, below, strlen(below)) != 0)
			continue;
		HASH_DEL(b->ahead, a);
		text_done(&a->text);
		word_done(a->w);
		free(a);
	}
}

/* Gives the text as it was read ahead, else reads it now. */
static int get_text(struct pk_believed *b, const struct word *w, const struct pk_said *said,
		    const uint64_t hash[2], struct text *t, struct pk_err *err)
{
	struct ahead *a;

	HASH_FIND_STR(b->ahead, w->key, a);
	if (!a || memcmp(a->hash, hash, sizeof(a->hash)) != 0)
		return read_text(b, w, said, t, err);
	*t = PK_MOVE(a->text, (struct text){ 0 });
	*err = a->err;
	memset(a->hash, 0, sizeof(a->hash)); /* it is given once */
	return a->r;
}

/*
 * Returns whether a text of that number isn't taken, for it is older than what is believed. A
 * stored number past the maximum was written by somebody else than the key's owner: it doesn't make
 * the owner's next text older.
 */
static bool is_older(const struct word *w, const struct pk_said *said, uint64_t number)
{
	return w->said && said->doubt && number < w->number && w->number <= PK_WORD_NUMBER_MAX;
}

static int read_word(struct pk_believed *b, struct word *w, const struct pk_said *said)
{
	PK_OWN(text_done) struct text t = { 0 };
	struct pk_err err = { 0 };
	uint64_t hash[2];
	int r;

	pk_hash128(said->text, said->len, hash);
	if (was_read(w, hash)) {
		if (w->bad)
			return -EINVAL;
		w->older = is_older(w, said, w->read_number);
		if (w->older || w->read_number == w->number)
			return 0;
	}
	r = get_text(b, w, said, hash, &t, &err);
	w->read = true;
	memcpy(w->read_hash, hash, sizeof(hash));
	w->read_number = t.number;
	free(w->bad);
	w->bad = r < 0 ? pk_strdup(err.text) : NULL;
	if (r < 0)
		return -EINVAL;
	w->older = is_older(w, said, t.number);
	if (w->older || (w->said && t.number == w->number))
		return 0;
	take_text(w, &t);
	return 1;
}

int pk_believed_say(struct pk_believed *b, const struct pk_said *said)
{
	struct pk_said taken = *said;
	bool is_new, changed;
	struct word *w;
	int r;

	HASH_FIND_STR(b->words, said->key, w);
	is_new = !w;
	w = w ?: word_new(said->key);
	if (!w)
		return -EINVAL;
	if (is_new)
		HASH_ADD_KEYPTR(hh, b->words, w->key, strlen(w->key), w);
	note_claim(b, w);
	changed = is_new || w->live != said->live || w->held;
	if (is_new || w->live != said->live)
		w->since = is_new && !said->live ? 0 : said->now;
	w->live = said->live;
	w->kept |= !said->modified;
	/* An older word stays doubted until somebody writes its key again. */
	taken.doubt |= w->older && w->modified == said->modified;
	w->held = NULL;
	w->created = said->created;
	w->modified = said->modified;
	r = read_word(b, w, &taken);
	return r < 0 ? r : r || changed;
}

void pk_believed_lack(struct pk_believed *b, const char *key, const char *held, time_t now)
{
	struct word *w;

	HASH_FIND_STR(b->words, key, w);
	if (!w)
		return;
	if (!held) {
		word_free(b, w);
		return;
	}
	note_claim(b, w);
	if (w->live)
		w->since = now;
	w->live = false;
	w->held = held;
	w->modified = 0;
}

bool pk_believed_is_empty(const struct pk_believed *b, const char *key)
{
	const struct word *w;

	HASH_FIND_STR(b->words, key, w);
	return w && w->tenant_name && !w->bad && !w->share.n;
}

void pk_believed_each(struct pk_believed *b, const char *below, bool fresh, pk_believed_fn *fn,
		      void *arg)
{
	struct word *w, *next;

	HASH_ITER (hh, b->words, w, next)
		if (strncmp(w->key, below, strlen(below)) == 0 && !(fresh && w->held))
			fn(arg, w->key);
}

bool pk_believed_release(struct pk_believed *b, pk_believed_fn *told, void *arg)
{
	struct word *w, *next;
	bool any = false;

	HASH_ITER (hh, b->words, w, next)
		if (w->held) {
			told(arg, w->key);
			word_free(b, w);
			any = true;
		}
	return any;
}
