/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds what a plan asks beyond the ports and prefixes that the changed documents name: wherever
 * the tables before and after tell ports or addresses apart. A deny of everything closes what
 * another document opened, on a port that it doesn't name itself.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "icmp.h"
#include "plan_private.h"

#define NAMES_MAX      256
#define EVERY_PORT     (UINT16_MAX + 1u)
#define EDGE(proto, p) ((uint32_t)(proto) << 17 | (p))

struct edges { /* first ports of cells, and ends; EDGE() */
	uint32_t *at;
	size_t n, room;
};

static void edges_done(struct edges *e)
{
	free(e->at);
}

static void push_edge(struct edges *e, uint32_t edge)
{
	if (e->n == e->room) {
		e->room = e->room ? e->room * 2 : 64;
		e->at = realloc(e->at, e->room * sizeof(*e->at));
		if (!e->at)
			abort();
	}
	e->at[e->n++] = edge;
}

static void push_cell(struct edges *e, uint8_t proto, uint32_t lo, uint32_t size)
{
	push_edge(e, EDGE(proto, 0));
	push_edge(e, EDGE(proto, lo));
	push_edge(e, EDGE(proto, lo + size));
}

/* One side of a connection, in one of the two worlds: the entries that decide it. */
struct table {
	struct class_table {
		const struct pk_verdict_entry *at;
		size_t n;
	} class[PK_LISTS / 2];	    /* the peer's own, and those of the lists beside */
	struct pk_open_entry *open; /* of the endpoint's own, where the peer is none */
	size_t n_open;
	bool names; /* beside them, names may allow */
};

static void table_done(struct table *t)
{
	free(t->open);
}

/* Returns the index of the first entry of a class and direction, as pk_image_finish sorts them. */
static size_t first_of(const struct pk_image *image, uint32_t class_nr, enum pk_dir dir)
{
	size_t lo = 0, hi = image->n_verdicts;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct pk_verdict_key *key = &image->verdicts[mid].key;

		if (key->class < class_nr || (key->class == class_nr && key->dir < dir))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void class_table(const struct pk_image *image, uint32_t class_nr, enum pk_dir dir,
			struct class_table *out)
{
	size_t end = first_of(image, class_nr, dir);

	out->at = image->verdicts + end;
	while (end < image->n_verdicts && image->verdicts[end].key.class == class_nr &&
	       image->verdicts[end].key.dir == dir)
		end++;
	out->n = (size_t)(image->verdicts + end - out->at);
}

static void table_of(const struct plan_work *w, int i, enum pk_dir dir,
		     const struct plan_ends *ends, struct table *out)
{
	const struct pk_engine *engine = pk_asker_engine(w->side[i]->asker);
	const struct pk_peer *sides[2] = {
		[PK_EGRESS] = &ends->from[i], [PK_INGRESS] = &ends->to[i]
	};
	const struct pk_question q = { .subject = sides[dir]->endpoint,
				       .dir = dir,
				       .peer = *sides[!dir] };
	const struct pk_image *image;
	uint32_t names[NAMES_MAX];
	struct pk_image_facts facts;

	*out = (struct table){ 0 };
	image = q.subject ? pk_engine_image(engine, q.subject->key) : NULL;
	if (!image)
		return;
	pk_ask_facts(engine, image, &q, &facts, names, NAMES_MAX);
	class_table(image, pk_image_class(image, &q, &facts), dir, &out->class[0]);
	class_table(image, pk_image_class_beside(image, PK_LIST_ALL, &q), dir, &out->class[1]);
	class_table(image, pk_image_class_beside(image, PK_LIST_SOME, &q), dir, &out->class[2]);
	out->names = facts.n_name_classes != 0;
	if (dir == PK_INGRESS && q.peer.party != PK_PARTY_ENDPOINT)
		out->n_open = pk_engine_open_ports(engine, q.subject->key, &out->open);
}

static bool equal_classes(const struct class_table *a, const struct class_table *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct pk_verdict_entry *x = &a->at[i], *y = &b->at[i];

		if (x->key.prefixlen != y->key.prefixlen || x->key.proto != y->key.proto ||
		    x->key.port != y->key.port || x->value.live.verdict != y->value.live.verdict ||
		    x->value.live.rank != y->value.live.rank)
			return false;
	}
	return true;
}

static bool equal_tables(const struct table *a, const struct table *b)
{
	if (a->n_open != b->n_open || a->names || b->names)
		return false;
	for (size_t i = 0; i < PK_ARRAY_LEN(a->class); i++)
		if (!equal_classes(&a->class[i], &b->class[i]))
			return false;
	return !a->n_open || !memcmp(a->open, b->open, a->n_open * sizeof(*a->open));
}

