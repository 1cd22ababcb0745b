/* SPDX-License-Identifier: GPL-2.0-only */
#include "plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "icmp.h"
#include "selector.h"

#define SAMPLES_MAX   96
#define PARTIES_MAX   4096
#define QUESTIONS_MAX 4000000

/* One port to ask about. */
struct sample {
	uint8_t proto;
	uint16_t port;
	bool other; /* stands for the ports that no changed document names */
};

/* A group of endpoints with equal labels and ports, or what is no endpoint. */
struct party {
	struct pk_judge_peer peer[2]; /* in before, in after */
	struct pk_judge_peer next[2]; /* another one of the group, where n > 1 */
	char *name;
	uint64_t hash[2];
	size_t n;
	bool touched; /* a changed document may select it */
};

struct work {
	struct pk_case *side[2];
	const struct pk_document *const *changed;
	size_t n_changed;
	struct sample samples[SAMPLES_MAX];
	size_t n_samples;
	struct party *parties;
	size_t n_parties;
	struct pk_plan *out;
	struct pk_err *err;
};

static void add_sample(struct work *w, uint8_t proto, uint16_t port, bool other)
{
	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].proto == proto && w->samples[i].port == port)
			return;
	if (w->n_samples < SAMPLES_MAX)
		w->samples[w->n_samples++] = (struct sample){ proto, port, other };
}

static void add_ports(struct work *w, uint8_t proto, uint16_t port)
{
	if (proto != PK_PROTO_ANY) {
		add_sample(w, proto, port, false);
		return;
	}
	add_sample(w, IPPROTO_TCP, port, false);
	add_sample(w, IPPROTO_UDP, port, false);
}

static void add_label(struct work *w, const char *label)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_ports; i++)
			if (strcmp(ep->ports[i].name, label) == 0)
				add_ports(w, ep->ports[i].proto, ep->ports[i].port);
}

static void add_rule(struct work *w, const struct pk_port_rule *rule)
{
	if (rule->icmp) {
		add_sample(w, rule->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			   PK_PORT_ICMP(rule->type, rule->code < 0 ? 0 : (uint16_t)rule->code),
			   false);
	} else if (rule->label) {
		add_label(w, rule->label);
	} else if (rule->port == 0 && rule->end == UINT16_MAX) {
		if (rule->proto != PK_PROTO_ANY && !pk_protocol_has_ports(rule->proto))
			add_sample(w, rule->proto, 0, false);
	} else {
		add_ports(w, rule->proto, rule->port);
		add_ports(w, rule->proto, rule->end);
	}
}

static bool is_named(const struct work *w, uint16_t port)
{
	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].port == port)
			return true;
	return false;
}

static void collect_samples(struct work *w)
{
	uint16_t other = 61999;

	for (size_t d = 0; d < w->n_changed; d++)
		for (size_t r = 0; r < w->changed[d]->n_rules; r++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t i = 0; i < w->changed[d]->rules[r].n_entries[dir];
				     i++) {
					const struct pk_entry *e =
						&w->changed[d]->rules[r].entries[dir][i];

					for (size_t p = 0; p < e->n_ports; p++)
						add_rule(w, &e->ports[p]);
				}
	while (is_named(w, other))
		other--;
	add_sample(w, IPPROTO_TCP, other, true);
	add_sample(w, IPPROTO_UDP, other, true);
	add_sample(w, IPPROTO_ICMP, PK_PORT_ICMP(8, 0), false);
}

static struct party *add_party(struct work *w, const char *name)
{
	struct party *p;

	w->parties = realloc(w->parties, (w->n_parties + 1) * sizeof(*w->parties));
	if (!w->parties)
		abort();
	p = &w->parties[w->n_parties++];
	*p = (struct party){ .name = strdup(name), .n = 1 };
	if (!p->name)
		abort();
	return p;
}

