// SPDX-License-Identifier: Apache-2.0
/* One direction's verdict of an endpoint about a peer, from the tables as plain arrays. */
#include "tests/model/state.h"

static uint32_t class_of_peer(const struct world *w, uint32_t set, uint32_t peer, int dir)
{
	for (int i = 0; i < w->peers; i++) {
		const struct pk_peer_class_key *key = &w->peer[i].key;

		if (key->rule_set == set && key->peer == peer && key->dir == (uint32_t)dir)
			return w->peer[i].value;
	}
	return PK_CLASS_NONE;
}

/* An endpoint is what its identity is, else its tenant, else of one's own tenant or of another. */
static uint32_t class_of_endpoint(const struct world *w, uint32_t set, const struct end *about,
				  uint32_t own_tenant, int dir)
{
	uint32_t class = PK_CLASS_NONE;

	if (about->identity)
		class = class_of_peer(w, set, about->identity, dir);
	if (class)
		return class;
	if (!about->tenant)
		return PK_CLASS_INIT;
	class = class_of_peer(w, set, about->tenant | PK_PEER_TENANT, dir);
	if (class)
		return class;
	return about->tenant == own_tenant ? PK_CLASS_SAME_TENANT : PK_CLASS_OTHER_TENANT;
}

/* The longest prefix of the list, else `class`. */
static uint32_t class_listed(const struct world *w, uint32_t list, const union pk_addr *a,
			     uint32_t class)
{
	uint32_t longest = 0;

	for (int i = 0; list && i < w->cidrs; i++) {
		const struct pk_cidr_key *key = &w->cidr[i].key;

		if (key->list != list || key->prefixlen < longest ||
		    !addr_within(a, key->addr.b, key->prefixlen - 32))
			continue;
		longest = key->prefixlen;
		class = w->cidr[i].value;
	}
	return class;
}

static uint32_t class_of(const struct world *w, uint32_t set, const struct end *of,
			 const struct end *about, int dir)
{
	switch (about->party) {
	case PK_PARTY_ENDPOINT:
		return class_of_endpoint(w, set, about, of->tenant, dir);
	case PK_PARTY_UNKNOWN:
		return PK_CLASS_UNKNOWN;
	case PK_PARTY_HOST:
		return PK_CLASS_HOST;
	case PK_PARTY_REMOTE_NODE:
		return PK_CLASS_REMOTE_NODE;
	default:
		return class_listed(w, w->set[set].list[PK_LIST_OWN + dir], &about->addr,
				    addr_is_v4(&about->addr) ? PK_CLASS_WORLD4 : PK_CLASS_WORLD6);
	}
}

struct question {
	uint32_t set;
	int dir;
	uint8_t proto;
	uint16_t port;
};

static bool entry_fits(const struct pk_verdict_key *key, const struct question *q, uint32_t class)
{
	uint32_t bits = key->prefixlen;

	if (key->rule_set != q->set || key->class != class || key->dir != q->dir)
		return false;
	if (bits >= PK_VERDICT_BITS_PROTO && key->proto != q->proto)
		return false;
	return bits <= PK_VERDICT_BITS_PROTO ||
	       !((get16((const uint8_t *)&key->port) ^ q->port) >> (PK_VERDICT_BITS_PORT - bits));
}

/* The most specific entry of the class; of it and of what is there the higher rank wins. */
static void look(const struct world *w, const struct question *q, uint32_t class,
		 struct pk_judgement *best)
{
	const struct row_verdict *found = NULL;

	for (int i = 0; i < w->verdicts; i++)
		if (entry_fits(&w->verdict[i].key, q, class) &&
		    (!found || w->verdict[i].key.prefixlen > found->key.prefixlen))
			found = &w->verdict[i];
	if (found && found->value.live.rank > best->rank)
		*best = found->value.live;
}

/* Published ports and health checks, for who isn't an endpoint. */
static void look_open(const struct world *w, const struct question *q, const struct end *of,
		      uint8_t party, struct pk_judgement *best)
{
	const struct pk_judgement published = { .verdict = PK_ALLOW, .rank = PK_RANK_PUBLISHED };
	const struct pk_judgement checked = { .verdict = PK_ALLOW, .rank = PK_RANK_CHECKED };
	uint32_t flags = 0;

	if (q->dir != PK_INGRESS ||
	    (party != PK_PARTY_HOST && party != PK_PARTY_WORLD && party != PK_PARTY_REMOTE_NODE))
		return;
	for (int i = 0; i < w->opens; i++) {
		const struct pk_open_port_key *key = &w->open[i].key;

		if (key->slot == of->slot && key->proto == q->proto &&
		    get16((const uint8_t *)&key->port) == q->port)
			flags = w->open[i].value;
	}
	if (flags & PK_OPEN_PUBLISHED && published.rank > best->rank)
		*best = published;
	if (flags & PK_OPEN_CHECKED && party == PK_PARTY_HOST && checked.rank > best->rank)
		*best = checked;
}

enum pk_reason policy_of(const struct world *w, const struct end *of, const struct end *about,
			 int dir, uint8_t proto, uint16_t port)
{
	struct question q = { PK_WORD_RULE_SET(w->word[of->slot]), dir, proto, port };
	struct pk_judgement best = { .verdict = PK_DENY };

	if (!w->word[of->slot])
		return PK_REASON_ENDPOINT_CLOSED;
	if (!q.set || q.set >= SETS || !w->set[q.set].entries)
		return PK_REASON_NO_RULE_SET;
	if (about->party == PK_PARTY_SELF)
		return PK_REASON_OK;
	look(w, &q, class_of(w, q.set, of, about, dir), &best);
	/* The operator's lists stand beside the rule set's own. */
	for (int list = PK_LIST_ALL; list <= PK_LIST_SOME && about->party == PK_PARTY_WORLD;
	     list += 2)
		look(w, &q,
		     class_listed(w, w->set[q.set].list[list + dir], &about->addr, PK_CLASS_NONE),
		     &best);
	if (w->set[q.set].flags & PK_RULE_SET_ANY)
		look(w, &q, PK_CLASS_ANY, &best);
	look_open(w, &q, of, about->party, &best);
	return best.verdict == PK_ALLOW ? PK_REASON_OK : PK_REASON_POLICY_DENIED;
}
