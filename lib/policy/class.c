/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One class of a rule set: which claims its peers have, what table comes of them, what number it
 * has.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "str.h"

struct draft { /* a class that has no number yet */
	struct pk_port_table table;
	struct hash128 content;
};

/* "The built-in baseline". */
static size_t baseline(const struct pk_engine *engine, const struct program *p, enum pk_dir dir,
		       const struct recipe *r, struct pk_claim *claim, uint32_t *otherwise)
{
	static const struct pk_span all[] = { { PK_SPAN_ALL, 0, UINT16_MAX } };
	static const struct pk_span dns[] = { { IPPROTO_TCP, 53, 53 }, { IPPROTO_UDP, 53, 53 } };
	const struct pk_settings *s = &engine->settings;
	bool out = dir == PK_EGRESS && r->party == PK_PARTY_WORLD;

	*claim = (struct pk_claim){
		.tier = PK_TIER_BUILTIN, .kind = PK_KIND_ALLOW, .spans = all, .n_spans = 1
	};
	*otherwise = PK_RULE_DEFAULT;
	if (p->init || s->baseline == PK_BASELINE_DENY)
		return 0;
	if (s->baseline == PK_BASELINE_OPEN) {
		claim->rule = PK_RULE_OPEN;
		return 1;
	}
	if (r->same || (out && !r->is_protected)) {
		claim->rule = r->same ? PK_RULE_SAME_TENANT : PK_RULE_WORLD;
		return 1;
	}
	if (out)
		*otherwise = PK_RULE_PROTECTED;
	if (dir != PK_EGRESS || !(r->party == PK_PARTY_HOST ? s->resolver_host : r->resolver))
		return 0;
	claim->rule = PK_RULE_RESOLVER;
	claim->spans = dns;
	claim->n_spans = 2;
	return 1;
}

/*
 * Gives the act's spans at this peer: its own, or, with labels of the peer's ports, a list that the
 * caller frees.
 */
static void spans_at(const struct side *side, uint32_t act, const struct recipe *r, enum pk_dir dir,
		     struct pk_claim *claim, struct spans *owned)
{
	const struct ent *ent = side->acts[act];

	claim->spans = ent->spans;
	claim->n_spans = ent->n_spans;
	if (!ent->label_ports)
		return;
	if (dir == PK_INGRESS) {
		claim->spans = side->own[act].at;
		claim->n_spans = side->own[act].n;
		return;
	}
	for (size_t i = 0; i < ent->n_spans; i++)
		spans_push(owned, ent->spans[i]);
	if (r->to)
		ent_resolve(ent, r->to, owned);
	claim->spans = owned->at;
	claim->n_spans = owned->n;
}

static void draft_done(struct draft *d)
{
	free(d->table.entries);
}

static void draft_make(const struct pk_engine *engine, const struct program *p, enum pk_dir dir,
		       const struct recipe *r, struct draft *out)
{
	const struct side *side = &p->side[dir];
	struct pk_defaults defaults = side->defaults;
	struct pk_claim *claims;
	struct spans *owned;
	size_t n = 0;

	*out = (struct draft){ 0 };
	if (p->too_large)
		return;
	claims = calloc(r->n_acts + 1, sizeof(*claims));
	owned = calloc(r->n_acts + 1, sizeof(*owned));
	if (!claims || !owned)
		abort();
	for (size_t i = 0; i < r->n_acts; i++) {
		const struct ent *ent = side->acts[r->acts[i]];

		claims[n] = (struct pk_claim){ .tier = ent->tier,
					       .kind = ent->kind,
					       .audit = ent->doc->audit,
					       .rule = ent->e->number };
		spans_at(side, r->acts[i], r, dir, &claims[n], &owned[i]);
		n += claims[n].n_spans != 0;
	}
	defaults.none = r->beside;
	if (!r->beside)
		n += baseline(engine, p, dir, r, &claims[n], &defaults.builtin);
	pk_ports_compile(claims, n, &defaults, &out->table);
	pk_hash128(out->table.entries ? (void *)out->table.entries : "",
		   out->table.n * sizeof(*out->table.entries), out->content.h);
	for (size_t i = 0; i < r->n_acts; i++)
		free(owned[i].at);
	free(owned);
	free(claims);
}

