/* SPDX-License-Identifier: Apache-2.0 */
#include "kv_wait.h"

#include "loop.h"

static unsigned int seconds_of(struct pk_kv_wait *w, bool hasty)
{
	if (!hasty) {
		w->hasty = 0;
		return PK_KV_WAIT_S;
	}
	return 1 + (unsigned int)(pk_backoff_ms(w->hasty++) / 1000);
}

void pk_kv_wait_begin(struct pk_kv_wait *w, uint64_t index, bool hasty, uint64_t now_ms)
{
	w->index = index;
	w->asked_ms = now_ms;
	w->seconds = seconds_of(w, hasty);
}

bool pk_kv_wait_ran_out(const struct pk_kv_wait *w, uint64_t now_ms)
{
	return w->index && now_ms - w->asked_ms >= w->seconds * 1000ull;
}

bool pk_kv_wait_suspects(struct pk_kv_wait *w, uint64_t index, uint64_t now_ms)
{
	bool before = w->woken;

	if (!w->index)
		return false;
	w->woken = index == w->index && !pk_kv_wait_ran_out(w, now_ms);
	return w->woken && !before;
}
