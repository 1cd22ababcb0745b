/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

struct location { /* where a number stands; 16 bytes matter at 50,000 of them */
	uint32_t number;
	uint32_t doc; /* index into docs */
	uint32_t rule;
	uint32_t entry : 31;
	uint32_t dir : 1;
};

/* Hashes of one document's locations, in the order of collect(). */
struct known {
	const struct pk_document *doc;
	const uint32_t *hashes; /* NULL: not kept */
	uint32_t index;		/* into docs */
};

struct pk_rules {
	const struct pk_document **docs;
	size_t n_docs;
	struct location *locations; /* sorted by number */
	size_t n;
	uint32_t *hashes;    /* document by document */
	struct known *known; /* sorted by pointer */
	bool plain;	     /* no two collide: each number is its hash */
};

static const char *const dir_name[] = { "egress", "ingress" };

static uint32_t hash_location(const struct pk_document *doc, const struct location *p)
{
	static const uint64_t key[2] = { 0x7069636b65742033, 0x72756c65206e756d };
	char text[640];
	int n = snprintf(text, sizeof(text), "%.255s/%.255s#%u.%s.%u", doc->source, doc->name,
			 p->rule, dir_name[p->dir], p->entry);

	return (uint32_t)pk_siphash(text, (size_t)n, key);
}

/* The order of locations whose hashes collide: document, then location. */
static int location_cmp(const struct pk_rules *rules, const struct location *x,
			const struct location *y)
{
	const struct pk_document *a = rules->docs[x->doc], *b = rules->docs[y->doc];
	int c = strcmp(a->source, b->source);

	c = c ? c : strcmp(a->name, b->name);
	c = c ? c : (int)x->rule - (int)y->rule;
	c = c ? c : (int)x->dir - (int)y->dir;
	return c ? c : (int)x->entry - (int)y->entry;
}

static int cmp_location(const void *a, const void *b, void *arg)
{
	return location_cmp(arg, a, b);
}

/* Sorts by number, 11 bits a pass, and equal numbers then in order of location. */
static void sort_locations(struct pk_rules *rules)
{
	struct location *from = rules->locations, *to = calloc(rules->n + 1, sizeof(*to));
	size_t end;

	if (!to)
		abort();
	for (unsigned int shift = 0; shift < 33; shift += 11) {
		size_t at[2049] = { 0 };
		struct location *swap = from;

		for (size_t i = 0; i < rules->n; i++)
			at[(from[i].number >> shift & 2047) + 1]++;
		for (size_t i = 0; i < 2048; i++)
			at[i + 1] += at[i];
		for (size_t i = 0; i < rules->n; i++)
			to[at[from[i].number >> shift & 2047]++] = from[i];
		from = to;
		to = swap;
	}
	rules->locations = from;
	free(to);
	for (size_t i = 0; i < rules->n; i = end) {
		for (end = i + 1; end < rules->n && from[end].number == from[i].number;)
			end++;
		if (end - i > 1)
			qsort_r(&from[i], end - i, sizeof(*from), cmp_location, rules);
	}
}

static size_t count(struct pk_document *const *docs, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < docs[i]->n_rules; j++)
			total += docs[i]->rules[j].n_entries[0] + docs[i]->rules[j].n_entries[1];
	return total;
}

static int cmp_known(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->doc < y->doc ? -1 : x->doc > y->doc;
}

static const struct known *find_known(const struct pk_rules *rules, const struct pk_document *doc)
{
	const struct known key = { .doc = doc };

	if (!rules || !rules->n_docs)
		return NULL;
	return bsearch(&key, rules->known, rules->n_docs, sizeof(key), cmp_known);
}

