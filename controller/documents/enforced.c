/* SPDX-License-Identifier: Apache-2.0 */
#include "enforced.h"

bool pk_enforced_has_tables(struct pk_sync *sync, const struct pk_local_endpoint *m)
{
	struct pk_sync_state state;

	pk_sync_state(sync, m, &state);
	return m->open && m->epoch_matches && state.rule_set;
}

enum pk_fit pk_enforced_fit(struct pk_sync *sync, struct pk_model *model,
			    const struct pk_local_endpoint *m)
{
	if (!pk_sync_in_step(sync, model, m))
		return PK_FIT_NONE;
	return pk_engine_fit(pk_model_engine(model), m->key);
}

static bool is_same(const struct pk_enforced *e, const struct pk_sync_state *state)
{
	return state->rule_set && e->rule_set == state->rule_set && e->revision == state->revision;
}

static void note(struct pk_sync *sync, struct pk_model *model, const struct pk_local_endpoint *m,
		 uint64_t number)
{
	enum pk_fit fit = pk_enforced_fit(sync, model, m);
	struct pk_enforced now = m->enforced;
	struct pk_sync_state state;

	if (fit == PK_FIT_NONE)
		return;
	pk_sync_state(sync, m, &state);
	if (!is_same(&now, &state))
		now = (struct pk_enforced){ .rule_set = state.rule_set,
					    .revision = state.revision };
	now.operators = number;
	if (fit == PK_FIT_ALL)
		now.all = number;
	pk_model_enforced(model, m->key, &now);
}

void pk_enforced_note(struct pk_sync *sync, struct pk_model *model, uint64_t number)
{
	for (const struct pk_local_endpoint *m = pk_model_next(model, NULL); m;
	     m = pk_model_next(model, m))
		if (pk_enforced_has_tables(sync, m))
			note(sync, model, m, number);
}

uint64_t pk_enforced_noted(struct pk_sync *sync, const struct pk_local_endpoint *m, bool operators)
{
	struct pk_sync_state state;

	pk_sync_state(sync, m, &state);
	if (!is_same(&m->enforced, &state))
		return 0;
	return operators ? m->enforced.operators : m->enforced.all;
}
