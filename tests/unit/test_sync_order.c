/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables before words: an endpoint's word names a rule set once all of that is in the tables, and
 * nobody is told so before. Each write fails once: what it leaves behind is held to the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/model/model.h"
#include "controller/model/records.h"
#include "controller/sync/sync_private.h"
#include "fs.h"
#include "own.h"
#include "tables.h"

#define SETS	 8
#define CAPACITY 2
#define MANY	 2000
#define NO_FAULT UINT32_MAX

/* The tables, as far as their order shows. Rule set 1 is what the endpoint lives under at first. */
static struct {
	struct pk_bpf bpf;
	uint64_t words[CAPACITY + 1];
	struct pk_endpoint endpoints[CAPACITY + 1];
	struct {
		uint64_t digest[2];
		bool installed, peers;
	} set[SETS];
	struct {
		uint64_t hash[2];
		struct pk_labels labels;
	} labels[MANY];
	size_t n_labels;
	uint32_t identities;
	uint32_t writes, fault; /* the write that fails */
	int error;		/* as which */
	uint32_t told;		/* how often the endpoint's answers were written */
	bool walked;		/* the label sets are read as a whole */
	bool opened_again;	/* an ADD opens it anew as they are */
	struct pk_sync *sync;
	struct pk_model *model;
} t;

static const struct pk_local_endpoint *endpoint(void)
{
	return pk_model_next(t.model, NULL);
}

static bool is_in_step(void)
{
	return pk_sync_in_step(t.sync, t.model, endpoint());
}

/* Before each write: nobody says that the tables have it unless they do. */
static int write_one(struct pk_err *err)
{
	const uint32_t set = PK_WORD_RULE_SET(t.words[1]);

	assert_true(t.set[set].installed && t.set[set].peers);
	assert_true(!is_in_step() || set != 1);
	return t.writes++ == t.fault ? pk_fail(err, t.error, "the tables say so") : 0;
}

uint64_t pk_word(const struct pk_bpf *bpf, uint32_t slot)
{
	return bpf->words[slot];
}

int pk_rule_set_install(struct pk_bpf *bpf, struct pk_image *image, uint64_t deadline_ns,
			uint32_t *rule_set, struct pk_err *err)
{
	(void)bpf;
	(void)deadline_ns;
	*rule_set = 0;
	if (write_one(err) < 0)
		return -t.error;
	for (uint32_t i = 2; i < SETS && !*rule_set; i++)
		*rule_set = t.set[i].installed ? 0 : i;
	assert_true(*rule_set);
	memcpy(t.set[*rule_set].digest, image->digest, sizeof(image->digest));
	t.set[*rule_set].installed = true;
	return 0;
}

uint32_t pk_rule_set_find(const struct pk_bpf *bpf, const uint64_t digest[2])
{
	(void)bpf;
	for (uint32_t i = 1; i < SETS; i++)
		if (t.set[i].installed && memcmp(t.set[i].digest, digest, 16) == 0)
			return i;
	return 0;
}

int pk_rule_set_get(const struct pk_bpf *bpf, uint32_t rule_set, struct pk_rule_set *out)
{
	(void)bpf;
	memcpy(out->digest, t.set[rule_set].digest, sizeof(out->digest));
	return t.set[rule_set].installed ? 0 : -ENOENT;
}

bool *pk_rule_sets_there(const struct pk_bpf *bpf)
{
	bool *there = pk_alloc(SETS * sizeof(*there));

	(void)bpf;
	for (uint32_t i = 1; i < SETS; i++)
		there[i] = t.set[i].installed;
	return there;
}

int pk_rule_set_amend(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *from,
		      const struct pk_image *to, struct pk_err *err)
{
	(void)bpf;
	(void)rule_set;
	(void)from;
	(void)to;
	return pk_fail(err, EOPNOTSUPP, "each is built aside here");
}

int pk_rule_set_peers(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		      struct pk_err *err)
{
	(void)bpf;
	assert_memory_equal(t.set[rule_set].digest, image->digest, 16);
	t.set[rule_set].peers = true; /* one that fails leaves peers out: those are denied */
	return write_one(err);
}

int pk_rule_set_carry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t from, uint32_t to,
		      struct pk_err *err)
{
	(void)bpf;
	(void)rule_set;
	(void)from;
	(void)to;
	return write_one(err);
}