static void collect(struct pk_rules *rules, uint32_t index, const struct pk_rules *old)
{
	const struct pk_document *doc = rules->docs[index];
	const struct known *known = find_known(old, doc);
	size_t first = rules->n;

	for (size_t r = 0; r < doc->n_rules; r++)
		for (unsigned int dir = 0; dir < 2; dir++)
			for (size_t e = 0; e < doc->rules[r].n_entries[dir]; e++) {
				struct location *p = &rules->locations[rules->n];

				*p = (struct location){ .doc = index,
							.rule = (uint32_t)r,
							.entry = (uint32_t)e & 0x7fffffff,
							.dir = dir & 1 };
				p->number = known && known->hashes ? known->hashes[rules->n - first]
								   : hash_location(doc, p);
				rules->hashes[rules->n++] = p->number;
			}
	rules->known[index] =
		(struct known){ .doc = doc, .hashes = rules->hashes + first, .index = index };
}

/*
 * The locations are sorted by hash: each takes the next number that is free behind the last one.
 */
static void settle(struct pk_rules *rules)
{
	uint64_t next = PK_RULE_FIRST;
	size_t wrapped = 0;

	for (size_t i = 0; i < rules->n; i++) {
		struct location *p = &rules->locations[i];

		if (p->number < next) {
			p->number = (uint32_t)next;
			rules->plain = false;
		}
		next = (uint64_t)p->number + 1;
		if (next > UINT32_MAX) {
			wrapped = rules->n - i - 1;
			break;
		}
	}
	/*
	 * There is no room behind the last number: those few stand at the front, shifting what is
	 * there.
	 */
	for (size_t i = 0; i < wrapped; i++)
		rules->locations[rules->n - 1 - i].number = PK_RULE_FIRST + (uint32_t)i;
	if (!wrapped)
		return;
	sort_locations(rules);
	settle(rules);
}

/* Returns whether a rule that stands in both sets was renumbered. */
static bool write_numbers(const struct pk_rules *rules, struct pk_document *const *docs,
			  const struct pk_rules *old)
{
	bool renumbered = false;

	for (size_t i = 0; i < rules->n; i++) {
		const struct location *p = &rules->locations[i];
		uint32_t *number = &docs[p->doc]->rules[p->rule].entries[p->dir][p->entry].number;

		if (*number == p->number)
			continue;
		renumbered |= find_known(old, docs[p->doc]) != NULL;
		*number = p->number;
	}
	return renumbered;
}

static struct pk_rules *rules_of(struct pk_document *const *docs, size_t n)
{
	struct pk_rules *rules = pk_alloc(sizeof(*rules));
	size_t total = count(docs, n);

	rules->docs = calloc(n + 1, sizeof(*rules->docs));
	rules->known = calloc(n + 1, sizeof(*rules->known));
	rules->locations = calloc(total + 1, sizeof(*rules->locations));
	if (!rules->docs || !rules->known || !rules->locations)
		abort();
	for (size_t i = 0; i < n; i++)
		rules->docs[i] = docs[i];
	rules->n_docs = n;
	rules->plain = true;
	return rules;
}

/* Works out every number anew. */
static void renew_all(struct pk_rules *rules, const struct pk_rules *old)
{
	rules->hashes = calloc(count((struct pk_document *const *)rules->docs, rules->n_docs) + 1,
			       sizeof(*rules->hashes));
	if (!rules->hashes)
		abort();
	rules->plain = true;
	rules->n = 0;
	for (size_t i = 0; i < rules->n_docs; i++)
		collect(rules, (uint32_t)i, old);
	if (rules->n_docs)
		qsort(rules->known, rules->n_docs, sizeof(*rules->known), cmp_known);
	sort_locations(rules);
	settle(rules);
}

#define GONE UINT32_MAX

/*
 * now[i]: where old's document i stands in rules; fresh lists those that old hasn't. Both sets are
 * mostly in the same order, so that few are searched for.
 */
static size_t compare_sets(const struct pk_rules *old, const struct pk_rules *rules, uint32_t *now,
			   struct known *fresh)
{
	size_t at = 0, n = 0;

