/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges are cut into cells in which every claim is constant; claims paint the cells in order of
 * rank, so the first one that touches a cell decides it. The cells of a protocol become the fewest
 * prefixes by the routing-table method of Draves et al. (1999): bottom up, each node keeps the
 * values that cost least below it; top down, a node speaks only where its parent's value won't do.
 */
#include "ports.h"

#include <string.h>

#include "own.h"
#include "str.h"

struct cell {
	uint32_t lo, hi;
	uint32_t next; /* first cell at or behind this one that nobody painted */
	uint32_t next_audit;
	const struct pk_claim *live, *audit;
	bool pass, pass_audit;
	uint32_t value;
};

#define SET_MAX 8 /* values kept at a node: beyond that only the count of entries suffers */

struct set {
	uint32_t v[SET_MAX]; /* sorted */
	unsigned int n;
};

/* A node of the tree over a protocol's ports, in preorder: the left child is the next one. */
struct node {
	struct set set; /* what costs least below */
	uint32_t right; /* 0: a leaf, all ports alike */
};

struct work {
	const struct pk_claim *claims;
	size_t n_claims;
	const struct pk_defaults *defaults;
	struct cell *cells;
	size_t n_cells;
	struct pk_verdict_value *values;
	size_t n_values, room_values;
	uint32_t *slots; /* hash of the values: index + 1 */
	size_t n_slots;
	struct node *nodes;
	size_t n_nodes, room_nodes;
	struct pk_port_table *out;
	uint8_t proto;
};

static void *more(void *array, size_t *room, size_t n, size_t size)
{
	void *p;

	if (n < *room)
		return array;
	*room = *room ? *room * 2 : 16;
	p = realloc(array, *room * size);
	if (!p)
		abort();
	return p;
}

static void emit(struct work *w, uint32_t prefixlen, uint32_t port, uint32_t value)
{
	struct pk_port_table *t = w->out;

	t->entries = more(t->entries, &t->room, t->n, sizeof(*t->entries));
	t->entries[t->n] = (struct pk_port_entry){ .prefixlen = prefixlen,
						   .proto = w->proto,
						   .port = (uint16_t)port,
						   .value = w->values[value] };
	if (prefixlen == PK_VERDICT_BITS_DIR)
		t->entries[t->n].proto = 0;
	t->n++;
}

static bool covers(const struct pk_span *s, int proto)
{
	return s->proto == PK_SPAN_ALL || s->proto == proto;
}

static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Cuts the ports of a protocol into cells at the edges of all spans; of PK_SPAN_ALL there is a
 * single one.
 */
static void cut(struct work *w, int proto)
{
	size_t n = 0, room = 0, out = 0;
	uint32_t *edges = NULL;

	for (size_t i = 0; i < w->n_claims; i++)
		for (size_t j = 0; j < w->claims[i].n_spans; j++) {
			const struct pk_span *s = &w->claims[i].spans[j];

			if (!covers(s, proto) || (s->lo == 0 && s->hi == UINT16_MAX))
				continue;
			edges = more(edges, &room, n, sizeof(*edges));
			edges[n++] = s->lo;
			edges = more(edges, &room, n, sizeof(*edges));
			edges[n++] = s->hi + 1u;
		}
	edges = more(edges, &room, n, sizeof(*edges));
	edges[n++] = 0;
	qsort(edges, n, sizeof(*edges), cmp_u32);
	w->cells = calloc(n + 1, sizeof(*w->cells));
	if (!w->cells)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (edges[i] > UINT16_MAX || (i && edges[i] == edges[i - 1]))
			continue;
		w->cells[out] = (struct cell){ .lo = edges[i],
					       .hi = UINT16_MAX,
					       .next = (uint32_t)out,
					       .next_audit = (uint32_t)out };
		if (out)
			w->cells[out - 1].hi = edges[i] - 1;
		out++;
	}
	/* The last cell, which nobody paints, ends every walk. */
	w->cells[out].next = w->cells[out].next_audit = (uint32_t)out;
	w->cells[out].lo = UINT16_MAX + 1u;
	w->n_cells = out;
	free(edges);
}