void pk_rule_set_uncarry(struct pk_bpf *bpf, uint32_t rule_set, uint32_t identity,
			 const struct pk_image *image)
{
	(void)bpf;
	(void)rule_set;
	(void)identity;
	(void)image;
}

size_t pk_rule_sets_strip(struct pk_bpf *bpf, const struct pk_placed *placed, size_t n)
{
	(void)bpf;
	(void)placed;
	(void)n;
	return 0;
}

int pk_rule_set_free(struct pk_bpf *bpf, uint32_t rule_set, const struct pk_image *image,
		     uint64_t deadline_ns, struct pk_err *err)
{
	(void)bpf;
	(void)rule_set;
	(void)image;
	(void)deadline_ns;
	return pk_fail(err, EBUSY, "it is named");
}

int pk_labels_get(const struct pk_bpf *bpf, const uint64_t hash[2], struct pk_labels *out)
{
	(void)bpf;
	for (size_t i = 0; i < t.n_labels; i++)
		if (memcmp(t.labels[i].hash, hash, 16) == 0) {
			*out = t.labels[i].labels;
			return 0;
		}
	return -ENOENT;
}

int pk_labels_take(struct pk_bpf *bpf, const struct pk_labels_want *want, uint64_t deadline_ns,
		   struct pk_labels *out, struct pk_err *err)
{
	(void)deadline_ns;
	if (pk_labels_get(bpf, want->hash, out) == 0)
		return 0;
	if (write_one(err) < 0)
		return -t.error;
	assert_true(t.n_labels < MANY);
	*out = (struct pk_labels){ .identity = ++t.identities, .tenant = 1 };
	memcpy(t.labels[t.n_labels].hash, want->hash, 16);
	t.labels[t.n_labels++].labels = *out;
	return 0;
}

/* The next ADD goes by the name: it must find a rule set that is whole. */
int pk_labels_name(struct pk_bpf *bpf, const uint64_t hash[2], uint32_t rule_set,
		   uint64_t deadline_ns, struct pk_err *err)
{
	(void)bpf;
	(void)deadline_ns;
	assert_true(!rule_set || (t.set[rule_set].installed && t.set[rule_set].peers));
	if (write_one(err) < 0)
		return -t.error;
	for (size_t i = 0; i < t.n_labels; i++)
		if (memcmp(t.labels[i].hash, hash, 16) == 0)
			t.labels[i].labels.rule_set = rule_set;
	return 0;
}

int pk_base_name(struct pk_bpf *bpf, uint32_t tenant, uint32_t rule_set, uint64_t deadline_ns,
		 struct pk_err *err)
{
	(void)bpf;
	(void)tenant;
	(void)deadline_ns;
	assert_true(!rule_set || (t.set[rule_set].installed && t.set[rule_set].peers));
	return write_one(err);
}

int pk_labels_forget(struct pk_bpf *bpf, const uint64_t hash[2], uint64_t deadline_ns,
		     struct pk_err *err)
{
	(void)bpf;
	(void)deadline_ns;
	if (write_one(err) < 0)
		return -t.error;
	for (size_t i = 0; i < t.n_labels; i++)
		if (memcmp(t.labels[i].hash, hash, 16) == 0) {
			t.labels[i] = t.labels[--t.n_labels];
			return 0;
		}
	return -ENOENT;
}

int pk_tenant_take(struct pk_bpf *bpf, const uint64_t tenant[2], uint64_t deadline_ns,
		   uint32_t *out, struct pk_err *err)
{
	(void)bpf;
	(void)tenant;
	(void)deadline_ns;
	*out = 1;
	return write_one(err);
}

int pk_tenant_get(const struct pk_bpf *bpf, const uint64_t tenant[2], uint32_t *out)
{
	(void)bpf;
	(void)tenant;
	*out = 1;
	return 0;
}

int pk_endpoint_switch(struct pk_bpf *bpf, const struct pk_endpoint_switch *to,
		       uint64_t deadline_ns, uint64_t *now, struct pk_err *err)
{
	(void)deadline_ns;
	assert_true(t.set[to->rule_set].installed && t.set[to->rule_set].peers);
	if (write_one(err) < 0)
		return -t.error;
	assert_int_equal(bpf->words[to->slot], to->from);
	bpf->words[to->slot] = PK_WORD(to->rule_set, to->flags, 9);
	if (now)
		*now = bpf->words[to->slot];
	bpf->endpoints[to->slot].identity = to->identity;
	bpf->endpoints[to->slot].tenant = to->tenant;
	return 0;
}