	for (size_t i = 0; i < old->n_docs; i++)
		now[i] = GONE;
	for (size_t i = 0; i < rules->n_docs; i++) {
		const struct known *known = NULL;

		if (at < old->n_docs && old->docs[at] == rules->docs[i]) {
			now[at++] = (uint32_t)i;
			continue;
		}
		known = find_known(old, rules->docs[i]);
		if (known)
			now[known->index] = (uint32_t)i;
		else
			fresh[n++] = (struct known){ .doc = rules->docs[i], .index = (uint32_t)i };
		/* A document that is new most often stands where one went. */
		at = known ? known->index + 1 : at + 1;
	}
	qsort(fresh, n, sizeof(*fresh), cmp_known);
	return n;
}

static void merge_known(struct pk_rules *rules, const struct pk_rules *old, const uint32_t *now,
			const struct known *fresh, size_t n_fresh)
{
	struct known *to = rules->known;
	size_t at = 0;

	for (size_t i = 0; i < old->n_docs; i++) {
		struct known k = { .doc = old->known[i].doc, .index = now[old->known[i].index] };

		if (k.index == GONE)
			continue;
		while (at < n_fresh && fresh[at].doc < k.doc)
			*to++ = fresh[at++];
		*to++ = k;
	}
	memcpy(to, fresh + at, (n_fresh - at) * sizeof(*to));
}

/* Makes the locations of new documents, by number, and writes their entries' numbers. */
static struct pk_rules *locations_of(const struct pk_rules *rules, const struct known *fresh,
				     size_t n)
{
	own_mem struct pk_document **docs = calloc(n + 1, sizeof(struct pk_document *));
	struct pk_rules *small;

	if (!docs)
		abort();
	for (size_t i = 0; i < n; i++)
		docs[i] = (struct pk_document *)rules->docs[fresh[i].index];
	small = pk_rules_new(docs, n);
	for (size_t i = 0; i < small->n; i++)
		small->locations[i].doc = fresh[small->locations[i].doc].index;
	return small;
}

/* Merges the locations of both; false: two numbers collide. */
static bool merge_locations(struct pk_rules *rules, const struct pk_rules *old, const uint32_t *now,
			    const struct pk_rules *small)
{
	size_t at = 0;

	for (size_t i = 0; i < old->n; i++) {
		struct location p = old->locations[i];

		p.doc = now[p.doc];
		if (p.doc == GONE)
			continue;
		while (at < small->n && small->locations[at].number < p.number)
			rules->locations[rules->n++] = small->locations[at++];
		if (at < small->n && small->locations[at].number == p.number)
			return false;
		rules->locations[rules->n++] = p;
	}
	while (at < small->n)
		rules->locations[rules->n++] = small->locations[at++];
	return true;
}

/*
 * Numbers the new documents alone. As long as no two numbers collide, those of a document depend on
 * no other: what is in both sets stays, and an edit costs one pass over the locations. False: they
 * do collide, and all must be settled.
 */
static bool renew_some(struct pk_rules *rules, const struct pk_rules *old)
{
	own_mem uint32_t *now = calloc(old->n_docs + 1, sizeof(*now));
	own_mem struct known *fresh = calloc(rules->n_docs + 1, sizeof(*fresh));
	struct pk_rules *small;
	size_t n;
	bool plain;

	if (!now || !fresh)
		abort();
	n = compare_sets(old, rules, now, fresh);
	merge_known(rules, old, now, fresh, n);
	small = locations_of(rules, fresh, n);
	plain = small->plain && merge_locations(rules, old, now, small);
	pk_rules_free(small);
	return plain;
}

struct pk_rules *pk_rules_renew(struct pk_rules *old, struct pk_document *const *docs, size_t n,
				bool *renumbered)
{
	struct pk_rules *rules = rules_of(docs, n);

	*renumbered = false;
	if (!old || !old->plain || !renew_some(rules, old)) {
		renew_all(rules, old);
		*renumbered = write_numbers(rules, docs, old);
	}
	pk_rules_free(old);
	return rules;
}

struct pk_rules *pk_rules_new(struct pk_document *const *docs, size_t n)
{
	bool renumbered;

	return pk_rules_renew(NULL, docs, n, &renumbered);
}