static size_t cell_at(const struct work *w, uint32_t port)
{
	size_t lo = 0, hi = w->n_cells;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->cells[mid].lo <= port)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t next_bare(struct work *w, uint32_t i, bool audit)
{
	uint32_t end = i, step;

	while ((audit ? w->cells[end].next_audit : w->cells[end].next) != end)
		end = audit ? w->cells[end].next_audit : w->cells[end].next;
	for (; i != end; i = step) {
		uint32_t *next = audit ? &w->cells[i].next_audit : &w->cells[i].next;

		step = *next;
		*next = end;
	}
	return end;
}

static void paint(struct work *w, const struct pk_claim *c, const struct pk_span *s, bool audit)
{
	uint32_t i = next_bare(w, (uint32_t)cell_at(w, s->lo), audit);

	for (; w->cells[i].lo <= s->hi; i = next_bare(w, i, audit)) {
		if (audit) {
			w->cells[i].audit = c;
			w->cells[i].next_audit = i + 1;
		} else {
			w->cells[i].live = c;
			w->cells[i].next = i + 1;
		}
	}
}

static void pass(struct work *w, const struct pk_claim *c, const struct pk_span *s)
{
	for (size_t i = cell_at(w, s->lo); i < w->n_cells && w->cells[i].lo <= s->hi; i++) {
		w->cells[i].pass_audit = true;
		w->cells[i].pass |= !c->audit;
	}
}

static void paint_all(struct work *w, int proto)
{
	for (size_t i = 0; i < w->n_claims; i++) {
		const struct pk_claim *c = &w->claims[i];

		for (size_t j = 0; j < c->n_spans; j++) {
			if (!covers(&c->spans[j], proto))
				continue;
			if (c->kind == PK_KIND_PASS) {
				pass(w, c, &c->spans[j]);
				continue;
			}
			paint(w, c, &c->spans[j], true);
			if (!c->audit)
				paint(w, c, &c->spans[j], false);
		}
	}
}

static struct pk_judgement settle(const struct pk_defaults *d, const struct pk_claim *c,
				  bool passed, bool audit)
{
	const bool *set = audit ? d->audit : d->live;
	const uint32_t *rules = audit ? d->audit_rule : d->live_rule;
	struct pk_judgement j = { .verdict = PK_DENY };

	if (!d->none) {
		j.rank = PK_RANK(PK_TIER_BUILTIN, PK_KIND_DEFAULT);
		j.rule = d->builtin;
	}
	for (unsigned int tier = PK_TIER_BASELINE; tier <= PK_TIER_OPERATOR; tier++) {
		if (d->none || !set[tier] || (tier == PK_TIER_OPERATOR && passed))
			continue;
		j.rank = PK_RANK(tier, PK_KIND_DEFAULT);
		j.rule = rules[tier];
	}
	if (c && PK_RANK(c->tier, c->kind) > j.rank) {
		j.verdict = c->kind == PK_KIND_ALLOW ? PK_ALLOW : PK_DENY;
		j.rank = PK_RANK(c->tier, c->kind);
		j.rule = c->rule;
	}
	return j;
}

static uint32_t *slot_of(struct work *w, const struct pk_verdict_value *v)
{
	static const uint64_t key[2] = { 0x7069636b65742034, 0x706f727473206d61 };
	size_t i = pk_siphash(v, sizeof(*v), key) & (w->n_slots - 1);

	while (w->slots[i] && memcmp(&w->values[w->slots[i] - 1], v, sizeof(*v)) != 0)
		i = (i + 1) & (w->n_slots - 1);
	return &w->slots[i];
}

static void grow_slots(struct work *w)
{
	free(w->slots);
	w->n_slots = w->n_slots ? w->n_slots * 4 : 16;
	w->slots = calloc(w->n_slots, sizeof(*w->slots));
	if (!w->slots)
		abort();
	for (size_t i = 0; i < w->n_values; i++)
		*slot_of(w, &w->values[i]) = (uint32_t)i + 1;
}

static uint32_t intern(struct work *w, const struct pk_verdict_value *v)
{
	uint32_t *slot;

	if (w->n_values * 2 >= w->n_slots)
		grow_slots(w);
	slot = slot_of(w, v);
	if (*slot)
		return *slot - 1;
	w->values = more(w->values, &w->room_values, w->n_values, sizeof(*w->values));
	w->values[w->n_values] = *v;
	*slot = (uint32_t)++w->n_values;
	return *slot - 1;
}

