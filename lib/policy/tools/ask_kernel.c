/* SPDX-License-Identifier: Apache-2.0 */
#include "ask_kernel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <uthash.h>

#include "judge.skel.h"
#include "ask_private.h"
#include "picket/query.h"

/* 128-bit key -> number, counted from 1. */
struct number {
	uint64_t key[2];
	uint32_t number;
	UT_hash_handle hh;
};

struct subject {
	const char *key; /* the engine's */
	uint32_t slot, rule_set;
	UT_hash_handle hh;
};

struct state {
	struct pk_judge *skel;
	struct pk_engine *engine;
	struct number *identities, *tenants, *rule_sets, *lists;
	struct subject *subjects;
	struct pk_err *err; /* of the load that is under way */
};

static uint32_t number_of(struct number **map, const uint64_t key[2], bool *fresh)
{
	struct number *n;

	HASH_FIND(hh, *map, key, sizeof(n->key), n);
	*fresh = !n;
	if (n)
		return n->number;
	n = pk_alloc(sizeof(*n));
	n->key[0] = key[0];
	n->key[1] = key[1];
	n->number = HASH_COUNT(*map) + 1;
	HASH_ADD(hh, *map, key, sizeof(n->key), n);
	return n->number;
}

static uint32_t plain_number(struct number **map, const uint64_t key[2])
{
	bool fresh;

	return number_of(map, key, &fresh);
}

static void forget(struct number **map)
{
	struct number *n, *next;

	HASH_ITER (hh, *map, n, next) {
		HASH_DEL(*map, n);
		free(n);
	}
}

static int put(struct state *st, const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0)
		return 0;
	return pk_fail(st->err, errno, "write table \"%s\"", bpf_map__name(map));
}

static int put_list(struct state *st, const struct pk_cidr_list *list, uint32_t *number)
{
	bool fresh;
	int r = 0;

	*number = 0;
	if (!list)
		return 0;
	*number = number_of(&st->lists, list->digest, &fresh);
	for (size_t i = 0; i < list->n && fresh && r == 0; i++) {
		const struct pk_cidr_key key = { .prefixlen = 32 + list->entries[i].bits,
						 .list = *number,
						 .addr = list->entries[i].addr };

		r = put(st, st->skel->maps.cidr, &key, &list->entries[i].class_nr);
	}
	return r;
}

static int put_peers(struct state *st, const struct pk_image *image, uint32_t rule_set)
{
	int r = 0;

	for (size_t i = 0; i < image->n_peers && r == 0; i++) {
		const struct pk_peer_entry *p = &image->peers[i];
		struct number **map = p->tenant ? &st->tenants : &st->identities;
		const struct pk_peer_class_key key = {
			.rule_set = rule_set,
			.peer = plain_number(map, p->hash) | (p->tenant ? PK_PEER_TENANT : 0),
			.dir = p->dir,
		};

		r = put(st, st->skel->maps.peer_class, &key, &p->class_nr);
	}
	return r;
}

static int put_verdicts(struct state *st, const struct pk_image *image, uint32_t rule_set)
{
	int r = 0;

	for (size_t i = 0; i < image->n_verdicts && r == 0; i++) {
		struct pk_verdict_key key = image->verdicts[i].key;

		key.rule_set = rule_set;
		r = put(st, st->skel->maps.verdicts, &key, &image->verdicts[i].value);
	}
	return r;
}

static int put_image(struct state *st, const struct pk_image *image, uint32_t *number)
{
	struct pk_rule_set set = { .entries = (uint32_t)image->n_verdicts, .flags = image->flags };
	bool fresh;
	int r = 0;

	*number = number_of(&st->rule_sets, image->digest, &fresh);
	if (!fresh)
		return 0;
	memcpy(set.digest, image->digest, sizeof(set.digest));
	for (int i = 0; i < PK_LISTS && r == 0; i++)
		r = put_list(st, image->list[i], &set.list[i]);
	if (r == 0)
		r = put_verdicts(st, image, *number);
	if (r == 0)
		r = put_peers(st, image, *number);
	return r < 0 ? r : put(st, st->skel->maps.rule_sets, number, &set);
}

