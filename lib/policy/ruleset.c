/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <string.h>

#include "own.h"
#include "str.h"

struct pk_image *pk_image_ref(struct pk_image *image)
{
	if (image)
		image->refs++;
	return image;
}

void pk_image_unref(struct pk_image *image)
{
	if (!image || --image->refs)
		return;
	for (int i = 0; i < PK_LISTS; i++)
		pk_cidr_list_unref(image->list[i]);
	free(image->verdicts);
	free(image->peers);
	free(image->names);
	free(image);
}

struct pk_cidr_list *pk_cidr_list_ref(struct pk_cidr_list *list)
{
	if (list)
		list->refs++;
	return list;
}

void pk_cidr_list_unref(struct pk_cidr_list *list)
{
	if (!list || --list->refs)
		return;
	free(list->entries);
	free(list);
}

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int cidr_cmp(const void *a, const void *b)
{
	const struct pk_cidr_entry *x = a, *y = b;
	int c = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return c ? c : by_number(x->bits, y->bits);
}

struct pk_cidr_list *pk_cidr_list_new(struct pk_cidr_entry *entries, size_t n)
{
	struct pk_cidr_list *list = pk_alloc(sizeof(*list));

	list->refs = 1;
	list->entries = entries;
	list->n = n;
	if (n)
		qsort(entries, n, sizeof(*entries), cidr_cmp);
	for (size_t i = 0; i < n; i++)
		list->has_bits[entries[i].bits] = true;
	pk_hash128(entries ? (void *)entries : "", n * sizeof(*entries), list->digest);
	return list;
}

static union pk_addr masked(const union pk_addr *addr, uint32_t bits)
{
	union pk_addr out = *addr;

	if (bits < 128) {
		out.b[bits / 8] &= (unsigned char)(0xff00 >> (bits % 8));
		memset(out.b + bits / 8 + 1, 0, 15 - bits / 8);
	}
	return out;
}

uint32_t pk_cidr_list_class(const struct pk_cidr_list *list, const union pk_addr *addr)
{
	struct pk_cidr_entry key, *hit;

	for (int bits = 128; list && list->n && bits >= 0; bits--) {
		if (!list->has_bits[bits])
			continue;
		key = (struct pk_cidr_entry){ .addr = masked(addr, (uint32_t)bits),
					      .bits = (uint32_t)bits };
		hit = bsearch(&key, list->entries, list->n, sizeof(key), cidr_cmp);
		if (hit)
			return hit->class_nr;
	}
	return PK_CLASS_NONE;
}

static int verdict_cmp(const void *a, const void *b)
{
	const struct pk_verdict_key *x = a, *y = b; /* the key stands first in its entry */
	int c = by_number(x->class, y->class);

	c = c ? c : by_number(x->dir, y->dir);
	c = c ? c : by_number(x->proto, y->proto);
	c = c ? c : by_number(ntohs(x->port), ntohs(y->port));
	return c ? c : by_number(x->prefixlen, y->prefixlen);
}

static int peer_cmp(const void *a, const void *b)
{
	const struct pk_peer_entry *x = a, *y = b;
	int c = by_number(x->dir, y->dir);

	c = c ? c : by_number(x->tenant, y->tenant);
	c = c ? c : by_number(x->hash[0], y->hash[0]);
	return c ? c : by_number(x->hash[1], y->hash[1]);
}

static int name_cmp(const void *a, const void *b)
{
	const struct pk_name_class *x = a, *y = b;

	return by_number(x->class_nr, y->class_nr);
}

void pk_image_finish(struct pk_image *image)
{
	struct pk_str s = { .cap = (size_t)1 << 30 };
	uint64_t none[2] = { 0, 0 };

	if (image->n_verdicts)
		qsort(image->verdicts, image->n_verdicts, sizeof(*image->verdicts), verdict_cmp);
	if (image->n_peers)
		qsort(image->peers, image->n_peers, sizeof(*image->peers), peer_cmp);
	if (image->n_names)
		qsort(image->names, image->n_names, sizeof(*image->names), name_cmp);
	pk_str_addf(&s, "%u %u %zu %zu %zu ", image->flags, image->audit, image->n_verdicts,
		    image->n_peers, image->n_names);
	pk_str_addn(&s, image->origin, sizeof(image->origin));
	for (int i = 0; i < PK_LISTS; i++)
		pk_str_addn(&s, image->list[i] ? image->list[i]->digest : none, sizeof(none));
	pk_str_addn(&s, image->verdicts ? (void *)image->verdicts : "",
		    image->n_verdicts * sizeof(*image->verdicts));
	pk_str_addn(&s, image->peers ? (void *)image->peers : "",
		    image->n_peers * sizeof(*image->peers));
	for (size_t i = 0; i < image->n_names; i++)
		pk_str_addf(&s, " %u:%u", image->names[i].class_nr, image->names[i].number);
	if (s.failed)
		abort();
	pk_hash128(s.text, s.len, image->digest);
	pk_str_done(&s);
}

