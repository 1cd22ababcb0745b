/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/endpoints: the plugin tells of an endpoint that is open under its base, and waits a
 * moment for Nomad's word on its claims, and for its tenant's documents where those aren't known
 * here yet (docs/api.md).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api.h"
#include "parts.h"
#include "json.h"
#include "log.h"
#include "own.h"

#define CONFIRM_MS 2000

struct waiting {
	LIST_ENTRY(waiting) link;
	const struct pk_parts *parts;
	struct pk_exchange
		*x; /* NULL: the plugin waits no longer; Nomad's word counts all the same */
	struct pk_confirm *confirm; /* NULL: Nomad has said what it will */
	struct pk_timer *timer;
	bool late; /* it is time to answer, whatever is awaited */
	char *key;
};

static LIST_HEAD(waitings, waiting) all;

struct claim {
	const char *container_id, *ifname, *tenant_name, *job, *group;
	int64_t slot;
};

static int get_text(const struct pk_json_doc *doc, const char *key, const char **out,
		    struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(pk_json_root(doc), key);

	if (v && pk_json_type(v) == PK_JSON_NULL)
		return 0;
	return pk_json_get_string(doc, pk_json_root(doc), key, out, err);
}

static int read_claim(const struct pk_json_doc *doc, struct claim *c, struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(doc);
	int r = get_text(doc, "containerId", &c->container_id, err);

	if (r == 0)
		r = get_text(doc, "ifname", &c->ifname, err);
	if (r == 0)
		r = get_text(doc, "namespace", &c->tenant_name, err);
	if (r == 0)
		r = get_text(doc, "job", &c->job, err);
	if (r == 0)
		r = get_text(doc, "group", &c->group, err);
	if (r == 0)
		r = pk_json_get_int(doc, root, "slot", (struct pk_json_range){ 1, PK_CAPACITY_MAX },
				    &c->slot, err);
	if (r == 0 && (!c->container_id || !c->ifname || !c->slot))
		r = pk_fail(err, 0, "containerId, ifname and slot are needed");
	return r;
}

static void answer(const struct pk_parts *p, struct pk_exchange *x,
		   const struct pk_local_endpoint *m)
{
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_jw_open(&w, NULL, '{');
	if (m && m->confirmed == PK_CONTRADICTED)
		pk_jw_string(&w, "confirmed", "contradicted");
	else
		pk_jw_bool(&w, "confirmed", m && m->confirmed != PK_UNCONFIRMED);
	pk_jw_bool(&w, "switched", m && pk_sync_in_step(p->sync, p->model, m));
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

static void waiting_free(struct waiting *w)
{
	LIST_REMOVE(w, link);
	pk_timer_free(w->timer);
	free(w->key);
	free(w);
}

/*
 * Returns whether Nomad's word is awaited, or the documents of a tenant that is new on this node.
 */
static bool is_waiting(const struct waiting *w)
{
	const struct pk_local_endpoint *m = pk_model_get(w->parts->model, w->key);

	return w->confirm || (m && !w->late && w->x &&
			      pk_model_awaits(w->parts->model, pk_local_endpoint_namespace(m)));
}

/* Answers and ends those that wait no longer. */
static void settle(struct waiting *w)
{
	const struct pk_parts *p = w->parts;
	struct pk_exchange *x = w->x;
	own_mem char *key = NULL;

	if (is_waiting(w))
		return;
	key = PK_MOVE(w->key, NULL);
	waiting_free(w);
	if (x)
		answer(p, x, pk_model_get(p->model, key));
}

void pk_api_confirm_passed(void)
{
	struct waiting *next;

	for (struct waiting *w = LIST_FIRST(&all); w; w = next) {
		next = LIST_NEXT(w, link);
		settle(w);
	}
}

static void on_alloc(void *arg, struct pk_alloc *alloc, bool unknown)
{
	struct waiting *w = arg;
	const struct pk_parts *p = w->parts;

	(void)unknown;
	w->confirm = NULL;
	if (alloc && pk_model_alloc(p->model, alloc))
		pk_apply_now(p->apply); /* settles it */
	else
		settle(w);
}

static void on_late(void *arg)
{
	struct waiting *w = arg;

	w->late = true;
	settle(w);
}

static void on_gone(void *arg)
{
	struct waiting *w = arg;

	w->x = NULL;
	settle(w);
}

static void wait_for(const struct pk_parts *p, struct pk_exchange *x,
		     const struct pk_local_endpoint *m)
{
	/*
	 * Nomad isn't asked about an endpoint whose claims it has judged, or that are none of
	 * Nomad's.
	 */
	bool ask = m->confirmed == PK_UNCONFIRMED && p->nomad &&
		   (m->tenant_name || m->claims != PK_ARGS_BELIEVED);
	struct waiting *w = pk_alloc(sizeof(*w));

	*w = (struct waiting){ .parts = p, .x = x, .key = pk_strdup(m->key) };
	LIST_INSERT_HEAD(&all, w, link);
	w->timer = pk_timer_new(p->loop, on_late, w);
	pk_timer_set(w->timer, CONFIRM_MS);
	if (ask)
		w->confirm = pk_nomad_confirm(p->nomad, m->container_id, CONFIRM_MS, on_alloc, w);
	pk_exchange_on_close(x, on_gone, w);
}

static void serve(const struct pk_parts *p, struct pk_exchange *x, const struct claim *c)
{
	const struct pk_local_endpoint *m;
	struct pk_record_name name;
	own_str key = { 0 };
	own_str file = { 0 };

	pk_str_addf(&key, "%s@%s", c->container_id, c->ifname);
	pk_str_addf(&file, "%s@%u", key.text, (unsigned int)c->slot);
	if (pk_record_name_parse(file.text, &name) == 0)
		pk_records_look_at(p->records, &name);
	m = pk_model_get(p->model, key.text);
	if (!m || m->slot != (uint32_t)c->slot) {
		pk_exchange_error(x, 404, "no open record of that endpoint and slot", NULL);
		return;
	}
	pk_model_opened(p->model, m->key);
	wait_for(p, x, m);
	pk_apply_now(p->apply); /* answers what need not wait */
}

void pk_api_confirm(const struct pk_parts *p, struct pk_exchange *x)
{
	static const char *const keys[] = { "containerId", "ifname", "slot",  "namespace",
					    "job",	   "group",  "ports", NULL };
	struct claim c = { 0 };
	struct pk_err err = { 0 };
	own_json *doc = NULL;

	if (pk_api_read_body(x, keys, &doc, &err) < 0 || read_claim(doc, &c, &err) < 0) {
		pk_exchange_error(x, 400, err.text, err.fix);
		return;
	}
	serve(p, x, &c);
}

void pk_api_confirm_stop(void)
{
	while (!LIST_EMPTY(&all)) {
		struct waiting *w = LIST_FIRST(&all);
		struct pk_exchange *x = w->x;

		pk_confirm_cancel(w->confirm);
		waiting_free(w);
		if (x)
			pk_exchange_error(x, 503, "picketd is ending", NULL);
	}
}