int pk_word_renew(struct pk_bpf *bpf, uint32_t slot, struct pk_err *err)
{
	(void)bpf;
	(void)slot;
	return write_one(err);
}

int pk_endpoint_open_ports(struct pk_bpf *bpf, uint32_t slot, const struct pk_open_port *ports,
			   size_t n, uint64_t deadline_ns, struct pk_err *err)
{
	(void)bpf;
	(void)slot;
	(void)ports;
	(void)n;
	(void)deadline_ns;
	return write_one(err);
}

int pk_endpoint_limit(struct pk_bpf *bpf, uint32_t slot, const struct pk_limits_held *held,
		      uint64_t deadline_ns, struct pk_err *err)
{
	(void)bpf;
	(void)slot;
	(void)held;
	(void)deadline_ns;
	(void)err;
	return 0;
}

int pk_answers_write(struct pk_bpf *bpf, uint32_t slot, const struct pk_answers *answers,
		     struct pk_err *err)
{
	t.told++;
	if (PK_MOVE(t.opened_again, false))
		t.endpoints[1].opened++;
	(void)bpf;
	(void)slot;
	(void)answers;
	return write_one(err);
}

int pk_remote_set(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *remote,
		  struct pk_err *err)
{
	(void)bpf;
	(void)addr;
	(void)remote;
	return write_one(err);
}

int pk_remote_delete(struct pk_bpf *bpf, const union pk_addr *addr, const struct pk_remote *was,
		     struct pk_err *err)
{
	(void)bpf;
	(void)addr;
	(void)was;
	return write_one(err);
}

int pk_map_get(int map, const void *key, void *value)
{
	(void)map;
	(void)key;
	(void)value;
	return -ENOENT;
}

int pk_map_each(int map, int (*each)(void *arg, const void *key, const void *value), void *arg)
{
	int r = 0;

	(void)map;
	for (size_t i = 0; t.walked && i < t.n_labels && r == 0; i++)
		r = each(arg, t.labels[i].hash, &t.labels[i].labels);
	return r;
}

bool pk_slot_taken(const struct pk_bpf *bpf, uint32_t slot)
{
	(void)bpf;
	return slot == 1;
}

uint32_t pk_slot_age(const struct pk_bpf *bpf, uint32_t slot)
{
	(void)bpf;
	(void)slot;
	return 100;
}

size_t pk_tables_use(const struct pk_bpf *bpf, struct pk_table_use use[PK_MAP_COUNT])
{
	(void)bpf;
	(void)use;
	return 0;
}

int pk_bpf_open(struct pk_bpf **bpf, const struct pk_paths *paths, enum pk_bpf_mode mode,
		const struct pk_settings *settings, uint64_t deadline_ns, struct pk_err *err)
{
	(void)paths;
	(void)mode;
	(void)settings;
	(void)deadline_ns;
	(void)err;
	*bpf = &t.bpf;
	return 0;
}

void pk_bpf_close(struct pk_bpf *bpf)
{
	(void)bpf;
}

struct fixture {
	struct pk_settings settings;
	struct pk_paths paths;
	struct pk_docs *docs;
};