static void push_class(struct edges *e, const struct class_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct pk_verdict_key *key = &t->at[i].key;

		if (key->prefixlen >= PK_VERDICT_BITS_PROTO)
			push_cell(e, key->proto, ntohs(key->port),
				  EVERY_PORT >> (key->prefixlen - PK_VERDICT_BITS_PROTO));
	}
}

static void push_table(struct edges *e, const struct table *t)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(t->class); i++)
		push_class(e, &t->class[i]);
	for (size_t i = 0; i < t->n_open; i++)
		push_cell(e, t->open[i].proto, t->open[i].port, 1);
}

/* Gathers the tables of both directions; false: nothing between these two can have changed. */
static bool gather(const struct plan_work *w, const struct plan_ends *ends, struct edges *out)
{
	bool equal = true;

	for (int dir = 0; dir < 2; dir++) {
		PK_OWN(table_done) struct table before = { 0 };
		PK_OWN(table_done) struct table after = { 0 };

		table_of(w, 0, (enum pk_dir)dir, ends, &before);
		table_of(w, 1, (enum pk_dir)dir, ends, &after);
		equal = equal && equal_tables(&before, &after);
		push_table(out, &before);
		push_table(out, &after);
	}
	return !equal;
}

static int cmp_edge(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool same(const enum pk_verdict a[2], const enum pk_verdict b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

/*
 * Returns whether the plan has a line for this change already: that of ports which hold these, of
 * "other ports", of an ICMP type among these, or of UDP where a rule names SCTP as well.
 */
static bool is_told(const struct plan_work *w, size_t first, const struct plan_sample *s,
		    const enum pk_verdict got[2])
{
	for (size_t i = first; i < w->out->n; i++) {
		const struct pk_plan_change *c = &w->out->changes[i];
		const enum pk_verdict told[2] = { c->before, c->after };
		bool icmp = s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6;
		/* A rule without a protocol names SCTP too: one line is enough. */
		bool twin = s->proto == IPPROTO_SCTP && c->proto == IPPROTO_UDP &&
			    (s->other ? c->other : c->port == s->port && c->end == s->end);

		if (!same(told, got) || (c->proto != s->proto && !twin))
			continue;
		if (twin || c->other || (c->port <= s->port && c->end >= s->end) ||
		    (icmp && c->port >= s->port && c->port <= s->end))
			return true;
	}
	return false;
}

static void tell(struct plan_work *w, const struct plan_pair *pair, size_t first,
		 const struct plan_sample *s, const enum pk_verdict got[2])
{
	if (got[0] != got[1] && !is_told(w, first, s, got))
		plan_add_pair_change(w, pair, s, got);
}

/*
 * Adds lines for the cells that differ. Neighbours of one verdict are one line; a port that was
 * asked by its name stands alone.
 */
static int walk(struct plan_work *w, const struct plan_pair *pair, const struct edges *e,
		size_t first)
{
	struct plan_sample run = { 0 };
	enum pk_verdict have[2] = { PK_DENY, PK_DENY };
	bool running = false;

	for (size_t i = 0; i + 1 < e->n; i++) {
		uint32_t lo = e->at[i] & 0x1ffff, next = e->at[i + 1] & 0x1ffff;
		struct plan_sample s = { .proto = (uint8_t)(e->at[i] >> 17), .port = (uint16_t)lo };
		enum pk_verdict got[2];

		if (lo == EVERY_PORT || e->at[i] == e->at[i + 1] ||
		    !plan_is_possible(pair, s.proto))
			continue;
		s.end = (uint16_t)(next - 1);
		s.other = lo == 0 && next == EVERY_PORT && pk_protocol_has_ports(s.proto);
		if (plan_ask_pair(w, pair, &s, got) < 0)
			return -1;
		if (running && run.proto == s.proto && same(have, got)) {
			run.end = s.end;
			run.other = run.port == 0 && run.end == UINT16_MAX &&
				    pk_protocol_has_ports(run.proto);
			continue;
		}
		if (running)
			tell(w, pair, first, &run, have);
		run = s;
		memcpy(have, got, sizeof(have));
		running = true;
	}
	if (running)
		tell(w, pair, first, &run, have);
	return 0;
}

static void close_protocols(struct edges *e)
{
	size_t n = e->n;

	for (size_t i = 0; i < n; i++)
		push_edge(e, EDGE(e->at[i] >> 17, EVERY_PORT));
	qsort(e->at, e->n, sizeof(*e->at), cmp_edge);
}

int plan_compare_tables(struct plan_work *w, const struct plan_pair *pair, size_t first)
{
	const struct plan_sample unnamed = { .proto = PLAN_UNNAMED, .end = UINT16_MAX };
	PK_OWN(edges_done) struct edges e = { 0 };
	enum pk_verdict got[2];

	if (!gather(w, &pair->ends, &e))
		return 0;
	if (e.n) {
		close_protocols(&e);
		if (walk(w, pair, &e, first) < 0)
			return -1;
	}
	if (plan_ask_pair(w, pair, &unnamed, got) < 0)
		return -1;
	if (got[0] != got[1] && w->out->n == first)
		plan_add_pair_change(w, pair, &unnamed, got);
	return 0;
}

bool plan_may_differ(const struct plan_work *w, const struct plan_pair *pair)
{
	PK_OWN(edges_done) struct edges e = { 0 };

	return gather(w, &pair->ends, &e);
}

/* --- the world --- */

static union pk_addr behind(const struct pk_cidr_entry *e, bool *wraps)
{
	union pk_addr out = e->addr;
	int byte = e->bits ? (int)(e->bits - 1) / 8 : -1;
	unsigned int carry = e->bits ? 1u << (7 - (e->bits - 1) % 8) : 0;

	for (; byte >= 0 && carry; byte--) {
		carry += out.b[byte];
		out.b[byte] = (unsigned char)carry;
		carry >>= 8;
	}
	*wraps = !e->bits || carry;
	return out;
}

#define LISTS PK_LISTS /* own and beside, before and after */

struct seen { /* what an address is to each list */
	uint32_t class_nr[LISTS];
	bool v4;
};

struct sweep {
	struct plan_work *w;
	const struct pk_cidr_list *list[LISTS];
	enum pk_dir dir;
	struct seen *seen;
	size_t n;
};

static void look(struct sweep *s, const union pk_addr *addr, bool known)
{
	struct seen here = { .v4 = pk_addr_is4(addr) };

	for (int i = 0; i < LISTS; i++)
		here.class_nr[i] = pk_cidr_list_class(s->list[i], addr);
	for (size_t i = 0; i < s->n; i++)
		if (!memcmp(s->seen[i].class_nr, here.class_nr, sizeof(here.class_nr)) &&
		    s->seen[i].v4 == here.v4)
			return;
	if (!known && !plan_add_address(s->w, addr, s->dir))
		return;
	s->seen = realloc(s->seen, (s->n + 1) * sizeof(*s->seen));
	if (!s->seen)
		abort();
	s->seen[s->n++] = here;
}

/* Adds an address for each combination of classes that some address has. */
static void sweep_lists(struct plan_work *w, const struct pk_cidr_list *const list[LISTS],
			enum pk_dir dir)
{
	struct sweep s = { .w = w, .dir = dir };

	memcpy(s.list, list, sizeof(s.list));
	for (size_t i = w->first_address; i < w->n_parties; i++)
		if (w->parties[i].role[dir])
			look(&s, &w->parties[i].peer[0].address, true);
	for (int k = 0; k < LISTS; k++)
		for (size_t i = 0; list[k] && i < list[k]->n; i++) {
			const struct pk_cidr_entry *e = &list[k]->entries[i];
			bool wraps;
			union pk_addr next = behind(e, &wraps);

			look(&s, &e->addr, false);
			if (!wraps)
				look(&s, &next, false);
		}
	free(s.seen);
}

struct done {
	const struct pk_cidr_list *list[LISTS];
};

void plan_add_world(struct plan_work *w)
{
	size_t n_endpoints = w->first_address, n_done = 0;
	struct done *done = calloc(2 * n_endpoints + 1, sizeof(*done));

	if (!done)
		abort();
	for (size_t i = 0; i < n_endpoints * 2; i++) {
		struct done d = { { NULL } };
		size_t j = 0, n = 0;

		for (int side = 0; side < 2; side++) {
			const struct plan_party *p = &w->parties[i / 2];
			const struct pk_image *image =
				p->touched ? pk_engine_image(pk_asker_engine(w->side[side]->asker),
							     p->peer[side].endpoint->key)
					   : NULL;

			for (size_t k = 0; image && k < PK_LISTS; k += 2) {
				d.list[k + (size_t)side] = image->list[k + i % 2];
				n += image->list[k + i % 2] != NULL;
			}
		}
		while (j < n_done && memcmp(&done[j], &d, sizeof(d)) != 0)
			j++;
		if (j < n_done || !n)
			continue;
		done[n_done++] = d;
		sweep_lists(w, d.list, (enum pk_dir)(i % 2));
	}
	free(done);
}
