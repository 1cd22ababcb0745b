/* SPDX-License-Identifier: Apache-2.0 */
#include "tables_private.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

#define CHUNK 1024

/* Verdicts. */

static void verdict_key(struct pk_verdict_key *key, const struct pk_verdict_entry *entry,
			uint32_t rule_set)
{
	*key = entry->key;
	key->rule_set = rule_set;
}

static int write_verdicts(struct pk_bpf *bpf, uint32_t rule_set,
			  const struct pk_verdict_entry *list, size_t n, struct pk_err *err)
{
	own_mem struct pk_verdict_key *keys = pk_alloc(CHUNK * sizeof(*keys));
	own_mem struct pk_verdict_value *values = pk_alloc(CHUNK * sizeof(*values));

	for (size_t at = 0; at < n; at += CHUNK) {
		size_t part = n - at < CHUNK ? n - at : CHUNK, done;
		int r;

		for (size_t i = 0; i < part; i++) {
			verdict_key(&keys[i], &list[at + i], rule_set);
			values[i] = list[at + i].value;
		}
		r = pk_map_set_many(bpf->map[PK_MAP_VERDICTS], keys, values, part, &done);
		if (r < 0)
			return pk_tables_fail(err, r, PK_MAP_VERDICTS, "write a rule set");
	}
	return 0;
}

/* Peers. */

static struct pk_peer_class_key peer_key(uint32_t rule_set, const struct pk_peer_entry *peer,
					 uint32_t number)
{
	return (struct pk_peer_class_key){ .rule_set = rule_set,
					   .peer = peer->tenant ? number | PK_PEER_TENANT : number,
					   .dir = peer->dir };
}

/* Returns the peer's number in the tables, 0 where it has none yet. */
static uint32_t peer_number(const struct pk_bpf *bpf, const struct pk_peer_entry *peer)
{
	struct pk_labels labels;

	if (pk_labels_get(bpf, peer->hash, &labels) < 0)
		return 0;
	return peer->tenant ? labels.tenant : labels.identity;
}

static int write_peer(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_peer_entry *peer,
		      struct pk_err *err)
{
	uint32_t number = peer_number(bpf, peer);
	struct pk_peer_class_key key = peer_key(rule_set, peer, number);
	int r = number ? pk_map_set(bpf->map[PK_MAP_PEER_CLASS], &key, &peer->class_nr, BPF_ANY)
		       : 0;

	return r < 0 ? pk_tables_fail(err, r, PK_MAP_PEER_CLASS, "write") : 0;
}

