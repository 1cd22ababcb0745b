/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "icmp.h"
#include "plan_private.h"
#include "selector.h"

#define PARTIES_MAX   4096
#define ADDRESSES_MAX 1024     /* of the documents' prefixes */
#define PAIRS_MAX     10000000 /* most are the same before and after, which costs little */
#define QUESTIONS_MAX 20000000 /* about the others */

static void add_sample(struct plan_work *w, uint8_t proto, uint16_t port, bool other)
{
	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].proto == proto && w->samples[i].port == port)
			return;
	w->samples = realloc(w->samples, (w->n_samples + 1) * sizeof(*w->samples));
	if (!w->samples)
		abort();
	w->samples[w->n_samples++] = (struct plan_sample){ proto, port, port, other };
}

static void add_ports(struct plan_work *w, uint8_t proto, uint16_t port)
{
	if (proto != PK_PROTO_ANY) {
		add_sample(w, proto, port, false);
		return;
	}
	add_sample(w, IPPROTO_TCP, port, false);
	add_sample(w, IPPROTO_UDP, port, false);
}

static void add_label(struct plan_work *w, const char *label)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_ports; i++)
			if (strcmp(ep->ports[i].name, label) == 0)
				add_ports(w, ep->ports[i].proto, ep->ports[i].port);
}

static void add_rule(struct plan_work *w, const struct pk_port_rule *rule)
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
	} else if (rule->port == rule->end) {
		add_ports(w, rule->proto, rule->port);
	}
}

static bool names(const struct pk_entry *e, uint16_t port)
{
	for (size_t i = 0; i < e->n_ports; i++) {
		const struct pk_port_rule *rule = &e->ports[i];

		if (!rule->icmp && !rule->label && rule->port <= port && port <= rule->end &&
		    !(rule->port == 0 && rule->end == UINT16_MAX))
			return true;
	}
	return false;
}

static bool is_named(const struct plan_work *w, uint16_t port)
{
	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].port == port)
			return true;
	for (size_t d = 0; d < w->ask->n_changed; d++)
		for (size_t r = 0; r < w->ask->changed[d]->n_rules; r++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t i = 0; i < w->ask->changed[d]->rules[r].n_entries[dir];
				     i++)
					if (names(&w->ask->changed[d]->rules[r].entries[dir][i],
						  port))
						return true;
	return false;
}

static void collect_samples(struct plan_work *w)
{
	uint16_t other = 61999;

	for (size_t d = 0; d < w->ask->n_changed; d++)
		for (size_t r = 0; r < w->ask->changed[d]->n_rules; r++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t i = 0; i < w->ask->changed[d]->rules[r].n_entries[dir];
				     i++) {
					const struct pk_entry *e =
						&w->ask->changed[d]->rules[r].entries[dir][i];

					for (size_t p = 0; p < e->n_ports; p++)
						add_rule(w, &e->ports[p]);
				}
	while (other && is_named(w, other))
		other--;
	add_sample(w, IPPROTO_TCP, other, true);
	add_sample(w, IPPROTO_UDP, other, true);
	add_sample(w, IPPROTO_ICMP, PK_PORT_ICMP(8, 0), false);
	add_sample(w, IPPROTO_ICMPV6, PK_PORT_ICMP(128, 0), false);
}

static struct plan_party *add_party(struct plan_work *w, const char *name)
{
	struct plan_party *p;

	w->parties = realloc(w->parties, (w->n_parties + 1) * sizeof(*w->parties));
	if (!w->parties)
		abort();
	p = &w->parties[w->n_parties++];
	*p = (struct plan_party){ .name = strdup(name), .n = 1 };
	if (!p->name)
		abort();
	return p;
}

static bool may_select(const struct plan_work *w, const struct pk_label_set *labels)
{
	for (size_t d = 0; d < w->ask->n_changed; d++) {
		const struct pk_document *doc = w->ask->changed[d];

		for (size_t r = 0; r < doc->n_rules; r++) {
			const struct pk_selector *s = &doc->rules[r].subject;

			if (doc->tenant_name && labels->tenant_name &&
			    strcmp(doc->tenant_name, labels->tenant_name) != 0)
				break;
			if (s->is_entity ? !labels->tenant_name
					 : pk_selector_match(s, labels) != PK_NO)
				return true;
		}
	}
	return false;
}

static void set_peers(struct plan_work *w, const struct pk_world_endpoint *ep, struct pk_peer to[2])
{
	for (int i = 0; i < 2; i++)
		to[i] = (struct pk_peer){
			.party = PK_PARTY_ENDPOINT,
			.endpoint = pk_world_get(pk_asker_world(w->side[i]->asker), ep->key),
		};
}

