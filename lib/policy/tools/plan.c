/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "icmp.h"
#include "plan_private.h"

#define PAIRS_MAX     10000000 /* most are the same before and after, which costs little */
#define QUESTIONS_MAX 20000000 /* about the others */

const struct pk_entry *plan_next_entry(const struct plan_work *w, struct plan_entry_at *at)
{
	for (; at->doc < w->ask->n_changed; at->doc++, at->rule = 0)
		for (; at->rule < w->ask->changed[at->doc]->n_rules; at->rule++, at->dir = 0)
			for (; at->dir < 2; at->dir++, at->entry = 0) {
				const struct pk_rule *rule =
					&w->ask->changed[at->doc]->rules[at->rule];

				if (at->entry < rule->n_entries[at->dir])
					return &rule->entries[at->dir][at->entry++];
			}
	return NULL;
}

int plan_ask_pair(struct plan_work *w, const struct plan_pair *pair, const struct plan_sample *s,
		  enum pk_verdict got[2])
{
	if (w->questions++ == QUESTIONS_MAX)
		return pk_fail(w->err, 0, "more than %d verdicts may differ: too many to compare",
			       QUESTIONS_MAX);
	for (int i = 0; i < 2; i++) {
		const struct pk_connection c = { .from = pair->ends.from[i],
						 .to = pair->ends.to[i],
						 .proto = s->proto,
						 .port = s->port };
		struct pk_connection_verdict v;
		int r = pk_ask_connection(w->side[i]->asker, PK_ASK_COMPILED, &c, &v, w->err);

		if (r < 0)
			return r;
		got[i] = v.verdict;
	}
	return 0;
}

static void name_types(const struct plan_sample *s, const char *name, char what[64])
{
	unsigned int type[2] = { s->port >> 8, s->end >> 8 };
	unsigned int code[2] = { s->port & 0xff, s->end & 0xff };

	if (code[0] != 0 || code[1] != 0xff)
		snprintf(what, 64, "%s %u/%u-%u/%u", name, type[0], code[0], type[1], code[1]);
	else if (type[0] != type[1])
		snprintf(what, 64, "%s %u-%u", name, type[0], type[1]);
	else
		snprintf(what, 64, "%s %u", name, type[0]);
}

static void name_sample(const struct plan_sample *s, char what[64])
{
	const char *name = pk_protocol_name(s->proto);
	char lower[16] = "";

	for (size_t i = 0; name && name[i] && i < sizeof(lower) - 1; i++)
		lower[i] = (char)(name[i] | 0x20);
	if ((s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6) && s->port != s->end)
		name_types(s, lower, what);
	else if (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6)
		snprintf(what, 64, "%s %u/%u", lower, s->port >> 8, s->port & 0xff);
	else if (s->other)
		snprintf(what, 64, "other %s ports", lower);
	else if (pk_protocol_has_ports(s->proto) && s->port != s->end)
		snprintf(what, 64, "%u-%u/%s", s->port, s->end, lower);
	else if (pk_protocol_has_ports(s->proto))
		snprintf(what, 64, "%u/%s", s->port, lower);
	else if (s->proto == PLAN_UNNAMED)
		snprintf(what, 64, "other protocols");
	else
		snprintf(what, 64, "protocol %u", s->proto);
}

struct pk_plan_change *plan_add_change(struct plan_work *w, const char *from, const char *to,
				       const struct plan_sample *s)
{
	struct pk_plan_change *c;

	w->out->changes = realloc(w->out->changes, (w->out->n + 1) * sizeof(*c));
	if (!w->out->changes)
		abort();
	c = &w->out->changes[w->out->n++];
	*c = (struct pk_plan_change){ .from = strdup(from),
				      .to = strdup(to),
				      .n_from = 1,
				      .n_to = 1,
				      .proto = s->proto,
				      .port = s->port,
				      .end = s->end,
				      .other = s->other,
				      .before = PK_ALLOW,
				      .after = PK_DENY };
	if (!c->from || !c->to)
		abort();
	name_sample(s, c->what);
	return c;
}