static void push_verdicts(struct program *p, enum pk_dir dir, uint32_t class_nr,
			  const struct pk_port_table *table)
{
	if (p->n_verdicts + table->n > p->max_verdicts)
		p->too_large = true;
	if (p->too_large)
		return;
	while (p->n_verdicts + table->n > p->room_verdicts) {
		p->room_verdicts = p->room_verdicts ? p->room_verdicts * 2 : 64;
		p->verdicts = realloc(p->verdicts, p->room_verdicts * sizeof(*p->verdicts));
		if (!p->verdicts)
			abort();
	}
	for (size_t i = 0; i < table->n; i++) {
		const struct pk_port_entry *e = &table->entries[i];

		p->verdicts[p->n_verdicts++] = (struct pk_verdict_entry){
			.key = { .prefixlen = e->prefixlen,
				 .class = class_nr,
				 .dir = (uint8_t)dir,
				 .proto = e->proto,
				 .port = htons(e->port) },
			.value = e->value,
		};
	}
}

const struct class_of *class_find(const struct class_of *map, const struct hash128 *key)
{
	struct class_of *found;

	HASH_FIND(hh, map, key, sizeof(*key), found);
	return found;
}

void class_remember(struct class_of **map, const struct hash128 *key, uint32_t class_nr,
		    const struct hash128 *content)
{
	struct class_of *c;

	if (class_find(*map, key))
		return;
	c = pk_alloc(sizeof(*c));
	*c = (struct class_of){ .key = *key, .class_nr = class_nr, .content = *content };
	HASH_ADD(hh, *map, key, sizeof(c->key), c);
}

void classes_forget(struct class_of **map)
{
	struct class_of *c, *next;

	HASH_ITER (hh, *map, c, next) {
		HASH_DEL(*map, c);
		free(c);
	}
}

/* Makes a class of a given number. */
struct hash128 class_fixed(const struct pk_engine *engine, struct program *p, enum pk_dir dir,
			   const struct recipe *r, uint32_t class_nr)
{
	struct draft d;

	draft_make(engine, p, dir, r, &d);
	push_verdicts(p, dir, class_nr, &d.table);
	draft_done(&d);
	return d.content;
}

/* Signs acts and resolved port labels: equal signatures mean equal classes. */
static struct hash128 sign(const struct side *side, const struct recipe *r, enum pk_dir dir)
{
	struct hash128 key;
	struct pk_str s = { 0 };

	pk_str_add(&s, r->same ? "s" : "o");
	pk_str_addn(&s, r->acts, r->n_acts * sizeof(*r->acts));
	for (size_t i = 0; i < r->n_acts && dir == PK_EGRESS && r->to; i++) {
		const struct ent *ent = side->acts[r->acts[i]];
		struct spans owned = { 0 };

		if (!ent->label_ports)
			continue;
		ent_resolve(ent, r->to, &owned);
		pk_str_addf(&s, "/%zu:", owned.n);
		for (size_t j = 0; j < owned.n; j++)
			pk_str_addf(&s, "%d %u %u,", owned.at[j].proto, owned.at[j].lo,
				    owned.at[j].hi);
		free(owned.at);
	}
	if (s.failed)
		abort();
	pk_hash128(s.text, s.len, key.h);
	pk_str_done(&s);
	return key;
}

/*
 * Finds the class of an endpoint or tenant by its recipe: by signature, by content, or a new one.
 */
const struct class_of *class_of_recipe(struct pk_engine *engine, struct program *p, enum pk_dir dir,
				       const struct recipe *r)
{
	struct side *side = &p->side[dir];
	struct hash128 key = sign(side, r, dir);
	const struct class_of *c = class_find(side->signatures, &key);
	struct draft d;
	uint32_t class_nr;

	if (c)
		return c;
	draft_make(engine, p, dir, r, &d);
	c = class_find(side->contents, &d.content);
	class_nr = c ? c->class_nr : 0;
	class_remember(&side->signatures, &key, class_nr, &d.content);
	draft_done(&d);
	return class_find(side->signatures, &key);
}

/* Gives a recipe's class its number when a peer first uses it. */
uint32_t class_number(struct pk_engine *engine, struct program *p, enum pk_dir dir,
		      const struct recipe *r)
{
	struct side *side = &p->side[dir];
	const struct class_of *c = class_of_recipe(engine, p, dir, r);
	const struct class_of *have = class_find(side->contents, &c->content);
	struct draft d;

	if (have)
		return have->class_nr;
	draft_make(engine, p, dir, r, &d);
	push_verdicts(p, dir, side->next_class, &d.table);
	draft_done(&d);
	class_remember(&side->contents, &c->content, side->next_class, &c->content);
	return side->next_class++;
}