static bool hash_of(const struct plan_work *w, const char *key, uint64_t hash[4])
{
	struct pk_identity_ref ref;

	for (size_t i = 0; i < 2; i++) {
		if (pk_engine_identity(pk_asker_engine(w->side[i]->asker), key, &ref) < 0)
			return false;
		memcpy(hash + 2 * i, ref.hash, sizeof(ref.hash));
	}
	return true;
}

/* Endpoints of this node and of others are apart, since others judge theirs. */
static struct plan_party *party_of(const struct plan_work *w, const uint64_t hash[4], bool remote)
{
	for (size_t i = 0; i < w->n_parties; i++)
		if (w->parties[i].remote == remote &&
		    memcmp(w->parties[i].hash, hash, sizeof(w->parties[i].hash)) == 0)
			return &w->parties[i];
	return NULL;
}

const struct plan_party *plan_party_of(const struct plan_work *w,
				       const struct pk_world_endpoint *ep)
{
	uint64_t hash[4];

	return hash_of(w, ep->key, hash) ? party_of(w, hash, !ep->local) : NULL;
}

static int add_endpoints(struct plan_work *w)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		struct plan_party *p;
		uint64_t hash[4];

		if (!hash_of(w, ep->key, hash))
			continue;
		p = party_of(w, hash, !ep->local);
		if (p) {
			if (p->n++ == 1)
				set_peers(w, ep, p->next);
			continue;
		}
		if (w->n_parties == PARTIES_MAX)
			return pk_fail(w->err, 0, "more than %d kinds of endpoints", PARTIES_MAX);
		p = add_party(w, ep->key);
		memcpy(p->hash, hash, sizeof(p->hash));
		p->remote = !ep->local;
		p->touched = ep->local && may_select(w, ep->labels);
		set_peers(w, ep, p->peer);
	}
	return 0;
}

/* An address of the pools is an endpoint's, or nobody's yet. */
static bool in_pools(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (pk_prefix_has(&s->pools[i], addr))
			return true;
	return false;
}

bool plan_add_address(struct plan_work *w, const union pk_addr *addr, enum pk_dir dir)
{
	char text[PK_ADDR_TEXT], name[PK_ADDR_TEXT + 8];
	struct plan_party *p;

	if (in_pools(&w->side[1]->settings, addr))
		return false;
	snprintf(name, sizeof(name), "world:%s", pk_addr_format(addr, text));
	for (size_t i = w->first_address; i < w->n_parties; i++)
		if (strcmp(w->parties[i].name, name) == 0) {
			w->parties[i].role[dir] = true;
			return true;
		}
	if (w->n_parties - w->first_address == ADDRESSES_MAX) {
		w->out->partial = true;
		return false;
	}
	p = add_party(w, name);
	p->peer[0] = (struct pk_peer){ .party = PK_PARTY_WORLD, .address = *addr };
	p->peer[1] = p->peer[0];
	p->role[dir] = true;
	return true;
}

static void add_both(struct plan_work *w, const union pk_addr *addr)
{
	plan_add_address(w, addr, PK_EGRESS);
	plan_add_address(w, addr, PK_INGRESS);
}

static void add_prefix(struct plan_work *w, const struct pk_cidr_rule *cidr)
{
	add_both(w, &cidr->cidr.addr);
	for (size_t i = 0; i < cidr->n_except; i++)
		add_both(w, &cidr->except[i].addr);
}

static void add_others(struct plan_work *w)
{
	static const char *const sample[] = { "203.0.113.1", "10.255.255.1", "2001:db8::1" };
	union pk_addr addr;
	struct plan_party *p;

	p = add_party(w, "host");
	p->peer[0] = p->peer[1] = (struct pk_peer){ .party = PK_PARTY_HOST };
	p = add_party(w, "remote-node");
	p->peer[0] = p->peer[1] = (struct pk_peer){ .party = PK_PARTY_REMOTE_NODE };
	w->first_address = w->n_parties;
	for (size_t i = 0; i < PK_ARRAY_LEN(sample); i++)
		if (pk_addr_parse(sample[i], &addr) == 0)
			add_both(w, &addr);
	for (size_t d = 0; d < w->ask->n_changed; d++)
		for (size_t r = 0; r < w->ask->changed[d]->n_rules; r++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t i = 0; i < w->ask->changed[d]->rules[r].n_entries[dir];
				     i++) {
					const struct pk_entry *e =
						&w->ask->changed[d]->rules[r].entries[dir][i];

					for (size_t c = 0; c < e->n_cidrs; c++)
						add_prefix(w, &e->cidrs[c]);
				}
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
		r = add_endpoints(w);
	if (r < 0)
		return r;
	collect_samples(w);
	add_others(w);
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