static int put_open_ports(struct state *st, const struct subject *s)
{
	struct pk_open_entry *list;
	size_t n = pk_engine_open_ports(st->engine, s->key, &list);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct pk_open_port_key key = { .slot = s->slot,
						      .proto = list[i].proto,
						      .port = htons(list[i].port) };

		r = put(st, st->skel->maps.open_ports, &key, &list[i].flags);
	}
	free(list);
	return r;
}

static int put_all(struct state *st)
{
	const struct pk_world *world = pk_engine_world(st->engine);
	int r = 0;

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep && r == 0;
	     ep = pk_world_next(world, ep)) {
		const struct pk_image *image = pk_engine_image(st->engine, ep->key);
		struct subject *s;

		if (!image)
			continue;
		s = pk_alloc(sizeof(*s));
		s->key = ep->key;
		s->slot = HASH_COUNT(st->subjects) + 1;
		HASH_ADD_KEYPTR(hh, st->subjects, s->key, strlen(s->key), s);
		r = put_image(st, image, &s->rule_set);
		if (r == 0)
			r = put_open_ports(st, s);
	}
	return r;
}

static void size_maps(struct state *st)
{
	struct pk_engine_size size;

	pk_engine_size(st->engine, &size);
	bpf_map__set_max_entries(st->skel->maps.rule_sets, (uint32_t)size.rule_sets + 2);
	bpf_map__set_max_entries(st->skel->maps.verdicts, (uint32_t)size.verdicts + 16);
	bpf_map__set_max_entries(st->skel->maps.peer_class, (uint32_t)size.peers + 16);
	bpf_map__set_max_entries(st->skel->maps.cidr, (uint32_t)size.cidrs + 16);
}

static void kernel_unload(void *arg)
{
	struct state *st = arg;
	struct subject *s, *next;

	HASH_ITER (hh, st->subjects, s, next) {
		HASH_DEL(st->subjects, s);
		free(s);
	}
	forget(&st->identities);
	forget(&st->tenants);
	forget(&st->rule_sets);
	forget(&st->lists);
	if (st->skel)
		pk_judge__destroy(st->skel);
	free(st);
}

static int load_program(struct pk_judge *skel, struct pk_err *err)
{
	int r = pk_judge__load(skel);

	if (r == 0)
		return 0;
	pk_fail(err, -r, "load the judge program");
	return pk_fix(err, r, "the kernel is asked by root (CAP_BPF and CAP_NET_ADMIN)");
}

static int load(struct state *st)
{
	int r;

	st->skel = pk_judge__open();
	if (!st->skel)
		return pk_fail(st->err, errno, "open the judge program");
	size_maps(st);
	r = load_program(st->skel, st->err);
	return r < 0 ? r : put_all(st);
}

static void *kernel_load(struct pk_engine *engine, struct pk_err *err)
{
	struct state *st = pk_alloc(sizeof(*st));

	st->engine = engine;
	st->err = err;
	if (load(st) < 0) {
		kernel_unload(st);
		return NULL;
	}
	st->err = NULL;
	return st;
}

static void fill_peer(struct state *st, const struct pk_question *q,
		      const struct pk_image_facts *facts, struct pk_query *out)
{
	out->party = (uint8_t)q->peer.party;
	out->addr = q->peer.address;
	if (q->peer.party != PK_PARTY_ENDPOINT)
		return;
	if (q->peer.endpoint == q->subject)
		out->party = PK_PARTY_SELF;
	out->identity = plain_number(&st->identities, facts->identity);
	if (q->peer.endpoint->labels->tenant_name)
		out->tenant = plain_number(&st->tenants, facts->tenant);
}

static uint32_t own_tenant(struct state *st, const struct pk_world_endpoint *subject)
{
	uint64_t hash[2];

	if (!subject->labels->tenant_name)
		return 0;
	pk_tenant_hash(subject->labels->tenant_name, hash);
	return plain_number(&st->tenants, hash);
}

