/* SPDX-License-Identifier: Apache-2.0 */
/* The live connections that a plan would cut: each is asked, before and after. */
#include <stdlib.h>
#include <string.h>

#include "plan_private.h"

struct owner {
	union pk_addr addr;
	const struct pk_world_endpoint *ep[2]; /* before, after */
};

struct owners {
	struct owner *list;
	size_t n;
};

static void owners_done(struct owners *p)
{
	free(p->list);
}

static int cmp_owner(const void *a, const void *b)
{
	return memcmp(&((const struct owner *)a)->addr, &((const struct owner *)b)->addr,
		      sizeof(union pk_addr));
}

static void find_owners(const struct plan_work *w, struct owners *out)
{
	const struct pk_world *before = pk_asker_world(w->side[0]->asker);
	const struct pk_world *after = pk_asker_world(w->side[1]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(before, NULL); ep;
	     ep = pk_world_next(before, ep))
		for (size_t i = 0; i < ep->n_addresses; i++) {
			out->list = realloc(out->list, (out->n + 1) * sizeof(*out->list));
			if (!out->list)
				abort();
			out->list[out->n++] = (struct owner){
				.addr = ep->addresses[i],
				.ep = { ep, pk_world_get(after, ep->key) },
			};
		}
	if (out->n)
		qsort(out->list, out->n, sizeof(*out->list), cmp_owner);
}

static bool in_pools(const struct pk_settings *settings, const union pk_addr *addr)
{
	for (size_t i = 0; i < settings->n_pools; i++)
		if (pk_prefix_has(&settings->pools[i], addr))
			return true;
	return false;
}

static struct pk_peer no_endpoint(const struct pk_settings *settings, const struct pk_plan_flow *f,
				  int end)
{
	struct pk_peer peer = { .party = PK_PARTY_WORLD, .address = f->addr[end] };

	if (f->host[end])
		peer.party = PK_PARTY_HOST;
	else if (in_pools(settings, &f->addr[end]))
		peer.party = PK_PARTY_UNKNOWN;
	return peer;
}

/* Finds one end of a flow, before and after. */
static void find_end(const struct plan_work *w, const struct owners *owners,
		     const struct pk_plan_flow *f, int end, struct pk_peer out[2])
{
	const struct owner key = { .addr = f->addr[end] }, *owner = NULL;

	if (owners->n)
		owner = bsearch(&key, owners->list, owners->n, sizeof(key), cmp_owner);
	for (int i = 0; i < 2; i++)
		out[i] = owner && owner->ep[i] ? (struct pk_peer){ .party = PK_PARTY_ENDPOINT,
								   .endpoint = owner->ep[i] }
					       : no_endpoint(&w->side[i]->settings, f, end);
}

/* Writes the name that the plan gives to that end. */
static void name_end(const struct plan_work *w, const struct pk_peer *peer, struct pk_str *out)
{
	const struct plan_party *party =
		peer->party == PK_PARTY_ENDPOINT ? plan_party_of(w, peer->endpoint) : NULL;
	char text[PK_ADDR_TEXT];

	if (party)
		pk_str_add(out, party->name);
	else if (peer->party == PK_PARTY_ENDPOINT)
		pk_str_add(out, peer->endpoint->key);
	else if (peer->party == PK_PARTY_HOST)
		pk_str_add(out, "host");
	else
		pk_str_addf(out, "%s:%s", peer->party == PK_PARTY_WORLD ? "world" : "unknown",
			    pk_addr_format(&peer->address, text));
}

static bool is_world(const char *name)
{
	return strncmp(name, "world:", 6) == 0;
}

/*
 * Returns whether the plan's name is that of this end. An address of the world is shown by one that
 * stands for it, of its family.
 */
static bool same_end(const char *name, const char *end)
{
	if (is_world(name) && is_world(end))
		return !strchr(name + 6, ':') == !strchr(end + 6, ':');
	return strcmp(name, end) == 0;
}

/*
 * Returns the plan's line that a cut connection belongs to: that of its port, else that of "other
 * ports", else a new one (another address of the world may differ).
 */
static struct pk_plan_change *line_of(struct plan_work *w, const struct pk_plan_flow *f,
				      const char *from, const char *to)
{
	const struct plan_sample own = { .proto = f->proto, .port = f->port, .end = f->port };
	struct pk_plan_change *other = NULL;
	bool closes = false;

	for (size_t i = 0; i < w->out->n; i++) {
		struct pk_plan_change *c = &w->out->changes[i];

		if (c->after != PK_DENY || !same_end(c->from, from) || !same_end(c->to, to))
			continue;
		closes = true;
		if (c->proto != f->proto)
			continue;
		if (!c->other && c->port <= f->port && f->port <= c->end)
			return c;
		if (c->other && !other)
			other = c;
	}
	if (other)
		return other;
	w->out->closed += !closes;
	return plan_add_change(w, from, to, &own);
}

/* Counts n connections that are alike where the change cuts them. */
static int count_alike(struct plan_work *w, const struct owners *owners,
		       const struct pk_plan_flow *f, size_t n)
{
	struct pk_peer from[2], to[2];
	own_str from_name = { 0 }, to_name = { 0 };
	enum pk_verdict got[2];

	find_end(w, owners, f, 0, from);
	find_end(w, owners, f, 1, to);
	for (int i = 0; i < 2; i++) {
		const struct pk_connection c = {
			.from = from[i], .to = to[i], .proto = f->proto, .port = f->port
		};
		struct pk_connection_verdict v;
		int r = pk_ask_connection(w->side[i]->asker, PK_ASK_COMPILED, &c, &v, w->err);

		if (r < 0)
			return r;
		got[i] = v.verdict;
	}
	if (got[0] != PK_ALLOW || got[1] != PK_DENY)
		return 0;
	name_end(w, &from[1], &from_name);
	name_end(w, &to[1], &to_name);
	line_of(w, f, from_name.text, to_name.text)->cut += n;
	w->out->cut += n;
	return 0;
}

int pk_plan_flow_cmp(const struct pk_plan_flow *a, const struct pk_plan_flow *b)
{
	int c = memcmp(a->addr, b->addr, sizeof(a->addr));

	c = c ? c : a->proto - b->proto;
	c = c ? c : a->port - b->port;
	c = c ? c : a->host[0] - b->host[0];
	return c ? c : a->host[1] - b->host[1];
}

static int cmp_flow(const void *a, const void *b)
{
	return pk_plan_flow_cmp(a, b);
}

int plan_count_flows(struct plan_work *w)
{
	PK_OWN(owners_done) struct owners owners = { 0 };
	struct pk_plan_flow *f = w->ask->flows;
	size_t n = w->ask->n_flows, end;

	if (!n)
		return 0;
	find_owners(w, &owners);
	qsort(f, n, sizeof(*f), cmp_flow);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && cmp_flow(&f[i], &f[end]) == 0; end++)
			;
		if (count_alike(w, &owners, &f[i], end - i) < 0)
			return -1;
	}
	return 0;
}