void pk_rules_free(struct pk_rules *rules)
{
	if (!rules)
		return;
	free(rules->docs);
	free(rules->known);
	free(rules->hashes);
	free(rules->locations);
	free(rules);
}

int pk_rules_at(const struct pk_rules *rules, size_t i, struct pk_rule_ref *out)
{
	const struct location *p;

	if (i >= rules->n)
		return -ENOENT;
	p = &rules->locations[i];
	*out = (struct pk_rule_ref){ .number = p->number,
				     .doc = rules->docs[p->doc],
				     .rule = &rules->docs[p->doc]->rules[p->rule],
				     .dir = p->dir,
				     .rule_index = p->rule,
				     .entry_index = p->entry };
	out->entry = &out->rule->entries[p->dir][p->entry];
	return 0;
}

int pk_rules_find(const struct pk_rules *rules, uint32_t number, struct pk_rule_ref *out)
{
	size_t lo = 0, hi = rules->n;

	if (number < PK_RULE_BUILTIN_COUNT) {
		*out = (struct pk_rule_ref){ .number = number };
		return 0;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rules->locations[mid].number == number)
			return pk_rules_at(rules, mid, out);
		if (rules->locations[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -ENOENT;
}

size_t pk_rules_count(const struct pk_rules *rules)
{
	return rules->n;
}

#define BUILTIN_TEXT(nr, sym, text) [nr] = text,
static const char *const builtin_text[] = { PK_BUILTIN_RULES(BUILTIN_TEXT) };
const char *pk_tier_name(unsigned int rank)
{
	static const char *const names[] = { "builtin", "baseline", "tenant", "operator" };

	return PK_RANK_TIER(rank) < PK_ARRAY_LEN(names) ? names[PK_RANK_TIER(rank)] : "builtin";
}

void pk_rule_text(const struct pk_rule_ref *ref, uint8_t rank, struct pk_str *out)
{
	if (!ref->doc) {
		pk_str_add(out, ref->number < PK_RULE_BUILTIN_COUNT ? builtin_text[ref->number]
								    : "unknown rule");
		return;
	}
	if (PK_RANK_KIND(rank) == PK_KIND_DEFAULT)
		pk_str_addf(out, "default deny of the %s tier, asked for by ", pk_tier_name(rank));
	pk_str_add_escaped(out, ref->doc->name);
	if (ref->rule->description) {
		pk_str_add(out, ": ");
		pk_str_add_escaped(out, ref->rule->description);
	}
	pk_str_add(out, " (");
	pk_str_add_escaped(out, ref->doc->path ? ref->doc->path : ref->doc->name);
	pk_str_addf(out, ":%d)", ref->entry->line);
}

void pk_rule_json(const struct pk_rule_ref *ref, struct pk_jw *w, const char *key)
{
	pk_jw_open(w, key, '{');
	pk_jw_uint(w, "number", ref->number);
	if (!ref->doc) {
		pk_jw_string(w, "document", NULL);
		pk_jw_string(w, "description",
			     ref->number < PK_RULE_BUILTIN_COUNT ? builtin_text[ref->number]
								 : NULL);
		pk_jw_close(w, '}');
		return;
	}
	pk_jw_string(w, "document", ref->doc->name);
	pk_jw_string(w, "source", ref->doc->source);
	pk_jw_string(w, "path", ref->doc->path);
	pk_jw_string(w, "namespace", ref->doc->tenant_name);
	pk_jw_int(w, "line", ref->entry->line);
	pk_jw_string(w, "direction", dir_name[ref->dir]);
	pk_jw_uint(w, "rule", ref->rule_index);
	pk_jw_uint(w, "entry", ref->entry_index);
	pk_jw_string(w, "kind", pk_entry_word(ref->entry));
	pk_jw_string(w, "tier", pk_tier_name(PK_RANK(ref->doc->tier, 0)));
	pk_jw_bool(w, "audit", ref->doc->audit);
	pk_jw_string(w, "description", ref->rule->description);
	pk_jw_string(w, "log", ref->rule->log);
	pk_jw_close(w, '}');
}
