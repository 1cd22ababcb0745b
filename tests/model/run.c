// SPDX-License-Identifier: Apache-2.0
/* One world's packets, asked of the model and of each guard. */
#include <stdlib.h>
#include <string.h>

#include "tests/model/model.h"

#define GUARDS 2

struct run {
	struct model *model;
	const struct guard *const *guards;
	bool exact;
	uint64_t rows[GUARDS][2][ROWS]; /* by turns: before and after */
	struct ids ids[GUARDS];
	uint32_t turn;
};

struct run *run_begin(const struct world *w, const struct guard *const *guards, bool exact)
{
	struct run *r = calloc(1, sizeof(*r));

	r->model = model_new(w);
	r->guards = guards;
	r->exact = exact;
	for (int i = 0; guards[i]; i++) {
		guards[i]->begin(w);
		guards[i]->counters(r->rows[i][0]);
	}
	return r;
}

/* The counters after a packet: where that is dear, of those that it may have raised. */
static void count(const struct run *r, const struct guard *g, const struct step *s,
		  const struct outcome *o, uint64_t *rows)
{
	uint32_t mine = PK_COUNTER(o->slot, o->dir, o->reason);

	if (r->exact) {
		g->counters(rows);
		return;
	}
	rows[mine] = g->counter(mine);
	if (o->also) {
		mine = PK_COUNTER(o->also, PK_INGRESS, PK_REASON_OK);
		rows[mine] = g->counter(mine);
	}
	if (o->maybe) {
		mine = PK_COUNTER(s->slot, s->hook != AT_ENDPOINT, o->maybe);
		rows[mine] = g->counter(mine);
	}
}

static void change(struct run *r, const struct step *s)
{
	uint32_t slot = s->slot;

	model_change(r->model, s);
	for (int i = 0; r->guards[i]; i++) {
		if (s->hook == NEW_WORD)
			r->guards[i]->put("words", &slot, &s->value);
		else if (s->hook == NEW_BUDGET)
			r->guards[i]->put("endpoints", &slot, model_endpoint(r->model, slot));
		else
			r->guards[i]->age(s->value);
	}
}

bool run_step(struct run *r, const struct step *s, struct outcome *o, char why[WHY])
{
	static struct result result;
	uint32_t was = r->turn, is = !was;
	bool holds = true, other = false;

	if (!is_packet(s->hook)) {
		memset(o, 0, sizeof(*o));
		o->where = GOES_ON;
		change(r, s);
		return true;
	}
	model_step(r->model, s, o);
	r->turn = is;
	for (int i = 0; r->guards[i]; i++) {
		struct deed deed = { r->guards[i], &result, r->rows[i][was], r->rows[i][is],
				     &r->ids[i] };

		memcpy(r->rows[i][is], r->rows[i][was], sizeof(r->rows[i][is]));
		if (s->user_only && !deed.guard->user)
			continue;
		deed.guard->run(s, &result);
		count(r, deed.guard, s, o, r->rows[i][is]);
		holds = holds && judge_deed(s, o, &deed, why);
		other |= judge_is_other(s, o, &deed);
	}
	if (other)
		model_undo(r->model);
	return holds;
}

const struct model *run_model(const struct run *r)
{
	return r->model;
}

bool run_end(struct run *r)
{
	uint64_t rows[ROWS];
	bool holds = true;

	for (int i = 0; r->guards[i]; i++) {
		r->guards[i]->counters(rows);
		holds &= !memcmp(rows, r->rows[i][r->turn], sizeof(rows));
	}
	model_free(r->model);
	free(r);
	return holds;
}