static const struct pk_peer_entry *find_peer(const struct pk_image *image, enum pk_dir dir,
					     bool tenant, const uint64_t hash[2])
{
	const struct pk_peer_entry key = { .dir = (uint8_t)dir,
					   .tenant = tenant,
					   .hash = { hash[0], hash[1] } };

	if (!image->n_peers)
		return NULL;
	return bsearch(&key, image->peers, image->n_peers, sizeof(key), peer_cmp);
}

static uint32_t class_of_endpoint(const struct pk_image *image, enum pk_dir dir,
				  const struct pk_image_facts *facts)
{
	const struct pk_peer_entry *p;

	if (facts->init)
		return PK_CLASS_INIT;
	p = find_peer(image, dir, false, facts->identity);
	if (!p && !facts->same_tenant)
		p = find_peer(image, dir, true, facts->tenant);
	if (p)
		return p->class_nr;
	if (facts->same_tenant)
		return PK_CLASS_SAME_TENANT;
	return facts->tenant[0] || facts->tenant[1] ? PK_CLASS_OTHER_TENANT : PK_CLASS_UNKNOWN;
}

static uint32_t class_of_world(const struct pk_image *image, const struct pk_question *q)
{
	uint32_t class_nr = pk_cidr_list_class(image->list[PK_LIST_OWN + q->dir], &q->peer.address);

	if (class_nr)
		return class_nr;
	return pk_addr_is4(&q->peer.address) ? PK_CLASS_WORLD4 : PK_CLASS_WORLD6;
}

uint32_t pk_image_class_beside(const struct pk_image *image, enum pk_list list,
			       const struct pk_question *q)
{
	if (q->peer.party != PK_PARTY_WORLD)
		return PK_CLASS_NONE;
	return pk_cidr_list_class(image->list[list + q->dir], &q->peer.address);
}

uint32_t pk_image_class(const struct pk_image *image, const struct pk_question *q,
			const struct pk_image_facts *facts)
{
	switch (q->peer.party) {
	case PK_PARTY_ENDPOINT:
		return class_of_endpoint(image, q->dir, facts);
	case PK_PARTY_UNKNOWN:
		return PK_CLASS_UNKNOWN;
	case PK_PARTY_HOST:
		return PK_CLASS_HOST;
	case PK_PARTY_REMOTE_NODE:
		return PK_CLASS_REMOTE_NODE;
	case PK_PARTY_WORLD:
		return class_of_world(image, q);
	case PK_PARTY_NONE:
	case PK_PARTY_SELF:
		break;
	}
	return PK_CLASS_NONE;
}

static const struct pk_verdict_value *find_verdict(const struct pk_image *image, uint32_t class_nr,
						   const struct pk_question *q)
{
	struct pk_verdict_key key = { .class = class_nr,
				      .dir = (uint8_t)q->dir,
				      .proto = q->proto };
	const struct pk_verdict_entry *hit;

	for (int bits = PK_VERDICT_BITS_PORT; bits >= PK_VERDICT_BITS_DIR && image->n_verdicts;
	     bits--) {
		if (bits < PK_VERDICT_BITS_PROTO && bits > PK_VERDICT_BITS_DIR)
			continue;
		key.prefixlen = (uint32_t)bits;
		key.port = 0;
		if (bits > PK_VERDICT_BITS_PROTO)
			key.port = htons((uint16_t)(q->port & (0xffff0000u >>
							       (bits - PK_VERDICT_BITS_PROTO))));
		if (bits == PK_VERDICT_BITS_DIR)
			key.proto = 0;
		hit = bsearch(&key, image->verdicts, image->n_verdicts, sizeof(*hit), verdict_cmp);
		if (hit)
			return &hit->value;
	}
	return NULL;
}

static void raise(struct pk_judgement *to, const struct pk_judgement *from)
{
	if (from->rank > to->rank)
		*to = *from;
}

static void raise_open(struct pk_verdict_value *out, uint8_t rank, uint32_t rule)
{
	const struct pk_judgement allow = { .verdict = PK_ALLOW, .rank = rank, .rule = rule };

	raise(&out->live, &allow);
	raise(&out->audit, &allow);
}

