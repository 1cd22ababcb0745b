/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divides the world by CIDR entries, protected addresses, tenantReach and resolvers. All prefixes
 * are walked in order with the stack of those around them; where the set of entries that match
 * differs from what stands around, the prefix gets a class. The operator's lists are walked apart
 * from the rest.
 */
#include "engine.h"

#include <string.h>

#include "str.h"

/* Entries of all classes together. Who needs more would need as many verdicts. */
#define CLASS_ACTS_MAX (1u << 22)

enum ref_what { REF_CIDR, REF_EXCEPT, REF_PROTECTED, REF_REACH, REF_RESOLVER };

struct ref {
	union pk_addr addr;
	uint32_t bits; /* of the v4-mapped form */
	uint8_t what;
	bool v6;
	uint32_t ent, element; /* CIDR, EXCEPT */
};

struct frame {
	union pk_addr addr;
	uint32_t bits;
	size_t first, end; /* its refs */
	uint32_t class_nr;
};

struct signature {
	struct hash128 key;
	uint32_t class_nr;
	UT_hash_handle hh;
};

struct walk {
	struct ref *refs;
	size_t n_refs, room_refs;
	struct frame stack[130];
	size_t depth;
	struct {
		int in, out;
	} *elements;
	size_t n_elements;
	int *counts;	  /* by ent: elements that match here */
	uint32_t *active; /* ents whose count isn't 0, sorted */
	size_t n_active;
	int flags[REF_RESOLVER + 1];
	struct signature *signatures;
	struct cidr_class *classes;
	size_t n_classes, room_classes, n_acts;
	bool too_large;
	bool beside; /* what matches nothing has no class */
	uint32_t first;
	struct pk_cidr_entry *entries;
	size_t n_entries, room_entries;
};

static void *more(void *array, size_t *room, size_t n, size_t size)
{
	if (n < *room)
		return array;
	*room = *room ? *room * 2 : 32;
	array = realloc(array, *room * size);
	if (!array)
		abort();
	return array;
}

static struct ref *push_ref(struct walk *w, const struct pk_prefix *prefix, enum ref_what what)
{
	struct pk_prefix p = *prefix;

	pk_prefix_mask(&p);
	w->refs = more(w->refs, &w->room_refs, w->n_refs, sizeof(*w->refs));
	w->refs[w->n_refs] = (struct ref){
		.addr = p.addr, .bits = pk_prefix_bits(&p), .what = (uint8_t)what, .v6 = p.v6
	};
	return &w->refs[w->n_refs++];
}

struct declared {
	struct walk *w;
	uint32_t ent;
};

static void push_declared(void *arg, const struct pk_prefix *prefix)
{
	const struct declared *d = arg;
	struct ref *r = push_ref(d->w, prefix, REF_CIDR);

	r->ent = d->ent;
	r->element = (uint32_t)d->w->n_elements++;
}

static void push_entries(struct walk *w, const struct pk_settings *s, struct ent *const *ents,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct pk_entry *e = ents[i]->e;

		declared_each(s, ents[i], push_declared, &(struct declared){ w, (uint32_t)i });
		for (size_t j = 0; j < e->n_cidrs; j++) {
			const struct pk_cidr_rule *c = &e->cidrs[j];
			struct ref *r = push_ref(w, &c->cidr, REF_CIDR);

			r->ent = (uint32_t)i;
			r->element = (uint32_t)w->n_elements;
			for (size_t k = 0; k < c->n_except; k++) {
				r = push_ref(w, &c->except[k], REF_EXCEPT);
				r->ent = (uint32_t)i;
				r->element = (uint32_t)w->n_elements;
			}
			w->n_elements++;
		}
	}
}

static void push_settings(struct walk *w, const struct pk_settings *s)
{
	for (size_t i = 0; i < pk_n_protected; i++)
		push_ref(w, &pk_protected[i], REF_PROTECTED);
	for (size_t i = 0; i < s->n_reach; i++)
		push_ref(w, &s->reach[i], REF_REACH);
	for (size_t i = 0; i < s->n_resolvers; i++) {
		bool v4 = pk_addr_is4(&s->resolvers[i]);
		const struct pk_prefix p = { .addr = s->resolvers[i],
					     .len = v4 ? 32 : 128,
					     .v6 = !v4 };

		push_ref(w, &p, REF_RESOLVER);
	}
}

static int ref_cmp(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	int c;

	if (x->v6 != y->v6)
		return x->v6 ? 1 : -1;
	c = memcmp(&x->addr, &y->addr, sizeof(x->addr));
	if (c)
		return c;
	return x->bits < y->bits ? -1 : x->bits > y->bits;
}