static int number_tenants(struct pk_bpf *bpf, const struct pk_image *image, uint64_t deadline_ns,
			  struct pk_err *err)
{
	for (size_t i = 0; i < image->n_peers; i++) {
		uint32_t number;
		int r = image->peers[i].tenant ? pk_tenant_take(bpf, image->peers[i].hash,
								deadline_ns, &number, err)
					       : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int pk_rule_set_peers(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		      struct pk_err *err)
{
	for (size_t i = 0; i < image->n_peers; i++) {
		int r = write_peer(bpf, rule_set, &image->peers[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

int pk_rule_set_carry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t from, uint32_t to,
		      struct pk_err *err)
{
	int map = bpf->map[PK_MAP_PEER_CLASS], r = 0, written = 0;

	for (uint32_t dir = 0; dir < 2 && r == 0; dir++) {
		struct pk_peer_class_key old = { .rule_set = rule_set, .peer = from, .dir = dir };
		struct pk_peer_class_key new = { .rule_set = rule_set, .peer = to, .dir = dir };
		uint32_t class_nr;

		if (pk_map_get(map, &new, &class_nr) == 0 || pk_map_get(map, &old, &class_nr) < 0)
			continue;
		r = pk_map_set(map, &new, &class_nr, BPF_ANY);
		written = 1;
	}
	return r < 0 ? pk_tables_fail(err, r, PK_MAP_PEER_CLASS, "write") : written;
}

void pk_rule_set_uncarry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t identity,
			 const struct pk_image *image)
{
	bool said[2] = { false, false };

	for (size_t i = 0; image && i < image->n_peers; i++)
		if (!image->peers[i].tenant && peer_number(bpf, &image->peers[i]) == identity)
			said[image->peers[i].dir] = true;
	for (uint32_t dir = 0; dir < 2; dir++) {
		struct pk_peer_class_key key = { .rule_set = rule_set,
						 .peer = identity,
						 .dir = dir };

		if (!said[dir])
			pk_map_delete(bpf->map[PK_MAP_PEER_CLASS], &key);
	}
}

struct strip {
	int map;
	const bool *known; /* by rule set */
	const struct pk_peer_class_key *wanted;
	size_t n, n_known, gone;
};

static int by_peer_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pk_peer_class_key));
}

static int strip_peer(void *arg, const void *key, const void *value)
{
	const struct pk_peer_class_key *k = key;
	struct strip *s = arg;

	(void)value;
	if (k->rule_set >= s->n_known || !s->known[k->rule_set] ||
	    bsearch(k, s->wanted, s->n, sizeof(*k), by_peer_key))
		return 0;
	s->gone += pk_map_delete(s->map, k) == 0;
	return 0;
}

size_t pk_rule_sets_strip(struct pk_bpf *bpf, const struct pk_placed *placed, size_t n)
{
	own_mem bool *known = pk_alloc((bpf->node.rule_sets + 1) * sizeof(*known));
	own_mem struct pk_peer_class_key *wanted = NULL;
	struct strip s = { .map = bpf->map[PK_MAP_PEER_CLASS],
			   .known = known,
			   .n_known = bpf->node.rule_sets };
	size_t room = 1;

	for (size_t i = 0; i < n; i++)
		room += placed[i].image->n_peers;
	wanted = pk_alloc(room * sizeof(*wanted));
	for (size_t i = 0; i < n; i++) {
		const struct pk_image *image = placed[i].image;

		known[placed[i].rule_set] = true;
		for (size_t k = 0; k < image->n_peers; k++)
			wanted[s.n++] = peer_key(placed[i].rule_set, &image->peers[k],
						 peer_number(bpf, &image->peers[k]));
	}
	qsort(wanted, s.n, sizeof(*wanted), by_peer_key);
	s.wanted = wanted;
	pk_map_each(s.map, strip_peer, &s);
	return s.gone;
}

/* Lists. */

static struct pk_cidr_key cidr_key(uint32_t list, const struct pk_cidr_entry *entry)
{
	return (struct pk_cidr_key){ .prefixlen = 32 + entry->bits,
				     .list = list,
				     .addr = entry->addr };
}

static void delete_entries(struct pk_bpf *bpf, uint32_t number, const struct pk_cidr_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct pk_cidr_key key = cidr_key(number, &list->entries[i]);

		pk_map_delete(bpf->map[PK_MAP_CIDR], &key);
	}
}

static int write_list(struct pk_bpf *bpf, const struct pk_cidr_list *list, uint32_t number,
		      struct pk_err *err)
{
	own_mem struct pk_cidr_key *keys = pk_alloc(CHUNK * sizeof(*keys));
	own_mem uint32_t *values = pk_alloc(CHUNK * sizeof(*values));

	for (size_t at = 0; at < list->n; at += CHUNK) {
		size_t part = list->n - at < CHUNK ? list->n - at : CHUNK, done;
		int r;

		for (size_t i = 0; i < part; i++) {
			keys[i] = cidr_key(number, &list->entries[at + i]);
			values[i] = list->entries[at + i].class_nr;
		}
		r = pk_map_set_many(bpf->map[PK_MAP_CIDR], keys, values, part, &done);
		if (r < 0) {
			delete_entries(bpf, number, list);
			return pk_tables_fail(err, r, PK_MAP_CIDR, "write a list");
		}
	}
	return 0;
}

static struct pk_tables_list *find_list(struct pk_bpf *bpf, const uint64_t digest[2])
{
	for (size_t i = 0; bpf->memo && i < bpf->memo->n_lists; i++)
		if (!memcmp(bpf->memo->lists[i].digest, digest, sizeof(bpf->memo->lists[i].digest)))
			return &bpf->memo->lists[i];
	return NULL;
}

