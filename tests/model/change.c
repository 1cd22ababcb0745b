// SPDX-License-Identifier: Apache-2.0
/* What changes between packets: rules, budgets, the time. */
#include "tests/model/cast.h"
#include "tests/model/generate.h"

/* The endpoint comes under another rule set: all of its flows are judged again. */
static bool rules_change(struct step *s, const struct model *m, struct dice *d)
{
	uint64_t word;

	s->hook = NEW_WORD;
	s->slot = (uint8_t)(1 + dice_below(d, SLOTS - 1));
	word = model_word_of(m, s->slot);
	s->value = PK_WORD(1 + dice_below(d, SETS - 1), cast_masquerade(d),
			   PK_WORD_REVISION(word) + 1);
	return word;
}

static bool budget_changes(struct step *s, const struct model *m, struct dice *d)
{
	s->hook = NEW_BUDGET;
	s->slot = (uint8_t)(1 + dice_below(d, SLOTS - 1));
	s->value = dice_one_in(d, 4) ? 0 : 1 + dice_below(d, 12);
	return model_word_of(m, s->slot);
}

/*
 * A number of seconds and an eighth, so that no sum of them is a whole number, and a busy machine's
 * clock is no matter. Of one that goes by in single tokens also the number of a bucket's steps isn't.
 */
static bool time_passes(struct step *s, const struct model *m, struct dice *d)
{
	static const uint16_t slow[] = { 9, 19, 28, 165, 364 };

	s->hook = TIME;
	s->value = dice_one_in(d, 2) ? 1 + dice_below(d, 4) : 1 + dice_below(d, 40);
	s->value = s->value * 8 + 1;
	if (model_is_slow(m))
		s->value = slow[dice_below(d, sizeof(slow) / sizeof(*slow))];
	return model_may_wait(m);
}

bool change(const struct model *m, struct dice *d, struct step *s)
{
	uint32_t n = dice_below(d, 360);

	if (n < 6)
		return rules_change(s, m, d);
	if (n < 8)
		return budget_changes(s, m, d);
	return n < 12 && time_passes(s, m, d);
}
