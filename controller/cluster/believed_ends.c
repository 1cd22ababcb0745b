/* SPDX-License-Identifier: Apache-2.0 */
/* Where nodes say that they are reached. */
#include <stdio.h>

#include "believed_private.h"
#include "own.h"

static const struct pk_node_word *own_word(const struct pk_believed *b)
{
	own_str key = { 0 };
	struct word *w;

	pk_str_addf(&key, "nodes/%s", b->own);
	HASH_FIND_STR(b->words, key.text, w);
	return w ? w->self : NULL;
}

static bool has_end(const struct pk_node_word *word, const union pk_addr *addr)
{
	for (size_t i = 0; word && i < word->n_addresses; i++)
		if (pk_addr_equal(&word->addresses[i], addr))
			return true;
	return false;
}

static bool is_in_range(const union pk_addr *addr, const struct pk_believed_world *world)
{
	for (size_t i = 0; i < world->n_range; i++)
		if (pk_prefix_has(&world->range[i], addr))
			return true;
	return false;
}

bool ends_are_wrong(const struct pk_believed *b, const struct word *w,
		    const struct pk_believed_world *world, char why[ENDS_WHY])
{
	const struct pk_node_word *own = own_word(b);
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < w->self->n_addresses; i++) {
		const union pk_addr *addr = &w->self->addresses[i];

		pk_addr_format(addr, text);
		if (has_end(own, addr))
			snprintf(why, ENDS_WHY, "its address %s is %.64s's", text, b->own);
		else if (is_in_range(addr, world))
			snprintf(why, ENDS_WHY,
				 "its address %s is an endpoint's, of \"blocks\": { \"range\" }",
				 text);
		else
			continue;
		return true;
	}
	return false;
}
