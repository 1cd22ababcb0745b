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

size_t pk_believed_taken(const struct pk_believed *b, struct pk_prefix **out)
{
	size_t n = b->claims.n, k = 0;

	for (const struct word *w = b->words; w; w = w->hh.next)
		n += w->self ? w->self->n_blocks : 0;
	*out = pk_alloc((n + 1) * sizeof(**out));
	for (size_t i = 0; i < b->claims.n; i++)
		(*out)[k++] = b->claims.list[i].block;
	for (const struct word *w = b->words; w; w = w->hh.next)
		for (size_t i = 0; w->self && i < w->self->n_blocks; i++)
			(*out)[k++] = w->self->blocks[i];
	return n;
}