/* Adds what a class says that is looked up beside the peer's own. */
static void raise_by(const struct pk_image *image, uint32_t class_nr, const struct pk_question *q,
		     struct pk_verdict_value *out)
{
	const struct pk_verdict_value *v = class_nr ? find_verdict(image, class_nr, q) : NULL;

	if (!v)
		return;
	raise(&out->live, &v->live);
	raise(&out->audit, &v->audit);
}

void pk_image_lookup(const struct pk_image *image, const struct pk_question *q,
		     const struct pk_image_facts *facts, struct pk_verdict_value *out)
{
	const struct pk_verdict_value *v = find_verdict(image, pk_image_class(image, q, facts), q);

	*out = v ? *v : (struct pk_verdict_value){ 0 };
	raise_by(image, pk_image_class_beside(image, PK_LIST_ALL, q), q, out);
	raise_by(image, pk_image_class_beside(image, PK_LIST_SOME, q), q, out);
	for (size_t i = 0; i < facts->n_name_classes; i++)
		raise_by(image, facts->name_classes[i], q, out);
	if (q->dir != PK_INGRESS || q->peer.party == PK_PARTY_ENDPOINT ||
	    q->peer.party == PK_PARTY_UNKNOWN)
		return;
	if (facts->open & PK_OPEN_PUBLISHED)
		raise_open(out, PK_RANK_PUBLISHED, PK_RULE_PUBLISHED);
	if (facts->open & PK_OPEN_CHECKED && q->peer.party == PK_PARTY_HOST)
		raise_open(out, PK_RANK_CHECKED, PK_RULE_CHECKED);
}

static bool same_lists(const struct pk_image *a, const struct pk_image *b)
{
	for (int i = 0; i < PK_LISTS; i++) {
		const struct pk_cidr_list *x = a->list[i], *y = b->list[i];

		if (!x != !y || (x && memcmp(x->digest, y->digest, sizeof(x->digest)) != 0))
			return false;
	}
	return true;
}

static bool same_names(const struct pk_image *a, const struct pk_image *b)
{
	if (a->n_names != b->n_names)
		return false;
	for (size_t i = 0; i < a->n_names; i++)
		if (a->names[i].class_nr != b->names[i].class_nr ||
		    a->names[i].number != b->names[i].number)
			return false;
	return true;
}

static bool diff_verdicts(const struct pk_image *from, const struct pk_image *to,
			  struct pk_image_delta *out)
{
	size_t i = 0;

	out->verdicts = calloc(to->n_verdicts + 1, sizeof(*out->verdicts));
	if (!out->verdicts)
		abort();
	for (size_t j = 0; j < to->n_verdicts; j++) {
		const struct pk_verdict_entry *have = &from->verdicts[i], *want = &to->verdicts[j];
		int c = i < from->n_verdicts ? verdict_cmp(have, want) : 1;

		if (c < 0 || (c == 0 && memcmp(have, want, sizeof(*have)) != 0))
			return false;
		if (c == 0)
			i++;
		else
			out->verdicts[out->n_verdicts++] = want;
	}
	return i == from->n_verdicts;
}

static bool diff_peers(const struct pk_image *from, const struct pk_image *to,
		       struct pk_image_delta *out)
{
	size_t i = 0, j = 0;

	out->peers = calloc(to->n_peers + 1, sizeof(*out->peers));
	out->gone = calloc(from->n_peers + 1, sizeof(*out->gone));
	if (!out->peers || !out->gone)
		abort();
	while (i < from->n_peers || j < to->n_peers) {
		int c;

		if (i == from->n_peers)
			c = 1;
		else if (j == to->n_peers)
			c = -1;
		else
			c = peer_cmp(&from->peers[i], &to->peers[j]);
		if (c < 0)
			out->gone[out->n_gone++] = &from->peers[i++];
		else if (c > 0)
			out->peers[out->n_peers++] = &to->peers[j++];
		else if (from->peers[i++].class_nr != to->peers[j++].class_nr)
			return false;
	}
	return true;
}

void pk_image_diff(const struct pk_image *from, const struct pk_image *to,
		   struct pk_image_delta *out)
{
	*out = (struct pk_image_delta){ 0 };
	out->replace = from->flags != to->flags || from->audit != to->audit ||
		       memcmp(from->origin, to->origin, sizeof(from->origin)) != 0 ||
		       !same_lists(from, to) || !same_names(from, to) ||
		       !diff_verdicts(from, to, out) || !diff_peers(from, to, out);
	if (out->replace)
		pk_image_delta_done(out);
}

void pk_image_delta_done(struct pk_image_delta *delta)
{
	free(delta->verdicts);
	free(delta->peers);
	free(delta->gone);
	*delta = (struct pk_image_delta){ .replace = delta->replace };
}
