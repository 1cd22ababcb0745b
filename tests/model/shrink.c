// SPDX-License-Identifier: Apache-2.0
/*
 * A sequence that fails becomes a shorter one: packets are dropped, mutations undone, what is left
 * cut off, as long as it still fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/seen.h"

/* Does it fail; and where? *n becomes the failing step's number + 1. */
static bool fails(const struct world *w, const struct guard *const *guards,
		  const struct step *steps, uint32_t *n, char why[WHY])
{
	struct run *r = run_begin(w, guards, true);
	struct outcome o;
	bool holds = true;

	for (uint32_t i = 0; i < *n && holds; i++) {
		holds = run_step(r, &steps[i], &o, why);
		if (!holds)
			*n = i + 1;
	}
	run_end(r);
	return !holds;
}

bool shrink_fails(const struct world *w, const struct guard *const *guards,
		  const struct step *steps, uint32_t n, char why[WHY])
{
	return fails(w, guards, steps, &n, why);
}

struct trial {
	const struct world *w;
	const struct guard *const *guards;
	struct step *steps, *other; /* what fails, and room to try another */
	uint32_t n;
	char why[WHY];
};

/* What stands in `other` takes its place where it fails, too. */
static bool try(struct trial *t, uint32_t n)
{
	char why[WHY];
	struct step *was = t->steps;

	if (!n || !fails(t->w, t->guards, t->other, &n, why))
		return false;
	t->steps = t->other;
	t->other = was;
	t->n = n;
	memcpy(t->why, why, sizeof(why));
	return true;
}

static bool without(struct trial *t, uint32_t from, uint32_t count)
{
	memcpy(t->other, t->steps, from * sizeof(*t->steps));
	memcpy(t->other + from, t->steps + from + count, (t->n - from - count) * sizeof(*t->steps));
	return try(t, t->n - count);
}

static void drop(struct trial *t)
{
	for (uint32_t count = t->n / 2; count; count /= 2)
		for (uint32_t from = 0; from + count <= t->n;)
			if (!without(t, from, count))
				from += count;
}

static void soothe(struct trial *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (!t->steps[i].mutated || !is_packet(t->steps[i].hook))
			continue;
		memcpy(t->other, t->steps, t->n * sizeof(*t->steps));
		t->other[i].frame = t->other[i].honest;
		t->other[i].mutated = false;
		memset(&t->other[i].beside, 0, sizeof(t->other[i].beside));
		t->other[i].user_only = false;
		try(t, t->n);
	}
}

static void shorten(struct trial *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t cut = t->steps[i].frame.len / 2;

		if (!is_packet(t->steps[i].hook))
			continue;
		for (; cut; cut /= 2) {
			memcpy(t->other, t->steps, t->n * sizeof(*t->steps));
			if (t->other[i].frame.len < 60 + cut || t->other[i].user_only)
				continue;
			t->other[i].frame.len -= cut;
			try(t, t->n);
			if (i >= t->n)
				return;
		}
	}
}

static void say_change(const struct step *s)
{
	if (s->hook == NEW_WORD)
		printf("  endpoint %u: rule set %u, flags %u, revision %u\n", s->slot,
		       PK_WORD_RULE_SET(s->value), PK_WORD_FLAGS(s->value),
		       PK_WORD_REVISION(s->value));
	else if (s->hook == NEW_BUDGET)
		printf("  endpoint %u: %lu live flows\n", s->slot, s->value);
	else
		printf("  %.3f seconds\n", (double)s->value / 8);
}

static void say_step(const struct step *s)
{
	static const char *const hooks[] = { "from endpoint", "from the stack to",
					     "by the uplink" };

	if (!is_packet(s->hook)) {
		say_change(s);
		return;
	}
	printf("  %s %u%s%s%s, %u bytes:", hooks[s->hook], s->slot,
	       s->forwarded ? ", forwarded" : "", s->mutated ? ", mutated" : "",
	       s->beside.vlan || s->beside.partial || s->beside.gso ? ", with metadata" : "",
	       s->frame.len);
	for (uint32_t i = 0; i < s->frame.len; i++)
		printf("%s%02x", i == L3 || i == 14 + 20 || i == 14 + 40 ? "  " : "",
		       s->frame.b[i]);
	printf("\n");
}

void shrink(const struct world *w, const struct guard *const *guards, struct step *steps,
	    uint32_t n)
{
	struct trial t = { w, guards, calloc(n, sizeof(*steps)), calloc(n, sizeof(*steps)), n, "" };

	memcpy(t.other, steps, n * sizeof(*steps));
	if (!try(&t, n)) {
		printf("  it doesn't fail again\n");
	} else {
		drop(&t);
		soothe(&t);
		drop(&t);
		shorten(&t);
		printf("  of %u packets %u are left: %s\n", n, t.n, t.why);
		for (uint32_t i = 0; i < t.n; i++)
			say_step(&t.steps[i]);
	}
	free(t.steps);
	free(t.other);
}