static bool may_select(const struct work *w, const struct pk_label_set *labels)
{
	for (size_t d = 0; d < w->n_changed; d++) {
		const struct pk_document *doc = w->changed[d];

		for (size_t r = 0; r < doc->n_rules; r++) {
			const struct pk_selector *s = &doc->rules[r].subject;

			if (doc->namespace && labels->namespace &&
			    strcmp(doc->namespace, labels->namespace) != 0)
				break;
			if (s->is_entity ? !labels->namespace
					 : pk_selector_match(s, labels) != PK_NO)
				return true;
		}
	}
	return false;
}

static void set_peers(struct work *w, const struct pk_world_endpoint *ep,
		      struct pk_judge_peer to[2])
{
	for (int i = 0; i < 2; i++)
		to[i] = (struct pk_judge_peer){
			.is = PK_PEER_IS_ENDPOINT,
			.endpoint = pk_world_get(pk_asker_world(w->side[i]->asker), ep->key),
		};
}

static int add_endpoints(struct work *w)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		struct pk_identity_ref ref;
		struct party *p = NULL;

		if (pk_engine_identity(pk_asker_engine(w->side[1]->asker), ep->key, &ref) < 0)
			continue;
		for (size_t i = 0; i < w->n_parties && !p; i++)
			if (memcmp(w->parties[i].hash, ref.hash, sizeof(ref.hash)) == 0)
				p = &w->parties[i];
		if (p) {
			if (p->n++ == 1)
				set_peers(w, ep, p->next);
			continue;
		}
		if (w->n_parties == PARTIES_MAX)
			return pk_fail(w->err, 0, "more than %d kinds of endpoints", PARTIES_MAX);
		p = add_party(w, ep->key);
		memcpy(p->hash, ref.hash, sizeof(p->hash));
		p->touched = may_select(w, ep->labels);
		set_peers(w, ep, p->peer);
	}
	return 0;
}

static void add_address(struct work *w, const union pk_addr *addr)
{
	char text[PK_ADDR_TEXT], name[PK_ADDR_TEXT + 8];
	struct party *p;

	snprintf(name, sizeof(name), "world:%s", pk_addr_format(addr, text));
	for (size_t i = 0; i < w->n_parties; i++)
		if (strcmp(w->parties[i].name, name) == 0)
			return;
	p = add_party(w, name);
	p->peer[0] = (struct pk_judge_peer){ .is = PK_PEER_IS_WORLD, .address = *addr };
	p->peer[1] = p->peer[0];
}

static void add_others(struct work *w)
{
	static const char *const sample[] = { "203.0.113.1", "10.255.255.1", "2001:db8::1" };
	union pk_addr addr;
	struct party *p;

	p = add_party(w, "host");
	p->peer[0] = p->peer[1] = (struct pk_judge_peer){ .is = PK_PEER_IS_HOST };
	p = add_party(w, "remote-node");
	p->peer[0] = p->peer[1] = (struct pk_judge_peer){ .is = PK_PEER_IS_REMOTE_NODE };
	for (size_t i = 0; i < PK_ARRAY_LEN(sample); i++)
		if (pk_addr_parse(sample[i], &addr) == 0)
			add_address(w, &addr);
	for (size_t d = 0; d < w->n_changed; d++)
		for (size_t r = 0; r < w->changed[d]->n_rules; r++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t i = 0; i < w->changed[d]->rules[r].n_entries[dir];
				     i++) {
					const struct pk_entry *e =
						&w->changed[d]->rules[r].entries[dir][i];

					for (size_t c = 0; c < e->n_cidrs && c < 16; c++)
						add_address(w, &e->cidrs[c].cidr.addr);
				}
}