static void put_endpoint(void)
{
	static const uint64_t epoch[2] = { 1, 2 };
	char id[] = "alloc-1", eth0[] = "eth0", acme[] = "acme", web[] = "web";
	struct pk_record r = { .container_id = id,
			       .ifname = eth0,
			       .slot = 1,
			       .tenant_name = acme,
			       .job = web,
			       .group = web };

	memcpy(r.epoch, epoch, sizeof(epoch));
	pk_addr_parse("10.40.7.1", &r.ipv4);
	pk_model_put(t.model, pk_local_endpoint_of_record(&r, epoch));
}

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_model_args args = { .settings = &f->settings };
	static const char deny[] =
		"{\"endpointSelector\": {}, \"ingressDeny\": [{\"fromEntities\": [\"all\"]}]}";
	const struct pk_doc_origin origin = { .source = "file", .path = "/p/deny.json" };

	memset(&t, 0, sizeof(t));
	t.fault = NO_FAULT;
	t.error = ENOSPC;
	memset(t.bpf.map, -1, sizeof(t.bpf.map));
	t.bpf.words = t.words;
	t.bpf.endpoints = t.endpoints;
	t.bpf.node.capacity = CAPACITY;
	t.bpf.node.rule_sets = SETS;
	t.set[1].installed = t.set[1].peers = true;
	t.words[1] = PK_WORD(1, 0, 8);
	pk_settings_init(&f->settings);
	f->docs = args.docs = pk_docs_new(NULL);
	t.model = pk_model_new(&args);
	assert_int_equal(pk_paths_init(&f->paths, "/nowhere", NULL), 0);
	t.sync = pk_sync_new(&f->paths);
	assert_int_equal(pk_sync_open(t.sync, &f->settings, NULL), 0);
	put_endpoint();
	assert_true(pk_docs_offer(f->docs, &origin, deny, strlen(deny)));
	pk_model_documents(t.model);
	assert_int_equal(pk_model_compile(t.model, NULL, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pk_sync_free(t.sync);
	pk_model_free(t.model);
	pk_docs_free(f->docs);
	pk_settings_done(&f->settings);
	free(f);
	return 0;
}

static int pass(void)
{
	const struct pk_sync_want want = { .model = t.model, .all = true };
	struct pk_sync_done done;
	struct pk_err err = { 0 };

	return pk_sync_pass(t.sync, &want, &done, &err);
}

static void test_tables_before_words(void **state)
{
	(void)state;
	assert_false(is_in_step());
	assert_int_equal(pass(), 0);
	assert_true(is_in_step());
	assert_int_not_equal(PK_WORD_RULE_SET(t.words[1]), 1);
	assert_true(t.writes >= 4);
}

/* Each write fails in turn: the endpoint keeps what it had, or has all of the new. */
static void each_write_fails(void **state, int error, uint32_t more)
{
	uint32_t writes;

	assert_int_equal(pass(), 0);
	writes = t.writes;
	for (uint32_t i = 0; i < writes; i++) {
		teardown(state);
		setup(state);
		t.fault = i;
		t.error = error;
		assert_int_equal(pass(), -error);
		assert_in_range(t.writes, i + 1, i + 1 + more);
		t.fault = NO_FAULT;
		assert_int_equal(pass(), 0);
		assert_true(is_in_step());
	}
}

static void test_each_write_fails_once(void **state)
{
	each_write_fails(state, ENOSPC, MANY);
}

/*
 * The first write that waits for the node's lock in vain ends the pass: the others would, too. What a
 * guest is told needs no lock.
 */
static void test_a_held_lock_ends_the_pass(void **state)
{
	each_write_fails(state, ETIMEDOUT, 1);
}

/*
 * An ADD writes what its conflist says and opens the endpoint. Where that falls between a pass's
 * look at the endpoint and its own write, nobody knows whose answers are in the table: the next
 * pass writes them again, and then no more.
 */
static void test_told_again_after_an_add(void **state)
{
	(void)state;
	t.opened_again = true;
	assert_int_equal(pass(), 0);
	assert_int_equal(t.told, 1);
	assert_int_equal(pass(), 0);
	assert_int_equal(t.told, 2);
	assert_int_equal(pass(), 0);
	assert_int_equal(t.told, 2);
}

/* However many label sets nobody has any more, a turn forgets a part of them, and none is left. */
static void test_idle_labels_go_in_parts(void **state)
{
	size_t before, most = 0;
	bool more;

	(void)state;
	assert_int_equal(pass(), 0);
	assert_int_equal(t.n_labels, 1);
	t.walked = true;
	for (; t.n_labels < 1500; t.n_labels++)
		t.labels[t.n_labels].hash[0] = t.n_labels;
	before = t.n_labels;
	pk_sync_tidy(t.sync, t.model);
	do {
		most = before - t.n_labels > most ? before - t.n_labels : most;
		before = t.n_labels;
		more = pk_sync_tidy_next(t.sync, t.model);
	} while (more || t.n_labels < before);
	assert_true(most <= 512);
	assert_int_equal(t.n_labels, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tables_before_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_write_fails_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_held_lock_ends_the_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_labels_go_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_again_after_an_add, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