static bool is_other_family(const struct plan_party *p, uint8_t proto)
{
	if (p->peer[0].party != PK_PARTY_WORLD)
		return false;
	return proto == (pk_addr_is4(&p->peer[0].address) ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

bool plan_is_possible(const struct plan_pair *pair, uint8_t proto)
{
	return !is_other_family(pair->from, proto) && !is_other_family(pair->to, proto);
}

void plan_add_pair_change(struct plan_work *w, const struct plan_pair *pair,
			  const struct plan_sample *s, const enum pk_verdict got[2])
{
	struct pk_plan_change *c = plan_add_change(w, pair->from->name, pair->to->name, s);

	c->n_from = pair->from->n;
	c->n_to = pair->to->n;
	c->before = got[0];
	c->after = got[1];
}

static int compare_samples(struct plan_work *w, const struct plan_pair *pair)
{
	for (size_t i = 0; i < w->n_samples; i++) {
		const struct plan_sample *s = &w->samples[i];
		enum pk_verdict got[2];

		if (!plan_is_possible(pair, s->proto))
			continue;
		if (plan_ask_pair(w, pair, s, got) < 0)
			return -EINVAL;
		if (got[0] != got[1])
			plan_add_pair_change(w, pair, s, got);
	}
	return 0;
}

static int compare(struct plan_work *w, const struct plan_party *from, const struct plan_party *to)
{
	struct plan_pair pair = { .from = from, .to = to };
	bool opened = false, closed = false;
	size_t first = w->out->n;

	if ((from->peer[0].party == PK_PARTY_WORLD && !from->role[PK_INGRESS]) ||
	    (to->peer[0].party == PK_PARTY_WORLD && !to->role[PK_EGRESS]))
		return 0;
	/* One endpoint alone only reaches itself: nothing can change. */
	if (from == to && from->n == 1)
		return 0;
	memcpy(pair.ends.from, from->peer, sizeof(from->peer));
	memcpy(pair.ends.to, from == to ? to->next : to->peer, sizeof(to->peer));
	if (!plan_may_differ(w, &pair))
		return 0;
	if (compare_samples(w, &pair) < 0 || plan_compare_tables(w, &pair, first) < 0)
		return -EINVAL;
	for (size_t i = first; i < w->out->n; i++) {
		opened |= w->out->changes[i].after == PK_ALLOW;
		closed |= w->out->changes[i].after == PK_DENY;
	}
	w->out->opened += opened;
	w->out->closed += closed;
	return 0;
}

static int compare_all(struct plan_work *w)
{
	size_t touched = 0;

	for (size_t i = 0; i < w->n_parties; i++)
		touched += w->parties[i].touched;
	if (touched * w->n_parties > PAIRS_MAX)
		return pk_fail(w->err, 0, "%zu workloads of %zu: too many to compare", touched,
			       w->n_parties);
	for (size_t i = 0; i < w->n_parties; i++)
		for (size_t j = 0; j < w->n_parties; j++) {
			if (!w->parties[i].touched && !w->parties[j].touched)
				continue;
			if (compare(w, &w->parties[i], &w->parties[j]) < 0)
				return -EINVAL;
		}
	return 0;
}

static size_t verdicts_of(struct pk_scenario *c)
{
	struct pk_engine_size size;

	pk_engine_size(pk_asker_engine(c->asker), &size);
	return size.verdicts;
}

static int make(struct plan_work *w)
{
	int r = pk_scenario_ready(w->side[0], w->err);

	if (r == 0)
		r = pk_scenario_ready(w->side[1], w->err);
	if (r == 0)
		r = plan_add_endpoints(w);
	if (r < 0)
		return r;
	plan_add_samples(w);
	plan_add_others(w);
	plan_add_world(w);
	w->out->verdicts_before = verdicts_of(w->side[0]);
	w->out->verdicts_after = verdicts_of(w->side[1]);
	r = compare_all(w);
	return r < 0 ? r : plan_count_flows(w);
}

int pk_plan_make(const struct pk_plan_ask *question, struct pk_plan *out, struct pk_err *err)
{
	struct plan_work w = { .ask = question,
			       .side = { question->before, question->after },
			       .out = out,
			       .err = err };
	int r;

	*out = (struct pk_plan){ 0 };
	r = make(&w);
	for (size_t i = 0; i < w.n_parties; i++)
		free(w.parties[i].name);
	free(w.parties);
	free(w.samples);
	if (r < 0)
		pk_plan_done(out);
	return r;
}

void pk_plan_done(struct pk_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		free((char *)plan->changes[i].from);
		free((char *)plan->changes[i].to);
	}
	free(plan->changes);
	*plan = (struct pk_plan){ 0 };
}