static int ask(struct work *w, const struct party *from, const struct party *to,
	       const struct sample *s, enum pk_verdict got[2])
{
	for (int i = 0; i < 2; i++) {
		const struct pk_connection c = { .from = from->peer[i],
						 .to = from == to ? to->next[i] : to->peer[i],
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

static void name_sample(const struct sample *s, char what[64])
{
	const char *name = pk_protocol_name(s->proto);
	char lower[16] = "";

	for (size_t i = 0; name && name[i] && i < sizeof(lower) - 1; i++)
		lower[i] = (char)(name[i] | 0x20);
	if (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6)
		snprintf(what, 64, "%s %u/%u", lower, s->port >> 8, s->port & 0xff);
	else if (s->other)
		snprintf(what, 64, "other %s ports", lower);
	else if (pk_protocol_has_ports(s->proto))
		snprintf(what, 64, "%u/%s", s->port, lower);
	else
		snprintf(what, 64, "protocol %u", s->proto);
}

static void add_change(struct work *w, const struct party *from, const struct party *to,
		       const struct sample *s, const enum pk_verdict got[2])
{
	struct pk_plan_change *c;

	w->out->changes = realloc(w->out->changes, (w->out->n + 1) * sizeof(*c));
	if (!w->out->changes)
		abort();
	c = &w->out->changes[w->out->n++];
	*c = (struct pk_plan_change){ .from = strdup(from->name),
				      .to = strdup(to->name),
				      .n_from = from->n,
				      .n_to = to->n,
				      .before = got[0],
				      .after = got[1] };
	if (!c->from || !c->to)
		abort();
	name_sample(s, c->what);
}

static int compare(struct work *w, const struct party *from, const struct party *to)
{
	bool opened = false, closed = false;

	/* One endpoint alone only reaches itself: nothing can change. */
	if (from == to && from->n == 1)
		return 0;
	for (size_t i = 0; i < w->n_samples; i++) {
		enum pk_verdict got[2];

		if (ask(w, from, to, &w->samples[i], got) < 0)
			return -EINVAL;
		if (got[0] == got[1])
			continue;
		add_change(w, from, to, &w->samples[i], got);
		opened |= got[1] == PK_ALLOW;
		closed |= got[1] == PK_DENY;
	}
	w->out->opened += opened;
	w->out->closed += closed;
	return 0;
}

static int compare_all(struct work *w)
{
	size_t touched = 0;

	for (size_t i = 0; i < w->n_parties; i++)
		touched += w->parties[i].touched;
	if (touched * w->n_parties * w->n_samples > QUESTIONS_MAX)
		return pk_fail(w->err, 0, "%zu workloads of %zu on %zu ports: too many to compare",
			       touched, w->n_parties, w->n_samples);
	for (size_t i = 0; i < w->n_parties; i++)
		for (size_t j = 0; j < w->n_parties; j++) {
			if (!w->parties[i].touched && !w->parties[j].touched)
				continue;
			if (compare(w, &w->parties[i], &w->parties[j]) < 0)
				return -EINVAL;
		}
	return 0;
}

static size_t verdicts_of(struct pk_case *c)
{
	struct pk_engine_size size;

	pk_engine_size(pk_asker_engine(c->asker), &size);
	return size.verdicts;
}

int pk_plan_make(struct pk_case *before, struct pk_case *after,
		 const struct pk_document *const *changed, size_t n_changed, struct pk_plan *out,
		 struct pk_err *err)
{
	struct work w = { .side = { before, after },
			  .changed = changed,
			  .n_changed = n_changed,
			  .out = out,
			  .err = err };
	int r;

	*out = (struct pk_plan){ 0 };
	r = pk_case_ready(before, err);
	if (r == 0)
		r = pk_case_ready(after, err);
	if (r == 0)
		r = add_endpoints(&w);
	if (r == 0) {
		collect_samples(&w);
		add_others(&w);
		r = compare_all(&w);
		out->verdicts_before = verdicts_of(before);
		out->verdicts_after = verdicts_of(after);
	}
	for (size_t i = 0; i < w.n_parties; i++)
		free(w.parties[i].name);
	free(w.parties);
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