int pk_judge_run(const struct pk_judge *skel, struct pk_query *q, struct pk_err *err)
{
	unsigned char packet[PK_QUERY_OFFSET + sizeof(*q)] = { [12] = 0x88, [13] = 0xb5 };
	unsigned char out[sizeof(packet)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .data_out = out, .data_size_out = sizeof(out));

	memcpy(packet + PK_QUERY_OFFSET, q, sizeof(*q));
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.pk_judge_query), &opts) < 0)
		return pk_fail(err, errno, "run the judge program");
	if (opts.retval != 0 || opts.data_size_out != sizeof(packet))
		return pk_fail(err, EPROTO, "the judge program answered %u", opts.retval);
	memcpy(q, out + PK_QUERY_OFFSET, sizeof(*q));
	return 0;
}

static int run_query(const struct pk_judge *skel, struct pk_query *q, struct pk_err *err)
{
	int r = pk_judge_run(skel, q, err);

	if (r == 0 && !q->found)
		return pk_fail(err, ENOENT, "rule set %u is not in the tables", q->rule_set);
	return r;
}

static void raise(struct pk_judgement *to, const struct pk_judgement *from)
{
	if (from->rank > to->rank)
		*to = *from;
}

/* Name classes are looked up beside, in the same loaded table: the data path learns names later. */
static void ask_names(struct state *st, const struct pk_query *q,
		      const struct pk_image_facts *facts, struct pk_verdict_value *out)
{
	for (size_t i = 0; i < facts->n_name_classes; i++) {
		const struct pk_verdict_key key = { .prefixlen = PK_VERDICT_BITS_PORT,
						    .rule_set = q->rule_set,
						    .class = facts->name_classes[i],
						    .dir = q->dir,
						    .proto = q->proto,
						    .port = q->port };
		struct pk_verdict_value v;

		if (bpf_map_lookup_elem(bpf_map__fd(st->skel->maps.verdicts), &key, &v) < 0)
			continue;
		raise(&out->live, &v.live);
		raise(&out->audit, &v.audit);
	}
}

static int kernel_ask(void *arg, const struct pk_question *q, struct pk_verdict_value *out,
		      struct pk_err *err)
{
	struct state *st = arg;
	const struct pk_image *image = pk_engine_image(st->engine, q->subject->key);
	uint32_t classes[256];
	struct pk_image_facts facts;
	struct pk_query query;
	struct subject *s;
	int r;

	HASH_FIND_STR(st->subjects, q->subject->key, s);
	if (!s || !image)
		return pk_fail(err, ENOENT, "endpoint \"%s\" has no rule set", q->subject->key);
	pk_ask_facts(st->engine, image, q, &facts, classes, PK_ARRAY_LEN(classes));
	query = (struct pk_query){ .rule_set = s->rule_set,
				   .slot = s->slot,
				   .own_tenant = own_tenant(st, q->subject),
				   .dir = (uint8_t)q->dir,
				   .proto = q->proto,
				   .port = htons(q->port) };
	fill_peer(st, q, &facts, &query);
	r = run_query(st->skel, &query, err);
	if (r < 0)
		return r;
	*out = query.answer;
	ask_names(st, &query, &facts, out);
	return 0;
}

const struct pk_ask_kernel pk_kernel = { .load = kernel_load,
					 .ask = kernel_ask,
					 .unload = kernel_unload };

struct pk_judge *pk_judge_start(const int *fds, struct pk_err *err)
{
	PK_OWN(pk_judge_endp) struct pk_judge *skel = pk_judge__open();

	if (!skel) {
		pk_fail(err, errno, "open the judge program");
		return NULL;
	}
	for (enum pk_map i = 0; i < PK_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, pk_map_name(i));

		if (map && bpf_map__reuse_fd(map, fds[i]) < 0) {
			pk_fail(err, errno, "take table \"%s\"", pk_map_name(i));
			return NULL;
		}
	}
	return load_program(skel, err) < 0 ? NULL : PK_MOVE(skel, NULL);
}

void pk_judge_end(struct pk_judge *skel)
{
	pk_judge__destroy(skel);
}
