/* SPDX-License-Identifier: Apache-2.0 */
/* Claims on blocks: whose each block is, by what was said. */
#include <stdlib.h>

#include "believed_private.h"
#include "own.h"

const struct pk_block_claims *pk_believed_claims(struct pk_believed *b)
{
	struct pk_block_claims *c = &b->claims;
	size_t n = 0;

	if (!PK_MOVE(b->claims_old, false))
		return c;
	for (const struct word *w = b->words; w; w = w->hh.next)
		n += w->claim != NULL;
	free(c->list);
	c->list = pk_alloc((n + 1) * sizeof(*c->list));
	c->n = 0;
	for (const struct word *w = b->words; w; w = w->hh.next)
		if (w->claim)
			c->list[c->n++] = (struct pk_block_claim){ .key = w->key,
								   .node = w->node,
								   .block = w->block,
								   .word = w->claim,
								   .created = w->created,
								   .modified = w->modified,
								   .kept = w->held || w->older };
	pk_block_claims_judge(c);
	return c;
}

const struct pk_block_claims *pk_believed_judged(const struct pk_believed *b)
{
	return &b->claims;
}

/*
 * Returns how many blocks a word takes. A claim that can't be read takes its block too: it may be
 * anybody's.
 */
static size_t taken_by(const struct word *w)
{
	return w->self ? w->self->n_blocks : w->kind == WORD_CLAIM && !w->claim;
}

size_t pk_believed_taken(const struct pk_believed *b, struct pk_prefix **out)
{
	size_t n = b->claims.n, k = 0;

	for (const struct word *w = b->words; w; w = w->hh.next)
		n += taken_by(w);
	*out = pk_alloc((n + 1) * sizeof(**out));
	for (size_t i = 0; i < b->claims.n; i++)
		(*out)[k++] = b->claims.list[i].block;
	for (const struct word *w = b->words; w; w = w->hh.next)
		for (size_t i = 0; i < taken_by(w); i++)
			(*out)[k++] = w->self ? w->self->blocks[i] : w->block;
	return n;
}

size_t pk_believed_unread_claims(const struct pk_believed *b, const char **key, const char **why)
{
	size_t n = 0;

	for (const struct word *w = b->words; w; w = w->hh.next) {
		if (w->kind != WORD_CLAIM || !w->bad || n++)
			continue;
		*key = w->key;
		*why = w->bad;
	}
	return n;
}