static void remember_list(struct pk_bpf *bpf, const struct pk_cidr_list *list, uint32_t number)
{
	struct pk_tables_list *known = find_list(bpf, list->digest);
	struct pk_tables_memo *memo;

	if (!bpf->memo)
		bpf->memo = pk_alloc(sizeof(*bpf->memo));
	memo = bpf->memo;
	if (!known) {
		memo->lists = realloc(memo->lists, (memo->n_lists + 1) * sizeof(*memo->lists));
		if (!memo->lists)
			abort();
		known = &memo->lists[memo->n_lists++];
		memcpy(known->digest, list->digest, sizeof(known->digest));
	}
	known->number = number;
}

static void forget_list(struct pk_bpf *bpf, uint32_t number)
{
	for (size_t i = 0; bpf->memo && i < bpf->memo->n_lists; i++)
		if (bpf->memo->lists[i].number == number)
			bpf->memo->lists[i--] = bpf->memo->lists[--bpf->memo->n_lists];
}

void pk_list_learn(struct pk_bpf *bpf, const struct pk_image *image,
		   const struct pk_rule_set *entry)
{
	for (int i = 0; i < PK_LISTS; i++)
		if (image->list[i] && entry->list[i])
			remember_list(bpf, image->list[i], entry->list[i]);
}

/*
 * A list that another rule set has is used again only while that one is there: picketd alone
 * frees, and it installs from the same thread; what the plugin finds it found through its own
 * handle, which has installed nothing before.
 */
static int take_list(struct pk_bpf *bpf, const struct pk_cidr_list *list, uint32_t *number,
		     struct pk_err *err)
{
	struct pk_tables_list *known = list ? find_list(bpf, list->digest) : NULL;
	int r;

	*number = known ? known->number : 0;
	if (!list || known)
		return 0;
	*number = pk_number_take(bpf, PK_NUMBER_LIST);
	if (!*number)
		return pk_tables_fail(err, -ENOSPC, PK_MAP_CIDR, "list numbers are used up");
	r = write_list(bpf, list, *number, err);
	if (r < 0)
		*number = 0;
	else
		remember_list(bpf, list, *number);
	return r;
}

/* Returns whether number is one of the entry's first n lists. */
static bool is_among(const struct pk_rule_set *entry, int n, uint32_t number)
{
	for (int i = 0; i < n; i++)
		if (entry->list[i] == number)
			return true;
	return false;
}

static bool list_used(struct pk_bpf *bpf, uint32_t number, uint32_t but)
{
	for (uint32_t i = 1; i < bpf->node.rule_sets; i++) {
		struct pk_rule_set entry;

		if (i == but || pk_map_get(bpf->map[PK_MAP_RULE_SETS], &i, &entry) < 0)
			continue;
		if (entry.entries && is_among(&entry, PK_LISTS, number))
			return true;
	}
	return false;
}

struct in_list {
	int map;
	uint32_t list;
};

static int drop_cidr(void *arg, const void *key, const void *value)
{
	const struct in_list *in = arg;

	(void)value;
	if (((const struct pk_cidr_key *)key)->list == in->list)
		pk_map_delete(in->map, key);
	return 0;
}

static void delete_list(struct pk_bpf *bpf, uint32_t number, const struct pk_cidr_list *list)
{
	struct in_list in = { .map = bpf->map[PK_MAP_CIDR], .list = number };

	forget_list(bpf, number);
	if (list)
		delete_entries(bpf, number, list);
	else
		pk_map_each(in.map, drop_cidr, &in);
}

void pk_list_drop_new(struct pk_bpf *bpf, const struct pk_rule_set *entry)
{
	pk_list_release(bpf, 0, entry, NULL);
}

void pk_list_release(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_rule_set *was,
		     const struct pk_image *image)
{
	for (int i = 0; i < PK_LISTS; i++) {
		uint32_t number = was->list[i];

		if (!number || is_among(was, i, number) || list_used(bpf, number, rule_set))
			continue;
		delete_list(bpf, number, image ? image->list[i] : NULL);
	}
}

