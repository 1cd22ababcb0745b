// SPDX-License-Identifier: Apache-2.0
/* Nomad's word on which tenants a node has: asked, kept, held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <stdlib.h>

#include "controller/cluster/pairs.h"
#include "own.h"

static enum pk_hosting word_on(struct pk_pairs *pairs, const char *node)
{
	bool is_new;

	return pk_pairs_of(pairs, node, &is_new);
}

/* Takes an answer with these nodes, which end with NULL. */
static struct pk_pairs_taken answer(struct pk_pairs *pairs, const char *const *here)
{
	struct pk_pairs_taken taken;

	pk_pairs_asked(pairs);
	for (; *here; here++)
		pk_pairs_here(pairs, *here);
	pk_pairs_take(pairs, &taken);
	return taken;
}

static void test_pairs(void **state)
{
	static const char *const none[] = { NULL }, *const one[] = { "one", NULL },
				 *const both[] = { "one", "two", NULL };
	struct pk_pairs *pairs = pk_pairs_new();
	bool is_new;

	(void)state;
	assert_int_equal(pk_pairs_of(pairs, "one", &is_new), PK_HOSTING_ASKED);
	assert_true(is_new && pk_pairs_any_new(pairs));
	pk_pairs_asked(pairs);
	assert_true(pk_pairs_lack(pairs));
	assert_int_equal(word_on(pairs, "two"), PK_HOSTING_ASKED); /* after the question */
	assert_true(pk_pairs_silent(pairs) && pk_pairs_any_new(pairs));
	assert_int_equal(word_on(pairs, "one"), PK_HOSTING_SILENT);
	assert_int_equal(word_on(pairs, "two"), PK_HOSTING_ASKED);
	assert_true(answer(pairs, both).changed && !pk_pairs_lack(pairs));
	assert_false(answer(pairs, both).changed);
	/* Nomad's no is its word for one; for all of them at once it is an absence. */
	assert_true(answer(pairs, one).any_no);
	assert_int_equal(word_on(pairs, "two"), PK_HOSTING_NO);
	assert_false(pk_pairs_lack(pairs));
	answer(pairs, both);
	assert_int_equal(word_on(pairs, "two"), PK_HOSTING_YES);
	assert_non_null(answer(pairs, none).held);
	assert_int_equal(word_on(pairs, "one"), PK_HOSTING_YES);
	assert_false(pk_pairs_silent(pairs)); /* what it said stays */
	/* What no settling asks for is forgotten, and new when it comes again. */
	pk_pairs_begin(pairs);
	word_on(pairs, "one");
	pk_pairs_end(pairs);
	assert_int_equal(word_on(pairs, "two"), PK_HOSTING_ASKED);
	pk_pairs_free(pairs);
}
int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