static void count_ent(struct walk *w, uint32_t ent, int by)
{
	size_t i = 0;

	w->counts[ent] += by;
	if (w->counts[ent] != 0 && !(w->counts[ent] == 1 && by == 1))
		return;
	while (i < w->n_active && w->active[i] < ent)
		i++;
	if (w->counts[ent]) {
		memmove(&w->active[i + 1], &w->active[i], (w->n_active++ - i) * sizeof(*w->active));
		w->active[i] = ent;
	} else {
		memmove(&w->active[i], &w->active[i + 1], (--w->n_active - i) * sizeof(*w->active));
	}
}

static void apply(struct walk *w, const struct ref *r, int by)
{
	bool before, after;

	if (r->what >= REF_PROTECTED) {
		w->flags[r->what] += by;
		return;
	}
	before = w->elements[r->element].in && !w->elements[r->element].out;
	if (r->what == REF_CIDR)
		w->elements[r->element].in += by;
	else
		w->elements[r->element].out += by;
	after = w->elements[r->element].in && !w->elements[r->element].out;
	if (before != after)
		count_ent(w, r->ent, after ? 1 : -1);
}

static bool is_inside(const struct ref *r, const struct frame *f)
{
	union pk_addr a = r->addr;

	if (r->bits < f->bits)
		return false;
	if (f->bits < 128) {
		a.b[f->bits / 8] &= (unsigned char)(0xff00 >> (f->bits % 8));
		memset(a.b + f->bits / 8 + 1, 0, 15 - f->bits / 8);
	}
	return memcmp(&a, &f->addr, sizeof(a)) == 0;
}

static uint32_t new_class(struct walk *w, bool v6)
{
	struct cidr_class *c;

	w->classes = more(w->classes, &w->room_classes, w->n_classes, sizeof(*w->classes));
	c = &w->classes[w->n_classes++];
	*c = (struct cidr_class){ .v6 = v6,
				  .n_acts = w->n_active,
				  .is_protected = w->flags[REF_PROTECTED],
				  .in_reach = w->flags[REF_REACH],
				  .resolver = w->flags[REF_RESOLVER] };
	c->acts = calloc(w->n_active + 1, sizeof(*c->acts));
	if (!c->acts)
		abort();
	memcpy(c->acts, w->active, w->n_active * sizeof(*c->acts));
	w->n_acts += w->n_active;
	return w->first + (uint32_t)w->n_classes - 1;
}

static uint32_t class_of_rest(const struct walk *w, bool v6)
{
	if (w->beside)
		return PK_CLASS_NONE;
	return v6 ? PK_CLASS_WORLD6 : PK_CLASS_WORLD4;
}

/* Returns the class of the addresses here that no longer prefix holds. */
static uint32_t class_here(struct walk *w, bool v6)
{
	struct pk_str s = { 0 };
	struct signature *sig;
	struct hash128 key;

	if (w->n_acts > CLASS_ACTS_MAX)
		w->too_large = true;
	if (w->too_large || (!w->n_active && !w->flags[REF_PROTECTED] && !w->flags[REF_RESOLVER]))
		return class_of_rest(w, v6);
	/* What tenantReach lists matters only where addresses are protected. */
	pk_str_addf(&s, "%d%d%d%d", v6, !!w->flags[REF_PROTECTED],
		    w->flags[REF_PROTECTED] && w->flags[REF_REACH], !!w->flags[REF_RESOLVER]);
	pk_str_addn(&s, w->active, w->n_active * sizeof(*w->active));
	pk_hash128(s.text, s.len, key.h);
	pk_str_done(&s);
	HASH_FIND(hh, w->signatures, &key, sizeof(key), sig);
	if (!sig) {
		sig = pk_alloc(sizeof(*sig));
		sig->key = key;
		sig->class_nr = new_class(w, v6);
		HASH_ADD(hh, w->signatures, key, sizeof(sig->key), sig);
	}
	return sig->class_nr;
}

static void pop(struct walk *w)
{
	const struct frame *f = &w->stack[--w->depth];

	for (size_t i = f->first; i < f->end; i++)
		apply(w, &w->refs[i], -1);
}

static void emit(struct walk *w, const union pk_addr *addr, uint32_t bits, uint32_t class_nr)
{
	w->entries = more(w->entries, &w->room_entries, w->n_entries, sizeof(*w->entries));
	w->entries[w->n_entries++] =
		(struct pk_cidr_entry){ .addr = *addr, .bits = bits, .class_nr = class_nr };
}

/* Visits one prefix, for which all refs from first to end stand. */
static void visit(struct walk *w, size_t first, size_t end)
{
	const struct ref *r = &w->refs[first];
	uint32_t around = class_of_rest(w, r->v6);
	struct frame *f;

	while (w->depth && !is_inside(r, &w->stack[w->depth - 1]))
		pop(w);
	if (w->depth)
		around = w->stack[w->depth - 1].class_nr;
	for (size_t i = first; i < end; i++)
		apply(w, &w->refs[i], 1);
	f = &w->stack[w->depth++];
	*f = (struct frame){ .addr = r->addr, .bits = r->bits, .first = first, .end = end };
	f->class_nr = class_here(w, r->v6);
	if (f->class_nr != around)
		emit(w, &r->addr, r->bits, f->class_nr);
}