static void value_cells(struct work *w, int proto)
{
	cut(w, proto);
	paint_all(w, proto);
	for (size_t i = 0; i < w->n_cells; i++) {
		struct cell *c = &w->cells[i];
		struct pk_verdict_value v = {
			.live = settle(w->defaults, c->live, c->pass, false),
			.audit = settle(w->defaults, c->audit, c->pass_audit, true),
		};

		c->value = intern(w, &v);
	}
}

static bool has(const struct set *s, uint32_t v)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->v[i] == v)
			return true;
	return false;
}

static struct set join(const struct set *a, const struct set *b)
{
	struct set out = { .n = 0 };
	unsigned int i = 0, j = 0;

	for (unsigned int k = 0; k < a->n; k++)
		if (has(b, a->v[k]))
			out.v[out.n++] = a->v[k];
	if (out.n)
		return out;
	while (out.n < SET_MAX && (i < a->n || j < b->n)) {
		if (j == b->n || (i < a->n && a->v[i] < b->v[j]))
			out.v[out.n++] = a->v[i++];
		else
			out.v[out.n++] = b->v[j++];
	}
	return out;
}

/* The ports below a node: `bits` of lo are fixed. */
struct span_node {
	uint32_t lo;
	unsigned int bits;
};

static bool constant(const struct work *w, struct span_node n, uint32_t *value)
{
	const struct cell *c = &w->cells[cell_at(w, n.lo)];

	*value = c->value;
	return n.lo + (1u << (16 - n.bits)) - 1 <= c->hi;
}

/* Walks the tree bottom up: each node keeps the values that cost least below it. */
static uint32_t gather(struct work *w, struct span_node n)
{
	uint32_t at = (uint32_t)w->n_nodes, right;
	struct set set = { .n = 1 };

	w->nodes = more(w->nodes, &w->room_nodes, w->n_nodes, sizeof(*w->nodes));
	w->n_nodes++;
	if (constant(w, n, &set.v[0])) {
		w->nodes[at] = (struct node){ .set = set };
		return at;
	}
	gather(w, (struct span_node){ n.lo, n.bits + 1 });
	right = gather(w, (struct span_node){ n.lo + (1u << (15 - n.bits)), n.bits + 1 });
	w->nodes[at] = (struct node){ .set = join(&w->nodes[at + 1].set, &w->nodes[right].set),
				      .right = right };
	return at;
}

/* Walks the tree top down: a node speaks only where the value that it would have won't do. */
static void spread(struct work *w, uint32_t at, struct span_node n, uint32_t have)
{
	const struct node *node = &w->nodes[at];

	if (!has(&node->set, have)) {
		have = node->set.v[0];
		emit(w, PK_VERDICT_BITS_PROTO + n.bits, n.lo, have);
	}
	if (!node->right)
		return;
	spread(w, at + 1, (struct span_node){ n.lo, n.bits + 1 }, have);
	spread(w, node->right, (struct span_node){ n.lo + (1u << (15 - n.bits)), n.bits + 1 },
	       have);
}

static void mark_protocols(const struct work *w, bool used[256])
{
	for (size_t i = 0; i < w->n_claims; i++)
		for (size_t j = 0; j < w->claims[i].n_spans; j++)
			if (w->claims[i].spans[j].proto != PK_SPAN_ALL)
				used[w->claims[i].spans[j].proto & 0xff] = true;
}

void pk_ports_compile(const struct pk_claim *claims, size_t n, const struct pk_defaults *defaults,
		      struct pk_port_table *out)
{
	struct work w = { .claims = claims, .n_claims = n, .defaults = defaults, .out = out };
	bool used[256] = { false };
	uint32_t base;

	value_cells(&w, PK_SPAN_ALL);
	base = w.cells[0].value;
	free(w.cells);
	/* A miss says nothing: only a name class may leave it at that. */
	if (!defaults->none || w.values[base].live.rank || w.values[base].audit.rank)
		emit(&w, PK_VERDICT_BITS_DIR, 0, base);
	mark_protocols(&w, used);
	for (unsigned int proto = 0; proto < 256; proto++) {
		if (!used[proto])
			continue;
		w.proto = (uint8_t)proto;
		value_cells(&w, (int)proto);
		w.n_nodes = 0;
		spread(&w, gather(&w, (struct span_node){ 0, 0 }), (struct span_node){ 0, 0 },
		       base);
		free(w.cells);
	}
	free(w.nodes);
	free(w.values);
	free(w.slots);
}