/* The whole. */

int pk_rule_set_write(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		      uint64_t deadline_ns, struct pk_rule_set *entry, struct pk_err *err)
{
	int r = write_verdicts(bpf, rule_set, image->verdicts, image->n_verdicts, err);

	for (int i = 0; i < PK_LISTS && r == 0; i++)
		r = take_list(bpf, image->list[i], &entry->list[i], err);
	if (r == 0)
		r = number_tenants(bpf, image, deadline_ns, err);
	return r == 0 ? pk_rule_set_peers(bpf, rule_set, image, err) : r;
}

struct of_rule_set {
	int map;
	uint32_t rule_set;
};

static int drop_verdict(void *arg, const void *key, const void *value)
{
	const struct of_rule_set *in = arg;

	(void)value;
	if (((const struct pk_verdict_key *)key)->rule_set == in->rule_set)
		pk_map_delete(in->map, key);
	return 0;
}

static int drop_peer(void *arg, const void *key, const void *value)
{
	const struct of_rule_set *in = arg;

	(void)value;
	if (((const struct pk_peer_class_key *)key)->rule_set == in->rule_set)
		pk_map_delete(in->map, key);
	return 0;
}

/*
 * Peer classes are always found by walking: numbers of peers that are forgotten by now have entries
 * too.
 */
void pk_rule_set_scrub(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image)
{
	struct of_rule_set verdicts = { .map = bpf->map[PK_MAP_VERDICTS], .rule_set = rule_set };
	struct of_rule_set peers = { .map = bpf->map[PK_MAP_PEER_CLASS], .rule_set = rule_set };

	pk_map_each(peers.map, drop_peer, &peers);
	if (!image)
		pk_map_each(verdicts.map, drop_verdict, &verdicts);
	for (size_t i = 0; image && i < image->n_verdicts; i++) {
		struct pk_verdict_key key;

		verdict_key(&key, &image->verdicts[i], rule_set);
		pk_map_delete(verdicts.map, &key);
	}
}

/* Changes in place. */

static int add_delta(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image_delta *delta,
		     struct pk_err *err)
{
	int r = 0;

	for (size_t i = 0; i < delta->n_verdicts && r == 0; i++)
		r = write_verdicts(bpf, rule_set, delta->verdicts[i], 1, err);
	for (size_t i = 0; i < delta->n_peers && r == 0; i++)
		r = write_peer(bpf, rule_set, delta->peers[i], err);
	return r;
}

static void remove_gone(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image_delta *delta)
{
	for (size_t i = 0; i < delta->n_gone; i++) {
		uint32_t number = peer_number(bpf, delta->gone[i]);
		struct pk_peer_class_key key = peer_key(rule_set, delta->gone[i], number);

		if (number)
			pk_map_delete(bpf->map[PK_MAP_PEER_CLASS], &key);
	}
}

static int apply_delta(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image_delta *delta,
		       const struct pk_image *to, struct pk_err *err)
{
	struct pk_rule_set entry;
	int r = pk_rule_set_get(bpf, rule_set, &entry);

	if (r < 0)
		return pk_fail(err, -r, "rule set %u", rule_set);
	if (delta->replace)
		return pk_fail(err, 0, "rule set %u can't be changed in place", rule_set);
	r = add_delta(bpf, rule_set, delta, err);
	if (r < 0)
		return r;
	entry.entries += (uint32_t)delta->n_verdicts;
	memcpy(entry.digest, to->digest, sizeof(entry.digest));
	r = pk_map_set(bpf->map[PK_MAP_RULE_SETS], &rule_set, &entry, BPF_ANY);
	if (r < 0)
		return pk_tables_fail(err, r, PK_MAP_RULE_SETS, "write");
	remove_gone(bpf, rule_set, delta);
	return 0;
}

int pk_rule_set_amend(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *from,
		      const struct pk_image *to, struct pk_err *err)
{
	PK_OWN(pk_image_delta_done) struct pk_image_delta delta = { 0 };

	pk_image_diff(from, to, &delta);
	return apply_delta(bpf, rule_set, &delta, to, err);
}
