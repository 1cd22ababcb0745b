/* SPDX-License-Identifier: Apache-2.0 */
/* Writes endpoints' limits. They are no policy, and change without a new rule set. */
#include <stdlib.h>

#include "log.h"
#include "sync_private.h"

static void limit(struct sync_pass *p, const struct pk_local_endpoint *m)
{
	struct pk_err refused, err = { 0 };
	struct pk_limits_held held;
	int r;

	pk_local_endpoint_limits(m, pk_model_get_settings(p->want->model), &held, &refused);
	r = pk_endpoint_limit(p->sync->bpf, m->slot, &held, pk_sync_until(), &err);
	sync_error(p, r, &err);
	if (r > 0)
		log_info("op=limits endpoint=%s", m->key);
	if (*refused.text && p->sync->refused[m->slot] != m->fed)
		log_warn("op=limits endpoint=%s err=\"%s\" fix=\"%s\" ignoring what it asks for",
			 m->key, refused.text, refused.fix);
	p->sync->refused[m->slot] = m->fed;
}

void sync_limits(struct sync_pass *p)
{
	const struct pk_model *model = p->want->model;
	const struct pk_local_endpoint *m;

	for (size_t i = 0; (m = p->done->few ? pk_model_touched(model, i) : pk_model_at(model, i));
	     i++) {
		if (p->held)
			return;
		if (sync_is_live(p, m))
			limit(p, m);
	}
}