/* IPv4 stands inside ::/n in the v4-mapped form: a short IPv6 prefix must not catch it. */
static void fence_v4(struct walk *w)
{
	static const union pk_addr v4 = { .b = { [10] = 0xff, 0xff } };
	bool caught = false;

	for (size_t i = 0; i < w->n_entries; i++) {
		const struct pk_cidr_entry *e = &w->entries[i];
		const struct frame f = { .addr = e->addr, .bits = e->bits };
		const struct ref r = { .addr = v4, .bits = 96 };

		if (e->bits == 96 && memcmp(&e->addr, &v4, sizeof(v4)) == 0)
			return;
		caught |= is_inside(&r, &f);
	}
	if (caught)
		emit(w, &v4, 96, class_of_rest(w, false));
}

static void walk_all(struct walk *w, size_t n_ents)
{
	size_t end;

	w->elements = calloc(w->n_elements + 1, sizeof(*w->elements));
	w->counts = calloc(n_ents + 1, sizeof(*w->counts));
	w->active = calloc(n_ents + 1, sizeof(*w->active));
	if (!w->elements || !w->counts || !w->active)
		abort();
	if (w->n_refs)
		qsort(w->refs, w->n_refs, sizeof(*w->refs), ref_cmp);
	for (size_t i = 0; i < w->n_refs; i = end) {
		for (end = i + 1; end < w->n_refs; end++)
			if (ref_cmp(&w->refs[i], &w->refs[end]) != 0)
				break;
		/* The families share nothing. */
		while (w->depth && w->refs[w->stack[0].first].v6 != w->refs[i].v6)
			pop(w);
		visit(w, i, end);
	}
	fence_v4(w);
}

static void walk_done(struct walk *w)
{
	struct signature *sig, *next;

	HASH_ITER (hh, w->signatures, sig, next) {
		HASH_DEL(w->signatures, sig);
		free(sig);
	}
	free(w->refs);
	free(w->elements);
	free(w->counts);
	free(w->active);
}

static struct hash128 shape_key(enum pk_dir dir, enum shape_kind kind, struct ent *const *ents,
				size_t n)
{
	struct hash128 key;
	struct pk_str s = { 0 };

	pk_str_addf(&s, "%d %d ", dir, kind);
	for (size_t i = 0; i < n; i++)
		pk_str_addn(&s, &ents[i]->serial, sizeof(ents[i]->serial));
	pk_hash128(s.text, s.len, key.h);
	pk_str_done(&s);
	return key;
}

static void shape_make(const struct pk_engine *engine, struct shape *shape, enum pk_dir dir,
		       enum shape_kind kind, struct ent *const *ents, size_t n)
{
	static const uint32_t first[] = { [SHAPE_OWN] = PK_CLASS_FIRST,
					  [SHAPE_ALL] = PK_CLASS_ALL,
					  [SHAPE_SOME] = PK_CLASS_SOME };
	struct walk w = { .beside = kind != SHAPE_OWN, .first = first[kind] };

	push_entries(&w, &engine->settings, ents, n);
	for (size_t i = 0; i < n; i++)
		shape->own |= ents[i]->doc->tenant_name != NULL;
	/* Baseline and tenants' reach are asked in the rule set's own list. */
	if (dir == PK_EGRESS && !w.beside)
		push_settings(&w, &engine->settings);
	walk_all(&w, n);
	shape->first = w.first;
	shape->classes = w.classes;
	shape->n_classes = w.n_classes;
	shape->too_large = w.too_large;
	if (w.n_entries)
		shape->list = pk_cidr_list_new(w.entries, w.n_entries);
	walk_done(&w);
}

struct shape *shape_get(struct pk_engine *engine, enum pk_dir dir, enum shape_kind kind,
			struct ent *const *ents, size_t n)
{
	struct hash128 key = shape_key(dir, kind, ents, n);
	struct shape *shape;

	if (kind != SHAPE_OWN && !n)
		return NULL;
	HASH_FIND(hh, engine->shapes, &key, sizeof(key), shape);
	if (shape)
		return shape;
	shape = pk_alloc(sizeof(*shape));
	shape->key = key;
	shape_make(engine, shape, dir, kind, ents, n);
	HASH_ADD(hh, engine->shapes, key, sizeof(shape->key), shape);
	return shape;
}

void shapes_free(struct pk_engine *engine, bool unused_only)
{
	struct shape *s, *next;

	HASH_ITER (hh, engine->shapes, s, next) {
		if (unused_only && s->used)
			continue;
		HASH_DEL(engine->shapes, s);
		pk_cidr_list_unref(s->list);
		for (size_t i = 0; i < s->n_classes; i++)
			free(s->classes[i].acts);
		free(s->classes);
		free(s);
	}
}
